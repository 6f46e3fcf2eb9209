"""A reading task as the attributes of a Unified Procedure Step: what goes where.

For: `territory.reading_tasks`. Not for: rows, or which attributes a standard wants of anybody
(`pacs.worklist.ups.requirements`).

Invariants: every attribute of type 1 and 2 is there (PS3.4 CC.2.5.3: what an SCP makes itself complies too); a person
is named by RPPS where they have one; a patient who is not certainly the case's is not named.

References
----------
PS3.4 Table CC.2.5-3; PS3.16 CID 9231 (workitems), CID 9300 (discontinuation reasons); IHE RAD RRR-WF
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from oncall.case.event import CaseId
from oncall.directory import Directory, PersonId
from oncall.reading.board import Urgency
from oncall.report_documents.person_name import as_pn
from oncall.report_documents.source import Subject
from oncall.tasks import Readiness, ReadingTask
from pacs.archive.query_values import Element, Item
from pacs.worklist.order import Code, Order
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups.model import PUSH, WorkitemUid
from pacs.worklist.ups.requirements import empty_attributes

WORKLIST_LABEL: Final = "ONCALL"
"""Of every reading task: the pool that one query asks for."""

INTERPRETATION: Final = Code(value="110005", scheme="DCM", meaning="Interpretation")
OURS: Final = "99TELEGARDE"
"""Coding Scheme Designator of ids of the directory and of this node."""
RPPS: Final = "RPPS"
"""Coding Scheme Designator of the French register of health professionals (1.2.250.1.71.4.2.1)."""

CANCELED_BY_CASE: Final = "the case was given to another reader, or its request was withdrawn"

_NAMESPACE: Final = uuid.UUID("0c5b1f3e-6a0d-5c62-8d0f-2f6b9c1e7a55")
_LONG_CODE_VALUE: Final = 0x00080119
_SHORT_CHARACTERS_MAX: Final = 16
_PRIORITIES: Final[Mapping[Urgency, str]] = MappingProxyType(
    {Urgency.P1: "HIGH", Urgency.P2: "MEDIUM", Urgency.P3: "LOW"}
)
_READINESS: Final[Mapping[Readiness, str]] = MappingProxyType(
    {Readiness.UNAVAILABLE: "UNAVAILABLE", Readiness.INCOMPLETE: "INCOMPLETE", Readiness.READY: "READY"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """What a task's attributes are made of beside the task.

    ``subject`` and ``order`` are None when they are not known, or not certainly the case's. ``outputs`` are items of
    Output Information Sequence.
    """

    directory: Directory
    node_aet: str
    subject: Subject | None = field(repr=False, default=None)
    order: Order | None = field(repr=False, default=None)
    outputs: tuple[Item, ...] = ()


def task_uid(case_id: CaseId, number: int) -> WorkitemUid:
    """Return the UID of a case's reading task: the same at every look, another for each number (PS3.5 B.2)."""
    return WorkitemUid(f"2.25.{uuid.uuid5(_NAMESPACE, f'{case_id}/{number}').int}")


def attributes_of(task: ReadingTask, around: Around) -> dict[int, Element]:
    """Return the scheduled attributes of a task, with its inputs by study."""
    studies = task.studies
    made = {
        **empty_attributes(),
        tag.PRIORITY: tag.value("CS", _PRIORITIES[task.urgency]),
        tag.PROCEDURE_STEP_LABEL: tag.value("LO", _label(task, around.directory)),
        tag.WORKLIST_LABEL: tag.value("LO", WORKLIST_LABEL),
        tag.SCHEDULED_WORKITEM_CODE_SEQUENCE: tag.codes(INTERPRETATION),
        tag.SCHEDULED_START: tag.date_time(task.begins_at),
        tag.INPUT_READINESS_STATE: tag.value("CS", _READINESS[task.readiness]),
        tag.SCHEDULED_HUMAN_PERFORMERS_SEQUENCE: tag.sequence(*performers(task.reader, around.directory)),
        tag.INPUT_INFORMATION_SEQUENCE: tag.sequence(
            *(_study_item(one.study_instance_uid, around.node_aet) for one in studies)
        ),
        tag.REFERENCED_REQUEST_SEQUENCE: tag.sequence(_request_item(task, around.order)),
        tag.STUDY_INSTANCE_UID: tag.value("UI", studies[0].study_instance_uid if studies else _planned_study(around)),
        **_patient(around.subject),
    }
    if task.due_at is not None:
        made[tag.EXPECTED_COMPLETION] = tag.date_time(task.due_at)
    if task.number > 1:
        made[tag.REPLACED_PROCEDURE_STEP_SEQUENCE] = tag.sequence(
            {
                tag.REFERENCED_SOP_CLASS_UID: tag.value("UI", PUSH),
                tag.REFERENCED_SOP_INSTANCE_UID: tag.value("UI", task_uid(task.case_id, task.number - 1)),
            }
        )
    return made


