"""Our node started from a settings file of its own, for what the open loopback configuration does not show."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.harness.peers import LOOPBACK, ServerProcess, free_port, wait_until

REPOSITORY = Path(__file__).parents[2]


class ConfiguredNode:
    """A node with one worker on the loopback; `start` may be called again after `stop` or `kill`.

    Parameters
    ----------
    directory : Path
        Created; gets settings, data and output.
    toml : str
        Everything below `[dicom]`'s own keys: `[dicom.limits]`, `[dicom.tls]`, `[[peers]]`, ...
    dicom_keys : str
        More keys of `[dicom]`.
    free_space_reserve_bytes : int
        None by default, because the machine's disk is not the test's.
    """

    def __init__(
        self,
        directory: Path,
        toml: str,
        *,
        dicom_keys: str = "",
        free_space_reserve_bytes: int = 0,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ae_title = "TELEGARDE"
        self.data = directory / "data"
        self.port = free_port()
        self.http_port = free_port()
        self._directory = directory
        self.settings = directory / "telegarde.toml"
        self.settings.write_text(
            f"""
[archive]
data_dir = {json.dumps(str(self.data))}
free_space_reserve_bytes = {free_space_reserve_bytes}
[http]
port = {self.http_port}
[dicom]
aet = ["{self.ae_title}"]
host = "{LOOPBACK}"
port = {self.port}
workers = 1
{dicom_keys}
{toml}
"""
        )
        self._process: ServerProcess | None = None

    @property
    def process(self) -> ServerProcess:
        """The running (or last) process."""
        assert self._process is not None, "start() first"
        return self._process

    def start(self) -> None:
        """Start the node and wait until it is ready."""
        self._process = ServerProcess(
            "telegarde",
            [sys.executable, "-m", "territory.cli", "serve", "--config", self.settings],
            directory=self._directory,
            working_directory=REPOSITORY,
        )
        self._process.wait_until_ready(self._is_healthy)

    def wait_until_idle(self) -> None:
        """Wait until no association is open: a node notices the end of one a moment after its peer."""
        wait_until(lambda: self._health().get("associations") == 0, what="the end of all associations")

    def kill(self) -> None:
        """End all its processes with SIGKILL."""
        self.process.kill()

    def _is_healthy(self) -> bool:
        return self._health().get("status") == "ready"

    def _health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}/health", timeout=5) as answer:
                facts: dict[str, Any] = json.load(answer)
                return facts
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.stop()
