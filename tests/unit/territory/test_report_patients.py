"""Whose a report is: the identifier in use, the patient whom a person has settled, nobody while that is open."""

from pathlib import Path

import pytest
from sqlalchemy import insert

import pacs.worklist.identity_schema
import pacs.worklist.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database
from oncall.case import commands, commands_report
from oncall.case.commands import NewRequest
from oncall.case.event import Actor, CaseId
from oncall.case.regions import StudyKey
from oncall.delivery.documents import NotDescribed
from oncall.directory import PersonId, SiteId
from oncall.engine.sql_store import SqlStore
from oncall.reading.board import ExamKind, Urgency
from oncall.report.signing import Ed25519Keys
from oncall.report.version import SignedVersion
from oncall.report_documents.source import Subject
from pacs.archive.schema import patient, study
from pacs.worklist import identity, orders
from pacs.worklist.identity import PatientKey
from pacs.worklist.order import Ins, InsStatus, Order, OrderPatient, order_id
from territory.patient_keys import patient_key
from territory.report_facts import IndexFacts
from tests.harness import reports
from tests.harness.small_territory import at, directory, engine

SECRET = b"secret"
STUDY = StudyKey("NORTH", "1.2.3")
CASE, REQUESTED = CaseId("C1"), order_id("north", "1")
ANNA, COLINE = PersonId("anna"), Actor(who="coline", role="coordinator")


class Night:
    """A case of the patient ``P1``, whose images came under an identifier, with a signed report."""

    def __init__(self, database: Database, directory_: Path, *, images_of: str) -> None:
        self.database = database
        self.engine = engine(SqlStore(database))
        self.keys = Ed25519Keys(directory_)
        self.facts = IndexFacts(database, SECRET, lambda _: directory(), ManualClock(at(60)))
        self.files(images_of)
        ordered = OrderPatient(patient_id="P1", issuer="NORTH", name="DURAND^JEAN", birth_date="19500101", sex="M")
        order = Order(
            order_id=REQUESTED, site_id="north", patient=ordered, modality="CT", scheduled_at=at(0),
            placer_order_number="1",
        )  # fmt: skip
        with database.write(durable=True) as connection:
            orders.place(connection, order, at(0))
        asked = NewRequest(
            site_id=SiteId("north"), exam=ExamKind.HEAD, urgency=Urgency.P2, patient_key=key("P1"), request_id=REQUESTED
        )
        self.engine.open_case(CASE, asked, at(0))
        self.engine.execute(
            CASE, lambda case, context: commands.receive_instances(case, STUDY, context, received=1), at(5)
        )
        self.engine.complete_images(CASE, at(6), rule="quiet_period")

    def files(self, patient_id: str) -> None:
        with self.database.write() as connection:
            row = connection.execute(
                insert(patient).values(
                    issuer="NORTH",
                    patient_id=patient_id,
                    patient_name="TYPED^NAME",
                    patient_name_key="typed^name",
                    patient_birth_date="",
                    patient_sex="",
                )
            ).inserted_primary_key
            assert row is not None
            connection.execute(
                insert(study).values(
                    patient_pk=row[0], study_instance_uid=STUDY.study_instance_uid, study_date="", study_time="",
                    accession_number="", study_id="", study_description="", referring_physician_name="",
                    referring_physician_name_key="",
                )
            )  # fmt: skip

    def settle(self) -> None:
        self.engine.execute(
            CASE, lambda case, context: commands_report.block_identity(case, context, reason="differs"), at(6)
        )
        self.engine.settle_identity(CASE, key("P1"), at(7), actor=COLINE, reason="typed wrong")

    def sign(self) -> SignedVersion:
        self.engine.claim(CASE, ANNA, at(8), transaction_uid="1.2.9")
        return self.engine.sign_report(
            CASE, ANNA, reports.content(), at(20), signer_port=self.keys, transaction_uid="1.2.9"
        )

    def subject(self, signed: SignedVersion) -> Subject:
        return self.facts(signed)[0]


def key(patient_id: str) -> str:
    return patient_key(SECRET, "NORTH", patient_id)


def test_a_report_is_of_the_patient_of_its_images(database: Database, tmp_path: Path) -> None:
    night = Night(database, tmp_path, images_of="P1")

    subject = night.subject(night.sign())

    assert (subject.patient_id, subject.issuer, subject.name) == ("P1", "NORTH", "TYPED^NAME")


def test_a_report_of_images_of_another_patient_has_nobody_until_it_is_settled(
    database: Database, tmp_path: Path
) -> None:
    night = Night(database, tmp_path, images_of="P9")

    with pytest.raises(NotDescribed) as refused:
        night.subject(night.sign())

    assert refused.value.reason == "another_patient"


def test_a_report_goes_to_the_patient_whom_a_person_has_settled(database: Database, tmp_path: Path) -> None:
    night = Night(database, tmp_path, images_of="P9")
    night.settle()

    signed = night.sign()

    assert night.subject(signed).patient_id == "P1"
    assert night.subject(signed).name == "DURAND^JEAN"
    # The copy of the report in the archive puts the study under the right patient, too.
    night.files("P1")
    described, exam = night.facts(signed)
    assert (described.patient_id, len(exam.studies)) == ("P1", 1)


def test_a_study_under_two_patients_that_nobody_has_settled_is_nobodys(database: Database, tmp_path: Path) -> None:
    night = Night(database, tmp_path, images_of="P1")
    night.files("P9")

    with pytest.raises(NotDescribed) as refused:
        night.subject(night.sign())

    assert refused.value.reason == "two_patients"


def test_images_under_an_identifier_that_was_merged_away_are_the_surviving_patients(
    database: Database, tmp_path: Path
) -> None:
    night = Night(database, tmp_path, images_of="P0")
    ins = Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.8", status=InsStatus.QUALIFIED)
    with database.write(durable=True) as connection:
        said = OrderPatient(patient_id="P1", issuer="NORTH", name="DURAND^JEAN", ins=ins)
        identity.update_patient(connection, said, at(7))
        identity.merge(connection, PatientKey("NORTH", "P1"), PatientKey("NORTH", "P0"), at(7))

    subject = night.subject(night.sign())

    assert (subject.patient_id, subject.name) == ("P1", "DURAND^JEAN")
    assert subject.ins is not None
    assert subject.ins.matricule == "279035121518989"
