"""A night that runs by itself on a virtual clock: in memory, on SQLite and on PostgreSQL, the same."""

from datetime import datetime, timedelta
from typing import Final

import pytest

from oncall.case.event import CaseId, Event
from oncall.case.log import verify_chain
from oncall.case.regions import EscalationState, ReadingState
from oncall.case.state import fold
from oncall.directory import PersonId
from oncall.engine.assigning import NotEligible
from oncall.engine.engine import Engine
from oncall.engine.ports import Store
from oncall.reading.board import ExamKind, Urgency
from tests.harness.small_territory import BEGIN, CHANGE, at, engine, ready_case, run_until

ANNA: Final = PersonId("anna")
BORIS: Final = PersonId("boris")
BRUNO: Final = PersonId("bruno")


def types(store: Store, case_id: str) -> list[str]:
    return [event.type for event in store.events_of(CaseId(case_id))]


def duty_events(store: Store) -> list[Event]:
    return [event for _, event in store.events_after(0) if event.case_id.startswith("duty:")]


def read(runner: Engine, case_id: CaseId, person_id: PersonId, start: float, minutes: float) -> None:
    """Let a reader acknowledge, open and sign a case."""
    run_until(runner, at(start))
    runner.acknowledge(case_id, person_id, at(start))
    runner.claim(case_id, person_id, at(start), transaction_uid=f"1.2.{start}")
    run_until(runner, at(start + minutes))
    runner.sign(case_id, person_id, at(start + minutes), transaction_uid=f"1.2.{start}")


def answered_case(runner: Engine, case_id: str, now: datetime, exam: ExamKind) -> None:
    """Open a case that is ready, and let whoever is given it answer."""
    case = ready_case(runner, case_id, now, exam=exam)
    reader = runner.case(case).reading.assigned_to
    if reader is not None:
        runner.acknowledge(case, reader, now)


def test_an_engine_that_runs_on_remembers_the_reads_of_the_last_day_only(store: Store) -> None:
    runner = engine(store)
    case_id = ready_case(runner, "c", at(0))
    reader = runner.case(case_id).reading.assigned_to
    assert reader is not None
    read(runner, case_id, reader, 1, 5)
    run_until(runner, at(10))
    assert (len(runner.night.reads), len(runner.night.ready_times)) == (1, 1)

    runner.run_due(at(10) + timedelta(hours=24))

    assert (runner.night.reads, runner.night.ready_times) == ([], [])


def test_a_case_goes_from_request_to_signed_report_and_its_reader_is_paged_once(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)

    case_id = ready_case(runner, "C1", at(5))
    reader = runner.case(case_id).reading.assigned_to
    assert reader is not None
    read(runner, case_id, reader, 6, 9)
    run_until(runner, at(60))

    case = runner.case(case_id)
    assert case.reading.state is ReadingState.DONE
    assert case.report.signed_at == at(15)
    assert case.images.deadline_at == at(65)
    assert types(store, "C1").count("escalation.notified") == 1
    assert [one.state for one in case.escalations] == [EscalationState.ACKNOWLEDGED]


def test_silence_leads_up_the_ladder_to_a_human_at_the_hospital(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)

    ready_case(runner, "C1", at(5), urgency=Urgency.P1, exam=ExamKind.STROKE)
    run_until(runner, at(20))

    told = [
        event.fact.payload["person_id"]
        for event in store.events_of(CaseId("C1"))
        if event.type == "escalation.notified" and event.fact.payload["chain_id"].split("/")[1].startswith("r")
    ]
    in_order = list(dict.fromkeys(told))
    assert set(in_order[:2]) == {"anna", "boris"}
    assert in_order[2:] == ["serge", "bruno", "basile", "coline", "emma"]
    assert "escalation.exhausted" in types(store, "C1")


