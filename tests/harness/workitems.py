"""Work items as clients create, claim and finish them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from foundation.clock import ManualClock
from foundation.database import Database
from pacs.archive.query_values import Element, Item
from pacs.status import Status
from pacs.worklist.order import Code
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups import store
from pacs.worklist.ups.model import Caller, UpsRefused, Workitem
from pacs.worklist.ups.worklist import Worklist

NIGHT = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
UID = "1.2.826.0.1.3680043.10.1.1"
LOCK = "1.2.826.0.1.3680043.10.2.1"
OTHER_LOCK = "1.2.826.0.1.3680043.10.2.2"
READER = Caller(name="WORKSTATION", sites=None)
INTERPRETATION = Code(value="110005", scheme="DCM", meaning="Interpretation")
STATION = Code(value="WS1", scheme="99TEST", meaning="Workstation 1")


class NoTasks:
    """Where nobody owns tasks, as on a node without an on-call engine: what there is of them is only looked at."""

    def refresh(self, task: Workitem) -> None:
        del task

    def claim(self, task: Workitem, transaction_uid: str, caller: Caller) -> None:
        del task, transaction_uid, caller
        raise _nobody()

    def complete(self, task: Workitem, transaction_uid: str, caller: Caller) -> None:
        del task, transaction_uid, caller
        raise _nobody()

    def give_back(self, task: Workitem, transaction_uid: str, reason: str, caller: Caller) -> None:
        del task, transaction_uid, reason, caller
        raise _nobody()

    def withdraw(self, task: Workitem, reason: str, caller: Caller) -> None:
        del task, reason, caller
        raise _nobody()

    def assign(self, task: Workitem, performers: tuple[Item, ...], caller: Caller) -> None:
        del task, performers, caller
        raise _nobody()


def _nobody() -> UpsRefused:
    return UpsRefused(Status.NOT_AUTHORIZED, "the on-call engine does not run here, and the task is its own")


def new_step(**changes: str) -> dict[int, Element]:
    """Return a data set that creates a work item: every attribute of type 1 and 2."""
    step: dict[int, Element] = {
        tag.PROCEDURE_STEP_STATE: tag.value("CS", changes.get("state", "SCHEDULED")),
        tag.PRIORITY: tag.value("CS", changes.get("priority", "HIGH")),
        tag.PROCEDURE_STEP_LABEL: tag.value("LO", changes.get("label", "CT HEAD")),
        tag.WORKLIST_LABEL: tag.value("LO", changes.get("worklist", "NIGHT")),
        tag.SCHEDULED_START: tag.value("DT", "20261024230000+0000"),
        tag.EXPECTED_COMPLETION: tag.value("DT", changes.get("due", "20261025000000+0000")),
        tag.INPUT_READINESS_STATE: tag.value("CS", changes.get("readiness", "READY")),
        tag.SCHEDULED_WORKITEM_CODE_SEQUENCE: tag.codes(INTERPRETATION),
        tag.PATIENT_NAME: tag.value("PN", changes.get("name", "DUPONT^MARIE")),
        tag.PATIENT_ID: tag.value("LO", changes.get("patient_id", "IPP-1")),
        tag.PATIENT_BIRTH_DATE: tag.value("DA", "19500101"),
        tag.PATIENT_SEX: tag.value("CS", "F"),
        tag.COMMENTS_ON_STEP: tag.value("LT", ""),
        tag.ADMISSION_ID: tag.value("LO", ""),
        tag.ADMITTING_DIAGNOSES_DESCRIPTION: tag.value("LO", ""),
        tag.STUDY_INSTANCE_UID: tag.value("UI", "1.2.3.4"),
    }
    for empty in (
        tag.SCHEDULED_PROCESSING_PARAMETERS_SEQUENCE,
        tag.SCHEDULED_STATION_NAME_CODE_SEQUENCE,
        tag.SCHEDULED_STATION_CLASS_CODE_SEQUENCE,
        tag.SCHEDULED_STATION_LOCATION_CODE_SEQUENCE,
        tag.INPUT_INFORMATION_SEQUENCE,
        tag.OTHER_PATIENT_IDS_SEQUENCE,
        tag.ISSUER_OF_ADMISSION_ID_SEQUENCE,
        tag.ADMITTING_DIAGNOSES_CODE_SEQUENCE,
        tag.REFERENCED_REQUEST_SEQUENCE,
        tag.PROGRESS_INFORMATION_SEQUENCE,
        tag.PERFORMED_PROCEDURE_SEQUENCE,
    ):
        step[empty] = tag.sequence()
    return step


def performed() -> Item:
    """Return what a performer sets before COMPLETED."""
    item = {
        tag.PERFORMED_STATION_NAME_CODE_SEQUENCE: tag.codes(STATION),
        tag.PERFORMED_START: tag.value("DT", "20261024230500+0000"),
        tag.PERFORMED_END: tag.value("DT", "20261024233000+0000"),
        tag.PERFORMED_WORKITEM_CODE_SEQUENCE: tag.codes(INTERPRETATION),
        tag.OUTPUT_INFORMATION_SEQUENCE: tag.sequence(),
    }
    return {tag.PERFORMED_PROCEDURE_SEQUENCE: tag.sequence(item)}


def discontinued(reason: str = "scanner broken") -> Item:
    """Return what a performer sets before CANCELED."""
    code = Code(value="110501", scheme="DCM", meaning="Equipment failure")
    item = {
        tag.REASON_FOR_CANCELLATION: tag.value("LT", reason),
        tag.DISCONTINUATION_REASON_CODE_SEQUENCE: tag.codes(code),
    }
    return {tag.PROGRESS_INFORMATION_SEQUENCE: tag.sequence(item)}


def worklist(database: Database, clock: ManualClock | None = None) -> Worklist:
    """Return a worklist where nobody owns tasks."""
    return Worklist(database, clock or ManualClock(NIGHT), NoTasks())


def told(database: Database, aet: str) -> list[tuple[str, int, str]]:
    """Return what an AE was told: work item, event type, and the state if it is a state report."""
    with database.read() as connection:
        events = store.events_after(connection, [aet], 0, limit=1000)
    return [
        (event.workitem_uid, int(event.event_type), tag.text_of(event.information, tag.PROCEDURE_STEP_STATE))
        for event in events
    ]


@contextmanager
def refused(status: Status) -> Iterator[None]:
    """Assert that what is done inside is refused with a status."""
    with pytest.raises(UpsRefused) as found:
        yield
    assert found.value.status is status, f"{found.value.status:04X} {found.value}"
