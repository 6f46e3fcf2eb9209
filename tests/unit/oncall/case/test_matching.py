"""Which case a study belongs to, and moving it or its request without losing the clock or the assignment."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from foundation.errors import Refused
from foundation.instants import microseconds
from oncall.case import commands as ask
from oncall.case import commands_report as report
from oncall.case.event import CaseId
from oncall.case.matching import (
    Evidence,
    StudyFacts,
    Verdict,
    attach_request,
    decide_match,
    decide_request,
    detach_request,
    move_study,
    score,
)
from oncall.case.regions import IdentityState, ReadingState, ReportState, RequestState, StudyKey
from oncall.directory import SiteId
from oncall.reading.board import Urgency
from tests.unit.oncall.case.cases import ANNE, BRUNO, START, Story, after, at, request

STUDY = StudyKey("ROANNE", "1.2.3")
FIRST, SECOND = CaseId("first"), CaseId("second")


def study(**changes: Any) -> StudyFacts:
    given: dict[str, Any] = {
        "study": STUDY,
        "site_id": SiteId("roanne"),
        "begun_at": after(30),
        "modalities": frozenset({"CT"}),
        "accession_number": "A1",
        "patient_key": "key-1",
    }
    return StudyFacts(**{**given, **changes})


def waiting(case_id: CaseId = FIRST, **changes: Any) -> Story:
    story = Story(case_id=case_id)
    story.opened(**changes)
    return story


def scanned(case_id: CaseId = SECOND, **changes: Any) -> Story:
    """A case that an unannounced study opened, complete, assigned and acknowledged."""
    story = Story(case_id=case_id)
    story.append(ask.open_unannounced(request(**changes), STUDY, at(5), rule="night", received=200), 5)
    story.complete(10)
    story.assigned(ANNE, 11)
    story.acknowledged(ANNE, 12)
    return story


def test_the_accession_number_links_when_nothing_speaks_against_it() -> None:
    decision = decide_match(study(), [waiting().case, waiting(SECOND, accession_number="A2", patient_key="k2").case])

    assert (decision.verdict, decision.case_id) == (Verdict.LINK, FIRST)


def test_the_decision_does_not_depend_on_the_order_of_the_cases() -> None:
    cases = [waiting(CaseId(str(n)), accession_number=f"A{n}", patient_key=f"key-{n}").case for n in range(4)]

    assert len({decide_match(study(), order) for order in permutations(cases)}) == 1


def test_an_equal_accession_number_of_another_patient_is_blocked_not_linked() -> None:
    decision = decide_match(study(patient_key="key-2"), [waiting().case])

    assert (decision.verdict, decision.case_id) == (Verdict.BLOCKED, FIRST)


def test_one_accession_number_of_two_hospitals_links_the_patients_own() -> None:
    other = waiting(SECOND, site_id=SiteId("feurs"), patient_key="key-2").case

    decision = decide_match(study(), [other, waiting().case])

    assert (decision.verdict, decision.case_id) == (Verdict.LINK, FIRST)


def test_without_accession_number_patient_place_machine_and_time_link_a_single_case() -> None:
    decision = decide_match(study(accession_number=""), [waiting().case])

    assert (decision.verdict, decision.case_id) == (Verdict.LINK, FIRST)


def test_two_requests_for_one_patient_are_put_to_a_person() -> None:
    cases = [waiting().case, waiting(SECOND, accession_number="A2").case]

    decision = decide_match(study(accession_number=""), cases)

    assert (decision.verdict, decision.case_id) == (Verdict.PROPOSE, None)
    assert {match.case_id for match in decision.candidates} == {FIRST, SECOND}


def test_an_unidentified_trauma_patient_is_proposed_by_place_machine_and_time() -> None:
    decision = decide_match(study(accession_number="", patient_key="temporary-7"), [waiting(patient_key="").case])

    assert decision.verdict is Verdict.PROPOSE
    assert Evidence.UNIDENTIFIED_PATIENT in decision.candidates[0].evidence


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({"site_id": SiteId("feurs")}, Evidence.OTHER_SITE),
        ({"modalities": frozenset({"MR"})}, Evidence.OTHER_MODALITY),
        ({"begun_at": START + timedelta(hours=9)}, Evidence.FAR_IN_TIME),
        ({"begun_at": START - timedelta(hours=3)}, Evidence.FAR_IN_TIME),
    ],
    ids=["other-site", "other-modality", "much-later", "long-before"],
)
def test_a_contradiction_makes_a_match_a_proposal_at_most(changes: dict[str, Any], evidence: Evidence) -> None:
    decision = decide_match(study(**changes), [waiting().case])

    assert decision.verdict is Verdict.PROPOSE
    assert evidence in decision.candidates[0].evidence


def test_a_former_key_of_the_patient_is_the_same_patient() -> None:
    story = waiting()
    story.append(report.correct_identity(story.case, at(1), patient_key="key-9", reason="bracelet"))

    assert Evidence.SAME_PATIENT in score(study(), story.case).evidence


def test_a_case_that_has_its_images_takes_another_study_by_accession_number_only() -> None:
    complete = waiting()
    complete.complete()

    assert decide_match(study(accession_number=""), [complete.case]).verdict is Verdict.NONE
    assert decide_match(study(), [complete.case]).case_id == FIRST


def test_a_closed_case_takes_no_study() -> None:
    story = waiting()
    story.append(ask.withdraw(story.case, at(1), motive="m"))

    assert decide_match(study(), [story.case]).verdict is Verdict.NONE


def test_a_request_finds_the_case_that_its_study_opened_before_it() -> None:
    opened = scanned(accession_number="A1")

    decision = decide_request(waiting().case, [opened.case])

    assert (decision.verdict, decision.case_id) == (Verdict.LINK, SECOND)


def test_a_request_of_another_patient_does_not_join_a_study() -> None:
    assert decide_request(waiting(patient_key="key-2").case, [scanned().case]).verdict is Verdict.BLOCKED


def test_a_request_that_joins_a_study_leaves_it_clock_and_assignment() -> None:
    scan, order = scanned(patient_key=""), waiting(urgency=Urgency.P1, requester="Dr Martin")
    before = scan.case

    both = attach_request(before, order.case, at(20), reason="same accession number")
    order.append(both.source)
    case = scan.append(both.target)

    assert (case.images, case.reading) == (before.images, before.reading)
    assert (case.request.state, case.request.requester) == (RequestState.ANSWERED, "Dr Martin")
    assert (case.urgency, case.request.submitted_at) == (Urgency.P1, after(0))
    assert (case.identity.state, case.patient_key) == (IdentityState.KNOWN, "key-1")
    assert (order.case.request.state, order.case.request.merged_into) == (RequestState.MERGED, SECOND)
    assert not order.case.is_open


def test_matching_never_makes_a_case_less_urgent() -> None:
    scan, order = scanned(urgency=Urgency.P1), waiting(urgency=Urgency.P3)

    assert scan.append(attach_request(scan.case, order.case, at(20), reason="r").target).urgency is Urgency.P1


def test_a_match_can_be_undone_and_made_again_with_another_request() -> None:
    scan, order, other = scanned(), waiting(), waiting(CaseId("third"), accession_number="A3")
    deadline = scan.case.images.deadline_at
    both = attach_request(scan.case, order.case, at(20), reason="r")
    order.append(both.source)
    scan.append(both.target)

    back = detach_request(scan.case, order.case, at(25), reason="wrong request")
    order.append(back.source)
    scan.append(back.target)
    again = attach_request(scan.case, other.case, at(26), reason="right request")
    scan.append(again.target)

    assert (order.case.request.state, order.case.is_open) == (RequestState.SUBMITTED, True)
    assert scan.case.request.accession_number == "A3"
    assert (scan.case.images.deadline_at, scan.case.reading.assigned_to) == (deadline, ANNE)


def test_a_study_that_moves_takes_clock_deadline_and_assignment_along() -> None:
    scan, order = scanned(), waiting()
    before = scan.case

    both = move_study(before, order.case, STUDY, at(30), reason="wrong request")
    scan.append(both.source)
    case = order.append(both.target)

    assert (case.images.complete_at, case.images.deadline_at) == (before.images.complete_at, before.images.deadline_at)
    assert case.images.deadline_policy == before.images.deadline_policy
    assert (case.reading.assigned_to, case.reading.assigned_at) == (ANNE, after(11))
    assert (case.reading.state, case.reading.acknowledged_at) == (ReadingState.ACKNOWLEDGED, after(12))
    assert case.images.received == 200
    left = scan.case
    assert (left.images.studies, left.is_ready, left.reading.assigned_to) == ((), False, None)
    assert left.images.deadline_at == before.images.deadline_at


def test_a_case_with_a_deadline_of_its_own_keeps_it_when_a_study_comes_in() -> None:
    scan, order = scanned(), waiting()
    other = StudyKey("ROANNE", "1.2.9")
    order.append(ask.receive_instances(order.case, other, at(2), received=10))
    order.complete(3)
    own = order.case.images.deadline_at

    case = order.append(move_study(scan.case, order.case, STUDY, at(30), reason="same exam").target)

    assert case.images.deadline_at == own
    assert case.images.studies == (other, STUDY)


def test_images_that_come_back_are_complete_again_with_the_deadline_that_was_set() -> None:
    scan, order = scanned(), waiting()
    deadline = scan.case.images.deadline_at
    scan.append(move_study(scan.case, order.case, STUDY, at(30), reason="r").source)
    scan.append(ask.receive_instances(scan.case, STUDY, at(200), received=5))

    (complete,) = ask.complete_images(scan.case, at(210), rule="button")

    assert deadline is not None
    assert complete.payload["deadline_at_us"] == microseconds(deadline)
    assert scan.append((complete,)).images.deadline_at == deadline


def test_one_of_two_studies_leaves_the_case_with_its_clock_and_its_reader() -> None:
    scan, order = scanned(), waiting()
    other = StudyKey("ROANNE", "1.2.9")
    scan.append(ask.receive_instances(scan.case, other, at(13), received=10))

    left = scan.append(move_study(scan.case, order.case, other, at(30), reason="r").source)

    assert (left.images.studies, left.is_ready, left.reading.assigned_to) == ((STUDY,), True, ANNE)


def test_a_claimed_study_that_moves_is_opened_again_by_its_reader() -> None:
    scan, order = scanned(), waiting()
    scan.claimed(ANNE, 13)

    both = move_study(scan.case, order.case, STUDY, at(30), reason="r")
    left, case = scan.append(both.source), order.append(both.target)

    assert left.reading.replaced_transaction_uids == ("2.25.1",)
    assert (case.reading.assigned_to, case.reading.claimed_by) == (ANNE, None)
    assert order.claimed(ANNE, 31, uid="2.25.5").reading.claimed_by == ANNE


def test_images_under_a_signed_report_do_not_move_before_it_is_retracted() -> None:
    scan, order = scanned(), waiting()
    scan.claimed(ANNE, 13)
    scan.signed(ANNE, 20)

    with pytest.raises(Refused, match="retract"):
        move_study(scan.case, order.case, STUDY, at(30), reason="wrong patient")

    scan.append(report.retract(scan.case, at(31), reason="wrong patient"))
    scan.append(move_study(scan.case, order.case, STUDY, at(32), reason="wrong patient").source)
    assert scan.case.report.state is ReportState.RETRACTED
    assert len(scan.case.report.versions) == 1


def test_nothing_moves_between_two_patients_until_somebody_has_settled_whose_it_is() -> None:
    scan, order = scanned(patient_key="key-2"), waiting()

    with pytest.raises(Refused, match="different patients"):
        move_study(scan.case, order.case, STUDY, at(30), reason="r")
    with pytest.raises(Refused, match="different patients"):
        attach_request(scan.case, order.case, at(30), reason="r")

    both = move_study(scan.case, order.case, STUDY, at(30), reason="bracelet read", patient_settled=True)
    assert order.append(both.target).reading.assigned_to == ANNE
    # What was settled stays settled: the images' patient is another word for the case's.
    assert order.case.identity.state is IdentityState.KNOWN
    assert "key-2" in order.case.identity.former_patient_keys


def test_a_reader_who_declined_the_other_case_does_not_get_it_back_by_a_move() -> None:
    scan, order = scanned(), waiting()
    scan.append(ask.decline(scan.case, ANNE, at(13), reason="busy"))
    scan.append(ask.assign(scan.case, BRUNO, at(14), reason="next"))

    moved = order.append(move_study(scan.case, order.case, STUDY, at(30), reason="r").target)

    assert moved.reading.assigned_to == BRUNO
