"""A study goes to the case it belongs to: clock and reader go along, nobody is asked twice, nobody is forgotten."""

from dataclasses import replace
from datetime import datetime
from typing import Final

import pytest

from foundation.errors import Refused
from oncall.case import commands
from oncall.case.commands import Context
from oncall.case.event import Actor, CaseId
from oncall.case.log import verify_chain
from oncall.case.regions import ImagesState, ReadingState, StudyKey
from oncall.case.state import Case
from oncall.engine.engine import Engine
from oncall.engine.paging import running_chain
from oncall.engine.ports import Store
from tests.harness.small_territory import BEGIN, at, engine, request, run_until

# What both databases do with it is in tests/properties/test_engine_rematch.py.
pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)

SCAN: Final = CaseId("study-1")
ORDER: Final = CaseId("order-1")
STUDY: Final = StudyKey("NORTH", "1.2.3")
PHYSICIAN: Final = Actor(who="emma", role="physician")


def scanned(store: Store, minute: float = 5, *, is_complete: bool = True, site_id: str = "north") -> Engine:
    """A night in which an unannounced study is complete and given to a reader, and a request waits for another."""
    runner = engine(store)
    runner.run_due(BEGIN)
    run_until(runner, at(minute))
    unannounced = replace(request(), patient_key="", accession_number="A1")
    facts = commands.open_unannounced(unannounced, STUDY, Context(now=at(minute)), rule="night", received=200)
    runner.record_opening(SCAN, facts, at(minute))
    if is_complete:
        runner.complete_images(SCAN, at(minute), rule="button")
    ordered = replace(request(site_id), patient_key="key-1", accession_number="A2")
    runner.open_case(ORDER, ordered, at(minute))
    return runner


def moved(runner: Engine, now: datetime) -> Case:
    return runner.move_study(SCAN, STUDY, ORDER, now, actor=PHYSICIAN, reason="wrong request")


def messages(store: Store, case_id: str) -> list[str]:
    """Return whom a case paged by which key, queued or sent."""
    found = [event for event in store.events_of(CaseId(case_id)) if event.type == "escalation.notified"]
    return [event.fact.payload["message_key"] for event in found]


def test_an_unanswered_page_is_asked_about_the_case_that_has_the_images_now(store: Store) -> None:
    runner = scanned(store)
    before = runner.case(SCAN)
    reader = before.reading.assigned_to
    assert reader is not None

    after = moved(runner, at(6))

    assert (after.images.complete_at, after.images.deadline_at) == (at(5), before.images.deadline_at)
    assert (after.reading.assigned_to, after.reading.state) == (reader, ReadingState.ASSIGNED)
    assert running_chain(after) is not None
    assert running_chain(runner.case(SCAN)) is None
    assert not runner.case(SCAN).is_open
    assert store.timers_of(SCAN) == ()
    assert len(messages(store, ORDER)) == 1
    assert store.case_of_study(STUDY) == ORDER


def test_the_silence_of_the_reader_of_a_moved_study_is_followed_by_the_next_one(store: Store) -> None:
    runner = scanned(store)
    moved(runner, at(6))

    run_until(runner, at(20))

    assert len({key.split("/")[3] for key in messages(store, ORDER)}) > 1
    assert len(messages(store, ORDER)) == len(set(messages(store, ORDER)))


def test_an_answer_goes_along_with_a_study_and_its_reader_is_not_asked_again(store: Store) -> None:
    runner = scanned(store)
    reader = runner.case(SCAN).reading.assigned_to
    assert reader is not None
    runner.acknowledge(SCAN, reader, at(6))

    after = moved(runner, at(7))

    assert (after.reading.state, after.reading.assigned_to) == (ReadingState.ACKNOWLEDGED, reader)
    assert messages(store, ORDER) == []
    assert min(timer.due_at for timer in store.timers_of(ORDER)) > at(7)


def test_a_ladder_that_asks_others_already_is_not_begun_again_for_a_moved_study(store: Store) -> None:
    runner = scanned(store)
    run_until(runner, at(12))
    asked = {key.split("/")[3] for key in messages(store, SCAN)}
    assert len(asked) > 1

    moved(runner, at(12))

    assert messages(store, ORDER)
    started = [event.fact.payload for event in store.events_of(ORDER) if event.type == "escalation.started"]
    assert "assigned_reader" not in [payload.get("step") for payload in started]
    first = messages(store, SCAN)[0].split("/")[3]
    assert first not in {key.split("/")[3] for key in messages(store, ORDER)}


def test_a_reader_who_may_not_read_for_the_other_hospital_is_replaced_by_one_who_may(store: Store) -> None:
    runner = scanned(store, site_id="east")
    if runner.case(SCAN).reading.assigned_to == "boris":
        runner.decline(SCAN, runner.case(SCAN).reading.assigned_to or "", at(5.5), reason="busy")
    assert runner.case(SCAN).reading.assigned_to == "anna"

    after = moved(runner, at(6))

    assert after.reading.assigned_to == "boris"
    assert after.images.complete_at == at(5)
    # Somebody without a licence there is not even asked.
    assert {key.split("/")[3] for key in messages(store, ORDER)} == {"boris"}


def test_images_that_are_still_coming_are_complete_in_the_case_that_they_went_to(store: Store) -> None:
    runner = scanned(store, is_complete=False)

    after = moved(runner, at(5.5))
    assert after.images.state is ImagesState.ARRIVING
    run_until(runner, at(8))

    case = runner.case(ORDER)
    assert (case.images.complete_at, case.images.received) == (at(5), 200)
    assert case.reading.assigned_to is not None


def test_a_study_that_is_moved_twice_by_a_retry_is_moved_once(store: Store) -> None:
    runner = scanned(store)
    once = moved(runner, at(6))

    assert moved(runner, at(6.1)) == once


def test_a_study_does_not_go_where_nobody_would_read_it(store: Store) -> None:
    runner = scanned(store)
    runner.execute(ORDER, lambda case, context: commands.withdraw(case, context, motive="twice"), at(6))

    with pytest.raises(Refused, match="closed"):
        moved(runner, at(7))
    assert runner.case(SCAN).images.studies == (STUDY,)


def test_a_request_whose_study_has_gone_waits_for_its_own(store: Store) -> None:
    runner = scanned(store)
    other = CaseId("order-2")
    runner.open_case(other, replace(request(), patient_key="key-1", accession_number="A3"), at(5))
    moved(runner, at(6))

    runner.move_study(ORDER, STUDY, other, at(7), actor=PHYSICIAN, reason="neither")

    left = runner.case(ORDER)
    assert (left.is_open, left.images.studies, left.reading.state) == (True, (), ReadingState.NONE)
    assert min(timer.due_at for timer in store.timers_of(ORDER)) > at(7)
    assert runner.case(other).images.deadline_at == at(65)


def test_another_engine_sees_what_was_moved_and_the_logs_prove_themselves(store: Store) -> None:
    runner = scanned(store)
    moved(runner, at(6))
    other = engine(store, worker="two")

    assert [case.case_id for case in other.open_cases(at(6))] == [ORDER]
    assert other.case(ORDER) == runner.case(ORDER)
    for case_id in (SCAN, ORDER):
        verify_chain(case_id, store.events_of(case_id))
