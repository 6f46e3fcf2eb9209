"""What an event changes in what is known of earlier exams: recent equivalent ones, and those to compare with.

Written so that a repeated fact changes nothing: each study is listed once, and keeps its place. What may make the case
another patient's forgets them all: earlier exams of somebody else are worse than none.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from oncall.case.effects_reading import Changes, Effect
from oncall.case.event import Event, Fact, instant_or_none
from oncall.case.regions import PriorFound, PriorStudy, StudyKey
from oncall.case.vocabulary import EventType as E

if TYPE_CHECKING:
    from oncall.case.state import Case

FOUND: Final = "found"
"""The outcome of an equivalent exam that nobody has judged yet."""


def _study(fact: Fact) -> StudyKey | None:
    payload = fact.payload
    return StudyKey(payload["issuer"], payload["study_instance_uid"]) if "study_instance_uid" in payload else None


def _prior_exam_found(case: "Case", event: Event) -> Changes:
    study, payload = _study(event.fact), event.fact.payload
    if study is None:
        return {}
    known = {one.study: one for one in case.request.prior_exams}
    outcome = str(payload["outcome"])
    if study not in known:
        known[study] = PriorFound(
            study=study,
            outcome=outcome,
            modality=payload.get("modality", ""),
            exam=payload.get("exam", ""),
            performed_at=instant_or_none(payload, "performed_at_us"),
            decided_by="" if outcome == FOUND else event.fact.actor.who,
        )
    elif outcome != FOUND:
        known[study] = known[study]._replace(outcome=outcome, decided_by=event.fact.actor.who)
    return {"prior_exams": tuple(known.values())}


def _priors_requested(case: "Case", event: Event) -> Changes:
    study, payload = _study(event.fact), event.fact.payload
    if study is None:
        return {"priors_known_at": event.fact.occurred_at, "priors_unknown": ""}
    if any(one.study == study for one in case.request.priors):
        return {}
    prior = PriorStudy(
        study=study,
        modality=payload.get("modality", ""),
        exam=payload.get("exam", ""),
        performed_at=instant_or_none(payload, "performed_at_us"),
        same_person=payload.get("same_person", ""),
        score=payload.get("score", 0),
    )
    return {"priors": (*case.request.priors, prior)}


def _priors_available(case: "Case", event: Event) -> Changes:
    return _told(case, event.fact, is_ready=True, reason="")


def _priors_unavailable(case: "Case", event: Event) -> Changes:
    reason = str(event.fact.payload["reason"])
    if _study(event.fact) is None:
        return {"priors_unknown": reason}
    return _told(case, event.fact, is_ready=False, reason=reason)


def _told(case: "Case", fact: Fact, *, is_ready: bool, reason: str) -> Changes:
    study = _study(fact)
    if study is None:
        return {}
    known = {one.study: one for one in case.request.priors}
    before = known.get(study, PriorStudy(study=study))
    known[study] = before._replace(
        is_ready=is_ready, reason=reason, instances=fact.payload.get("count", before.instances)
    )
    return {"priors": tuple(known.values())}


def forgotten() -> Changes:
    """Return what is known of earlier exams when the case may be another patient's: nothing, until it is looked for."""
    return {"prior_exams": (), "priors": (), "priors_known_at": None, "priors_unknown": ""}


PRIORS_EFFECTS: Final[Mapping[E, Effect]] = MappingProxyType(
    {
        E.REQUEST_PRIOR_EXAM_FOUND: _prior_exam_found,
        E.PRIORS_REQUESTED: _priors_requested,
        E.PRIORS_AVAILABLE: _priors_available,
        E.PRIORS_UNAVAILABLE: _priors_unavailable,
        E.IDENTITY_CORRECTED: lambda _, __: forgotten(),
        E.IDENTITY_SPLIT: lambda _, __: forgotten(),
        E.IMAGES_UNLINKED: lambda _, __: forgotten(),
        E.IMAGES_LAST_UNLINKED: lambda _, __: forgotten(),
    }
)
"""By type of event, all of the region of the request."""
