"""One message to another system and its acknowledgement back, over one connection.

For: the conversation. Not for: when, how often and in which order (`pacs.worklist.hl7.sender`).

Which acknowledgements are awaited follows from the message: in enhanced mode one whose MSH-16 asks for no application
acknowledgement is done with the accept acknowledgement; all others are done with the application acknowledgement.

Invariants
----------
* An answer counts only when its MSA-2 is the message's MSH-10; answers to others are dropped.
* No answer is `NotAnswered`, never a success: the message may have arrived all the same.
* A late answer finds its connection closed; it cannot be taken for another message's.

References
----------
HL7 2.5.1 2.9.2, 2.9.3; MLLP, Release 1
"""

import time
from dataclasses import dataclass
from typing import Final

from foundation.errors import Unavailable
from pacs.scu.errors import ConnectFailed, ConnectionLost, PeerTimedOut
from pacs.scu.transport import Connection, OnWait, connect, no_wait
from pacs.worklist.hl7.acknowledgement import Answer, AnswerCode, NoAnswer, read_answer
from pacs.worklist.hl7.destinations import CONNECT_S, Destination
from pacs.worklist.hl7.framing import BlockReader, NoBlocks, block_of
from pacs.worklist.hl7.header import read_header

ANSWER_BYTES_MAX: Final = 1_048_576
"""Of an acknowledgement."""

_READ_BYTES: Final = 16_384


class NotSent(Unavailable):
    """There was no connection: the message has not arrived."""


class NotAnswered(Unavailable):
    """The message was sent and nobody answered in time, or in words of HL7: it may have arrived."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    control_id: str
    is_accept_enough: bool


def exchange(destination: Destination, content: bytes, *, on_wait: OnWait = no_wait) -> Answer:
    """Send a message over a connection of its own and return the acknowledgement that settles it.

    A connection that were kept might have been closed at the other end just before: nobody could then say whether the
    next message arrived.

    Parameters
    ----------
    content : bytes
        The message, without the block characters of MLLP.
    on_wait : callable
        Runs at least twice a second while waiting; may raise to give up.

    Raises
    ------
    NotSent
        If it cannot have arrived.
    NotAnswered
        If it may have.
    """
    header = read_header(content)
    wanted = _Wanted(
        control_id=header.control_id,
        is_accept_enough=header.is_enhanced and header.application_condition in ("", "NE"),
    )
    try:
        connection = connect(
            destination.host, destination.port, tls=destination.tls, timeout_s=CONNECT_S, on_wait=on_wait
        )
    except ConnectFailed as error:
        raise NotSent(f"{destination.name}: {error}") from error
    try:
        connection.send([block_of(content)], timeout_s=destination.answer_s)
        return _awaited(connection, wanted, destination.answer_s)
    except (PeerTimedOut, ConnectionLost, NoBlocks, NoAnswer) as error:
        raise NotAnswered(f"{destination.name} did not answer: {error}") from error
    finally:
        connection.close()


def _awaited(connection: Connection, wanted: _Wanted, answer_s: float) -> Answer:
    reader = BlockReader(ANSWER_BYTES_MAX)
    buffer = memoryview(bytearray(_READ_BYTES))
    deadline_s = time.monotonic() + answer_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        received = connection.receive_into(buffer, timeout_s=left_s)
        if not received:
            raise ConnectionLost("the other end closed the connection before it answered")
        for block in reader.feed(buffer[:received]):
            answer = read_answer(block.content)
            if answer.control_id != wanted.control_id:
                continue
            if answer.code is AnswerCode.CA and not wanted.is_accept_enough:
                # The application's own follows.
                deadline_s = time.monotonic() + answer_s
                continue
            return answer
    raise PeerTimedOut("no acknowledgement came in time")
