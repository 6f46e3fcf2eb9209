"""The message queue: the same contract in memory and in both databases."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from oncall.case.event import CaseId
from oncall.directory import ChannelKind, PersonId
from oncall.messages import (
    LEASE_S,
    Message,
    Messages,
    MessageState,
    NotSent,
    Sent,
    Unsure,
    answer_token,
    idempotency_key,
)
from oncall.messages_memory import MemoryMessages
from oncall.messages_sql import SqlMessages
from tests.harness.peers import PostgresqlServer

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
LATER = NOW + timedelta(seconds=LEASE_S)
REPEATABLE = frozenset({ChannelKind.SMS})


class Queue(Protocol):
    def __call__(self) -> AbstractContextManager[Messages]: ...


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """Yield a function that opens one transaction on the queue."""
    if request.param == "memory":
        messages = MemoryMessages()

        @contextmanager
        def in_memory() -> Iterator[Messages]:
            yield messages

        yield in_memory
        return
    if request.param == "sqlite":
        database = Database(sqlite_url(tmp_path / "oncall.sqlite"))
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        database = Database(server.new_database(f"messages_{uuid4().hex}"))
    database.create_tables()

    @contextmanager
    def in_database() -> Iterator[Messages]:
        with database.write(durable=True) as connection:
            yield SqlMessages(connection)

    yield in_database
    database.close()


def message(key: str = "c1/1/0.0/p1/0", **changes: object) -> Message:
    values: dict[str, object] = {
        "message_key": key,
        "person_id": PersonId("p1"),
        "channel": ChannelKind.EMAIL,
        "address": "p1@example.org",
        "subject": "Telegarde",
        "text": "A case waits",
        "due_at": NOW,
        "case_id": CaseId("c1"),
        "chain_id": "c1/1",
        "answer_token": f"token-{key}",
    }
    return Message(**(values | changes))  # type: ignore[arg-type]  # a table of fields, each checked by its test


def lease(queue: Queue, at: datetime = NOW, worker: str = "w1", channel: ChannelKind = ChannelKind.EMAIL) -> list[str]:
    with queue() as messages:
        return [leased.message_key for leased in messages.lease(channel, at, worker=worker, limit=10).messages]


def state_of(queue: Queue, key: str = "c1/1/0.0/p1/0") -> MessageState:
    with queue() as messages:
        status = messages.status(key)
    assert status is not None
    return status.state


def happened(queue: Queue, key: str = "c1/1/0.0/p1/0") -> list[str]:
    with queue() as messages:
        return [event.happened for event in messages.trace(key)]


def test_a_decision_taken_twice_queues_one_message(queue: Queue) -> None:
    with queue() as messages:
        assert messages.enqueue(message(), NOW)
        assert not messages.enqueue(message(text="another text"), NOW)

    assert lease(queue) == ["c1/1/0.0/p1/0"]
    assert happened(queue) == ["queued", "sending"]


def test_a_message_comes_back_as_it_was_queued(queue: Queue) -> None:
    given = message(expires_at=NOW + timedelta(minutes=15), attempts_max=3, text="Lire avant 02:40 CEST – élève")
    with queue() as messages:
        messages.enqueue(given, NOW)

    with queue() as messages:
        assert messages.lease(ChannelKind.EMAIL, NOW, worker="w1", limit=1).messages == (given,)


def test_two_senders_never_hold_the_same_message(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(), NOW)

    assert lease(queue, worker="w1") == ["c1/1/0.0/p1/0"]
    assert lease(queue, worker="w2") == []


def test_pages_about_cases_go_before_a_mass_recall_that_was_due_earlier(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message("recall/p9", case_id=None, due_at=NOW - timedelta(minutes=1)), NOW)
        messages.enqueue(message("page"), NOW)

    with queue() as messages:
        got = messages.lease(ChannelKind.EMAIL, NOW, worker="w1", limit=1, is_for_cases=None)
    assert [leased.message_key for leased in got.messages] == ["page"]


def test_a_message_is_not_sent_before_it_is_due(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(due_at=NOW + timedelta(seconds=1)), NOW)

    assert lease(queue) == []
    assert lease(queue, NOW + timedelta(seconds=1)) == ["c1/1/0.0/p1/0"]


def test_a_message_that_has_expired_fails_with_its_cause_and_is_never_sent(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(expires_at=NOW + timedelta(minutes=15)), NOW)

    with queue() as messages:
        got = messages.lease(ChannelKind.EMAIL, NOW + timedelta(days=60), worker="w1", limit=10)
    assert got.messages == ()
    assert [(one.state, one.reason, one.is_failure) for one in got.expired] == [(MessageState.FAILED, "expired", True)]


def test_an_answer_cancels_what_no_channel_has_yet_of_its_chain_and_nothing_else(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message("c1/1/a"), NOW)
        messages.enqueue(message("c1/10/a", chain_id="c1/10"), NOW)

    with queue() as messages:
        assert messages.cancel_chain("c1/1", NOW) == 1

    assert lease(queue) == ["c1/10/a"]
    assert state_of(queue, "c1/1/a") is MessageState.CANCELLED


def test_what_a_channel_took_is_settled_once_with_its_provider_id(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(), NOW)
    lease(queue)

    with queue() as messages:
        first = messages.settle("c1/1/0.0/p1/0", Sent(provider_id="x1"), NOW, worker="w1", is_repeatable=False)
        second = messages.settle("c1/1/0.0/p1/0", Sent(provider_id="x1"), NOW, worker="w1", is_repeatable=False)

    assert first is not None
    assert (first.state, first.provider_id, first.chain_id, first.is_failure) == (
        MessageState.SENT,
        "x1",
        "c1/1",
        False,
    )
    assert second is None


def test_a_dead_senders_mail_is_never_sent_again_and_its_chain_is_told(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(), NOW)
    lease(queue)

    with queue() as messages:
        assert messages.interrupted(LATER - timedelta(seconds=1), repeatable=REPEATABLE) == ()
        (unknown,) = messages.interrupted(LATER, repeatable=REPEATABLE)
        assert messages.interrupted(LATER, repeatable=REPEATABLE) == ()

    assert (unknown.state, unknown.chain_id, unknown.is_failure) == (MessageState.UNKNOWN, "c1/1", True)
    assert lease(queue, LATER + timedelta(days=1), worker="w2") == []


def test_a_dead_senders_text_goes_to_a_gateway_that_knows_its_key_again(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(channel=ChannelKind.SMS), NOW)
    lease(queue, channel=ChannelKind.SMS)

    with queue() as messages:
        assert messages.interrupted(LATER, repeatable=REPEATABLE) == ()

    assert lease(queue, LATER, worker="w2", channel=ChannelKind.SMS) == ["c1/1/0.0/p1/0"]


def test_a_message_that_its_senders_die_of_is_given_up_and_its_chain_told(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(channel=ChannelKind.SMS), NOW)

    told = []
    for death in range(10):
        lease(queue, NOW, worker=f"w{death}", channel=ChannelKind.SMS)
        with queue() as messages:
            told += messages.interrupted(NOW, repeatable=REPEATABLE, gone=frozenset({f"w{death}"}))

    assert [one.state for one in told] == [MessageState.UNKNOWN]
    assert happened(queue).count("sending") == 5


def test_messages_of_a_worker_known_to_be_gone_are_not_waited_for(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message("a"), NOW)
    lease(queue, worker="node1.life1")
    with queue() as messages:
        messages.enqueue(message("b"), NOW)
    lease(queue, worker="node2.life1")

    with queue() as messages:
        unknown = messages.interrupted(NOW, repeatable=REPEATABLE, gone=frozenset({"node1.life1"}))

    assert [one.message_key for one in unknown] == ["a"]


def test_a_sender_that_lost_its_lease_changes_nothing_but_is_traced(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(), NOW)
    lease(queue)
    with queue() as messages:
        messages.interrupted(LATER, repeatable=REPEATABLE)
        late = messages.settle("c1/1/0.0/p1/0", Sent(), LATER, worker="w1", is_repeatable=False)

    assert late is None
    assert state_of(queue) is MessageState.UNKNOWN
    assert happened(queue) == ["queued", "sending", "unknown", "late_sent"]


def test_a_late_sender_does_not_settle_what_another_holds_now(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(channel=ChannelKind.SMS), NOW)
    lease(queue, worker="w1", channel=ChannelKind.SMS)
    with queue() as messages:
        messages.interrupted(LATER, repeatable=REPEATABLE)
    lease(queue, LATER, worker="w2", channel=ChannelKind.SMS)

    with queue() as messages:
        late = messages.settle("c1/1/0.0/p1/0", NotSent(reason="refused"), LATER, worker="w1", is_repeatable=True)
        assert late is None
        now = messages.settle("c1/1/0.0/p1/0", Sent(), LATER, worker="w2", is_repeatable=True)

    assert now is not None
    assert now.state is MessageState.SENT


@pytest.mark.parametrize(
    ("outcome", "is_repeatable", "attempts_max", "expected"),
    [
        (NotSent(reason="refused"), False, 3, MessageState.FAILED),
        (NotSent(reason="no_connection", is_retryable=True), False, 1, MessageState.FAILED),
        (NotSent(reason="no_connection", is_retryable=True), False, 3, MessageState.QUEUED),
        (Unsure(reason="connection_broke"), False, 3, MessageState.UNKNOWN),
        (Unsure(reason="connection_broke"), True, 3, MessageState.QUEUED),
        (Unsure(reason="connection_broke"), True, 1, MessageState.UNKNOWN),
    ],
    ids=["refused", "page", "retried", "unsure mail", "unsure text", "unsure page"],
)
def test_only_what_was_not_sent_or_may_be_repeated_is_handed_over_again(
    queue: Queue, outcome: NotSent | Unsure, is_repeatable: bool, attempts_max: int, expected: MessageState
) -> None:
    with queue() as messages:
        messages.enqueue(message(attempts_max=attempts_max), NOW)
    lease(queue)

    with queue() as messages:
        done = messages.settle("c1/1/0.0/p1/0", outcome, NOW, worker="w1", is_repeatable=is_repeatable)

    assert state_of(queue) is expected
    assert (None if expected is MessageState.QUEUED else expected) == (None if done is None else done.state)


def test_a_message_is_handed_over_only_so_many_times(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(attempts_max=3), NOW)

    for attempt in range(5):
        at = NOW + timedelta(minutes=attempt)
        if lease(queue, at):
            with queue() as messages:
                outcome = NotSent(reason="no_connection", is_retryable=True)
                messages.settle("c1/1/0.0/p1/0", outcome, at, worker="w1", is_repeatable=False)

    assert happened(queue).count("sending") == 3
    assert state_of(queue) is MessageState.FAILED


def test_a_leased_message_that_no_channel_saw_can_be_given_back(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(), NOW)
    lease(queue)

    with queue() as messages:
        messages.release("c1/1/0.0/p1/0", NOW, worker="w1")

    assert lease(queue, worker="w2") == ["c1/1/0.0/p1/0"]


def test_receipts_are_found_by_the_providers_id_and_a_late_one_changes_nothing(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(), NOW)
    lease(queue)
    with queue() as messages:
        messages.settle("c1/1/0.0/p1/0", Sent(provider_id="x1"), NOW, worker="w1", is_repeatable=False)

    with queue() as messages:
        delivered = messages.receipt("x1", MessageState.DELIVERED, NOW)
        failed = messages.receipt("x1", MessageState.FAILED, NOW, reason="absent")
        nobodys = messages.receipt("x2", MessageState.DELIVERED, NOW)
        nameless = messages.receipt("", MessageState.DELIVERED, NOW)

    assert delivered is not None
    assert (failed, nobodys, nameless) == (None, None, None)
    assert state_of(queue) is MessageState.DELIVERED


def test_an_answer_may_overtake_the_senders_own_record(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message(), NOW)
    lease(queue)

    with queue() as messages:
        answered = messages.answer("token-c1/1/0.0/p1/0", "yes", NOW)
        again = messages.answer("token-c1/1/0.0/p1/0", "yes", NOW)
        late = messages.settle("c1/1/0.0/p1/0", Sent(provider_id="x1"), NOW, worker="w1", is_repeatable=False)

    assert answered is not None
    assert (answered.person_id, answered.chain_id, again, late) == ("p1", "c1/1", None, None)
    assert state_of(queue) is MessageState.ANSWERED


def test_what_became_of_messages_is_told_in_order_and_once_to_who_keeps_the_position(queue: Queue) -> None:
    with queue() as messages:
        messages.enqueue(message("a"), NOW)
        messages.enqueue(message("b"), NOW)
    lease(queue)
    with queue() as messages:
        messages.settle("b", NotSent(reason="refused"), NOW, worker="w1", is_repeatable=False)
        messages.settle("a", Sent(provider_id="x1"), NOW, worker="w1", is_repeatable=False)
        messages.answer("token-a", "yes", LATER)

    with queue() as messages:
        news = messages.news_after(0)
        rest = messages.news_after(news[0].position, limit=1)
        end = messages.news_after(news[-1].position)

    told = [(one.settled.message_key, one.settled.state, one.settled.reason, one.occurred_at) for one in news]
    assert told == [
        ("b", MessageState.FAILED, "refused", NOW),
        ("a", MessageState.SENT, "", NOW),
        ("a", MessageState.ANSWERED, "yes", LATER),
    ]
    assert [one.position for one in rest] == [news[1].position]
    assert end == ()


def test_tokens_are_of_one_message_and_one_secret() -> None:
    tokens = {answer_token(secret, key) for secret in (b"one", b"two") for key in ("a", "b")}

    assert len(tokens) == 4
    assert all(len(token) == 22 for token in tokens)
    assert idempotency_key("a") == idempotency_key("a") != idempotency_key("b")
