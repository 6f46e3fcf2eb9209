"""What the pages and the interface of reports ask for: drafts, signed versions, documents, who may write, who reads.

For: one place that both sides use, so that they check the same. Not for: pages or JSON, or which version may follow
(`oncall.report.states`), which the engine decides.

Invariants: a report is written by who has claimed the case, and once it is signed by a reader of its hospital; nothing
is signed that is not the draft as it was shown; a case of another hospital is not told from one that is not there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from foundation.database import Database
from foundation.errors import Refused
from foundation.instants import microseconds
from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.delivery.documents import Describer, DocumentStore
from oncall.directory import PersonId, Role, SiteId
from oncall.engine.reporting import retraction_notice
from oncall.language import Language
from oncall.report import store, template_library
from oncall.report.canonical import content_digest
from oncall.report.content import ReportContent
from oncall.report.drafts import DraftReport, Drafts
from oncall.report.rendering import Severity
from oncall.report.signing import Signer
from oncall.report.states import has_final, withdrawn
from oncall.report.template import Template
from oncall.report.version import SeenStudy, SignedVersion, VersionKind
from oncall.report_documents.source import DocumentSource
from oncall.schema import oncall_case, oncall_report_version
from oncall.second_reading.board import is_first_report_hidden
from territory.oncall_web.access import Holder, May
from territory.oncall_web.desk import Desk
from territory.oncall_web.refusals import RefusedInWords
from territory.oncall_web.report_form import ReportForm, form_from, new_content

LISTED_FOR: Final = timedelta(days=14)
"""Reports that the emergency department's list goes back; older ones are found by their case."""

LISTED_MAX: Final = 200

FIRST: Final = frozenset({VersionKind.PRELIMINARY, VersionKind.FINAL})
"""Kinds that only who has claimed the case may sign."""

