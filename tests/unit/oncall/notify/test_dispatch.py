"""The dispatcher: every due message once, no channel waits for another, doubt is told."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from benchmarks.peers.message_gateway import message_gateway
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from oncall import recall_store
from oncall.case.event import CaseId
from oncall.channels.email import Security, SmtpChannel, SmtpRelay
from oncall.channels.http_gateway import HttpChannel, HttpGateway
from oncall.channels.port import Channel
from oncall.directory import ChannelKind, PersonId
from oncall.dispatch import Dispatcher
from oncall.messages import LEASE_S, Message, MessageState, Outcome, Sent
from oncall.messages_sql import SqlMessages
from oncall.notify import Sender
from oncall.schema import oncall_message
from tests.harness.mail_relay import mail_relay
from tests.harness.peers import LOOPBACK, wait_until
from tests.unit.oncall.recall.people import EMAIL, SMS, order, recalled

NOW = datetime(2026, 6, 7, 20, 0, tzinfo=UTC)


class Wire:
    """A channel whose other end is the test: it keeps what it took, and does first what the test says."""

    is_repeatable = False

    def __init__(self, kind: ChannelKind, first: Callable[[Message], None] = lambda _: None) -> None:
        self.kind = kind
        self.taken: list[str] = []
        self._first = first

    def hand_over(self, message: Message) -> Outcome:
        self._first(message)
        self.taken.append(message.message_key)
        return Sent(provider_id=message.message_key)

    def close(self) -> None:
        """Nothing is kept open."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(tmp_path / "oncall.sqlite"))
    database.create_tables()
    yield database
    database.close()


def enqueue(queue: Database, *messages: Message) -> None:
    with queue.write(durable=True) as connection:
        SqlMessages(connection).enqueue_all(messages, NOW)


def message(key: str, kind: ChannelKind = EMAIL, *, is_for_case: bool = True) -> Message:
    return Message(
        message_key=key,
        person_id=PersonId("ann"),
        channel=kind,
        address="ann@example.org",
        subject="Telegarde",
        text="P1",
        due_at=NOW,
        case_id=CaseId("c1") if is_for_case else None,
        chain_id="c1/1",
    )


def wait_for(end_of_trouble: threading.Event) -> None:
    assert end_of_trouble.wait(10)


def states(queue: Database, *keys: str) -> list[MessageState]:
    with queue.read() as connection:
        found = [SqlMessages(connection).status(key) for key in keys]
    return [status.state for status in found if status is not None]


def test_a_whole_staff_list_goes_to_a_relay_and_a_gateway_once_each(
    queue: Database, clock: ManualClock, tmp_path: Path
) -> None:
    people = [recalled(f"{number}", SMS if number % 2 else EMAIL) for number in range(100)]
    with mail_relay() as relay, message_gateway(tmp_path / "requests") as gateway:
        template = HttpGateway(kind=SMS, url=gateway.url, body={"to": "{to}"}, id_path=("messages", 0, "id"))
        smtp = SmtpRelay(host=LOOPBACK, port=relay.port, sender="garde@telegarde.example", security=Security.NONE)
        channels: list[Channel] = [SmtpChannel(smtp), HttpChannel(template)]
        with queue.write(durable=True) as connection:
            sender = Sender(answer_url="https://t.example/a/", secret=b"secret")
            recall_store.start(connection, order(*people), NOW, sender)

        Dispatcher(queue, channels, clock, worker="w1").drain()

        assert sorted(relay.recipients()) == sorted(f"{number}@example.org" for number in range(0, 100, 2))
        assert sorted(gateway.rung()) == sorted(f"+33{number}" for number in range(1, 100, 2))
    with queue.read() as connection:
        assert recall_store.board_of(connection, "r1").count()["handed_over"] == 100


def test_a_channel_that_hangs_delays_no_other(queue: Database, clock: ManualClock) -> None:
    hung = threading.Event()
    mail, text = Wire(EMAIL, lambda _: wait_for(hung)), Wire(SMS)
    enqueue(queue, message("mail"), message("text", SMS))
    draining = threading.Thread(target=Dispatcher(queue, [mail, text], clock, worker="w1").drain)

    draining.start()
    wait_until(lambda: states(queue, "text") == [MessageState.SENT], what="the text message", timeout_s=10)
    before = list(mail.taken)
    hung.set()
    draining.join()

    assert (before, mail.taken) == ([], ["mail"])


