"""What is due when: timers as leased rows, the same in memory and in a database.

For: setting, leasing and taking timers. Not for: what happens when one is due (`oncall.engine`), or asking every second
(`oncall.engine.metronome`).

Invariants
----------
* A timer has a deterministic key: setting it again replaces it, so that doing the same thing twice sets it once.
* Who leased a due timer acts, and takes it in the transaction of its effect. `take` fails when the lease was lost or
  the timer was set anew meanwhile: then nothing may be committed, so each due timer has one effect.
* A lease that ran out is free: what a killed worker held is done by another after at most `LEASE_S`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sqlalchemy import Connection, delete, insert, or_, select, update

from foundation.errors import TelegardeError
from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds
from oncall.case.event import CaseId
from oncall.schema import oncall_timer
from oncall.strict_json import canonical

LEASE_S: Final = 10.0
"""How long a worker may think about a due timer, and so how late it is acted on when that worker dies."""

LEASED_AT_ONCE_MAX: Final = 64
"""Due timers that one turn leases: what a worker could hold up for `LEASE_S` if it died."""

TIMER_KEY_CHARACTERS_MAX: Final = 160
"""Of the column; longer keys would be two rows on one database and an error on the other."""


class TimerNotHeld(TelegardeError):
    """The lease ran out, or the timer was set anew or cancelled: somebody else acts, nothing may be committed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timer:
    """What to do when. `due_at` is aware UTC; `payload` is a JSON object.

    Raises
    ------
    ValueError
        If the key does not fit its column, or the instant is naive.
    """

    timer_key: str
    kind: str
    due_at: datetime
    case_id: CaseId | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < len(self.timer_key) <= TIMER_KEY_CHARACTERS_MAX:
            message = f"a timer key has 1 to {TIMER_KEY_CHARACTERS_MAX} characters"
            raise ValueError(message)
        if self.due_at.tzinfo is None:
            raise ValueError("a timer is due at an aware instant; pass tzinfo=UTC")


class Timers(Protocol):
    """The set of timers, as one transaction sees it."""

    def put(self, timer: Timer) -> None:
        """Set a timer, in place of one with its key; whoever leased that one no longer holds it."""

    def cancel(self, timer_key: str) -> bool:
        """Remove a timer; say whether there was one."""

    def lease_due(self, now: datetime, *, worker: str, limit: int = LEASED_AT_ONCE_MAX) -> tuple[Timer, ...]:
        """Lease what is due at `now` and free, earliest first (then by key), until `LEASE_S` later."""

    def take(self, timer: Timer, *, worker: str) -> None:
        """Remove a timer leased by this worker.

        Raises
        ------
        TimerNotHeld
            If this worker no longer holds exactly this timer.
        """

    def of_case(self, case_id: CaseId) -> tuple[Timer, ...]:
        """Return the timers of one case, earliest first."""

    def of_kind(self, kind: str) -> tuple[Timer, ...]:
        """Return the timers of one kind, leased or not, earliest first."""

    def find(self, timer_key: str) -> Timer | None:
        """Return the timer with this key, if any."""

    def next_due_at(self) -> datetime | None:
        """Return when the earliest timer is due, leased or not; None when there is none."""


@dataclass(slots=True)
class _Held:
    timer: Timer
    leased_by: str | None = None
    leased_until: datetime | None = None


