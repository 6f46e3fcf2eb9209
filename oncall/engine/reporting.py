"""Reports within the engine: a version signed, stored, planned for delivery and told to its case, in one commit.

For: the engine's method about reports, and who may sign what. Not for: which version may follow
(`oncall.report.states`), what a case makes of it (`oncall.case.commands_report`), drafts (`oncall.report.drafts`), or
sending (`oncall.delivery`).

Invariants
----------
* A version, its event in the case's log, its deliveries and the end of its draft are one commit: there is no signed
  version that the case does not know, none that nobody is sent, and never two of a number.
* The same words signed again by the same person are the version that there is; other words are refused by the state.
* The signature is made once for a version, however often the decision is made again because somebody was faster.
* First and final findings are signed by the reader whose claim it is (Transaction UID, PS3.4 CC.2.1). What follows a
  signed report may be signed by any reader of the hospital's convention who can read it: its author may be asleep.
* Duty and rest are judged when a case is opened, not when it is signed: a reader finishes what they have begun.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from foundation.errors import Refused, Unavailable
from foundation.faults import reach
from oncall.case import commands_report
from oncall.case.commands import Context, Facts
from oncall.case.event import Actor, CaseId
from oncall.case.state import Case
from oncall.chain import Cause
from oncall.directory import Person, PersonId, Role
from oncall.engine import deliveries, paging
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft
from oncall.ladder import Purpose
from oncall.reading.eligibility import level
from oncall.report import states
from oncall.report.canonical import check_content, digest_of
from oncall.report.content import ReportContent
from oncall.report.signing import ALGORITHM, Signer, holder_of, verify
from oncall.report.states import Wanted
from oncall.report.version import Author, ReportVersion, SeenStudy, Signature, SignedVersion, VersionKind

READER: Final = "reader"
IDENTITY: Final = "i"
"""Marks the chain about a report that was signed for another patient: whoever is paged has it signed again."""

_OF_THE_CLAIM: Final = frozenset({VersionKind.PRELIMINARY, VersionKind.FINAL})


class NotTheSigner(Refused):
    """Somebody may not sign this version; the message names the rule."""


class Reports(Deciding):
    """The engine's method about reports."""

    def sign_report(
        self, case_id: CaseId, signer: PersonId, content: ReportContent, now: datetime, *, signer_port: Signer,
        transaction_uid: str = "", kind: VersionKind = VersionKind.FINAL, reason: str = "",
        seen: Sequence[SeenStudy] = (),
    ) -> SignedVersion:  # fmt: skip
        """Sign a version of a case's report; durable when it returns. Signed again, it is returned as it is.

        Parameters
        ----------
        signer : PersonId
            Who has logged in as whom is the caller's question; the directory must know them as a reader.
        content : ReportContent
            What it says. That of a retraction is the notice that the hospital reads (`retraction_notice` makes one).
        signer_port : Signer
            What signs in their name.
        transaction_uid : str
            That of the claim, for a preliminary or final version.
        reason : str
            Why, in words that the hospital reads: for an addendum, a replacement, a retraction.
        seen : sequence of SeenStudy
            The images and priors as they stood before the signer.

        Raises
        ------
        foundation.errors.Refused
            If the case, its report, its identity or the signer do not allow it, or the key was revoked.
        foundation.errors.PeerError
            If no document can hold the content, or a reason is missing.
        foundation.errors.Unavailable
            If the signature cannot be made, or the database does not answer: ask again with the same content.
        """
        check_content(content)
        signatures: dict[str, Signature] = {}
        done: list[SignedVersion] = []

        def signature_over(digest: str) -> Signature:
            if digest not in signatures:
                signatures[digest] = _signature(signer_port, signer, digest)
            return signatures[digest]

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            history = draft.versions_of(case_id)
            wanted = Wanted(
                case_id=case_id,
                kind=kind,
                content=content,
                author=_author(draft, signer),
                signed_at=now,
                patient_key=_patient_key(case, history, kind),
                reason=reason,
                seen=tuple(seen),
            )
            signed = states.repeated(history, wanted)
            if signed is None:
                _ensure_may_sign(draft, case, signer, kind, transaction_uid)
                signed = _sign(draft, case, states.following(history, wanted), transaction_uid, signature_over)
                self._follow(draft, case_id, draft.events)
            done.append(signed)

        self._commit(now, decide)
        return done[-1]


def retraction_notice(withdrawn: ReportVersion, reason: str) -> ReportContent:
    """Return what a notice of retraction says: the title of what is withdrawn, and why, in its language."""
    return ReportContent(language=withdrawn.content.language, title=withdrawn.content.title, conclusion=reason)


