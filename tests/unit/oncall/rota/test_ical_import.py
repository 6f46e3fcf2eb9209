"""Calendars of other programs: recurrences over clock changes, times without zones, and hostile files."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from oncall.directory import LineId
from oncall.rota.ical_import import Target, shifts_from_calendar
from oncall.rota.imported import Imported
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from oncall.strict_json import DocumentInvalid
from tests.unit.oncall.rota.exchange_parts import LATE, NIGHT, directory, roster

PARIS = ZoneInfo("Europe/Paris")
WITHIN = Span(start=datetime(2026, 10, 20, tzinfo=UTC), end=datetime(2026, 11, 5, tzinfo=UTC))
WEEKLY = """\
UID:weekly
DTSTAMP:20260101T000000Z
SUMMARY:Garde : Dr Zoé Élan
DTSTART;TZID=Europe/Paris:20260103T183000
DTEND;TZID=Europe/Paris:20260104T083000
RRULE:FREQ=WEEKLY"""


def calendar(*events: str, head: str = "") -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//other//EN", *head.splitlines()]
    for event in events:
        lines += ["BEGIN:VEVENT", *event.splitlines(), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


def read(text: bytes, line_id: LineId | None = NIGHT, **known: str) -> Imported:
    lines = {line.line_id: line for line in roster().lines}
    return shifts_from_calendar(
        text, Target(lines=lines, line_id=line_id, within=WITHIN, finder=PersonFinder(directory(), known))
    )


def told(imported: Imported) -> list[tuple[str, str, str]]:
    return [(one.person_id, f"{one.span.start:%d %H:%MZ}", f"{one.span.end:%d %H:%MZ}") for one in imported.shifts]


def test_a_weekly_night_keeps_its_wall_times_over_the_clock_change() -> None:
    assert told(read(calendar(WEEKLY))) == [
        ("r01", "24 16:30Z", "25 07:30Z"),
        ("r01", "31 17:30Z", "01 07:30Z"),
    ]


def test_exceptions_and_moved_occurrences_count() -> None:
    moved = """\
UID:weekly
RECURRENCE-ID;TZID=Europe/Paris:20261031T183000
SUMMARY:Dr Marc Oury
DTSTART;TZID=Europe/Paris:20261101T183000
DTEND;TZID=Europe/Paris:20261102T083000"""
    excepted = f"{WEEKLY}\nEXDATE;TZID=Europe/Paris:20261024T183000"

    assert told(read(calendar(excepted, moved))) == [("r02", "01 17:30Z", "02 07:30Z")]


def test_a_cancelled_event_is_no_shift_and_is_told_about() -> None:
    imported = read(calendar(f"{WEEKLY}\nSTATUS:CANCELLED"))

    assert imported.shifts == ()
    assert imported.notes == ("1 cancelled events were left out",)


def test_of_one_event_told_twice_the_higher_sequence_counts_wherever_it_stands() -> None:
    newer = WEEKLY.replace("083000", "063000") + "\nSEQUENCE:2"

    assert told(read(calendar(newer, f"{WEEKLY}\nSEQUENCE:1")))[0] == ("r01", "24 16:30Z", "25 05:30Z")


def test_a_time_without_a_zone_is_read_in_that_of_the_line_and_said() -> None:
    imported = read(calendar(WEEKLY.replace(";TZID=Europe/Paris", "")))

    assert told(imported)[0] == ("r01", "24 16:30Z", "25 07:30Z")
    assert imported.notes == ("2 events name no time zone: they were read in the zone of their line",)


def test_whole_days_are_days_of_the_line() -> None:
    day = "UID:d\nSUMMARY:Dr Anne Tilly\nDTSTART;VALUE=DATE:20261025\nDTEND;VALUE=DATE:20261026"

    assert told(read(calendar(day))) == [("r03", "24 22:00Z", "25 23:00Z")]


def test_a_zone_that_nobody_knows_is_refused_and_never_read_as_none() -> None:
    with pytest.raises(DocumentInvalid, match=r"time zone \(Mars/Olympus\) that neither"):
        read(calendar(WEEKLY.replace("Europe/Paris", "Mars/Olympus")))


def test_a_zone_that_the_file_defines_is_used() -> None:
    zone = """\
