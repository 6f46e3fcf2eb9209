"""Messages that go out, in rows: put into the queue of their destination inside the caller's transaction.

For: the queue. Not for: sockets (`pacs.worklist.hl7.sender`) or what a message says.

Invariants
----------
* A control id is one message at a destination: put in again it meets the row that is there.
* Messages of a destination are sent in the order in which they were put in; none overtakes one that is still queued.
* Bytes never change between attempts: the other end recognises by MSH-10 what it was given before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from foundation.errors import Refused
from foundation.instants import instant_of_us, microseconds
from pacs.worklist.hl7.acknowledgement import TAKEN, Answer, AnswerCode
from pacs.worklist.hl7.framing import is_framable
from pacs.worklist.hl7.schema import hl7_lease
from pacs.worklist.hl7.schema import hl7_outgoing as table

CONTROL_ID_CHARACTERS_MAX: Final = 20
"""Of MSH-10 (HL7 2.5.1 2.15.9.10)."""

FIRST_WAIT_S: Final = 5.0
"""Between a failed attempt and the next; doubled after each."""

WAIT_S_MAX: Final = 300.0
"""The longest wait between two attempts; they never end by themselves while nobody answers."""

REJECTIONS_MAX: Final = 6
"""Times that a message is sent again after AR or CR, which may mean not now as well as never; then a human decides,
and the messages behind it go on. With the waits between them: about three minutes."""

LEASE_S: Final = 300.0
"""How long a node may hold a destination without a sign of life: more than an exchange with two acknowledgements takes
(`pacs.worklist.hl7.destinations.ANSWER_S_MAX`)."""

LISTED_MAX: Final = 1000
"""Messages that a list shows at most."""

FORGOTTEN_AT_ONCE_MAX: Final = 500
"""Rows that one transaction forgets: it holds up others for a moment only."""


class OutgoingState(StrEnum):
    """Where a message is."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    REFUSED = "refused"  # a human must see why; whoever is behind it has gone on
    GIVEN_UP = "given_up"


_REJECTIONS: Final = frozenset({AnswerCode.AR, AnswerCode.CR})
SHOWN: Final = frozenset({OutgoingState.QUEUED, OutgoingState.REFUSED})
"""What a list shows without being asked for more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One row.

    Attributes
    ----------
    number : int
        Its place in the order of its destination.
    is_uncertain : bool
        Whether an attempt may have arrived without an answer coming back.
    reason : str
        The last answer or failure, in one word.
    ended_by : str
        Who gave it up or had it tried again; '' for nobody.
    """

    number: int
    destination: str
    control_id: str
    message_type: str
    content: bytes
    state: OutgoingState
    attempts: int
    rejections: int
    is_uncertain: bool
    reason: str
    answer: bytes
    enqueued_at: datetime
    due_at: datetime
    changed_at: datetime
    ended_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """An attempt without an answer."""

    reason: str
    may_have_arrived: bool


class NoOutgoing(Refused):
    """No message that goes out has this number, or it is not in a state for what was asked."""


class ControlIdTaken(Refused):
    """This destination was given another message under the same control id."""


def enqueue(
    connection: Connection, destination: str, content: bytes, *, control_id: str, message_type: str, now: datetime
) -> bool:
    """Put a message into a destination's queue; repeatable.

    Parameters
    ----------
    connection : Connection
        Inside a durable write transaction.
    destination : str
        Name of a ``[[hl7.destinations]]``; one that is not configured is kept until it is.
    content : bytes
        All of the message, encoded as its MSH-18 says, without the block characters of MLLP.
    control_id : str
        Its MSH-10; at most `CONTROL_ID_CHARACTERS_MAX` characters.
    message_type : str
        Such as ``ORU^R01``; for lists.
    now : datetime

    Returns
    -------
    bool
        False when it was there already.

    Raises
    ------
    ControlIdTaken
        If another message of this destination has the control id; nothing is changed.
    """
    assert 0 < len(control_id) <= CONTROL_ID_CHARACTERS_MAX
    assert is_framable(content)
    there = connection.execute(
        select(table.c.content).where(table.c.destination == destination, table.c.control_id == control_id)
    ).scalar_one_or_none()
    if there is not None:
        if bytes(there) != content:
            raise ControlIdTaken(f"{destination} was sent another message as {control_id}; give it a new control id")
        return False
    now_us = microseconds(now)
    connection.execute(
        insert(table).values(
            destination=destination, control_id=control_id, message_type=message_type, content=content,
            state="queued", attempts=0, rejections=0, is_uncertain=False, reason="", answer=b"",
            enqueued_at_us=now_us, due_at_us=now_us, changed_at_us=now_us, ended_by="",
        )
    )  # fmt: skip
    return True


