"""The interfaces as a process of ``telegarde serve``: hospitals' messages come in, and its death harms nobody."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foundation.database import Database, sqlite_url
from oncall.directory_documents import directory_to_json
from oncall.documents_store import DocumentKind, publish
from oncall.rota.documents import roster_to_json
from pacs.worklist.hl7 import outgoing
from tests.harness.configured_node import ConfiguredNode
from tests.harness.hl7_messages import LOOPBACK, NOON, message, segment
from tests.harness.mllp_peers import Peer, ScriptedSystem, framed, system
from tests.harness.peers import free_port, wait_until
from tests.harness.small_territory import directory, roster

ORDER = (
    "PID|1||P1^^^NORTH^PI||MARTIN^LEA||19700101|F\rPV1|1|E\rORC|NW|D1^DXCARE\r"
    "OBR|1|D1^DXCARE||CT^scanner^L|S|||||||||||||||||||CT\r"
)


class InterfacedNode(ConfiguredNode):
    """A node that takes messages of one hospital and sends to its RIS."""

    def __init__(self, place: Path, ris: ScriptedSystem) -> None:
        self.hl7_port = free_port()
        site = next(iter(directory().sites))
        super().__init__(
            place,
            f"""
[hl7]
host = "{LOOPBACK}"
port = {self.hl7_port}
[[hl7.senders]]
application = "DXCARE"
site = "{site}"
issuer = "NORTH"
addresses = ["{LOOPBACK}/32"]
[[hl7.destinations]]
name = "ris"
host = "{LOOPBACK}"
port = {ris.port}
""",
        )

    def facts(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}/health", timeout=20) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


@contextmanager
def opened(node: InterfacedNode) -> Iterator[Database]:
    database = Database(sqlite_url(node.data / "index.sqlite"))
    try:
        yield database
    finally:
        database.close()


def publish_territory(node: InterfacedNode) -> None:
    with opened(node) as database, database.write(durable=True) as connection:
        now = datetime.now(UTC)
        publish(connection, DocumentKind.DIRECTORY, "d1", directory_to_json(directory()), by="test", now=now)
        publish(connection, DocumentKind.ROSTER, "r1", roster_to_json(roster()), by="test", now=now)


def send(node: InterfacedNode, content: bytes) -> str:
    """Send a message; return MSA-1, '' without an answer."""
    try:
        peer = Peer(node.hl7_port)
    except OSError:
        return ""
    try:
        peer.write(framed(content))
        return next((segment(answer, "MSA")[1] for answer in peer.read()), "")
    except OSError:
        return ""
    finally:
        peer.close()


def test_messages_come_in_and_go_out_also_after_the_process_was_killed(tmp_path: Path) -> None:
    with system() as ris, InterfacedNode(tmp_path, ris) as node:
        publish_territory(node)
        order = message("O1", body=ORDER)
        wait_until(lambda: send(node, order) == "AA", timeout_s=30, what="the acknowledgement of an order")

        first = node.facts()["interfaces_pid"]
        os.kill(first, signal.SIGKILL)
        # The port is open all the while: a connection waits for the next life of the process.
        wait_until(lambda: send(node, order) == "AA", timeout_s=60, what="the same answer from another process")
        assert send(node, message("O2", application="NOBODY")) == "AR"
        assert node.facts()["interfaces_pid"] not in (None, first)

        with opened(node) as database, database.write(durable=True) as connection:
            outgoing.enqueue(connection, "ris", message("S1"), control_id="S1", message_type="ORM^O01", now=NOON)
        wait_until(lambda: ris.control_ids() == ["S1"], timeout_s=20, what="the message at the RIS")
        assert node.facts()["status"] == "ready"
        last = node.facts()["interfaces_pid"]
    wait_until(lambda: not Path(f"/proc/{last}").exists(), timeout_s=20, what="the end of the interfaces")
