"""Critical results through the engine: who may say what, what a call confirms, and who is told until somebody knows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest

from foundation.errors import PeerError, Refused
from oncall.case import commands, commands_report
from oncall.case.commands import Context
from oncall.case.event import Actor, CaseId
from oncall.case.regions import CriticalFinding, CriticalState, StudyKey
from oncall.critical.calls import CallOutcome
from oncall.directory import ChannelKind, ContactDuty, Directory, PersonId, Role, SiteId
from oncall.engine.engine import Engine
from oncall.engine.in_force import InForce
from oncall.engine.paging import running_chain
from oncall.engine.ports import MemoryStore, Store
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from tests.harness.small_territory import at, directory, engine, in_force, memory_store, person, request, run_until

CASE: Final = CaseId("C1")
ANNA: Final = Actor(who="anna", role="read")
DESK: Final = Actor(who="desk-north", role="request")
EMMA: Final = PersonId("emma")


def full_hospital() -> Directory:
    """The territory whose first hospital has a senior and an administrator on duty."""
    known = directory()
    north = known.sites[SiteId("north")]
    contacts = {
        **north.contacts,
        ContactDuty.SENIOR: (PersonId("simone"),),
        ContactDuty.ADMINISTRATOR_ON_DUTY: (PersonId("alain"),),
    }
    return replace(
        known,
        sites={**known.sites, SiteId("north"): replace(north, contacts=contacts)},
        persons={
            **known.persons,
            PersonId("simone"): person("simone", Role.EMERGENCY_PHYSICIAN),
            PersonId("alain"): person("alain", Role.ADMINISTRATOR),
        },
    )


def declared(runner: Engine, critical_id: str = "f1", *, category: int = 1, minutes: float = 7) -> CriticalFinding:
    case = runner.declare_critical(
        CASE, at(minutes), actor=ANNA, critical_id=critical_id, category=category, finding="subdural"
    )
    return next(one for one in case.criticals if one.critical_id == critical_id)


def told(runner: Engine, critical_id: str = "f1", *, minutes: float = 10, recipient: str = "Dr Martin") -> None:
    runner.communicate_critical(
        CASE, critical_id, at(minutes), actor=ANNA, recipient=recipient, method="phone", read_back="subdural, right"
    )


def rules_around(instant: datetime) -> InForce:
    """The same people and lines; nobody else is on duty long before or after the night."""
    rules = in_force(people=full_hospital())
    around = Span(start=instant - timedelta(days=7), end=instant + timedelta(days=7))
    return replace(rules, timeline=Timeline(rules.roster, rules.directory, around))


def open_case(store: Store, now: datetime | None = None, *, worker: str = "one") -> Engine:
    """A case whose exam is still to come: nobody but the hospital is paged about it."""
    opened_at = now or at(5)
    runner = engine(store, rules_around(opened_at), worker=worker)
    runner.open_case(CASE, request(), opened_at)
    runner.execute(CASE, partial(commands.send_protocol, author=PersonId("anna"), protocol_id="p"), opened_at)
    return runner


def paged(store: Store, mark: str = "c") -> list[str]:
    return [
        event.fact.payload["person_id"]
        for event in store.events_of(CASE)
        if event.type == "escalation.notified" and f"{CASE}/{mark}" in event.fact.payload["chain_id"]
    ]


def finding(runner: Engine, critical_id: str = "f1") -> CriticalFinding:
    return next(one for one in runner.case(CASE).criticals if one.critical_id == critical_id)


def test_a_loop_has_all_six_fields_and_the_read_back_before_it_is_closed(store: Store) -> None:
    runner = open_case(store)
    assert declared(runner).missing == ("recipient", "received_at", "method", "read_back")
    runner.acknowledge_critical(CASE, "f1", "Dr Martin", at(9), actor=DESK)
    with pytest.raises(Refused, match="read_back"):
        runner.close_critical(CASE, "f1", "Dr Martin", at(10), actor=DESK)

    told(runner, minutes=11)
    runner.close_critical(CASE, "f1", "Dr Martin", at(12), actor=DESK)

    known = finding(runner)
    assert known.missing == ()
    assert (known.state, known.closed_by, known.acknowledged_at) == (CriticalState.CLOSED, "Dr Martin", at(9))
    assert (known.identified_at, known.radiologist, known.received_at) == (at(7), "anna", at(11))
    assert runner.open_criticals(at(13)) == []


@pytest.mark.parametrize("missing", ["recipient", "method", "read_back"])
def test_nothing_that_was_told_is_recorded_with_something_missing(missing: str) -> None:
    runner = open_case(memory_store())
    declared(runner)
    said: dict[str, Any] = {"recipient": "Dr Martin", "method": "phone", "read_back": "subdural"}

    with pytest.raises(Refused, match=missing):
        runner.communicate_critical(CASE, "f1", at(9), actor=ANNA, **{**said, missing: "  "})

    assert finding(runner).state is CriticalState.DECLARED


@pytest.mark.parametrize("clinician", ["", "   "])
def test_nobody_without_a_name_takes_over_or_closes(clinician: str) -> None:
    runner = open_case(memory_store())
    declared(runner)
    told(runner)
    with pytest.raises((Refused, PeerError)):
        runner.acknowledge_critical(CASE, "f1", clinician, at(11), actor=DESK)
    runner.acknowledge_critical(CASE, "f1", "Dr Martin", at(12), actor=DESK)

    with pytest.raises((Refused, PeerError)):
        runner.close_critical(CASE, "f1", clinician, at(13), actor=DESK)


@pytest.mark.parametrize("who", ["anna", "Boris", "coline"])
def test_nobody_of_the_territory_takes_over_in_the_hospitals_place(who: str) -> None:
    runner = open_case(memory_store())
    declared(runner)
    told(runner)

    with pytest.raises(Refused, match="not of this hospital"):
        runner.acknowledge_critical(CASE, "f1", who, at(11), actor=DESK)
    with pytest.raises(Refused, match="not of this hospital"):
        told(runner, recipient=who)


def test_a_reader_says_that_somebody_took_over_only_after_that_person_read_it_back() -> None:
    runner = open_case(memory_store())
    declared(runner)
    with pytest.raises(Refused, match="read it back"):
        runner.acknowledge_critical(CASE, "f1", "Dr Martin", at(8), actor=ANNA)
    told(runner)
    with pytest.raises(Refused, match="read it back"):
        runner.acknowledge_critical(CASE, "f1", "Dr Blanc", at(11), actor=ANNA)

    runner.acknowledge_critical(CASE, "f1", "Dr Martin", at(12), actor=ANNA)

    assert finding(runner).acknowledged_by == "Dr Martin"


@pytest.mark.parametrize("outcome", list(CallOutcome))
def test_no_outcome_of_a_call_confirms_anything_and_the_number_is_the_directorys(outcome: CallOutcome) -> None:
    store = memory_store()
    runner = open_case(store)
    declared(runner)

    runner.call_attempt(CASE, "f1", EMMA, at(8), actor=ANNA, outcome=outcome)
    runner.call_attempt(CASE, "f1", PersonId("simone"), at(9), actor=ANNA, outcome=outcome)
    run_until(runner, at(24))

    known = finding(runner)
    assert (known.state, known.attempts) == (CriticalState.DECLARED, 2)
    calls = [event.fact.payload for event in store.events_of(CASE) if event.type == "critical.call_attempt"]
    assert [(call["attempt"], call["recipient"], call["outcome"]) for call in calls] == [
        (1, "emma", outcome), (2, "simone", outcome),
    ]  # fmt: skip
    assert calls[0]["number"] == full_hospital().persons[EMMA].contact_methods[0].address
    # The escalation begins all the same.
    assert paged(store)[0] == "emma"


def test_somebody_whom_the_hospital_does_not_name_was_not_called() -> None:
    runner = open_case(memory_store())
    declared(runner)

    with pytest.raises(Refused, match="no number"):
        runner.call_attempt(CASE, "f1", PersonId("edgar"), at(8), actor=ANNA, outcome=CallOutcome.BUSY)


def test_the_hospital_is_climbed_in_order_and_then_the_coordinator_and_everybody_again(store: Store) -> None:
    runner = open_case(store)
    declared(runner)
    run_until(runner, at(21.9))
    assert paged(store) == []

    run_until(runner, at(60))

    asked = list(dict.fromkeys(paged(store)))
    assert asked == ["emma", "simone", "alain", "coline"]
    assert paged(store).count("emma") > 2
    assert [one.is_escalating for one in runner.open_criticals(at(60))] == [True]


def test_a_hospital_where_nobody_answers_is_alarmed_until_a_named_person_takes_over() -> None:
    store = memory_store()
    runner = open_case(store)
    declared(runner)
    run_until(runner, at(200))
    alarmed = len(paged(store))

    runner.acknowledge_critical(CASE, "f1", "Dr Martin", at(200), actor=DESK)
    run_until(runner, at(300))

    assert alarmed > 40
    assert len(paged(store)) == alarmed
    assert running_chain(runner.case(CASE), "c") is None


def test_a_page_about_a_finding_says_so_and_tells_nothing_about_the_patient() -> None:
    store = memory_store()
    runner = open_case(store)
    declared(runner)
    run_until(runner, at(23))

    texts = [text for text in _texts(store) if "CRITIQUE" in text]

    assert texts
    assert not any("subdural" in text or "key-north" in text for text in texts)


def test_who_says_no_is_passed_over_at_once() -> None:
    store = memory_store()
    runner = open_case(store)
    declared(runner)
    run_until(runner, at(22.5))
    assert paged(store) == ["emma"]

    runner.decline(CASE, EMMA, at(23), reason="in theatre")

    assert paged(store) == ["emma", "simone"]


def test_findings_of_one_case_are_paged_about_apart() -> None:
    store = memory_store()
    runner = open_case(store)
    declared(runner, "f1")
    declared(runner, "f2", minutes=8)
    run_until(runner, at(30))
    assert paged(store, "c1.")[0] == paged(store, "c2.")[0] == "emma"

    runner.acknowledge_critical(CASE, "f1", "Dr Martin", at(30), actor=DESK)
    first, second = len(paged(store, "c1.")), len(paged(store, "c2."))
    run_until(runner, at(90))

    assert len(paged(store, "c1.")) == first
    assert len(paged(store, "c2.")) > second
    assert [one.finding.critical_id for one in runner.open_criticals(at(90))] == ["f2", "f1"]


def test_a_finding_raised_to_minutes_is_due_in_minutes_and_lowering_it_is_only_kept() -> None:
    store = memory_store()
    runner = open_case(store)
    assert declared(runner, category=3).due_at == at(7) + timedelta(days=3)

    raised = declared(runner, category=1, minutes=20)
    assert (raised.category, raised.due_at) == (1, at(35))
    declared(runner, category=3, minutes=21)
    runner.declare_critical(
        CASE, at(22), actor=ANNA, critical_id="f1", category=3, finding="subdural", reason="old blood"
    )

    lowered = finding(runner)
    assert (lowered.category, lowered.due_at) == (1, at(35))
    kept = [event.fact.payload for event in store.events_of(CASE) if event.type == "critical.declared"]
    assert [(one["category"], one.get("reason")) for one in kept] == [(3, None), (1, None), (3, "old blood")]
    run_until(runner, at(36))
    assert paged(store)[0] == "emma"


def test_a_finding_raised_while_the_hospital_is_climbed_slowly_is_climbed_quickly() -> None:
    store = memory_store()
    runner = open_case(store)
    declared(runner, category=2)
    run_until(runner, at(7 + 4 * 60 + 1))
    assert paged(store) == ["emma"]

    declared(runner, category=1, minutes=249)
    run_until(runner, at(249 + 15 + 5))

    assert "simone" in paged(store)


def test_a_finding_declared_on_a_closed_case_opens_it_and_is_watched() -> None:
    store = memory_store()
    runner = open_case(store)
    runner.execute(CASE, lambda case, context: commands.close(case, context, reason="not an emergency"), at(6))
    assert not runner.case(CASE).is_open

    declared(runner)
    run_until(runner, at(30))

    assert runner.case(CASE).is_open
    assert paged(store)[0] == "emma"


def test_a_case_with_a_finding_that_nobody_took_over_is_not_closed() -> None:
    runner = open_case(memory_store())
    declared(runner)
    told(runner)

    with pytest.raises(Refused, match="critical finding"):
        runner.execute(CASE, lambda case, context: commands.close(case, context, reason="tidy up"), at(30))


def test_what_is_asked_again_after_a_retry_happens_once(store: Store) -> None:
    runner = open_case(store)
    for _ in range(2):
        declared(runner)
        runner.acknowledge_critical(CASE, "f1", "Dr Martin", at(9), actor=DESK)

    types = [event.type for event in store.events_of(CASE)]
    assert (types.count("critical.declared"), types.count("critical.acknowledged")) == (1, 1)


def test_a_restarted_engine_goes_on_paging_from_where_the_other_stopped(store: Store) -> None:
    declared(open_case(store))
    second = engine(store, rules_around(at(5)), worker="two")

    run_until(second, at(37))

    assert paged(store) == ["emma", "emma", "simone", "simone", "alain", "alain", "coline", "coline"]


@pytest.mark.parametrize(
    ("declared_at", "category", "seconds"),
    [
        pytest.param("2026-10-25T00:50:00+00:00", 1, 900, id="clocks-go-back-within-it"),
        pytest.param("2026-10-24T23:30:00+00:00", 2, 4 * 3600, id="clocks-go-back-hours"),
        pytest.param("2026-10-23T12:00:00+00:00", 3, 3 * 86_400, id="clocks-go-back-days"),
        pytest.param("2027-03-28T00:50:00+00:00", 1, 900, id="clocks-go-forward-within-it"),
        pytest.param("2027-03-27T23:30:00+00:00", 2, 4 * 3600, id="clocks-go-forward-hours"),
        pytest.param("2027-03-26T12:00:00+00:00", 3, 3 * 86_400, id="clocks-go-forward-days"),
    ],
)
def test_the_hospital_is_woken_after_the_categorys_time_whatever_the_clocks_on_the_wall_do(
    declared_at: str, category: int, seconds: int
) -> None:
    start = datetime.fromisoformat(declared_at)
    store = memory_store()
    runner = open_case(store, start - timedelta(minutes=2))
    runner.declare_critical(CASE, start, actor=ANNA, critical_id="f1", category=category, finding="subdural")
    due_at = start + timedelta(seconds=seconds)

    run_until(runner, due_at - timedelta(seconds=1))
    assert paged(store) == []
    run_until(runner, due_at)

    assert paged(store) == ["emma"]
    assert due_at.tzinfo is UTC or due_at.utcoffset() == timedelta(0)


def _texts(store: MemoryStore) -> list[str]:
    return [one.text for one in store.messages.lease(ChannelKind.SMS, at(23), worker="sender", limit=99).messages]


def test_a_case_whose_study_goes_to_another_case_keeps_its_finding_and_its_alarm() -> None:
    store = memory_store()
    runner = engine(store, rules_around(at(5)))
    study = StudyKey("NORTH", "1.2.3")
    unannounced = replace(request(), patient_key="", accession_number="A1")
    opened = commands.open_unannounced(unannounced, study, Context(now=at(5)), rule="night", received=200)
    runner.record_opening(CASE, opened, at(5))
    runner.open_case(CaseId("C2"), replace(request(), patient_key="key-1", accession_number="A2"), at(5))
    declared(runner, minutes=6)

    runner.move_study(CASE, study, CaseId("C2"), at(7), actor=DESK, reason="wrong request")
    run_until(runner, at(22))

    assert [one.critical_id for one in runner.case(CASE).criticals] == ["f1"]
    assert runner.case(CASE).is_open
    assert "emma" in paged(store)


def test_a_retracted_report_takes_no_finding_back() -> None:
    store = memory_store()
    runner = engine(store, rules_around(at(5)))
    runner.open_case(CASE, request(), at(5))
    runner.complete_images(CASE, at(5), rule="radiographer")
    reader = runner.case(CASE).reading.assigned_to
    assert reader is not None
    runner.claim(CASE, reader, at(6), transaction_uid="1.2")
    declared(runner)
    runner.sign(CASE, reader, at(8), transaction_uid="1.2")
    runner.execute(CASE, partial(commands_report.retract, reason="wrong patient"), at(9))

    run_until(runner, at(23))

    assert [one.finding.is_waiting for one in runner.open_criticals(at(23))] == [True]
    assert "emma" in paged(store)
