"""A worklist item: an order as the attributes that a console is given.

For: the Modality Worklist, and whoever must know what a console can ask for (`ATTRIBUTES`, `STEP_ATTRIBUTES`). Not for:
matching (`pacs.worklist.matching`), the wire (`pacs.worklist.find_service`).

Invariants
----------
* An item holds every attribute of the tables, without a value where the order says nothing; those of type 1 have one,
  and code sequences (type 1C) are left out rather than empty.
* Dates and times are what the clock on the hospital's wall shows, with the offset that it has at that moment.
* An INS goes out only when its identity is qualified.
* Nothing that is dangerous to leave out is cut off: long allergies and alerts become several values.
* An emergency that nobody has begun is today's: past midnight its step starts at 00:00 of the new day, or a console
  that asks for today would not be given it. This lasts `CARRIED_OVER_MAX`.

References
----------
PS3.4 Table K.6-1; PS3.3 C.4.10, C.4.11, C.4.12, C.2.2, C.2.3, C.2.4, 10.2 (content items), 8.8 (codes); PS3.5 6.2
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from pacs.archive.query_values import Element, Item
from pacs.worklist.order import Code, Order, OrderPatient, OrderState, ProtocolParameter, ScheduledProtocol
from pacs.worklist.orders import scheduled_step_id

CARRIED_OVER_MAX: Final = timedelta(hours=24)
"""How long after its scheduled start an emergency is carried over to the next day."""

OWN_SCHEME: Final = "99TELEGARDE"
"""Coding Scheme Designator of protocols that are not coded otherwise."""

UNKNOWN_NAME: Final = "UNKNOWN"
"""Patient's Name of a patient whose name nobody knows: the attribute must have a value (type 1)."""


def tag(keyword: str) -> int:
    """Return the tag of a standard attribute."""
    found = tag_for_keyword(keyword)
    assert found is not None, keyword
    return found


STEP_SEQUENCE: Final = tag("ScheduledProcedureStepSequence")
STATION_AET: Final = tag("ScheduledStationAETitle")
START_DATE: Final = tag("ScheduledProcedureStepStartDate")
START_TIME: Final = tag("ScheduledProcedureStepStartTime")
MODALITY: Final = tag("Modality")
PATIENT_ID: Final = tag("PatientID")
ACCESSION_NUMBER: Final = tag("AccessionNumber")
TIMEZONE_OFFSET: Final = tag("TimezoneOffsetFromUTC")
PROTOCOL_CODES: Final = tag("ScheduledProtocolCodeSequence")
STEP_COMMENTS: Final = tag("CommentsOnTheScheduledProcedureStep")
REQUEST_COMMENTS: Final = tag("RequestedProcedureComments")


def _table(*keywords: str) -> Mapping[int, str]:
    return MappingProxyType({tag(keyword): dictionary_VR(tag(keyword)) for keyword in keywords})


STEP_ATTRIBUTES: Final = _table(
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledPerformingPhysicianName",
    "Modality",
    "ScheduledProcedureStepDescription",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
    "ScheduledProtocolCodeSequence",
    "PreMedication",
    "ScheduledProcedureStepID",
    "RequestedContrastAgent",
    "ScheduledProcedureStepStatus",
    "CommentsOnTheScheduledProcedureStep",
)
"""VR by tag of what the item of Scheduled Procedure Step Sequence (0040,0100) holds."""

ATTRIBUTES: Final = _table(
    "AccessionNumber",
    "ReferringPhysicianName",
    "ReferencedStudySequence",
    "ReferencedPatientSequence",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "OtherPatientIDsSequence",
    "PatientSize",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "PregnancyStatus",
    "StudyInstanceUID",
    "RequestingPhysician",
    "RequestingService",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "AdmissionID",
    "SpecialNeeds",
    "CurrentPatientLocation",
    "PatientState",
    "ScheduledProcedureStepSequence",
    "RequestedProcedureID",
    "ReasonForTheRequestedProcedure",
    "RequestedProcedurePriority",
    "PatientTransportArrangements",
    "RequestedProcedureComments",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "ConfidentialityConstraintOnPatientDataDescription",
    "TimezoneOffsetFromUTC",
)
"""VR by tag of what an item holds, beside Specific Character Set."""

# Sequences of type 1C: they have items or are not there at all; consoles and servers refuse empty ones.
_WITH_ITEMS_ONLY: Final = frozenset({tag("RequestedProcedureCodeSequence"), PROTOCOL_CODES})


def _without_values(table: Mapping[int, str]) -> Mapping[int, Element]:
    return MappingProxyType({number: Element(vr=vr) for number, vr in table.items() if number not in _WITH_ITEMS_ONLY})


