"""A database of the one kind, for what does not depend on which."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Database]:
    """Yield a new SQLite database with all tables."""
    opened = Database(sqlite_url(tmp_path / "figures.sqlite"))
    opened.create_tables()
    yield opened
    opened.close()
