"""The C-FIND SCP by PS3.4 C.4.1, through the port that the engine offers: statuses, keys, cancel, failures."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import text

from foundation.database import Database, sqlite_url
from foundation.errors import Unavailable
from pacs.archive.query import IndexQuery
from pacs.contracts import InstanceRef
from pacs.scp.find import ANSWERS_PER_CANCEL_CHECK, FindService, agree_extended
from pacs.upper_layer.dimse import Command, CommandField, decode_command, encode_command
from tests.harness.association import ALL_RIGHTS, PeerGone, RecordedAssociation, context
from tests.harness.identifiers import decode, encode
from tests.harness.index_rows import (
    InstanceRow,
    PatientRow,
    SeriesRow,
    StudyRow,
    insert_pack,
    insert_patient,
    json_member,
)

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_STUDY_ONLY = "1.2.840.10008.5.1.4.1.2.3.1"
EXPLICIT = "1.2.840.10008.1.2.1"
SYNTAXES = ["1.2.840.10008.1.2", EXPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]
RELATIONAL = bytes([1])

SUCCESS, CANCEL, PENDING, PENDING_WITH_WARNING = 0x0000, 0xFE00, 0xFF00, 0xFF01
NOT_AUTHORIZED, OUT_OF_RESOURCES, DOES_NOT_MATCH, UNABLE_TO_PROCESS = 0x0124, 0xA700, 0xA900, 0xC001
OFFENDING_ELEMENT, ERROR_COMMENT = 0x0901, 0x0902


class Headers:
    """One stored header for all instances, or none that can be read."""

    def __init__(self, dataset: Dataset | None) -> None:
        self._dataset = dataset

    def read_dataset(self, ref: InstanceRef) -> Dataset:
        del ref
        if self._dataset is None:
            raise Unavailable("the disk does not answer")
        return self._dataset


def _patients() -> list[PatientRow]:
    series = [
        SeriesRow(
            values={"SeriesInstanceUID": "1.1.1", "Modality": "CT", "SeriesNumber": "1"},
            attributes=json_member("RequestAttributesSequence", {"00401001": {"vr": "SH", "Value": ["P1"]}}),
            instances=[
                InstanceRow(
                    values={
                        "SOPInstanceUID": f"1.1.1.{number}",
                        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
                        "AvailableTransferSyntaxUID": "1.2.840.10008.1.2.4.70",
                        "InstanceNumber": str(number),
                        "Rows": 512,
                        "Columns": 256,
                    }
                )
                for number in (1, 2)
            ],
        ),
        SeriesRow(values={"SeriesInstanceUID": "1.1.2", "Modality": "SR"}),
    ]
    studies = [
        StudyRow(
            values={
                "StudyInstanceUID": "1.1",
                "StudyDate": "20240101",
                "StudyTime": "1200",
                "AccessionNumber": "A1",
                "StudyDescription": "Tête",
            },
            attributes=json_member("TimezoneOffsetFromUTC", "+0100"),
            series=series,
        ),
        StudyRow(values={"StudyInstanceUID": "1.2", "StudyDate": "20240102", "StudyTime": "0100"}),
    ]
    patients = [("1", "NORTH", "Lefèvre^Zoë"), ("2", "NORTH", "Yamada^Tarou=山田^太郎"), ("1", "SOUTH", "Smith^Mary")]
    return [
        PatientRow(
            values={"PatientID": patient_id, "IssuerOfPatientID": issuer, "PatientName": name},
            studies=studies if (patient_id, issuer) == ("1", "NORTH") else (),
        )
        for patient_id, issuer, name in patients
    ]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(sqlite_url(tmp_path / "index.sqlite"))
    opened.create_tables()
    with opened.write() as connection:
        insert_pack(connection)
        for row in _patients():
            insert_patient(connection, row)
    yield opened
    opened.close()


@pytest.fixture
def service(database: Database) -> FindService:
    header = Dataset()
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.ImageComments = "bruité"
    return FindService(IndexQuery(database, Headers(header)))


def find_request(sop_class: str) -> Command:
    return decode_command(
        encode_command(
            command_field=CommandField.C_FIND_RQ,
            message_id=7,
            affected_sop_class_uid=sop_class,
            priority=0,
            data_set_type=1,
        )
    )


def identifier(level: str | None, **keys: Any) -> Dataset:
    dataset = Dataset()
    if level is not None:
        dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def ask(
    service: FindService,
    request: Dataset,
    *,
    sop_class: str = STUDY_ROOT,
    extended: bytes = b"",
    syntax: str = EXPLICIT,
    association: RecordedAssociation | None = None,
) -> tuple[list[Dataset], RecordedAssociation]:
    """Ask and return the answers and what was sent; the shape of every message is checked."""
    association = association or RecordedAssociation()
    asked = context(sop_class, syntax, extended, context_id=5)
    service.handle(association, asked, find_request(sop_class), encode(request, syntax))
    *pending, final = association.sent
    for sent in association.sent:
        assert sent.context_id == 5
        assert sent.command.command_field == CommandField.C_FIND_RSP
        assert sent.command.message_id_being_responded_to == 7
        assert sent.command.affected_sop_class_uid == sop_class
        assert sent.command.has_dataset == (sent.dataset is not None)
    assert all(sent.status in (PENDING, PENDING_WITH_WARNING) and sent.dataset for sent in pending)
    assert final.dataset is None
    return [decode(sent.dataset or b"", syntax) for sent in pending], association


def final_status(association: RecordedAssociation) -> int:
    return association.sent[-1].status


def comment_of(association: RecordedAssociation) -> str:
    return association.sent[-1].command.elements.get(ERROR_COMMENT, b"").decode("ascii").strip()


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_study_is_found_in_every_transfer_syntax(service: FindService, syntax: str) -> None:
    request = identifier(
        "STUDY",
        SpecificCharacterSet="ISO_IR 100",
        PatientName="LEFEVRE*",
        StudyDate="20240101-20240101",
        StudyInstanceUID="",
        StudyDescription="",
        ModalitiesInStudy="",
        NumberOfStudyRelatedInstances="",
        InstanceAvailability="",
    )
    (answer,), association = ask(service, request, syntax=syntax)
    assert answer.SpecificCharacterSet == "ISO_IR 100"
    assert answer.QueryRetrieveLevel == "STUDY"
    assert answer.RetrieveAETitle == "TELEGARDE"
    assert answer.InstanceAvailability == "ONLINE"
    assert str(answer.PatientName) == "Lefèvre^Zoë"
    assert answer.StudyInstanceUID == "1.1"
    assert answer.StudyDescription == "Tête"
    assert list(answer.ModalitiesInStudy) == ["CT", "SR"]
    assert answer.NumberOfStudyRelatedInstances == 2
    assert association.sent[0].status == PENDING
    assert final_status(association) == SUCCESS


def test_every_level_of_patient_root_is_found_under_its_unique_keys(service: FindService) -> None:
    levels: list[tuple[str, dict[str, str], str, list[str]]] = [
        ("PATIENT", {"PatientID": "1"}, "IssuerOfPatientID", ["NORTH", "SOUTH"]),
        ("STUDY", {"PatientID": "1"}, "StudyInstanceUID", ["1.1", "1.2"]),
        ("SERIES", {"PatientID": "1", "StudyInstanceUID": "1.1"}, "SeriesInstanceUID", ["1.1.1", "1.1.2"]),
        (
            "IMAGE",
            {"PatientID": "1", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"},
            "SOPInstanceUID",
            ["1.1.1.1", "1.1.1.2"],
        ),
    ]
    for level, keys, returned, expected in levels:
        answers, association = ask(service, identifier(level, **keys, **{returned: ""}), sop_class=PATIENT_ROOT)
        assert sorted(answer[returned].value for answer in answers) == expected
        assert final_status(association) == SUCCESS


def test_patient_study_only_finds_patients_and_studies(service: FindService) -> None:
    answers, _ = ask(service, identifier("STUDY", PatientID="1", StudyInstanceUID=""), sop_class=PATIENT_STUDY_ONLY)
    assert sorted(answer.StudyInstanceUID for answer in answers) == ["1.1", "1.2"]


def test_images_are_answered_from_index_and_header(service: FindService) -> None:
    request = identifier(
        "IMAGE",
        StudyInstanceUID="1.1",
        SeriesInstanceUID="1.1.1",
        SOPInstanceUID="",
        InstanceNumber="2",
        Rows=None,
        Columns=256,
        ImageType="PRIMARY",
        ImageComments="",
        AvailableTransferSyntaxUID="",
    )
    (answer,), association = ask(service, request)
    assert (answer.SOPInstanceUID, answer.Rows, answer.Columns) == ("1.1.1.2", 512, 256)
    assert list(answer.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert answer.ImageComments == "bruité"
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert answer.AvailableTransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    assert association.sent[0].status == PENDING


def test_sequences_are_matched_and_answered_with_the_item_keys(service: FindService) -> None:
    item = Dataset()
    item.RequestedProcedureID = "P1"
    item.ScheduledProcedureStepID = ""
    request = identifier("SERIES", StudyInstanceUID="1.1", SeriesInstanceUID="", RequestAttributesSequence=[item])
    (answer,), _ = ask(service, request)
    assert answer.SeriesInstanceUID == "1.1.1"
    (answered,) = answer.RequestAttributesSequence
    assert answered.RequestedProcedureID == "P1"
    assert answered.ScheduledProcedureStepID in (None, "")


def test_nothing_found_is_success_without_an_answer(service: FindService) -> None:
    answers, association = ask(service, identifier("STUDY", PatientID="404"))
    assert answers == []
    assert final_status(association) == SUCCESS


def test_a_key_that_we_do_not_have_is_answered_empty_and_with_a_warning(service: FindService) -> None:
    request = identifier("STUDY", StudyInstanceUID="1.1", StorageMediaFileSetID="X", ImageType="")
    (answer,), association = ask(service, request)
    assert association.sent[0].status == PENDING_WITH_WARNING
    assert answer.StorageMediaFileSetID in (None, "")
    assert answer.ImageType in (None, "")
    assert final_status(association) == SUCCESS


def test_a_private_key_is_not_answered_but_warned_about(service: FindService) -> None:
    request = identifier("STUDY", StudyInstanceUID="1.1")
    request.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "x")
    (answer,), association = ask(service, request)
    assert association.sent[0].status == PENDING_WITH_WARNING
    assert not any(one.tag.is_private for one in answer)


# --- character sets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "pattern", "name", "answered_in"),
    [
        ("ISO_IR 100", "Lefèvre*", "Lefèvre^Zoë", "ISO_IR 100"),
        ("ISO_IR 192", "lefèvre*", "Lefèvre^Zoë", "ISO_IR 192"),
        ("ISO_IR 192", "山田*", "Yamada^Tarou=山田^太郎", "ISO_IR 192"),
        (["", "ISO 2022 IR 87"], "*=山田*", "Yamada^Tarou=山田^太郎", ["", "ISO 2022 IR 87"]),
        ("GB18030", "山田*", "Yamada^Tarou=山田^太郎", "GB18030"),
        ("ISO_IR 100", "Yamada*", "Yamada^Tarou=山田^太郎", "ISO_IR 192"),
        (None, "YAMADA*", "Yamada^Tarou=山田^太郎", "ISO_IR 192"),
        ("ISO_IR 126", "Lefevre*", "Lefèvre^Zoë", "ISO_IR 192"),
    ],
)
def test_answers_are_in_the_character_set_of_the_request_when_it_can_spell_them(
    service: FindService, declared: Any, pattern: str, name: str, answered_in: Any
) -> None:
    keys = {} if declared is None else {"SpecificCharacterSet": declared}
    (answer,), _ = ask(service, identifier("PATIENT", **keys, PatientName=pattern), sop_class=PATIENT_ROOT)
    assert str(answer.PatientName) == name
    assert answer.SpecificCharacterSet == answered_in


def test_a_name_in_an_undeclared_character_set_is_still_found(service: FindService) -> None:
    raw = encode(identifier("PATIENT", PatientName="Lef_vre*"), EXPLICIT).replace(b"Lef_vre*", b"Lef\xe8vre*")
    association = RecordedAssociation()
    service.handle(association, context(PATIENT_ROOT), find_request(PATIENT_ROOT), raw)
    assert [sent.status for sent in association.sent] == [PENDING, SUCCESS]


# --- what was negotiated -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proposed", "agreed"),
    [
        (b"", b""),
        (b"\1", b"\1"),
        (b"\0\0\0", b"\0\0\0"),
        (b"\1\1\1\1", b"\1\1\1\1"),
        (b"\1\1\1\1\1\1\1", b"\1\1\1\1\0\1\1"),
        (b"\1\2\xff\1", b"\1\0\0\1"),
        (b"\1" * 20, b"\1\1\1\1\0\1\1"),
    ],
)
def test_extended_negotiation_agrees_to_what_is_proposed_and_supported(proposed: bytes, agreed: bytes) -> None:
    assert agree_extended(proposed) == agreed


def test_unique_keys_above_are_needed_unless_relational_queries_were_negotiated(service: FindService) -> None:
    request = identifier("SERIES", SeriesInstanceUID="", Modality="CT")
    answers, association = ask(service, request)
    assert answers == []
    assert final_status(association) == DOES_NOT_MATCH
    assert association.sent[-1].command.elements[OFFENDING_ELEMENT] == b"\x20\x00\x0d\x00"
    answers, association = ask(service, request, extended=RELATIONAL)
    assert [answer.SeriesInstanceUID for answer in answers] == ["1.1.1"]
    assert final_status(association) == SUCCESS


def test_dates_and_times_are_one_span_only_when_negotiated(service: FindService) -> None:
    request = identifier("STUDY", StudyDate="20240101-20240102", StudyTime="0000-0200", StudyInstanceUID="")
    answers, _ = ask(service, request)
    assert [answer.StudyInstanceUID for answer in answers] == ["1.2"]
    answers, _ = ask(service, request, extended=bytes([0, 1]))
    assert sorted(answer.StudyInstanceUID for answer in answers) == ["1.1", "1.2"]


def test_names_are_fuzzy_only_when_negotiated(service: FindService) -> None:
    request = identifier("PATIENT", PatientName="Mary Smitt")
    assert ask(service, request, sop_class=PATIENT_ROOT)[0] == []
    answers, _ = ask(service, request, sop_class=PATIENT_ROOT, extended=bytes([0, 0, 1]))
    assert [str(answer.PatientName) for answer in answers] == ["Smith^Mary"]


def test_times_are_in_the_zone_of_the_request_only_when_negotiated(service: FindService) -> None:
    request = identifier("STUDY", StudyInstanceUID="1.1", StudyTime="1200", TimezoneOffsetFromUTC="+0000")
    assert ask(service, request)[0] == []
    request.StudyTime = "11"
    (answer,), _ = ask(service, request, extended=bytes([0, 0, 0, 1]))
    assert answer.StudyTime == "1100"
    assert answer.TimezoneOffsetFromUTC == "+0000"


def test_several_values_must_all_match_only_when_negotiated(service: FindService) -> None:
    request = identifier("STUDY", ModalitiesInStudy=["CT", "MR"], StudyInstanceUID="")
    assert len(ask(service, request)[0]) == 1
    assert ask(service, request, extended=bytes([0, 0, 0, 0, 0, 0, 1]))[0] == []


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sop_class", "level"),
    [
        (STUDY_ROOT, "PATIENT"),
        (STUDY_ROOT, "FRAME"),
        (STUDY_ROOT, None),
        (STUDY_ROOT, ""),
        (PATIENT_STUDY_ONLY, "SERIES"),
    ],
)
def test_a_level_that_the_sop_class_lacks_is_refused(service: FindService, sop_class: str, level: str | None) -> None:
    answers, association = ask(service, identifier(level, PatientID="1"), sop_class=sop_class)
    assert answers == []
    assert final_status(association) == DOES_NOT_MATCH
    assert "evel" in comment_of(association)


@pytest.mark.parametrize(
    "keys",
    [
        {"StudyDate": "20240102-20240101"},
        {"StudyDate": "last week"},
        {"StudyTime": "2200-0600"},
        {"StudyInstanceUID": "1.2.*"},
        {"NumberOfStudyRelatedInstances": "*1"},
    ],
)
def test_a_key_without_meaning_is_refused_and_never_means_no_match(
    service: FindService, keys: Mapping[str, str]
) -> None:
    dataset = identifier("STUDY")
    for keyword, value in keys.items():
        dataset.add_new(keyword, "LO", value)
    association = RecordedAssociation()
    service.handle(association, context(STUDY_ROOT), find_request(STUDY_ROOT), encode(dataset, EXPLICIT))
    assert [sent.status for sent in association.sent] == [UNABLE_TO_PROCESS]
    assert association.sent[0].command.elements[OFFENDING_ELEMENT]
    assert not any(value in comment_of(association) for value in keys.values())


@pytest.mark.parametrize("raw", [b"\0", b"\x08\x00\x52\x00CS\xff\x00STUDY ", b"garbage garbage"])
def test_an_identifier_that_cannot_be_read_is_refused(service: FindService, raw: bytes) -> None:
    association = RecordedAssociation()
    service.handle(association, context(STUDY_ROOT), find_request(STUDY_ROOT), raw)
    assert [sent.status for sent in association.sent] == [UNABLE_TO_PROCESS]


def test_an_empty_identifier_has_no_level(service: FindService) -> None:
    association = RecordedAssociation()
    service.handle(association, context(STUDY_ROOT), find_request(STUDY_ROOT), b"")
    assert [sent.status for sent in association.sent] == [DOES_NOT_MATCH]


def test_a_peer_without_the_right_to_query_is_told_so(service: FindService) -> None:
    association = RecordedAssociation(rights=replace(ALL_RIGHTS, may_query=False))
    answers, _ = ask(service, identifier("STUDY"), association=association)
    assert answers == []
    assert final_status(association) == NOT_AUTHORIZED


def test_an_operation_other_than_find_is_refused(service: FindService) -> None:
    association = RecordedAssociation()
    command = decode_command(
        encode_command(
            command_field=CommandField.C_ECHO_RQ, message_id=7, affected_sop_class_uid=STUDY_ROOT, data_set_type=0x0101
        )
    )
    service.handle(association, context(STUDY_ROOT), command, b"")
    assert [sent.status for sent in association.sent] == [0x0211]


# --- how a search ends ---------------------------------------------------------------------------


def _many(database: Database, count: int) -> None:
    with database.write() as connection:
        for number in range(count):
            values = {"PatientID": f"M{number}", "IssuerOfPatientID": "", "PatientName": "MANY"}
            insert_patient(connection, PatientRow(values=values))


def test_more_matches_than_the_cap_are_answered_up_to_it_and_then_refused(database: Database) -> None:
    _many(database, 6)
    service = FindService(IndexQuery(database, Headers(None), answers_max=5))
    answers, association = ask(service, identifier("PATIENT", PatientID="M*"), sop_class=PATIENT_ROOT)
    assert len(answers) == 5
    assert final_status(association) == OUT_OF_RESOURCES
    assert "narrow" in comment_of(association)


def test_as_many_matches_as_the_cap_are_success(database: Database) -> None:
    _many(database, 5)
    service = FindService(IndexQuery(database, Headers(None), answers_max=5))
    answers, association = ask(service, identifier("PATIENT", PatientID="M*"), sop_class=PATIENT_ROOT)
    assert len(answers) == 5
    assert final_status(association) == SUCCESS


def test_a_cancel_ends_the_answers_soon(database: Database, service: FindService) -> None:
    _many(database, 100)
    association = RecordedAssociation(cancel_after=12)
    answers, _ = ask(service, identifier("PATIENT", PatientID=""), sop_class=PATIENT_ROOT, association=association)
    assert 12 <= len(answers) <= 12 + ANSWERS_PER_CANCEL_CHECK
    assert final_status(association) == CANCEL


def test_a_node_that_stops_refuses_the_rest(service: FindService) -> None:
    association = RecordedAssociation()
    association.stopping = True
    answers, _ = ask(service, identifier("PATIENT", PatientID=""), sop_class=PATIENT_ROOT, association=association)
    assert answers == []
    assert final_status(association) == OUT_OF_RESOURCES


def test_a_database_that_is_away_is_a_failure_and_no_empty_answer(database: Database, service: FindService) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE study RENAME TO gone"))
    answers, association = ask(service, identifier("STUDY", StudyInstanceUID=""))
    assert answers == []
    assert final_status(association) == OUT_OF_RESOURCES
    assert "database" in comment_of(association)


def test_a_header_that_cannot_be_read_is_a_failure_and_no_empty_answer(database: Database) -> None:
    service = FindService(IndexQuery(database, Headers(None)))
    request = identifier("IMAGE", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", ImageType="ORIGINAL")
    answers, association = ask(service, request)
    assert answers == []
    assert final_status(association) == OUT_OF_RESOURCES


def test_a_peer_that_vanishes_gives_the_connection_back(database: Database, service: FindService) -> None:
    _many(database, 50)
    with pytest.raises(PeerGone):
        ask(
            service,
            identifier("PATIENT", PatientID=""),
            sop_class=PATIENT_ROOT,
            association=RecordedAssociation(gone_after=3),
        )
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool has it, Pool does not say
    assert len(ask(service, identifier("PATIENT", PatientID="M1"), sop_class=PATIENT_ROOT)[0]) == 1
