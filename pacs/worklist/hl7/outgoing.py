"""Messages that go out, in rows: put into the queue of their destination inside the caller's transaction.

For: the queue. Not for: sockets (`pacs.worklist.hl7.sender`) or what a message says.

Invariants
----------
* A control id is one message at a destination: put in again it meets the row that is there.
* Messages of a destination are sent in the order in which they were put in; none overtakes one that is still queued.
* Bytes never change between attempts: the other end recognises by MSH-10 what it was given before.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from foundation.errors import Refused
from foundation.instants import microseconds
from pacs.worklist.hl7.schema import hl7_outgoing as table

CONTROL_ID_CHARACTERS_MAX: Final = 20
"""Of MSH-10 (HL7 2.5.1 2.15.9.10)."""


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
