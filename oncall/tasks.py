"""A case as the reading task that a worklist shows: what there is to read, who should, by when, and how far it is.

For: whoever projects cases to work items (UPS). Not for: attributes of DICOM, or deciding anything: a task is what the
case says.

Invariants
----------
* A task's number is the case's `ReadingPart.work_item`: one that was claimed never comes back, the next replaces it.
* A task says who the people are by their ids and what was asked in the case's words; it names no patient.

Source: domain reference, section 1.1 (attributes that matter); PS3.4 CC.1.1 (states).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from oncall.case.event import CaseId
from oncall.case.regions import ImagesState, ReadingState, StudyKey
from oncall.case.state import Case
from oncall.directory import PersonId, SiteId
from oncall.reading.board import ExamKind, Urgency


class TaskState(StrEnum):
    """Where a reading task is: the four states of a work item."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Readiness(StrEnum):
    """Whether what is to be read is there."""

    UNAVAILABLE = "unavailable"
    INCOMPLETE = "incomplete"
    READY = "ready"


_STATES: Final[Mapping[ReadingState, TaskState]] = MappingProxyType(
    {
        ReadingState.NONE: TaskState.SCHEDULED,
        ReadingState.QUEUED: TaskState.SCHEDULED,
        ReadingState.ASSIGNED: TaskState.SCHEDULED,
        ReadingState.ACKNOWLEDGED: TaskState.SCHEDULED,
        ReadingState.CLAIMED: TaskState.IN_PROGRESS,
        ReadingState.PARKED: TaskState.IN_PROGRESS,
        ReadingState.DONE: TaskState.COMPLETED,
        ReadingState.CANCELLED: TaskState.CANCELED,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingTask:
    """The newest reading task of a case; those with smaller numbers have ended.

    Attributes
    ----------
    number : int
        From 1.
    transaction_uid : str
        Of the claim; '' when nobody has it.
    reader : PersonId or None
        Who has it, or should.
    due_at : datetime or None
        The hour's end, UTC; None while images are not complete.
    begins_at : datetime
        When there was something to do: the images complete, else the request, UTC.
    claimed_at, done_at : datetime or None
    """

    case_id: CaseId
    number: int
    state: TaskState
    site_id: SiteId
    exam: ExamKind
    urgency: Urgency
    modality: str
    readiness: Readiness
    transaction_uid: str
    reader: PersonId | None
    begins_at: datetime
    due_at: datetime | None
    claimed_at: datetime | None
    done_at: datetime | None
    studies: tuple[StudyKey, ...]
    request_id: str
    placer_order_number: str
    accession_number: str
    requester: str
    parked_reason: str


def task_of(case: Case) -> ReadingTask | None:
    """Return what a worklist shows of a case; None while nobody has asked for anything and no image has come."""
    request, images, reading = case.request, case.images, case.reading
    if request.submitted_at is None and images.first_at is None:
        return None
    return ReadingTask(
        case_id=case.case_id,
        number=reading.work_item,
        state=_STATES[reading.state],
        site_id=case.site_id,
        exam=case.exam,
        urgency=case.urgency,
        modality=request.modality,
        readiness=_readiness(images.state),
        transaction_uid=reading.transaction_uid,
        reader=reading.claimed_by or reading.assigned_to,
        begins_at=images.complete_at or request.submitted_at or case.opened_at,
        due_at=images.deadline_at,
        claimed_at=reading.claimed_at,
        done_at=reading.done_at,
        studies=images.studies,
        request_id=request.request_id,
        placer_order_number=request.placer_order_number,
        accession_number=request.accession_number,
        requester=request.requester,
        parked_reason=reading.parked_reason,
    )


def _readiness(state: ImagesState) -> Readiness:
    if state is ImagesState.NONE:
        return Readiness.UNAVAILABLE
    return Readiness.READY if state is ImagesState.COMPLETE else Readiness.INCOMPLETE
