"""Who does something outside a case when it changes: consoles' worklists, work items, messages to hospitals' systems.

For: reading the log in order behind the engine, one cursor for each follower, and its effects in the transaction that
moves the cursor. Not for: what a follower does (each is in its own room), or anything decided about a case.

Invariants
----------
* Each event reaches each follower at least once, and its effect in this database exactly once: it is committed with the
  cursor.
* A follower that fails on one case is logged and holds up neither the other cases nor the other followers; a database
  that is away holds up all, and nothing is missed.
* A follower gets the case as the whole log leaves it, which may be later than the events that it is told of: it writes
  what is so now.
"""

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy import Connection, select

from foundation import log, outbox
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import PeerError, Refused, Unavailable
from oncall.case.event import CaseId, Event
from oncall.case.log import event_of
from oncall.case.state import OPENING, Case, fold
from oncall.schema import oncall_case_event

EVENTS_PER_READ_MAX: Final = 500
"""Events of all cases that one transaction of a follower takes."""


class Follower(Protocol):
    """Does something when cases change."""

    @property
    def name(self) -> str:
        """The consumer whose cursor this is; never changed once used."""

    def follow(self, connection: Connection, case: Case, events: Sequence[Event], now: datetime) -> None:
        """Do what follows for one case.

        Parameters
        ----------
        connection : Connection
            The write transaction in which the cursor moves, durable.
        case : Case
            As its log leaves it now.
        events : sequence of Event
            Those that are new to this follower, oldest first.
        now : datetime
            UTC.

        Raises
        ------
        foundation.errors.Refused, foundation.errors.PeerError
            If it cannot be done for this case: it is logged, and the log goes on. Nothing may have been written then.
        """


class Followers:
    """Runs followers behind the log of one database.

    Parameters
    ----------
    database : Database
        With the log, and the tables of the followers.
    followers : iterable of Follower
    clock : Clock
    """

    def __init__(self, database: Database, followers: Iterable[Follower], clock: Clock) -> None:
        self._database = database
        self._followers = tuple(followers)
        self._clock = clock
        self._wake = threading.Event()

    def take(self) -> int:
        """Bring every follower up to the end of the log; return how many events that were.

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer.
        """
        taken = 0
        for follower in self._followers:
            while count := self._take_batch(follower):
                taken += count
        return taken

    def run(self, stopping: threading.Event, *, poll_s: float = 0.25) -> None:
        """Follow until `stopping` is set; look every `poll_s` seconds, and at once after `wake`."""
        while not stopping.is_set():
            try:
                self.take()
            except Unavailable:
                log.warning("followers_wait_for_the_database")
            except Exception as error:  # noqa: BLE001  # edge of a thread: following must go on when one look fails
                log.error("followers_failed", error=type(error).__name__)
            self._wake.wait(poll_s)
            self._wake.clear()

    def wake(self) -> None:
        """Look at once: something was committed."""
        self._wake.set()

    def _take_batch(self, follower: Follower) -> int:
        with self._database.read() as connection:
            position = outbox.read_cursor(connection, follower.name)
            if not _events_after(connection, position, limit=1):
                return 0
        with self._database.write(durable=True) as connection:
            position = outbox.read_cursor(connection, follower.name)
            found = _events_after(connection, position, limit=EVENTS_PER_READ_MAX)
            if not found:
                return 0
            by_case: dict[CaseId, list[Event]] = {}
            for _, event in found:
                by_case.setdefault(event.case_id, []).append(event)
            for case_id, events in by_case.items():
                self._tell(follower, connection, case_id, events)
            outbox.write_cursor(connection, follower.name, found[-1][0])
        return len(found)

    def _tell(self, follower: Follower, connection: Connection, case_id: CaseId, events: Sequence[Event]) -> None:
        case = read_case(connection, case_id)
        if case is None:
            return
        try:
            with connection.begin_nested():
                follower.follow(connection, case, events, self._clock.now())
        except (Refused, PeerError) as error:
            log.error("follower_failed", action=follower.name, error=type(error).__name__, message=str(error))


def _events_after(connection: Connection, position: int, *, limit: int) -> list[tuple[int, Event]]:
    column = oncall_case_event.c
    rows = connection.execute(
        select(column.position, column.body, column.hash)
        .where(column.position > position)
        .order_by(column.position)
        .limit(limit)
    )
    return [(row.position, event_of(row.body, row.hash)) for row in rows]


def read_case(connection: Connection, case_id: CaseId) -> Case | None:
    """Return a case as its log leaves it in this transaction; None for a night's log, which is no case's."""
    column = oncall_case_event.c
    rows = connection.execute(select(column.body, column.hash).where(column.case_id == case_id).order_by(column.seq))
    events = [event_of(row.body, row.hash) for row in rows]
    return fold(events) if events and events[0].type in OPENING else None
