"""The durable queue of deliveries in `oncall_delivery` and its record, inside the caller's transaction.

For: planning in the transaction of the signature, leasing, settling, acknowledging, superseding, giving up, lists.
Not for: sending (`oncall.delivery.worker`), or what follows for the case (`oncall.engine.deliveries`).

Invariants
----------
* Planning is repeatable; a delivery that is there stays as it is.
* The intent to send is durable before a channel sees the delivery. A worker that dies leaves it leased; when the lease
  has run out it is sent again: every channel recognises what it was given before (same UIDs and bytes, same
  Message-ID, same control id), so it arrives once in effect.
* Every change of state leaves an event; states move only as `TRANSITIONS` says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from foundation import outbox
from foundation.errors import Refused
from foundation.instants import instant_of_us, microseconds
from oncall.case.event import CaseId, Event
from oncall.case.vocabulary import EventType
from oncall.delivery import authorisations, plan
from oncall.delivery.model import (
    ARRIVED,
    PENDING,
    TELLING,
    TRANSITIONS,
    WAITING,
    Delivery,
    DeliveryChannel,
    DeliveryEvent,
    DeliveryNews,
    DeliveryState,
    DeliveryStatus,
    RecipientKind,
)
from oncall.delivery.policy import DeliveryPolicy, wait_after
from oncall.report.version import VersionKind
from oncall.schema import oncall_delivery as table
from oncall.schema import oncall_delivery_event as events

S = DeliveryState

LEASE_S: Final = 180.0
"""How long a worker may hold a delivery: more than documents take to make and the slowest hand-over together."""

LISTED_MAX: Final = 1000
"""Deliveries that a list shows at most."""

NEWS_PER_READ_MAX: Final = 200

FAILED_AGAIN: Final = "failed_again"
"""Happened: an attempt failed for the same reason as the one before; no news for the case."""

_NEWS: Final = frozenset({S.SENT, S.DELIVERED, S.FAILED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """The recipient's system has it, or whoever looks sees it."""

    reference: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOn:
    """Somebody took it to bring it there; nobody will say whether it arrived."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotArrived:
    """It did not arrive, or nobody knows; `reason` is a constant word, never a peer's text."""

    reason: str


Outcome = Arrived | HandedOn | NotArrived


def insert_planned(connection: Connection, planned: Sequence[Delivery], now: datetime) -> tuple[Delivery, ...]:
    """Queue what a newly signed version needs; return what was new.

    Adds whom the patient has authorised and who got an earlier version, and supersedes what is still on its way of
    earlier versions. `planned` are deliveries of one version, as `oncall.delivery.plan.plan` returns them.
    """
    if not planned:
        return ()
    first = planned[0]
    of_case = deliveries_of(connection, first.case_id)
    earlier = [one for one in of_case if one.delivery.version < first.version]
    got = [one.delivery for one in earlier if one.state in ARRIVED or one.state is S.SENDING]
    others = plan.for_others(first, got, authorisations.of_case(connection, first.case_id))
    known = {one.delivery.delivery_id for one in of_case}
    new = {one.delivery_id: one for one in (*planned, *others) if one.delivery_id not in known}
    _insert(connection, tuple(new.values()), now)
    ended = [one for one in earlier if one.state in PENDING and not one.delivery.outlives_versions]
    _move_those(connection, ended, S.SUPERSEDED, now, by=f"version {first.version}")
    return tuple(new.values())


def insert_authorised(connection: Connection, case_id: CaseId, now: datetime) -> tuple[Delivery, ...]:
    """Queue the newest version for whom the patient authorised after it was signed; return what was new."""
    of_case = deliveries_of(connection, case_id)
    newest = [one.delivery for one in of_case if one.delivery.version == newest_version(connection, case_id)]
    if not newest:
        return ()
    wanted = plan.for_others(replace(newest[0], planned_at=now), (), authorisations.of_case(connection, case_id))
    known = {one.delivery_id for one in newest}
    new = tuple(one for one in wanted if one.delivery_id not in known)
    _insert(connection, new, now)
    return new


