"""A patient who is announced and comes is one case: the request, and the images, find the announcement."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from foundation.errors import Refused
from oncall.case import commands
from oncall.case.event import Actor, CaseId
from oncall.case.regions import IdentityState, RequestState, StudyKey
from oncall.engine.engine import Engine
from oncall.engine.ports import Store
from oncall.reading.board import ExamKind, Urgency
from tests.harness.small_territory import BEGIN, at, engine, in_force, request, run_until

# What both databases do with it is in tests/properties/test_engine_rematch.py.
pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)

ALERT: Final = CaseId("samu-1")
ORDER: Final = CaseId("order-1")
STUDY: Final = StudyKey("NORTH", "1.2.3")
SAMU: Final = Actor(who="samu-42", role="regulator")


def announced(store: Store) -> Engine:
    """A night in which a stroke is announced for twenty minutes later."""
    runner = engine(store)
    runner.run_due(BEGIN)
    run_until(runner, at(5))
    pre_alert = replace(request(exam=ExamKind.STROKE, urgency=Urgency.P1), patient_key="", expected_at=at(25))
    runner.open_pre_alert(ALERT, pre_alert, at(5), actor=SAMU)
    return runner


def test_an_announced_patient_is_an_open_case_with_an_alarm(store: Store) -> None:
    runner = announced(store)
    case = runner.case(ALERT)

    assert (case.request.state, case.request.pre_alert_at, case.request.expected_at) == (
        RequestState.DRAFTED,
        at(5),
        at(25),
    )
    assert store.timers_of(ALERT) != ()
    assert [event.fact.actor.who for event in store.events_of(ALERT)] == ["samu-42"]


def test_an_announcement_that_is_said_again_brings_its_news(store: Store) -> None:
    runner = announced(store)
    later = replace(request(exam=ExamKind.STROKE, urgency=Urgency.P1), patient_key="", expected_at=at(40))

    case = runner.open_pre_alert(ALERT, later, at(6), actor=SAMU)

    assert (case.request.expected_at, case.request.pre_alert_at) == (at(40), at(5))
    assert len(runner.open_cases(at(6))) == 1


def test_the_request_for_an_announced_patient_is_the_same_case(store: Store) -> None:
    runner = announced(store)

    opened = runner.open_case(ORDER, request(exam=ExamKind.STROKE, urgency=Urgency.P1), at(20))

    case = runner.case(ALERT)
    assert (opened.is_open, opened.request.merged_into) == (False, ALERT)
    assert (case.request.state, case.request.submitted_at) == (RequestState.SUBMITTED, at(20))
    assert (case.identity.state, case.patient_key) == (IdentityState.KNOWN, "key-north")
    assert [one.case_id for one in runner.open_cases(at(20))] == [ALERT]


def test_a_request_with_the_id_of_an_announcement_is_that_case(store: Store) -> None:
    runner = announced(store)

    case = runner.open_case(ALERT, request("south", exam=ExamKind.HEAD), at(20))

    assert (case.request.state, case.exam) == (RequestState.SUBMITTED, ExamKind.HEAD)


@pytest.mark.parametrize(
    "other",
    [
        request("south", exam=ExamKind.STROKE),
        request(exam=ExamKind.HEAD),
        replace(request(exam=ExamKind.STROKE), expected_at=at(25) + timedelta(hours=3)),
    ],
    ids=["another hospital", "another exam", "another time"],
)
def test_a_request_for_somebody_else_is_a_case_of_its_own(store: Store, other: commands.NewRequest) -> None:
    runner = announced(store)

    opened = runner.open_case(ORDER, other, at(20))

    assert (opened.is_open, opened.request.state) == (True, RequestState.SUBMITTED)
    assert runner.case(ALERT).request.state is RequestState.DRAFTED


def test_of_two_who_are_announced_alike_none_is_guessed(store: Store) -> None:
    runner = announced(store)
    second = replace(request(exam=ExamKind.STROKE, urgency=Urgency.P1), patient_key="", expected_at=at(30))
    runner.open_pre_alert(CaseId("samu-2"), second, at(6), actor=SAMU)

    assert runner.open_case(ORDER, request(exam=ExamKind.STROKE), at(20)).is_open


def test_images_before_the_request_are_read_in_the_announced_case_and_keep_their_hour(store: Store) -> None:
    runner = announced(store)
    runner.execute(ALERT, lambda case, context: commands.receive_instances(case, STUDY, context, received=9), at(22))
    runner.complete_images(ALERT, at(23), rule="button")
    before = runner.case(ALERT)

    runner.open_case(ORDER, request(exam=ExamKind.STROKE, urgency=Urgency.P1), at(24))

    after = runner.case(ALERT)
    assert (after.images, after.reading.assigned_to) == (before.images, before.reading.assigned_to)
    assert after.request.submitted_at == at(24)


def test_nobody_is_announced_into_a_closed_case(store: Store) -> None:
    runner = announced(store)
    runner.execute(ALERT, lambda case, context: commands.withdraw(case, context, motive="turned back"), at(10))

    with pytest.raises(Refused, match="closed"):
        runner.open_pre_alert(ALERT, request(), at(11), actor=SAMU)


def test_a_case_that_was_forgotten_and_is_opened_again_elsewhere_has_its_alarms_acted_on(store: Store) -> None:
    runner = announced(store)
    runner.execute(ALERT, lambda case, context: commands.withdraw(case, context, motive="turned back"), at(6))
    # Both engines begin long after: they have not read the log of what was closed by then.
    pages, worker = engine(store, in_force(), worker="pages"), engine(store, in_force(), worker="worker")
    late = at(60 * 30)
    worker.run_due(late)

    pages.execute(ALERT, lambda case, context: commands.reopen(case, context, reason="arrived"), late)
    worker.run_due(late + timedelta(hours=1))

    assert [case.case_id for case in worker.open_cases(late + timedelta(hours=1))] == [ALERT]
    assert min(timer.due_at for timer in store.timers_of(ALERT)) > late + timedelta(hours=1)
