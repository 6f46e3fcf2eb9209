"""Delivers what is due, with threads of its own for each channel, so that no channel waits for a slow one.

For: running the queue of `oncall.delivery.queue` in a process; several processes may share one database. Not for: what
follows for the case (`oncall.engine.deliveries`), or how a channel works (`oncall.delivery.channels`).

Invariants: a channel sees a delivery only after the intent to send it is durable; what came of it is recorded before
the next one is leased; a channel that is not configured fails visibly and is tried again, never skipped.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Refused, Unavailable
from foundation.faults import reach
from oncall.delivery import queue
from oncall.delivery.channels.port import Parcel, Way
from oncall.delivery.documents import Documents, DocumentStore, NotDescribed
from oncall.delivery.model import DeliveryChannel, DeliveryState, DeliveryStatus
from oncall.delivery.policy import DEFAULT_POLICY, DeliveryPolicy
from oncall.delivery.queue import NotArrived, Outcome

THREADS_PER_CHANNEL_MAX: Final = 4
"""Deliveries of one channel at a time: a hospital whose AE hangs must not hold up the others' for its time-out."""

RECORD_TRIES_MAX: Final = 5
"""To record what came of a delivery while the database is away; then the lease runs out and it is sent again."""


class DeliveryWorker:
    """Delivers from one database.

    Parameters
    ----------
    database : Database
    ways : iterable of Way
        At most one for each channel; a delivery by a channel without one fails with ``no_channel``.
    documents : DocumentStore
    clock : Clock
    worker : str
        Name of this life of this process; never used again after its death.
    policy : DeliveryPolicy
        Of the waits between attempts.
    on_news : callable
        Runs, in a worker's thread, after something became of a delivery.
    """

    def __init__(
        self,
        database: Database,
        ways: Iterable[Way],
        documents: DocumentStore,
        clock: Clock,
        *,
        worker: str,
        policy: DeliveryPolicy = DEFAULT_POLICY,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._ways: Mapping[DeliveryChannel, Way] = {way.channel: way for way in ways}
        self._documents = documents
        self._clock = clock
        self._worker = worker
        self._policy = policy
        self._on_news = on_news
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._busy: dict[DeliveryChannel, list[threading.Thread]] = {}

    def recover(self, gone: frozenset[str] = frozenset()) -> int:
        """Queue again what dead workers left; return how many.

        Parameters
        ----------
        gone : frozenset of str
            Workers known to be dead, whose leases are not waited for.
        """
        now = self._clock.now()
        with self._database.read() as connection:
            if not queue.is_interrupted(connection, now, gone=gone):
                return 0
        with self._database.write(durable=True) as connection:
            left = queue.release_interrupted(connection, now, gone=gone)
        log.warning("deliveries_interrupted", count=left)
        return left

    def drain(self) -> None:
        """Deliver everything that is due now; return when each is done."""
        self._begin(self._due())
        self._join()

    def run(self, stopping: threading.Event, *, poll_s: float = 0.25) -> None:
        """Deliver what becomes due until `stopping` is set; look every `poll_s` seconds, and at once after `wake`."""
        while not stopping.is_set():
            try:
                self.recover()
                self._begin(self._due())
            except Unavailable:
                log.warning("deliveries_wait_for_the_database")
            except Exception as error:  # noqa: BLE001  # edge of a thread: delivery must go on when one look fails
                log.error("delivery_worker_failed", error=type(error).__name__)
            self._wake.wait(poll_s)
            self._wake.clear()
        self._stopping.set()
        self._join()

    def wake(self) -> None:
        """Look for due deliveries at once: a version has just been signed."""
        self._wake.set()

    def _due(self) -> Mapping[DeliveryChannel, int]:
        with self._database.read() as connection:
            return queue.due(connection, self._clock.now())

    def _begin(self, due: Mapping[DeliveryChannel, int]) -> None:
        for channel, count in due.items():
            living = [thread for thread in self._busy.get(channel, ()) if thread.is_alive()]
            begun = [
                threading.Thread(target=self._deliver_all, args=(channel,), name=f"delivery-{channel}", daemon=True)
                for _ in range(min(count, THREADS_PER_CHANNEL_MAX) - len(living))
            ]
            self._busy[channel] = living + begun
            for thread in begun:
                thread.start()

    def _join(self) -> None:
        for threads in self._busy.values():
            for thread in threads:
                thread.join()

    def _deliver_all(self, channel: DeliveryChannel) -> None:
        try:
            while not self._stopping.is_set():
                now = self._clock.now()
                with self._database.write(durable=True) as connection:
                    taken = queue.lease(connection, channel, now, worker=self._worker, limit=1)
                if not taken:
                    return
                reach("delivery.leased")
                for status in taken:
                    self._settle(status, self._attempt(status))
        except Unavailable:
            log.warning("deliveries_wait_for_the_database")
        except Exception as error:  # noqa: BLE001  # edge of a thread: the lease runs out and it is delivered again
            log.error("delivery_thread_failed", error=type(error).__name__)

    def _attempt(self, status: DeliveryStatus) -> Outcome:
        delivery = status.delivery
        way = self._ways.get(delivery.channel)
        if way is None:
            return NotArrived(reason="no_channel")

        def documents() -> Documents:
            return self._documents.of_delivery(delivery)

        try:
            outcome = way.deliver(Parcel(delivery=delivery, documents=documents))
        except NotDescribed as error:
            return NotArrived(reason=error.reason)
        except Unavailable:
            return NotArrived(reason="not_available")
        except Refused:
            return NotArrived(reason="refused")
        except Exception as error:  # noqa: BLE001  # a defect in one document must leave a visible failed delivery
            log.error("delivery_defect", error=type(error).__name__)
            return NotArrived(reason="defect")
        reach("delivery.handed_over")
        return outcome

    def _settle(self, status: DeliveryStatus, outcome: Outcome) -> None:
        for tries in range(1, RECORD_TRIES_MAX + 1):
            try:
                with self._database.write(durable=True) as connection:
                    state = queue.settle(
                        connection, status.delivery.delivery_id, outcome, self._clock.now(),
                        worker=self._worker, policy=self._policy,
                    )  # fmt: skip
                break
            except Unavailable:
                if tries == RECORD_TRIES_MAX:
                    raise
                self._stopping.wait(1.0)
        reach("delivery.recorded")
        if state is DeliveryState.FAILED and isinstance(outcome, NotArrived):
            log.warning("delivery_failed", reason=outcome.reason, attempt=status.attempts)
        self._on_news()
