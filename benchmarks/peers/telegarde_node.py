"""Our own node as a process, started as a user would start it.

For: conformance and crash tests and benchmarks. Not for: testing parts of it. Invariants: it
listens on the loopback only (`--open-loopback`), and is ended by its own process id.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.peers.processes import (
    LOOPBACK,
    READY_TIMEOUT_S,
    STOP_TIMEOUT_S,
    ServerProcess,
    free_port,
)

#: `verify` reads every byte that is kept.
COMMAND_TIMEOUT_S = 600.0

_REPOSITORY = Path(__file__).parents[2]
_HEALTH_TIMEOUT_S = 5.0


class CommandFailed(Exception):
    """A `telegarde` command ended with a status that was not expected; has its output."""


def run_telegarde(*arguments: str | Path, timeout_s: float = COMMAND_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """Run `telegarde` with arguments to its end; the status is not checked."""
    return subprocess.run(
        [sys.executable, "-m", "territory.cli", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=_REPOSITORY,
        timeout=timeout_s,
        check=False,
    )


def telegarde_json(*arguments: str | Path, timeout_s: float = COMMAND_TIMEOUT_S) -> dict[str, Any]:
    """Run `telegarde ... --json` and give what it printed.

    Raises
    ------
    CommandFailed
        When the output is not one JSON object. The status is not checked: `verify` answers in JSON
        and with status 1 when it found something.
    """
    finished = run_telegarde(*arguments, "--json", timeout_s=timeout_s)
    try:
        answer = json.loads(finished.stdout)
    except json.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        command = " ".join(map(str, arguments[:1]))
        message = (
            f"telegarde {command}: status {finished.returncode}, no JSON object\n"
            f"{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
        )
        raise CommandFailed(message)
    return answer


class TelegardeNode:
    """A node on a data directory; `start` may be called again after `stop` or `kill`.

    Parameters
    ----------
    directory : Path
        Created; gets the output. The data lie in `data` in it.
    ae_title : str
    workers : int, optional
        The node's default when None.
    peers : mapping from AE title to port, optional
        On the loopback; C-MOVE destinations.
    options : sequence of str, optional
        More options of `telegarde serve`.
    environment : mapping, optional
        Added to this process's environment, for fault points.
    """

    host = LOOPBACK

    def __init__(
        self,
        directory: Path,
        *,
        ae_title: str = "TELEGARDE",
        workers: int | None = None,
        peers: Mapping[str, int] | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ae_title = ae_title
        self.data = directory / "data"
        self.port = free_port()
        self.http_port = free_port()
        self._directory = directory
        self._environment = {**os.environ, **(environment or {})}
        self._arguments = ["--data", str(self.data), "--aet", ae_title, "--open-loopback"]
        self._arguments += ["--dicom-port", str(self.port), "--http-port", str(self.http_port)]
        self._arguments += ["--workers", str(workers)] if workers is not None else []
        for title, port in (peers or {}).items():
            self._arguments += ["--peer", f"{title}={LOOPBACK}:{port}"]
        self._arguments += options
        self._process: ServerProcess | None = None

    @property
    def process(self) -> ServerProcess:
        """The running (or last) process."""
        assert self._process is not None, "start() first"
        return self._process

    def start(self, *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start the node and wait until it says that everything is ready."""
        self._process = ServerProcess(
            "telegarde",
            [sys.executable, "-m", "territory.cli", "serve", *self._arguments],
            directory=self._directory,
            environment=self._environment,
            working_directory=_REPOSITORY,
        )
        self._process.wait_until_ready(self.is_healthy, timeout_s=timeout_s)

    def is_healthy(self) -> bool:
        """Tell whether `GET /health` answers 200."""
        try:
            with urllib.request.urlopen(
                f"http://{self.host}:{self.http_port}/health", timeout=_HEALTH_TIMEOUT_S
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End it with SIGTERM, which finishes the instances in hand; gives the exit status."""
        return self.process.stop(timeout_s=timeout_s)

    def kill(self) -> None:
        """End all its processes with SIGKILL."""
        self.process.kill()

    def status(self) -> dict[str, Any]:
        """Give what `telegarde status --json` says."""
        return telegarde_json("status", "--data", self.data)

    def verify(self) -> dict[str, Any]:
        """Give what `telegarde verify --json` says: every byte was read."""
        return telegarde_json("verify", "--data", self.data)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.stop()
