"""Keeps a process beside the DICOM workers: started when there is something for it to do, watched, ended.

For: the parent's side. Not for: what such a process does (`territory.kept_process` is the child's side).

Invariants
----------
* Nothing that happens in the process reaches ingest; when it dies it is started again, with growing pauses.
* Listening sockets outlive the process: a connection that waits in the kernel is not lost with it.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

from foundation import log
from foundation.clock import Clock, SystemClock
from foundation.database import DatabaseAway
from territory.launch import Launch, write_launch
from territory.listening import BACKLOG_CONNECTIONS, ListeningPort
from territory.settings import Settings
from territory.supervisor import GOOD_START_S, restart_delay_s

_LOOK_EVERY_S: Final = 2.0
_STOP_S_MAX: Final = 10.0


class ProcessKeeper:
    """Keeps one process running for as long as it is wanted.

    Parameters
    ----------
    name : str
        For the log.
    module : str
        Run as ``python -m``; begins with `territory.kept_process.run`.
    settings : Settings
        Handed to it, secrets included, through its standard input.
    is_wanted : callable
        Asked while it does not run; may raise `DatabaseAway`.
    ports : sequence of (socket, bool)
        Bound sockets that it inherits, and whether connections on them begin with TLS.
    """

    def __init__(
        self,
        name: str,
        module: str,
        settings: Settings,
        *,
        is_wanted: Callable[[], bool],
        ports: Sequence[tuple[socket.socket, bool]] = (),
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._command = (sys.executable, "-m", module)
        self._settings = settings
        self._is_wanted = is_wanted
        self._ports = tuple(ports)
        self._clock = clock or SystemClock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"{name}-keeper", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at_s = 0.0
        self._deaths = 0
        self._start_due_s = 0.0

    def start(self) -> None:
        """Begin to look, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the process, within a bound."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S_MAX)
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._let_go(process)

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except DatabaseAway:
                log.debug("process_waits_for_the_database", action=self._name)
            except Exception as error:  # noqa: BLE001  # thread edge: whatever fails here must not touch ingest
                log.error("process_keeper_failed", action=self._name, error=type(error).__name__)
            self._stopping.wait(_LOOK_EVERY_S)

    def _look(self) -> None:
        now_s = self._clock.monotonic_s()
        process = self._process
        if process is not None and process.poll() is not None:
            self._let_go(process)
            self._process = None
            lived_s = now_s - self._started_at_s
            self._deaths = 1 if lived_s >= GOOD_START_S else self._deaths + 1
            self._start_due_s = now_s + restart_delay_s(self._deaths)
            log.error(
                "process_died", action=self._name, pid=process.pid, exit_code=process.returncode, failures=self._deaths
            )
        if self._process is None and now_s >= self._start_due_s and self._is_wanted():
            self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        for sock, _ in self._ports:
            # Connections wait in the kernel while the process starts, and while it starts again.
            sock.listen(BACKLOG_CONNECTIONS)
        ports = tuple(_listening(sock, is_tls=is_tls) for sock, is_tls in self._ports)
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            pass_fds=[port.descriptor for port in ports],
        )
        self._process, self._started_at_s = process, now_s
        assert process.stdin is not None
        try:
            write_launch(process.stdin, Launch(settings=self._settings, worker=0, table_descriptor=-1, ports=ports))
        except BrokenPipeError:
            return
        log.info("process_started", action=self._name, pid=process.pid)

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            try:
                process.stdin.close()
            except BrokenPipeError:
                log.debug("process_pipe_broken", action=self._name, pid=process.pid)


def _listening(sock: socket.socket, *, is_tls: bool) -> ListeningPort:
    host, port = sock.getsockname()[:2]
    return ListeningPort(descriptor=sock.fileno(), host=str(host), port=int(port), is_tls=is_tls)
