"""Asking the index, on SQLite and on PostgreSQL: what is found, what is counted, and how a search fails."""

from collections.abc import Mapping
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from sqlalchemy import Connection, text, update
from sqlalchemy.dialects import postgresql, sqlite

from foundation.database import Database, DatabaseAway, sqlite_url
from foundation.errors import Unavailable
from pacs.archive.attributes import Level
from pacs.archive.matching import MatchingOptions
from pacs.archive.query import ROWS_PER_FETCH, IndexQuery, Interrupted, TooManyMatches
from pacs.archive.query_plan import Model, Plan, Query, plan_query
from pacs.archive.query_rows import RowReader, Value
from pacs.archive.query_sql import UIDS_PER_STATEMENT_MAX, Columns, Narrowing, statements
from pacs.archive.query_values import Element
from pacs.archive.schema import study
from pacs.contracts import InstanceRef
from tests.harness.index_rows import (
    InstanceRow,
    PatientRow,
    SeriesRow,
    StudyRow,
    insert_pack,
    insert_patient,
    json_member,
)
from tests.harness.peers import free_port

CT = "1.2.840.10008.5.1.4.1.1.2"


class Headers:
    """Stored headers by SOP Instance UID; every read is noted."""

    def __init__(self, datasets: Mapping[str, Dataset] | None = None) -> None:
        self._datasets = datasets or {}
        self.read: list[InstanceRef] = []

    def read_dataset(self, ref: InstanceRef) -> Dataset:
        self.read.append(ref)
        return self._datasets[ref.sop_instance_uid]


def key(keyword: str, value: str = "") -> tuple[int, Element]:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag, Element(vr=dictionary_VR(tag), text=value)


def plan(
    level: Level, keys: Mapping[str, str], *, zone: timezone | None = None, options: MatchingOptions | None = None
) -> Plan:
    return plan_query(
        Query(
            model=Model.PATIENT_ROOT,
            level=level,
            keys=dict(key(keyword, value) for keyword, value in keys.items()),
            is_relational=True,
            zone=zone,
            options=options or MatchingOptions(),
        )
    )


def ask(
    index: IndexQuery, level: Level, keys: Mapping[str, str], *, zone: timezone | None = None
) -> list[dict[str, Value]]:
    """Return the answers as values by keyword."""
    planned = plan(level, keys, zone=zone)
    by_tag = {tag_for_keyword(keyword): keyword for keyword in keys}
    keywords = [by_tag[field.tag] for field in planned.fields]
    return [dict(zip(keywords, values, strict=True)) for values in index.find(planned, {}, lambda: False)]


def fill(database: Database, *patients: PatientRow) -> None:
    with database.write() as connection:
        insert_pack(connection)
        for row in patients:
            insert_patient(connection, row)


def patient(name: str, patient_id: str = "1", issuer: str = "", *studies: StudyRow) -> PatientRow:
    return PatientRow(
        values={"PatientID": patient_id, "IssuerOfPatientID": issuer, "PatientName": name}, studies=studies
    )


def small_study(uid: str, date: str = "20240101", *modalities: str) -> StudyRow:
    return StudyRow(
        values={"StudyInstanceUID": uid, "StudyDate": date, "StudyTime": "1200"},
        series=[
            SeriesRow(
                values={"SeriesInstanceUID": f"{uid}.{number}", "Modality": modality},
                instances=[instance(f"{uid}.{number}.1")],
            )
            for number, modality in enumerate(modalities, 1)
        ],
    )


def instance(uid: str, *, is_damaged: bool = False) -> InstanceRow:
    values = {"SOPInstanceUID": uid, "SOPClassUID": CT, "AvailableTransferSyntaxUID": "1.2.840.10008.1.2.1"}
    return InstanceRow(values=values, is_damaged=is_damaged)


# --- what is found -------------------------------------------------------------------------------


NAMES_FOUND = {
    "yamada^tarou": ["Yamada^Tarou=山田^太郎"],
    "*tarou": ["Yamada^Tarou=山田^太郎"],
    "山田*": ["Yamada^Tarou=山田^太郎", "山田^花子"],
    "lefevre^*": ["LEFÈVRE", "Lefèvre^Zoë"],
    "100%*": ["100%^X"],
    "1?0%*": ["100%^X"],
    "[*": ["[sic]"],
}


