"""Performed steps as scanners tell them: attribute lists of N-CREATE and N-SET, built with pydicom."""

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from pacs.archive.query_values import Item
from pacs.worklist.attribute_list import decode_attribute_list
from pacs.worklist.order import Order
from pacs.worklist.orders import scheduled_step_id

MPPS = "1.2.840.10008.3.1.2.3.3"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
MPPS_UID = "1.2.826.0.1.77.1"


def created(order: Order | None = None, **values: object) -> Dataset:
    """Return what a scanner creates a step with: for an order, or for nobody's."""
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 192"
    step.PatientName = "" if order is None else order.patient.name
    step.PatientID = "UNKNOWN-1" if order is None else order.patient.patient_id
    step.PatientBirthDate = ""
    step.PatientSex = ""
    step.ReferencedPatientSequence = []
    scheduled = Dataset()
    scheduled.StudyInstanceUID = "1.2.826.0.1.77.500" if order is None else order.study_instance_uid
    scheduled.ReferencedStudySequence = []
    scheduled.AccessionNumber = "" if order is None else order.accession_number
    scheduled.RequestedProcedureID = ""
    scheduled.ScheduledProcedureStepID = "" if order is None else scheduled_step_id(order.order_id)
    scheduled.ScheduledProcedureStepDescription = ""
    scheduled.ScheduledProtocolCodeSequence = []
    step.ScheduledStepAttributesSequence = [scheduled]
    step.PerformedProcedureStepID = "PPS1"
    step.PerformedStationAETitle = "CT1"
    step.PerformedStationName = ""
    step.PerformedLocation = ""
    step.PerformedProcedureStepStartDate = "20261120"
    step.PerformedProcedureStepStartTime = "220500"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.PerformedProcedureStepDescription = ""
    step.PerformedProcedureTypeDescription = ""
    step.ProcedureCodeSequence = []
    step.PerformedProcedureStepEndDate = ""
    step.PerformedProcedureStepEndTime = ""
    step.PerformedProcedureStepDiscontinuationReasonCodeSequence = []
    step.Modality = "CT"
    step.StudyID = "1"
    step.PerformedProtocolCodeSequence = []
    step.PerformedSeriesSequence = []
    for keyword, value in values.items():
        setattr(step, keyword, value)
    return step


def series(number: int, images: int, *, description: str = "") -> Dataset:
    """Return a performed series with so many images."""
    item = Dataset()
    item.PerformingPhysicianName = ""
    item.ProtocolName = "Stroke CT"
    item.OperatorsName = ""
    item.SeriesInstanceUID = f"1.2.826.0.1.77.500.{number}"
    item.SeriesDescription = description or f"Series {number}"
    item.RetrieveAETitle = ""
    item.ReferencedImageSequence = [image(f"1.2.826.0.1.77.500.{number}.{one}") for one in range(1, images + 1)]
    item.ReferencedNonImageCompositeSOPInstanceSequence = []
    return item


def image(uid: str) -> Dataset:
    """Return a reference to an image."""
    item = Dataset()
    item.ReferencedSOPClassUID = CT_IMAGE
    item.ReferencedSOPInstanceUID = uid
    return item


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a code."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def ended(status: str = "COMPLETED", *made: Dataset, **values: object) -> Dataset:
    """Return what a scanner ends a step with."""
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 192"
    step.PerformedProcedureStepStatus = status
    step.PerformedProcedureStepEndDate = "20261120"
    step.PerformedProcedureStepEndTime = "221200"
    step.PerformedSeriesSequence = list(made) or [series(1, 2), series(2, 3)]
    for keyword, value in values.items():
        setattr(step, keyword, value)
    return step


def written(dataset: Dataset) -> bytes:
    """Return a data set in explicit VR little endian."""
    into = DicomBytesIO()
    into.is_implicit_VR, into.is_little_endian = False, True
    write_dataset(into, dataset)
    return into.getvalue()


def item(dataset: Dataset) -> Item:
    """Return a data set as the service reads it."""
    return decode_attribute_list(written(dataset), EXPLICIT_LITTLE)
