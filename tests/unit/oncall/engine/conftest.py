"""Every test of the engine that takes `store` runs in memory, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from oncall.engine.ports import Store
from oncall.engine.sql_store import SqlStore
from tests.harness.peers import PostgresqlServer
from tests.harness.small_territory import memory_store


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield memory_store()
        return
    url = sqlite_url(tmp_path / "oncall.sqlite")
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database(f"engine_{uuid4().hex}")
    database = Database(url)
    database.create_tables()
    yield SqlStore(database)
    database.close()
