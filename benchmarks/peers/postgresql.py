"""A PostgreSQL 15 cluster of one's own, for tests and benchmarks on the second database.

Not for: production. Invariants: it listens on the loopback only and has no unix socket; it never
runs as root; its files go when it stops. Durability settings are PostgreSQL's defaults.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.peers.processes import LOOPBACK, ServerProcess, free_port

#: Where Debian installs the server's programs.
PROGRAMS = Path("/usr/lib/postgresql/15/bin")

#: Owns the databases; everybody on the loopback may log in as it.
ROLE = "telegarde"

#: Whom the server runs as when this process is root.
_UNPRIVILEGED_USER = "postgres"


@dataclass(frozen=True, kw_only=True)
class PostgresqlServer:
    """A running cluster."""

    port: int
    process: ServerProcess

    def conninfo(self, database: str = "postgres") -> str:
        """Give libpq's connection string."""
        return f"host={LOOPBACK} port={self.port} user={ROLE} dbname={database}"

    def new_database(self, name: str) -> str:
        """Create an empty UTF-8 database.

        Returns
        -------
        str
            Its SQLAlchemy URL, for psycopg 3.
        """
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://{ROLE}@{LOOPBACK}:{self.port}/{name}"

    def is_ready(self) -> bool:
        """Tell whether it takes connections."""
        try:
            psycopg.connect(self.conninfo(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgresql() -> Iterator[PostgresqlServer]:
    """Run a new cluster; making and starting it takes about two seconds."""
    user = _UNPRIVILEGED_USER if os.geteuid() == 0 else None
    # Not below a test's own directory, which the unprivileged user could not enter.
    directory = Path(tempfile.mkdtemp(prefix="telegarde-pg-"))
    try:
        if user is not None:
            shutil.chown(directory, user, user)
        cluster = directory / "cluster"
        subprocess.run(
            [
                *(PROGRAMS / "initdb", "-D", cluster, "-U", ROLE, "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
            cwd=directory,
        )
        with _running(directory, cluster, user) as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _running(directory: Path, cluster: Path, user: str | None) -> Iterator[PostgresqlServer]:
    port = free_port()
    process = ServerProcess(
        "postgresql",
        [
            *(PROGRAMS / "postgres", "-D", cluster, "-p", str(port)),
            *("-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories="),
        ],
        directory=directory,
        user=user,
    )
    try:
        server = PostgresqlServer(port=port, process=process)
        process.wait_until_ready(server.is_ready)
        yield server
    finally:
        # PostgreSQL's immediate shutdown: a fast one (SIGINT) would write a checkpoint of hundreds of test databases,
        # which took longer than 30 s on a busy disk, into a cluster that is removed next.
        process.stop(stop_signal=signal.SIGQUIT)
