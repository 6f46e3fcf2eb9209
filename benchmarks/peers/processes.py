"""Starts, watches and ends one server process; finds free ports; keeps servers on the loopback.

For: the peers of this package. Not for: processes that somebody else started. Invariants: a server
is ended by the id it was started with (and what it forked, by their process group); every wait has
a bound; a failure shows the end of what the server printed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

LOOPBACK = "127.0.0.1"

#: A server that is not ready by then is taken for broken. Orthanc needs one or two seconds on a
#: quiet machine; test runs share two cores.
READY_TIMEOUT_S = 60.0

#: Between SIGTERM and SIGKILL.
STOP_TIMEOUT_S = 30.0

#: How often a condition outside this process is looked at.
POLL_INTERVAL_S = 0.02

#: How much of a server's output an error shows, in characters.
OUTPUT_SHOWN_CHARACTERS = 4000

#: Below the range from which Linux takes ports for outgoing connections, so that none of those
#: takes a port between its choice and its use.
_PORTS = range(20_000, 32_000)
_PORT_ATTEMPTS = 200

_LOOPBACK_BIND_SOURCE = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* DCMTK's and Orthanc's servers listen on all addresses and have no option for it. */
int bind(int fd, const struct sockaddr *address, socklen_t length) {
    static int (*next)(int, const struct sockaddr *, socklen_t);
    if (!next) next = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
    if (address && address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in narrowed;
        memcpy(&narrowed, address, sizeof narrowed);
        if (narrowed.sin_addr.s_addr == htonl(INADDR_ANY)) {
            narrowed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            return next(fd, (const struct sockaddr *)&narrowed, sizeof narrowed);
        }
    }
    return next(fd, address, length);
}
"""


class PeerFailed(Exception):
    """A peer did not start, ended by itself or did not answer; the message has its output."""


def free_port() -> int:
    """Find a TCP port on the loopback that nobody listens on."""
    chooser = random.SystemRandom()
    for _ in range(_PORT_ATTEMPTS):
        port = chooser.choice(_PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
    message = f"no free port among {_PORT_ATTEMPTS} tried"
    raise PeerFailed(message)


def is_listening(port: int) -> bool:
    """Tell whether some process listens on a TCP port, without connecting to it."""
    wanted = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    # Columns: number, local address, remote address, state; 0A is LISTEN.
    return any(columns[1].endswith(wanted) and columns[3] == "0A" for columns in map(str.split, lines))


def _runs_any(process_group: int) -> bool:
    """Tell whether a process of a group can still run, which a zombie cannot."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # After the name, which ends with the last parenthesis: state, parent, group.
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
            if int(group) == process_group and state not in ("Z", "X"):
                return True
    return False


def wait_until(condition: Callable[[], bool], *, what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Look at a condition until it holds.

    Raises
    ------
    PeerFailed
        When it does not hold within the time; says `what` was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            message = f"waited {timeout_s:g} s in vain for: {what}"
            raise PeerFailed(message)
        time.sleep(POLL_INTERVAL_S)


@functools.cache
def loopback_bind_library() -> Path:
    """Compile, once in this process, a library to preload that keeps servers on the loopback."""
    directory = Path(tempfile.mkdtemp(prefix="telegarde-bind-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    directory.chmod(0o755)
    source, library = directory / "loopback_bind.c", directory / "loopback_bind.so"
    source.write_text(_LOOPBACK_BIND_SOURCE)
    subprocess.run(
        ["gcc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"],
        check=True,
        capture_output=True,
    )
    return library


def dicom_environment(*, no_delay: bool) -> dict[str, str]:
    """Give the environment for a tool or server that is built on DCMTK.

    Parameters
    ----------
    no_delay : bool
        True sets TCP_NODELAY on its sockets; False leaves Nagle's algorithm on, DCMTK's default.
    """
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    environment["LD_PRELOAD"] = str(loopback_bind_library())
    if no_delay:
        environment["TCP_NODELAY"] = "1"
    return environment


class ServerProcess:
    """One server process, from start to stop; a context manager that stops it.

    Parameters
    ----------
    name : str
        For messages and the name of the file with its output.
    arguments : sequence of str or Path
    directory : Path
        Exists; gets the output file. The process runs in `working_directory`, or else here.
    environment : mapping, optional
        The whole environment; this process's when None.
    user : str, optional
        Run as this user; needs root.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str | Path],
        *,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        working_directory: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self._output_path = directory / f"{name}.output.txt"
        with self._output_path.open("ab") as output:
            self._process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=working_directory or directory,
                env=environment,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
            )

    @property
    def pid(self) -> int:
        """The id of the process that was started."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """Give what the process has printed."""
        return self._output_path.read_text(errors="replace")

    def failed(self, what: str) -> PeerFailed:
        """Make the exception that says what is wrong and what the process printed."""
        state = "runs" if self.returncode is None else f"ended with status {self.returncode}"
        return PeerFailed(
            f"{self.name} (process {self.pid}, {state}): {what}\n{self.output()[-OUTPUT_SHOWN_CHARACTERS:]}"
        )

    def wait_until_ready(self, condition: Callable[[], bool], *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait for a condition that the server brings about.

        Raises
        ------
        PeerFailed
            When it ends first or is not ready in time. It is ended then.
        """

        def is_ready_or_over() -> bool:
            return self.returncode is not None or condition()

        try:
            wait_until(is_ready_or_over, what=f"{self.name} to be ready", timeout_s=timeout_s)
        except PeerFailed as error:
            self.kill()
            raise self.failed(str(error)) from None
        if self.returncode is not None:
            message = "ended before it was ready"
            raise self.failed(message)

    def stop(self, *, stop_signal: int = signal.SIGTERM, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask the process to end, wait, and end what it left running.

        Returns
        -------
        int
            Its exit status; negative when a signal ended it.

        Raises
        ------
        PeerFailed
            When it had to be killed because it did not end in time.
        """
        if self.returncode is None:
            self._process.send_signal(stop_signal)
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"did not end within {timeout_s:g} s of signal {stop_signal}"
            raise self.failed(message) from None
        self._kill_group()
        return status

    def kill(self) -> None:
        """End the process and what it forked at once, as a power cut would; SIGKILL."""
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        # The group's id is the process's own, from start_new_session; once all of it has been
        # collected there is nothing to signal.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        wait_until(lambda: not _runs_any(self._process.pid), what=f"the end of {self.name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
