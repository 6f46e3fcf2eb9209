"""What the transport decides before anybody looks into a message: whose it is, and whether it can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.worklist.hl7.arrival import PARTS_MAX, examine, examine_again
from pacs.worklist.hl7.framing import BEGINNING_BYTES, Block, BlockFault
from pacs.worklist.hl7.message import ErrorCode
from pacs.worklist.hl7.senders import Caller, SenderRule, SenderRules
from tests.harness.hl7_messages import IDENTITY, LOOPBACK, NOON, RULES, arrival, message


def test_a_message_of_a_known_sender_is_decoded_parsed_and_knows_its_site() -> None:
    received = arrival(message("M1", character_set="8859/1", body="PID|1||P1||GÉRARD^Zoë\r")).received

    assert received is not None
    assert (received.control_id, received.code, received.event, received.sender) == ("M1", "ORM", "O01", IDENTITY)
    assert "GÉRARD^Zoë" in received.text
    assert str(received.parsed.segment("PID")[5]) == "GÉRARD^Zoë"


@pytest.mark.parametrize(
    ("content", "reason", "is_error", "field", "code"),
    [
        (message(application="NOBODY"), "unknown_sender", False, 3, ErrorCode.UNKNOWN_KEY_IDENTIFIER),
        (message(facility="SOUTH"), "unknown_sender", False, 3, ErrorCode.UNKNOWN_KEY_IDENTIFIER),
        (message(processing_id="T"), "processing_id", False, 11, ErrorCode.UNSUPPORTED_PROCESSING_ID),
        (message(character_set="UNICODE UTF-16"), "character_set", True, 18, ErrorCode.TABLE_VALUE_NOT_FOUND),
        (message(body="PID|1||P1||GÉRARD\r"), "character_set", True, 18, ErrorCode.DATA_TYPE),
        (message(body="PID|1||P1||a\0b\r"), "control_character", True, 0, ErrorCode.DATA_TYPE),
        (message(body="OBX|1|TX|||first line\rsecond line\r"), "segments", True, 0, ErrorCode.SEGMENT_SEQUENCE),
        (message(body="OBX|" + "^" * PARTS_MAX + "\r"), "too_complex", True, 0, ErrorCode.VALUE_TOO_LONG),
        (message(""), "header", False, 10, ErrorCode.REQUIRED_FIELD_MISSING),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_taken_is_said_with_its_reason_and_field(
    content: bytes, reason: str, is_error: bool, field: int, code: ErrorCode
) -> None:
    found = arrival(content)

    assert found.received is None
    assert found.fault is not None
    assert (found.fault.reason, found.fault.is_error) == (reason, is_error)
    assert (found.fault.errors[0].field, found.fault.errors[0].code) == (field, code)


@pytest.mark.parametrize("fault", BlockFault)
def test_a_block_that_is_not_whole_is_never_handled(fault: BlockFault) -> None:
    block = Block(content=message(), fault=fault)

    found = examine(block, Caller(address=LOOPBACK), RULES, processing_id="P", now=NOON)

    assert found.fault is not None
    assert found.fault.reason == fault.value
    assert not found.is_whole


def test_a_message_that_is_cut_has_not_the_key_of_the_whole_one() -> None:
    cut = examine(
        Block(content=message(), fault=BlockFault.CUT_SHORT),
        Caller(address=LOOPBACK),
        RULES,
        processing_id="P",
        now=NOON,
    )

    assert cut.sender_control_key != arrival(message()).sender_control_key


def test_line_feeds_end_segments_where_no_carriage_return_does() -> None:
    texts = {
        received.text
        for ending in (b"\r", b"\n", b"\r\n")
        if (received := arrival(message().replace(b"\r", ending)).received) is not None
    }

    assert len(texts) == 1


def test_a_stranger_cannot_take_a_known_senders_control_id() -> None:
    rules = SenderRules(rules=(SenderRule(identity=IDENTITY, character_set="ASCII", networks=RULES.rules[0].networks),))
    there, elsewhere = arrival(message()), arrival(message(application="OTHER"))
    stranger = examine_again(message(), SenderRules(rules=()), processing_id="P", received_at=NOON)

    assert arrival(message(), rules=rules).sender_control_key == there.sender_control_key
    assert len({there.sender_control_key, elsewhere.sender_control_key, stranger.sender_control_key}) == 3
    assert stranger.is_of_stranger


def test_of_a_strangers_long_message_only_the_beginning_is_kept() -> None:
    found = arrival(message(application="NOBODY", body="OBX|1|TX|||" + "x" * 100_000 + "\r"))

    assert len(found.content) == BEGINNING_BYTES
    assert not found.is_whole


def test_the_same_bytes_have_the_same_id_and_others_another() -> None:
    assert arrival(message("M1")).message_id == arrival(message("M1")).message_id
    assert arrival(message("M1")).message_id != arrival(message("M1", body="PID|2\r")).message_id
    assert arrival(message("M1")).sender_control_key == arrival(message("M1", body="PID|2\r")).sender_control_key


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_become_an_arrival(before: bytes, after: bytes) -> None:
    for content in (before, message() + after, before + message(), message(body="") + after):
        found = arrival(content)

        assert (found.received is None) == (found.fault is not None)
