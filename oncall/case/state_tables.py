"""The state tables of a case: for every region, which event leads from which state to which.

A pair that is not in a table is refused. A state that leads to itself accepts the event and stays: late and repeated
facts of the world (MPPS, images, receipts, answers) are kept, decisions that come too late are not. An event that is in
no table (`is_noted`) moves nothing and is welcome at any time. One event may move several regions; each must accept it.

What depends on more than the state (Transaction UIDs, versions, who) is in `oncall.case.guards`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from oncall.case.regions import (
    CriticalState,
    DeliveryState,
    EscalationState,
    ExamState,
    IdentityState,
    ImagesState,
    ProtocolState,
    ReadingState,
    ReportState,
    RequestState,
    SecondReadingState,
    State,
)
from oncall.case.vocabulary import EventType as E
from oncall.case.vocabulary import Region

Moves = Mapping[State, State]


def _to(target: State, *sources: State, stay: tuple[State, ...] = ()) -> Moves:
    """Return moves from each of `sources` to `target`; states in `stay` accept the event and stay as they are."""
    return MappingProxyType({**dict.fromkeys(sources, target), **{state: state for state in stay}})


def _stay(*states: State) -> Moves:
    return MappingProxyType({state: state for state in states})


_Q = RequestState
_PENDING: Final = (_Q.DRAFTED, _Q.SUBMITTED, _Q.CLARIFYING, _Q.ANSWERED)
_SAID: Final = tuple(state for state in _Q if state is not _Q.NONE)
_REQUEST: Final[Mapping[E, Moves]] = {
    E.REQUEST_DRAFTED: _to(_Q.DRAFTED, _Q.NONE, _Q.DRAFTED),
    E.REQUEST_PRE_ALERT: _to(
        _Q.DRAFTED, _Q.NONE, _Q.DRAFTED, stay=(_Q.UNANNOUNCED, _Q.SUBMITTED, _Q.CLARIFYING, _Q.ANSWERED)
    ),
    E.REQUEST_UNANNOUNCED: _to(_Q.UNANNOUNCED, _Q.NONE, _Q.UNANNOUNCED),
    E.REQUEST_SUBMITTED: _to(
        _Q.SUBMITTED, _Q.NONE, _Q.DRAFTED, _Q.UNANNOUNCED, _Q.SUBMITTED, stay=(_Q.CLARIFYING, _Q.ANSWERED)
    ),
    E.REQUEST_CLARIFICATION_ASKED: _to(_Q.CLARIFYING, _Q.SUBMITTED, _Q.CLARIFYING, stay=(_Q.UNANNOUNCED, _Q.ANSWERED)),
    E.REQUEST_CLARIFICATION_ANSWERED: _to(
        _Q.SUBMITTED, _Q.CLARIFYING, _Q.SUBMITTED, stay=(_Q.UNANNOUNCED, _Q.ANSWERED)
    ),
    E.REQUEST_TRIAGED: _stay(_Q.UNANNOUNCED, *_PENDING),
    E.REQUEST_PRIOR_EXAM_FOUND: _stay(*_SAID),
    E.PRIORS_REQUESTED: _stay(*_SAID),
    E.PRIORS_AVAILABLE: _stay(*_SAID),
    E.PRIORS_UNAVAILABLE: _stay(*_SAID),
    # The case may be another patient's: their earlier exams are looked for anew.
    E.IDENTITY_CORRECTED: _stay(*_SAID),
    E.IDENTITY_SPLIT: _stay(*_SAID),
    E.IMAGES_UNLINKED: _stay(*_Q),
    E.IMAGES_LAST_UNLINKED: _stay(*_Q),
    E.PROTOCOL_SENT: _to(_Q.ANSWERED, _Q.SUBMITTED, _Q.CLARIFYING, _Q.ANSWERED, stay=(_Q.UNANNOUNCED,)),
    E.REQUEST_REFUSED: _to(_Q.REFUSED, _Q.SUBMITTED, _Q.CLARIFYING, _Q.ANSWERED, _Q.REFUSED),
    E.REQUEST_WITHDRAWN: _to(_Q.WITHDRAWN, *_PENDING, _Q.WITHDRAWN),
    E.REQUEST_EXPIRED: _to(_Q.EXPIRED, *_PENDING, _Q.EXPIRED),
    E.REQUEST_DUPLICATE_MERGED: _to(_Q.MERGED, *_PENDING, _Q.UNANNOUNCED, _Q.MERGED),
    # An exam that is done needs no answer any more.
    E.REQUEST_MATCHED: _to(_Q.ANSWERED, _Q.UNANNOUNCED, _Q.SUBMITTED, _Q.CLARIFYING, _Q.ANSWERED),
    E.REQUEST_UNMATCHED: _to(_Q.UNANNOUNCED, _Q.SUBMITTED, _Q.CLARIFYING, _Q.ANSWERED),
    E.CASE_REOPENED: _to(
        _Q.SUBMITTED, _Q.REFUSED, _Q.WITHDRAWN, _Q.EXPIRED, _Q.MERGED, stay=(_Q.UNANNOUNCED, *_PENDING)
    ),
}

_P = ProtocolState
_PROTOCOL: Final[Mapping[E, Moves]] = {
    E.PROTOCOL_PROPOSED: _to(_P.PROPOSED, _P.NONE, _P.PROPOSED),
    E.PROTOCOL_MODIFIED: _to(_P.PROPOSED, _P.PROPOSED),
    E.PROTOCOL_SENT: _to(_P.SENT, _P.NONE, _P.PROPOSED, _P.SENT, stay=(_P.DELIVERED, _P.ACKNOWLEDGED)),
    E.PROTOCOL_SUPERSEDED: _to(_P.SENT, _P.SENT, _P.DELIVERED, _P.ACKNOWLEDGED),
    E.PROTOCOL_DELIVERED_TO_CONSOLE: _to(_P.DELIVERED, _P.SENT, _P.DELIVERED, stay=(_P.ACKNOWLEDGED,)),
    E.PROTOCOL_ACKNOWLEDGED: _to(_P.ACKNOWLEDGED, _P.SENT, _P.DELIVERED, _P.ACKNOWLEDGED),
    E.PROTOCOL_QUESTION: _stay(*_P),
    E.PROTOCOL_ANSWERED: _stay(*_P),
    E.PROTOCOL_COUNTERSIGNED: _stay(_P.PROPOSED, _P.SENT, _P.DELIVERED, _P.ACKNOWLEDGED),
    E.PROTOCOL_DEVIATION_DETECTED: _stay(_P.SENT, _P.DELIVERED, _P.ACKNOWLEDGED),
    E.PROTOCOL_DEVIATION_JUSTIFIED: _stay(_P.SENT, _P.DELIVERED, _P.ACKNOWLEDGED),
}

_X = ExamState
_EXAM: Final[Mapping[E, Moves]] = {
    E.PATIENT_ARRIVED_IN_ROOM: _to(_X.ARRIVED, _X.NONE, _X.ARRIVED, stay=(_X.STARTED, _X.DISCONTINUED, _X.COMPLETED)),
    E.EXAM_STARTED: _to(_X.STARTED, _X.NONE, _X.ARRIVED, _X.STARTED, _X.DISCONTINUED, stay=(_X.COMPLETED,)),
    E.EXAM_COMPLETED: _to(_X.COMPLETED, *_X),
    E.EXAM_DISCONTINUED: _to(_X.DISCONTINUED, _X.NONE, _X.ARRIVED, _X.STARTED, _X.DISCONTINUED, stay=(_X.COMPLETED,)),
    E.EXAM_ADVERSE_EVENT: _stay(*_X),
    E.EXAM_PATIENT_RELEASED: _stay(*_X),
    E.REQUEST_REFUSED: _stay(_X.NONE, _X.ARRIVED, _X.DISCONTINUED),
}

_I = ImagesState
_IMAGES: Final[Mapping[E, Moves]] = {
    E.IMAGES_FIRST_INSTANCE: _to(_I.ARRIVING, _I.NONE, _I.ARRIVING, _I.STALLED, stay=(_I.COMPLETE,)),
    E.IMAGES_PROGRESS: _to(_I.ARRIVING, _I.NONE, _I.ARRIVING, _I.STALLED, stay=(_I.COMPLETE,)),
    E.IMAGES_EVIDENCE_FOUND: _stay(*_I),
    # Some may be missing of what was thought complete (guarded).
    E.IMAGES_STALLED: _to(_I.STALLED, _I.NONE, _I.ARRIVING, _I.STALLED, stay=(_I.COMPLETE,)),
    E.IMAGES_RESUMED: _to(_I.ARRIVING, _I.STALLED, _I.ARRIVING, stay=(_I.COMPLETE,)),
    E.IMAGES_COMPLETE: _to(_I.COMPLETE, *_I),
    E.IMAGES_LATE_INSTANCE: _stay(_I.COMPLETE),
    E.IMAGES_COMPLETE_AGAIN: _stay(_I.COMPLETE),
    E.IMAGES_QUALITY_REJECTED: _stay(_I.ARRIVING, _I.STALLED, _I.COMPLETE),
    E.IMAGES_CONFLICT: _stay(*_I),
    E.IDENTITY_IN_TWO_PATIENTS: _stay(*_I),
    E.IMAGES_LINKED: _stay(*_I),
    E.IMAGES_UNLINKED: _stay(*_I),
    E.IMAGES_LAST_UNLINKED: _to(_I.NONE, *_I),
    E.EXAM_COMPLETED: _stay(*_I),
    E.MODE_DEGRADED_ENTERED: _stay(*_I),
    E.MODE_DEGRADED_LEFT: _stay(*_I),
    E.REQUEST_TRIAGED: _stay(*_I),
    E.REQUEST_REFUSED: _stay(_I.NONE),
    E.REQUEST_EXPIRED: _stay(_I.NONE),
}

_R = ReadingState
_UNCLAIMED: Final = (_R.QUEUED, _R.ASSIGNED, _R.ACKNOWLEDGED)
_TAKEN: Final = (_R.CLAIMED, _R.PARKED)
_ENDED: Final = (_R.DONE, _R.CANCELLED)
_READING: Final[Mapping[E, Moves]] = {
    E.IMAGES_COMPLETE: _to(_R.QUEUED, _R.NONE, stay=(*_UNCLAIMED, *_TAKEN, *_ENDED)),
    E.IMAGES_LAST_UNLINKED: _to(_R.NONE, _R.NONE, *_UNCLAIMED, *_TAKEN, stay=_ENDED),
    E.QUEUE_ENTERED: _to(_R.QUEUED, _R.NONE, _R.QUEUED, _R.DONE),
    E.ASSIGN_PROPOSED: _stay(_R.NONE, *_UNCLAIMED),
    E.ASSIGN_MADE: _to(_R.ASSIGNED, _R.QUEUED),
    E.ASSIGN_REASSIGNED: _to(_R.ASSIGNED, _R.ASSIGNED, _R.ACKNOWLEDGED),
    E.ASSIGN_ACKNOWLEDGED: _to(_R.ACKNOWLEDGED, _R.ASSIGNED, _R.ACKNOWLEDGED, stay=(*_TAKEN, _R.DONE)),
    E.ASSIGN_DECLINED: _to(_R.QUEUED, _R.ASSIGNED, _R.ACKNOWLEDGED),
    E.ASSIGN_TIMEOUT: _stay(_R.ASSIGNED),
    E.ASSIGN_REVOKED: _to(_R.QUEUED, _R.ASSIGNED, _R.ACKNOWLEDGED, *_TAKEN),
    E.READ_OPENED: _to(_R.CLAIMED, *_UNCLAIMED, _R.CLAIMED),
    E.READ_PARKED: _to(_R.PARKED, *_TAKEN),
    E.READ_PREEMPTED: _to(_R.PARKED, *_TAKEN),
    E.READ_RESUMED: _to(_R.CLAIMED, *_TAKEN),
    E.READ_RELEASED: _to(_R.QUEUED, *_TAKEN),
    E.REPORT_SIGNED: _to(_R.DONE, *_TAKEN, _R.DONE),
    E.REQUEST_REFUSED: _to(_R.CANCELLED, _R.NONE, *_UNCLAIMED, _R.CANCELLED),
    E.REQUEST_WITHDRAWN: _to(_R.CANCELLED, _R.NONE, *_UNCLAIMED, *_TAKEN, _R.CANCELLED),
    E.REQUEST_EXPIRED: _to(_R.CANCELLED, _R.NONE, *_UNCLAIMED, _R.CANCELLED),
    E.REQUEST_DUPLICATE_MERGED: _to(_R.CANCELLED, _R.NONE, *_UNCLAIMED, _R.CANCELLED),
    E.CASE_CLOSED: _to(_R.CANCELLED, _R.NONE, *_UNCLAIMED, _R.CANCELLED, stay=(_R.DONE,)),
    E.CASE_REOPENED: _to(_R.NONE, _R.CANCELLED, stay=(_R.DONE,)),
}

_T = ReportState
_REPORT: Final[Mapping[E, Moves]] = {
    E.REPORT_DRAFTED: _to(_T.DRAFTED, _T.NONE, _T.DRAFTED, stay=(_T.PRELIMINARY, _T.SIGNED, _T.RETRACTED)),
    E.PRELIM_ISSUED: _to(_T.PRELIMINARY, _T.NONE, _T.DRAFTED, _T.PRELIMINARY, _T.RETRACTED),
    E.FINDING_FIRST_COMMUNICATED: _stay(*_T),
    E.REPORT_SIGNED: _to(_T.SIGNED, *_T),
    E.REPORT_ADDENDUM: _stay(_T.SIGNED),
    E.REPORT_REPLACED: _to(_T.SIGNED, _T.SIGNED),
    E.REPORT_RETRACTED: _to(_T.RETRACTED, _T.PRELIMINARY, _T.SIGNED, _T.RETRACTED),
    E.REPORT_IDENTITY_CHANGED: _stay(_T.PRELIMINARY, _T.SIGNED, _T.RETRACTED),
    E.REPORT_DOUBLE_READ_REQUIRED: _stay(*_T),
    E.REPORT_DOUBLE_READ_ASSIGNED: _stay(_T.SIGNED),
    E.REPORT_DOUBLE_READ_DONE: _stay(_T.SIGNED),
    E.DISCREPANCY_RECORDED: _stay(_T.SIGNED, _T.RETRACTED),
    E.REPORT_SENT: _stay(_T.PRELIMINARY, _T.SIGNED, _T.RETRACTED),
    E.REQUEST_WITHDRAWN: _stay(_T.NONE, _T.DRAFTED, _T.PRELIMINARY, _T.RETRACTED),
    E.REQUEST_DUPLICATE_MERGED: _stay(_T.NONE, _T.DRAFTED, _T.RETRACTED),
}

_D = DeliveryState
_UNDER_WAY: Final = (_D.SENT, _D.FAILED, _D.DELIVERED, _D.ACCESSED, _D.ACKNOWLEDGED)
# A new version starts delivery anew.
_ANEW: Final = _to(_D.NONE, _D.NONE, *_UNDER_WAY)
_DELIVERY: Final[Mapping[E, Moves]] = {
    # What was acknowledged before was a preliminary finding: it confirms nothing of the report.
    E.PRELIM_ISSUED: _ANEW,
    E.REPORT_SIGNED: _to(_D.NONE, _D.NONE, *_UNDER_WAY, stay=(_D.CLOSED,)),
    E.REPORT_ADDENDUM: _ANEW,
    E.REPORT_REPLACED: _ANEW,
    E.REPORT_RETRACTED: _ANEW,
    E.REPORT_IDENTITY_CHANGED: _ANEW,
    E.REPORT_SENT: _to(
        _D.SENT, _D.NONE, _D.SENT, _D.FAILED, stay=(_D.DELIVERED, _D.ACCESSED, _D.ACKNOWLEDGED, _D.CLOSED)
    ),
    E.REPORT_DELIVERED: _to(
        _D.DELIVERED, _D.SENT, _D.FAILED, _D.DELIVERED, stay=(_D.ACCESSED, _D.ACKNOWLEDGED, _D.CLOSED)
    ),
    E.REPORT_DELIVERY_FAILED: _to(
        _D.FAILED, _D.SENT, _D.FAILED, stay=(_D.DELIVERED, _D.ACCESSED, _D.ACKNOWLEDGED, _D.CLOSED)
    ),
    E.REPORT_ACCESSED: _to(
        _D.ACCESSED, _D.SENT, _D.FAILED, _D.DELIVERED, _D.ACCESSED, stay=(_D.ACKNOWLEDGED, _D.CLOSED)
    ),
    E.REPORT_ACKNOWLEDGED_BY_ED: _to(
        _D.ACKNOWLEDGED, _D.SENT, _D.FAILED, _D.DELIVERED, _D.ACCESSED, _D.ACKNOWLEDGED, stay=(_D.CLOSED,)
    ),
    E.REPORT_NOT_ACCESSED_ALERT: _stay(_D.SENT, _D.FAILED, _D.DELIVERED),
    E.CASE_CLOSED: _to(_D.CLOSED, *_D),
    E.CASE_REOPENED: _to(_D.NONE, _D.CLOSED),
    # What is closed is opened again before it is worked on.
    E.QUEUE_ENTERED: _stay(_D.NONE, *_UNDER_WAY),
    E.CRITICAL_DECLARED: _stay(_D.NONE, *_UNDER_WAY),
}

_C = CriticalState
_CRITICAL: Final[Mapping[E, Moves]] = {
    # Told already, it may still be found to be more urgent: the time left is shorter, what was told stays told.
    E.CRITICAL_DECLARED: _to(_C.DECLARED, _C.NONE, _C.DECLARED, stay=(_C.COMMUNICATED,)),
    E.CRITICAL_CALL_ATTEMPT: _stay(_C.DECLARED, _C.COMMUNICATED, _C.ACKNOWLEDGED, _C.CLOSED),
    E.CRITICAL_COMMUNICATED: _to(_C.COMMUNICATED, _C.DECLARED, _C.COMMUNICATED, stay=(_C.ACKNOWLEDGED, _C.CLOSED)),
    E.CRITICAL_ACKNOWLEDGED: _to(_C.ACKNOWLEDGED, _C.DECLARED, _C.COMMUNICATED, _C.ACKNOWLEDGED, stay=(_C.CLOSED,)),
    E.CRITICAL_ESCALATED: _stay(_C.DECLARED, _C.COMMUNICATED),
    E.CRITICAL_CLOSED: _to(_C.CLOSED, _C.ACKNOWLEDGED, _C.CLOSED),
}

_S = SecondReadingState
_FOUND: Final = (_S.DISCREPANT, _S.COMMUNICATED, _S.ACKNOWLEDGED)
_SECOND_READING: Final[Mapping[E, Moves]] = {
    # What another rule asks for as well is added; what was read is read again only when it was signed anew.
    E.REPORT_DOUBLE_READ_REQUIRED: _to(_S.REQUIRED, _S.NONE, _S.REQUIRED, stay=(_S.ASSIGNED,)),
    E.REPORT_DOUBLE_READ_ASSIGNED: _to(_S.ASSIGNED, _S.REQUIRED, _S.ASSIGNED),
    E.REPORT_DOUBLE_READ_FINDINGS: _stay(_S.ASSIGNED),
    E.REPORT_DOUBLE_READ_DONE: _to(_S.DONE, _S.ASSIGNED, _S.DONE, stay=(*_FOUND, _S.CLOSED)),
    # Anybody may find one, asked or not; while one is being told of, another is part of it.
    E.DISCREPANCY_RECORDED: _to(_S.DISCREPANT, _S.NONE, _S.DONE, _S.CLOSED),
    E.DISCREPANCY_COMMUNICATED: _to(_S.COMMUNICATED, _S.DISCREPANT, _S.COMMUNICATED, stay=(_S.ACKNOWLEDGED, _S.CLOSED)),
    E.DISCREPANCY_ACKNOWLEDGED: _to(
        _S.ACKNOWLEDGED, _S.DISCREPANT, _S.COMMUNICATED, _S.ACKNOWLEDGED, stay=(_S.CLOSED,)
    ),
    E.DISCREPANCY_LEARNING_CLOSED: _to(_S.CLOSED, *_FOUND, _S.CLOSED),
    # What is withdrawn is not read a second time; what was found in it is still told.
    E.REPORT_RETRACTED: _to(_S.NONE, _S.NONE, _S.REQUIRED, _S.ASSIGNED, _S.DONE, stay=(*_FOUND, _S.CLOSED)),
}

_N = IdentityState
_IDENTITY: Final[Mapping[E, Moves]] = {
    E.IDENTITY_PROVISIONAL: _to(_N.PROVISIONAL, _N.PROVISIONAL, _N.KNOWN, stay=(_N.BLOCKED,)),
    E.IDENTITY_QUALIFIED: _to(_N.QUALIFIED, _N.PROVISIONAL, _N.KNOWN, _N.QUALIFIED),
    E.IDENTITY_CORRECTED: _to(_N.KNOWN, *_N),
    E.IDENTITY_MERGED: _to(_N.KNOWN, _N.PROVISIONAL, stay=(_N.KNOWN, _N.QUALIFIED, _N.BLOCKED)),
    E.IDENTITY_SPLIT: _to(_N.KNOWN, _N.PROVISIONAL, _N.KNOWN, _N.QUALIFIED, stay=(_N.BLOCKED,)),
    E.IDENTITY_MISMATCH_BLOCKED: _to(_N.BLOCKED, *_N),
    E.IDENTITY_IN_TWO_PATIENTS: _to(_N.BLOCKED, *_N),
    E.PRELIM_ISSUED: _stay(_N.PROVISIONAL, _N.KNOWN, _N.QUALIFIED),
    E.REPORT_SIGNED: _stay(_N.PROVISIONAL, _N.KNOWN, _N.QUALIFIED),
    E.REPORT_ADDENDUM: _stay(_N.PROVISIONAL, _N.KNOWN, _N.QUALIFIED),
    E.REPORT_REPLACED: _stay(_N.PROVISIONAL, _N.KNOWN, _N.QUALIFIED),
}

_L = EscalationState
_BEGUN: Final = (_L.RUNNING, _L.ACKNOWLEDGED, _L.STOPPED, _L.EXHAUSTED)
_ESCALATION: Final[Mapping[E, Moves]] = {
    E.ESCALATION_STARTED: _to(_L.RUNNING, _L.NONE, _L.RUNNING),
    E.ESCALATION_NOTIFIED: _stay(*_BEGUN),
    E.ESCALATION_NO_NOTIFICATION_SENT: _stay(*_BEGUN),
    E.ESCALATION_SKIPPED_EMPTY_STEP: _stay(*_BEGUN),
    E.ESCALATION_ACKNOWLEDGED: _to(_L.ACKNOWLEDGED, _L.RUNNING, _L.EXHAUSTED, _L.ACKNOWLEDGED, stay=(_L.STOPPED,)),
    E.ESCALATION_STOPPED: _to(_L.STOPPED, _L.RUNNING, _L.EXHAUSTED, _L.STOPPED, stay=(_L.ACKNOWLEDGED,)),
    E.ESCALATION_EXHAUSTED: _to(_L.EXHAUSTED, _L.RUNNING, _L.EXHAUSTED),
}

STATE_TABLES: Final[Mapping[Region, Mapping[E, Moves]]] = MappingProxyType(
    {
        Region.REQUEST: MappingProxyType(_REQUEST),
        Region.PROTOCOL: MappingProxyType(_PROTOCOL),
        Region.EXAM: MappingProxyType(_EXAM),
        Region.IMAGES: MappingProxyType(_IMAGES),
        Region.READING: MappingProxyType(_READING),
        Region.REPORT: MappingProxyType(_REPORT),
        Region.DELIVERY: MappingProxyType(_DELIVERY),
        Region.CRITICAL: MappingProxyType(_CRITICAL),
        Region.SECOND_READING: MappingProxyType(_SECOND_READING),
        Region.IDENTITY: MappingProxyType(_IDENTITY),
        Region.ESCALATION: MappingProxyType(_ESCALATION),
    }
)

# What to do instead, where the table alone would leave somebody at a loss.
ADVICE: Final[Mapping[E, str]] = MappingProxyType(
    {
        E.REQUEST_REFUSED: "images exist or the exam has begun: report it, or let the requester withdraw",
        E.REQUEST_WITHDRAWN: "a signed report is retracted, a request that came to nothing is closed",
        E.REQUEST_TRIAGED: "reopen the case first",
        E.PROTOCOL_MODIFIED: "a protocol that was sent is superseded by a new version",
        E.PROTOCOL_ACKNOWLEDGED: "send the protocol first",
        E.IMAGES_LATE_INSTANCE: "it is not late: the images are not complete yet",
        E.IMAGES_COMPLETE_AGAIN: "they are complete for the first time: say images.complete",
        E.ASSIGN_MADE: "a case that somebody has is reassigned or revoked, one without images waits for them",
        E.ASSIGN_REASSIGNED: "a claimed case is revoked first (its work item is cancelled and replaced)",
        E.ASSIGN_ACKNOWLEDGED: "the case is not assigned any more: look at the reading list",
        E.ASSIGN_TIMEOUT: "the reader has answered, or the case went elsewhere: there is no silence",
        E.READ_OPENED: "open what is in the reading list; a parked case is resumed by its reader",
        E.REPORT_SIGNED: "open the case first, and settle its identity",
        E.REPORT_ADDENDUM: "sign the report first; settle the identity; reopen a closed case",
        E.REPORT_SENT: "there is nothing to send yet",
        E.REPORT_DELIVERED: "it was not sent: nothing can have arrived",
        E.REPORT_ACKNOWLEDGED_BY_ED: "it was not sent: send it, then let a named clinician acknowledge",
        E.CRITICAL_ESCALATED: "it was acknowledged: nobody is called any more",
        E.CRITICAL_CLOSED: "a named clinician acknowledges first",
        E.CRITICAL_DECLARED: "a clinician has taken it over: declare what is new as a finding of its own",
        E.REPORT_DOUBLE_READ_REQUIRED: "it was read a second time already",
        E.REPORT_DOUBLE_READ_ASSIGNED: "no second reading is asked for: require it first",
        E.REPORT_DOUBLE_READ_DONE: "it was given to nobody: assign the second reading first",
        E.DISCREPANCY_RECORDED: "finish the second reading first, or the discrepancy that is being told of",
        E.DISCREPANCY_COMMUNICATED: "record the discrepancy first",
        E.DISCREPANCY_LEARNING_CLOSED: "record the discrepancy first",
        E.CASE_CLOSED: "a reader has it open: sign or release it first",
        E.CASE_REOPENED: "the case is open",
        E.ESCALATION_STARTED: "a chain that ended is not started again: use a new chain_id",
        E.ESCALATION_EXHAUSTED: "somebody answered, or the chain was stopped",
        E.IDENTITY_QUALIFIED: "settle the contradiction first (identity.corrected)",
    }
)


def is_noted(event_type: str) -> bool:
    """Tell whether an event of this type moves no region: it is welcome in any state."""
    return not any(event_type in table for table in STATE_TABLES.values())
