"""What people and programs ask of a case, as pure decisions: (case, what is asked, context) gives the facts to append.

Each function returns the facts, or raises `TransitionRefused` with the reason and what to do instead. What is already
so is not said twice: a command repeated by a retry returns no facts. Nothing here reads a clock: the context says when.
Signing, delivery, critical findings and identity are in `oncall.case.commands_report`.

Any other event of the vocabulary is said with `say`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from foundation.instants import microseconds, microseconds_or_none
from oncall.case.event import SYSTEM, Actor, Fact, in_utc
from oncall.case.image_evidence import EvidenceKind, ImageEvidence
from oncall.case.regions import IdentityState, ImagesState, ReadingState, RequestState, StudyKey
from oncall.case.state import Case, ensure_possible, rehearse
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId, SiteId, SubSpecialty
from oncall.reading.board import ExamKind, Urgency

HOUR_S: Final = 3600.0
"""The contract: from images complete to signed report."""

Facts = tuple[Fact, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Who asks, when, with which policy and roster in force. ``happened_at`` is before ``now`` if reported late."""

    now: datetime
    actor: Actor = SYSTEM
    happened_at: datetime | None = None
    on_behalf_of: str = ""
    policy_version: str = ""
    roster_version: str = ""
    source_message: str = ""
    correlation_id: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", in_utc(self.now))
        if self.happened_at is not None:
            object.__setattr__(self, "happened_at", in_utc(self.happened_at))

    @property
    def at(self) -> datetime:
        """When it happened."""
        return self.happened_at or self.now

    def fact(self, event_type: E, **payload: Any) -> Fact:
        """Return a fact of this context; payload entries that are None are left out."""
        return Fact(
            type=event_type.value,
            occurred_at=self.at,
            actor=self.actor,
            payload={key: value for key, value in payload.items() if value is not None},
            on_behalf_of=self.on_behalf_of,
            policy_version=self.policy_version,
            roster_version=self.roster_version,
            source_message=self.source_message,
            correlation_id=self.correlation_id,
        )


def say(case: Case, context: Context, event_type: E, **payload: Any) -> Facts:
    """Return one fact as it is, after checking that it can happen now."""
    return possible(case, context.fact(event_type, **payload))


def possible(case: Case | None, *facts: Fact) -> Facts:
    """Return `facts` if they can all happen to `case` in this order; raises `TransitionRefused` if not."""
    if case is not None and len(facts) == 1:
        ensure_possible(case, facts[0])
    else:
        rehearse(case, facts)
    return facts


# Opening and the request


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRequest:
    """What a request says. ``patient_key`` is opaque, and '' for an unidentified patient.

    ``onset_at`` is when the patient was last known well; ``target_s`` an earlier target than the hour, in seconds from
    images complete.
    """

    site_id: SiteId
    exam: ExamKind
    urgency: Urgency
    needs: SubSpecialty = SubSpecialty.GENERAL
    patient_key: str = ""
    request_id: str = ""
    placer_order_number: str = ""
    accession_number: str = ""
    requester: str = ""
    modality: str = ""
    onset_at: datetime | None = None
    expected_at: datetime | None = None
    target_s: float | None = None

    def payload(self) -> dict[str, Any]:
        """Return what the log keeps of it; empty fields are left out."""
        texts = {
            name: getattr(self, name)
            for name in (
                "patient_key",
                "request_id",
                "placer_order_number",
                "accession_number",
                "requester",
                "modality",
                "target_s",
            )
            if getattr(self, name)
        }
        instants = {
            f"{name}_us": microseconds(at)
            for name, at in (("onset_at", self.onset_at), ("expected_at", self.expected_at))
            if at is not None
        }
        return {
            "site_id": self.site_id,
            "exam": self.exam.value,
            "urgency": int(self.urgency),
            "needs": self.needs.value,
            **texts,
            **instants,
        }


def open_from_request(request: NewRequest, context: Context) -> Facts:
    """Begin a case with a submitted request (T0)."""
    return possible(None, context.fact(E.REQUEST_SUBMITTED, **request.payload()))


def open_from_draft(request: NewRequest, context: Context) -> Facts:
    """Begin a case with a request that is not submitted yet."""
    return possible(None, context.fact(E.REQUEST_DRAFTED, **request.payload()))


