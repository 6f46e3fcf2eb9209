"""Years of cases as the log would have them, written in bulk: for measuring figures, not for judging an engine.

Nights are drawn by the model (`oncall.simulation.arrivals`) and read first come, first served by three readers, two
from 00:30 on; who is silent, late or retracted is drawn from the seed. The events are canonical and chained, and fold
without a refusal; projections beside the figures are not made.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, insert

from foundation.instants import microseconds
from oncall.case.event import GENESIS_HASH, Actor, CaseId, Fact, canonical_bytes
from oncall.case.vocabulary import EventType as E
from oncall.local_time import first_instant
from oncall.schema import oncall_case_event
from oncall.simulation.arrivals import READERS_CHANGE_MIN, NightCase, draw_night, hospital_names

ZONE: Final = "Europe/Paris"
FIRST_NIGHT: Final = date(2026, 1, 1)
_ENGINE: Final = Actor(who="telegarde", role="system")
_ROWS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    case: NightCase
    reader: str
    assigned_min: float
    opened_min: float
    signed_min: float


def write_cases(connection: Connection, count: int, sites: Sequence[str], readers: Sequence[str], *, seed: int) -> int:
    """Write the logs of `count` cases in the order in which things happened; return how many events they are."""
    events = 0
    rows = (row for night in _nights(count, sites, readers, seed) for row in night)
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        connection.execute(insert(oncall_case_event), batch)
        events += len(batch)
    return events


def _nights(count: int, sites: Sequence[str], readers: Sequence[str], seed: int) -> Iterator[list[dict[str, Any]]]:
    dice = random.Random(seed)
    names = dict(zip(hospital_names(), sites, strict=False))
    written = number = 0
    while written < count:
        day = FIRST_NIGHT + timedelta(days=number)
        midnight = first_instant(day, time(0), ZONE)
        cases = sorted(draw_night(seed + number).cases, key=lambda case: case.arrived.ready_min)[: count - written]
        on_duty = [readers[(number * 3 + seat) % len(readers)] for seat in range(3)]
        rows: list[dict[str, Any]] = []
        for read in _read_in_turn(cases, on_duty, dice):
            written += 1
            case_id = CaseId(f"{day:%Y%m%d}-{read.case.arrived.case_id}")
            rows += _events(case_id, read, names[read.case.arrived.site], midnight, dice)
        yield sorted(rows, key=lambda row: (row["recorded_at_us"], row["case_id"], row["seq"]))
        number += 1


def _read_in_turn(cases: Sequence[NightCase], on_duty: Sequence[str], dice: random.Random) -> Iterator[_Read]:
    free = [(0.0, reader) for reader in on_duty]
    change_min = float(READERS_CHANGE_MIN)
    heapq.heapify(free)
    for case in cases:
        ready_min = float(case.arrived.ready_min)
        free_min, reader = heapq.heappop(free)
        begins_min = max(free_min, ready_min)
        if reader == on_duty[-1] and begins_min >= change_min and free:
            free_min, reader = heapq.heappop(free)
            begins_min = max(free_min, ready_min)
        silent_min = dice.uniform(6.0, 25.0) if begins_min > change_min and dice.random() < 0.03 else 0.3
        opened_min = begins_min + silent_min
        signed_min = opened_min + float(case.read_min)
        heapq.heappush(free, (signed_min, reader))
        yield _Read(case=case, reader=reader, assigned_min=begins_min, opened_min=opened_min, signed_min=signed_min)


def _events(case_id: CaseId, read: _Read, site: str, midnight: datetime, dice: random.Random) -> list[dict[str, Any]]:
    facts: list[tuple[float, str, dict[str, Any]]] = _facts(case_id, read, site, dice)
    rows, prev_hash = [], GENESIS_HASH
    for seq, (minutes, kind, payload) in enumerate(facts, start=1):
        at = midnight + timedelta(microseconds=round(minutes * 6e7))
        if kind == E.IMAGES_COMPLETE:
            payload["deadline_at_us"] = microseconds(at) + 3_600_000_000
        fact = Fact(
            type=kind, occurred_at=at, actor=_ENGINE, payload=payload, policy_version="2026-11-22.3",
            roster_version="20260101T000000.000000Z-0a1b2c3d",
        )  # fmt: skip
        event_id = f"{case_id}-{seq:04d}"
        body = canonical_bytes(case_id, seq, prev_hash, fact, at, event_id)
        hash_ = sha256(body).hexdigest()
        rows.append(
            {
                "case_id": case_id, "seq": seq, "event_id": event_id, "type": kind, "occurred_at_us": microseconds(at),
                "recorded_at_us": microseconds(at), "body": body.decode(), "prev_hash": prev_hash, "hash": hash_,
            }
        )  # fmt: skip
        prev_hash = hash_
    return rows


def _facts(case_id: str, read: _Read, site: str, dice: random.Random) -> list[tuple[float, str, dict[str, Any]]]:
    arrived, reader = read.case.arrived, read.reader
    ready = float(arrived.ready_min)
    asked = ready - dice.uniform(30.0, 60.0)
    study = {"issuer": site.upper(), "study_instance_uid": f"2.25.{int(sha256(case_id.encode()).hexdigest()[:24], 16)}"}
    key = sha256(f"patient {case_id}".encode()).hexdigest()[:32]
    lock = f"2.25.{int(sha256(f'lock {case_id}'.encode()).hexdigest()[:24], 16)}"
    is_silent = read.opened_min - read.assigned_min > 5.0
    told = read.signed_min + dice.uniform(0.02, 0.5)
    version = {"version": 1, "signer": reader, "content_hash": key * 2, "transaction_uid": lock}
    facts: list[tuple[float, str, dict[str, Any]]] = [
        (asked, E.REQUEST_SUBMITTED, {
            "site_id": site, "exam": arrived.exam.value, "urgency": int(arrived.urgency), "needs": "general",
            "patient_key": key, "request_id": f"r-{case_id}", "accession_number": f"A{case_id}", "modality": "CT",
        }),
        (asked + 3.5, E.PROTOCOL_SENT, {"version": 1, "author": reader, "protocol_id": "ct-1"}),
        (asked + 5.0, E.PROTOCOL_ACKNOWLEDGED, {"version": 1, "radiographer": "radiographer"}),
        (ready - 6.0, E.IMAGES_FIRST_INSTANCE, {**study, "received": 40, "outbox_event_id": 1}),
        (ready - 3.0, E.IMAGES_PROGRESS, {**study, "received": 400, "outbox_event_id": 2}),
        (ready, E.IMAGES_COMPLETE, {"rule": "quiet", "deadline_at_us": 0}),
        (read.assigned_min, E.ASSIGN_MADE, {"person_id": reader, "reason": "next", "assignment": 1}),
        (read.assigned_min, E.PAGE_SENT, {"person_id": reader, "channel": "push", "message_key": f"m-{case_id}"}),
    ]  # fmt: skip
    if is_silent:
        facts.append((read.assigned_min + 5.0, E.ASSIGN_TIMEOUT, {"person_id": reader, "silent_s": 300}))
    facts += [
        (read.opened_min - 0.1, E.ASSIGN_ACKNOWLEDGED, {"person_id": reader, "channel": "push"}),
        (read.opened_min, E.READ_OPENED, {"person_id": reader, "transaction_uid": lock}),
        (read.signed_min, E.REPORT_SIGNED, version),
        (told, E.REPORT_SENT, {"channel": "web", "recipient": site, "version": 1}),
        (told + 0.1, E.REPORT_DELIVERED, {"channel": "web", "version": 1}),
        (told + 4.0, E.REPORT_ACKNOWLEDGED_BY_ED, {"clinician": "clinician", "version": 1}),
    ]
    if dice.random() < 0.002:
        return [*facts, (told + 30.0, E.REPORT_RETRACTED, {"version": 1, "reason": "another patient"})]
    if dice.random() < 0.03:
        facts.append((told + 20.0, E.REPORT_ADDENDUM, {**_addendum(reader, key)}))
        facts.append((told + 21.0, E.CASE_CLOSED, {"reason": "told by telephone"}))
        return facts
    return [*facts, (told + 4.0, E.CASE_CLOSED, {})]


def _addendum(reader: str, key: str) -> dict[str, Any]:
    return {"version": 2, "signer": reader, "content_hash": key, "reason": "prior exams came"}


def last_instant(count: int) -> datetime:
    """Return an instant after everything that `write_cases` writes for so many cases."""
    return datetime.combine(FIRST_NIGHT, time(0), UTC) + timedelta(days=count // 40 + 10)
