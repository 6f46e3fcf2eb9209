"""Rehearsing a plan blanc: everything but the calls. A drill cannot page anybody, by its types and by its rows.

* What a drill makes is a `DrillMessage`: it has no address, and it is not a `oncall.messages.Message`, the only thing
  that the queue enqueues and a channel takes.
* The only place that takes a `DrillMessage` is the `Recorder`, which keeps it. This module imports no channel and no
  queue, directly or through others (`tests/unit/oncall/notify/test_drill.py` looks).
* Its trace is of message events; it puts no row into the table that senders read.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from foundation.instants import instant_of_us, microseconds
from oncall.directory import ChannelKind, PersonId
from oncall.messages import MessageState
from oncall.plan_blanc import Attempt, Board, RecallOrder, board, next_calls
from oncall.recall_rows import insert_recall, replies_of
from oncall.schema import oncall_message_event


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillMessage:
    """What would have gone to one person by one kind of channel."""

    message_key: str
    person_id: PersonId
    channel: ChannelKind


class Recorder:
    """The only channel that a drill is given: it keeps what would have been sent."""

    def __init__(self) -> None:
        self.recorded: list[DrillMessage] = []

    def record(self, message: DrillMessage) -> None:
        """Keep one message."""
        self.recorded.append(message)


def rehearse(connection: Connection, order: RecallOrder, now: datetime, recorder: Recorder) -> int:
    """Do all of a recall but calling; return how many would have been called.

    Raises
    ------
    foundation.errors.Refused
        If a recall or drill of this id exists.
    """
    insert_recall(connection, order, now, is_drill=True)
    people = {person.person_id: person for person in order.people}
    messages = [
        DrillMessage(
            message_key=f"drill/{order.recall_id}/{call.person_id}/{call.number}",
            person_id=call.person_id,
            channel=people[call.person_id].methods[call.method].kind,
        )
        for call in next_calls(order, {}, {}, now)
    ]
    for message in messages:
        recorder.record(message)
    if messages:
        connection.execute(insert(oncall_message_event), [_row(message, now) for message in messages])
    return len(messages)


def board_of_drill(connection: Connection, order: RecallOrder) -> Board:
    """Return the board as it would have looked with every message taken by its channel, and real answers if any."""
    keys = {f"drill/{order.recall_id}/{person.person_id}/0": person.person_id for person in order.people}
    attempts: dict[PersonId, list[Attempt]] = {}
    names = sorted(keys)
    for first in range(0, len(names), 500):
        rows = connection.execute(
            select(oncall_message_event).where(oncall_message_event.c.message_key.in_(names[first : first + 500]))
        )
        for row in rows:
            attempts[keys[row.message_key]] = [
                Attempt(method=0, called_at=instant_of_us(row.occurred_at_us), state=MessageState.SENT)
            ]
    return board(order, attempts, replies_of(connection, order.recall_id))


def _row(message: DrillMessage, now: datetime) -> dict[str, object]:
    return {
        "message_key": message.message_key,
        "occurred_at_us": microseconds(now),
        "happened": "rehearsed",
        "detail": json.dumps({"channel": str(message.channel)}),
    }
