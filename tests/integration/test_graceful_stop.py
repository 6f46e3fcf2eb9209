"""Stopping: what is in hand is finished, what is idle is ended, and a second signal waits for nothing."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.studies import write_multiframe
from pacs.upper_layer.events import Aborted
from territory.launch import STOP_GRACE_S
from tests.harness.peers import TelegardeNode, wait_until
from tests.harness.stepwise import Refused, StepwiseRequestor


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TelegardeNode]:
    with TelegardeNode(tmp_path, workers=2) as node:
        yield node


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an object so large that its first half is partly on disk while the second is awaited."""
    return write_multiframe(tmp_path_factory.mktemp("mf") / "mf.dcm", size_bytes=6_000_000, seed=11)


def begin_store(node: TelegardeNode, sender: StepwiseRequestor) -> None:
    """Send half of the instance, and return when the node is in the middle of it."""
    sender.begin_store()
    wait_until(lambda: is_being_written(node), what="the first half to arrive")


def is_being_written(node: TelegardeNode) -> bool:
    packs = (node.data / "packs").glob("[!.]*.tar")
    return any(len(path.read_bytes()[500_000:600_000].strip(b"\0")) > 0 for path in packs)


def ask_to_stop(node: TelegardeNode) -> None:
    os.kill(node.process.pid, signal.SIGTERM)


def test_the_instance_in_hand_is_finished_and_confirmed_then_the_association_ends(
    node: TelegardeNode, image: Path
) -> None:
    with StepwiseRequestor(node.port, file=image) as sender:
        begin_store(node, sender)
        ask_to_stop(node)
        wait_until(lambda: "stop_requested" in node.process.output(), what="the stop to begin")
        response = sender.finish_store()
        ending = sender.next_event()

    assert response.status == 0x0000
    assert isinstance(ending, Aborted)
    assert node.process.stop() == 0
    found = node.verify()
    assert found.pop("bytes") > 0
    assert found == {"instances": 1, "missing": 0, "corrupt": 0, "unindexed": 0}


def test_an_idle_association_does_not_hold_the_stop_up(node: TelegardeNode) -> None:
    with StepwiseRequestor(node.port) as idle:
        assert node.stop(timeout_s=STOP_GRACE_S / 2) == 0
        assert isinstance(idle.next_event(), Aborted)


def test_a_stopping_node_takes_no_new_associations(node: TelegardeNode, image: Path) -> None:
    with StepwiseRequestor(node.port, file=image) as sender:
        begin_store(node, sender)
        ask_to_stop(node)
        wait_until(lambda: not node.is_healthy(), what="the node to say that it stops")
        sender.finish_store()
    assert node.process.stop() == 0

    with pytest.raises((Refused, ConnectionError)):
        StepwiseRequestor(node.port)


def test_a_second_signal_ends_the_node_at_once_and_nothing_half_received_is_kept(
    node: TelegardeNode, image: Path
) -> None:
    with StepwiseRequestor(node.port, file=image) as stalled:
        begin_store(node, stalled)
        ask_to_stop(node)
        wait_until(lambda: "stop_requested" in node.process.output(), what="the stop to begin")

        assert node.stop(timeout_s=STOP_GRACE_S / 2) == 0

    node.start()
    assert node.stop() == 0
    assert node.verify() == {"instances": 0, "bytes": 0, "missing": 0, "corrupt": 0, "unindexed": 0}
