"""What calendars are told when a roster changes (complaint 10): higher sequences and cancelled events, once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from oncall.directory import PersonId
from oncall.rota.calendar import CalendarEvent, events_of, feed, revised
from oncall.rota.model import Override, OverrideKind, Roster, Shift
from oncall.spans import Span
from tests.unit.oncall.rota.exchange_parts import NIGHT, OCTOBER, PERSONS, roster, timeline

NOW = datetime(2026, 10, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
GIVEN = datetime(2026, 10, 24, 16, 30, tzinfo=UTC)


def nights(of: Roster) -> tuple[Shift, ...]:
    return timeline(of, OCTOBER).line_shifts(NIGHT)


def given_away(to: PersonId, span: Span | None = None) -> Roster:
    return replace(
        roster("v2"),
        overrides=(
            Override(
                override_id="o1",
                line_id=NIGHT,
                kind=OverrideKind.REPLACE,
                span=span or Span(start=GIVEN, end=GIVEN + timedelta(hours=15)),
                added=to,
            ),
        ),
    )


def told_about(*versions: Roster) -> dict[str, CalendarEvent]:
    """Return what calendars know after these versions, one after another, an hour apart."""
    told = events_of(nights(versions[0]))
    for number, version in enumerate(versions[1:]):
        changes = revised(told, nights(version), OCTOBER, NOW + timedelta(hours=number))
        told |= {event.uid: event for event in changes}
    return told


def holder() -> PersonId:
    return next(shift.person_id for shift in nights(roster()) if shift.span.start == GIVEN)


def other() -> PersonId:
    return next(one for one in PERSONS if one != holder())


def test_a_shift_given_away_is_cancelled_for_one_and_new_for_the_other() -> None:
    changes = revised(events_of(nights(roster())), nights(given_away(other())), OCTOBER, NOW)

    assert {(one.person_id, one.span.start, one.is_cancelled, one.sequence) for one in changes} == {
        (holder(), GIVEN, True, 1),
        (other(), GIVEN, False, 0),
    }


def test_a_shift_that_ends_earlier_is_the_same_event_with_a_higher_sequence() -> None:
    second_half = Span(start=GIVEN + timedelta(hours=7), end=GIVEN + timedelta(hours=15))

    changes = revised(events_of(nights(roster())), nights(given_away(other(), second_half)), OCTOBER, NOW)

    shortened = next(one for one in changes if one.person_id == holder())
    assert (shortened.span.end, shortened.sequence, shortened.is_cancelled) == (second_half.start, 1, False)


def test_a_shift_that_comes_back_is_the_same_event_again_and_its_sequence_goes_on() -> None:
    told = told_about(roster(), given_away(other()), roster("v3"))

    back = next(one for one in told.values() if (one.person_id, one.span.start) == (holder(), GIVEN))
    gone = next(one for one in told.values() if (one.person_id, one.span.start) == (other(), GIVEN))
    assert (back.sequence, back.is_cancelled) == (2, False)
    assert (gone.sequence, gone.is_cancelled) == (1, True)


def test_nothing_changed_means_nothing_to_tell() -> None:
    told = told_about(roster(), given_away(other()))

    assert revised(told, nights(given_away(other())), OCTOBER, LATER) == ()


def test_what_has_ended_is_not_revised() -> None:
    after = GIVEN + timedelta(days=2)

    assert revised(events_of(nights(roster())), nights(given_away(other())), OCTOBER, after) == ()


def test_a_feed_shows_what_was_cancelled_beside_what_is() -> None:
    before = events_of(nights(roster()))
    changed = {event.uid: event for event in revised(before, nights(given_away(other())), OCTOBER, NOW)}

    shown = feed(nights(given_away(other())), changed)

    assert len(shown) == len(before) + 1
    assert [(one.person_id, one.is_cancelled) for one in shown if one.span.start == GIVEN] == [
        (person, person == holder()) for person in sorted([holder(), other()])
    ]


def test_a_change_beyond_what_was_compared_is_not_taken_for_a_cancellation() -> None:
    told = events_of(timeline(roster()).line_shifts(NIGHT))

    assert revised(told, nights(roster("v2")), OCTOBER, NOW) == ()
