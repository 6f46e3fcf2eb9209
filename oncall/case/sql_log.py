"""The log of cases in the database: the same contract as the one in memory (`oncall.case.log`).

The rows of ``oncall_case_event`` are the truth. ``oncall_case`` and ``oncall_study_link`` are projections, which
`rebuild` makes again from the events alone. `verify` proves that no event was altered, dropped, added or moved, also
where the columns beside the hashed text are concerned, and that no log lost its end.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from foundation.database import Database
from foundation.instants import microseconds
from oncall.case.event import CaseId, Event, Fact, uuid7
from oncall.case.log import (
    ChainBroken,
    EventIds,
    StaleCase,
    append_to,
    body_of,
    event_of,
    in_order_of_opening,
    verify_chain,
)
from oncall.case.regions import StudyKey
from oncall.case.state import OPENING, Case, apply, fold
from oncall.schema import oncall_case, oncall_case_event, oncall_study_link, oncall_unclaimed_study

# Cases kept folded, so that appending to a long log does not read it all: far more than are open in a night.
_KEPT_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What a verification has read."""

    logs: int
    events: int


class SqlCaseLog:
    """See `oncall.case.log.CaseLog`; every append is durable when it returns.

    Parameters
    ----------
    database : Database
        Where the tables are.
    event_ids : callable
        Gives the next event id.
    """

    def __init__(self, database: Database, event_ids: EventIds = uuid7) -> None:
        self._database = database
        self._event_ids = event_ids
        self._folded: dict[CaseId, Case] = {}

    def append(self, case_id: CaseId, expected_seq: int, facts: Sequence[Fact], now: datetime) -> tuple[Event, ...]:
        """See `CaseLog.append`."""
        with self._database.write(durable=True) as connection:
            return self.append_within(connection, case_id, expected_seq, facts, now)

    def append_within(
        self, connection: Connection, case_id: CaseId, expected_seq: int, facts: Sequence[Fact], now: datetime
    ) -> tuple[Event, ...]:
        """Append inside the caller's write transaction: the facts stand or fall with it."""
        events, after = append_to(self._load(connection, case_id), case_id, expected_seq, facts, now, self._event_ids)
        if after is not None and events:
            connection.execute(insert(oncall_case_event), [_row_of(event) for event in events])
            _project(connection, after, is_new=expected_seq == 0)
            self._keep(after)
        return events

    def case(self, case_id: CaseId) -> Case | None:
        """See `CaseLog.case`."""
        with self._database.read() as connection:
            return self._load(connection, case_id)

    def events(self, case_id: CaseId, after_seq: int = 0) -> tuple[Event, ...]:
        """See `CaseLog.events`."""
        with self._database.read() as connection:
            return _events(connection, case_id, after_seq)

    def open_cases(self) -> tuple[Case, ...]:
        """See `CaseLog.open_cases`."""
        with self._database.read() as connection:
            case_ids = connection.execute(select(oncall_case.c.case_id).where(oncall_case.c.is_open)).scalars()
            cases = [self._load(connection, CaseId(case_id)) for case_id in case_ids]
        return in_order_of_opening(case for case in cases if case is not None)

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        """Return which case a study belongs to now."""
        link = oncall_study_link.c
        with self._database.read() as connection:
            found = connection.execute(
                select(link.case_id).where(
                    link.issuer == study.issuer, link.study_instance_uid == study.study_instance_uid
                )
            ).scalar_one_or_none()
        return None if found is None else CaseId(found)

    def studies_of_uid(self, study_instance_uid: str) -> tuple[tuple[StudyKey, CaseId], ...]:
        """Return every link of a Study Instance UID, whichever issuer."""
        link = oncall_study_link.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(link.issuer, link.study_instance_uid, link.case_id)
                .where(link.study_instance_uid == study_instance_uid)
                .order_by(link.issuer)
            ).all()
        return tuple((StudyKey(row.issuer, row.study_instance_uid), CaseId(row.case_id)) for row in rows)

    def _load(self, connection: Connection, case_id: CaseId) -> Case | None:
        head = connection.execute(
            select(oncall_case.c.seq, oncall_case.c.head_hash).where(oncall_case.c.case_id == case_id)
        ).one_or_none()
        if head is None:
            return None
        case = self._folded.get(case_id)
        if case is not None and case.head_hash == head.head_hash:
            return case
        # What is kept may be of a transaction that was rolled back: then it is not where the log goes on.
        later = () if case is None else _events(connection, case_id, case.seq)
        if case is not None and later and later[0].prev_hash == case.head_hash:
            for event in later:
                case = apply(case, event)
        else:
            case = fold(_events(connection, case_id))
        if (case.seq, case.head_hash) != (head.seq, head.head_hash):
            raise ChainBroken(case_id, case.seq, "it is not the last event that was recorded")
        self._keep(case)
        return case

    def _keep(self, case: Case) -> None:
        self._folded.pop(case.case_id, None)
        self._folded[case.case_id] = case
        if len(self._folded) > _KEPT_MAX:
            del self._folded[next(iter(self._folded))]


def keep(connection: Connection, events: Sequence[Event], cases: Iterable[Case]) -> None:
    """Insert events that were chained already, and `cases` as these leave them, in the caller's write transaction.

    For a caller that has made sure that nothing was appended since it chained them (`oncall.engine`).
    """
    if events:
        connection.execute(insert(oncall_case_event), [_row_of(event) for event in events])
    for case in cases:
        count = sum(1 for event in events if event.case_id == case.case_id)
        if count:
            _project(connection, case, is_new=case.seq == count)