BEGIN:VTIMEZONE
TZID:Ours
BEGIN:STANDARD
DTSTART:19700101T000000
TZOFFSETFROM:+0300
TZOFFSETTO:+0300
END:STANDARD
END:VTIMEZONE"""
    event = "UID:z\nSUMMARY:r02\nDTSTART;TZID=Ours:20261024T180000\nDTEND;TZID=Ours:20261024T200000"

    assert told(read(calendar(event, head=zone))) == [("r02", "24 15:00Z", "24 17:00Z")]


@pytest.mark.parametrize(
    "named",
    [
        "SUMMARY:dr. ZOE ELAN",
        "SUMMARY:[L1] r01@example.org",
        "SUMMARY:Élan Zoé - nuit",
        "SUMMARY:Garde\nATTENDEE;CN=Z:mailto:R01@example.org",
        "SUMMARY:night\nX-TELEGARDE-PERSON:r01",
        "SUMMARY:Zaza",
    ],
    ids=["accents", "address", "family name first", "attendee", "identifier", "mapped"],
)
def test_somebody_is_found_by_what_calendars_call_them(named: str) -> None:
    event = f"UID:n\n{named}\nDTSTART:20261024T180000Z\nDTEND:20261024T200000Z"

    assert told(read(calendar(event), Zaza="r01")) == [("r01", "24 18:00Z", "24 20:00Z")]


def test_everybody_unknown_is_reported_together() -> None:
    events = [
        f"UID:{name}\nSUMMARY:{name}\nDTSTART:20261024T180000Z\nDTEND:20261024T200000Z" for name in ("Nemo", "Outis")
    ]

    with pytest.raises(DocumentInvalid) as caught:
        read(calendar(*events))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["event Nemo", "event Outis"]


def test_an_event_goes_into_the_line_that_it_names_else_into_the_one_given() -> None:
    event = "UID:l\nSUMMARY:r01\nX-TELEGARDE-LINE:late\nDTSTART:20261024T180000Z\nDTEND:20261024T200000Z"

    assert [one.line_id for one in read(calendar(event)).shifts] == [LATE]
    with pytest.raises(DocumentInvalid, match="says no line of the roster"):
        read(calendar(event.replace("late", "unknown")), line_id=None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"hello", "no iCalendar text|no VCALENDAR"),
        (b"", "no VCALENDAR|no iCalendar text"),
        (calendar(WEEKLY, head="METHOD:CANCEL"), "takes events back"),
        (calendar(WEEKLY.replace("UID:weekly\n", "")), "no UID"),
        (calendar(WEEKLY.replace("FREQ=WEEKLY", "FREQ=SECONDLY")), "does not recur every minute"),
        (calendar(WEEKLY.replace("FREQ=WEEKLY", "FREQ=DAILY;BYMINUTE=1,2,3")), "does not recur every minute"),
        (
            calendar(*(WEEKLY.replace("UID:weekly", f"UID:{n}").replace("WEEKLY", "HOURLY") for n in range(300))),
            "shorten",
        ),
        (calendar("UID:b\nSUMMARY:r01\nDTSTART:20261024T180000Z\nDTEND:20261024T170000Z"), "ends before it starts"),
        (calendar("UID:b\nSUMMARY:r01\nDTSTART:20261024T180000Z\nDTEND:20270124T170000Z"), "after more than 31 days"),
    ],
    ids=["text", "empty", "cancel", "no uid", "every second", "every minute", "too many", "backwards", "for ever"],
)
def test_what_is_no_calendar_or_too_much_of_one_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(DocumentInvalid, match=said):
        read(text)


@pytest.mark.parametrize(
    "line",
    ["RRULE:FREQ=SOMETIMES", "EXDATE:xx", "SEQUENCE:abc", "RDATE:never", "DTSTAMP:now", "RECURRENCE-ID:some"],
)
def test_a_value_that_may_hide_a_shift_and_cannot_be_read_is_named(line: str) -> None:
    once = WEEKLY.replace("DTSTAMP:20260101T000000Z", "") if line.startswith("DTSTAMP") else WEEKLY
    once = once.replace("RRULE:FREQ=WEEKLY", "") if line.startswith("RRULE") else once

    with pytest.raises(DocumentInvalid, match=f"event weekly: {line.partition(':')[0]} cannot be read"):
        read(calendar("\n".join([*filter(None, once.splitlines()), line])))


def test_events_that_share_a_uid_and_days_without_times_are_said() -> None:
    day = "UID:day\nDTSTAMP:20260101T000000Z\nSUMMARY:r01\nDTSTART;VALUE=DATE:2026102{0}\nDTEND;VALUE=DATE:2026102{1}"

    found = read(calendar(day.format(4, 5), day.format(6, 7)))

    assert told(found) == [("r01", "25 23:00Z", "26 23:00Z")]
    assert found.notes == (
        "1 events were told again under their UID: what was said last counts",
        "1 events say days without times: they were read from midnight to midnight",
    )
