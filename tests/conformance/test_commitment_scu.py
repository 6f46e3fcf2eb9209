"""Storage commitment with pynetdicom as SCU: reports on the same and on a new association; PS3.4 J.3, PS3.7 D.3.3.4.

The node runs as a user would run it; images come from DCMTK's storescu.
"""

import queue
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.dsutils import encode

from benchmarks.studies import write_ct_study
from pacs.scp.presentation import STORAGE_COMMITMENT_PUSH_MODEL
from tests.harness.configured_node import ConfiguredNode
from tests.harness.peers import LOOPBACK, free_port, run_client, wait_until

INSTANCE = "1.2.840.10008.1.20.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
SLICES = 4
# Longer than the relay's turn and a report on a loaded machine take.
REPORT_S_MAX = 30.0


@dataclass(frozen=True)
class Report:
    """One N-EVENT-REPORT as it arrived."""

    event_type: int
    transaction_uid: str
    committed: list[str]
    failed: dict[str, int]


class Modality:
    """A storage commitment SCU that also listens for reports."""

    def __init__(self, node: ConfiguredNode, aet: str, port: int | None) -> None:
        self.node = node
        self.reports: queue.Queue[Report] = queue.Queue()
        self.status = 0x0000
        self._ae = AE(aet)
        self._ae.add_requested_context(STORAGE_COMMITMENT_PUSH_MODEL)
        self._ae.add_requested_context(CT)
        # As acceptor of a new association we are SCU, and the node that requests it is SCP.
        self._ae.add_supported_context(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        self._server = self._ae.start_server((LOOPBACK, port), block=False, evt_handlers=handlers) if port else None

    def associate(self) -> Association:
        association = self._ae.associate(
            LOOPBACK,
            self.node.port,
            ae_title=self.node.ae_title,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take)],
        )
        assert association.is_established
        return association

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()

    def _take(self, event: Any) -> tuple[int, Dataset | None]:
        information = event.event_information
        self.reports.put(
            Report(
                event_type=event.event_type,
                transaction_uid=information.TransactionUID,
                committed=[item.ReferencedSOPInstanceUID for item in information.get("ReferencedSOPSequence", [])],
                failed={
                    item.ReferencedSOPInstanceUID: item.FailureReason
                    for item in information.get("FailedSOPSequence", [])
                },
            )
        )
        return self.status, None


@dataclass(frozen=True)
class Stored:
    """A node that holds images of one study."""

    node: ConfiguredNode
    modality_port: int
    uids: list[str]


