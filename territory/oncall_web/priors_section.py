"""Earlier exams on the page of a case: what may answer the request, what is there to compare, and what a reader says.

For: `case_page`, `protocol_page`, the JSON interface and `actions`. Not for: searching (`oncall.engine.priors`).

Invariant: where nothing could be searched, or nobody knows whose the case is, that is said; an empty list is shown only
after a search that answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from oncall.case.commands import Context, Facts
from oncall.case.regions import PriorFound, PriorStudy, StudyKey
from oncall.case.state import Case
from oncall.directory import PersonId
from oncall.priors.commands import Outcome, judge
from oncall.priors.telling import NO_LONGER_FOUND, may_be_avoided
from territory.oncall_web.action_fields import study_name
from territory.oncall_web.case_view import Eyes
from territory.oncall_web.doings import Call

_UNJUDGED: Final = frozenset({Outcome.FOUND.value, Outcome.CONFIRMED.value})


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorLine:
    """One earlier exam as it is shown; ``state`` is the key of a text."""

    study: StudyKey
    when: str
    modality: str
    exam: str
    hospital: str
    state: str
    instances: int = 0
    same_person: str = ""
    score: int = 0
    decided_by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorsView:
    """What is known of earlier exams. ``unknown`` is the key of why nothing is, '' when a search has answered."""

    equivalents: tuple[PriorLine, ...]
    priors: tuple[PriorLine, ...]
    unknown: str
    known_at: str

    @property
    def is_to_be_judged(self) -> bool:
        """Say whether an equivalent exam waits for a radiologist's word."""
        return any(one.state == f"prior.{Outcome.FOUND.value}" for one in self.equivalents)


def view(case: Case, eyes: Eyes) -> PriorsView:
    """Return what a case knows of earlier exams, in words."""
    request = case.request
    is_searched = request.priors_known_at is not None and not request.priors_unknown
    return PriorsView(
        equivalents=tuple(
            _line(one, eyes, state=f"prior.{one.outcome}", decided_by=one.decided_by)
            for one in request.prior_exams
            if one.outcome != Outcome.VOID
        ),
        priors=tuple(
            _line(
                one, eyes, state=_readiness(one), instances=one.instances, same_person=one.same_person, score=one.score
            )
            for one in request.priors
            if one.reason != NO_LONGER_FOUND
        ),
        unknown="" if is_searched else f"priors.unknown.{request.priors_unknown or 'not_yet'}",
        known_at="" if request.priors_known_at is None else eyes.clock(request.priors_known_at),
    )


def to_json(case: Case, eyes: Eyes) -> dict[str, Any]:
    """Return the same for programs; times in UTC."""
    request = case.request
    shown = view(case, eyes)
    return {
        "case_id": case.case_id,
        "is_searched": not shown.unknown,
        "searched_at": _iso(request.priors_known_at),
        "why_unknown": shown.unknown.removeprefix("priors.unknown."),
        "equivalents": [
            {**_exam_json(one), "outcome": one.outcome, "decided_by": one.decided_by} for one in request.prior_exams
        ],
        "priors": [
            {
                **_exam_json(one),
                "same_person": one.same_person,
                "score": one.score,
                "is_ready": one.is_ready,
                "instances": one.instances,
                "reason": one.reason,
            }
            for one in request.priors
        ],
    }


def options(case: Case, eyes: Eyes) -> tuple[tuple[str, str], ...]:
    """Return what a form offers to judge: the exam, and what it is called."""
    lines = {study_name(one.study): one for one in view(case, eyes).equivalents}
    return tuple((name, f"{lines[name].modality} {lines[name].when} {lines[name].hospital}") for name in found(case))


def found(case: Case) -> tuple[str, ...]:
    """Return the equivalent exams that may be judged."""
    return tuple(study_name(one.study) for one in case.request.prior_exams if one.outcome in _UNJUDGED)


def has_equivalent(case: Case, me: PersonId | None) -> bool:
    """Say whether a radiologist can still say that a recent exam is enough."""
    return case.is_open and bool(found(case)) and may_be_avoided(case)


def awaits_word(case: Case, me: PersonId | None) -> bool:
    """Say whether a radiologist can say that the new exam is needed all the same."""
    return case.is_open and any(one.outcome == Outcome.FOUND for one in case.request.prior_exams)


def avoid(call: Call) -> Case:
    """Say that a recent exam is enough: the request is refused."""
    return _judged(call, Outcome.AVOIDED)


def confirm(call: Call) -> Case:
    """Say that the new exam is needed all the same."""
    return _judged(call, Outcome.CONFIRMED)


def _judged(call: Call, outcome: Outcome) -> Case:
    def command(case: Case, context: Context) -> Facts:
        studies: Mapping[str, StudyKey] = {study_name(one.study): one.study for one in case.request.prior_exams}
        return judge(case, context, study=studies[call.values["prior"]], outcome=outcome, note=call.values["reason"])

    return call.execute(command)


def _line(one: PriorFound | PriorStudy, eyes: Eyes, **more: Any) -> PriorLine:
    hospitals: Sequence[str] = [site.name for site in eyes.directory.sites.values() if site.issuer == one.study.issuer]
    return PriorLine(
        study=one.study,
        when="" if one.performed_at is None else f"{one.performed_at.astimezone(eyes.zone):%Y-%m-%d %H:%M}",
        modality=one.modality,
        exam=f"exam.{one.exam}" if one.exam else "",
        hospital=hospitals[0] if hospitals else one.study.issuer,
        **more,
    )


def _readiness(one: PriorStudy) -> str:
    if one.is_ready is None:
        return "priors.looking"
    return "priors.ready" if one.is_ready else f"priors.not_ready.{one.reason}"


def _exam_json(one: PriorFound | PriorStudy) -> dict[str, Any]:
    return {
        "issuer": one.study.issuer,
        "study_instance_uid": one.study.study_instance_uid,
        "modality": one.modality,
        "exam": one.exam,
        "performed_at": _iso(one.performed_at),
    }


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
