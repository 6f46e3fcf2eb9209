"""Whose patients are one: merges, links, undoing, the INS; and what contradicts is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

import pacs.worklist.identity_schema
import pacs.worklist.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from foundation.outbox import outbox
from pacs.worklist import identity, orders
from pacs.worklist.identity import IdentityContradicts, Kind, PatientKey
from pacs.worklist.order import Ins, InsStatus, Order, OrderPatient, OrderState, order_id

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
A, B, C = (PatientKey("NORTH", one) for one in "ABC")
QUALIFIED = Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.8", status=InsStatus.QUALIFIED)


class Known:
    """What is said of patients, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.minutes = 0

    def say(self, what: object, *arguments: object, **named: object) -> object:
        self.minutes += 1
        now = NOW + timedelta(minutes=self.minutes)
        with self.database.write(durable=True) as connection:
            return what(connection, *arguments, now, **named)  # type: ignore[operator]

    def ask(self, what: object, *arguments: object) -> object:
        with self.database.read() as connection:
            return what(connection, *arguments)  # type: ignore[operator]

    def describe(self, key: PatientKey, name: str = "", birth_date: str = "", ins: Ins | None = None) -> None:
        patient = OrderPatient(patient_id=key.patient_id, issuer=key.issuer, name=name, birth_date=birth_date, ins=ins)
        self.say(identity.update_patient, patient)

    def order(self, key: PatientKey, number: str = "1") -> Order:
        patient = OrderPatient(patient_id=key.patient_id, issuer=key.issuer, name="X^Y", weight_kg=70.0)
        order = Order(
            order_id=order_id("north", number), site_id="north", patient=patient, modality="CT", scheduled_at=NOW,
            placer_order_number=number,
        )  # fmt: skip
        self.say(orders.place, order)
        return order

    def patient_of(self, order: Order) -> OrderPatient:
        found = self.ask(orders.find, order.order_id)
        assert isinstance(found, Order)
        return found.patient

    def surviving(self, key: PatientKey) -> object:
        return self.ask(identity.surviving, *key)

    def told(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(outbox)).scalar_one())


@pytest.fixture
def known(database: Database) -> Known:
    return Known(database)


def test_a_patient_is_themselves_until_somebody_says_otherwise(known: Known) -> None:
    assert known.surviving(A) == A
    assert known.ask(identity.same_person, *A) == (A,)


def test_merges_are_followed_to_the_one_who_stays(known: Known) -> None:
    known.say(identity.merge, B, A)
    known.say(identity.merge, C, B)

    assert known.surviving(A) == C
    assert set(known.ask(identity.same_person, *A)) == {A, B, C}  # type: ignore[call-overload]


def test_a_merge_that_is_said_again_changes_and_tells_nothing(known: Known) -> None:
    known.say(identity.merge, B, A)
    told = known.told()

    assert known.say(identity.merge, B, A) is None
    assert known.told() == told


def test_undoing_a_merge_parts_the_patients_and_can_itself_be_undone(known: Known) -> None:
    known.say(identity.merge, B, A)

    undone = known.say(identity.unlink, A, B)
    assert isinstance(undone, identity.IdentityChange)
    assert (undone.kind, undone.was_merged, undone.kept, undone.other) == (Kind.UNLINKED, True, B, A)
    assert known.surviving(A) == A

    known.say(identity.merge, B, A)
    assert known.surviving(A) == B
    assert len({change.change_id for change in known.ask(identity.changes_of, A)}) == 3  # type: ignore[attr-defined]


def test_a_link_joins_two_who_both_stay_in_use(known: Known) -> None:
    known.say(identity.link, A, B)

    assert known.surviving(A) == A
    assert set(known.ask(identity.same_person, *B)) == {A, B}  # type: ignore[call-overload]


def test_parting_who_was_never_joined_says_nothing(known: Known) -> None:
    assert known.say(identity.unlink, A, B) is None
    assert known.told() == 0


@pytest.mark.parametrize(
    ("before", "merge", "reason"),
    [
        ([], (A, A), "same_patient"),
        ([(B, A)], (A, B), "merge_in_a_circle"),
        ([(B, A), (C, B)], (A, C), "merge_in_a_circle"),
        ([(B, A)], (C, A), "merged_elsewhere"),
    ],
    ids=["itself", "back", "round", "twice"],
)
def test_a_merge_against_an_earlier_one_is_refused(
    known: Known, before: list[tuple[PatientKey, PatientKey]], merge: tuple[PatientKey, PatientKey], reason: str
) -> None:
    for kept, other in before:
        known.say(identity.merge, kept, other)
    told = known.told()

    with pytest.raises(IdentityContradicts) as refused:
        known.say(identity.merge, *merge)

    assert refused.value.reason == reason
    assert known.told() == told


