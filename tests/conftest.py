"""Fixtures for every test: one PostgreSQL cluster for the whole run, and an empty database of each kind."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

import foundation.outbox  # noqa: F401  # adds its tables to METADATA
import pacs.archive.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from tests.harness.peers import PostgresqlServer, postgresql

# The same examples in each run: what fails here fails for everybody. TELEGARDE_EXPLORE=1 looks for new ones.
settings.register_profile("seeded", derandomize="TELEGARDE_EXPLORE" not in os.environ)
settings.load_profile("seeded")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """Run a PostgreSQL cluster, started by the first test that needs it."""
    with postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a new, empty database; the test runs once for each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "index.sqlite")
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database(f"test_{uuid4().hex}")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield a new database with all tables; the test runs once for each kind."""
    opened = Database(database_url)
    opened.create_tables()
    yield opened
    opened.close()
