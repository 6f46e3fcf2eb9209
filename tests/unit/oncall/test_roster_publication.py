"""Publishing a roster: one version in force, the past as it was, and calendars told what changed."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from foundation.database import Database
from foundation.errors import Refused
from oncall.callees import ContactDefect
from oncall.directory import Directory, PersonId
from oncall.roster_publication import RosterPublication, changed_events, load_roster, publish_roster, unreachable
from oncall.rota import swap_store
from oncall.rota.model import Override, OverrideKind, Roster, ShiftPlan
from oncall.rota.swaps import SwapPart, SwapRequest, SwapState
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from oncall.timers import SqlTimers
from tests.unit.oncall.rota.exchange_parts import NIGHT, PERSONS, directory, roster

NOW = datetime(2026, 10, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
NIGHT_SPAN = Span(start=datetime(2026, 10, 24, 16, 30, tzinfo=UTC), end=datetime(2026, 10, 25, 7, 30, tzinfo=UTC))


def publish(database: Database, edited: Roster, now: datetime) -> RosterPublication:
    with database.write(durable=True) as connection:
        return publish_roster(connection, edited, directory(), by="planner", now=now)


def in_force(database: Database) -> Roster:
    with database.read() as connection:
        return load_roster(connection).roster


def given_to(of: Roster, person: int) -> Roster:
    given = Override(
        override_id=f"o{person}", line_id=NIGHT, kind=OverrideKind.REPLACE, span=NIGHT_SPAN, added=PERSONS[person]
    )
    return replace(of, overrides=(given,))


def on_night(of: Roster) -> int:
    timeline = Timeline(of, directory(), Span(start=NOW - timedelta(days=5), end=NOW + timedelta(days=5)))
    (shift,) = timeline.on_duty(NIGHT_SPAN.start, NIGHT)
    return PERSONS.index(shift.person_id)


def test_what_was_published_is_in_force_under_a_version_of_its_own(database: Database) -> None:
    made = publish(database, roster(), NOW)

    assert in_force(database) == made.roster
    assert made.roster.version.startswith("20261021T120000.000000Z-")
    assert replace(made.roster, version="v1") == roster()
    assert made.changes == ()


def test_the_past_is_written_down_when_the_next_version_is_published(database: Database) -> None:
    first = publish(database, roster(), NOW).roster

    second = publish(database, given_to(first, (on_night(first) + 1) % 3), LATER).roster

    assert second.frozen_until == LATER
    before = Timeline(first, directory(), Span(start=NOW - timedelta(days=60), end=NOW))
    after = Timeline(second, directory(), Span(start=NOW - timedelta(days=60), end=NOW))
    assert [(one.line_id, one.person_id, one.span) for one in after.shifts] == [
        (one.line_id, one.person_id, one.span) for one in before.shifts
    ]
    assert {one.origin for one in after.on_duty(NOW - timedelta(days=30, hours=12))} == {"history"}


def test_an_edit_of_the_past_is_refused(database: Database) -> None:
    first = publish(database, roster(), NOW).roster
    yesterday = ShiftPlan(
        shift_id="p1",
        line_id=NIGHT,
        person_id=PERSONS[0],
        span=Span(start=NOW - timedelta(days=1), end=NOW - timedelta(hours=20)),
    )

    with pytest.raises(Refused, match="the past is frozen"):
        publish(database, replace(first, plans=(yesterday,)), LATER)
    assert in_force(database) == first


def test_of_two_edits_of_one_version_the_second_is_refused(database: Database) -> None:
    first = publish(database, roster(), NOW).roster
    publish(database, given_to(first, 0), LATER)

    with pytest.raises(Refused, match="another roster was published"):
        publish(database, given_to(first, 1), LATER)


def test_publishing_what_is_in_force_changes_nothing(database: Database) -> None:
    first = publish(database, roster(), NOW).roster

    assert publish(database, first, LATER).roster == first


def test_calendars_remember_over_versions_what_they_were_told(database: Database) -> None:
    first = publish(database, roster(), NOW).roster
    holder = on_night(first)
    other = (holder + 1) % 3

    given = publish(database, given_to(first, other), LATER)
    back = publish(database, replace(given.roster, overrides=()), LATER + timedelta(minutes=5))

    assert {(one.person_id, one.sequence, one.is_cancelled) for one in given.changes} == {
        (PERSONS[holder], 1, True),
        (PERSONS[other], 0, False),
    }
    assert {(one.person_id, one.sequence, one.is_cancelled) for one in back.changes} == {
        (PERSONS[holder], 2, False),
        (PERSONS[other], 1, True),
    }
    with database.read() as connection:
        kept = changed_events(connection, NIGHT_SPAN)
        mine = changed_events(connection, NIGHT_SPAN, person_id=PERSONS[holder], line_ids=[NIGHT])
        elsewhen = changed_events(connection, Span(start=NOW, end=NIGHT_SPAN.start))
    assert {(one.person_id, one.sequence) for one in kept.values()} == {(PERSONS[holder], 2), (PERSONS[other], 1)}
    assert [one.person_id for one in mine.values()] == [PERSONS[holder]]
    assert elsewhen == {}


def test_a_clock_that_was_set_back_still_publishes_and_opens_no_past(database: Database) -> None:
    first = publish(database, roster(), NOW).roster
    second = publish(database, given_to(first, 0), LATER).roster

    third = publish(database, replace(second, overrides=()), LATER - timedelta(hours=2)).roster

    assert third.frozen_until == LATER
    assert in_force(database) == third


def without_contact(known: Directory, person_id: PersonId) -> Directory:
    mute = replace(known.persons[person_id], contact_methods=())
    return replace(known, persons={**known.persons, person_id: mute})


def of_people(defects: tuple[ContactDefect, ...], known: Directory) -> list[tuple[str, str]]:
    return [(one.rule, one.who) for one in defects if one.who not in known.sites]


def test_who_publishes_is_told_who_on_duty_has_no_contact(database: Database) -> None:
    """Complaint 9: a chain that stops at somebody without a method must be found before a night does."""
    known = without_contact(directory(), PERSONS[1])

    with database.write(durable=True) as connection:
        first = publish_roster(connection, roster(), known, by="planner", now=NOW)
        again = publish_roster(connection, first.roster, known, by="planner", now=LATER)
        given = given_to(first.roster, 2)
        second = publish_roster(connection, given, known, by="planner", now=LATER)

    told = [of_people(made.defects, known) for made in (first, again, second)]
    assert told == [[("no_contact_method", PERSONS[1])]] * 3
    assert of_people(publish(database, second.roster, LATER).defects, known) == []


def test_a_directory_that_forgets_somebody_on_duty_is_seen_before_it_is_published() -> None:
    known = directory()
    fewer = replace(known, persons={one: person for one, person in known.persons.items() if one != PERSONS[0]})

    assert of_people(unreachable(roster(), fewer, NOW), known) == [("unknown_person", PERSONS[0])]


def test_nobody_is_asked_about_who_has_no_duty_any_more() -> None:
    ended = replace(roster(), rotations=tuple(replace(one, until=NOW.date()) for one in roster().rotations), plans=())

    known = without_contact(directory(), PERSONS[1])

    assert of_people(unreachable(ended, known, NOW + timedelta(days=3)), known) == []


def asked(database: Database, of: Roster, swap_id: str = "s1", **changes: object) -> SwapRequest:
    """Return a request for the October night that is in the database."""
    given = SwapPart(line_id=NIGHT, person_id=PERSONS[on_night(of)], span=NIGHT_SPAN, rule="night")
    request = replace(SwapRequest(swap_id=swap_id, given=given, created_at=NOW), **changes)  # type: ignore[arg-type]  # fields
    with database.write(durable=True) as connection:
        swap_store.add(connection, request, NOW)
    return request


def kept(database: Database, swap_id: str = "s1") -> SwapRequest:
    with database.read() as connection:
        return swap_store.load(connection, swap_id)


def told_at(database: Database, swap_id: str = "s1") -> datetime | None:
    with database.read() as connection:
        timer = SqlTimers(connection).find(f"swap_changed:{swap_id}")
    return None if timer is None else timer.due_at


def test_a_swap_request_follows_its_shift_when_the_next_version_moves_it(database: Database) -> None:
    """Complaint 7: Grafana #4182, swaps do not follow the shift."""
    first = publish(database, roster(), NOW).roster
    request = asked(database, first)
    nights = replace(first.lines[0], rules=(replace(first.lines[0].rules[0], start=time(19, 30)),))

    made = publish(database, replace(first, lines=(nights, *first.lines[1:])), LATER)

    moved = replace(request.given, span=Span(start=NIGHT_SPAN.start + timedelta(hours=1), end=NIGHT_SPAN.end))
    assert kept(database) == replace(request, given=moved)
    assert made.swaps == (kept(database),)
    assert told_at(database) == LATER