def open_from_pre_alert(request: NewRequest, context: Context) -> Facts:
    """Begin a case with the announcement of a patient who is on the way (SAMU)."""
    return possible(None, context.fact(E.REQUEST_PRE_ALERT, **request.payload()))


def announce_again(case: Case, request: NewRequest, context: Context) -> Facts:
    """Say more of a patient who is on the way, or when they come now."""
    return say(case, context, E.REQUEST_PRE_ALERT, **request.payload())


def open_unannounced(request: NewRequest, study: StudyKey, context: Context, *, rule: str, **arrival: Any) -> Facts:
    """Begin a case with an emergency study that nobody announced; `rule` names the intake rule that said so."""
    opened = context.fact(E.REQUEST_UNANNOUNCED, **request.payload(), rule=rule)
    first = context.fact(
        E.IMAGES_FIRST_INSTANCE, issuer=study.issuer, study_instance_uid=study.study_instance_uid, **arrival
    )
    return possible(None, opened, first)


def submit(case: Case, request: NewRequest, context: Context) -> Facts:
    """Submit a drafted or pre-alerted request, or say the same again with more in it.

    Its patient becomes the case's if that had none; if it had another, the identity is blocked until that is settled.
    """
    submitted = context.fact(E.REQUEST_SUBMITTED, **request.payload())
    known, named = case.identity, request.patient_key
    if not named or named == known.patient_key or known.state is IdentityState.BLOCKED:
        return possible(case, submitted)
    if not known.patient_key or known.state is IdentityState.PROVISIONAL:
        identified = context.fact(E.IDENTITY_CORRECTED, patient_key=named, reason="named by the request")
        return possible(case, submitted, identified)
    blocked = context.fact(
        E.IDENTITY_MISMATCH_BLOCKED, reason="the request now names another patient", other_patient_key=named
    )
    return possible(case, submitted, blocked)


def withdraw(case: Case, context: Context, *, motive: str) -> Facts:
    """The requester takes the request back; the case is closed."""
    if case.request.state is RequestState.WITHDRAWN:
        return ()
    return possible(case, context.fact(E.REQUEST_WITHDRAWN, motive=motive), context.fact(E.CASE_CLOSED))


def refuse(case: Case, context: Context, *, motive: str, alternative: str | None = None) -> Facts:
    """The radiologist judges the indication and says no (ANS flux 3, OC), with an alternative; the case is closed."""
    if case.request.state is RequestState.REFUSED:
        return ()
    refused = context.fact(E.REQUEST_REFUSED, motive=motive, alternative=alternative)
    return possible(case, refused, context.fact(E.CASE_CLOSED))


def triage(
    case: Case,
    context: Context,
    *,
    urgency: Urgency,
    reason: str,
    exam: ExamKind | None = None,
    needs: SubSpecialty | None = None,
    target_at: datetime | None = None,
    onset_at: datetime | None = None,
) -> Facts:
    """Grade the case up or down. A nearer `target_at` tightens the live target; nothing here loosens it."""
    return say(
        case,
        context,
        E.REQUEST_TRIAGED,
        urgency=int(urgency),
        reason=reason,
        exam=None if exam is None else exam.value,
        needs=None if needs is None else needs.value,
        target_at_us=microseconds_or_none(target_at),
        onset_at_us=microseconds_or_none(onset_at),
    )


# Protocol


