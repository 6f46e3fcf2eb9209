"""SQL only narrows: what the database selects and the matcher keeps is what the matcher keeps of all rows.

Hypothesis asks a fixed, odd catalogue (wildcards, accents, percent signs, empty values, damaged dates) on SQLite and on
PostgreSQL; the expected answer is found without SQL, by matching every entity that was inserted.
"""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from foundation.database import Database, sqlite_url
from pacs.archive.attributes import ATTRIBUTE_BY_TAG, UNIQUE_KEY, Level
from pacs.archive.matching import InvalidKey, MatchingOptions, compile_date_time_span, compile_key, matches_element
from pacs.archive.query import IndexQuery
from pacs.archive.query_plan import DATE_TIME_PAIRS, Model, Query, plan_query
from pacs.archive.query_time import NotATime
from pacs.archive.query_values import Element, Item, from_json
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

SEED = 20130105
NAMES = [
    "DUPONT^JEAN", "Dupont^Jeanne", "DUPOND^Zoë", "Lefèvre^Zoë^^Dr", "LEFEVRE", "SAINT-MARTIN^Luc", "O'Neill^Shaun",
    "100%_[sic]^*?", "Yamada^Tarou=山田^太郎=やまだ^たろう", "山田^花子", "Wang^XiaoDong=王^小東",
    "Διονύσιος", "", "ÉMILE", "Smith^Mary", "Swayne^Marie",
]  # fmt: skip
IDS = ["1", "01", "10", "A%", "A_", "AB", "a", "[1]", "x*y", "PAT 1", ""]
DATES = ["", "20230101", "20231231", "20240229", "20240301", "garbage!", "20249999"]
TIMES = ["", "00", "0959", "100000", "235959.999999", "noon"]
DESCRIPTIONS = ["", "HEAD CT", "Head ct", "TÊTE", "100% normal", "A_B", "a\\b"]
MODALITIES = ["CT", "MR", "SR", "PT", ""]
PROTOCOLS = ["", "Crâne", "Head/Neck", 'say "x"', "T1", "AX T1"]


class NoHeaders:
    """No header may be read: every key has a column or is in the attributes of a level."""

    def read_dataset(self, ref: InstanceRef) -> Dataset:
        raise AssertionError(ref)


def _patients() -> list[PatientRow]:
    rng = random.Random(SEED)
    patients = []
    pairs = {(rng.choice(["", "H1", "H2"]), rng.choice(IDS)) for _ in range(40)}
    for number, (issuer, patient_id) in enumerate(sorted(pairs)):
        studies = [_study(rng, f"1.2.{number}.{n}") for n in range(rng.randrange(3))]
        patients.append(
            PatientRow(
                values={
                    "IssuerOfPatientID": issuer,
                    "PatientID": patient_id,
                    "PatientName": NAMES[number % len(NAMES)],
                    "PatientBirthDate": rng.choice(DATES),
                    "PatientSex": rng.choice(["M", "F", ""]),
                },
                attributes=json_member("PatientComments", "allergic") if rng.random() < 0.5 else {},
                studies=studies,
            )
        )
    return patients


def _study(rng: random.Random, uid: str) -> StudyRow:
    return StudyRow(
        values={
            "StudyInstanceUID": uid,
            "StudyDate": rng.choice(DATES),
            "StudyTime": rng.choice(TIMES),
            "AccessionNumber": rng.choice(IDS),
            "StudyID": rng.choice(IDS),
            "StudyDescription": rng.choice(DESCRIPTIONS),
            "ReferringPhysicianName": rng.choice(NAMES),
        },
        attributes=json_member("PatientAge", rng.choice(["045Y", "006M"])),
        series=[_series(rng, f"{uid}.{n}") for n in range(rng.randrange(4))],
    )


