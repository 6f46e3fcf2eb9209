"""MSH, whatever it is: read as far as it can be, with everything that is wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.worklist.hl7.header import FIELD_CHARACTERS_MAX, read_header
from pacs.worklist.hl7.message import ErrorCode
from tests.harness.hl7_messages import message


def test_a_header_says_who_sends_what_under_which_control_id() -> None:
    header = read_header(message("M7", accept="AL", apply="NE", character_set="UNICODE UTF-8"))

    assert header.errors == ()
    assert (header.application, header.facility) == ("DXCARE", "NORTH")
    assert (header.code, header.event, header.structure) == ("ORM", "O01", "ORM_O01")
    assert (header.control_id, header.processing_id, header.version) == ("M7", "P", "2.5.1")
    assert (header.accept_condition, header.application_condition) == ("AL", "NE")
    assert header.character_set == "UNICODE UTF-8"
    assert header.is_enhanced


def test_other_delimiters_are_read_as_the_header_says() -> None:
    header = read_header(b"MSH$%*!?$APP%1.2%ISO$FAC$$$$$ADT%A01$ID$P$2.3\r")

    assert header.delimiters == "$%*!?"
    assert (header.application, header.code, header.event, header.errors) == ("APP", "ADT", "A01", ())


def test_names_are_read_in_the_character_set_of_the_message() -> None:
    in_latin = message(application="CHÂTEAU", character_set="8859/1")
    in_utf = message(application="CHÂTEAU", character_set="UNICODE UTF-8")

    assert {read_header(in_latin).application, read_header(in_utf).application} == {"CHÂTEAU"}


@pytest.mark.parametrize(
    ("content", "field", "code"),
    [
        (b"PID|1\r", 0, ErrorCode.SEGMENT_SEQUENCE),
        (b"", 0, ErrorCode.SEGMENT_SEQUENCE),
        (b"MSH", 2, ErrorCode.DATA_TYPE),
        (b"MSH||||\r", 2, ErrorCode.DATA_TYPE),
        (b"MSHAB^~\\&A\r", 2, ErrorCode.DATA_TYPE),
        (message(kind=""), 9, ErrorCode.REQUIRED_FIELD_MISSING),
        (message(""), 10, ErrorCode.REQUIRED_FIELD_MISSING),
        (message("M" * (FIELD_CHARACTERS_MAX + 1)), 10, ErrorCode.VALUE_TOO_LONG),
        (message(version="3.0"), 12, ErrorCode.UNSUPPORTED_VERSION_ID),
        (message(version=""), 12, ErrorCode.UNSUPPORTED_VERSION_ID),
    ],
    ids=[
        "no MSH", "nothing", "MSH only", "no delimiters", "letters as delimiters", "no type", "no control id",
        "long control id", "version 3", "no version",
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_header_is_said_with_its_field(content: bytes, field: int, code: ErrorCode) -> None:
    (error,) = read_header(content).errors

    assert (error.segment, error.field, error.code) == ("MSH", field, code)


def test_everything_that_is_wrong_is_said_together() -> None:
    assert [error.field for error in read_header(message("", kind="", version="")).errors] == [9, 10, 12]


@given(st.binary(max_size=300))
def test_any_bytes_give_a_header_of_bounded_texts(content: bytes) -> None:
    header = read_header(b"MSH|^~\\&|" + content)

    assert len(header.control_id) <= FIELD_CHARACTERS_MAX
    assert "|" not in header.control_id + header.application + "".join(header.sending)
