"""Work items, subscriptions and events as rows; every change of a work item tells its subscribers in the same commit.

For: `pacs.worklist.ups.worklist` and whoever projects tasks. Not for: what is allowed.

Invariants
----------
* A change and its reports are one commit: a report that was sent is true, and no change goes untold.
* A UID that was a work item's is never another's, also when that was removed.
* What somebody holds by a deletion lock is not removed (CC.2.1.3), but for a lock that is older than `LOCK_HELD_FOR`.

Every function takes a connection inside `Database.write(durable=True)`, those that only look of `read` too; `now` is
UTC.

References
----------
PS3.4 CC.2.3.2, CC.2.3.3, CC.2.4.3
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, insert, select, update

from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none
from pacs.archive.query_values import Item, from_json
from pacs.worklist.attribute_list import to_json
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups.events import EventType, Report, reports, state_report
from pacs.worklist.ups.matching import Keys, compile_keys
from pacs.worklist.ups.model import State, Workitem, WorkitemUid
from pacs.worklist.ups.schema import (
    ups_delivered,
    ups_event,
    ups_global_subscription,
    ups_subscriber,
    ups_subscription,
    ups_workitem,
)
from pacs.worklist.ups.subscriptions import TABLE, Happening, Subscription

FINAL_KEPT_FOR: Final = timedelta(days=2)
"""Work items that have ended are kept so long without a lock: who asks in the morning sees the night."""

LOCK_HELD_FOR: Final = timedelta(days=30)
"""A deletion lock on what ended so long ago is given up: its holder has forgotten it (CC.2.3.3)."""

EVENTS_KEPT_FOR: Final = timedelta(hours=24)
"""An event that nobody fetched is given up after a day: the standard asks for no queue at all (CC.2.4.3)."""

REMOVED_AT_ONCE_MAX: Final = 500
"""Work items that one transaction removes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscriber:
    """An AE that is told of events. ``holder`` is '' for a DICOM peer; ``sites`` is None for every hospital."""

    aet: str
    holder: str = ""
    sites: frozenset[str] | None = None

    def sees(self, workitem: Workitem) -> bool:
        """Say whether a work item concerns it."""
        if self.sites is None or (workitem.site_id and workitem.site_id in self.sites):
            return True
        return bool(workitem.creator) and workitem.creator in {self.aet, self.holder}


@dataclass(frozen=True, kw_only=True, slots=True)
class GlobalSubscription:
    """What an AE asked of the whole worklist, or of what matches its keys."""

    subscriber: Subscriber
    well_known_uid: str
    is_locked: bool
    keys: Keys = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A report for one AE, in the order of `event_id`."""

    event_id: int
    aet: str
    workitem_uid: str
    event_type: EventType
    information: Item = field(repr=False)


# Work items


def find(connection: Connection, uid: str) -> Workitem | None:
    """Return a work item that is here."""
    row = connection.execute(select(ups_workitem).where(ups_workitem.c.uid == uid)).one_or_none()
    return None if row is None or row.is_gone else _workitem(row)


def is_gone(connection: Connection, uid: str) -> bool:
    """Say whether there was a work item of this UID."""
    column = ups_workitem.c
    return bool(connection.execute(select(column.is_gone).where(column.uid == uid)).scalar_one_or_none())


def of_owner(connection: Connection, owner: str) -> list[Workitem]:
    """Return the work items that show a case's tasks, the first one first."""
    column = ups_workitem.c
    query = select(ups_workitem).where(column.owner == owner, column.is_gone == 0)
    return [_workitem(row) for row in connection.execute(query.order_by(column.created_at_us, column.uid))]


def every(connection: Connection, where: Iterable[ColumnElement[bool]] = ()) -> Iterator[Workitem]:
    """Yield the work items that are here, the oldest first."""
    column = ups_workitem.c
    query = select(ups_workitem).where(column.is_gone == 0, *where).order_by(column.created_at_us, column.uid)
    for row in connection.execute(query):
        yield _workitem(row)


