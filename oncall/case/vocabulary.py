"""The words a case's log is written in: every event type, which regions it moves, which payload keys it may carry.

A fact whose type or payload key is not here is refused before it can enter a log (`check`), so that no name and no
free text reaches a place where nobody expects patient data. Instants in payloads are whole microseconds since 1970 UTC
(`*_us`). `FREE_TEXT` keys may hold clinical text: they belong to the medical record and never go into a notification.

The list is that of the domain reference, section 4.2. `EXTENSIONS` names what it lacks and this project added.
Codes are those of the IHE Radiology controlled vocabulary for SOLE (IHE wiki, revision of 25 May 2017), where they were
read there; a type whose code was not read has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from foundation.errors import PeerError
from oncall.case.event import Fact


class Region(StrEnum):
    """The parallel regions of a case's state; each has a table of its own in `oncall.case.state_tables`."""

    REQUEST = "request"
    PROTOCOL = "protocol"
    EXAM = "exam"
    IMAGES = "images"
    READING = "reading"
    REPORT = "report"
    DELIVERY = "delivery"
    CRITICAL = "critical"
    SECOND_READING = "second_reading"
    IDENTITY = "identity"
    ESCALATION = "escalation"


class EventType(StrEnum):
    """Everything that can happen to a case, in the past tense (section 4.2)."""

    REQUEST_DRAFTED = "request.drafted"
    REQUEST_PRE_ALERT = "request.pre_alert"
    REQUEST_UNANNOUNCED = "request.unannounced"
    REQUEST_SUBMITTED = "request.submitted"
    REQUEST_RECEIVED = "request.received"
    REQUEST_REJECTED_TECHNICAL = "request.rejected_technical"
    REQUEST_COMPLETENESS_CHECKED = "request.completeness_checked"
    REQUEST_CLARIFICATION_ASKED = "request.clarification_asked"
    REQUEST_CLARIFICATION_ANSWERED = "request.clarification_answered"
    REQUEST_PRIOR_EXAM_FOUND = "request.prior_exam_found"
    REQUEST_TRIAGED = "request.triaged"
    REQUEST_REFUSED = "request.refused"
    REQUEST_WITHDRAWN = "request.withdrawn"
    REQUEST_EXPIRED = "request.expired"
    REQUEST_DUPLICATE_MERGED = "request.duplicate_merged"
    REQUEST_MATCHED = "request.matched"
    REQUEST_UNMATCHED = "request.unmatched"
    REQUEST_CONSENT_RECORDED = "request.consent_recorded"

    PROTOCOL_PROPOSED = "protocol.proposed"
    PROTOCOL_MODIFIED = "protocol.modified"
    PROTOCOL_SENT = "protocol.sent"
    PROTOCOL_DELIVERED_TO_CONSOLE = "protocol.delivered_to_console"
    PROTOCOL_ACKNOWLEDGED = "protocol.acknowledged"
    PROTOCOL_QUESTION = "protocol.question"
    PROTOCOL_ANSWERED = "protocol.answered"
    PROTOCOL_COUNTERSIGNED = "protocol.countersigned"
    PROTOCOL_SUPERSEDED = "protocol.superseded"
    PROTOCOL_DEVIATION_DETECTED = "protocol.deviation_detected"
    PROTOCOL_DEVIATION_JUSTIFIED = "protocol.deviation_justified"

    PATIENT_ARRIVED_IN_ROOM = "patient.arrived_in_room"
    EXAM_STARTED = "exam.started"
    EXAM_CONTRAST_INJECTED = "exam.contrast_injected"
    EXAM_ADVERSE_EVENT = "exam.adverse_event"
    EXAM_DISCONTINUED = "exam.discontinued"
    EXAM_COMPLETED = "exam.completed"
    EXAM_ADDITIONAL_SERIES_REQUESTED = "exam.additional_series_requested"
    EXAM_PATIENT_RELEASED = "exam.patient_released"

    IMAGES_FIRST_INSTANCE = "images.first_instance"
    IMAGES_PROGRESS = "images.progress"
    IMAGES_EVIDENCE_FOUND = "images.evidence_found"
    IMAGES_STALLED = "images.stalled"
    IMAGES_RESUMED = "images.resumed"
    IMAGES_COMPLETE = "images.complete"
    IMAGES_LATE_INSTANCE = "images.late_instance"
    IMAGES_COMPLETE_AGAIN = "images.complete_again"
    IMAGES_QUALITY_REJECTED = "images.quality_rejected"
    IMAGES_CONFLICT = "images.conflict"
    IMAGES_LINKED = "images.linked"
    IMAGES_UNLINKED = "images.unlinked"
    IMAGES_LAST_UNLINKED = "images.last_unlinked"
    IMAGES_RECONCILED = "images.reconciled"
    IMAGES_DELETED = "images.deleted"
    PRIORS_REQUESTED = "priors.requested"
    PRIORS_AVAILABLE = "priors.available"
    PRIORS_UNAVAILABLE = "priors.unavailable"

    QUEUE_ENTERED = "queue.entered"
    ASSIGN_PROPOSED = "assign.proposed"
    ASSIGN_MADE = "assign.made"
    ASSIGN_ACKNOWLEDGED = "assign.acknowledged"
    ASSIGN_DECLINED = "assign.declined"
    ASSIGN_TIMEOUT = "assign.timeout"
    ASSIGN_REVOKED = "assign.revoked"
    ASSIGN_REASSIGNED = "assign.reassigned"
    PAGE_SENT = "page.sent"
    PAGE_DELIVERED = "page.delivered"
    PAGE_FAILED = "page.failed"
    PAGE_REPEATED = "page.repeated"
    READ_OPENED = "read.opened"
    READ_PARKED = "read.parked"
    READ_PREEMPTED = "read.preempted"
    READ_RESUMED = "read.resumed"
    READ_RELEASED = "read.released"
    READ_ASSISTANCE_ASKED = "read.assistance_asked"
    HANDOVER_OFFERED = "handover.offered"
    HANDOVER_ACCEPTED = "handover.accepted"
    READER_UNAVAILABLE = "reader.unavailable"

    ESCALATION_STARTED = "escalation.started"
    ESCALATION_NOTIFIED = "escalation.notified"
    ESCALATION_NO_NOTIFICATION_SENT = "escalation.no_notification_sent"
    ESCALATION_SKIPPED_EMPTY_STEP = "escalation.skipped_empty_step"
    ESCALATION_ACKNOWLEDGED = "escalation.acknowledged"
    ESCALATION_STOPPED = "escalation.stopped"
    ESCALATION_EXHAUSTED = "escalation.exhausted"

    FINDING_FIRST_COMMUNICATED = "finding.first_communicated"
    PRELIM_ISSUED = "prelim.issued"
    REPORT_DRAFTED = "report.drafted"
    REPORT_SIGNED = "report.signed"
    REPORT_ADDENDUM = "report.addendum"
    REPORT_REPLACED = "report.replaced"
    REPORT_RETRACTED = "report.retracted"
    REPORT_IDENTITY_CHANGED = "report.identity_changed"
    REPORT_DOUBLE_READ_REQUIRED = "report.double_read_required"
    REPORT_DOUBLE_READ_ASSIGNED = "report.double_read_assigned"
    REPORT_DOUBLE_READ_FINDINGS = "report.double_read_findings"
    REPORT_DOUBLE_READ_DONE = "report.double_read_done"
    DISCREPANCY_RECORDED = "discrepancy.recorded"
    DISCREPANCY_COMMUNICATED = "discrepancy.communicated"
    DISCREPANCY_ACKNOWLEDGED = "discrepancy.acknowledged"
    DISCREPANCY_LEARNING_CLOSED = "discrepancy.learning_closed"

    REPORT_SENT = "report.sent"
    REPORT_DELIVERED = "report.delivered"
    REPORT_DELIVERY_FAILED = "report.delivery_failed"
    REPORT_ACCESSED = "report.accessed"
    REPORT_ACKNOWLEDGED_BY_ED = "report.acknowledged_by_ED"
    REPORT_NOT_ACCESSED_ALERT = "report.not_accessed_alert"
    REPORT_PUBLISHED = "report.published"
    ACTION_RECORDED = "action.recorded"
    CASE_CLOSED = "case.closed"
    CASE_INVOICED = "case.invoiced"
    CASE_REOPENED = "case.reopened"

    CRITICAL_DECLARED = "critical.declared"
    CRITICAL_CALL_ATTEMPT = "critical.call_attempt"
    CRITICAL_COMMUNICATED = "critical.communicated"
    CRITICAL_ACKNOWLEDGED = "critical.acknowledged"
    CRITICAL_ESCALATED = "critical.escalated"
    CRITICAL_CLOSED = "critical.closed"

    IDENTITY_PROVISIONAL = "identity.provisional"
    IDENTITY_QUALIFIED = "identity.qualified"
    IDENTITY_CORRECTED = "identity.corrected"
    IDENTITY_MERGED = "identity.merged"
    IDENTITY_SPLIT = "identity.split"
    IDENTITY_MISMATCH_BLOCKED = "identity.mismatch_blocked"
    IDENTITY_IN_TWO_PATIENTS = "identity.in_two_patients"

    MODE_DEGRADED_ENTERED = "mode.degraded_entered"
    MODE_DEGRADED_LEFT = "mode.degraded_left"
    CLOCK_SKEW_DETECTED = "clock.skew_detected"
    CLOCK_BREACHED = "clock.breached"
    EVIDENCE_SEALED = "evidence.sealed"


