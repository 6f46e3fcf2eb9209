"""``telegarde oncall ledger`` and ``holidays`` on the demonstration territory."""

import csv
import io
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from foundation.instants import microseconds
from oncall.case.event import Fact
from oncall.engine.duty import DutyType
from oncall.engine.duty_rows import record_within
from territory import cli, cli_oncall
from territory.demo_oncall import put_in_force

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
MARCH = ("--from", "2026-03-02", "--to", "2026-03-30")


def called_until(data: Path, person_id: str, let_go: datetime) -> None:
    """Write into the night's log that somebody was called out of a backup line and worked an hour and a half."""
    arrives = let_go - timedelta(minutes=90)
    called = {
        "person_id": person_id, "line_id": "renfort-1", "arrives_at_us": microseconds(arrives),
        "until_us": microseconds(arrives + timedelta(hours=2)), "breaches_avoided": 2.0,
    }  # fmt: skip
    database = Database(sqlite_url(data / "index.sqlite"))
    for at, word, payload in (
        (arrives, DutyType.BACKUP_CALLED, called),
        (let_go, DutyType.BACKUP_RELEASED, {"person_id": person_id}),
    ):
        with database.write(durable=True) as connection:
            record_within(connection, [Fact(type=word, occurred_at=at, payload=payload)], at)
    database.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demonstration territory, and a backup who was called for an hour and a half in one night of March."""
    data = tmp_path_factory.mktemp("territory")
    database = Database(sqlite_url(data / "index.sqlite"))
    put_in_force(database)
    database.close()
    called_until(data, "r14", datetime(2026, 3, 10, 23, 30, tzinfo=UTC))
    return data


def give(capsys: pytest.CaptureFixture[str], data: Path, *words: str) -> tuple[int, str]:
    arguments = cli.build_parser().parse_args(["oncall", *words, "--data", str(data)])
    return cli_oncall.run(arguments, ManualClock(NOW)), capsys.readouterr().out


def people(text: str) -> dict[str, dict[str, Any]]:
    return {one["person_id"]: one for one in json.loads(text)["people"]}


def test_the_ledger_counts_everybodys_nights_hours_and_calls(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = give(capsys, made, "ledger", *MARCH, "--json")

    found, rows = json.loads(text), people(text)
    assert code == 0
    assert (found["from"], found["coverage"]) == ("2026-03-02T00:00+01:00", 1.0)
    # 28 nights by two seats of 14 h less what the company's seat has from 23:30 on; 15 h less in the shortest night.
    assert sum(row["nights"] for row in rows.values()) >= 2 * 28
    assert (rows["r14"]["calls"], rows["r14"]["call_hours"]) == (1, 1.5)
    assert rows["r14"]["name"].startswith("Dr ")
    assert [row["burden"] for row in rows.values()] == sorted((row["burden"] for row in rows.values()), reverse=True)


def test_the_ledger_is_written_as_a_table_for_a_spreadsheet(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text = give(capsys, made, "ledger", *MARCH, "--csv")

    rows = {row["person_id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert rows["r14"]["call_hours"] == "1.5"
    _, shown = give(capsys, made, "ledger", *MARCH)
    assert "coverage 100.0%" in shown


def test_holidays_are_those_of_each_hospitals_commune(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text = give(capsys, made, "holidays", "--year", "2027", "--json")

    days = {(one["day"], one["name"]): one["sites"] for one in json.loads(text)["holidays"]}
    everywhere = days["2027-07-14", "National Day"]
    assert len(everywhere) == 18
    good_friday = [sites for (day, _), sites in days.items() if day == "2027-03-26"]
    abolition = [sites for (day, _), sites in days.items() if day == "2027-12-20"]
    assert [len(sites) for sites in (*good_friday, *abolition)] == [1, 1]
    assert abolition == [["piton"]]


def test_holidays_can_be_asked_of_a_commune_without_a_hospital(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = give(capsys, made, "holidays", "--year", "2026", "--commune", "67482")

    assert code == 0
    assert "2026-04-03" in text
    with pytest.raises(Refused, match="INSEE"):
        give(capsys, made, "holidays", "--commune", "Lyon")


def test_a_swap_is_refused_to_who_was_called_too_shortly_before(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(made, tmp_path / "data"))
    ask = (
        "swap",
        "request",
        "--person",
        "r06",
        "--line",
        "lecteur-1",
        "--shift-at",
        "2027-02-06T20:00+01:00",
        "--json",
    )
    take = ("swap", "accept", "--person", "r08", "--json", "--swap")
    swap_id = json.loads(give(capsys, data, *ask)[1])["swap_id"]
    called_until(data, "r08", datetime(2027, 2, 6, 10, tzinfo=UTC))

    code, text = give(capsys, data, *take, swap_id)

    assert code == 1
    assert [one["rule"] for one in json.loads(text)["violations"]] == ["rest_11_h"]
