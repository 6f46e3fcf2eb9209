"""Dead letters, looked after by people: shown, given to the handler again, or put aside.

For: what the command line does with them. Not for: how a message became one (`pacs.worklist.hl7.inbox`).

Invariants
----------
* A dead letter takes effect at most once, and never after another message under its control id took effect.
* Who decided stands in its row. A replay that fails leaves it a dead letter, with the reason of today.
"""

from datetime import datetime

from sqlalchemy import Connection

from foundation.errors import Refused
from pacs.worklist.hl7 import received
from pacs.worklist.hl7.acknowledgement import answers_to_kept
from pacs.worklist.hl7.arrival import examine_again
from pacs.worklist.hl7.inbox import answer_id_of, outcome_of, reason_of
from pacs.worklist.hl7.message import Accepted, Handler, Outcome, Rejected
from pacs.worklist.hl7.received import Kept, ReceivedState
from pacs.worklist.hl7.senders import SenderRules


class NoDeadLetter(Refused):
    """No dead letter has this identifier."""


class NotReplayable(Refused):
    """This dead letter cannot be given to the handler again; the message says why."""


def show(connection: Connection, message_id: str) -> Kept:
    """Return a message, whatever became of it.

    Raises
    ------
    NoDeadLetter
        If there is none.
    """
    kept = received.find(connection, message_id)
    if kept is None:
        raise NoDeadLetter("no message has this identifier; `telegarde hl7 dead-letters` lists them")
    return kept


def replay(
    connection: Connection,
    message_id: str,
    handler: Handler,
    rules: SenderRules,
    *,
    processing_id: str,
    now: datetime,
    by: str,
) -> Outcome:
    """Give a dead letter to the handler again, by the settings of today; the caller's transaction is durable.

    When it is accepted, a sender that sends it once more hears so.

    Raises
    ------
    NoDeadLetter
        If there is no such dead letter.
    NotReplayable
        If only its beginning was kept, or its control id has had an effect since.
    """
    kept = _dead(connection, message_id)
    if not kept.is_whole:
        raise NotReplayable("only the beginning of this message was kept; have it sent again")
    arrival = examine_again(kept.content, rules, processing_id=processing_id, received_at=kept.received_at)
    if arrival.received is None:
        assert arrival.fault is not None
        outcome: Outcome = Rejected(code="AE" if arrival.fault.is_error else "AR", errors=arrival.fault.errors)
        reason = arrival.fault.reason
    else:
        others = received.with_keys(connection, [arrival.sender_control_key])
        if any(other.state is ReceivedState.ACCEPTED for other in others):
            raise NotReplayable("a message of this sender under this control id took effect since; discard this one")
        outcome = outcome_of(connection, handler, arrival.received, now)
        reason = reason_of(outcome)
    if isinstance(outcome, Accepted):
        answers = answers_to_kept(arrival.header, outcome, answer_id=answer_id_of(message_id), now=now)
        received.settle(
            connection, message_id, ReceivedState.ACCEPTED, now, by=by, answers=answers,
            sender_control_key=arrival.sender_control_key, site_id=arrival.site_id,
        )  # fmt: skip
    else:
        received.settle(connection, message_id, ReceivedState.DEAD, now, by=by, reason=reason, errors=outcome.errors)
    return outcome


def discard(connection: Connection, message_id: str, *, now: datetime, by: str) -> None:
    """Put a dead letter aside: a human has seen to it that nothing is missing.

    Raises
    ------
    NoDeadLetter
        If there is no such dead letter.
    """
    kept = _dead(connection, message_id)
    received.settle(connection, message_id, ReceivedState.DISCARDED, now, by=by, reason=kept.reason, errors=kept.errors)


def _dead(connection: Connection, message_id: str) -> Kept:
    kept = show(connection, message_id)
    if kept.state is not ReceivedState.DEAD:
        raise NoDeadLetter(f"this message is {kept.state.value}, no dead letter")
    return kept
