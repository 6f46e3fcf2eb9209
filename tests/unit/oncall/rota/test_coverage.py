"""Empty seats, people in two places, duty during leave: found before the night."""

from dataclasses import replace
from datetime import time

import pytest

from foundation.errors import Refused
from oncall.directory import LineId, PersonId
from oncall.rota.coverage import absence_conflicts, coverage_gaps, double_bookings
from oncall.rota.model import Absence, OverrideKind, Roster, Session
from oncall.rota.timeline import Timeline, freeze
from tests.unit.oncall.rota.timeline_parts import DAY, NIGHT, NOBODY_YET, READER, line, override, plan, span, turns, utc

WEEK = span("2026-02-01T23:00", "2026-02-08T23:00")
MONDAY_NIGHT = span("2026-02-02T17:30", "2026-02-03T07:30")
ALL_COVERED = Roster(version="1", lines=(line(NIGHT, DAY),), rotations=(turns("BCA", "2026-01-31"),))


def timeline(roster: Roster) -> Timeline:
    return Timeline(roster, NOBODY_YET, WEEK)


def leave(who: str, start: str, end: str) -> Absence:
    return Absence(person_id=PersonId(who), span=span(start, end))


def test_a_line_with_somebody_in_every_seat_has_no_gaps() -> None:
    assert coverage_gaps(timeline(ALL_COVERED), WEEK) == ()


def test_hours_that_no_rule_wants_are_no_gap() -> None:
    assert coverage_gaps(timeline(replace(ALL_COVERED, lines=(line(),), rotations=())), WEEK) == ()


def test_every_seat_of_a_line_without_people_is_a_gap() -> None:
    found = coverage_gaps(timeline(replace(ALL_COVERED, rotations=())), WEEK)

    assert [gap.rule for gap in found] == ["night"] * 7 + ["day", "night"]
    # The window cuts the first and the last night.
    assert (found[0].span, found[-1].span) == (
        span("2026-02-01T23:00", "2026-02-02T07:30"),
        span("2026-02-08T17:30", "2026-02-08T23:00"),
    )


def test_leave_opens_a_gap_that_says_who_is_away() -> None:
    # B has Monday night.
    (gap,) = coverage_gaps(
        timeline(replace(ALL_COVERED, absences=(leave("B", "2026-02-02T20:00", "2026-02-03T02:00"),))), WEEK
    )

    assert (gap.line_id, gap.rule, gap.absent) == (READER, "night", ("B",))
    assert gap.span == span("2026-02-02T20:00", "2026-02-03T02:00")


def test_a_removal_opens_a_gap_that_nobodys_leave_explains() -> None:
    (gap,) = coverage_gaps(
        timeline(
            replace(
                ALL_COVERED,
                overrides=(override("o", OverrideKind.REMOVE, "2026-02-02T20:00", "2026-02-03T02:00", removed="B"),),
            )
        ),
        WEEK,
    )

    assert gap.absent == ()


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_a_clock_change_opens_no_gap(day: str) -> None:
    around = span(f"{day}T00:00", f"{day[:-2]}{int(day[-2:]) + 2}T00:00")

    assert coverage_gaps(Timeline(ALL_COVERED, NOBODY_YET, around), around) == ()


def test_leave_over_duty_is_a_conflict_for_the_hours_it_takes() -> None:
    away = leave("B", "2026-02-02T20:00", "2026-02-20T00:00")
    found = absence_conflicts(timeline(replace(ALL_COVERED, absences=(away,))), WEEK)

    # B has the nights of Monday and Thursday, and the night of Sunday, whole though the window ends in it.
    assert [(one.span.start, one.span.end) for one in found] == [
        (utc("2026-02-02T20:00"), utc("2026-02-03T07:30")),
        (utc("2026-02-05T17:30"), utc("2026-02-06T07:30")),
        (utc("2026-02-08T07:30"), utc("2026-02-08T17:30")),
    ]
    assert found[0].shift.span == MONDAY_NIGHT
    assert found[0].absence == away


