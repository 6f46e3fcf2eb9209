"""Writes what cases say as work items: the follower behind the case log, and the same on demand.

For: keeping the rows of `pacs.worklist.ups` equal to the cases. Not for: requests about them
(`territory.task_owner`).

Invariants
----------
* A work item of a case is what the case says, whoever looks when; what its performer reports of progress and results is
  kept beside that, until it ends.
* A final state is never left: a case that is read again has another work item, which names the one that it replaces.
* A patient is named only when the case's opaque key was made of them.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from io import BytesIO
from typing import Final

from pydicom import dcmread
from sqlalchemy import Connection, select

from foundation import log
from foundation.database import Database
from oncall.case.event import Event
from oncall.case.state import Case
from oncall.directory import Directory
from oncall.report_documents.source import Subject
from oncall.schema import oncall_report_document
from oncall.tasks import ReadingTask, TaskState, task_of
from pacs.archive.query_values import Item
from pacs.archive.schema import instance, series
from pacs.worklist import orders
from pacs.worklist.order import Code, Order, OrderId
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups import store
from pacs.worklist.ups.model import State, Workitem
from pacs.worklist.ups.requirements import canceled_attributes
from territory.case_subjects import IndexSubjects
from territory.patient_keys import patient_key
from territory.reading_task_attributes import (
    CANCELED_BY_CASE,
    Around,
    attributes_of,
    performed_item,
    task_uid,
)

NAME: Final = "territory.reading_tasks"

_STATES: Final = {
    TaskState.SCHEDULED: State.SCHEDULED,
    TaskState.IN_PROGRESS: State.IN_PROGRESS,
    TaskState.COMPLETED: State.COMPLETED,
    TaskState.CANCELED: State.CANCELED,
}
_REPORTED: Final = (tag.PROGRESS_INFORMATION_SEQUENCE, tag.PERFORMED_PROCEDURE_SEQUENCE)
# CID 9300, Procedure Discontinuation Reasons.
_DISCONTINUED: Final = Code(value="110513", scheme="DCM", meaning="Discontinued for unspecified reason")


class ReadingTaskProjection:
    """Writes the work items of cases; a `oncall.followers.Follower`.

    Parameters
    ----------
    database : Database
        With the archive's index, orders and cases.
    secret : bytes
        What patients' keys are made with on this node.
    read_directory : callable
        Returns the directory in force at an instant.
    node_aet : str
        Where the inputs are retrieved.
    """

    def __init__(
        self, database: Database, secret: bytes, read_directory: Callable[[datetime], Directory], *, node_aet: str
    ) -> None:
        self._subjects = IndexSubjects(database, secret)
        self._secret = secret
        self._read_directory = read_directory
        self._node_aet = node_aet

    @property
    def name(self) -> str:
        """The consumer whose cursor this is."""
        return NAME

    def follow(self, connection: Connection, case: Case, events: Sequence[Event], now: datetime) -> None:
        """Write the work items of a case as it is now."""
        del events
        self.write(connection, case, now)

    def write(self, connection: Connection, case: Case, now: datetime) -> None:
        """Write the work items of a case, inside a durable transaction in which the case was read; safe to repeat."""
        task = task_of(case)
        if task is None:
            return
        known = {workitem.uid: workitem for workitem in store.of_owner(connection, case.case_id)}
        uid = task_uid(case.case_id, task.number)
        for workitem in known.values():
            if workitem.uid != uid and not workitem.state.is_final:
                _cancel(connection, workitem, now)
        before = known.get(uid)
        if before is None and (task.state is TaskState.CANCELED or store.is_gone(connection, uid)):
            return
        if before is None and _is_long_done(task, now):
            return
        if before is not None and _leads_back(before.state, _STATES[task.state]):
            log.error("workitem_left_behind", state=before.state.value)
            return
        around = self._around(connection, case, now)
        after = _after(before, task, around, now)
        store.record(connection, before, after, now)

    def _around(self, connection: Connection, case: Case, now: datetime) -> Around:
        request_id = case.request.request_id
        order = orders.find(connection, OrderId(request_id)) if request_id else None
        subject = self._subjects(case) or self._ordered(case, order)
        return Around(
            directory=self._read_directory(now),
            node_aet=self._node_aet,
            subject=subject,
            order=order,
            outputs=_outputs(connection, case, self._node_aet),
        )

    def _ordered(self, case: Case, order: Order | None) -> Subject | None:
        if order is None or not case.patient_key:
            return None
        patient = order.patient
        if patient_key(self._secret, patient.issuer, patient.patient_id) != case.patient_key:
            return None
        return Subject(
            name=patient.name,
            patient_id=patient.patient_id,
            issuer=patient.issuer,
            birth_date=_date(patient.birth_date),
            sex=patient.sex,
        )


def _leads_back(was: State, to: State) -> bool:
    """Say whether no work item goes this way (PS3.4 CC.1.1), whatever somebody believes that the case says."""
    return (was.is_final and to is not was) or (was is State.IN_PROGRESS and to is State.SCHEDULED)


def _is_long_done(task: ReadingTask, now: datetime) -> bool:
    """What was read before this node showed work items, and would be removed at once, is not shown."""
    return task.done_at is not None and task.done_at < now - store.FINAL_KEPT_FOR


def _after(before: Workitem | None, task: ReadingTask, around: Around, now: datetime) -> Workitem:
    state = _STATES[task.state]
    attributes = attributes_of(task, around)
    if before is not None:
        attributes |= tag.picked(before.attributes, _REPORTED)
    if state is State.COMPLETED:
        reported = tag.first_item(attributes, tag.PERFORMED_PROCEDURE_SEQUENCE)
        attributes[tag.PERFORMED_PROCEDURE_SEQUENCE] = tag.sequence(performed_item(task, around, reported))
    if state is State.CANCELED:
        attributes = dict(_canceled(attributes, now))
    base = before or Workitem(
        uid=task_uid(task.case_id, task.number),
        state=State.SCHEDULED,
        site_id=task.site_id,
        owner=task.case_id,
        created_at=now,
        changed_at=now,
    )
    changed = base.with_attributes(attributes, now)
    if state is base.state and task.transaction_uid == base.transaction_uid:
        return changed
    return changed.moved(state, now, transaction_uid=task.transaction_uid or base.transaction_uid)


def _cancel(connection: Connection, workitem: Workitem, now: datetime) -> None:
    after = workitem.with_attributes(_canceled(workitem.attributes, now), now)
    store.record(connection, workitem, after.moved(State.CANCELED, now), now)


def _canceled(attributes: Item, now: datetime) -> Item:
    """Fill in what CANCELED requires; what the performer said of why stays."""
    said = tag.first_item(attributes, tag.PROGRESS_INFORMATION_SEQUENCE)
    reason = {
        tag.REASON_FOR_CANCELLATION: tag.value("LT", CANCELED_BY_CASE),
        tag.DISCONTINUATION_REASON_CODE_SEQUENCE: tag.codes(_DISCONTINUED),
    }
    missing = {one: element for one, element in reason.items() if not tag.has_value(said, one)}
    return canceled_attributes(attributes, now, missing)


def _outputs(connection: Connection, case: Case, node_aet: str) -> tuple[Item, ...]:
    """Return the newest version's structured report as an output, once it is in the archive."""
    if not case.report.versions:
        return ()
    column = oncall_report_document.c
    body = connection.execute(
        select(column.body)
        .where(
            column.case_id == case.case_id,
            column.version == case.report.versions[-1].version,
            column.kind == "structured_report",
        )
        .order_by(column.made_at_us.desc())
        .limit(1)
    ).scalar()
    if body is None:
        return ()
    header = dcmread(BytesIO(body), stop_before_pixels=True)
    stored = select(instance.c.sop_class_uid).join(series, series.c.series_pk == instance.c.series_pk)
    stored = stored.where(
        series.c.series_instance_uid == str(header.SeriesInstanceUID),
        instance.c.sop_instance_uid == str(header.SOPInstanceUID),
    )
    if connection.execute(stored.limit(1)).scalar() is None:
        return ()
    reference = {
        tag.REFERENCED_SOP_CLASS_UID: tag.value("UI", str(header.SOPClassUID)),
        tag.REFERENCED_SOP_INSTANCE_UID: tag.value("UI", str(header.SOPInstanceUID)),
    }
    return (
        {
            tag.TYPE_OF_INSTANCES: tag.value("CS", "DICOM"),
            tag.STUDY_INSTANCE_UID: tag.value("UI", str(header.StudyInstanceUID)),
            tag.SERIES_INSTANCE_UID: tag.value("UI", str(header.SeriesInstanceUID)),
            tag.REFERENCED_SOP_SEQUENCE: tag.sequence(reference),
            tag.DICOM_RETRIEVAL_SEQUENCE: tag.sequence({tag.RETRIEVE_AE_TITLE: tag.value("AE", node_aet)}),
        },
    )


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007  # a calendar day has no zone
    except ValueError:
        return None