def test_two_persons_are_not_merged_nor_two_national_identities(known: Known) -> None:
    known.describe(A, "DURAND^JEAN", "19500101")
    known.describe(B, "PETIT^ANNE", "19790328", QUALIFIED)
    known.describe(C, "DURAND^JEAN", "19500101", replace(QUALIFIED, matricule="279035121518988"))

    with pytest.raises(IdentityContradicts, match="neither name nor date of birth"):
        known.say(identity.merge, B, A)
    with pytest.raises(IdentityContradicts, match="not the same one"):
        known.say(identity.merge, B, C)


def test_a_corrected_name_does_not_stand_against_a_merge(known: Known) -> None:
    known.describe(A, "DURAND^JEAN", "19500101")
    known.describe(B, "DURANT^JEAN", "19500101")

    assert known.say(identity.merge, B, A) is not None


def test_open_orders_go_with_a_merge_and_come_back_as_they_were(known: Known) -> None:
    known.describe(B, "DURANT^JEAN", "19500101")
    order = known.order(A)
    known.say(identity.merge, B, A)

    moved = known.patient_of(order)
    assert (moved.patient_id, moved.name, moved.weight_kg, moved.other_ids) == (
        "B", "DURANT^JEAN", 70.0, (("A", "NORTH"),),
    )  # fmt: skip

    known.say(identity.unlink, B, A)
    assert known.patient_of(order) == order.patient


def test_an_order_that_was_changed_by_hand_after_a_merge_does_not_come_back(known: Known) -> None:
    order = known.order(A)
    known.say(identity.merge, B, A)
    known.say(orders.change_patient, order.order_id, replace(order.patient, patient_id="C"))

    known.say(identity.unlink, B, A)

    assert known.patient_of(order).patient_id == "C"


def test_what_is_done_stays_under_the_identifier_that_it_was_done_under(known: Known) -> None:
    order = known.order(A)
    known.say(orders.set_state, order.order_id, OrderState.COMPLETED)

    known.say(identity.merge, B, A)

    assert known.patient_of(order).patient_id == "A"


def test_two_hospitals_patients_are_one_only_by_the_same_qualified_ins(known: Known) -> None:
    elsewhere = PatientKey("SOUTH", "A")
    known.describe(A, "DURAND^JEAN", "19500101", QUALIFIED)
    known.describe(elsewhere, "DURAND^JEAN", "19500101", replace(QUALIFIED, status=InsStatus.RETRIEVED))
    assert known.ask(identity.same_person, *A) == (A,)

    known.describe(elsewhere, "DURAND^JEAN", "19500101", QUALIFIED)
    assert known.ask(identity.same_person, *A) == (A, elsewhere)


def test_what_is_not_said_again_stays_known_and_a_doubt_ends_the_ins(known: Known) -> None:
    known.describe(A, "DURAND^JEAN", "19500101", QUALIFIED)
    known.describe(A, "DURAND^JEAN")
    patient = known.ask(identity.find_patient, A)
    assert isinstance(patient, OrderPatient)
    assert (patient.birth_date, patient.ins) == ("19500101", QUALIFIED)

    change = known.say(identity.update_patient, OrderPatient(patient_id="A", issuer="NORTH"), is_doubted=True)

    assert isinstance(change, identity.IdentityChange)
    assert (change.status_before, change.status_after) == (InsStatus.QUALIFIED, InsStatus.PROVISIONAL)


def test_the_identifier_of_one_person_is_not_taken_by_another(known: Known) -> None:
    known.describe(A, "DURAND^JEAN", "19500101")

    with pytest.raises(IdentityContradicts) as refused:
        known.describe(A, "PETIT^ANNE", "19790328")

    assert refused.value.reason == "identity_replaced"


def test_every_change_can_be_asked_for_by_the_id_that_is_told(known: Known) -> None:
    change = known.say(identity.merge, B, A, source_message="M1")

    assert isinstance(change, identity.IdentityChange)
    assert known.ask(identity.find_change, change.change_id) == change
    assert known.ask(identity.find_change, "nothing") is None
