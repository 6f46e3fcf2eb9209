"""Played nights from the command line hold, and the checker finds every way in which they might not."""

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from benchmarks.nights import __main__ as nights
from benchmarks.nights import check
from benchmarks.nights.files import write_night
from oncall.simulation.arrivals import draw_night

Rows = list[dict[str, str]]
Break = Callable[[Rows, dict[str, Any]], object]


class Played:
    """A night that the engine has read, with two backups in it."""

    def __init__(self, directory: Path) -> None:
        self.night, self.cases, self.json = (directory / name for name in ("night.csv", "cases.csv", "out.json"))
        write_night(self.night, draw_night(1004, 100))
        self.status = nights.main(
            ["--night", str(self.night), "--readers", "2,1", "--cases", str(self.cases), "--json", str(self.json)]
        )

    @property
    def rows(self) -> Rows:
        with self.cases.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.json.read_text(encoding="utf-8"))
        return content


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return Played(tmp_path_factory.mktemp("played"))


def _checked(played: Played, broken: Break, directory: Path) -> list[str]:
    rows, summary = played.rows, played.summary
    broken(rows, summary)
    path = directory / "broken.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return check.check(played.night, path, summary, 2, 1)


def _moved(rows: Rows, index: int, minutes: str) -> None:
    for column in ("t_start_min", "t_done_min"):
        rows[index][column] = str(Decimal(rows[index][column]) + Decimal(minutes))


def _index(rows: Rows, *, backup: str = "0", after_min: int = 0) -> int:
    return next(
        index for index, row in enumerate(rows) if row["backup"] == backup and Decimal(row["t_start_min"]) >= after_min
    )


def _overlapping(rows: Rows) -> int:
    """Find a case that reader-2 begins while reader-1 has another."""
    busy = [(Decimal(row["t_start_min"]), Decimal(row["t_done_min"])) for row in rows if row["reader"] == "reader-1"]
    return next(
        index
        for index, row in enumerate(rows)
        if row["reader"] == "reader-2" and any(start < Decimal(row["t_start_min"]) < done for start, done in busy)
    )


def test_what_the_engine_reads_holds(played: Played, tmp_path: Path) -> None:
    assert played.status == 0
    assert played.summary["backup_calls"] >= 2
    assert _checked(played, lambda rows, summary: None, tmp_path) == []
    arguments = ["--night", str(played.night), "--readers", "2,1"]
    assert check.main([*arguments, "--cases", str(played.cases), "--json", str(played.json)]) == 0


