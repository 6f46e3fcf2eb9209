"""Whatever spans a roster has, around whichever clock change: other programs read the instants that were written."""

from datetime import UTC, datetime, timedelta

import recurring_ical_events
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from oncall.directory import LineId
from oncall.rota.calendar import events_of, feed
from oncall.rota.ical import Feed, calendar_text
from oncall.rota.ical_import import Target, shifts_from_calendar
from oncall.rota.model import Line, LineKind, Shift
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from tests.unit.oncall.rota.exchange_parts import PERSONS, POOL, directory

# Clock changes of an hour, of half an hour, at other times of the year, and none; close to them as well as anywhere.
ZONES = ("Europe/Paris", "Australia/Lord_Howe", "America/Miquelon", "Indian/Reunion")
NEAR = (
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 4, tzinfo=UTC),
)
LINE = LineId("line")
YEAR = Span(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC))
STAMP = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def shifts(draw: st.DrawFn) -> list[Shift]:
    found = []
    for person_id in draw(st.lists(st.sampled_from(PERSONS), min_size=1, max_size=4)):
        start = draw(st.sampled_from(NEAR)) + timedelta(minutes=draw(st.integers(-300, 300)))
        length = timedelta(minutes=draw(st.integers(1, 1500)))
        found.append(
            Shift(line_id=LINE, person_id=person_id, span=Span(start=start, end=start + length), origin="plan:x")
        )
    return found


def line_in(zone: str) -> Line:
    return Line(
        line_id=LINE, name="Line", kind=LineKind.DUTY, provider_id=POOL, time_zone=zone, commune="42218", rules=()
    )


@settings(max_examples=80, deadline=None)
@given(shifts(), st.sampled_from(ZONES))
def test_a_feed_is_read_as_it_was_written_by_us_and_by_others(given_shifts: list[Shift], zone: str) -> None:
    lines = {LINE: line_in(zone)}
    events = feed(given_shifts, {})
    told = Feed(title="Feed", stamped_at=STAMP, is_own=True, time_zone=zone)
    text = calendar_text(events, told, lines=lines, directory=directory())
    wanted = {(event.person_id, event.span.start, event.span.end) for event in events_of(given_shifts).values()}

    expanded = recurring_ical_events.of(Calendar.from_ical(text)).between(YEAR.start, YEAR.end)
    others = {
        (str(one["X-TELEGARDE-PERSON"]), one["DTSTART"].dt.astimezone(UTC), one["DTEND"].dt.astimezone(UTC))
        for one in expanded
    }
    target = Target(lines=lines, line_id=None, within=YEAR, finder=PersonFinder(directory()))
    ours = {(one.person_id, one.span.start, one.span.end) for one in shifts_from_calendar(text, target).shifts}

    assert others == wanted
    assert ours == wanted
