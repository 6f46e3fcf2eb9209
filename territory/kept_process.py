"""A process that `territory.process_keeper` keeps: how it begins, and how it notices that it must end.

For: the child's side. Not for: what it is made of.

Invariant: it ends when its keeper ends, because its standard input then ends.
"""

import gc
import os
import secrets
import select
import signal
import sys
from collections.abc import Callable
from typing import Protocol

from foundation import log
from territory.launch import Launch, SupervisorGone, read_launch


class Parts(Protocol):
    """What such a process runs."""

    def start(self) -> None:
        """Begin, in threads of its own; returns at once."""

    def stop(self) -> None:
        """End after what is in hand, within a bound."""


def run(name: str, make: Callable[[Launch, str], Parts]) -> int:
    """Run until told to stop, or until nobody is left who could; return the exit code.

    Parameters
    ----------
    name : str
        For log lines, and of the worker.
    make : callable
        Builds the parts of a launch, under the name of this life of the process; imports what it needs when it is
        called, so that a dead keeper is noticed before everything is loaded.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        launch = read_launch(sys.stdin.fileno())
    except SupervisorGone:
        return 0
    log.configure(prefix=f"[{name}] ")
    signals = _catch_signals()
    parts = make(launch, f"{name}-{os.getpid()}-{secrets.token_hex(4)}")
    # Modules and dictionaries live as long as the process: walking them at every full collection is time lost.
    gc.collect()
    gc.freeze()
    parts.start()
    select.select([signals, sys.stdin.fileno()], [], [])
    parts.stop()
    return 0


def _catch_signals() -> int:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # A handler in Python is needed for the wake-up byte to be written; it has nothing else to do.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(writer)
    return reader