def follow(connection: Connection, committed: Iterable[Event], now: datetime) -> None:
    """Do what facts of cases mean for deliveries, in the transaction that commits them.

    An acknowledgement ends telling of its version: that of an older one confirms nothing of a newer one, and what files
    the version with a system goes on. A report that turns out to be another patient's is delivered again.
    """
    for event in committed:
        payload = event.fact.payload
        if event.type == EventType.REPORT_ACKNOWLEDGED_BY_ED:
            version = payload.get("version") or newest_version(connection, event.case_id)
            told = [one for one in _of_version(connection, event.case_id, version) if one.delivery.channel in TELLING]
            _move_those(connection, told, S.ACKNOWLEDGED, now, by=str(payload["clinician"]))
        elif event.type == EventType.REPORT_IDENTITY_CHANGED:
            told = _of_version(connection, event.case_id, payload["version"])
            again = [one for one in told if one.state in ARRIVED or one.state is S.SENDING]
            due_us = microseconds(now)
            _move_those(connection, again, S.QUEUED, now, happened="identity_changed", due_at_us=due_us)


def _of_version(connection: Connection, case_id: CaseId, version: int) -> list[DeliveryStatus]:
    return [one for one in deliveries_of(connection, case_id) if one.delivery.version == version]


def _move_those(
    connection: Connection, those: Iterable[DeliveryStatus], state: DeliveryState, now: datetime, **changes: Any
) -> None:
    ids = [one.delivery.delivery_id for one in those if state in TRANSITIONS[one.state]]
    _move(connection, ids, state, now, **changes)


def newest_version(connection: Connection, case_id: CaseId) -> int:
    """Return the newest version that was planned for delivery; 0 when there is none."""
    found = connection.execute(select(func.max(table.c.version)).where(table.c.case_id == case_id)).scalar_one()
    return int(found or 0)


def lease(
    connection: Connection, channel: DeliveryChannel, now: datetime, *, worker: str, limit: int
) -> tuple[DeliveryStatus, ...]:
    """Take due deliveries of a channel for `LEASE_S`, the first due first."""
    rows = connection.execute(
        select(table)
        .where(_is_waiting(now), table.c.channel == channel.value)
        .order_by(table.c.due_at_us, table.c.planned_at_us, table.c.delivery_id)
        .limit(limit)
    ).all()
    taken = [_status(row) for row in rows]
    until_us = microseconds(now + timedelta(seconds=LEASE_S))
    for one in taken:
        _move(
            connection, [one.delivery.delivery_id], S.SENDING, now, by=worker,
            attempts=one.attempts + 1, leased_by=worker, leased_until_us=until_us,
        )  # fmt: skip
    return taken_again(connection, [one.delivery.delivery_id for one in taken])


def settle(
    connection: Connection, delivery_id: str, outcome: Outcome, now: datetime, *, worker: str, policy: DeliveryPolicy
) -> DeliveryState:
    """Record what came of an attempt; return the state that the delivery has now.

    Only the worker that holds the lease settles; what another one says is kept as an event. A delivery that was
    acknowledged or superseded meanwhile stays so.
    """
    status = find(connection, delivery_id)
    assert status is not None, "what was leased is there"
    holder = connection.execute(select(table.c.leased_by).where(table.c.delivery_id == delivery_id)).scalar_one()
    if status.state is not S.SENDING or holder != worker:
        reason = outcome.reason if isinstance(outcome, NotArrived) else ""
        _note(connection, [delivery_id], now, f"late_{type(outcome).__name__.lower()}", reason=reason, by=worker)
        return status.state
    match outcome:
        case Arrived():
            _move(connection, [delivery_id], S.DELIVERED, now, by=worker, reason="")
            return S.DELIVERED
        case HandedOn():
            _move(connection, [delivery_id], S.SENT, now, by=worker, reason="")
            return S.SENT
        case NotArrived():
            due_us = microseconds(now + wait_after(delivery_id, status.attempts, policy))
            happened = FAILED_AGAIN if status.reason == outcome.reason else S.FAILED.value
            _move(
                connection, [delivery_id], S.FAILED, now,
                by=worker, happened=happened, reason=outcome.reason, due_at_us=due_us,
            )  # fmt: skip
            return S.FAILED


def release_interrupted(connection: Connection, now: datetime, *, gone: frozenset[str] = frozenset()) -> int:
    """Queue again what dead workers left: leases that ran out, and any of workers known to be `gone`."""
    ids = list(connection.execute(select(table.c.delivery_id).where(_is_interrupted(now, gone))).scalars())
    _move(connection, ids, S.QUEUED, now, happened="interrupted", due_at_us=microseconds(now))
    return len(ids)


def is_interrupted(connection: Connection, now: datetime, *, gone: frozenset[str] = frozenset()) -> bool:
    """Say whether `release_interrupted` would find anything; needs no writer's lock."""
    return (
        connection.execute(select(table.c.delivery_id).where(_is_interrupted(now, gone)).limit(1)).first() is not None
    )


