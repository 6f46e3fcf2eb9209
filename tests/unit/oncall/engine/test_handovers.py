"""A handover ends with acceptance, or with a coordinator who knows; a baton between providers is on record."""

from dataclasses import replace
from datetime import time, timedelta
from typing import Any, Final

import pytest

from oncall.case.event import CaseId
from oncall.directory import ChannelKind, LineId, PersonId, Provider, ProviderHours, ProviderId, ProviderKind, Role
from oncall.engine.engine import Engine
from oncall.engine.ports import MemoryStore, Store
from oncall.messages import Sent
from oncall.rota.model import ShiftPlan
from oncall.spans import Span
from tests.harness.small_territory import (
    BEGIN,
    CHANGE,
    END,
    POOL,
    directory,
    engine,
    in_force,
    memory_store,
    person,
    ready_case,
    roster,
    run_until,
    without_contacts,
)

DIANE: Final = "diane"
EVERY_DAY: Final = frozenset(range(7))


def changed(store: Store, *silent: str, cases: int = 4) -> Engine:
    """Return an engine just after the change of shift, with open cases on the list."""
    runner = engine(store, in_force(people=without_contacts(directory(), *silent)))
    run_until(runner, CHANGE - timedelta(minutes=5))
    for number in range(cases):
        ready_case(runner, f"C{number}", CHANGE - timedelta(minutes=5))
    run_until(runner, CHANGE)
    return runner


def with_two_coordinators(store: Store) -> Engine:
    """Return an engine just after the change of shift: who comes cannot be told, coline and then carl can."""
    carl, known, planned = person("carl", Role.COORDINATOR), without_contacts(directory(), DIANE), roster()
    chief = planned.line(LineId("chief"))
    second = ShiftPlan(
        shift_id="second-carl", line_id=LineId("second"), person_id=carl.person_id, span=Span(start=BEGIN, end=END)
    )
    lines = (*planned.lines, replace(chief, line_id=LineId("second")))
    rules = in_force(
        replace(planned, lines=lines, plans=(*planned.plans, second)),
        replace(known, persons={**known.persons, carl.person_id: carl}),
    )
    runner = engine(store, rules)
    run_until(runner, CHANGE - timedelta(minutes=5))
    ready_case(runner, "C1", CHANGE - timedelta(minutes=5))
    run_until(runner, CHANGE)
    return runner


def facts(store: Store, word: str) -> list[dict[str, Any]]:
    """Return payloads of a type; what is about backups is left out."""
    found = [dict(event.fact.payload) for _, event in store.events_after(0) if event.type == word]
    return [one for one in found if not str(one.get("kind", "")).startswith("backup")]


def messages(store: MemoryStore, begin: str) -> list[str]:
    queued = [one.message_key for one in store.messages.events if one.happened == "queued"]
    return [key for key in queued if key.startswith(begin)]


def answer(store: MemoryStore, key: str, word: str) -> None:
    status = store.messages.status(key)
    assert status is not None
    now = status.message.due_at
    store.messages.lease(status.message.channel, now, worker="w", limit=200)
    store.messages.answer(status.message.answer_token or "", word, now)


def test_a_list_that_nobody_accepts_is_offered_again_and_then_the_coordinator_is_told(store: Store) -> None:
    runner = changed(store)

    run_until(runner, CHANGE + timedelta(minutes=11))

    assert [(one["person_id"], one["reason"]) for one in facts(store, "notice.repeated")] == [(DIANE, "silence")]
    assert [(one["person_id"], one["reason"]) for one in facts(store, "duty.no_notification_sent")] == [
        (DIANE, "silence")
    ]
    assert [(one["person_id"], one["told"]) for one in facts(store, "duty.escalation")] == [(DIANE, ["coline"])]


def test_an_accepted_list_is_on_record_and_nobody_is_reminded() -> None:
    store = memory_store()
    runner = changed(store)

    answer(store, messages(store, "handover:")[0], "yes")
    run_until(runner, CHANGE + timedelta(minutes=30))

    assert [one["person_id"] for one in facts(store, "handover.accepted")] == [DIANE]
    assert len(messages(store, "handover:")) == 1
    assert messages(store, "handover_alarm:") == []


def test_who_opens_a_case_has_accepted_the_list() -> None:
    store = memory_store()
    runner = changed(store)
    hers = next(case for case in runner.open_cases(CHANGE) if case.reading.assigned_to == DIANE)

    runner.claim(hers.case_id, PersonId(DIANE), CHANGE, transaction_uid="1.5")

    assert [(one["person_id"], one["reason"]) for one in facts(store, "handover.accepted")] == [(DIANE, "opened")]


