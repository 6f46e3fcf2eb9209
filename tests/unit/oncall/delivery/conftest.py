"""Every test of delivery that takes `database` runs on SQLite and on PostgreSQL; `night` has a case to report."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from oncall.engine.sql_store import SqlStore
from tests.harness.peers import PostgresqlServer
from tests.harness.report_night import ReportNight


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = sqlite_url(tmp_path / "oncall.sqlite")
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database(f"delivery_{uuid4().hex}")
    database = Database(url)
    database.create_tables()
    yield database
    database.close()


@pytest.fixture
def night(database: Database, tmp_path: Path) -> ReportNight:
    return ReportNight(SqlStore(database), tmp_path / "keys")
