"""Signing, delivering, critical findings and identity, as pure decisions like those of `oncall.case.commands`."""

from typing import Final

from foundation.errors import PeerError, Refused
from oncall.case.commands import Context, Facts, possible, say
from oncall.case.regions import (
    CriticalFinding,
    CriticalState,
    IdentityState,
    ImagesState,
    ReadingState,
    ReportState,
)
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId

CRITICAL_DUE_S: Final = {1: 15 * 60.0, 2: 4 * 3600.0, 3: 3 * 86_400.0}
"""ACR Actionable Reporting: category 1 within minutes, 2 within hours, 3 within days, in seconds."""


def communicate_finding(case: Case, context: Context, *, method: str, recipient: str | None = None) -> Facts:
    """The first finding is told (T2), before there is a report."""
    if case.report.first_communicated_at is not None:
        return ()
    return say(case, context, E.FINDING_FIRST_COMMUNICATED, method=method, recipient=recipient)


def sign(
    case: Case,
    signer: PersonId,
    context: Context,
    *,
    content_hash: str = "",
    transaction_uid: str | None = None,
    certificate: str | None = None,
) -> Facts:
    """The reader signs the first final report (T3): the hour ends. Signing the same content again says nothing.

    Raises
    ------
    TransitionRefused
        If nobody has opened the case, another reader has, the identity is blocked, or another content is signed.
    """
    report = case.report
    is_signed = report.state is ReportState.SIGNED
    facts = say(
        case,
        context,
        E.REPORT_SIGNED,
        version=report.version if is_signed else report.version + 1,
        signer=signer,
        content_hash=content_hash or None,
        transaction_uid=transaction_uid,
        certificate=certificate,
    )
    return () if is_signed else facts


def issue_preliminary(
    case: Case, signer: PersonId, context: Context, *, content_hash: str, transaction_uid: str
) -> Facts:
    """The reader signs a first finding as a version of its own: the hour runs on until the final report."""
    return say(
        case,
        context,
        E.PRELIM_ISSUED,
        version=case.report.version + 1,
        signer=signer,
        content_hash=content_hash,
        transaction_uid=transaction_uid,
    )


def add_addendum(case: Case, signer: PersonId, context: Context, *, content_hash: str, reason: str) -> Facts:
    """Append an addendum as the next version; what was signed stays as it is, and delivery begins again."""
    return _next_version(case, E.REPORT_ADDENDUM, signer, context, content_hash, reason)


def replace_report(case: Case, signer: PersonId, context: Context, *, content_hash: str, reason: str) -> Facts:
    """Replace the report by a next version (RPLC); the replaced one is kept, and delivery begins again."""
    return _next_version(case, E.REPORT_REPLACED, signer, context, content_hash, reason)


def _next_version(case: Case, kind: E, signer: PersonId, context: Context, content_hash: str, reason: str) -> Facts:
    reopened = () if case.is_open else (context.fact(E.CASE_REOPENED, reason=reason),)
    version = case.report.version + 1
    return possible(
        case,
        *reopened,
        context.fact(kind, version=version, signer=signer, content_hash=content_hash, reason=reason),
    )


def retract(case: Case, context: Context, *, reason: str) -> Facts:
    """Declare the newest version not to be this patient's; it is kept, marked, and the hospital is told anew."""
    if case.report.state is ReportState.RETRACTED:
        return ()
    reopened = () if case.is_open else (context.fact(E.CASE_REOPENED, reason=reason),)
    return possible(case, *reopened, context.fact(E.REPORT_RETRACTED, version=case.report.version, reason=reason))


def withdraw(case: Case, signer: PersonId, context: Context, *, content_hash: str, reason: str) -> Facts:
    """Retract by a signed notice, which is the next version; what has its images here is read again."""
    opened = () if case.is_open else (context.fact(E.CASE_REOPENED, reason=reason),)
    version = case.report.version
    withdrawn = context.fact(
        E.REPORT_RETRACTED,
        version=version,
        reason=reason,
        notice_version=version + 1,
        signer=signer,
        content_hash=content_hash,
    )
    is_read_again = case.reading.state is ReadingState.DONE and case.images.state is ImagesState.COMPLETE
    queued = (context.fact(E.QUEUE_ENTERED, reason=reason),) if is_read_again else ()
    return possible(case, *opened, withdrawn, *queued)


