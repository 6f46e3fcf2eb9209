"""When images are complete and why: evidence, its strength, what is missing, late images, the radiographer's word."""

from typing import Any

import pytest

from foundation.errors import PeerError, Refused
from oncall.case import commands
from oncall.case.clocks import late_images_s
from oncall.case.completeness import (
    Doubt,
    due_images,
    hear_radiographer,
    known_missing,
    lists_to_compare,
    needs_no_quiet,
    next_look_at,
    said,
    standing_confidence,
)
from oncall.case.image_evidence import CONFIDENCE, Confidence, EvidenceKind, ImageEvidence
from oncall.case.intake_policy import IntakePolicy
from oncall.case.regions import ImagesState, StudyKey
from oncall.case.state import Case, TransitionRefused
from oncall.case.vocabulary import EventType as E
from tests.unit.oncall.case.cases import Story, after, at, us

CT, SR = StudyKey("ROANNE", "1.2.3"), StudyKey("ROANNE", "1.2.4")
POLICY = IntakePolicy(
    version="1", quiet_s=90, association_quiet_s=45, commitment_quiet_s=30, said_quiet_s=10, exam_quiet_s=900,
    cut_quiet_s=600, stalled_s=120,
)  # fmt: skip
SECOND = 1 / 60


class Images(Story):
    """A story that is told in images and evidence; minutes since its beginning."""

    event_id = 0

    def arrive(self, minutes: float, received: int = 10, study: StudyKey = CT) -> Case:
        self.event_id += 1
        facts = commands.receive_instances(
            self.case, study, at(minutes), received=received, outbox_event_id=self.event_id
        )
        return self.append(facts, minutes)

    def evidence(self, kind: EvidenceKind, minutes: float, source: str = "x", **more: Any) -> Case:
        found = ImageEvidence(kind=kind, source=source, at=after(minutes), **more)
        return self.append(commands.find_evidence(self.case, at(minutes), found), minutes)

    def begin_step(self, minutes: float, uid: str = "2.25.1") -> Case:
        return self.append(commands.say(self.case, at(minutes), E.EXAM_STARTED, mpps_uid=uid), minutes)

    def end_step(self, minutes: float, uid: str = "2.25.1", expected: int | None = None) -> Case:
        facts = commands.say(self.case, at(minutes), E.EXAM_COMPLETED, mpps_uid=uid, expected=expected)
        return self.append(facts, minutes)

    def press(self, minutes: float, count: int | None = None, *, insist: bool = False) -> Case:
        facts = hear_radiographer(self.case, POLICY, at(minutes), count, is_insisted=insist)
        return self.append(facts, minutes)

    def look(self, minutes: float) -> Case:
        return self.append(due_images(self.case, POLICY, after(minutes)), minutes)

    def looked_when_due(self) -> Case:
        look_at = next_look_at(self.case, POLICY)
        assert look_at is not None
        return self.append(due_images(self.case, POLICY, look_at), 0)


@pytest.fixture
def story() -> Images:
    told = Images()
    told.opened()
    told.arrive(5)
    return told


def test_images_of_which_nothing_is_known_are_presumed_complete_after_the_quiet_period(story: Images) -> None:
    assert next_look_at(story.case, POLICY) == after(5 + 90 * SECOND)
    images = story.look(5 + 90 * SECOND).images
    assert (images.state, images.rule, images.confidence) == (ImagesState.COMPLETE, "quiet_period", "presumed")
    assert images.complete_at == after(5)


def test_an_association_that_was_released_shortens_the_wait(story: Images) -> None:
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, studies=("1.2.3",), how="released")
    assert next_look_at(story.case, POLICY) == after(5 + 45 * SECOND)
    assert story.looked_when_due().images.rule == "association_end"


def test_an_association_that_ended_before_the_newest_image_says_nothing(story: Images) -> None:
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, studies=("1.2.3",), how="released")
    story.arrive(5.5)
    assert next_look_at(story.case, POLICY) == after(5.5 + 90 * SECOND)


def test_the_end_of_one_studys_association_says_nothing_of_another_study(story: Images) -> None:
    story.arrive(5, study=SR)
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, "1.2.3", studies=("1.2.3",), how="released")
    assert next_look_at(story.case, POLICY) == after(5 + 90 * SECOND)
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, "1.2.4", studies=("1.2.4",), how="released")
    assert next_look_at(story.case, POLICY) == after(5 + 45 * SECOND)


def test_a_commitment_to_all_of_it_completes_after_its_own_quiet(story: Images) -> None:
    story.evidence(EvidenceKind.STORAGE_COMMITMENT, 5.5, studies=("1.2.3",), count=10)
    case = story.looked_when_due()
    assert (case.images.rule, case.images.complete_at) == ("storage_commitment", after(5))


