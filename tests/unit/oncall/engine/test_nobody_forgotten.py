"""A case is on somebody's list, or looked at soon, whatever was said about it: given back, silent, answered for."""

from datetime import timedelta

from oncall.case import commands
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.directory import PersonId
from oncall.engine.ports import Store
from oncall.engine.watching import watch_key
from tests.harness.small_territory import BEGIN, at, engine, in_force, ready_case, run_until

REVIEW = timedelta(seconds=in_force().engine.review_s)
FOLLOW_UP_MIN = in_force().engine.follow_up_s / 60


def paged(store: Store, case_id: CaseId) -> list[str]:
    return [
        event.fact.payload["person_id"] for event in store.events_of(case_id) if event.type == "escalation.notified"
    ]


def test_a_case_that_is_given_back_is_somebodys_again_at_once(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))
    runner.claim(case_id, PersonId("anna"), at(2), transaction_uid="1.2")

    def release(case: Case, context: Context) -> Facts:
        return commands.release(case, context, transaction_uid="1.2", reason="called away")

    before = len(paged(store, case_id))
    after = runner.execute(case_id, release, at(3))

    assert after.reading.assigned_to is not None
    assert paged(store, case_id)[before:] == [after.reading.assigned_to]


def test_the_reader_who_is_asked_instead_of_a_silent_one_has_the_case(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))
    assert runner.case(case_id).reading.assigned_to == "anna"

    run_until(runner, at(6.5))

    assert paged(store, case_id)[-1] == "boris"
    assert runner.case(case_id).reading.assigned_to == "boris"


def test_a_case_that_a_coordinator_answered_for_is_asked_about_again_when_its_reader_stays_silent(
    store: Store,
) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))
    while "coline" not in paged(store, case_id):
        due_at = runner.next_due_at()
        assert due_at is not None
        run_until(runner, due_at)
        now = due_at
    runner.acknowledge(case_id, PersonId("coline"), now)
    before = len(paged(store, case_id))

    run_until(runner, now + timedelta(minutes=2 * FOLLOW_UP_MIN + 1))

    assert len(paged(store, case_id)) > before


def test_a_case_whose_clocks_have_all_run_out_is_still_looked_at_every_half_hour(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    case_id = ready_case(runner, "C1", at(1))
    runner.claim(case_id, PersonId("boris"), at(2), transaction_uid="1.2")

    for hour in range(2, 6):
        run_until(runner, at(60 * hour))
        watch = store.find_timer(watch_key(case_id))
        assert watch is not None
        assert at(60 * hour) < watch.due_at <= at(60 * hour) + REVIEW
