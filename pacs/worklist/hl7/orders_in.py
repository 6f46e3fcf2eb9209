"""What an order message asks for: ORM^O01, OMI^O23 and OMG^O19, plain or by the ANS's flows 1, 2 and 4.

For: one `OrderSaid` for each ORDER group, with an `Order` or a complement in it, or the errors. Not for: rows
(`pacs.worklist.orders`), the decision whether it is taken (`handling`), or exams that are done (`complement_in`).

Invariants
----------
* What a message must say and does not is an error with its place; nothing is made up but what the standard leaves to
  the filler (accession number, Study Instance UID).
* An order is of the site that the settings give its sender, whatever the message says of hospitals.
* A routine exam is no emergency: `Order.urgency` is empty unless the message says otherwise.

References
----------
HL7 2.5.1 4.5 (ORC, OBR, TQ1), 4.5.6 (IPC); IHE RAD TF-2 4.2 and 4.4; ANS volet Téléradiologie, HEAD e13d37a;
docs/hl7.md (emergency extension)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pacs.worklist.hl7 import codes
from pacs.worklist.hl7.codes import Emergency, Loinc, TlrObservation, TlrProcedure, Wanted
from pacs.worklist.hl7.message import ErrorCode, FieldError, SenderIdentity
from pacs.worklist.hl7.observations import Observations, as_metres, code_of, read_observations
from pacs.worklist.hl7.patients_in import allergies_of, joined, missing, read_patient
from pacs.worklist.hl7.reading import OrderGroup, Segment, first, instant_of, order_groups
from pacs.worklist.order import Code, Order, OrderId, OrderPatient, OrderPriority, order_id

PLACER_CHARACTERS_MAX: Final = 64
ACCESSION_CHARACTERS_MAX: Final = 16
"""SH (PS3.5 6.2)."""

ORDERS_PER_MESSAGE_MAX: Final = 50
"""ORDER groups of one message: more are a batch, and a batch is sent as messages."""

ONSET_AGE_MAX: Final = timedelta(days=7)
"""An onset longer ago, or in the future, is a slip of the hand: it is left out, and the request goes on."""

UID: Final = re.compile(r"(?=.{1,64}$)(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
"""PS3.5 9.1."""

_MODALITY: Final = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
_AE_TITLE: Final = re.compile(r"[\x21-\x5b\x5d-\x7e]{1,16}")
_MODALITY_WORDS: Final = {"IRM": "MR", "MRI": "MR", "SCANNER": "CT", "TDM": "CT", "SCAN": "CT", "ECHO": "US"}
_RPPS_CHARACTERS: Final = 11


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderSaid:
    """What one ORDER group asks for.

    Attributes
    ----------
    group : OrderGroup
    wanted : Wanted
    order_id : OrderId
    order : Order or None
        For ``PLACE``.
    status : str
        ORC-5, for ``STATUS``.
    motive : str
        ORC-16: why it is taken back.
    procedure : str
        OBR-4.1 when it is one of the ANS's, else ''.
    wanted_by : datetime or None
        Until when an answer is wished (emergency extension).
    is_time_said : bool
        The message says when the exam is to be; else the order's time is when the message came.
    """

    group: OrderGroup
    wanted: Wanted
    order_id: OrderId
    order: Order | None = None
    status: str = ""
    motive: str = ""
    procedure: str = ""
    wanted_by: datetime | None = None
    is_time_said: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdersSaid:
    """What a message asks for: its orders and their patient, or what is wrong with it."""

    patient: OrderPatient | None = None
    orders: tuple[OrderSaid, ...] = ()
    errors: tuple[FieldError, ...] = ()


def read_orders(
    segments: Sequence[Segment], sender: SenderIdentity, zone: ZoneInfo, received_at: datetime
) -> OrdersSaid:
    """Return what an order message asks for, or every error at once.

    Parameters
    ----------
    zone : ZoneInfo
        The hospital's: where times have no offset, they are its wall times.
    received_at : datetime
        UTC; when an exam is wanted that has no time.
    """
    groups = order_groups(segments)
    if not groups:
        return OrdersSaid(errors=(missing("ORC", 0, "an order (ORC)"),))
    if len(groups) > ORDERS_PER_MESSAGE_MAX:
        text = f"at most {ORDERS_PER_MESSAGE_MAX} orders in a message; send several"
        wrong = FieldError(segment="ORC", sequence=len(groups), code=ErrorCode.SEGMENT_SEQUENCE, text=text)
        return OrdersSaid(errors=(wrong,))
    said = read_patient(first(segments, "PID"), sender, allergies=allergies_of(tuple(segments)))
    errors = [] if said.error is None else [said.error]
    reader = _Reader(sender=sender, zone=zone, received_at=received_at, patient=said.patient, errors=errors)
    orders = [reader.read(group) for group in groups]
    if errors:
        return OrdersSaid(errors=tuple(errors))
    return OrdersSaid(patient=said.patient, orders=tuple(one for one in orders if one is not None))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """Reads the groups of one message; what is wrong goes into ``errors``."""

    sender: SenderIdentity
    zone: ZoneInfo
    received_at: datetime
    patient: OrderPatient | None
    errors: list[FieldError]

    def read(self, group: OrderGroup) -> OrderSaid | None:
        orc, obr = group.orc, group.obr
        control = orc.text(1)
        placer = orc.text(2) or ("" if obr is None else obr.text(2))
        wanted = codes.ORDER_CONTROL.get(control)
        if wanted is None:
            text = "an order control that is taken here: NW, XO, CA, DC, SC or SR"
            code = ErrorCode.TABLE_VALUE_NOT_FOUND if control else ErrorCode.REQUIRED_FIELD_MISSING
            self._wrong(orc, 1, code, text)
            return None
        if not placer:
            self.errors.append(missing("ORC", 2, "the placer order number", sequence=orc.sequence))
            return None
        if len(placer) > PLACER_CHARACTERS_MAX:
            self._wrong(orc, 2, ErrorCode.VALUE_TOO_LONG, f"at most {PLACER_CHARACTERS_MAX} characters")
            return None
        said = OrderSaid(
            group=group,
            wanted=wanted,
            order_id=order_id(self.sender.site_id, placer),
            status=orc.text(5),
            motive=orc.text(16, 2) or orc.text(16, 1),
            procedure=_tlr_procedure(obr),
        )
        if wanted is not Wanted.PLACE:
            return said
        if obr is None:
            self.errors.append(missing("OBR", 0, "what is ordered (OBR)", sequence=orc.sequence))
            return None
        if self.patient is None:
            return None
        return self._placed(said, group, obr, placer, self.patient)

    def _placed(
        self, said: OrderSaid, group: OrderGroup, obr: Segment, placer: str, patient: OrderPatient
    ) -> OrderSaid | None:
        before = len(self.errors)
        seen = read_observations(group)
        ipc, zds = first(group.segments, "IPC"), first(group.segments, "ZDS")
        priority = self._priority(group, seen)
        procedure = _procedure(obr, seen)
        requester, rpps = _person(group.orc, 12) if group.orc.has(12) else _person(obr, 16)
        modality = self._modality(obr, ipc, seen)
        scheduled_at = self._scheduled_at(group, obr)
        order = Order(
            order_id=said.order_id,
            site_id=self.sender.site_id,
            patient=_with_observations(patient, seen),
            modality=modality,
            scheduled_at=scheduled_at or self.received_at,
            placer_order_number=placer,
            filler_order_number=group.orc.text(3) or obr.text(3),
            accession_number=self._accession_number(obr, ipc),
            study_instance_uid=self._study_instance_uid(ipc, zds),
            procedure=procedure,
            body_region=seen.region,
            description=_description(procedure, seen, modality),
            reason=joined((obr.joined(13), obr.text(31, 2) or obr.text(31, 1), *seen.history)),
            clinical_question=joined(note.joined(3) for note in _questions(group, is_tlr=bool(said.procedure))),
            requester=requester,
            requester_rpps=rpps,
            requesting_service=group.orc.text(21, 1) or group.orc.text(17, 2),
            priority=priority,
            station_aet=self._station_aet(ipc),
            exam=seen.pathway or codes.EXAM_OF_REGION.get("" if seen.region is None else seen.region.value, ""),
            urgency=_urgency(priority, is_tlr=bool(said.procedure)),
            onset_at=self._onset_at(seen),
            expected_instances=seen.expected_instances,
            source="hl7",
        )
        if len(self.errors) > before:
            return None
        wanted_by = self._instant(seen.text(Emergency.WANTED_BY))
        return replace(said, order=order, wanted_by=wanted_by, is_time_said=scheduled_at is not None)

    def _priority(self, group: OrderGroup, seen: Observations) -> OrderPriority:
        tq1, obr = first(group.segments, "TQ1"), group.obr
        said = [
            seen.text(Emergency.PRIORITY),
            "" if tq1 is None else tq1.text(9),
            "" if obr is None else obr.text(27, 6),
            group.orc.text(7, 6),
            "" if obr is None else obr.text(5),
        ]
        found = [codes.PRIORITY[one.upper()] for one in said if one.upper() in codes.PRIORITY]
        # Said twice and differently: the more urgent counts, nobody loses time by it.
        return min(found, key=list(OrderPriority).index, default=OrderPriority.ROUTINE)

    def _modality(self, obr: Segment, ipc: Segment | None, seen: Observations) -> str:
        said = seen.modality or ("" if ipc is None else ipc.text(5)) or obr.text(24)
        modality = _MODALITY_WORDS.get(said.upper(), said.upper())
        if not modality:
            self.errors.append(missing("OBR", 24, "the modality (OBX MODALITE_IMAGERIE, IPC-5 or OBR-24)",
                                       sequence=obr.sequence))  # fmt: skip
        elif _MODALITY.fullmatch(modality) is None:
            self._wrong(obr, 24, ErrorCode.TABLE_VALUE_NOT_FOUND, "a modality as DICOM names it, such as CT or MR")
        return modality

    def _accession_number(self, obr: Segment, ipc: Segment | None) -> str:
        named = obr if ipc is None or not ipc.text(1) else ipc
        field = 1 if named is ipc else 18
        number = named.text(field)
        if len(number) > ACCESSION_CHARACTERS_MAX:
            text = f"an accession number has at most {ACCESSION_CHARACTERS_MAX} characters in DICOM"
            self._wrong(named, field, ErrorCode.VALUE_TOO_LONG, text)
        return number

    def _study_instance_uid(self, ipc: Segment | None, zds: Segment | None) -> str:
        for segment, field in ((ipc, 3), (zds, 1)):
            if segment is not None and (uid := segment.text(field)):
                if UID.fullmatch(uid) is None:
                    self._wrong(segment, field, ErrorCode.DATA_TYPE, "not a UID (PS3.5 9.1)")
                return uid
        return ""

    def _station_aet(self, ipc: Segment | None) -> str:
        aet = "" if ipc is None else ipc.text(9)
        if aet and _AE_TITLE.fullmatch(aet) is None and ipc is not None:
            self._wrong(ipc, 9, ErrorCode.DATA_TYPE, "not an AE title (PS3.5 6.2)")
        return aet

    def _scheduled_at(self, group: OrderGroup, obr: Segment) -> datetime | None:
        tq1 = first(group.segments, "TQ1")
        said = ["" if tq1 is None else tq1.text(7), obr.text(27, 4), group.orc.text(7, 4), obr.text(36)]
        found = (self._instant(one) for one in said if one)
        return next((one for one in found if one is not None), None)

    def _onset_at(self, seen: Observations) -> datetime | None:
        onset = self._instant(seen.text(Loinc.ONSET))
        is_near = onset is not None and self.received_at - ONSET_AGE_MAX <= onset <= self.received_at
        return onset if is_near else None

    def _instant(self, text: str) -> datetime | None:
        return instant_of(text, self.zone, near=self.received_at) if text else None

    def _wrong(self, segment: Segment, field: int, code: ErrorCode, text: str) -> None:
        self.errors.append(
            FieldError(segment=segment.name, sequence=segment.sequence, field=field, code=code, text=text)
        )


def _tlr_procedure(obr: Segment | None) -> str:
    if obr is None or obr.text(4, 3) != codes.TLR_PROCEDURES:
        return ""
    return obr.text(4, 1) if obr.text(4, 1) in set(TlrProcedure) else ""


def _urgency(priority: OrderPriority, *, is_tlr: bool) -> str:
    return codes.URGENCY.get(priority, codes.URGENCY_OF_TELERADIOLOGY if is_tlr else "")


def _procedure(obr: Segment, seen: Observations) -> Code | None:
    if (done := seen.code(TlrObservation.PROCEDURE)) is not None:
        return done
    for field in (44, 4):
        if obr.text(field, 1) and not (field == 4 and obr.text(4, 3) == codes.TLR_PROCEDURES):
            return code_of(obr, field)
    return None


def _description(procedure: Code | None, seen: Observations, modality: str) -> str:
    if procedure is not None:
        return procedure.meaning or procedure.value
    region = "" if seen.region is None else seen.region.meaning
    return " ".join(part for part in (modality, region, seen.laterality) if part)


def _questions(group: OrderGroup, *, is_tlr: bool) -> tuple[Segment, ...]:
    if not is_tlr:
        return group.notes()
    return tuple(note for note in group.notes() if note.text(4) in {"", codes.PURPOSE_NOTE})


def _person(segment: Segment, field: int) -> tuple[str, str]:
    """Return a person of an XCN field as a plain name, and the RPPS number when the register is named."""
    parts = [segment.text(field, number) for number in (6, 3, 2)]
    number = segment.text(field, 1)
    is_registered = segment.text(field, 9, 2) == codes.PROFESSIONALS_OID
    # PS_IdNat is the kind of number, 8, before the RPPS number itself.
    rpps = number[1:] if len(number) == _RPPS_CHARACTERS + 1 and number.startswith("8") else number
    return " ".join(part for part in parts if part), rpps if is_registered else ""


def _with_observations(patient: OrderPatient, seen: Observations) -> OrderPatient:
    weight = seen.number(Loinc.WEIGHT)
    return replace(
        patient,
        weight_kg=weight,
        size_m=as_metres(seen.number(Loinc.HEIGHT), seen.unit(Loinc.HEIGHT)),
        pregnancy_status=seen.pregnancy,
        medical_alerts=joined(seen.alerts()),
    )
