"""Dates and times of keys: precision, ranges, offsets, and what is none."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pacs.archive.query_time import (
    DAY_US,
    SECOND_US,
    NotATime,
    date_time_value,
    date_value,
    parse_date_range,
    parse_date_time_range,
    parse_offset,
    parse_time_range,
    shift_date_time,
    time_value,
)

HOUR_US = 3600 * SECOND_US


def _us(*moment: int) -> int:
    return (datetime(*moment, tzinfo=UTC) - datetime.min.replace(tzinfo=UTC)) // timedelta(microseconds=1)  # type: ignore[misc,arg-type]  # year, month, day, ...


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("20240229", "20240229"),
        ("2024.02.29", "20240229"),
        ("20240231", "20240231"),
        ("20241301", None),
        ("20240100", None),
        ("2024", None),
        ("", None),
        ("abcdefgh", None),
    ],
)
def test_a_date_has_eight_digits_or_the_old_dots(text: str, date: str | None) -> None:
    assert date_value(text) == date


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("20240101-20240131", "20240101", "20240131"),
        ("20240101 - 20240131", "20240101", "20240131"),
        ("20240101-", "20240101", None),
        ("-20240131", None, "20240131"),
        ("20240101", "20240101", "20240101"),
    ],
)
def test_ranges_of_dates_are_read(text: str, low: str | None, high: str | None) -> None:
    dates = parse_date_range(text)
    assert (dates.low, dates.high) == (low, high)


@pytest.mark.parametrize("text", ["-", "20240131-20240101", "2024-2025", "20240101-x", "*", "20240101--20240102"])
def test_what_is_no_range_of_dates_is_refused(text: str) -> None:
    with pytest.raises(NotATime):
        parse_date_range(text)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("10", 10 * HOUR_US, 11 * HOUR_US),
        ("1030", 10 * HOUR_US + 1800 * SECOND_US, 10 * HOUR_US + 1860 * SECOND_US),
        ("10:30:15", 10 * HOUR_US + 1815 * SECOND_US, 10 * HOUR_US + 1816 * SECOND_US),
        ("000000.5", 500_000, 600_000),
        ("000000.000001", 1, 2),
        ("235960", DAY_US, DAY_US + SECOND_US),
    ],
)
def test_a_time_stands_for_the_interval_it_leaves_open(text: str, start: int, end: int) -> None:
    assert time_value(text) == (start, end)


@pytest.mark.parametrize("text", ["24", "1060", "101061", "1", "", "10.5", "101010.1234567", "noon"])
def test_what_is_no_time_has_no_value(text: str) -> None:
    assert time_value(text) is None


@pytest.mark.parametrize("text", ["-", "11-10", "2200-0600", "x-", "-x"])
def test_what_is_no_range_of_times_is_refused(text: str) -> None:
    with pytest.raises(NotATime):
        parse_time_range(text)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", _us(2024, 1, 1), _us(2025, 1, 1)),
        ("202402", _us(2024, 2, 1), _us(2024, 3, 1)),
        ("202412", _us(2024, 12, 1), _us(2025, 1, 1)),
        ("99991231", _us(9999, 12, 31), _us(9999, 12, 31) + DAY_US),
        ("20240229", _us(2024, 2, 29), _us(2024, 3, 1)),
        ("2024022910", _us(2024, 2, 29, 10), _us(2024, 2, 29, 11)),
        ("20240229101530+0100", _us(2024, 2, 29, 9, 15, 30), _us(2024, 2, 29, 9, 15, 31)),
        ("20240229101530.25-0500", _us(2024, 2, 29, 15, 15, 30) + 250_000, _us(2024, 2, 29, 15, 15, 30) + 260_000),
    ],
)
def test_a_date_time_is_an_interval_in_utc(text: str, start: int, end: int) -> None:
    assert date_time_value(text, UTC) == (start, end)


def test_a_date_time_without_an_offset_is_in_the_given_zone() -> None:
    zone = timezone(timedelta(hours=-3))
    assert date_time_value("19980128073000", zone) == date_time_value("19980128103000", UTC)


@pytest.mark.parametrize("text", ["20240230", "20240229101530+2500", "0000", "202", "today"])
def test_what_is_no_date_time_has_no_value(text: str) -> None:
    assert date_time_value(text, UTC) is None


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2023-2024", _us(2023, 1, 1), _us(2025, 1, 1)),
        ("20240101-", _us(2024, 1, 1), None),
        ("-20240101", None, _us(2024, 1, 2)),
        # A hyphen that cannot separate a range begins an offset.
        ("20240101-0500", _us(2024, 1, 1, 5), _us(2024, 1, 2, 5)),
        ("20240101000000-0500-20240102000000-0500", _us(2024, 1, 1, 5), _us(2024, 1, 2, 5, 0, 1)),
        ("20240101000000-0500-", _us(2024, 1, 1, 5), None),
    ],
)
def test_a_hyphen_separates_a_range_or_begins_an_offset(text: str, start: int | None, end: int | None) -> None:
    interval = parse_date_time_range(text, UTC)
    assert (interval.start, interval.end) == (start, end)


@pytest.mark.parametrize("text", ["-", "2024-2023", "x", "--"])
def test_what_is_no_range_of_date_times_is_refused(text: str) -> None:
    with pytest.raises(NotATime):
        parse_date_time_range(text, UTC)


@pytest.mark.parametrize(("text", "minutes"), [("+0100", 60), ("-0330", -210), ("+1400", 840), ("+0000", 0)])
def test_offsets_are_read(text: str, minutes: int) -> None:
    assert parse_offset(text) == timezone(timedelta(minutes=minutes))


@pytest.mark.parametrize("text", ["0100", "+1500", "-1300", "+0160", "+1", ""])
def test_what_is_no_offset_is_none(text: str) -> None:
    assert parse_offset(text) is None


def test_moving_to_another_zone_can_change_the_date_and_keeps_the_precision() -> None:
    paris, kolkata = timezone(timedelta(hours=1)), timezone(timedelta(hours=5, minutes=30))
    assert shift_date_time("20240101", "0030", paris, UTC) == ("20231231", "2330")
    assert shift_date_time("20231231", "223015.25", UTC, paris) == ("20231231", "233015.25")
    assert shift_date_time("20231231", "20", UTC, kolkata) == ("20240101", "0130")
    assert shift_date_time("20231231", "", UTC, paris) is None
    assert shift_date_time("20240231", "1200", UTC, paris) is None
