"""C-MOVE SCP when something goes wrong midway: destinations that break or stall, callers that cancel or leave."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs.archive.reader import InstanceUnreadable, PackReader
from pacs.contracts import InstanceRef
from pacs.scp.retrieve_prepare import WHOLE_BYTES_MAX
from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.status import Status
from pacs.upper_layer.associate import PresentationContextProposal
from pacs.upper_layer.dimse import CommandField, encode_command
from tests.conformance.retrieve_node import TIMEOUTS, Node, keep_six, running_node, stored_dataset, write
from tests.conformance.retrieve_scu import STUDY_MOVE, Answer, answers, move, requesting, study_identifier
from tests.harness.data_sets import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from tests.harness.identifiers import encode
from tests.harness.peers import LOOPBACK, free_port, storescp
from tests.unit.scu.scripted_peer import PeerConnection, accept_and_serve, scripted_peer


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running_node(tmp_path / "node") as running:
        yield running


@pytest.fixture
def six(node: Node, tmp_path: Path) -> list[str]:
    return keep_six(node, tmp_path)


# --- faults in the middle ------------------------------------------------------------------------


def test_a_connection_lost_in_the_middle_is_made_once_more(node: Node, six: list[str]) -> None:
    def break_once(peer: PeerConnection) -> None:
        peer.accept()
        while (received := peer.receive_store()) is not None:
            if peer.number == 0 and received.command.affected_sop_instance_uid == six[2]:
                peer.reset()
                return
            peer.answer(received)

    with scripted_peer(break_once) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0x0000, 6, 0)
    assert [one.command.affected_sop_instance_uid for one in peer.stores] == [*six[:3], *six[2:]]


def test_after_the_second_loss_the_rest_has_failed(node: Node, six: list[str]) -> None:
    def break_always(peer: PeerConnection) -> None:
        peer.accept()
        for _ in range(2):
            received = peer.receive_store()
            assert received is not None
            peer.answer(received)
        peer.receive_store()

    with scripted_peer(break_always) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0xB000, 4, 2)
    assert final.failed_uids == six[4:]
    assert len(peer.requests) == 2


def test_contexts_that_differ_after_reconnecting_are_used_as_they_are(node: Node, six: list[str]) -> None:
    def change(peer: PeerConnection) -> None:
        peer.accept((EXPLICIT_LITTLE,) if peer.number == 0 else (IMPLICIT_LITTLE,))
        while (received := peer.receive_store()) is not None:
            if peer.number == 0 and received.command.affected_sop_instance_uid == six[1]:
                return
            peer.answer(received)

    with scripted_peer(change) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed) == (0x0000, 6)
    assert [one.transfer_syntax for one in peer.stores] == [EXPLICIT_LITTLE] * 2 + [IMPLICIT_LITTLE] * 5


def test_a_destination_that_never_answers_does_not_hang_the_move(tmp_path: Path) -> None:
    done = threading.Event()

    def silent(peer: PeerConnection) -> None:
        peer.accept()
        done.wait(20)

    timeouts = Timeouts(connect_s=1, associate_s=1, response_s=1, release_s=1)
    with running_node(tmp_path / "node", timeouts=timeouts) as node, scripted_peer(silent) as peer:
        for number in range(3):
            node.keep(write(tmp_path, f"1.2.3.1.{number}"))
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]
        done.set()

    assert (final.status, final.completed, final.failed) == (0xA702, 0, 3)
    assert "sent nothing" in final.comment
    assert final.after_s < 5


def test_pending_comes_every_second_while_a_destination_takes_its_time(node: Node, six: list[str]) -> None:
    enough = threading.Event()

    def slow(peer: PeerConnection) -> None:
        peer.accept()
        received = peer.receive_store()
        assert received is not None
        assert enough.wait(20), "too few Pending responses"
        peer.answer(received)
        peer.serve()

    with scripted_peer(slow) as peer:
        node.add_destination("DEST", peer.address.port)
        seen: list[Answer] = []
        with requesting(node.port, STUDY_MOVE) as association:
            for answer in move(association, study_identifier("1.2.3")):
                seen.append(answer)
                if len(seen) == 4:
                    enough.set()

    assert seen[-1].status == 0x0000
    waited = [one.after_s for one in seen[:4]]
    assert [one.remaining for one in seen[:4]] == [6] * 4
    assert waited[0] < 0.5, "the first Pending comes at once"
    assert all(later - earlier <= 1.0 for earlier, later in itertools.pairwise(waited))


def test_pending_comes_while_the_connection_is_not_answered(node: Node, six: list[str]) -> None:
    enough = threading.Event()

    def slow(peer: PeerConnection) -> None:
        assert enough.wait(20), "too few Pending responses"
        peer.accept()
        peer.serve()

    with scripted_peer(slow) as peer:
        node.add_destination("DEST", peer.address.port)
        with requesting(node.port, STUDY_MOVE) as association:
            for count, answer in enumerate(move(association, study_identifier("1.2.3")), 1):
                final = answer
                if count == 3:
                    enough.set()

    assert (final.status, final.completed) == (0x0000, 6)


@pytest.mark.parametrize("is_slow", [True, False])
def test_a_cancelled_move_says_so_with_what_is_done_and_what_remains(node: Node, six: list[str], is_slow: bool) -> None:
    cancelled = threading.Event()

    def hold(peer: PeerConnection) -> None:
        peer.accept()
        for _ in range(2):
            received = peer.receive_store()
            assert received is not None
            peer.answer(received)
        received = peer.receive_store()
        assert received is not None
        if not is_slow:
            # The cancel is in the node's socket before this answer is.
            assert cancelled.wait(20)
            peer.answer(received)
        # It may be late by one; that one is not answered.
        while peer.receive_store() is not None:
            pass

    with scripted_peer(hold) as peer:
        node.add_destination("DEST", peer.address.port)
        with requesting(node.port, STUDY_MOVE) as association:
            for answer in move(association, study_identifier("1.2.3")):
                final = answer
                if answer.completed == 2 and not cancelled.is_set():
                    association.send_c_cancel(7, query_model=STUDY_MOVE)
                    cancelled.set()

    assert final.status == 0xFE00
    if is_slow:
        # The third was on its way when it was cancelled: nobody confirmed it.
        assert (final.remaining, final.completed, final.failed) == (3, 2, 1)
        assert final.failed_uids == [six[2]]
    else:
        assert (final.completed, final.remaining, final.failed) in {(3, 3, 0), (3, 2, 1)}


def test_a_defect_of_ours_fails_the_move_and_does_not_hang_it(tmp_path: Path) -> None:
    class Defective:
        def __init__(self, packs: PackReader) -> None:
            del packs

        def read_file(self, ref: InstanceRef) -> memoryview:
            raise ZeroDivisionError

    with running_node(tmp_path / "node", reader=Defective) as node, scripted_peer(accept_and_serve) as peer:
        node.keep(write(tmp_path, "1.2.3.1.1"))
        node.add_destination("DEST", peer.address.port)
        # No such address family: what connecting raises is no error of ours either.
        node.destinations.known["ODD"] = PeerAddress(host="127.0.0.1", port=1 << 40, ae_title="ODD")
        finals = [answers(node.port, study_identifier("1.2.3"), destination=name)[-1] for name in ("DEST", "ODD")]

    assert [(final.status, final.failed) for final in finals] == [(0xA702, 1), (0xA702, 1)]
    assert "defect" in finals[0].comment


# --- large instances ------------------------------------------------------------------------------


def keep_large(node: Node, directory: Path) -> Path:
    """Store an instance that is sent in parts, between two small ones."""
    node.keep(write(directory, "1.2.3.1.1"))
    path = write(directory, "1.2.3.1.2", pixels=bytes(range(256)) * (WHOLE_BYTES_MAX // 256 + 41))
    node.keep(path)
    node.keep(write(directory, "1.2.3.1.3"))
    return path


def test_an_instance_too_large_to_hold_is_sent_in_parts_and_arrives_whole(node: Node, tmp_path: Path) -> None:
    path = keep_large(node, tmp_path)

    with storescp(tmp_path / "peer") as peer:
        node.add_destination("DEST", peer.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]
        received = next(one for one in peer.files() if one.stat().st_size > WHOLE_BYTES_MAX)

    assert (final.status, final.completed) == (0x0000, 3)
    assert stored_dataset(received) == stored_dataset(path)


@pytest.mark.parametrize("bad_part", [0, 2])
def test_a_large_instance_that_cannot_be_read_to_its_end_fails_alone(tmp_path: Path, bad_part: int) -> None:
    class Crumbling:
        def __init__(self, packs: PackReader) -> None:
            self._packs = packs

        def read_file(self, ref: InstanceRef) -> memoryview:
            return self._packs.read_file(ref)

        def read_parts(self, ref: InstanceRef) -> Iterator[memoryview]:
            for number, part in enumerate(self._packs.read_parts(ref)):
                if number == bad_part:
                    raise InstanceUnreadable(ref.sop_instance_uid)
                yield part

    with running_node(tmp_path / "node", reader=Crumbling) as node, scripted_peer(accept_and_serve) as peer:
        keep_large(node, tmp_path)
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed_uids) == (0xB000, 2, ["1.2.3.1.2"])
    assert "cannot be read" in final.comment
    assert [one.command.affected_sop_instance_uid for one in peer.stores] == ["1.2.3.1.1", "1.2.3.1.3"]


# --- the end -------------------------------------------------------------------------------------


def test_a_node_that_stops_ends_the_move_and_names_the_rest(tmp_path: Path) -> None:
    stopped = threading.Event()
    held = threading.Event()

    def hold(peer: PeerConnection) -> None:
        peer.accept()
        received = peer.receive_store()
        assert received is not None
        peer.answer(received)
        peer.receive_store()
        held.set()
        assert type(peer.next_event()).__name__ in {"Aborted", "TransportClosed"}

    with running_node(tmp_path / "node", timeouts=TIMEOUTS) as node, scripted_peer(hold) as peer:
        for number in range(3):
            node.keep(write(tmp_path, f"1.2.3.1.{number}"))
        node.add_destination("DEST", peer.address.port)

        def stop() -> None:
            assert held.wait(20)
            node.server.stop()
            assert node.server.drain(20)
            stopped.set()

        thread = threading.Thread(target=stop)
        thread.start()
        with requesting(node.port, STUDY_MOVE) as association:
            final = list(move(association, study_identifier("1.2.3")))[-1]
            # The node aborts now; pynetdicom, if it releases at that moment, waits this long for an answer.
            association.acse_timeout = 0.5
        thread.join()

    assert stopped.is_set()
    assert (final.status, final.completed, final.failed) == (0xB000, 1, 2)
    assert final.comment == "this node is being stopped"


def test_when_the_caller_is_gone_the_destination_is_aborted(node: Node, six: list[str]) -> None:
    ended: list[str] = []
    held = threading.Event()
    done = threading.Event()

    def hold(peer: PeerConnection) -> None:
        peer.accept()
        peer.receive_store()
        held.set()
        ended.append(type(peer.next_event()).__name__)
        done.set()

    with scripted_peer(hold) as peer:
        node.add_destination("DEST", peer.address.port)
        with requesting(node.port, STUDY_MOVE) as association:
            responses = move(association, study_identifier("1.2.3"))
            next(responses)
            assert held.wait(20)
            association.abort()
            assert done.wait(20)

    assert ended == ["Aborted"]


def final_of_move(association: RequestorAssociation, destination: str) -> int:
    """Ask for the study to be moved; return the status of the last response."""
    message_id = association.next_message_id()
    command = encode_command(
        affected_sop_class_uid=STUDY_MOVE,
        command_field=CommandField.C_MOVE_RQ,
        message_id=message_id,
        priority=0,
        move_destination=destination,
        data_set_type=1,
    )
    association.send(1, command, encode(study_identifier("1.2.3"), EXPLICIT_LITTLE))
    while (status := association.receive_response(message_id).status) == Status.PENDING:
        pass
    return status


def test_the_next_move_on_the_same_association_works_after_each_of_these(node: Node, six: list[str]) -> None:
    with scripted_peer(accept_and_serve) as peer:
        node.add_destination("DEST", peer.address.port)
        node.add_destination("CLOSED", free_port())
        # Our own requestor: pynetdicom's sometimes swallows an answer when one operation follows another at once.
        context = PresentationContextProposal(
            context_id=1, abstract_syntax=STUDY_MOVE, transfer_syntaxes=(EXPLICIT_LITTLE,)
        )
        address = PeerAddress(host=LOOPBACK, port=node.port, ae_title="TELEGARDE")
        with RequestorAssociation(address, calling_aet="PEER", contexts=(context,), timeouts=TIMEOUTS) as association:
            statuses = [final_of_move(association, name) for name in ("DEST", "CLOSED", "NOBODY", "DEST")]

    assert statuses == [0x0000, 0xA702, 0xA801, 0x0000]
