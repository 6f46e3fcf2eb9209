"""Acknowledgements: which are owed in which mode, and what they say; read back by a parser that is not ours."""

import itertools

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.worklist.hl7.acknowledgement import (
    AnswerCode,
    Answers,
    NoAnswer,
    answers_to_kept,
    answers_to_unread,
    read_answer,
)
from pacs.worklist.hl7.header import read_header
from pacs.worklist.hl7.message import Accepted, ErrorCode, FieldError, Outcome, Parked, Rejected
from tests.harness.hl7_messages import NOON, message, segment

WRONG = FieldError(
    segment="OBR", sequence=2, field=4, component=1, code=ErrorCode.TABLE_VALUE_NOT_FOUND, text="no | such ^ exam"
)
OUTCOMES: dict[str, Outcome] = {
    "AA": Accepted(),
    "AE": Rejected(code="AE", errors=(WRONG,)),
    "AR": Rejected(code="AR", errors=(WRONG,)),
    "parked": Parked(reason="patient_differs", errors=(WRONG,)),
}


def kept(outcome: Outcome, *, accept: str = "", apply: str = "", version: str = "2.5.1") -> Answers:
    header = read_header(message("M1", accept=accept, apply=apply, version=version))
    return answers_to_kept(header, outcome, answer_id="X1", now=NOON)


def code(answer: bytes) -> str:
    return segment(answer, "MSA")[1] if answer else ""


@pytest.mark.parametrize(("outcome", "said"), [("AA", "AA"), ("AE", "AE"), ("AR", "AR"), ("parked", "AE")])
def test_original_mode_has_one_answer_that_says_what_became_of_it(outcome: str, said: str) -> None:
    answers = kept(OUTCOMES[outcome])

    assert (code(answers.accept), code(answers.application)) == ("", said)


_OWED = {"AL": (True, True), "NE": (False, False), "ER": (False, True), "SU": (True, False), "": (False, False)}


@pytest.mark.parametrize(
    ("accept", "apply", "outcome"),
    [
        (accept, apply, outcome)
        for accept, apply, outcome in itertools.product(_OWED, _OWED, OUTCOMES)
        if accept or apply
    ],
)
def test_enhanced_mode_answers_as_table_0155_says(accept: str, apply: str, outcome: str) -> None:
    answers = kept(OUTCOMES[outcome], accept=accept, apply=apply)

    is_success = outcome == "AA"
    application = {"AA": "AA", "AE": "AE", "AR": "AR", "parked": "AE"}[outcome]
    assert code(answers.accept) == ("CA" if _OWED[accept][0] else "")
    assert code(answers.application) == (application if _OWED[apply][0 if is_success else 1] else "")


@pytest.mark.parametrize(
    ("accept", "apply", "is_error", "said"),
    [
        ("", "", False, ("", "AR")), ("", "", True, ("", "AE")), ("AL", "AL", False, ("CR", "")),
        ("AL", "AL", True, ("CE", "")), ("ER", "NE", True, ("CE", "")), ("SU", "AL", True, ("", "")),
        ("NE", "AL", False, ("", "")),
    ],
)  # fmt: skip
def test_what_is_not_looked_into_gets_no_application_acknowledgement_in_enhanced_mode(
    accept: str, apply: str, is_error: bool, said: tuple[str, str]
) -> None:
    header = read_header(message(accept=accept, apply=apply))

    answers = answers_to_unread(header, (WRONG,), answer_id="X1", now=NOON, is_error=is_error)

    assert (code(answers.accept), code(answers.application)) == said


def test_another_parser_reads_where_and_why_a_message_is_wrong() -> None:
    parsed = hl7.parse(kept(OUTCOMES["AE"]).application.decode())

    error = parsed.segment("ERR")
    assert str(error[2]) == "OBR^2^4^1^1"
    assert str(error[3]) == "103^Table value not found^HL70357"
    assert str(error[4]) == "E"
    assert parsed.unescape(str(error[8])) == "no | such ^ exam"
    assert str(parsed.segment("MSA")[2]) == "M1"


def test_an_answer_goes_back_to_who_sent_from_whom_it_was_sent_to() -> None:
    fields = segment(kept(Accepted()).application, "MSH")

    assert fields[2:6] == ["TELEGARDE", "GIE", "DXCARE", "NORTH"]
    assert (fields[6], fields[8], fields[9], fields[10], fields[11]) == (
        "20261025120000+0000", "ACK^O01^ACK", "X1", "P", "2.5.1",
    )  # fmt: skip


def test_before_version_2_5_the_place_is_in_the_first_field_too() -> None:
    fields = segment(kept(OUTCOMES["AE"], version="2.3.1").application, "ERR")

    assert fields[1] == "OBR^2^4^103&Table value not found&HL70357"
    assert segment(kept(Accepted(), version="2.3.1").application, "MSH")[8] == "ACK^O01"


def test_why_a_message_is_parked_stands_in_its_error() -> None:
    assert segment(kept(OUTCOMES["parked"]).application, "ERR")[5] == "patient_differs"


def test_an_answer_is_written_with_the_delimiters_of_the_message() -> None:
    header = read_header(b"MSH$%*!?$APP$FAC$$$$$ADT%A01$ID$P$2.5\r")

    answers = answers_to_kept(header, OUTCOMES["AE"], answer_id="X1", now=NOON)

    assert b"\rERR$$OBR%2%4%1%1$103%Table value not found%HL70357$E" in answers.application


@given(st.binary(max_size=200))
def test_whatever_the_header_is_its_answer_can_be_read(content: bytes) -> None:
    safe = content.replace(b"\x0b", b"").replace(b"\x1c", b"").replace(b"\r", b"").replace(b"\n", b"")
    header = read_header(b"MSH|^~\\&|" + safe)

    answers = answers_to_unread(header, (WRONG,), answer_id="X1", now=NOON)

    for answer in (answers.accept, answers.application):
        if answer:
            assert read_answer(answer).control_id == header.control_id


@pytest.mark.parametrize(
    "content", [b"", b"MSH|^~\\&|\r", b"PID|1\rMSA|AA|1\r", b"MSH|^~\\&|\rMSA|OK|1\r", b"MSH|^~\\&|\rMSA|AA\r"]
)
def test_what_is_no_acknowledgement_is_no_success(content: bytes) -> None:
    with pytest.raises(NoAnswer):
        read_answer(content)


def test_an_acknowledgement_with_line_feeds_is_understood() -> None:
    answer = read_answer(b"MSH|^~\\&|RIS\r\nMSA|AA|M1\r\n")

    assert (answer.code, answer.control_id) == (AnswerCode.AA, "M1")
