"""An anchor: one signed statement a day that stands for every event of every log up to then.

For: the value, its text, its digest, and whether it proves itself. Not for: making and keeping anchors
(`oncall.evidence.anchor_store`).

An anchor's leaves are the heads of the logs (cases and nights) to which something was added since the anchor before,
whose digest it holds: through that chain the newest anchor stands for the head of every log, and each day costs only
what the day added. Who rewrites a log and all its hashes cannot rewrite an anchor without the node's key, nor an RFC
3161 time stamp, nor the copies of anchors in dossiers that hospitals hold.

Invariants: numbers have no gaps; an anchor that was made late says so. Source: domain reference, section 4.5.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final

from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none
from oncall.evidence.merkle import root_of
from oncall.report.canonical import signature_from_json, signature_to_json
from oncall.report.signing import NODE, holder_of, verify
from oncall.report.version import Signature
from oncall.strict_json import Value, canonical

FORMAT: Final = "telegarde.anchor/1"
DUE_AT: Final = time(12)
"""UTC: when a night's log ends and the next one begins (`oncall.engine.duty.stream_of`)."""

LATE_AFTER: Final = timedelta(hours=1)
"""An anchor made later than this after it was due says so; within it a restart of the node is nothing to tell."""

_US_MAX: Final = 2**53
_POSITION_MAX: Final = 2**62


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """The head of one log: its last event, that event's number and hash."""

    case_id: str
    seq: int
    hash: str

    def text(self) -> bytes:
        """Return what is hashed into the tree."""
        return json.dumps([self.case_id, self.seq, self.hash], separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What is signed. Instants are UTC.

    ``due_at`` is None for one that a person asked for. ``position`` is that of the last event it stands for in the
    order of recording, ``until`` when that event was recorded (None: there was none yet). ``leaves`` counts them.
    ``previous`` is the digest of the anchor before, empty for the first.
    """

    number: int
    due_at: datetime | None
    made_at: datetime
    until: datetime | None
    position: int
    leaves: int
    root: str
    previous: str

    @property
    def late_s(self) -> float:
        """How many seconds too late it was made; 0 when in time."""
        if self.due_at is None or self.made_at - self.due_at <= LATE_AFTER:
            return 0.0
        return (self.made_at - self.due_at).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "format": FORMAT,
            "number": self.number,
            "due_at_us": microseconds_or_none(self.due_at),
            "made_at_us": microseconds(self.made_at),
            "until_us": microseconds_or_none(self.until),
            "position": self.position,
            "leaves": self.leaves,
            "root": self.root,
            "previous": self.previous,
            "late_s": self.late_s,
        }

    def digest(self) -> str:
        """Return SHA-256 of its canonical text, in lower-case hexadecimal."""
        return hashlib.sha256(canonical(self.to_json()).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A statement with its proof.

    ``time_stamp`` is an RFC 3161 answer over the digest; the signature is over digest and time stamp (`with_stamp`).
    """

    statement: Statement
    signature: Signature
    time_stamp: bytes | None = None


def with_stamp(digest: str, time_stamp: bytes | None) -> str:
    """Return what the node signs of a digest that may be time-stamped: who takes the stamp off is found out."""
    if time_stamp is None:
        return digest
    return hashlib.sha256(f"{digest}\n{hashlib.sha256(time_stamp).hexdigest()}".encode()).hexdigest()


def next_due(after: datetime) -> datetime:
    """Return the first noon UTC after an instant (aware UTC)."""
    noon = datetime.combine(after.date(), DUE_AT, tzinfo=after.tzinfo)
    return noon if noon > after else noon + timedelta(days=1)


def missed_days(statement: Statement) -> int:
    """Return how many daily anchors this one stands in for: those that were due before it was made."""
    return 0 if statement.due_at is None else max(0, (statement.made_at - statement.due_at) // timedelta(days=1))


def faults_of(anchor: Anchor, digest: str, *, node_keys: frozenset[bytes] = frozenset()) -> tuple[str, ...]:
    """Return what is wrong with an anchor by itself: digest, signature, and key where the node's are known."""
    faults = []
    if anchor.statement.digest() != digest:
        faults.append("its statement does not have its digest")
    if not verify(anchor.signature, with_stamp(digest, anchor.time_stamp)) or holder_of(anchor.signature) != NODE:
        faults.append("its signature is not the node's over its digest")
    elif node_keys and anchor.signature.public_key not in node_keys:
        faults.append("it is signed with a key that is not the node's")
    return tuple(faults)


def root_over(leaves: Sequence[Leaf]) -> str:
    """Return the Merkle root over leaves in their order."""
    return root_of([leaf.text() for leaf in leaves])


def statement_from_json(value: Value) -> Statement:
    """Return the statement that `Statement.to_json` wrote.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If a key is missing, unknown, of another type, or of another format.
    """
    instants = ("due_at_us", "made_at_us", "until_us", "late_s")
    record = value.record(("format", "number", *instants, "position", "leaves", "root", "previous"))
    if record["format"].text() != FORMAT:
        raise record["format"].wrong(f"{FORMAT} is wanted")
    statement = Statement(
        number=record["number"].whole(1, _POSITION_MAX),
        due_at=instant_of_us_or_none(record.get("due_at_us", lambda one: one.whole(0, _US_MAX), None)),
        made_at=instant_of_us(record["made_at_us"].whole(0, _US_MAX)),
        until=instant_of_us_or_none(record.get("until_us", lambda one: one.whole(0, _US_MAX), None)),
        position=record["position"].whole(0, _POSITION_MAX),
        leaves=record["leaves"].whole(0, _POSITION_MAX),
        root=record["root"].text(),
        previous=record["previous"].any_text(),
    )
    if record["late_s"].raw != statement.late_s:
        raise record["late_s"].wrong("it does not follow from the instants")
    return statement


def anchor_to_json(anchor: Anchor) -> dict[str, Any]:
    """Return an anchor as a JSON object: statement, digest, signature; the time stamp in hexadecimal."""
    return {
        "statement": anchor.statement.to_json(),
        "digest": anchor.statement.digest(),
        "signature": signature_to_json(anchor.signature),
        "time_stamp": None if anchor.time_stamp is None else anchor.time_stamp.hex(),
    }


def anchor_from_json(value: Value) -> tuple[Anchor, str]:
    """Return the anchor that `anchor_to_json` wrote, and the digest that stands beside it; nothing is verified.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If a key is missing, unknown or of another type.
    """
    record = value.record(("statement", "digest", "signature", "time_stamp"))
    anchor = Anchor(
        statement=statement_from_json(record["statement"]),
        signature=signature_from_json(record["signature"]),
        time_stamp=record.get("time_stamp", _hexadecimal, None),
    )
    return anchor, record["digest"].text()


def _hexadecimal(value: Value) -> bytes:
    try:
        return bytes.fromhex(value.text(characters_max=1_000_000))
    except ValueError:
        raise value.wrong("hexadecimal digits are wanted") from None
