"""Debian's Orthanc as a peer: stores, finds, moves, and counts over its REST interface.

For: differential tests and benchmarks. Not for: anything at run time. Invariants: it listens on the
loopback only, has its own temporary storage, and differs from its default configuration only in
what `configuration` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.peers.processes import LOOPBACK, ServerProcess, dicom_environment, free_port

#: One REST request; all that is asked here is answered at once.
REST_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class OrthancServer:
    """A running Orthanc."""

    ae_title: str
    host: str
    port: int
    http_port: int
    process: ServerProcess

    def get_json(self, path: str) -> Any:
        """GET a REST resource such as `/statistics`."""
        return self._request(path, None)

    def post_json(self, path: str, body: object) -> Any:
        """POST JSON to a REST resource such as `/tools/find`."""
        return self._request(path, json.dumps(body))

    def count_instances(self) -> int:
        """Ask how many instances it keeps."""
        return int(self.get_json("/statistics")["CountInstances"])

    def is_ready(self) -> bool:
        """Tell whether the REST interface answers; the DICOM server starts before it."""
        try:
            self.get_json("/system")
        except OSError:
            return False
        return True

    def _request(self, path: str, body: str | None) -> Any:
        connection = HTTPConnection(self.host, self.http_port, timeout=REST_TIMEOUT_S)
        with closing(connection):
            connection.request("GET" if body is None else "POST", path, body)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status != HTTPStatus.OK:
            raise self.process.failed(f"{path}: HTTP status {answer.status}")
        return json.loads(content)


def configuration(
    directory: Path,
    *,
    ae_title: str,
    port: int,
    http_port: int,
    modalities: Mapping[str, int],
) -> dict[str, object]:
    """Give Orthanc's settings: where it lives, whom it knows, and two that the benchmark names.

    `StoreMD5ForAttachments` off and `KeepAlive` on are what a tuned installation has; unknown
    clients may find, get and move because the tests' clients listen nowhere.
    """
    return {
        "Name": ae_title,
        "StorageDirectory": str(directory / "storage"),
        "IndexDirectory": str(directory / "storage"),
        "HttpPort": http_port,
        "DicomPort": port,
        "DicomAet": ae_title,
        "StoreMD5ForAttachments": False,
        "KeepAlive": True,
        "RemoteAccessAllowed": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {title.lower(): [title, LOOPBACK, destination] for title, destination in modalities.items()},
    }


@contextmanager
def orthanc(
    directory: Path,
    *,
    ae_title: str = "ORTHANC",
    port: int | None = None,
    modalities: Mapping[str, int] | None = None,
    no_delay: bool = True,
    options: Mapping[str, object] | None = None,
) -> Iterator[OrthancServer]:
    """Run Orthanc without plugins.

    Parameters
    ----------
    directory : Path
        Created; gets configuration, storage and index.
    modalities : mapping from AE title to port, optional
        On the loopback; C-MOVE destinations.
    no_delay : bool
        See `dicom_environment`; Orthanc is built on DCMTK.
    options : mapping, optional
        More settings of Orthanc.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port, http_port = port or free_port(), free_port()
    settings = configuration(
        directory,
        ae_title=ae_title,
        port=port,
        http_port=http_port,
        modalities=modalities or {},
    )
    settings_path = directory / "orthanc.json"
    settings_path.write_text(json.dumps({**settings, **(options or {})}, indent=1))
    with ServerProcess(
        "orthanc",
        ["Orthanc", settings_path],
        directory=directory,
        environment=dicom_environment(no_delay=no_delay),
    ) as process:
        server = OrthancServer(ae_title=ae_title, host=LOOPBACK, port=port, http_port=http_port, process=process)
        process.wait_until_ready(server.is_ready)
        yield server
