"""The node of the demo: a real one, in processes of its own, and the questions asked of it.

For: `territory.demo`. The questions go through pynetdicom, a DICOM implementation that is not ours.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove
from pynetdicom.sop_class import Verification as VerificationSOPClass

LOOPBACK: Final = "127.0.0.1"
NODE_AET: Final = "TELEGARDE"
WORKSTATION_AET: Final = "READING_ROOM"
_READY_S_MAX: Final = 60.0
_STOP_S_MAX: Final = 40.0
_LOOK_EVERY_S: Final = 0.1


class StepFailed(Exception):
    """Something that the demo shows did not work."""


def choose_port(wanted: int) -> int:
    """Return a port on the loopback that nobody listens on: the wanted one if it is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StepFailed("no free port on the loopback")


class DemoNode:
    """One node, open on loopback, and the workstation it may move studies to.

    Parameters
    ----------
    data : Path
        Its data directory.
    log_path : Path
        Where it logs to.
    """

    def __init__(self, data: Path, log_path: Path) -> None:
        self.data = data
        self.log_path = log_path
        self.dicom_port = choose_port(11112)
        self.http_port = choose_port(8042)
        self.workstation_port = choose_port(11113)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def arguments(self) -> list[str]:
        """What follows ``telegarde`` on the command line that starts it."""
        return [
            "serve",
            *("--data", str(self.data), "--aet", NODE_AET, "--open-loopback"),
            *("--dicom-port", str(self.dicom_port), "--http-port", str(self.http_port)),
            *("--peer", f"{WORKSTATION_AET}={LOOPBACK}:{self.workstation_port}"),
        ]

    def start(self) -> dict[str, Any]:
        """Start the node and return its health once everything is ready."""
        self.data.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log_file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "territory.cli", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                # A group of its own, so that `pull_the_plug` ends all of it and nothing else.
                start_new_session=True,
            )
        pause = threading.Event()
        for _ in range(int(_READY_S_MAX / _LOOK_EVERY_S)):
            health = self._health()
            if health is not None:
                return health
            if self._process.poll() is not None:
                break
            pause.wait(_LOOK_EVERY_S)
        raise StepFailed(f"the node did not become ready:\n{self.log_path.read_text()[-2000:]}")

    def _health(self) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection(LOOPBACK, self.http_port, timeout=_READY_S_MAX)
        try:
            connection.request("GET", "/health")
            response = connection.getresponse()
            found: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return found if response.status == http.HTTPStatus.OK else None

    def stop(self) -> int:
        """Stop it gracefully; return its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(_STOP_S_MAX)
        finally:
            self.pull_the_plug()

    def pull_the_plug(self) -> None:
        """End all its processes at once, with SIGKILL: nothing is flushed, no handler runs."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            process.wait()

    def command(self, *arguments: str) -> dict[str, Any]:
        """Run another ``telegarde`` command with ``--json``; return what it answered."""
        done = subprocess.run(
            [sys.executable, "-m", "territory.cli", *arguments, "--json"], capture_output=True, text=True, check=False
        )
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise StepFailed(f"telegarde {arguments[0]}: {done.stderr[-2000:]}") from None
        return answer

    def echo(self) -> None:
        """C-ECHO."""
        with associated(self.dicom_port, "DEMO", VerificationSOPClass) as association:
            _expect(association.send_c_echo(), 0x0000, "C-ECHO")

    def find_studies(self, **keys: str) -> list[Dataset]:
        """C-FIND at STUDY level with these matching keys."""
        return find_studies(self.dicom_port, "DEMO", **keys)

    def move(self, study_instance_uid: str) -> Dataset:
        """C-MOVE a study to the workstation; return the last response's counters."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study_instance_uid
        with associated(self.dicom_port, "DEMO", StudyRootQueryRetrieveInformationModelMove) as association:
            answers = list(
                association.send_c_move(identifier, WORKSTATION_AET, StudyRootQueryRetrieveInformationModelMove)
            )
        status = answers[-1][0]
        _expect(status, 0x0000, "C-MOVE")
        assert isinstance(status, Dataset)
        return status


@contextmanager
def associated(port: int, calling_aet: str, sop_class: str) -> Iterator[Any]:
    """Give an association of pynetdicom's with a node on the loopback."""
    ae = AE(ae_title=calling_aet)
    ae.add_requested_context(sop_class)
    association = ae.associate(LOOPBACK, port, ae_title=NODE_AET)
    if not association.is_established:
        raise StepFailed(f"the node did not accept an association of {calling_aet}")
    try:
        yield association
    finally:
        association.release()


def find_studies(port: int, calling_aet: str, **keys: str) -> list[Dataset]:
    """Ask a node on the loopback for studies with these matching keys."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    for keyword in (
        *("PatientName", "PatientID", "StudyDate", "StudyTime", "StudyDescription", "StudyInstanceUID"),
        *("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    ):
        setattr(identifier, keyword, keys.get(keyword, ""))
    with associated(port, calling_aet, StudyRootQueryRetrieveInformationModelFind) as association:
        answers = list(association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind))
    _expect(answers[-1][0], 0x0000, "C-FIND")
    return [found for _, found in answers[:-1]]


def _expect(status: Dataset, wanted: int, what: str) -> None:
    if status.get("Status") != wanted:
        raise StepFailed(f"{what} was answered {status.get('Status', 'not at all')}, not {wanted:04X}")


class Workstation:
    """A storage SCP of pynetdicom's that keeps what it is sent, as Part 10 files by SOP Instance UID."""

    def __init__(self, port: int) -> None:
        self.received: dict[str, bytes] = {}
        ae = AE(ae_title=WORKSTATION_AET)
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax, context.transfer_syntax)
        self._server = ae.start_server((LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._keep)])

    def _keep(self, event: Any) -> int:
        self.received[str(event.request.AffectedSOPInstanceUID)] = event.encoded_dataset()
        return 0x0000

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()


def sop_instance_uid_of(path: Path) -> str:
    """Return which instance a file holds."""
    return str(read_file_meta_info(path).MediaStorageSOPInstanceUID)


def count_identical(paths: Sequence[Path], received: Mapping[str, bytes]) -> int:
    """Return how many of these files came back with exactly the bytes of their data sets."""
    return sum(
        dataset_bytes(path.read_bytes()) == dataset_bytes(received.get(sop_instance_uid_of(path), b""))
        for path in paths
    )


def dataset_bytes(file: bytes) -> bytes:
    """Return what follows preamble, prefix and file meta information (PS3.10 7.1)."""
    # The group length element, 12 bytes long, is first, and its value ends it.
    return file[144 + int.from_bytes(file[140:144], "little") :]
