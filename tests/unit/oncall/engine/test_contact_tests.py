"""Contact tests run by the engine: answered in time, or a backup is booked whom the law allows; and only once."""

from dataclasses import replace
from datetime import datetime, timedelta

from oncall.directory import PersonId
from oncall.engine.engine import Engine
from oncall.engine.in_force import EnginePolicy, InForce
from oncall.engine.ports import MemoryStore
from oncall.messages import NotSent
from tests.harness.small_territory import BEGIN, CHANGE, engine, in_force, memory_store, without_contacts

OPENS = BEGIN - timedelta(minutes=30)
LATEST = BEGIN - timedelta(minutes=15)


def began(rules: InForce | None = None) -> tuple[Engine, MemoryStore]:
    store = memory_store()
    policy = EnginePolicy(is_contact_tested=True)
    runner = engine(store, replace(rules or in_force(), engine=policy))
    runner.run_due(OPENS - timedelta(minutes=5))
    run_until(runner, OPENS + timedelta(minutes=1))
    return runner, store


def run_until(runner: Engine, now: datetime) -> None:
    """Let the engine do everything that is due until `now`, each at its own time."""
    while (due_at := runner.next_due_at()) is not None and due_at <= now:
        runner.run_due(due_at)
    runner.run_due(now)


def happened(store: MemoryStore, word: str) -> list[str]:
    events = [positioned.event for positioned in store.events_after(0)]
    return sorted(event.fact.payload["person_id"] for event in events if event.type == word)


def asked_by(store: MemoryStore, person_id: str) -> list[str]:
    return [event.message_key for event in store.messages.events if f"/{person_id}/" in event.message_key
            and event.happened == "queued" and event.message_key.startswith("test/")]  # fmt: skip


def answer(store: MemoryStore, person_id: str, word: str, now: datetime) -> None:
    status = store.messages.status(asked_by(store, person_id)[0])
    assert status is not None
    store.messages.lease(status.message.channel, now, worker="w", limit=100)
    store.messages.answer(status.message.answer_token or "", word, now)


EVERYBODY = ["anna", "basile", "boris", "bruno", "coline", "serge"]


def test_everybody_whose_duty_begins_is_tested_half_an_hour_before_it() -> None:
    _, store = began()

    assert happened(store, "contact_test.sent") == EVERYBODY


def test_who_answers_is_not_asked_again_and_nobody_is_booked_for_them() -> None:
    runner, store = began()
    for person_id in EVERYBODY:
        answer(store, person_id, "yes", OPENS + timedelta(minutes=2))

    run_until(runner, BEGIN + timedelta(minutes=1))

    assert happened(store, "contact_test.answered") == EVERYBODY
    assert happened(store, "contact_test.sent") == EVERYBODY
    assert happened(store, "backup.called") == []


def test_a_silent_reader_is_tried_by_every_method_and_then_a_backup_is_booked_for_the_beginning() -> None:
    runner, store = began()
    for person_id in EVERYBODY:
        if person_id != "boris":
            answer(store, person_id, "yes", OPENS + timedelta(minutes=2))

    run_until(runner, LATEST + timedelta(minutes=1))

    assert len(asked_by(store, "boris")) == 3
    assert happened(store, "contact_test.failed") == ["boris"]
    (called,) = [event.event for event in store.events_after(0) if event.event.type == "backup.called"]
    assert called.fact.payload["arrives_at_us"] == int(BEGIN.timestamp() * 1_000_000)


def test_a_reader_without_any_contact_method_is_found_half_an_hour_before_the_night() -> None:
    known = without_contacts(in_force().directory, "anna")
    _, store = began(in_force(people=known))

    assert happened(store, "contact_test.failed") == ["anna"]
    assert len(happened(store, "backup.called")) == 1


def test_a_test_that_no_channel_takes_goes_on_by_the_next_method_at_once() -> None:
    runner, store = began()
    (first,) = asked_by(store, "anna")
    status = store.messages.status(first)
    assert status is not None
    store.messages.lease(status.message.channel, OPENS, worker="w", limit=100)
    store.messages.settle(first, NotSent(reason="refused_400"), OPENS, worker="w", is_repeatable=False)

    runner.run_due(OPENS + timedelta(minutes=1))

    assert len(asked_by(store, "anna")) == 2


def test_another_engine_on_the_same_store_does_not_test_again() -> None:
    _, store = began()
    other = engine(store, replace(in_force(), engine=EnginePolicy(is_contact_tested=True)), worker="two")

    run_until(other, OPENS + timedelta(minutes=3))

    assert happened(store, "contact_test.sent") == EVERYBODY


def test_the_one_who_takes_over_at_midnight_is_tested_before_midnight() -> None:
    runner, store = began()
    for person_id in EVERYBODY:
        answer(store, person_id, "yes", OPENS + timedelta(minutes=2))

    run_until(runner, CHANGE - timedelta(minutes=29))

    assert PersonId("diane") in happened(store, "contact_test.sent")


def test_nobody_is_tested_where_it_was_not_asked_for() -> None:
    store = memory_store()
    runner = engine(store, in_force())
    run_until(runner, BEGIN)

    assert happened(store, "contact_test.sent") == []