def test_names_are_found_in_the_index_as_matching_says(database: Database) -> None:
    names = ["Yamada^Tarou=山田^太郎", "山田^花子", "LEFÈVRE", "Lefèvre^Zoë", "Lefort", "100%^X", "100X^X", "[sic]", ""]
    fill(database, *(patient(name, str(number)) for number, name in enumerate(names)))
    index = IndexQuery(database, Headers())
    found = {
        pattern: sorted(str(a["PatientName"]) for a in ask(index, Level.PATIENT, {"PatientName": pattern}))
        for pattern in NAMES_FOUND
    }
    assert found == NAMES_FOUND


def test_one_patient_id_in_two_hospitals_is_two_patients(database: Database) -> None:
    fill(
        database,
        patient("A", "7", "NORTH", small_study("1.1")),
        patient("B", "7", "SOUTH", small_study("1.2")),
    )
    index = IndexQuery(database, Headers())
    both = ask(index, Level.PATIENT, {"PatientID": "7", "IssuerOfPatientID": "", "PatientName": ""})
    assert sorted((a["IssuerOfPatientID"], a["PatientName"]) for a in both) == [("NORTH", "A"), ("SOUTH", "B")]
    south = ask(index, Level.STUDY, {"PatientID": "7", "IssuerOfPatientID": "SOUTH", "StudyInstanceUID": ""})
    assert [answer["StudyInstanceUID"] for answer in south] == ["1.2"]


def test_one_study_uid_under_two_patients_is_two_studies(database: Database) -> None:
    fill(database, patient("A", "1", "", small_study("1.1")), patient("B", "2", "", small_study("1.1")))
    answers = ask(IndexQuery(database, Headers()), Level.STUDY, {"StudyInstanceUID": "1.1", "PatientName": ""})
    assert sorted(str(answer["PatientName"]) for answer in answers) == ["A", "B"]


def test_hundreds_of_uids_are_found_each_once(database: Database) -> None:
    count = 2 * UIDS_PER_STATEMENT_MAX + 7
    with database.write() as connection:
        pk = insert_patient(connection, patient("A"))
        rows = [{**_study_values(f"1.2.{number}"), "patient_pk": pk, "attributes": "{}"} for number in range(count)]
        connection.execute(study.insert(), rows)
    asked = "\\".join(f"1.2.{number}" for number in [*range(count), 3, 4, count + 1])
    answers = ask(IndexQuery(database, Headers(), answers_max=count), Level.STUDY, {"StudyInstanceUID": asked})
    assert sorted(str(a["StudyInstanceUID"]) for a in answers) == sorted(f"1.2.{number}" for number in range(count))


def _study_values(uid: str) -> dict[str, str]:
    names = (
        "study_date", "study_time", "accession_number", "study_id", "study_description", "referring_physician_name",
        "referring_physician_name_key", "modalities_in_study", "sop_classes_in_study",
    )  # fmt: skip
    return {**dict.fromkeys(names, ""), "study_instance_uid": uid}


def test_a_study_with_a_matching_series_is_answered_once(database: Database) -> None:
    fill(database, patient("A", "1", "", small_study("1.1", "20240101", "CT", "CT", "SR"), small_study("1.2")))
    answers = ask(IndexQuery(database, Headers()), Level.STUDY, {"StudyInstanceUID": "", "Modality": "CT"})
    assert answers == [{"StudyInstanceUID": "1.1", "Modality": "CT"}]


def test_modalities_in_study_match_any_of_them(database: Database) -> None:
    fill(
        database,
        patient("A", "1", "", small_study("1.1", "20240101", "CT", "SR"), small_study("1.2", "20240101", "MR")),
    )
    index = IndexQuery(database, Headers())
    for pattern, found in (("SR", ["1.1"]), ("CT\\MR", ["1.1", "1.2"]), ("?R", ["1.1", "1.2"]), ("PT", []), ("C", [])):
        answers = ask(index, Level.STUDY, {"StudyInstanceUID": "", "ModalitiesInStudy": pattern})
        assert sorted(str(answer["StudyInstanceUID"]) for answer in answers) == found