def _series(rng: random.Random, uid: str) -> SeriesRow:
    return SeriesRow(
        values={
            "SeriesInstanceUID": uid,
            "Modality": rng.choice(MODALITIES),
            "SeriesNumber": rng.choice(["1", "+1", "02", "", "x"]),
            "SeriesDescription": rng.choice(DESCRIPTIONS),
            "SeriesDate": rng.choice(DATES),
            "SeriesTime": rng.choice(TIMES),
        },
        attributes={
            **json_member("ProtocolName", rng.choice(PROTOCOLS)),
            **json_member("OperatorsName", {"Alphabetic": rng.choice(NAMES)}, {"Alphabetic": "NIGHT^SHIFT"}),
            **json_member("RequestAttributesSequence", {"00401001": {"vr": "SH", "Value": [rng.choice(IDS)]}}, {}),
        },
        instances=[
            InstanceRow(
                values={
                    "SOPInstanceUID": f"{uid}.{n}",
                    "SOPClassUID": rng.choice(["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"]),
                    "AvailableTransferSyntaxUID": "1.2.840.10008.1.2.1",
                    "InstanceNumber": str(n),
                    "Rows": 512,
                }
            )
            for n in range(rng.randrange(3))
        ],
    )


def _item(values: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[int, Element]:
    item = dict(from_json(attributes))
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        item[tag] = Element(vr=dictionary_VR(tag), text=str(value))
    return item


def _rows(patients: list[PatientRow]) -> dict[Level, list[Item]]:
    rows: dict[Level, list[Item]] = {level: [] for level in Level}
    for patient in patients:
        of_patient = _item(patient.values, patient.attributes)
        rows[Level.PATIENT].append(of_patient)
        for study in patient.studies:
            modalities = "\\".join(sorted({s.values["Modality"] for s in study.series} - {""}))
            classes = "\\".join(sorted({str(i.values["SOPClassUID"]) for s in study.series for i in s.instances}))
            of_study = {**of_patient, **_item(study.values, study.attributes)}
            of_study |= _item({"ModalitiesInStudy": modalities, "SOPClassesInStudy": classes}, {})
            rows[Level.STUDY].append(of_study)
            for series in study.series:
                of_series = {**of_study, **_item(series.values, series.attributes)}
                rows[Level.SERIES].append(of_series)
                rows[Level.IMAGE] += [{**of_series, **_item(i.values, {})} for i in series.instances]
    return rows


# Computed without randomness, so strategies and fixture see the same catalogue.
PATIENTS = _patients()
ROWS = _rows(PATIENTS)

KEYWORDS = [
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientComments", "StudyInstanceUID",
    "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription", "ReferringPhysicianName", "ModalitiesInStudy",
    "SOPClassesInStudy", "PatientAge", "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDate", "SeriesTime",
    "ProtocolName", "OperatorsName", "SOPInstanceUID", "InstanceNumber", "Rows",
]  # fmt: skip
TAGS = [int(tag_for_keyword(keyword) or 0) for keyword in KEYWORDS]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexQuery]:
    directory: Path = tmp_path_factory.mktemp("matching")
    url = (
        sqlite_url(directory / "index.sqlite")
        if request.param == "sqlite"
        else request.getfixturevalue("postgresql_server").new_database(f"test_{uuid4().hex}")
    )
    database = Database(url)
    database.create_tables()
    with database.write() as connection:
        insert_pack(connection)
        for patient in PATIENTS:
            insert_patient(connection, patient)
    yield IndexQuery(database, NoHeaders(), answers_max=100_000)
    database.close()


def _with_wildcards(draw: st.DrawFn, value: str) -> str:
    """Turn a value into a key that often matches it."""
    start = draw(st.integers(0, len(value)))
    end = draw(st.integers(start, len(value)))
    pattern = draw(
        st.sampled_from(
            [
                value,
                value.upper(),
                value + "*",
                value + "^*",
                value + "?",
                value[:end] + "*",
                "*" + value[start:],
                "*" + value[start:end] + "*",
                value[:start] + "?" + value[start + 1 :],
                value[:start] + "*" + value[end:],
                value.split("=")[0],
                "*" + value.split("=")[0][1:],
                value.split("=")[-1],
                value.split("=")[-1][:1] + "*",
                value + "=*",
            ]
        )
    )
    return pattern or '""'


