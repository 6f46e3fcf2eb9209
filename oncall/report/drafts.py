"""What a reader is writing, saved as they write: one row for one case, one person at a time, nothing lost by a crash.

For: a web page that saves every few seconds and must know that it still may. Not for: what is signed
(`oncall.report.store`), or who may write on a case at all (whoever has claimed it: the caller's question).

Invariants
----------
* A draft belongs to one person until their lease runs out; each save renews it. Another person is told who has it and
  until when, and may take it over, which is recorded; the former one's next save is refused.
* A save names the revision that it was made on: a tab that was left open elsewhere cannot put old words over new ones.
  The same save sent again is answered as it was before.
* What is saved is on disk when the call returns. Words that are not signed are set aside, never deleted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from foundation.database import Database
from foundation.errors import Refused
from foundation.instants import instant_of_us, microseconds
from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.report.canonical import check_content, content_from_json, content_to_json
from oncall.report.content import ReportContent
from oncall.schema import oncall_report_draft, oncall_report_draft_event
from oncall.strict_json import canonical, parse

LEASE: Final = timedelta(minutes=5)
"""How long somebody keeps a draft without a save: the telephone rings, a priors' viewer opens; no longer than that."""


class DraftHeld(Refused):
    """Somebody else is writing: ``person_id``, until ``until`` (UTC) unless they go on."""

    def __init__(self, person_id: PersonId, until: datetime) -> None:
        super().__init__("somebody else is writing this report: wait until their time is over, or take it over")
        self.person_id = person_id
        self.until = until


class StaleRevision(Refused):
    """The words to be saved were made on an older revision; ``revision`` is the present one."""

    def __init__(self, revision: int) -> None:
        message = f"this page is not the newest: revision {revision} was saved elsewhere; load it and write again"
        super().__init__(message)
        self.revision = revision


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftReport:
    """A draft as it is saved. ``leased_until`` and ``saved_at`` are UTC.

    ``revision`` counts saves from 0; ``base_version`` is the last signed version when it was begun, 0 for none.
    """

    case_id: CaseId
    person_id: PersonId
    revision: int
    content: ReportContent
    base_version: int
    leased_until: datetime
    saved_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftEvent:
    """What happened to a draft: opened, taken_over, released, signed, or set_aside (with its words)."""

    happened: str
    person_id: PersonId
    occurred_at: datetime
    from_person_id: PersonId | None = None
    content: ReportContent | None = None