def test_related_entities_are_counted(database: Database) -> None:
    fill(
        database,
        patient("A", "1", "", small_study("1.1", "20240101", "CT", "SR"), small_study("1.2", "20240101", "MR")),
        patient("B", "2"),
    )
    index = IndexQuery(database, Headers())
    counts = {
        "NumberOfPatientRelatedStudies": "",
        "NumberOfPatientRelatedSeries": "",
        "NumberOfPatientRelatedInstances": "",
    }
    assert list(ask(index, Level.PATIENT, {"PatientID": "1", **counts})[0].values()) == ["1", "2", "3", "3"]
    assert list(ask(index, Level.PATIENT, {"PatientID": "2", **counts})[0].values()) == ["2", "0", "0", "0"]
    (of_study,) = ask(
        index,
        Level.STUDY,
        {
            "StudyInstanceUID": "1.1",
            "NumberOfStudyRelatedSeries": "",
            "NumberOfStudyRelatedInstances": "",
            "NumberOfPatientRelatedStudies": "",
            "ModalitiesInStudy": "",
            "SOPClassesInStudy": "",
        },
    )
    assert of_study["NumberOfStudyRelatedSeries"] == "2"
    assert of_study["NumberOfStudyRelatedInstances"] == "2"
    assert of_study["NumberOfPatientRelatedStudies"] == "2"
    assert of_study["ModalitiesInStudy"] == "CT\\SR"
    assert of_study["SOPClassesInStudy"] == CT


def test_sequences_answer_their_matching_items_with_what_was_asked(database: Database) -> None:
    items = [
        {"00401001": {"vr": "SH", "Value": ["P1"]}, "00400009": {"vr": "SH", "Value": ["S1"]}},
        {"00401001": {"vr": "SH", "Value": ["P2"]}, "00400009": {"vr": "SH", "Value": ["S2"]}},
    ]
    series = SeriesRow(
        values={"SeriesInstanceUID": "1.1.1"}, attributes=json_member("RequestAttributesSequence", *items)
    )
    fill(database, patient("A", "1", "", StudyRow(values={"StudyInstanceUID": "1.1"}, series=[series])))
    index = IndexQuery(database, Headers())

    def answers(*item: dict[int, Element]) -> list[list[Value]]:
        keys = {0x00400275: Element(vr="SQ", items=item)}
        query = Query(
            model=Model.STUDY_ROOT,
            level=Level.SERIES,
            keys=keys,
            is_relational=True,
            zone=None,
            options=MatchingOptions(),
        )
        return list(index.find(plan_query(query), {}, lambda: False))

    second = {0x00401001: Element(vr="SH", text="P2"), 0x00081030: Element(vr="LO")}
    assert answers({0x00401001: Element(vr="SH", text="P2"), 0x00081030: Element(vr="LO")}) == [[(second,)]]
    assert answers({0x00401001: Element(vr="SH", text="P3")}) == []
    ((whole,),) = answers()
    assert [item[0x00400009].text for item in whole if not isinstance(item, str)] == ["S1", "S2"]


# --- headers -------------------------------------------------------------------------------------


def _headers(count: int) -> dict[str, Dataset]:
    datasets = {}
    for number in range(count):
        dataset = Dataset()
        dataset.ImageType = ["ORIGINAL", "PRIMARY"] if number % 2 else ["DERIVED", "SECONDARY"]
        dataset.SliceLocation = str(number)
        datasets[f"1.1.1.{number}"] = dataset
    return datasets


def _image_rows(count: int) -> PatientRow:
    series = SeriesRow(
        values={"SeriesInstanceUID": "1.1.1"}, instances=[instance(f"1.1.1.{number}") for number in range(count)]
    )
    return patient("A", "1", "", StudyRow(values={"StudyInstanceUID": "1.1"}, series=[series]))


def test_attributes_of_images_are_read_from_their_headers(database: Database) -> None:
    fill(database, _image_rows(4))
    headers = Headers(_headers(4))
    answers = ask(
        IndexQuery(database, headers), Level.IMAGE, {"SOPInstanceUID": "", "ImageType": "ORIGINAL", "SliceLocation": ""}
    )
    assert sorted(str(answer["SliceLocation"]) for answer in answers) == ["1", "3"]
    assert answers[0]["ImageType"] == "ORIGINAL\\PRIMARY"
    assert {(ref.pack, ref.study_instance_uid, ref.dataset_offset) for ref in headers.read} == {
        ("lane-0001", "1.1", 400)
    }


def test_headers_are_read_only_for_rows_that_match_otherwise(database: Database) -> None:
    fill(database, _image_rows(4))
    headers = Headers(_headers(4))
    ask(IndexQuery(database, headers), Level.IMAGE, {"SOPInstanceUID": "1.1.1.2", "ImageType": "DERIVED"})
    assert [ref.sop_instance_uid for ref in headers.read] == ["1.1.1.2"]