def test_a_list_of_which_all_is_here_completes_at_once_and_is_proof(story: Images) -> None:
    story.begin_step(1)
    story.end_step(6)
    story.evidence(EvidenceKind.MPPS_LIST, 6, "2.25.1", studies=("1.2.3",), count=10)
    assert needs_no_quiet(story.case, POLICY)
    images = story.look(6).images
    assert (images.rule, images.confidence, images.complete_at) == ("mpps_list", "proven", after(5))


def test_a_list_of_which_one_image_is_missing_completes_by_nothing_but_its_arrival(story: Images) -> None:
    story.begin_step(1)
    story.end_step(6)
    story.evidence(EvidenceKind.MPPS_LIST, 6, "2.25.1", studies=("1.2.3",), count=11, missing=1)
    story.evidence(EvidenceKind.ASSOCIATION_END, 6, studies=("1.2.3",), how="released")
    story.evidence(EvidenceKind.STORAGE_COMMITMENT, 6, studies=("1.2.3",))
    assert known_missing(story.case) == 1
    assert story.look(60).images.state is ImagesState.STALLED
    assert story.look(600).images.state is ImagesState.STALLED
    story.arrive(601, received=1)
    story.evidence(EvidenceKind.MPPS_LIST, 601, "2.25.1", studies=("1.2.3",), count=11)
    images = story.look(601).images
    assert (images.rule, images.complete_at) == ("mpps_list", after(601))


def test_a_second_step_that_has_not_ended_withholds_the_proof_of_the_first(story: Images) -> None:
    story.begin_step(1)
    story.end_step(6)
    story.begin_step(6, "2.25.2")
    story.evidence(EvidenceKind.MPPS_LIST, 6, "2.25.1", studies=("1.2.3",), count=10)
    assert next_look_at(story.case, POLICY) == after(5 + 15)
    story.end_step(8, "2.25.2")
    assert not needs_no_quiet(story.case, POLICY)
    story.evidence(EvidenceKind.MPPS_LIST, 8, "2.25.2", studies=("1.2.3",), count=10)
    assert needs_no_quiet(story.case, POLICY)


def test_a_list_says_nothing_of_a_study_that_it_does_not_name(story: Images) -> None:
    story.arrive(5, study=SR)
    story.begin_step(1)
    story.end_step(6)
    story.evidence(EvidenceKind.MPPS_LIST, 6, "2.25.1", studies=("1.2.3",), count=10)
    assert not needs_no_quiet(story.case, POLICY)


def test_a_step_that_lists_nothing_proves_nothing(story: Images) -> None:
    story.begin_step(1)
    story.end_step(6)
    story.evidence(EvidenceKind.MPPS_LIST, 6, "2.25.1", count=0)
    assert not needs_no_quiet(story.case, POLICY)
    assert lists_to_compare(story.case) == ()
    assert story.look(7).images.rule == "quiet_period"


def test_numbers_of_several_steps_are_added(story: Images) -> None:
    story.begin_step(1)
    story.end_step(6, expected=10)
    story.begin_step(6, "2.25.2")
    story.end_step(7, "2.25.2", expected=5)
    assert story.case.images.expected == 15
    assert known_missing(story.case) == 5
    assert lists_to_compare(story.case) == ("2.25.1", "2.25.2")


def test_while_the_exam_is_under_way_nothing_is_presumed_for_a_quarter_of_an_hour(story: Images) -> None:
    story.begin_step(1)
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, studies=("1.2.3",), how="released")
    assert next_look_at(story.case, POLICY) == after(20)


def test_images_that_were_cut_off_have_stalled_and_are_presumed_complete_only_much_later(story: Images) -> None:
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, studies=("1.2.3",), how="cut")
    assert story.looked_when_due().images.state is ImagesState.STALLED
    assert story.case.images.stalled_since == after(7)
    assert next_look_at(story.case, POLICY) == after(15)
    assert story.looked_when_due().images.rule == "quiet_period"


def test_images_that_go_on_after_a_cut_have_not_stalled(story: Images) -> None:
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, "1.2.3", studies=("1.2.3",), how="cut")
    story.arrive(6)
    story.evidence(EvidenceKind.ASSOCIATION_END, 6, "1.2.3", studies=("1.2.3",), how="released")
    assert story.looked_when_due().images.rule == "association_end"


