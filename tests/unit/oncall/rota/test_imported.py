"""Imported shifts in a roster: they take the place of what they overlap, again and again, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from foundation.errors import Refused
from oncall.directory import LineId, PersonId
from oncall.rota.imported import ImportedShift, overlapping_pairs, with_imported
from oncall.rota.model import Roster, ShiftPlan
from oncall.spans import Span
from tests.unit.oncall.rota.exchange_parts import LATE, NIGHT, PERSONS, roster

NOW = datetime(2026, 10, 1, tzinfo=UTC)


def span(first: int, last: int) -> Span:
    """Return hours of 24 October."""
    day = datetime(2026, 10, 24, tzinfo=UTC)
    return Span(start=day + timedelta(hours=first), end=day + timedelta(hours=last))


def shift(first: int, last: int, person: PersonId = PERSONS[0], line_id: LineId = NIGHT) -> ImportedShift:
    return ImportedShift(line_id=line_id, person_id=person, span=span(first, last))


def planned(*spans: Span, locked: bool = False) -> Roster:
    return replace(
        roster(),
        plans=tuple(
            ShiftPlan(shift_id=f"p{number}", line_id=NIGHT, person_id=PERSONS[1], span=one, locked=locked)
            for number, one in enumerate(spans)
        ),
    )


def cells(of: Roster) -> list[tuple[str, str, Span]]:
    return [(plan.line_id, plan.person_id, plan.span) for plan in of.plans]


def test_a_cell_makes_room_for_the_shift_and_keeps_the_rest() -> None:
    after = with_imported(planned(span(0, 10)), [shift(4, 6)], now=NOW)

    assert cells(after) == [
        (NIGHT, PERSONS[1], span(0, 4)),
        (NIGHT, PERSONS[0], span(4, 6)),
        (NIGHT, PERSONS[1], span(6, 10)),
    ]
    assert len({plan.shift_id for plan in after.plans}) == 3


def test_what_no_shift_overlaps_stays_also_between_two_that_come() -> None:
    after = with_imported(planned(span(4, 6)), [shift(0, 4), shift(6, 8)], now=NOW)

    assert (NIGHT, PERSONS[1], span(4, 6)) in cells(after)


def test_importing_the_same_again_changes_nothing() -> None:
    once = with_imported(planned(span(0, 10)), [shift(0, 10), shift(12, 14, PERSONS[2], LATE)], now=NOW)

    assert with_imported(once, [shift(12, 14, PERSONS[2], LATE), shift(0, 10)], now=NOW) == once


def test_a_locked_cell_is_not_overwritten() -> None:
    with pytest.raises(Refused, match="locked"):
        with_imported(planned(span(0, 10), locked=True), [shift(4, 6)], now=NOW)


def test_other_lines_are_left_alone() -> None:
    assert cells(with_imported(planned(span(0, 10)), [shift(0, 10, line_id=LATE)], now=NOW)) == [
        (LATE, PERSONS[0], span(0, 10)),
        (NIGHT, PERSONS[1], span(0, 10)),
    ]


@pytest.mark.parametrize(
    ("frozen_until", "now", "said"),
    [
        (None, span(1, 2).start, "begin before 2026-10-24T01:00"),
        (span(2, 3).start, NOW, "begin before 2026-10-24T02:00"),
    ],
    ids=["now", "frozen"],
)
def test_the_past_is_not_imported_into(frozen_until: datetime | None, now: datetime, said: str) -> None:
    with pytest.raises(Refused, match=said):
        with_imported(replace(planned(), frozen_until=frozen_until), [shift(0, 10)], now=now)


def test_a_line_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(Refused, match="no line nowhere in the roster; its lines are late, reader-1"):
        with_imported(planned(), [shift(0, 10, line_id=LineId("nowhere"))], now=NOW)


def test_two_people_on_one_seat_are_found_also_behind_a_short_shift() -> None:
    long, short, other = shift(0, 9), shift(1, 3, PERSONS[2]), shift(6, 8, PERSONS[2])

    assert overlapping_pairs([other, shift(9, 10), short, long]) == [(long, short), (long, other)]


def test_the_hour_that_october_repeats_is_no_seat_with_two_people() -> None:
    assert not overlapping_pairs([shift(0, 5), shift(4, 8, PERSONS[2])])
