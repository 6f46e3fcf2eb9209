"""The store's contract, in memory and in both databases: a decision is committed whole, once, and on what it saw."""

from datetime import timedelta

import pytest

from oncall.case.event import CaseId, Event, Fact, chained, uuid7
from oncall.case.regions import StudyKey
from oncall.case.state import apply
from oncall.directory import ChannelKind, PersonId
from oncall.engine.ports import Changes, Cursor, HeadMoved, Store
from oncall.messages import Message
from oncall.timers import Timer, TimerNotHeld
from tests.harness.small_territory import BEGIN

STUDY = StudyKey("NORTH", "1.2.3")


def opened(case_id: str = "C1") -> Event:
    payload = {"site_id": "north", "rule": "emergency_study", "issuer": STUDY.issuer, "study_instance_uid": "1.2.3"}
    fact = Fact(type="request.unannounced", occurred_at=BEGIN, payload=payload)
    return chained(CaseId(case_id), 1, "0" * 64, fact, recorded_at=BEGIN, event_id=uuid7(BEGIN))


def opening(event: Event, **more: object) -> Changes:
    return Changes(events=(event,), cases=(apply(None, event),), **more)  # type: ignore[arg-type]  # by keyword


def message(key: str, chain_id: str = "C1/r1") -> Message:
    return Message(
        message_key=key,
        person_id=PersonId("anna"),
        channel=ChannelKind.SMS,
        address="+33600000000",
        subject="P1",
        text="P1",
        due_at=BEGIN,
        chain_id=chain_id,
    )


def timer(key: str = "watch:C1") -> Timer:
    return Timer(timer_key=key, kind="watch", due_at=BEGIN, case_id=CaseId("C1"))


def test_what_was_committed_is_read_back_in_its_order(store: Store) -> None:
    first = store.commit(opening(opened("C1")), head=0, worker="one", now=BEGIN)
    second = store.commit(opening(opened("C2")), head=store.head(), worker="one", now=BEGIN)

    assert [*store.events_after(0)] == [*first, *second]
    assert [*store.events_after(first[0].position)] == [*second]
    assert store.head() == second[0].position
    assert [event.case_id for _, event in store.events_since(BEGIN, calls_since=BEGIN)] == ["C1", "C2"]
    assert store.events_of(CaseId("C2")) == [second[0].event]


def test_a_decision_on_an_older_state_is_not_committed(store: Store) -> None:
    store.commit(opening(opened("C1")), head=0, worker="one", now=BEGIN)

    with pytest.raises(HeadMoved):
        store.commit(opening(opened("C2"), timers_set=(timer(),)), head=0, worker="two", now=BEGIN)

    assert store.events_of(CaseId("C2")) == []
    assert store.find_timer("watch:C1") is None


def test_the_effect_of_a_timer_that_is_not_held_is_not_committed(store: Store) -> None:
    store.commit(Changes(timers_set=(timer(),)), head=0, worker="one", now=BEGIN)
    (held,) = store.lease_due(BEGIN, worker="one")
    store.commit(Changes(timers_taken=(held,)), head=0, worker="one", now=BEGIN)

    with pytest.raises(TimerNotHeld):
        store.commit(opening(opened(), timers_taken=(held,)), head=0, worker="one", now=BEGIN)

    assert store.head() == 0


def test_a_timer_is_taken_and_set_anew_in_one_commit(store: Store) -> None:
    store.commit(Changes(timers_set=(timer("forecast"),)), head=0, worker="one", now=BEGIN)
    (held,) = store.lease_due(BEGIN, worker="one")
    later = Timer(timer_key="forecast", kind="forecast", due_at=BEGIN + timedelta(minutes=1))

    store.commit(Changes(timers_taken=(held,), timers_set=(later,)), head=0, worker="one", now=BEGIN)

    assert store.next_due_at() == BEGIN + timedelta(minutes=1)
    assert store.lease_due(BEGIN, worker="one") == ()


def test_a_consumer_that_somebody_else_moved_is_not_moved_back(store: Store) -> None:
    store.commit(Changes(cursors=(Cursor("news", 0, 7),)), head=0, worker="one", now=BEGIN)

    with pytest.raises(HeadMoved):
        store.commit(Changes(cursors=(Cursor("news", 0, 5),)), head=0, worker="two", now=BEGIN)

    assert store.cursor("news") == 7


def test_a_message_is_queued_once_and_a_cancelled_chain_keeps_no_message(store: Store) -> None:
    store.commit(Changes(messages=(message("m1"), message("m2", "C1/r9"))), head=0, worker="one", now=BEGIN)
    store.commit(Changes(messages=(message("m1"),)), head=0, worker="one", now=BEGIN)

    store.commit(Changes(cancelled_chains=("C1/r1",)), head=0, worker="one", now=BEGIN)

    with store.queue() as messages:
        states = {key: status.state for key in ("m1", "m2") if (status := messages.status(key)) is not None}
    assert states == {"m1": "cancelled", "m2": "queued"}


def test_a_cases_study_is_found(store: Store) -> None:
    event = opened()
    linked = Fact(
        type="images.linked",
        occurred_at=BEGIN,
        payload={"issuer": STUDY.issuer, "study_instance_uid": STUDY.study_instance_uid},
    )
    second = chained(CaseId("C1"), 2, event.hash, linked, recorded_at=BEGIN, event_id=uuid7(BEGIN))
    case = apply(apply(None, event), second)

    store.commit(Changes(events=(event, second), cases=(case,)), head=0, worker="one", now=BEGIN)

    assert store.case_of_study(STUDY) == "C1"
    assert store.case_of_study(StudyKey("SOUTH", STUDY.study_instance_uid)) is None
