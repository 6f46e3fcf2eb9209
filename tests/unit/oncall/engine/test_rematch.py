"""A request that comes after its study joins it: one case, with the clock, the reader and the page that it had."""

from dataclasses import replace
from typing import Final

from oncall.case import commands
from oncall.case.commands import Context
from oncall.case.event import CaseId
from oncall.case.regions import IdentityState, RequestState, StudyKey
from oncall.engine.engine import Engine
from oncall.engine.ports import Store
from oncall.reading.board import Urgency
from tests.harness.small_territory import BEGIN, at, engine, request, run_until

SCAN: Final = CaseId("study-1")
ORDER: Final = CaseId("order-1")
STUDY: Final = StudyKey("NORTH", "1.2.3")


def scanned(store: Store) -> Engine:
    """A night in which an unannounced study is complete and given to a reader."""
    runner = engine(store)
    runner.run_due(BEGIN)
    run_until(runner, at(5))
    facts = commands.open_unannounced(request(), STUDY, Context(now=at(5)), rule="night")
    runner.record_opening(SCAN, facts, at(5))
    runner.complete_images(SCAN, at(6), rule="button")
    return runner


def test_a_request_after_its_study_joins_the_case_that_is_being_read(store: Store) -> None:
    runner = scanned(store)
    before = runner.case(SCAN)
    assert before.reading.assigned_to is not None

    merged = runner.open_case(ORDER, request(), at(8))

    after = runner.case(SCAN)
    assert (merged.request.state, merged.request.merged_into, merged.is_open) == (RequestState.MERGED, SCAN, False)
    assert (after.images, after.reading) == (before.images, before.reading)
    assert after.request.submitted_at == at(8)
    assert [case.case_id for case in runner.open_cases(at(8))] == [SCAN]


def test_the_case_becomes_as_urgent_as_the_request_says(store: Store) -> None:
    runner = scanned(store)

    runner.open_case(ORDER, request(urgency=Urgency.P1), at(7))

    assert runner.case(SCAN).urgency is Urgency.P1


def test_a_request_of_another_patient_stays_a_case_of_its_own(store: Store) -> None:
    runner = scanned(store)

    opened = runner.open_case(ORDER, replace(request(), patient_key="key-of-another"), at(8))

    assert (opened.request.state, opened.is_open) == (RequestState.SUBMITTED, True)
    assert runner.case(SCAN).request.state is RequestState.UNANNOUNCED
    assert opened.identity.state is IdentityState.KNOWN


def test_an_equal_accession_number_of_another_patient_blocks_the_request_and_joins_nothing(store: Store) -> None:
    runner = engine(store)
    runner.run_due(BEGIN)
    run_until(runner, at(5))
    unannounced = replace(request(), accession_number="A1")
    runner.record_opening(SCAN, commands.open_unannounced(unannounced, STUDY, Context(now=at(5)), rule="night"), at(5))

    opened = runner.open_case(ORDER, replace(unannounced, patient_key="key-of-another"), at(8))

    assert (opened.identity.state, opened.is_open) == (IdentityState.BLOCKED, True)
    assert runner.case(SCAN).request.state is RequestState.UNANNOUNCED
