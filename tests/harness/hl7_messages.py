"""HL7 messages and a handler for tests of their transport: what is in them does not matter beyond their header.

For: whatever needs a message and something that takes it. Not for: what messages mean.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, select

from foundation.clock import Clock, SystemClock
from foundation.database import Database
from pacs.worklist.hl7.arrival import Arrival, examine
from pacs.worklist.hl7.framing import Block
from pacs.worklist.hl7.inbox import Inbox
from pacs.worklist.hl7.listener import Bounds, Listener, ListeningSocket
from pacs.worklist.hl7.message import Accepted, Outcome, ReceivedMessage, SenderIdentity
from pacs.worklist.hl7.senders import Caller, SenderRule, SenderRules
from territory.listening import open_port

LOOPBACK: Final = "127.0.0.1"
NOON: Final = datetime(2026, 10, 25, 12, 0, tzinfo=UTC)
BOUNDS: Final = Bounds(message_bytes_max=1_048_576, connections_max=8, idle_s=20.0, message_s=10.0)

IDENTITY: Final = SenderIdentity(application="DXCARE", facility="NORTH", site_id="north", issuer="NORTH")
RULES: Final = SenderRules(rules=(SenderRule(identity=IDENTITY, character_set="ASCII"),))

#: What a handler of tests leaves behind, so that an effect can be seen, and seen to be missing.
effects: Final = Table("test_hl7_effect", MetaData(), Column("message_id", String(32), primary_key=True))


def message(
    control_id: str = "M1", *, kind: str = "ORM^O01^ORM_O01", application: str = "DXCARE", facility: str = "NORTH",
    processing_id: str = "P", version: str = "2.5.1", accept: str = "", apply: str = "", character_set: str = "",
    body: str = "PID|1||P1^^^NORTH\rOBR|1|A1\r",
) -> bytes:  # fmt: skip
    """Return an order by its header; the body is as it is."""
    header = (
        f"MSH|^~\\&|{application}|{facility}|TELEGARDE|GIE|20261025120000||{kind}|{control_id}|{processing_id}|"
        f"{version}|||{accept}|{apply}||{character_set}"
    )
    return f"{header}\r{body}".encode("utf-8" if character_set.startswith("UNICODE") else "iso8859-1")


def arrival(content: bytes, *, rules: SenderRules = RULES, address: str = LOOPBACK) -> Arrival:
    """Return what is made of a message from an address."""
    return examine(Block(content=content), Caller(address=address), rules, processing_id="P", now=NOON)


def make_effects(database: Database) -> None:
    """Create the table of effects."""
    with database.write() as connection:
        effects.create(connection)


class Recorder:
    """A handler that leaves a row for each message, and then says what a test wants.

    Parameters
    ----------
    says : callable, optional
        Given the message, returns the outcome or raises.
    """

    def __init__(self, says: Callable[[ReceivedMessage], Outcome] = lambda _: Accepted()) -> None:
        self._says = says
        self.handled: list[ReceivedMessage] = []

    def handle(self, connection: Connection, message: ReceivedMessage, now: datetime) -> Outcome:
        """Leave a row, then say it."""
        del now
        self.handled.append(message)
        connection.execute(insert(effects).values(message_id=message.message_id))
        return self._says(message)


def effects_of(database: Database) -> set[str]:
    """Return the ids of messages that had an effect."""
    with database.read() as connection:
        return set(connection.execute(select(effects.c.message_id)).scalars())


@contextmanager
def listening(
    database: Database, handler: Recorder, *, rules: SenderRules = RULES, bounds: Bounds = BOUNDS,
    clock: Clock | None = None,
) -> Iterator[int]:  # fmt: skip
    """Yield the port of a listener in this process."""
    clock = clock or SystemClock()
    sock = open_port(LOOPBACK, 0, setting="test")
    listener = Listener(
        [ListeningSocket(sock=sock)], Inbox(database, handler, clock), rules, bounds, clock, processing_id="P"
    )
    listener.start()
    try:
        yield sock.getsockname()[1]
    finally:
        listener.stop(5.0)
        sock.close()
        assert not [one for one in threading.enumerate() if one.name == "hl7-connection"]


def segment(answer: bytes, name: str) -> list[str]:
    """Return the fields of the first segment of this name in an answer; [] when it has none."""
    for line in answer.decode("iso8859-1").split("\r"):
        if line.startswith(name):
            return line.split("|")
    return []