def due(connection: Connection, now: datetime) -> dict[DeliveryChannel, int]:
    """Count what is due by channel; needs no writer's lock."""
    rows = connection.execute(select(table.c.channel, func.count()).where(_is_waiting(now)).group_by(table.c.channel))
    return {DeliveryChannel(channel): count for channel, count in rows}


def give_up(connection: Connection, delivery_id: str, now: datetime, *, by: str) -> DeliveryStatus:
    """End the attempts of a delivery, because a named person says so.

    Raises
    ------
    foundation.errors.Refused
        If nobody is named, there is none, or it is not waiting.
    """
    if not by.strip():
        raise Refused("giving a delivery up needs the name of who decides it")
    status = _required(connection, delivery_id)
    if status.state not in WAITING:
        raise Refused("only a delivery that waits can be given up; look at its state")
    _move(connection, [delivery_id], S.GIVEN_UP, now, by=by)
    return _required(connection, delivery_id)


def try_again(connection: Connection, delivery_id: str, now: datetime, *, by: str) -> DeliveryStatus:
    """Make a delivery that waits, or was given up, due at once.

    Raises
    ------
    foundation.errors.Refused
        If there is none, or it is under way or over.
    """
    status = _required(connection, delivery_id)
    if status.state not in WAITING | {S.GIVEN_UP}:
        raise Refused("only a delivery that waits or was given up can be tried again; look at its state")
    if status.state is S.GIVEN_UP:
        _move(connection, [delivery_id], S.QUEUED, now, by=by, due_at_us=microseconds(now))
    else:
        connection.execute(update(table).where(table.c.delivery_id == delivery_id).values(due_at_us=microseconds(now)))
        _note(connection, [delivery_id], now, "hurried", by=by)
    return _required(connection, delivery_id)


def find(connection: Connection, delivery_id: str) -> DeliveryStatus | None:
    """Return a delivery and where it is."""
    row = connection.execute(select(table).where(table.c.delivery_id == delivery_id)).one_or_none()
    return None if row is None else _status(row)


def taken_again(connection: Connection, ids: Sequence[str]) -> tuple[DeliveryStatus, ...]:
    """Return deliveries by id, in that order."""
    found = {one.delivery.delivery_id: one for one in map(_status, _rows(connection, table.c.delivery_id.in_(ids)))}
    return tuple(found[one] for one in ids)


def deliveries_of(connection: Connection, case_id: CaseId) -> tuple[DeliveryStatus, ...]:
    """Return all deliveries of a case, by version, the first planned first."""
    return tuple(map(_status, _rows(connection, table.c.case_id == case_id)))


def pending(connection: Connection, *, limit: int = LISTED_MAX) -> tuple[DeliveryStatus, ...]:
    """Return every delivery that its recipient does not have, the oldest first, those given up included."""
    states = [state.value for state in sorted(PENDING)]
    return tuple(map(_status, _rows(connection, table.c.state.in_(states), limit=limit)))


def counts(connection: Connection) -> dict[DeliveryState, int]:
    """Count all deliveries by state."""
    rows = connection.execute(select(table.c.state, func.count()).group_by(table.c.state))
    return {DeliveryState(state): count for state, count in rows}


def record_of(connection: Connection, delivery_id: str) -> tuple[DeliveryEvent, ...]:
    """Return everything that happened to a delivery, each attempt included, in order."""
    rows = connection.execute(select(events).where(events.c.delivery_id == delivery_id).order_by(events.c.position))
    return tuple(
        DeliveryEvent(
            delivery_id=row.delivery_id,
            occurred_at=instant_of_us(row.occurred_at_us),
            happened=row.happened,
            reason=row.reason,
            by=row.done_by,
        )
        for row in rows
    )


def news_after(connection: Connection, position: int, *, limit: int = NEWS_PER_READ_MAX) -> tuple[DeliveryNews, ...]:
    """Return what became of deliveries after `position`, oldest first; whoever decides on it keeps the position."""
    rows = connection.execute(
        select(table, events.c.position, events.c.occurred_at_us, events.c.happened, events.c.reason.label("why"))
        .join(events, events.c.delivery_id == table.c.delivery_id)
        .where(events.c.position > position, events.c.happened.in_(sorted(_NEWS)))
        .order_by(events.c.position)
        .limit(limit)
    )
    return tuple(
        DeliveryNews(
            position=row.position,
            occurred_at=instant_of_us(row.occurred_at_us),
            delivery=_status(row).delivery,
            state=DeliveryState(row.happened),
            reason=row.why,
        )
        for row in rows
    )


