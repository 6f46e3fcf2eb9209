"""What an order's message said that an answer to it must say again: numbers with their authorities, and why, by when.

For: rows beside the order, for `teleradiology`, `results_out` and `status_out`. Not for: anything that the order itself
holds (`pacs.worklist.order`).

Invariants: values are as the sender wrote them, unescaped; the authority of a Patient ID is said again only with the
Patient ID that it came with.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from foundation.instants import instant_of_us, microseconds
from pacs.worklist.hl7.context_schema import hl7_order_context
from pacs.worklist.hl7.orders_in import OrderSaid
from pacs.worklist.hl7.reading import Parts, Segment
from pacs.worklist.order import OrderId


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderContext:
    """What is said again.

    Attributes
    ----------
    application, facility : str
        MSH-3.1 and MSH-4.1 of whoever ordered.
    placer, filler : Parts
        ORC-2 and ORC-3.
    patient_id : str
        PID-3.1 that `authority` goes with.
    authority : tuple of str
        PID-3.4 of it: namespace, OID or other universal id, its type.
    account, visit : Parts
        PID-18 and PV1-19.
    patient_class : str
        PV1-2.
    procedure : Parts
        OBR-4.
    is_teleradiology : bool
        It came by the ANS's flow 1, and is answered by flow 3.
    motive : str
        Why it was taken back; clinical text.
    wanted_by : datetime or None
        UTC; until when an answer is wished.
    """

    application: str = ""
    facility: str = ""
    placer: Parts = ()
    filler: Parts = ()
    patient_id: str = ""
    authority: tuple[str, ...] = ()
    account: Parts = ()
    visit: Parts = ()
    patient_class: str = ""
    procedure: Parts = ()
    is_teleradiology: bool = False
    motive: str = ""
    wanted_by: datetime | None = None


def context_of(
    said: OrderSaid, pid: Segment | None, pv1: Segment | None, application: str, facility: str
) -> OrderContext:
    """Return what an order group and its patient's segments say that must be said again."""
    orc, obr = said.group.orc, said.group.obr
    patient_id = "" if said.order is None else said.order.patient.patient_id
    return OrderContext(
        application=application,
        facility=facility,
        placer=orc.value(2) if orc.has(2) or obr is None else obr.value(2),
        filler=orc.value(3) if orc.has(3) else (),
        patient_id=patient_id,
        authority=() if pid is None else _authority(pid, patient_id),
        account=pid.value(18) if pid is not None and pid.has(18) else (),
        visit=pv1.value(19) if pv1 is not None and pv1.has(19) else (),
        patient_class="" if pv1 is None else pv1.text(2),
        procedure=() if obr is None else obr.value(4),
        is_teleradiology=bool(said.procedure),
        wanted_by=said.wanted_by,
    )


# Made once: SQLAlchemy takes longer to make a statement than SQLite to answer it.
_CHANGE: Final = update(hl7_order_context).where(hl7_order_context.c.order_id == bindparam("which"))


def keep_context(connection: Connection, order_id: OrderId, context: OrderContext, now: datetime) -> None:
    """Keep it, instead of what was kept before."""
    body, at_us = _to_json(context), microseconds(now)
    changed = connection.execute(_CHANGE, {"which": order_id, "body": body, "changed_at_us": at_us})
    if changed.rowcount == 0:
        connection.execute(insert(hl7_order_context), {"order_id": order_id, "body": body, "changed_at_us": at_us})


def keep_motive(connection: Connection, order_id: OrderId, motive: str, now: datetime) -> None:
    """Keep why an order was taken back."""
    keep_context(connection, order_id, replace(find_context(connection, order_id), motive=motive), now)


def find_context(connection: Connection, order_id: OrderId) -> OrderContext:
    """Return what was kept of an order; an empty one for an order that no message placed."""
    found = connection.execute(
        select(hl7_order_context.c.body).where(hl7_order_context.c.order_id == order_id)
    ).scalar_one_or_none()
    return OrderContext() if found is None else _of_json(found)


def _authority(pid: Segment, patient_id: str) -> tuple[str, ...]:
    for repetition in range(1, pid.count(3) + 1):
        if pid.text(3, 1, repetition=repetition) == patient_id:
            return tuple(pid.text(3, 4, part, repetition=repetition) for part in (1, 2, 3))
    return ()


def _to_json(context: OrderContext) -> str:
    fields = {name: value for name, value in asdict(context).items() if value}
    if context.wanted_by is not None:
        fields["wanted_by"] = microseconds(context.wanted_by)
    return json.dumps(fields, sort_keys=True, ensure_ascii=False)


def _of_json(text: str) -> OrderContext:
    fields: dict[str, Any] = json.loads(text)
    if "wanted_by" in fields:
        fields["wanted_by"] = instant_of_us(fields["wanted_by"])
    for name in ("placer", "filler", "account", "visit", "procedure", "authority"):
        if name in fields:
            fields[name] = tuple(tuple(one) if isinstance(one, list) else one for one in fields[name])
    return OrderContext(**fields)
