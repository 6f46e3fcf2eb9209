"""C-MOVE SCP over several associations at once: nothing twice, nothing lost, whatever the destination makes of it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs.archive.reader import PackReader
from pacs.contracts import InstanceRef
from pacs.scp.retrieve_move import INSTANCES_PER_ASSOCIATION_MIN
from tests.conformance.retrieve_node import Node, keep_six, running_node, write
from tests.conformance.retrieve_scu import STUDY_MOVE, answers, move, requesting, study_identifier
from tests.unit.scu.scripted_peer import PeerConnection, ScriptedPeer, accept_and_serve, scripted_peer


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running_node(tmp_path / "node") as running:
        yield running


@pytest.fixture
def six(node: Node, tmp_path: Path) -> list[str]:
    return keep_six(node, tmp_path)


@pytest.fixture
def sixty(node: Node, tmp_path: Path) -> list[str]:
    """Enough instances for three associations; their UIDs."""
    uids = [f"1.2.3.1.{number}" for number in range(3 * INSTANCES_PER_ASSOCIATION_MIN)]
    for uid in uids:
        node.keep(write(tmp_path, uid))
    return uids


def sent_to(peer: ScriptedPeer) -> list[str]:
    return [one.command.affected_sop_instance_uid for one in peer.stores]


def test_a_study_is_shared_by_several_associations_and_each_image_sent_once(node: Node, sixty: list[str]) -> None:
    together = threading.Barrier(3)

    def serve_together(peer: PeerConnection) -> None:
        peer.accept()
        received = peer.receive_store()
        assert received is not None
        together.wait(20)
        peer.answer(received)
        peer.serve()

    with scripted_peer(serve_together) as peer:
        node.add_destination("DEST", peer.address.port, associations_max=3)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0x0000, 60, 0)
    assert len(peer.requests) == 3
    assert sorted(sent_to(peer)) == sorted(sixty)


@pytest.mark.parametrize("manner", ["rejects", "never answers", "aborts"])
def test_a_destination_that_takes_one_association_at_a_time_gets_all_over_one(
    node: Node, sixty: list[str], manner: str
) -> None:
    free = threading.Semaphore(1)
    done = threading.Event()

    def one_at_a_time(peer: PeerConnection) -> None:
        if free.acquire(blocking=False):
            peer.accept()
            peer.serve()
            done.set()
        elif manner == "rejects":
            peer.reject(2, 3, 2)
        elif manner == "aborts":
            peer.sock.sendall(b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        else:
            assert done.wait(20)

    with scripted_peer(one_at_a_time) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0x0000, 60, 0)
    assert sent_to(peer) == sixty


def test_what_one_association_leaves_undone_another_does(node: Node, sixty: list[str]) -> None:
    def break_early(peer: PeerConnection) -> None:
        peer.accept()
        if peer.number in {0, 2}:
            peer.receive_store()
            peer.reset()
        else:
            peer.serve()

    with scripted_peer(break_early) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0x0000, 60, 0)


def test_small_studies_get_one_association(node: Node, six: list[str]) -> None:
    with scripted_peer(accept_and_serve) as peer:
        node.add_destination("DEST", peer.address.port, associations_max=4)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, len(peer.requests)) == (0x0000, 1)


def test_counts_always_add_up_over_several_associations(node: Node, sixty: list[str]) -> None:
    def judge(peer: PeerConnection) -> None:
        peer.accept()
        while (received := peer.receive_store()) is not None:
            peer.answer(received, (0x0000, 0xA700, 0xB000)[int(received.command.affected_sop_instance_uid[8:]) % 3])

    with scripted_peer(judge) as peer:
        node.add_destination("DEST", peer.address.port, associations_max=3)
        *pending, final = answers(node.port, study_identifier("1.2.3"))

    for one in pending:
        assert one.remaining + one.completed + one.failed + one.warning == 60  # type: ignore[operator]
    assert (final.completed, final.failed, final.warning) == (20, 20, 20)
    assert sorted(final.failed_uids) == sorted(uid for uid in sixty if int(uid[8:]) % 3 == 1)


def test_a_read_that_hangs_does_not_hold_up_a_cancellation(tmp_path: Path) -> None:
    release = threading.Event()
    reading = threading.Event()

    class Hanging:
        def __init__(self, packs: PackReader) -> None:
            self._packs = packs

        def read_file(self, ref: InstanceRef) -> memoryview:
            reading.set()
            release.wait(20)
            return self._packs.read_file(ref)

    with running_node(tmp_path / "node", reader=Hanging) as node, scripted_peer(accept_and_serve) as peer:
        for number in range(3):
            node.keep(write(tmp_path, f"1.2.3.1.{number}"))
        node.add_destination("DEST", peer.address.port)
        with requesting(node.port, STUDY_MOVE) as association:
            for answer in move(association, study_identifier("1.2.3")):
                final = answer
                if not release.is_set() and reading.wait(20):
                    association.send_c_cancel(7, query_model=STUDY_MOVE)
        release.set()

    assert final.status == 0xFE00
    assert (final.completed, final.failed, final.remaining) == (0, 1, 2)
    assert final.after_s < 10
