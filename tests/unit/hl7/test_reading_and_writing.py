"""What is written is what any parser reads: ours, the library's, and hl7apy as an independent judge."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import hl7
import pytest
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from pacs.worklist.hl7.reading import first, instant_of, order_groups, segments_of
from pacs.worklist.hl7.writing import Header, Repeated, escaped, message, segment, stamp

PARIS = ZoneInfo("Europe/Paris")
HEADER = Header(
    sending_application="TELEGARDE", sending_facility="GIE", receiving_application="RIS", receiving_facility="HNORD",
    message_type=("ORU", "R01", "ORU_R01"), control_id="C1", sent_at=datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    zone=PARIS,
)  # fmt: skip

# What people write: separators, escapes and line breaks among it. HL7 has no other control characters in a text.
TEXTS = st.text(
    st.one_of(st.sampled_from("|^~\\&\n\"éœ日"), st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"))),
    min_size=1, max_size=40,
).filter(lambda text: text.strip() == text and text != '""')  # fmt: skip


@given(first_text=TEXTS, second=TEXTS, third=TEXTS)
def test_whatever_a_value_holds_it_is_read_as_it_was_written(first_text: str, second: str, third: str) -> None:
    content = message(
        HEADER, [segment("NTE", {1: "1", 3: first_text, 4: (second, "", ("x", third))}), segment("NTE", {1: "2"})]
    )

    read = segments_of(hl7.parse(content.decode()))

    assert [one.name for one in read] == ["MSH", "NTE", "NTE"]
    assert (read[1].text(3), read[1].text(4, 1), read[1].text(4, 3, 2)) == (first_text, second, third)


@given(text=TEXTS.filter(lambda text: "\n" not in text))
@settings(deadline=None)
def test_an_independent_parser_finds_the_same_segments_and_the_same_escaped_value(text: str) -> None:
    content = message(HEADER, [segment("PID", {3: "1", 5: (text, "B")})])

    judged = parse_message(content.decode(), find_groups=False)

    assert [one.name for one in judged.children] == ["MSH", "PID"]
    assert judged.pid.pid_5.to_er7() == f"{escaped(text)}^B"


def test_repetitions_stay_apart_and_trailing_emptiness_is_left_out() -> None:
    line = segment("PID", {3: Repeated(values=(("1", "", "", ("N", "O")), "2")), 8: ""})

    assert line == "PID|||1^^^N&O~2"
    pid = segments_of(hl7.parse(f"MSH|^~\\&|A\r{line}\r"))[1]
    assert (pid.count(3), pid.text(3, 4, 2), pid.text(3, repetition=2)) == (2, "O", "2")


def test_what_is_missing_reads_as_empty_and_null_is_told_apart() -> None:
    pid = segments_of(hl7.parse('MSH|^~\\&|A\rPID|||1||""\r'))[1]

    assert (pid.text(99), pid.text(3, 7, 4), pid.text(3, repetition=9), pid.text(5)) == ("", "", "", "")
    assert (pid.is_null(5), pid.is_null(6), pid.has(5), pid.has(3)) == (True, False, False, True)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a\\.br\\b", "a\nb"),
        ("a\\.sp2\\b", "a\n\nb"),
        ("5 \\T\\ 6 \\F\\ 7 \\S\\ 8 \\R\\ 9 \\E\\", "5 & 6 | 7 ^ 8 ~ 9 \\"),
        ("\\X41\\", "A"),
        ("\\H\\gras\\N\\", "_gras_"),
    ],
    ids=["line", "lines", "separators", "hexadecimal", "highlighted"],
)
def test_escapes_of_other_senders_are_undone(written: str, read: str) -> None:
    note = segments_of(hl7.parse(f"MSH|^~\\&|A\rNTE|1||{written}\r"))[1]

    assert note.text(3).replace("_", "") == read.replace("_", "")


def test_separators_of_the_senders_own_choice_are_understood() -> None:
    pid = segments_of(hl7.parse("MSH$%*@!$A\rPID$$$1%%%N!O*2$$X%Y\r"))[1]

    assert (pid.text(3, 4, 2), pid.text(3, repetition=2), pid.text(5, 2)) == ("O", "2", "Y")


@pytest.mark.parametrize("character_set", ["UNICODE UTF-8", "8859/15", "8859/1"])
def test_a_message_is_in_the_character_set_that_it_names(character_set: str) -> None:
    header = Header(**{**_fields(HEADER), "character_set": character_set})
    text = "Élodie œdème" if character_set != "8859/1" else "Élodie"
    content = message(header, [segment("NTE", {3: text})])

    codec = {"UNICODE UTF-8": "utf-8", "8859/15": "iso8859-15", "8859/1": "iso8859-1"}[character_set]
    read = segments_of(hl7.parse(content.decode(codec)))
    assert (read[0].text(18), read[1].text(3)) == (character_set, text)


def test_a_text_that_the_character_set_cannot_hold_makes_the_message_utf_8() -> None:
    header = Header(**{**_fields(HEADER), "character_set": "8859/1"})

    content = message(header, [segment("NTE", {3: "山田"})])

    read = segments_of(hl7.parse(content.decode()))
    assert (read[0].text(18), read[1].text(3)) == ("UNICODE UTF-8", "山田")


@pytest.mark.parametrize(
    ("text", "near", "instant"),
    [
        ("202607011200", "2026-07-01T10:00", "2026-07-01T10:00"),
        ("20260701120030.5+0000", "2026-07-01T10:00", "2026-07-01T12:00:30"),
        ("202610250230", "2026-10-25T00:31", "2026-10-25T00:30"),
        ("202610250230", "2026-10-25T01:31", "2026-10-25T01:30"),
        ("202610250230+0100", "2026-10-25T00:31", "2026-10-25T01:30"),
        ("2026", "2026-07-01T10:00", "2025-12-31T23:00"),
    ],
    ids=["summer", "with-offset", "first-0230", "second-0230", "said-0230", "a-year"],
)
def test_a_time_stamp_is_wall_time_of_the_hospital_and_of_two_the_nearer(text: str, near: str, instant: str) -> None:
    said = instant_of(text, PARIS, near=datetime.fromisoformat(near).replace(tzinfo=UTC))

    assert said == datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "today", "20261301", "202602301200", "2026010125", "20260101 12:00"])
def test_what_is_no_time_stamp_is_none(text: str) -> None:
    assert instant_of(text, PARIS, near=datetime(2026, 1, 1, tzinfo=UTC)) is None


@given(st.integers(946_684_800, 4_102_444_800).map(lambda since_1970_s: datetime.fromtimestamp(since_1970_s, UTC)))
def test_an_instant_that_is_written_is_read_back_to_the_second(instant: datetime) -> None:
    assert instant_of(stamp(instant, PARIS), PARIS, near=instant) == instant


def test_each_order_has_what_follows_its_orc() -> None:
    groups = order_groups(segments_of(hl7.parse("MSH|^~\\&|A\rORC|NW\rOBR|1\rNTE|1\rOBX|1\rNTE|2\rORC|CA\rOBR|2\r")))

    assert [(group.orc.text(1), len(group.segments)) for group in groups] == [("NW", 5), ("CA", 2)]
    assert [note.text(1) for note in groups[0].notes()] == ["1"]
    assert [[note.text(1) for note in notes] for _, notes in groups[0].observations()] == [["2"]]
    assert first(groups[1].segments, "OBX") is None


def _fields(header: Header) -> dict[str, object]:
    return {name: getattr(header, name) for name in header.__slots__}
