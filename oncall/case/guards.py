"""What a state table cannot say: refusals that depend on who, which version, which Transaction UID.

A guard answers with an empty text (go on), a reason (refused), or `STALE`: the fact is true but about what was replaced
since; it is kept in the log and moves nothing.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from oncall.case.event import Fact
from oncall.case.image_evidence import EvidenceKind
from oncall.case.regions import CriticalState, ImagesState, ReadingState, ReportState, RequestState, SecondReadingState
from oncall.case.vocabulary import EventType as E

if TYPE_CHECKING:
    from oncall.case.state import Case

STALE: Final = "stale"
"""Not a reason: the fact is kept and moves nothing."""

Guard = Callable[["Case", Fact], str]

_ENDED_REQUESTS: Final = frozenset(
    {RequestState.REFUSED, RequestState.WITHDRAWN, RequestState.EXPIRED, RequestState.MERGED}
)
_TAKEN: Final = frozenset({ReadingState.CLAIMED, ReadingState.PARKED})


def _is_protocol_in_force(case: "Case", fact: Fact) -> str:
    version, current = fact.payload["version"], case.protocol.version
    if version == current:
        return ""
    return f"version {current} of the protocol is in force, not version {version}: show that one to the radiographer"


def _is_protocol_sent_again(case: "Case", fact: Fact) -> str:
    if case.protocol.sent_at is None or fact.payload["version"] == case.protocol.version:
        return ""
    return "a protocol that was sent is superseded (protocol.superseded), not sent as another version"


def _is_protocol_newer(case: "Case", fact: Fact) -> str:
    if fact.payload["version"] > case.protocol.version:
        return ""
    return f"a protocol that supersedes has a version above {case.protocol.version}"


def _is_asked_reader(case: "Case", fact: Fact) -> str:
    reading = case.reading
    asked = reading.claimed_by if reading.state in _TAKEN else reading.assigned_to
    if fact.payload["person_id"] == asked:
        return ""
    return "the case was given to another reader meanwhile: look at the reading list"


def _is_not_silent_other(case: "Case", fact: Fact) -> str:
    if fact.payload["person_id"] == case.reading.assigned_to:
        return ""
    return "the silence is of somebody who does not have the case any more"


def _is_claim_free(case: "Case", fact: Fact) -> str:
    reading = case.reading
    person_id, uid = fact.payload["person_id"], fact.payload["transaction_uid"]
    if not uid:
        return "a claim brings a Transaction UID (0008,1195)"
    if reading.state is ReadingState.CLAIMED:
        if uid == reading.transaction_uid and person_id == reading.claimed_by:
            return ""
        return "C302: another reader has opened it"
    if uid in reading.replaced_transaction_uids:
        return "C301: this Transaction UID is of a work item that was cancelled: make a new one"
    if reading.assigned_to is not None and reading.assigned_to != person_id:
        return "it is assigned to another reader: have it reassigned before opening it"
    return ""


def _is_lock_held(case: "Case", fact: Fact) -> str:
    return _is_lock_of_claim(case, fact.payload["transaction_uid"])


def _is_lock_of_claim(case: "Case", transaction_uid: str) -> str:
    if transaction_uid == case.reading.transaction_uid:
        return ""
    return "C301: the Transaction UID is not that of the claim"


def _is_signature_in_order(case: "Case", fact: Fact) -> str:
    report, payload = case.report, fact.payload
    if report.state is ReportState.SIGNED:
        last = report.versions[-1]
        is_same = (last.version, last.signer, last.content_hash) == (
            payload["version"],
            payload["signer"],
            payload.get("content_hash", ""),
        )
        # Said again it moves nothing: what became of its delivery stays.
        return STALE if is_same else "a signed report never changes: add an addendum, replace it or retract it"
    if payload["version"] != report.version + 1:
        return f"the next version of the report is {report.version + 1}"
    if case.reading.state is ReadingState.DONE:
        return "what was retracted is read again before it is signed again: put the case back into the queue"
    uid = payload.get("transaction_uid", "")
    if uid and uid != case.reading.transaction_uid:
        return "C301: the Transaction UID is not that of the claim"
    if payload["signer"] != case.reading.claimed_by:
        return "only the reader who has opened the case signs it"
    return ""


def _is_preliminary_in_order(case: "Case", fact: Fact) -> str:
    payload = fact.payload
    if "version" not in payload:
        return ""
    if payload["version"] != case.report.version + 1:
        return f"the next version of the report is {case.report.version + 1}"
    if case.reading.state not in _TAKEN or payload.get("signer") != case.reading.claimed_by:
        return "only the reader who has opened the case signs a finding"
    return _is_lock_of_claim(case, payload.get("transaction_uid", ""))


def _is_next_version(case: "Case", fact: Fact) -> str:
    if fact.payload["version"] == case.report.version + 1:
        return ""
    return f"the next version of the report is {case.report.version + 1}"


def _is_retracted_version(case: "Case", fact: Fact) -> str:
    notice = fact.payload.get("notice_version")
    if notice is not None and notice != case.report.version + 1:
        return f"the next version of the report is {case.report.version + 1}"
    if any(version.version == fact.payload["version"] for version in case.report.versions):
        return ""
    return "there is no such version to retract"


def _is_newest_version(case: "Case", fact: Fact) -> str:
    version = fact.payload.get("version")
    return "" if version is None or version == case.report.version else STALE


def _is_entering_again(case: "Case", _: Fact) -> str:
    if case.reading.state is ReadingState.DONE and case.report.state is not ReportState.RETRACTED:
        return "it has a signed report: retract that before it is read again, or add an addendum"
    return ""


def _names(*keys: str) -> Guard:
    """Return a guard that wants a text in each of these keys, and not only spaces."""

    def guard(_: "Case", fact: Fact) -> str:
        empty = [key for key in keys if not str(fact.payload[key]).strip()]
        return f"nothing may be missing: {', '.join(empty)}" if empty else ""

    return guard


def _is_critical_complete(case: "Case", fact: Fact) -> str:
    known = next(one for one in case.criticals if one.critical_id == fact.payload["critical_id"])
    if known.missing:
        return f"not recorded yet: {', '.join(known.missing)}; say to whom it was told, how, and what was read back"
    return _names("clinician")(case, fact)


def _is_another_reader(case: "Case", fact: Fact) -> str:
    if any(version.signer == fact.payload["person_id"] for version in case.report.versions):
        return "whoever signed it does not read it a second time"
    return ""


def _is_second_reader(case: "Case", fact: Fact) -> str:
    part = case.second_reading
    if part.state is not SecondReadingState.ASSIGNED:
        return "" if fact.payload["person_id"] == part.done_by else "it was read a second time by somebody else"
    if fact.payload["person_id"] != part.assigned_to:
        return "the second reading was given to another reader: have it given to you first"
    if part.is_blind and part.blind_findings_at is None:
        return "it is read blind: say what you see before you are shown the first report"
    return ""


def _is_of_assigned(case: "Case", fact: Fact) -> str:
    if fact.payload["person_id"] != case.second_reading.assigned_to:
        return "the second reading was given to another reader"
    return _names("finding")(case, fact)


def _may_be_recorded(case: "Case", fact: Fact) -> str:
    if fact.payload.get("is_significant") and case.is_closed:
        return "the hospital must be told of it: reopen the case first"
    return ""


def _may_be_learned(case: "Case", _: Fact) -> str:
    part = case.second_reading
    if not part.is_significant or part.state is SecondReadingState.CLOSED:
        return ""
    if part.state is not SecondReadingState.ACKNOWLEDGED:
        return "it changes what is done for the patient: a named clinician takes note of it first"
    if case.report.state is ReportState.SIGNED and case.report.version <= part.version_read:
        return "the report still says what is wrong: add an addendum, replace or retract it first"
    return ""


def _may_close(case: "Case", fact: Fact) -> str:
    if case.is_closed:
        return ""
    if case.second_reading.is_untold:
        return "no named clinician has taken note of the discrepancy: nothing closes before"
    if any(one.state in {CriticalState.DECLARED, CriticalState.COMMUNICATED} for one in case.criticals):
        return "a critical finding waits for a named clinician: nothing closes before"
    if fact.payload.get("reason") or case.request.state in _ENDED_REQUESTS:
        return ""
    # A preliminary finding or a withdrawal that somebody has read is no report that somebody has read.
    if case.report.state is ReportState.SIGNED and case.delivery.acknowledged_at is not None:
        if not case.is_signed_for_another:
            return ""
        return "its report was signed for another patient: sign it again or withdraw it, or say why it is closed so"
    return "no named clinician has acknowledged the report: say why it is closed without"


def _is_study_here(case: "Case", fact: Fact) -> str:
    here = (fact.payload["issuer"], fact.payload["study_instance_uid"])
    return "" if here in case.images.studies else "that study is not linked to this case"


def _has_other_studies(case: "Case", fact: Fact) -> str:
    missing = _is_study_here(case, fact)
    if missing or len(case.images.studies) > 1:
        return missing
    return "it is the last study of the case: say images.last_unlinked"


def _has_no_other_study(case: "Case", fact: Fact) -> str:
    missing = _is_study_here(case, fact)
    if missing or len(case.images.studies) == 1:
        return missing
    return "the case has other studies: say images.unlinked"


def _is_deadline_after(case: "Case", fact: Fact) -> str:
    if case.images.deadline_at is not None:
        return ""
    target = fact.payload.get("target_at_us")
    if target is not None and target > fact.payload["deadline_at_us"]:
        return "a target is not later than the contract's deadline"
    return ""


def _is_something_missing(case: "Case", _: Fact) -> str:
    if case.images.state is ImagesState.COMPLETE and not case.images.is_reopened:
        return "the images are complete: nothing is missing"
    return ""


def _is_known_evidence(_: "Case", fact: Fact) -> str:
    kinds = [kind.value for kind in EvidenceKind]
    return "" if fact.payload["kind"] in kinds else f"the kinds of evidence are {', '.join(kinds)}"


GUARDS: Final[Mapping[str, Guard]] = MappingProxyType(
    {
        E.PROTOCOL_SENT: _is_protocol_sent_again,
        E.PROTOCOL_SUPERSEDED: _is_protocol_newer,
        E.PROTOCOL_DELIVERED_TO_CONSOLE: _is_protocol_in_force,
        E.PROTOCOL_ACKNOWLEDGED: _is_protocol_in_force,
        E.IMAGES_COMPLETE: _is_deadline_after,
        E.IMAGES_EVIDENCE_FOUND: _is_known_evidence,
        E.IMAGES_STALLED: _is_something_missing,
        E.IMAGES_UNLINKED: _has_other_studies,
        E.IMAGES_LAST_UNLINKED: _has_no_other_study,
        E.QUEUE_ENTERED: _is_entering_again,
        E.ASSIGN_ACKNOWLEDGED: _is_asked_reader,
        E.ASSIGN_DECLINED: _is_asked_reader,
        E.ASSIGN_TIMEOUT: _is_not_silent_other,
        E.READ_OPENED: _is_claim_free,
        E.READ_PARKED: _is_lock_held,
        E.READ_PREEMPTED: _is_lock_held,
        E.READ_RESUMED: _is_lock_held,
        E.READ_RELEASED: _is_lock_held,
        E.PRELIM_ISSUED: _is_preliminary_in_order,
        E.REPORT_SIGNED: _is_signature_in_order,
        E.REPORT_ADDENDUM: _is_next_version,
        E.REPORT_REPLACED: _is_next_version,
        E.REPORT_RETRACTED: _is_retracted_version,
        E.REPORT_DELIVERED: _is_newest_version,
        E.REPORT_DELIVERY_FAILED: _is_newest_version,
        E.REPORT_ACCESSED: _is_newest_version,
        E.REPORT_ACKNOWLEDGED_BY_ED: _is_newest_version,
        E.CASE_CLOSED: _may_close,
        E.CRITICAL_DECLARED: _names("finding", "radiologist"),
        E.CRITICAL_COMMUNICATED: _names("recipient", "method", "read_back"),
        E.CRITICAL_ACKNOWLEDGED: _names("clinician"),
        E.CRITICAL_CLOSED: _is_critical_complete,
        E.REPORT_DOUBLE_READ_ASSIGNED: _is_another_reader,
        E.REPORT_DOUBLE_READ_FINDINGS: _is_of_assigned,
        E.REPORT_DOUBLE_READ_DONE: _is_second_reader,
        E.DISCREPANCY_RECORDED: _may_be_recorded,
        E.DISCREPANCY_COMMUNICATED: _names("recipient"),
        E.DISCREPANCY_ACKNOWLEDGED: _names("recipient"),
        E.DISCREPANCY_LEARNING_CLOSED: _may_be_learned,
    }
)
