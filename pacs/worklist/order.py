"""An order: what somebody asked to be examined, whose body, where and when; and the protocol that answers it.

For: the values that HL7 messages, the request form, the Modality Worklist and MPPS share. Not for: rows
(`pacs.worklist.orders`), DICOM attributes (`pacs.worklist.item`) or HL7 segments (`pacs.worklist.hl7`).

Invariants
----------
* An order's id follows from the hospital and its placer order number: the same order said twice is one order.
* A patient is who one hospital's Patient ID says: the same ID of two issuers is two patients.
* An INS is sent on only when its identity is qualified.

Texts are Unicode; person names are in the five components of PS3.5 6.2 with ``^``. Instants are UTC.

References
----------
PS3.3 C.4.10, C.4.11, C.4.12 (worklist attributes), C.2.2 (patient identification); PS3.3 Table C.4-10 (priority); ANS
referential of INS identification.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

OrderId = NewType("OrderId", str)

ID_CHARACTERS: Final = 32
"""Of an order's id: 128 bits in hexadecimal."""


# Of identifiers that wait for a NIR; production and test have NIR OIDs of their own.
_NIA_OID: Final = "1.2.250.1.213.1.4.9"


class OrderPriority(StrEnum):
    """Requested Procedure Priority (0040,1003)."""

    STAT = "STAT"
    HIGH = "HIGH"
    ROUTINE = "ROUTINE"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


EMERGENCIES: Final = frozenset({OrderPriority.STAT, OrderPriority.HIGH})
"""Priorities that come first on every list."""


class OrderState(StrEnum):
    """Where an order is; `pacs.worklist.orders` has the table of what may follow what."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"
    CANCELLED = "CANCELLED"


class InsStatus(StrEnum):
    """How far an identity is established (French national identification policy, RNIV)."""

    PROVISIONAL = "provisional"  # identité provisoire
    RETRIEVED = "retrieved"  # identité récupérée
    VALIDATED = "validated"  # identité validée
    QUALIFIED = "qualified"  # identité qualifiée


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8): value, scheme, meaning."""

    value: str
    scheme: str
    meaning: str
    scheme_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ins:
    """A national health identity: matricule, OID of its authority (NIR or NIA), and how far it is established."""

    matricule: str
    oid: str
    status: InsStatus = InsStatus.PROVISIONAL

    @property
    def may_be_sent(self) -> bool:
        """Say whether a message to others may carry it."""
        return self.status is InsStatus.QUALIFIED

    @property
    def issuer(self) -> str:
        """What its authority is called where an Issuer of Patient ID (0010,0021) stands beside the OID."""
        return "ASIP-SANTE-INS-NIA" if self.oid == _NIA_OID else "ASIP-SANTE-INS-NIR"


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderPatient:
    """Whose exam it is, as the ordering hospital says.

    ``birth_date`` is YYYYMMDD or ''; ``sex`` is M, F, O or ''. ``other_ids`` are (Patient ID, issuer) of others.
    ``pregnancy_status`` is (0010,21C0): 1 not pregnant, 2 possibly, 3 definitely, 4 unknown. Weight is in kilograms,
    size in metres.
    """

    patient_id: str
    issuer: str
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    ins: Ins | None = None
    other_ids: tuple[tuple[str, str], ...] = ()
    allergies: str = ""
    medical_alerts: str = ""
    special_needs: str = ""
    state: str = ""
    pregnancy_status: int | None = None
    weight_kg: float | None = None
    size_m: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolParameter:
    """One parameter of a protocol (an item of Protocol Context Sequence (0040,0440)); ``unit`` is UCUM or ''."""

    concept: Code
    value: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduledProtocol:
    """The protocol that the on-call radiologist asks for, as the console gets it.

    ``version`` counts what was sent for this order from 1; ``library_version`` names the library entry's. ``text`` is
    what people read (Scheduled Procedure Step Description and comments come from ``title`` and ``text``).
    """

    version: int
    title: str
    codes: tuple[Code, ...] = ()
    parameters: tuple[ProtocolParameter, ...] = ()
    text: str = ""
    contrast_agent: str = ""
    pre_medication: str = ""
    author: str = ""
    protocol_id: str = ""
    library_version: str = ""
    sent_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One requested exam: one Scheduled Procedure Step.

    Attributes
    ----------
    site_id : str
        The hospital where it is to be done.
    placer_order_number, filler_order_number, accession_number : str
        ORC-2, ORC-3 and (0008,0050).
    study_instance_uid : str
        What the modality puts into its images (0020,000D); made here when the hospital named none.
    exam, urgency : str
        Kind of exam and urgency in the words of the on-call engine when the order says them, else ''.
    scheduled_at : datetime
        Scheduled Procedure Step Start, UTC.
    station_aet : str
        Scheduled Station AE Title; '' for any scanner of the site and modality.
    source : str
        ``hl7`` or ``web``.
    """

    order_id: OrderId
    site_id: str
    patient: OrderPatient
    modality: str
    scheduled_at: datetime
    placer_order_number: str = ""
    filler_order_number: str = ""
    accession_number: str = ""
    study_instance_uid: str = ""
    procedure: Code | None = None
    body_region: Code | None = None
    description: str = ""
    reason: str = ""
    clinical_question: str = ""
    requester: str = ""
    requester_rpps: str = ""
    requesting_service: str = ""
    priority: OrderPriority = OrderPriority.ROUTINE
    station_aet: str = ""
    exam: str = ""
    urgency: str = ""
    onset_at: datetime | None = None
    expected_instances: int | None = None
    protocol: ScheduledProtocol | None = None
    state: OrderState = OrderState.SCHEDULED
    source: str = ""

    @property
    def is_emergency(self) -> bool:
        """Say whether it comes first on every list."""
        return self.priority in EMERGENCIES


def order_id(site_id: str, placer_order_number: str) -> OrderId:
    """Return the one id that this order of this hospital has."""
    return OrderId(hashlib.sha256(f"{site_id}\0{placer_order_number}".encode()).hexdigest()[:ID_CHARACTERS])