def rebuild(connection: Connection) -> int:
    """Make the projections again from the events, in the caller's write transaction; return how many cases there are.

    Raises
    ------
    ChainBroken
        If a log does not prove itself; nothing is projected from it.
    """
    connection.execute(delete(oncall_study_link))
    connection.execute(delete(oncall_case))
    count = 0
    for case_id, events in _logs(connection):
        verify_chain(case_id, events)
        if events[0].type in OPENING:
            _project(connection, fold(events), is_new=True)
            count += 1
    return count


def verify(database: Database) -> Verified:
    """Prove every log from its first event to its last.

    Raises
    ------
    ChainBroken
        Naming the case and the first event that does not fit.
    """
    logs = events_read = 0
    with database.read() as connection:
        heads = {
            CaseId(row.case_id): (row.seq, row.head_hash)
            for row in connection.execute(select(oncall_case.c.case_id, oncall_case.c.seq, oncall_case.c.head_hash))
        }
        for case_id, events in _logs(connection):
            verify_chain(case_id, events)
            last = events[-1]
            head = heads.pop(case_id, None)
            if head is not None and head != (last.seq, last.hash):
                raise ChainBroken(case_id, last.seq, "it is not the last event that was recorded")
            logs, events_read = logs + 1, events_read + len(events)
    for case_id in sorted(heads):
        raise ChainBroken(case_id, 1, "the case is known but its log is gone")
    return Verified(logs=logs, events=events_read)


def _logs(connection: Connection) -> Iterator[tuple[CaseId, list[Event]]]:
    rows = connection.execute(select(oncall_case_event).order_by(oncall_case_event.c.case_id, oncall_case_event.c.seq))
    for case_id, group in groupby(rows, key=lambda row: CaseId(row.case_id)):
        yield case_id, [_event_in(row) for row in group]


def _events(connection: Connection, case_id: CaseId, after_seq: int = 0) -> tuple[Event, ...]:
    column = oncall_case_event.c
    rows = connection.execute(
        select(oncall_case_event).where(column.case_id == case_id, column.seq > after_seq).order_by(column.seq)
    )
    return tuple(_decoded(row) for row in rows)


def _decoded(row: Row[Any]) -> Event:
    try:
        return event_of(row.body, row.hash)
    except (ValueError, KeyError, TypeError) as error:
        raise ChainBroken(CaseId(row.case_id), row.seq, "its content cannot be read") from error


def _event_in(row: Row[Any]) -> Event:
    """Return the event of a row, checking that the columns beside the hashed text say the same."""
    event = _decoded(row)
    if _row_of(event) != {name: getattr(row, name) for name in _COLUMNS}:
        raise ChainBroken(CaseId(row.case_id), row.seq, "its columns do not say what its content says")
    return event


_COLUMNS: Final = tuple(column.name for column in oncall_case_event.c if column.name != "position")


def _row_of(event: Event) -> dict[str, Any]:
    return {
        "case_id": event.case_id,
        "seq": event.seq,
        "event_id": event.event_id,
        "type": event.type,
        "occurred_at_us": microseconds(event.fact.occurred_at),
        "recorded_at_us": microseconds(event.recorded_at),
        "body": body_of(event),
        "prev_hash": event.prev_hash,
        "hash": event.hash,
    }


def _project(connection: Connection, case: Case, *, is_new: bool) -> None:
    values = {
        "site_id": case.site_id,
        "is_open": case.is_open,
        "opened_at_us": microseconds(case.opened_at),
        "seq": case.seq,
        "head_hash": case.head_hash,
    }
    if is_new:
        connection.execute(insert(oncall_case).values(case_id=case.case_id, **values))
    else:
        changed = connection.execute(update(oncall_case).where(oncall_case.c.case_id == case.case_id).values(values))
        if changed.rowcount != 1:
            raise StaleCase("the case is not there any more; load it again and decide again")
    _project_studies(connection, case)


def _project_studies(connection: Connection, case: Case) -> None:
    link = oncall_study_link.c
    linked = {
        StudyKey(row.issuer, row.study_instance_uid)
        for row in connection.execute(select(link.issuer, link.study_instance_uid).where(link.case_id == case.case_id))
    }
    for study in linked - set(case.images.studies):
        connection.execute(
            delete(oncall_study_link).where(
                link.issuer == study.issuer,
                link.study_instance_uid == study.study_instance_uid,
                link.case_id == case.case_id,
            )
        )
    for study in case.images.studies:
        if study not in linked:
            _link(connection, study, case.case_id)


def _link(connection: Connection, study: StudyKey, case_id: CaseId) -> None:
    link, unclaimed = oncall_study_link.c, oncall_unclaimed_study.c
    connection.execute(
        delete(oncall_unclaimed_study).where(
            unclaimed.issuer == study.issuer, unclaimed.study_instance_uid == study.study_instance_uid
        )
    )
    moved = connection.execute(
        update(oncall_study_link)
        .where(link.issuer == study.issuer, link.study_instance_uid == study.study_instance_uid)
        .values(case_id=case_id)
    )
    if moved.rowcount == 0:
        connection.execute(
            insert(oncall_study_link).values(
                issuer=study.issuer, study_instance_uid=study.study_instance_uid, case_id=case_id
            )
        )
