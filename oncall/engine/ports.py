"""What the engine asks of a place that keeps its state: one atomic commit, and what was committed since.

For: `Changes` (everything that one decision does), the port `Store` and its version in memory. Not for: the version in
a database (`oncall.engine.sql_store`), or what is decided.

Invariants
----------
* A commit is all or nothing: events, timers, messages and links of one decision, or none of them.
* A decision is committed only if nothing else was committed since the state that it was made on (`HeadMoved`): the
  decisions of all workers are one sequence, and each saw everything before it.
* A due timer is consumed by the commit of its effect, by the worker that holds its lease (`TimerNotHeld`).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from foundation.errors import TelegardeError
from foundation.outbox import OutboxEvent
from oncall.case.event import CaseId, Event
from oncall.case.regions import StudyKey
from oncall.case.state import Case
from oncall.case.unclaimed import KEPT_FOR, SHOWN_MAX, UnclaimedStudy
from oncall.delivery.model import Delivery
from oncall.engine.duty import CALLS
from oncall.messages import Message, Messages, News
from oncall.report.version import SignedVersion
from oncall.rota.swaps import SwapRequest
from oncall.second_reading.learning import Lesson
from oncall.timers import LEASED_AT_ONCE_MAX, MemoryTimers, Timer, TimerNotHeld

__all__ = [
    "Changes",
    "Cursor",
    "HeadMoved",
    "MemoryStore",
    "Positioned",
    "Store",
    "StudyKey",
    "SwapChange",
    "TimerNotHeld",
]


class HeadMoved(TelegardeError):
    """Somebody else committed meanwhile; decide again on the new state."""


class Positioned(NamedTuple):
    """An event and its place in the order in which events of all cases were recorded."""

    position: int
    event: Event


class Cursor(NamedTuple):
    """How far a consumer of ordered facts has come: after `before` and up to `after` with this decision."""

    consumer: str
    before: int
    after: int


class SwapChange(NamedTuple):
    """A swap request as a decision leaves it, and as the decision saw it."""

    request: SwapRequest
    before: SwapRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Everything that one decision does, in one commit.

    ``events`` are chained already, ``cases`` are as they leave them. Timers are taken (they were due, and leased), then
    cancelled by key, then set. ``messages`` are queued, then what is queued of ``cancelled_chains`` is taken back.
    ``cursors`` say what was consumed with this decision. ``unclaimed_seen`` are studies without a case as the decision
    saw them, ``unclaimed_kept`` as it leaves them; those that a case takes are kept no longer. ``signed_versions`` end
    their signers' drafts, ``deliveries`` are queued, ``lessons`` are added to the learning log.
    """

    events: tuple[Event, ...] = ()
    cases: tuple[Case, ...] = ()
    timers_taken: tuple[Timer, ...] = ()
    timers_cancelled: tuple[str, ...] = ()
    timers_set: tuple[Timer, ...] = ()
    cancelled_chains: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    cursors: tuple["Cursor", ...] = ()
    swaps: tuple[SwapChange, ...] = ()
    unclaimed_seen: tuple[UnclaimedStudy, ...] = ()
    unclaimed_kept: tuple[UnclaimedStudy, ...] = ()
    signed_versions: tuple[SignedVersion, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    lessons: tuple[Lesson, ...] = ()


class Store(Protocol):
    """Where the engine's state is kept."""

    def events_after(self, position: int) -> Sequence[Positioned]:
        """Return what was committed after `position`, oldest first (all of it, in one stable view)."""

    def events_since(self, opened_at: datetime, *, calls_since: datetime) -> Sequence[Positioned]:
        """Return every event of the cases that are open or were opened since then, and of the nights, oldest first.

        ``calls_since`` is from when on calls of backups (`oncall.engine.duty.CALLS`) are wanted, whatever else is old.
        """

    def head(self) -> int:
        """Return the position of the last event; 0 when there is none."""

    def commit(self, changes: Changes, *, head: int, worker: str, now: datetime) -> Sequence[Positioned]:
        """Do it all or nothing; return the events with their positions.

        Parameters
        ----------
        head : int
            Position of the last event that the decision has seen.

        Raises
        ------
        HeadMoved
            If events were committed after `head`, or a cursor, a swap request or an unclaimed study is not as the
            decision saw it.
        TimerNotHeld
            If a timer to be taken is no longer leased by `worker`.
        foundation.errors.Refused
            If a version is signed by a key that was revoked.
        foundation.errors.Unavailable
            If the database does not answer.
        """

    def versions_of(self, case_id: CaseId) -> tuple[SignedVersion, ...]:
        """Return the signed versions of a case's report, the first one first."""

    def events_of(self, case_id: CaseId) -> Sequence[Event]:
        """Return the whole log of one case, or of one night."""

    def cursor(self, consumer: str) -> int:
        """Return how far a consumer has come; 0 at the beginning."""

    def stated_after(self, position: int, topics: Sequence[str]) -> Sequence[OutboxEvent]:
        """Return what the archive stated after `position`, oldest first, at most a read's worth."""

    def studies_of_uid(self, study_instance_uid: str) -> Sequence[tuple[StudyKey, CaseId]]:
        """Return every link of a Study Instance UID, whichever issuer."""

    def news_after(self, position: int) -> Sequence[News]:
        """Return what became of messages after `position`, oldest first, at most a read's worth."""

    def unsettled_swaps(self) -> Sequence[SwapRequest]:
        """Return the swap requests that are open or taken, the first to begin first."""

    def lease_due(self, now: datetime, *, worker: str, limit: int = LEASED_AT_ONCE_MAX) -> tuple[Timer, ...]:
        """Lease due timers to `worker`, earliest first."""

    def find_timer(self, timer_key: str) -> Timer | None:
        """Return a timer, leased or not."""

    def timers_of(self, case_id: CaseId) -> tuple[Timer, ...]:
        """Return the timers of a case, earliest first."""

    def timers_of_kind(self, kind: str) -> tuple[Timer, ...]:
        """Return the timers of one kind, earliest first."""

    def lessons(self) -> Sequence[Lesson]:
        """Return the learning log, newest month first."""

    def next_due_at(self) -> datetime | None:
        """Return when the earliest timer is due; None when there is none."""

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        """Return which case a study belongs to now."""

    def unclaimed_since(self, last_at: datetime, *, limit: int = SHOWN_MAX) -> Sequence[UnclaimedStudy]:
        """Return the studies without a case whose last image came at `last_at` or later, newest first."""

    def unclaimed_of_uid(self, study_instance_uid: str) -> Sequence[UnclaimedStudy]:
        """Return the studies without a case that have this Study Instance UID, whichever issuer."""

    def queue(self) -> AbstractContextManager[Messages]:
        """Return the message queue in a transaction of its own: for senders, receipts and answers."""


class MemoryStore:
    """State in one process, for simulated nights and tests: the same contract, and nothing outlives it.

    Parameters
    ----------
    messages : Messages
        The queue that messages go into.
    """

    def __init__(self, messages: Messages) -> None:
        self.timers = MemoryTimers()
        self.messages = messages
        self.log: list[Positioned] = []
        self.stated: list[OutboxEvent] = []
        self.swaps: dict[str, SwapRequest] = {}
        self._cursors: dict[str, int] = {}
        self._cases: dict[CaseId, Case] = {}
        self._links: dict[StudyKey, CaseId] = {}
        self._unclaimed: dict[StudyKey, UnclaimedStudy] = {}
        self.deliveries: dict[str, Delivery] = {}
        self._lessons: list[Lesson] = []
        self._versions: dict[CaseId, tuple[SignedVersion, ...]] = {}

    def events_after(self, position: int) -> Sequence[Positioned]:
        return self.log[position:]

    def events_since(self, opened_at: datetime, *, calls_since: datetime) -> Sequence[Positioned]:
        wanted = {case.case_id for case in self._cases.values() if case.is_open or case.opened_at >= opened_at}
        return [
            positioned
            for positioned in self.log
            if positioned.event.case_id in wanted
            or (
                positioned.event.case_id not in self._cases
                and positioned.event.recorded_at >= (calls_since if positioned.event.type in CALLS else opened_at)
            )
        ]

    def head(self) -> int:
        return len(self.log)

    def commit(self, changes: Changes, *, head: int, worker: str, now: datetime) -> Sequence[Positioned]:
        if head != len(self.log):
            raise HeadMoved("another decision was committed meanwhile; decide again")
        if any(self.cursor(cursor.consumer) != cursor.before for cursor in changes.cursors):
            raise HeadMoved("another worker has consumed this; decide again")
        if any(self.swaps[change.request.swap_id] != change.before for change in changes.swaps):
            raise HeadMoved("somebody else has changed this swap request; decide again")
        if any(self._unclaimed.get(seen.study) != seen for seen in changes.unclaimed_seen):
            raise HeadMoved("an unclaimed study has changed meanwhile; decide again")
        for timer in changes.timers_taken:
            self.timers.check(timer, worker=worker)
        for timer in changes.timers_taken:
            self.timers.take(timer, worker=worker)
        for key in changes.timers_cancelled:
            self.timers.cancel(key)
        for timer in changes.timers_set:
            self.timers.put(timer)
        added = [Positioned(head + number, event) for number, event in enumerate(changes.events, start=1)]
        self.log += added
        self._keep_unclaimed(changes.unclaimed_kept, now)
        for case in changes.cases:
            self._keep_case(case)
        self._cursors.update((cursor.consumer, cursor.after) for cursor in changes.cursors)
        self.swaps.update((change.request.swap_id, change.request) for change in changes.swaps)
        for message in changes.messages:
            self.messages.enqueue(message, now)
        for chain_id in changes.cancelled_chains:
            self.messages.cancel_chain(chain_id, now)
        for signed in changes.signed_versions:
            case_id = signed.version.case_id
            self._versions[case_id] = (*self.versions_of(case_id), signed)
        self._lessons += changes.lessons
        self.deliveries.update((delivery.delivery_id, delivery) for delivery in changes.deliveries)
        return added

    def versions_of(self, case_id: CaseId) -> tuple[SignedVersion, ...]:
        return self._versions.get(case_id, ())

    def _keep_case(self, case: Case) -> None:
        before = self._cases.get(case.case_id)
        self._cases[case.case_id] = case
        for study in () if before is None else before.images.studies:
            if study not in case.images.studies and self._links.get(study) == case.case_id:
                del self._links[study]
        for study in case.images.studies:
            self._links[study] = case.case_id
            self._unclaimed.pop(study, None)

    def _keep_unclaimed(self, kept: Sequence[UnclaimedStudy], now: datetime) -> None:
        if not kept:
            return
        self._unclaimed.update((one.study, one) for one in kept)
        fresh = {study: one for study, one in self._unclaimed.items() if one.last_at >= now - KEPT_FOR}
        self._unclaimed = fresh

    def events_of(self, case_id: CaseId) -> Sequence[Event]:
        return [event for _, event in self.log if event.case_id == case_id]

    def cursor(self, consumer: str) -> int:
        return self._cursors.get(consumer, 0)

    def stated_after(self, position: int, topics: Sequence[str]) -> Sequence[OutboxEvent]:
        return [event for event in self.stated if event.event_id > position and event.topic in topics]

    def studies_of_uid(self, study_instance_uid: str) -> Sequence[tuple[StudyKey, CaseId]]:
        return [(study, one) for study, one in self._links.items() if study.study_instance_uid == study_instance_uid]

    def news_after(self, position: int) -> Sequence[News]:
        return self.messages.news_after(position)

    def unsettled_swaps(self) -> Sequence[SwapRequest]:
        unsettled = [request for request in self.swaps.values() if not request.is_over]
        return sorted(unsettled, key=lambda one: (one.starts_at, one.swap_id))

    def lease_due(self, now: datetime, *, worker: str, limit: int = LEASED_AT_ONCE_MAX) -> tuple[Timer, ...]:
        return self.timers.lease_due(now, worker=worker, limit=limit)

    def find_timer(self, timer_key: str) -> Timer | None:
        return self.timers.find(timer_key)

    def timers_of(self, case_id: CaseId) -> tuple[Timer, ...]:
        return self.timers.of_case(case_id)

    def timers_of_kind(self, kind: str) -> tuple[Timer, ...]:
        return self.timers.of_kind(kind)

    def lessons(self) -> Sequence[Lesson]:
        return sorted(self._lessons, key=lambda one: one.period, reverse=True)

    def next_due_at(self) -> datetime | None:
        return self.timers.next_due_at()

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        return self._links.get(study)

    def unclaimed_since(self, last_at: datetime, *, limit: int = SHOWN_MAX) -> Sequence[UnclaimedStudy]:
        found = [one for one in self._unclaimed.values() if one.last_at >= last_at]
        return sorted(found, key=lambda one: (one.last_at, one.study), reverse=True)[:limit]

    def unclaimed_of_uid(self, study_instance_uid: str) -> Sequence[UnclaimedStudy]:
        found = [one for one in self._unclaimed.values() if one.study.study_instance_uid == study_instance_uid]
        return sorted(found, key=lambda one: one.study)

    def queue(self) -> AbstractContextManager[Messages]:
        return nullcontext(self.messages)
