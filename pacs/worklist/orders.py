"""Orders as they are kept: placed, changed, cancelled, followed through the exam, and found again.

For: HL7 messages, the request form, MPPS and protocols, which change orders here and nowhere else. Not for: what a
console asks (`pacs.worklist.query`), or which case an order opens (`oncall`, from the topic ``order/1``).

Invariants
----------
* The same order said twice is one order, and the second time changes nothing.
* An order never moves to another patient: whoever says so is refused, nothing is changed.
* What was done at the scanner wins over what was said about it: a cancelled order whose exam runs is in progress.
* Every change that others must hear of is in the outbox in the same transaction.
* An accession number and a Study Instance UID, once given out, stay.

Every function takes a connection inside `Database.write(durable=True)` (those that only look, of `read` too); `now` is
UTC.

References
----------
PS3.4 K; IHE RAD TF-2 4.2 and 4.3 (Placer and Filler Order Management); PS3.5 B.2 (UIDs from UUIDs)
"""

import base64
import dataclasses
import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, bindparam, insert, select, update

from foundation import outbox
from foundation.errors import Refused, Unavailable
from foundation.instants import microseconds
from pacs.archive.person_name import person_name_key
from pacs.contracts import TOPIC_ORDER
from pacs.worklist.order import Order, OrderId, OrderPatient, OrderState, ScheduledProtocol
from pacs.worklist.order_json import order_from_json, order_to_json
from pacs.worklist.schema import worklist_order

ORDERS_MAX: Final = 10_000
"""Orders that are read at once: a month of a large hospital; more are an error of whoever places them."""

STEP_ID_CHARACTERS: Final = 16
"""Of a Scheduled Procedure Step ID, as many as SH has (PS3.5 6.2): 64 bits of the order's id in hexadecimal."""

FOLLOWS: Final[Mapping[OrderState, frozenset[OrderState]]] = MappingProxyType(
    {
        OrderState.SCHEDULED: frozenset(
            {OrderState.IN_PROGRESS, OrderState.COMPLETED, OrderState.DISCONTINUED, OrderState.CANCELLED}
        ),
        # Who wants to cancel what runs must tell the radiographer: they discontinue it.
        OrderState.IN_PROGRESS: frozenset({OrderState.COMPLETED, OrderState.DISCONTINUED}),
        # A further step of the same order: a series repeated, a patient brought back.
        OrderState.COMPLETED: frozenset({OrderState.IN_PROGRESS}),
        OrderState.DISCONTINUED: frozenset({OrderState.IN_PROGRESS, OrderState.COMPLETED}),
        # The cancellation crossed the exam; or the request is taken up again.
        OrderState.CANCELLED: frozenset(
            {OrderState.SCHEDULED, OrderState.IN_PROGRESS, OrderState.COMPLETED, OrderState.DISCONTINUED}
        ),
    }
)
"""Which state may follow which; the same again is no change."""

LISTED_MAX: Final = timedelta(days=7)
"""How long after its scheduled start an order that nobody performed, or that no MPPS ended, stays on the worklist."""

OPEN_STATES: Final = frozenset({OrderState.SCHEDULED, OrderState.IN_PROGRESS})
"""States in which an order is on the worklist."""

