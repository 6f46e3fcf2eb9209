"""Which attributes a work item must have: when it is created, when it is changed, and before it ends.

For: PS3.4 Table CC.2.5-3 as data, checked on decoded values. Not for: which state may follow which
(`pacs.worklist.ups.states`).

Choices that the standard leaves to us (all are in docs/workitems.md): an attribute of type 2 that is missing is
created empty, and the answer warns (B300); an attribute that may not be set is refused rather than dropped.

References
----------
PS3.4 CC.2.5.1 (Table CC.2.5-3), CC.2.5.1.1 (final state requirements), CC.2.6; PS3.7 C.5 (0106H, 0120H)
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from pacs.archive.query_values import Element, Item
from pacs.status import Status
from pacs.worklist.order import Code
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups.model import APART, State, UpsRefused, Workitem

DEFAULT_LABEL: Final = "TELEGARDE"
"""Worklist Label of what is created without one: the standard has the SCP fill it in."""

PRIORITIES: Final = frozenset({"HIGH", "MEDIUM", "LOW"})
READINESS: Final = frozenset({"INCOMPLETE", "UNAVAILABLE", "READY"})

UNSPECIFIED_REASON: Final = Code(value="110513", scheme="DCM", meaning="Discontinued for unspecified reason")
"""Of CID 9300; for what is canceled without a reason."""

_REQUIRED: Final = (
    tag.PRIORITY,
    tag.PROCEDURE_STEP_LABEL,
    tag.SCHEDULED_START,
    tag.INPUT_READINESS_STATE,
    tag.PROCEDURE_STEP_STATE,
)
"""Type 1 of N-CREATE."""

_EMPTY_WHEN_MISSING: Final[Mapping[int, str]] = MappingProxyType(
    {
        tag.SCHEDULED_PROCESSING_PARAMETERS_SEQUENCE: "SQ",
        tag.SCHEDULED_STATION_NAME_CODE_SEQUENCE: "SQ",
        tag.SCHEDULED_STATION_CLASS_CODE_SEQUENCE: "SQ",
        tag.SCHEDULED_STATION_LOCATION_CODE_SEQUENCE: "SQ",
        tag.SCHEDULED_WORKITEM_CODE_SEQUENCE: "SQ",
        tag.COMMENTS_ON_STEP: "LT",
        tag.INPUT_INFORMATION_SEQUENCE: "SQ",
        tag.STUDY_INSTANCE_UID: "UI",
        tag.PATIENT_NAME: "PN",
        tag.PATIENT_ID: "LO",
        tag.OTHER_PATIENT_IDS_SEQUENCE: "SQ",
        tag.PATIENT_BIRTH_DATE: "DA",
        tag.PATIENT_SEX: "CS",
        tag.ADMISSION_ID: "LO",
        tag.ISSUER_OF_ADMISSION_ID_SEQUENCE: "SQ",
        tag.ADMITTING_DIAGNOSES_DESCRIPTION: "LO",
        tag.ADMITTING_DIAGNOSES_CODE_SEQUENCE: "SQ",
        tag.REFERENCED_REQUEST_SEQUENCE: "SQ",
        tag.PROGRESS_INFORMATION_SEQUENCE: "SQ",
        tag.PERFORMED_PROCEDURE_SEQUENCE: "SQ",
    }
)
"""Type 2 of N-CREATE, with the VR."""

_EMPTY_AT_FIRST: Final = (tag.PROGRESS_INFORMATION_SEQUENCE, tag.PERFORMED_PROCEDURE_SEQUENCE)

# What an SCU provides but may keep to itself without a warning: the condition does not hold, or it is one of 2C.
_SILENTLY_EMPTY: Final = frozenset({tag.STUDY_INSTANCE_UID, *_EMPTY_AT_FIRST})

NOT_SETTABLE: Final = frozenset(
    {
        tag.SOP_CLASS_UID,
        tag.SOP_INSTANCE_UID,
        tag.PROCEDURE_STEP_STATE,
        tag.PATIENT_NAME,
        tag.PATIENT_ID,
        tag.ISSUER_OF_PATIENT_ID,
        tag.PATIENT_BIRTH_DATE,
        tag.PATIENT_SEX,
        tag.ADMISSION_ID,
        tag.ISSUER_OF_ADMISSION_ID_SEQUENCE,
        tag.ADMITTING_DIAGNOSES_DESCRIPTION,
        tag.ADMITTING_DIAGNOSES_CODE_SEQUENCE,
        tag.REFERENCED_REQUEST_SEQUENCE,
        tag.REPLACED_PROCEDURE_STEP_SEQUENCE,
    }
)
"""What N-SET may not change; Transaction UID and Modification DateTime are taken out before."""

_NOT_EMPTIED: Final = (tag.PRIORITY, tag.PROCEDURE_STEP_LABEL, tag.SCHEDULED_START, tag.INPUT_READINESS_STATE)

_NEEDED_ALWAYS: Final = (tag.PRIORITY, tag.SCHEDULED_START, tag.INPUT_READINESS_STATE)
_NEEDED_PERFORMED: Final = (
    tag.PERFORMED_STATION_NAME_CODE_SEQUENCE,
    tag.PERFORMED_START,
    tag.PERFORMED_WORKITEM_CODE_SEQUENCE,
    tag.PERFORMED_END,
)


class Created(NamedTuple):
    """What a new work item holds, and whether it differs from what was asked for (B300)."""

    attributes: Item
    is_modified: bool


def empty_attributes() -> dict[int, Element]:
    """Return every attribute of type 2, empty: what a work item that is made here begins with."""
    return {empty: Element(vr=vr) for empty, vr in _EMPTY_WHEN_MISSING.items()}


def attributes_to_create(asked: Item) -> Created:
    """Return the attributes of a new work item.

    Raises
    ------
    UpsRefused
        If a required attribute is missing or has a value that it may not have.
    """
    for required in _REQUIRED:
        if not tag.has_value(asked, required):
            raise _missing(required)
    if tag.text_of(asked, tag.PROCEDURE_STEP_STATE) != State.SCHEDULED.value:
        raise UpsRefused(
            Status.UPS_NOT_CREATED_SCHEDULED, "the Procedure Step State is not SCHEDULED", tag=tag.PROCEDURE_STEP_STATE
        )
    for empty in (tag.TRANSACTION_UID, *_EMPTY_AT_FIRST):
        if tag.has_value(asked, empty):
            raise _invalid(empty, "must be empty when a work item is created")
    _check_values(asked)
    missing = {empty: vr for empty, vr in _EMPTY_WHEN_MISSING.items() if empty not in asked}
    attributes: dict[int, Element] = {one: element for one, element in asked.items() if one not in APART}
    attributes |= {empty: Element(vr=vr) for empty, vr in missing.items()}
    if not tag.has_value(asked, tag.WORKLIST_LABEL):
        attributes[tag.WORKLIST_LABEL] = tag.value("LO", DEFAULT_LABEL)
    return Created(attributes, bool(missing.keys() - _SILENTLY_EMPTY))


def attributes_to_set(workitem: Workitem, asked: Item) -> Item:
    """Return the attributes of a work item after an N-SET; a sequence is replaced as a whole (CC.2.6.2).

    Raises
    ------
    UpsRefused
        If an attribute may not be set, or not to this.
    """
    changes = {one: element for one, element in asked.items() if one not in APART}
    if not tag.has_value(changes, tag.WORKLIST_LABEL):
        changes.pop(tag.WORKLIST_LABEL, None)
    told = workitem.dataset()
    for one in NOT_SETTABLE & asked.keys():
        if asked[one] != told.get(one):
            raise _invalid(one, "may not be set; states change by Change UPS State")
    for one in _NOT_EMPTIED:
        if one in changes and not tag.has_value(changes, one):
            raise _invalid(one, "must have a value")
    _check_values(changes)
    for one in (tag.PROGRESS_INFORMATION_SEQUENCE, tag.PERFORMED_PROCEDURE_SEQUENCE):
        if one in changes and len(changes[one].items) > 1:
            raise _invalid(one, "has one item at most")
    return {**workitem.attributes, **changes}


def ensure_final(workitem: Workitem, to: State) -> None:
    """Refuse to end a work item whose attributes do not say how it ended (CC.2.5.1.1).

    Raises
    ------
    UpsRefused
        C304, with the first attribute that is missing.
    """
    for needed in _NEEDED_ALWAYS:
        if not tag.has_value(workitem.attributes, needed):
            raise _not_final(needed)
    if to is State.COMPLETED:
        performed = tag.first_item(workitem.attributes, tag.PERFORMED_PROCEDURE_SEQUENCE)
        if not performed:
            raise _not_final(tag.PERFORMED_PROCEDURE_SEQUENCE)
        for needed in _NEEDED_PERFORMED:
            if not tag.has_value(performed, needed):
                raise _not_final(needed)
        if tag.OUTPUT_INFORMATION_SEQUENCE not in performed:
            # Without relevant output it has no items, but it is there.
            raise _not_final(tag.OUTPUT_INFORMATION_SEQUENCE)
    if to is State.CANCELED:
        progress = tag.first_item(workitem.attributes, tag.PROGRESS_INFORMATION_SEQUENCE)
        if not tag.has_value(progress, tag.DISCONTINUATION_REASON_CODE_SEQUENCE):
            raise _not_final(tag.DISCONTINUATION_REASON_CODE_SEQUENCE)


def canceled_attributes(attributes: Item, now: datetime, said: Item | None = None) -> Item:
    """Return attributes with what CANCELED requires; a value that is there stays.

    Parameters
    ----------
    said : Item or None
        What the request to cancel gave as reasons and contact; with it, or an empty one, a reason is filled in too.
    """
    progress: dict[int, Element] = dict(tag.first_item(attributes, tag.PROGRESS_INFORMATION_SEQUENCE))
    if not tag.has_value(progress, tag.CANCELLATION_DATE_TIME):
        progress[tag.CANCELLATION_DATE_TIME] = tag.date_time(now)
    if said is not None:
        progress |= tag.picked(said, (tag.REASON_FOR_CANCELLATION, tag.DISCONTINUATION_REASON_CODE_SEQUENCE))
        if not tag.has_value(progress, tag.DISCONTINUATION_REASON_CODE_SEQUENCE):
            progress[tag.DISCONTINUATION_REASON_CODE_SEQUENCE] = tag.codes(UNSPECIFIED_REASON)
    return {**attributes, tag.PROGRESS_INFORMATION_SEQUENCE: tag.sequence(progress)}


def _check_values(asked: Item) -> None:
    for one, allowed in ((tag.PRIORITY, PRIORITIES), (tag.INPUT_READINESS_STATE, READINESS)):
        if tag.has_value(asked, one) and asked[one].text not in allowed:
            raise _invalid(one, f"is one of {', '.join(sorted(allowed))}")


def _missing(one: int) -> UpsRefused:
    return UpsRefused(Status.MISSING_ATTRIBUTE, f"{_name(one)} is missing", tag=one)


def _invalid(one: int, rule: str) -> UpsRefused:
    return UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, f"{_name(one)} {rule}", tag=one)


def _not_final(one: int) -> UpsRefused:
    return UpsRefused(Status.UPS_FINAL_STATE_REQUIREMENTS_NOT_MET, f"{_name(one)} is missing; set it first", tag=one)


def _name(one: int) -> str:
    return f"({one >> 16:04X},{one & 0xFFFF:04X})"
