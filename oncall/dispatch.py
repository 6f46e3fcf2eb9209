"""Hands queued messages to their channels, with threads of their own for each channel and for pages about cases.

So neither a slow relay nor a recall of hundreds delays a page by another channel or about a patient.

For: running the queue of `oncall.messages` in a process. Not for: deciding what follows from a failure; that is told
through `Messages.news_after`.

Invariants: a channel sees a message only after the intent to send it is durable; what it answered is recorded in the
transaction that leases the next one; no hand-over begins with a lease that could run out during it.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.faults import reach
from oncall.channels.port import HAND_OVER_S_MAX, Channel
from oncall.directory import ChannelKind
from oncall.messages import Lease, Message, NotSent, Outcome
from oncall.messages_sql import SqlMessages

THREADS_PER_CHANNEL_MAX: Final = 24
"""Hand-overs of one lane at a time: 500 to a provider that takes 0.2 s for each are out in 5 s; relays allow 50."""

BULK_MAX: Final = 4
"""Messages without a case (recalls, notices) that one thread leases at once; pages about cases go one by one, so that a
crash leaves as few as possible in doubt."""

RECORD_TRIES_MAX: Final = 5
"""To record what a channel answered while the database is away; then the lease runs out and the message is in doubt."""


class _Lane(NamedTuple):
    kind: ChannelKind
    is_for_cases: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    message_key: str
    outcome: Outcome


class Dispatcher:
    """Sends what is due.

    Parameters
    ----------
    database : Database
        With the queue.
    channels : iterable of Channel
        One for each kind at most; a message for a kind without a channel fails with ``no_channel``.
    clock : Clock
    worker : str
        Name of this life of this process; never used again after its death.
    """

    def __init__(
        self,
        database: Database,
        channels: Iterable[Channel],
        clock: Clock,
        *,
        worker: str,
        threads_per_channel: int = THREADS_PER_CHANNEL_MAX,
    ) -> None:
        self._database = database
        self._channels: dict[ChannelKind, Channel] = {channel.kind: channel for channel in channels}
        self._clock = clock
        self._worker = worker
        self._threads_per_channel = threads_per_channel
        self._wake = threading.Event()
        self._busy: dict[_Lane, list[threading.Thread]] = {}
        self._stopping = threading.Event()

    def recover(self, gone: frozenset[str] = frozenset()) -> int:
        """Deal with messages that dead senders left; return how many nobody knows about.

        Parameters
        ----------
        gone : frozenset of str
            Workers known to be dead, whose leases are not waited for.
        """
        repeatable = frozenset(kind for kind, channel in self._channels.items() if channel.is_repeatable)
        now = self._clock.now()
        with self._database.read() as connection:
            if not SqlMessages(connection).is_interrupted(now, gone=gone):
                return 0
        with self._database.write(durable=True) as connection:
            unknown = SqlMessages(connection).interrupted(now, repeatable=repeatable, gone=gone)
        if unknown:
            log.warning("messages_in_doubt", count=len(unknown))
        return len(unknown)

    def drain(self) -> None:
        """Hand over everything that is due now, all channels beside each other; return when each is done."""
        self._begin(self._due())
        self._join()

    def run(self, stopping: threading.Event, *, poll_s: float = 0.25) -> None:
        """Hand over what becomes due until `stopping` is set; look every `poll_s` seconds, and at once after `wake`."""
        while not stopping.is_set():
            try:
                self.recover()
                self._begin(self._due())
            except Unavailable:
                log.warning("messages_wait_for_the_database")
            except Exception as error:  # noqa: BLE001  # edge of a thread: pages must go on when one look fails
                log.error("message_dispatcher_failed", error=type(error).__name__)
            self._wake.wait(poll_s)
            self._wake.clear()
        self._stopping.set()
        self._join()

    def wake(self) -> None:
        """Look for due messages at once: somebody has just queued some."""
        self._wake.set()

    def _due(self) -> Mapping[_Lane, int]:
        with self._database.read() as connection:
            due = SqlMessages(connection).due(self._clock.now())
        return {_Lane(kind, is_for_cases): count for (kind, is_for_cases), count in due.items()}

    def _begin(self, due: Mapping[_Lane, int]) -> None:
        if due:
            reach("messages.due")
        for lane, count in due.items():
            living = [thread for thread in self._busy.get(lane, ()) if thread.is_alive()]
            wanted = min(count, self._threads_per_channel) - len(living)
            begun = [
                threading.Thread(target=self._send, args=(lane,), name=f"channel-{lane.kind}", daemon=True)
                for _ in range(wanted)
            ]
            self._busy[lane] = living + begun
            for thread in begun:
                thread.start()

    def _join(self) -> None:
        for threads in self._busy.values():
            for thread in threads:
                thread.join()

    def _send(self, lane: _Lane) -> None:
        channel = self._channels.get(lane.kind)
        try:
            self._send_all(lane, channel)
        except Unavailable:
            log.warning("messages_wait_for_the_database")
        except Exception as error:  # noqa: BLE001  # edge of a thread: the lease runs out and the message is in doubt
            log.error("message_sender_failed", error=type(error).__name__)
        finally:
            if channel is not None:
                channel.close()

    def _send_all(self, lane: _Lane, channel: Channel | None) -> None:
        done: list[_Done] = []
        while True:
            lease = self._turn(lane, channel, done)
            if not lease.messages and not lease.expired:
                return
            done = []
            for message in lease.messages:
                if self._clock.now() + timedelta(seconds=HAND_OVER_S_MAX) > lease.until:
                    self._give_back(message)
                    continue
                reach("messages.sending")
                outcome = NotSent(reason="no_channel") if channel is None else channel.hand_over(message)
                reach("messages.handed_over")
                done.append(_Done(message_key=message.message_key, outcome=outcome))

    def _turn(self, lane: _Lane, channel: Channel | None, done: list[_Done]) -> Lease:
        """Record what was handed over and lease what is next, in one transaction."""
        for tries in range(1, RECORD_TRIES_MAX + 1):
            try:
                return self._record_and_lease(lane, channel, done)
            except Unavailable:
                if not done or tries == RECORD_TRIES_MAX:
                    raise
                self._stopping.wait(1.0)
        raise AssertionError("unreachable: the last try returns or raises")

    def _record_and_lease(self, lane: _Lane, channel: Channel | None, done: list[_Done]) -> Lease:
        now = self._clock.now()
        is_repeatable = channel is not None and channel.is_repeatable
        with self._database.write(durable=True) as connection:
            messages = SqlMessages(connection)
            for one in done:
                messages.settle(one.message_key, one.outcome, now, worker=self._worker, is_repeatable=is_repeatable)
            if self._stopping.is_set():
                return Lease(messages=(), until=now)
            limit = 1 if lane.is_for_cases else BULK_MAX
            return messages.lease(lane.kind, now, worker=self._worker, limit=limit, is_for_cases=lane.is_for_cases)

    def _give_back(self, message: Message) -> None:
        now = self._clock.now()
        with self._database.write(durable=True) as connection:
            SqlMessages(connection).release(message.message_key, now, worker=self._worker)