_ACCESSION_PREFIX: Final = "TG"
# Of 16 that SH allows (PS3.5 6.2): 70 bits of the order's id, in letters and digits that nobody confuses.
_ACCESSION_CHARACTERS: Final = 14
_SOURCE_CHARACTERS_MAX: Final = 64
# Values that consoles, images and messages carry back: what breaks their VR would never be found again (PS3.5 6.2).
_CHARACTERS_MAX: Final = MappingProxyType(
    {"accession_number": 16, "study_instance_uid": 64, "modality": 16, "station_aet": 16, "site_id": 64}
)
_PATIENT_CHARACTERS_MAX: Final = MappingProxyType({"patient_id": 64, "issuer": 64})
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
# Made once: SQLAlchemy takes longer to make a statement than SQLite to answer it.
_BODY: Final = select(worklist_order.c.body).where(worklist_order.c.order_id == bindparam("order_id"))
_OF_PATIENT: Final = (
    select(worklist_order.c.body)
    .where(worklist_order.c.issuer == bindparam("issuer"), worklist_order.c.patient_id == bindparam("patient_id"))
    .order_by(worklist_order.c.placed_at_us, worklist_order.c.order_id)
    .limit(ORDERS_MAX + 1)
)
_UID_NAMESPACE: Final = uuid.UUID("6f1a0a4e-7e0c-5d36-9a43-0b2f4f6c2f11")


class OrderChange(StrEnum):
    """What a call did to an order; the first three are the ``change`` of the topic ``order/1``."""

    PLACED = "placed"
    UPDATED = "updated"
    CANCELLED = "cancelled"
    UNCHANGED = "unchanged"


class OrderRefused(Refused):
    """An order cannot be taken or changed as asked; nothing was changed."""


class PatientDiffers(OrderRefused):
    """The order is known for another patient; a human must say which is right."""


class OrderClosed(OrderRefused):
    """The order was cancelled or done, so it cannot be changed; a new one needs a new placer order number."""


class OrderInvalid(OrderRefused):
    """The order says something that no console could be given, e.g. an accession number of 20 characters."""


class OrderUnknown(OrderRefused):
    """There is no such order."""


class StateCannotFollow(OrderRefused):
    """An order in its state cannot enter the one that was asked for."""


