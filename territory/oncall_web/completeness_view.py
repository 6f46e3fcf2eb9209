"""Why the images of a case count as complete, or do not, for people and for programs.

For: the part of the case's page about images, the remark on the wall, ``GET /oncall/api/cases/{id}/images``. Not for:
what evidence comes to (`oncall.case.completeness`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oncall.case.completeness import known_missing, next_look_at, standing_confidence
from oncall.case.image_evidence import EvidenceKind, ImageEvidence
from oncall.case.intake_policy import IntakePolicy
from oncall.case.regions import ImagesState
from oncall.case.state import Case
from territory.oncall_web.case_view import Eyes


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceLine:
    """One piece of evidence in words; `when` is a local time."""

    what: str
    confidence: str
    when: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletenessView:
    """What the page says of a case's images; '' for what does not apply, times are local texts."""

    since: str
    rule: str
    confidence: str
    now: str
    missing: int
    reopened: str
    again: str
    stalled: str
    link_lost: str
    next: str
    evidence: tuple[EvidenceLine, ...]


def completeness_of(case: Case, policy: IntakePolicy, eyes: Eyes) -> CompletenessView:
    """Return what is to be said of the images of a case."""
    images = case.images

    def clock(at: datetime | None) -> str:
        return "" if at is None else eyes.clock(at, seconds=True)

    standing = standing_confidence(case)
    is_open = images.state is not ImagesState.COMPLETE or images.is_reopened
    return CompletenessView(
        since=clock(images.complete_at),
        rule=_rule(images.rule, eyes),
        confidence=eyes.say(f"confidence.{images.confidence}") if images.confidence else "",
        now="" if standing is None or standing == images.confidence else eyes.say(f"confidence.{standing.value}"),
        missing=known_missing(case),
        reopened=clock(images.reopened_at),
        again=clock(images.complete_again_at) if not images.is_reopened else "",
        stalled=clock(images.stalled_since),
        link_lost=clock(images.link_lost_at),
        next=clock(next_look_at(case, policy)) if is_open and not known_missing(case) else "",
        evidence=tuple(_line(one, eyes) for one in images.evidence if one.count != 0),
    )


def remark_of(case: Case) -> str:
    """Return the one word of what is remarkable about the images of a case; '' when nothing is."""
    images = case.images
    if images.stalled_since is not None:
        return "stalled"
    if images.is_reopened:
        return "reopened"
    if images.link_lost_at is not None and images.state is not ImagesState.COMPLETE:
        return "link_lost"
    standing = standing_confidence(case)
    return "presumed" if standing is not None and standing.value == "presumed" else ""


def completeness_json(case: Case) -> dict[str, Any]:
    """Return the completeness of a case for programs: instants in ISO 8601 UTC, None for what is not."""
    images, standing = case.images, standing_confidence(case)
    return {
        "case_id": case.case_id,
        "state": images.state.value,
        "received": images.received,
        "expected": images.expected,
        "missing": known_missing(case),
        "complete_at": _iso(images.complete_at),
        "rule": images.rule or None,
        "confidence": images.confidence or None,
        "standing_confidence": None if standing is None else standing.value,
        "deadline_at": _iso(images.deadline_at),
        "is_reopened": images.is_reopened,
        "reopened_at": _iso(images.reopened_at),
        "complete_again_at": _iso(images.complete_again_at),
        "stalled_since": _iso(images.stalled_since),
        "link_lost_at": _iso(images.link_lost_at),
        "late_instances": images.late_instances,
        "evidence": [{**one.payload(), "at": one.at.isoformat()} for one in images.evidence],
    }


def _rule(rule: str, eyes: Eyes) -> str:
    # A case of which no image came by the archive may be complete by anybody's word.
    return eyes.say(f"evidence.{rule}") if rule in set(EvidenceKind) else rule


def _line(one: ImageEvidence, eyes: Eyes) -> EvidenceLine:
    details = []
    if one.count is not None:
        details.append(f"{one.count} {eyes.say('completeness.of')}")
    if one.missing:
        details.append(f"{one.missing} {eyes.say('completeness.missing')}")
    if one.is_insisted:
        details.append(eyes.say("evidence.insisted"))
    if one.how:
        details.append(eyes.say(f"ending.{one.how}"))
    return EvidenceLine(
        what=eyes.say(f"evidence.{one.kind.value}"),
        confidence=eyes.say(f"confidence.{one.confidence.value}"),
        when=eyes.clock(one.at, seconds=True),
        detail=", ".join(details),
    )


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
