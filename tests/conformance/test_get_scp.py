"""C-GET SCP by PS3.4 C.4.3: against DCMTK's getscu and pynetdicom, with every way its receiver may fail."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

from benchmarks.transfer_syntaxes import with_transfer_syntax
from foundation.errors import Unavailable
from pacs.archive.reader import PackReader
from pacs.contracts import InstanceRef
from pacs.status import Status
from tests.conformance.retrieve_node import Node, running_node, stored_dataset, write
from tests.conformance.retrieve_scu import PATIENT_GET, STUDY_GET, Answer, get, requesting, study_identifier
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE, IMPLICIT_LITTLE, MR_IMAGE
from tests.harness.peers import run_client
from tests.harness.sample_files import pydicom_test_files

JPEG_2000 = "1.2.840.10008.1.2.4.90"
CT_EXPLICIT = [(CT_IMAGE, [EXPLICIT_LITTLE])]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running_node(tmp_path / "node") as running:
        yield running


@pytest.fixture
def four(node: Node, tmp_path: Path) -> list[str]:
    """Three CT images and one MR image in the study 1.2.3; their UIDs."""
    uids = [f"1.2.3.1.{number}" for number in (1, 2, 3)]
    for uid in uids:
        node.keep(write(tmp_path, uid))
    node.keep(write(tmp_path, "1.2.3.2.1", sop_class_uid=MR_IMAGE, series_instance_uid="1.2.3.2"))
    return [*uids, "1.2.3.2.1"]


def accept(event: evt.Event) -> int:
    """Take every instance."""
    del event
    return 0x0000


def answers(node: Node, **options: object) -> list[Answer]:
    options = {"storage": CT_EXPLICIT, "on_store": accept, **options}
    with requesting(node.port, STUDY_GET, **options) as association:  # type: ignore[arg-type]
        return list(get(association, study_identifier("1.2.3")))


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("-S", ["QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3"]),
        ("-P", ["QueryRetrieveLevel=PATIENT", "PatientID=P1"]),
        ("-O", ["QueryRetrieveLevel=STUDY", "PatientID=P1", "StudyInstanceUID=1.2.3"]),
        ("-S", ["QueryRetrieveLevel=SERIES", "StudyInstanceUID=1.2.3", "SeriesInstanceUID=1.2.3.1\\1.2.3.2"]),
    ],
)
def test_getscu_gets_what_it_names_byte_for_byte(
    node: Node, four: list[str], tmp_path: Path, model: str, keys: list[str]
) -> None:
    received = tmp_path / "received"
    received.mkdir()
    arguments = [model, "-v", "-aec", "TELEGARDE", "-od", str(received), "+B", "127.0.0.1", str(node.port)]
    for key in keys:
        arguments += ["-k", key]

    done = run_client("getscu", arguments)

    assert done.returncode == 0, done.stderr
    files = {pydicom.dcmread(path).SOPInstanceUID: path for path in received.iterdir()}
    assert sorted(files) == four
    for uid, path in files.items():
        assert stored_dataset(path) == stored_dataset(tmp_path / f"{uid}.dcm")


def test_what_the_peer_does_not_accept_is_transcoded_without_loss(node: Node, tmp_path: Path) -> None:
    original = next(path for path in pydicom_test_files() if path.name == "CT_small.dcm")
    copy = tmp_path / "ct.dcm"
    copy.write_bytes(original.read_bytes())
    node.keep(with_transfer_syntax(copy, JPEG_2000))
    ds = pydicom.dcmread(original)
    got: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        got.append(dataset)
        return 0x0000

    for syntaxes in ([EXPLICIT_LITTLE], [IMPLICIT_LITTLE], [JPEG_2000, EXPLICIT_LITTLE]):
        with requesting(node.port, STUDY_GET, storage=[(CT_IMAGE, syntaxes)], on_store=keep) as association:
            final = list(get(association, study_identifier(ds.StudyInstanceUID)))[-1]
        assert (final.status, final.completed) == (0x0000, 1)

    assert [one.file_meta.TransferSyntaxUID for one in got] == [EXPLICIT_LITTLE, IMPLICIT_LITTLE, JPEG_2000]
    for one in got:
        assert (one.pixel_array == ds.pixel_array).all()


def test_the_first_pending_precedes_the_instances_and_the_counts_are_true(node: Node, four: list[str]) -> None:
    stored: list[str] = []

    def judge(event: evt.Event) -> int:
        stored.append(event.request.AffectedSOPInstanceUID)
        return {four[0]: 0x0000, four[1]: 0xA700, four[2]: 0xB000}[stored[-1]]

    first, *_, final = answers(node, on_store=judge)

    assert (first.status, first.remaining, first.completed) == (0xFF00, 4, 0)
    assert stored == four[:3]
    assert final.status == Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES
    assert (final.remaining, final.completed, final.failed, final.warning) == (None, 1, 2, 1)
    # The MR image fails because the peer proposed no context for it.
    assert final.failed_uids == [four[1], four[3]]


def test_without_any_storage_context_every_suboperation_fails(node: Node, four: list[str]) -> None:
    final = answers(node, storage=[])[-1]

    assert (final.status, final.completed, final.failed) == (0xA702, 0, 4)
    assert "no context" in final.comment


def test_nothing_that_matches_is_success_without_suboperations(node: Node) -> None:
    (final,) = answers(node)

    assert (final.status, final.completed, final.failed) == (0x0000, 0, 0)


def test_an_instance_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    class Damaged:
        def __init__(self, packs: PackReader) -> None:
            self._packs = packs

        def read_file(self, ref: InstanceRef) -> memoryview:
            if ref.sop_instance_uid == "1.2.3.1.1":
                raise Unavailable("the tier is away")
            return self._packs.read_file(ref)

    with running_node(tmp_path / "node", reader=Damaged) as node:
        for number in range(3):
            node.keep(write(tmp_path, f"1.2.3.1.{number}"))
        final = answers(node)[-1]

    assert (final.status, final.completed, final.failed_uids) == (0xB000, 2, ["1.2.3.1.1"])


def test_a_cancelled_get_says_so_with_what_remains(tmp_path: Path) -> None:
    sent = threading.Event()
    reading = threading.Semaphore(0)

    class Held:
        """Gives the first instance at once and the others when the cancel has been sent."""

        def __init__(self, packs: PackReader) -> None:
            self._packs = packs

        def read_file(self, ref: InstanceRef) -> memoryview:
            if ref.sop_instance_uid != "1.2.3.1.0":
                reading.release()
                assert sent.wait(20)
            return self._packs.read_file(ref)

    with running_node(tmp_path / "node", reader=Held) as node:
        for number in range(50):
            node.keep(write(tmp_path, f"1.2.3.1.{number}"))

        def slow(event: evt.Event) -> int:
            if event.request.AffectedSOPInstanceUID == "1.2.3.1.0":
                return 0x0000
            # The node looks for a cancel at most every 50 ms: give it one such time.
            threading.Event().wait(0.06)
            return 0x0000

        with requesting(node.port, STUDY_GET, storage=CT_EXPLICIT, on_store=slow) as association:
            for answer in get(association, study_identifier("1.2.3")):
                final = answer
                if not sent.is_set():
                    assert reading.acquire(timeout=20)
                    association.send_c_cancel(7, query_model=STUDY_GET)
                    sent.set()

    assert final.status == 0xFE00
    assert final.completed is not None
    assert final.remaining is not None
    assert 1 <= final.completed < 50
    assert final.completed + final.remaining == 50
    assert final.failed == 0


def test_pending_goes_on_while_an_instance_is_slow_to_come(tmp_path: Path) -> None:
    enough = threading.Event()

    class Slow:
        def __init__(self, packs: PackReader) -> None:
            self._packs = packs

        def read_file(self, ref: InstanceRef) -> memoryview:
            assert enough.wait(20), "too few Pending responses"
            return self._packs.read_file(ref)

    with running_node(tmp_path / "node", reader=Slow) as node:
        node.keep(write(tmp_path, "1.2.3.1.1"))
        seen: list[Answer] = []
        with requesting(node.port, STUDY_GET, storage=CT_EXPLICIT, on_store=accept) as association:
            for answer in get(association, study_identifier("1.2.3")):
                seen.append(answer)
                if len(seen) == 3:
                    enough.set()

    assert seen[-1].status == 0x0000
    assert seen[2].after_s < 2.0


def test_a_caller_that_leaves_in_the_middle_ends_the_association_and_nothing_else(node: Node, four: list[str]) -> None:
    def leave(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    with requesting(node.port, STUDY_GET, storage=CT_EXPLICIT, on_store=leave) as association:
        # pynetdicom waits this long for the final response although it has aborted itself.
        association.dimse_timeout = 0.5
        responses = association.send_c_get(study_identifier("1.2.3"), STUDY_GET)
        statuses = [status for status, _ in responses]
    assert "Status" not in statuses[-1]

    final = answers(node)[-1]
    assert final.completed == 3


def test_patient_root_get_takes_the_patient(node: Node, four: list[str]) -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "PATIENT"
    identifier.PatientID = "P1"

    with requesting(node.port, PATIENT_GET, storage=CT_EXPLICIT, on_store=accept) as association:
        final = list(get(association, identifier, PATIENT_GET))[-1]

    assert (final.completed, final.failed) == (3, 1)
