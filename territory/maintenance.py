"""Work that one process does for all, again and again: the supervisor's periodic tasks.

Each task has a thread of its own, because one that waits for a peer or a database must not hold up the others. A task
that fails is logged and tried again at its next turn: none of them may end the node.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from foundation import log
from foundation.database import Database
from foundation.errors import TelegardeError

# The log of SQLite is written into the database file this often (design, section 2); until then readers look it up in
# the log, so more often costs writes and less often costs reads.
CHECKPOINT_EVERY_S: Final = 1.0
# Above this the log is emptied with writers held back for a moment: under constant load a passive checkpoint never gets
# to the end, and the log would grow for ever.
LOG_PAGES_MAX: Final = 16_384
# How soon after a worker's death its packs are looked at: nothing acknowledged waits for it.
RECOVERY_LOOK_EVERY_S: Final = 1.0
# How long stopping waits for a task in hand.
_JOIN_S_MAX: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodicTask:
    """What to do, and how long to rest between two turns."""

    name: str
    every_s: float
    run: Callable[[], None]


class OnRequest:
    """Work that is done in a periodic task's turn when it was asked for, and again if it failed; thread-safe."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._is_asked = threading.Event()

    def ask(self) -> None:
        """Have it done at the next turn; asking while it runs has it done once more."""
        self._is_asked.set()

    def run(self) -> None:
        """Do it if it was asked for."""
        if not self._is_asked.is_set():
            return
        self._is_asked.clear()
        try:
            self._work()
        except BaseException:
            self._is_asked.set()
            raise


class Maintenance:
    """Runs periodic tasks until stopped.

    Parameters
    ----------
    tasks : sequence of PeriodicTask
    stopping : Event
        Set by `stop`; long tasks look at it between two steps.
    """

    def __init__(self, tasks: Sequence[PeriodicTask], stopping: threading.Event) -> None:
        self._stopping = stopping
        self._threads = [
            threading.Thread(target=self._repeat, args=(task,), name=f"maintenance-{task.name}", daemon=True)
            for task in tasks
        ]

    def start(self) -> None:
        """Begin; the first turn of each task is at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the turns in hand, within a bound."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_JOIN_S_MAX)

    def _repeat(self, task: PeriodicTask) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                task.run()
                failures = 0
            except TelegardeError as error:
                failures += 1
                log.warning("maintenance_failed", action=task.name, failures=failures, message=str(error))
            except Exception as error:  # noqa: BLE001  # process edge: one task's defect must not stop the others
                failures += 1
                log.error("maintenance_failed", action=task.name, failures=failures, error=type(error).__name__)
            self._stopping.wait(task.every_s)


def checkpoint(database: Database, *, log_pages_max: int = LOG_PAGES_MAX) -> None:
    """Write SQLite's log into its database file, without holding anybody up unless the log has grown too long.

    Parameters
    ----------
    log_pages_max : int
        Beyond so many pages writers wait until the log can begin anew.
    """
    if not database.is_sqlite:
        return
    pages = _checkpoint(database, "PASSIVE")
    if pages > log_pages_max:
        with database.writer_lock():
            pages = _checkpoint(database, "RESTART")
        log.debug("index_log_emptied", count=pages)


def _checkpoint(database: Database, mode: str) -> int:
    # A raw connection: SQLAlchemy would begin a transaction first, inside which SQLite refuses to checkpoint.
    connection = database.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        _busy, pages, _done = driver.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    finally:
        connection.close()
    return int(pages)