def tell_of_identities(draft: Draft) -> None:
    """Say of every case that the draft touched when its signed report is now another patient's."""
    for case_id, case in list(draft.cases.items()):
        if not case.report.versions:
            continue
        if draft.record(case_id, *commands_report.note_identity(case, draft.context)):
            _page_about_identity(draft, draft.case(case_id))
        elif not case.is_signed_for_another and paging.running_chain(case, IDENTITY) is not None:
            paging.close(draft, case, "signed_again", IDENTITY)


def _page_about_identity(draft: Draft, case: Case) -> None:
    """Page the hospital, which may have it in another patient's record, and those who can have it signed again."""
    for mark, purpose in ((deliveries.UNREAD, Purpose.UNOPENED), (IDENTITY, Purpose.LATE)):
        if paging.running_chain(case, mark) is None:
            ladder = draft.rules.ladder_for(purpose)
            paging.begin(draft, draft.case(case.case_id), Cause.CLINICAL, mark=mark, ladder=ladder)


def _patient_key(case: Case, history: Sequence[SignedVersion], kind: VersionKind) -> str:
    """Return for whom a version is signed: a notice for whoever's record has what it withdraws."""
    if kind is VersionKind.RETRACTION and history:
        return history[-1].version.patient_key
    return case.patient_key


def _sign(
    draft: Draft, case: Case, version: ReportVersion, transaction_uid: str, signature_over: Callable[[str], Signature]
) -> SignedVersion:
    digest = digest_of(version)
    context = replace(draft.context, actor=Actor(who=version.author.person_id, role=READER))
    # The state refuses before anybody signs.
    draft.record(case.case_id, *_facts(case, version, digest, transaction_uid, context))
    signed = SignedVersion(version=version, digest=digest, signature=signature_over(digest))
    reach("report.signed")
    draft.signed_versions.append(signed)
    draft.deliveries += deliveries.planned_for(draft, signed)
    return signed


def _facts(case: Case, version: ReportVersion, digest: str, transaction_uid: str, context: Context) -> Facts:
    signer, reason = version.author.person_id, version.reason
    match version.kind:
        case VersionKind.PRELIMINARY:
            return commands_report.issue_preliminary(
                case, signer, context, content_hash=digest, transaction_uid=transaction_uid
            )
        case VersionKind.FINAL:
            return commands_report.sign(case, signer, context, content_hash=digest, transaction_uid=transaction_uid)
        case VersionKind.ADDENDUM:
            return commands_report.add_addendum(case, signer, context, content_hash=digest, reason=reason)
        case VersionKind.REPLACEMENT:
            return commands_report.replace_report(case, signer, context, content_hash=digest, reason=reason)
        case VersionKind.RETRACTION:
            return commands_report.withdraw(case, signer, context, content_hash=digest, reason=reason)


def _author(draft: Draft, signer: PersonId) -> Author:
    person = _reader(draft, signer)
    provider = draft.rules.directory.providers.get(person.provider_id) if person.provider_id is not None else None
    return Author(
        person_id=signer,
        name=person.name,
        rpps=person.rpps or "",
        organisation="" if provider is None else provider.name,
    )


def _reader(draft: Draft, signer: PersonId) -> Person:
    person = draft.rules.directory.persons.get(signer)
    if person is None or person.role is not Role.RADIOLOGIST:
        raise NotTheSigner("only a radiologist whom the directory knows signs a report")
    return person


def _ensure_may_sign(draft: Draft, case: Case, signer: PersonId, kind: VersionKind, transaction_uid: str) -> None:
    person = _reader(draft, signer)
    if case.site_id not in person.privileges:
        raise NotTheSigner(f"no_privilege {case.site_id}: this reader has no convention with the hospital")
    if level(draft.rules.directory, signer, case.needs) is None:
        raise NotTheSigner(f"not_competent {case.needs.value}: this reader does not read such exams")
    if kind not in _OF_THE_CLAIM:
        return
    if case.reading.claimed_by is not None and case.reading.claimed_by != signer:
        raise NotTheSigner("another reader has opened the case: only they sign what they read")
    if case.reading.claimed_by is not None and transaction_uid != case.reading.transaction_uid:
        raise NotTheSigner("C301: the Transaction UID is not that of the claim; open the case again")


def _signature(signer_port: Signer, signer: PersonId, digest: str) -> Signature:
    signature = signer_port.sign(signer, digest)
    # What other algorithms mean is for the adapter of their service to verify.
    is_sound = signature.algorithm != ALGORITHM or verify(signature, digest)
    if holder_of(signature) != signer or not is_sound:
        raise Unavailable("what was signed is not what was asked for; have the signing service examined")
    return signature
