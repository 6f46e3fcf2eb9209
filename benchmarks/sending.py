"""Sends a workload to a server on several associations at once and takes the time.

For: `benchmarks.ingest`; also fills servers for `benchmarks.retrieve`. Invariants: one operating
system process for each association, the same program for every DICOM server; the time runs from
the start of the first to the end of the last, start-up included; a sender that fails is an error.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.processes import LOOPBACK, PeerFailed, dicom_environment
from benchmarks.servers import RunningServer, ServerKind

#: One measurement; storescu with Nagle on needs 45 s for 1,000 images.
SENDING_TIMEOUT_S = 900.0

_REPOSITORY = Path(__file__).parents[1]


def _command(kind: ServerKind, server: RunningServer, directory: Path, no_delay: bool) -> list[str]:
    if kind.speaks_dicom:
        return [
            *("storescu", "--propose-little", "-aet", "BENCHMARK", "-aec", server.ae_title),
            *("+sd", LOOPBACK, str(server.port), str(directory)),
        ]
    return [
        *(sys.executable, "-I", "-S", str(_REPOSITORY / "benchmarks" / "bare_copy.py"), "send"),
        *("--port", str(server.port), "--directory", str(directory)),
        *(["--no-delay"] if no_delay else []),
    ]


def send(kind: ServerKind, server: RunningServer, directories: Sequence[Path], *, no_delay: bool) -> float:
    """Send the files of each directory on an association of its own.

    Parameters
    ----------
    no_delay : bool
        Of the senders.

    Returns
    -------
    float
        Seconds from the start of the first sender to the end of the last.

    Raises
    ------
    PeerFailed
        When a sender failed or was not done in time; all of them are ended then.
    """
    environment = dicom_environment(no_delay=no_delay)
    senders: list[subprocess.Popen[str]] = []
    begun_s = time.monotonic()
    try:
        senders += (
            subprocess.Popen(
                _command(kind, server, directory, no_delay),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=environment,
            )
            for directory in directories
        )
        deadline_s = begun_s + SENDING_TIMEOUT_S
        outputs = [sender.communicate(timeout=max(0.0, deadline_s - time.monotonic()))[0] for sender in senders]
        took_s = time.monotonic() - begun_s
    except subprocess.TimeoutExpired:
        message = f"a sender was not done within {SENDING_TIMEOUT_S:g} s"
        raise server.process.failed(message) from None
    finally:
        for sender in senders:
            if sender.poll() is None:
                sender.kill()
                sender.communicate()
    for sender, output in zip(senders, outputs, strict=True):
        if sender.returncode != 0:
            message = f"a sender ended with status {sender.returncode}: {output[-2000:]}"
            raise PeerFailed(message) from server.process.failed("while it was sent to")
    return took_s
