"""Local wall time into UTC spans: the one place where a time zone and its clock changes are looked at.

A wall time that happens twice (autumn) starts at its first occurrence and ends at its last; one that never happens
(spring) is the instant of the clock change. So two duties that share a wall time overlap for the repeated hour and
never leave a gap (GoAlert's FirstOfDay and LastOfDay). Not here: which days have which duty (`oncall.rota.slots`).

Source: PEP 495 (fold), IANA time zone database through `zoneinfo`.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from foundation.errors import PeerError
from oncall.spans import Span

_SECOND = timedelta(seconds=1)


def zone_of(name: str) -> ZoneInfo:
    """Return the IANA zone of that name.

    Raises
    ------
    PeerError
        If there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as missing:  # OSError: the name of a directory of zones
        message = f"{name!r} is no IANA time zone; write one such as Europe/Paris"
        raise PeerError(message) from missing


def first_instant(day: date, at: time, zone: str) -> datetime:
    """Return, in UTC, when the clocks of `zone` first show `at` on `day`; the clock change if they never do."""
    return _instant(day, at, zone, fold=0)


def last_instant(day: date, at: time, zone: str) -> datetime:
    """Return, in UTC, when the clocks of `zone` last show `at` on `day`; the clock change if they never do."""
    return _instant(day, at, zone, fold=1)


def span_or_none(day: date, start: time, end: time, zone: str) -> Span | None:
    """Return what `span_of` returns, or None when both ends fall into the hour that a clock change leaves out."""
    end_day = day if end > start else day + timedelta(days=1)
    starts_at, ends_at = first_instant(day, start, zone), last_instant(end_day, end, zone)
    return Span(start=starts_at, end=ends_at) if starts_at < ends_at else None


def span_of(day: date, start: time, end: time, zone: str) -> Span:
    """Return the span from wall time `start` on `day` to wall time `end`, of the next day when it is not later.

    Raises
    ------
    PeerError
        If the zone is unknown, or the whole of the span is left out by a clock change (02:10 to 02:50 in spring).
    """
    span = span_or_none(day, start, end, zone)
    if span is None:
        message = f"{start} to {end} does not happen on {day} in {zone}: the clocks leave it out; choose other times"
        raise PeerError(message)
    return span


def local_day(instant: datetime, zone: str) -> date:
    """Return the calendar day that `zone` has at an aware instant."""
    return instant.astimezone(zone_of(zone)).date()


def _instant(day: date, at: time, zone: str, *, fold: int) -> datetime:
    tz = zone_of(zone)
    wall = datetime.combine(day, at.replace(tzinfo=None))
    before, after = (wall.replace(tzinfo=tz, fold=side).astimezone(UTC) for side in (0, 1))
    if before <= after:
        return after if fold else before
    # The wall time does not exist: PEP 495 then answers with the offsets of before and after the change, crosswise.
    return _clock_change(after, before, tz)


def _clock_change(low: datetime, high: datetime, tz: ZoneInfo) -> datetime:
    """Return the first instant after `low`, by whole seconds, with another UTC offset; there is one up to `high`."""
    offset = low.astimezone(tz).utcoffset()
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0) if middle.replace(microsecond=0) > low else middle
        if middle.astimezone(tz).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
