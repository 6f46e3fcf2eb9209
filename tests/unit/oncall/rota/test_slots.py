"""Which seats a line needs filled: rules, weekdays, public holidays."""

from datetime import date, time

import pytest

from oncall.rota.model import DayKind, ShiftRule
from oncall.rota.slots import SlotCounter, rules_on, slots_on, slots_overlapping
from tests.unit.oncall.rota.timeline_parts import DAY, NIGHT, line, span

WORKDAY, SATURDAY, SUNDAY, HOLIDAY = (
    ShiftRule(name=kind.value, start=time(8), end=time(18), days=kind)
    for kind in (DayKind.WORKDAY, DayKind.SATURDAY, DayKind.SUNDAY, DayKind.HOLIDAY)
)
THURSDAY, SATURDAY_15_AUGUST, SUNDAY_1_NOVEMBER = date(2026, 5, 7), date(2026, 8, 15), date(2026, 11, 1)


@pytest.mark.parametrize(
    ("day", "kinds"),
    [
        pytest.param(THURSDAY, ["workday"], id="a Thursday"),
        pytest.param(date(2026, 5, 8), ["holiday"], id="a holiday on a Friday"),
        pytest.param(date(2026, 5, 9), ["saturday"], id="a Saturday"),
        pytest.param(date(2026, 5, 10), ["sunday"], id="a Sunday"),
        pytest.param(SATURDAY_15_AUGUST, ["holiday"], id="a holiday on a Saturday"),
        pytest.param(SUNDAY_1_NOVEMBER, ["holiday"], id="a holiday on a Sunday"),
    ],
)
def test_a_line_with_rules_for_every_kind_has_one_on_every_day(day: date, kinds: list[str]) -> None:
    rules = [
        ShiftRule(name=one.name, start=time(8 + n), end=time(18), days=one.days)
        for n, one in enumerate((WORKDAY, SATURDAY, SUNDAY, HOLIDAY))
    ]

    assert [rule.name for rule in rules_on(line(*rules), day)] == kinds


@pytest.mark.parametrize(("day", "kind"), [(SATURDAY_15_AUGUST, "saturday"), (SUNDAY_1_NOVEMBER, "sunday")])
def test_a_line_without_rules_for_holidays_is_not_left_empty_on_a_weekend(day: date, kind: str) -> None:
    assert [rule.name for rule in rules_on(line(WORKDAY, SATURDAY, SUNDAY), day)] == [kind]


def test_a_holiday_is_one_at_the_commune_of_the_line() -> None:
    saint_stephen = date(2025, 12, 26)  # a Friday

    assert rules_on(line(DAY, commune="67482"), saint_stephen) == (DAY,)
    assert rules_on(line(DAY, commune="42218"), saint_stephen) == ()


def test_one_seat_is_not_filled_twice_by_two_rules_of_equal_hours() -> None:
    assert rules_on(line(SUNDAY, HOLIDAY), SUNDAY_1_NOVEMBER) == (HOLIDAY,)
    assert rules_on(line(NIGHT, NIGHT), THURSDAY) == (NIGHT,)


def test_slots_come_in_the_order_of_their_starts() -> None:
    found = slots_on(line(NIGHT, DAY), SUNDAY_1_NOVEMBER)

    assert [slot.rule for slot in found] == ["day", "night"]
    assert found[0].span.end == found[1].span.start


def test_a_slot_that_reaches_into_a_window_is_found_whole() -> None:
    (only,) = slots_overlapping(line(NIGHT), span("2026-10-25T07:00", "2026-10-25T08:00"))

    assert only.day == date(2026, 10, 24)
    assert only.span.hours == 15


def test_counting_a_year_counts_its_slots() -> None:
    one = line(NIGHT, DAY)
    within = span("2025-12-31T23:00", "2026-12-31T23:00")

    counted = SlotCounter(one).count(date(2026, 1, 1), date(2027, 1, 1))

    assert counted == sum(slot.day.year == 2026 for slot in slots_overlapping(one, within))
    assert counted == 365 + 52 + 10  # nights, Sundays, holidays but the one on a Sunday


def test_a_slot_that_the_clocks_leave_out_is_not_counted() -> None:
    short = line(ShiftRule(name="short", start=time(2, 10), end=time(2, 50)))

    assert SlotCounter(short).count(date(2026, 3, 28), date(2026, 3, 31)) == 2
