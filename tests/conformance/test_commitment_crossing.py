"""Requests that cross our N-EVENT-REPORT: each side may have one operation outstanding (PS3.7 D.3.3.3).

No tool at hand does this, so the peer is our own upper layer, one message at a time.
"""

import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from benchmarks.studies import write_ct_study
from pacs.archive.file_meta import IMPLEMENTATION_CLASS_UID
from pacs.scp.commitment_messages import STORAGE_COMMITMENT_INSTANCE
from pacs.scp.presentation import MPPS, STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION
from pacs.upper_layer.associate import AssociateRequest, PresentationContextProposal, UserInformation
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import NO_DATA_SET, Command, CommandField, encode_command, response, store_request
from pacs.upper_layer.events import AssociateAccepted, CommandReceived, DataFragment, Event
from tests.harness.configured_node import ConfiguredNode
from tests.harness.peers import LOOPBACK, wait_until
from tests.harness.performed_steps import MPPS_UID, created, ended, written
from tests.harness.stepwise import dataset_bytes
from tests.unit.scp.test_commitment import asked, encoded

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
COMMIT, STORE, ECHO, STEP = 1, 3, 5, 7
WAIT_S_MAX = 30.0
TOML = f"""
[[peers]]
aet = "CT1"
addresses = ["{LOOPBACK}"]
rights = ["store", "commit", "worklist"]
issuer = "NORTH"
site = "north"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfiguredNode]:
    with ConfiguredNode(tmp_path_factory.mktemp("crossing"), TOML) as started:
        yield started


class Peer:
    """An association in which nothing is sent or answered unless told to."""

    def __init__(self, node: ConfiguredNode) -> None:
        self._upper = UpperLayer(Role.REQUESTOR)
        self._events: deque[Event] = deque()
        self._socket = socket.create_connection((LOOPBACK, node.port), timeout=WAIT_S_MAX)
        proposed = {COMMIT: STORAGE_COMMITMENT_PUSH_MODEL, STORE: CT, ECHO: VERIFICATION, STEP: MPPS}
        request = AssociateRequest(
            called_ae_title=node.ae_title,
            calling_ae_title="CT1",
            presentation_contexts=tuple(
                PresentationContextProposal(
                    context_id=number, abstract_syntax=uid, transfer_syntaxes=(EXPLICIT_LITTLE,)
                )
                for number, uid in proposed.items()
            ),
            user_information=UserInformation(implementation_class_uid=IMPLEMENTATION_CLASS_UID),
        )
        self._socket.sendall(self._upper.associate_request(request))
        assert isinstance(self.next_event(), AssociateAccepted)

    def send(self, context_id: int, command: bytes, dataset: bytes = b"") -> None:
        pdus: list[bytes | memoryview] = [self._upper.pdata_command(context_id, command)]
        if dataset:
            pdus += self._upper.pdata_dataset(context_id, dataset)
        self._socket.sendall(b"".join(pdus))

    def next_event(self) -> Event:
        while not self._events:
            received = self._socket.recv_into(self._upper.receive_buffer())
            self._events.extend(self._upper.bytes_received(received))
        return self._events.popleft()

    def next_command(self) -> Command:
        """Return the next command; its data set, if any, is taken in."""
        event = self.next_event()
        assert isinstance(event, CommandReceived), event
        has_more = event.command.has_dataset
        while has_more:
            fragment = self.next_event()
            assert isinstance(fragment, DataFragment)
            has_more = not fragment.is_last
        return event.command

    def ask_for_commitment(self, uid: str, transaction_uid: str) -> None:
        """Send N-ACTION and take its response."""
        action = encode_command(
            requested_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
            command_field=CommandField.N_ACTION_RQ,
            message_id=1,
            data_set_type=1,
            requested_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
            action_type_id=1,
        )
        self.send(COMMIT, action, encoded(asked(uid, transaction_uid=transaction_uid)))
        answer = self.next_command()
        assert (answer.command_field, answer.status) == (CommandField.N_ACTION_RSP, 0x0000)

    def next_report(self) -> Command:
        """Return the N-EVENT-REPORT-RQ that comes next, not yet answered."""
        report = self.next_command()
        assert report.command_field == CommandField.N_EVENT_REPORT_RQ
        return report

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def peer(node: ConfiguredNode) -> Iterator[Peer]:
    opened = Peer(node)
    yield opened
    opened.close()


def echo_request() -> bytes:
    return encode_command(
        affected_sop_class_uid=VERIFICATION,
        command_field=CommandField.C_ECHO_RQ,
        message_id=2,
        data_set_type=NO_DATA_SET,
    )


def test_what_a_peer_asks_before_it_answers_our_report_is_served(peer: Peer, tmp_path: Path) -> None:
    (image,) = write_ct_study(tmp_path, seed=21, slices=1)
    peer.ask_for_commitment("2.25.555", "2.25.21")
    report = peer.next_report()

    peer.send(STORE, store_request(2, CT, str(dcmread(image).SOPInstanceUID)), dataset_bytes(image))
    stored = peer.next_command()
    peer.send(ECHO, echo_request())
    echoed = peer.next_command()
    peer.ask_for_commitment("2.25.556", "2.25.22")
    peer.send(COMMIT, response(report, 0x0000))
    peer.send(ECHO, echo_request())

    assert (stored.command_field, stored.status) == (CommandField.C_STORE_RSP, 0x0000)
    assert (echoed.command_field, echoed.status) == (CommandField.C_ECHO_RSP, 0x0000)
    assert peer.next_command().command_field == CommandField.C_ECHO_RSP


def test_a_scanner_that_ends_its_step_before_it_answers_our_report_is_heard(peer: Peer) -> None:
    peer.ask_for_commitment("2.25.555", "2.25.31")
    report = peer.next_report()
    create = encode_command(
        affected_sop_class_uid=MPPS,
        command_field=CommandField.N_CREATE_RQ,
        message_id=2,
        data_set_type=1,
        affected_sop_instance_uid=MPPS_UID,
    )
    change = encode_command(
        requested_sop_class_uid=MPPS,
        command_field=CommandField.N_SET_RQ,
        message_id=3,
        data_set_type=1,
        requested_sop_instance_uid=MPPS_UID,
    )

    peer.send(STEP, create, written(created(None)))
    begun = peer.next_command()
    peer.send(STEP, change, written(ended()))
    done = peer.next_command()
    peer.send(COMMIT, response(report, 0x0000))
    peer.send(ECHO, echo_request())

    assert (begun.command_field, begun.status) == (CommandField.N_CREATE_RSP, 0x0000)
    assert (done.command_field, done.status) == (CommandField.N_SET_RSP, 0x0000)
    assert peer.next_command().command_field == CommandField.C_ECHO_RSP


def test_a_second_notification_waits_for_the_first_to_be_answered(peer: Peer, node: ConfiguredNode) -> None:
    peer.ask_for_commitment("2.25.555", "2.25.23")
    report = peer.next_report()
    peer.ask_for_commitment("2.25.556", "2.25.24")
    peer.send(COMMIT, response(report, 0x0000))

    # The second is left to the relay, which finds no address of this peer.
    wait_until(
        lambda: any(
            "commitment_not_delivered" in line and "2.25.24" in line for line in node.process.output().splitlines()
        ),
        what="the relay to take up the second",
    )