def performed_item(task: ReadingTask, around: Around, reported: Item) -> Item:
    """Return what was performed, with what the performer has reported of it."""
    station = Code(value=around.node_aet, scheme=OURS, meaning="Telegarde")
    made: dict[int, Element] = {
        tag.ACTUAL_HUMAN_PERFORMERS_SEQUENCE: tag.sequence(*performers(task.reader, around.directory)),
        tag.PERFORMED_STATION_NAME_CODE_SEQUENCE: tag.codes(station),
        tag.PERFORMED_WORKITEM_CODE_SEQUENCE: tag.codes(INTERPRETATION),
        tag.OUTPUT_INFORMATION_SEQUENCE: tag.sequence(*around.outputs),
    }
    if task.claimed_at is not None:
        made[tag.PERFORMED_START] = tag.date_time(task.claimed_at)
    if task.done_at is not None:
        made[tag.PERFORMED_END] = tag.date_time(task.done_at)
    said = {one: element for one, element in reported.items() if element.text or element.items}
    if around.outputs:
        said.pop(tag.OUTPUT_INFORMATION_SEQUENCE, None)
    return {**made, **said}


def performers(person_id: PersonId | None, directory: Directory) -> tuple[Item, ...]:
    """Return a person as an item of a human performers sequence; none for nobody."""
    if person_id is None:
        return ()
    person = directory.persons.get(person_id)
    name = person_id if person is None else person.name
    provider = None if person is None or person.provider_id is None else directory.providers.get(person.provider_id)
    return (
        {
            tag.HUMAN_PERFORMER_CODE_SEQUENCE: tag.sequence(_person_code(person_id, directory, name)),
            tag.HUMAN_PERFORMER_NAME: tag.value("PN", as_pn(name)),
            tag.HUMAN_PERFORMER_ORGANIZATION: tag.value("LO", "" if provider is None else provider.name[:64]),
        },
    )


def person_of(performer: Item, directory: Directory) -> PersonId | None:
    """Return whom an item of a human performers sequence names, by RPPS or by their id; None when nobody we know."""
    code = tag.first_item(performer, tag.HUMAN_PERFORMER_CODE_SEQUENCE)
    value = tag.text_of(code, tag.CODE_VALUE) or tag.text_of(code, _LONG_CODE_VALUE)
    if not value:
        return None
    by_rpps = [person.person_id for person in directory.persons.values() if person.rpps == value]
    if len(by_rpps) == 1:
        return by_rpps[0]
    return PersonId(value) if value in directory.persons else None


def _person_code(person_id: PersonId, directory: Directory, name: str) -> Item:
    person = directory.persons.get(person_id)
    rpps = None if person is None else person.rpps
    value, scheme = (rpps, RPPS) if rpps else (str(person_id), OURS)
    is_short = len(value) <= _SHORT_CHARACTERS_MAX
    return {
        (tag.CODE_VALUE if is_short else _LONG_CODE_VALUE): tag.value("SH" if is_short else "UC", value),
        tag.CODING_SCHEME_DESIGNATOR: tag.value("SH", scheme),
        tag.CODE_MEANING: tag.value("LO", name[:64]),
    }


def _label(task: ReadingTask, directory: Directory) -> str:
    site = directory.sites.get(task.site_id)
    where = task.site_id if site is None else site.name
    return " ".join(part for part in (task.modality, task.exam.value, where) if part)[:64]


def _study_item(study_instance_uid: str, node_aet: str) -> Item:
    return {
        tag.TYPE_OF_INSTANCES: tag.value("CS", "DICOM"),
        tag.STUDY_INSTANCE_UID: tag.value("UI", study_instance_uid),
        tag.DICOM_RETRIEVAL_SEQUENCE: tag.sequence({tag.RETRIEVE_AE_TITLE: tag.value("AE", node_aet)}),
    }


def _planned_study(around: Around) -> str:
    return "" if around.order is None else around.order.study_instance_uid


def _request_item(task: ReadingTask, order: Order | None) -> Item:
    study = task.studies[0].study_instance_uid if task.studies else ("" if order is None else order.study_instance_uid)
    item = {
        tag.STUDY_INSTANCE_UID: tag.value("UI", study),
        tag.ACCESSION_NUMBER: tag.value("SH", task.accession_number or (order.accession_number if order else "")),
        tag.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE: tag.sequence(),
        tag.ORDER_PLACER_IDENTIFIER_SEQUENCE: tag.sequence(),
        tag.ORDER_FILLER_IDENTIFIER_SEQUENCE: tag.sequence(),
        tag.REQUESTED_PROCEDURE_ID: tag.value("SH", task.request_id[:16]),
        tag.REQUESTED_PROCEDURE_DESCRIPTION: tag.value("LO", "" if order is None else order.description[:64]),
        tag.REQUESTED_PROCEDURE_CODE_SEQUENCE: tag.sequence(),
        tag.REQUESTING_PHYSICIAN: tag.value("PN", as_pn(task.requester) if task.requester else ""),
        tag.REQUESTING_SERVICE: tag.value("LO", "" if order is None else order.requesting_service[:64]),
    }
    if task.placer_order_number:
        item[tag.PLACER_ORDER_NUMBER] = tag.value("LO", task.placer_order_number)
    return item


def _patient(subject: Subject | None) -> dict[int, Element]:
    if subject is None:
        return {}
    birth = "" if subject.birth_date is None else f"{subject.birth_date:%Y%m%d}"
    return {
        tag.PATIENT_NAME: tag.value("PN", subject.name),
        tag.PATIENT_ID: tag.value("LO", subject.patient_id),
        tag.ISSUER_OF_PATIENT_ID: tag.value("LO", subject.issuer),
        tag.PATIENT_BIRTH_DATE: tag.value("DA", birth),
        tag.PATIENT_SEX: tag.value("CS", subject.sex),
    }
