"""Sends what is queued, one thread for each destination that has something due, so that none waits for a slow one.

For: running the queue of `pacs.worklist.hl7.outgoing` in a process; several processes may share one database. Not for:
conversations (`pacs.worklist.hl7.exchange`).

Invariants
----------
* A message is sent only after it is durable that it may have arrived.
* What came of it is recorded before the next one of its destination is begun.
* A destination that is not configured keeps its messages.
"""

import threading
from collections.abc import Mapping
from typing import Final

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.faults import reach
from pacs.worklist.hl7 import outgoing
from pacs.worklist.hl7.acknowledgement import Answer
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.exchange import NotAnswered, NotSent, exchange
from pacs.worklist.hl7.outgoing import Failure, Outgoing, OutgoingState

POLL_S: Final = 0.5
"""Between two looks at the queue: other processes put messages into it."""

RECORD_TRIES_MAX: Final = 5
"""To record what came of a message while the database is away; then the lease runs out and it is sent again."""


class _Stopped(Exception):
    """The process ends; the answer is not waited for."""


class Sender:
    """Sends from one database.

    Parameters
    ----------
    database : Database
    destinations : mapping of str to Destination
        By name.
    clock : Clock
    worker : str
        Name of this node, the same after each restart: it takes up at once what its last life left.
    """

    def __init__(
        self, database: Database, destinations: Mapping[str, Destination], clock: Clock, *, worker: str
    ) -> None:
        self._database = database
        self._destinations = destinations
        self._clock = clock
        self._worker = worker
        self._stopping = threading.Event()
        self._busy: dict[str, threading.Thread] = {}

    def drain(self) -> None:
        """Send everything that is due now; return when each is done."""
        self._begin()
        self._join()

    def run(self, stopping: threading.Event, *, poll_s: float = POLL_S) -> None:
        """Send what becomes due until `stopping` is set."""
        while not stopping.is_set():
            try:
                self._begin()
            except Unavailable:
                log.warning("hl7_queue_waits_for_the_database")
            except Exception as error:  # noqa: BLE001  # edge of a thread: sending must go on when one look fails
                log.error("hl7_sender_failed", error=type(error).__name__)
            stopping.wait(poll_s)
        self._stopping.set()
        self._join()

    def _begin(self) -> None:
        names = frozenset(self._destinations)
        if not names:
            return
        with self._database.read() as connection:
            due = outgoing.due(connection, names, self._clock.now())
        for name in due:
            thread = self._busy.get(name)
            if thread is None or not thread.is_alive():
                thread = threading.Thread(target=self._send_all, args=(name,), name=f"hl7-{name}", daemon=True)
                self._busy[name] = thread
                thread.start()

    def _join(self) -> None:
        for thread in self._busy.values():
            thread.join()

    def _send_all(self, name: str) -> None:
        try:
            while not self._stopping.is_set():
                with self._database.write(durable=True) as connection:
                    message = outgoing.begin(connection, name, self._clock.now(), worker=self._worker)
                if message is None:
                    return
                reach("hl7.sending")
                came = self._attempt(self._destinations[name], message)
                reach("hl7.answered")
                self._record(message, came)
        except _Stopped:
            log.info("hl7_sending_cut", destination=name)
            self._release(name)
        except Unavailable:
            log.warning("hl7_queue_waits_for_the_database")
        except Exception as error:  # noqa: BLE001  # edge of a thread: the lease runs out and it is sent again
            log.error("hl7_sender_failed", destination=name, error=type(error).__name__)

    def _attempt(self, destination: Destination, message: Outgoing) -> Answer | Failure:
        try:
            return exchange(destination, message.content, on_wait=self._give_up_when_stopping)
        except NotSent:
            return Failure(reason="no_connection", may_have_arrived=False)
        except NotAnswered:
            return Failure(reason="no_answer", may_have_arrived=True)
        except _Stopped:
            raise
        except Exception as error:  # noqa: BLE001  # a defect must leave a visible reason and not stop the destination
            log.error("hl7_sender_failed", destination=message.destination, error=type(error).__name__)
            return Failure(reason="defect", may_have_arrived=True)

    def _give_up_when_stopping(self) -> None:
        if self._stopping.is_set():
            raise _Stopped

    def _record(self, message: Outgoing, came: Answer | Failure) -> None:
        for tries in range(1, RECORD_TRIES_MAX + 1):
            try:
                with self._database.write(durable=True) as connection:
                    state = outgoing.record(connection, message, came, self._clock.now())
                break
            except Unavailable:
                if tries == RECORD_TRIES_MAX:
                    raise
                self._stopping.wait(1.0)
        if isinstance(came, Failure):
            if message.reason != came.reason:
                log.warning("hl7_not_sent", destination=message.destination, reason=came.reason)
        elif state is OutgoingState.REFUSED:
            log.error("hl7_refused", destination=message.destination, reason=came.code.value)

    def _release(self, name: str) -> None:
        with self._database.write(durable=True) as connection:
            outgoing.release(connection, name, worker=self._worker)