@pytest.mark.parametrize("silent", [(), (DIANE,)], ids=["says no", "has no contact method"])
def test_the_coordinator_is_told_at_once_when_who_comes(silent: tuple[str, ...]) -> None:
    store = memory_store()
    runner = changed(store, *silent)

    if not silent:
        answer(store, messages(store, "handover:")[0], "no")
    runner.run_due(CHANGE + timedelta(seconds=1))

    assert len(messages(store, "handover_alarm:diane")) == 1


def test_a_coordinator_who_knows_is_not_told_again() -> None:
    store = memory_store()
    runner = changed(store, DIANE)

    answer(store, messages(store, "handover_alarm:")[0], "yes")
    run_until(runner, CHANGE + timedelta(minutes=30))

    assert [(one["person_id"], one["by"]) for one in facts(store, "duty.escalation_acknowledged")] == [
        (DIANE, "coline")
    ]
    assert len(messages(store, "handover_alarm:")) == 1


def test_a_coordinator_who_says_no_is_followed_by_the_next_one_at_once() -> None:
    store = memory_store()
    runner = with_two_coordinators(store)
    (asked,) = messages(store, "handover_alarm:")

    answer(store, asked, "no")
    runner.run_due(CHANGE + timedelta(seconds=1))

    told = [(one["told"], one["reason"]) for one in facts(store, "duty.escalation")]
    assert told == [(["coline"], "no_contact_method"), (["carl"], "declined")]
    assert facts(store, "duty.escalation_acknowledged") == []


def test_a_no_that_comes_when_the_next_coordinator_is_asked_already_ends_nothing() -> None:
    store = memory_store()
    runner = with_two_coordinators(store)
    (first,) = messages(store, "handover_alarm:")
    store.messages.lease(ChannelKind.SMS, CHANGE, worker="w", limit=200)
    store.messages.settle(first, Sent(), CHANGE, worker="w", is_repeatable=False)
    run_until(runner, CHANGE + timedelta(minutes=11))

    answer(store, first, "no")
    run_until(runner, CHANGE + timedelta(minutes=12))
    answer(store, messages(store, "handover_alarm:")[-1], "yes")
    run_until(runner, CHANGE + timedelta(minutes=40))

    assert [one["told"] for one in facts(store, "duty.escalation")] == [["coline"], ["carl"]]
    assert [one["by"] for one in facts(store, "duty.escalation_acknowledged")] == ["carl"]


def test_a_silent_coordinator_ends_on_record_with_nobody_left_to_tell() -> None:
    store = memory_store()
    runner = changed(store, DIANE)

    run_until(runner, CHANGE + timedelta(minutes=30))

    assert [one["told"] for one in facts(store, "duty.escalation")] == [["coline"], []]
    assert facts(store, "duty.no_notification_sent")[-1]["reason"] == "silence"


def test_an_empty_list_is_told_and_waits_for_nobody() -> None:
    store = memory_store()
    runner = changed(store, cases=0)

    run_until(runner, CHANGE + timedelta(minutes=60))

    assert len([key for key in messages(store, "handover:") if key.startswith("handover:diane")]) >= 1
    assert facts(store, "duty.escalation") == []


def test_the_baton_between_providers_is_on_record_once_with_the_open_cases_also_when_the_engine_was_down() -> None:
    store = memory_store()
    known = directory()
    night = ProviderId("night")
    pool = replace(
        known.providers[POOL], hours=(ProviderHours(weekdays=EVERY_DAY, start=time(18, 30), end=time(23, 30)),)
    )
    other = Provider(
        provider_id=night, name="Night", kind=ProviderKind.PRIVATE_COMPANY, time_zone="Europe/Paris",
        hours=(ProviderHours(weekdays=EVERY_DAY, start=time(23, 30), end=time(18, 30)),),
    )  # fmt: skip
    sites = {key: replace(one, provider_order=(POOL, night)) for key, one in known.sites.items()}
    rules = in_force(people=replace(known, sites=sites, providers={POOL: pool, night: other}))
    baton = CHANGE - timedelta(hours=1)
    first = engine(store, rules)
    run_until(first, baton - timedelta(minutes=3))
    case_id = ready_case(first, "C1", baton - timedelta(minutes=3))
    assert facts(store, "provider.took_over") == []

    second = engine(store, rules, worker="two")
    second.run_due(baton + timedelta(minutes=10))
    run_until(second, baton + timedelta(minutes=30))

    (passed,) = facts(store, "provider.took_over")
    assert passed["sites"]["north"] == [["pool"], ["night"]]
    assert [CaseId(item[0]) for item in passed["items"]] == [case_id]
