"""Recalls in both databases: started once, continued, answered, ended; every message traced."""

from datetime import UTC, datetime, timedelta

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from foundation.errors import Refused
from oncall import recall_store
from oncall.case.sql_log import verify
from oncall.directory import ChannelKind, PersonId
from oncall.engine.sql_store import SqlStore
from oncall.messages import MessageState, NotSent, Sent
from oncall.messages_sql import SqlMessages
from oncall.notify import Sender
from oncall.plan_blanc import Answer
from oncall.recall_rows import insert_recall
from tests.harness.small_territory import BEGIN, engine
from tests.unit.oncall.recall.people import EMAIL, SMS, order, recalled

NOW = datetime(2026, 6, 7, 20, 0, tzinfo=UTC)
SENDER = Sender(answer_url="https://t.example/a/", secret=b"secret")
LIST = order(recalled("ann", SMS, EMAIL), recalled("bob", EMAIL), recalled("cyd"))


def start(database: Database) -> int:
    with database.write(durable=True) as connection:
        return recall_store.start(connection, LIST, NOW, SENDER)


def hand_over(database: Database, kind: ChannelKind, outcome: Sent | NotSent, at: datetime = NOW) -> list[str]:
    """Do what a dispatcher does with a channel that always answers the same."""
    with database.write(durable=True) as connection:
        messages = SqlMessages(connection)
        leased = messages.lease(kind, at, worker="w", limit=100).messages
        for message in leased:
            messages.settle(message.message_key, outcome, at, worker="w", is_repeatable=False)
    return [message.message_key for message in leased]


