"""Asking the orders as a console does: one hospital's open orders, emergencies first, then by scheduled time.

For: the Modality Worklist SCP, the command line. Not for: the wire. What was made of an order is kept until the order
changes, because consoles ask the same every half minute.

Invariants: nobody is given orders of another hospital; a search that cannot be finished raises, it never ends as if
there were no more orders; what is kept is bounded, and never shown after its order has changed.

References
----------
PS3.4 K.4.1.2, K.4.1.3
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Select, or_, select

from foundation.clock import Clock
from foundation.database import Database
from foundation.instants import microseconds
from pacs.archive.query_values import Item
from pacs.worklist.item import CARRIED_OVER_MAX, shown_start, worklist_item
from pacs.worklist.matching import Narrowing, WorklistPlan
from pacs.worklist.order import Order
from pacs.worklist.order_json import order_from_json
from pacs.worklist.orders import ORDERS_MAX, TooManyOrders
from pacs.worklist.schema import worklist_order

ZoneOf = Callable[[str], tzinfo]
"""From a hospital's id to the time zone of its clocks."""

ITEMS_KEPT_MAX: Final = 8_192
"""Items that a process keeps, some 4 KiB each: every open order of a territory of twenty hospitals, and room."""

ROWS_PER_FETCH: Final = 500
# Between a wall day and the same day in UTC, in any zone of the earth, with room.
_ZONES_APART: Final = timedelta(days=1)

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Kept(Generic[_K, _V]):
    """Values by key, the longest unused given up first; threads may share it."""

    def __init__(self, values_max: int) -> None:
        self._values: OrderedDict[_K, _V] = OrderedDict()
        self._values_max = values_max
        self._lock = Lock()

    def get(self, key: _K) -> _V | None:
        """Return what is kept, or None."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: _K, value: _V) -> None:
        """Keep a value."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._values_max:
                self._values.popitem(last=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An order that matches, and its item; ``revision`` grows with each change of the order."""

    order: Order
    revision: int
    start: datetime
    item: Item

    @property
    def protocol_version(self) -> int:
        """The version of its protocol; 0 without one."""
        return 0 if self.order.protocol is None else self.order.protocol.version


class WorklistQuery:
    """The orders as something to ask; one object serves all threads.

    Parameters
    ----------
    database : Database
        Where the orders are.
    zone_of : callable
        The time zone of a hospital's clocks.
    clock : Clock
        Says what day it is.
    """

    def __init__(self, database: Database, zone_of: ZoneOf, clock: Clock) -> None:
        self._database = database
        self._zone_of = zone_of
        self._clock = clock
        self._items: Kept[tuple[str, tzinfo], Found] = Kept(ITEMS_KEPT_MAX)

    def find(self, site_id: str, plan: WorklistPlan) -> list[Found]:
        """Return the open orders of one hospital that match: emergencies first, then by time.

        Raises
        ------
        foundation.database.DatabaseAway
            If the database does not answer.
        pacs.worklist.orders.TooManyOrders
            If the hospital has more open orders than are looked at.
        """
        now = self._clock.now()
        zone = plan.zone or self._zone_of(site_id)
        items = (self._item(row, zone, now) for row in self._rows(site_id, plan.narrowing, now))
        return [found for found in items if plan.matches(found.item)]

    def _rows(self, site_id: str, narrowing: Narrowing, now: datetime) -> Iterator[Any]:
        read = 0
        with self._database.read() as connection:
            streaming = connection.execution_options(yield_per=ROWS_PER_FETCH)
            with streaming.execute(_statement(site_id, narrowing, now)) as rows:
                for row in rows:
                    read += 1
                    if read > ORDERS_MAX:
                        raise TooManyOrders(
                            f"{site_id} has more than {ORDERS_MAX} open orders; cancel those that nobody will perform",
                            is_retryable=False,
                        )
                    yield row

    def _item(self, row: Any, zone: tzinfo, now: datetime) -> Found:
        known = self._items.get((row.order_id, zone))
        if known is not None and known.revision == row.revision:
            order = known.order
            if shown_start(order, zone=zone, now=now) == known.start:
                return known
        else:
            order = order_from_json(row.body)
        found = Found(
            order=order,
            revision=row.revision,
            start=shown_start(order, zone=zone, now=now),
            item=worklist_item(order, zone=zone, now=now),
        )
        self._items.put((row.order_id, zone), found)
        return found


def _statement(site_id: str, narrowing: Narrowing, now: datetime) -> Select[Any]:
    query = select(worklist_order.c.order_id, worklist_order.c.revision, worklist_order.c.body)
    query = query.where(worklist_order.c.site_id == site_id, worklist_order.c.is_open)
    for column, text in (
        (worklist_order.c.modality, narrowing.modality),
        (worklist_order.c.patient_id, narrowing.patient_id),
        (worklist_order.c.accession_number, narrowing.accession_number),
    ):
        if text:
            query = query.where(column == text)
    scheduled = worklist_order.c.scheduled_at_us
    # An emergency of yesterday is shown as today's: its own day says nothing about the day that is asked for.
    is_carried_over = (worklist_order.c.rank == 0) & (scheduled >= microseconds(now - CARRIED_OVER_MAX))
    if narrowing.first_day is not None:
        query = query.where(or_(is_carried_over, scheduled >= microseconds(_day(narrowing.first_day) - _ZONES_APART)))
    if narrowing.last_day is not None:
        last = _day(narrowing.last_day) + timedelta(days=1) + _ZONES_APART
        query = query.where(or_(is_carried_over, scheduled < microseconds(last)))
    return query.order_by(worklist_order.c.rank, worklist_order.c.scheduled_at_us, worklist_order.c.order_id)


def _day(text: str) -> datetime:
    """Return the begin of a day in UTC; days that the calendar has not (31 February) are the last that it has."""
    year, month, day = max(int(text[:4]), 2), int(text[4:6]), int(text[6:8])
    for last in range(day, 0, -1):
        try:
            return datetime(min(year, 9_990), month, last, tzinfo=UTC)
        except ValueError:
            continue
    raise AssertionError("each month has a first day")
