"""The servers that are measured, each behind the same few questions.

For: `benchmarks.ingest` and `benchmarks.retrieve`. Not for: tests, which use `benchmarks.peers`
directly. Invariants: a server that is measured starts empty and in a directory of its own; what it
says it keeps is asked of it, or of its disk, after the measurement, and a wrong answer is an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.dcmtk import storescp
from benchmarks.peers.orthanc import orthanc
from benchmarks.peers.processes import ServerProcess, free_port, is_listening
from benchmarks.peers.pynetdicom_storage import MAX_PDU_BYTES, pynetdicom_storage
from benchmarks.peers.telegarde_node import TelegardeNode
from territory.settings_model import PDU_LENGTH_BYTES_DEFAULT

_REPOSITORY = Path(__file__).parents[1]


class WrongResult(Exception):
    """A server does not keep what it acknowledged; its speed means nothing."""


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A server that can be sent to and measured.

    `kept` counts the instances that it keeps; it may stop the server, so it comes last. After it,
    `association_rates` gives the images/s of each association as the server logged them, in the
    order in which they ended; nothing when it does not.
    """

    ae_title: str
    port: int
    process: ServerProcess
    kept: Callable[[], int]
    association_rates: Callable[[], list[float]] = list


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """How a server is started for one measurement.

    Parameters
    ----------
    no_delay : bool
        Both ends switch Nagle's algorithm off, as far as the server can be told to.
    workers : int, optional
        Of our node; its default when None.
    destinations : mapping from AE title to port
        Where C-MOVE may send to, on the loopback.
    """

    no_delay: bool
    workers: int | None
    destinations: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ServerKind:
    """What is known of a server before it runs.

    Parameters
    ----------
    durability : str
        What is true of an image when its sender gets the answer.
    pdu : str
        The largest PDU that it offers to receive.
    nagle : str
        What its own sockets do.
    speaks_dicom : bool
        Otherwise it is sent to by `benchmarks.bare_copy`.
    """

    name: str
    title: str
    durability: str
    pdu: str
    nagle: str
    start: Callable[[Path, StartOptions], AbstractContextManager[RunningServer]]
    version: Callable[[], str]
    speaks_dicom: bool = True


def _files(directory: Path) -> int:
    return sum(1 for path in directory.iterdir() if path.is_file())


@contextmanager
def _telegarde(directory: Path, options: StartOptions) -> Iterator[RunningServer]:
    node = TelegardeNode(directory, workers=options.workers, peers=options.destinations)

    def kept() -> int:
        node.stop()
        answer = node.verify()
        wrong = {name: answer.get(name) for name in ("missing", "corrupt", "unindexed")}
        if any(count != 0 for count in wrong.values()):
            message = f"telegarde verify found {wrong}"
            raise WrongResult(message)
        return int(answer["instances"])

    with node:
        yield RunningServer(
            ae_title=node.ae_title,
            port=node.port,
            process=node.process,
            kept=kept,
            association_rates=lambda: _logged_rates(node.process.output()),
        )


def _logged_rates(log: str) -> list[float]:
    """Read the rates out of the node's summary lines."""
    lines = re.finditer(r"\bassociation_ended\b.*\bimages_per_s=([0-9.]+)", log)
    return [float(line.group(1)) for line in lines]


@contextmanager
def _storescp(directory: Path, options: StartOptions, arguments: tuple[str, ...]) -> Iterator[RunningServer]:
    with storescp(directory, options=arguments, no_delay=options.no_delay) as server:
        yield RunningServer(
            ae_title=server.ae_title,
            port=server.port,
            process=server.process,
            kept=lambda: _files(server.directory),
        )


@contextmanager
def _orthanc(directory: Path, options: StartOptions) -> Iterator[RunningServer]:
    with orthanc(directory, modalities=options.destinations, no_delay=options.no_delay) as server:
        yield RunningServer(
            ae_title=server.ae_title,
            port=server.port,
            process=server.process,
            kept=server.count_instances,
        )
        # It takes seconds to stop, and its data are thrown away.
        server.process.kill()


