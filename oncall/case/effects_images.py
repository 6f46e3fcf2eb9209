"""What an event changes in what is known of the images: their arrival, what says that they are complete, T1.

Written so that a repeated fact changes nothing that matters: T1, its rule and the deadline are set by the first
``images.complete`` and by nothing after it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from foundation.instants import instant_of_us
from oncall.case.effects_reading import Changes, Effect
from oncall.case.event import Event, Fact, instant_or_none
from oncall.case.image_evidence import EvidenceKind, evidence_of, with_evidence, without_study
from oncall.case.regions import ImagesState, PerformedStep, StudyKey
from oncall.case.vocabulary import EventType as E

if TYPE_CHECKING:
    from oncall.case.state import Case

SITE_LINK: Final = "site_link"
"""`mode.degraded_entered` of a case whose hospital's link is lost."""


def steps_after(steps: tuple[PerformedStep, ...], fact: Fact) -> tuple[PerformedStep, ...]:
    """Return the performed procedure steps after the scanner has told of one; what has ended stays so."""
    mpps_uid = fact.payload.get("mpps_uid")
    if not mpps_uid:
        return steps
    before = next((step for step in steps if step.mpps_uid == mpps_uid), PerformedStep(mpps_uid))
    expected = fact.payload.get("expected", before.expected)
    after = PerformedStep(mpps_uid, before.is_ended or fact.type != E.EXAM_STARTED, expected)
    if before not in steps:
        return (*steps, after)
    return tuple(after if step.mpps_uid == mpps_uid else step for step in steps)


def _arrived(case: "Case", event: Event) -> Changes:
    images, payload, at = case.images, event.fact.payload, event.fact.occurred_at
    changes: dict[str, Any] = {
        "received": images.received + payload.get("received", 0),
        "first_at": images.first_at or at,
        "latest_at": at if images.latest_at is None else max(at, images.latest_at),
        "stalled_since": None,
    }
    if payload.get("expected") is not None:
        changes["expected"] = payload["expected"]
    if "study_instance_uid" in payload:
        changes["studies"] = _with_study(case, event.fact)
        if "outbox_event_id" in payload:
            changes["told"] = _told_after(case, event.fact)
    return changes


def _told_after(case: "Case", fact: Fact) -> tuple[tuple[StudyKey, int], ...]:
    study = StudyKey(fact.payload["issuer"], fact.payload["study_instance_uid"])
    others = tuple(one for one in case.images.told if one[0] != study)
    return (*others, (study, max(case.images.told_by(study), fact.payload["outbox_event_id"])))


def _with_study(case: "Case", fact: Fact) -> tuple[StudyKey, ...]:
    study = StudyKey(fact.payload["issuer"], fact.payload["study_instance_uid"])
    return case.images.studies if study in case.images.studies else (*case.images.studies, study)


def _without_study(case: "Case", event: Event) -> Changes:
    gone = (event.fact.payload["issuer"], event.fact.payload["study_instance_uid"])
    return {
        "studies": tuple(study for study in case.images.studies if study != gone),
        "evidence": without_study(case.images.evidence, gone[1]),
    }


def _without_last_study(case: "Case", event: Event) -> Changes:
    return {**_without_study(case, event), "evidence": (), "reopened_at": None, "stalled_since": None}


def _expected_told(case: "Case", event: Event) -> Changes:
    """Keep how many images are expected: of all steps of the exam, where the scanner tells it step by step."""
    expected = event.fact.payload.get("expected")
    if expected is None:
        return {}
    counts = [step.expected for step in steps_after(case.acquisition.steps, event.fact) if step.expected is not None]
    in_all = sum(counts) if counts else expected
    return {"expected": in_all, **_reopened_if(case, event, is_missing=in_all > case.images.received)}


def _evidence_found(case: "Case", event: Event) -> Changes:
    found = evidence_of(event.fact.payload, event.fact.occurred_at)
    is_counted_short = found.kind is EvidenceKind.RADIOGRAPHER_BUTTON and (found.count or 0) > case.images.received
    is_missing = (found.missing > 0 or is_counted_short) and not found.is_insisted
    return {
        "evidence": with_evidence(case.images.evidence, found),
        **_reopened_if(case, event, is_missing=is_missing),
    }


