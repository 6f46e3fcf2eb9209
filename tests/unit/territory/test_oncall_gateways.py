"""Gateways that the settings name become channels of the engine's process, with their secrets."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.peers.message_gateway import Gateway, message_gateway
from foundation.database import Database
from foundation.errors import Refused
from oncall import recall_store
from oncall.notify import Sender
from oncall.strict_json import DocumentInvalid
from territory.oncall_parts import OncallParts
from territory.settings import load
from tests.harness.peers import wait_until
from tests.unit.oncall.recall.people import SMS, order, recalled


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with message_gateway(tmp_path / "requests") as running:
        yield running


def write(directory: Path, url: str, *, secrets: dict[str, str]) -> Path:
    template = {
        "kind": "sms",
        "url": url,
        "body": {"to": "{to}", "text": "{text}"},
        "headers": {"Authorization": "Bearer {secret}"},
        "is_repeatable": True,
        "id_path": ["messages", 0, "id"],
        "secret": "sms",
    }
    (directory / "gateways.json").write_text(json.dumps({"gateways": [template]}))
    (directory / "secrets.json").write_text(json.dumps(secrets))
    file = directory / "telegarde.toml"
    file.write_text(
        f'[archive]\ndata_dir = "{directory / "data"}"\n\n[dicom]\naet = ["TELEGARDE"]\n\n[oncall]\ntick_s = 0.1\n'
        f'gateways_file = "{directory / "gateways.json"}"\ngateway_secrets_file = "{directory / "secrets.json"}"\n'
    )
    (directory / "data").mkdir()
    return file


def test_a_recall_goes_through_the_described_gateway_and_is_called_on_until_it_is_answered(
    tmp_path: Path, gateway: Gateway
) -> None:
    settings = load(write(tmp_path, gateway.url, secrets={"sms": "hunter2"}))
    database = Database(settings.database_url)
    database.create_tables()
    parts = OncallParts(settings, worker="one")
    parts.start()
    with database.write(durable=True) as connection:
        impatient = replace(order(recalled("1", SMS)), next_method_after_s=0.2)
        sender = Sender(answer_url="https://t.example/a/", secret=b"s")
        recall_store.start(connection, impatient, datetime.now(UTC), sender)

    wait_until(lambda: len(gateway.rung()) == 2, what="two calls of the silent one", timeout_s=20)
    parts.stop()

    assert {request["authorization"] for request in gateway.requests()} == {"Bearer hunter2"}
    with database.read() as connection:
        assert recall_store.board_of(connection, "r1").count()["handed_over"] == 1
    database.close()


def test_a_secret_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "https://sms.example/", secrets={}))

    with pytest.raises(Refused, match="secret"):
        OncallParts(settings, worker="one")


def test_a_document_that_is_no_object_of_secrets_stops_the_start(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "https://sms.example/", secrets={"sms": ""}))

    with pytest.raises(DocumentInvalid):
        OncallParts(settings, worker="one")