def record(connection: Connection, before: Workitem | None, after: Workitem, now: datetime) -> None:
    """Keep a work item as it is now, and tell its subscribers what changed; nothing when nothing did."""
    if before is not None and _row_of(before) | {"changed_at_us": 0} == _row_of(after) | {"changed_at_us": 0}:
        return
    if before is None:
        connection.execute(insert(ups_workitem).values(_row_of(after)))
        _subscribe_to_new(connection, after, now)
    else:
        connection.execute(update(ups_workitem).where(ups_workitem.c.uid == after.uid).values(_row_of(after)))
    told = _receivers(connection, after.uid)
    for report in reports(before, after):
        _append(connection, told, after.uid, report, now)


def tell(connection: Connection, workitem: Workitem, report: Report, now: datetime) -> int:
    """Tell the subscribers of a work item of something; return how many there are."""
    receivers = _receivers(connection, workitem.uid)
    _append(connection, receivers, workitem.uid, report, now)
    return len(receivers)


def tell_everybody(connection: Connection, report: Report, uid: str, now: datetime) -> int:
    """Tell every AE that is subscribed to anything; return how many there are."""
    by_name = select(ups_subscription.c.aet).union(select(ups_global_subscription.c.aet))
    receivers = sorted(connection.execute(by_name).scalars())
    _append(connection, receivers, uid, report, now)
    return len(receivers)


def purge(connection: Connection, now: datetime) -> int:
    """Remove what ended long ago and nobody holds, and old events; return how many work items that was."""
    connection.execute(delete(ups_event).where(ups_event.c.created_at_us < microseconds(now - EVENTS_KEPT_FOR)))
    column, held = ups_workitem.c, ups_subscription.c
    is_locked = exists().where(held.workitem_uid == column.uid, held.is_locked == 1)
    query = select(column.uid).where(
        column.is_gone == 0,
        column.final_at_us < microseconds(now - FINAL_KEPT_FOR),
        ~is_locked | (column.final_at_us < microseconds(now - LOCK_HELD_FOR)),
    )
    uids = list(connection.execute(query.limit(REMOVED_AT_ONCE_MAX)).scalars())
    if uids:
        # A tombstone says nothing of anybody.
        emptied = {"is_gone": 1, "attributes": "{}", "transaction_uid": "", "worklist_label": ""}
        connection.execute(update(ups_workitem).where(column.uid.in_(uids)).values(emptied))
        connection.execute(delete(ups_subscription).where(held.workitem_uid.in_(uids)))
    return len(uids)


def _workitem(row: Row[Any]) -> Workitem:
    return Workitem(
        uid=WorkitemUid(row.uid),
        state=State(row.state),
        attributes=from_json(json.loads(row.attributes)),
        transaction_uid=row.transaction_uid,
        site_id=row.site_id,
        creator=row.creator,
        owner=row.owner,
        created_at=instant_of_us(row.created_at_us),
        changed_at=instant_of_us(row.changed_at_us),
        final_at=instant_of_us_or_none(row.final_at_us),
    )


def _row_of(workitem: Workitem) -> dict[str, Any]:
    return {
        "uid": workitem.uid,
        "state": workitem.state.value,
        "transaction_uid": workitem.transaction_uid,
        "site_id": workitem.site_id,
        "creator": workitem.creator,
        "owner": workitem.owner,
        "worklist_label": tag.text_of(workitem.attributes, tag.WORKLIST_LABEL).replace("\0", "")[:64],
        "attributes": _json(workitem.attributes),
        "created_at_us": microseconds(workitem.created_at),
        "changed_at_us": microseconds(workitem.changed_at),
        "final_at_us": microseconds_or_none(workitem.final_at),
        "is_gone": 0,
    }


def _json(item: Item) -> str:
    return json.dumps(to_json(item), ensure_ascii=False, separators=(",", ":"))


# Subscriptions


def subscriber(connection: Connection, aet: str) -> Subscriber | None:
    """Return who subscribes under an AE title."""
    row = connection.execute(select(ups_subscriber).where(ups_subscriber.c.aet == aet)).one_or_none()
    return None if row is None else _subscriber(row)