_WITHOUT_VALUES: Final = _without_values(ATTRIBUTES)
_STEP_WITHOUT_VALUES: Final = _without_values(STEP_ATTRIBUTES)
_STEP_STATUS: Final = MappingProxyType({OrderState.SCHEDULED: "SCHEDULED", OrderState.IN_PROGRESS: "STARTED"})
# PS3.5 6.2, in characters; PN is per component group.
_CHARACTERS_MAX: Final = MappingProxyType({"AE": 16, "CS": 16, "LO": 64, "SH": 16, "LT": 10_240, "ST": 1_024, "PN": 64})
# PS3.5 6.2: at most 16 characters of DS.
_DECIMAL: Final = re.compile(r"(?=.{1,16}$)[+-]?\d+(\.\d*)?", re.ASCII)
_DATE: Final = re.compile(r"\d{8}", re.ASCII)
_CUT: Final = "..."
_UNLIMITED: Final = 2**32 - 2
_LINES_VRS: Final = frozenset({"LT", "ST", "UT"})


_TAGS: Final = MappingProxyType({keyword_for_tag(number): number for number in (*ATTRIBUTES, *STEP_ATTRIBUTES)})
_MANY_VALUES: Final = frozenset({tag("Allergies"), tag("MedicalAlerts")})
_PROCEDURE_CODES: Final = tag("RequestedProcedureCodeSequence")
_OTHER_IDS: Final = tag("OtherPatientIDsSequence")
_ISSUER: Final = tag("IssuerOfPatientID")
_TYPE_OF_ID: Final = tag("TypeOfPatientID")
_ISSUER_QUALIFIERS: Final = tag("IssuerOfPatientIDQualifiersSequence")
_UNIVERSAL_ID: Final = tag("UniversalEntityID")
_UNIVERSAL_ID_TYPE: Final = tag("UniversalEntityIDType")
_CODE_VALUE: Final = tag("CodeValue")
_CODE_SCHEME: Final = tag("CodingSchemeDesignator")
_CODE_VERSION: Final = tag("CodingSchemeVersion")
_CODE_MEANING: Final = tag("CodeMeaning")
_LONG_CODE_VALUE: Final = tag("LongCodeValue")
_PROTOCOL_CONTEXT: Final = tag("ProtocolContextSequence")
_VALUE_TYPE: Final = tag("ValueType")
_CONCEPT: Final = tag("ConceptNameCodeSequence")
_NUMERIC_VALUE: Final = tag("NumericValue")
_TEXT_VALUE: Final = tag("TextValue")
_UNITS: Final = tag("MeasurementUnitsCodeSequence")


def worklist_item(order: Order, *, zone: tzinfo, now: datetime) -> Item:
    """Return an order's attributes by tag.

    Parameters
    ----------
    zone : tzinfo
        Of the hospital's clocks.
    now : datetime
        When it is asked for (aware): see the carried-over emergencies above.
    """
    start = shown_start(order, zone=zone, now=now)
    texts = {
        "AccessionNumber": order.accession_number,
        "ReferringPhysicianName": order.requester,
        "StudyInstanceUID": order.study_instance_uid,
        "RequestingPhysician": order.requester,
        "RequestingService": order.requesting_service,
        "RequestedProcedureDescription": _meaning(order.procedure) or order.description or order.modality,
        "RequestedProcedureID": _fitting(order.filler_order_number, "SH") or scheduled_step_id(order.order_id),
        "ReasonForTheRequestedProcedure": order.reason,
        "RequestedProcedurePriority": order.priority.value,
        "RequestedProcedureComments": _request_comments(order),
        "PlacerOrderNumberImagingServiceRequest": _fitting(order.placer_order_number, "LO"),
        "FillerOrderNumberImagingServiceRequest": _fitting(order.filler_order_number, "LO"),
        "TimezoneOffsetFromUTC": offset_of(start),
        **_patient_texts(order.patient),
    }
    item = dict(_WITHOUT_VALUES)
    _fill(item, ATTRIBUTES, texts)
    if order.procedure is not None:
        item[_PROCEDURE_CODES] = Element(vr="SQ", items=(_code_item(order.procedure),))
    item[_OTHER_IDS] = Element(vr="SQ", items=_other_ids(order.patient))
    item[STEP_SEQUENCE] = Element(vr="SQ", items=(_step(order, start),))
    return item