def test_no_headers_are_read_for_what_the_index_has(database: Database) -> None:
    fill(database, _image_rows(4))
    headers = Headers()
    assert len(ask(IndexQuery(database, headers), Level.IMAGE, {"SOPInstanceUID": "", "Modality": ""})) == 4
    assert headers.read == []


def test_a_damaged_instance_is_answered_without_its_header(database: Database) -> None:
    series = SeriesRow(values={"SeriesInstanceUID": "1.1.1"}, instances=[instance("1.1.1.1", is_damaged=True)])
    fill(database, patient("A", "1", "", StudyRow(values={"StudyInstanceUID": "1.1"}, series=[series])))
    answers = ask(IndexQuery(database, Headers()), Level.IMAGE, {"SOPInstanceUID": "", "ImageType": ""})
    assert answers == [{"SOPInstanceUID": "1.1.1.1", "ImageType": ""}]


def test_too_many_headers_end_the_search_with_an_error(database: Database) -> None:
    fill(database, _image_rows(4))
    index = IndexQuery(database, Headers(_headers(4)), headers_read_max=2)
    with pytest.raises(TooManyMatches):
        ask(index, Level.IMAGE, {"SOPInstanceUID": "", "ImageType": "NEVER"})


# --- time zones ----------------------------------------------------------------------------------


def test_dates_and_times_are_matched_and_answered_in_the_zone_of_the_request(database: Database) -> None:
    in_paris = json_member("TimezoneOffsetFromUTC", "+0100")
    rows = [
        StudyRow(values={"StudyInstanceUID": "1.1", "StudyDate": "20240101", "StudyTime": "0030"}, attributes=in_paris),
        StudyRow(values={"StudyInstanceUID": "1.2", "StudyDate": "20240101", "StudyTime": "0130"}, attributes=in_paris),
        # Without a zone of its own the archive's counts, here UTC.
        StudyRow(values={"StudyInstanceUID": "1.3", "StudyDate": "20240101", "StudyTime": "0030"}),
        StudyRow(values={"StudyInstanceUID": "1.4", "StudyDate": "20231231", "StudyTime": ""}, attributes=in_paris),
    ]
    fill(database, patient("A", "1", "", *rows))
    index = IndexQuery(database, Headers(), zone=UTC)
    utc = timezone(timedelta(0))
    answers = ask(index, Level.STUDY, {"StudyInstanceUID": "", "StudyDate": "20231231", "StudyTime": ""}, zone=utc)
    assert sorted(tuple(answer.values()) for answer in answers) == [
        ("20231231", "", "1.4"),
        ("20231231", "2330", "1.1"),
    ]
    answers = ask(index, Level.STUDY, {"StudyInstanceUID": "", "StudyTime": "0000-0029"}, zone=utc)
    assert answers == []
    answers = ask(index, Level.STUDY, {"StudyInstanceUID": "", "StudyTime": "2300-"}, zone=utc)
    assert [answer["StudyInstanceUID"] for answer in answers] == ["1.1"]


# --- how a search ends ---------------------------------------------------------------------------


def test_matches_up_to_the_cap_are_all_there_is(database: Database) -> None:
    fill(database, *(patient("A", str(number)) for number in range(3)))
    assert len(ask(IndexQuery(database, Headers(), answers_max=3), Level.PATIENT, {"PatientID": ""})) == 3


def test_one_match_more_than_the_cap_ends_the_search_with_an_error(database: Database) -> None:
    fill(database, *(patient("A", str(number)) for number in range(4)))
    answers = IndexQuery(database, Headers(), answers_max=3).find(
        plan(Level.PATIENT, {"PatientID": ""}), {}, lambda: False
    )
    given = [next(answers) for _ in range(3)]
    assert len(given) == 3
    with pytest.raises(TooManyMatches):
        next(answers)


