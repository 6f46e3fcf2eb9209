"""An order as a JSON text, and back: what a row holds.

For: `pacs.worklist.orders`. Not for: people or other systems, who get DICOM attributes, HL7 or the request form.

Invariants: reading gives the value that was written; the same order gives the same text; what is empty is left out, so
a field that a later version adds reads as its default.
"""

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from foundation.instants import instant_of_us, microseconds
from pacs.worklist.order import (
    Code,
    Ins,
    InsStatus,
    Order,
    OrderId,
    OrderPatient,
    OrderPriority,
    OrderState,
    ProtocolParameter,
    ScheduledProtocol,
)


def order_to_json(order: Order) -> str:
    """Return the one text of an order."""
    return json.dumps(_plain(order), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def order_from_json(text: str) -> Order:
    """Return the order that `order_to_json` wrote."""
    fields: dict[str, Any] = json.loads(text)
    fields["order_id"] = OrderId(fields["order_id"])
    fields["patient"] = _patient(fields["patient"])
    fields["scheduled_at"] = instant_of_us(fields["scheduled_at"])
    for name in ("procedure", "body_region"):
        if name in fields:
            fields[name] = Code(**fields[name])
    if "onset_at" in fields:
        fields["onset_at"] = instant_of_us(fields["onset_at"])
    if "protocol" in fields:
        fields["protocol"] = _protocol(fields["protocol"])
    fields["priority"] = OrderPriority(fields["priority"])
    fields["state"] = OrderState(fields["state"])
    return Order(**fields)


def patient_to_json(patient: OrderPatient) -> str:
    """Return the one text of a patient."""
    return json.dumps(_plain(patient), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def patient_from_json(text: str) -> OrderPatient:
    """Return the patient that `patient_to_json` wrote."""
    return _patient(json.loads(text))


def _patient(fields: dict[str, Any]) -> OrderPatient:
    if "ins" in fields:
        ins: Mapping[str, str] = fields["ins"]
        fields["ins"] = Ins(matricule=ins["matricule"], oid=ins["oid"], status=InsStatus(ins["status"]))
    fields["other_ids"] = tuple((patient_id, issuer) for patient_id, issuer in fields.get("other_ids", ()))
    return OrderPatient(**fields)


def _protocol(fields: dict[str, Any]) -> ScheduledProtocol:
    fields["codes"] = tuple(Code(**code) for code in fields.get("codes", ()))
    fields["parameters"] = tuple(
        ProtocolParameter(
            concept=Code(**parameter["concept"]), value=parameter.get("value", ""), unit=parameter.get("unit", "")
        )
        for parameter in fields.get("parameters", ())
    )
    if "sent_at" in fields:
        fields["sent_at"] = instant_of_us(fields["sent_at"])
    return ScheduledProtocol(**fields)


# Of these an empty text is a value: their classes have no default for it.
_ALWAYS_KEPT: Final = frozenset(
    {"value", "scheme", "meaning", "patient_id", "issuer", "matricule", "oid", "title", "modality"}
)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return microseconds(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        named = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {
            name: _plain(item)
            for name, item in named.items()
            if name in _ALWAYS_KEPT or not (item is None or item == "" or item == ())
        }
    return value
