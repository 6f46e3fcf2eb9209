"""Orders of hospitals in the engine: a case is opened, changed, withdrawn, told that its exam is done."""

from datetime import datetime, timedelta

import pytest

from foundation.outbox import OutboxEvent
from oncall.case import commands
from oncall.case.event import CaseId
from oncall.case.image_evidence import EvidenceKind
from oncall.case.regions import ExamState, IdentityState, ImagesState, RequestState, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import SiteId
from oncall.engine.engine import Engine
from oncall.engine.orders import FORM_S, OrderedExam, case_id_of
from oncall.engine.ports import MemoryStore
from oncall.reading.board import ExamKind, Urgency
from tests.harness.small_territory import at, engine, memory_store

ORDER = OrderedExam(
    order_id="o1", site_id=SiteId("north"), exam="head", urgency="2", patient_key="key-1", modality="CT",
    accession_number="ACC1", placer_order_number="OPN1", requester="Dr Moreau", source_message="M1",
)  # fmt: skip


class Orders:
    """What hospitals have ordered, and what was said of it; told to an engine by `take`."""

    def __init__(self) -> None:
        self.store: MemoryStore = memory_store()
        self.engine: Engine = engine(self.store)
        self.known: dict[str, OrderedExam] = {}

    def say(self, change: str, order: OrderedExam, when: datetime) -> None:
        self.known[order.order_id] = order
        number = len(self.store.stated) + 1
        payload = {"order_id": order.order_id, "site_id": order.site_id, "change": change}
        self.store.stated.append(
            OutboxEvent(event_id=number, topic="order/1", payload=payload, created_at_s=when.timestamp())
        )

    def take(self, now: datetime) -> int:
        return self.engine.take_orders(now, self.known.get)

    def case(self, order_id: str = "o1") -> Case:
        return self.engine.case(case_id_of(order_id))

    def types(self, case_id: CaseId | None = None) -> list[str]:
        return [event.type for event in self.store.events_of(case_id or case_id_of("o1"))]


def changed(order: OrderedExam, **fields: object) -> OrderedExam:
    return OrderedExam(**{**{name: getattr(order, name) for name in order.__slots__}, **fields})  # type: ignore[arg-type]


@pytest.fixture
def orders() -> Orders:
    return Orders()


def test_an_emergencys_order_opens_a_case_whose_clock_runs_from_when_it_was_placed(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))

    orders.take(at(7))

    case = orders.case()
    assert case.request.state is RequestState.SUBMITTED
    assert case.request.submitted_at == at(0)
    assert (case.request.request_id, case.request.accession_number, case.request.placer_order_number) == (
        "o1", "ACC1", "OPN1",
    )  # fmt: skip
    assert (case.site_id, case.exam, case.urgency, case.patient_key) == (
        "north", ExamKind.HEAD, Urgency.P2, "key-1",
    )  # fmt: skip
    submitted = orders.store.events_of(case.case_id)[0].fact
    assert (submitted.actor.who, submitted.actor.role, submitted.source_message) == ("north", "hospital", "M1")


def test_a_routine_order_opens_none(orders: Orders) -> None:
    orders.say("placed", changed(ORDER, urgency=""), at(0))

    assert orders.take(at(1)) == 1
    assert orders.engine.open_cases(at(1)) == []


def test_an_order_that_becomes_an_emergency_opens_its_case_then(orders: Orders) -> None:
    orders.say("placed", changed(ORDER, urgency=""), at(0))
    orders.say("updated", changed(ORDER, urgency="1"), at(5))

    orders.take(at(6))

    assert orders.case().urgency is Urgency.P1


def test_an_order_that_is_told_twice_is_one_case_and_one_request(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))
    orders.take(at(1))
    orders.say("placed", ORDER, at(2))
    orders.say("updated", ORDER, at(3))

    orders.take(at(4))

    assert len(orders.engine.open_cases(at(4))) == 1
    assert orders.types().count(EventType.REQUEST_SUBMITTED) == 1


def test_what_was_taken_is_not_taken_again_by_another_worker(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))
    orders.take(at(1))

    assert engine(orders.store, worker="two").take_orders(at(2), orders.known.get) == 0


def test_a_stroke_is_p1_whatever_was_asked_and_needs_a_neuroradiologist(orders: Orders) -> None:
    orders.say("placed", changed(ORDER, exam="stroke", urgency="3", onset_at=at(-60)), at(0))

    orders.take(at(1))

    case = orders.case()
    assert (case.urgency, case.needs.value, case.request.onset_at) == (Urgency.P1, "neuro", at(-60))


@pytest.mark.parametrize(
    ("words", "exam"),
    [(("Scanner thoracique",), ExamKind.CHEST), (("TDM du rocher",), ExamKind.ABDOMEN), ((), ExamKind.ABDOMEN)],
    ids=["named", "unknown", "nothing"],
)
def test_an_order_without_a_known_code_is_what_its_words_say_or_the_longest_read(
    orders: Orders, words: tuple[str, ...], exam: ExamKind
) -> None:
    orders.say("placed", changed(ORDER, exam="", words=words), at(0))

    orders.take(at(1))

    assert orders.case().exam is exam


