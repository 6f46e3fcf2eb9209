"""One node per data directory: an exclusive lock that the kernel lets go when the last process of the node has ended.

The lock belongs to the open file, and the supervisor hands that file to its workers: when the supervisor is killed, the
lock stays held until the last worker is gone, so a new node never recovers lanes that an old worker still writes.

The lock file also says who serves (process id and ports), for messages and for `telegarde status`; that text decides
nothing.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from foundation.clock import Clock, SystemClock
from foundation.errors import Refused

RUN_DIRECTORY: Final = "run"
LOCK_NAME: Final = "lock"
# Workers whose supervisor was killed end by themselves within `territory.worker.ORPHAN_GRACE_S`; then a little more.
ORPHANS_WAIT_S_MAX: Final = 10.0
# `telegarde status` holds the lock for an instant to see whether it is free: not a reason to refuse.
_PROBE_WAIT_S: Final = 0.3
# flock has no time-out of its own; this is how often it is tried meanwhile.
_TRY_EVERY_S: Final = 0.05


class NodeRunning(Refused):
    """Another process of Telegarde works on this data directory.

    Parameters
    ----------
    data_dir : Path
        The data directory.
    pid : int or None
        Who holds it, as far as is known.
    """

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{data_dir} is in use by {holder}; stop it first (kill -TERM {pid or 'PID'}), or give another --data"
        )
        self.data_dir = data_dir
        self.pid = pid


class NodeLock:
    """The lock of one data directory, held from construction to `release`.

    Raises
    ------
    NodeRunning
        If another node holds it: at once when its supervisor lives, after a bounded wait when only workers of a
        killed supervisor are left.
    """

    def __init__(self, data_dir: Path, *, clock: Clock | None = None) -> None:
        run_directory = data_dir / RUN_DIRECTORY
        run_directory.mkdir(parents=True, exist_ok=True)
        self._path = run_directory / LOCK_NAME
        self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._take(data_dir, clock or SystemClock())
        except BaseException:
            os.close(self.descriptor)
            raise

    def _take(self, data_dir: Path, clock: Clock) -> None:
        pause = threading.Event()
        began_s = clock.monotonic_s()
        while not _try_lock(self.descriptor):
            pid = _holder(self._path).get("pid")
            bound_s = _PROBE_WAIT_S if pid and _is_alive(pid) else ORPHANS_WAIT_S_MAX
            if clock.monotonic_s() - began_s > bound_s:
                raise NodeRunning(data_dir, pid)
            pause.wait(_TRY_EVERY_S)

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write who serves into the lock file."""
        text = json.dumps({"pid": os.getpid(), **facts}).encode()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text, 0)

    def release(self) -> None:
        """Let go of the lock in this process."""
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


@contextmanager
def node_stopped(data_dir: Path) -> Iterator[None]:
    """Hold the lock for work that needs the node stopped.

    Raises
    ------
    NodeRunning
        If a node serves this data directory.
    """
    lock = NodeLock(data_dir)
    try:
        lock.describe({})
        yield
    finally:
        lock.release()


def running_node(data_dir: Path) -> dict[str, Any] | None:
    """Return what the running node wrote into its lock file, {} when it wrote nothing; None when none runs."""
    path = data_dir / RUN_DIRECTORY / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(path)
        return None
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