class Drafts:
    """Drafts in a database with all tables; each call is one durable transaction.

    Parameters
    ----------
    database : Database
        That of the cases.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, case_id: CaseId, person_id: PersonId, now: datetime, base: ReportContent, *, base_version: int = 0
    ) -> DraftReport:
        """Begin a draft, or go on with the one that there is.

        Parameters
        ----------
        base : ReportContent
            What a new draft begins with (a template's texts); not used when there is one already.
        base_version : int
            The last signed version. A draft that was begun before that was signed is set aside.

        Raises
        ------
        DraftHeld
            If somebody else is writing.
        """
        check_content(base)
        with self._database.write(durable=True) as connection:
            present = _find(connection, case_id)
            if present is not None and present.base_version != base_version:
                _held_by_other(present, person_id, now)
                set_aside(connection, present, person_id, now)
                present = None
            if present is None:
                begun = DraftReport(
                    case_id=case_id,
                    person_id=person_id,
                    revision=0,
                    content=base,
                    base_version=base_version,
                    leased_until=now + LEASE,
                    saved_at=now,
                )
                connection.execute(insert(oncall_report_draft).values(case_id=case_id, **_row(begun)))
                _note(connection, case_id, "opened", person_id, now)
                return begun
            if present.person_id == person_id:
                return _kept(connection, present, person_id, now)
            _held_by_other(present, person_id, now)
            return _taken_over(connection, present, person_id, now)

    def save(
        self, case_id: CaseId, person_id: PersonId, revision: int, content: ReportContent, now: datetime
    ) -> DraftReport:
        """Save words that were written on a revision; return the draft with its next revision and a new lease.

        Raises
        ------
        DraftHeld
            If somebody else has it now.
        StaleRevision
            If other words were saved since that revision.
        foundation.errors.Refused
            If there is no draft: it was signed or given up.
        foundation.errors.PeerError
            If no document could hold the words.
        """
        check_content(content)
        with self._database.write(durable=True) as connection:
            present = _required(connection, case_id)
            if present.person_id != person_id:
                raise DraftHeld(present.person_id, present.leased_until)
            if revision == present.revision - 1 and content == present.content:
                # The answer to this very save was lost on its way.
                return _kept(connection, present, person_id, now)
            if revision != present.revision:
                raise StaleRevision(present.revision)
            saved = DraftReport(
                case_id=case_id,
                person_id=person_id,
                revision=revision + 1,
                content=content,
                base_version=present.base_version,
                leased_until=now + LEASE,
                saved_at=now,
            )
            _write(connection, saved)
            return saved

    def release(self, case_id: CaseId, person_id: PersonId, now: datetime) -> None:
        """Let others write on: the words stay, the lease ends. Who does not have it changes nothing."""
        with self._database.write(durable=True) as connection:
            present = _find(connection, case_id)
            if present is None or present.person_id != person_id or present.leased_until <= now:
                return
            connection.execute(
                update(oncall_report_draft)
                .where(oncall_report_draft.c.case_id == case_id)
                .values(leased_until_us=microseconds(now))
            )
            _note(connection, case_id, "released", person_id, now)

    def take_over(self, case_id: CaseId, person_id: PersonId, now: datetime) -> DraftReport:
        """Take a draft from whoever has it, lease or not; recorded. One's own is kept.

        Raises
        ------
        foundation.errors.Refused
            If there is no draft.
        """
        with self._database.write(durable=True) as connection:
            present = _required(connection, case_id)
            if present.person_id == person_id:
                return _kept(connection, present, person_id, now)
            return _taken_over(connection, present, person_id, now)

    def find(self, case_id: CaseId) -> DraftReport | None:
        """Return a case's draft, to look at; None when nobody has begun one."""
        with self._database.read() as connection:
            return _find(connection, case_id)

    def events_of(self, case_id: CaseId) -> tuple[DraftEvent, ...]:
        """Return what happened to a case's drafts, oldest first."""
        table = oncall_report_draft_event
        with self._database.read() as connection:
            rows = connection.execute(select(table).where(table.c.case_id == case_id).order_by(table.c.position))
            return tuple(_event(row) for row in rows.mappings())


def close_signed(connection: Connection, case_id: CaseId, signer: PersonId, now: datetime) -> None:
    """End a case's draft in the transaction that stores what was signed; another person's words are set aside."""
    present = _find(connection, case_id)
    if present is None:
        return
    if present.person_id != signer:
        set_aside(connection, present, signer, now)
        return
    connection.execute(delete(oncall_report_draft).where(oncall_report_draft.c.case_id == case_id))
    _note(connection, case_id, "signed", signer, now)


def set_aside(connection: Connection, draft: DraftReport, by: PersonId, now: datetime) -> None:
    """Take a draft away and keep its words in the record of the case's drafts."""
    connection.execute(delete(oncall_report_draft).where(oncall_report_draft.c.case_id == draft.case_id))
    body = canonical(content_to_json(draft.content))
    _note(connection, draft.case_id, "set_aside", by, now, from_person_id=draft.person_id, body=body)


def _held_by_other(present: DraftReport, person_id: PersonId, now: datetime) -> None:
    if present.person_id != person_id and present.leased_until > now:
        raise DraftHeld(present.person_id, present.leased_until)


def _kept(connection: Connection, present: DraftReport, person_id: PersonId, now: datetime) -> DraftReport:
    kept = DraftReport(
        case_id=present.case_id,
        person_id=person_id,
        revision=present.revision,
        content=present.content,
        base_version=present.base_version,
        leased_until=now + LEASE,
        saved_at=present.saved_at,
    )
    _write(connection, kept)
    return kept


def _taken_over(connection: Connection, present: DraftReport, person_id: PersonId, now: datetime) -> DraftReport:
    taken = _kept(connection, present, person_id, now)
    _note(connection, present.case_id, "taken_over", person_id, now, from_person_id=present.person_id)
    return taken


def _required(connection: Connection, case_id: CaseId) -> DraftReport:
    present = _find(connection, case_id)
    if present is None:
        raise Refused("there is no draft of this report: it was signed or set aside; open it anew")
    return present


def _find(connection: Connection, case_id: CaseId) -> DraftReport | None:
    row = connection.execute(select(oncall_report_draft).where(oncall_report_draft.c.case_id == case_id))
    found = row.mappings().one_or_none()
    return None if found is None else _draft(found)


def _write(connection: Connection, draft: DraftReport) -> None:
    table = oncall_report_draft
    connection.execute(update(table).where(table.c.case_id == draft.case_id).values(**_row(draft)))


def _row(draft: DraftReport) -> dict[str, Any]:
    return {
        "person_id": draft.person_id,
        "leased_until_us": microseconds(draft.leased_until),
        "revision": draft.revision,
        "base_version": draft.base_version,
        "saved_at_us": microseconds(draft.saved_at),
        "body": canonical(content_to_json(draft.content)),
    }


def _draft(row: RowMapping) -> DraftReport:
    return DraftReport(
        case_id=CaseId(row["case_id"]),
        person_id=PersonId(row["person_id"]),
        revision=row["revision"],
        content=content_from_json(parse(row["body"])),
        base_version=row["base_version"],
        leased_until=instant_of_us(row["leased_until_us"]),
        saved_at=instant_of_us(row["saved_at_us"]),
    )


def _note(
    connection: Connection,
    case_id: CaseId,
    happened: str,
    person_id: PersonId,
    now: datetime,
    *,
    from_person_id: PersonId | None = None,
    body: str | None = None,
) -> None:
    connection.execute(
        insert(oncall_report_draft_event).values(
            case_id=case_id,
            occurred_at_us=microseconds(now),
            happened=happened,
            person_id=person_id,
            from_person_id=from_person_id,
            body=body,
        )
    )


def _event(row: RowMapping) -> DraftEvent:
    return DraftEvent(
        happened=row["happened"],
        person_id=PersonId(row["person_id"]),
        occurred_at=instant_of_us(row["occurred_at_us"]),
        from_person_id=row["from_person_id"],
        content=None if row["body"] is None else content_from_json(parse(row["body"])),
    )
