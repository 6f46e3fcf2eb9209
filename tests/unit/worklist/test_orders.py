"""Orders as they are kept: said twice they are one, none moves to another patient, and others hear of changes."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation import outbox
from foundation.database import Database, sqlite_url
from pacs.contracts import TOPIC_ORDER
from pacs.worklist import orders
from pacs.worklist.order import Order, OrderId, OrderPatient, OrderPriority, OrderState
from pacs.worklist.order_json import order_from_json, order_to_json
from pacs.worklist.orders import OrderChange
from tests.harness.orders import NOW, STROKE_PROTOCOL, full_order, order

LATER = NOW + timedelta(minutes=5)
EVERY_PAIR = list(itertools.product(OrderState, OrderState))
SHOULD_FOLLOW = {
    ("SCHEDULED", "IN PROGRESS"),
    ("SCHEDULED", "COMPLETED"),
    ("SCHEDULED", "DISCONTINUED"),
    ("SCHEDULED", "CANCELLED"),
    ("IN PROGRESS", "COMPLETED"),
    ("IN PROGRESS", "DISCONTINUED"),
    ("COMPLETED", "IN PROGRESS"),
    ("DISCONTINUED", "IN PROGRESS"),
    ("DISCONTINUED", "COMPLETED"),
    ("CANCELLED", "SCHEDULED"),
    ("CANCELLED", "IN PROGRESS"),
    ("CANCELLED", "COMPLETED"),
    ("CANCELLED", "DISCONTINUED"),
}


@pytest.fixture
def small_database(tmp_path: Path) -> Iterator[Database]:
    """A database for what has nothing to do with its kind."""
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    yield database
    database.close()


def place(database: Database, placed: Order) -> orders.Placed:
    with database.write(durable=True) as connection:
        return orders.place(connection, placed, NOW, source_message="MSG1")


def changes(database: Database) -> list[str]:
    with database.read() as connection:
        return [event.payload["change"] for event in outbox.read_after(connection, 0, topics=[TOPIC_ORDER])]


def found(database: Database, order_id: OrderId) -> Order:
    with database.read() as connection:
        known = orders.find(connection, order_id)
    assert known is not None
    return known


def test_an_order_comes_back_as_it_was_placed(database: Database) -> None:
    placed = place(database, full_order())

    assert placed.change is OrderChange.PLACED
    assert placed.order == full_order() == found(database, full_order().order_id)
    assert changes(database) == ["placed"]


def test_numbers_that_the_hospital_did_not_give_are_made_once_and_stay(small_database: Database) -> None:
    made = place(small_database, order()).order

    assert 0 < len(made.accession_number) <= 16
    assert made.study_instance_uid.startswith("2.25.")
    assert len(made.study_instance_uid) <= 64
    again = place(small_database, order(description="CT head and neck")).order
    assert (again.accession_number, again.study_instance_uid) == (made.accession_number, made.study_instance_uid)


def test_made_accession_numbers_of_many_orders_are_different() -> None:
    numbers = {orders.made_accession_number(order(number).order_id) for number in range(5000)}
    assert len(numbers) == 5000


def test_the_same_order_said_twice_changes_nothing_and_nobody_hears_of_it(database: Database) -> None:
    place(database, order())
    assert place(database, order()).change is OrderChange.UNCHANGED
    assert changes(database) == ["placed"]


def test_an_order_that_says_something_new_is_updated_but_keeps_state_and_protocol(database: Database) -> None:
    order_id = place(database, order()).order.order_id
    with database.write(durable=True) as connection:
        orders.set_state(connection, order_id, OrderState.IN_PROGRESS, NOW)
        orders.set_protocol(connection, order_id, STROKE_PROTOCOL, NOW)

    updated = place(database, order(reason="Aphasia", priority=OrderPriority.STAT))

    assert updated.change is OrderChange.UPDATED
    assert (updated.order.state, updated.order.protocol) == (OrderState.IN_PROGRESS, STROKE_PROTOCOL)
    assert found(database, order_id) == updated.order
    assert changes(database) == ["placed", "updated"]


@pytest.mark.parametrize(
    "other",
    [
        OrderPatient(patient_id="roanne-2", issuer="ROANNE", name="Durand1^Zoë", birth_date="19500131"),
        OrderPatient(patient_id="roanne-1", issuer="ST-ETIENNE", name="Durand1^Zoë", birth_date="19500131"),
        OrderPatient(patient_id="roanne-1", issuer="ROANNE", name="Martin^Paul", birth_date="19770707"),
    ],
    ids=["another Patient ID", "another issuer", "neither name nor birth date agree"],
)
def test_an_order_never_moves_to_another_patient(small_database: Database, other: OrderPatient) -> None:
    placed = place(small_database, order()).order

    with pytest.raises(orders.PatientDiffers):
        place(small_database, order(patient=other))

    assert found(small_database, placed.order_id) == placed
    assert changes(small_database) == ["placed"]


def test_a_corrected_name_alone_is_still_the_same_patient(small_database: Database) -> None:
    corrected = replace(order().patient, name="Durant^Zoé")
    place(small_database, order())
    assert place(small_database, order(patient=corrected)).order.patient == corrected


def test_a_cancelled_order_stays_so_and_says_it_once(database: Database) -> None:
    order_id = place(database, order()).order.order_id
    with database.write(durable=True) as connection:
        assert orders.cancel(connection, order_id, LATER).change is OrderChange.CANCELLED
        assert orders.cancel(connection, order_id, LATER).change is OrderChange.UNCHANGED

    assert place(database, order()).change is OrderChange.UNCHANGED
    with pytest.raises(orders.OrderClosed):
        place(database, order(reason="Fall"))
    assert changes(database) == ["placed", "cancelled"]


def test_an_order_whose_exam_runs_is_not_cancelled(small_database: Database) -> None:
    order_id = place(small_database, order()).order.order_id
    with small_database.write(durable=True) as connection:
        orders.set_state(connection, order_id, OrderState.IN_PROGRESS, LATER)
        with pytest.raises(orders.StateCannotFollow):
            orders.cancel(connection, order_id, LATER)
    assert found(small_database, order_id).state is OrderState.IN_PROGRESS


@pytest.mark.parametrize(("was", "wanted"), EVERY_PAIR, ids=[f"{was} to {wanted}" for was, wanted in EVERY_PAIR])
def test_each_state_is_followed_by_those_of_the_table_only(was: OrderState, wanted: OrderState) -> None:
    assert (wanted in orders.FOLLOWS[was]) is ((was.value, wanted.value) in SHOULD_FOLLOW)


def test_orders_that_nobody_placed_are_refused_by_name(small_database: Database) -> None:
    unknown = OrderId("0" * 32)
    with small_database.write(durable=True) as connection:
        for change in (
            lambda: orders.cancel(connection, unknown, NOW),
            lambda: orders.set_state(connection, unknown, OrderState.COMPLETED, NOW),
            lambda: orders.set_protocol(connection, unknown, STROKE_PROTOCOL, NOW),
            lambda: orders.change_patient(connection, unknown, order().patient, NOW),
        ):
            with pytest.raises(orders.OrderUnknown):
                change()


def test_an_older_protocol_never_replaces_a_newer_one(small_database: Database) -> None:
    order_id = place(small_database, order()).order.order_id
    second = replace(STROKE_PROTOCOL, version=2, title="CT stroke, plain only")
    with small_database.write(durable=True) as connection:
        orders.set_protocol(connection, order_id, second, NOW)
        orders.set_protocol(connection, order_id, STROKE_PROTOCOL, LATER)
    assert found(small_database, order_id).protocol == second


def test_what_a_hospital_says_is_done_is_told_with_its_number_of_images(small_database: Database) -> None:
    order_id = place(small_database, order()).order.order_id
    with small_database.write(durable=True) as connection:
        orders.tell_performed(connection, order_id, LATER, expected_instances=412)
    assert found(small_database, order_id).expected_instances == 412
    assert changes(small_database) == ["placed", "performed"]


def test_a_corrected_identity_is_written_and_told(database: Database) -> None:
    order_id = place(database, order()).order.order_id
    merged = replace(order().patient, patient_id="roanne-77")
    with database.write(durable=True) as connection:
        assert orders.change_patient(connection, order_id, merged, LATER).change is OrderChange.UPDATED
    with database.read() as connection:
        assert [known.order_id for known in orders.of_patient(connection, "ROANNE", "roanne-77")] == [order_id]
        assert orders.of_patient(connection, "ROANNE", "roanne-1") == ()
    assert changes(database) == ["placed", "updated"]


def test_an_identity_that_no_console_could_be_given_is_refused(small_database: Database) -> None:
    placed = place(small_database, order()).order
    with small_database.write(durable=True) as connection, pytest.raises(orders.OrderInvalid):
        orders.change_patient(connection, placed.order_id, replace(placed.patient, patient_id="x" * 65), LATER)
    assert found(small_database, placed.order_id) == placed


def test_orders_are_found_by_the_numbers_of_their_hospital_only(database: Database) -> None:
    roanne = place(database, order(1, accession_number="A1", study_instance_uid="1.2.3")).order
    place(database, order(1, site_id="feurs", accession_number="A1"))
    with database.read() as connection:
        assert orders.find_by_accession(connection, "ROANNE", "A1") == (roanne,)
        assert orders.find_by_accession(connection, "ROANNE", "") == ()
        assert orders.find_by_study(connection, "1.2.3") == (roanne,)
        assert orders.find_by_study(connection, "") == ()


def test_an_order_is_found_by_its_scheduled_step_in_its_own_hospital_only(database: Database) -> None:
    placed = place(database, order()).order
    step_id = orders.scheduled_step_id(placed.order_id)
    assert len(step_id) <= 16
    with database.read() as connection:
        assert orders.find_by_step(connection, "roanne", step_id) == placed
        assert orders.find_by_step(connection, "roanne", step_id.lower()) == placed
        assert orders.find_by_step(connection, "feurs", step_id) is None
        assert orders.find_by_step(connection, "roanne", step_id[:8]) is None
        assert orders.find_by_step(connection, "roanne", "") is None


@pytest.mark.parametrize("name", ["id", "accession", "step"])
def test_a_person_names_an_order_by_any_of_its_numbers(small_database: Database, name: str) -> None:
    placed = place(small_database, order(1, accession_number="A7")).order
    place(small_database, order(2, site_id="feurs", accession_number="A8"))
    step_id = orders.scheduled_step_id(placed.order_id)
    named = {"id": str(placed.order_id), "accession": "A7", "step": step_id}[name]
    with small_database.read() as connection:
        assert orders.meant_by(connection, named) == (placed,)
        assert orders.meant_by(connection, "") == ()
        assert orders.meant_by(connection, "A9") == ()


def test_all_hospitals_are_listed_one_after_the_other(small_database: Database) -> None:
    place(small_database, order(1, site_id="roanne"))
    place(small_database, order(2, site_id="feurs", scheduled_at=LATER))
    place(small_database, order(3, site_id="feurs", scheduled_at=LATER, priority=OrderPriority.HIGH))
    with small_database.read() as connection:
        listed = [(known.site_id, known.placer_order_number) for known in orders.open_everywhere(connection)]
    assert listed == [("feurs", "P3"), ("feurs", "P2"), ("roanne", "P1")]


def test_an_order_that_nobody_performed_for_a_week_leaves_the_list_and_a_change_brings_it_back(
    database: Database,
) -> None:
    place(database, order(1, scheduled_at=NOW - timedelta(days=8)))
    place(database, order(2, scheduled_at=NOW - timedelta(days=6)))
    with database.write(durable=True) as connection:
        assert orders.leave_worklist(connection, NOW) == 1
        assert orders.leave_worklist(connection, NOW) == 0
        assert [known.placer_order_number for known in orders.open_of_site(connection, "roanne")] == ["P2"]
    assert found(database, order(1).order_id).state is OrderState.SCHEDULED
    place(database, order(1, scheduled_at=NOW + timedelta(days=1)))
    with database.read() as connection:
        listed = [known.placer_order_number for known in orders.open_of_site(connection, "roanne")]
    assert listed == ["P2", "P1"]


def test_a_site_sees_its_open_orders_emergencies_first_then_by_time(database: Database) -> None:
    place(database, order(1, scheduled_at=NOW))
    place(database, order(2, scheduled_at=NOW - timedelta(hours=3)))
    place(database, order(3, scheduled_at=NOW + timedelta(hours=9), priority=OrderPriority.STAT))
    place(database, order(4, site_id="feurs"))
    done = place(database, order(5)).order
    with database.write(durable=True) as connection:
        orders.set_state(connection, done.order_id, OrderState.COMPLETED, NOW)
    with database.read() as connection:
        assert [known.placer_order_number for known in orders.open_of_site(connection, "roanne")] == ["P3", "P2", "P1"]


@pytest.mark.parametrize(
    "changed",
    [
        {"accession_number": "A" * 17},
        {"station_aet": "A\\B"},
        {"modality": ""},
        {"study_instance_uid": "1.2.x"},
        {"site_id": "s" * 65},
        {"patient": OrderPatient(patient_id="", issuer="ROANNE")},
        {"patient": OrderPatient(patient_id="a\nb", issuer="ROANNE")},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_no_console_could_be_given_is_refused_and_not_kept(
    small_database: Database, changed: dict[str, object]
) -> None:
    with pytest.raises(orders.OrderInvalid):
        place(small_database, order(**changed))
    assert changes(small_database) == []


TEXTS = st.text(max_size=20)


@given(reason=TEXTS, name=TEXTS, allergies=TEXTS, priority=st.sampled_from(OrderPriority), weight=st.floats(0, 400))
def test_every_order_comes_back_from_its_text(
    reason: str, name: str, allergies: str, priority: OrderPriority, weight: float
) -> None:
    patient = replace(full_order().patient, name=name, allergies=allergies, weight_kg=weight)
    written = replace(full_order(), reason=reason, patient=patient, priority=priority)
    assert order_from_json(order_to_json(written)) == written
    bare = replace(order(), reason=reason)
    assert order_from_json(order_to_json(bare)) == bare
