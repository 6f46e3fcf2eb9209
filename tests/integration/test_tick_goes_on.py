"""A statement that nobody can read holds up what it is about and nothing else: pages go out all the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from foundation import outbox
from foundation.clock import ManualClock
from foundation.database import Database
from oncall.directory_documents import directory_to_json
from oncall.documents_store import DocumentKind, publish
from oncall.engine.sql_store import SqlStore
from oncall.rota.documents import roster_to_json
from oncall.schema import oncall_message
from pacs.contracts import (
    TOPIC_ASSOCIATION_ENDED,
    TOPIC_INSTANCES_STORED,
    TOPIC_ORDER,
    TOPIC_PATIENT_IDENTITY,
    TOPIC_PERFORMED_STEP,
    TOPIC_SITE_LINK,
    TOPIC_STORAGE_COMMITMENT_REQUESTED,
    TOPIC_WORKLIST_DELIVERED,
)
from territory.oncall_parts import OncallParts
from territory.settings import load
from territory.settings_model import Settings
from tests.harness.small_territory import at, directory, engine, ready_case, roster

TOPICS = [
    TOPIC_ASSOCIATION_ENDED,
    TOPIC_INSTANCES_STORED,
    TOPIC_ORDER,
    TOPIC_PATIENT_IDENTITY,
    TOPIC_PERFORMED_STEP,
    TOPIC_SITE_LINK,
    TOPIC_STORAGE_COMMITMENT_REQUESTED,
    TOPIC_WORKLIST_DELIVERED,
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "telegarde.toml"
    file.write_text(f'[archive]\ndata_dir = "{tmp_path / "data"}"\n\n[dicom]\naet = ["TELEGARDE"]\n')
    (tmp_path / "data" / "packs").mkdir(parents=True)
    return load(file)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """A case for which anna was paged a minute into the night."""
    opened = Database(settings.database_url)
    opened.create_tables()
    with opened.write(durable=True) as connection:
        publish(connection, DocumentKind.DIRECTORY, "d1", directory_to_json(directory()), by="test", now=at(0))
        publish(connection, DocumentKind.ROSTER, "r1", roster_to_json(roster()), by="test", now=at(0))
    runner = engine(SqlStore(opened), worker="before")
    runner.run_due(at(0))
    ready_case(runner, "C1", at(1))
    yield opened
    opened.close()


def pages(database: Database) -> int:
    count = select(func.count()).select_from(oncall_message).where(oncall_message.c.case_id == "C1")
    with database.read() as connection:
        return int(connection.execute(count).scalar_one())


def test_pages_go_out_whatever_is_in_the_outbox(settings: Settings, database: Database) -> None:
    with database.write(durable=True) as connection:
        for topic in TOPICS:
            outbox.append(connection, topic, {"nonsense": 1}, created_at_s=at(1).timestamp())
    before = pages(database)
    clock = ManualClock(at(9))
    parts = OncallParts(settings, worker="test", clock=clock)
    try:
        parts.settle()
    finally:
        parts.close()

    assert pages(database) > before
