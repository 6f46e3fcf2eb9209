"""What an event changes of the second reading and its discrepancy, like the effects of `oncall.case.effects`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from oncall.case.effects_reading import Changes, Effect
from oncall.case.event import Event, instant_or_none
from oncall.case.regions import SecondReadingPart
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId

if TYPE_CHECKING:
    from oncall.case.state import Case


def _required(case: "Case", event: Event) -> Changes:
    """What another rule asks for is added: the earlier due time counts, and blind is blind."""
    payload, known = event.fact.payload, case.second_reading
    dues = [at for at in (known.due_at, instant_or_none(payload, "due_at_us")) if at is not None]
    starts = [at for at in (known.earliest_at, instant_or_none(payload, "earliest_at_us")) if at is not None]
    reasons = payload.get("reasons") or [payload["reason"]]
    return {
        "reasons": tuple(dict.fromkeys((*known.reasons, *reasons))),
        "required_at": known.required_at or event.fact.occurred_at,
        "earliest_at": min(starts, default=None),
        "due_at": min(dues, default=None),
        "is_blind": known.is_blind or bool(payload.get("is_blind")),
    }


def _assigned(_: "Case", event: Event) -> Changes:
    return {
        "assigned_to": PersonId(event.fact.payload["person_id"]),
        "assigned_at": event.fact.occurred_at,
        # Another reader finds what they find by themselves.
        "blind_findings_at": None,
    }


def _found_blind(case: "Case", event: Event) -> Changes:
    return {"blind_findings_at": case.second_reading.blind_findings_at or event.fact.occurred_at}


def _done(case: "Case", event: Event) -> Changes:
    if case.second_reading.done_at is not None:
        return {}
    payload = event.fact.payload
    return {
        "done_at": event.fact.occurred_at,
        "done_by": payload["person_id"],
        "score": payload.get("agreement", ""),
        "version_read": case.report.version,
    }


def _discrepant(case: "Case", event: Event) -> Changes:
    payload = event.fact.payload
    return {
        "score": payload["score"],
        "is_significant": bool(payload.get("is_significant")),
        "category": payload.get("category", 0),
        "version_read": case.report.version,
        "recorded_at": event.fact.occurred_at,
        "communicate_by": instant_or_none(payload, "due_at_us"),
        "communicated_at": None,
        "recipient": "",
        "acknowledged_at": None,
        "acknowledged_by": "",
        "closed_at": None,
    }


def _communicated(case: "Case", event: Event) -> Changes:
    if case.second_reading.communicated_at is not None:
        return {}
    return {"communicated_at": event.fact.occurred_at, "recipient": event.fact.payload["recipient"]}


def _acknowledged(case: "Case", event: Event) -> Changes:
    if case.second_reading.acknowledged_at is not None:
        return {}
    return {"acknowledged_at": event.fact.occurred_at, "acknowledged_by": event.fact.payload["recipient"]}


def _learned(case: "Case", event: Event) -> Changes:
    return {"closed_at": case.second_reading.closed_at or event.fact.occurred_at}


_BLANK: Final = SecondReadingPart()
_FORGOTTEN: Final[Mapping[str, Any]] = {
    name: getattr(_BLANK, name) for name in SecondReadingPart.__slots__ if name != "state"
}


def _withdrawn(case: "Case", _: Event) -> Changes:
    """A retracted report is read again and asked about anew; a discrepancy in it stays what it was."""
    return {} if case.second_reading.recorded_at is not None else dict(_FORGOTTEN)


SECOND_READING_EFFECTS: Final[Mapping[E, Effect]] = MappingProxyType(
    {
        E.REPORT_DOUBLE_READ_REQUIRED: _required,
        E.REPORT_DOUBLE_READ_ASSIGNED: _assigned,
        E.REPORT_DOUBLE_READ_FINDINGS: _found_blind,
        E.REPORT_DOUBLE_READ_DONE: _done,
        E.DISCREPANCY_RECORDED: _discrepant,
        E.DISCREPANCY_COMMUNICATED: _communicated,
        E.DISCREPANCY_ACKNOWLEDGED: _acknowledged,
        E.DISCREPANCY_LEARNING_CLOSED: _learned,
        E.REPORT_RETRACTED: _withdrawn,
    }
)
