"""Segments that several kinds of messages share: the patient, the order, people, hospitals, texts and documents.

For: `results_out`, `status_out`, `teleradiology`. Not for: which of them a message has.

Invariants
----------
* An INS is in PID-3 only when it is qualified, and then PID-32 says so.
* The authority of a number is the one that it came with; a number without one goes without.
* A document is one value: Base64 without line breaks.

References
----------
HL7 2.5.1 3.4.2 (PID), 4.5.1 (ORC), 4.5.3 (OBR), 7.4.2 (OBX); ANS volet Téléradiologie, HEAD e13d37a (XCN, XON);
IHE RAD TF-2 4.128 (results distribution)
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pacs.worklist.hl7 import codes
from pacs.worklist.hl7.ins import ins_as_cx
from pacs.worklist.hl7.order_context import OrderContext
from pacs.worklist.hl7.writing import Field, Repeated, Value, segment
from pacs.worklist.order import Order, OrderPatient

_RPPS_PREFIX: Final = "8"
"""PS_IdNat: the kind of number before the RPPS number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Professional:
    """Somebody who answers or signs: a name by its parts, and the RPPS number or ''."""

    family: str
    given: str = ""
    prefix: str = ""
    rpps: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Organisation:
    """Who sends: the service's name, and its FINESS number (of the legal entity) or ''."""

    name: str
    finess: str = ""


def pid(patient: OrderPatient, context: OrderContext) -> str:
    """Return the patient: their identifiers, name, birth, sex, record, and whether the INS is qualified."""
    ids: list[Value] = []
    ins = patient.ins if patient.ins is not None and patient.ins.may_be_sent else None
    if ins is None or patient.patient_id != ins.matricule:
        ids.append((patient.patient_id, "", "", _authority(patient, context), "PI"))
    if ins is not None:
        ids.append(ins_as_cx(ins))
    family, given, middle, prefix, suffix, *_ = (*patient.name.split("=")[0].split("^"), "", "", "", "", "")
    return segment(
        "PID",
        {
            3: Repeated(values=tuple(ids)),
            5: (family, given, middle, suffix, prefix, "", "L") if patient.name else "",
            7: patient.birth_date,
            8: patient.sex,
            18: context.account,
            32: codes.VALIDATED if ins is not None else "",
        },
    )


def placer_of(order: Order, context: OrderContext) -> Value:
    """Return ORC-2 and OBR-2: the number as the hospital wrote it."""
    return context.placer or (order.placer_order_number,)


def filler_of(order: Order, context: OrderContext) -> Value:
    """Return ORC-3 and OBR-3: the filler's number, ours when the hospital's system gave none."""
    return context.filler or (order.filler_order_number or order.order_id, "TELEGARDE")


def exam_of(order: Order, context: OrderContext) -> Value:
    """Return OBR-4: the hospital's own code of the exam; never the name of one of the ANS's flows, which is no exam."""
    if context.procedure and not context.is_teleradiology:
        return context.procedure
    if order.procedure is not None:
        return (order.procedure.value, order.procedure.meaning, order.procedure.scheme)
    return (order.modality, order.description)


def professional(someone: Professional | None) -> Value:
    """Return somebody as XCN; '' for nobody."""
    if someone is None:
        return ""
    if not someone.rpps:
        return ("", someone.family, someone.given, "", "", someone.prefix)
    authority = ("ASIP-SANTE-PS", codes.PROFESSIONALS_OID, "ISO")
    number = f"{_RPPS_PREFIX}{someone.rpps}"
    return (number, someone.family, someone.given, "", "", someone.prefix, "", "", authority, "D", "", "", "IDNPS")


def requester_of(order: Order) -> Value:
    """Return who ordered as XCN: the name as one, because it came as one."""
    if not order.requester and not order.requester_rpps:
        return ""
    return professional(Professional(family=order.requester, rpps=order.requester_rpps))


def organisation(whose: Organisation) -> Value:
    """Return who sends as XON."""
    if not whose.finess:
        return (whose.name,)
    authority = ("ASIP-SANTE-ST", codes.STRUCTURES_OID, "ISO")
    return (whose.name, "", "", "", "", authority, "FINEJ", "", "", whose.finess)


def observation(
    number: int, kind: str, name: Value, value: Field, *, status: str, more: Mapping[int, Field] | None = None
) -> str:
    """Return an OBX; `number` from 1, `kind` is OBX-2."""
    return segment("OBX", {1: str(number), 2: kind, 3: name, 5: value, 11: status, **(more or {})})


def document(content: bytes, kind: str, subtype: str) -> Value:
    """Return a document as ED."""
    return ("", kind, subtype, "Base64", base64.b64encode(content).decode("ascii"))


def _authority(patient: OrderPatient, context: OrderContext) -> Value:
    if context.authority and context.patient_id == patient.patient_id:
        return context.authority
    return (patient.issuer,)
