"""A node as a user runs it: who may ask for work items is configured, and its supervisor sends the event reports."""

import queue
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association

from pacs.worklist.attribute_list import to_json
from pacs.worklist.ups.model import EVENT, PULL, PUSH, WATCH
from tests.harness.configured_node import ConfiguredNode
from tests.harness.peers import LOOPBACK, free_port
from tests.harness.workitems import LOCK, UID, new_step

EVENT_S_MAX = 30.0


def settings(port: int) -> str:
    return f"""
[[peers]]
aet = "RIS_NORTH"
host = "{LOOPBACK}"
port = {port}
rights = ["workitems"]
site = "north"
[[peers]]
aet = "RIS_SOUTH"
addresses = ["{LOOPBACK}"]
rights = ["workitems"]
site = "south"
[[peers]]
aet = "ARCHIVE"
addresses = ["{LOOPBACK}"]
rights = ["query"]
"""


@pytest.fixture(scope="module")
def heard() -> "queue.Queue[tuple[int, str]]":
    return queue.Queue()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, heard: "queue.Queue[tuple[int, str]]") -> Iterator[ConfiguredNode]:
    port = free_port()

    def take(event: Any) -> tuple[int, Dataset | None]:
        heard.put((event.event_type, event.event_information.get("ProcedureStepState", "")))
        return 0x0000, None

    ae = AE("RIS_NORTH")
    ae.add_supported_context(EVENT, scu_role=False, scp_role=True)
    server = ae.start_server((LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    try:
        with ConfiguredNode(tmp_path_factory.mktemp("node"), settings(port)) as running:
            yield running
    finally:
        server.shutdown()


def associate(node: ConfiguredNode, aet: str) -> Association:
    ae = AE(aet)
    for context in (PUSH, PULL, WATCH):
        ae.add_requested_context(context)
    return ae.associate(LOOPBACK, node.port, ae_title=node.ae_title)


def test_work_items_are_of_the_peers_hospital_and_events_reach_who_subscribed(
    node: ConfiguredNode, heard: "queue.Queue[tuple[int, str]]"
) -> None:
    north, south = associate(node, "RIS_NORTH"), associate(node, "RIS_SOUTH")
    try:
        made = Dataset.from_json(to_json(new_step()))
        status, _ = north.send_n_create(made, PUSH, UID)
        assert status.Status == 0x0000
        asked = Dataset()
        asked.ReceivingAE, asked.DeletionLock = "RIS_NORTH", "FALSE"
        status, _ = north.send_n_action(asked, 3, PUSH, UID, meta_uid=WATCH)
        assert status.Status == 0x0000
        assert heard.get(timeout=EVENT_S_MAX) == (1, "SCHEDULED")

        change = Dataset()
        change.ProcedureStepState, change.TransactionUID = "IN PROGRESS", LOCK
        status, _ = south.send_n_action(change, 1, PUSH, UID, meta_uid=PULL)
        assert status.Status == 0xC307, "another hospital's work item is not there"
        status, _ = north.send_n_action(change, 1, PUSH, UID, meta_uid=PULL)
        assert status.Status == 0x0000
        assert heard.get(timeout=EVENT_S_MAX) == (1, "IN PROGRESS")
    finally:
        north.release()
        south.release()


def test_a_peer_without_the_right_is_offered_no_work_items(node: ConfiguredNode) -> None:
    association = associate(node, "ARCHIVE")

    assert not association.accepted_contexts