def test_a_reader_who_is_silent_gets_nothing_new_until_they_do_something(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    first = ready_case(runner, "C1", at(5))
    silent = runner.case(first).reading.assigned_to
    assert silent is not None
    run_until(runner, at(11))

    ready_case(runner, "C2", at(11))
    assert runner.case(CaseId("C2")).reading.assigned_to != silent

    runner.acknowledge(first, silent, at(12))
    assert silent not in runner.night.duty.unavailable


def test_a_predicted_breach_calls_a_backup_who_then_reads(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    for number in range(10):
        ready_case(runner, f"C{number}", at(5), exam=ExamKind.ABDOMEN)

    run_until(runner, at(6))

    called = [event.fact.payload["person_id"] for event in duty_events(store) if event.type == "backup.called"]
    assert called
    assert set(called) <= {"bruno", "basile"}
    runner.answer_backup_call(PersonId(called[0]), at(7), is_coming=True)
    case = runner.next_case(PersonId(called[0]), at(25))
    assert case is not None
    assert (
        runner.claim(case.case_id, PersonId(called[0]), at(25), transaction_uid="1.9").reading.claimed_by == called[0]
    )


def test_a_backup_who_does_not_answer_is_replaced_by_the_next(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    for number in range(10):
        answered_case(runner, f"C{number}", at(5), ExamKind.ABDOMEN)

    run_until(runner, at(14))

    happened = [(event.type, event.fact.payload.get("person_id")) for event in duty_events(store)]
    assert ("backup.declined", "bruno") in happened
    assert ("backup.called", "basile") in happened


def test_at_a_change_of_shift_what_is_not_opened_passes_to_who_comes(store: Store) -> None:
    runner = engine(store)
    before = (CHANGE - BEGIN) / timedelta(minutes=1) - 5
    run_until(runner, at(before))
    for number in range(4):
        ready_case(runner, f"C{number}", at(before))
        runner.acknowledge(
            CaseId(f"C{number}"), runner.case(CaseId(f"C{number}")).reading.assigned_to or ANNA, at(before)
        )
    hers = [case.case_id for case in runner.open_cases(at(before)) if case.reading.assigned_to == ANNA]
    opened = runner.claim(hers[0], ANNA, at(before), transaction_uid="1.5")

    run_until(runner, CHANGE)

    handed = [
        event for event in duty_events(store) if event.type == "handover.offered" and event.fact.payload["arriving"]
    ]
    assert handed[-1].fact.payload["leaving"] == ["anna"]
    assert handed[-1].fact.payload["arriving"] == ["diane"]
    assert len(handed[-1].fact.payload["items"]) == 4
    left = [case for case in runner.open_cases(CHANGE) if case.reading.assigned_to == ANNA]
    assert [case.case_id for case in left] == [opened.case_id]
    assert runner.sign(opened.case_id, ANNA, CHANGE + timedelta(minutes=4), transaction_uid="1.5").report.version == 1


@pytest.mark.parametrize(
    ("who", "site_id", "rule"),
    [("bruno", "north", "not_on_duty"), ("diane", "north", "not_on_duty"), ("anna", "east", "no_privilege")],
)
def test_who_is_not_licensed_or_not_on_duty_cannot_open_a_case(store: Store, who: str, site_id: str, rule: str) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(5), site_id=site_id)

    with pytest.raises(NotEligible, match=rule):
        runner.claim(case_id, PersonId(who), at(6), transaction_uid="1.1")

    assert runner.case(case_id).reading.claimed_by is None


def test_every_log_of_the_night_proves_itself_and_folds_to_what_the_engine_holds(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    for number in range(3):
        ready_case(runner, f"C{number}", at(5 + number))
    read(runner, CaseId("C0"), runner.case(CaseId("C0")).reading.assigned_to or ANNA, 9, 12)
    run_until(runner, at(50))

    for case in runner.open_cases(at(50)):
        events = store.events_of(case.case_id)
        verify_chain(case.case_id, events)
        assert fold(events) == case
    for stream in {event.case_id for event in duty_events(store)}:
        verify_chain(stream, store.events_of(stream))
