"""Which console was given which version of a protocol: once per version and AE title, in a row and in the outbox.

For: the Modality Worklist SCP. Not for: whether a radiographer has read it; they acknowledge that themselves.

Invariants: a version is told once for each console, however often it asks and whichever worker answers; an answer is
never held back or failed because this could not be written: the next one tells it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from foundation import log, outbox
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.instants import instant_of_us, microseconds
from pacs.contracts import TOPIC_WORKLIST_DELIVERED
from pacs.worklist.order import OrderId
from pacs.worklist.query import Kept
from pacs.worklist.schema import worklist_delivery

REMEMBERED_MAX: Final = 16_384
"""Deliveries that a process remembers to be told, so that asking again costs no look-up."""

_ORDERS_PER_LOOKUP: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An order that a console was given, with the version of its protocol (from 1)."""

    order_id: OrderId
    site_id: str
    protocol_version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """The newest protocol version that a console was given, and when first (UTC)."""

    calling_aet: str
    protocol_version: int
    delivered_at: datetime


class Deliveries:
    """Tells what consoles were given; one object serves all threads.

    Parameters
    ----------
    database : Database
        Where rows and outbox are.
    clock : Clock
        Says when.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._told: Kept[tuple[OrderId, str], int] = Kept(REMEMBERED_MAX)

    def record(self, calling_aet: str, given: Sequence[Given]) -> int:
        """Tell what of `given` is new to this console; return how many orders that were, 0 if it could not be told."""
        new = [one for one in given if (self._told.get((one.order_id, calling_aet)) or 0) < one.protocol_version]
        if not new:
            return 0
        try:
            told = self._record(calling_aet, new)
        except Unavailable:
            log.error("worklist_delivery_not_recorded", calling_aet=calling_aet, count=len(new))
            return 0
        for one in new:
            self._told.put((one.order_id, calling_aet), one.protocol_version)
        return told

    def _record(self, calling_aet: str, given: Sequence[Given]) -> int:
        with self._database.read() as connection:
            known = _known_versions(connection, calling_aet, given)
        if all(known.get(one.order_id, 0) >= one.protocol_version for one in given):
            return 0
        now = self._clock.now()
        with self._database.write(durable=True) as connection:
            # Again: another worker may have told it to the same console meanwhile.
            known = _known_versions(connection, calling_aet, given)
            new = [one for one in given if known.get(one.order_id, 0) < one.protocol_version]
            _write(connection, calling_aet, new, known, now)
        return len(new)


def delivered_to(connection: Connection, order_id: OrderId) -> tuple[Delivered, ...]:
    """Return the consoles that were given a protocol of an order, by AE title."""
    table = worklist_delivery.c
    rows = connection.execute(
        select(table.calling_aet, table.protocol_version, table.delivered_at_us)
        .where(table.order_id == order_id)
        .order_by(table.calling_aet)
    )
    return tuple(
        Delivered(
            calling_aet=row.calling_aet,
            protocol_version=row.protocol_version,
            delivered_at=instant_of_us(row.delivered_at_us),
        )
        for row in rows
    )


def _known_versions(connection: Connection, calling_aet: str, given: Sequence[Given]) -> dict[str, int]:
    known: dict[str, int] = {}
    for start in range(0, len(given), _ORDERS_PER_LOOKUP):
        ids = [one.order_id for one in given[start : start + _ORDERS_PER_LOOKUP]]
        query = select(worklist_delivery.c.order_id, worklist_delivery.c.protocol_version).where(
            worklist_delivery.c.calling_aet == calling_aet, worklist_delivery.c.order_id.in_(ids)
        )
        known.update((row.order_id, row.protocol_version) for row in connection.execute(query))
    return known


def _write(
    connection: Connection, calling_aet: str, given: Sequence[Given], known: Mapping[str, int], now: datetime
) -> None:
    """Write rows and facts, each kind in one statement: a console's first list may bring hundreds."""
    rows = [
        {
            "order_id": one.order_id,
            "calling_aet": calling_aet,
            "protocol_version": one.protocol_version,
            "delivered_at_us": microseconds(now),
        }
        for one in given
    ]
    for row in rows:
        if row["order_id"] in known:
            connection.execute(
                update(worklist_delivery)
                .where(worklist_delivery.c.order_id == row["order_id"], worklist_delivery.c.calling_aet == calling_aet)
                .values(protocol_version=row["protocol_version"], delivered_at_us=row["delivered_at_us"])
            )
    if new := [row for row in rows if row["order_id"] not in known]:
        connection.execute(insert(worklist_delivery), new)
    payloads = [
        {
            "order_id": one.order_id,
            "site_id": one.site_id,
            "protocol_version": one.protocol_version,
            "calling_aet": calling_aet,
        }
        for one in given
    ]
    outbox.append_all(connection, TOPIC_WORKLIST_DELIVERED, payloads, created_at_s=now.timestamp())
