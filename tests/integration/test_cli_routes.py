"""``telegarde routes`` on a database with studies on their way, some stuck."""

import json
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import SystemClock
from foundation.database import Database, sqlite_url
from territory.bootstrap import journal_directory
from territory.cli import run
from territory.settings_model import DATABASE_FILE_NAME
from tests.harness.archive_parts import open_archive
from tests.harness.routing import ScriptedSender, keep_study, make_worker, place_order

SETTINGS = """
[archive]
data_dir = {data}
[dicom]
aet = ["TELEGARDE"]
[[peers]]
aet = "CHU"
host = "127.0.0.1"
port = 11113
[[destinations]]
name = "away"
aet = "CHU"
[[destinations]]
name = "web"
url = "https://pacs.example.org/dicom-web"
[[routes]]
name = "all"
destinations = ["away"]
hours = "18:00-08:00"
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with one study sent, one refused in part, and an emergency that nobody took."""
    database = Database(sqlite_url(tmp_path / DATABASE_FILE_NAME))
    database.create_tables()
    (tmp_path / "telegarde.toml").write_text(SETTINGS.format(data=json.dumps(str(tmp_path))))
    sender = ScriptedSender()
    sender.refusing = {"1.2.3.2.1.0": "status_A900"}
    with open_archive(database, journal_directory(tmp_path)) as archive:
        worker = make_worker(archive, {"away": sender}, clock=SystemClock())
        keep_study(archive, 1)
        keep_study(archive, 2)
        worker.drain()
        sender.is_away = True
        place_order(database, 3, study_uid="1.2.3.3")
        keep_study(archive, 3)
        worker.drain()
    database.close()
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["routes", *arguments, "--data", str(data), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_queue_shows_what_waits_and_why_emergencies_first(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = said(capsys, data, "queue")

    assert code == 1
    shown = [(one["study_instance_uid"], one["state"], one["unsent"], one["emergency"]) for one in found["items"]]
    assert shown == [("1.2.3.3", "queued", 3, True), ("1.2.3.2", "failed", 1, False)]
    assert found["items"][1]["reasons"] == {"status_A900": 1}
    assert found["items"][1]["next"]
    assert "P2" not in json.dumps(found), "a Patient ID is nobody's business here"
    assert {one["state"] for one in said(capsys, data, "queue", "--all")[1]["items"]} == {"queued", "failed", "sent"}


def test_the_list_shows_destinations_with_what_waits_and_the_routes(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = said(capsys, data, "list")

    away, web = found["destinations"]
    assert code == 1
    assert (away["state"], away["reason"], away["instances_waiting"], away["instances_sent"]) == (
        "away", "not_answering", 4, 5,
    )  # fmt: skip
    assert (web["to"], web["state"]) == ("https://pacs.example.org/dicom-web", "reachable")
    assert [(route["route"], route["hours"]) for route in found["routes"]] == [("all", "18:00-08:00")]


def test_giving_up_and_retrying_name_who_decided(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = str(said(capsys, data, "queue")[1]["items"][1]["item"])
    code, given_up = said(capsys, data, "give-up", number, "--by", "Coline")
    assert (code, given_up["items"][0]["state"], given_up["items"][0]["by"]) == (0, "given_up", "Coline")

    code, retried = said(capsys, data, "retry", "--destination", "away", "--by", "Roy")
    assert (code, [one["state"] for one in retried["items"]]) == (0, ["queued"])
    assert said(capsys, data, "queue")[0] == 0


def test_a_decision_without_a_name_or_a_number_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["routes", "give-up", "1", "--data", str(data)])
    assert said(capsys, data, "retry", "--by", "Roy")[0] == 2
    assert said(capsys, data, "give-up", "999", "--by", "Roy")[0] == 2


def test_pausing_a_destination_is_shown_with_who_did_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, data, "pause", "web", "--by", "Roy")[0] == 0
    assert said(capsys, data, "list")[1]["destinations"][1]["paused_by"] == "Roy"
    assert said(capsys, data, "resume", "web")[0] == 0
    assert said(capsys, data, "list")[1]["destinations"][1]["state"] == "reachable"
    assert said(capsys, data, "pause", "nowhere", "--by", "Roy")[0] == 2


def test_people_read_tables_and_an_empty_queue_is_said_so(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["routes", "queue", "--data", str(data)]) == 1
    assert run(["routes", "queue", "--destination", "web", "--data", str(data)]) == 0
    run(["routes", "list", "--data", str(data)])
    run(["routes", "sites", "--data", str(data)])

    printed = capsys.readouterr().out
    assert all(words in printed for words in ("status_A900", "Everything was sent.", "No site is watched"))