def test_a_search_that_matches_nothing_is_still_interrupted(database: Database) -> None:
    with database.write() as connection:
        pk = insert_patient(connection, patient("A"))
        rows = [
            {**_study_values(f"1.2.{number}"), "patient_pk": pk, "attributes": "{}"}
            for number in range(3 * ROWS_PER_FETCH)
        ]
        connection.execute(study.insert(), rows)
    looks = 0

    def interrupted() -> bool:
        nonlocal looks
        looks += 1
        return looks == 2

    # There is no index on times, and no study has one: all rows are looked at and none matches.
    planned = plan(Level.STUDY, {"StudyTime": "10-11"})
    assert list(IndexQuery(database, Headers()).find(planned, {}, lambda: False)) == []
    with pytest.raises(Interrupted):
        list(IndexQuery(database, Headers()).find(planned, {}, interrupted))
    assert looks == 2


def test_a_database_that_cannot_answer_is_an_error_and_no_empty_answer(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE patient RENAME COLUMN patient_id TO gone"))
    with pytest.raises(DatabaseAway):
        ask(IndexQuery(database, Headers()), Level.PATIENT, {"PatientID": ""})


def test_a_database_server_that_is_down_is_an_error_and_no_empty_answer() -> None:
    port = free_port()
    away = Database(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none")
    with pytest.raises(DatabaseAway):
        ask(IndexQuery(away, Headers()), Level.PATIENT, {"PatientID": ""})
    away.close()


def test_a_database_file_that_is_none_is_an_error_and_no_empty_answer(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database" * 1000)
    broken = Database(sqlite_url(tmp_path / "index.sqlite"))
    with pytest.raises(DatabaseAway):
        ask(IndexQuery(broken, Headers()), Level.PATIENT, {"PatientID": ""})
    broken.close()


def test_a_row_that_cannot_be_read_is_an_error_and_no_empty_answer(database: Database) -> None:
    fill(database, patient("A", "1", "", small_study("1.1")))
    for damaged in ("{", "[]", '{"00101010": {}}', '{"00101010": 1}'):
        with database.write() as connection:
            connection.execute(update(study).values(attributes=damaged))
        with pytest.raises(Unavailable):
            ask(IndexQuery(database, Headers()), Level.STUDY, {"PatientAge": ""})


# --- which index is used -------------------------------------------------------------------------

INDEXED = [
    (Level.PATIENT, {"PatientID": "7"}, "ix_patient_patient_id"),
    (Level.PATIENT, {"PatientID": "7*"}, "ix_patient_patient_id"),
    (Level.PATIENT, {"PatientName": "DUPONT*"}, "ix_patient_patient_name_key"),
    (Level.PATIENT, {"PatientName": "DUPONT^JEAN"}, "ix_patient_patient_name_key"),
    (Level.STUDY, {"PatientName": "DUPONT*"}, "ix_patient_patient_name_key"),
    (Level.STUDY, {"StudyDate": "20240101-20240107"}, "ix_study_study_date"),
    (Level.STUDY, {"StudyDate": "20240101"}, "ix_study_study_date"),
    (Level.STUDY, {"StudyDate": "20240101-"}, "ix_study_study_date"),
    (Level.STUDY, {"AccessionNumber": "A1"}, "ix_study_accession_number"),
    (Level.STUDY, {"AccessionNumber": "A1*"}, "ix_study_accession_number"),
    (Level.STUDY, {"StudyInstanceUID": "1.2.3\\1.2.4"}, "study_instance_uid"),
    (Level.STUDY, {"ModalitiesInStudy": "CT"}, "ix_study_modalities_in_study"),
    (Level.SERIES, {"StudyInstanceUID": "1.2.3"}, "study_instance_uid"),
    (Level.SERIES, {"SeriesInstanceUID": "1.2.3"}, "ix_series_series_instance_uid"),
]


def test_the_keys_people_search_by_use_an_index(database: Database) -> None:
    with database.read() as connection:
        for level, keys, index_name in INDEXED:
            used = _explain(connection, plan(level, keys), is_sqlite=database.is_sqlite)
            assert ("Index Cond" in used) or ("SEARCH" in used and "SCAN" not in used), (keys, used)
            # SQLite does not name the index of a unique constraint.
            assert index_name in used or ("autoindex" in used and "_uid" in index_name), (keys, used)


def _explain(connection: Connection, planned: Plan, *, is_sqlite: bool) -> str:
    columns = Columns()
    RowReader(planned, columns, {}, Headers(), UTC)
    narrowing = Narrowing(is_sqlite=is_sqlite, modality_sets=["CT"])
    (statement,) = statements(planned, columns, narrowing)
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped library
    sql = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    if is_sqlite:
        return "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))
    # A table of no rows is scanned whatever there is; what is asked here is whether the index can serve.
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}"))