def test_while_the_link_is_lost_nothing_is_presumed_and_a_human_is_asked_for(story: Images) -> None:
    story.append(commands.say(story.case, at(6), E.MODE_DEGRADED_ENTERED, what="site_link"), 6)
    assert story.look(60).images.state is ImagesState.STALLED
    assert next_look_at(story.case, POLICY) is None
    story.append(commands.say(story.case, at(120), E.MODE_DEGRADED_LEFT, what="site_link"), 120)
    case = story.arrive(121)
    assert case.images.state is ImagesState.ARRIVING
    case = story.looked_when_due()
    assert (case.images.complete_at, case.images.deadline_at) == (after(121), after(181))


# The radiographer's word


def test_a_number_that_is_here_completes_at_once(story: Images) -> None:
    case = story.press(5.01, 10)
    assert (case.images.rule, case.images.confidence, case.images.complete_at) == (
        "radiographer_button",
        "stated",
        after(5),
    )
    assert said(case, POLICY, 10, after(5.01)).doubts == ()


def test_a_number_that_is_not_here_waits_and_stalls_and_the_radiographer_is_told(story: Images) -> None:
    case = story.press(5.5, 12)
    told = said(case, POLICY, 12, after(5.5))
    assert (told.is_complete, told.missing, told.doubts) == (False, 2, (Doubt.MISSING,))
    assert story.look(8).images.state is ImagesState.STALLED
    story.arrive(9, received=2)
    assert story.look(9).images.rule == "radiographer_button"


def test_without_a_number_the_word_counts_when_no_more_images_come(story: Images) -> None:
    case = story.press(5.01)
    told = said(case, POLICY, None, after(5.01))
    assert (told.is_complete, told.doubts) == (False, (Doubt.ARRIVING,))
    assert told.complete_at == after(5.01 + 10 * SECOND)
    assert story.looked_when_due().images.rule == "radiographer_button"


def test_against_a_list_that_misses_one_only_an_insisted_word_completes(story: Images) -> None:
    story.begin_step(1)
    story.end_step(6)
    story.evidence(EvidenceKind.MPPS_LIST, 6, "2.25.1", studies=("1.2.3",), count=12, missing=2)
    case = story.press(7)
    assert said(case, POLICY, None, after(7)).doubts == (Doubt.MISSING,)
    case = story.press(8, insist=True)
    assert (case.images.state, case.images.rule) == (ImagesState.COMPLETE, "radiographer_button")
    assert case.images.evidence[1].missing == 2


def test_a_number_below_what_is_here_is_doubted_and_completes(story: Images) -> None:
    case = story.press(6, 8)
    assert said(case, POLICY, 8, after(6)).doubts == (Doubt.MORE_HERE,)
    assert case.images.state is ImagesState.COMPLETE


def test_pressed_again_with_another_number_the_last_one_counts(story: Images) -> None:
    story.press(6, 110)
    assert known_missing(story.case) == 100
    assert story.press(7, 10).images.state is ImagesState.COMPLETE


def test_before_the_first_image_the_word_is_refused() -> None:
    story = Images()
    story.opened()
    with pytest.raises(Refused, match="no image of this exam is here"):
        story.press(6, 10)


@pytest.mark.parametrize("count", [0, -1, 10_000_000])
def test_what_is_no_number_of_images_is_refused(story: Images, count: int) -> None:
    with pytest.raises(PeerError, match="the number of images"):
        story.press(6, count)


def test_the_hospitals_word_that_the_exam_is_done_counts_as_the_radiographers(story: Images) -> None:
    story.evidence(EvidenceKind.EXAM_COMPLEMENT, 5.5, "order-1")
    case = story.looked_when_due()
    assert (case.images.rule, case.images.confidence) == ("exam_complement", "stated")


# What is recorded, and what comes late


def test_what_completed_the_images_is_recorded_with_all_evidence(story: Images) -> None:
    story.begin_step(1)
    story.end_step(6)
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, "1.2.3", studies=("1.2.3",), how="released")
    story.evidence(EvidenceKind.MPPS_LIST, 6, "2.25.1", studies=("1.2.3",), count=10)
    (fact,) = due_images(story.case, POLICY, after(6))
    assert (fact.payload["rule"], fact.payload["confidence"], fact.payload["received"]) == ("mpps_list", "proven", 10)
    assert [(one["kind"], one["confidence"]) for one in fact.payload["evidence"]] == [
        ("mpps_list", "proven"),
        ("association_end", "presumed"),
    ]
    assert all(one["at_us"] for one in fact.payload["evidence"])


