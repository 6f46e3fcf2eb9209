"""The JSON interface's views of one case: its log, why it has this reader, and what it may belong together with.

Invariants: clinical text is given only to who treats or coordinates; opaque keys of patients and the locks of readings
are given to nobody.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from foundation.errors import PeerError
from oncall.case.event import Event
from oncall.case.matching import Match
from oncall.case.state import fold
from oncall.case.vocabulary import FREE_TEXT
from oncall.directory import PersonId
from oncall.reading.assignment import AssignmentDecision
from territory.oncall_web import case_view, priors_section
from territory.oncall_web.access import Holder, May
from territory.oncall_web.action_fields import study_name
from territory.oncall_web.app import Handler, Site
from territory.oncall_web.case_page import case_of, eyes_of, log_of, matches_of, not_chosen, reasons_of
from territory.oncall_web.completeness_view import completeness_json

_NEVER_GIVEN: Final = frozenset(
    {"patient_key", "former_patient_key", "other_patient_key", "transaction_uid", "replaced_transaction_uid"}
)


def show_log(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the whole log of a case, oldest first, with its chain of hashes."""
    del sent
    events = log_of(site, request, holder)
    eyes = eyes_of(site, request, holder, fold(events))
    lines = case_view.log_lines(events, eyes)
    return JSONResponse({"events": [_event(event, line, holder) for event, line in zip(events, lines, strict=True)]})


def show_why(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return every assignment, the newest first, with what its decision weighed; ``?not=PERSON`` asks about one."""
    del sent
    events = log_of(site, request, holder)
    case = fold(events)
    eyes = eyes_of(site, request, holder, case)
    answer: dict[str, Any] = {
        "case_id": case.case_id,
        "reader": case.reading.claimed_by or case.reading.assigned_to,
        "decisions": [
            {**decision_json(event, decision), "text": list(lines)}
            for (event, decision), (*_, lines) in zip(
                case_view.decisions(events), reasons_of(case, events, eyes), strict=True
            )
        ],
    }
    asked = PersonId(request.query_params.get("not", ""))
    if asked:
        if asked not in eyes.directory.persons:
            raise PeerError("not is the id of a person of the directory")
        answer["not"] = {"person_id": asked, "text": list(not_chosen(site, asked, events, eyes))}
    return JSONResponse(answer)


def show_candidates(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return what a case may belong together with, best first, and why."""
    del sent
    case = case_of(site, request, holder)
    return JSONResponse(
        {"case_id": case.case_id, "candidates": [_match(one) for one in matches_of(site, case, holder)]}
    )


def show_images(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return whether the images of a case are complete, by which evidence, and how sure that is."""
    del sent
    return JSONResponse(completeness_json(case_of(site, request, holder)))


def decision_json(event: Event, decision: AssignmentDecision | None) -> dict[str, Any]:
    """Return an assignment for programs: times in ISO 8601 UTC, scores in seconds; what no decision made has none."""
    payload = event.fact.payload
    made: dict[str, Any] = {
        "at": event.fact.occurred_at.isoformat(),
        "reader": payload["person_id"],
        "previous": payload.get("from_person_id"),
        "cause": payload.get("reason"),
        "policy_version": event.fact.policy_version,
        "roster_version": event.fact.roster_version,
    }
    if decision is None:
        return {**made, "rule": None, "candidates": [], "excluded": []}
    return {
        **made,
        "rule": decision.band.name.lower(),
        "predicted_start_at": _iso(decision.predicted_start_s),
        "predicted_done_at": _iso(decision.predicted_done_s),
        "chance_of_hour": decision.chance_of_hour,
        "candidates": [
            {"person_id": one.person_id, "score_s": round(one.total_s, 3), "free_at": _iso(one.start_s)}
            for one in decision.candidates
        ],
        "excluded": [
            {"person_id": one.person_id, "rule": one.rule.value, "detail": one.detail} for one in decision.excluded
        ],
    }


def _event(event: Event, line: case_view.LogLine, holder: Holder) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "type": event.type,
        "occurred_at": event.fact.occurred_at.isoformat(),
        "recorded_at": event.recorded_at.isoformat(),
        "actor": event.fact.actor.who,
        "text": f"{line.what}: {line.detail}" if line.detail else line.what,
        "payload": _given(event.fact.payload, holder),
        "policy_version": event.fact.policy_version,
        "roster_version": event.fact.roster_version,
        "hash": event.hash,
    }


def _given(payload: Mapping[str, Any], holder: Holder) -> dict[str, Any]:
    withheld = _NEVER_GIVEN if holder.may_see_clinical_text else _NEVER_GIVEN | FREE_TEXT | {"reason"}
    return {key: value for key, value in payload.items() if key not in withheld}


def _match(one: Match) -> dict[str, Any]:
    return {
        "case_id": one.case_id,
        "study": None if one.study is None else study_name(one.study),
        "score": one.score,
        "evidence": [evidence.value for evidence in one.evidence],
        "is_beyond_doubt": one.is_beyond_doubt,
    }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def show_priors(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return what is known of the patient's earlier exams: those that may answer the request, and those to compare."""
    del sent
    case = case_of(site, request, holder)
    return JSONResponse(priors_section.to_json(case, eyes_of(site, request, holder, case)))


CASE_API: Final[tuple[tuple[str, tuple[str, ...], May | None, Handler], ...]] = (
    ("/oncall/api/cases/{case_id}/log", ("GET",), May.WATCH, show_log),
    ("/oncall/api/cases/{case_id}/why", ("GET",), May.WATCH, show_why),
    ("/oncall/api/cases/{case_id}/priors", ("GET",), May.WATCH, show_priors),
    ("/oncall/api/cases/{case_id}/candidates", ("GET",), May.WATCH, show_candidates),
    ("/oncall/api/cases/{case_id}/images", ("GET",), May.WATCH, show_images),
)
"""Address, methods, what a token must be good for, and who answers."""
