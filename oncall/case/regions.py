"""What is known of a case, region by region, as values; `oncall.case.state` folds the log into them.

Instants are aware UTC datetimes. A field that is set once (`submitted_at`, `complete_at`, `deadline_at`, a version's
`signed_at`) is never overwritten by a later event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from oncall.case.image_evidence import ImageEvidence
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId

# Preliminary findings and notices of retraction are versions too, and no report.
_IS_REPORT: Final = frozenset({EventType.REPORT_SIGNED, EventType.REPORT_ADDENDUM, EventType.REPORT_REPLACED})
_IS_WHOLE: Final = frozenset({EventType.REPORT_SIGNED, EventType.REPORT_REPLACED})


class RequestState(StrEnum):
    """Where the request is; UNANNOUNCED is a study that came without one."""

    NONE = "none"
    DRAFTED = "drafted"
    UNANNOUNCED = "unannounced"
    SUBMITTED = "submitted"
    CLARIFYING = "clarifying"
    ANSWERED = "answered"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    MERGED = "merged"


class ProtocolState(StrEnum):
    """Where the exam protocol is, of the version in force."""

    NONE = "none"
    PROPOSED = "proposed"
    SENT = "sent"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"


class ExamState(StrEnum):
    """Where the patient is, as the scanner tells it (MPPS, PS3.4 F)."""

    NONE = "none"
    ARRIVED = "arrived"
    STARTED = "started"
    DISCONTINUED = "discontinued"
    COMPLETED = "completed"


class ImagesState(StrEnum):
    """Where the images are."""

    NONE = "none"
    ARRIVING = "arriving"
    STALLED = "stalled"
    COMPLETE = "complete"


class ReadingState(StrEnum):
    """Who has the case. QUEUED to ACKNOWLEDGED is a SCHEDULED work item of UPS, CLAIMED and PARKED one IN PROGRESS."""

    NONE = "none"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    ACKNOWLEDGED = "acknowledged"
    CLAIMED = "claimed"
    PARKED = "parked"
    DONE = "done"
    CANCELLED = "cancelled"


class ReportState(StrEnum):
    """Where the report is."""

    NONE = "none"
    DRAFTED = "drafted"
    PRELIMINARY = "preliminary"
    SIGNED = "signed"
    RETRACTED = "retracted"


class DeliveryState(StrEnum):
    """Where the newest version of the report is; CLOSED ends the case."""

    NONE = "none"
    SENT = "sent"
    FAILED = "failed"
    DELIVERED = "delivered"
    ACCESSED = "accessed"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class CriticalState(StrEnum):
    """Where the communication of one critical finding is (ACR)."""

    NONE = "none"
    DECLARED = "declared"
    COMMUNICATED = "communicated"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class SecondReadingState(StrEnum):
    """Where the second reading is, and what became of a discrepancy that it, or anybody, found."""

    NONE = "none"
    REQUIRED = "required"
    ASSIGNED = "assigned"
    DONE = "done"
    DISCREPANT = "discrepant"
    COMMUNICATED = "communicated"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class IdentityState(StrEnum):
    """How sure we are of whose case it is; BLOCKED until somebody has settled a contradiction."""

    PROVISIONAL = "provisional"
    KNOWN = "known"
    QUALIFIED = "qualified"
    BLOCKED = "blocked"


class EscalationState(StrEnum):
    """Where one escalation chain is; the chains of a case are independent of each other."""

    NONE = "none"
    RUNNING = "running"
    ACKNOWLEDGED = "acknowledged"
    STOPPED = "stopped"
    EXHAUSTED = "exhausted"


State = (
    RequestState
    | ProtocolState
    | ExamState
    | ImagesState
    | ReadingState
    | ReportState
    | DeliveryState
    | CriticalState
    | SecondReadingState
    | IdentityState
    | EscalationState
)


class StudyKey(NamedTuple):
    """A study as the archive tells it: the same UID of another issuer is another study."""

    issuer: str
    study_instance_uid: str


class PriorFound(NamedTuple):
    """A recent exam that may answer the request, and what a radiologist said: ``found`` until somebody has."""

    study: StudyKey
    outcome: str
    modality: str = ""
    exam: str = ""
    performed_at: datetime | None = None
    decided_by: str = ""


class PriorStudy(NamedTuple):
    """An earlier exam to compare with. ``is_ready`` is None until somebody has looked; ``reason`` is why it is not."""

    study: StudyKey
    modality: str = ""
    exam: str = ""
    performed_at: datetime | None = None
    same_person: str = ""
    score: int = 0
    is_ready: bool | None = None
    instances: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestPart:
    """The request. ``submitted_at`` is T0. ``clarification_s`` is time that C1 leaves out but shows.

    ``priors_known_at`` is when the territory was last searched for earlier exams and answered; ``priors_unknown`` why
    nothing is known of them: it is '' only when that search is the newest word.

    ``request_id`` names the order that it came with (`pacs.worklist`), if it came with one. ``resumed_at`` is when it
    began to wait for its answer again: a question was answered, or the case was opened again.
    """

    state: RequestState = RequestState.NONE
    submitted_at: datetime | None = None
    answered_at: datetime | None = None
    triaged_at: datetime | None = None
    pre_alert_at: datetime | None = None
    clarification_asked_at: datetime | None = None
    clarification_s: float = 0.0
    resumed_at: datetime | None = None
    onset_at: datetime | None = None
    expected_at: datetime | None = None
    request_id: str = ""
    placer_order_number: str = ""
    accession_number: str = ""
    requester: str = ""
    modality: str = ""
    target_s: float | None = None
    merged_into: str = ""
    matched_from: tuple[str, ...] = ()
    is_consent_given: bool | None = None
    prior_exams: tuple[PriorFound, ...] = ()
    priors: tuple[PriorStudy, ...] = ()
    priors_known_at: datetime | None = None
    priors_unknown: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolPart:
    """The exam protocol in force and who acknowledged that version of it.

    ``said`` is the payload that it was sent with (`oncall.protocol.payload` reads it). ``deviations`` are the ids of
    all that were detected, ``deviations_justified`` of those that somebody has given a reason for.
    """

    state: ProtocolState = ProtocolState.NONE
    version: int = 0
    author: PersonId | None = None
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    open_questions: int = 0
    questioned_at: datetime | None = None
    deviations_open: int = 0
    deviations: tuple[str, ...] = ()
    deviations_justified: tuple[str, ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict)


class PerformedStep(NamedTuple):
    """One performed procedure step of the scanner's, and how many instances it said it made; None when it did not."""

    mpps_uid: str
    is_ended: bool = False
    expected: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamPart:
    """The exam at the scanner. ``steps`` are in the order in which they were first told of."""

    state: ExamState = ExamState.NONE
    started_at: datetime | None = None
    ended_at: datetime | None = None
    adverse_events: int = 0
    is_patient_released: bool = False
    expected_instances: int | None = None
    steps: tuple[PerformedStep, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """The scanner said that a step began, and has not said that it ended."""
        return any(not step.is_ended for step in self.steps)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagesPart:
    """The images. ``complete_at`` is T1 and ``deadline_at`` the hour that it started: both are set once and for all.

    ``target_at`` is the live target: never after the deadline, and only ever moved to an earlier instant. ``told`` is
    the newest outbox event that told of images, by study; ``noted_event_id`` the newest about conflicts: neither
    counts twice.

    ``evidence`` is what says that they are complete (`oncall.case.completeness`). Late images, and evidence that some
    are missing, reopen the completeness (``reopened_at``) until evidence says again that they are complete; neither
    T1 nor the deadline moves. ``stalled_since`` is when their way was last said to have stopped, ``link_lost_at`` when
    their hospital's link was, and ``link_back_at`` when it was there again.
    """

    state: ImagesState = ImagesState.NONE
    studies: tuple[StudyKey, ...] = ()
    received: int = 0
    expected: int | None = None
    first_at: datetime | None = None
    latest_at: datetime | None = None
    told: tuple[tuple[StudyKey, int], ...] = ()
    noted_event_id: int = 0
    complete_at: datetime | None = None
    rule: str = ""
    confidence: str = ""
    evidence: tuple[ImageEvidence, ...] = ()
    reopened_at: datetime | None = None
    reopenings: int = 0
    complete_again_at: datetime | None = None
    complete_again_rule: str = ""
    stalled_since: datetime | None = None
    link_lost_at: datetime | None = None
    link_back_at: datetime | None = None
    deadline_at: datetime | None = None
    deadline_policy: str = ""
    target_at: datetime | None = None
    late_instances: int = 0
    late_since: datetime | None = None
    conflicts: int = 0
    quality_rejections: int = 0

    @property
    def is_reopened(self) -> bool:
        """They were complete, and some came late or are known to be missing."""
        return self.reopened_at is not None

    def told_by(self, study: StudyKey) -> int:
        """Return the newest outbox event that told of images of `study`; 0 when none did."""
        return next((event_id for known, event_id in self.told if known == study), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingPart:
    """Who has the case. ``transaction_uid`` locks the claimed work item (UPS, PS3.4 CC.2.1).

    ``work_item`` numbers the UPS work items of the case from 1: one that was claimed never goes back to SCHEDULED, so
    taking it away cancels it and makes the next one (Replaced Procedure Step Sequence).
    """

    state: ReadingState = ReadingState.NONE
    queued_at: datetime | None = None
    assigned_to: PersonId | None = None
    assigned_at: datetime | None = None
    acknowledged_at: datetime | None = None
    claimed_by: PersonId | None = None
    claimed_at: datetime | None = None
    transaction_uid: str = ""
    work_item: int = 1
    replaced_transaction_uids: tuple[str, ...] = ()
    parked_reason: str = ""
    declined_by: frozenset[PersonId] = frozenset()
    assignments: int = 0
    timeouts: int = 0
    done_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportVersion:
    """One signed version; nothing of it ever changes. ``kind`` is the event that made it.

    ``patient_key`` is the case's when it was signed, and stays so when the case turns out to be another patient's.
    """

    version: int
    kind: str
    signed_at: datetime
    signer: str
    content_hash: str = ""
    patient_key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportPart:
    """The report: its signed versions in order, and which of them were retracted (kept all the same).

    ``shown_as`` is the patient's key under which the hospital was last told of it.
    """

    state: ReportState = ReportState.NONE
    versions: tuple[ReportVersion, ...] = ()
    retracted: tuple[int, ...] = ()
    shown_as: str = ""
    preliminary_at: datetime | None = None
    first_communicated_at: datetime | None = None
    double_read_required_at: datetime | None = None
    double_read_due_at: datetime | None = None
    double_read_by: str = ""
    double_read_done_at: datetime | None = None
    discrepancies: int = 0

    @property
    def signed_at(self) -> datetime | None:
        """T3: when the first report that stands was signed; None while there is none, or all was retracted."""
        retracted = max(self.retracted, default=0)
        found = (one for one in self.versions if one.version > retracted and one.kind in _IS_REPORT)
        return next((one.signed_at for one in found), None)

    @property
    def standing(self) -> ReportVersion | None:
        """The version that stands for the whole: the last report or replacement, before it the last preliminary."""
        retracted = max(self.retracted, default=0)
        left = [one for one in self.versions if one.version > retracted and one.kind != EventType.REPORT_RETRACTED]
        whole = [one for one in left if one.kind in _IS_WHOLE]
        return next(reversed(whole or left), None)

    @property
    def version(self) -> int:
        """The newest version's number; 0 when nothing is signed."""
        return self.versions[-1].version if self.versions else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryPart:
    """Where the newest version is. ``first_*`` keep what C5 and C9 measure when an addendum starts delivery again."""

    state: DeliveryState = DeliveryState.NONE
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    accessed_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    first_delivered_at: datetime | None = None
    first_acknowledged_at: datetime | None = None
    failures: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticalFinding:
    """The communication of one critical finding, ACR category 1 (minutes), 2 (hours) or 3 (days).

    The six fields of the ACR are ``finding``, ``identified_at``, ``radiologist``, ``recipient``, ``received_at`` and
    ``method``; ``read_back`` is what the recipient said back. ``number`` counts the findings of a case from 1.
    """

    critical_id: str
    state: CriticalState
    category: int
    declared_at: datetime
    due_at: datetime | None = None
    attempts: int = 0
    communicated_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    number: int = 1
    finding: str = ""
    identified_at: datetime | None = None
    radiologist: str = ""
    recipient: str = ""
    received_at: datetime | None = None
    method: str = ""
    read_back: str = ""
    closed_at: datetime | None = None
    closed_by: str = ""

    @property
    def is_waiting(self) -> bool:
        """No named clinician has taken it over yet."""
        return self.state in {CriticalState.DECLARED, CriticalState.COMMUNICATED}

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of what is not recorded yet of the six fields and the read-back."""
        names = ("finding", "identified_at", "radiologist", "recipient", "received_at", "method", "read_back")
        return tuple(name for name in names if not getattr(self, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondReadingPart:
    """The second reading of the report and the discrepancy found.

    ``earliest_at`` and ``due_at`` bound when it is read; ``reasons`` are the rules that ask for it. ``score`` is
    RADPEER's (1 to 4, a or b). ``version_read`` is the report's version that was read, so that a later one is a
    correction. ``communicate_by`` is when a named clinician must have taken note of a significant discrepancy.
    """

    state: SecondReadingState = SecondReadingState.NONE
    reasons: tuple[str, ...] = ()
    required_at: datetime | None = None
    earliest_at: datetime | None = None
    due_at: datetime | None = None
    is_blind: bool = False
    assigned_to: PersonId | None = None
    assigned_at: datetime | None = None
    blind_findings_at: datetime | None = None
    done_at: datetime | None = None
    done_by: str = ""
    score: str = ""
    is_significant: bool = False
    category: int = 0
    version_read: int = 0
    recorded_at: datetime | None = None
    communicate_by: datetime | None = None
    communicated_at: datetime | None = None
    recipient: str = ""
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    closed_at: datetime | None = None

    @property
    def is_pending(self) -> bool:
        """Somebody still has to read it."""
        return self.state in {SecondReadingState.REQUIRED, SecondReadingState.ASSIGNED}

    @property
    def is_untold(self) -> bool:
        """A clinically significant discrepancy of which no named clinician has taken note."""
        return self.is_significant and self.state in {SecondReadingState.DISCREPANT, SecondReadingState.COMMUNICATED}


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityPart:
    """Whose case it is: an opaque key, never a name; the keys it had before."""

    state: IdentityState = IdentityState.PROVISIONAL
    patient_key: str = ""
    former_patient_keys: tuple[str, ...] = ()
    blocked_since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EscalationChain:
    """What the log tells of one chain; `oncall.escalation` decides about it."""

    chain_id: str
    state: EscalationState
    cause: str
    started_at: datetime
    level: int = 0
    notified: int = 0
    acknowledged_by: str = ""