class MemoryTimers:
    """Timers of one process, for simulated nights and tests; nothing survives it."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def put(self, timer: Timer) -> None:
        self._held[timer.timer_key] = _Held(timer)

    def cancel(self, timer_key: str) -> bool:
        return self._held.pop(timer_key, None) is not None

    def lease_due(self, now: datetime, *, worker: str, limit: int = LEASED_AT_ONCE_MAX) -> tuple[Timer, ...]:
        free = [
            held
            for held in self._held.values()
            if held.timer.due_at <= now and (held.leased_until is None or held.leased_until <= now)
        ]
        free.sort(key=lambda held: (held.timer.due_at, held.timer.timer_key))
        for held in free[:limit]:
            held.leased_by, held.leased_until = worker, now + timedelta(seconds=LEASE_S)
        return tuple(held.timer for held in free[:limit])

    def check(self, timer: Timer, *, worker: str) -> None:
        """Raise `TimerNotHeld` unless `take` would succeed: a transaction in memory checks all, then changes."""
        held = self._held.get(timer.timer_key)
        if held is None or held.leased_by != worker or held.timer.due_at != timer.due_at:
            raise TimerNotHeld(f"the timer {timer.timer_key} is no longer this worker's; nothing was committed")

    def take(self, timer: Timer, *, worker: str) -> None:
        self.check(timer, worker=worker)
        del self._held[timer.timer_key]

    def of_case(self, case_id: CaseId) -> tuple[Timer, ...]:
        found = [held.timer for held in self._held.values() if held.timer.case_id == case_id]
        return tuple(sorted(found, key=lambda timer: (timer.due_at, timer.timer_key)))

    def of_kind(self, kind: str) -> tuple[Timer, ...]:
        found = [held.timer for held in self._held.values() if held.timer.kind == kind]
        return tuple(sorted(found, key=lambda timer: (timer.due_at, timer.timer_key)))

    def find(self, timer_key: str) -> Timer | None:
        held = self._held.get(timer_key)
        return None if held is None else held.timer

    def next_due_at(self) -> datetime | None:
        return min((held.timer.due_at for held in self._held.values()), default=None)


class SqlTimers:
    """Timers in `oncall_timer`, inside the caller's transaction.

    Parameters
    ----------
    connection : Connection
        Of `Database.write(durable=True)` for everything but reading.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, timer: Timer) -> None:
        row = {
            "kind": timer.kind,
            "case_id": timer.case_id,
            "due_at_us": microseconds(timer.due_at),
            "payload": canonical(timer.payload),
            "leased_by": None,
            "leased_until_us": None,
        }
        changed = self._connection.execute(
            update(oncall_timer).where(oncall_timer.c.timer_key == timer.timer_key).values(row)
        )
        if changed.rowcount == 0:
            self._connection.execute(insert(oncall_timer).values(timer_key=timer.timer_key, **row))

    def cancel(self, timer_key: str) -> bool:
        done = self._connection.execute(delete(oncall_timer).where(oncall_timer.c.timer_key == timer_key))
        return bool(done.rowcount)

    def lease_due(self, now: datetime, *, worker: str, limit: int = LEASED_AT_ONCE_MAX) -> tuple[Timer, ...]:
        now_us = microseconds(now)
        free = or_(oncall_timer.c.leased_until_us.is_(None), oncall_timer.c.leased_until_us <= now_us)
        rows = self._connection.execute(
            select(oncall_timer)
            .where(oncall_timer.c.due_at_us <= now_us, free)
            .order_by(oncall_timer.c.due_at_us, oncall_timer.c.timer_key)
            .limit(limit)
        ).all()
        if rows:
            self._connection.execute(
                update(oncall_timer)
                .where(oncall_timer.c.timer_key.in_([row.timer_key for row in rows]))
                .values(leased_by=worker, leased_until_us=now_us + int(LEASE_S * 1_000_000))
            )
        return tuple(_timer(row) for row in rows)

    def take(self, timer: Timer, *, worker: str) -> None:
        done = self._connection.execute(
            delete(oncall_timer).where(
                oncall_timer.c.timer_key == timer.timer_key,
                oncall_timer.c.due_at_us == microseconds(timer.due_at),
                oncall_timer.c.leased_by == worker,
            )
        )
        if done.rowcount == 0:
            raise TimerNotHeld(f"the timer {timer.timer_key} is no longer this worker's; nothing was committed")

    def of_case(self, case_id: CaseId) -> tuple[Timer, ...]:
        rows = self._connection.execute(
            select(oncall_timer)
            .where(oncall_timer.c.case_id == case_id)
            .order_by(oncall_timer.c.due_at_us, oncall_timer.c.timer_key)
        )
        return tuple(_timer(row) for row in rows)

    def of_kind(self, kind: str) -> tuple[Timer, ...]:
        rows = self._connection.execute(
            select(oncall_timer)
            .where(oncall_timer.c.kind == kind)
            .order_by(oncall_timer.c.due_at_us, oncall_timer.c.timer_key)
        )
        return tuple(_timer(row) for row in rows)

    def find(self, timer_key: str) -> Timer | None:
        row = self._connection.execute(select(oncall_timer).where(oncall_timer.c.timer_key == timer_key)).one_or_none()
        return None if row is None else _timer(row)

    def next_due_at(self) -> datetime | None:
        found = self._connection.execute(
            select(oncall_timer.c.due_at_us).order_by(oncall_timer.c.due_at_us).limit(1)
        ).scalar_one_or_none()
        return instant_of_us_or_none(found)


def _timer(row: Any) -> Timer:
    return Timer(
        timer_key=row.timer_key,
        kind=row.kind,
        due_at=instant_of_us(row.due_at_us),
        case_id=None if row.case_id is None else CaseId(row.case_id),
        payload=json.loads(row.payload),
    )