@contextmanager
def _pynetdicom(directory: Path, options: StartOptions) -> Iterator[RunningServer]:
    del options
    with pynetdicom_storage(directory) as server:
        yield RunningServer(
            ae_title=server.ae_title,
            port=server.port,
            process=server.process,
            kept=lambda: _files(server.directory),
        )


@contextmanager
def _bare(directory: Path, options: StartOptions) -> Iterator[RunningServer]:
    del options
    received = directory / "received"
    received.mkdir(parents=True)
    port = free_port()
    with ServerProcess(
        "bare",
        [
            *(sys.executable, "-m", "benchmarks.bare_copy", "receive"),
            *("--port", str(port), "--directory", received),
        ],
        directory=directory,
        working_directory=_REPOSITORY,
    ) as process:
        process.wait_until_ready(lambda: is_listening(port))
        yield RunningServer(ae_title="", port=port, process=process, kept=lambda: _files(received))


def _first_line(*command: str) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return (finished.stdout or finished.stderr).splitlines()[0].strip("$ ")


def _telegarde_version() -> str:
    settings = (_REPOSITORY / "setup.cfg").read_text().splitlines()
    line = next(line for line in settings if line.startswith("version"))
    return f"telegarde {line.partition('=')[2].strip()}"


_STORESCP_NAGLE = "as the sender's: TCP_NODELAY=1 in rounds without Nagle, DCMTK's default otherwise"

_KINDS = (
    ServerKind(
        name="telegarde",
        title="Telegarde",
        durability="bytes on disk (fdatasync), index committed",
        pdu=f"{PDU_LENGTH_BYTES_DEFAULT:,} (default)",
        nagle="always TCP_NODELAY",
        start=_telegarde,
        version=_telegarde_version,
    ),
    ServerKind(
        name="storescp",
        title="DCMTK storescp --fork -B",
        durability="none: written to the page cache, no fsync, no index",
        pdu="16,384 (default)",
        nagle=_STORESCP_NAGLE,
        start=lambda directory, options: _storescp(directory, options, ("-B",)),
        version=lambda: _first_line("storescp", "--version"),
    ),
    ServerKind(
        name="storescp-tuned",
        title="DCMTK storescp --fork +B --max-pdu 131072",
        durability="none: written to the page cache, no fsync, no index",
        pdu="131,072",
        nagle=_STORESCP_NAGLE,
        start=lambda directory, options: _storescp(directory, options, ("+B", "--max-pdu", "131072")),
        version=lambda: _first_line("storescp", "--version"),
    ),
    ServerKind(
        name="orthanc",
        title="Orthanc",
        durability="file written and fsynced (SyncStorageArea), SQLite index committed",
        pdu="16,384 (default)",
        nagle=_STORESCP_NAGLE,
        start=_orthanc,
        version=lambda: _first_line("Orthanc", "--version"),
    ),
    ServerKind(
        name="pynetdicom",
        title="pynetdicom, raw write",
        durability="none: written to the page cache, no fsync, no index",
        pdu=f"{MAX_PDU_BYTES:,}",
        nagle="default, Nagle on",
        start=_pynetdicom,
        version=lambda: f"pynetdicom {version('pynetdicom')}",
    ),
    ServerKind(
        name="bare",
        title="bare copy with fdatasync",
        durability="bytes on disk (fdatasync), no name, no index",
        pdu="no PDUs",
        nagle="always TCP_NODELAY",
        start=_bare,
        version=lambda: "of this commit",
        speaks_dicom=False,
    ),
)

#: By name, in the order of reports.
SERVERS: Mapping[str, ServerKind] = {kind.name: kind for kind in _KINDS}


@contextmanager
def started(kind: ServerKind, directory: Path, options: StartOptions) -> Iterator[RunningServer]:
    """Start a server on an empty directory, and leave nothing of it when it has stopped."""
    home = directory / kind.name
    shutil.rmtree(home, ignore_errors=True)
    try:
        with kind.start(home, options) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)