def note_identity(case: Case, context: Context) -> Facts:
    """Say that a signed report is now another patient's than the hospital was told; it is told anew, on its page.

    Nothing while nobody knows whose it is, or when a patient whom nobody knew is given a name: the report was read as
    that of the unknown patient whom it is about.
    """
    report, identity = case.report, case.identity
    key = identity.patient_key
    told = (report.shown_as,) if report.shown_as else identity.former_patient_keys
    is_told = report.standing is None or all(one in {"", key} for one in told)
    if is_told or identity.state is IdentityState.BLOCKED:
        return ()
    reopened = () if case.is_open else (context.fact(E.CASE_REOPENED, reason="the patient of a signed report changed"),)
    return possible(
        case,
        *reopened,
        context.fact(E.REPORT_IDENTITY_CHANGED, version=report.version),
        # The emergency department's page says so from now on.
        context.fact(E.REPORT_SENT, channel="web", recipient=case.site_id, version=report.version),
    )


def send_report(case: Case, context: Context, *, channel: str, recipient: str | None = None) -> Facts:
    """The newest version leaves for the hospital."""
    version = case.report.version
    return say(case, context, E.REPORT_SENT, channel=channel, recipient=recipient, version=version)


def record_delivery(case: Case, context: Context, *, channel: str, version: int | None = None) -> Facts:
    """It has technically arrived (T4). A receipt for an older version is kept and confirms nothing."""
    facts = say(case, context, E.REPORT_DELIVERED, channel=channel, version=version)
    return () if _is_newest(case, version) and case.delivery.delivered_at is not None else facts


def record_delivery_failure(
    case: Case, context: Context, *, channel: str, reason: str, version: int | None = None
) -> Facts:
    """One channel could not deliver."""
    return say(case, context, E.REPORT_DELIVERY_FAILED, channel=channel, reason=reason, version=version)


def record_access(case: Case, person_id: PersonId, context: Context, *, version: int | None = None) -> Facts:
    """Somebody at the hospital has opened it: not yet an acknowledgement."""
    return say(case, context, E.REPORT_ACCESSED, person_id=person_id, version=version)


def acknowledge_report(case: Case, clinician: str, context: Context, *, version: int | None = None) -> Facts:
    """A named clinician has taken note of the newest version (T5)."""
    if not clinician:
        raise PeerError("an acknowledgement names the clinician")
    facts = say(case, context, E.REPORT_ACKNOWLEDGED_BY_ED, clinician=clinician, version=version)
    return () if _is_newest(case, version) and case.delivery.acknowledged_at is not None else facts


def _is_newest(case: Case, version: int | None) -> bool:
    return version is None or version == case.report.version


# Critical findings


def acknowledge_critical(case: Case, context: Context, *, critical_id: str, clinician: str) -> Facts:
    """A named clinician has taken over; its escalation stops, and only its own."""
    if not clinician:
        raise PeerError("an acknowledgement names the clinician")
    known = find_critical(case, critical_id)
    facts = say(case, context, E.CRITICAL_ACKNOWLEDGED, critical_id=critical_id, clinician=clinician)
    return () if known is not None and known.acknowledged_at is not None else facts


def close_critical(case: Case, context: Context, *, critical_id: str, clinician: str) -> Facts:
    """The loop is closed: by a named person, after the acknowledgement."""
    known = find_critical(case, critical_id)
    if known is not None and known.state is CriticalState.CLOSED:
        return ()
    return say(case, context, E.CRITICAL_CLOSED, critical_id=critical_id, clinician=clinician)


def find_critical(case: Case, critical_id: str) -> CriticalFinding | None:
    """Return the critical finding of that id, or None."""
    return next((one for one in case.criticals if one.critical_id == critical_id), None)


# Identity


def qualify_identity(case: Case, context: Context, *, patient_key: str, method: str) -> Facts:
    """Somebody proved whose case it is (INS qualified, or the hospital's own check)."""
    identity = case.identity
    if identity.state is IdentityState.QUALIFIED and identity.patient_key == patient_key:
        return ()
    if identity.state in {IdentityState.KNOWN, IdentityState.QUALIFIED} and identity.patient_key != patient_key:
        raise Refused("the case is of another patient: correct the identity first, with the reason, then prove it")
    return say(case, context, E.IDENTITY_QUALIFIED, patient_key=patient_key, method=method)


def correct_identity(case: Case, context: Context, *, patient_key: str, reason: str) -> Facts:
    """Say who it is: an unidentified trauma patient is recognised, or a contradiction is settled.

    Clock, deadline, assignment and reports stay as they are; the former key is kept.
    """
    identity = case.identity
    if identity.state is IdentityState.KNOWN and identity.patient_key == patient_key:
        return ()
    return say(
        case,
        context,
        E.IDENTITY_CORRECTED,
        patient_key=patient_key,
        former_patient_key=identity.patient_key or None,
        reason=reason,
    )


def block_identity(case: Case, context: Context, *, reason: str, other_patient_key: str | None = None) -> Facts:
    """Images and request contradict each other: nothing is signed before somebody has settled whose they are."""
    if case.identity.state is IdentityState.BLOCKED:
        return ()
    return say(case, context, E.IDENTITY_MISMATCH_BLOCKED, reason=reason, other_patient_key=other_patient_key)
