"""Messages received, in rows: kept with their answers, found again, listed, settled, and at last forgotten.

For: the table ``hl7_received``, inside the caller's transaction. Not for: deciding what became of a message
(`pacs.worklist.hl7.inbox`, `pacs.worklist.hl7.dead_letters`).

Invariant: a dead letter stays until a human replays or discards it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from foundation.instants import instant_of_us, microseconds
from pacs.worklist.hl7.acknowledgement import Answers
from pacs.worklist.hl7.arrival import Arrival
from pacs.worklist.hl7.message import ErrorCode, FieldError
from pacs.worklist.hl7.schema import hl7_received as table

LISTED_MAX: Final = 1000
"""Dead letters that a list shows at most."""

FORGOTTEN_AT_ONCE_MAX: Final = 500
"""Rows that one transaction forgets: it holds up others for a moment only."""

STRANGERS_KEPT_MAX: Final = 1000
"""Dead letters of strangers that are kept; whoever can reach the port must not fill the disk."""

# Made once: SQLAlchemy takes longer to make a statement than SQLite to answer it.
_WITH_KEYS: Final = select(table).where(table.c.sender_control_key.in_(bindparam("keys", expanding=True)))
_LAST: Final = select(func.max(table.c.number))
_KEEP: Final = insert(table)


class ReceivedState(StrEnum):
    """What became of a message."""

    ACCEPTED = "accepted"
    DEAD = "dead"
    DISCARDED = "discarded"  # a human has seen to it that nothing is missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One row.

    Attributes
    ----------
    reason : str
        Of a dead letter, in one word; '' for others.
    settled_by : str
        Who replayed or discarded it; '' for nobody.
    """

    message_id: str
    sender_control_key: str
    application: str
    facility: str
    control_id: str
    message_type: str
    site_id: str
    content: bytes
    is_whole: bool
    state: ReceivedState
    reason: str
    errors: tuple[FieldError, ...]
    answers: Answers
    received_at: datetime
    settled_at: datetime
    settled_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """What is about to be kept of a message."""

    arrival: Arrival
    state: ReceivedState
    reason: str
    errors: tuple[FieldError, ...]
    answers: Answers


def with_keys(connection: Connection, sender_control_keys: Iterable[str]) -> list[Kept]:
    """Return every message of these senders and control ids."""
    keys = sorted(set(sender_control_keys))
    return [_kept(row) for row in connection.execute(_WITH_KEYS, {"keys": keys})]


def find(connection: Connection, message_id: str) -> Kept | None:
    """Return one message."""
    row = connection.execute(select(table).where(table.c.message_id == message_id)).one_or_none()
    return None if row is None else _kept(row)


def keep(connection: Connection, keepings: Sequence[Keeping], now: datetime) -> None:
    """Insert messages, in their order."""
    if not keepings:
        return
    last = connection.execute(_LAST).scalar_one_or_none() or 0
    connection.execute(
        _KEEP, [_row(keeping, number, now) for number, keeping in enumerate(keepings, start=int(last) + 1)]
    )


def room_for_strangers(connection: Connection) -> int:
    """Return how many more dead letters of strangers are kept."""
    dead = select(table.c.number).where(table.c.state == ReceivedState.DEAD, table.c.site_id == "")
    counted = connection.execute(select(func.count()).select_from(dead.limit(STRANGERS_KEPT_MAX).subquery()))
    return STRANGERS_KEPT_MAX - int(counted.scalar_one())


def settle(
    connection: Connection,
    message_id: str,
    state: ReceivedState,
    now: datetime,
    *,
    by: str,
    reason: str = "",
    errors: tuple[FieldError, ...] = (),
    answers: Answers | None = None,
    sender_control_key: str | None = None,
    site_id: str | None = None,
) -> None:
    """Record what a human had done with a dead letter, and whose it turned out to be."""
    values: dict[str, Any] = {
        "state": state.value,
        "reason": reason,
        "errors": _errors_text(errors),
        "settled_at_us": microseconds(now),
        "settled_by": by,
    }
    if answers is not None:
        values |= {"accept_answer": answers.accept, "application_answer": answers.application}
    if sender_control_key is not None:
        values |= {"sender_control_key": sender_control_key, "site_id": site_id}
    connection.execute(update(table).where(table.c.message_id == message_id).values(**values))


def dead(connection: Connection, *, limit: int = LISTED_MAX) -> list[Kept]:
    """Return dead letters, oldest first."""
    wanted = select(table).where(table.c.state == ReceivedState.DEAD).order_by(table.c.number).limit(limit)
    return [_kept(row) for row in connection.execute(wanted)]


def counts(connection: Connection) -> Mapping[ReceivedState, int]:
    """Return how many messages there are in each state."""
    found = connection.execute(select(table.c.state, func.count()).group_by(table.c.state))
    return {ReceivedState(state): count for state, count in found}


def forget(connection: Connection, before: datetime) -> int:
    """Delete accepted and discarded messages that were settled before an instant; return how many, in portions."""
    old = (
        select(table.c.message_id)
        .where(
            table.c.state.in_([ReceivedState.ACCEPTED.value, ReceivedState.DISCARDED.value]),
            table.c.settled_at_us < microseconds(before),
        )
        .order_by(table.c.number)
        .limit(FORGOTTEN_AT_ONCE_MAX)
    )
    return connection.execute(delete(table).where(table.c.message_id.in_(old))).rowcount


def kept_since(now: datetime, keep_days: int) -> datetime:
    """Return how far back messages are kept."""
    return now - timedelta(days=keep_days)


def _row(keeping: Keeping, number: int, now: datetime) -> dict[str, Any]:
    arrival, header = keeping.arrival, keeping.arrival.header
    return {
        "message_id": arrival.message_id,
        "number": number,
        "sender_control_key": arrival.sender_control_key,
        "application": header.application,
        "facility": header.facility,
        "control_id": header.control_id,
        "message_type": header.message_type[:32],
        "site_id": arrival.site_id,
        "content": arrival.content,
        "is_whole": arrival.is_whole,
        "state": keeping.state.value,
        "reason": keeping.reason,
        "errors": _errors_text(keeping.errors),
        "accept_answer": keeping.answers.accept,
        "application_answer": keeping.answers.application,
        "received_at_us": microseconds(arrival.received_at),
        "settled_at_us": microseconds(now),
        "settled_by": "",
    }


def _errors_text(errors: tuple[FieldError, ...]) -> str:
    return json.dumps([[e.segment, e.sequence, e.field, e.component, e.code.value, e.text] for e in errors])


def _kept(row: Row[Any]) -> Kept:
    return Kept(
        message_id=row.message_id,
        sender_control_key=row.sender_control_key,
        application=row.application,
        facility=row.facility,
        control_id=row.control_id,
        message_type=row.message_type,
        site_id=row.site_id,
        content=bytes(row.content),
        is_whole=row.is_whole,
        state=ReceivedState(row.state),
        reason=row.reason,
        errors=tuple(
            FieldError(
                segment=segment, sequence=sequence, field=field, component=component, code=ErrorCode(code), text=text
            )
            for segment, sequence, field, component, code, text in json.loads(row.errors)
        ),
        answers=Answers(accept=bytes(row.accept_answer), application=bytes(row.application_answer)),
        received_at=instant_of_us(row.received_at_us),
        settled_at=instant_of_us(row.settled_at_us),
        settled_by=row.settled_by,
    )
