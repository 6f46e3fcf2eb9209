"""The transactional outbox: facts are appended in the transaction that makes them true, and consumed later in order.

Consumers keep a cursor each and must treat an event seen twice as seen once (at least once becomes effect once).
Ids commit in order because every writer holds the one writer lock of `foundation.database`.

An event's ``topic`` carries its version (``instances_stored/1``); payloads only ever gain keys.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from foundation.database import METADATA

# A consumer reads at most this many events at a time, which bounds its memory.
EVENTS_PER_READ_MAX: Final = 1000

_BIG_ID = BigInteger().with_variant(Integer, "sqlite")

outbox = Table(
    "outbox",
    METADATA,
    Column("event_id", _BIG_ID, primary_key=True, autoincrement=True),
    Column("topic", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    # Seconds since 1970 UTC; informative only: order is the order of event_id.
    Column("created_at_s", Float, nullable=False),
)

outbox_cursor = Table(
    "outbox_cursor",
    METADATA,
    Column("consumer", String(64), primary_key=True),
    Column("event_id", _BIG_ID, nullable=False),
)

# A statement that is made once is not looked through again each time.
_APPEND: Final = insert(outbox)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxEvent:
    """One fact, as a consumer sees it. ``created_at_s`` is when it was stated, in seconds since 1970 UTC; 0 unknown."""

    event_id: int
    topic: str
    payload: Mapping[str, Any]
    created_at_s: float = 0.0


def append(connection: Connection, topic: str, payload: Mapping[str, Any], *, created_at_s: float) -> None:
    """Append one fact inside the caller's write transaction."""
    text = json.dumps(payload, separators=(",", ":"))
    connection.execute(_APPEND, {"topic": topic, "payload": text, "created_at_s": created_at_s})


def append_all(
    connection: Connection, topic: str, payloads: Sequence[Mapping[str, Any]], *, created_at_s: float
) -> None:
    """Append several facts of one topic, in their order, inside the caller's write transaction."""
    if payloads:
        rows = [
            {"topic": topic, "payload": json.dumps(one, separators=(",", ":")), "created_at_s": created_at_s}
            for one in payloads
        ]
        connection.execute(insert(outbox), rows)


def read_after(
    connection: Connection,
    event_id: int,
    *,
    topics: Sequence[str] | None = None,
    limit: int = EVENTS_PER_READ_MAX,
) -> list[OutboxEvent]:
    """Return events with a larger id, oldest first, of the given topics (all when None)."""
    query = select(outbox.c.event_id, outbox.c.topic, outbox.c.payload, outbox.c.created_at_s)
    query = query.where(outbox.c.event_id > event_id).order_by(outbox.c.event_id).limit(limit)
    if topics is not None:
        query = query.where(outbox.c.topic.in_(topics))
    return [
        OutboxEvent(
            event_id=row.event_id, topic=row.topic, payload=json.loads(row.payload), created_at_s=row.created_at_s
        )
        for row in connection.execute(query)
    ]


def read_cursor(connection: Connection, consumer: str) -> int:
    """Return the id of the last event this consumer has done; 0 at the beginning."""
    found = connection.execute(
        select(outbox_cursor.c.event_id).where(outbox_cursor.c.consumer == consumer)
    ).scalar_one_or_none()
    return 0 if found is None else int(found)


def write_cursor(connection: Connection, consumer: str, event_id: int) -> None:
    """Record, in the transaction of the consumer's own effect, that events up to this id are done."""
    done = connection.execute(
        update(outbox_cursor).where(outbox_cursor.c.consumer == consumer).values(event_id=event_id)
    )
    if done.rowcount == 0:
        connection.execute(insert(outbox_cursor).values(consumer=consumer, event_id=event_id))


def last_event_id(connection: Connection) -> int:
    """Return the largest id appended so far; 0 when there is none."""
    found = connection.execute(select(func.max(outbox.c.event_id))).scalar_one_or_none()
    return 0 if found is None else int(found)
