"""Time as a dependency: instants are aware UTC datetimes, durations come from a monotonic counter.

Code that decides by time takes a `Clock`; nothing else in the project reads the system's time.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where instants and durations come from."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""

    def monotonic_s(self) -> float:
        """Return seconds on a counter that never goes back; only differences mean anything."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return seconds on a counter that never goes back."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to; shipped so that users' tests need no sleeping either."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("ManualClock starts at an aware instant; pass tzinfo=UTC")
        self._now = start.astimezone(UTC)
        self._monotonic_s = 0.0

    def now(self) -> datetime:
        """Return the instant set so far, in UTC."""
        return self._now

    def monotonic_s(self) -> float:
        """Return the seconds advanced so far."""
        return self._monotonic_s

    def advance(self, by: timedelta) -> None:
        """Move forward by a positive duration."""
        if by < timedelta(0):
            raise ValueError("a clock does not go back; advance() takes a positive duration")
        self._now += by
        self._monotonic_s += by.total_seconds()