def test_a_recall_of_hundreds_does_not_hold_up_a_page_about_a_patient(queue: Database, clock: ManualClock) -> None:
    hung = threading.Event()
    wire = Wire(EMAIL, lambda taken: wait_for(hung) if taken.case_id is None else None)
    enqueue(queue, *(message(f"recall{number:03}", is_for_case=False) for number in range(200)), message("page"))
    draining = threading.Thread(target=Dispatcher(queue, [wire], clock, worker="w1").drain)

    draining.start()
    wait_until(lambda: states(queue, "page") == [MessageState.SENT], what="the page", timeout_s=10)
    before = list(wire.taken)
    hung.set()
    draining.join()

    assert before == ["page"]
    assert len(wire.taken) == len(set(wire.taken)) == 201


def test_a_message_for_which_there_is_no_channel_fails_with_that_cause(queue: Database, clock: ManualClock) -> None:
    enqueue(queue, message("voice", ChannelKind.VOICE))

    Dispatcher(queue, [Wire(EMAIL)], clock, worker="w1").drain()

    with queue.read() as connection:
        (news,) = SqlMessages(connection).news_after(0)
    assert (news.settled.state, news.settled.reason) == (MessageState.FAILED, "no_channel")


def test_no_hand_over_begins_with_a_lease_that_could_run_out_during_it(queue: Database, clock: ManualClock) -> None:
    slow = Wire(EMAIL, lambda _: clock.advance(timedelta(seconds=20)))
    enqueue(queue, *(message(f"m{number}", is_for_case=False) for number in range(4)))

    Dispatcher(queue, [slow], clock, worker="w1", threads_per_channel=1).drain()

    with queue.read() as connection:
        trace = SqlMessages(connection).trace("m1")
    assert [event.happened for event in trace] == ["queued", "sending", "queued", "sending", "sent"]
    assert trace[2].detail == "released"
    assert slow.taken == ["m0", "m1", "m2", "m3"]


def test_a_channel_that_fails_in_a_way_nobody_foresaw_leaves_doubt_and_the_doubt_is_told(
    queue: Database, clock: ManualClock
) -> None:
    def break_down(_: Message) -> None:
        raise RuntimeError("a defect of an adapter")

    enqueue(queue, message("page"))
    dispatcher = Dispatcher(queue, [Wire(EMAIL, break_down)], clock, worker="w1")
    dispatcher.drain()
    assert states(queue, "page") == [MessageState.SENDING]

    clock.advance(timedelta(seconds=LEASE_S))

    assert dispatcher.recover() == 1
    assert dispatcher.recover() == 0
    with queue.read() as connection:
        (news,) = SqlMessages(connection).news_after(0)
    assert (news.settled.state, news.settled.reason) == (MessageState.UNKNOWN, "interrupted")


def test_a_look_that_fails_in_a_way_nobody_foresaw_does_not_end_the_sending(
    queue: Database, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    wire, stopping = Wire(EMAIL), threading.Event()
    dispatcher = Dispatcher(queue, [wire], clock, worker="w1")
    enqueue(queue, message("first"))
    with queue.write(durable=True) as connection:
        connection.execute(update(oncall_message).values(channel="pigeon"))
    running = threading.Thread(target=dispatcher.run, args=(stopping,), kwargs={"poll_s": 0.02})
    running.start()
    wait_until(lambda: "message_dispatcher_failed" in caplog.text, what="the failure", timeout_s=10)

    with queue.write(durable=True) as connection:
        connection.execute(update(oncall_message).values(channel="email"))
    wait_until(lambda: states(queue, "first") == [MessageState.SENT], what="the message", timeout_s=10)
    stopping.set()
    dispatcher.wake()
    running.join(10)

    assert wire.taken == ["first"]


def test_messages_queued_while_it_runs_are_sent_without_being_asked_for(queue: Database, clock: ManualClock) -> None:
    wire, stopping = Wire(EMAIL), threading.Event()
    dispatcher = Dispatcher(queue, [wire], clock, worker="w1")
    running = threading.Thread(target=dispatcher.run, args=(stopping,), kwargs={"poll_s": 60.0})
    running.start()

    enqueue(queue, message("first"))
    dispatcher.wake()
    wait_until(lambda: states(queue, "first") == [MessageState.SENT], what="the first message", timeout_s=10)
    stopping.set()
    dispatcher.wake()
    running.join(10)

    assert not running.is_alive()
    assert wire.taken == ["first"]
