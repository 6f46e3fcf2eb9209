"""Watch the pace of a sender: slow on purpose, or stalled by Nagle's algorithm.

A peer that sends one byte now and then would hold an association for ever: a message in progress must bring
`PROGRESS_BYTES_MIN` in every idle period, and a command set must be whole within one. A peer with Nagle's algorithm on
that meets a delayed acknowledgement waits about 40 ms on every image: that is worth a line in the log, because its
operator can mend it.

References
----------
RFC 896; RFC 1122 4.2.3.2 (delayed acknowledgement: at most 500 ms; Linux begins with 40 ms)
"""

import time
from collections.abc import Callable
from typing import Final

# The slowest line worth waiting for: 64 KiB in an idle period of a minute is 9 kbit/s.
PROGRESS_BYTES_MIN: Final = 65_536
# Linux delays an acknowledgement by 40 ms; scheduling adds a little on either side.
STALL_S_MIN: Final = 0.025
STALL_S_MAX: Final = 0.090
# Fewer messages than this prove nothing.
MESSAGES_MIN: Final = 20


class StallWatch:
    """Paces one association.

    Parameters
    ----------
    period_s : float
        In which a message in progress must make progress.
    monotonic_s : callable
        The clock.
    """

    def __init__(self, period_s: float, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._monotonic_s = monotonic_s
        self._is_inside = False
        self._window_began_s = 0.0
        self._window_bytes = 0
        self._last_s = 0.0
        self._longest_gap_s = 0.0
        self._messages = 0
        self._stalls = 0
        self._stalled_s = 0.0
        self._barren_since_s: float | None = None

    def begin_message(self) -> None:
        """A data set begins."""
        self._is_inside = True
        self._window_began_s = self._last_s = self._monotonic_s()
        self._window_bytes = 0
        self._longest_gap_s = 0.0

    def end_message(self) -> None:
        """The data set is complete."""
        self._is_inside = False
        self._messages += 1
        if STALL_S_MIN <= self._longest_gap_s <= STALL_S_MAX:
            self._stalls += 1
            self._stalled_s += self._longest_gap_s

    def is_too_slow(self, received_bytes: int) -> bool:
        """Note a read; say whether the message in progress has stopped making progress."""
        if not self._is_inside:
            return False
        now_s = self._monotonic_s()
        gap_s = now_s - self._last_s
        if gap_s > self._longest_gap_s:
            self._longest_gap_s = gap_s
        self._last_s = now_s
        self._window_bytes += received_bytes
        if now_s - self._window_began_s < self._period_s:
            return False
        is_too_slow = self._window_bytes < PROGRESS_BYTES_MIN
        self._window_began_s = now_s
        self._window_bytes = 0
        return is_too_slow

    def is_stuck(self, is_fruitful: bool) -> bool:
        """Note whether a read completed anything; say whether a part of a command set or header is all for too long."""
        if is_fruitful:
            self._barren_since_s = None
            return False
        now_s = self._monotonic_s()
        if self._barren_since_s is None:
            self._barren_since_s = now_s
        return now_s - self._barren_since_s >= self._period_s

    def typical_stall_ms(self) -> float | None:
        """Return the mean stall when most messages stalled; None when there is nothing to say."""
        if self._messages < MESSAGES_MIN or self._stalls * 2 < self._messages:
            return None
        return self._stalled_s / self._stalls * 1000
