"""The engine's parts on a machine whose clock is set while a case waits: nobody is paged an hour late, or twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from foundation.clock import ManualClock
from foundation.database import Database
from oncall.directory_documents import directory_to_json
from oncall.documents_store import DocumentKind, publish
from oncall.engine.sql_store import SqlStore
from oncall.rota.documents import roster_to_json
from oncall.schema import oncall_message, oncall_timer
from territory.oncall_parts import OncallParts
from territory.settings import load
from territory.settings_model import Settings
from tests.harness.peers import wait_until
from tests.harness.small_territory import at, directory, engine, ready_case, roster

HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "telegarde.toml"
    file.write_text(
        f'[archive]\ndata_dir = "{tmp_path / "data"}"\n\n[dicom]\naet = ["TELEGARDE"]\n\n[oncall]\ntick_s = 0.1\n'
    )
    (tmp_path / "data").mkdir()
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


@contextmanager
def alive(settings: Settings, machine: ManualClock) -> Iterator[None]:
    parts = OncallParts(settings, worker="alive", clock=machine)
    parts.start()
    try:
        yield
    finally:
        parts.stop()


def pages(database: Database) -> int:
    """Return how many pages there were about the case: to anna, to anna again, to boris, ..."""
    count = select(func.count()).select_from(oncall_message).where(oncall_message.c.case_id == "C1")
    with database.read() as connection:
        return int(connection.execute(count).scalar_one())


def next_alarm_us(database: Database) -> int:
    due = select(oncall_timer.c.due_at_us).where(oncall_timer.c.kind == "chain")
    with database.read() as connection:
        return int(connection.execute(due).scalar_one())


@pytest.mark.parametrize("set_when", ["while it lives", "between two lives"])
def test_a_clock_that_is_set_back_an_hour_puts_no_page_off(
    settings: Settings, database: Database, set_when: str
) -> None:
    machine = ManualClock(at(1) if set_when == "while it lives" else at(1) - HOUR)

    with alive(settings, machine):
        # No channel is configured: the page fails, and the next method is taken in the same minute.
        wait_until(lambda: pages(database) >= 2, what="the first page's failure", timeout_s=20)
        before, alarm_us = pages(database), next_alarm_us(database)
        machine.set(at(1) - HOUR)
        machine.advance(timedelta(minutes=6))
        wait_until(lambda: next_alarm_us(database) != alarm_us, what="the next step", timeout_s=20)
        assert pages(database) > before
