"""A drill cannot page: not by its types, not by what it imports, not by the rows it leaves."""

import inspect
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database
from foundation.errors import Refused
from oncall import drill, recall_rows, recall_store
from oncall.channels.console import ConsoleChannel
from oncall.directory import PersonId
from oncall.dispatch import Dispatcher
from oncall.messages import Message
from oncall.notify import Sender
from oncall.plan_blanc import Answer, Reply
from oncall.schema import oncall_message
from tests.unit.oncall.recall.people import EMAIL, SMS, order, recalled

NOW = datetime(2026, 6, 7, 20, 0, tzinfo=UTC)
SENDER = Sender(answer_url="https://t.example/a/", secret=b"secret")
LIST = order(recalled("ann", SMS, EMAIL), recalled("bob", EMAIL), recalled("cyd"))


def rehearse(database: Database) -> drill.Recorder:
    recorder = drill.Recorder()
    with database.write(durable=True) as connection:
        drill.rehearse(connection, LIST, NOW, recorder)
    return recorder


def test_a_drill_records_who_would_be_called_by_what(database: Database) -> None:
    recorder = rehearse(database)

    assert [(message.person_id, message.channel) for message in recorder.recorded] == [("ann", SMS), ("bob", EMAIL)]
    with database.read() as connection:
        board = drill.board_of_drill(connection, LIST)
    assert board.count()["handed_over"] == 2
    assert [line.reason for line in board.standings] == ["", "", "no_contact_method"]


def test_a_drill_leaves_nothing_that_a_sender_could_find(database: Database, tmp_path: Path) -> None:
    rehearse(database)

    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(oncall_message)).scalar_one() == 0
    with database.write(durable=True) as connection:
        assert recall_store.go_on(connection, "r1", NOW, SENDER) is None
    wall = tmp_path / "wall"
    Dispatcher(database, [ConsoleChannel(wall)], ManualClock(NOW), worker="w").drain()
    assert not wall.exists()


def test_what_a_drill_makes_is_not_a_message_and_has_no_address() -> None:
    assert not issubclass(drill.DrillMessage, Message)
    assert not issubclass(Message, drill.DrillMessage)
    assert set(drill.DrillMessage.__dataclass_fields__) == {"message_key", "person_id", "channel"}
    taken = inspect.signature(drill.Recorder.record, eval_str=True).parameters["message"].annotation
    assert taken is drill.DrillMessage


def test_a_drill_takes_a_recorder_and_no_channel() -> None:
    parameters = inspect.signature(drill.rehearse, eval_str=True).parameters

    assert parameters["recorder"].annotation is drill.Recorder
    assert "channel" not in parameters
    assert not hasattr(drill.Recorder, "hand_over")


def test_the_type_checker_refuses_a_drill_message_where_a_real_one_goes(tmp_path: Path) -> None:
    program = tmp_path / "mistake.py"
    program.write_text(
        "from oncall.channels.port import Channel\n"
        "from oncall.drill import DrillMessage, Recorder\n"
        "from oncall.messages import Messages\n"
        "from datetime import datetime\n"
        "def hand_over(channel: Channel, drilled: DrillMessage) -> None:\n"
        "    channel.hand_over(drilled)\n"
        "def enqueue(queue: Messages, drilled: DrillMessage, now: datetime) -> None:\n"
        "    queue.enqueue(drilled, now)\n"
        "def use(recorder: Recorder) -> Channel:\n"
        "    return recorder\n"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "setup.cfg", str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[4],
    )

    mistakes = [line for line in checked.stdout.splitlines() if "error:" in line]
    assert [int(line.split(":")[1]) for line in mistakes] == [6, 8, 10], checked.stdout


def test_a_drill_imports_no_channel_no_queue_and_no_sender() -> None:
    program = "import sys, oncall.drill; print(*sorted(name for name in sys.modules))"
    listed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4]
    )

    loaded = set(listed.stdout.split())
    senders = {"smtplib", "oncall.messages_sql", "oncall.dispatch", "oncall.recall_store", "oncall.notify"}
    assert "oncall.drill" in loaded
    assert not {name for name in loaded if name.startswith("oncall.channels")} | (loaded & senders)


def test_answers_to_a_drill_count_and_its_id_is_taken(database: Database) -> None:
    rehearse(database)

    with database.write(durable=True) as connection:
        reply = Reply(answer=Answer.COMING, answered_at=NOW, arrives_at=NOW)
        recall_rows.record_reply(connection, "r1", PersonId("ann"), reply)
        with pytest.raises(Refused):
            recall_store.start(connection, LIST, NOW, SENDER)

    with database.read() as connection:
        assert drill.board_of_drill(connection, LIST).count()["coming"] == 1