BREAKS: dict[str, tuple[Break, str]] = {
    "a_case_is_missing": (lambda rows, _: rows.pop(), "is there 0 times"),
    "a_case_is_there_twice": (lambda rows, _: rows.append(rows[0]), "is there 2 times"),
    "a_case_of_another_night": (
        lambda rows, _: rows.append({**rows[0], "case": "other"}),
        "other is not of this night",
    ),
    "begun_before_its_images": (lambda rows, _: _moved(rows, 0, "-0.001"), "before its images"),
    "read_too_fast": (
        lambda rows, _: rows[0].update(t_done_min=str(Decimal(rows[0]["t_done_min"]) - Decimal("0.000001"))),
        "minutes, not",
    ),
    "two_at_once": (
        lambda rows, _: rows[_overlapping(rows)].update(reader="reader-1"),
        "and has",
    ),
    "a_third_reader": (lambda rows, _: rows[5].update(reader="reader-9"), "on the roster"),
    "who_left_begins_another": (
        lambda rows, _: rows[_index(rows, after_min=1470)].update(reader="reader-2"),
        "begin cases after 00:30",
    ),
    "a_backup_said_to_be_a_reader": (
        lambda rows, _: rows[_index(rows, backup="1")].update(backup="0"),
        "both on the roster and a backup",
    ),
    "a_backup_whom_nobody_called": (
        lambda rows, _: rows[_index(rows, backup="1")].update(reader="backup-9"),
        "whom nobody called",
    ),
    "a_backup_too_soon": (
        lambda _, summary: summary["backups"][0].update(called_min=summary["backups"][0]["arrived_min"] - 14),
        "sooner than 15 minutes",
    ),
    "a_backup_paid_too_little": (
        lambda _, summary: summary["backups"][-1].update(
            paid_min=59.0, released_min=summary["backups"][-1]["arrived_min"] + 59.0
        ),
        "less than an hour",
    ),
    "a_backup_reads_unpaid": (
        lambda _, summary: summary["backups"][0].update(
            paid_min=60.0,
            arrived_min=summary["backups"][0]["arrived_min"] - 600,
            called_min=1110.0,
            released_min=summary["backups"][0]["arrived_min"] - 540,
        ),
        "was paid until",
    ),
    "hours_understated": (lambda _, summary: summary.update(backup_hours=0.5), "backup_hours is 0.5"),
    "a_share_too_good": (lambda _, summary: summary.update(share_within_60=0.99), "share_within_60 is 0.99"),
    "a_tail_too_short": (lambda _, summary: summary.update(p99_min=60.0), "p99_min is 60.0"),
    "a_hospital_too_good": (
        lambda _, summary: summary["hospitals"].update({summary["hospital_min"]: 1.0}),
        "hospitals' shares",
    ),
    "a_bound_too_low": (lambda _, summary: summary.update(bound_in_time=1), "bound_in_time is 1"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_schedule_is_found(name: str, played: Played, tmp_path: Path) -> None:
    broken, said = BREAKS[name]

    found = _checked(played, broken, tmp_path)

    assert any(said in line for line in found), found


def test_more_in_time_than_anybody_can_is_found(tmp_path: Path) -> None:
    """Everybody's times are swapped for those of a night in which the readers had nothing else to do."""
    night = tmp_path / "night.csv"
    night.write_text(
        "case,t_images_min,hospital,class,body_part,read_min\na,1200,H,2,head,50\nb,1200,H,2,head,50\n",
        encoding="utf-8",
    )
    cases = tmp_path / "cases.csv"
    cases.write_text(
        "case,t_start_min,t_done_min,reader,backup\na,1200,1250,reader-1,0\nb,1200,1250,reader-2,0\n",
        encoding="utf-8",
    )
    summary = {"backups": [], "hospitals": {"H": 1.0}, "bound_in_time": 2}

    assert any("nobody can have more than 1" in line for line in check.check(night, cases, summary, 1, 1))


@pytest.mark.parametrize("readers", ["3,2", "2,1", "4,2", "1,3"])
def test_any_readers_hold_and_the_same_file_gives_the_same_bytes(
    readers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night = tmp_path / "night.csv"
    write_night(night, draw_night(1010, 60))
    files = []
    for run in ("first", "second"):
        cases, summary = tmp_path / f"{run}.csv", tmp_path / f"{run}.json"
        arguments = ["--night", str(night), "--readers", readers, "--cases", str(cases), "--json", str(summary)]
        assert nights.main(arguments) == 0
        files.append((cases.read_bytes(), summary.read_bytes()))
    capsys.readouterr()

    assert files[0] == files[1]
    evening, deep_night = map(int, readers.split(","))
    assert check.check(night, tmp_path / "first.csv", json.loads(files[0][1]), evening, deep_night) == []


def test_json_without_a_file_goes_to_standard_output_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = tmp_path / "night.csv"
    write_night(night, draw_night(1010, 30))

    assert nights.main(["--night", str(night), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["night"] == "night.csv"


def test_a_bad_file_ends_with_status_2_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("case,t_images_min,hospital,class,body_part,read_min\na,3,H,1,head,5\n", encoding="utf-8")

    assert nights.main(["--night", str(bad)]) == 2
    assert "line 2: t_images_min is '3'" in capsys.readouterr().err


@pytest.mark.parametrize("readers", ["3", "3,2,1", "0,1", "a,b", "3,0", "-1,2"])
def test_readers_that_make_no_sense_are_refused(readers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        nights.main([f"--readers={readers}", "--quick"])

    assert "readers until 00:30" in capsys.readouterr().err


def test_an_outcome_that_cannot_be_written_ends_with_status_2_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night = tmp_path / "night.csv"
    write_night(night, draw_night(1010, 10))

    assert nights.main(["--night", str(night), "--cases", str(tmp_path)]) == 2
    assert f"cannot write {tmp_path}" in capsys.readouterr().err
