"""A critical finding that no named clinician acknowledges in time alarms somebody, until one does."""

from datetime import timedelta
from typing import Final

import pytest

from oncall.case import commands_critical, commands_report
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId
from oncall.case.regions import CriticalState
from oncall.case.state import Case
from oncall.directory import PersonId
from oncall.engine.engine import Command, Engine
from oncall.engine.paging import running_chain
from oncall.engine.ports import Store
from tests.harness.small_territory import at, engine, ready_case, run_until

# Facts like any others: what databases do with them is tested with the store.
pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)

CASE: Final = CaseId("C1")


def declared(critical_id: str, *, minutes: float) -> Command:
    def command(case: Case, context: Context) -> Facts:
        return commands_critical.declare(
            case, context, critical_id=critical_id, category=1, finding="subdural", radiologist="anna",
            due_at=context.now + timedelta(minutes=minutes),
        )  # fmt: skip

    return command


def communicated(critical_id: str) -> Command:
    def command(case: Case, context: Context) -> Facts:
        return commands_critical.communicate(
            case, context, critical_id=critical_id, recipient="Dr Martin", method="phone", read_back="subdural"
        )

    return command


def acknowledged(critical_id: str) -> Command:
    return lambda case, context: commands_report.acknowledge_critical(
        case, context, critical_id=critical_id, clinician="Dr Martin"
    )


def signed(store: Store) -> Engine:
    """A case whose report is signed with one finding that must be told within a quarter of an hour."""
    runner = engine(store)
    ready_case(runner, CASE, at(5))
    reader = runner.case(CASE).reading.assigned_to
    assert reader is not None
    runner.claim(CASE, reader, at(6), transaction_uid="1.2.9")
    runner.execute(CASE, declared("f1", minutes=15), at(7))
    runner.sign(CASE, reader, at(8), transaction_uid="1.2.9")
    return runner


def paged(store: Store) -> list[str]:
    """Return who was paged about the critical finding, in order."""
    return [
        event.fact.payload["person_id"]
        for event in store.events_of(CASE)
        if event.type == "escalation.notified" and f"{CASE}/c" in event.fact.payload["chain_id"]
    ]


def test_a_finding_that_nobody_acknowledges_pages_the_hospital_and_then_the_coordinator(store: Store) -> None:
    runner = signed(store)
    run_until(runner, at(21))
    assert paged(store) == []

    run_until(runner, at(40))

    assert paged(store)[0] == "emma"
    assert "coline" in paged(store)
    breached = [event.fact.payload["clock"] for event in store.events_of(CASE) if event.type == "clock.breached"]
    assert breached.count("C6") == 1


def test_a_finding_that_is_acknowledged_in_time_pages_nobody(store: Store) -> None:
    runner = signed(store)
    runner.execute(CASE, communicated("f1"), at(10))
    runner.execute(CASE, acknowledged("f1"), at(11))

    run_until(runner, at(60))

    assert paged(store) == []


def test_a_named_clinician_ends_the_pages_about_a_finding(store: Store) -> None:
    runner = signed(store)
    run_until(runner, at(23))

    runner.execute(CASE, acknowledged("f1"), at(24))
    count = len(paged(store))
    run_until(runner, at(90))

    assert running_chain(runner.case(CASE), "c") is None
    assert len(paged(store)) == count


def test_a_second_finding_is_told_apart_from_the_first(store: Store) -> None:
    runner = signed(store)
    runner.execute(CASE, declared("f2", minutes=30), at(9))
    run_until(runner, at(23))
    runner.execute(CASE, acknowledged("f1"), at(24))
    count = len(paged(store))

    run_until(runner, at(45))

    assert len(paged(store)) > count
    breached = [event.fact.payload["clock"] for event in store.events_of(CASE) if event.type == "clock.breached"]
    assert breached.count("C6") == 2


@pytest.mark.parametrize("who", ["emma", "coline"])
def test_whoever_answers_a_page_and_takes_no_note_by_name_ends_nothing(store: Store, who: str) -> None:
    runner = signed(store)
    run_until(runner, at(29))
    runner.acknowledge(CASE, PersonId(who), at(30))
    count = len(paged(store))

    run_until(runner, at(60))

    assert running_chain(runner.case(CASE), "c") is not None
    assert len(paged(store)) > count
    seen = [event.fact.payload for event in store.events_of(CASE) if event.type == "critical.escalated"][-1]
    assert (seen["recipient"], seen["reason"]) == (who, "seen")


def test_the_loop_is_closed_by_name_after_the_acknowledgement(store: Store) -> None:
    runner = signed(store)
    runner.execute(CASE, communicated("f1"), at(10))
    runner.execute(CASE, acknowledged("f1"), at(11))

    closed = runner.execute(
        CASE,
        lambda case, context: commands_report.close_critical(case, context, critical_id="f1", clinician="Dr Martin"),
        at(12),
    )

    (finding,) = closed.criticals
    assert (finding.state, finding.acknowledged_by) == (CriticalState.CLOSED, "Dr Martin")
