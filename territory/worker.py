"""A worker process: the DICOM engine on the inherited listening sockets, until its supervisor says stop or is gone.

Started by `territory.supervisor` as a fresh interpreter; what it is told comes through standard input
(`territory.launch`).

SIGTERM stops gracefully: no new associations, the instance in hand is finished, then release or A-ABORT, within
`STOP_GRACE_S`. The end of standard input does the same within `ORPHAN_GRACE_S`: nobody else would ever stop it.
"""

import gc
import os
import resource
import select
import signal
import socket
import sys
from typing import Final, Protocol

from foundation import log
from territory.launch import STOP_GRACE_S, Launch, SupervisorGone, read_launch
from territory.worker_table import WorkerRow, WorkerState, WorkerTable

# With the supervisor dead a new node may be waiting for the lock that this process holds.
ORPHAN_GRACE_S: Final = 2.0
BEAT_EVERY_S: Final = 1.0
EXIT_STOPPED: Final = 0
EXIT_ENGINE_FAILED: Final = 1


class Engine(Protocol):
    """What listens and answers: `territory.bootstrap.WorkerEngine`."""

    def start(self) -> None:
        """Accept associations in threads of its own; returns at once."""

    def stop(self, grace_s: float) -> None:
        """Accept no more, let associations finish what they have in hand within a bound, end the rest."""

    @property
    def is_running(self) -> bool:
        """False when it ended by a defect."""


def run(engine: Engine, row: WorkerRow) -> int:
    """Run the engine until a stop is asked for; return the process's exit code."""
    signals = _catch_signals()
    engine.start()
    row.report(WorkerState.READY)
    grace_s = None
    while grace_s is None and engine.is_running:
        row.beat()
        readable, _, _ = select.select([signals, sys.stdin.fileno()], [], [], BEAT_EVERY_S)
        if sys.stdin.fileno() in readable:
            log.error("supervisor_gone", worker=row.worker)
            grace_s = ORPHAN_GRACE_S
        elif signals in readable:
            grace_s = STOP_GRACE_S
    row.report(WorkerState.STOPPING)
    engine.stop(ORPHAN_GRACE_S if grace_s is None else grace_s)
    return EXIT_ENGINE_FAILED if grace_s is None else EXIT_STOPPED


def _catch_signals() -> int:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # A handler in Python is needed for the wake-up byte to be written; it has nothing else to do.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(writer)
    return reader


def main() -> int:
    """Run one worker: the program that `territory.supervisor` starts."""
    # Ctrl-C in a terminal reaches the whole process group: the supervisor decides what workers get.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        launch = read_launch(sys.stdin.fileno())
    except SupervisorGone:
        return EXIT_STOPPED
    log.configure(prefix=f"[worker {launch.worker}] ")
    _allow_open_files()
    row = WorkerTable(launch.table_descriptor).row(launch.worker)
    row.report(WorkerState.STARTING)
    return run(_build(launch, row), row)


def _allow_open_files() -> None:
    # A socket and a lane for each association, and the packs that are read: the usual soft limit of 1,024 is near.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _build(launch: Launch, row: WorkerRow) -> Engine:
    # Imported here so that a worker reads its launch, and notices a dead supervisor, before it loads everything.
    from territory.bootstrap import WorkerEngine

    engine = WorkerEngine(launch, [socket.socket(fileno=port.descriptor) for port in launch.ports], row)
    # Modules and dictionaries live as long as the process: walking them at every full collection is time lost.
    gc.collect()
    gc.freeze()
    return engine


if __name__ == "__main__":
    sys.exit(main())
