"""A signed report filed in the archive through its own port, and back by C-GET with DCMTK's getscu."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from oncall.case.event import CaseId
from oncall.delivery.channels.dicom import DicomWay
from oncall.delivery.channels.web import WebWay
from oncall.delivery.documents import DICOM_KINDS, DocumentKind, DocumentStore, find
from oncall.delivery.making import make
from oncall.delivery.model import DeliveryChannel
from oncall.delivery.worker import DeliveryWorker
from oncall.engine.engine import Engine
from oncall.engine.sql_store import SqlStore
from oncall.report.signing import Ed25519Keys
from oncall.report.version import SignedVersion
from pacs.scu.association import PeerAddress
from pacs.scu.part10 import read_meta
from territory.oncall_parts import IndexDescriber
from territory.patient_keys import patient_key
from territory.report_doors import ScuDoor
from territory.report_facts import IndexFacts
from tests.conformance.retrieve_node import AE_TITLE, running_node
from tests.harness import reports
from tests.harness.archive_parts import store_on
from tests.harness.data_sets import image
from tests.harness.deliveries import of_channel, states, statuses
from tests.harness.peers import LOOPBACK, run_client
from tests.harness.small_territory import at, directory, engine, request

CASE = CaseId("C1")
STUDY = "2.25.1"
NAME = "Müller-Ἀθηνᾶ^Zoë=山田^花子=やまだ^はなこ"
SECRET = b"round trip"


@dataclass(frozen=True, kw_only=True)
class Place:
    """An archive that is served, and a case of a study in it."""

    port: int
    database: Database
    engine: Engine
    keys: Path

    def deliver(self, minutes: float, name: str = "one") -> None:
        clock = ManualClock(at(minutes))
        facts = IndexFacts(self.database, SECRET, lambda _: directory(), clock)
        archive = PeerAddress(host=LOOPBACK, port=self.port, ae_title=AE_TITLE)
        ways = [WebWay(self.database), DicomWay(DeliveryChannel.ARCHIVE, ScuDoor(lambda _: archive, "TELEGARDE_CR"))]
        documents = DocumentStore(self.database, facts, make, clock)
        DeliveryWorker(self.database, ways, documents, clock, worker=name).drain()

    def sign(self) -> SignedVersion:
        reader = self.engine.case(CASE).reading.assigned_to
        assert reader is not None
        self.engine.claim(CASE, reader, at(6), transaction_uid="2.25.7")
        return self.engine.sign_report(
            CASE, reader, reports.content(), at(10), signer_port=Ed25519Keys(self.keys), transaction_uid="2.25.7"
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with running_node(tmp_path / "node") as node:
        stream = node.archive.ingest.open_stream()
        character_set = {0x00080005: ("CS", b"ISO_IR 192")}
        store_on(
            stream, image("2.25.3", study_instance_uid=STUDY, patient_name=NAME, extra=character_set), "2.25.3",
            issuer="NORTH",
        )  # fmt: skip
        stream.close()
        database = Database(sqlite_url(tmp_path / "node" / "index.sqlite"))
        runner = engine(SqlStore(database))
        asked = replace(request(), accession_number="A1", patient_key=patient_key(SECRET, "NORTH", "P1"))
        runner.open_case(CASE, asked, at(4))
        runner.take_outbox(at(5), IndexDescriber(database, SECRET))
        runner.complete_images(CASE, at(5), rule="radiographer")
        yield Place(port=node.port, database=database, engine=runner, keys=tmp_path / "keys")
        database.close()


def fetched(place: Place, directory: Path) -> dict[str, Path]:
    """Return the files that getscu gets of the study, by modality."""
    directory.mkdir()
    arguments = ["-S", "-aec", AE_TITLE, "-od", str(directory), "+B", LOOPBACK, str(place.port)]
    for key in ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}"):
        arguments += ["-k", key]
    done = run_client("getscu", arguments)
    assert done.returncode == 0, done.stderr
    return {pydicom.dcmread(path, stop_before_pixels=True).Modality: path for path in directory.iterdir()}


def test_the_documents_of_a_report_come_back_from_the_archive_byte_for_byte(place: Place, tmp_path: Path) -> None:
    place.sign()
    place.deliver(11)
    assert states(place.database, CASE)[1, "archive"] == "delivered"

    files = fetched(place, tmp_path / "received")

    assert set(files) == {"CT", "SR", "DOC", "KO"}
    with place.database.read() as connection:
        made = find(connection, CASE, 1)
    sent = {read_meta(made[kind]).sop_instance_uid: made[kind] for kind in DICOM_KINDS}
    for modality in ("SR", "DOC", "KO"):
        file = files[modality].read_bytes()
        meta = read_meta(file)
        original = sent[meta.sop_instance_uid]
        assert file[meta.dataset_offset :] == original[read_meta(original).dataset_offset :]
        dataset = pydicom.dcmread(files[modality])
        assert (dataset.PatientName, dataset.PatientID, dataset.StudyInstanceUID) == (NAME, "P1", STUDY)
    printed = pydicom.dcmread(files["DOC"]).EncapsulatedDocument
    assert bytes(printed).rstrip(b"\0") == made[DocumentKind.PDF].rstrip(b"\0")


def test_filing_again_keeps_each_document_once_and_is_no_late_image(place: Place, tmp_path: Path) -> None:
    place.sign()
    place.deliver(11)
    with place.database.write(durable=True) as connection:
        connection.exec_driver_sql("UPDATE oncall_delivery SET state = 'queued' WHERE channel = 'archive'")
    place.deliver(12, "two")
    place.engine.take_outbox(at(13), IndexDescriber(place.database, SECRET))

    assert states(place.database, CASE)[1, "archive"] == "delivered"
    with place.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT modality, number_of_series_related_instances FROM series").all()
    assert sorted(map(tuple, stored)) == [("CT", 1), ("DOC", 1), ("KO", 1), ("SR", 1)]
    assert place.engine.case(CASE).images.late_instances == 0


def test_no_document_is_made_while_the_case_is_of_another_patient_than_its_study(place: Place) -> None:
    place.sign()
    with place.database.write(durable=True) as connection:
        connection.exec_driver_sql("UPDATE patient SET patient_id = 'P2'")

    place.deliver(11)

    filed = of_channel(statuses(place.database, CASE), DeliveryChannel.ARCHIVE)
    assert (filed.state, filed.reason) == ("failed", "another_patient")
    assert states(place.database, CASE)[1, "web"] == "delivered"
