"""The instances of one item in the hands of a sender: what is next, and what became of each.

For: what DICOM and STOW-RS senders share. Not for: how they are sent (`pacs.routing.dicom_sender`,
`pacs.routing.stow_sender`), or rows (`pacs.routing.queue`).

Invariants: an instance has arrived only by `arrived`, which a sender calls on the destination's answer for it; every
other one is unsent. What is known is recorded at least every `RECORD_EVERY_S` while instances come through, so that a
process that is killed sends little twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from foundation.clock import Clock
from pacs.contracts import InstanceRef
from pacs.routing.queue import Instance
from pacs.upper_layer.dimse import Priority

RECORD_INSTANCES_MAX: Final = 200
RECORD_EVERY_S: Final = 2.0

LOOK_EVERY_S: Final = 1.0
"""How often it is asked whether something more urgent waits."""

INTERRUPTED: Final = "interrupted"
"""Reason: the association or the request ended before the destination answered for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """What became of instances: which arrived (with their size together), which did not and why."""

    arrived: tuple[Instance, ...]
    arrived_bytes: int
    failed: tuple[tuple[Instance, str], ...]


class Consignment:
    """Gives out instances one by one; for one thread.

    Parameters
    ----------
    refs : sequence of InstanceRef
        In the order in which to read them.
    is_urgent : bool
        Asked for by an emergency: the peer is told so, and nothing goes before it.
    is_careful : bool
        The last attempt brought nothing: instances should not share their fate.
    must_yield : callable
        Says whether sending is to end after the instance in hand: the node stops, the destination was paused, or an
        emergency waits. Asked at most every `LOOK_EVERY_S`.
    record : callable
        Keeps outcomes durably.
    clock : Clock
    """

    def __init__(
        self,
        refs: Sequence[InstanceRef],
        *,
        is_urgent: bool,
        is_careful: bool,
        must_yield: Callable[[], bool],
        record: Callable[[Outcomes], None],
        clock: Clock,
    ) -> None:
        self.refs = tuple(refs)
        self.is_urgent = is_urgent
        self.is_careful = is_careful
        self.has_yielded = False
        self.brought = 0
        self.reason = ""
        self._must_yield = must_yield
        self._record = record
        self._clock = clock
        self._arrived: list[InstanceRef] = []
        self._failed: list[tuple[InstanceRef, str]] = []
        self._recorded_at_s = self._looked_at_s = clock.monotonic_s()

    @property
    def priority(self) -> int:
        """Of each C-STORE (PS3.7 9.1.1.1.5)."""
        return Priority.HIGH if self.is_urgent else Priority.MEDIUM

    def may_go_on(self) -> bool:
        """Say whether the next instance may be begun."""
        if self.has_yielded:
            return False
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_at_s >= LOOK_EVERY_S:
            self._looked_at_s = now_s
            self.has_yielded = self._must_yield()
        return not self.has_yielded

    def arrived(self, ref: InstanceRef) -> None:
        """Take note that the destination has answered that it keeps an instance."""
        self._arrived.append(ref)
        self.brought += 1
        is_much = len(self._arrived) >= RECORD_INSTANCES_MAX
        if is_much or self._clock.monotonic_s() - self._recorded_at_s >= RECORD_EVERY_S:
            self.flush()

    def failed(self, ref: InstanceRef, reason: str) -> None:
        """Take note that an instance did not arrive; `reason` is a constant word."""
        self._failed.append((ref, reason))
        self.reason = self.reason or reason

    def flush(self) -> None:
        """Record what is known and not recorded yet.

        Raises
        ------
        foundation.errors.Unavailable
            It is kept, and recorded by the next call.
        """
        if self._arrived or self._failed:
            self._record(
                Outcomes(
                    arrived=tuple(_key(ref) for ref in self._arrived),
                    arrived_bytes=sum(ref.length_bytes - ref.dataset_offset for ref in self._arrived),
                    failed=tuple((_key(ref), reason) for ref, reason in self._failed),
                )
            )
            self._arrived, self._failed = [], []
        self._recorded_at_s = self._clock.monotonic_s()


class Sender(Protocol):
    """A way to one destination."""

    def send(self, consignment: Consignment) -> None:
        """Send what a consignment has until it may not go on; tell it what became of each instance.

        Raises
        ------
        pacs.scu.errors.PeerUnavailable
            The destination cannot be reached, or went away.
        pacs.scu.pipeline.SendingStopped
            The node ends at once.
        """

    def probe(self) -> None:
        """Ask whether the destination is there, as cheaply as it can be asked.

        Raises
        ------
        pacs.scu.errors.PeerUnavailable
            It is not.
        """


def _key(ref: InstanceRef) -> Instance:
    return ref.series_instance_uid, ref.sop_instance_uid
