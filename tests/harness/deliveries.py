"""Deliveries to send: documents made of small texts, doors that keep what they were given, and a worker of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from foundation.clock import Clock
from foundation.database import Database
from oncall.case.event import CaseId
from oncall.delivery import queue
from oncall.delivery.channels.dicom import DicomWay
from oncall.delivery.channels.port import Way
from oncall.delivery.channels.web import WebWay
from oncall.delivery.documents import DICOM_KINDS, Described, DocumentKind, Documents, DocumentStore
from oncall.delivery.model import DeliveryChannel, DeliveryNews, DeliveryStatus
from oncall.delivery.worker import DeliveryWorker
from oncall.engine.deliveries import CONSUMER
from oncall.report.version import SignedVersion
from oncall.report_documents.dicom_header import part10
from oncall.report_documents.source import DocumentSource, ExamFacts, ExaminedStudy, Subject
from tests.harness.report_night import ReportNight
from tests.harness.small_territory import at

STUDY = "2.25.1"
"""Of the key image of `tests.harness.reports.content`."""


def describe(_: SignedVersion) -> Described:
    """Return a patient and an exam."""
    subject = Subject(name="Doe^Jane", patient_id="P1", issuer="NORTH", birth_date=date(1970, 1, 2), sex="F")
    studies = (ExaminedStudy(study_instance_uid=STUDY, modality="CT", accession_number="A1"),)
    return subject, ExamFacts(site_name="CH North", time_zone="Europe/Paris", studies=studies)


def small_documents(source: DocumentSource) -> Documents:
    """Return documents that say of what they are made, and cost nothing."""
    said = f"{source.version.case_id}/{source.version.version}/{source.subject.name}"
    texts = {kind: f"{kind.value} {said}".encode() for kind in DocumentKind}
    return texts | {kind: _small_instance(f"{kind.value} {said}") for kind in DICOM_KINDS}


def _small_instance(said: str) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid(entropy_srcs=[said])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", said])
    dataset.ImageComments = said
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return part10(dataset)


@dataclass
class KeepingDoor:
    """Keeps what it is given by its bytes, as an archive does; `failure` is what it answers instead, while set."""

    failure: str = ""
    kept: dict[bytes, int] = field(default_factory=dict)

    def store(self, address: str, instances: Sequence[bytes]) -> str:
        if not self.failure:
            for one in instances:
                self.kept[one] = self.kept.get(one, 0) + 1
        return self.failure


def worker(
    database: Database, clock: Clock, *more: Way, door: KeepingDoor | None = None, name: str = "one"
) -> DeliveryWorker:
    """Return a worker with the page, the archive, and more."""
    ways = [WebWay(database), DicomWay(DeliveryChannel.ARCHIVE, door or KeepingDoor()), *more]
    return DeliveryWorker(database, ways, DocumentStore(database, describe, small_documents, clock), clock, worker=name)


def states(database: Database, case_id: CaseId) -> dict[tuple[int, str], str]:
    """Return the state of each delivery of a case by version and channel."""
    found = {(one.delivery.version, one.delivery.channel.value): one.state.value for one in statuses(database, case_id)}
    assert len(found) == len(statuses(database, case_id)), "one delivery for each version and channel"
    return found


def statuses(database: Database, case_id: CaseId) -> tuple[DeliveryStatus, ...]:
    """Return all deliveries of a case."""
    with database.read() as connection:
        return queue.deliveries_of(connection, case_id)


def tell_case(night: ReportNight, database: Database, minutes: float) -> int:
    """Let the engine take the news of deliveries at a minute of the night; return how much it was."""

    def read() -> tuple[int, Sequence[DeliveryNews]]:
        with database.read() as connection:
            return queue.unread_news(connection, CONSUMER)

    return night.engine.take_delivery_news(at(minutes), read)


def of_channel(found: Iterable[DeliveryStatus], channel: DeliveryChannel, version: int = 1) -> DeliveryStatus:
    """Return the delivery of a version by a channel."""
    (one,) = [one for one in found if (one.delivery.channel, one.delivery.version) == (channel, version)]
    return one


def happened(database: Database, delivery_id: str) -> list[str]:
    """Return the record of a delivery, in words."""
    with database.read() as connection:
        return [one.happened for one in queue.record_of(connection, delivery_id)]
