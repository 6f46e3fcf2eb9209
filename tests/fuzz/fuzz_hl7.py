"""Fuzz target for HL7 messages: whatever bytes a hospital sends, the way in survives them and answers in HL7.

For: long runs by hand, ``python -m tests.fuzz.fuzz_hl7 --seconds 600``. A short run is part of the suite, with the
node's own handler. Not for: sockets (`tests.conformance.test_mllp_listener`).

The property: blocks come out of any stream; each becomes an arrival; the answers, when some are owed, are
acknowledgements with the control id of the message; a message takes effect only when it was answered AA; what the
handler makes of a message is never a defect; the message after it is answered.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation import log
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from oncall.documents_store import publish_directory
from oncall.roster_publication import publish_roster
from pacs.worklist.hl7 import received
from pacs.worklist.hl7.acknowledgement import read_answer
from pacs.worklist.hl7.arrival import examine
from pacs.worklist.hl7.framing import BlockReader, NoBlocks
from pacs.worklist.hl7.inbox import take_all
from pacs.worklist.hl7.message import Handler, SenderIdentity
from pacs.worklist.hl7.senders import Caller, SenderRule, SenderRules
from territory.hl7_handlers import make_handler
from tests.harness.hl7_messages import LOOPBACK, NOON, message
from tests.harness.mllp_peers import framed
from tests.harness.small_territory import directory, roster

_STAMP = "20261025120000+0000"
_PERSON = "MARTIN^LEA^^^^^L||19700101|F"
_ORDERED = f"ORC|NW|D1^DXCARE|||||1^once^^{_STAMP}^^S||{_STAMP}|||1^ROY^CLAIRE"
_EXAM = f"OBR|1|D1^DXCARE||TDM^scanner^L|S||{_STAMP}||||||info|||1^ROY||ACC1||||||CT"
_SAID = "OBX|1|NM|8302-2^taille^LN||172|cm\rOBX|2|TX|11322-5^histoire^LN|1.1|texte \\F\\ \\.br\\ suite"
_MODALITY_PERFORMED = f"TQ1|1||||||{_STAMP}||R\rOBR|1|D2^DXCARE||IRM^irm^L\rIPC|A2|RP1|1.2.3.4.5|SPS1|MR"
_BODIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "ORM^O01^ORM_O01",
        (f"PID|1||P1^^^NORTH^PI~P9^^^SOUTH&1.2.3&ISO^PI||{_PERSON}", "PV1|1|E|URG^BOX3", "AL1|1|DA|IODE", _ORDERED,
         f"TQ1|1||||||{_STAMP}|{_STAMP}|S", _EXAM, _SAID),
    ),
    ("ORM^O01^ORM_O01", (f"PID|1||P1^^^NORTH^PI||{_PERSON}", "ORC|CA|D1^DXCARE", "OBR|1|D1^DXCARE||TDM^s^L")),
    ("OMI^O23^OMI_O23", ("PID|1||P2^^^NORTH^PI||DURAND^JEAN||19500101|M", "ORC|NW|D2^DXCARE", _MODALITY_PERFORMED)),
    ("OMG^O19^OMG_O19", ("PID|1||P3^^^NORTH^PI||PETIT^ANNE", "ORC|NW|D3^DXCARE", "OBR|1|D3^DXCARE||TDM^s^L")),
    ("ADT^A08^ADT_A01", (f"EVN|A08|{_STAMP}", f"PID|1||P1^^^NORTH^PI||{_PERSON}", "PV1|1|E")),
    ("ADT^A40^ADT_A39", (f"EVN|A40|{_STAMP}", f"PID|1||P1^^^NORTH^PI||{_PERSON}", "MRG|P4^^^NORTH^PI")),
    ("ADT^A37^ADT_A37", (f"EVN|A37|{_STAMP}", f"PID|1||P1^^^NORTH^PI||{_PERSON}", "PID|2||P4^^^NORTH^PI||MARTIN^LEA")),
)  # fmt: skip
BODIES = tuple((kind, "".join(f"{segment}\r" for segment in segments)) for kind, segments in _BODIES)
_PIECES = (
    b"|",
    b"^",
    b"~",
    b"\\",
    b"&",
    b"\r",
    b"\n",
    b"\x0b",
    b"\x1c",
    b"\0",
    b"\xe9",
    b"\xff",
    b"MSH",
    b"OBR|",
    b"\\X",
    b'""',
)


class Target:
    """A way in with the node's own handler, on a database of its own."""

    def __init__(self, place: Path) -> None:
        self._database = Database(sqlite_url(place / "index.sqlite"))
        self._database.create_tables()
        with self._database.write() as connection:
            now = datetime(2026, 10, 1, tzinfo=UTC)
            publish_directory(connection, directory(), by="fuzz", now=now)
            publish_roster(connection, roster(), directory(), by="fuzz", now=now)
        site_id = next(iter(directory().sites))
        identity = SenderIdentity(application="DXCARE", facility="", site_id=site_id, issuer="NORTH")
        self._rules = SenderRules(rules=(SenderRule(identity=identity, character_set="8859/1"),))
        self._handler: Handler = make_handler(self._database, ManualClock(NOON))
        self._number = 0

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def run_seed(self, seed: int) -> None:
        """Mutate one message as a seed says; feed it, and a good one after it."""
        rng = random.Random(seed)
        kind, body = rng.choice(BODIES)
        good = message(f"F{seed}", kind=kind, body=body, accept=rng.choice(("", "", "AL")))
        self.feed(framed(mutated(rng, good)) if rng.random() < 0.8 else mutated(rng, framed(good)))
        self._number += 1
        last = self.feed(
            b"\x1c\r" + framed(message(f"G{seed}-{self._number}", kind="ADT^A08^ADT_A01", body=BODIES[4][1]))
        )
        assert last, "the message after a mutated one is answered"

    def feed(self, stream: bytes) -> bool:
        """Give a stream to the way in; say whether its last block was answered."""
        reader, is_answered = BlockReader(1_000_000), False
        try:
            blocks = list(reader.feed(stream))
        except NoBlocks:
            return False
        for block in blocks:
            arrival = examine(block, Caller(address=LOOPBACK), self._rules, processing_id="P", now=NOON)
            if arrival.is_acknowledgement:
                continue
            with self._database.write() as connection:
                (answers,) = take_all(connection, [arrival], self._handler, NOON)
                kept = received.find(connection, arrival.message_id)
            assert kept is None or kept.reason != "defect", f"a defect for {arrival.content!r}"
            owed = [answer for answer in (answers.accept, answers.application) if answer]
            assert all(read_answer(answer).control_id == arrival.header.control_id for answer in owed)
            is_answered = bool(owed)
        return is_answered