def _range_around(draw: st.DrawFn, value: str, others: list[str]) -> str:
    """Turn a date or time into a range that often holds it."""
    other = draw(st.sampled_from([one for one in others if one[:1].isdigit()]))
    low, high = sorted([value or other, other])
    return draw(st.sampled_from([value or other, f"{low}-", f"-{high}", f"{low}-{high}", f"{low}-{low}"]))


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Draw a query from the values of one entity, changed so that it often but not always matches that one."""
    level = draw(st.sampled_from(list(Level)))
    target = draw(st.sampled_from(ROWS[draw(st.sampled_from([level, Level.IMAGE]))]))
    present = [tag for tag in TAGS if tag in target]
    keys = {}
    for tag in draw(st.lists(st.sampled_from(present), min_size=1, max_size=3, unique=True)):
        value, vr = target[tag].text, target[tag].vr
        if vr in {"DA", "TM"}:
            text = _range_around(draw, value, DATES if vr == "DA" else TIMES)
        elif vr == "UI":
            others = [row[tag].text for row in ROWS[ATTRIBUTE_BY_TAG[tag].level][:30]]
            text = "\\".join([value, *draw(st.lists(st.sampled_from(others), max_size=40))])
        elif vr in {"IS", "US"}:
            text = draw(st.sampled_from([value, f"+{value}", f"0{value}", f"{value}.0", "99999999999999", "-1"]))
        elif vr == "AS":
            text = value
        else:
            text = _with_wildcards(draw, draw(st.sampled_from(value.split("\\"))))
            if draw(st.integers(0, 4)) == 0:
                text += "\\" + draw(st.sampled_from(["CT", "SMITH*", "1"]))
        keys[tag] = Element(vr=vr, text=text)
    if 0x00400275 in target and draw(st.booleans()):
        procedure = target[0x00400275].items[0][0x00401001].text
        keys[0x00400275] = Element(
            vr="SQ", items=({0x00401001: Element(vr="SH", text=_with_wildcards(draw, procedure))},)
        )
    options = MatchingOptions(
        fuzzy_names=draw(st.booleans()), combined_date_time=draw(st.booleans()), all_values=draw(st.booleans())
    )
    return Query(model=Model.PATIENT_ROOT, level=level, keys=keys, is_relational=True, zone=None, options=options)


def _expected(query: Query) -> set[tuple[str, ...]]:
    """Return the identities of the entities that match, found without SQL."""
    matchers, spans = {}, []
    spanned: set[int] = set()
    for date, time in DATE_TIME_PAIRS.items():
        if query.options.combined_date_time and date in query.keys and time in query.keys:
            span = compile_date_time_span(query.keys[date].text, query.keys[time].text)
            if span is not None:
                spans.append((date, time, span))
                spanned |= {date, time}
    for tag, key in query.keys.items():
        matcher = None if tag in spanned else compile_key(tag, key, query.options)
        if matcher is not None:
            matchers[tag] = matcher
    deepest = max([query.level, *(ATTRIBUTE_BY_TAG[t].level for t in (*matchers, *spanned))], key=lambda x: x.depth)

    def text(row: Item, tag: int) -> str:
        return row[tag].text if tag in row else ""

    return {
        _identity(row, query.level)
        for row in ROWS[deepest]
        if all(matches_element(matcher, row.get(tag)) for tag, matcher in matchers.items())
        and all(span.matches(text(row, date), text(row, time)) for date, time, span in spans)
    }


def _identity(row: Item, level: Level) -> tuple[str, ...]:
    tags = [0x00100021, 0x00100020, UNIQUE_KEY[level].tag]
    return tuple(row[tag].text for tag in tags)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(query=queries())
def test_the_database_finds_what_matching_every_row_finds(index: IndexQuery, query: Query) -> None:
    # What tells entities apart is asked for, so that answers can be compared.
    returned = {tag: Element(vr="LO") for tag in (0x00100021, 0x00100020)} | {
        UNIQUE_KEY[query.level].tag: Element(vr=UNIQUE_KEY[query.level].vr)
    }
    asked_for = Query(
        model=query.model,
        level=query.level,
        keys={**returned, **query.keys},
        is_relational=True,
        zone=None,
        options=query.options,
    )
    try:
        expected = _expected(query)
    except (InvalidKey, NotATime):
        with pytest.raises(InvalidKey):
            plan_query(asked_for)
        return
    plan = plan_query(asked_for)
    positions = [[f.tag for f in plan.fields].index(t) for t in (0x00100021, 0x00100020, UNIQUE_KEY[query.level].tag)]
    found = [tuple(str(values[position]) for position in positions) for values in index.find(plan, {}, lambda: False)]
    assert len(found) == len(set(found))
    assert set(found) == expected
