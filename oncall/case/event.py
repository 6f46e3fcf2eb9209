"""One fact of a case, its canonical bytes and its place in the hash chain.

The log is the truth, state is a fold over it (`oncall.case.state`). A fact is never changed or removed; what was
wrong is corrected by a later fact. `hash` covers everything of the event but itself, and the hash of the event before
it, so that no event can be altered, dropped or moved unseen.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NewType

from foundation.instants import instant_of_us_or_none, microseconds

CaseId = NewType("CaseId", str)

# What the first event of a case is chained to.
GENESIS_HASH: Final = "0" * 64

_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who did it: an RPPS number or a program's name, in which role, proved how, from where."""

    who: str
    role: str
    authentication: str = ""
    place: str = ""


SYSTEM: Final = Actor(who="telegarde", role="system")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """What somebody says has happened, before it has a place in the log.

    ``occurred_at`` is when it happened (aware, UTC), which may be earlier than when it is recorded. ``payload`` is a
    JSON object whose keys `oncall.case.vocabulary` lists for the type. ``source_message`` is the HL7 MSH-10, DICOM UID
    or HTTP request id it came with.

    Raises
    ------
    ValueError
        If the instant is naive.
    """

    type: str
    occurred_at: datetime
    actor: Actor = SYSTEM
    payload: Mapping[str, Any] = field(default_factory=dict)
    on_behalf_of: str = ""
    policy_version: str = ""
    roster_version: str = ""
    source_message: str = ""
    correlation_id: str = ""

    def __post_init__(self) -> None:
        if self.occurred_at.tzinfo is not UTC:
            object.__setattr__(self, "occurred_at", in_utc(self.occurred_at))


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A fact in the log of one case; `seq` counts from 1 without gaps."""

    event_id: str
    case_id: CaseId
    seq: int
    prev_hash: str
    hash: str
    recorded_at: datetime
    fact: Fact

    @property
    def type(self) -> str:
        """The fact's type: ``region.happened``."""
        return self.fact.type


def chained(case_id: CaseId, seq: int, prev_hash: str, fact: Fact, *, recorded_at: datetime, event_id: str) -> Event:
    """Return `fact` as the event that follows the one whose hash is `prev_hash`."""
    recorded_at = in_utc(recorded_at)
    digest = hashlib.sha256(canonical_bytes(case_id, seq, prev_hash, fact, recorded_at, event_id)).hexdigest()
    return Event(
        event_id=event_id,
        case_id=case_id,
        seq=seq,
        prev_hash=prev_hash,
        hash=digest,
        recorded_at=recorded_at,
        fact=fact,
    )


def canonical_bytes(
    case_id: CaseId, seq: int, prev_hash: str, fact: Fact, recorded_at: datetime, event_id: str
) -> bytes:
    """Return the UTF-8 JSON (keys sorted, no spaces, instants as microseconds since 1970 UTC) that is hashed."""
    body = {
        "case_id": case_id,
        "seq": seq,
        "prev_hash": prev_hash,
        "event_id": event_id,
        "recorded_at_us": microseconds(recorded_at),
        "type": fact.type,
        "occurred_at_us": microseconds(fact.occurred_at),
        "actor": [fact.actor.who, fact.actor.role, fact.actor.authentication, fact.actor.place],
        "payload": fact.payload,
        "on_behalf_of": fact.on_behalf_of,
        "policy_version": fact.policy_version,
        "roster_version": fact.roster_version,
        "source_message": fact.source_message,
        "correlation_id": fact.correlation_id,
    }
    return _ENCODE(body).encode()


def in_utc(instant: datetime) -> datetime:
    """Return an aware instant in UTC; everything of a case is kept so, because local times add and subtract wrongly.

    Raises
    ------
    ValueError
        If it is naive.
    """
    if instant.tzinfo is UTC:
        return instant
    if instant.tzinfo is None:
        raise ValueError("an instant of a case is aware; pass tzinfo=UTC")
    return instant.astimezone(UTC)


def instant_or_none(payload: Mapping[str, Any], key: str) -> datetime | None:
    """Return the instant that a payload has under `key`, or None."""
    return instant_of_us_or_none(payload.get(key))


def uuid7(now: datetime, random: bytes | None = None) -> str:
    """Return a UUID version 7 (RFC 9562 5.7): sortable by the millisecond of `now`; `random` (10 bytes) for replays."""
    stamp = microseconds(now) // 1000
    tail = bytearray(os.urandom(10) if random is None else random)
    tail[0] = 0x70 | (tail[0] & 0x0F)
    tail[2] = 0x80 | (tail[2] & 0x3F)
    digits = stamp.to_bytes(6, "big").hex() + tail.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
