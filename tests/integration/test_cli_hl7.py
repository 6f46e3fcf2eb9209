"""``telegarde hl7`` on a data directory with dead letters and messages on their way."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database, sqlite_url
from oncall.directory_documents import directory_to_json
from oncall.documents_store import DocumentKind, publish
from oncall.rota.documents import roster_to_json
from pacs.worklist.hl7 import outgoing
from pacs.worklist.hl7.acknowledgement import Answer, AnswerCode
from pacs.worklist.hl7.inbox import take_all
from pacs.worklist.hl7.message import Accepted, ErrorCode, FieldError, Parked
from territory.cli import run
from territory.settings_model import CONFIGURATION_NAME, DATABASE_FILE_NAME
from tests.harness.hl7_messages import LOOPBACK, NOON, Recorder, arrival, make_effects, message
from tests.harness.mllp_peers import acknowledgement, system
from tests.harness.small_territory import directory, roster

WRONG = FieldError(segment="PID", field=3, component=1, code=ErrorCode.UNKNOWN_KEY_IDENTIFIER, text="another patient")
CONFIGURATION = '[archive]\ndata_dir = "{data}"\n[dicom]\naet = ["T"]\n[hl7]\n{more}'
SECRET = "DUPONT^JEANNE"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two dead letters and three messages on their way, one of which was refused."""
    database = Database(sqlite_url(tmp_path / DATABASE_FILE_NAME))
    database.create_tables()
    make_effects(database)
    bad = message("BAD1", kind="ADT^A08^ADT_A01", body=f"PID|1||P1||{SECRET}\r")
    with database.write(durable=True) as connection:
        take_all(
            connection,
            [arrival(bad), arrival(message("M1")), arrival(message("S1", application="NOBODY"))],
            Recorder(
                lambda one: Parked(reason="patient_differs", errors=(WRONG,)) if one.code == "ADT" else Accepted()
            ),
            NOON,
        )
        for control_id in ("A", "B", "C"):
            outgoing.enqueue(
                connection, "ris", message(control_id), control_id=control_id, message_type="ORU^R01", now=NOON
            )
        first = outgoing.begin(connection, "ris", NOON, worker="w")
        assert first is not None
        answer = Answer(code=AnswerCode.AE, control_id="A", content=b"MSH|^~\\&|\rMSA|AE|A\r")
        outgoing.record(connection, first, answer, NOON)
        publish(connection, DocumentKind.DIRECTORY, "d1", directory_to_json(directory()), by="t", now=datetime.now(UTC))
        publish(connection, DocumentKind.ROSTER, "r1", roster_to_json(roster()), by="t", now=datetime.now(UTC))
    database.close()
    (tmp_path / CONFIGURATION_NAME).write_text(CONFIGURATION.format(data=tmp_path, more=""))
    return tmp_path


