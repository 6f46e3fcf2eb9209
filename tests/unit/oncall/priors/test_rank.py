"""Earlier exams: which are worth comparing, which answer the request already, and which side words mean."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.case.regions import StudyKey
from oncall.priors.model import Laterality, PriorExam
from oncall.priors.rank import FETCHED_MAX, Asked, ranked, worth_fetching
from oncall.priors.redundancy import WINDOWS, equivalents
from oncall.priors.sides import side_of
from oncall.reading.board import ExamKind

NOW = datetime(2026, 11, 21, 22, 15, tzinfo=UTC)
HEAD_CT = Asked(exam=ExamKind.HEAD, modality="CT")


def prior(
    number: int = 1,
    *,
    modality: str = "CT",
    exam: ExamKind | None = ExamKind.HEAD,
    hours: float = 24,
    side: Laterality = Laterality.UNSAID,
    instances: int = 100,
) -> PriorExam:
    return PriorExam(
        study=StudyKey("SOUTH", f"1.2.{number}"),
        modalities=tuple(modality.split("/")),
        performed_at=NOW - timedelta(hours=hours),
        exam=exam,
        laterality=side,
        instances=instances,
    )


def order_of(asked: Asked, *priors: PriorExam) -> list[str]:
    return [one.prior.study.study_instance_uid for one in ranked(asked, priors, NOW)]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (prior(1), prior(2, modality="MR")),
        (prior(1, modality="MR"), prior(2, modality="US")),
        (prior(1), prior(2, exam=ExamKind.WHOLE_BODY)),
        (prior(1, exam=ExamKind.WHOLE_BODY), prior(2, exam=None)),
        (prior(1, exam=None), prior(2, exam=ExamKind.MSK)),
        (prior(1, hours=24), prior(2, hours=24 * 400)),
        (prior(1, exam=ExamKind.STROKE), prior(2, exam=ExamKind.CHEST)),
        (prior(1, hours=24 * 300), prior(2, exam=ExamKind.ABDOMEN, hours=1)),
    ],
)
def test_what_is_more_like_the_exam_that_is_asked_for_comes_first(better: PriorExam, worse: PriorExam) -> None:
    assert order_of(HEAD_CT, worse, better) == [better.study.study_instance_uid, worse.study.study_instance_uid]


def test_the_other_side_is_listed_last_and_not_fetched() -> None:
    asked = Asked(exam=ExamKind.MSK, modality="CT", laterality=Laterality.LEFT)
    left = prior(1, exam=ExamKind.MSK, side=Laterality.LEFT, hours=24 * 700)
    right = prior(2, exam=ExamKind.MSK, side=Laterality.RIGHT)

    found = ranked(asked, (right, left), NOW)

    assert [one.prior for one in found] == [left, right]
    assert [one.prior for one in worth_fetching(found)] == [left]


def test_another_part_of_the_body_and_what_has_no_pictures_are_listed_and_not_fetched() -> None:
    found = ranked(HEAD_CT, (prior(1, exam=ExamKind.MSK), prior(2, modality="SR"), prior(3, instances=0)), NOW)

    assert len(found) == 3
    assert worth_fetching(found) == ()


def test_no_more_are_fetched_than_a_reader_looks_at() -> None:
    found = ranked(HEAD_CT, [prior(number, hours=number) for number in range(1, 30)], NOW)

    chosen = worth_fetching(found)
    assert len(chosen) == FETCHED_MAX
    assert [one.prior.study.study_instance_uid for one in chosen] == [f"1.2.{n}" for n in range(1, FETCHED_MAX + 1)]


@given(st.permutations([prior(n, hours=n, modality=m) for n, m in enumerate(["CT", "MR", "US", "CR/SR", "SR"], 1)]))
def test_the_order_does_not_depend_on_the_order_in_which_they_were_found(priors: list[PriorExam]) -> None:
    found = ranked(HEAD_CT, priors, NOW)

    assert found == ranked(HEAD_CT, sorted(priors, key=lambda one: one.study), NOW)
    assert all(0 <= one.score <= 100 for one in found)
    assert all(one.score == max(0, sum(points for _, points in one.parts)) for one in found)


@pytest.mark.parametrize(
    "answers",
    [
        prior(hours=47.9),
        prior(modality="MR"),
        prior(exam=ExamKind.WHOLE_BODY, hours=2),
        prior(exam=ExamKind.STROKE),
        prior(hours=-0.1),
    ],
    ids=["within its window", "magnetic resonance", "whole body", "stroke protocol", "a clock that is ahead"],
)
def test_a_recent_exam_of_the_same_part_may_answer_the_request(answers: PriorExam) -> None:
    assert equivalents(HEAD_CT, (answers,), NOW) == (answers,)


@pytest.mark.parametrize(
    "other",
    [
        prior(hours=48.1),
        prior(modality="US"),
        prior(exam=ExamKind.CHEST),
        prior(exam=None),
        prior(instances=0),
        prior(hours=-3),
    ],
    ids=["too old", "ultrasound", "another part", "says nothing of its part", "no image", "tomorrow"],
)
def test_what_cannot_answer_the_request_is_not_called_equivalent(other: PriorExam) -> None:
    assert equivalents(HEAD_CT, (other,), NOW) == ()


def test_a_head_ct_does_not_answer_what_a_stroke_protocol_asks() -> None:
    asked = Asked(exam=ExamKind.STROKE, modality="CT")
    assert equivalents(asked, (prior(hours=1),), NOW) == ()
    assert equivalents(asked, (prior(hours=1, exam=ExamKind.STROKE),), NOW)


def test_a_knee_of_the_other_side_answers_nothing() -> None:
    asked = Asked(exam=ExamKind.MSK, modality="CT", laterality=Laterality.RIGHT)
    assert equivalents(asked, (prior(exam=ExamKind.MSK, side=Laterality.LEFT),), NOW) == ()
    assert equivalents(asked, (prior(exam=ExamKind.MSK),), NOW)


def test_every_kind_of_exam_has_a_window() -> None:
    assert set(WINDOWS) == set(ExamKind)


@pytest.mark.parametrize(
    ("texts", "side"),
    [
        (["Genou droit"], Laterality.RIGHT),
        (["KNEE LEFT", "genou gauche"], Laterality.LEFT),
        (["Épaule GCHE"], Laterality.LEFT),
        (["genoux droit et gauche"], Laterality.UNSAID),
        (["Scanner cerebral 3D"], Laterality.UNSAID),
        (["droitier"], Laterality.UNSAID),
        ([], Laterality.UNSAID),
    ],
)
def test_a_side_is_what_whole_words_say(texts: list[str], side: Laterality) -> None:
    assert side_of(texts) is side
