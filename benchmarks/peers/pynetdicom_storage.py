"""A storage server of stock pynetdicom that writes what it gets; also a program of its own.

For: the baseline that our node must beat, and a second opinion in tests. Not for: anything else. It
answers success after the file was written, without fsync.

    python -m benchmarks.peers.pynetdicom_storage --port P --directory D --ae-title T --max-pdu N
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.dcmtk import StorageServer
from benchmarks.peers.processes import LOOPBACK, ServerProcess, free_port, is_listening

#: Good for pynetdicom, whose cost is per PDU; its own default is 16,382.
MAX_PDU_BYTES = 131_072

_REPOSITORY = Path(__file__).parents[2]


@contextmanager
def pynetdicom_storage(
    directory: Path,
    *,
    ae_title: str = "PYNETDICOM",
    port: int | None = None,
    max_pdu_bytes: int = MAX_PDU_BYTES,
) -> Iterator[StorageServer]:
    """Run the server in a process of its own.

    Parameters
    ----------
    directory : Path
        Created; `received` in it gets one file for each SOP Instance UID.
    max_pdu_bytes : int
        What it offers to receive.
    """
    received = directory / "received"
    received.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    with ServerProcess(
        "pynetdicom",
        [
            *(sys.executable, "-m", "benchmarks.peers.pynetdicom_storage"),
            *("--port", str(port), "--directory", received),
            *("--ae-title", ae_title, "--max-pdu", str(max_pdu_bytes)),
        ],
        directory=directory,
        working_directory=_REPOSITORY,
    ) as process:
        process.wait_until_ready(lambda: is_listening(port))
        yield StorageServer(ae_title=ae_title, host=LOOPBACK, port=port, directory=received, process=process)


def main() -> None:
    """Serve until a signal ends the process."""
    # Imported here because the starter needs none of it.
    from pynetdicom import AE, AllStoragePresentationContexts, evt
    from pynetdicom.sop_class import Verification

    parser = argparse.ArgumentParser(description="storage server of stock pynetdicom")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--ae-title", required=True)
    parser.add_argument("--max-pdu", type=int, required=True)
    arguments = parser.parse_args()

    def store(event: evt.Event) -> int:
        path = arguments.directory / str(event.request.AffectedSOPInstanceUID)
        path.write_bytes(event.encoded_dataset())
        return 0x0000

    ae = AE(ae_title=arguments.ae_title)
    ae.maximum_pdu_size = arguments.max_pdu
    ae.maximum_associations = 64
    ae.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax)
    ae.start_server((LOOPBACK, arguments.port), evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main()
