"""From what a request says to how urgent it is, whom it needs and which clocks it starts.

A clinician's own urgency is never lowered here, and a pathway never makes a case less urgent than the request did.
Every conclusion names the rule that led to it, so that a regulator can see and change it (``request.triaged``).
Sources: §1.9 (stroke 4 h 30, trauma 5 min verbal), §4.3 (targets), §1.10 (Banaste 2018: second reads of trauma).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from oncall.directory import Role, SubSpecialty
from oncall.reading.board import ExamKind, Urgency
from oncall.reading.policy import ReadingPolicy

# Thrombolysis window from last known well (§1.9).
ONSET_WINDOW_S: Final = 4.5 * 3600.0
# Banaste 2018: injuries are missed with more than two regions hit, above this age, or in severity class 1.
_SECOND_READ_AGE: Final = 30
_SECOND_READ_REGIONS: Final = 2
# Below this age the paediatric competence is asked for.
_ADULT_AGE: Final = 16

_NEEDS: Final = {
    ExamKind.STROKE: SubSpecialty.NEURO,
    ExamKind.WHOLE_BODY: SubSpecialty.TRAUMA,
    ExamKind.HEAD: SubSpecialty.NEURO,
    ExamKind.ABDOMEN: SubSpecialty.ABDOMEN,
    ExamKind.CHEST: SubSpecialty.CHEST,
    ExamKind.MSK: SubSpecialty.MSK,
}


class Pathway(StrEnum):
    """Ways of care with clocks and callers of their own."""

    NONE = "none"
    STROKE = "stroke"
    POLYTRAUMA = "polytrauma"


class TriageRule(StrEnum):
    """Why a request got its class."""

    REQUESTED = "requested"
    LIFE_THREAT = "life_threat"
    STROKE_PATHWAY = "stroke_pathway"
    STROKE_WINDOW_OPEN = "stroke_window_open"
    WAKE_UP_STROKE = "wake_up_stroke"
    POLYTRAUMA_PATHWAY = "polytrauma_pathway"
    PAEDIATRIC = "paediatric"
    SECOND_READ = "second_read"


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFacts:
    """What a request says that matters for its urgency; nothing that names the patient.

    ``last_known_well_at_s`` (seconds since 1970 UTC) is None when the onset is unknown (wake-up stroke).
    """

    exam: ExamKind
    requested: Urgency
    at_s: float
    pathway: Pathway = Pathway.NONE
    is_life_threat: bool = False
    last_known_well_at_s: float | None = None
    age_years: int | None = None
    regions: int = 1
    severity_class: int | None = None
    is_general_enough: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Triage:
    """The class of a case, its clocks in seconds after images complete, and the specialists in the order of asking.

    ``onset_deadline_at_s`` is the end of the thrombolysis window, shown on every screen. ``verbal_s`` is the target for
    the first communicated finding.
    """

    urgency: Urgency
    needs: SubSpecialty
    deadline_s: float
    target_s: float
    verbal_s: float
    onset_deadline_at_s: float | None
    is_second_read_due: bool
    ladder: tuple[tuple[Role, SubSpecialty], ...]
    rules: tuple[TriageRule, ...]


def triage(facts: RequestFacts, policy: ReadingPolicy) -> Triage:
    """Return the class, needs and clocks of a request."""
    rules: list[TriageRule] = []
    urgency = facts.requested
    pathway = _pathway(facts)
    if facts.is_life_threat:
        urgency = Urgency.P1
        rules.append(TriageRule.LIFE_THREAT)
    if pathway is Pathway.STROKE:
        urgency = Urgency.P1
        rules.append(TriageRule.STROKE_PATHWAY)
        rules.append(TriageRule.WAKE_UP_STROKE if facts.last_known_well_at_s is None else TriageRule.STROKE_WINDOW_OPEN)
    if pathway is Pathway.POLYTRAUMA:
        urgency = Urgency.P1
        rules.append(TriageRule.POLYTRAUMA_PATHWAY)
    if not rules:
        rules.append(TriageRule.REQUESTED)
    needs = _needs(facts, pathway)
    if needs is SubSpecialty.PAEDIATRIC:
        rules.append(TriageRule.PAEDIATRIC)
    is_second_read_due = pathway is Pathway.POLYTRAUMA and _is_second_read_due(facts)
    if is_second_read_due:
        rules.append(TriageRule.SECOND_READ)
    onset = facts.last_known_well_at_s if pathway is Pathway.STROKE else None
    return Triage(
        urgency=urgency,
        needs=needs,
        deadline_s=policy.deadline_s[urgency],
        target_s=policy.target_s[urgency],
        verbal_s=policy.verbal_trauma_s if pathway is Pathway.POLYTRAUMA else policy.target_s[urgency],
        onset_deadline_at_s=None if onset is None else onset + ONSET_WINDOW_S,
        is_second_read_due=is_second_read_due,
        ladder=_ladder(pathway, needs),
        rules=tuple(rules),
    )


def _pathway(facts: RequestFacts) -> Pathway:
    if facts.pathway is not Pathway.NONE:
        return facts.pathway
    if facts.exam is ExamKind.STROKE:
        return Pathway.STROKE
    return Pathway.POLYTRAUMA if facts.exam is ExamKind.WHOLE_BODY else Pathway.NONE


def _needs(facts: RequestFacts, pathway: Pathway) -> SubSpecialty:
    if pathway is Pathway.STROKE:
        return SubSpecialty.NEURO
    if pathway is Pathway.POLYTRAUMA:
        return SubSpecialty.TRAUMA
    if facts.age_years is not None and facts.age_years < _ADULT_AGE:
        return SubSpecialty.PAEDIATRIC
    return SubSpecialty.GENERAL if facts.is_general_enough else _NEEDS[facts.exam]


def _is_second_read_due(facts: RequestFacts) -> bool:
    return (
        facts.regions > _SECOND_READ_REGIONS
        or (facts.age_years is not None and facts.age_years > _SECOND_READ_AGE)
        or facts.severity_class == 1
    )


def _ladder(pathway: Pathway, needs: SubSpecialty) -> tuple[tuple[Role, SubSpecialty], ...]:
    if pathway is Pathway.STROKE:
        # Tele-stroke: the neurologist decides on treatment, the neuro-radiologist on the images (§3, L2).
        return (
            (Role.RADIOLOGIST, SubSpecialty.GENERAL),
            (Role.NEUROLOGIST, SubSpecialty.NEURO),
            (Role.RADIOLOGIST, SubSpecialty.NEURO),
        )
    if pathway is Pathway.POLYTRAUMA:
        return ((Role.RADIOLOGIST, SubSpecialty.TRAUMA), (Role.RADIOLOGIST, SubSpecialty.GENERAL))
    return ((Role.RADIOLOGIST, needs),)
