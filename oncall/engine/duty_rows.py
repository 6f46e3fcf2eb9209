"""Facts of the night for who is not the engine: writing a mass alert's, in its transaction; reading what calls cost.

Not for the engine, whose decisions chain their own facts (`oncall.engine.draft`). Whoever writes holds the one writer's
lock of the database, so the head that is read here is the head that is written after; an engine that was deciding
meanwhile decides again on what it then finds.

Invariant: the facts of one stream are one chain, whoever wrote them.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from foundation.instants import microseconds
from oncall.case.event import GENESIS_HASH, Event, Fact, chained, uuid7
from oncall.case.log import event_of
from oncall.case.sql_log import keep
from oncall.engine import duty
from oncall.rota.model import Shift
from oncall.schema import oncall_case_event


def record_within(
    connection: Connection,
    facts: Sequence[Fact],
    now: datetime,
    *,
    new_event_id: Callable[[datetime], str] = uuid7,
) -> None:
    """Append facts to the night's log in the caller's durable write transaction.

    Raises
    ------
    PeerError
        If no night knows one of them.
    """
    stream, column = duty.stream_of(now), oncall_case_event.c
    last = connection.execute(
        select(column.seq, column.hash).where(column.case_id == stream).order_by(column.seq.desc()).limit(1)
    ).one_or_none()
    seq, prev_hash = (0, GENESIS_HASH) if last is None else (last.seq, last.hash)
    events: list[Event] = []
    for fact in facts:
        duty.check(fact)
        event = chained(stream, seq + 1, prev_hash, fact, recorded_at=now, event_id=new_event_id(now))
        seq, prev_hash = event.seq, event.hash
        events.append(event)
    keep(connection, events, ())


def worked_calls(connection: Connection, since: datetime) -> tuple[Shift, ...]:
    """Return what everybody worked when called since then, and what who is called now is planned to work."""
    column = oncall_case_event.c
    rows = connection.execute(
        select(column.body, column.hash)
        .where(
            column.case_id.like(f"{duty.STREAM_PREFIX}%"),
            column.type.in_(sorted(duty.CALLS)),
            column.recorded_at_us >= microseconds(since),
        )
        .order_by(column.position)
    )
    night, worked = duty.Duty(), []
    for row in rows:
        event = event_of(row.body, row.hash)
        called, night = night.backups, duty.apply(night, event)
        if event.type == duty.DutyType.BACKUP_RELEASED and len(called) > len(night.backups):
            worked.append(night.released[-1])
    return tuple(shift for one in (*worked, *night.backups.values()) if (shift := one.worked) is not None)
