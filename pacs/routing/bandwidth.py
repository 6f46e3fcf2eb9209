"""How many bytes a second go to a destination: one token bucket for everything that is sent there.

For: associations and requests of several threads together. Not for: fairness between them; the queue decides what goes
first.

Invariant: in any span of time no more bytes are let go than the rate times the span and one burst.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Final

from foundation.clock import Clock

BURST_S: Final = 0.25
"""How much may go at once after a pause, in seconds of the rate: little enough that a line never feels more."""

PART_BYTES_MAX: Final = 64 * 1024

PART_BYTES_MIN: Final = 512

Wait = Callable[[float], None]
"""Waits so many seconds; raises when sending is to stop."""


class TokenBucket:
    """Lets bytes go at a rate; shared by threads.

    Parameters
    ----------
    rate_bytes_per_s : float
        More than 0.
    clock : Clock
    """

    def __init__(self, rate_bytes_per_s: float, clock: Clock) -> None:
        self._rate = rate_bytes_per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._burst_bytes = max(rate_bytes_per_s * BURST_S, float(PART_BYTES_MIN))
        self._tokens = self._burst_bytes
        self._at_s = clock.monotonic_s()

    @property
    def part_bytes(self) -> int:
        """How many bytes are asked for at a time: even, and no more than a burst unless the line is very slow."""
        return max(PART_BYTES_MIN, min(PART_BYTES_MAX, int(self._burst_bytes))) & ~1

    def take(self, size_bytes: int) -> float:
        """Book so many bytes; return how many seconds to wait before they may go (0 when they may at once).

        Bytes are booked in the order in which they are asked for, also beyond what there is: whoever asks next waits
        for those before.
        """
        with self._lock:
            now_s = self._clock.monotonic_s()
            self._tokens = min(self._burst_bytes, self._tokens + (now_s - self._at_s) * self._rate)
            self._at_s = now_s
            self._tokens -= size_bytes
            return max(0.0, -self._tokens / self._rate)


class Throttle:
    """Cuts data into parts that go no faster than a destination's bandwidth.

    Parameters
    ----------
    bucket : TokenBucket or None
        None for no limit.
    wait : callable
        Waits; what it raises ends the sending.
    """

    def __init__(self, bucket: TokenBucket | None, wait: Wait) -> None:
        self._bucket = bucket
        self._wait = wait

    @property
    def is_limited(self) -> bool:
        """Say whether there is a limit."""
        return self._bucket is not None

    def parts(self, data: memoryview) -> Iterator[memoryview]:
        """Yield all of `data` in parts of even length (the last may be odd), each when it may go."""
        if self._bucket is None:
            yield data
            return
        size = self._bucket.part_bytes
        for start in range(0, len(data), size):
            part = data[start : start + size]
            wait_s = self._bucket.take(len(part))
            if wait_s > 0:
                self._wait(wait_s)
            yield part

    def all_parts(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        """Yield several pieces (each but the last of even length) in parts, as `parts` does."""
        for piece in pieces:
            yield from self.parts(piece)