def keep_subscriber(connection: Connection, one: Subscriber) -> None:
    """Keep who subscribes under an AE title, and what concerns them now."""
    sites = None if one.sites is None else json.dumps(sorted(one.sites))
    values = {"holder": one.holder, "sites": sites}
    changed = connection.execute(update(ups_subscriber).where(ups_subscriber.c.aet == one.aet).values(values))
    if changed.rowcount == 0:
        connection.execute(insert(ups_subscriber).values(aet=one.aet, **values))


def subscription(connection: Connection, uid: str, aet: str) -> Subscription:
    """Return what an AE is to a work item."""
    column = ups_subscription.c
    found = connection.execute(select(column.is_locked).where(column.workitem_uid == uid, column.aet == aet)).scalar()
    return Subscription.NONE if found is None else Subscription.LOCKED if found else Subscription.UNLOCKED


def apply(connection: Connection, happening: Happening, one: Subscriber, workitem: Workitem, now: datetime) -> None:
    """Do what the table says of one AE and one work item, with the initial report if there is one."""
    was = subscription(connection, workitem.uid, one.aet)
    move = TABLE[happening][was]
    if move.to is not was:
        _keep_subscription(connection, workitem.uid, one.aet, move.to)
    if move.is_reported:
        _append(connection, [one.aet], workitem.uid, state_report(workitem), now)


def global_subscriptions(connection: Connection) -> list[GlobalSubscription]:
    """Return what is asked of the whole worklist."""
    column = ups_global_subscription.c
    query = (
        select(ups_global_subscription, ups_subscriber.c.holder, ups_subscriber.c.sites)
        .join(ups_subscriber, ups_subscriber.c.aet == column.aet)
        .order_by(column.aet, column.well_known_uid)
    )
    return [
        GlobalSubscription(
            subscriber=_subscriber(row),
            well_known_uid=row.well_known_uid,
            is_locked=bool(row.is_locked),
            keys=compile_keys(from_json(json.loads(row.filter))),
        )
        for row in connection.execute(query)
    ]


def keep_global(connection: Connection, aet: str, well_known_uid: str, *, is_locked: bool, keys: Item) -> None:
    """Keep what an AE asks of the whole worklist; it replaces what it asked before."""
    drop_global(connection, aet, well_known_uid)
    connection.execute(
        insert(ups_global_subscription).values(
            aet=aet, well_known_uid=well_known_uid, is_locked=int(is_locked), filter=_json(keys)
        )
    )


def drop_global(connection: Connection, aet: str, well_known_uid: str) -> bool:
    """Forget what an AE asks of the whole worklist; say whether it asked anything."""
    column = ups_global_subscription.c
    done = connection.execute(
        delete(ups_global_subscription).where(column.aet == aet, column.well_known_uid == well_known_uid)
    )
    return bool(done.rowcount)


def drop_every(connection: Connection, aet: str) -> bool:
    """End the subscription of an AE to every work item, locks included; say whether there was one."""
    return bool(connection.execute(delete(ups_subscription).where(ups_subscription.c.aet == aet)).rowcount)


def _subscribe_to_new(connection: Connection, workitem: Workitem, now: datetime) -> None:
    """Subscribe whoever asked for the whole worklist; `reports` tells them of the new work item afterwards."""
    dataset = workitem.dataset()
    for asked in global_subscriptions(connection):
        if asked.subscriber.sees(workitem) and asked.keys.matches(dataset):
            happening = Happening.CREATED_LOCKED if asked.is_locked else Happening.CREATED_UNLOCKED
            move = TABLE[happening][subscription(connection, workitem.uid, asked.subscriber.aet)]
            _keep_subscription(connection, workitem.uid, asked.subscriber.aet, move.to)


def _keep_subscription(connection: Connection, uid: str, aet: str, to: Subscription) -> None:
    column = ups_subscription.c
    connection.execute(delete(ups_subscription).where(column.workitem_uid == uid, column.aet == aet))
    if to.is_told:
        is_locked = int(to is Subscription.LOCKED)
        connection.execute(insert(ups_subscription).values(workitem_uid=uid, aet=aet, is_locked=is_locked))


