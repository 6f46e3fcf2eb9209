"""What an event changes in a region beside its state: one small function for each, returning the changed fields.

Written so that a repeated fact changes nothing that matters: what is set once is set by the first.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from oncall.case.effects_images import IMAGES_EFFECTS, steps_after
from oncall.case.effects_priors import PRIORS_EFFECTS, forgotten
from oncall.case.effects_reading import (
    DELIVERY_EFFECTS,
    IDENTITY_EFFECTS,
    READING_EFFECTS,
    REPORT_EFFECTS,
    Changes,
    Effect,
)
from oncall.case.effects_second_reading import SECOND_READING_EFFECTS
from oncall.case.event import Event, instant_or_none
from oncall.case.regions import RequestState
from oncall.case.vocabulary import EventType as E
from oncall.case.vocabulary import Region
from oncall.directory import PersonId

if TYPE_CHECKING:
    from oncall.case.state import Case

# Request


def request_changes(case: "Case", event: Event) -> Changes:
    """Return what a request says that was not known yet; a later message never empties what an earlier one filled."""
    request, payload = case.request, event.fact.payload
    changes: dict[str, Any] = {
        key: payload[key]
        for key in ("request_id", "placer_order_number", "accession_number", "requester", "modality", "target_s")
        if payload.get(key)
    }
    for name in ("onset_at", "expected_at"):
        if (at := instant_or_none(payload, f"{name}_us")) is not None:
            changes[name] = at
    if event.type == E.REQUEST_SUBMITTED and request.submitted_at is None:
        changes["submitted_at"] = event.fact.occurred_at
    elif event.type == E.REQUEST_PRE_ALERT and request.pre_alert_at is None:
        changes["pre_alert_at"] = event.fact.occurred_at
    return changes


def _request_matched(case: "Case", event: Event) -> Changes:
    payload = event.fact.payload
    return {
        **request_changes(case, event),
        "submitted_at": case.request.submitted_at or instant_or_none(payload, "submitted_at_us"),
        "answered_at": case.request.answered_at or instant_or_none(payload, "answered_at_us"),
        "matched_from": (*case.request.matched_from, payload["from_case_id"]),
    }


def _request_unmatched(case: "Case", event: Event) -> Changes:
    left = tuple(one for one in case.request.matched_from if one != event.fact.payload["from_case_id"])
    return {
        "matched_from": left,
        "submitted_at": None,
        "answered_at": None,
        "request_id": "",
        "placer_order_number": "",
        "accession_number": "",
        "requester": "",
        # Another patient's onset would be counted down on this one: an unknown one is asked for.
        "onset_at": None,
        **forgotten(),
    }


def _clarification_asked(case: "Case", event: Event) -> Changes:
    return {"clarification_asked_at": case.request.clarification_asked_at or event.fact.occurred_at}


def _clarification_ended(case: "Case", event: Event) -> Changes:
    asked = case.request.clarification_asked_at
    if asked is None:
        return {}
    waited = max(0.0, (event.fact.occurred_at - asked).total_seconds())
    return {"clarification_asked_at": None, "clarification_s": case.request.clarification_s + waited}


def _clarified(case: "Case", event: Event) -> Changes:
    return {**_clarification_ended(case, event), "resumed_at": event.fact.occurred_at}


def _request_answered(case: "Case", event: Event) -> Changes:
    return {
        **_clarification_ended(case, event),
        "answered_at": case.request.answered_at or event.fact.occurred_at,
    }


def _request_triaged(case: "Case", event: Event) -> Changes:
    onset = instant_or_none(event.fact.payload, "onset_at_us")
    return {"triaged_at": event.fact.occurred_at, **({} if onset is None else {"onset_at": onset})}


def _request_reopened(case: "Case", event: Event) -> Changes:
    resumed = {"resumed_at": event.fact.occurred_at}
    return {**resumed, "merged_into": ""} if case.request.state is RequestState.MERGED else resumed


# Protocol and exam


def _protocol_drawn_up(_: "Case", event: Event) -> Changes:
    author = event.fact.payload.get("author")
    changes: dict[str, Any] = {"version": event.fact.payload["version"]}
    return {**changes, "author": PersonId(author)} if author else changes


def _protocol_sent(case: "Case", event: Event) -> Changes:
    if case.protocol.sent_at is not None:
        return {}
    return {**_protocol_drawn_up(case, event), "sent_at": event.fact.occurred_at, "said": event.fact.payload}


def _protocol_superseded(case: "Case", event: Event) -> Changes:
    return {
        **_protocol_drawn_up(case, event),
        "sent_at": event.fact.occurred_at,
        "said": event.fact.payload,
        "acknowledged_at": None,
        "acknowledged_by": "",
        # A new version answers what was asked about the one before.
        "open_questions": 0,
    }


def _protocol_acknowledged(case: "Case", event: Event) -> Changes:
    if case.protocol.acknowledged_at is not None:
        return {}
    return {"acknowledged_at": event.fact.occurred_at, "acknowledged_by": event.fact.payload["radiographer"]}


def _deviation_detected(case: "Case", event: Event) -> Changes:
    protocol, deviation_id = case.protocol, event.fact.payload.get("deviation_id", "")
    if deviation_id and deviation_id in protocol.deviations:
        return {}
    seen = (*protocol.deviations, deviation_id) if deviation_id else protocol.deviations
    return {"deviations_open": protocol.deviations_open + 1, "deviations": seen}


def _deviation_justified(case: "Case", event: Event) -> Changes:
    protocol, deviation_id = case.protocol, event.fact.payload.get("deviation_id", "")
    if deviation_id and (deviation_id not in protocol.deviations or deviation_id in protocol.deviations_justified):
        return {}
    named = (*protocol.deviations_justified, deviation_id) if deviation_id else protocol.deviations_justified
    return {"deviations_open": max(0, protocol.deviations_open - 1), "deviations_justified": named}


def _exam_started(case: "Case", event: Event) -> Changes:
    return {
        "started_at": case.acquisition.started_at or event.fact.occurred_at,
        "steps": steps_after(case.acquisition.steps, event.fact),
    }


def _exam_ended(case: "Case", event: Event) -> Changes:
    changes: dict[str, Any] = {
        "ended_at": case.acquisition.ended_at or event.fact.occurred_at,
        "steps": steps_after(case.acquisition.steps, event.fact),
    }
    if event.fact.payload.get("expected") is not None:
        changes["expected_instances"] = event.fact.payload["expected"]
    return changes


EFFECTS: Final[Mapping[Region, Mapping[E, Effect]]] = MappingProxyType(
    {
        Region.REQUEST: {
            E.REQUEST_DRAFTED: request_changes,
            E.REQUEST_PRE_ALERT: request_changes,
            E.REQUEST_UNANNOUNCED: request_changes,
            E.REQUEST_SUBMITTED: request_changes,
            E.REQUEST_MATCHED: _request_matched,
            E.REQUEST_UNMATCHED: _request_unmatched,
            E.REQUEST_CLARIFICATION_ASKED: _clarification_asked,
            E.REQUEST_CLARIFICATION_ANSWERED: _clarified,
            E.REQUEST_TRIAGED: _request_triaged,
            E.PROTOCOL_SENT: _request_answered,
            E.REQUEST_REFUSED: _request_answered,
            E.REQUEST_DUPLICATE_MERGED: lambda _, event: {"merged_into": event.fact.payload["into_case_id"]},
            E.CASE_REOPENED: _request_reopened,
            **PRIORS_EFFECTS,
        },
        Region.PROTOCOL: {
            E.PROTOCOL_PROPOSED: _protocol_drawn_up,
            E.PROTOCOL_MODIFIED: _protocol_drawn_up,
            E.PROTOCOL_SENT: _protocol_sent,
            E.PROTOCOL_SUPERSEDED: _protocol_superseded,
            E.PROTOCOL_ACKNOWLEDGED: _protocol_acknowledged,
            E.PROTOCOL_QUESTION: lambda case, event: {
                "open_questions": case.protocol.open_questions + 1,
                "questioned_at": event.fact.occurred_at,
            },
            E.PROTOCOL_ANSWERED: lambda case, _: {"open_questions": max(0, case.protocol.open_questions - 1)},
            E.PROTOCOL_DEVIATION_DETECTED: _deviation_detected,
            E.PROTOCOL_DEVIATION_JUSTIFIED: _deviation_justified,
        },
        Region.EXAM: {
            E.EXAM_STARTED: _exam_started,
            E.EXAM_COMPLETED: _exam_ended,
            E.EXAM_DISCONTINUED: _exam_ended,
            E.EXAM_ADVERSE_EVENT: lambda case, _: {"adverse_events": case.acquisition.adverse_events + 1},
            E.EXAM_PATIENT_RELEASED: lambda _, __: {"is_patient_released": True},
        },
        Region.IMAGES: IMAGES_EFFECTS,
        Region.READING: READING_EFFECTS,
        Region.REPORT: REPORT_EFFECTS,
        Region.DELIVERY: DELIVERY_EFFECTS,
        Region.SECOND_READING: SECOND_READING_EFFECTS,
        Region.IDENTITY: IDENTITY_EFFECTS,
    }
)