def _reopened_if(case: "Case", event: Event, *, is_missing: bool) -> Changes:
    images = case.images
    if not is_missing or images.state is not ImagesState.COMPLETE or images.is_reopened:
        return {}
    return {"reopened_at": event.fact.occurred_at, "reopenings": images.reopenings + 1}


def _stalled(case: "Case", event: Event) -> Changes:
    return {"stalled_since": case.images.stalled_since or event.fact.occurred_at}


def _completed(case: "Case", event: Event) -> Changes:
    """T1: the one event that sets the contract's deadline, and only when none is set."""
    images, fact = case.images, event.fact
    changes: dict[str, Any] = {"stalled_since": None}
    if "study_instance_uid" in fact.payload:
        changes["studies"] = _with_study(case, fact)
    if images.deadline_at is None:
        deadline = instant_of_us(fact.payload["deadline_at_us"])
        target = instant_or_none(fact.payload, "target_at_us") or deadline
        wished = case.images.target_at
        changes |= {
            "complete_at": fact.occurred_at,
            "rule": fact.payload["rule"],
            "confidence": fact.payload.get("confidence", ""),
            "deadline_at": deadline,
            "deadline_policy": fact.policy_version,
            "target_at": target if wished is None else min(target, wished),
        }
    return changes


def _late(case: "Case", event: Event) -> Changes:
    return {
        **_arrived(case, event),
        "late_instances": case.images.late_instances + event.fact.payload.get("received", 0),
        "late_since": case.images.late_since or event.fact.occurred_at,
        **_reopened_if(case, event, is_missing=True),
    }


def _complete_again(_: "Case", event: Event) -> Changes:
    fact = event.fact
    return {
        "reopened_at": None,
        "stalled_since": None,
        "complete_again_at": fact.occurred_at,
        "complete_again_rule": fact.payload["rule"],
    }


def _noted(case: "Case", event: Event) -> Changes:
    return {"noted_event_id": max(case.images.noted_event_id, event.fact.payload.get("outbox_event_id", 0))}


def _conflict_noted(case: "Case", event: Event) -> Changes:
    return {**_noted(case, event), "conflicts": case.images.conflicts + 1}


def _target_tightened(case: "Case", event: Event) -> Changes:
    """A target may come nearer, never move away, and never lies after the deadline."""
    wished = instant_or_none(event.fact.payload, "target_at_us")
    if wished is None:
        return {}
    known = [at for at in (wished, case.images.target_at, case.images.deadline_at) if at is not None]
    return {"target_at": min(known)}


def _link_lost(case: "Case", event: Event) -> Changes:
    if event.fact.payload["what"] != SITE_LINK:
        return {}
    return {"link_lost_at": case.images.link_lost_at or event.fact.occurred_at}


def _link_back(_: "Case", event: Event) -> Changes:
    if event.fact.payload["what"] != SITE_LINK:
        return {}
    return {"link_lost_at": None, "link_back_at": event.fact.occurred_at}


IMAGES_EFFECTS: Final[Mapping[E, Effect]] = MappingProxyType(
    {
        E.IMAGES_FIRST_INSTANCE: _arrived,
        E.IMAGES_PROGRESS: _arrived,
        E.IMAGES_RESUMED: _arrived,
        E.IMAGES_EVIDENCE_FOUND: _evidence_found,
        E.IMAGES_STALLED: _stalled,
        E.IMAGES_COMPLETE: _completed,
        E.IMAGES_LATE_INSTANCE: _late,
        E.IMAGES_COMPLETE_AGAIN: _complete_again,
        E.IMAGES_LINKED: _arrived,
        E.IMAGES_UNLINKED: _without_study,
        E.IMAGES_LAST_UNLINKED: _without_last_study,
        E.IMAGES_CONFLICT: _conflict_noted,
        E.IDENTITY_IN_TWO_PATIENTS: _noted,
        E.IMAGES_QUALITY_REJECTED: lambda case, _: {"quality_rejections": case.images.quality_rejections + 1},
        E.EXAM_COMPLETED: _expected_told,
        E.MODE_DEGRADED_ENTERED: _link_lost,
        E.MODE_DEGRADED_LEFT: _link_back,
        E.REQUEST_TRIAGED: _target_tightened,
    }
)