class TooManyOrders(Unavailable):
    """More orders than are read at once: what is here would be a part that looks like the whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """An order as it is now kept, and what the call changed."""

    order: Order
    change: OrderChange


def place(connection: Connection, order: Order, now: datetime, *, source_message: str = "") -> Placed:
    """Keep an order, or what is new about one that is known.

    An accession number and a Study Instance UID are made when the order names none. State and protocol of a known order
    stay as they are: `set_state` and `set_protocol` change them.

    Parameters
    ----------
    source_message : str
        Where it came from, e.g. the control id of a message: at most 64 characters, no patient data.

    Raises
    ------
    OrderInvalid
        If a number or code of it cannot be a DICOM value.
    PatientDiffers
        If the order is known under another Patient ID or issuer, or neither name nor date of birth agree.
    OrderClosed
        If it is known, cancelled or done, and says something new.
    """
    _check(order)
    row = _row(connection, order.order_id)
    if row is None:
        new = dataclasses.replace(
            order,
            accession_number=order.accession_number or made_accession_number(order.order_id),
            study_instance_uid=order.study_instance_uid or made_study_instance_uid(order.order_id),
        )
        connection.execute(
            insert(worklist_order),
            {
                **_columns(new),
                "revision": 1,
                "source_message": source_message[:_SOURCE_CHARACTERS_MAX],
                "placed_at_us": microseconds(now),
                "changed_at_us": microseconds(now),
            },
        )
        _tell(connection, new, OrderChange.PLACED.value, now)
        return Placed(order=new, change=OrderChange.PLACED)
    known = order_from_json(row.body)
    if not is_same_patient(known.patient, order.patient):
        raise PatientDiffers(
            "this order is known for another patient; ask the hospital which is right, and place the other one under"
            " a placer order number of its own"
        )
    new = dataclasses.replace(
        order,
        accession_number=order.accession_number or known.accession_number,
        study_instance_uid=order.study_instance_uid or known.study_instance_uid,
        protocol=known.protocol,
        state=known.state,
    )
    if new == known:
        return Placed(order=known, change=OrderChange.UNCHANGED)
    if known.state not in OPEN_STATES:
        raise OrderClosed(
            f"this order is {known.state.value.lower()} and cannot be changed; place a new one under a new number"
        )
    return _changed(connection, new, now, source_message=source_message)


def cancel(connection: Connection, order_id: OrderId, now: datetime, *, source_message: str = "") -> Placed:
    """Take an order back; one that is cancelled already stays so.

    Raises
    ------
    OrderUnknown, StateCannotFollow
        If there is none, or its exam runs or is done.
    """
    known = _known(connection, order_id)
    new = _in_state(known, OrderState.CANCELLED)
    if new is known:
        return Placed(order=known, change=OrderChange.UNCHANGED)
    _write(connection, new, now, source_message=source_message)
    _tell(connection, new, OrderChange.CANCELLED.value, now)
    return Placed(order=new, change=OrderChange.CANCELLED)


def set_state(connection: Connection, order_id: OrderId, state: OrderState, now: datetime) -> Order:
    """Follow the exam; the same state again changes nothing. Nothing is told: ``performed_step/1`` has said it.

    Raises
    ------
    OrderUnknown, StateCannotFollow
        If there is none, or the table `FOLLOWS` does not allow it.
    """
    known = _known(connection, order_id)
    new = _in_state(known, state)
    if new is not known:
        _write(connection, new, now)
    return new


def set_protocol(connection: Connection, order_id: OrderId, protocol: ScheduledProtocol, now: datetime) -> Order:
    """Put the protocol on the worklist that the console is to follow; an older or the same version changes nothing.

    Raises
    ------
    OrderUnknown
        If there is none.
    """
    known = _known(connection, order_id)
    if known.protocol is not None and known.protocol.version >= protocol.version:
        return known
    new = dataclasses.replace(known, protocol=protocol)
    _write(connection, new, now)
    return new


def change_patient(connection: Connection, order_id: OrderId, patient: OrderPatient, now: datetime) -> Placed:
    """Say on an order who its patient is now: after an identity was corrected or merged, never by an order message.

    Raises
    ------
    OrderUnknown, OrderInvalid
        If there is none, or a number of the patient's cannot be a DICOM value.
    """
    known = _known(connection, order_id)
    if known.patient == patient:
        return Placed(order=known, change=OrderChange.UNCHANGED)
    new = dataclasses.replace(known, patient=patient)
    _check(new)
    return _changed(connection, new, now)


def tell_performed(
    connection: Connection, order_id: OrderId, now: datetime, *, expected_instances: int | None = None
) -> Order:
    """State that the hospital says the exam is done (ANS flux 4): ``order/1`` with the change ``performed``.

    The state stays: MPPS says it. A number of instances that the hospital names is kept on the order.

    Raises
    ------
    OrderUnknown
        If there is none.
    """
    new = _known(connection, order_id)
    if expected_instances is not None and expected_instances != new.expected_instances:
        new = dataclasses.replace(new, expected_instances=expected_instances)
        _write(connection, new, now)
    _tell(connection, new, "performed", now)
    return new


def leave_worklist(connection: Connection, now: datetime) -> int:
    """Take orders off the worklist whose start is longer ago than `LISTED_MAX`; return how many.

    Not every console says by MPPS what it did. The state stays, because nobody has said another; whatever changes the
    order later puts it back.
    """
    left = connection.execute(
        update(worklist_order)
        .where(worklist_order.c.is_open, worklist_order.c.scheduled_at_us < microseconds(now - LISTED_MAX))
        .values(is_open=False)
    )
    return left.rowcount


def find(connection: Connection, order_id: OrderId) -> Order | None:
    """Return an order, or None."""
    row = _row(connection, order_id)
    return None if row is None else order_from_json(row.body)


def find_by_accession(connection: Connection, issuer: str, accession_number: str) -> tuple[Order, ...]:
    """Return the orders of one hospital's accession number, the first placed first; several may share it.

    ``issuer`` is the issuer of the hospital's Patient IDs. An empty accession number finds nothing.
    """
    if not accession_number:
        return ()
    return _select(
        connection,
        worklist_order.c.accession_number == accession_number,
        worklist_order.c.issuer == issuer,
    )


def find_by_study(connection: Connection, study_instance_uid: str) -> tuple[Order, ...]:
    """Return the orders whose images carry this Study Instance UID, the first placed first; several may share it."""
    if not study_instance_uid:
        return ()
    return _select(connection, worklist_order.c.study_instance_uid == study_instance_uid)


def find_by_step(connection: Connection, site_id: str, step_id: str) -> Order | None:
    """Return the order of one hospital whose Scheduled Procedure Step ID (0040,0009) this is, or None."""
    prefix = step_id.strip().lower()
    if len(prefix) != STEP_ID_CHARACTERS or not prefix.isalnum():
        return None
    found = _select(
        connection,
        worklist_order.c.order_id >= prefix,
        # The ids are hexadecimal: "g" comes after every one that begins so.
        worklist_order.c.order_id < f"{prefix}g",
        worklist_order.c.site_id == site_id,
    )
    return found[0] if len(found) == 1 else None


def of_patient(connection: Connection, issuer: str, patient_id: str) -> tuple[Order, ...]:
    """Return every order of one hospital's patient, the first placed first."""
    return _orders(connection.execute(_OF_PATIENT, {"issuer": issuer, "patient_id": patient_id}).all())


