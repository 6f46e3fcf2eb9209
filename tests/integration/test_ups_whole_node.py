"""A reading task through a whole node: requested by HTTP, found by UPS-RS, claimed over DIMSE, heard of at once."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from pydicom.dataset import Dataset
from pynetdicom import AE
from websockets.sync.client import connect

from foundation.database import Database, sqlite_url
from oncall.directory_documents import directory_to_json
from oncall.documents_store import DocumentKind, publish
from oncall.rota.documents import roster_to_json
from oncall.spans import Span
from pacs.worklist.ups.model import PULL, PUSH
from tests.harness.peers import TelegardeNode, free_port, wait_until
from tests.harness.small_territory import directory, roster

ONCALL = "00741202=ONCALL"
REQUEST = {
    "site_id": "north", "exam": "head", "urgency": "2", "modality": "CT", "patient_id": "IPP-1", "requester": "Dr Roy",
}  # fmt: skip


def publish_territory(data: Path) -> None:
    """Publish a territory whose people are all on duty now."""
    now = datetime.now(UTC)
    span = Span(start=now - timedelta(hours=1), end=now + timedelta(hours=9))
    on_duty = replace(
        roster(), plans=tuple(replace(plan, span=span) for plan in roster().plans if plan.person_id != "diane")
    )
    with closing(Database(sqlite_url(data / "index.sqlite"))) as database:
        database.create_tables()
        with database.write(durable=True) as connection:
            publish(connection, DocumentKind.DIRECTORY, "d1", directory_to_json(directory()), by="test", now=now)
            publish(connection, DocumentKind.ROSTER, "r1", roster_to_json(on_duty), by="test", now=now)


@pytest.fixture
def web_port() -> int:
    return free_port()


@pytest.fixture
def node(tmp_path: Path, web_port: int) -> Iterator[TelegardeNode]:
    with TelegardeNode(tmp_path, workers=1, options=["--oncall-port", str(web_port)]) as running:
        yield running


def test_a_case_is_requested_found_claimed_and_heard_of_as_a_work_item(node: TelegardeNode, web_port: int) -> None:
    publish_territory(Path(node.data))
    base = f"http://127.0.0.1:{web_port}"

    def search(query: str) -> list[dict[str, Any]]:
        try:
            answer = requests.get(f"{base}/dicom-web/workitems?{query}", timeout=20)
        except requests.ConnectionError:
            return []
        return answer.json() if answer.status_code == 200 else []

    def is_serving() -> bool:
        try:
            return requests.get(f"{base}/oncall/api/cases", timeout=20).status_code == 200
        except requests.ConnectionError:
            return False

    wait_until(is_serving, timeout_s=60, what="the on-call process")
    opened = requests.post(f"{base}/oncall/api/cases", json=REQUEST, timeout=20)
    assert opened.status_code == 201, opened.text
    case_id = opened.json()["case_id"]
    wait_until(lambda: len(search(f"{ONCALL}&00404041=UNAVAILABLE")) == 1, timeout_s=30, what="the task")

    done = requests.post(f"{base}/oncall/api/cases/{case_id}/images-complete", json={}, timeout=20)
    assert done.status_code == 200, done.text
    wait_until(lambda: len(search(f"{ONCALL}&00404041=READY")) == 1, timeout_s=30, what="the ready task")
    (task,) = search(f"{ONCALL}&00404041=READY")
    uid = task["00080018"]["Value"][0]
    assert task["00404034"]["Value"], "somebody should read it"

    subscribed = requests.post(f"{base}/dicom-web/workitems/{uid}/subscribers/WALL", timeout=20)
    with connect(subscribed.headers["Content-Location"]) as channel:
        assert json.loads(channel.recv(timeout=20))["00741000"]["Value"] == ["SCHEDULED"]
        ae = AE("WORKSTATION")
        ae.add_requested_context(PULL)
        association = ae.associate(node.host, node.port, ae_title=node.ae_title)
        asked = Dataset()
        asked.ProcedureStepState, asked.TransactionUID = "IN PROGRESS", "1.2.3.4"
        status, _ = association.send_n_action(asked, 1, PUSH, uid, meta_uid=PULL)
        association.release()
        assert status.Status == 0x0000
        assert json.loads(channel.recv(timeout=20))["00741000"]["Value"] == ["IN PROGRESS"]

    case = requests.get(f"{base}/oncall/api/cases/{case_id}", timeout=20).json()
    assert case["stage"] == "reading"
