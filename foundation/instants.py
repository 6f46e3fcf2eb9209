"""Instants as rows and hashed texts hold them: whole microseconds since 1970 UTC, exactly, in both directions.

Apart from `foundation.clock`, so that a decision can write an instant down without being able to read the time.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Return whole microseconds since 1970 UTC of an aware instant, exactly.

    Raises
    ------
    TypeError
        If it is naive.
    """
    # The other end is in UTC: two zones are subtracted in UTC, never by the wall clock.
    return (instant - _EPOCH) // _MICROSECOND


def microseconds_or_none(instant: datetime | None) -> int | None:
    """Return the microseconds of an instant that may be missing."""
    return None if instant is None else microseconds(instant)


def instant_of_us(since_1970_us: int) -> datetime:
    """Return the aware UTC instant so many microseconds after 1970, exactly."""
    return _EPOCH + timedelta(microseconds=since_1970_us)


def instant_of_us_or_none(since_1970_us: int | None) -> datetime | None:
    """Return the instant of microseconds that may be missing."""
    return None if since_1970_us is None else instant_of_us(since_1970_us)