@pytest.fixture
def said(data: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def say(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = run(["hl7", *arguments, "--data", str(data), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return say


def test_dead_letters_are_listed_with_their_reason_and_without_the_patient(said: Any, data: Path) -> None:
    code, found = said("dead-letters")

    assert code == 1
    assert [(one["control_id"], one["reason"]) for one in found["dead_letters"]] == [
        ("BAD1", "patient_differs"), ("S1", "unknown_sender"),
    ]  # fmt: skip
    assert found["dead_letters"][0]["errors"] == ["PID-3.1 another patient"]
    assert found["counts"] == {"accepted": 1, "dead": 2, "discarded": 0}
    assert SECRET not in json.dumps(found)


def test_one_is_shown_with_its_errors_and_its_answer(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = arrival(message("BAD1", kind="ADT^A08^ADT_A01", body=f"PID|1||P1||{SECRET}\r")).message_id

    assert run(["hl7", "show", dead, "--data", str(data)]) == 0

    shown = capsys.readouterr().out
    assert SECRET in shown
    assert "patient_differs" in shown
    assert "MSA|AE|BAD1" in shown


def test_putting_one_aside_says_who_did_it_and_the_list_is_shorter(said: Any) -> None:
    _, before = said("dead-letters")
    stranger = before["dead_letters"][1]["message"]

    code, _ = said("discard", stranger, "--by", "anne")
    _, shown = said("show", stranger)
    _, after = said("dead-letters")

    assert (code, shown["by"], shown["state"]) == (0, "anne", "discarded")
    assert [one["control_id"] for one in after["dead_letters"]] == ["BAD1"]


def test_a_replay_by_the_settings_of_today_says_what_is_still_wrong(said: Any) -> None:
    _, before = said("dead-letters")
    stranger = before["dead_letters"][1]["message"]

    code, found = said("replay", stranger, "--by", "anne")

    assert code == 1
    (row,) = found["messages"]
    assert (row["accepted"], row["reason"]) == (False, "unknown_sender")


def test_the_queue_shows_what_was_refused_and_what_waits(said: Any) -> None:
    code, found = said("queue")

    assert code == 1
    assert [(one["control_id"], one["state"], one["reason"]) for one in found["messages"]] == [
        ("A", "refused", "AE"), ("B", "queued", ""), ("C", "queued", ""),
    ]  # fmt: skip
    assert found["counts"] == {"ris queued": 2, "ris refused": 1}
    assert said("queue", "--destination", "other") == (0, {"counts": found["counts"], "messages": []})


def test_a_message_is_tried_again_or_given_up_by_somebody(said: Any) -> None:
    _, found = said("queue")
    first, second, _ = (str(one["number"]) for one in found["messages"])

    _, again = said("retry", first, "--by", "anne")
    _, ended = said("give-up", second, "--by", "anne")
    code, left = said("queue")

    assert [one["state"] for one in (*again["messages"], *ended["messages"])] == ["queued", "given_up"]
    assert code == 0
    assert [one["control_id"] for one in left["messages"]] == ["A", "C"]


@pytest.mark.parametrize("command", ["replay", "discard", "retry", "give-up"])
def test_nothing_is_decided_without_a_name(command: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["hl7", command, "1", "--data", str(data)])
    assert "--by" in capsys.readouterr().err


def test_an_identifier_of_nothing_is_refused_with_what_to_do(said: Any) -> None:
    for arguments in (("show", "f" * 32), ("discard", "f" * 32, "--by", "anne"), ("retry", "99", "--by", "anne")):
        code, found = said(*arguments)

        assert code == 2
        assert "telegarde hl7" in found["error"]


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n"])
def test_a_message_in_a_file_is_sent_and_its_answer_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    file = tmp_path / "order.hl7"
    file.write_bytes(message("M1").replace(b"\r", ending.encode()))

    with system() as ris:
        code = run(["hl7", "send", str(file), "--host", LOOPBACK, "--port", str(ris.port), "--json"])

    assert (code, json.loads(capsys.readouterr().out)["code"]) == (0, "AA")
    assert ris.taken == [message("M1")]


def test_a_destination_of_the_configuration_is_sent_to_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "order.hl7"
    file.write_bytes(message("M1"))
    with system(lambda taken: [acknowledgement(taken, "AE")]) as ris:
        ours = f'[[hl7.destinations]]\nname = "ris"\nhost = "{LOOPBACK}"\nport = {ris.port}\n'
        (tmp_path / CONFIGURATION_NAME).write_text(CONFIGURATION.format(data=tmp_path, more=ours))

        code = run(["hl7", "send", str(file), "--destination", "ris", "--data", str(tmp_path), "--json"])

    assert (code, json.loads(capsys.readouterr().out)["code"]) == (1, "AE")


def test_a_file_with_two_messages_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "two.hl7"
    file.write_bytes(b"\x0b" + message("M1") + b"\x1c\r\x0b" + message("M2") + b"\x1c\r")

    assert run(["hl7", "send", str(file), "--host", LOOPBACK, "--port", "1", "--json"]) == 2
    assert "more than one message" in capsys.readouterr().out


def test_a_message_that_is_no_hl7_is_judged_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "no.hl7"
    file.write_text("hello")

    assert run(["hl7", "validate", str(file), "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["is_good"]
