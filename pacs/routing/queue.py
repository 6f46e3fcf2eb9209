"""The durable queue of studies on their way: rows of `routing_item` and `routing_instance`.

For: queueing, leasing, recording answers, settling, retrying, giving up, lists; everything inside the caller's
transaction. Not for: which study goes where (`pacs.routing.intake`), or sending (`pacs.routing.worker`).

Invariants
----------
* Queueing is repeatable: an instance that waits already is queued once.
* A lease is durable before anything is sent. Of a worker that dies, what the destination answered and nobody recorded
  is sent again; storage takes the same bytes twice (PS3.4 B.2.3).
* An instance's row goes only when the destination has answered for it.
* Items move only as `TRANSITIONS` says.

Every function that changes takes a connection of `Database.write(durable=True)`. `now` is UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, case, delete, func, insert, select, tuple_, update

from foundation.errors import Refused
from foundation.instants import instant_of_us, microseconds
from pacs.routing.model import TRANSITIONS, WAITING, Item, ItemState, RetryPolicy, StudyId, wait_after
from pacs.routing.schema import routing_instance as instances
from pacs.routing.schema import routing_item as items

S = ItemState

Instance = tuple[str, str]
"""Series Instance UID and SOP Instance UID."""

LEASE_S: Final = 120.0
"""How long a worker may hold an item without renewing its lease."""

INSTANCES_PER_LEASE_MAX: Final = 2000
"""Instances that are looked up at once; of a larger study the rest follows."""

FRESH_WAIT_S: Final = 30.0
"""How soon after a failure images that came since are tried: often enough for them, and no hammering."""

NAME_CHARACTERS_MAX: Final = 128
"""Of who decides."""

LISTED_MAX: Final = 1000
"""Items that a list shows at most."""

KEPT: Final = timedelta(days=30)
"""How long an item that was sent is kept: what comes later for its study follows it; then rules decide anew."""

_ROWS_PER_STATEMENT_MAX: Final = 500


def enqueue(
    connection: Connection, destination: str, study: StudyId, new: Iterable[Instance], now: datetime,
    *, rule: str, is_emergency: bool, seen_event_id: int,
) -> int:  # fmt: skip
    """Queue instances of a study for a destination; return how many did not wait already.

    Parameters
    ----------
    seen_event_id : int
        Events of the outbox up to this one are in it now.
    """
    item = find(connection, destination, study)
    if item is None:
        item_id = _insert(connection, destination, study, now, rule=rule, is_emergency=is_emergency)
        state = S.QUEUED
    else:
        item_id, state = item.item_id, item.state
    added = _insert_instances(connection, item_id, new)
    changes: dict[str, Any] = {
        "instances": items.c.instances + added,
        "seen_event_id": case((items.c.seen_event_id > seen_event_id, items.c.seen_event_id), else_=seen_event_id),
    }
    if added and state in {S.SENT, S.GIVEN_UP}:
        changes |= {"state": S.QUEUED.value, "due_at_us": microseconds(now), "changed_at_us": microseconds(now)}
    elif added and item is not None and state is S.FAILED:
        # What is new must not wait as long as what was refused often.
        soon = max(now, item.changed_at + timedelta(seconds=FRESH_WAIT_S))
        changes["due_at_us"] = microseconds(min(item.due_at, soon))
    connection.execute(update(items).where(items.c.item_id == item_id).values(**changes))
    return added


def hurry(connection: Connection, study: StudyId, now: datetime) -> int:
    """Make an emergency of a study wherever it is to go, and due at once; return how many items that changed."""
    now_us = microseconds(now)
    done = connection.execute(
        update(items)
        .where(_is_study(study), items.c.is_emergency == 0)
        .values(
            is_emergency=1,
            changed_at_us=now_us,
            due_at_us=case((items.c.due_at_us < now_us, items.c.due_at_us), else_=now_us),
        )
    )
    return done.rowcount


def lease(connection: Connection, destination: str, now: datetime, *, worker: str) -> Item | None:
    """Take the next item of a destination: emergencies first, then those that wait longest."""
    row = connection.execute(_due(destination, now).limit(1)).one_or_none()
    if row is None:
        return None
    _move(
        connection, row.item_id, S.SENDING, now,
        attempts=row.attempts + 1, leased_by=worker, leased_until_us=microseconds(now + timedelta(seconds=LEASE_S)),
    )  # fmt: skip
    return required(connection, row.item_id)


def due_counts(connection: Connection, now: datetime) -> dict[str, int]:
    """Count what is due by destination; needs no writer's lock."""
    rows = connection.execute(
        select(items.c.destination, func.count()).where(_is_due(now)).group_by(items.c.destination)
    )
    return {destination: int(count) for destination, count in rows}


