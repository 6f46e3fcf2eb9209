"""``telegarde oncall deliveries`` and ``authorise`` on a database with a signed report."""

import json
from pathlib import Path

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from oncall.engine.sql_store import SqlStore
from territory.cli import run
from territory.settings_model import DATABASE_FILE_NAME
from tests.harness.deliveries import worker
from tests.harness.report_night import CASE, ReportNight
from tests.harness.small_territory import at


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose report is on the page and in the archive, and whose mail has no relay."""
    database = Database(sqlite_url(tmp_path / DATABASE_FILE_NAME))
    database.create_tables()
    ReportNight(SqlStore(database), tmp_path / "keys").sign()
    worker(database, ManualClock(at(11))).drain()
    database.close()
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    code = run(["oncall", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_report_that_has_not_reached_somebody_is_listed_with_why(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = said(capsys, "deliveries", "--data", str(data))

    (waiting,) = found["deliveries"]  # type: ignore[misc]  # JSON
    assert code == 1
    assert (waiting["channel"], waiting["state"], waiting["reason"]) == ("email", "failed", "no_channel")
    assert [one["happened"] for one in waiting["record"]] == ["queued", "sending", "failed"]
    assert found["counts"]["delivered"] == 2  # type: ignore[index]  # JSON


def test_giving_a_delivery_up_names_who_decided_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = said(capsys, "deliveries", "--data", str(data))
    chosen = found["deliveries"][0]["delivery_id"]  # type: ignore[index]  # JSON

    assert run(["oncall", "deliveries", "--data", str(data), "--give-up", chosen]) != 0
    capsys.readouterr()
    code, given = said(capsys, "deliveries", "--data", str(data), "--give-up", chosen, "--by", "Coline")

    assert (code, given["deliveries"][0]["by"]) == (0, "Coline")  # type: ignore[index]  # JSON


def test_an_authorised_physician_gets_the_report_that_is_signed_already(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, done = said(
        capsys, "authorise", CASE, "--data", str(data), "--recipient", "10001234567", "--by", "emma",
        "--address", "cabinet@example.org",
    )  # fmt: skip

    assert (code, done["deliveries"]) == (0, 1)
    _, found = said(capsys, "deliveries", "--data", str(data), "--case", CASE)
    kinds = [one["recipient_kind"] for one in found["deliveries"]]  # type: ignore[attr-defined]  # JSON
    assert kinds.count("treating_physician") == 1
