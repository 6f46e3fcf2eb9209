"""Hours of the week by the wall clock: past midnight, by day, and on the two nights on which clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.routing.hours import ALWAYS, Hours, NotHours, Weekday, parse_hours

PARIS = ZoneInfo("Europe/Paris")
NIGHT = parse_hours("18:00-08:00")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "is_in"),
    [
        ("2026-07-16T15:59", False),
        ("2026-07-16T16:00", True),
        ("2026-07-17T05:59", True),
        ("2026-07-17T06:00", False),
        ("2026-01-16T16:30", False),
        ("2026-01-16T17:00", True),
    ],
    ids=["before", "first minute", "last minute", "end is out", "winter before", "winter first"],
)
def test_a_window_past_midnight_follows_the_wall_clock_in_summer_and_winter(instant: str, is_in: bool) -> None:
    assert NIGHT.contains(utc(instant), PARIS) is is_in


def test_a_night_belongs_to_the_day_on_which_it_began() -> None:
    friday = parse_hours("22:00-06:00", frozenset({Weekday.FRIDAY}))

    # 17 July 2026 is a Friday.
    assert friday.contains(utc("2026-07-17T21:00"), PARIS)
    assert friday.contains(utc("2026-07-18T03:59"), PARIS)
    assert not friday.contains(utc("2026-07-18T21:00"), PARIS)
    assert not friday.contains(utc("2026-07-17T03:00"), PARIS)


def test_both_hours_that_october_gives_twice_are_in_the_same_windows() -> None:
    at_half_past_two = parse_hours("02:00-03:00")

    # 02:30 in summer time and, an hour later, 02:30 in winter time.
    assert at_half_past_two.contains(utc("2026-10-25T00:30"), PARIS)
    assert at_half_past_two.contains(utc("2026-10-25T01:30"), PARIS)
    assert not at_half_past_two.contains(utc("2026-10-25T02:30"), PARIS)


def test_the_hour_that_march_leaves_out_is_in_no_window() -> None:
    missing = parse_hours("02:00-03:00")
    night = utc("2026-03-29T00:00")

    assert not any(missing.contains(night + timedelta(minutes=minute), PARIS) for minute in range(180))


@pytest.mark.parametrize("text", ["8:00-18:00", "25:00-08:00", "18:60-08:00", "18:00", "18:00-", "24:00-08:00", "a"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(NotHours):
        parse_hours(text)


def test_a_window_may_end_at_midnight() -> None:
    evening = parse_hours("18:00-24:00")

    assert evening.contains(utc("2026-07-16T21:59"), PARIS)
    assert not evening.contains(utc("2026-07-16T22:00"), PARIS)


@given(
    minute=st.integers(0, 366 * 24 * 60),
    begin=st.integers(0, 1439),
    end=st.integers(0, 1439),
    days=st.sets(st.sampled_from(list(Weekday)), min_size=1),
)
def test_of_a_window_and_its_complement_every_instant_is_in_one(
    minute: int, begin: int, end: int, days: set[Weekday]
) -> None:
    instant = utc("2026-01-01T00:00") + timedelta(minutes=minute)
    window = Hours(begin_min=begin, end_min=end)
    others = Hours(begin_min=end, end_min=begin)

    if begin != end:
        assert window.contains(instant, PARIS) is not others.contains(instant, PARIS)
    assert ALWAYS.contains(instant, PARIS)
    # A window of some days is never more than that of all days.
    assert window.contains(instant, PARIS) or not Hours(days=frozenset(days), begin_min=begin, end_min=end).contains(
        instant, PARIS
    )
