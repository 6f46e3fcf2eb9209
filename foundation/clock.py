"""Time as a dependency: instants are aware UTC datetimes, durations come from a monotonic counter.

Code that decides by time takes a `Clock`; nothing else in the project reads the system's time.
"""

import time
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final, Protocol

from foundation import log

SET_BACK_NOTED: Final = timedelta(seconds=1)
"""How far a machine's clock is set back before it is said; smaller steps are the everyday of NTP."""

SET_BACK_BRIDGED_MAX: Final = timedelta(hours=2)
"""How far a machine's clock may be set back without taking a `SteadyClock` along: an hour of summer time set by hand,
and more. What is further off was nobody's time, and is left at once."""

SLOWER: Final = 0.05
"""By how much a `SteadyClock` that is ahead of its machine's runs slower: two minutes take six seconds more."""


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


class SteadyClock:
    """The machine's clock, but it never goes back: what waits two minutes waits no hour more when somebody sets it.

    Set forward, it follows at once. Set back, it goes on from where it was, `SLOWER`, until the machine's has caught up
    with it; set back by more than `SET_BACK_BRIDGED_MAX`, it follows, because the time before was nobody's. Both are
    logged. Threads may share it.

    Parameters
    ----------
    machine : Clock
        What may be set.
    not_before : datetime, optional
        The last instant that a life before this one wrote down (aware, UTC): where to go on from.
    """

    def __init__(self, machine: Clock, *, not_before: datetime | None = None) -> None:
        self._machine = machine
        self._lock = Lock()
        self._machine_was = machine.now()
        self._monotonic_was_s = machine.monotonic_s()
        self._was = self._machine_was
        if not_before is not None and self._machine_was < not_before:
            self._set_back(not_before - self._machine_was, not_before)

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC; never before one that was returned, but for a step back that
        is too far to be bridged.
        """
        with self._lock:
            machine, monotonic_s = self._machine.now(), self._machine.monotonic_s()
            passed = timedelta(seconds=monotonic_s - self._monotonic_was_s)
            stepped_back = self._machine_was + passed - machine
            steady = self._was + passed * (1.0 - SLOWER)
            self._machine_was, self._monotonic_was_s = machine, monotonic_s
            if machine >= steady:
                self._was = machine
            elif stepped_back > SET_BACK_NOTED or steady - machine > SET_BACK_BRIDGED_MAX:
                self._set_back(stepped_back, steady)
            else:
                self._was = steady
            return self._was

    def monotonic_s(self) -> float:
        """Return seconds on the machine's counter that never goes back."""
        return self._machine.monotonic_s()

    def _set_back(self, by: timedelta, steady: datetime) -> None:
        is_bridged = steady - self._machine_was <= SET_BACK_BRIDGED_MAX
        self._was = steady if is_bridged else self._machine_was
        log.error("clock_set_back", seconds=by.total_seconds(), result="bridged" if is_bridged else "followed")


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

    def set(self, to: datetime) -> None:
        """Set what it shows, as somebody sets a machine's clock: no time passes."""
        self._now = to.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Move forward by a positive duration."""
        if by < timedelta(0):
            raise ValueError("a clock does not go back; advance() takes a positive duration")
        self._now += by
        self._monotonic_s += by.total_seconds()