def shown_start(order: Order, *, zone: tzinfo, now: datetime) -> datetime:
    """Return when the step starts as the hospital's clocks show it: aware, in `zone`."""
    start = order.scheduled_at.astimezone(zone)
    is_waiting = order.is_emergency and order.state is OrderState.SCHEDULED
    if is_waiting and timedelta(0) <= now - order.scheduled_at <= CARRIED_OVER_MAX:
        today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if start.date() < today.date():
            return today
    return start


def offset_of(moment: datetime) -> str:
    """Return Timezone Offset From UTC (0008,0201) of an aware moment, ``+0100``."""
    return moment.strftime("%z")[:5]


def _step(order: Order, start: datetime) -> Item:
    protocol = order.protocol
    item = dict(_STEP_WITHOUT_VALUES)
    texts = {
        "ScheduledStationAETitle": order.station_aet,
        "ScheduledProcedureStepStartDate": f"{start.year:04d}{start.month:02d}{start.day:02d}",
        "ScheduledProcedureStepStartTime": f"{start.hour:02d}{start.minute:02d}{start.second:02d}",
        "Modality": order.modality,
        "ScheduledProcedureStepDescription": order.description or _meaning(order.procedure) or order.modality,
        "ScheduledProcedureStepID": scheduled_step_id(order.order_id),
        "ScheduledProcedureStepStatus": _STEP_STATUS.get(order.state, ""),
    }
    if protocol is not None:
        texts["ScheduledProcedureStepDescription"] = protocol.title
        texts["PreMedication"] = protocol.pre_medication
        texts["RequestedContrastAgent"] = protocol.contrast_agent
        texts["CommentsOnTheScheduledProcedureStep"] = protocol_text(protocol)
        item[PROTOCOL_CODES] = Element(vr="SQ", items=_protocol_items(protocol))
    _fill(item, STEP_ATTRIBUTES, texts)
    return item


def protocol_text(protocol: ScheduledProtocol) -> str:
    """Return a protocol as a person at the console reads it: title with its version, text, parameters, one a line."""
    lines = [f"{protocol.title} (v{protocol.version})", *protocol.text.splitlines()]
    named = [("Contrast", protocol.contrast_agent), ("Pre-medication", protocol.pre_medication)]
    named += [
        (parameter.concept.meaning, f"{parameter.value} {parameter.unit}".strip()) for parameter in protocol.parameters
    ]
    # What the text says already, in the radiologist's own words, is not said twice.
    lines += [f"{name}: {said}" for name, said in named if said and said not in protocol.text]
    return "\r\n".join(lines)


def _protocol_items(protocol: ScheduledProtocol) -> tuple[Item, ...]:
    """Return the items of Scheduled Protocol Code Sequence; the parameters stand in the first one's context."""
    codes = protocol.codes or (
        Code(
            value=_fitting(protocol.protocol_id, "SH") or f"V{protocol.version}",
            scheme=OWN_SCHEME,
            meaning=protocol.title,
            scheme_version=protocol.library_version,
        ),
    )
    items = [_code_item(code) for code in codes]
    if protocol.parameters:
        context = tuple(_parameter_item(parameter) for parameter in protocol.parameters)
        items[0] = {**items[0], _PROTOCOL_CONTEXT: Element(vr="SQ", items=context)}
    return tuple(items)


def _parameter_item(parameter: ProtocolParameter) -> Item:
    """Return a content item: a number with its unit, else text (PS3.3 10.2)."""
    concept = Element(vr="SQ", items=(_code_item(parameter.concept),))
    if parameter.unit and _DECIMAL.fullmatch(parameter.value.strip()):
        unit = Code(value=parameter.unit, scheme="UCUM", meaning=parameter.unit)
        return {
            _VALUE_TYPE: Element(vr="CS", text="NUMERIC"),
            _CONCEPT: concept,
            _NUMERIC_VALUE: Element(vr="DS", text=parameter.value.strip()),
            _UNITS: Element(vr="SQ", items=(_code_item(unit),)),
        }
    value = f"{parameter.value} {parameter.unit}" if parameter.unit else parameter.value
    return {
        _VALUE_TYPE: Element(vr="CS", text="TEXT"),
        _CONCEPT: concept,
        _TEXT_VALUE: Element(vr="UT", text=clean(value, "UT")),
    }


def _code_item(code: Code) -> Item:
    item = {
        _CODE_SCHEME: Element(vr="SH", text=clean(code.scheme, "SH")),
        _CODE_MEANING: Element(vr="LO", text=clean(code.meaning or code.value, "LO")),
    }
    if code.scheme_version:
        item[_CODE_VERSION] = Element(vr="SH", text=clean(code.scheme_version, "SH"))
    if len(code.value) > _CHARACTERS_MAX["SH"]:
        item[_LONG_CODE_VALUE] = Element(vr="UC", text=clean(code.value, "UC"))
    else:
        item[_CODE_VALUE] = Element(vr="SH", text=clean(code.value, "SH"))
    return item


