"""Orders under any sequence of what hospitals, scanners and radiologists do: a model says what is kept and told."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from foundation import outbox
from foundation.database import Database, sqlite_url
from pacs.contracts import TOPIC_ORDER
from pacs.worklist import orders
from pacs.worklist.order import Order, OrderId, OrderState
from pacs.worklist.orders import OrderChange
from tests.harness.orders import NOW, STROKE_PROTOCOL, order

NUMBERS = st.integers(1, 3)
REASONS = st.sampled_from(["Fall", "Aphasia"])
DONE = {OrderState.COMPLETED, OrderState.DISCONTINUED, OrderState.CANCELLED}


@dataclass
class Kept:
    """What the model knows of an order."""

    patient_id: str
    reason: str
    state: OrderState = OrderState.SCHEDULED
    version: int = 0


class Hospital(RuleBasedStateMachine):
    """One hospital with three orders."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._database = Database(sqlite_url(Path(self._directory.name) / "index.sqlite"))
        self._database.create_tables()
        self._kept: dict[int, Kept] = {}
        self._told: list[str] = []
        self._given: dict[int, tuple[str, str]] = {}

    def teardown(self) -> None:
        self._database.close()
        self._directory.cleanup()

    @rule(number=NUMBERS, reason=REASONS, is_another=st.booleans())
    def place(self, number: int, reason: str, *, is_another: bool) -> None:
        known = self._kept.get(number)
        patient_id = known.patient_id if known is not None else f"roanne-{number}"
        patient = replace(order(number).patient, patient_id="another" if is_another and known else patient_id)
        said = order(number, reason=reason, patient=patient)
        is_other_patient = known is not None and patient.patient_id != known.patient_id
        is_news_too_late = known is not None and known.state in DONE and known.reason != reason
        try:
            with self._database.write() as connection:
                placed = orders.place(connection, said, NOW)
        except orders.PatientDiffers:
            assert is_other_patient
        except orders.OrderClosed:
            assert is_news_too_late
        else:
            assert not is_other_patient
            assert not is_news_too_late
            self._note(number, known, reason, patient_id, placed)

    def _note(self, number: int, known: Kept | None, reason: str, patient_id: str, placed: orders.Placed) -> None:
        if known is None:
            assert placed.change is OrderChange.PLACED
            self._kept[number] = Kept(patient_id=patient_id, reason=reason)
            self._given[number] = (placed.order.accession_number, placed.order.study_instance_uid)
        else:
            is_news = known.reason != reason
            assert placed.change is (OrderChange.UPDATED if is_news else OrderChange.UNCHANGED)
            known.reason = reason
        if placed.change is not OrderChange.UNCHANGED:
            self._told.append(placed.change.value)

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        known = self._kept.get(number)
        try:
            with self._database.write() as connection:
                change = orders.cancel(connection, order(number).order_id, NOW).change
        except orders.OrderUnknown:
            assert known is None
        except orders.StateCannotFollow:
            assert known is not None
            assert known.state not in (OrderState.SCHEDULED, OrderState.CANCELLED)
        else:
            assert known is not None
            if change is OrderChange.CANCELLED:
                self._told.append("cancelled")
            known.state = OrderState.CANCELLED

    @rule(number=NUMBERS, state=st.sampled_from(OrderState))
    def perform(self, number: int, state: OrderState) -> None:
        known = self._kept.get(number)
        if known is None:
            return
        may_follow = state is known.state or state in orders.FOLLOWS[known.state]
        try:
            with self._database.write() as connection:
                orders.set_state(connection, order(number).order_id, state, NOW)
        except orders.StateCannotFollow:
            assert not may_follow
        else:
            assert may_follow
            known.state = state

    @rule(number=NUMBERS, version=st.integers(1, 4))
    def prescribe(self, number: int, version: int) -> None:
        known = self._kept.get(number)
        if known is None:
            return
        with self._database.write() as connection:
            orders.set_protocol(connection, order(number).order_id, replace(STROKE_PROTOCOL, version=version), NOW)
        known.version = max(known.version, version)

    @rule(number=NUMBERS)
    def correct_identity(self, number: int) -> None:
        known = self._kept.get(number)
        if known is None:
            return
        corrected = f"{known.patient_id}x"
        with self._database.write() as connection:
            patient = replace(order(number).patient, patient_id=corrected)
            orders.change_patient(connection, order(number).order_id, patient, NOW)
        known.patient_id = corrected
        self._told.append("updated")

    @invariant()
    def what_is_kept_is_what_was_said(self) -> None:
        with self._database.read() as connection:
            for number, known in self._kept.items():
                found = self._found(orders.find(connection, order(number).order_id))
                version = 0 if found.protocol is None else found.protocol.version
                assert (found.patient.patient_id, found.reason, found.state, version) == (
                    known.patient_id,
                    known.reason,
                    known.state,
                    known.version,
                )
                assert (found.accession_number, found.study_instance_uid) == self._given[number]
            listed = {known.order_id for known in orders.open_of_site(connection, "roanne")}
        wanted = {self._id(number) for number, known in self._kept.items() if known.state not in DONE}
        assert listed == wanted

    @invariant()
    def each_change_is_told_once_in_order(self) -> None:
        with self._database.read() as connection:
            events = outbox.read_after(connection, 0, topics=[TOPIC_ORDER])
        assert [event.payload["change"] for event in events] == self._told

    @staticmethod
    def _found(found: Order | None) -> Order:
        assert found is not None
        return found

    @staticmethod
    def _id(number: int) -> OrderId:
        return order(number).order_id


TestHospital = Hospital.TestCase
TestHospital.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
