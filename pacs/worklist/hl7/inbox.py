"""The way in for messages: each takes effect and is kept with its answer in one durable transaction, or not at all.

For: one submission by each connection's thread, commits in groups, and what is said when a message came before. Not
for: sockets (`pacs.worklist.hl7.listener`), what a message means (a `Handler`), or dead letters later on
(`pacs.worklist.hl7.dead_letters`).

Whoever finds no commit running leads and commits for everybody who waits; the next of them leads the next group.

Invariants
----------
* An answer is returned only after the transaction of its message is on disk.
* A message that came before is answered byte for byte as it was, and has no second effect.
* A control id whose message took effect belongs to it: another message of the same sender under it is rejected (AR).
* One message's defect or rejection is rolled back to its own savepoint: its neighbours do not notice.
* When the database is away nothing is kept and nothing took effect; the sender is told so (AR, CR) and sends it again.
"""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.faults import reach
from pacs.worklist.hl7 import received
from pacs.worklist.hl7.acknowledgement import Answers, answers_to_kept, answers_to_unread
from pacs.worklist.hl7.arrival import Arrival
from pacs.worklist.hl7.message import (
    Accepted,
    ErrorCode,
    FieldError,
    Handler,
    Outcome,
    Parked,
    ReceivedMessage,
    Rejected,
)
from pacs.worklist.hl7.received import Keeping, Kept, ReceivedState

BATCH_MESSAGES_MAX: Final = 16
"""Messages of one transaction: bounds how long it keeps the writer lock from those who store images."""

ANSWER_ID_CHARACTERS: Final = 19
"""Of MSH-10 of an answer: one less than HL7 2.5.1 allows, for the one that marks an accept acknowledgement."""

_TRY_AGAIN: Final = FieldError(
    segment="", code=ErrorCode.INTERNAL_ERROR, text="the message cannot be kept now; send it again"
)
_DEFECT: Final = FieldError(
    segment="", code=ErrorCode.INTERNAL_ERROR, text="the message is kept, and somebody here must look into it"
)
_REUSED: Final = FieldError(
    segment="MSH", field=10, code=ErrorCode.DUPLICATE_KEY_IDENTIFIER,
    text="this control id was another message's, which took effect; send it under a new control id",
)  # fmt: skip


class Inbox:
    """Takes messages for any number of threads.

    Parameters
    ----------
    database : Database
    handler : Handler
        Called by one thread at a time.
    clock : Clock
    """

    def __init__(self, database: Database, handler: Handler, clock: Clock) -> None:
        self._database = database
        self._handler = handler
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._is_led = False

    def take(self, arrival: Arrival) -> Answers:
        """Give a message its effect and keep it; return what to answer."""
        ticket = _Ticket(arrival)
        with self._lock:
            self._waiting.append(ticket)
            must_lead = not self._is_led
            self._is_led = True
        if not must_lead:
            ticket.turn.acquire()
            must_lead = ticket.must_lead
        if must_lead:
            self._lead()
        assert ticket.answers is not None
        return ticket.answers

    def _lead(self) -> None:
        # Our own ticket is the oldest of those waiting, so it is always in the batch.
        with self._lock:
            batch = self._waiting[:BATCH_MESSAGES_MAX]
            del self._waiting[:BATCH_MESSAGES_MAX]
        try:
            self._commit(batch)
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting[0].must_lead = True
                    self._waiting[0].turn.release()
                else:
                    self._is_led = False
            for ticket in batch[1:]:
                ticket.turn.release()

    def _commit(self, batch: "Sequence[_Ticket]") -> None:
        now = self._clock.now()
        try:
            with self._database.write(durable=True) as connection:
                answers = take_all(connection, [ticket.arrival for ticket in batch], self._handler, now)
        except Unavailable as error:
            log.warning("hl7_not_kept", count=len(batch), error=type(error).__name__)
            for ticket in batch:
                ticket.answers = _unkept(ticket.arrival, now)
        except Exception as error:  # noqa: BLE001  # one odd row must not fail its neighbours, and the stream goes on
            if len(batch) > 1:
                for ticket in batch:
                    self._commit([ticket])
                return
            log.error("hl7_not_kept", count=1, error=type(error).__name__)
            batch[0].answers = _unkept(batch[0].arrival, now)
        else:
            reach("hl7.committed")
            for ticket, answer in zip(batch, answers, strict=True):
                ticket.answers = answer


class _Ticket:
    """One waiting message."""

    __slots__ = ("answers", "arrival", "must_lead", "turn")

    def __init__(self, arrival: Arrival) -> None:
        self.arrival = arrival
        self.answers: Answers | None = None
        self.must_lead = False
        # Held until this ticket is done or must lead.
        self.turn = threading.Lock()
        self.turn.acquire()