def test_leave_of_somebody_whose_shift_was_given_away_is_no_conflict() -> None:
    given = override("o", OverrideKind.REPLACE, "2026-02-02T17:30", "2026-02-03T07:30", added="C", removed="B")
    roster = replace(ALL_COVERED, absences=(leave("B", "2026-02-02T00:00", "2026-02-04T00:00"),), overrides=(given,))

    assert absence_conflicts(timeline(roster), WEEK) == ()
    assert coverage_gaps(timeline(roster), WEEK) == ()


def test_leave_written_down_after_the_night_was_worked_is_no_conflict() -> None:
    until = utc("2026-02-04T00:00")
    from_the_start = Timeline(ALL_COVERED, NOBODY_YET, span("2026-01-30T23:00", "2026-02-04T00:00"))
    roster = replace(
        freeze(ALL_COVERED, until, from_the_start), absences=(leave("B", "2026-02-02T00:00", "2026-02-04T00:00"),)
    )

    assert absence_conflicts(timeline(roster), WEEK) == ()


TWO_LINES = replace(
    ALL_COVERED,
    lines=(line(NIGHT), line(NIGHT, line_id="reader-2")),
    rotations=(turns("ABC", "2026-02-01"), replace(turns("CAB", "2026-02-01"), line_id=LineId("reader-2"))),
)


def test_nobody_in_two_places_is_no_double_booking() -> None:
    assert double_bookings(timeline(TWO_LINES), WEEK) == ()


def test_somebody_on_two_lines_is_double_booked_for_the_hours_of_both() -> None:
    # B has Monday night on the first line.
    other = replace(plan("p", "B", "2026-02-02T20:00", "2026-02-03T02:00"), line_id=LineId("reader-2"))
    (found,) = double_bookings(timeline(replace(TWO_LINES, plans=(other,))), WEEK)

    assert (found.person_id, found.span) == ("B", other.span)
    assert {shift.line_id for shift in found.shifts} == {"reader-1", "reader-2"}


@pytest.mark.parametrize(("begins", "found"), [(time(2, 30), 0), (time(2, 29), 1)])
def test_two_shifts_in_a_row_that_overlap_in_a_repeated_hour_are_no_double_booking(begins: time, found: int) -> None:
    early, late = replace(NIGHT, end=time(2, 30)), replace(NIGHT, start=begins)
    in_a_row = Roster(
        version="1",
        lines=(line(early), line(late, line_id="reader-2")),
        rotations=(turns("A", "2026-10-24"), replace(turns("A", "2026-10-25"), line_id=LineId("reader-2"))),
    )
    around = span("2026-10-24T12:00", "2026-10-25T12:00")

    assert len(double_bookings(Timeline(in_a_row, NOBODY_YET, around), around)) == found


def test_a_session_during_a_shift_is_a_double_booking() -> None:
    session = Session(person_id=PersonId("B"), span=span("2026-02-03T07:00", "2026-02-03T16:00"))
    (found,) = double_bookings(timeline(replace(ALL_COVERED, sessions=(session,))), WEEK)

    assert (found.session, found.span) == (session, span("2026-02-03T07:00", "2026-02-03T07:30"))


def test_the_same_shift_twice_for_one_person_is_on_duty_once() -> None:
    twice = replace(ALL_COVERED, plans=tuple(plan(name, "P", "2026-02-02T17:30", "2026-02-03T07:30") for name in "pq"))

    assert len(timeline(twice).shifts_of(PersonId("P"))) == 1


def test_what_was_not_looked_at_is_not_called_covered() -> None:
    wider = span("2026-02-01T23:00", "2026-02-09T00:00")

    for question in (coverage_gaps, double_bookings, absence_conflicts):
        with pytest.raises(Refused, match="build a longer one"):
            question(timeline(ALL_COVERED), wider)
