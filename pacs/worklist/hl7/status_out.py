"""Orders and their status as ORM^O01: what is asked of a hospital's own system, and how far it is.

For: requests of the form that the hospital's RIS should know (``NW``, ``CA``), and the status of an order (``SC``). Not
for: answers to requests (`teleradiology`), or results.

References
----------
HL7 2.5.1 4.4.1 (ORM), tables 0038 and 0119; IHE RAD TF-2 4.3
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pacs.worklist.hl7.order_context import OrderContext
from pacs.worklist.hl7.segments_out import exam_of, filler_of, pid, placer_of, requester_of
from pacs.worklist.hl7.writing import Field, Header, message, segment, stamp
from pacs.worklist.order import Order, OrderPriority

MESSAGE_TYPE: Final = ("ORM", "O01", "ORM_O01")
STATUS_SCHEME: Final = "TELEGARDE_STATUS"
"""Coding system of ORC-16 in a change of status: names of events, as docs/hl7.md lists them."""

NEW: Final = "NW"
CHANGED: Final = "XO"
TAKEN_BACK: Final = "CA"

_SCHEDULED: Final = "SC"
_PRIORITIES: Final = {
    OrderPriority.STAT: "S",
    OrderPriority.HIGH: "A",
    OrderPriority.ROUTINE: "R",
    OrderPriority.MEDIUM: "R",
    OrderPriority.LOW: "R",
}


class OrderStatus(StrEnum):
    """ORC-5 (table 0038)."""

    IN_PROGRESS = "IP"
    SOME_RESULTS = "A"
    COMPLETED = "CM"
    CANCELLED = "CA"
    DISCONTINUED = "DC"


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusNews:
    """What an order has come to, and the event's name that says why."""

    status: OrderStatus
    event: str


def order_message(header: Header, order: Order, context: OrderContext, *, control: str) -> bytes:
    """Return an order for the hospital's RIS: `NEW`, `CHANGED` or `TAKEN_BACK`."""
    orc = {1: control, 5: OrderStatus.CANCELLED.value if control == TAKEN_BACK else _SCHEDULED}
    return _message(header, order, context, orc)


def status_message(header: Header, order: Order, context: OrderContext, news: StatusNews) -> bytes:
    """Return what an order has come to."""
    return _message(header, order, context, {1: "SC", 5: news.status.value, 16: (news.event, "", STATUS_SCHEME)})


def _message(header: Header, order: Order, context: OrderContext, said: Mapping[int, Field]) -> bytes:
    placer, filler = placer_of(order, context), filler_of(order, context)
    timing = ("", "", "", stamp(order.scheduled_at, header.zone), "", _PRIORITIES[order.priority])
    who = requester_of(order)
    orc: dict[int, Field] = {2: placer, 3: filler, 7: timing, 9: stamp(header.sent_at, header.zone), 12: who, **said}
    obr: dict[int, Field] = {
        1: "1",
        2: placer,
        3: filler,
        4: exam_of(order, context),
        13: order.reason,
        16: who,
        18: order.accession_number,
        24: order.modality,
        27: timing,
        31: ("", order.clinical_question) if order.clinical_question else "",
    }
    patient_class = segment("PV1", {2: context.patient_class or "E", 19: context.visit})
    # IHE's way to say the Study Instance UID before IPC was there; who does not know it leaves it out.
    zds = segment("ZDS", {1: (order.study_instance_uid, "", "Application", "DICOM")})
    return message(
        header,
        (pid(order.patient, context), patient_class, segment("ORC", orc), segment("OBR", obr), zds),
    )