def counts(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return recall_store.board_of(connection, "r1").count()


def test_the_button_pressed_twice_recalls_once(database: Database) -> None:
    assert start(database) == 2
    with pytest.raises(Refused):
        start(database)

    assert hand_over(database, EMAIL, Sent()) == ["recall/r1/bob/0"]
    assert hand_over(database, SMS, Sent()) == ["recall/r1/ann/0"]
    assert counts(database)["handed_over"] == 2


def test_a_failure_is_followed_by_the_next_method_and_silence_too(database: Database) -> None:
    start(database)
    hand_over(database, SMS, NotSent(reason="refused_400"))

    with database.write(durable=True) as connection:
        look_again_at = recall_store.go_on(connection, "r1", NOW, SENDER)

    assert look_again_at == NOW + timedelta(seconds=120)
    assert sorted(hand_over(database, EMAIL, Sent())) == ["recall/r1/ann/1", "recall/r1/bob/0"]
    with database.write(durable=True) as connection:
        recall_store.go_on(connection, "r1", NOW + timedelta(seconds=120), SENDER)
    assert sorted(hand_over(database, EMAIL, Sent(), NOW + timedelta(seconds=120))) == ["recall/r1/bob/1"]


def test_looking_twice_at_the_same_moment_calls_nobody_twice(database: Database) -> None:
    start(database)

    for _ in range(2):
        with database.write(durable=True) as connection:
            recall_store.go_on(connection, "r1", NOW + timedelta(seconds=120), SENDER)

    with database.read() as connection:
        assert sum(SqlMessages(connection).due(NOW + timedelta(seconds=120)).values()) == 4


def test_the_engines_tick_calls_on_for_every_recall_that_runs_and_only_when_something_is_due(
    database: Database,
) -> None:
    start(database)
    hand_over(database, SMS, Sent())
    hand_over(database, EMAIL, Sent())

    looked_at = [
        recall_store.go_on_with_all(database, NOW + timedelta(seconds=seconds), SENDER) for seconds in (119, 120, 121)
    ]

    assert looked_at == [0, 1, 0]
    assert hand_over(database, EMAIL, Sent(), NOW + timedelta(seconds=120)) == ["recall/r1/ann/1", "recall/r1/bob/1"]


def test_an_answer_by_link_is_that_persons_and_takes_back_what_was_still_to_go(database: Database) -> None:
    start(database)
    with database.read() as connection:
        status = SqlMessages(connection).status("recall/r1/ann/0")
    assert status is not None

    with database.write(durable=True) as connection:
        arrives_at = NOW + timedelta(minutes=20)
        token = status.message.answer_token or ""
        assert recall_store.answer_by_link(connection, token, Answer.COMING, NOW, arrives_at=arrives_at)
        assert not recall_store.answer_by_link(connection, "forged", Answer.COMING, NOW)
        assert not recall_store.answer_by_link(connection, "", Answer.COMING, NOW)

    assert hand_over(database, SMS, Sent()) == []
    assert hand_over(database, EMAIL, Sent()) == ["recall/r1/bob/0"]
    with database.read() as connection:
        first = recall_store.board_of(connection, "r1").standings[0]
    assert (first.person_id, first.answer, first.arrives_at) == ("ann", Answer.COMING, arrives_at)


def test_the_last_word_counts_and_every_word_is_traced(database: Database) -> None:
    start(database)

    with database.write(durable=True) as connection:
        recall_store.answer(connection, "r1", PersonId("bob"), Answer.COMING, NOW, arrives_at=NOW)
        recall_store.answer(connection, "r1", PersonId("bob"), Answer.NOT_COMING, NOW)
        assert not recall_store.answer(connection, "r1", PersonId("stranger"), Answer.COMING, NOW)

    assert (counts(database)["coming"], counts(database)["not_coming"]) == (0, 1)
    with database.read() as connection:
        trace = SqlMessages(connection).trace("recall/r1/bob")
    assert [event.happened for event in trace] == ["replied", "replied"]


def test_an_ended_recall_calls_nobody_any_more(database: Database) -> None:
    start(database)

    with database.write(durable=True) as connection:
        assert recall_store.end(connection, "r1", NOW, SENDER)
        assert not recall_store.end(connection, "r1", NOW, SENDER)
        assert recall_store.go_on(connection, "r1", NOW + timedelta(hours=1), SENDER) is None

    assert hand_over(database, SMS, Sent(), NOW + timedelta(hours=1)) == []
    with database.read() as connection:
        status = SqlMessages(connection).status("recall/r1/ann/0")
    assert status is not None
    assert status.state is MessageState.CANCELLED


def test_who_was_called_is_told_once_that_it_is_over_by_what_reached_them(database: Database) -> None:
    everybody = order(
        recalled("ann", SMS, EMAIL),
        recalled("bob", EMAIL),
        recalled("cyd"),
        recalled("dan", SMS),
        recalled("eve", EMAIL),
    )
    with database.write(durable=True) as connection:
        recall_store.start(connection, everybody, NOW, SENDER)
    # Ann's SMS fails and her e-mail goes out; no channel takes dan's; eve is not coming.
    with database.write(durable=True) as connection:
        messages = SqlMessages(connection)
        for message in messages.lease(SMS, NOW, worker="w", limit=1).messages:
            assert message.person_id == "ann"
            messages.settle(message.message_key, NotSent(reason="refused"), NOW, worker="w", is_repeatable=False)
        recall_store.go_on(connection, "r1", NOW, SENDER)
    hand_over(database, EMAIL, Sent())
    with database.write(durable=True) as connection:
        recall_store.answer(connection, "r1", PersonId("eve"), Answer.NOT_COMING, NOW)

    later = NOW + timedelta(minutes=30)
    with database.write(durable=True) as connection:
        assert recall_store.end(connection, "r1", later, SENDER)
        assert not recall_store.end(connection, "r1", later, SENDER)

    assert hand_over(database, SMS, Sent(), later) == []
    with database.write(durable=True) as connection:
        leased = SqlMessages(connection).lease(EMAIL, later, worker="w", limit=9).messages
        told = {message.message_key: message.text for message in leased}
        assert not recall_store.answer_by_link(connection, leased[0].answer_token or "", Answer.COMING, later)
    assert told == dict.fromkeys(
        ["recall/r1/ann/end", "recall/r1/bob/end"], "Plan blanc CH Ambert levé à 22:30 CEST. Merci."
    )
    assert counts(database)["handed_over"] == 3, "being told is no call"


def told_of_the_night(database: Database) -> list[tuple[str, dict[str, object]]]:
    events = SqlStore(database).events_after(0)
    return [(event.type, dict(event.fact.payload)) for _, event in events]


def test_a_mass_alert_its_end_and_what_came_of_it_are_in_the_log_of_the_night(database: Database) -> None:
    start(database)
    hand_over(database, SMS, Sent())
    with database.write(durable=True) as connection:
        recall_store.answer(connection, "r1", PersonId("ann"), Answer.COMING, NOW)
        recall_store.end(connection, "r1", NOW + timedelta(hours=1), SENDER, by="c01")
        recall_store.end(connection, "r1", NOW + timedelta(hours=2), SENDER, by="c01")

    (started, said), (ended, came) = told_of_the_night(database)
    assert (started, said) == (
        "mass_alert.started", {"recall_id": "r1", "place": "CH Ambert", "people": 3, "by": "coordinator"}
    )  # fmt: skip
    assert (ended, came["recall_id"], came["by"]) == ("mass_alert.ended", "r1", "c01")
    assert came["board"] == {
        "recalled": 3, "handed_over": 1, "delivered": 0, "coming": 1, "not_coming": 0, "silent": 2, "out_of_reach": 1,
    }  # fmt: skip


def test_a_drill_is_in_the_log_of_the_night_under_a_name_of_its_own(database: Database) -> None:
    with database.write(durable=True) as connection:
        insert_recall(connection, LIST, NOW, is_drill=True)
        recall_store.end(connection, "r1", NOW, SENDER)

    assert [name for name, _ in told_of_the_night(database)] == ["mass_alert.rehearsed"]


def test_facts_of_the_engine_and_of_a_mass_alert_are_one_chain(database: Database) -> None:
    runner = engine(SqlStore(database))
    runner.set_unavailable(PersonId("anna"), BEGIN, reason="ill")
    with database.write(durable=True) as connection:
        recall_store.start(connection, LIST, BEGIN, SENDER)
    runner.set_available(PersonId("anna"), BEGIN + timedelta(minutes=1))

    assert [name for name, _ in told_of_the_night(database)][-3:] == [
        "reader.unavailable", "mass_alert.started", "reader.back"
    ]  # fmt: skip
    assert verify(database).logs == 1


def test_ending_a_drill_or_an_unknown_recall_does_nothing(database: Database) -> None:
    with database.write(durable=True) as connection:
        insert_recall(connection, LIST, NOW, is_drill=True)
        assert not recall_store.end(connection, "r1", NOW, SENDER)
        assert not recall_store.end(connection, "r2", NOW, SENDER)
        assert SqlMessages(connection).due(NOW) == {}


def test_a_recall_that_does_not_exist_is_refused_not_empty(database: Database) -> None:
    with database.read() as connection, pytest.raises(Refused):
        recall_store.board_of(connection, "r1")