def mutated(rng: random.Random, content: bytes) -> bytes:
    """Return a message with a few things wrong."""
    changes: tuple[Callable[[bytes], bytes], ...] = (
        lambda one: _cut(rng, one),
        lambda one: _put(rng, one, rng.choice(_PIECES) * rng.choice((1, 1, 2, 50))),
        lambda one: _put(rng, one, rng.randbytes(rng.randint(1, 8))),
        lambda one: _without_segment(rng, one),
        lambda one: _with_segment_twice(rng, one),
        lambda one: _with_field(
            rng, one, rng.choice((b"", b'""', b"x" * 5000, b"99999999999999", b"-1", b"^^^^", b"&", b"~~"))
        ),
        lambda one: _with_field(
            rng, one, rng.choice((b"NW", b"XO", b"CA", b"SC", b"20261399", b"1.2.3", b"A^B&C^D~E"))
        ),
    )
    for _ in range(rng.randint(1, 4)):
        content = rng.choice(changes)(content)
    return content


def _cut(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 3, 40, 10_000)) :]


def _put(rng: random.Random, content: bytes, piece: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + piece + content[at:]


def _without_segment(rng: random.Random, content: bytes) -> bytes:
    segments = content.split(b"\r")
    del segments[rng.randrange(len(segments))]
    return b"\r".join(segments)


def _with_segment_twice(rng: random.Random, content: bytes) -> bytes:
    segments = content.split(b"\r")
    segments.insert(rng.randrange(len(segments) + 1), rng.choice(segments))
    return b"\r".join(segments)


def _with_field(rng: random.Random, content: bytes, value: bytes) -> bytes:
    fields = content.split(b"|")
    fields[rng.randrange(len(fields))] = value
    return b"|".join(fields)


def main() -> int:
    """Run new seeds for some time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    log.configure(level="CRITICAL")
    first = seed = random.SystemRandom().randrange(2**31)
    until = time.monotonic() + given.seconds
    with tempfile.TemporaryDirectory() as place:
        target = Target(Path(place))
        while time.monotonic() < until:
            target.run_seed(seed)
            seed += 1
        target.close()
    sys.stdout.write(f"{seed - first} messages from seed {first}: nothing found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
