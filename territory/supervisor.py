"""The supervisor: one parent process that opens the ports, starts the workers, and keeps them running until a stop.

For: processes, signals, restarts, the order of start and stop. Not for: DICOM (`territory.worker` runs the engine) or
what the parts are made of (`territory.bootstrap`).

Invariants
----------
* Workers start only after recovery; one that died is started again at once, and its lanes are recovered beside it.
* Listening sockets outlive workers: a connection that waits in the kernel is never lost with a process.
* Nobody outlives the supervisor for long: each worker reads from a pipe whose other end only the supervisor holds.
* The first SIGTERM or SIGINT stops gracefully within `STOP_S_MAX`; the second one stops at once.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from foundation import log
from foundation.clock import Clock, SystemClock
from territory.launch import STOP_GRACE_S, Launch, write_launch
from territory.listening import BACKLOG_CONNECTIONS, ListeningPort
from territory.settings import Settings
from territory.worker_table import WorkerState, WorkerTable

# Workers give their associations STOP_GRACE_S; what has not ended a little later is killed.
STOP_S_MAX: Final = STOP_GRACE_S + 5.0
# A worker that beats no longer is stuck; it beats every second.
SILENT_S_MAX: Final = 10.0
# A worker that lived this long had a good start: its next death is a first one again.
GOOD_START_S: Final = 30.0
_RESTART_FIRST_S: Final = 0.1
_RESTART_S_MAX: Final = 10.0
# The loop looks around this often even when no signal came.
_LOOK_EVERY_S: Final = 1.0

WORKER_COMMAND: Final = (sys.executable, "-m", "territory.worker")


def restart_delay_s(deaths: int) -> float:
    """Return how long to wait before starting a worker that died so many times in a row (1 or more)."""
    return float(min(_RESTART_S_MAX, _RESTART_FIRST_S * 2 ** (min(deaths, 16) - 1)))


# What a worker's C libraries are told unless the operator says otherwise: no idle threads of a linear algebra library
# that nothing here calls, and few malloc arenas, because each of many threads would keep one of its own (glibc
# gives 8 per core; an archive with 50 threads was seen to hold 2.5 GB so).
_WORKER_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


@dataclass(kw_only=True, slots=True)
class _Place:
    """A worker's place: its process when it has one, and when to start the next."""

    worker: int
    process: subprocess.Popen[bytes] | None = None
    started_at_s: float = 0.0
    deaths: int = 0
    start_due_s: float = 0.0


