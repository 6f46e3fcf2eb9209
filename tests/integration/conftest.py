"""The on-call commands on the demonstration territory, for the tests that give them."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from territory import cli, cli_oncall
from territory.demo_oncall import put_in_force

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
Command = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with the demonstration territory, not to be changed."""
    data = tmp_path_factory.mktemp("territory")
    database = Database(sqlite_url(data / "index.sqlite"))
    put_in_force(database)
    database.close()
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "data"))


@pytest.fixture
def oncall(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that gives a command with ``--json``, at `NOW`."""

    def give(name: str, data: Path, *rest: str) -> tuple[int, dict[str, Any]]:
        arguments = cli.build_parser().parse_args(["oncall", name, *rest, "--data", str(data), "--json"])
        code = cli_oncall.run(arguments, ManualClock(NOW))
        return code, json.loads(capsys.readouterr().out)

    return give
