"""What the log keeps of an assignment's decision, and the decision read back from it, so that it is explained as taken.

Not for: words (`oncall.reading.explanation`), or deciding. Invariant: what is kept is enough for every sentence of an
explanation; what was never kept (an answer, a claim, a case moved by hand) reads back as None and is not made up.
"""

from collections.abc import Mapping
from typing import Any, Final

from oncall.case.event import CaseId, Event
from oncall.directory import PersonId
from oncall.reading.assignment import AssignmentDecision, Cause
from oncall.reading.eligibility import Exclusion, Rule
from oncall.reading.order import Band
from oncall.reading.planning import Score

_PARTS: Final = ("same_patient_s", "same_author_s", "expert_s", "last_resort_s", "fatigue_s")


def stored(decision: AssignmentDecision) -> dict[str, Any]:
    """Return what the event of an assignment carries of the decision: candidates, scores, exclusions, forecast.

    Instants are seconds since 1970 UTC, durations seconds, to the microsecond of the log's instants.
    """
    return {
        "rule": decision.band.name.lower(),
        "candidates": [one.person_id for one in decision.candidates],
        "scores": [[one.person_id, _us(one.total_s), _us(one.start_s), _parts(one)] for one in decision.candidates],
        "exclusions": [[one.person_id, one.rule.value, one.detail] for one in decision.excluded],
        "decided": {
            "previous": decision.previous,
            "start_s": _us(decision.predicted_start_s),
            "done_s": _us(decision.predicted_done_s),
            "deadline_s": _us(decision.deadline_at_s),
            "chance": round(decision.chance_of_hour, 4),
            "chance_if_delayed": round(decision.chance_if_delayed, 4),
        },
    }


def restored(event: Event) -> AssignmentDecision | None:
    """Return the decision that an assignment's event tells; None when it tells none (a person took or was given it)."""
    payload = event.fact.payload
    decided = payload.get("decided")
    if not isinstance(decided, Mapping) or payload.get("reason") not in set(Cause):
        return None
    previous = decided["previous"]
    return AssignmentDecision(
        at_s=event.fact.occurred_at.timestamp(),
        case_id=CaseId(event.case_id),
        cause=Cause(payload["reason"]),
        person_id=PersonId(payload["person_id"]),
        previous=None if previous is None else PersonId(previous),
        band=Band[str(payload["rule"]).upper()],
        predicted_start_s=decided["start_s"],
        predicted_done_s=decided["done_s"],
        deadline_at_s=decided["deadline_s"],
        chance_of_hour=decided["chance"],
        chance_if_delayed=decided["chance_if_delayed"],
        candidates=tuple(_score(*row) for row in payload["scores"]),
        excluded=tuple(
            Exclusion(person_id=PersonId(person_id), rule=Rule(rule), detail=detail)
            for person_id, rule, detail in payload["exclusions"]
        ),
        policy_version=event.fact.policy_version,
    )


def _parts(one: Score) -> dict[str, float]:
    parts = {name: round(getattr(one, name), 3) for name in _PARTS if getattr(one, name)}
    return {"wait_s": round(one.wait_s, 3), **parts}


def _score(person_id: str, _total_s: float, start_s: float, parts: Mapping[str, float]) -> Score:
    return Score(person_id=PersonId(person_id), start_s=start_s, **parts)


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
