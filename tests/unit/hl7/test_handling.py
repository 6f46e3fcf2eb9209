"""What becomes of a hospital's messages: orders, exams, patients; and what is parked or rejected instead."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

import pacs.worklist.hl7.context_schema  # adds its tables to METADATA
import pacs.worklist.identity_schema  # adds its tables to METADATA
import pacs.worklist.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from foundation.outbox import outbox
from pacs.archive.schema import patient, study
from pacs.worklist import identity, orders
from pacs.worklist.hl7.complement_in import Product, complements_of
from pacs.worklist.hl7.message import Accepted, ErrorCode, Parked, Rejected
from pacs.worklist.hl7.order_context import find_context
from pacs.worklist.identity import PatientKey
from pacs.worklist.order import InsStatus, Order, OrderPriority, OrderState, order_id
from tests.harness.hospital_messages import (
    INS,
    NIGHT,
    OWN_ID,
    SENDER,
    Hospital,
    adt,
    emergency,
    flow_1,
    flow_2,
    flow_4,
    pid,
    plain_order,
)

REQUESTED = order_id("north", "OPN101")


@pytest.fixture
def hospital(database: Database) -> Hospital:
    return Hospital(database)


def order(database: Database, name: str = REQUESTED) -> Order:
    with database.read() as connection:
        found = orders.find(connection, orders.OrderId(name))
    assert found is not None
    return found


def told(database: Database) -> list[str]:
    with database.read() as connection:
        rows = connection.execute(select(outbox.c.topic, outbox.c.payload).order_by(outbox.c.event_id)).all()
    return [f"{row.topic} {json.loads(row.payload)['change']}" for row in rows]


def has_images(database: Database, study_instance_uid: str, patient_id: str, issuer: str, accession: str = "") -> None:
    with database.write() as connection:
        key = connection.execute(
            insert(patient).values(
                issuer=issuer,
                patient_id=patient_id,
                patient_name="",
                patient_name_key="",
                patient_birth_date="",
                patient_sex="",
            )
        ).inserted_primary_key
        assert key is not None
        connection.execute(
            insert(study).values(
                patient_pk=key[0], study_instance_uid=study_instance_uid, study_date="", study_time="",
                accession_number=accession, study_id="", study_description="", referring_physician_name="",
                referring_physician_name_key="",
            )
        )  # fmt: skip


def test_a_request_by_flow_1_is_an_order_with_everything_that_it_says(hospital: Hospital, database: Database) -> None:
    assert hospital.sends(flow_1()) == Accepted()

    placed = order(database)
    assert (placed.site_id, placed.placer_order_number, placed.modality) == ("north", "OPN101", "CT")
    assert (placed.patient.patient_id, placed.patient.issuer) == ("P1", "NORTH")
    assert (placed.patient.name, placed.patient.birth_date, placed.patient.sex) == (
        "PAT-TROIS^DOMINIQUE", "19790328", "F",
    )  # fmt: skip
    assert placed.patient.ins is not None
    assert placed.patient.ins.status is InsStatus.QUALIFIED
    assert (placed.patient.weight_kg, placed.patient.size_m, placed.patient.pregnancy_status) == (68.0, 1.7, 1)
    assert placed.patient.medical_alerts == "Fibrillation auriculaire"
    assert placed.reason == "Déficit brutal; Fibrillation auriculaire"
    assert placed.clinical_question == "Thrombolyse possible ?"
    assert placed.description == "CT tête et/ou cou côté droit"
    assert (placed.requester, placed.requester_rpps) == ("DR Adam MOREAU", "01234567897")
    assert placed.body_region is not None
    assert (placed.exam, placed.urgency, placed.priority) == ("head", "3", OrderPriority.ROUTINE)
    assert placed.accession_number
    assert placed.study_instance_uid
    assert told(database)[-1] == "order/1 placed"


def test_the_emergency_extension_says_how_urgent_since_when_and_until_when(
    hospital: Hospital, database: Database
) -> None:
    hospital.sends(flow_1(*emergency()))

    placed = order(database)
    assert (placed.exam, placed.urgency, placed.priority) == ("stroke", "1", OrderPriority.STAT)
    assert placed.onset_at == NIGHT - timedelta(minutes=75)
    assert placed.patient.medical_alerts == "creatinine 95 umol/L; anticoagulant: apixaban; Fibrillation auriculaire"
    with database.read() as connection:
        assert find_context(connection, REQUESTED).wanted_by == NIGHT + timedelta(minutes=75)


def test_a_request_that_is_sent_again_is_the_same_order_and_tells_nothing_new(
    hospital: Hospital, database: Database
) -> None:
    hospital.sends(flow_1())
    before = told(database)

    assert hospital.sends(flow_1(control_id="M9"), at=NIGHT + timedelta(minutes=5)) == Accepted()

    assert told(database) == before


def test_a_changed_order_is_updated_and_keeps_its_accession_number(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())
    number = order(database).accession_number

    hospital.sends(flow_1(*emergency(), control_id="M3", control="XO"))

    assert order(database).accession_number == number
    assert order(database).urgency == "1"
    assert told(database)[-1] == "order/1 updated"


def test_an_order_that_is_known_for_another_patient_is_parked_and_nothing_changes(
    hospital: Hospital, database: Database
) -> None:
    hospital.sends(flow_1())
    before = order(database)

    other = flow_1(control_id="M3", patient=pid(("P2^^^NORTH^PI",), "AUTRE^PERSONNE", "19500101"))
    outcome = hospital.sends(other)

    assert isinstance(outcome, Parked)
    assert outcome.reason == "patient_differs"
    assert (outcome.errors[0].segment, outcome.errors[0].field) == ("ORC", 2)
    assert order(database) == before


def test_an_identifier_that_was_given_to_another_person_is_parked(hospital: Hospital) -> None:
    hospital.sends(flow_1())

    outcome = hospital.sends(
        plain_order(control_id="M5", patient=pid((OWN_ID,), "DURAND^JEAN", "19500101", "M", reliability=""))
    )

    assert isinstance(outcome, Parked)
    assert outcome.reason == "identity_replaced"


@pytest.mark.parametrize("named_by", ["study", "accession"])
def test_an_order_for_images_of_another_patient_is_parked(
    hospital: Hospital, database: Database, named_by: str
) -> None:
    has_images(database, "1.2.3", "P9", "NORTH", "ACC1")
    more = ["ZDS|1.2.3^^Application^DICOM"] if named_by == "study" else []
    text = plain_order(more=more)
    if named_by == "accession":
        text = text.replace("||||||||CT|||", "||ACC1||||||CT|||")

    outcome = hospital.sends(text)

    assert isinstance(outcome, Parked)
    assert outcome.reason == "images_of_another_patient"


def test_an_order_for_the_patients_own_images_is_taken(hospital: Hospital, database: Database) -> None:
    has_images(database, "1.2.3", "P1", "NORTH")

    assert hospital.sends(plain_order(more=["ZDS|1.2.3^^Application^DICOM"])) == Accepted()


def test_a_routine_order_of_a_ris_is_on_the_worklist_and_no_emergency(hospital: Hospital, database: Database) -> None:
    hospital.sends(plain_order())

    placed = order(database, order_id("north", "4711"))
    assert (placed.priority, placed.urgency) == (OrderPriority.ROUTINE, "")
    assert placed.scheduled_at == NIGHT + timedelta(minutes=45)
    assert placed.procedure is not None
    assert placed.procedure.value == "TDMAB"


@pytest.mark.parametrize(("priority", "urgency"), [("S", "1"), ("A", "2"), ("T", "2"), ("R", "")])
def test_the_priority_of_an_order_says_how_urgent_it_is(
    hospital: Hospital, database: Database, priority: str, urgency: str
) -> None:
    hospital.sends(plain_order(priority=priority))

    assert order(database, order_id("north", "4711")).urgency == urgency


def test_a_cancellation_by_flow_2_takes_the_order_back_with_its_motive(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())

    assert hospital.sends(flow_2()) == Accepted()

    assert order(database).state is OrderState.CANCELLED
    with database.read() as connection:
        assert find_context(connection, REQUESTED).motive == "Patient transféré"


def test_what_runs_at_the_scanner_is_not_cancelled(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())
    with database.write(durable=True) as connection:
        orders.set_state(connection, REQUESTED, OrderState.IN_PROGRESS, NIGHT)

    outcome = hospital.sends(flow_2())

    assert isinstance(outcome, Rejected)
    assert outcome.errors[0].code is ErrorCode.RECORD_LOCKED
    assert order(database).state is OrderState.IN_PROGRESS


def test_who_cancels_must_name_the_orders_patient(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())

    outcome = hospital.sends(flow_2(patient=pid(("P2^^^NORTH^PI",), "AUTRE^PERSONNE", "19500101")))

    assert isinstance(outcome, Parked)
    assert order(database).state is OrderState.SCHEDULED


def test_an_order_that_nobody_placed_cannot_be_cancelled(hospital: Hospital) -> None:
    outcome = hospital.sends(flow_2())

    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.errors[0].code) == ("AE", ErrorCode.UNKNOWN_KEY_IDENTIFIER)


def test_one_hospital_does_not_reach_the_orders_of_another(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())
    other = replace(SENDER, site_id="south", issuer="SOUTH")

    outcome = hospital.sends(flow_2(), sender=other)

    assert isinstance(outcome, Rejected)
    assert order(database).state is OrderState.SCHEDULED


def test_flow_4_is_kept_and_tells_that_the_exam_is_done(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())

    images = "OBX|8|NM|NOMBRE_IMAGES^^TELEGARDE_URGENCE||412||||||F"
    assert hospital.sends(flow_4(images)) == Accepted()

    with database.read() as connection:
        (added,) = complements_of(connection, REQUESTED)
    assert added.study_instance_uid == "1.2.250.1.999.4.1"
    assert added.products == (Product(code="V09", lot="0123456789", quantity="80", unit="mL"),)
    assert (added.device_id, added.device_model, added.retention_days) == ("1234567896363", "Somatom", 730)
    assert added.viewer_url == "https://drimbox.example/?study"
    assert added.performed_at == NIGHT + timedelta(hours=4, minutes=59, seconds=18)
    assert order(database).expected_instances == 412
    assert told(database)[-1] == "order/1 performed"


def test_flow_4_that_is_sent_again_is_told_once(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())
    hospital.sends(flow_4())

    hospital.sends(flow_4(control_id="M8"))

    assert told(database).count("order/1 performed") == 1


def test_flow_4_for_images_of_another_patient_is_parked(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())
    has_images(database, "1.2.250.1.999.4.1", "P9", "NORTH")

    outcome = hospital.sends(flow_4())

    assert isinstance(outcome, Parked)
    assert "order/1 performed" not in told(database)


def test_patients_who_are_merged_take_their_open_orders_along(hospital: Hospital, database: Database) -> None:
    hospital.sends(plain_order())

    kept = pid(("P7^^^NORTH^PI",), "PAT-TROIS^DOMINIQUE", reliability="")
    assert hospital.sends(adt("A40", kept, "MRG|P1^^^NORTH^PI")) == Accepted()

    moved = order(database, order_id("north", "4711")).patient
    assert (moved.patient_id, moved.other_ids) == ("P7", (("P1", "NORTH"),))
    with database.read() as connection:
        assert identity.surviving(connection, "NORTH", "P1") == PatientKey("NORTH", "P7")
    assert told(database)[-2:] == ["order/1 updated", "patient_identity/1 merged"]


def test_a_merge_that_is_undone_gives_the_orders_back(hospital: Hospital, database: Database) -> None:
    hospital.sends(plain_order())
    kept = pid(("P7^^^NORTH^PI",), "PAT-TROIS^DOMINIQUE", reliability="")
    hospital.sends(adt("A40", kept, "MRG|P1^^^NORTH^PI"))

    assert hospital.sends(adt("A37", kept, pid((OWN_ID,), reliability=""), control_id="A2")) == Accepted()

    assert order(database, order_id("north", "4711")).patient.patient_id == "P1"
    with database.read() as connection:
        assert identity.surviving(connection, "NORTH", "P1") == PatientKey("NORTH", "P1")


def test_an_order_under_an_identifier_that_was_merged_away_is_the_surviving_patients(
    hospital: Hospital, database: Database
) -> None:
    hospital.sends(adt("A40", pid(("P7^^^NORTH^PI",), "PAT-TROIS^DOMINIQUE", reliability=""), "MRG|P1^^^NORTH^PI"))

    hospital.sends(plain_order())

    assert order(database, order_id("north", "4711")).patient.patient_id == "P7"
    assert hospital.sends(plain_order(control_id="M7")) == Accepted()


def test_patients_of_another_hospital_cannot_be_merged(hospital: Hospital) -> None:
    outcome = hospital.sends(adt("A40", pid(("P7^^^NORTH^PI",)), "MRG|P1^^^SOUTH^PI"))

    assert isinstance(outcome, Rejected)
    assert (outcome.errors[0].segment, outcome.errors[0].component) == ("MRG", 4)


def test_a_merge_of_two_persons_is_parked_and_changes_nothing(hospital: Hospital, database: Database) -> None:
    hospital.sends(plain_order())
    other = pid(("P7^^^NORTH^PI",), "DURAND^JEAN", "19500101", "M", reliability="")

    outcome = hospital.sends(adt("A40", other, "MRG|P1^^^NORTH^PI"))

    assert isinstance(outcome, Parked)
    assert outcome.reason == "two_persons"
    assert order(database, order_id("north", "4711")).patient.patient_id == "P1"


def test_a_corrected_name_is_on_the_open_orders(hospital: Hospital, database: Database) -> None:
    hospital.sends(plain_order())

    hospital.sends(adt("A08", pid((OWN_ID, INS), "PAT-TROIS^DOMINIQUE^^^^^L", "19790329")))

    corrected = order(database, order_id("north", "4711")).patient
    assert corrected.birth_date == "19790329"
    assert corrected.ins is not None


def test_an_ins_counts_no_longer_when_the_hospital_doubts_the_identity(hospital: Hospital, database: Database) -> None:
    hospital.sends(flow_1())

    hospital.sends(adt("A08", pid((OWN_ID,), reliability="DOUB")))

    with database.read() as connection:
        known = identity.find_patient(connection, PatientKey("NORTH", "P1"))
    assert known is not None
    assert known.ins is not None
    assert known.ins.status is InsStatus.PROVISIONAL


@pytest.mark.parametrize(
    ("kind", "code", "component"),
    [
        ("MDM^T02", ErrorCode.UNSUPPORTED_MESSAGE_TYPE, 1),
        ("ADT^A03", ErrorCode.UNSUPPORTED_EVENT_CODE, 2),
        ("ORM^O02", ErrorCode.UNSUPPORTED_EVENT_CODE, 2),
    ],
    ids=["message", "adt-event", "order-event"],
)
def test_what_is_not_taken_here_is_rejected_with_its_place(
    hospital: Hospital, kind: str, code: ErrorCode, component: int
) -> None:
    outcome = hospital.sends(flow_1().replace("ORM^O01^ORM_O01", kind))

    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.errors[0].code, outcome.errors[0].component) == ("AR", code, component)


def test_an_order_of_a_site_that_the_directory_does_not_know_is_rejected(hospital: Hospital) -> None:
    outcome = hospital.sends(flow_1(), sender=replace(SENDER, site_id="nowhere"))

    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.errors[0].segment) == ("AE", "MSH")


@pytest.mark.parametrize(
    ("was", "becomes", "segment", "field"),
    [
        ("ORC|NW|OPN101^^1.2.250.1.748.12345678.12^ISO", "ORC|NW|", "ORC", 2),
        ("ORC|NW", "ORC|ZZ", "ORC", 1),
        ("OBX|1|CE|MODALITE_IMAGERIE^^TLR_OBSERVATION||CT^Scanner^DCM||||||O\r", "", "OBR", 24),
        ("PID|||P1^^^NORTH&1.2.250.1.999.1&ISO^PI~" + INS, "PID|||", "PID", 3),
        ("PID|||P1^", f"PID|||{'X' * 65}^", "PID", 3),
    ],
    ids=["no-placer", "control", "no-modality", "no-patient", "long-id"],
)
def test_a_message_without_what_it_must_say_is_rejected_with_segment_and_field(
    hospital: Hospital, was: str, becomes: str, segment: str, field: int
) -> None:
    text = flow_1().replace(was, becomes)
    if segment == "ORC" and field == 2:
        text = text.replace("OBR||OPN101^^1.2.250.1.748.12345678.12^ISO", "OBR||")
    assert text != flow_1()

    outcome = hospital.sends(text)

    assert isinstance(outcome, Rejected)
    assert outcome.code == "AE"
    assert (segment, field) in {(one.segment, one.field) for one in outcome.errors}


def test_errors_never_hold_a_value_of_the_message(hospital: Hospital) -> None:
    outcome = hospital.sends(flow_1().replace("CT^Scanner^DCM", "SECRETSECRETSECRET^x^DCM"))

    assert isinstance(outcome, Rejected)
    assert "SECRET" not in repr(outcome)
