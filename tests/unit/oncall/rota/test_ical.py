"""Feeds: what other programs read in them is exactly what the roster says, on the clock-change nights too."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
import recurring_ical_events
from icalendar import Calendar

from oncall.directory import LineId
from oncall.rota.calendar import CalendarEvent, events_of, feed
from oncall.rota.ical import Feed, calendar_text
from oncall.rota.ical_import import Target, shifts_from_calendar
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from tests.unit.oncall.rota.exchange_parts import LATE, NIGHT, YEAR, directory, roster, timeline

STAMP = datetime(2026, 1, 1, 12, tzinfo=UTC)


def text_of(events: Sequence[CalendarEvent], *, is_own: bool = True, title: str = "Garde") -> bytes:
    return calendar_text(
        events,
        Feed(title=title, stamped_at=STAMP, is_own=is_own, time_zone="Europe/Paris"),
        lines={line.line_id: line for line in roster().lines},
        directory=directory(),
    )


@cache
def whole_year() -> bytes:
    return text_of(feed(timeline().shifts, {}))


def foreign_spans(text: bytes, within: Span, line_id: LineId) -> set[tuple[datetime, datetime]]:
    """Expand with a library that is not ours."""
    found = recurring_ical_events.of(Calendar.from_ical(text)).between(within.start, within.end)
    return {
        (event["DTSTART"].dt.astimezone(UTC), event["DTEND"].dt.astimezone(UTC))
        for event in found
        if event["X-TELEGARDE-LINE"] == line_id
    }


@pytest.mark.parametrize("line_id", [NIGHT, LATE])
def test_another_program_expands_the_same_instants_over_both_clock_changes(line_id: LineId) -> None:
    wanted = {(shift.span.start, shift.span.end) for shift in timeline().line_shifts(line_id)}

    assert foreign_spans(whole_year(), YEAR, line_id) == wanted
    assert (datetime(2026, 10, 24, 16, 30, tzinfo=UTC), datetime(2026, 10, 25, 7, 30, tzinfo=UTC)) in foreign_spans(
        whole_year(), YEAR, NIGHT
    )


def test_a_time_that_comes_twice_is_written_in_utc_where_the_second_one_is_meant() -> None:
    night = Span(start=datetime(2026, 10, 24, 12, tzinfo=UTC), end=datetime(2026, 10, 25, 9, tzinfo=UTC))
    text = text_of(feed(timeline(within=night).line_shifts(LATE, night), {}))

    # The first half ends at the last 02:30, the second begins at the first one: an overlap, never a gap.
    assert b"DTSTART:20261024T163000Z" in text
    assert b"DTEND:20261025T013000Z" in text
    assert b"DTSTART;TZID=Europe/Paris:20261025T023000" in text


def test_a_feed_brings_its_time_zone_and_its_name() -> None:
    calendar = Calendar.from_ical(whole_year())

    assert [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")] == ["Europe/Paris"]
    assert (calendar["METHOD"], calendar["NAME"], calendar["X-WR-CALNAME"]) == ("PUBLISH", "Garde", "Garde")
    assert calendar.errors == []


def test_the_same_version_gives_the_same_bytes() -> None:
    assert text_of(feed(timeline().shifts, {})) == whole_year()


def test_our_own_importer_reads_our_own_feed_as_it_was() -> None:
    lines = {line.line_id: line for line in roster().lines}

    read = shifts_from_calendar(
        whole_year(), Target(lines=lines, line_id=None, within=YEAR, finder=PersonFinder(directory()))
    )

    assert {(one.line_id, one.person_id, one.span) for one in read.shifts} == {
        (one.line_id, one.person_id, one.span) for one in timeline().shifts
    }


def event_of(**changed: Any) -> CalendarEvent:
    (event,) = events_of(timeline().shifts[:1]).values()
    return CalendarEvent(line_id=event.line_id, person_id=event.person_id, span=event.span, rule=event.rule, **changed)


def test_a_cancelled_event_says_so_with_its_sequence_and_time_of_change() -> None:
    (component,) = Calendar.from_ical(
        text_of([event_of(sequence=3, is_cancelled=True, changed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))])
    ).walk("VEVENT")

    assert (component["STATUS"], component["SEQUENCE"], component["TRANSP"]) == ("CANCELLED", 3, "TRANSPARENT")
    assert component["LAST-MODIFIED"].dt == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(("is_own", "shown"), [(True, "OPAQUE"), (False, "TRANSPARENT")], ids=["own", "of a line"])
def test_only_in_ones_own_feed_a_duty_blocks_the_time(is_own: bool, shown: str) -> None:
    (component,) = Calendar.from_ical(text_of([event_of()], is_own=is_own)).walk("VEVENT")

    assert component["TRANSP"] == shown


def test_the_long_night_says_how_long_it_is() -> None:
    night = Span(start=datetime(2026, 10, 24, 12, tzinfo=UTC), end=datetime(2026, 10, 25, 9, tzinfo=UTC))
    text = text_of(feed(timeline(within=night).on_duty(night.end - timedelta(hours=2), NIGHT), {}))
    (component,) = Calendar.from_ical(text).walk("VEVENT")

    assert "15 h" in str(component["DESCRIPTION"])


def test_a_feed_without_events_is_still_a_calendar() -> None:
    assert Calendar.from_ical(text_of([])).walk("VEVENT") == []