WITH_REASON: Final = frozenset({VersionKind.ADDENDUM, VersionKind.REPLACEMENT, VersionKind.RETRACTION})


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What somebody wants to sign: what was shown, by revision and SHA-256, as a version of a kind.

    ``is_lack_accepted`` says that they know what is missing.
    """

    person_id: PersonId
    kind: VersionKind
    revision: int
    content_sha256: str
    reason: str = ""
    is_lack_accepted: bool = False
    transaction_uid: str = ""


class ReportRoom:
    """Reports of the cases.

    Parameters
    ----------
    signer : Signer
        Signs with the keys of people.
    describe : Describer
        Says who the patient is, as the archive names them now, and what was examined.
    documents : DocumentStore
        Keeps the documents of a version as they were first made: what is sent is what is shown.
    seen : callable
        Returns the studies that a reader of a case sees now: its own, and the patient's others.
    """

    def __init__(
        self,
        desk: Desk,
        database: Database,
        signer: Signer,
        describe: Describer,
        documents: DocumentStore,
        seen: Callable[[Case], tuple[SeenStudy, ...]],
    ) -> None:
        self.desk = desk
        self.drafts = Drafts(database)
        self.documents = documents
        self._database = database
        self._signer = signer
        self._describe = describe
        self._seen = seen

    # What there is

    def versions(self, case_id: CaseId) -> tuple[SignedVersion, ...]:
        """Return every version of a case's report, oldest first; one that is not what was signed is an error."""
        with self._database.read() as connection:
            return store.versions_of(connection, case_id)

    def version(self, case_id: CaseId, number: int) -> SignedVersion:
        """Return one version; raises `Refused` when there is none."""
        with self._database.read() as connection:
            found = store.find(connection, case_id, number)
        if found is None:
            raise RefusedInWords("report.wrong.no_version")
        return found

    def source(self, case_id: CaseId, number: int) -> DocumentSource:
        """Return what documents of a version are made of now.

        Raises
        ------
        foundation.errors.Unavailable
            While the patient cannot be looked up.
        """
        history = self.versions(case_id)
        signed = next((one for one in history if one.version.version == number), None)
        if signed is None:
            raise RefusedInWords("report.wrong.no_version")
        subject, exam = self._describe(signed)
        return DocumentSource(
            signed=signed,
            subject=subject,
            exam=exam,
            history=tuple(one for one in history if one.version.version < number),
            is_retracted=number in withdrawn([one.version for one in history]),
        )

    def seen(self, case: Case) -> tuple[SeenStudy, ...]:
        """Return the studies that a reader of the case sees now."""
        return self._seen(case)

    def templates(self) -> tuple[Template, ...]:
        """Return the templates in force."""
        with self._database.read() as connection:
            return tuple(one.template for one in template_library.in_force(connection).values())

    def template_of(self, content: ReportContent) -> Template | None:
        """Return the template that a content was made with, if it was ever here in that version."""
        if not content.template_id:
            return None
        with self._database.read() as connection:
            return template_library.find(connection, content.template_id, content.language, content.template_version)

    def template(self, key: str) -> Template | None:
        """Return the template of a key, as `template_key` makes it."""
        template_id, _, rest = key.partition("@")
        version, _, language = rest.partition("@")
        if language not in set(Language):
            return None
        with self._database.read() as connection:
            return template_library.find(connection, template_id, Language(language), version)

    def form(self, content: ReportContent) -> ReportForm:
        """Return the form of a kept content."""
        return form_from(content, self.template_of(content))

    def signed_cases(self, may_see: Callable[[SiteId], bool]) -> tuple[CaseId, ...]:
        """Return the cases with a version of the last `LISTED_FOR` that concern somebody, the newest first."""
        table, since_us = oncall_report_version, microseconds(self.desk.now() - LISTED_FOR)
        newest = func.max(table.c.signed_at_us).label("newest")
        wanted = (
            select(table.c.case_id, oncall_case.c.site_id, newest)
            .join(oncall_case, oncall_case.c.case_id == table.c.case_id)
            .group_by(table.c.case_id, oncall_case.c.site_id)
            .having(newest >= since_us)
            .order_by(newest.desc())
        )
        with self._database.read() as connection:
            rows = connection.execute(wanted).all()
        return tuple(CaseId(row.case_id) for row in rows if may_see(SiteId(row.site_id)))[:LISTED_MAX]

    # Writing

    def begin(
        self, case: Case, person_id: PersonId, kind: VersionKind, holder: Holder, base: ReportContent
    ) -> DraftReport:
        """Begin a draft, or go on with one that is free."""
        self.ensure_may_write(case, person_id, kind, holder)
        return self.drafts.open(
            case.case_id, person_id, self.desk.now(), base, base_version=len(self.versions(case.case_id))
        )

    def take_over(self, case: Case, person_id: PersonId, kind: VersionKind, holder: Holder) -> DraftReport:
        """Take the draft from whoever has it; recorded."""
        self.ensure_may_write(case, person_id, kind, holder)
        return self.drafts.take_over(case.case_id, person_id, self.desk.now())

    def save(
        self, case: Case, person_id: PersonId, revision: int, content: ReportContent, holder: Holder
    ) -> DraftReport:
        """Save what somebody wrote on a revision."""
        self._ensure_reader(case, person_id, holder)
        return self.drafts.save(case.case_id, person_id, revision, content, self.desk.now())

    def release(self, case: Case, person_id: PersonId) -> None:
        """Let others write on."""
        self.drafts.release(case.case_id, person_id, self.desk.now())

    def ensure_may_write(self, case: Case, person_id: PersonId, kind: VersionKind, holder: Holder) -> None:
        """Refuse who may not write a version of this kind.

        Raises
        ------
        foundation.errors.Refused
            If somebody else has claimed the case, or nobody; or the person does not read for its hospital.
        """
        self._ensure_reader(case, person_id, holder)
        ensure_not_blind(case, holder)
        if kind in FIRST and case.reading.claimed_by != person_id:
            raise RefusedInWords("report.wrong.not_claimed")

    def may_write(self, case: Case, person_id: PersonId, kind: VersionKind, holder: Holder) -> bool:
        """Say whether somebody may write a version of this kind."""
        try:
            self.ensure_may_write(case, person_id, kind, holder)
        except Refused:
            return False
        return True

    def person_of(self, holder: Holder, case: Case, sent: str = "") -> PersonId:
        """Return who acts: who the token names; where nobody is known who was chosen, or has the case."""
        if not holder.is_anybody:
            return PersonId(holder.who)
        return PersonId(sent or case.reading.claimed_by or case.reading.assigned_to or "")

    def next_kind(self, history: Sequence[SignedVersion], asked: str = "") -> VersionKind:
        """Return what the next version is: what was asked where something is signed, else the final report."""
        is_final = has_final([one.version for one in history])
        if asked in set(VersionKind) and (is_final or VersionKind(asked) not in WITH_REASON):
            return VersionKind(asked)
        return VersionKind.ADDENDUM if is_final else VersionKind.FINAL

    def base_of(self, history: Sequence[SignedVersion], kind: VersionKind, fresh: ReportContent) -> ReportContent:
        """Return what a new draft begins with: a replacement with what it replaces, anything else afresh."""
        if kind is VersionKind.REPLACEMENT and history:
            return history[-1].version.content
        if kind is VersionKind.FINAL and history:
            # A preliminary finding was issued: the report goes on from it.
            return history[-1].version.content
        if kind is VersionKind.ADDENDUM and history:
            language = history[-1].version.content.language
            return new_content(None, language)
        return fresh

    def sign(self, case: Case, wish: Wish, holder: Holder) -> SignedVersion:
        """Sign the draft that was shown.

        Raises
        ------
        foundation.errors.Refused
            If the draft is not what was shown, lacks what must be there, or the engine refuses.
        """
        self.ensure_may_write(case, wish.person_id, wish.kind, holder)
        if wish.kind is VersionKind.RETRACTION:
            return self._retract(case, wish)
        draft = self.drafts.find(case.case_id)
        if draft is None or draft.person_id != wish.person_id:
            raise RefusedInWords("report.wrong.not_writing")
        if draft.revision != wish.revision or content_digest(draft.content) != wish.content_sha256:
            raise RefusedInWords("report.wrong.changed")
        self.ensure_complete(draft.content, wish)
        return self.sign_content(case, wish, draft.content)

    def ensure_complete(self, content: ReportContent, wish: Wish) -> None:
        """Refuse what lacks something that must be there, or that nobody has accepted.

        An addendum and a preliminary finding are short by nature: only an empty one is refused.
        """
        if wish.kind in WITH_REASON and not wish.reason.strip():
            raise RefusedInWords("report.wrong.no_reason")
        if wish.kind not in {VersionKind.FINAL, VersionKind.REPLACEMENT}:
            if not (content.results + content.conclusion).strip():
                raise RefusedInWords("report.wrong.empty")
            return
        lacks = self.form(content).lacks
        mended_first = [one.text for one in lacks if one.severity is Severity.REFUSE]
        if mended_first:
            raise Refused(" ".join(mended_first))
        if not wish.is_lack_accepted and any(one.severity is Severity.ACKNOWLEDGE for one in lacks):
            raise RefusedInWords("report.wrong.lacks")

    def _retract(self, case: Case, wish: Wish) -> SignedVersion:
        """Retract the report that was shown; nobody writes anything but the reason."""
        history = self.versions(case.case_id)
        if not history or history[-1].version.version != wish.revision or history[-1].digest != wish.content_sha256:
            raise RefusedInWords("report.wrong.changed")
        if not wish.reason.strip():
            raise RefusedInWords("report.wrong.no_reason")
        return self.sign_content(case, wish, retraction_notice(history[-1].version, wish.reason))

    def sign_content(self, case: Case, wish: Wish, content: ReportContent) -> SignedVersion:
        """Have the engine sign a content as a version of a kind."""
        seen, signer = self.seen(case), self._signer
        return self.desk.ask(
            lambda engine, at: engine.sign_report(
                case.case_id,
                wish.person_id,
                content,
                at,
                transaction_uid=wish.transaction_uid or case.reading.transaction_uid,
                signer_port=signer,
                kind=wish.kind,
                reason=wish.reason,
                seen=seen,
            )
        )

    def _ensure_reader(self, case: Case, person_id: PersonId, holder: Holder) -> None:
        person = self.desk.in_force().directory.persons.get(person_id)
        is_reader = person is not None and person.role is Role.RADIOLOGIST and case.site_id in person.privileges
        if not is_reader or May.READ not in holder.may:
            raise RefusedInWords("report.wrong.no_reader")


def ensure_not_blind(case: Case, holder: Holder) -> None:
    """Refuse the first report to who reads the case a second time, blind, and has not said what they see.

    Raises
    ------
    foundation.errors.Refused
        With what to do instead.
    """
    if May.READ in holder.may and is_first_report_hidden(case, PersonId(holder.who)):
        raise RefusedInWords("second.blind")


def template_key(template: Template) -> str:
    """Return how forms and addresses name a template in a version and a language."""
    return f"{template.template_id}@{template.version}@{template.language.value}"
