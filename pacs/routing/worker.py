"""Forwards what is queued: takes the outbox in, sends to each destination in threads of its own, asks who is away.

For: running the queue in a process; several processes may share one database. Not for: what goes where
(`pacs.routing.intake`), how it is sent (`pacs.routing.consignment.Sender`), or rows (`pacs.routing.queue`).

Invariants
----------
* A destination sees an instance only after the intent to send it is durable; what it answered is recorded before the
  item is let go.
* A destination that hangs or is away holds up no other. One that is away gets one probe at a time and nothing else;
  what waits for it keeps its place.
* An emergency waits for no more than the instances in hand.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import TelegardeError, Unavailable
from foundation.faults import reach
from pacs.contracts import InstanceRef
from pacs.routing import destinations, intake, island, queue, studies
from pacs.routing.bandwidth import Throttle, TokenBucket
from pacs.routing.consignment import INTERRUPTED, Consignment, Outcomes, Sender
from pacs.routing.intake import Intake
from pacs.routing.model import DestinationPolicy, Item, ItemState
from pacs.routing.stow_sender import HttpUnavailable
from pacs.scu.errors import AssociationRejected, ConnectFailed, PeerUnavailable
from pacs.scu.pipeline import SendingStopped
from pacs.scu.transport import OnWait

RECORD_TRIES_MAX: Final = 5
"""To record what a destination answered while the database is away; then the lease runs out and it is sent again."""

BATCHES_PER_STEP_MAX: Final = 20
"""Of the outbox, before what is queued already is begun: after a long stop there is much to take in."""

RENEW_EVERY_S: Final = queue.LEASE_S / 4

PURGE_EVERY_S: Final = 3600.0

STOP_GRACE_S: Final = 5.0
"""How long the instances in hand may take when the process ends."""

_RECORD_AGAIN_S: Final = 1.0
_CUT_S_MAX: Final = 2.0

MakeSender = Callable[[DestinationPolicy, Throttle, OnWait], Sender]
"""Returns the way to a destination; the last argument runs while it waits, and raises when it must end."""


class RoutingWorker:
    """Forwards from one database.

    Parameters
    ----------
    database : Database
    intake : Intake or None
        None when another process takes the outbox in.
    policies : iterable of DestinationPolicy
        Of each destination that is configured; what is queued for another waits.
    make_sender : callable
    clock : Clock
    worker : str
        Name of this life of this process; never used again after its death.
    gone : str
        Workers whose names begin so are dead: former lives of this process. '' for none.
    """

    def __init__(
        self,
        database: Database,
        intake: Intake | None,
        policies: Iterable[DestinationPolicy],
        make_sender: MakeSender,
        clock: Clock,
        *,
        worker: str,
        gone: str = "",
    ) -> None:
        self._database = database
        self._intake = intake
        self._clock = clock
        self._worker = worker
        self._gone = gone
        self._stopping = threading.Event()
        self._cut = threading.Event()
        self._wake = threading.Event()
        self._lanes = {policy.name: _Lane(policy, self._sender_of(policy, make_sender)) for policy in policies}
        self._renewed_at_s = clock.monotonic_s()
        self._purged_at_s: float | None = None

    def run(self, stopping: threading.Event, *, poll_s: float = 0.5) -> None:
        """Forward until `stopping` is set; look every `poll_s` seconds, and at once after `wake`."""
        while not stopping.is_set():
            try:
                self.step()
            except Unavailable:
                log.warning("routing_waits_for_the_database")
            except Exception as error:  # noqa: BLE001  # edge of a thread: forwarding must go on when one look fails
                log.error("routing_failed", error=type(error).__name__)
            self._wake.wait(poll_s)
            self._wake.clear()
        self.stop()

    def stop(self) -> None:
        """End after the instances in hand, within a bound; what is unsent stays in the queue."""
        self.begin_no_more()
        self._join(STOP_GRACE_S)
        self._cut.set()
        self._join(_CUT_S_MAX)

    def begin_no_more(self) -> None:
        """Let each thread end after the instance in hand; returns at once."""
        self._stopping.set()

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    def step(self) -> None:
        """Take the outbox in, and begin what is due.

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer.
        """
        now = self._clock.now()
        self._recover(now)
        if self._intake is not None:
            self._intake.take(now, batches_max=BATCHES_PER_STEP_MAX)
        self._renew(now)
        self._purge(now)
        with self._database.read() as connection:
            due = queue.due_counts(connection, now)
            known = {name: destinations.status_of(connection, name) for name in self._lanes}
        for name, lane in self._lanes.items():
            status = known[name]
            if status.reach.is_away:
                if status.reach.is_probe_due(now) and not lane.living("probe"):
                    lane.begin("probe", partial(self._ask_again, lane))
            elif not status.paused_by:
                wanted = min(due.get(name, 0), lane.policy.associations_max) - lane.living("send")
                for _ in range(wanted):
                    lane.begin("send", partial(self._send_all, lane))

    def drain(self) -> None:
        """Take the outbox in and send everything that is due now; return when each thread has ended."""
        self.step()
        self._join(None)

    def _sender_of(self, policy: DestinationPolicy, make_sender: MakeSender) -> Sender:
        rate = policy.bandwidth_bytes_per_s
        bucket = None if rate is None else TokenBucket(rate, self._clock)
        return make_sender(policy, Throttle(bucket, self._pause), self._look_at_the_time)

    def _pause(self, seconds: float) -> None:
        if self._cut.wait(seconds):
            raise SendingStopped("the node is being stopped")

    def _look_at_the_time(self) -> None:
        if self._cut.is_set():
            raise SendingStopped("the node is being stopped")

    def _recover(self, now: datetime) -> None:
        with self._database.read() as connection:
            if not queue.interrupted(connection, now, gone=self._gone):
                self._gone = ""
                return
        with self._database.write(durable=True) as connection:
            left = queue.release_interrupted(connection, now, gone=self._gone)
        self._gone = ""
        log.warning("routing_interrupted", count=left)

    def _renew(self, now: datetime) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._renewed_at_s >= RENEW_EVERY_S and any(lane.living("send") for lane in self._lanes.values()):
            with self._database.write() as connection:
                queue.renew(connection, now, worker=self._worker)
            self._renewed_at_s = now_s

    def _purge(self, now: datetime) -> None:
        now_s = self._clock.monotonic_s()
        if self._purged_at_s is None or now_s - self._purged_at_s >= PURGE_EVERY_S:
            with self._database.write() as connection:
                queue.purge(connection, now)
                intake.purge(connection, now)
            self._purged_at_s = now_s

    def _join(self, timeout_s: float | None) -> None:
        until_s = None if timeout_s is None else self._clock.monotonic_s() + timeout_s
        for lane in self._lanes.values():
            for thread in lane.threads():
                thread.join(None if until_s is None else max(0.0, until_s - self._clock.monotonic_s()))

    # --- in the threads of a destination ---------------------------------------------------------

    def _send_all(self, lane: "_Lane") -> None:
        """Send what is due to one destination, item after item; never raises."""
        try:
            while not self._stopping.is_set():
                item = self._lease(lane)
                if item is None:
                    return
                reach("routing.leased")
                if not self._send(lane, item):
                    return
        except Unavailable:
            log.warning("routing_waits_for_the_database")
        except Exception as error:  # noqa: BLE001  # edge of a thread: the lease runs out and it is sent again
            log.error("routing_thread_failed", destination=lane.policy.name, error=type(error).__name__)

    def _lease(self, lane: "_Lane") -> Item | None:
        # A look first: finding nothing must not cost a writer's turn and a sync.
        with self._database.read() as connection:
            if not queue.due_counts(connection, self._clock.now()).get(lane.policy.name):
                return None
        with self._database.write(durable=True) as connection:
            if not destinations.status_of(connection, lane.policy.name).may_send:
                return None
            return queue.lease(connection, lane.policy.name, self._clock.now(), worker=self._worker)

    def _send(self, lane: "_Lane", item: Item) -> bool:
        """Make one attempt with an item; say whether the destination is still there."""
        with self._database.read() as connection:
            tries = queue.unsent(connection, item.item_id)
            refs = studies.locate(connection, item.study, list(tries))
        refs.sort(key=lambda ref: tries[ref.series_instance_uid, ref.sop_instance_uid])
        consignment = self._consignment(lane, item, refs)
        here = {(ref.series_instance_uid, ref.sop_instance_uid) for ref in refs}
        missing = [one for one in tries if one not in here]
        if missing:
            self._record(lane, item, Outcomes(arrived=(), arrived_bytes=0, failed=tuple((m, "gone") for m in missing)))
            consignment.reason = "gone"
        trouble: PeerUnavailable | None = None
        is_stopped = False
        try:
            if refs:
                lane.sender.send(consignment)
        except SendingStopped:
            is_stopped = True
        except PeerUnavailable as error:
            trouble = error
            consignment.reason = consignment.reason or INTERRUPTED
        except TelegardeError as error:
            consignment.reason = consignment.reason or "not_available"
            log.warning("routing_attempt_failed", destination=lane.policy.name, error=type(error).__name__)
        except Exception as error:  # noqa: BLE001  # a defect must leave a visible failed item, not a lease
            consignment.reason = "defect"
            log.error("routing_defect", destination=lane.policy.name, error=type(error).__name__)
        self._persistently(consignment.flush)
        is_away = trouble is not None and self._is_away(lane, trouble)
        self._persistently(lambda: self._settle(lane, item, consignment, is_away=is_away, is_stopped=is_stopped))
        return not is_away

    def _consignment(self, lane: "_Lane", item: Item, refs: list[InstanceRef]) -> Consignment:
        name = lane.policy.name

        def must_yield() -> bool:
            if self._stopping.is_set():
                return True
            with self._database.read() as connection:
                if not destinations.status_of(connection, name).may_send:
                    return True
                return not item.is_emergency and queue.has_due_emergency(connection, name, self._clock.now())

        return Consignment(
            refs,
            is_urgent=item.is_emergency,
            is_careful=item.fruitless > 0,
            must_yield=must_yield,
            record=lambda outcomes: self._record(lane, item, outcomes),
            clock=self._clock,
        )

    def _record(self, lane: "_Lane", item: Item, outcomes: Outcomes) -> None:
        reach("routing.answered")
        with self._database.write(durable=True) as connection:
            queue.record(connection, item.item_id, outcomes.arrived, outcomes.failed)
            if outcomes.arrived:
                destinations.note_sent(
                    connection, lane.policy.name, self._clock.now(),
                    count=len(outcomes.arrived), size_bytes=outcomes.arrived_bytes,
                )  # fmt: skip
        reach("routing.recorded")

    def _settle(self, lane: "_Lane", item: Item, consignment: Consignment, *, is_away: bool, is_stopped: bool) -> None:
        with self._database.write(durable=True) as connection:
            now = self._clock.now()
            if is_away and queue.unsent(connection, item.item_id):
                queue.release(connection, item.item_id, now, worker=self._worker, reason=consignment.reason)
                return
            state = queue.settle(
                connection, item.item_id, now,
                worker=self._worker, policy=lane.policy.retry, brought=consignment.brought,
                reason="" if is_stopped else consignment.reason,
            )  # fmt: skip
        if state is ItemState.FAILED:
            log.warning(
                "routing_item_failed", destination=lane.policy.name, reason=consignment.reason, attempt=item.attempts
            )

    def _is_away(self, lane: "_Lane", trouble: PeerUnavailable) -> bool:
        """Find out whether a destination is away after trouble with it, and keep that."""
        if not isinstance(trouble, ConnectFailed | AssociationRejected | HttpUnavailable):
            # It was there a moment ago: perhaps it is one instance that it cannot take.
            try:
                lane.sender.probe()
            except PeerUnavailable as error:
                trouble = error
            except SendingStopped:
                return False
            else:
                return False
        self._persistently(lambda: self._keep_lost(lane, trouble))
        return True

    def _keep_lost(self, lane: "_Lane", trouble: PeerUnavailable) -> None:
        with self._database.write(durable=True) as connection:
            status = destinations.status_of(connection, lane.policy.name)
            now = self._clock.now()
            is_news = not status.reach.is_away
            if is_news or status.reach.is_probe_due(now):
                lost = island.lost(status.reach, now, reason_of(trouble), lane.policy.retry)
                destinations.keep_reach(connection, lost)
        if is_news:
            log.warning("destination_away", destination=lane.policy.name, reason=reason_of(trouble))

    def _ask_again(self, lane: "_Lane") -> None:
        """Ask a destination that is away; never raises."""
        try:
            try:
                lane.sender.probe()
            except PeerUnavailable as error:
                self._keep_lost(lane, error)
                return
            with self._database.write(durable=True) as connection:
                status = destinations.status_of(connection, lane.policy.name)
                destinations.keep_reach(connection, island.found(status.reach))
            log.info("destination_back", destination=lane.policy.name)
            self.wake()
        except SendingStopped:
            return
        except Unavailable:
            log.warning("routing_waits_for_the_database")
        except Exception as error:  # noqa: BLE001  # edge of a thread: it is asked again
            log.error("routing_thread_failed", destination=lane.policy.name, error=type(error).__name__)

    def _persistently(self, write: Callable[[], None]) -> None:
        for tries in range(1, RECORD_TRIES_MAX + 1):
            try:
                write()
                return
            except Unavailable:
                if tries == RECORD_TRIES_MAX:
                    raise
                self._cut.wait(_RECORD_AGAIN_S)


class _Lane:
    """One destination and the threads that are busy with it."""

    def __init__(self, policy: DestinationPolicy, sender: Sender) -> None:
        self.policy = policy
        self.sender = sender
        self._threads: Mapping[str, list[threading.Thread]] = {"send": [], "probe": []}

    def living(self, kind: str) -> int:
        """Count the threads of a kind that run."""
        threads = self._threads[kind]
        threads[:] = [thread for thread in threads if thread.is_alive()]
        return len(threads)

    def begin(self, kind: str, run: Callable[[], None]) -> None:
        """Start a thread."""
        thread = threading.Thread(target=run, name=f"routing-{kind}-{self.policy.name}", daemon=True)
        self._threads[kind].append(thread)
        thread.start()

    def threads(self) -> list[threading.Thread]:
        """Return all threads."""
        return [thread for threads in self._threads.values() for thread in threads]


def reason_of(trouble: PeerUnavailable) -> str:
    """Return the word by which the queue shows why a destination cannot be reached."""
    if isinstance(trouble, AssociationRejected):
        return f"rejected_{trouble.result}_{trouble.source}_{trouble.reason}"
    if isinstance(trouble, HttpUnavailable):
        return f"http_{trouble.status}"
    return "unreachable" if isinstance(trouble, ConnectFailed) else "not_answering"
