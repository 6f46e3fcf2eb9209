"""A PostgreSQL cluster that a test stops, kills and starts again, and a line to it that can be cut.

For: what happens when the database is away. Not for: ordinary tests, which share one cluster (`tests.harness.peers`).
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.postgresql import PROGRAMS, ROLE, PostgresqlServer
from tests.harness.peers import LOOPBACK, ServerProcess, free_port


class StoppablePostgresql:
    """One cluster on one port for all its lives."""

    def __init__(self, directory: Path, user: str | None) -> None:
        self._directory = directory
        self._user = user
        self._port = free_port()
        self._server: PostgresqlServer | None = None
        self._cluster = directory / "cluster"
        self._run(
            *(PROGRAMS / "initdb", "-D", self._cluster, "-U", ROLE, "-A", "trust", "-E", "UTF8"),
            *("--locale=C.UTF-8", "--no-sync"),
        )

    @property
    def server(self) -> PostgresqlServer:
        """The running server."""
        assert self._server is not None, "start() first"
        return self._server

    @property
    def port(self) -> int:
        """Where it listens, whether it runs or not."""
        return self._port

    def start(self) -> None:
        """Start it, or start it again; returns when it takes connections."""
        process = ServerProcess(
            "postgresql",
            [
                *(PROGRAMS / "postgres", "-D", self._cluster, "-p", str(self._port)),
                *("-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories="),
                # Long, so that a kill really loses what was committed without waiting for the disk.
                *("-c", "wal_writer_delay=10s", "-c", "wal_writer_flush_after=0"),
            ],
            directory=self._directory,
            user=self._user,
        )
        self._server = PostgresqlServer(port=self._port, process=process)
        process.wait_until_ready(self._server.is_ready)

    def stop(self) -> None:
        """Shut it down in good order."""
        self.server.process.stop(stop_signal=signal.SIGINT)

    def kill(self) -> None:
        """Let it die with all its processes: what it had not written is lost."""
        self.server.process.kill()

    def _run(self, *arguments: str | Path) -> None:
        subprocess.run(
            arguments,
            check=True,
            capture_output=True,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user is not None else None,
            cwd=self._directory,
        )


@contextmanager
def stoppable_postgresql() -> Iterator[StoppablePostgresql]:
    """Yield a started cluster; ended and removed at the end, whatever state it is in."""
    user = "postgres" if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="telegarde-pg-"))
    cluster: StoppablePostgresql | None = None
    try:
        if user is not None:
            shutil.chown(directory, user, user)
        cluster = StoppablePostgresql(directory, user)
        cluster.start()
        yield cluster
    finally:
        if cluster is not None and cluster.server.process.returncode is None:
            cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


class CuttableLine:
    """A TCP relay to a server that ends a connection at the moment a test chooses: when certain bytes pass.

    Parameters
    ----------
    port : int
        Of the server, on the loopback.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut_at = b""
        self._is_delivered = False
        self.cuts = 0
        self._threads: list[threading.Thread] = []
        self._answered = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, marker: bytes, *, is_delivered: bool) -> None:
        """End the connection once, when the client sends `marker`: after or before the server has got it."""
        self._is_delivered = is_delivered
        self._cut_at = marker

    def close(self) -> None:
        """End every connection and take no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for sock in [*self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in [*self._threads]:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((LOOPBACK, self._target)) as server:
            self._sockets += [client, server]
            back = threading.Thread(target=self._relay, args=(server, client, False), daemon=True)
            back.start()
            self._relay(client, server, True)
            back.join()

    def _relay(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if is_client and self._cut_at and self._cut_at in data:
                    self._cut(source, target, data)
                    return
                if not is_client:
                    self._answered.set()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _cut(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        self._cut_at = b""
        self.cuts += 1
        # First the client: the answer must not reach it any more.
        client.shutdown(socket.SHUT_RDWR)
        if self._is_delivered:
            self._answered.clear()
            server.sendall(data)
            # The server has carried it out when it answers.
            self._answered.wait(30.0)
        # Closing alone would not end it while the other thread reads from it.
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