def has_due_emergency(connection: Connection, destination: str, now: datetime) -> bool:
    """Say whether an emergency waits for a destination, that what is less urgent must make room for."""
    wanted = select(items.c.item_id).where(_is_due(now), items.c.destination == destination, items.c.is_emergency == 1)
    return connection.execute(wanted.limit(1)).first() is not None


def unsent(connection: Connection, item_id: int) -> dict[Instance, int]:
    """Return instances of an item that wait, and how often each was tried, those tried least first.

    At most `INSTANCES_PER_LEASE_MAX`.
    """
    rows = connection.execute(
        select(instances.c.series_instance_uid, instances.c.sop_instance_uid, instances.c.tries)
        .where(instances.c.item_id == item_id, instances.c.is_given_up == 0)
        .order_by(instances.c.tries, instances.c.series_instance_uid, instances.c.sop_instance_uid)
        .limit(INSTANCES_PER_LEASE_MAX)
    )
    return {(row.series_instance_uid, row.sop_instance_uid): row.tries for row in rows}


def record(
    connection: Connection, item_id: int, arrived: Sequence[Instance], failed: Sequence[tuple[Instance, str]]
) -> None:
    """Keep what the destination answered (or did not) for instances of an item.

    What arrived is counted however long ago the lease ran out: the destination has it.
    """
    gone = 0
    for chunk in _chunks(arrived):
        gone += connection.execute(delete(instances).where(instances.c.item_id == item_id, _is_one_of(chunk))).rowcount
    if gone:
        connection.execute(update(items).where(items.c.item_id == item_id).values(sent=items.c.sent + gone))
    by_reason: dict[str, list[Instance]] = {}
    for one, reason in failed:
        by_reason.setdefault(reason, []).append(one)
    for reason, those in by_reason.items():
        for chunk in _chunks(those):
            connection.execute(
                update(instances)
                .where(instances.c.item_id == item_id, _is_one_of(chunk))
                .values(tries=instances.c.tries + 1, reason=reason)
            )


def settle(
    connection: Connection, item_id: int, now: datetime,
    *, worker: str, policy: RetryPolicy, brought: int, reason: str,
) -> ItemState:  # fmt: skip
    """End a lease after what the attempt brought was recorded; return the state that the item has now.

    Parameters
    ----------
    brought : int
        How many instances arrived in this attempt.
    reason : str
        Why something did not; '' when nothing failed: then what still waits is due at once.
    """
    item = required(connection, item_id)
    if item.state is not S.SENDING or _holder(connection, item_id) != worker:
        return item.state
    if not _waits(connection, item_id):
        state = S.GIVEN_UP if _has_given_up(connection, item_id) else S.SENT
        _move(connection, item_id, state, now, fruitless=0, reason="")
        return state
    if not reason:
        _move(connection, item_id, S.QUEUED, now, due_at_us=microseconds(now), reason="")
        return S.QUEUED
    fruitless = 1 if brought else item.fruitless + 1
    due_at = now + wait_after(str(item_id), fruitless, policy)
    _move(connection, item_id, S.FAILED, now, fruitless=fruitless, reason=reason, due_at_us=microseconds(due_at))
    return S.FAILED


def release(connection: Connection, item_id: int, now: datetime, *, worker: str, reason: str) -> None:
    """Put a leased item back as it was, due at once: the destination is away, or something else goes first."""
    if _holder(connection, item_id) == worker:
        _move(connection, item_id, S.QUEUED, now, due_at_us=microseconds(now), reason=reason)


def renew(connection: Connection, now: datetime, *, worker: str) -> int:
    """Hold every item of a worker for another `LEASE_S`; return how many."""
    until_us = microseconds(now + timedelta(seconds=LEASE_S))
    done = connection.execute(update(items).where(items.c.leased_by == worker).values(leased_until_us=until_us))
    return done.rowcount


def interrupted(connection: Connection, now: datetime, *, gone: str = "") -> list[int]:
    """Return the items that dead workers hold; needs no writer's lock.

    Parameters
    ----------
    gone : str
        Workers whose names begin so are dead, and their leases not waited for; '' for none.
    """
    is_over = items.c.leased_until_us <= microseconds(now)
    if gone:
        is_over |= items.c.leased_by.startswith(gone, autoescape=True)
    wanted = select(items.c.item_id).where(items.c.state == S.SENDING.value, is_over)
    return [int(one) for one in connection.execute(wanted).scalars()]