def test_late_images_reopen_the_completeness_and_never_the_clock(story: Images) -> None:
    complete = story.look(7)
    late = story.arrive(20)
    assert late.images.state is ImagesState.COMPLETE
    assert (late.images.is_reopened, late.images.reopened_at) == (True, after(20))
    assert late.is_ready
    again = story.looked_when_due()
    assert (again.images.is_reopened, again.images.complete_again_at) == (False, after(20))
    assert again.images.reopenings == 1
    for field in ("complete_at", "deadline_at", "rule", "target_at"):
        assert getattr(again.images, field) == getattr(complete.images, field)


def test_the_time_of_late_images_is_shown_until_they_are_complete_again(story: Images) -> None:
    story.look(7)
    assert late_images_s(story.case, after(19)) is None
    story.arrive(20)
    story.arrive(22)
    assert late_images_s(story.case, after(23)) == 180.0
    story.looked_when_due()
    assert late_images_s(story.case, after(60)) == 120.0


def test_a_list_that_comes_late_and_misses_images_reopens_what_was_presumed_complete(story: Images) -> None:
    story.look(7)
    story.begin_step(8)
    story.end_step(8)
    case = story.evidence(EvidenceKind.MPPS_LIST, 8, "2.25.1", studies=("1.2.3",), count=30, missing=20)
    assert case.images.is_reopened
    assert standing_confidence(case) is None
    case = story.look(11)
    assert (case.images.state, case.images.stalled_since) == (ImagesState.COMPLETE, after(11))
    story.arrive(12, received=20)
    story.evidence(EvidenceKind.MPPS_LIST, 12, "2.25.1", studies=("1.2.3",), count=30)
    case = story.look(13)
    assert (case.images.is_reopened, case.images.complete_again_rule) == (False, "mpps_list")
    assert (case.images.rule, case.images.deadline_at) == ("quiet_period", after(65))


def test_a_list_that_comes_late_and_is_whole_raises_the_confidence_and_not_the_rule(story: Images) -> None:
    story.look(7)
    assert standing_confidence(story.case) is Confidence.PRESUMED
    story.begin_step(8)
    story.end_step(8)
    case = story.evidence(EvidenceKind.MPPS_LIST, 8, "2.25.1", studies=("1.2.3",), count=10)
    assert (case.images.rule, standing_confidence(case)) == ("quiet_period", Confidence.PROVEN)


def test_a_word_said_before_late_images_does_not_count_after_them(story: Images) -> None:
    story.press(5.01)
    story.looked_when_due()
    story.arrive(20)
    assert next_look_at(story.case, POLICY) == after(20 + 90 * SECOND)


def test_what_is_complete_cannot_stall_and_is_not_complete_again(story: Images) -> None:
    case = story.look(7)
    with pytest.raises(TransitionRefused, match="nothing is missing"):
        commands.say(case, at(9), E.IMAGES_STALLED, silent_s=60.0)
    assert commands.complete_images(case, at(9), rule="quiet_period") == ()
    assert due_images(case, POLICY, after(60)) == ()


def test_complete_said_again_with_another_deadline_moves_nothing(story: Images) -> None:
    before = story.look(7).images
    again = commands.say(story.case, at(30), E.IMAGES_COMPLETE, rule="mpps_list", deadline_at_us=us(500))
    after_it = story.append(again, 30).images
    for field in ("complete_at", "deadline_at", "rule", "confidence", "target_at"):
        assert getattr(after_it, field) == getattr(before, field)


def test_evidence_said_again_in_the_same_words_is_not_said_twice(story: Images) -> None:
    word = ImageEvidence(kind=EvidenceKind.ASSOCIATION_END, source="1.2.3", at=after(5), studies=("1.2.3",))
    story.append(commands.find_evidence(story.case, at(5), word), 5)
    assert commands.find_evidence(story.case, at(6), word) == ()


def test_a_kind_of_evidence_that_nobody_knows_is_refused(story: Images) -> None:
    with pytest.raises(TransitionRefused, match="the kinds of evidence"):
        commands.say(story.case, at(6), E.IMAGES_EVIDENCE_FOUND, kind="rumour", source="x")


def test_each_kind_of_evidence_has_its_confidence() -> None:
    assert set(CONFIDENCE) == set(EvidenceKind)


def test_a_study_that_goes_to_another_case_takes_its_evidence_along(story: Images) -> None:
    story.arrive(5, study=SR)
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, "1.2.3", studies=("1.2.3",), how="released")
    story.evidence(EvidenceKind.ASSOCIATION_END, 5, "1.2.4", studies=("1.2.4",), how="released")
    gone = commands.say(
        story.case, at(6), E.IMAGES_UNLINKED, issuer=SR.issuer, study_instance_uid=SR.study_instance_uid, reason="wrong"
    )
    assert [one.source for one in story.append(gone, 6).images.evidence] == ["1.2.3"]
