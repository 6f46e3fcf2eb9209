"""Earlier exams are searched before a protocol is chosen; a failed search is never "none"; people avoid exams."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from foundation.errors import Refused, Unavailable
from oncall.case import commands
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.event import CaseId
from oncall.case.regions import ImagesState, RequestState, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.engine.engine import Engine
from oncall.engine.ports import MemoryStore
from oncall.engine.priors import SEARCH_AGAIN
from oncall.priors.commands import Outcome, judge
from oncall.priors.model import PriorAnswer, PriorExam, PriorQuestion, Readiness
from oncall.reading.board import ExamKind
from tests.harness.small_territory import at, engine, memory_store, request, run_until

CASE = CaseId("C1")
YESTERDAY = PriorExam(
    study=StudyKey("SOUTH", "1.2.900"),
    modalities=("CT",),
    performed_at=at(5) - timedelta(hours=20),
    exam=ExamKind.HEAD,
    instances=300,
)
LONG_AGO = replace(YESTERDAY, study=StudyKey("NORTH", "1.2.800"), performed_at=at(5) - timedelta(days=400))


@dataclass
class Library:
    """An archive that finds what it is told to, or does not answer."""

    exams: tuple[PriorExam, ...] = (YESTERDAY, LONG_AGO)
    is_patient_known: bool = True
    is_away: bool = False
    missing: Mapping[str, int] = field(default_factory=dict)
    linked: int = 0
    questions: list[PriorQuestion] = field(default_factory=list)
    readied: list[str] = field(default_factory=list)

    def search(self, question: PriorQuestion) -> PriorAnswer:
        self.questions.append(question)
        if self.is_away:
            raise Unavailable("the index does not answer")
        return PriorAnswer(is_patient_known=self.is_patient_known, exams=self.exams)

    def identities_version(self) -> int:
        return self.linked

    def make_ready(self, study: StudyKey) -> Readiness:
        self.readied.append(study.study_instance_uid)
        if study.study_instance_uid in self.missing and self.missing[study.study_instance_uid] < 0:
            raise Unavailable("the disk does not answer")
        return Readiness(instances=300, missing=self.missing.get(study.study_instance_uid, 0))


def ordered() -> NewRequest:
    return replace(request(), request_id="ORDER-1")


def began() -> tuple[Engine, MemoryStore]:
    store = memory_store()
    runner = engine(store)
    run_until(runner, at(5))
    runner.open_case(CASE, ordered(), at(5))
    return runner, store


def told(store: MemoryStore) -> list[tuple[str, str]]:
    """Return what the case was told of earlier exams: the event, and its study, outcome or reason."""
    wanted = ("priors.", "request.prior")
    return [
        (event.type, str(payload.get("study_instance_uid", payload.get("reason", payload.get("count", "")))))
        for event in store.events_of(CASE)
        if event.type.startswith(wanted) and (payload := event.fact.payload) is not None
    ]


def judged(runner: Engine, outcome: Outcome, note: str = "") -> Case:
    def command(case: Case, context: Context) -> Facts:
        return judge(case, context, study=YESTERDAY.study, outcome=outcome, note=note)

    return runner.execute(CASE, command, at(6))


def tell(runner: Engine, kind: EventType, minutes: float, **payload: object) -> None:
    runner.execute(CASE, lambda case, context: commands.say(case, context, kind, **payload), at(minutes))


def test_a_recent_equivalent_exam_is_told_before_the_protocol_and_priors_are_made_ready() -> None:
    runner, store = began()
    library = Library()

    assert runner.take_priors(at(5.1), library) == 1

    assert told(store) == [
        ("request.prior_exam_found", "1.2.900"),
        ("priors.requested", "1.2.900"),
        ("priors.requested", "1.2.800"),
        ("priors.requested", "2"),
        ("priors.available", "1.2.900"),
        ("priors.available", "1.2.800"),
    ]
    part = runner.case(CASE).request
    assert library.questions == [PriorQuestion(order_id="ORDER-1", site_id="north")]
    assert [(one.outcome, one.modality) for one in part.prior_exams] == [("found", "CT")]
    assert [(one.study.study_instance_uid, one.is_ready) for one in part.priors] == [
        ("1.2.900", True),
        ("1.2.800", True),
    ]
    assert (part.priors_known_at, part.priors_unknown) == (at(5.1), "")


def test_each_case_is_searched_for_once_and_again_when_its_patient_is_linked() -> None:
    runner, store = began()
    library = Library(exams=())
    runner.take_priors(at(5.1), library)
    runner.take_priors(at(5.2), library)
    assert len(library.questions) == 1
    assert told(store) == [("priors.requested", "0")]

    library.linked, library.exams = 1, (LONG_AGO,)
    runner.take_priors(at(5.3), library)

    assert len(library.questions) == 2
    assert [one.study for one in runner.case(CASE).request.priors] == [LONG_AGO.study]


def test_a_search_that_fails_is_never_no_priors_and_is_made_again() -> None:
    runner, store = began()
    library = Library(is_away=True)
    runner.take_priors(at(5.1), library)
    runner.take_priors(at(5.2), library)

    assert told(store) == [("priors.unavailable", "search_failed")]
    assert runner.case(CASE).request.priors_known_at is None
    assert runner.case(CASE).request.priors_unknown == "search_failed"
    assert len(library.questions) == 1

    library.is_away = False
    runner.take_priors(at(5.1) + SEARCH_AGAIN, library)
    assert runner.case(CASE).request.priors_unknown == ""
    assert len(runner.case(CASE).request.priors) == 2


def test_an_unknown_patient_has_unknown_priors_and_not_none() -> None:
    runner, store = began()
    runner.take_priors(at(5.1), Library(is_patient_known=False, exams=()))

    assert told(store) == [("priors.unavailable", "patient_unknown")]


def test_a_prior_with_missing_instances_is_not_ready_until_they_are_there() -> None:
    runner, store = began()
    library = Library(missing={"1.2.900": 7, "1.2.800": -1})
    runner.take_priors(at(5.1), library)
    assert [(one.is_ready, one.reason) for one in runner.case(CASE).request.priors] == [
        (False, "instances_missing"),
        (False, "storage_away"),
    ]

    library.missing = {}
    runner.complete_images(CASE, at(9), rule="radiographer")
    runner.take_priors(at(9.1), library)

    assert all(one.is_ready for one in runner.case(CASE).request.priors)
    assert told(store)[-2:] == [("priors.available", "1.2.900"), ("priors.available", "1.2.800")]


def test_priors_are_looked_at_again_once_when_the_images_are_complete() -> None:
    runner, _ = began()
    library = Library()
    runner.take_priors(at(5.1), library)
    runner.complete_images(CASE, at(9), rule="radiographer")
    for minutes in (9.1, 9.2, 9.3):
        runner.take_priors(at(minutes), library)

    assert library.readied == ["1.2.900", "1.2.800"] * 2


def test_an_exam_that_is_avoided_is_refused_with_what_is_to_be_read_instead() -> None:
    runner, store = began()
    runner.take_priors(at(5.1), Library())

    case = judged(runner, Outcome.AVOIDED, "CT of this morning answers the question")

    assert case.request.state is RequestState.REFUSED
    assert case.is_closed
    (refused,) = [one for one in store.events_of(CASE) if one.type == EventType.REQUEST_REFUSED]
    assert refused.fact.payload["motive"] == "redundant: CT of this morning answers the question"
    assert refused.fact.payload["alternative"].startswith("CT 20")
    assert [one.outcome for one in case.request.prior_exams] == ["avoided"]


def test_an_exam_that_is_confirmed_goes_on() -> None:
    runner, _ = began()
    runner.take_priors(at(5.1), Library())

    case = judged(runner, Outcome.CONFIRMED, "new deficit since then")

    assert case.request.state is RequestState.SUBMITTED
    assert [(one.outcome, one.decided_by) for one in case.request.prior_exams] == [("confirmed", "telegarde")]
    assert judged(runner, Outcome.CONFIRMED).seq == case.seq


@pytest.mark.parametrize("how", ["no reason", "the exam began", "another study"])
def test_an_exam_is_not_avoided_without_a_reason_or_when_it_is_too_late(how: str) -> None:
    runner, _ = began()
    runner.take_priors(at(5.1), Library(exams=() if how == "another study" else (YESTERDAY,)))
    if how == "the exam began":
        tell(runner, EventType.EXAM_STARTED, 5.5)

    with pytest.raises(Refused):
        judged(runner, Outcome.AVOIDED, "" if how == "no reason" else "enough")

    assert runner.case(CASE).request.state is RequestState.SUBMITTED


def test_an_exam_that_has_begun_is_not_called_redundant_any_more() -> None:
    runner, store = began()
    tell(runner, EventType.EXAM_STARTED, 5.05)
    runner.take_priors(at(5.1), Library())

    assert "request.prior_exam_found" not in dict(told(store))
    assert len(runner.case(CASE).request.priors) == 2


def test_the_priors_of_another_patient_are_forgotten_when_the_identity_is_corrected() -> None:
    runner, _ = began()
    library = Library()
    runner.take_priors(at(5.1), library)
    tell(runner, EventType.IDENTITY_CORRECTED, 6, patient_key="key-other", reason="wrong patient chosen")

    assert runner.case(CASE).request.priors == ()
    assert runner.case(CASE).request.prior_exams == ()
    assert runner.case(CASE).request.priors_known_at is None

    library.exams = ()
    runner.take_priors(at(6.1), library)
    assert runner.case(CASE).request.priors_known_at == at(6.1)


def test_its_own_study_is_no_prior_of_a_case() -> None:
    runner, _ = began()
    runner.execute(
        CASE,
        lambda case, context: (
            context.fact(
                EventType.IMAGES_FIRST_INSTANCE,
                issuer=YESTERDAY.study.issuer,
                study_instance_uid=YESTERDAY.study.study_instance_uid,
                received=1,
                outbox_event_id=9,
            ),
        ),
        at(5.05),
    )
    assert runner.case(CASE).images.state is ImagesState.ARRIVING
    runner.take_priors(at(5.1), Library())

    assert [one.study for one in runner.case(CASE).request.priors] == [LONG_AGO.study]


def test_two_engines_say_the_same_things_once() -> None:
    runner, store = began()
    other = engine(store, worker="two")
    runner.take_priors(at(5.1), Library())
    before = told(store)
    other.take_priors(at(5.2), Library())

    assert told(store) == before


def test_what_turns_out_to_be_of_another_patient_is_no_prior_any_more() -> None:
    runner, _ = began()
    library = Library()
    runner.take_priors(at(5.1), library)
    library.exams, library.linked = (LONG_AGO,), 1
    runner.take_priors(at(5.2), library)

    part = runner.case(CASE).request
    assert {one.study: one.reason for one in part.priors} == {YESTERDAY.study: "no_longer_found", LONG_AGO.study: ""}
    assert [one.outcome for one in part.prior_exams] == ["void"]
    with pytest.raises(Refused):
        judged(runner, Outcome.AVOIDED, "enough")