def _patient_texts(patient: OrderPatient) -> dict[str, str]:
    return {
        "PatientName": patient.name or UNKNOWN_NAME,
        "PatientID": patient.patient_id,
        "IssuerOfPatientID": patient.issuer,
        "PatientBirthDate": patient.birth_date if _DATE.fullmatch(patient.birth_date) else "",
        "PatientSex": patient.sex,
        "PatientSize": _decimal(patient.size_m),
        "PatientWeight": _decimal(patient.weight_kg),
        "MedicalAlerts": patient.medical_alerts,
        "Allergies": patient.allergies,
        "PregnancyStatus": "" if patient.pregnancy_status is None else str(patient.pregnancy_status),
        "SpecialNeeds": patient.special_needs,
        "PatientState": patient.state,
    }


def _decimal(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def _other_ids(patient: OrderPatient) -> tuple[Item, ...]:
    items: list[Item] = [
        {
            PATIENT_ID: Element(vr="LO", text=clean(patient_id, "LO")),
            _ISSUER: Element(vr="LO", text=clean(issuer, "LO")),
            _TYPE_OF_ID: Element(vr="CS", text="TEXT"),
        }
        for patient_id, issuer in patient.other_ids
    ]
    if patient.ins is not None and patient.ins.may_be_sent:
        qualifiers: Item = {
            _UNIVERSAL_ID: Element(vr="UT", text=patient.ins.oid),
            _UNIVERSAL_ID_TYPE: Element(vr="CS", text="ISO"),
        }
        items.append(
            {
                PATIENT_ID: Element(vr="LO", text=clean(patient.ins.matricule, "LO")),
                _ISSUER: Element(vr="LO", text=patient.ins.issuer),
                _TYPE_OF_ID: Element(vr="CS", text="TEXT"),
                _ISSUER_QUALIFIERS: Element(vr="SQ", items=(qualifiers,)),
            }
        )
    return tuple(items)


def _request_comments(order: Order) -> str:
    """Return the clinical question and the protocol: many consoles show this field and no other."""
    parts = [order.clinical_question]
    if len(clean(order.reason, "UT")) > _CHARACTERS_MAX["LO"]:
        parts.append(order.reason)
    if order.protocol is not None:
        parts.append(protocol_text(order.protocol))
    return "\r\n".join(part for part in parts if part)


def _meaning(code: Code | None) -> str:
    return "" if code is None else code.meaning or code.value


def _fitting(text: str, vr: str) -> str:
    """Return a text that is a whole value of this VR, else '': a number that was cut off is another number."""
    return text if clean(text, vr) == text else ""


def _fill(item: dict[int, Element], table: Mapping[int, str], texts: Mapping[str, str]) -> None:
    for keyword, text in texts.items():
        if text:
            number = _TAGS[keyword]
            vr = table[number]
            item[number] = Element(vr=vr, text=_values(text) if number in _MANY_VALUES else clean(text, vr))


def _values(text: str) -> str:
    """Return a long text as several values of LO, broken between words: nothing of it is left out."""
    most = _CHARACTERS_MAX["LO"]
    values: list[str] = []
    rest = clean(text, "UC")
    while len(rest) > most:
        cut = rest.rfind(" ", 1, most + 1)
        cut = cut if cut > 0 else most
        values.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    return "\\".join([*values, rest] if rest else values)


def clean(text: str, vr: str) -> str:
    """Return text as a value of this VR can hold it: no backslash, no control characters, not too long.

    Line ends stay in the VRs of whole texts and become spaces in the others. What is cut off shows it by ``...``.
    """
    most = _CHARACTERS_MAX.get(vr, _UNLIMITED)
    if len(text) <= most and text.isprintable() and "\\" not in text and vr != "PN":
        # Nearly every value.
        return text.strip()
    if vr in _LINES_VRS:
        plain = "".join(letter if letter.isprintable() or letter in "\r\n\t" else " " for letter in text).strip()
    else:
        plain = text.replace("\\", "/")
        if not plain.isprintable():
            plain = " ".join("".join(letter if letter.isprintable() else " " for letter in plain).split())
        plain = plain.strip()
    if vr == "PN":
        return "=".join(group[: _CHARACTERS_MAX["PN"]] for group in plain.split("=")[:3])
    if len(plain) <= most:
        return plain
    return plain[: most - len(_CUT)].rstrip() + _CUT
