"""Identifiers in every transfer syntax, against pydicom; and bytes that are none."""

import random
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from pacs.archive.charset import parse_character_set
from pacs.archive.query_rows import Value
from pacs.archive.query_values import Element
from pacs.scp.find_answer import AnswerWriter, Constant
from pacs.scp.find_identifier import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    ELEMENTS_MAX,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IDENTIFIER_BYTES_MAX,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UnreadableIdentifier,
    decode_identifier,
)
from tests.harness.data_sets import element, nested_sequences
from tests.harness.identifiers import decode, encode

SYNTAXES = [
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
]


def _request() -> Dataset:
    code = Dataset()
    code.CodeValue = "C1"
    item = Dataset()
    item.RequestedProcedureID = "P*"
    item.ScheduledProtocolCodeSequence = [code]
    request = Dataset()
    request.SpecificCharacterSet = "ISO_IR 100"
    request.QueryRetrieveLevel = "SERIES"
    request.StudyDate = "20240101-20240131"
    request.PatientName = "Lefèvre^*"
    request.StudyInstanceUID = ["1.2.3", "1.2.4"]
    request.SeriesNumber = None
    request.Rows = 512
    request.FrameIncrementPointer = 0x00181063
    request.RequestAttributesSequence = [item]
    request.ReferencedStudySequence = []
    return request


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("is_undefined_length", [False, True])
def test_requests_that_pydicom_writes_are_read(syntax: str, is_undefined_length: bool) -> None:
    request = _request()
    sequence = request["RequestAttributesSequence"]
    sequence.is_undefined_length = is_undefined_length
    sequence.value[0].is_undefined_length_sequence_item = is_undefined_length
    identifier = decode_identifier(encode(request, syntax), syntax)
    keys = identifier.keys
    assert identifier.character_set.declared == "ISO_IR 100"
    assert keys[0x00080052].text == "SERIES"
    assert keys[0x00080020] == Element(vr="DA", text="20240101-20240131")
    assert keys[0x00100010] == Element(vr="PN", text="Lefèvre^*")
    assert keys[0x0020000D].text == "1.2.3\\1.2.4"
    assert keys[0x00200011].text == ""
    assert keys[0x00280010].text == "512"
    assert keys[0x00280009].text == "00181063"
    assert keys[0x00081110] == Element(vr="SQ", items=())
    (item,) = keys[0x00400275].items
    assert item[0x00401001].text == "P*"
    assert item[0x00400008].items[0][0x00080100].text == "C1"


def test_group_lengths_are_no_keys() -> None:
    raw = element(0x00100000, "UL", struct.pack("<I", 10)) + element(0x00100020, "LO", b"1 ")
    assert list(decode_identifier(raw, EXPLICIT_VR_LITTLE_ENDIAN).keys) == [0x00100020]


def test_a_sequence_of_unknown_vr_is_read_implicitly() -> None:
    inside = element(0x00401001, "SH", b"P1", IMPLICIT_VR_LITTLE_ENDIAN)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inside)) + inside
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    raw = element(0x00400275, "UN", item + end, stated_length=0xFFFFFFFF) + element(0x00400280, "ST", b"x ")
    keys = decode_identifier(raw, EXPLICIT_VR_LITTLE_ENDIAN).keys
    assert keys[0x00400275].items[0][0x00401001].text == "P1"
    assert keys[0x00400280].text == "x"