def due(connection: Connection, destinations: frozenset[str], now: datetime) -> frozenset[str]:
    """Return which of these destinations have a message to be sent now: their oldest that is queued."""
    heads = (
        select(table.c.destination, func.min(table.c.number).label("number"))
        .where(table.c.state == OutgoingState.QUEUED)
        .group_by(table.c.destination)
        .subquery()
    )
    found = connection.execute(
        select(table.c.destination)
        .join(heads, heads.c.number == table.c.number)
        .where(table.c.due_at_us <= microseconds(now))
    ).scalars()
    return frozenset(found) & destinations


def begin(connection: Connection, destination: str, now: datetime, *, worker: str) -> Outgoing | None:
    """Lease a destination and record that its oldest queued message is about to be sent; None when none is due.

    Nobody else sends to the destination until `record`, or until the lease has run out. From here on the message may
    have arrived.
    """
    if not _lease(connection, destination, now, worker=worker):
        return None
    row = connection.execute(
        select(table)
        .where(table.c.state == OutgoingState.QUEUED, table.c.destination == destination)
        .order_by(table.c.number)
        .limit(1)
    ).one_or_none()
    if row is None or row.due_at_us > microseconds(now):
        release(connection, destination, worker=worker)
        return None
    _change(connection, row.number, now, attempts=row.attempts + 1, is_uncertain=True)
    return _outgoing(row)


def record(connection: Connection, message: Outgoing, came: Answer | Failure, now: datetime) -> OutgoingState:
    """Record what came of the attempt that `begin` began; return the state now."""
    attempts = message.attempts + 1
    if isinstance(came, Failure):
        wait = timedelta(seconds=wait_after(attempts))
        _change(
            connection, message.number, now, reason=came.reason, due_at_us=microseconds(now + wait),
            is_uncertain=message.is_uncertain or came.may_have_arrived,
        )  # fmt: skip
        return OutgoingState.QUEUED
    rejections = message.rejections + (came.code in _REJECTIONS)
    if came.code in TAKEN:
        state = OutgoingState.DELIVERED
    elif came.code in _REJECTIONS and rejections < REJECTIONS_MAX:
        state = OutgoingState.QUEUED
    else:
        state = OutgoingState.REFUSED
    _change(
        connection, message.number, now, state=state.value, reason=came.code.value, answer=came.content,
        rejections=rejections, is_uncertain=False,
        due_at_us=microseconds(now + timedelta(seconds=wait_after(rejections))),
    )  # fmt: skip
    return state


