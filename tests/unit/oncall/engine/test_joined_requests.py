"""A person joins and parts a request and a study, or says whose they are: clock, deadline and reader stay."""

from dataclasses import replace
from functools import partial
from typing import Final

import pytest

from foundation.errors import Refused
from oncall.case import commands, commands_report
from oncall.case.commands import Context, Facts
from oncall.case.event import Actor, CaseId
from oncall.case.matching import Evidence
from oncall.case.regions import IdentityState, RequestState, StudyKey
from oncall.case.state import Case
from oncall.engine.engine import Engine
from oncall.engine.ports import Store
from oncall.reading.board import Urgency
from tests.harness.small_territory import BEGIN, at, engine, request, run_until

# What both databases do with it is in tests/properties/test_engine_rematch.py.
pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)

SCAN: Final = CaseId("study-1")
ORDER: Final = CaseId("order-1")
STUDY: Final = StudyKey("NORTH", "1.2.3")
PHYSICIAN: Final = Actor(who="emma", role="physician")


def apart(store: Store, *, scanned_key: str = "", ordered_key: str = "key-1") -> Engine:
    """A night in which somebody unidentified is scanned, and a request for a patient comes: nothing is sure."""
    runner = engine(store)
    runner.run_due(BEGIN)
    run_until(runner, at(5))
    unannounced = replace(request(), patient_key=scanned_key)
    facts = commands.open_unannounced(unannounced, STUDY, Context(now=at(5)), rule="night", received=200)
    runner.record_opening(SCAN, facts, at(5))
    runner.complete_images(SCAN, at(5), rule="button")
    runner.open_case(ORDER, replace(request(), patient_key=ordered_key, requester="Dr Martin"), at(6))
    return runner


def contradicted(case: Case, context: Context) -> Facts:
    return commands_report.block_identity(case, context, reason="another bracelet")


def test_a_match_that_is_not_beyond_doubt_is_shown_to_a_person_from_both_sides(store: Store) -> None:
    runner = apart(store)

    (seen,) = runner.match_candidates(ORDER, at(6))
    (back,) = runner.match_candidates(SCAN, at(6))

    assert (seen.case_id, seen.study) == (SCAN, None)
    assert back.case_id == ORDER
    assert Evidence.UNIDENTIFIED_PATIENT in seen.evidence


def test_a_confirmed_match_is_one_case_with_the_clock_and_the_reader_it_had(store: Store) -> None:
    runner = apart(store)
    before = runner.case(SCAN)

    after = runner.join_request(SCAN, ORDER, at(7), actor=PHYSICIAN, reason="same bracelet")
    again = runner.join_request(SCAN, ORDER, at(8), actor=PHYSICIAN, reason="same bracelet")

    assert again == after
    assert (after.images, after.reading) == (before.images, before.reading)
    assert (after.patient_key, after.request.requester) == ("key-1", "Dr Martin")
    assert not runner.case(ORDER).is_open
    assert store.timers_of(ORDER) == ()


def test_a_parted_request_waits_again_and_takes_its_patient_along(store: Store) -> None:
    runner = apart(store)
    deadline = runner.join_request(SCAN, ORDER, at(7), actor=PHYSICIAN, reason="same bracelet").images.deadline_at

    after = runner.part_request(SCAN, ORDER, at(8), actor=PHYSICIAN, reason="another bracelet")

    waiting = runner.case(ORDER)
    assert (waiting.is_open, waiting.request.state, waiting.patient_key) == (True, RequestState.SUBMITTED, "key-1")
    assert store.timers_of(ORDER) != ()
    # Whose images these are is not known any more: nothing is reported under the name of the wrong patient.
    assert (after.identity.state, after.patient_key) == (IdentityState.PROVISIONAL, "")
    assert (after.request.state, after.images.deadline_at) == (RequestState.UNANNOUNCED, deadline)


def test_a_patient_who_was_known_before_the_request_stays_when_it_is_parted(store: Store) -> None:
    runner = apart(store, ordered_key="")
    runner.settle_identity(SCAN, "key-9", at(6.5), actor=PHYSICIAN, reason="papers")
    runner.join_request(SCAN, ORDER, at(7), actor=PHYSICIAN, reason="same bed")

    after = runner.part_request(SCAN, ORDER, at(8), actor=PHYSICIAN, reason="another bed")

    assert (after.identity.state, after.patient_key) == (IdentityState.KNOWN, "key-9")


