"""Tests of the evidence run on SQLite; those that say `BOTH` on PostgreSQL too, where statements might mean else."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from tests.harness.evidence_case import Place, place, told
from tests.harness.peers import PostgresqlServer

BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = sqlite_url(tmp_path / "oncall.sqlite")
    if getattr(request, "param", "sqlite") == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database(f"evidence_{uuid4().hex}")
    made = Database(url)
    made.create_tables()
    yield made
    made.close()


@pytest.fixture
def empty(database: Database, tmp_path: Path) -> Place:
    return place(database, tmp_path / "keys")


@pytest.fixture
def here(database: Database, tmp_path: Path) -> Place:
    return told(database, tmp_path / "keys")
