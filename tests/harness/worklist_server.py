"""DCMTK's worklist server on files of items: the judge of what a query finds."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.harness.peers import ServerProcess, dicom_environment, free_port, is_listening

#: The server has no orders for any scanner: each item says here which one it is for, and the question decides ours.
ANY_STATION = ("ScheduledStationAETitle",)


@contextmanager
def wlmscpfs(directory: Path, items: Mapping[str, Sequence[Dataset]]) -> Iterator[int]:
    """Run the server with items by called AE title; yield its port."""
    for called_aet, answered in items.items():
        folder = directory / called_aet
        folder.mkdir(parents=True)
        (folder / "lockfile").touch()
        for number, item in enumerate(answered):
            _write(folder / f"{number}.wl", item)
    port = free_port()
    process = ServerProcess(
        "wlmscpfs",
        ["wlmscpfs", "-s", "-csk", "-dfp", directory, str(port)],
        directory=directory,
        environment=dicom_environment(no_delay=True),
    )
    with process as server:
        server.wait_until_ready(lambda: is_listening(port))
        yield port


def _write(path: Path, item: Dataset) -> None:
    written = FileDataset("", item, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    written.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    written.file_meta.MediaStorageSOPClassUID = UID("1.2.276.0.7230010.3.1.0.1")
    written.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    dcmwrite(path, written, enforce_file_format=True)
