"""The identifier of C-MOVE and C-GET: what is needed at each level, and how it is encoded."""

import io

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from pacs.archive.attributes import Level
from pacs.archive.query_plan import IdentifierDoesNotMatch, Model
from pacs.archive.retrieval import Selection
from pacs.scp.retrieve_identifier import IdentifierUnreadable, failed_list, parse_selection
from pacs.transcode import transcode
from tests.harness.data_sets import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Elements,
    text,
    uid,
    written,
)

SYNTAXES = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)

LEVEL, CHARSET, PATIENT, ISSUER = 0x00080052, 0x00080005, 0x00100020, 0x00100021
STUDY, SERIES, SOP = 0x0020000D, 0x0020000E, 0x00080018


def identifier(level: str, **uids: str) -> dict[int, tuple[str, bytes]]:
    tags = {"study": STUDY, "series": SERIES, "sop": SOP}
    return {LEVEL: ("CS", text(level)), **{tags[name]: ("UI", uid(value)) for name, value in uids.items()}}


def parse(
    elements: Elements, *, syntax: str = EXPLICIT_LITTLE, model: Model = Model.STUDY_ROOT, is_relational: bool = False
) -> tuple[Level, Selection]:
    return parse_selection(
        written(elements, syntax), transfer_syntax=syntax, model=model, is_relational=is_relational, default_issuer="N"
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_lists_of_uids_are_read_in_every_transfer_syntax(syntax: str) -> None:
    level, selection = parse(identifier("SERIES", study="1.2", series="1.3\\1.4\\1.3"), syntax=syntax)

    assert level is Level.SERIES
    assert selection == Selection(default_issuer="N", study_instance_uids=("1.2",), series_instance_uids=("1.3", "1.4"))


def test_patient_and_issuer_are_decoded_by_the_character_set() -> None:
    elements = {
        **identifier("PATIENT"),
        CHARSET: ("CS", text("ISO_IR 192")),
        PATIENT: ("LO", text("Ærø 1")),
        ISSUER: ("LO", text("HÔPITAL")),
    }

    _, selection = parse(elements, model=Model.PATIENT_ROOT)

    assert (selection.patient_id, selection.issuer) == ("Ærø 1", "HÔPITAL")


def test_keys_below_the_level_do_not_select() -> None:
    _, selection = parse(identifier("STUDY", study="1.2", series="1.3", sop="1.4"))

    assert selection == Selection(default_issuer="N", study_instance_uids=("1.2",))


@pytest.mark.parametrize(
    ("elements", "tag"),
    [
        ({STUDY: ("UI", uid("1.2"))}, LEVEL),
        (identifier("PATIENT", study="1.2"), LEVEL),
        (identifier("INSTANCE", study="1.2"), LEVEL),
        (identifier("STUDY"), STUDY),
        (identifier("STUDY", study=""), STUDY),
        (identifier("SERIES", series="1.3"), STUDY),
        (identifier("SERIES", study="1.2"), SERIES),
        (identifier("SERIES", study="1.2\\1.5", series="1.3"), STUDY),
        (identifier("IMAGE", study="1.2", sop="1.4"), SERIES),
    ],
)
def test_a_missing_or_repeated_unique_key_is_named(elements: Elements, tag: int) -> None:
    with pytest.raises(IdentifierDoesNotMatch) as caught:
        parse(elements)

    assert caught.value.tag == tag


def test_patient_root_needs_the_patient_at_every_level() -> None:
    with pytest.raises(IdentifierDoesNotMatch) as caught:
        parse(identifier("STUDY", study="1.2"), model=Model.PATIENT_ROOT)

    assert caught.value.tag == PATIENT


def test_patient_study_only_ends_at_the_study() -> None:
    with pytest.raises(IdentifierDoesNotMatch) as caught:
        parse(identifier("SERIES", study="1.2", series="1.3"), model=Model.PATIENT_STUDY_ONLY)

    assert caught.value.tag == LEVEL


def test_relational_retrieve_needs_only_the_key_of_the_level() -> None:
    _, selection = parse(identifier("IMAGE", sop="1.4\\1.5"), is_relational=True)
    assert selection == Selection(default_issuer="N", sop_instance_uids=("1.4", "1.5"))

    _, selection = parse(identifier("SERIES", study="1\\2", series="1.3"), is_relational=True)
    assert selection.study_instance_uids == ("1", "2")

    with pytest.raises(IdentifierDoesNotMatch):
        parse(identifier("IMAGE", series="1.3"), is_relational=True)


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, DEFLATED])
def test_what_is_no_data_set_is_unreadable_or_lacks_its_level(syntax: str) -> None:
    for garbage in (b"\xff" * 33, b"\x08\x00\x52\x00CS", bytes(range(200))):
        with pytest.raises((IdentifierUnreadable, IdentifierDoesNotMatch)):
            parse_selection(
                garbage, transfer_syntax=syntax, model=Model.STUDY_ROOT, is_relational=False, default_issuer=""
            )


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("count", [1, 2, 3000])
def test_the_list_of_failures_is_read_back_by_pydicom(count: int, syntax: str) -> None:
    uids = [f"1.2.840.99999.{number}.{'7' * 30}" for number in range(count)]

    encoded = failed_list(uids, syntax)

    if syntax == DEFLATED:
        encoded = bytes(transcode(memoryview(encoded), source_uid=DEFLATED, target_uid=EXPLICIT_LITTLE))
    ds: Dataset = read_dataset(io.BytesIO(encoded), syntax == IMPLICIT_LITTLE, syntax != EXPLICIT_BIG)
    value = ds["FailedSOPInstanceUIDList"].value
    if isinstance(value, bytes):
        value = value.decode().rstrip("\0").split("\\")
    assert [value] == uids if count == 1 else list(value) == uids
