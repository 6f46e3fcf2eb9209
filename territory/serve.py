"""One node's parent process, from an empty process to the last goodbye: the order in which things begin and end.

Begin: lock the data directory, bind the ports, answer ``GET /health`` (503 with the reason), create missing tables,
recover what a crash left, start maintenance, the on-call engine and the interfaces, then the workers. Only then may a
peer connect. End: the workers, then the interfaces and the engine, then maintenance, then health, then the lock.
"""

import functools
import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any, Final

from foundation import log
from foundation.clock import Clock, SystemClock
from foundation.database import Database, DatabaseAway
from foundation.errors import Refused, TelegardeError
from territory import bootstrap, routing_parts
from territory.health import Health, HealthServer
from territory.interfaces_process import hl7_ports, interfaces_keeper
from territory.listening import open_port
from territory.maintenance import RECOVERY_LOOK_EVERY_S, Maintenance, OnRequest, PeriodicTask
from territory.node_lock import NodeLock
from territory.oncall_process import oncall_keeper
from territory.process_keeper import ProcessKeeper
from territory.settings import Settings
from territory.supervisor import Supervisor
from territory.worker_table import WorkerTable

# A database server that starts together with this node needs a while; then a human must look.
DATABASE_WAIT_S_MAX: Final = 60.0
_DATABASE_TRY_EVERY_S: Final = 1.0


class DataDirectoryUnusable(Refused):
    """The data directory cannot be made or written."""


def serve(settings: Settings, *, on_ready: Callable[[], None]) -> None:
    """Run a node until a signal stops it. For a process's main thread.

    Parameters
    ----------
    on_ready : callable
        Called once, when every worker accepts associations.

    Raises
    ------
    Refused
        If the data directory, a port or the files for TLS cannot be had.
    DatabaseAway
        If the database does not answer within `DATABASE_WAIT_S_MAX`.
    """
    bootstrap.check_tls_files(settings)
    data_dir = settings.archive.data_dir
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = NodeLock(data_dir)
    except OSError as error:
        raise DataDirectoryUnusable(
            f"{data_dir} cannot be used ({error.strerror}); give a directory that this user may write"
        ) from error
    with ExitStack() as stack:
        stack.callback(lock.release)
        ports = [(stack.enter_context(listener), is_tls) for listener, is_tls in _dicom_ports(settings)]
        interface_ports = [(stack.enter_context(listener), is_tls) for listener, is_tls in hl7_ports(settings)]
        http = open_port(settings.http.host, settings.http.port, setting="http.port (--http-port)")
        lock.describe({"http_host": settings.http.host, "http_port": settings.http.port, "aet": settings.dicom.aet[0]})
        table = WorkerTable.create(
            workers=settings.dicom.workers, associations_max=settings.dicom.limits.associations_max
        )
        stack.callback(table.close)
        database = stack.enter_context(bootstrap.open_database(settings))
        node_health = NodeHealth(settings, table, database)
        health_server = HealthServer(http, node_health.examine)
        health_server.start()
        stack.callback(health_server.close)

        _create_tables(database)
        routing_parts.begin(settings, database)
        node_health.phase = "recovering"
        bootstrap.recover(settings, database)

        stopping = threading.Event()
        recovery = OnRequest(functools.partial(bootstrap.recover, settings, database))
        tasks = [
            *bootstrap.maintenance_tasks(settings, database, is_stopping=stopping.is_set),
            PeriodicTask(name="recovery", every_s=RECOVERY_LOOK_EVERY_S, run=recovery.run),
        ]
        maintenance = Maintenance(tasks, stopping)
        maintenance.start()
        stack.callback(maintenance.stop)
        for name, keeper in (
            ("oncall", oncall_keeper(settings, database)),
            ("interfaces", interfaces_keeper(settings, interface_ports)),
        ):
            keeper.start()
            stack.callback(keeper.stop)
            node_health.kept[name] = keeper
        supervisor = Supervisor(
            settings=settings,
            table=table,
            ports=ports,
            inherited=[lock.descriptor],
            on_worker_died=recovery.ask,
        )
        node_health.supervisor = supervisor
        supervisor.run(on_ready)
    log.info("node_stopped")


def _dicom_ports(settings: Settings) -> list[tuple[socket.socket, bool]]:
    dicom = settings.dicom
    ports = []
    if dicom.accept_without_tls:
        ports.append((open_port(dicom.host, dicom.port, setting="dicom.port (--dicom-port)"), False))
    if dicom.tls is not None:
        ports.append((open_port(dicom.host, dicom.tls.port, setting="dicom.tls.port"), True))
    return ports


def _create_tables(database: Database, *, clock: Clock | None = None) -> None:
    clock = clock or SystemClock()
    pause = threading.Event()
    began_s = clock.monotonic_s()
    while True:
        try:
            database.create_tables()
        except DatabaseAway as error:
            if clock.monotonic_s() - began_s > DATABASE_WAIT_S_MAX:
                raise
            log.warning("database_awaited", message=str(error))
            pause.wait(_DATABASE_TRY_EVERY_S)
        else:
            return


class NodeHealth:
    """Finds out why the node is not ready; asked from the threads of `HealthServer`."""

    def __init__(self, settings: Settings, table: WorkerTable, database: Database) -> None:
        self._settings = settings
        self._table = table
        self._database = database
        self._version = version("telegarde")
        # Written by the main thread, read by others: assignments are atomic, and a reader sees the old or the new.
        self.phase = "starting"
        self.supervisor: Supervisor | None = None
        self.kept: dict[str, ProcessKeeper] = {}

    def examine(self) -> Health:
        """Return the health now."""
        supervisor = self.supervisor
        reasons = [f"the node is {self.phase}"] if supervisor is None else supervisor.problems()
        reasons += self._database_problems()
        free_bytes = _free_bytes(self._settings)
        if free_bytes < self._settings.archive.free_space_reserve_bytes:
            reasons.append("no room: free space is below archive.free_space_reserve_bytes, nothing more is stored")
        return Health(reasons=tuple(reasons), facts=self._facts(free_bytes))

    def _database_problems(self) -> list[str]:
        try:
            self._database.ping()
        except TelegardeError as error:
            return [str(error)]
        return []

    def _facts(self, free_bytes: int) -> dict[str, Any]:
        reports = self._table.reports()
        return {
            "version": self._version,
            "aet": list(self._settings.dicom.aet),
            "pid": os.getpid(),
            "open_loopback": self._settings.is_open_loopback,
            "free_bytes": free_bytes,
            "oncall_pid": self._pid_of("oncall"),
            "interfaces_pid": self._pid_of("interfaces"),
            "associations": sum(report.associations for report in reports),
            "workers": [
                {
                    "worker": report.worker,
                    "pid": report.pid,
                    "state": report.state.name.lower(),
                    "associations": report.associations,
                }
                for report in reports
            ],
        }

    def _pid_of(self, name: str) -> int | None:
        keeper = self.kept.get(name)
        return None if keeper is None else keeper.pid


def _free_bytes(settings: Settings) -> int:
    found = os.statvfs(settings.archive.data_dir)
    return found.f_bavail * found.f_frsize
