"""The on-call engine as a process of its own beside the DICOM workers: started, watched and ended by `OncallKeeper`.

For: when it runs (a directory and a roster are published, or the settings say so), that it is started again when it
dies, and what it is made of. Not for: deciding anything about cases.

Invariants
----------
* Nothing that happens in the engine's process reaches ingest: it has no socket, no pack and no lock of theirs but the
  database's writer lock, which it holds for one commit.
* It ends when its keeper ends: its standard input then ends.
"""

import os
import secrets
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import oncall.schema  # noqa: F401  # adds its tables to those that a node creates
from foundation import log
from foundation.clock import Clock, SystemClock
from foundation.database import Database, DatabaseAway
from territory.launch import Launch, SupervisorGone, read_launch, write_launch
from territory.settings import OncallMode, Settings
from territory.supervisor import GOOD_START_S, restart_delay_s

COMMAND: Final = (sys.executable, "-m", "territory.oncall_process")
SECRET_FILE: Final = "oncall_secret"  # noqa: S105  # the name of the file
"""In the data directory: what answer links are made with; made at the first start, readable by the service only."""

SIGNING_KEYS: Final = "oncall_keys"
"""In the data directory: the keys of people and of the node; made when first needed, readable by the service only."""

_LOOK_EVERY_S: Final = 2.0
_STOP_S_MAX: Final = 10.0


class OncallKeeper:
    """Keeps the engine's process running for as long as there is something for it to do.

    Parameters
    ----------
    settings : Settings
        ``oncall.mode`` says whether it runs always, never, or once a directory and a roster are published.
    database : Database
        Asked whether they are.
    """

    def __init__(
        self, settings: Settings, database: Database, *, command: tuple[str, ...] = COMMAND, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._database = database
        self._command = command
        self._clock = clock or SystemClock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="oncall-keeper", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at_s = 0.0
        self._deaths = 0
        self._start_due_s = 0.0

    def start(self) -> None:
        """Begin to look, in a thread of its own."""
        if self._settings.oncall.mode is not OncallMode.OFF:
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
        """Of the engine's process; None while there is none."""
        return None if self._process is None else self._process.pid

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except DatabaseAway:
                log.debug("oncall_waits_for_the_database")
            except Exception as error:  # noqa: BLE001  # thread edge: whatever fails here must not touch ingest
                log.error("oncall_keeper_failed", error=type(error).__name__)
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
            log.error("oncall_died", pid=process.pid, exit_code=process.returncode, failures=self._deaths)
        if self._process is None and now_s >= self._start_due_s and self._is_wanted():
            self._begin(now_s)

    def _is_wanted(self) -> bool:
        # Imported here: a node without on-call work never loads it.
        from oncall.engine.published_rules import is_published

        return self._settings.oncall.mode is OncallMode.ON or is_published(self._database)

    def _begin(self, now_s: float) -> None:
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=sys.stderr.fileno())
        self._process, self._started_at_s = process, now_s
        assert process.stdin is not None
        try:
            write_launch(process.stdin, Launch(settings=self._settings, worker=0, table_descriptor=-1, ports=()))
        except BrokenPipeError:
            return
        log.info("oncall_started", pid=process.pid)

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            try:
                process.stdin.close()
            except BrokenPipeError:
                log.debug("oncall_pipe_broken", pid=process.pid)


def answer_secret(data_dir: Path) -> bytes:
    """Return the secret of answer links; made once, by whoever is first."""
    path = data_dir / SECRET_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        secret = secrets.token_bytes(32)
        file.write(secret)
    return secret


def main() -> int:
    """Run the engine until told to stop, or until nobody is left who could."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        launch = read_launch(sys.stdin.fileno())
    except SupervisorGone:
        return 0
    log.configure(prefix="[oncall] ")
    # Imported here so that a dead keeper is noticed before everything is loaded.
    from territory.oncall_parts import OncallParts

    signals = _catch_signals()
    parts = OncallParts(launch.settings, worker=f"oncall-{os.getpid()}-{secrets.token_hex(4)}")
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


if __name__ == "__main__":
    sys.exit(main())
