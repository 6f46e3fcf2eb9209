"""A node to be killed often: lives are forked from a process that has imported everything, so each costs milliseconds.

Each life recovers what the last one left, then serves on the same port; between two lives connections wait in the
kernel, as they do behind the supervisor of `telegarde serve`. Run as ``python -m tests.harness.forked_node``, which
takes commands as JSON lines; `Breeder` sends them.

For: crash tests. Not for: the supervisor and its workers (`tests.harness.peers.TelegardeNode`).
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn, Self

from foundation import faults, log
from foundation.clock import SystemClock
from foundation.database import Database
from pacs.archive import recovery
from storage_tiers.lane import LaneLimits
from tests.harness.archive_parts import open_archive
from tests.harness.node import CountedPlaces, node_policy, server_of

_REPOSITORY = Path(__file__).parents[2]
LIMITS = LaneLimits(
    staging_bytes=256 * 1024, extent_bytes=2 * 1024 * 1024, lane_bytes_max=6 * 1024 * 1024, free_space_reserve_bytes=0
)


class Breeder:
    """The process that lives are forked from; a context manager, one for many nodes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.forked_node"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_REPOSITORY,
        )

    def ask(self, do: str, **details: object) -> dict[str, Any]:
        """Have something done; return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class ForkedNode:
    """One node of many lives; a context manager that ends it.

    Parameters
    ----------
    breeder : Breeder
        Forks its lives.
    url : str
        Of the index.
    directory : Path
        Gets the journal (``packs``) and the log.
    """

    def __init__(self, breeder: Breeder, url: str, directory: Path) -> None:
        self.journal = directory / "packs"
        self.journal.mkdir(parents=True, exist_ok=True)
        self.log = directory / "node.log"
        self._breeder = breeder
        self._url = url
        self._pid: int | None = None
        self.port: int = breeder.ask("open")["port"]

    def start(self, fault: str = "") -> bool:
        """Begin a life, armed with a fault point or not; say whether it lived to serve."""
        answer = self._breeder.ask(
            "start", port=self.port, url=self._url, journal=str(self.journal), log=str(self.log), fault=fault
        )
        self._pid = answer["pid"]
        return bool(answer["is_serving"])

    def kill(self) -> None:
        """End the life as a power cut of the process does; returns when it is gone."""
        assert self._pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """Ask the life to end in good order; return its exit status."""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until the life is over; return its exit status, negative for a signal."""
        status: int = self._breeder.ask("wait", pid=self._pid)["status"]
        self._pid = None
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid is not None:
            self.kill()
        self._breeder.ask("close", port=self.port)


def _live(command: dict[str, Any], listener: socket.socket, ready: int) -> NoReturn:
    """Be one life: recover, serve, end on SIGTERM."""
    errors = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, sys.stderr.fileno())
    log.configure()
    os.environ[faults.ENVIRONMENT_VARIABLE] = command["fault"]
    importlib.reload(faults)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    database, journal = Database(command["url"]), Path(command["journal"])
    database.create_tables()
    recovery.recover(database, journal, SystemClock())
    with open_archive(database, journal, limits=LIMITS) as archive:
        server = server_of(listener, node_policy(), archive.ingest, CountedPlaces())
        serving = threading.Thread(target=server.serve, args=(archive.ingest.look_after_index,), daemon=True)
        serving.start()
        os.write(ready, b"1")
        # A wait without end would not let the handler run.
        while not stopping.wait(0.05):
            pass
        server.stop()
        server.drain(20.0)
    database.close()
    os._exit(0)


def _start(command: dict[str, Any], listener: socket.socket) -> dict[str, Any]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            _live(command, listener, writer)
        except BaseException as error:  # noqa: BLE001  # the child must never go on with the parent's loop
            sys.stderr.write(f"life ended by {error!r}\n")
        finally:
            os._exit(1)
    os.close(writer)
    is_serving = os.read(reader, 1) == b"1"
    os.close(reader)
    return {"pid": pid, "is_serving": is_serving}


def _breed() -> None:
    listeners: dict[int, socket.socket] = {}
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        match command["do"]:
            case "open":
                listener = socket.create_server(("127.0.0.1", 0), backlog=128)
                answer["port"] = listener.getsockname()[1]
                listeners[answer["port"]] = listener
            case "start":
                answer = _start(command, listeners[command["port"]])
            case "wait":
                _, status = os.waitpid(command["pid"], 0)
                answer["status"] = os.waitstatus_to_exitcode(status)
            case "close":
                listeners.pop(command["port"]).close()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _breed()
