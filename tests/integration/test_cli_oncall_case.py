"""What the command line says of a case: its state, clocks and log, why it has its reader, and how a recall is ended."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from oncall import recall_store
from oncall.case import commands_critical
from oncall.case.commands import NewRequest
from oncall.case.event import CaseId
from oncall.directory import PersonId, SiteId
from oncall.engine.engine import Engine
from oncall.engine.published_rules import PublishedRules
from oncall.engine.sql_store import SqlStore
from oncall.notify import Sender, case_code
from oncall.plan_blanc import RecallOrder, recalled
from oncall.reading.board import ExamKind, Urgency
from territory import cli, cli_oncall
from territory.demo_oncall import put_in_force
from territory.demo_territory import demo_directory

NOW = datetime(2026, 11, 22, 20, tzinfo=UTC)
SENDER = Sender(answer_url="", secret=b"a secret of the test only")
FINDING = "[bold]bleeding[/] into the ventricles"

Command = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with the demonstration territory and one case that is being read."""
    data = tmp_path_factory.mktemp("territory")
    with closing(Database(sqlite_url(data / "index.sqlite"))) as database:
        put_in_force(database)
        engine = Engine(SqlStore(database), PublishedRules(database), SENDER, worker="test")
        request = NewRequest(site_id=SiteId("fontclaire"), exam=ExamKind.HEAD, urgency=Urgency.P2, requester="[x]")
        engine.open_case(CaseId("case-1"), request, NOW)
        case = engine.complete_images(CaseId("case-1"), NOW + timedelta(minutes=3), rule="button")
        reader = PersonId(str(case.reading.assigned_to))
        engine.claim(case.case_id, reader, NOW + timedelta(minutes=5), transaction_uid="2.25.1")
        engine.execute(
            case.case_id,
            lambda one, context: commands_critical.declare(
                one, context, critical_id="x", category=1, finding=FINDING, radiologist=reader, due_at=context.at
            ),
            NOW + timedelta(minutes=6),
        )
    return data


@pytest.fixture
def give(capsys: pytest.CaptureFixture[str], data: Path) -> Command:
    """Return a function that gives a command ten minutes later, and returns its exit code and what it printed."""

    def give(name: str, *rest: str) -> tuple[int, str]:
        arguments = cli.build_parser().parse_args(["oncall", name, *rest, "--data", str(data)])
        code = cli_oncall.run(arguments, ManualClock(NOW + timedelta(minutes=10)))
        return code, capsys.readouterr().out

    return give


def of_json(give: Command, name: str, *rest: str) -> dict[str, Any]:
    code, out = give(name, *rest, "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_case_is_shown_with_its_clocks_and_its_whole_log_in_local_time(give: Command) -> None:
    found = of_json(give, "case", "case-1")

    assert (found["stage"], found["urgency"], found["identity"]) == ("reading", "P2", "provisional")
    assert found["deadline"] == "2026-11-22T22:03+01:00"
    hour = next(one for one in found["clocks"] if one["clock"] == "C4")
    assert (hour["elapsed_min"], hour["missed"]) == (7.0, False)
    assert found["log"][0]["at"] == "2026-11-22T21:00:00+01:00"
    assert [one["seq"] for one in found["log"]] == list(range(1, len(found["log"]) + 1))


def test_a_case_is_found_by_the_code_that_people_say_and_an_unknown_one_is_refused(give: Command) -> None:
    assert of_json(give, "case", case_code(CaseId("case-1")).lower())["case_id"] == "case-1"
    with pytest.raises(Refused, match="no case nowhere"):
        give("case", "nowhere")


def test_a_terminal_shows_names_with_brackets_as_they_are_and_no_clinical_text(give: Command) -> None:
    _, out = give("case", "case-1")

    assert "[x]" in out
    assert "bleeding" not in out
    assert "[clinical text]" in out


def test_why_names_candidates_and_scores_and_why_somebody_else_was_not_chosen(give: Command) -> None:
    found = of_json(give, "why", "case-1")
    (decision,) = found["decisions"]
    chosen = demo_directory().persons[PersonId(found["reader"])].name
    assert any(line.startswith(f"→ {chosen}") and "score" in line for line in decision["text"])

    rival = next(one for one in decision["text"] if one.startswith("· "))
    name = rival.removeprefix("· ").split(":")[0]
    rival_id = next(one.person_id for one in demo_directory().persons.values() if one.name == name)
    assert of_json(give, "why", "case-1", "--not", rival_id)["not"]["text"] == [rival]

    _, out = give("why", "case-1", "--not", "c01")
    assert f"→ {chosen}" in out
    assert "was not among the readers" in out


def test_a_recall_is_ended_once_from_the_command_line(give: Command, data: Path) -> None:
    people = list(demo_directory().persons.values())[:3]
    order = RecallOrder(recall_id="r-1", place="x", zone="UTC", people=recalled(people), started_by="test")
    with closing(Database(sqlite_url(data / "index.sqlite"))) as database, database.write(durable=True) as connection:
        recall_store.start(connection, order, NOW, SENDER)

    first, out = give("recall-end", "r-1", "--json", "--by", "c01")
    again, _ = give("recall-end", "r-1", "--json")

    assert (first, again) == (0, 1)
    assert json.loads(out) == {"recall_id": "r-1", "ended_now": True, "node_serves": False}
    with closing(Database(sqlite_url(data / "index.sqlite"))) as database:
        said = [event.fact.payload for _, event in SqlStore(database).events_after(0) if event.type.startswith("mass_")]
    assert [(one["recall_id"], one["by"]) for one in said] == [("r-1", "test"), ("r-1", "c01")]
    with pytest.raises(Refused, match="no recall r-2"):
        give("recall-end", "r-2")
