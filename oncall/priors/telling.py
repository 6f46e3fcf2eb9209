"""What a search for earlier exams, and a look at whether they can be read, say to a case: facts, each once.

For: `oncall.engine.priors`. Not for: searching. Invariants: what the case knows already is not said again; a search
that failed says so and never that there is nothing.
"""

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any, Final

from foundation.instants import microseconds_or_none
from oncall.case import commands
from oncall.case.commands import Context, Facts
from oncall.case.effects_priors import FOUND
from oncall.case.event import Fact
from oncall.case.regions import ExamState, ImagesState, RequestState, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.priors.model import PriorAnswer, PriorExam, PriorQuestion, Readiness
from oncall.priors.rank import Asked, Ranked, ranked, worth_fetching
from oncall.priors.redundancy import equivalents

SOURCE: Final = "territory"
"""Where it was looked: every hospital of this archive."""

SEARCH_FAILED: Final = "search_failed"
"""Why nothing is known of earlier exams: the archive did not answer."""

PATIENT_UNKNOWN: Final = "patient_unknown"
"""Why nothing is known of earlier exams: nobody knows whose to look for."""

INSTANCES_MISSING: Final = "instances_missing"
"""Why an earlier exam is not ready: not every instance can be read at once."""

NO_LONGER_FOUND: Final = "no_longer_found"
"""Why an earlier exam is none: it is not this patient's after all, or it has gone."""

VOID: Final = "void"
"""The outcome of an equivalent exam that is not this patient's after all, or has gone."""

NOT_LOOKED_AT: Final = "storage_away"
"""Why an earlier exam is not ready: its storage did not answer."""

_UNDECIDED: Final = frozenset({RequestState.SUBMITTED, RequestState.CLARIFYING, RequestState.ANSWERED})


def question_of(case: Case) -> PriorQuestion | None:
    """Return what is to be asked about a case; None while nothing says whose it is."""
    if not case.request.request_id and not case.images.studies:
        return None
    return PriorQuestion(order_id=case.request.request_id, studies=case.images.studies, site_id=case.site_id)


def asked_of(case: Case, answer: PriorAnswer) -> Asked:
    """Return the exam that a case asks for."""
    return Asked(exam=case.exam, modality=case.request.modality, laterality=answer.laterality)


def may_be_avoided(case: Case) -> bool:
    """Say whether the exam could still be left out: it was requested, and nothing of it has begun."""
    return (
        case.request.state in _UNDECIDED
        and case.acquisition.state in {ExamState.NONE, ExamState.ARRIVED}
        and case.images.state is ImagesState.NONE
    )


def fetched(case: Case, answer: PriorAnswer, now: datetime) -> tuple[Ranked, ...]:
    """Return the earlier exams that are to be made ready."""
    return worth_fetching(ranked(asked_of(case, answer), _others(case, answer), now))


def tell_answer(case: Case, context: Context, answer: PriorAnswer) -> Facts:
    """Return what an answer says that the case does not know: equivalent exams, and those worth comparing, ranked."""
    if not answer.is_patient_known:
        return tell_unknown(case, context, PATIENT_UNKNOWN)
    facts: list[Fact] = []
    others = _others(case, answer)
    known = {one.study for one in case.request.prior_exams}
    if may_be_avoided(case):
        facts += [
            context.fact(EventType.REQUEST_PRIOR_EXAM_FOUND, outcome=FOUND, **_said(prior))
            for prior in equivalents(asked_of(case, answer), others, context.now)
            if prior.study not in known
        ]
    listed = {one.study for one in case.request.priors}
    facts += _withdrawn(case, context, {one.study for one in others})
    new = [one for one in fetched(case, answer, context.now) if one.prior.study not in listed]
    facts += [context.fact(EventType.PRIORS_REQUESTED, **_said(one.prior), score=one.score) for one in new]
    if case.request.priors_known_at is None or case.request.priors_unknown or facts:
        facts.append(context.fact(EventType.PRIORS_REQUESTED, source=SOURCE, count=len(others)))
    return commands.possible(case, *facts)


def _withdrawn(case: Case, context: Context, found: Set[StudyKey]) -> list[Fact]:
    """Return what was told and is not so any more: patients were parted, or a study has gone."""
    gone = [one for one in case.request.prior_exams if one.study not in found and one.outcome == FOUND]
    facts = [
        context.fact(EventType.REQUEST_PRIOR_EXAM_FOUND, outcome=VOID, source=SOURCE, **one.study._asdict())
        for one in gone
    ]
    return facts + [
        context.fact(EventType.PRIORS_UNAVAILABLE, reason=NO_LONGER_FOUND, **one.study._asdict())
        for one in case.request.priors
        if one.study not in found and one.reason != NO_LONGER_FOUND and one.study not in case.images.studies
    ]


def tell_unknown(case: Case, context: Context, reason: str) -> Facts:
    """Return that nothing is known of earlier exams, and why; not twice for the same reason."""
    if case.request.priors_unknown == reason:
        return ()
    return commands.say(case, context, EventType.PRIORS_UNAVAILABLE, reason=reason, source=SOURCE)


def tell_readiness(case: Case, context: Context, study: StudyKey, readiness: Readiness | None) -> Facts:
    """Return whether an earlier exam can be read at once, unless the case knows that; None: nobody could look."""
    known = next((one for one in case.request.priors if one.study == study), None)
    if known is None:
        return ()
    named = {"issuer": study.issuer, "study_instance_uid": study.study_instance_uid}
    if readiness is not None and readiness.is_ready:
        if known.is_ready and known.instances == readiness.instances:
            return ()
        return commands.say(case, context, EventType.PRIORS_AVAILABLE, **named, count=readiness.instances)
    reason = NOT_LOOKED_AT if readiness is None else INSTANCES_MISSING
    if known.is_ready is False and known.reason == reason:
        return ()
    counts = {} if readiness is None else {"count": readiness.instances, "missing": readiness.missing}
    return commands.say(case, context, EventType.PRIORS_UNAVAILABLE, **named, reason=reason, **counts)


def _others(case: Case, answer: PriorAnswer) -> tuple[PriorExam, ...]:
    own = frozenset(case.images.studies)
    return tuple(prior for prior in answer.exams if prior.study not in own)


def _said(prior: PriorExam) -> Mapping[str, Any]:
    return {
        "issuer": prior.study.issuer,
        "study_instance_uid": prior.study.study_instance_uid,
        "source": SOURCE,
        "modality": "/".join(prior.modalities),
        "exam": None if prior.exam is None else prior.exam.value,
        "performed_at_us": microseconds_or_none(prior.performed_at),
        "same_person": prior.same_person.value,
    }