def _subscriber(row: Row[Any]) -> Subscriber:
    sites = None if row.sites is None else frozenset(json.loads(row.sites))
    return Subscriber(aet=row.aet, holder=row.holder, sites=sites)


def _receivers(connection: Connection, uid: str) -> list[str]:
    column = ups_subscription.c
    return list(connection.execute(select(column.aet).where(column.workitem_uid == uid).order_by(column.aet)).scalars())


# Events


def _append(connection: Connection, receivers: Sequence[str], uid: str, report: Report, now: datetime) -> None:
    if receivers:
        common = {
            "workitem_uid": uid,
            "event_type": int(report.event_type),
            "information": _json(report.information),
            "created_at_us": microseconds(now),
        }
        connection.execute(insert(ups_event), [{"aet": aet, **common} for aet in receivers])


def events_after(connection: Connection, aets: Iterable[str], event_id: int, *, limit: int) -> list[Event]:
    """Return the events of some AEs after one, oldest first."""
    column = ups_event.c
    query = select(ups_event).where(column.aet.in_(sorted(set(aets))), column.event_id > event_id)
    return [
        Event(
            event_id=row.event_id,
            aet=row.aet,
            workitem_uid=row.workitem_uid,
            event_type=EventType(row.event_type),
            information=from_json(json.loads(row.information)),
        )
        for row in connection.execute(query.order_by(column.event_id).limit(limit))
    ]


def newest_event(connection: Connection) -> int:
    """Return the id of the newest event, whoever is told of it; 0 when there is none."""
    found = connection.execute(select(func.max(ups_event.c.event_id))).scalar()
    return 0 if found is None else int(found)


def waiting(connection: Connection, way: str) -> frozenset[str]:
    """Return the AEs for whom there are events that did not go to them one way."""
    column = ups_event.c
    newest = select(column.aet, func.max(column.event_id).label("newest")).group_by(column.aet).subquery()
    came = select(ups_delivered.c.aet, ups_delivered.c.event_id).where(ups_delivered.c.way == way).subquery()
    query = (
        select(newest.c.aet)
        .outerjoin(came, came.c.aet == newest.c.aet)
        .where(newest.c.newest > func.coalesce(came.c.event_id, 0))
    )
    return frozenset(connection.execute(query).scalars())


def delivered(connection: Connection, way: str, aet: str) -> int:
    """Return the last event that went to an AE one way; 0 when none did."""
    column = ups_delivered.c
    found = connection.execute(select(column.event_id).where(column.way == way, column.aet == aet)).scalar()
    return 0 if found is None else int(found)


def note_delivered(connection: Connection, way: str, aet: str, event_id: int) -> None:
    """Note that everything up to an event went to an AE one way."""
    _note(connection, way, aet, event_id=event_id, failures=0, next_at_us=0)


def note_failed(connection: Connection, way: str, aet: str, *, failures: int, next_at: datetime) -> None:
    """Note that the next event could not be delivered, and when it is tried again."""
    _note(connection, way, aet, failures=failures, next_at_us=microseconds(next_at))


def failures(connection: Connection, way: str, aet: str) -> tuple[int, datetime]:
    """Return how often in a row the next event failed, and from when on it is tried again."""
    column = ups_delivered.c
    query = select(column.failures, column.next_at_us).where(column.way == way, column.aet == aet)
    row = connection.execute(query).one_or_none()
    return (0, instant_of_us(0)) if row is None else (row.failures, instant_of_us(row.next_at_us))


def _note(connection: Connection, way: str, aet: str, **values: int) -> None:
    column = ups_delivered.c
    changed = connection.execute(update(ups_delivered).where(column.way == way, column.aet == aet).values(**values))
    if changed.rowcount == 0:
        connection.execute(insert(ups_delivered).values(**{"way": way, "aet": aet, "event_id": 0, **values}))
