"""What a hospital adds after the exam (ANS flow 4, OMI^O23 with ORC-1 ``SR``): which study, with what, seen where.

For: `Complement` of an ORDER group, kept in a row for the report and the case. Not for: whether the images are here
(the archive says that), or the state of the order (MPPS does).

References
----------
ANS volet Téléradiologie, HEAD e13d37a, flux 4; HL7 2.5.1 4.5.6 (IPC)
"""

import base64
import binascii
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, insert, select

from foundation.instants import instant_of_us, microseconds
from pacs.worklist.hl7.codes import TlrObservation
from pacs.worklist.hl7.context_schema import hl7_complement
from pacs.worklist.hl7.observations import Observations, read_observations
from pacs.worklist.hl7.reading import OrderGroup, first, instant_of
from pacs.worklist.order import OrderId

PRODUCTS_MAX: Final = 20
URL_CHARACTERS_MAX: Final = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """A product that was given: ATC code, lot, and how much of it."""

    code: str
    lot: str = ""
    quantity: str = ""
    unit: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Complement:
    """What is added of one study of an order; empty texts are not said. ``viewer_url`` is a partial one (DRIMbox)."""

    order_id: OrderId
    study_instance_uid: str
    accession_number: str = ""
    performed_at: datetime | None = None
    retention_days: int | None = None
    procedure_code: str = ""
    viewer_url: str = ""
    modality: str = ""
    products: tuple[Product, ...] = ()
    device_id: str = ""
    device_model: str = ""
    expected_instances: int | None = None


def read_complement(group: OrderGroup, order_id: OrderId, zone: ZoneInfo, near: datetime) -> Complement:
    """Return what a flow 4 group adds; what it does not say stays empty."""
    seen = read_observations(group)
    ipc, tq1 = first(group.segments, "IPC"), first(group.segments, "TQ1")
    devices = {one.text(4).rpartition(".")[2]: one.text(5) for one in seen.every(TlrObservation.DEVICE)}
    performed = "" if tq1 is None else tq1.text(7)
    retention = "" if tq1 is None else tq1.text(6, 1)
    procedure = seen.code(TlrObservation.PROCEDURE)
    return Complement(
        order_id=order_id,
        study_instance_uid="" if ipc is None else ipc.text(3),
        accession_number="" if ipc is None else ipc.text(1),
        performed_at=instant_of(performed, zone, near=near) if performed else None,
        retention_days=int(retention) if retention.isascii() and retention.isdigit() and len(retention) < 6 else None,
        procedure_code="" if procedure is None else procedure.value,
        viewer_url=_viewer_url(seen),
        modality=seen.modality,
        products=_products(seen),
        device_id=devices.get("1", ""),
        device_model=devices.get("2", ""),
        expected_instances=seen.expected_instances,
    )


def keep_complement(connection: Connection, complement: Complement, now: datetime) -> bool:
    """Keep what is added, instead of what was said of the study before; return whether it is new."""
    key = (
        hl7_complement.c.order_id == complement.order_id,
        hl7_complement.c.study_instance_uid == complement.study_instance_uid,
    )
    body = _to_json(complement)
    if connection.execute(select(hl7_complement.c.body).where(*key)).scalar_one_or_none() == body:
        return False
    connection.execute(delete(hl7_complement).where(*key))
    connection.execute(
        insert(hl7_complement).values(
            order_id=complement.order_id, study_instance_uid=complement.study_instance_uid, body=body,
            changed_at_us=microseconds(now),
        )
    )  # fmt: skip
    return True


def complements_of(connection: Connection, order_id: OrderId) -> tuple[Complement, ...]:
    """Return what was added of each study of an order."""
    query = select(hl7_complement.c.body).where(hl7_complement.c.order_id == order_id)
    return tuple(_of_json(row.body) for row in connection.execute(query.order_by(hl7_complement.c.study_instance_uid)))


def _products(seen: Observations) -> tuple[Product, ...]:
    """Return the products, whose parts OBX-4 ``n.m`` puts together: type, lot, quantity."""
    parts: dict[str, dict[str, tuple[str, str]]] = {}
    for one in seen.every(TlrObservation.PRODUCT):
        number, _, nature = one.text(4).partition(".")
        parts.setdefault(number, {}).setdefault(nature, (one.text(5), one.text(6)))
    nothing = ("", "")
    return tuple(
        Product(
            code=said.get("1", nothing)[0], lot=said.get("2", nothing)[0],
            quantity=said.get("3", nothing)[0], unit=said.get("3", nothing)[1],
        )
        for _, said in sorted(parts.items())[:PRODUCTS_MAX]
    )  # fmt: skip


def _viewer_url(seen: Observations) -> str:
    found = seen.first(TlrObservation.VIEWER)
    if found is None:
        return ""
    try:
        url = base64.b64decode(found.text(5, 5), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return url if len(url) <= URL_CHARACTERS_MAX and url.isprintable() else ""


def _to_json(complement: Complement) -> str:
    fields = asdict(complement)
    if complement.performed_at is not None:
        fields["performed_at"] = microseconds(complement.performed_at)
    return json.dumps(fields, sort_keys=True, ensure_ascii=False)


def _of_json(text: str) -> Complement:
    fields: dict[str, Any] = json.loads(text)
    if fields["performed_at"] is not None:
        fields["performed_at"] = instant_of_us(fields["performed_at"])
    fields["products"] = tuple(Product(**product) for product in fields["products"])
    return Complement(**fields)
