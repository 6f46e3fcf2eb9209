"""Figures, morning and monthly reports and billing from the command line, on the demonstration territory."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from oncall.case import commands, commands_report
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.event import CaseId
from oncall.case.sql_log import SqlCaseLog
from oncall.directory import PersonId, SiteId
from oncall.reading.board import ExamKind, Urgency
from territory import cli, cli_oncall
from territory.demo_oncall import put_in_force

NOW = datetime(2026, 12, 2, 9, tzinfo=UTC)
EVENING = datetime(2026, 11, 24, 20, tzinfo=UTC)
NOVEMBER = ("--from", "2026-11-01", "--to", "2026-12-01")
Give = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demonstration territory with a night of twelve cases, one of them late."""
    data = tmp_path_factory.mktemp("territory")
    database = Database(sqlite_url(data / "index.sqlite"))
    put_in_force(database)
    log = SqlCaseLog(database)
    for number in range(12):
        _tell(log, CaseId(f"case-{number:02d}"), number, minutes=80 if number == 7 else 25)
    database.close()
    return data


@pytest.fixture
def give(made: Path, capsys: pytest.CaptureFixture[str]) -> Give:
    def run(*words: str) -> tuple[int, str]:
        arguments = cli.build_parser().parse_args(["oncall", *words, "--data", str(made)])
        return cli_oncall.run(arguments, ManualClock(NOW)), capsys.readouterr().out

    return run


def test_figures_are_told_as_json_table_and_picture(give: Give, tmp_path: Path) -> None:
    table, picture = tmp_path / "f.csv", tmp_path / "f.svg"

    code, text = give("figures", *NOVEMBER, "--by", "site", "--json", "--csv", str(table), "--plot", str(picture))

    found = json.loads(text)
    assert code == 0
    assert found["hour"]["in_time"] == {"count": 11, "of": 12, "share": 0.9167}
    assert found["hour"]["elapsed"]["max_s"] == 80 * 60
    assert [group["name"] for group in found["groups"]["site"]] == ["CH d'Annelay"]
    with table.open(encoding="utf-8-sig", newline="") as rows:
        assert {one["dimension"] for one in csv.DictReader(rows)} == {"all", "site"}
    assert picture.read_text().startswith("<?xml")


def test_figures_for_people_name_nobody_unless_asked(give: Give) -> None:
    _, plain = give("figures", *NOVEMBER, "--by", "site", "--language", "fr")
    _, named = give("figures", *NOVEMBER, "--by", "reader")

    assert "91,6 % (11 sur 12)" in plain
    assert "Dr " not in plain
    assert "Dr " in named


def test_a_span_without_cases_is_said_and_is_no_success(give: Give, tmp_path: Path) -> None:
    pdf, table = tmp_path / "m.pdf", tmp_path / "b.csv"

    asked = [
        give("figures", "--from", "2026-02-01", "--to", "2026-03-01"),
        give("morning-report", "--night", "2026-02-01"),
        give("monthly-report", "--month", "2026-02", "--output", str(pdf)),
        give("billing", "--month", "2026-02", "--output", str(table)),
    ]

    assert [code for code, _ in asked] == [1, 1, 1, 1]
    assert "There is no case" in asked[0][1]
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(table.read_text(encoding="utf-8-sig").splitlines()) == 1


def test_the_morning_report_says_why_the_late_one_was_late(give: Give) -> None:
    code, text = give("morning-report", "--night", "2026-11-24", "--json")

    found = json.loads(text)
    assert code == 0
    assert (found["in_time"], found["decided"], found["bound"]) == (11, 12, 11)
    assert [(one["case_id"], one["cause"]) for one in found["late"]] == [("case-07", "own_length")]
    assert "its own length" in give("morning-report", "--night", "2026-11-24")[1]


def test_the_month_is_written_as_pdf_and_its_exams_as_a_table(give: Give, tmp_path: Path) -> None:
    pdf, table = tmp_path / "m.pdf", tmp_path / "b.csv"

    code, text = give("monthly-report", "--month", "2026-11", "--output", str(pdf), "--with-people", "--json")
    billed = json.loads(give("billing", "--month", "2026-11", "--output", str(table), "--json")[1])

    assert (code, json.loads(text)["nights_judged"]) == (0, 1)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert (billed["exams"], billed["listed_without_being_billed"]) == (12, 0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("monthly-report", "--month", "2027-01", "--output", "x.pdf"), "has not begun"),
        (("monthly-report", "--month", "january", "--output", "x.pdf"), "a month like"),
        (("morning-report", "--night", "2026-12-24"), "has not begun"),
        (("figures", "--plot", "x.pdf"), r"\.png or \.svg"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_to_do(give: Give, words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        give(*words)


def _tell(log: SqlCaseLog, case_id: CaseId, number: int, *, minutes: float) -> None:
    reader = PersonId(f"r{number + 1:02d}")
    asked = NewRequest(site_id=SiteId("annelay"), exam=ExamKind.HEAD, urgency=Urgency.P2, modality="CT")

    def append(facts: Facts, at: datetime) -> None:
        known = log.case(case_id)
        log.append(case_id, 0 if known is None else known.seq, facts, at)

    def context(after: float) -> Context:
        return Context(now=EVENING + timedelta(minutes=number * 20 + after))

    append(commands.open_from_request(asked, context(-30)), context(-30).now)
    for after, step in (
        (0.0, lambda case, now: commands.complete_images(case, now, rule="quiet")),
        (0.1, lambda case, now: commands.assign(case, reader, now, reason="next")),
        (1.0, lambda case, now: commands.claim(case, reader, now, transaction_uid=f"2.25.{number + 1}")),
        (minutes, lambda case, now: commands_report.sign(case, reader, now)),
    ):
        case = log.case(case_id)
        assert case is not None
        append(step(case, context(after)), context(after).now)