def release_interrupted(connection: Connection, now: datetime, *, gone: str = "") -> int:
    """Queue again what dead workers left; return how many items."""
    left = interrupted(connection, now, gone=gone)
    for item_id in left:
        _move(connection, item_id, S.QUEUED, now, due_at_us=microseconds(now), reason="interrupted")
    return len(left)


def retry(connection: Connection, item_id: int, now: datetime, *, by: str) -> Item:
    """Make an item due at once, and take back that it was given up.

    Raises
    ------
    foundation.errors.Refused
        If nobody is named, there is none, or it is under way or over.
    """
    _demand_name(by)
    item = required(connection, item_id)
    if item.state not in WAITING | {S.GIVEN_UP}:
        raise Refused("only an item that waits or was given up can be tried again; look at its state")
    connection.execute(update(instances).where(instances.c.item_id == item_id).values(is_given_up=0))
    due_us = microseconds(now)
    if item.state is S.QUEUED:
        connection.execute(update(items).where(items.c.item_id == item_id).values(due_at_us=due_us, decided_by=by))
    else:
        _move(connection, item_id, S.QUEUED, now, due_at_us=due_us, fruitless=0, decided_by=by)
    return required(connection, item_id)


def give_up(connection: Connection, item_id: int, now: datetime, *, by: str) -> Item:
    """End the attempts for what is unsent of an item, because a named person says so; it can be taken back.

    Raises
    ------
    foundation.errors.Refused
        If nobody is named, there is none, or it is not waiting.
    """
    _demand_name(by)
    item = required(connection, item_id)
    if item.state not in WAITING:
        raise Refused("only an item that waits can be given up; look at its state")
    connection.execute(update(instances).where(instances.c.item_id == item_id).values(is_given_up=1))
    _move(connection, item_id, S.GIVEN_UP, now, decided_by=by)
    return required(connection, item_id)


def find(connection: Connection, destination: str, study: StudyId) -> Item | None:
    """Return the item of a study for a destination, if any."""
    row = connection.execute(select(items).where(items.c.destination == destination, _is_study(study))).one_or_none()
    return None if row is None else _item(row)


def required(connection: Connection, item_id: int) -> Item:
    """Return an item.

    Raises
    ------
    foundation.errors.Refused
        If there is none.
    """
    row = connection.execute(select(items).where(items.c.item_id == item_id)).one_or_none()
    if row is None:
        raise Refused("there is no such item; list them with telegarde routes queue")
    return _item(row)


def listed(
    connection: Connection, *, destination: str | None = None, is_all: bool = False, limit: int = LISTED_MAX
) -> list[Item]:
    """Return items in the order in which they go: what is not sent, or all of them."""
    wanted = select(items).order_by(items.c.is_emergency.desc(), items.c.queued_at_us, items.c.item_id).limit(limit)
    if not is_all:
        wanted = wanted.where(items.c.state != S.SENT.value)
    if destination is not None:
        wanted = wanted.where(items.c.destination == destination)
    return [_item(row) for row in connection.execute(wanted)]


def reasons(connection: Connection, item_id: int) -> dict[str, int]:
    """Count the unsent instances of an item by the reason of their last failure; '' are those never tried."""
    rows = connection.execute(
        select(instances.c.reason, func.count()).where(instances.c.item_id == item_id).group_by(instances.c.reason)
    )
    return {reason: int(count) for reason, count in rows}


def counts(connection: Connection) -> dict[tuple[str, ItemState], tuple[int, int]]:
    """Count items, and their unsent instances, by destination and state."""
    rows = connection.execute(
        select(items.c.destination, items.c.state, func.count(), func.sum(items.c.instances - items.c.sent)).group_by(
            items.c.destination, items.c.state
        )
    )
    return {(row[0], ItemState(row[1])): (int(row[2]), int(row[3])) for row in rows}


def purge(connection: Connection, now: datetime) -> int:
    """Forget what was sent and is older than `KEPT`; return how many items."""
    old = (items.c.state == S.SENT.value) & (items.c.changed_at_us < microseconds(now - KEPT))
    return connection.execute(delete(items).where(old)).rowcount