@pytest.mark.parametrize(
    ("raw", "syntax"),
    [
        (element(0x00100020, "LO", b"1", stated_length=100), EXPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00100020, "LO", b"1", IMPLICIT_VR_LITTLE_ENDIAN, stated_length=100), IMPLICIT_VR_LITTLE_ENDIAN),
        (b"\x10\x00\x20", EXPLICIT_VR_LITTLE_ENDIAN),
        (b"\x10\x00\x20\x00QQ\x02\x0012", EXPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00100020, "LO", b"12")[:-1], EXPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00280010, "US", b"123"), EXPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00280009, "AT", b"12"), EXPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00400275, "SQ", b"\x10\x00\x20\x00\x00\x00\x00\x00"), EXPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00400275, "SQ", b"", stated_length=0xFFFFFFFF), EXPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00100020, "OB", b"", stated_length=0xFFFFFFFF), EXPLICIT_VR_LITTLE_ENDIAN),
        (nested_sequences(10_000, is_defined=False), EXPLICIT_VR_LITTLE_ENDIAN),
        (nested_sequences(10_000, is_defined=True), EXPLICIT_VR_LITTLE_ENDIAN),
        (nested_sequences(10_000, is_defined=False, syntax=IMPLICIT_VR_LITTLE_ENDIAN), IMPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00100020, "LO", b"1 ") * (ELEMENTS_MAX + 1), EXPLICIT_VR_LITTLE_ENDIAN),
        (element(0x00204000, "UT", b" " * IDENTIFIER_BYTES_MAX), EXPLICIT_VR_LITTLE_ENDIAN),
        (b"this is not deflated", DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
        (zlib.compress(b"\0" * 50_000_000, wbits=-15), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
        (zlib.compress(element(0x00100020, "LO", b"1 "), wbits=-15)[:-3], DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
    ],
    ids=[
        "longer than the identifier", "longer than the identifier, implicit", "half a header", "unknown VR",
        "value cut", "odd US", "odd AT", "no item", "no end", "OB without length", "nested", "nested, defined",
        "nested, implicit", "too many elements", "too long", "not deflated", "deflate bomb", "deflated, cut",
    ],
)  # fmt: skip
def test_what_is_no_identifier_is_refused(raw: bytes, syntax: str) -> None:
    with pytest.raises(UnreadableIdentifier):
        decode_identifier(raw, syntax)


@settings(max_examples=300, deadline=None, derandomize=True)
@example(raw=b"", syntax=EXPLICIT_VR_LITTLE_ENDIAN)
@given(raw=st.binary(max_size=200), syntax=st.sampled_from(SYNTAXES))
def test_garbage_is_read_or_refused_and_nothing_else(raw: bytes, syntax: str) -> None:
    with suppress(UnreadableIdentifier):
        decode_identifier(raw, syntax)


def test_identifiers_with_a_changed_byte_are_read_or_refused_and_nothing_else() -> None:
    rng = random.Random(11112)
    for syntax in SYNTAXES:
        whole = encode(_request(), syntax)
        for _ in range(500):
            changed = bytearray(whole)
            changed[rng.randrange(len(changed))] = rng.randrange(256)
            with suppress(UnreadableIdentifier):
                decode_identifier(bytes(changed[: rng.randrange(1, len(changed) + 1)]), syntax)


# --- answers -------------------------------------------------------------------------------------

FIELDS = [
    (0x00080020, "DA"),
    (0x00080061, "CS"),
    (0x00081030, "LO"),
    (0x00100010, "PN"),
    (0x0020000D, "UI"),
    (0x00201208, "IS"),
    (0x00280010, "US"),
    (0x00400275, "SQ"),
    (0x00204000, "LT"),
    (0x00186020, "SL"),
    (0x00280009, "AT"),
    (0x00189074, "DT"),
    (0x00189087, "FD"),
    (0x0040A160, "UT"),
]
VALUES: list[Value] = [
    "20240101",
    "CT\\SR",
    "Tête",
    "Lefèvre^Zoë",
    "1.2.3",
    "12",
    "512",
    ({0x00401001: Element(vr="SH", text="P1é"), 0x00400008: Element(vr="SQ", items=({},))},),
    "",
    "-7",
    "00181063",
    "20240101101530+0100",
    "1.5\\-2.25",
    "long",
]
CONSTANTS = [Constant(tag=0x00080052, vr="CS", text="STUDY")]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_answers_are_read_by_pydicom_as_they_were_meant(syntax: str) -> None:
    writer = AnswerWriter(FIELDS, CONSTANTS, syntax, parse_character_set("ISO_IR 100"))
    written = writer.write(VALUES)
    assert len(written) % 2 == 0
    answer = decode(written, syntax)
    assert answer.SpecificCharacterSet == "ISO_IR 100"
    assert answer.QueryRetrieveLevel == "STUDY"
    assert answer.StudyDate == "20240101"
    assert list(answer.ModalitiesInStudy) == ["CT", "SR"]
    assert answer.StudyDescription == "Tête"
    assert str(answer.PatientName) == "Lefèvre^Zoë"
    assert answer.StudyInstanceUID == "1.2.3"
    assert answer.NumberOfStudyRelatedInstances == 12
    assert answer.Rows == 512
    assert answer.RequestAttributesSequence[0].RequestedProcedureID == "P1é"
    assert answer.ImageComments in (None, "")
    assert answer.ReferencePixelX0 == -7
    assert answer.FrameIncrementPointer == 0x00181063
    assert answer.FrameAcquisitionDateTime == "20240101101530+0100"
    assert list(answer.DiffusionBValue) == [1.5, -2.25]
    assert answer.TextValue == "long"
    tags = [int(one.tag) for one in answer]
    assert tags == sorted(tags)


def test_an_answer_that_the_request_cannot_spell_is_in_utf_8() -> None:
    writer = AnswerWriter([(0x00100010, "PN")], [], EXPLICIT_VR_LITTLE_ENDIAN, parse_character_set("ISO_IR 100"))
    answer = decode(writer.write(["Yamada^Tarou=山田^太郎"]), EXPLICIT_VR_LITTLE_ENDIAN)
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert str(answer.PatientName) == "Yamada^Tarou=山田^太郎"


@pytest.mark.parametrize("declared", ["", "nonsense"])
def test_plain_answers_to_plain_requests_name_no_character_set(declared: str) -> None:
    writer = AnswerWriter([(0x00100010, "PN")], [], EXPLICIT_VR_LITTLE_ENDIAN, parse_character_set(declared))
    assert "SpecificCharacterSet" not in decode(writer.write(["DUPONT^JEAN"]), EXPLICIT_VR_LITTLE_ENDIAN)
    answer = decode(writer.write(["Zoë"]), EXPLICIT_VR_LITTLE_ENDIAN)
    assert answer.SpecificCharacterSet == "ISO_IR 192"


def test_a_number_that_does_not_fit_its_vr_is_answered_without_a_value() -> None:
    writer = AnswerWriter([(0x00280010, "US")], [], EXPLICIT_VR_LITTLE_ENDIAN, parse_character_set(""))
    for bad in ("70000", "-1", "many"):
        assert decode(writer.write([bad]), EXPLICIT_VR_LITTLE_ENDIAN).Rows is None


def test_a_value_too_long_for_its_vr_is_sent_as_unknown() -> None:
    writer = AnswerWriter([(0x00204000, "LT")], [], EXPLICIT_VR_LITTLE_ENDIAN, parse_character_set(""))
    written = writer.write(["x" * 70_000])
    assert written[4:6] == b"UN"
    assert struct.unpack("<I", written[8:12]) == (70_000,)
