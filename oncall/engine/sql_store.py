"""The engine's state in a database: the port `Store` on SQLAlchemy Core, for SQLite and PostgreSQL.

Everything here is nowhere else, so each commit is durable. All writers of the product share one writer lock
(`foundation.database`); a commit here only inserts and deletes rows, what takes time was decided before.

Invariant: positions are in the order of commits, because every writer holds that lock.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select

from foundation import outbox
from foundation.database import Database
from foundation.errors import Refused
from foundation.instants import microseconds
from oncall.case import unclaimed
from oncall.case.event import CaseId, Event
from oncall.case.log import event_of
from oncall.case.sql_log import keep
from oncall.case.unclaimed import KEPT_FOR, SHOWN_MAX, UnclaimedStudy
from oncall.delivery import queue as delivery_queue
from oncall.engine.duty import CALLS, STREAM_PREFIX
from oncall.engine.ports import Changes, HeadMoved, Positioned, StudyKey
from oncall.messages import Messages, News
from oncall.messages_sql import SqlMessages
from oncall.report import drafts
from oncall.report import store as report_store
from oncall.report.version import SignedVersion
from oncall.rota import swap_store
from oncall.rota.swaps import SwapRequest
from oncall.schema import oncall_case, oncall_case_event, oncall_study_link, oncall_unclaimed_study
from oncall.second_reading import learning_log
from oncall.second_reading.learning import Lesson
from oncall.timers import LEASED_AT_ONCE_MAX, SqlTimers, Timer


class SqlStore:
    """The port `Store` in a database with all tables.

    Parameters
    ----------
    database : Database
        Shared with the archive's index or one of its own.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def events_after(self, position: int) -> Sequence[Positioned]:
        """See `Store.events_after`."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(oncall_case_event)
                .where(oncall_case_event.c.position > position)
                .order_by(oncall_case_event.c.position)
            )
            return [Positioned(row.position, event_of(row.body, row.hash)) for row in rows]

    def events_since(self, opened_at: datetime, *, calls_since: datetime) -> Sequence[Positioned]:
        """See `Store.events_since`."""
        since_us = microseconds(opened_at)
        wanted = select(oncall_case.c.case_id).where(or_(oncall_case.c.is_open, oncall_case.c.opened_at_us >= since_us))
        recorded_us = oncall_case_event.c.recorded_at_us
        is_call = oncall_case_event.c.type.in_(sorted(CALLS)) & (recorded_us >= microseconds(calls_since))
        of_the_night = oncall_case_event.c.case_id.like(f"{STREAM_PREFIX}%") & or_(recorded_us >= since_us, is_call)
        with self._database.read() as connection:
            rows = connection.execute(
                select(oncall_case_event)
                .where(or_(oncall_case_event.c.case_id.in_(wanted), of_the_night))
                .order_by(oncall_case_event.c.position)
            )
            return [Positioned(row.position, event_of(row.body, row.hash)) for row in rows]

    def events_of(self, case_id: CaseId) -> Sequence[Event]:
        """See `Store.events_of`."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(oncall_case_event)
                .where(oncall_case_event.c.case_id == case_id)
                .order_by(oncall_case_event.c.seq)
            )
            return [event_of(row.body, row.hash) for row in rows]

    def cursor(self, consumer: str) -> int:
        """See `Store.cursor`."""
        with self._database.read() as connection:
            return outbox.read_cursor(connection, consumer)

    def stated_after(self, position: int, topics: Sequence[str]) -> Sequence[outbox.OutboxEvent]:
        """See `Store.stated_after`."""
        with self._database.read() as connection:
            return outbox.read_after(connection, position, topics=topics)

    def studies_of_uid(self, study_instance_uid: str) -> Sequence[tuple[StudyKey, CaseId]]:
        """See `Store.studies_of_uid`."""
        link = oncall_study_link.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(link.issuer, link.study_instance_uid, link.case_id)
                .where(link.study_instance_uid == study_instance_uid)
                .order_by(link.issuer)
            )
            return [(StudyKey(row.issuer, row.study_instance_uid), CaseId(row.case_id)) for row in rows]

    def news_after(self, position: int) -> Sequence[News]:
        """See `Store.news_after`."""
        with self._database.read() as connection:
            return SqlMessages(connection).news_after(position)

    def unsettled_swaps(self) -> Sequence[SwapRequest]:
        """See `Store.unsettled_swaps`."""
        with self._database.read() as connection:
            return swap_store.unsettled(connection)

    def head(self) -> int:
        """See `Store.head`."""
        with self._database.read() as connection:
            return _head(connection)

    def commit(self, changes: Changes, *, head: int, worker: str, now: datetime) -> Sequence[Positioned]:
        """See `Store.commit`."""
        with self._database.write(durable=True) as connection:
            if _head(connection) != head:
                raise HeadMoved("another decision was committed meanwhile; decide again")
            for cursor in changes.cursors:
                if outbox.read_cursor(connection, cursor.consumer) != cursor.before:
                    raise HeadMoved("another worker has consumed this; decide again")
                outbox.write_cursor(connection, cursor.consumer, cursor.after)
            _save_swaps(connection, changes, now)
            _ensure_unclaimed(connection, changes.unclaimed_seen)
            _keep_unclaimed(connection, changes.unclaimed_kept, now)
            _move_timers(SqlTimers(connection), changes, worker)
            keep(connection, changes.events, changes.cases)
            added = _positioned(connection, head, changes.events)
            messages = SqlMessages(connection)
            for message in changes.messages:
                messages.enqueue(message, now)
            for chain_id in changes.cancelled_chains:
                messages.cancel_chain(chain_id, now)
            for signed in changes.signed_versions:
                report_store.insert(connection, signed)
                version = signed.version
                drafts.close_signed(connection, version.case_id, version.author.person_id, now)
            learning_log.write(connection, changes.lessons)
            delivery_queue.insert_planned(connection, changes.deliveries, now)
            delivery_queue.follow(connection, changes.events, now)
        return added

    def versions_of(self, case_id: CaseId) -> tuple[SignedVersion, ...]:
        """See `Store.versions_of`."""
        with self._database.read() as connection:
            return report_store.versions_of(connection, case_id)

    def lease_due(self, now: datetime, *, worker: str, limit: int = LEASED_AT_ONCE_MAX) -> tuple[Timer, ...]:
        """See `Store.lease_due`."""
        # Nothing due is the rule, and reading takes no writer's lock.
        due_at = self.next_due_at()
        if due_at is None or due_at > now:
            return ()
        with self._database.write(durable=True) as connection:
            return SqlTimers(connection).lease_due(now, worker=worker, limit=limit)

    def find_timer(self, timer_key: str) -> Timer | None:
        """See `Store.find_timer`."""
        with self._database.read() as connection:
            return SqlTimers(connection).find(timer_key)

    def timers_of(self, case_id: CaseId) -> tuple[Timer, ...]:
        """See `Store.timers_of`."""
        with self._database.read() as connection:
            return SqlTimers(connection).of_case(case_id)

    def timers_of_kind(self, kind: str) -> tuple[Timer, ...]:
        """See `Store.timers_of_kind`."""
        with self._database.read() as connection:
            return SqlTimers(connection).of_kind(kind)

    def lessons(self) -> Sequence[Lesson]:
        """See `Store.lessons`."""
        with self._database.read() as connection:
            return learning_log.read(connection)

    def next_due_at(self) -> datetime | None:
        """See `Store.next_due_at`."""
        with self._database.read() as connection:
            return SqlTimers(connection).next_due_at()

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        """See `Store.case_of_study`."""
        with self._database.read() as connection:
            found = connection.execute(
                select(oncall_study_link.c.case_id).where(
                    oncall_study_link.c.issuer == study.issuer,
                    oncall_study_link.c.study_instance_uid == study.study_instance_uid,
                )
            ).scalar_one_or_none()
        return None if found is None else CaseId(found)

    def unclaimed_since(self, last_at: datetime, *, limit: int = SHOWN_MAX) -> Sequence[UnclaimedStudy]:
        """See `Store.unclaimed_since`."""
        kept = oncall_unclaimed_study.c
        newest_first = (kept.last_at_us.desc(), kept.issuer.desc(), kept.study_instance_uid.desc())
        with self._database.read() as connection:
            rows = connection.execute(
                select(kept.body).where(kept.last_at_us >= microseconds(last_at)).order_by(*newest_first).limit(limit)
            )
            return [_unclaimed(row) for row in rows]

    def unclaimed_of_uid(self, study_instance_uid: str) -> Sequence[UnclaimedStudy]:
        """See `Store.unclaimed_of_uid`."""
        kept = oncall_unclaimed_study.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(kept.body).where(kept.study_instance_uid == study_instance_uid).order_by(kept.issuer)
            )
            return [_unclaimed(row) for row in rows]

    @contextmanager
    def queue(self) -> Iterator[Messages]:
        """See `Store.queue`."""
        with self._database.write(durable=True) as connection:
            yield SqlMessages(connection)