def _insert(
    connection: Connection, destination: str, study: StudyId, now: datetime, *, rule: str, is_emergency: bool
) -> int:
    now_us = microseconds(now)
    done = connection.execute(
        insert(items).values(
            destination=destination, issuer=study.issuer, patient_id=study.patient_id,
            study_instance_uid=study.study_instance_uid, rule=rule, is_emergency=int(is_emergency),
            state=S.QUEUED.value, instances=0, sent=0, attempts=0, fruitless=0, reason="",
            queued_at_us=now_us, due_at_us=now_us, changed_at_us=now_us, seen_event_id=0, decided_by="",
        )
    )  # fmt: skip
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def _insert_instances(connection: Connection, item_id: int, new: Iterable[Instance]) -> int:
    wanted = list(dict.fromkeys(new))
    added = 0
    for chunk in _chunks(wanted):
        known = {
            (row.series_instance_uid, row.sop_instance_uid)
            for row in connection.execute(
                select(instances.c.series_instance_uid, instances.c.sop_instance_uid).where(
                    instances.c.item_id == item_id, _is_one_of(chunk)
                )
            )
        }
        rows = [
            {"item_id": item_id, "series_instance_uid": series, "sop_instance_uid": sop,
             "is_given_up": 0, "tries": 0, "reason": ""}
            for series, sop in chunk
            if (series, sop) not in known
        ]  # fmt: skip
        if rows:
            connection.execute(insert(instances), rows)
        added += len(rows)
    return added


def _move(connection: Connection, item_id: int, state: ItemState, now: datetime, **changes: Any) -> None:
    if state is not S.SENDING:
        changes |= {"leased_by": None, "leased_until_us": None}
    may_come_from = [before.value for before, after in TRANSITIONS.items() if state in after]
    done = connection.execute(
        update(items)
        .where(items.c.item_id == item_id, items.c.state.in_(may_come_from))
        .values(state=state.value, changed_at_us=microseconds(now), **changes)
    )
    assert done.rowcount == 1, "the caller has looked at the state in this transaction"


def _due(destination: str, now: datetime) -> Any:
    return (
        select(items)
        .where(_is_due(now), items.c.destination == destination)
        .order_by(items.c.is_emergency.desc(), items.c.queued_at_us, items.c.item_id)
    )


def _is_due(now: datetime) -> ColumnElement[bool]:
    return items.c.state.in_([state.value for state in sorted(WAITING)]) & (items.c.due_at_us <= microseconds(now))


def _is_study(study: StudyId) -> ColumnElement[bool]:
    return (
        (items.c.study_instance_uid == study.study_instance_uid)
        & (items.c.issuer == study.issuer)
        & (items.c.patient_id == study.patient_id)
    )


def _is_one_of(chunk: Sequence[Instance]) -> ColumnElement[bool]:
    return tuple_(instances.c.series_instance_uid, instances.c.sop_instance_uid).in_(chunk)


def _chunks(those: Sequence[Instance]) -> Iterable[Sequence[Instance]]:
    for start in range(0, len(those), _ROWS_PER_STATEMENT_MAX):
        yield those[start : start + _ROWS_PER_STATEMENT_MAX]


def _holder(connection: Connection, item_id: int) -> str | None:
    holder: str | None = connection.execute(
        select(items.c.leased_by).where(items.c.item_id == item_id)
    ).scalar_one_or_none()
    return holder


def _waits(connection: Connection, item_id: int) -> bool:
    wanted = select(instances.c.item_id).where(instances.c.item_id == item_id, instances.c.is_given_up == 0)
    return connection.execute(wanted.limit(1)).first() is not None


def _has_given_up(connection: Connection, item_id: int) -> bool:
    wanted = select(instances.c.item_id).where(instances.c.item_id == item_id, instances.c.is_given_up == 1)
    return connection.execute(wanted.limit(1)).first() is not None


def _demand_name(by: str) -> None:
    if not by.strip() or len(by) > NAME_CHARACTERS_MAX:
        message = f"--by NAME is wanted, of at most {NAME_CHARACTERS_MAX} characters: who decides stands in the queue"
        raise Refused(message)


def _item(row: Row[Any]) -> Item:
    return Item(
        item_id=row.item_id,
        destination=row.destination,
        study=StudyId(issuer=row.issuer, patient_id=row.patient_id, study_instance_uid=row.study_instance_uid),
        rule=row.rule,
        is_emergency=bool(row.is_emergency),
        state=ItemState(row.state),
        instances=row.instances,
        sent=row.sent,
        attempts=row.attempts,
        fruitless=row.fruitless,
        reason=row.reason,
        queued_at=instant_of_us(row.queued_at_us),
        due_at=instant_of_us(row.due_at_us),
        changed_at=instant_of_us(row.changed_at_us),
        seen_event_id=row.seen_event_id,
        decided_by=row.decided_by,
    )