def send_protocol(
    case: Case,
    context: Context,
    *,
    author: PersonId,
    protocol_id: str,
    text: str | None = None,
    asked: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> Facts:
    """Answer the request with a protocol (ANS flux 3, OK), or supersede the one that was sent.

    `asked` is the protocol as `oncall.protocol.payload` writes it; without it there is only `text`. `reason` is why it
    supersedes the one before.
    """
    is_first = case.protocol.sent_at is None
    version = max(1, case.protocol.version) if is_first else case.protocol.version + 1
    kind = E.PROTOCOL_SENT if is_first else E.PROTOCOL_SUPERSEDED
    return say(
        case, context, kind, version=version, author=author, protocol_id=protocol_id, text=text, protocol=asked,
        reason=None if is_first else reason,
    )  # fmt: skip


def acknowledge_protocol(case: Case, context: Context, *, version: int, radiographer: str) -> Facts:
    """The radiographer has seen that version; refused if another one is in force."""
    if case.protocol.acknowledged_at is not None and case.protocol.version == version:
        return ()
    return say(case, context, E.PROTOCOL_ACKNOWLEDGED, version=version, radiographer=radiographer)


# Images


def receive_instances(
    case: Case, study: StudyKey, context: Context, *, received: int, outbox_event_id: int | None = None, **arrival: Any
) -> Facts:
    """Instances of a linked or new study are durable. After images complete they are late: kept, and the clock runs on.

    ``outbox_event_id`` is the newest event that told of them: what is not newer than what the case knows has been told.
    """
    images = case.images
    if outbox_event_id is not None and outbox_event_id <= images.told_by(study):
        return ()
    if images.state is ImagesState.COMPLETE:
        kind = E.IMAGES_LATE_INSTANCE
    elif images.state is ImagesState.NONE:
        kind = E.IMAGES_FIRST_INSTANCE
    elif images.state is ImagesState.STALLED:
        kind = E.IMAGES_RESUMED
    else:
        kind = E.IMAGES_PROGRESS
    return say(
        case,
        context,
        kind,
        issuer=study.issuer,
        study_instance_uid=study.study_instance_uid,
        received=received,
        outbox_event_id=outbox_event_id,
        **arrival,
    )


def find_evidence(case: Case, context: Context, evidence: ImageEvidence) -> Facts:
    """Something says that the images are complete, or how many there are; said again in the same words, nothing."""
    # When a list was compared does not matter, what was missing does.
    is_dated = evidence.kind is not EvidenceKind.MPPS_LIST
    same = [one for one in case.images.evidence if (one.kind, one.source) == (evidence.kind, evidence.source)]
    if any(one.payload() == evidence.payload() and (one.at >= evidence.at or not is_dated) for one in same):
        return ()
    said = replace(context, happened_at=evidence.at)
    return say(case, said, E.IMAGES_EVIDENCE_FOUND, **evidence.payload(), received=case.images.received)


def complete_images(
    case: Case,
    context: Context,
    *,
    rule: str,
    hour_s: float = HOUR_S,
    target_s: float | None = None,
    confidence: str = "",
    evidence: Sequence[ImageEvidence] = (),
) -> Facts:
    """T1: every image is there, by `rule`. Sets the contract's deadline, once; said again, it says nothing.

    Images that came late, or were found to be missing, are complete again by it: neither T1 nor the deadline moves. A
    request that was withdrawn, refused or had expired is opened again: images of an emergency that nobody reads are
    worse than a superfluous reading.
    """
    images = case.images
    why = {
        "rule": rule,
        "confidence": confidence or None,
        "evidence": [one.listed() for one in evidence] or None,
        "received": images.received or None,
        "missing": max((one.missing for one in evidence), default=0) or None,
    }
    if images.state is ImagesState.COMPLETE:
        return say(case, context, E.IMAGES_COMPLETE_AGAIN, **why) if images.is_reopened else ()
    deadline = images.deadline_at or context.at + timedelta(seconds=hour_s)
    wish_s = target_s if target_s is not None else case.request.target_s
    target = None if wish_s is None else min(deadline, context.at + timedelta(seconds=wish_s))
    completed = context.fact(
        E.IMAGES_COMPLETE,
        **why,
        deadline_at_us=microseconds(deadline),
        target_at_us=microseconds_or_none(target),
    )
    if case.is_closed and case.reading.state is ReadingState.CANCELLED:
        reopened = context.fact(E.CASE_REOPENED, reason=f"images came although the request was {case.request.state}")
        return possible(case, reopened, completed)
    return possible(case, completed)


def stall(case: Case, context: Context, *, silent_s: float, missing: int = 0) -> Facts:
    """No instance has come for `silent_s`: the transfer has stopped, with so many known to be missing."""
    if case.images.stalled_since is not None:
        return ()
    return say(case, context, E.IMAGES_STALLED, silent_s=silent_s, missing=missing or None)


# Reading


def assign(
    case: Case, person_id: PersonId, context: Context, *, reason: str, why: Mapping[str, Any] | None = None
) -> Facts:
    """Give the case to a reader, from whoever has it; `why` may hold candidates, scores, exclusions and the rule.

    What is claimed is revoked first: its UPS work item is cancelled and the next one replaces it.
    """
    reading = case.reading
    if reading.assigned_to == person_id and reading.state is not ReadingState.QUEUED:
        return ()
    given = {"person_id": person_id, "reason": reason, "assignment": reading.assignments + 1, **(why or {})}
    if reading.state in {ReadingState.ASSIGNED, ReadingState.ACKNOWLEDGED}:
        return say(case, context, E.ASSIGN_REASSIGNED, **given, from_person_id=reading.assigned_to)
    if reading.state in {ReadingState.CLAIMED, ReadingState.PARKED}:
        return possible(case, _revoked(case, context, reason), context.fact(E.ASSIGN_MADE, **given))
    return say(case, context, E.ASSIGN_MADE, **given)


def revoke(case: Case, context: Context, *, reason: str) -> Facts:
    """Take the case from whoever has it, back into the queue."""
    return () if case.reading.state is ReadingState.QUEUED else possible(case, _revoked(case, context, reason))


def _revoked(case: Case, context: Context, reason: str) -> Fact:
    reading = case.reading
    return context.fact(
        E.ASSIGN_REVOKED,
        reason=reason,
        person_id=reading.claimed_by or reading.assigned_to,
        replaced_transaction_uid=reading.transaction_uid or None,
    )


def acknowledge(case: Case, person_id: PersonId, context: Context, *, channel: str | None = None) -> Facts:
    """The reader has seen the page and comes; refused if the case has gone to somebody else."""
    facts = say(case, context, E.ASSIGN_ACKNOWLEDGED, person_id=person_id, channel=channel)
    return () if case.reading.acknowledged_at is not None else facts


def decline(case: Case, person_id: PersonId, context: Context, *, reason: str) -> Facts:
    """The reader says no; the case goes back into the queue and does not come to them again."""
    return say(case, context, E.ASSIGN_DECLINED, person_id=person_id, reason=reason)


def claim(case: Case, person_id: PersonId, context: Context, *, transaction_uid: str) -> Facts:
    """The reader opens the case and locks it with a Transaction UID of their own making (UPS, PS3.4 CC.2.1)."""
    reading = case.reading
    facts = say(case, context, E.READ_OPENED, person_id=person_id, transaction_uid=transaction_uid)
    return () if reading.state is ReadingState.CLAIMED else facts


def park(case: Case, context: Context, *, transaction_uid: str, reason: str) -> Facts:
    """The reader lays the case aside (waits for priors, a call, another P1) and keeps it."""
    facts = say(case, context, E.READ_PARKED, transaction_uid=transaction_uid, reason=reason)
    return () if case.reading.state is ReadingState.PARKED else facts


def resume(case: Case, context: Context, *, transaction_uid: str) -> Facts:
    """The reader goes on with a parked case."""
    facts = say(case, context, E.READ_RESUMED, transaction_uid=transaction_uid)
    return () if case.reading.state is ReadingState.CLAIMED else facts


def release(case: Case, context: Context, *, transaction_uid: str, reason: str) -> Facts:
    """The reader gives a claimed case back to the queue; a new work item replaces the cancelled one."""
    return say(case, context, E.READ_RELEASED, transaction_uid=transaction_uid, reason=reason)


def record_silence(case: Case, person_id: PersonId, context: Context, *, silent_s: float) -> Facts:
    """The reader did not answer in time; what follows is the escalation's business."""
    return say(case, context, E.ASSIGN_TIMEOUT, person_id=person_id, silent_s=silent_s)


# Opening and closing


def close(case: Case, context: Context, *, reason: str | None = None) -> Facts:
    """Nothing more is due; without a named clinician's acknowledgement it takes a reason."""
    return () if case.is_closed else say(case, context, E.CASE_CLOSED, reason=reason)


def reopen(case: Case, context: Context, *, reason: str, read_again: bool = False) -> Facts:
    """Open a closed case again, with the deadline that it had; `read_again` puts it back into the queue."""
    facts: Sequence[Fact] = () if case.is_open else (context.fact(E.CASE_REOPENED, reason=reason),)
    trial = rehearse(case, facts)
    is_waiting = trial.images.state is ImagesState.COMPLETE and trial.reading.state is ReadingState.NONE
    if is_waiting or (read_again and trial.reading.state is ReadingState.DONE):
        facts = (*facts, context.fact(E.QUEUE_ENTERED, reason=reason))
    return possible(case, *facts)
