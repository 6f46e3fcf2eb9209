"""DCMTK as a peer: its storage and query servers, and its command line clients.

For: tests and benchmarks that need a DICOM implementation nobody here wrote. Not for: anything at
run time. Invariants: servers listen on the loopback only, and in a process of their own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.peers.certificates import KeyAndCertificate
from benchmarks.peers.processes import (
    LOOPBACK,
    ServerProcess,
    dicom_environment,
    free_port,
    is_listening,
)

#: A client that runs longer is taken for stuck.
CLIENT_TIMEOUT_S = 120.0

Client = Literal["dcmdump", "dcmsend", "echoscu", "findscu", "getscu", "movescu", "storescu", "termscu"]


@dataclass(frozen=True, kw_only=True)
class StorageServer:
    """A running `storescp` or `dcmqrscp`."""

    ae_title: str
    host: str
    port: int
    directory: Path
    process: ServerProcess

    def files(self) -> list[Path]:
        """List the instances it keeps, by name."""
        return sorted(
            path for path in self.directory.iterdir() if path.is_file() and path.name not in ("index.dat", "lockfile")
        )


@dataclass(frozen=True, kw_only=True)
class TlsIdentity:
    """What one end of a TLS connection needs: its own certificate and whom it trusts."""

    own: KeyAndCertificate
    trusted: Path

    def dcmtk_arguments(self) -> list[str]:
        """Give the options that DCMTK's servers and clients share."""
        return ["+tls", str(self.own.key), str(self.own.certificate), "+cf", str(self.trusted)]


@contextmanager
def storescp(
    directory: Path,
    *,
    ae_title: str = "STORESCP",
    port: int | None = None,
    fork: bool = True,
    options: Sequence[str] = ("+B",),
    tls: TlsIdentity | None = None,
    no_delay: bool = True,
) -> Iterator[StorageServer]:
    """Run DCMTK's storage server.

    Parameters
    ----------
    directory : Path
        Created; `received` in it gets the instances.
    port : int, optional
        A free one when None.
    fork : bool
        A child process for each association, instead of one association at a time.
    options : sequence of str
        More options; `+B` writes the bytes as they came, `+xa` accepts every transfer syntax,
        `--max-pdu N` says what is offered.
    tls : TlsIdentity, optional
        Speak TLS and demand a certificate of the client.
    no_delay : bool
        See `dicom_environment`.
    """
    received = directory / "received"
    received.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    arguments = ["storescp", "-v", "-aet", ae_title, "-od", str(received), *options]
    arguments += ["--fork"] if fork else []
    arguments += tls.dcmtk_arguments() if tls is not None else []
    with ServerProcess(
        "storescp",
        [*arguments, str(port)],
        directory=directory,
        environment=dicom_environment(no_delay=no_delay),
    ) as process:
        process.wait_until_ready(lambda: is_listening(port))
        yield StorageServer(ae_title=ae_title, host=LOOPBACK, port=port, directory=received, process=process)


@contextmanager
def dcmqrscp(
    directory: Path,
    *,
    ae_title: str = "DCMQRSCP",
    port: int | None = None,
    move_destinations: Mapping[str, int] | None = None,
    no_delay: bool = True,
) -> Iterator[StorageServer]:
    """Run DCMTK's archive, which stores, finds and moves.

    Parameters
    ----------
    directory : Path
        Created; `received` in it gets the instances.
    move_destinations : mapping from AE title to port, optional
        On the loopback. Other AE titles may call but not be moved to.
    """
    received = directory / "received"
    received.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    hosts = [
        f"d{number} = ({title}, {LOOPBACK}, {destination})"
        for number, (title, destination) in enumerate((move_destinations or {}).items())
    ]
    configuration = directory / "dcmqrscp.cfg"
    configuration.write_text(
        "\n".join(
            [
                f"NetworkTCPPort = {port}",
                "MaxPDUSize = 131072",
                "MaxAssociations = 16",
                "HostTable BEGIN",
                *hosts,
                "HostTable END",
                "VendorTable BEGIN",
                "VendorTable END",
                "AETable BEGIN",
                f"{ae_title} {received} RW (2000, 4096mb) ANY",
                "AETable END",
                "",
            ]
        )
    )
    with ServerProcess(
        "dcmqrscp",
        ["dcmqrscp", "-v", "-c", configuration],
        directory=directory,
        environment=dicom_environment(no_delay=no_delay),
    ) as process:
        process.wait_until_ready(lambda: is_listening(port))
        yield StorageServer(ae_title=ae_title, host=LOOPBACK, port=port, directory=received, process=process)


def run_client(
    client: Client,
    arguments: Sequence[str | Path],
    *,
    no_delay: bool = True,
    working_directory: Path | None = None,
    timeout_s: float = CLIENT_TIMEOUT_S,
) -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's clients to its end.

    Parameters
    ----------
    client : str
    arguments : sequence of str or Path
        As on the command line.
    no_delay : bool
        See `dicom_environment`.
    working_directory : Path, optional
        Where `findscu -X` and `getscu` write.

    Returns
    -------
    CompletedProcess
        Status and both outputs; bytes that are not UTF-8 are replaced. The status is not checked.

    Raises
    ------
    subprocess.TimeoutExpired
        It was killed after `timeout_s`.
    """
    return subprocess.run(
        [client, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=dicom_environment(no_delay=no_delay),
        cwd=working_directory,
        timeout=timeout_s,
        check=False,
    )