def test_a_parted_request_takes_its_onset_along_and_no_wrong_window_is_counted_down(store: Store) -> None:
    runner = apart(store)
    onset = partial(commands.triage, urgency=Urgency.P1, reason="stroke", onset_at=at(-60))
    runner.execute(ORDER, onset, at(6.5))
    assert runner.join_request(SCAN, ORDER, at(7), actor=PHYSICIAN, reason="same bed").request.onset_at == at(-60)

    after = runner.part_request(SCAN, ORDER, at(8), actor=PHYSICIAN, reason="another bed")

    assert after.request.onset_at is None
    assert runner.case(ORDER).request.onset_at == at(-60)


def test_only_what_is_joined_is_parted(store: Store) -> None:
    runner = apart(store)

    with pytest.raises(Refused, match="not joined"):
        runner.part_request(SCAN, ORDER, at(7), actor=PHYSICIAN, reason="mistake")


def test_a_request_does_not_join_the_study_of_another_patient(store: Store) -> None:
    runner = apart(store, scanned_key="key-2")

    with pytest.raises(Refused, match="different patients"):
        runner.join_request(SCAN, ORDER, at(7), actor=PHYSICIAN, reason="same night")


@pytest.mark.parametrize("first", [SCAN, ORDER], ids=["of the study", "of the request"])
def test_a_trauma_patient_who_is_recognised_gets_the_request_that_waits(store: Store, first: CaseId) -> None:
    runner = apart(store) if first == SCAN else apart(store, scanned_key="key-1", ordered_key="")
    before = runner.case(SCAN)

    runner.settle_identity(first, "key-1", at(9), actor=PHYSICIAN, reason="recognised by the family")

    after = runner.case(SCAN)
    assert runner.case(ORDER).request.merged_into == SCAN
    assert (after.patient_key, after.images, after.reading) == ("key-1", before.images, before.reading)


def test_a_proven_identity_joins_what_it_makes_certain_and_is_not_given_to_another_patient(store: Store) -> None:
    runner = apart(store)

    case = runner.qualify_identity(SCAN, "key-1", at(9), actor=PHYSICIAN, method="INS")

    assert case.identity.state is IdentityState.QUALIFIED
    assert runner.case(ORDER).request.merged_into == SCAN
    with pytest.raises(Refused, match="correct the identity first"):
        runner.qualify_identity(SCAN, "key-2", at(10), actor=PHYSICIAN, method="INS")


def test_a_settled_contradiction_lets_the_report_be_signed_with_the_clock_as_it_was(store: Store) -> None:
    runner = apart(store, scanned_key="key-1", ordered_key="key-7")
    runner.execute(SCAN, contradicted, at(6))
    reader = runner.case(SCAN).reading.assigned_to
    assert reader is not None
    runner.claim(SCAN, reader, at(7), transaction_uid="1.2.9")
    with pytest.raises(Refused, match="blocked"):
        runner.sign(SCAN, reader, at(8), transaction_uid="1.2.9")

    runner.settle_identity(SCAN, "key-1", at(9), actor=PHYSICIAN, reason="bracelet read")

    signed = runner.sign(SCAN, reader, at(10), transaction_uid="1.2.9")
    assert (signed.report.signed_at, signed.images.deadline_at) == (at(10), at(65))


def test_a_request_that_makes_the_case_more_urgent_shortens_its_pages(store: Store) -> None:
    runner = apart(store)
    runner.execute(
        ORDER, lambda case, context: commands.triage(case, context, urgency=Urgency.P1, reason="worse"), at(6.5)
    )
    waited = min(timer.due_at for timer in store.timers_of(SCAN) if timer.kind == "chain")

    runner.join_request(SCAN, ORDER, at(6.6), actor=PHYSICIAN, reason="same bracelet")

    assert runner.case(SCAN).urgency is Urgency.P1
    assert min(timer.due_at for timer in store.timers_of(SCAN) if timer.kind == "chain") <= waited


def test_images_complete_said_of_a_joined_request_is_said_of_the_case_that_has_them(store: Store) -> None:
    runner = apart(store)
    runner.join_request(SCAN, ORDER, at(7), actor=PHYSICIAN, reason="same bracelet")

    case = runner.complete_images(ORDER, at(8), rule="radiographer")

    assert (case.case_id, case.images.complete_at) == (SCAN, at(5))
    assert [one.case_id for one in runner.open_cases(at(8))] == [SCAN]