def test_a_changed_order_says_what_is_new_and_never_less_urgent(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))
    orders.take(at(1))
    orders.say("updated", changed(ORDER, accession_number="ACC2", urgency="3"), at(2))

    orders.take(at(3))

    assert orders.case().request.accession_number == "ACC2"
    assert orders.case().urgency is Urgency.P2


def test_an_order_that_is_now_another_patients_blocks_the_identity(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))
    orders.take(at(1))
    orders.say("updated", changed(ORDER, patient_key="key-2"), at(2))

    orders.take(at(3))

    assert orders.case().identity.state is IdentityState.BLOCKED


def test_an_order_whose_patient_was_merged_follows_them(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))
    orders.take(at(1))
    merged = changed(ORDER, patient_key="key-2", former_patient_keys=frozenset({"key-1"}))
    orders.say("updated", merged, at(2))

    orders.take(at(3))

    identity = orders.case().identity
    assert (identity.state, identity.patient_key) == (IdentityState.KNOWN, "key-2")
    assert EventType.IDENTITY_MERGED in orders.types()


def test_a_qualified_ins_qualifies_the_cases_identity(orders: Orders) -> None:
    orders.say("placed", changed(ORDER, is_identity_qualified=True), at(0))

    orders.take(at(1))

    assert orders.case().identity.state is IdentityState.QUALIFIED


def test_an_order_that_is_taken_back_withdraws_its_request_with_the_motive(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))
    orders.take(at(1))
    orders.say("cancelled", changed(ORDER, is_cancelled=True, motive="Patient transféré"), at(2))

    orders.take(at(3))

    assert orders.case().request.state is RequestState.WITHDRAWN
    assert orders.case().is_closed
    withdrawn = next(e for e in orders.store.events_of(case_id_of("o1")) if e.type == EventType.REQUEST_WITHDRAWN)
    assert withdrawn.fact.payload["motive"] == "Patient transféré"


def test_an_order_that_was_taken_back_before_anybody_looked_opens_nothing(orders: Orders) -> None:
    gone = changed(ORDER, is_cancelled=True)
    orders.say("placed", gone, at(0))
    orders.say("cancelled", gone, at(1))

    assert orders.take(at(2)) == 2
    assert orders.engine.open_cases(at(2)) == []


def test_images_that_are_here_are_read_although_the_order_was_taken_back(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))
    orders.take(at(1))
    study = StudyKey("NORTH", "1.2.3")
    orders.engine.execute(
        case_id_of("o1"), lambda case, context: commands.receive_instances(case, study, context, received=10), at(2)
    )
    orders.say("cancelled", changed(ORDER, is_cancelled=True), at(3))

    orders.take(at(4))

    assert orders.case().is_open
    assert orders.case().images.state is ImagesState.ARRIVING
    assert EventType.ACTION_RECORDED in orders.types()


def test_an_exam_that_the_hospital_says_is_done_is_evidence_with_its_number_of_images(orders: Orders) -> None:
    orders.say("placed", ORDER, at(0))
    orders.take(at(1))
    done = changed(ORDER, performed=(StudyKey("NORTH", "1.2.3"),), expected_instances=412)
    orders.say("performed", done, at(30))

    orders.take(at(31))

    case = orders.case()
    assert case.acquisition.state is ExamState.COMPLETED
    (evidence,) = case.images.evidence
    assert (evidence.kind, evidence.count, evidence.studies, evidence.at) == (
        EvidenceKind.EXAM_COMPLEMENT, 412, ("1.2.3",), at(30),
    )  # fmt: skip


def test_a_wished_time_brings_the_target_nearer_and_leaves_the_urgency(orders: Orders) -> None:
    orders.say("placed", changed(ORDER, wanted_by=at(40)), at(0))

    orders.take(at(1))

    assert orders.case().images.target_at == at(40)
    assert orders.case().urgency is Urgency.P2


def test_the_form_opens_the_case_of_its_own_order(orders: Orders) -> None:
    orders.say("placed", changed(ORDER, is_web=True), at(0))

    assert orders.take(at(0) + timedelta(seconds=FORM_S / 2)) == 0
    assert orders.engine.open_cases(at(1)) == []


def test_an_order_whose_form_died_has_its_case_all_the_same(orders: Orders) -> None:
    orders.say("placed", changed(ORDER, is_web=True), at(0))

    assert orders.take(at(0) + timedelta(seconds=FORM_S)) == 1
    assert orders.case().request.submitted_at == at(0)


def test_an_order_that_cannot_be_taken_holds_up_no_other(orders: Orders) -> None:
    orders.say("placed", changed(ORDER, order_id="o0", site_id=SiteId("nowhere")), at(0))
    orders.say("placed", ORDER, at(1))

    assert orders.take(at(2)) == 2
    assert [case.case_id for case in orders.engine.open_cases(at(2))] == ["order-o1"]