def open_of_site(connection: Connection, site_id: str) -> tuple[Order, ...]:
    """Return what is to be done or runs at a hospital: emergencies first, then by scheduled time."""
    open_here = (worklist_order.c.site_id == site_id, worklist_order.c.is_open)
    return _select(connection, *open_here, order_by=(worklist_order.c.rank, worklist_order.c.scheduled_at_us))


def open_everywhere(connection: Connection) -> tuple[Order, ...]:
    """Return what is to be done or runs at all hospitals, hospital by hospital, each in the order of its worklist."""
    by_site = (worklist_order.c.site_id, worklist_order.c.rank, worklist_order.c.scheduled_at_us)
    return _select(connection, worklist_order.c.is_open, order_by=by_site)


def meant_by(connection: Connection, text: str) -> tuple[Order, ...]:
    """Return the orders of any hospital that somebody means by an id, an accession number or a step's ID."""
    wanted = text.strip()
    if not wanted:
        return ()
    ids = worklist_order.c.order_id
    is_named = (ids == wanted.lower()) | (worklist_order.c.accession_number == wanted)
    if len(wanted) == STEP_ID_CHARACTERS:
        is_named |= (ids >= wanted.lower()) & (ids < f"{wanted.lower()}g")
    return _select(connection, is_named)


def is_same_patient(known: OrderPatient, said: OrderPatient) -> bool:
    """Say whether two descriptions can be of one patient: the same ID of the same issuer, not contradicted by all else.

    A corrected name, or a corrected date of birth, is the same patient; when both differ, somebody took the ID of
    another one.
    """
    if (known.patient_id, known.issuer) != (said.patient_id, said.issuer):
        return False
    has_other_birth_date = bool(known.birth_date and said.birth_date) and known.birth_date != said.birth_date
    has_other_name = bool(known.name and said.name) and person_name_key(known.name) != person_name_key(said.name)
    return not (has_other_birth_date and has_other_name)


def made_accession_number(order_id: OrderId) -> str:
    """Return the accession number of an order for which the hospital gave none: always the same for the same order."""
    digest = hashlib.sha256(f"accession {order_id}".encode()).digest()
    return _ACCESSION_PREFIX + base64.b32encode(digest).decode("ascii")[:_ACCESSION_CHARACTERS]


def scheduled_step_id(order_id: OrderId) -> str:
    """Return the Scheduled Procedure Step ID (0040,0009) of an order, by which `find_by_step` finds it again."""
    return order_id[:STEP_ID_CHARACTERS].upper()