def unread_news(connection: Connection, consumer: str) -> tuple[int, tuple[DeliveryNews, ...]]:
    """Return how far a consumer has come, and the news after that."""
    position = outbox.read_cursor(connection, consumer)
    return position, news_after(connection, position)


def _required(connection: Connection, delivery_id: str) -> DeliveryStatus:
    found = find(connection, delivery_id)
    if found is None:
        raise Refused("there is no such delivery; list them with telegarde oncall deliveries")
    return found


def _is_waiting(now: datetime) -> ColumnElement[bool]:
    return table.c.state.in_([state.value for state in sorted(WAITING)]) & (table.c.due_at_us <= microseconds(now))


def _is_interrupted(now: datetime, gone: frozenset[str]) -> ColumnElement[bool]:
    is_over = table.c.leased_until_us <= microseconds(now)
    return (table.c.state == S.SENDING.value) & (is_over | table.c.leased_by.in_(sorted(gone)))


def _rows(connection: Connection, which: ColumnElement[bool], *, limit: int | None = None) -> Sequence[Row[Any]]:
    wanted = select(table).where(which).order_by(table.c.planned_at_us, table.c.version, table.c.delivery_id)
    return connection.execute(wanted if limit is None else wanted.limit(limit)).all()


def _move(
    connection: Connection, ids: Sequence[str], state: DeliveryState, now: datetime,
    *, by: str = "", happened: str = "", **changes: Any,
) -> None:  # fmt: skip
    if not ids:
        return
    if state is not S.SENDING:
        changes |= {"leased_by": None, "leased_until_us": None}
    if state in {S.GIVEN_UP, S.SUPERSEDED, S.ACKNOWLEDGED}:
        changes["ended_by"] = by
    may_come_from = [before.value for before, after in TRANSITIONS.items() if state in after]
    done = connection.execute(
        update(table)
        .where(table.c.delivery_id.in_(ids), table.c.state.in_(may_come_from))
        .values(state=state.value, changed_at_us=microseconds(now), **changes)
    )
    assert done.rowcount == len(ids), "the caller has looked at the state in this transaction"
    _note(connection, ids, now, happened or state.value, reason=str(changes.get("reason", "")), by=by)


def _insert(connection: Connection, new: Sequence[Delivery], now: datetime) -> None:
    if new:
        connection.execute(insert(table), [_row(one, now) for one in new])
        _note(connection, [one.delivery_id for one in new], now, S.QUEUED.value)


def _note(
    connection: Connection, ids: Sequence[str], now: datetime, happened: str, *, reason: str = "", by: str = ""
) -> None:
    at_us = microseconds(now)
    rows = [
        {"delivery_id": one, "occurred_at_us": at_us, "happened": happened, "reason": reason, "done_by": by}
        for one in ids
    ]
    connection.execute(insert(events), rows)


def _row(delivery: Delivery, now: datetime) -> dict[str, Any]:
    return {
        "delivery_id": delivery.delivery_id,
        "case_id": delivery.case_id,
        "version": delivery.version,
        "kind": delivery.kind.value,
        "recipient_kind": delivery.recipient_kind.value,
        "recipient": delivery.recipient,
        "channel": delivery.channel.value,
        "address": delivery.address,
        "policy_version": delivery.policy_version,
        "state": S.QUEUED.value,
        "attempts": 0,
        "reason": "",
        "ended_by": "",
        "planned_at_us": microseconds(delivery.planned_at),
        "changed_at_us": microseconds(now),
        "due_at_us": microseconds(delivery.planned_at),
    }


def _status(row: Row[Any]) -> DeliveryStatus:
    delivery = Delivery(
        delivery_id=row.delivery_id,
        case_id=CaseId(row.case_id),
        version=row.version,
        kind=VersionKind(row.kind),
        recipient_kind=RecipientKind(row.recipient_kind),
        recipient=row.recipient,
        channel=DeliveryChannel(row.channel),
        address=row.address,
        planned_at=instant_of_us(row.planned_at_us),
        policy_version=row.policy_version,
    )
    return DeliveryStatus(
        delivery=delivery,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        due_at=instant_of_us(row.due_at_us),
        reason=row.reason,
        changed_at=instant_of_us(row.changed_at_us),
        ended_by=row.ended_by,
    )
