"""What an event changes in READING, REPORT, DELIVERY and IDENTITY beside their state; see `oncall.case.effects`.

What is set once is set by the first fact that says so; a repeated fact changes nothing that matters.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from oncall.case.event import Event, instant_or_none
from oncall.case.regions import ReadingState, ReportState, ReportVersion
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId

if TYPE_CHECKING:
    from oncall.case.state import Case

Changes = Mapping[str, Any]
Effect = Callable[["Case", Event], Changes]


# Reading


def _queued(case: "Case", event: Event) -> Changes:
    state = case.reading.state
    if state is ReadingState.NONE:
        return {"queued_at": case.reading.queued_at or event.fact.occurred_at}
    if state is ReadingState.DONE and event.type == E.QUEUE_ENTERED:
        return {**_work_item_replaced(case), "done_at": None}
    return {}


_NOBODY: Final[Changes] = MappingProxyType(
    {
        "assigned_to": None,
        "assigned_at": None,
        "acknowledged_at": None,
        "claimed_by": None,
        "claimed_at": None,
        "transaction_uid": "",
        "parked_reason": "",
    }
)


def _work_item_replaced(case: "Case") -> Changes:
    """Nobody has it any more; a work item that was claimed is cancelled and the next one replaces it."""
    reading = case.reading
    if not reading.transaction_uid:
        return _NOBODY
    return {
        **_NOBODY,
        "work_item": reading.work_item + 1,
        "replaced_transaction_uids": (*reading.replaced_transaction_uids, reading.transaction_uid),
    }


def _taken_away(case: "Case", _: Event) -> Changes:
    return {} if case.reading.state is ReadingState.DONE else _work_item_replaced(case)


def _reopened(case: "Case", _: Event) -> Changes:
    """What was cancelled stays so (UPS: a final state is never left): the case comes back as the next work item."""
    return {"work_item": case.reading.work_item + 1} if case.reading.state is ReadingState.CANCELLED else {}


def _assigned(case: "Case", event: Event) -> Changes:
    return {
        **_NOBODY,
        "assigned_to": PersonId(event.fact.payload["person_id"]),
        "assigned_at": event.fact.occurred_at,
        "assignments": case.reading.assignments + 1,
    }


def _acknowledged(case: "Case", event: Event) -> Changes:
    return {} if case.reading.acknowledged_at is not None else {"acknowledged_at": event.fact.occurred_at}


def _declined(case: "Case", event: Event) -> Changes:
    return {**_NOBODY, "declined_by": case.reading.declined_by | {PersonId(event.fact.payload["person_id"])}}


def _timed_out(case: "Case", _: Event) -> Changes:
    return {"timeouts": case.reading.timeouts + 1}


def _claimed(case: "Case", event: Event) -> Changes:
    reading = case.reading
    if reading.state is ReadingState.CLAIMED:
        return {}
    reader = PersonId(event.fact.payload["person_id"])
    return {
        "claimed_by": reader,
        "claimed_at": event.fact.occurred_at,
        "transaction_uid": event.fact.payload["transaction_uid"],
        # Opening is the strongest answer: it acknowledges, and who opens a queued case has it.
        "assigned_to": reader,
        "assigned_at": reading.assigned_at or event.fact.occurred_at,
        "acknowledged_at": reading.acknowledged_at or event.fact.occurred_at,
    }


def _parked(case: "Case", event: Event) -> Changes:
    return {"parked_reason": event.fact.payload.get("reason", "preempted")}


def _resumed(_: "Case", __: Event) -> Changes:
    return {"parked_reason": ""}


def _read(case: "Case", event: Event) -> Changes:
    return {} if case.reading.state is ReadingState.DONE else {"done_at": event.fact.occurred_at}


# Report and delivery


def _version_added(case: "Case", event: Event, key: str = "version") -> Changes:
    payload = event.fact.payload
    if payload[key] <= case.report.version:
        return {}
    version = ReportVersion(
        version=payload[key],
        kind=event.type,
        signed_at=event.fact.occurred_at,
        signer=payload.get("signer", ""),
        content_hash=payload.get("content_hash", ""),
        patient_key=case.identity.patient_key,
    )
    return {"versions": (*case.report.versions, version), "shown_as": version.patient_key}


def _retracted(case: "Case", event: Event) -> Changes:
    version = event.fact.payload["version"]
    if version in case.report.retracted:
        return {}
    notice = _version_added(case, event, "notice_version") if "notice_version" in event.fact.payload else {}
    return {"retracted": (*case.report.retracted, version), **notice}


def _preliminary(case: "Case", event: Event) -> Changes:
    added = _version_added(case, event) if "version" in event.fact.payload else {}
    return {"preliminary_at": case.report.preliminary_at or event.fact.occurred_at, **added}


def _shown_anew(case: "Case", _: Event) -> Changes:
    return {"shown_as": case.identity.patient_key}


def _communicated(case: "Case", event: Event) -> Changes:
    return {"first_communicated_at": case.report.first_communicated_at or event.fact.occurred_at}


def _double_read_required(case: "Case", event: Event) -> Changes:
    return {
        "double_read_required_at": case.report.double_read_required_at or event.fact.occurred_at,
        "double_read_due_at": instant_or_none(event.fact.payload, "due_at_us") or case.report.double_read_due_at,
        # Asked for anew: what was read is another version, which was retracted.
        "double_read_done_at": None,
    }


def _double_read_assigned(_: "Case", event: Event) -> Changes:
    return {"double_read_by": event.fact.payload["person_id"]}


def _double_read_done(case: "Case", event: Event) -> Changes:
    return {"double_read_done_at": case.report.double_read_done_at or event.fact.occurred_at}


def _discrepancy(case: "Case", _: Event) -> Changes:
    return {"discrepancies": case.report.discrepancies + 1}


def _delivery_anew(_: "Case", __: Event) -> Changes:
    return {"sent_at": None, "delivered_at": None, "accessed_at": None, "acknowledged_at": None, "acknowledged_by": ""}


def _sent(case: "Case", event: Event) -> Changes:
    return {"sent_at": case.delivery.sent_at or event.fact.occurred_at}


def _delivered(case: "Case", event: Event) -> Changes:
    at = event.fact.occurred_at
    first_at = case.delivery.first_delivered_at or (None if _is_preliminary(case) else at)
    return {"delivered_at": case.delivery.delivered_at or at, "first_delivered_at": first_at}


def _is_preliminary(case: "Case") -> bool:
    """Tell whether what is on its way is no report yet: C5 and C9 wait for the final one."""
    return case.report.state is ReportState.PRELIMINARY


def _delivery_failed(case: "Case", _: Event) -> Changes:
    return {"failures": case.delivery.failures + 1}


def _accessed(case: "Case", event: Event) -> Changes:
    return {"accessed_at": case.delivery.accessed_at or event.fact.occurred_at}


def _delivery_acknowledged(case: "Case", event: Event) -> Changes:
    if case.delivery.acknowledged_at is not None:
        return {}
    at = event.fact.occurred_at
    return {
        "acknowledged_at": at,
        "acknowledged_by": event.fact.payload["clinician"],
        "first_acknowledged_at": case.delivery.first_acknowledged_at or (None if _is_preliminary(case) else at),
    }


# Identity


def _identified(case: "Case", event: Event) -> Changes:
    identity, key = case.identity, event.fact.payload["patient_key"]
    changes: dict[str, Any] = {}
    if key != identity.patient_key:
        former = (identity.patient_key,) if identity.patient_key else ()
        changes = {"patient_key": key, "former_patient_keys": (*identity.former_patient_keys, *former)}
    if event.type == E.IDENTITY_CORRECTED:
        changes["blocked_since"] = None
        known = changes.get("former_patient_keys", identity.former_patient_keys)
        settled = event.fact.payload.get("former_patient_key")
        if settled and settled != key and settled not in known:
            # Somebody settled that images of this key are this patient's.
            changes["former_patient_keys"] = (*known, settled)
    return changes


def _blocked(case: "Case", event: Event) -> Changes:
    return {"blocked_since": case.identity.blocked_since or event.fact.occurred_at}


READING_EFFECTS: Final[Mapping[E, Effect]] = MappingProxyType(
    {
        E.IMAGES_COMPLETE: _queued,
        E.QUEUE_ENTERED: _queued,
        E.IMAGES_LAST_UNLINKED: _taken_away,
        E.ASSIGN_MADE: _assigned,
        E.ASSIGN_REASSIGNED: _assigned,
        E.ASSIGN_ACKNOWLEDGED: _acknowledged,
        E.ASSIGN_DECLINED: _declined,
        E.ASSIGN_TIMEOUT: _timed_out,
        E.ASSIGN_REVOKED: _taken_away,
        E.READ_OPENED: _claimed,
        E.READ_PARKED: _parked,
        E.READ_PREEMPTED: _parked,
        E.READ_RESUMED: _resumed,
        E.READ_RELEASED: _taken_away,
        E.REPORT_SIGNED: _read,
        E.REQUEST_REFUSED: _taken_away,
        E.REQUEST_WITHDRAWN: _taken_away,
        E.REQUEST_EXPIRED: _taken_away,
        E.REQUEST_DUPLICATE_MERGED: _taken_away,
        E.CASE_CLOSED: _taken_away,
        E.CASE_REOPENED: _reopened,
    }
)

REPORT_EFFECTS: Final[Mapping[E, Effect]] = MappingProxyType(
    {
        E.REPORT_SIGNED: _version_added,
        E.REPORT_ADDENDUM: _version_added,
        E.REPORT_REPLACED: _version_added,
        E.REPORT_RETRACTED: _retracted,
        E.REPORT_IDENTITY_CHANGED: _shown_anew,
        E.PRELIM_ISSUED: _preliminary,
        E.FINDING_FIRST_COMMUNICATED: _communicated,
        E.REPORT_DOUBLE_READ_REQUIRED: _double_read_required,
        E.REPORT_DOUBLE_READ_ASSIGNED: _double_read_assigned,
        E.REPORT_DOUBLE_READ_DONE: _double_read_done,
        E.DISCREPANCY_RECORDED: _discrepancy,
    }
)

DELIVERY_EFFECTS: Final[Mapping[E, Effect]] = MappingProxyType(
    {
        E.PRELIM_ISSUED: _delivery_anew,
        E.REPORT_SIGNED: _delivery_anew,
        E.REPORT_ADDENDUM: _delivery_anew,
        E.REPORT_REPLACED: _delivery_anew,
        E.REPORT_RETRACTED: _delivery_anew,
        E.REPORT_IDENTITY_CHANGED: _delivery_anew,
        E.CASE_REOPENED: _delivery_anew,
        E.REPORT_SENT: _sent,
        E.REPORT_DELIVERED: _delivered,
        E.REPORT_DELIVERY_FAILED: _delivery_failed,
        E.REPORT_ACCESSED: _accessed,
        E.REPORT_ACKNOWLEDGED_BY_ED: _delivery_acknowledged,
    }
)

IDENTITY_EFFECTS: Final[Mapping[E, Effect]] = MappingProxyType(
    {
        E.IDENTITY_PROVISIONAL: _identified,
        E.IDENTITY_QUALIFIED: _identified,
        E.IDENTITY_CORRECTED: _identified,
        E.IDENTITY_MERGED: _identified,
        E.IDENTITY_SPLIT: _identified,
        E.IDENTITY_MISMATCH_BLOCKED: _blocked,
        E.IDENTITY_IN_TWO_PATIENTS: _blocked,
    }
)