def settings(modality_port: int) -> str:
    return f"""
[[peers]]
aet = "CT1"
host = "{LOOPBACK}"
port = {modality_port}
rights = ["store", "commit"]
issuer = "NORTH"
[[peers]]
aet = "NO_LISTENER"
addresses = ["{LOOPBACK}"]
rights = ["store", "commit"]
issuer = "NORTH"
[[peers]]
aet = "NO_COMMIT"
addresses = ["{LOOPBACK}"]
rights = ["store"]
issuer = "NORTH"
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    directory = tmp_path_factory.mktemp("commitment")
    modality_port = free_port()
    with ConfiguredNode(directory / "node", settings(modality_port)) as node:
        yield Stored(node, modality_port, store_study(node, directory / "ct", seed=9))


def store_study(node: ConfiguredNode, directory: Path, *, seed: int) -> list[str]:
    """Store a study and return its SOP Instance UIDs."""
    images = write_ct_study(directory, seed=seed, slices=SLICES)
    finished = run_client("storescu", ["-aet", "CT1", "-aec", node.ae_title, LOOPBACK, str(node.port), *images])
    assert finished.returncode == 0, finished.stderr
    return [dcmread(path).SOPInstanceUID for path in images]


@pytest.fixture
def modality(stored: Stored) -> Iterator[Modality]:
    made = Modality(stored.node, "CT1", stored.modality_port)
    yield made
    made.close()


def asked(*uids: str, transaction_uid: str, sop_class_uid: str = CT) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = uid
        information.ReferencedSOPSequence.append(item)
    return information


def request(association: Association, information: Dataset) -> int:
    status, _ = association.send_n_action(information, 1, STORAGE_COMMITMENT_PUSH_MODEL, INSTANCE)
    return int(status.Status)


def test_images_just_stored_are_committed_on_the_same_association(stored: Stored, modality: Modality) -> None:
    association = modality.associate()

    assert request(association, asked(*stored.uids, transaction_uid="2.25.1")) == 0x0000
    report = modality.reports.get(timeout=REPORT_S_MAX)
    association.release()

    assert report == Report(1, "2.25.1", stored.uids, {})
    assert "transaction=2.25.1 " not in _relayed(stored.node)


def _relayed(node: ConfiguredNode) -> str:
    return "".join(line for line in node.process.output().splitlines() if "commitment_delivered" in line)


def test_what_is_not_stored_so_is_reported_with_its_reason(stored: Stored, modality: Modality) -> None:
    association = modality.associate()

    request(association, asked(stored.uids[0], "1.2.3.4", transaction_uid="2.25.2"))
    unknown = modality.reports.get(timeout=REPORT_S_MAX)
    request(association, asked(stored.uids[1], transaction_uid="2.25.3", sop_class_uid=MR))
    conflict = modality.reports.get(timeout=REPORT_S_MAX)
    association.release()

    assert unknown == Report(2, "2.25.2", [stored.uids[0]], {"1.2.3.4": 0x0112})
    assert conflict == Report(2, "2.25.3", [], {stored.uids[1]: 0x0119})


def test_one_bit_that_changed_on_disk_is_not_committed(stored: Stored, modality: Modality, tmp_path: Path) -> None:
    uids = store_study(stored.node, tmp_path, seed=11)
    flip_a_bit_of(stored.node.data, uids[2])
    association = modality.associate()

    request(association, asked(*uids, transaction_uid="2.25.4"))
    report = modality.reports.get(timeout=REPORT_S_MAX)
    association.release()

    assert report.failed == {uids[2]: 0x0110}
    assert len(report.committed) == SLICES - 1


def flip_a_bit_of(data: Path, sop_instance_uid: str) -> None:
    """Change one bit in the middle of an instance's stored file."""
    with sqlite3.connect(data / "index.sqlite") as index:
        name, offset, length = index.execute(
            "SELECT pack.name, file_offset, file_length_bytes FROM instance JOIN pack USING (pack_pk) "
            "WHERE sop_instance_uid = ?",
            [sop_instance_uid],
        ).fetchone()
    with (data / "packs" / name).open("r+b") as pack:
        pack.seek(offset + length // 2)
        byte = pack.read(1)[0]
        pack.seek(offset + length // 2)
        pack.write(bytes([byte ^ 0x10]))


def test_a_modality_that_releases_at_once_is_called_back(stored: Stored, modality: Modality) -> None:
    association = modality.associate()

    assert request(association, asked(*stored.uids, transaction_uid="2.25.5")) == 0x0000
    association.release()

    assert modality.reports.get(timeout=REPORT_S_MAX) == Report(1, "2.25.5", stored.uids, {})
    _wait_for(lambda: "commitment_delivered" in stored.node.process.output())


def test_a_modality_that_goes_on_storing_is_not_disturbed(stored: Stored, modality: Modality, tmp_path: Path) -> None:
    images = [dcmread(path) for path in write_ct_study(tmp_path / "more", seed=10, slices=SLICES)]
    association = modality.associate()

    request(association, asked(*stored.uids, transaction_uid="2.25.6"))
    statuses = [association.send_c_store(image).Status for image in images]
    association.release()

    assert statuses == [0x0000] * SLICES
    assert modality.reports.get(timeout=REPORT_S_MAX).committed == stored.uids


def test_a_modality_that_vanishes_before_the_answer_is_called_back(stored: Stored, modality: Modality) -> None:
    association = modality.associate()
    send_action_and_abort(association, asked(*stored.uids, transaction_uid="2.25.7"))

    assert modality.reports.get(timeout=REPORT_S_MAX).transaction_uid == "2.25.7"


def send_action_and_abort(association: Association, information: Dataset) -> None:
    context = next(one for one in association.accepted_contexts if one.abstract_syntax == STORAGE_COMMITMENT_PUSH_MODEL)
    (transfer_syntax,) = context.transfer_syntax
    primitive = N_ACTION()
    primitive.MessageID = 1
    primitive.RequestedSOPClassUID = STORAGE_COMMITMENT_PUSH_MODEL
    primitive.RequestedSOPInstanceUID = INSTANCE
    primitive.ActionTypeID = 1
    encoded = encode(information, transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian)
    primitive.ActionInformation = BytesIO(encoded or b"")
    association.dimse.send_msg(primitive, context.context_id)
    association.abort()


def test_a_report_survives_kill_9_of_the_node(stored: Stored, modality: Modality) -> None:
    node = stored.node
    association = modality.associate()
    # pynetdicom leaves the socket of a peer that vanished open.
    connection = association.dul.socket.socket
    killed: list[int] = []

    def kill(event: Any) -> tuple[int, Dataset | None]:
        node.kill()
        killed.append(event.event_type)
        return 0x0000, None

    association.bind(evt.EVT_N_EVENT_REPORT, kill)
    request(association, asked(*stored.uids, transaction_uid="2.25.8"))
    _wait_for(lambda: bool(killed))
    association.abort()
    connection.close()
    let_the_lease_run_out(node.data, "2.25.8")

    node.start()

    assert modality.reports.get(timeout=REPORT_S_MAX) == Report(1, "2.25.8", stored.uids, {})


def let_the_lease_run_out(data: Path, transaction_uid: str) -> None:
    """Stand in for the two minutes after which a commitment of a dead process is taken up."""
    with sqlite3.connect(data / "index.sqlite") as index:
        changed = index.execute(
            "UPDATE commitment SET next_attempt_at_s = 0 WHERE state = 'checked' AND transaction_uid = ?",
            [transaction_uid],
        )
        assert changed.rowcount == 1


def _wait_for(condition: Callable[[], bool]) -> None:
    wait_until(condition, what="the report", timeout_s=REPORT_S_MAX)


def test_a_refused_report_stays_in_the_ledger(stored: Stored, modality: Modality) -> None:
    modality.status = 0x0110
    association = modality.associate()

    request(association, asked(*stored.uids, transaction_uid="2.25.9"))
    modality.reports.get(timeout=REPORT_S_MAX)
    _wait_for(lambda: "commitment_report_refused" in stored.node.process.output())
    association.release()

    with sqlite3.connect(stored.node.data / "index.sqlite") as index:
        kept = index.execute("SELECT state FROM commitment WHERE transaction_uid = '2.25.9'").fetchall()
    assert kept == [("checked",)]


def test_a_modality_that_does_not_listen_gets_its_report_on_its_association(stored: Stored) -> None:
    deaf = Modality(stored.node, "NO_LISTENER", None)
    association = deaf.associate()

    request(association, asked(*stored.uids, transaction_uid="2.25.10"))
    report = deaf.reports.get(timeout=REPORT_S_MAX)
    association.release()

    assert report.event_type == 1


def test_a_peer_without_the_right_is_not_offered_storage_commitment(stored: Stored) -> None:
    ae = AE("NO_COMMIT")
    ae.add_requested_context(STORAGE_COMMITMENT_PUSH_MODEL)
    association = ae.associate(LOOPBACK, stored.node.port, ae_title=stored.node.ae_title)

    accepted = association.is_established and association.accepted_contexts
    association.abort()

    assert not accepted


def test_role_selection_for_reports_is_answered(stored: Stored) -> None:
    ae = AE("CT1")
    ae.add_requested_context(STORAGE_COMMITMENT_PUSH_MODEL)
    association = ae.associate(
        LOOPBACK,
        stored.node.port,
        ae_title=stored.node.ae_title,
        ext_neg=[build_role(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True)],
    )
    (context,) = association.accepted_contexts
    association.release()

    assert context.as_scu
    assert not context.as_scp


@pytest.mark.parametrize(
    ("action_type", "sop_instance", "status"),
    [(2, INSTANCE, 0x0123), (1, "1.2.3", 0x0112)],
    ids=["action type", "instance"],
)
def test_a_request_that_the_standard_does_not_have_is_refused(
    stored: Stored, modality: Modality, action_type: int, sop_instance: str, status: int
) -> None:
    association = modality.associate()

    answer, _ = association.send_n_action(
        asked(*stored.uids, transaction_uid="2.25.11"), action_type, STORAGE_COMMITMENT_PUSH_MODEL, sop_instance
    )
    association.release()

    assert answer.Status == status