def take_all(connection: Connection, arrivals: Sequence[Arrival], handler: Handler, now: datetime) -> list[Answers]:
    """Give messages their effects and keep them, in the caller's durable transaction; return the answers to each.

    Raises
    ------
    foundation.errors.Unavailable, sqlalchemy.exc.DBAPIError
        If the database is away: roll back, none of them is kept.
    """
    known = _Known(received.with_keys(connection, [arrival.sender_control_key for arrival in arrivals]))
    keepings: list[Keeping] = []
    answers: list[Answers] = []
    for arrival in arrivals:
        there = known.answers.get((arrival.sender_control_key, arrival.content))
        if there is not None:
            log.debug("hl7_duplicate", transaction=arrival.message_id)
            answers.append(there)
            continue
        try:
            keeping = _taken(connection, arrival, handler, now, is_reused=arrival.sender_control_key in known.taken)
        except Unavailable:
            answers.append(_unkept(arrival, now))
            continue
        answers.append(keeping.answers)
        known.add(arrival, keeping)
        keepings.append(keeping)
    received.keep(connection, _within_room(connection, keepings), now)
    return answers


def outcome_of(connection: Connection, handler: Handler, message: ReceivedMessage, now: datetime) -> Outcome:
    """Have a message handled in a savepoint of its own, which stays only when it was accepted.

    Raises
    ------
    foundation.errors.Unavailable, sqlalchemy.exc.DBAPIError
        If the database, or what the handler needs, is away.
    """
    savepoint = connection.begin_nested()
    try:
        outcome = handler.handle(connection, message, now)
    except Unavailable:
        savepoint.rollback()
        raise
    except Exception as error:
        if isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
            raise
        # A defect: the message must leave a visible dead letter, and its neighbours must go on.
        log.error("hl7_handler_defect", error=type(error).__name__, transaction=message.message_id)
        savepoint.rollback()
        return Parked(reason="defect", errors=(_DEFECT,))
    if isinstance(outcome, Accepted):
        savepoint.commit()
    else:
        savepoint.rollback()
    return outcome


def reason_of(outcome: Outcome) -> str:
    """Return why a message is a dead letter, in one word; '' when it is none."""
    match outcome:
        case Accepted():
            return ""
        case Parked():
            return outcome.reason
        case Rejected():
            return "rejected"


def answer_id_of(message_id: str) -> str:
    """Return MSH-10 of the answer to a message: always the same."""
    return message_id[:ANSWER_ID_CHARACTERS]


class _Known:
    """What came before under the control ids of a batch, the batch's own messages included."""

    def __init__(self, kept: Sequence[Kept]) -> None:
        self.answers = {(one.sender_control_key, one.content): one.answers for one in kept}
        self.taken = {one.sender_control_key for one in kept if one.state is ReceivedState.ACCEPTED}

    def add(self, arrival: Arrival, keeping: Keeping) -> None:
        self.answers[arrival.sender_control_key, arrival.content] = keeping.answers
        if keeping.state is ReceivedState.ACCEPTED:
            self.taken.add(arrival.sender_control_key)


def _taken(connection: Connection, arrival: Arrival, handler: Handler, now: datetime, *, is_reused: bool) -> Keeping:
    answer_id = answer_id_of(arrival.message_id)
    fault = arrival.fault
    if fault is not None:
        answers = answers_to_unread(
            arrival.header, fault.errors, answer_id=answer_id, now=now, is_error=fault.is_error
        )  # fmt: skip
        return _dead(arrival, fault.reason, fault.errors, answers)
    if is_reused:
        answers = answers_to_unread(arrival.header, (_REUSED,), answer_id=answer_id, now=now)
        return _dead(arrival, "control_id_reused", (_REUSED,), answers)
    assert arrival.received is not None
    outcome = outcome_of(connection, handler, arrival.received, now)
    answers = answers_to_kept(arrival.header, outcome, answer_id=answer_id, now=now)
    if isinstance(outcome, Accepted):
        return Keeping(arrival=arrival, state=ReceivedState.ACCEPTED, reason="", errors=(), answers=answers)
    return _dead(arrival, reason_of(outcome), outcome.errors, answers)


def _dead(arrival: Arrival, reason: str, errors: tuple[FieldError, ...], answers: Answers) -> Keeping:
    log.warning("hl7_dead_letter", reason=reason, transaction=arrival.message_id)
    return Keeping(arrival=arrival, state=ReceivedState.DEAD, reason=reason, errors=errors, answers=answers)


def _within_room(connection: Connection, keepings: Sequence[Keeping]) -> list[Keeping]:
    """Leave out what would be too many dead letters of strangers."""
    strange = sum(keeping.arrival.is_of_stranger for keeping in keepings)
    if not strange:
        return list(keepings)
    room = received.room_for_strangers(connection)
    if strange <= room:
        return list(keepings)
    log.error("hl7_dead_letters_not_kept", count=strange - room, reason="too many of strangers")
    kept = []
    for keeping in keepings:
        if not keeping.arrival.is_of_stranger or room > 0:
            kept.append(keeping)
            room -= keeping.arrival.is_of_stranger
    return kept


def _unkept(arrival: Arrival, now: datetime) -> Answers:
    return answers_to_unread(arrival.header, (_TRY_AGAIN,), answer_id=answer_id_of(arrival.message_id), now=now)
