"""Wall time into UTC: the nights of the domain notes (§1.8), repeated hours, hours left out."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from foundation.errors import PeerError
from oncall.local_time import first_instant, last_instant, local_day, span_of, span_or_none, zone_of

EVENING, MORNING = time(18, 30), time(8, 30)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "start", "end", "hours"),
    [
        ("2026-03-28", "2026-03-28T17:30", "2026-03-29T06:30", 13),
        ("2026-10-24", "2026-10-24T16:30", "2026-10-25T07:30", 15),
        ("2027-03-27", "2027-03-27T17:30", "2027-03-28T06:30", 13),
        ("2027-10-30", "2027-10-30T16:30", "2027-10-31T07:30", 15),
        ("2028-03-25", "2028-03-25T17:30", "2028-03-26T06:30", 13),
        ("2028-10-28", "2028-10-28T16:30", "2028-10-29T07:30", 15),
        ("2026-07-13", "2026-07-13T16:30", "2026-07-14T06:30", 14),
        ("2026-12-24", "2026-12-24T17:30", "2026-12-25T07:30", 14),
    ],
)
def test_a_night_in_paris_has_the_hours_that_pass(day: str, start: str, end: str, hours: int) -> None:
    night = span_of(date.fromisoformat(day), EVENING, MORNING, "Europe/Paris")

    assert (night.start, night.end) == (utc(start), utc(end))
    assert night.hours == hours


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24", "2026-07-13"])
def test_two_nights_in_a_row_leave_ten_hours_of_rest(day: str) -> None:
    first = date.fromisoformat(day)
    one, other = (span_of(first + timedelta(days=n), EVENING, MORNING, "Europe/Paris") for n in (0, 1))

    assert other.start - one.end == timedelta(hours=10)


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("America/Guadeloupe", 14),
        ("America/Martinique", 14),
        ("America/Cayenne", 14),
        ("Indian/Reunion", 14),
        ("Indian/Mayotte", 14),
        ("America/Miquelon", 14),  # its clocks change on 1 November 2026
    ],
)
def test_overseas_the_night_of_the_change_in_paris_is_a_night_like_others(zone: str, hours: int) -> None:
    assert span_of(date(2026, 10, 24), EVENING, MORNING, zone).hours == hours


def test_saint_pierre_has_its_own_nights_of_change() -> None:
    assert span_of(date(2026, 3, 7), EVENING, MORNING, "America/Miquelon").hours == 13
    assert span_of(date(2026, 10, 31), EVENING, MORNING, "America/Miquelon").hours == 15


def test_a_repeated_time_starts_at_its_first_occurrence_and_ends_at_its_last() -> None:
    # On 25 October 2026 the clocks of Paris show 02:30 at 00:30Z and again at 01:30Z.
    ends, begins = (
        span_of(date(2026, 10, day), *at, "Europe/Paris")
        for day, at in [(24, (time(20), time(2, 30))), (25, (time(2, 30), time(8)))]
    )

    assert begins.start == utc("2026-10-25T00:30")
    assert ends.end == utc("2026-10-25T01:30")


def test_a_time_that_never_happens_is_the_instant_of_the_change() -> None:
    # On 29 March 2026 the clocks of Paris go from 02:00 to 03:00 at 01:00Z.
    change = utc("2026-03-29T01:00")

    assert first_instant(date(2026, 3, 29), time(2, 30), "Europe/Paris") == change
    assert last_instant(date(2026, 3, 29), time(2, 30), "Europe/Paris") == change


@pytest.mark.parametrize("at", [time(2), time(2, 0, 1), time(2, 29, 59)])
def test_half_an_hour_can_be_left_out_too(at: time) -> None:
    # Lord Howe goes from 02:00 to 02:30 at 15:30Z of the day before.
    assert first_instant(date(2026, 10, 4), at, "Australia/Lord_Howe") == utc("2026-10-03T15:30")


def test_a_duty_of_which_the_clocks_leave_out_everything_is_none() -> None:
    left_out = (date(2026, 3, 29), time(2, 10), time(2, 50), "Europe/Paris")

    assert span_or_none(*left_out) is None
    with pytest.raises(PeerError, match="leave it out"):
        span_of(*left_out)


def test_a_duty_with_equal_ends_lasts_a_local_day() -> None:
    assert span_of(date(2026, 10, 25), MORNING, MORNING, "Europe/Paris").hours == 24
    assert span_of(date(2026, 3, 29), time(0), time(0), "Europe/Paris").hours == 23
    assert span_of(date(2026, 10, 25), time(0), time(0), "Europe/Paris").hours == 25


def test_the_same_instant_is_of_different_days_in_different_places() -> None:
    instant = utc("2026-12-20T22:00")

    assert local_day(instant, "Indian/Reunion") == date(2026, 12, 21)
    assert local_day(instant, "Europe/Paris") == date(2026, 12, 20)


@pytest.mark.parametrize("name", ["Europe/Pris", "Europe", "", "../etc/passwd", "+01:00"])
def test_a_zone_that_is_none_is_refused_and_named(name: str) -> None:
    with pytest.raises(PeerError, match="no IANA time zone"):
        zone_of(name)
