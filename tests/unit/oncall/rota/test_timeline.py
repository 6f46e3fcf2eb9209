"""Who is on duty: turns, layers, plans, overrides, absences; what is asked of the timeline and what it refuses."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from foundation.errors import Refused
from oncall.directory import LineId, PersonId
from oncall.rota.model import Absence, Override, OverrideKind, Roster, Rotation, ShiftPlan
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from tests.unit.oncall.rota.timeline_parts import (
    DAY,
    NIGHT,
    NOBODY_YET,
    READER,
    line,
    nights,
    override,
    people_at,
    plan,
    span,
    turns,
    utc,
)

WINTER_WEEK = span("2026-02-01T23:00", "2026-02-08T23:00")  # Monday to Sunday, nights begin at 17:30Z
MONDAY_NIGHT = ("2026-02-02T17:30", "2026-02-03T07:30")
LATE, EARLY = "2026-02-02T22:00", "2026-02-03T03:00"


def timeline(
    *rotations: Rotation,
    plans: Sequence[ShiftPlan] = (),
    overrides: Sequence[Override] = (),
    away: Sequence[tuple[str, str, str]] = (),
    within: Span = WINTER_WEEK,
) -> Timeline:
    absences = tuple(Absence(person_id=PersonId(who), span=span(start, end)) for who, start, end in away)
    roster = Roster(
        version="1",
        lines=(line(NIGHT, DAY),),
        rotations=rotations,
        plans=tuple(plans),
        overrides=tuple(overrides),
        absences=absences,
    )
    return Timeline(roster, NOBODY_YET, within)


# --- turns and layers -----------------------------------------------------------------------------


def test_participants_take_turns_shift_by_shift_so_that_no_weekday_skips_anybody() -> None:
    # Three people and eight shifts a week: with turns by the calendar day somebody would have every Sunday day.
    found = timeline(turns("ABC", "2026-02-02")).shifts

    assert [shift.person_id for shift in found] == list("ABCABCAB")
    assert found[6].rule == "day"


def test_a_turn_may_last_several_shifts() -> None:
    assert [one.person_id for one in timeline(turns("AB", "2026-02-02", per_turn=7)).shifts] == list("AAAAAAAB")


def test_whose_turn_it_is_does_not_depend_on_the_window() -> None:
    rotation = turns("ABCDEFG", "2021-01-01", per_turn=2)
    year = timeline(rotation, within=span("2025-12-31T23:00", "2026-12-31T23:00"))

    for week in range(0, 360, 40):
        start = year.within.start + timedelta(days=week, hours=week % 24)
        small = timeline(rotation, within=Span(start=start, end=start + timedelta(days=3)))
        assert small.shifts == tuple(
            one for one in year.shifts if one.span.overlaps(small.within) and one in small.shifts
        )
        assert len(small.shifts) >= 3


def test_a_layer_says_nothing_before_its_first_day_and_from_its_last_on() -> None:
    found = timeline(turns("A", "2026-02-03", until="2026-02-05")).shifts

    assert nights(found) == [("A", "02-03T17:30"), ("A", "02-04T17:30")]


def test_the_higher_layer_wins_and_the_lower_speaks_where_it_is_silent() -> None:
    layered = timeline(turns("A", "2026-01-01"), turns("B", "2026-02-02", until="2026-02-03", priority=1))

    assert people_at(layered, LATE) == "B"
    assert people_at(layered, "2026-02-03T22:00") == "A"


def test_an_explicit_shift_wins_over_every_layer_for_its_own_hours() -> None:
    planned = timeline(turns("A", "2026-01-01", priority=9), plans=[plan("p", "P", LATE, EARLY)])

    assert [people_at(planned, at) for at in ("2026-02-02T21:59", LATE, "2026-02-03T02:59", EARLY)] == list("APPA")
    assert [one.origin for one in planned.shifts[:4]] == ["rotation:9", "rotation:9", "plan:p", "rotation:9"]


# --- overrides ------------------------------------------------------------------------------------


def test_a_replacement_takes_the_place_of_whom_it_names() -> None:
    swapped = timeline(
        turns("AB", "2026-02-02"),
        overrides=[override("o", OverrideKind.REPLACE, *MONDAY_NIGHT, added="C", removed="A")],
    )

    assert people_at(swapped, LATE) == "C"
    assert (swapped.shifts[0].origin, swapped.shifts[0].rule) == ("override:o", "night")


def test_a_replacement_of_somebody_who_is_not_there_changes_nothing() -> None:
    untouched = timeline(
        turns("AB", "2026-02-02"),
        overrides=[override("o", OverrideKind.REPLACE, *MONDAY_NIGHT, added="C", removed="B")],
    )

    assert people_at(untouched, LATE) == "A"


def test_a_replacement_of_whoever_is_there_fills_the_seats_of_the_rules_and_no_other_hour() -> None:
    covered = timeline(
        overrides=[override("o", OverrideKind.REPLACE, "2026-02-02T08:00", "2026-02-04T12:00", added="C")]
    )

    assert nights(covered.shifts) == [("C", "02-02T17:30"), ("C", "02-03T17:30")]
    assert people_at(covered, "2026-02-03T12:00") == ""


def test_somebody_added_comes_too_even_where_no_rule_wants_anybody() -> None:
    helped = timeline(
        turns("A", "2026-02-02"), overrides=[override("o", OverrideKind.ADD, "2026-02-02T16:00", EARLY, added="C")]
    )

    assert [people_at(helped, at) for at in ("2026-02-02T16:30", LATE, EARLY)] == ["C", "AC", "A"]


def test_somebody_removed_leaves_an_empty_seat_that_no_weaker_layer_takes() -> None:
    emptied = timeline(
        turns("A", "2026-01-01"),
        turns("B", "2026-01-01", priority=1),
        overrides=[override("o", OverrideKind.REMOVE, *MONDAY_NIGHT, removed="B")],
    )

    assert people_at(emptied, LATE) == ""
    assert people_at(emptied, "2026-02-03T22:00") == "B"


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_shift_may_be_handed_on_and_the_order_in_which_that_was_agreed_counts(shuffled: bool) -> None:
    handed = [
        override("1", OverrideKind.REPLACE, *MONDAY_NIGHT, added="B", removed="A", made="2026-01-10T08:00"),
        override("2", OverrideKind.REPLACE, *MONDAY_NIGHT, added="C", removed="B", made="2026-01-11T08:00"),
    ]

    assert people_at(timeline(turns("A", "2026-02-02"), overrides=handed[::-1] if shuffled else handed), LATE) == "C"


def test_a_shift_in_part_given_away_is_three_shifts() -> None:
    found = timeline(
        turns("A", "2026-02-02"), overrides=[override("o", OverrideKind.REPLACE, LATE, EARLY, added="C", removed="A")]
    ).shifts

    assert [(one.person_id, one.span.hours) for one in found[:3]] == [("A", 4.5), ("C", 5.0), ("A", 4.5)]


# --- absences -------------------------------------------------------------------------------------


def test_somebody_away_is_not_on_duty_and_the_layer_below_speaks() -> None:
    away = timeline(turns("A", "2026-01-01"), turns("B", "2026-01-01", priority=1), away=[("B", LATE, EARLY)])

    assert [people_at(away, at) for at in ("2026-02-02T21:59", LATE, EARLY)] == ["B", "A", "B"]


def test_who_gave_a_shift_away_and_then_goes_on_leave_does_not_take_the_other_one_off_duty() -> None:
    given = timeline(
        turns("A", "2026-01-01"),
        turns("B", "2026-01-01", priority=1),
        away=[("B", *MONDAY_NIGHT)],
        overrides=[override("o", OverrideKind.REPLACE, *MONDAY_NIGHT, added="C", removed="B")],
    )

    assert people_at(given, LATE) == "C"


@pytest.mark.parametrize("removed", ["B", ""])
def test_when_who_took_a_shift_is_away_the_layer_below_speaks_and_who_gave_it_does_not(removed: str) -> None:
    layers = (turns("A", "2026-01-01"), turns("B", "2026-01-01", priority=1))
    taken = override("o", OverrideKind.REPLACE, *MONDAY_NIGHT, added="C", removed=removed)

    assert people_at(timeline(*layers, away=[("C", LATE, EARLY)], overrides=[taken]), LATE) == "A"


def test_without_a_layer_below_a_shift_whose_taker_is_away_is_empty() -> None:
    empty = timeline(
        turns("A", "2026-02-02"),
        away=[("C", LATE, EARLY)],
        overrides=[override("o", OverrideKind.REPLACE, *MONDAY_NIGHT, added="C", removed="A")],
    )

    assert [people_at(empty, at) for at in ("2026-02-02T21:59", LATE, EARLY)] == ["C", "", "C"]


# --- clock changes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 13), ("2026-10-24", 15), ("2027-03-27", 13), ("2027-10-30", 15)]
)
def test_the_night_of_a_clock_change_is_one_shift_of_its_real_length(day: str, hours: int) -> None:
    start = utc(f"{day}T12:00")
    (night, *_) = timeline(turns("AB", "2026-01-01"), within=Span(start=start, end=start + timedelta(days=1))).shifts

    assert night.span.hours == hours


def test_a_handover_in_the_repeated_hour_overlaps() -> None:
    # 2026-10-25, 02:30 in Paris: at 00:30Z the second reader comes, at 01:30Z the first one goes.
    rules = (replace(NIGHT, name="early", end=time(2, 30)), replace(NIGHT, name="late", start=time(2, 30)))
    roster = Roster(version="1", lines=(line(*rules),), rotations=(turns("BA", "2026-10-24"),))
    handover = Timeline(roster, NOBODY_YET, span("2026-10-24T12:00", "2026-10-25T12:00"))

    assert [people_at(handover, f"2026-10-25T{at}") for at in ("00:29", "00:30", "01:29", "01:30")] == [
        "A",
        "AB",
        "AB",
        "B",
    ]


# --- asking ---------------------------------------------------------------------------------------


def test_shifts_at_the_edges_of_the_window_are_whole() -> None:
    (only,) = timeline(turns("AB", "2026-02-02"), within=span("2026-02-02T20:00", "2026-02-02T20:01")).shifts

    assert only.span == span(*MONDAY_NIGHT)


def test_a_plan_of_weeks_is_whole_in_a_window_of_a_minute() -> None:
    long = plan("p", "P", "2026-01-01T00:00", "2026-03-01T00:00")
    (only,) = timeline(
        turns("A", "2026-01-01"), plans=[long], within=span("2026-02-02T20:00", "2026-02-02T20:01")
    ).shifts

    assert only.span == long.span


def test_the_next_change_is_when_somebody_comes_or_goes() -> None:
    asked = timeline(turns("AB", "2026-02-02"))

    assert asked.next_change(utc("2026-02-02T12:00")) == utc(MONDAY_NIGHT[0])
    assert asked.next_change(utc(MONDAY_NIGHT[0])) == utc(MONDAY_NIGHT[1])
    assert asked.next_change(utc("2026-02-08T22:00")) is None


def test_a_person_and_a_line_have_their_shifts_in_order() -> None:
    asked = timeline(turns("AB", "2026-02-02"))
    within = span("2026-02-04T00:00", "2026-02-06T00:00")

    assert nights(asked.shifts_of(PersonId("A"))) == [
        ("A", "02-02T17:30"),
        ("A", "02-04T17:30"),
        ("A", "02-06T17:30"),
        ("A", "02-08T07:30"),
    ]
    assert nights(asked.line_shifts(READER, within)) == [
        ("B", "02-03T17:30"),
        ("A", "02-04T17:30"),
        ("B", "02-05T17:30"),
    ]
    assert asked.shifts_of(PersonId("nobody")) == ()


@pytest.mark.parametrize("at", ["2026-02-01T22:59:59", "2026-02-08T23:00"])
def test_an_instant_outside_the_window_is_refused_because_nobody_would_be_a_false_answer(at: str) -> None:
    with pytest.raises(Refused, match="outside the timeline"):
        timeline(turns("A", "2026-01-01")).on_duty(utc(at))


def test_an_unknown_line_and_a_naive_instant_are_refused() -> None:
    asked = timeline(turns("A", "2026-01-01"))

    with pytest.raises(Refused, match="not in the roster"):
        asked.on_duty(utc(LATE), LineId("reader-9"))
    with pytest.raises(ValueError, match="aware"):
        asked.on_duty(datetime(2026, 2, 2, 22))  # noqa: DTZ001  # what is refused


def test_an_answer_takes_a_few_comparisons_with_thirty_people_and_a_year_of_overrides() -> None:
    asked = year_of_thirty()
    counted = CountingInstant(2026, 10, 25, 1, 30, tzinfo=asked.within.start.tzinfo)

    there = asked.on_duty(counted)

    assert len(asked.shifts) > 5_000
    assert 1 <= len(there) <= 12
    assert CountingInstant.comparisons <= 20  # two for the window, then the binary logarithm of 11,000 changes


class CountingInstant(datetime):
    """An instant that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: datetime) -> bool:
        CountingInstant.comparisons += 1
        return super().__lt__(other)

    def __ge__(self, other: datetime) -> bool:
        CountingInstant.comparisons += 1
        return super().__ge__(other)


def year_of_thirty() -> Timeline:
    people = [PersonId(f"r{number}") for number in range(30)]
    lines = tuple(line(NIGHT, DAY, line_id=f"l{number}") for number in range(12))
    rotations = tuple(
        Rotation(line_id=one.line_id, participants=tuple(people[n:] + people[:n]), first_day=date(2025, 1, 1))
        for n, one in enumerate(lines)
    )
    first = utc("2026-01-01T20:00")
    overrides = tuple(
        Override(
            override_id=f"o{n}",
            line_id=lines[n % 12].line_id,
            kind=OverrideKind.REPLACE,
            span=Span(start=first + timedelta(days=n), end=first + timedelta(days=n, hours=9)),
            added=people[n * 7 % 30],
        )
        for n in range(364)
    )
    roster = Roster(version="1", lines=lines, rotations=rotations, overrides=overrides)
    return Timeline(roster, NOBODY_YET, span("2025-12-31T23:00", "2026-12-31T23:00"))