class Supervisor:
    """Starts and watches worker processes.

    Parameters
    ----------
    settings : Settings
        Handed to each worker, secrets included, through its standard input.
    table : WorkerTable
        Shared with the workers.
    ports : sequence of (socket, bool)
        Bound DICOM sockets, and whether connections on them begin with TLS.
    inherited : sequence of int
        Further descriptors that workers hold for as long as they live (the node's lock).
    on_worker_died : callable
        Called when a worker has died, before the next is started; must not wait. What it left unindexed was never
        acknowledged, so nothing waits for it to be found.
    command : sequence of str
        What a worker is started with.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        table: WorkerTable,
        ports: Sequence[tuple[socket.socket, bool]],
        inherited: Sequence[int],
        on_worker_died: Callable[[], None],
        command: Sequence[str] = WORKER_COMMAND,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._table = table
        self._ports = ports
        self._inherited = inherited
        self._on_worker_died = on_worker_died
        self._command = command
        self._clock = clock or SystemClock()
        self._places = [_Place(worker=worker) for worker in range(table.workers)]
        self._stop_signals = 0
        self._kill_due_s: float | None = None

    @property
    def is_stopping(self) -> bool:
        """Say whether a stop was asked for."""
        return self._stop_signals > 0

    def problems(self) -> list[str]:
        """Return why the workers are not all ready; empty when they are."""
        if self.is_stopping:
            return ["the node is stopping"]
        found = []
        for report in self._table.reports():
            if report.state is not WorkerState.READY:
                found.append(f"worker {report.worker} is {report.state.name.lower()}")
            elif report.silent_s > SILENT_S_MAX:
                found.append(f"worker {report.worker} has not moved for {report.silent_s:.0f} s")
        return found

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Listen, start the workers and keep them running; return when a signal has ended them all.

        Only for a process's main thread: it takes over SIGTERM, SIGINT and SIGCHLD meanwhile.
        """
        for listener, _ in self._ports:
            listener.listen(BACKLOG_CONNECTIONS)
        with _signals_as_reads() as signals:
            try:
                while not self._is_over():
                    self._look()
                    if on_ready is not None and not self.problems():
                        on_ready()
                        on_ready = None
                    self._wait(signals)
            finally:
                self._end_now()

    def _look(self) -> None:
        now_s = self._clock.monotonic_s()
        for place in self._places:
            self._reap(place, now_s)
            if not self.is_stopping and place.process is None and now_s >= place.start_due_s:
                self._start(place, now_s)
        if self._kill_due_s is not None and now_s >= self._kill_due_s:
            self._signal_all(signal.SIGKILL)

    def _is_over(self) -> bool:
        return self.is_stopping and all(place.process is None for place in self._places)

    def _wait(self, signals: int) -> None:
        # Until the workers are ready, look often enough to say so promptly.
        timeout_s = _LOOK_EVERY_S if not self.problems() else _RESTART_FIRST_S
        readable, _, _ = select.select([signals], [], [], timeout_s)
        if not readable:
            return
        for number in os.read(signals, 4096):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop(number)
        self._look()

    def _stop(self, number: int) -> None:
        self._stop_signals += 1
        log.info("stop_requested", signal=signal.Signals(number).name, count=self._stop_signals)
        if self._stop_signals == 1:
            self._kill_due_s = self._clock.monotonic_s() + STOP_S_MAX
            self._signal_all(signal.SIGTERM)
        else:
            self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        for place in self._places:
            if place.process is not None:
                place.process.send_signal(number)

    def _start(self, place: _Place, now_s: float) -> None:
        launch = Launch(
            settings=self._settings,
            worker=place.worker,
            table_descriptor=self._table.descriptor,
            ports=tuple(
                ListeningPort(
                    descriptor=listener.fileno(),
                    host=listener.getsockname()[0],
                    port=listener.getsockname()[1],
                    is_tls=is_tls,
                )
                for listener, is_tls in self._ports
            ),
        )
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            # Standard output belongs to the command line's answers.
            stdout=sys.stderr.fileno(),
            env={**_WORKER_ENVIRONMENT, **os.environ},
            pass_fds=[self._table.descriptor, *self._inherited, *(port.descriptor for port in launch.ports)],
        )
        place.process, place.started_at_s = process, now_s
        assert process.stdin is not None
        # A worker that ended already is reaped at the next look.
        with contextlib.suppress(BrokenPipeError):
            write_launch(process.stdin, launch)
        log.info("worker_started", worker=place.worker, pid=process.pid)

    def _reap(self, place: _Place, now_s: float) -> None:
        process = place.process
        if process is None or process.poll() is None:
            return
        _close_stdin(process)
        place.process = None
        self._table.clear(place.worker)
        lived_s = now_s - place.started_at_s
        if self.is_stopping:
            log.info("worker_ended", worker=place.worker, pid=process.pid, exit_code=process.returncode)
            return
        place.deaths = 1 if lived_s >= GOOD_START_S else place.deaths + 1
        place.start_due_s = now_s + restart_delay_s(place.deaths)
        self._on_worker_died()
        log.error(
            "worker_died",
            worker=place.worker,
            pid=process.pid,
            exit_code=process.returncode,
            duration_s=round(lived_s, 1),
            failures=place.deaths,
        )

    def _end_now(self) -> None:
        for place in self._places:
            if place.process is not None:
                place.process.kill()
                place.process.wait()
                _close_stdin(place.process)
                place.process = None


def _close_stdin(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


@contextlib.contextmanager
def _signals_as_reads() -> Iterator[int]:
    """Yield a descriptor from which the number of each signal that arrives can be read as a byte."""
    assert threading.current_thread() is threading.main_thread(), "signals reach the main thread only"
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
    # A handler in Python is needed for the wake-up byte to be written; it has nothing else to do.
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    wakeup_before = signal.set_wakeup_fd(writer)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