def made_study_instance_uid(order_id: OrderId) -> str:
    """Return the Study Instance UID of an order for which the hospital gave none (PS3.5 B.2): always the same."""
    return f"2.25.{uuid.uuid5(_UID_NAMESPACE, order_id).int}"


def _in_state(order: Order, state: OrderState) -> Order:
    if state is order.state:
        return order
    if state not in FOLLOWS[order.state]:
        raise StateCannotFollow(
            f"an order that is {order.state.value.lower()} cannot become {state.value.lower()}: what was done stays"
        )
    return dataclasses.replace(order, state=state)


def _changed(connection: Connection, order: Order, now: datetime, *, source_message: str = "") -> Placed:
    _write(connection, order, now, source_message=source_message)
    _tell(connection, order, OrderChange.UPDATED.value, now)
    return Placed(order=order, change=OrderChange.UPDATED)


def _known(connection: Connection, order_id: OrderId) -> Order:
    found = find(connection, order_id)
    if found is None:
        raise OrderUnknown("there is no such order; place it first")
    return found


def _row(connection: Connection, order_id: OrderId) -> Any:
    return connection.execute(_BODY, {"order_id": order_id}).one_or_none()


def _select(
    connection: Connection, *conditions: ColumnElement[bool], order_by: Sequence[ColumnElement[Any]] = ()
) -> tuple[Order, ...]:
    query = select(worklist_order.c.body).where(*conditions)
    query = query.order_by(*(order_by or (worklist_order.c.placed_at_us,)), worklist_order.c.order_id)
    return _orders(connection.execute(query.limit(ORDERS_MAX + 1)).all())


def _orders(rows: Sequence[Any]) -> tuple[Order, ...]:
    if len(rows) > ORDERS_MAX:
        raise TooManyOrders(
            f"more than {ORDERS_MAX} orders at once; cancel those that nobody will perform", is_retryable=False
        )
    return tuple(order_from_json(row.body) for row in rows)


def _check(order: Order) -> None:
    fields = [(name, getattr(order, name), most) for name, most in _CHARACTERS_MAX.items()]
    fields += [(name, getattr(order.patient, name), most) for name, most in _PATIENT_CHARACTERS_MAX.items()]
    for name, text, most in fields:
        if len(text) > most or "\\" in text or not text.isprintable():
            raise OrderInvalid(f"{name.replace('_', ' ')} has at most {most} printable characters, no backslash")
    if not order.patient.patient_id or not order.site_id or not order.modality:
        raise OrderInvalid("an order names its site, its modality and its patient's ID")
    if order.study_instance_uid and _UID.fullmatch(order.study_instance_uid) is None:
        raise OrderInvalid("the Study Instance UID is no UID: numbers with dots between them")


def _columns(order: Order) -> dict[str, object]:
    return {
        "order_id": order.order_id,
        "site_id": order.site_id,
        "is_open": order.state in OPEN_STATES,
        "state": order.state.value,
        "rank": 0 if order.is_emergency else 1,
        "scheduled_at_us": microseconds(order.scheduled_at),
        "modality": order.modality,
        "station_aet": order.station_aet,
        "issuer": order.patient.issuer,
        "patient_id": order.patient.patient_id,
        "accession_number": order.accession_number,
        "study_instance_uid": order.study_instance_uid,
        "body": order_to_json(order),
    }


def _write(connection: Connection, order: Order, now: datetime, *, source_message: str = "") -> None:
    said = {"source_message": source_message[:_SOURCE_CHARACTERS_MAX]} if source_message else {}
    connection.execute(
        update(worklist_order)
        .where(worklist_order.c.order_id == order.order_id)
        .values(**_columns(order), **said, revision=worklist_order.c.revision + 1, changed_at_us=microseconds(now))
    )


def _tell(connection: Connection, order: Order, change: str, now: datetime) -> None:
    payload = {"order_id": order.order_id, "site_id": order.site_id, "change": change}
    outbox.append(connection, TOPIC_ORDER, payload, created_at_s=now.timestamp())