def wait_after(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return min(FIRST_WAIT_S * 2.0 ** min(failures - 1, 20), WAIT_S_MAX) if failures else 0.0


def release(connection: Connection, destination: str, *, worker: str) -> None:
    """Give a destination's lease back."""
    connection.execute(delete(hl7_lease).where(hl7_lease.c.destination == destination, hl7_lease.c.worker == worker))


def try_again(connection: Connection, number: int, now: datetime, *, by: str) -> Outgoing:
    """Have a message sent now: one that waits for its turn, was refused or given up.

    Raises
    ------
    NoOutgoing
        If there is none, or it was delivered.
    """
    found = find(connection, number)
    if found.state is OutgoingState.DELIVERED:
        raise NoOutgoing("this message was delivered; it is not sent again")
    _change(
        connection, number, now, state=OutgoingState.QUEUED.value, due_at_us=microseconds(now), rejections=0, reason="",
        ended_by=by,
    )  # fmt: skip
    return find(connection, number)


def give_up(connection: Connection, number: int, now: datetime, *, by: str) -> Outgoing:
    """Send a message no more: the messages behind it go on.

    Raises
    ------
    NoOutgoing
        If there is none, or it was delivered.
    """
    found = find(connection, number)
    if found.state is OutgoingState.DELIVERED:
        raise NoOutgoing("this message was delivered")
    _change(connection, number, now, state=OutgoingState.GIVEN_UP.value, ended_by=by)
    return find(connection, number)


def find(connection: Connection, number: int) -> Outgoing:
    """Return one message.

    Raises
    ------
    NoOutgoing
        If there is none.
    """
    row = connection.execute(select(table).where(table.c.number == number)).one_or_none()
    if row is None:
        raise NoOutgoing("no message that goes out has this number; `telegarde hl7 queue` lists them")
    return _outgoing(row)


def listed(
    connection: Connection, states: frozenset[OutgoingState] = SHOWN, *, limit: int = LISTED_MAX
) -> list[Outgoing]:
    """Return messages in these states, in the order in which they were put in."""
    wanted = select(table).where(table.c.state.in_(sorted(states))).order_by(table.c.number).limit(limit)
    return [_outgoing(row) for row in connection.execute(wanted)]


def counts(connection: Connection) -> Mapping[tuple[str, OutgoingState], int]:
    """Return how many messages of each destination are in each state."""
    found = connection.execute(
        select(table.c.destination, table.c.state, func.count()).group_by(table.c.destination, table.c.state)
    )
    return {(destination, OutgoingState(state)): count for destination, state, count in found}


def forget(connection: Connection, before: datetime) -> int:
    """Delete messages that were delivered or given up before an instant; return how many, in portions."""
    ended = [OutgoingState.DELIVERED.value, OutgoingState.GIVEN_UP.value]
    old = (
        select(table.c.number)
        .where(table.c.state.in_(ended), table.c.changed_at_us < microseconds(before))
        .order_by(table.c.number)
        .limit(FORGOTTEN_AT_ONCE_MAX)
    )
    return connection.execute(delete(table).where(table.c.number.in_(old))).rowcount


def _lease(connection: Connection, destination: str, now: datetime, *, worker: str) -> bool:
    until_us = microseconds(now + timedelta(seconds=LEASE_S))
    free = or_(hl7_lease.c.worker == worker, hl7_lease.c.until_us <= microseconds(now))
    taken = connection.execute(
        update(hl7_lease).where(hl7_lease.c.destination == destination, free).values(worker=worker, until_us=until_us)
    )
    if taken.rowcount:
        return True
    held = connection.execute(select(hl7_lease.c.worker).where(hl7_lease.c.destination == destination)).first()
    if held is not None:
        return False
    connection.execute(insert(hl7_lease).values(destination=destination, worker=worker, until_us=until_us))
    return True


def _change(connection: Connection, number: int, now: datetime, **values: Any) -> None:
    connection.execute(update(table).where(table.c.number == number).values(changed_at_us=microseconds(now), **values))


def _outgoing(row: Row[Any]) -> Outgoing:
    return Outgoing(
        number=row.number,
        destination=row.destination,
        control_id=row.control_id,
        message_type=row.message_type,
        content=bytes(row.content),
        state=OutgoingState(row.state),
        attempts=row.attempts,
        rejections=row.rejections,
        is_uncertain=row.is_uncertain,
        reason=row.reason,
        answer=bytes(row.answer),
        enqueued_at=instant_of_us(row.enqueued_at_us),
        due_at=instant_of_us(row.due_at_us),
        changed_at=instant_of_us(row.changed_at_us),
        ended_by=row.ended_by,
    )