E = EventType

EXTENSIONS: Final = frozenset(
    {
        E.REQUEST_UNANNOUNCED,
        E.REQUEST_MATCHED,
        E.REQUEST_UNMATCHED,
        E.IMAGES_CONFLICT,
        E.IMAGES_EVIDENCE_FOUND,
        E.IMAGES_COMPLETE_AGAIN,
        E.IMAGES_LINKED,
        E.IMAGES_UNLINKED,
        E.IMAGES_LAST_UNLINKED,
        E.IDENTITY_IN_TWO_PATIENTS,
        E.CLOCK_BREACHED,
        E.REPORT_IDENTITY_CHANGED,
        E.REPORT_DOUBLE_READ_FINDINGS,
    }
)
"""Types that section 4.2 does not list: studies that nobody announced, matching, facts of the archive, what says that
images are complete, breaches, what a second reader found before seeing the first report."""

FREE_TEXT: Final = frozenset({"motive", "alternative", "question", "answer", "text", "finding", "read_back", "note"})
"""Payload keys that may hold clinical text; they stay in the record."""

# What every case knows of its exam from its first event on.
_EXAM_KEYS: Final = frozenset({"site_id", "exam", "urgency", "needs"})
_REQUEST_KEYS: Final = _EXAM_KEYS | {
    "request_id", "placer_order_number", "accession_number", "requester", "patient_key", "modality", "onset_at_us",
    "expected_at_us", "target_s", "missing", "note",
}  # fmt: skip
_STUDY_KEYS: Final = frozenset({"issuer", "study_instance_uid"})
_ARRIVAL_KEYS: Final = _STUDY_KEYS | {
    "received", "expected", "modalities", "calling_aet", "outbox_event_id", "accession_number", "patient_key",
}  # fmt: skip
# As `oncall.case.image_evidence` writes them.
_EVIDENCE_KEYS: Final = frozenset(
    {"confidence", "studies", "count", "missing", "is_insisted", "how", "received", "outbox_event_id"}
)
_COMPLETENESS_KEYS: Final = frozenset({"confidence", "evidence", "missing"})
# As `oncall.priors.telling` writes them.
_PRIOR_KEYS: Final = _STUDY_KEYS | {"source", "modality", "exam", "performed_at_us", "same_person"}
_STEP_KEYS: Final = _STUDY_KEYS | {"aet", "mpps_uid", "is_unscheduled"}
_DOSE_KEYS: Final = frozenset({"dose_mgy_cm", "ctdivol_mgy", "area_dose_dgy_cm2"})
_REPORT_KEYS: Final = frozenset({"version", "content_hash", "signer", "certificate", "signed_in", "set_id", "reason"})
_CHANNEL_KEYS: Final = frozenset({"channel", "recipient", "message_key", "provider_id", "reason", "version"})
_PAGE_KEYS: Final = frozenset(
    {"person_id", "channel", "message_key", "provider_id", "attempt", "reason", "chain_id", "step"}
)
_CHAIN_KEYS: Final = frozenset(
    {"chain_id", "level", "step", "cause", "reason", "person_id", "persons", "channel", "ladder_version", "line_id"}
)
_CRITICAL_KEYS: Final = frozenset(
    {"critical_id", "category", "finding", "identified_at_us", "radiologist", "due_at_us"}
)
_DISCREPANCY_KEYS: Final = frozenset(
    {"score", "note", "person_id", "kind", "body_region", "is_significant", "category", "due_at_us", "correction_by"}
)
_ASSIGN_KEYS: Final = frozenset({"person_id", "reason", "assignment", "provider_id", "line_id"})
# As `oncall.reading.stored_decision` writes them.
_DECISION_KEYS: Final = frozenset({"candidates", "exclusions", "scores", "rule", "decided"})
# As `oncall.protocol.payload` writes them.
_SENT_KEYS: Final = frozenset({"protocol_id", "author", "text", "protocol"})
_DEVIATION_KEYS: Final = frozenset(
    {"version", "deviation_id", "phase_id", "asked", "performed", "source", "mpps_uid", "series_instance_uid"}
)
_READ_KEYS: Final = frozenset({"person_id", "transaction_uid", "reason", "viewer"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the vocabulary says of one event type: payload keys that must and that may be there, and its SOLE code."""

    required: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    code: str = ""


def _entry(*required: str, may: frozenset[str] | set[str] = frozenset(), code: str = "") -> Entry:
    return Entry(required=frozenset(required), allowed=frozenset(required) | may, code=code)


VOCABULARY: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        E.REQUEST_DRAFTED: _entry("site_id", may=_REQUEST_KEYS),
        E.REQUEST_PRE_ALERT: _entry("site_id", may=_REQUEST_KEYS),
        E.REQUEST_UNANNOUNCED: _entry("site_id", may=_REQUEST_KEYS | _ARRIVAL_KEYS | {"rule"}),
        E.REQUEST_SUBMITTED: _entry("site_id", may=_REQUEST_KEYS),
        E.REQUEST_RECEIVED: _entry(may={"acknowledgement"}),
        E.REQUEST_REJECTED_TECHNICAL: _entry("reason", may={"acknowledgement"}),
        E.REQUEST_COMPLETENESS_CHECKED: _entry("missing"),
        E.REQUEST_CLARIFICATION_ASKED: _entry("question"),
        E.REQUEST_CLARIFICATION_ANSWERED: _entry("answer"),
        E.REQUEST_PRIOR_EXAM_FOUND: _entry("outcome", may=_PRIOR_KEYS | {"note"}),
        E.REQUEST_TRIAGED: _entry("urgency", may={"exam", "needs", "reason", "target_at_us", "onset_at_us", "pathway"}),
        E.REQUEST_REFUSED: _entry("motive", may={"alternative"}),
        E.REQUEST_WITHDRAWN: _entry("motive"),
        E.REQUEST_EXPIRED: _entry(may={"reason"}),
        E.REQUEST_DUPLICATE_MERGED: _entry("into_case_id", may={"score", "reason"}),
        E.REQUEST_MATCHED: _entry(
            "from_case_id",
            may=_REQUEST_KEYS | {"submitted_at_us", "answered_at_us", "protocol_author", "score", "reason"},
        ),
        E.REQUEST_UNMATCHED: _entry("from_case_id", "reason"),
        E.REQUEST_CONSENT_RECORDED: _entry("is_given", may={"note"}),
        E.PROTOCOL_PROPOSED: _entry("version", may={"protocol_id", "author"}),
        E.PROTOCOL_MODIFIED: _entry("version", may={"protocol_id", "author", "note"}),
        E.PROTOCOL_SENT: _entry("version", may=_SENT_KEYS | {"channel"}),
        E.PROTOCOL_DELIVERED_TO_CONSOLE: _entry("version", may={"aet"}),
        E.PROTOCOL_ACKNOWLEDGED: _entry("version", "radiographer", may={"aet"}),
        E.PROTOCOL_QUESTION: _entry("question", may={"radiographer", "version"}),
        E.PROTOCOL_ANSWERED: _entry("answer", may={"person_id"}),
        E.PROTOCOL_COUNTERSIGNED: _entry("reason", may={"person_id", "version", "clinician", "cautions"}),
        E.PROTOCOL_SUPERSEDED: _entry("version", may=_SENT_KEYS | {"reason"}),
        E.PROTOCOL_DEVIATION_DETECTED: _entry("deviation", may=_DEVIATION_KEYS),
        E.PROTOCOL_DEVIATION_JUSTIFIED: _entry("reason", may={"version", "deviation_id", "person_id", "radiographer"}),
        E.PATIENT_ARRIVED_IN_ROOM: _entry(may={"room"}),
        E.EXAM_STARTED: _entry(may=_STEP_KEYS),
        E.EXAM_CONTRAST_INJECTED: _entry("agent", may={"volume_ml"}),
        E.EXAM_ADVERSE_EVENT: _entry("kind", may={"note"}),
        E.EXAM_DISCONTINUED: _entry("reason", may=_STEP_KEYS | _DOSE_KEYS),
        E.EXAM_COMPLETED: _entry(may=_STEP_KEYS | _DOSE_KEYS | {"expected"}),
        E.EXAM_ADDITIONAL_SERIES_REQUESTED: _entry("text", may={"person_id"}),
        E.EXAM_PATIENT_RELEASED: _entry(may={"person_id"}),
        E.IMAGES_FIRST_INSTANCE: _entry("issuer", "study_instance_uid", may=_ARRIVAL_KEYS),
        E.IMAGES_PROGRESS: _entry("received", may=_ARRIVAL_KEYS),
        E.IMAGES_EVIDENCE_FOUND: _entry("kind", "source", may=_EVIDENCE_KEYS),
        E.IMAGES_STALLED: _entry("silent_s", may=_STUDY_KEYS | {"missing", "how"}),
        E.IMAGES_RESUMED: _entry(may=_ARRIVAL_KEYS),
        E.IMAGES_COMPLETE: _entry(
            "rule",
            "deadline_at_us",
            may=_ARRIVAL_KEYS | _COMPLETENESS_KEYS | {"target_at_us", "carried_from_case_id"},
        ),
        E.IMAGES_COMPLETE_AGAIN: _entry("rule", may=_COMPLETENESS_KEYS | {"received"}),
        E.IMAGES_LATE_INSTANCE: _entry("issuer", "study_instance_uid", may=_ARRIVAL_KEYS),
        E.IMAGES_QUALITY_REJECTED: _entry("reason", may=_STUDY_KEYS | {"series_instance_uid"}, code="RID28816"),
        E.IMAGES_CONFLICT: _entry(
            "study_instance_uid",
            may={"series_instance_uid", "sop_instance_uid", "conflict_pk", "calling_aet", "outbox_event_id"},
        ),
        E.IMAGES_LINKED: _entry(
            "issuer", "study_instance_uid", may=_ARRIVAL_KEYS | {"score", "reason", "from_case_id"}
        ),
        E.IMAGES_UNLINKED: _entry("issuer", "study_instance_uid", "reason", may={"to_case_id"}),
        E.IMAGES_LAST_UNLINKED: _entry("issuer", "study_instance_uid", "reason", may={"to_case_id"}),
        E.IMAGES_RECONCILED: _entry("reason", may=_STUDY_KEYS),
        E.IMAGES_DELETED: _entry("reason", may=_STUDY_KEYS | {"series_instance_uid", "sop_instance_uid"}),
        E.PRIORS_REQUESTED: _entry(may=_PRIOR_KEYS | {"count", "score"}, code="SOLE112"),
        E.PRIORS_AVAILABLE: _entry(may=_STUDY_KEYS | {"source", "count"}, code="SOLE113"),
        E.PRIORS_UNAVAILABLE: _entry("reason", may=_STUDY_KEYS | {"source", "count", "missing"}),
        E.QUEUE_ENTERED: _entry(may={"reason"}),
        E.ASSIGN_PROPOSED: _entry("candidates", may={"exclusions", "reason", "rule", "scores"}),
        E.ASSIGN_MADE: _entry("person_id", may=_ASSIGN_KEYS | _DECISION_KEYS),
        E.ASSIGN_ACKNOWLEDGED: _entry("person_id", may={"channel", "message_key"}),
        E.ASSIGN_DECLINED: _entry("person_id", "reason", may={"channel", "message_key"}),
        E.ASSIGN_TIMEOUT: _entry("person_id", may={"silent_s"}),
        E.ASSIGN_REVOKED: _entry("reason", may={"person_id", "replaced_transaction_uid"}),
        E.ASSIGN_REASSIGNED: _entry("person_id", "reason", may=_ASSIGN_KEYS | _DECISION_KEYS | {"from_person_id"}),
        E.PAGE_SENT: _entry("person_id", "channel", may=_PAGE_KEYS),
        E.PAGE_DELIVERED: _entry("message_key", may=_PAGE_KEYS),
        E.PAGE_FAILED: _entry("reason", may=_PAGE_KEYS),
        E.PAGE_REPEATED: _entry("person_id", may=_PAGE_KEYS),
        E.READ_OPENED: _entry("person_id", "transaction_uid", may=_READ_KEYS),
        E.READ_PARKED: _entry("transaction_uid", "reason", may=_READ_KEYS),
        E.READ_PREEMPTED: _entry("transaction_uid", may=_READ_KEYS | {"by_case_id"}),
        E.READ_RESUMED: _entry("transaction_uid", may=_READ_KEYS),
        E.READ_RELEASED: _entry("transaction_uid", "reason", may=_READ_KEYS),
        E.READ_ASSISTANCE_ASKED: _entry("kind", may={"person_id", "of_person_id", "note"}),
        E.HANDOVER_OFFERED: _entry("from_person_id", may={"to_person_id", "note"}),
        E.HANDOVER_ACCEPTED: _entry("to_person_id", may={"from_person_id"}),
        E.READER_UNAVAILABLE: _entry("person_id", "reason"),
        E.ESCALATION_STARTED: _entry("chain_id", "cause", may=_CHAIN_KEYS),
        E.ESCALATION_NOTIFIED: _entry("chain_id", may=_CHAIN_KEYS | {"message_key"}),
        E.ESCALATION_NO_NOTIFICATION_SENT: _entry("chain_id", "reason", may=_CHAIN_KEYS),
        E.ESCALATION_SKIPPED_EMPTY_STEP: _entry("chain_id", may=_CHAIN_KEYS),
        E.ESCALATION_ACKNOWLEDGED: _entry("chain_id", may=_CHAIN_KEYS),
        E.ESCALATION_STOPPED: _entry("chain_id", may=_CHAIN_KEYS),
        E.ESCALATION_EXHAUSTED: _entry("chain_id", may=_CHAIN_KEYS),
        E.FINDING_FIRST_COMMUNICATED: _entry("method", may={"finding", "recipient", "person_id"}),
        E.PRELIM_ISSUED: _entry(may=_REPORT_KEYS | {"transaction_uid"}),
        E.REPORT_DRAFTED: _entry(may={"person_id", "content_hash"}),
        E.REPORT_SIGNED: _entry("version", "signer", may=_REPORT_KEYS | {"transaction_uid"}),
        E.REPORT_ADDENDUM: _entry("version", "signer", may=_REPORT_KEYS),
        E.REPORT_REPLACED: _entry("version", "signer", may=_REPORT_KEYS | {"replaces"}),
        # The notice is a signed version of its own.
        E.REPORT_RETRACTED: _entry("version", "reason", may=_REPORT_KEYS | {"person_id", "notice_version"}),
        E.REPORT_IDENTITY_CHANGED: _entry("version", may={"reason"}),
        E.REPORT_DOUBLE_READ_REQUIRED: _entry("reason", may={"reasons", "earliest_at_us", "due_at_us", "is_blind"}),
        E.REPORT_DOUBLE_READ_ASSIGNED: _entry("person_id", may={"reason"}),
        E.REPORT_DOUBLE_READ_FINDINGS: _entry("person_id", "finding"),
        E.REPORT_DOUBLE_READ_DONE: _entry("person_id", may={"agreement"}),
        E.DISCREPANCY_RECORDED: _entry("score", may=_DISCREPANCY_KEYS),
        E.DISCREPANCY_COMMUNICATED: _entry(
            "recipient", may={"method", "received_at_us", "read_back", "radiologist", "person_id"}
        ),
        E.DISCREPANCY_ACKNOWLEDGED: _entry("recipient"),
        E.DISCREPANCY_LEARNING_CLOSED: _entry(may={"reason", "kind"}),
        E.REPORT_SENT: _entry("channel", may=_CHANNEL_KEYS),
        E.REPORT_DELIVERED: _entry(may=_CHANNEL_KEYS),
        E.REPORT_DELIVERY_FAILED: _entry("reason", may=_CHANNEL_KEYS),
        E.REPORT_ACCESSED: _entry("person_id", may={"version"}),
        E.REPORT_ACKNOWLEDGED_BY_ED: _entry("clinician", may={"version", "channel"}),
        E.REPORT_NOT_ACCESSED_ALERT: _entry(may={"recipient", "silent_s"}),
        E.REPORT_PUBLISHED: _entry("where", may={"version"}),
        E.ACTION_RECORDED: _entry("kind", may={"note"}),
        E.CASE_CLOSED: _entry(may={"reason"}),
        E.CASE_INVOICED: _entry(may={"reference"}),
        E.CASE_REOPENED: _entry("reason"),
        E.CRITICAL_DECLARED: _entry(*sorted(_CRITICAL_KEYS), may={"reason"}),
        E.CRITICAL_CALL_ATTEMPT: _entry("critical_id", "outcome", may={"attempt", "number", "recipient"}),
        E.CRITICAL_COMMUNICATED: _entry(
            "critical_id", "recipient", "received_at_us", "method", "read_back", may=_CRITICAL_KEYS
        ),
        E.CRITICAL_ACKNOWLEDGED: _entry("critical_id", "clinician"),
        E.CRITICAL_ESCALATED: _entry("critical_id", may={"level", "recipient", "reason", "chain_id"}),
        E.CRITICAL_CLOSED: _entry("critical_id", "clinician", may={"reason"}),
        E.IDENTITY_PROVISIONAL: _entry("patient_key", may={"reason"}),
        E.IDENTITY_QUALIFIED: _entry("patient_key", may={"method"}),
        E.IDENTITY_CORRECTED: _entry("patient_key", "reason", may={"former_patient_key"}),
        E.IDENTITY_MERGED: _entry("patient_key", may={"former_patient_key", "reason"}),
        E.IDENTITY_SPLIT: _entry("patient_key", "reason", may={"former_patient_key"}),
        E.IDENTITY_MISMATCH_BLOCKED: _entry("reason", may=_STUDY_KEYS | {"other_patient_key", "outbox_event_id"}),
        E.IDENTITY_IN_TWO_PATIENTS: _entry("study_instance_uid", may={"study_pks", "outbox_event_id"}),
        E.MODE_DEGRADED_ENTERED: _entry("what", may={"fallback"}),
        E.MODE_DEGRADED_LEFT: _entry("what"),
        E.CLOCK_SKEW_DETECTED: _entry("skew_s", may={"source"}),
        E.CLOCK_BREACHED: _entry("clock", may={"due_at_us", "cause", "level"}),
        E.EVIDENCE_SEALED: _entry("reference"),
    }
)


def check(fact: Fact) -> None:
    """Refuse a fact that the vocabulary does not know.

    Raises
    ------
    PeerError
        If its type is unknown, a required payload key is missing, or a key is not of this type. The message names keys,
        never values.
    """
    entry = VOCABULARY.get(fact.type)
    if entry is None:
        raise PeerError(f"no event is called {fact.type!r}; oncall.case.vocabulary lists them")
    keys = fact.payload.keys()
    if not entry.required <= keys:
        raise PeerError(f"{fact.type} needs {sorted(entry.required - keys)} in its payload")
    if not keys <= entry.allowed:
        raise PeerError(f"{fact.type} does not carry {sorted(keys - entry.allowed)}")