def test_a_swap_request_is_closed_with_a_reason_when_its_shift_is_somebody_elses(database: Database) -> None:
    first = publish(database, roster(), NOW).roster
    holder = on_night(first)
    asked(database, first, state=SwapState.TAKEN, taken_by=PERSONS[(holder + 1) % 3], needs_approval=True)

    publish(database, given_to(first, (holder + 1) % 3), LATER)

    after = kept(database)
    assert (after.state, after.changed_by) == (SwapState.WITHDRAWN, "telegarde")
    assert f"is no longer {PERSONS[holder]}'s" in after.reason
    assert told_at(database) == LATER


def test_a_swap_request_whose_shift_stays_is_left_alone_and_nobody_is_told(database: Database) -> None:
    first = publish(database, roster(), NOW).roster
    beyond = Span(start=NIGHT_SPAN.start + timedelta(days=500), end=NIGHT_SPAN.end + timedelta(days=500))
    far_given = SwapPart(line_id=NIGHT, person_id=PERSONS[0], span=beyond, rule="night")
    request, far = asked(database, first), asked(database, first, "far", given=far_given)
    other_night = replace(given_to(first, 0).overrides[0], span=Span(
        start=NIGHT_SPAN.start + timedelta(days=3), end=NIGHT_SPAN.start + timedelta(days=3, hours=2)))  # fmt: skip

    made = publish(database, replace(first, overrides=(other_night,)), LATER)

    assert made.swaps == ()
    assert (kept(database), kept(database, "far")) == (request, far)
    assert (told_at(database), told_at(database, "far")) == (None, None)
