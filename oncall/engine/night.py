"""What the engine knows: the fold over everything that was committed, caught up before each decision.

For: projections of cases, the night's log, who read what. Not for: deciding, or where events are kept.

Invariant: a `Night` that has applied the same events in the same order is equal, whichever process folded it, and when,
but for what was forgotten as too old for any board.
"""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from oncall.case.event import GENESIS_HASH, CaseId, Event
from oncall.case.state import Case, apply
from oncall.case.vocabulary import EventType
from oncall.engine import duty as duty_log
from oncall.engine.boards import Read
from oncall.engine.duty import Duty
from oncall.engine.ports import Positioned

# A closed case is kept for what may still come to it (an addendum, a late receipt) before its log must be read again.
CLOSED_KEPT: Final = 512


class Night:
    """The engine's memory.

    Attributes
    ----------
    position : int
        Of the last event applied.
    cases : dict
        Projections of the open cases and of the last closed ones.
    duty : Duty
        The night beside its cases.
    """

    def __init__(self) -> None:
        self.position = 0
        self.cases: dict[CaseId, Case] = {}
        self.duty = Duty()
        self._stream_heads: dict[CaseId, tuple[int, str]] = {}
        self.reads: list[Read] = []
        self.ready_times: list[tuple[CaseId, datetime]] = []
        self._closed: deque[CaseId] = deque()
        self._missed: list[CaseId] = []

    def apply(self, positioned: Iterable[Positioned]) -> None:
        """Fold committed events, in order."""
        for position, event in positioned:
            self._apply(event)
            self.position = position

    def stream_head(self, stream: CaseId) -> tuple[int, str]:
        """Return the number and the hash of the last event of a night's log; (0, genesis) when it has none."""
        return self._stream_heads.get(stream, (0, GENESIS_HASH))

    def adopt(self, case: Case) -> None:
        """Take in a case that was closed long ago and is asked about again."""
        self.cases[case.case_id] = case

    def take_missed(self) -> list[CaseId]:
        """Return, once, the cases that were forgotten and are open again: their logs must be read."""
        missed, self._missed = self._missed, []
        return missed

    def forget_before(self, instant: datetime) -> None:
        """Drop what the board of a later night needs no more."""
        before_s = instant.timestamp()
        self.reads = [read for read in self.reads if read.signed_at_s >= before_s]
        self.ready_times = [ready for ready in self.ready_times if ready[1] >= instant]

    def _apply(self, event: Event) -> None:
        case_id = event.case_id
        if duty_log.is_stream(case_id):
            self._stream_heads[case_id] = (event.seq, event.hash)
            self.duty = duty_log.apply(self.duty, event)
            return
        before = self.cases.get(case_id)
        if before is None and event.seq > 1:
            # Closed long ago, and forgotten: whoever asks for it reads its log (`Engine`), which has this event too.
            if event.type == EventType.CASE_REOPENED:
                self._missed.append(case_id)
            return
        if before is not None and before.seq >= event.seq:
            # Adopted from a log that was read later than this event was committed.
            return
        after = apply(before, event)
        self.cases[case_id] = after
        self._note(before, after, event)

    def _note(self, before: Case | None, after: Case, event: Event) -> None:
        if event.type == EventType.IMAGES_COMPLETE and (before is None or before.images.complete_at is None):
            assert after.images.complete_at is not None
            self.ready_times.append((after.case_id, after.images.complete_at))
        if event.type == EventType.REPORT_SIGNED and before is not None and before.reading.claimed_at is not None:
            reader = before.reading.claimed_by
            if reader is not None and after.reading.done_at is not None and before.reading.done_at is None:
                self.reads.append(
                    Read(
                        reader,
                        before.reading.claimed_at.timestamp(),
                        after.reading.done_at.timestamp(),
                        after.identity.patient_key,
                    )
                )
        if not after.is_open and (before is None or before.is_open):
            self._closed.append(after.case_id)
            while len(self._closed) > CLOSED_KEPT:
                gone = self.cases.get(self._closed.popleft())
                if gone is not None and not gone.is_open:
                    del self.cases[gone.case_id]
