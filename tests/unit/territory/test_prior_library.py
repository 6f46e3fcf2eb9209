"""Earlier exams are found in every hospital by who the patient is, never by name; ready is what can be read."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.clock import ManualClock
from foundation.database import Database
from oncall.case.regions import StudyKey
from oncall.priors.model import Laterality, PriorAnswer, PriorQuestion, Readiness, SamePerson
from oncall.reading.board import ExamKind
from pacs.worklist import identity, orders
from pacs.worklist.identity import PatientKey
from pacs.worklist.order import Ins, InsStatus, OrderPatient
from territory.order_facts import id_of_unidentified
from territory.prior_library import ArchivePriors
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.data_sets import image, text
from tests.harness.orders import NOW, order
from tests.harness.small_territory import directory

INS = Ins(matricule="248022900101234", oid="1.2.250.1.213.1.4.10", status=InsStatus.QUALIFIED)
OURS = PatientKey("NORTH", "N-1")
ORDER = replace(
    order(site_id="north", description="Genou gauche"),
    patient=OrderPatient(patient_id="N-1", issuer="NORTH", name="Durand^Zoe", birth_date="19500131", ins=INS),
)
QUESTION = PriorQuestion(order_id=ORDER.order_id, site_id="north")


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Iterator[Archive]:
    journal = tmp_path / "packs"
    journal.mkdir()
    with open_archive(database, journal) as opened:
        yield opened


def store(
    archive: Archive, number: int, *, patient_id: str, issuer: str, description: str = "SCANNER CEREBRAL"
) -> None:
    """Store a study of two images."""
    for one in (1, 2):
        archive.store(
            image(
                f"1.2.{number}.1.{one}",
                study_instance_uid=f"1.2.{number}",
                series_instance_uid=f"1.2.{number}.1",
                patient_id=patient_id,
                patient_name="Durand^Zoe",
                extra={
                    0x00080020: ("DA", text(f"202611{10 + number:02d}")),
                    0x00080030: ("TM", text("221500")),
                    0x00081030: ("LO", text(description)),
                },
                pixels=b"\0" * 2048,
            ),
            f"1.2.{number}.1.{one}",
            issuer=issuer,
        )


def library(archive: Archive) -> ArchivePriors:
    return ArchivePriors(archive.database, archive.packs, lambda _: directory(), ManualClock(NOW))


def place(archive: Archive) -> None:
    with archive.database.write(durable=True) as connection:
        orders.place(connection, ORDER, NOW)


def found(answer: PriorAnswer) -> dict[str, SamePerson]:
    return {one.study.study_instance_uid: one.same_person for one in answer.exams}


def test_earlier_studies_of_the_same_identifier_are_found_with_what_they_show(archive: Archive) -> None:
    place(archive)
    store(archive, 1, patient_id="N-1", issuer="NORTH")

    answer = library(archive).search(QUESTION)

    (prior,) = answer.exams
    assert prior.study == StudyKey("NORTH", "1.2.1")
    assert (prior.modalities, prior.exam, prior.instances) == (("CT",), ExamKind.HEAD, 2)
    assert prior.performed_at == datetime(2026, 11, 11, 21, 15, tzinfo=UTC)
    assert (prior.site_id, prior.same_person) == ("north", SamePerson.SAME_ID)
    assert answer.laterality is Laterality.LEFT


def test_the_same_number_or_name_of_another_hospital_is_another_patient(archive: Archive) -> None:
    place(archive)
    store(archive, 1, patient_id="N-1", issuer="SOUTH")
    store(archive, 2, patient_id="S-9", issuer="SOUTH")

    assert library(archive).search(QUESTION) == PriorAnswer(is_patient_known=True, exams=(), laterality=Laterality.LEFT)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(InsStatus.QUALIFIED, {"1.2.2": SamePerson.SAME_INS}), (InsStatus.VALIDATED, {})],
    ids=["qualified", "validated only"],
)
def test_an_equal_qualified_ins_finds_the_patient_in_another_hospital(
    archive: Archive, status: InsStatus, expected: dict[str, SamePerson]
) -> None:
    place(archive)
    store(archive, 2, patient_id="S-9", issuer="SOUTH")
    theirs = OrderPatient(patient_id="S-9", issuer="SOUTH", name="Durand^Zoe", ins=replace(INS, status=status))
    with archive.database.write(durable=True) as connection:
        identity.update_patient(connection, theirs, NOW)

    assert found(library(archive).search(QUESTION)) == expected


def test_patients_that_were_linked_are_found_until_they_are_parted(archive: Archive) -> None:
    place(archive)
    store(archive, 2, patient_id="S-9", issuer="SOUTH")
    look = library(archive)
    before = look.identities_version()
    with archive.database.write(durable=True) as connection:
        identity.link(connection, OURS, PatientKey("SOUTH", "S-9"), NOW)
    assert found(look.search(QUESTION)) == {"1.2.2": SamePerson.LINKED}
    linked = look.identities_version()
    assert linked > before

    with archive.database.write(durable=True) as connection:
        identity.unlink(connection, OURS, PatientKey("SOUTH", "S-9"), NOW)

    assert found(look.search(QUESTION)) == {}
    assert look.identities_version() > linked


def test_its_own_study_is_none_and_a_case_without_order_is_found_by_its_study(archive: Archive) -> None:
    store(archive, 1, patient_id="N-1", issuer="NORTH")
    store(archive, 2, patient_id="N-1", issuer="NORTH", description="THORAX")

    answer = library(archive).search(PriorQuestion(studies=(StudyKey("NORTH", "1.2.2"),), site_id="north"))

    assert found(answer) == {"1.2.1": SamePerson.SAME_ID}


def test_a_case_that_says_nothing_of_its_patient_has_unknown_priors(archive: Archive) -> None:
    look = library(archive)
    assert not look.search(PriorQuestion(order_id="nobody")).is_patient_known
    assert not look.search(PriorQuestion(studies=(StudyKey("NORTH", "1.2.99"),))).is_patient_known
    store(archive, 3, patient_id="", issuer="NORTH")
    assert not look.search(PriorQuestion(studies=(StudyKey("NORTH", "1.2.3"),))).is_patient_known


def test_an_identifier_that_was_made_up_for_an_unknown_patient_is_nobodys(archive: Archive) -> None:
    unidentified = replace(
        ORDER, patient=OrderPatient(patient_id=id_of_unidentified(ORDER.order_id), issuer="NORTH", name="X")
    )
    with archive.database.write(durable=True) as connection:
        orders.place(connection, unidentified, NOW)

    assert not library(archive).search(QUESTION).is_patient_known


def test_a_study_is_ready_when_the_bytes_of_each_instance_are_there(archive: Archive) -> None:
    store(archive, 1, patient_id="N-1", issuer="NORTH")
    look, study = library(archive), StudyKey("NORTH", "1.2.1")
    assert look.make_ready(study) == Readiness(instances=2, missing=0)
    assert look.make_ready(study).is_ready

    # As if the pack had gone to another tier, or a disk had lost its end.
    for path in archive.journal.glob("*.tar"):
        path.rename(path.with_suffix(".away"))
    gone = ArchivePriors(archive.database, archive.packs, lambda _: directory(), ManualClock(NOW))

    assert gone.make_ready(study) == Readiness(instances=2, missing=2)
    assert not gone.make_ready(study).is_ready
    assert not look.make_ready(StudyKey("SOUTH", "1.2.1")).is_ready
