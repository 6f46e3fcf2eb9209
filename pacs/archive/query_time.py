"""Dates and times of query keys and of indexed values, as intervals that can be compared.

A date or time with missing components stands for the whole interval that it leaves open: TM ``10`` is the hour from ten
to eleven, DT ``2024`` the year. A key matches when its interval and that of the value overlap, so the same moment
written with another precision is found (PS3.4 C.2.2.2.1.3: matched by meaning, not as literal strings).

Times are integers of microseconds; date-times are counted from 0001-01-01 in UTC. Intervals are half-open.

References
----------
PS3.5 6.2 (VR DA, TM, DT), PS3.4 C.2.2.2.1.3, C.2.2.2.5
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US

_DATE: Final = re.compile(r"(\d{4})(\d\d)(\d\d)")
_TIME: Final = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?")
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?"
)
_OFFSET: Final = re.compile(r"([+-])(\d\d)(\d\d)")
# No clinical date is older: tells '20240101-0500' (an offset) from a range that ends in the year 500.
_YEAR_MIN: Final = 1500
# PS3.5 6.2: offsets from UTC run from -1200 to +1400.
_OFFSET_MINUTES_MIN: Final = -12 * 60
_OFFSET_MINUTES_MAX: Final = 14 * 60


class NotATime(ValueError):
    """The text is not a date, time, date-time or range of them; it is never part of the message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Half-open interval; None is without bound. ``is_range`` says that the key was written as a range."""

    start: int | None
    end: int | None
    is_range: bool

    def overlaps(self, start: int, end: int) -> bool:
        """Say whether this interval and [start, end) have a moment in common."""
        return (self.end is None or start < self.end) and (self.start is None or self.start < end)


@dataclass(frozen=True, kw_only=True, slots=True)
class DateRange:
    """Dates from ``low`` to ``high``, both included, as YYYYMMDD; None is without bound."""

    low: str | None
    high: str | None
    is_range: bool


def date_value(text: str) -> str | None:
    """Return a date as YYYYMMDD, or None when `text` is none; YYYY.MM.DD (before DICOM 3.0) is understood.

    The calendar is asked no further than 31 days in every month: people end ranges with the 31st of February.
    """
    plain = text.replace(".", "") if len(text) == len("YYYY.MM.DD") else text
    match = _DATE.fullmatch(plain)
    if match is None or not ("01" <= match[2] <= "12" and "01" <= match[3] <= "31"):
        return None
    return plain


def parse_date_range(text: str) -> DateRange:
    """Parse a DA key: one date, or a range open at most at one end.

    Raises
    ------
    NotATime
        If it is none, or the range ends before it begins.
    """
    if "-" not in text:
        date = _required_date(text)
        return DateRange(low=date, high=date, is_range=False)
    first, _, last = (part.strip() for part in text.partition("-"))
    if not first and not last:
        raise NotATime("a range without both ends")
    low = _required_date(first) if first else None
    high = _required_date(last) if last else None
    if low is not None and high is not None and high < low:
        raise NotATime("a range of dates that ends before it begins")
    return DateRange(low=low, high=high, is_range=True)


def _required_date(text: str) -> str:
    date = date_value(text)
    if date is None:
        raise NotATime("not a date")
    return date


def time_value(text: str) -> tuple[int, int] | None:
    """Return a TM value as [start, end) in microseconds of the day, or None; HH:MM:SS is understood."""
    match = _TIME.fullmatch(text.replace(":", ""))
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    # 60 is a leap second (PS3.5 6.2).
    if hour > "23" or (minute or "00") > "59" or (second or "00") > "60":
        return None
    start = (int(hour) * 3600 + int(minute or 0) * 60 + int(second or 0)) * SECOND_US
    start += int((fraction or "0").ljust(6, "0"))
    if fraction:
        return start, start + 10 ** (6 - len(fraction))
    precision_s = 1 if second else 60 if minute else 3600
    return start, start + precision_s * SECOND_US


def parse_time_range(text: str) -> Interval:
    """Parse a TM key: one time, or a range open at most at one end, within one day.

    Raises
    ------
    NotATime
        If it is none, or the range crosses midnight (PS3.4 C.2.2.2.5.2 does not support that).
    """
    if "-" not in text:
        start, end = _required_time(text)
        return Interval(start=start, end=end, is_range=False)
    first, _, last = (part.strip() for part in text.partition("-"))
    if not first and not last:
        raise NotATime("a range without both ends")
    low = _required_time(first)[0] if first else None
    high = _required_time(last)[1] if last else None
    if low is not None and high is not None and high <= low:
        raise NotATime("a range of times that ends before it begins")
    return Interval(start=low, end=high, is_range=True)


def _required_time(text: str) -> tuple[int, int]:
    time = time_value(text)
    if time is None:
        raise NotATime("not a time")
    return time


def date_time_value(text: str, zone: tzinfo) -> tuple[int, int] | None:
    """Return a DT value as [start, end) in microseconds since 0001-01-01 UTC, or None.

    Parameters
    ----------
    text : str
        The value, e.g. ``20240229101530.5+0100``; components from the right may be missing.
    zone : tzinfo
        Where a value without an offset was written.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    *components, fraction, offset = match.groups()
    year, month, day, hour, minute, second = (int(part) if part else None for part in components)
    if offset is not None:
        explicit = parse_offset(offset)
        if explicit is None:
            return None
        zone = explicit
    try:
        # A leap second is the last one of its minute for us: datetime knows no second 60.
        moment = datetime(
            year or 0, month or 1, day or 1, hour or 0, minute or 0, min(second or 0, 59), tzinfo=zone
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    start = (moment - datetime.min.replace(tzinfo=UTC)) // timedelta(microseconds=1)
    start += int((fraction or "0").ljust(6, "0"))
    if fraction:
        return start, start + 10 ** (6 - len(fraction))
    return start, start + _precision_us(year or 1, month, day, hour, minute, second)


def _precision_us(
    year: int, month: int | None, day: int | None, hour: int | None, minute: int | None, second: int | None
) -> int:
    if month is None:
        return (366 if calendar.isleap(year) else 365) * DAY_US
    if day is None:
        return calendar.monthrange(year, month)[1] * DAY_US
    if hour is None:
        return DAY_US
    return (1 if second is not None else 60 if minute is not None else 3600) * SECOND_US


def parse_offset(text: str) -> timezone | None:
    """Return an offset from UTC written ``+HHMM`` or ``-HHMM`` (0008,0201), or None when it is none."""
    match = _OFFSET.fullmatch(text)
    if match is None or match[3] > "59":
        return None
    minutes = (int(match[2]) * 60 + int(match[3])) * (-1 if match[1] == "-" else 1)
    if not _OFFSET_MINUTES_MIN <= minutes <= _OFFSET_MINUTES_MAX:
        return None
    return timezone(timedelta(minutes=minutes))


def parse_date_time_range(text: str, zone: tzinfo) -> Interval:
    """Parse a DT key: one moment, or a range open at most at one end.

    A hyphen may separate a range or begin an offset; what reads as a range is one (PS3.4 C.2.2.2.1.3, note 3).

    Raises
    ------
    NotATime
        If it is none of these.
    """
    for position in (index for index, character in enumerate(text) if character == "-"):
        interval = _date_time_range(text[:position].strip(), text[position + 1 :].strip(), zone)
        if interval is not None:
            return interval
    single = date_time_value(text, zone)
    if single is None:
        raise NotATime("not a date-time or a range of date-times")
    return Interval(start=single[0], end=single[1], is_range=False)


def _date_time_range(first: str, last: str, zone: tzinfo) -> Interval | None:
    if not first and not last:
        return None
    low = high = None
    if first:
        value = date_time_value(first, zone)
        if value is None or int(first[:4]) < _YEAR_MIN:
            return None
        low = value[0]
    if last:
        value = date_time_value(last, zone)
        if value is None or int(last[:4]) < _YEAR_MIN:
            return None
        high = value[1]
    if low is not None and high is not None and high <= low:
        return None
    return Interval(start=low, end=high, is_range=True)


def shift_date_time(date: str, time: str, source: tzinfo, target: tzinfo) -> tuple[str, str] | None:
    """Return a DA and TM pair as a clock in `target` shows it, keeping the precision of the time; None when it cannot.

    A date without a time cannot be moved to another zone.
    """
    plain_date, plain_time = date_value(date), time.replace(":", "")
    if plain_date is None or time_value(plain_time) is None:
        return None
    whole = plain_time[:6].ljust(6, "0")
    try:
        moment = datetime.strptime(plain_date + whole, "%Y%m%d%H%M%S").replace(tzinfo=source).astimezone(target)
    except (ValueError, OverflowError):
        return None
    shifted = f"{moment.year:04d}{moment:%m%d%H%M%S}"
    # An offset of half an hour needs minutes to be told, whatever the precision was.
    digits = max(len(plain_time[:6]), 4)
    return shifted[:8], shifted[8 : 8 + digits] + plain_time[6:]
