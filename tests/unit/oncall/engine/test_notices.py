"""Calls to backups and their release: by the next method when one fails or is silent, and never silent in the log."""

from datetime import datetime, timedelta
from typing import Final

import pytest

from oncall.directory import ChannelKind, PersonId
from oncall.engine.engine import Engine
from oncall.engine.ports import MemoryStore, Store
from oncall.messages import NotSent, Outcome, Sent, Unsure
from oncall.reading.board import ExamKind
from tests.harness.small_territory import BEGIN, at, engine, memory_store, ready_case, run_until

CALLED: Final = at(6)


def called(store: Store) -> tuple[Engine, PersonId]:
    """Return an engine that has just called a backup, and whom."""
    runner = engine(store)
    runner.run_due(BEGIN)
    for number in range(10):
        case_id = ready_case(runner, f"C{number}", at(5), exam=ExamKind.ABDOMEN)
        reader = runner.case(case_id).reading.assigned_to
        if reader is not None:
            runner.acknowledge(case_id, reader, at(5))
    run_until(runner, CALLED)
    (person_id,) = runner.night.duty.backups
    return runner, person_id


def settle(store: Store, begin: str, outcome: Outcome, now: datetime) -> list[ChannelKind]:
    """Let every channel answer what waits of some notices; return by which channels they came."""
    by = []
    with store.queue() as queue:
        for kind in (ChannelKind.SMS, ChannelKind.EMAIL):
            for message in queue.lease(kind, now, worker="w", limit=200).messages:
                if message.message_key.startswith(begin):
                    queue.settle(message.message_key, outcome, now, worker="w", is_repeatable=False)
                    by.append(kind)
    return by


def reasons(store: Store, person_id: PersonId, *words: str) -> list[str]:
    """Return why facts of some types happened to somebody."""
    events = [event.fact for _, event in store.events_after(0) if event.type in words]
    return [str(fact.payload["reason"]) for fact in events if fact.payload["person_id"] == person_id]


@pytest.mark.parametrize("outcome", [NotSent(reason="refused_400"), Unsure(reason="cut")], ids=["refused", "unsure"])
def test_a_call_that_no_channel_took_goes_out_by_the_next_method_at_once(
    store: Store, outcome: NotSent | Unsure
) -> None:
    runner, person_id = called(store)

    assert settle(store, f"backup:{person_id}", outcome, CALLED) == [ChannelKind.SMS]
    runner.run_due(CALLED)

    assert person_id in runner.night.duty.backups
    assert settle(store, f"backup:{person_id}", Sent(), CALLED) == [ChannelKind.EMAIL]
    assert reasons(store, person_id, "notice.repeated") == [outcome.reason]


def test_a_backup_whom_no_method_reaches_is_replaced_at_once_and_the_log_says_why() -> None:
    store = memory_store()
    runner, person_id = called(store)

    for _ in range(2):
        settle(store, f"backup:{person_id}", NotSent(reason="gateway_down"), CALLED)
        runner.run_due(CALLED)

    assert reasons(store, person_id, "duty.no_notification_sent", "backup.declined") == ["gateway_down"] * 2
    assert person_id not in runner.night.duty.backups
    assert len(runner.night.duty.backups) == 1


def test_a_silent_backup_is_called_by_another_method_before_the_next_one_is() -> None:
    store = memory_store()
    runner, person_id = called(store)

    settle(store, f"backup:{person_id}", Sent(), CALLED)
    run_until(runner, CALLED + timedelta(minutes=3))

    assert settle(store, f"backup:{person_id}", Sent(), CALLED + timedelta(minutes=3)) == [ChannelKind.EMAIL]
    assert person_id in runner.night.duty.backups
    run_until(runner, CALLED + timedelta(minutes=5))
    assert reasons(store, person_id, "backup.declined") == ["silence"]


def test_a_backup_who_answers_is_called_no_more() -> None:
    store = memory_store()
    runner, person_id = called(store)

    runner.answer_backup_call(person_id, CALLED, is_coming=True)
    run_until(runner, CALLED + timedelta(minutes=10))

    assert reasons(store, person_id, "notice.repeated", "duty.no_notification_sent") == []
    assert settle(store, f"backup:{person_id}", Sent(), CALLED + timedelta(minutes=10)) == []


def released(store: MemoryStore) -> tuple[Engine, PersonId, datetime]:
    """Return an engine that has just let a backup go."""
    runner, person_id = called(store)
    runner.answer_backup_call(person_id, CALLED, is_coming=True)
    now = CALLED
    while person_id in runner.night.duty.backups:
        now += timedelta(minutes=1)
        run_until(runner, now)
        for case in runner.open_cases(now):
            if case.is_ready and case.reading.assigned_to is not None and case.reading.claimed_by is None:
                runner.claim(case.case_id, case.reading.assigned_to, now, transaction_uid=f"1.{case.seq}")
                runner.sign(case.case_id, case.reading.assigned_to, now, transaction_uid=f"1.{case.seq}")
                break
    return runner, person_id, now


def test_a_release_goes_on_by_the_next_method_only_when_the_first_one_failed() -> None:
    store = memory_store()
    runner, person_id, now = released(store)

    assert settle(store, "released:", NotSent(reason="refused_400"), now) == [ChannelKind.SMS]
    runner.run_due(now)
    assert settle(store, "released:", Sent(), now) == [ChannelKind.EMAIL]
    run_until(runner, now + timedelta(hours=1))

    assert reasons(store, person_id, "notice.repeated") == ["refused_400"]
    assert reasons(store, person_id, "duty.no_notification_sent") == []


def test_a_release_that_no_channel_ever_takes_is_on_record() -> None:
    store = memory_store()
    runner, person_id, now = released(store)

    run_until(runner, now + timedelta(hours=1))

    assert reasons(store, person_id, "duty.no_notification_sent") == ["unconfirmed"]