def _head(connection: Connection) -> int:
    return int(connection.execute(select(func.max(oncall_case_event.c.position))).scalar_one_or_none() or 0)


def _save_swaps(connection: Connection, changes: Changes, now: datetime) -> None:
    for change in changes.swaps:
        try:
            swap_store.save(connection, change.request, now, before=change.before)
        except Refused as refusal:
            raise HeadMoved("somebody else has changed this swap request; decide again") from refusal


def _unclaimed(row: Row[Any]) -> UnclaimedStudy:
    return unclaimed.of_json(json.loads(row.body))


def _is_row_of(study: StudyKey) -> ColumnElement[bool]:
    kept = oncall_unclaimed_study.c
    return (kept.issuer == study.issuer) & (kept.study_instance_uid == study.study_instance_uid)


def _ensure_unclaimed(connection: Connection, seen: Sequence[UnclaimedStudy]) -> None:
    for one in seen:
        row = connection.execute(select(oncall_unclaimed_study.c.body).where(_is_row_of(one.study))).one_or_none()
        if row is None or _unclaimed(row) != one:
            raise HeadMoved("an unclaimed study has changed meanwhile; decide again")


def _keep_unclaimed(connection: Connection, kept: Sequence[UnclaimedStudy], now: datetime) -> None:
    table = oncall_unclaimed_study
    for one in kept:
        connection.execute(delete(table).where(_is_row_of(one.study)))
        connection.execute(
            insert(table).values(
                issuer=one.study.issuer,
                study_instance_uid=one.study.study_instance_uid,
                last_at_us=microseconds(one.last_at),
                body=json.dumps(unclaimed.to_json(one), sort_keys=True, separators=(",", ":")),
            )
        )
    if kept:
        connection.execute(delete(table).where(table.c.last_at_us < microseconds(now - KEPT_FOR)))


def _move_timers(timers: SqlTimers, changes: Changes, worker: str) -> None:
    for timer in changes.timers_taken:
        timers.take(timer, worker=worker)
    for key in changes.timers_cancelled:
        timers.cancel(key)
    for timer in changes.timers_set:
        timers.put(timer)


def _positioned(connection: Connection, head: int, events: Sequence[Event]) -> Sequence[Positioned]:
    """Return the events just inserted with their positions, in that order."""
    column = oncall_case_event.c
    by_id = {event.event_id: event for event in events}
    rows = connection.execute(
        select(column.position, column.event_id).where(column.position > head).order_by(column.position)
    )
    return [Positioned(row.position, by_id[row.event_id]) for row in rows]
