"""What consoles were given and what was performed reaches the right case, once, whatever comes first or again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import Unavailable
from foundation.outbox import OutboxEvent
from oncall.case import commands as case_commands
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId
from oncall.case.regions import ProtocolState, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId
from oncall.engine.engine import Engine
from oncall.engine.in_force import EnginePolicy
from oncall.engine.ports import MemoryStore
from oncall.engine.protocols import CONSUMER
from oncall.protocol import commands
from oncall.protocol.performed import Performed
from pacs.contracts import TOPIC_INSTANCES_STORED, TOPIC_PERFORMED_STEP, TOPIC_WORKLIST_DELIVERED
from tests.harness.small_territory import at, engine, in_force, memory_store, request, run_until
from tests.unit.oncall.protocol.protocols import performed, protocol

CASE = CaseId("C1")
WHOLE = ("ABDO SANS IV", "ABDO ARTERIEL", "ABDO PORTAL")


@dataclass
class Console:
    """An engine, what the outbox states, and what was performed at the scanner."""

    store: MemoryStore = field(default_factory=memory_store)
    performed: Performed = field(default_factory=Performed)
    asked_for: list[tuple[tuple[StudyKey, ...], str]] = field(default_factory=list)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = self.another_engine()
        run_until(self.engine, at(5))
        self.engine.open_case(CASE, replace(request(), request_id="ORDER-1"), at(5))

    def another_engine(self) -> Engine:
        return engine(self.store, in_force())

    def __call__(self, studies: tuple[StudyKey, ...], order_id: str, /) -> Performed:
        self.asked_for.append((studies, order_id))
        return self.performed

    def send(self, minutes: float, name: str = "ct-mesenteric") -> None:
        def command(case: Case, context: Context) -> Facts:
            return commands.send(case, context, author=PersonId("anna"), protocol=protocol(name))

        self.engine.execute(CASE, command, at(minutes))

    def state(self, topic: str, payload: Mapping[str, Any]) -> None:
        self.store.stated.append(OutboxEvent(event_id=len(self.store.stated) + 1, topic=topic, payload=payload))

    def delivered(self, version: int, order_id: str = "ORDER-1") -> None:
        self.state(
            TOPIC_WORKLIST_DELIVERED,
            {"order_id": order_id, "site_id": "north", "protocol_version": version, "calling_aet": "CT1"},
        )

    def stepped(self, order_id: str = "ORDER-1") -> None:
        self.state(
            TOPIC_PERFORMED_STEP, {"mpps_uid": "1.2.77", "order_ids": [order_id], "study_instance_uids": ["1.2.500"]}
        )

    def take(self, minutes: float) -> Case:
        self.engine.take_protocol_news(at(minutes), self)
        return self.engine.case(CASE)

    def deviations(self) -> list[str]:
        events = self.store.events_of(CASE)
        found = [one for one in events if one.type == EventType.PROTOCOL_DEVIATION_DETECTED]
        return [one.fact.payload["deviation_id"] for one in found]


def test_a_version_that_a_console_was_given_is_delivered_to_it_by_name() -> None:
    console = Console()
    console.send(6)
    console.delivered(1)
    assert console.take(7).protocol.state is ProtocolState.DELIVERED
    assert console.store.events_of(CASE)[-1].fact.payload == {"version": 1, "aet": "CT1"}
    assert console.store.cursor(CONSUMER) == 1


def test_what_is_said_of_orders_without_a_case_or_protocol_changes_nothing() -> None:
    console = Console()
    console.delivered(0)
    console.delivered(1)
    console.delivered(1, order_id="OTHER")
    console.stepped("OTHER")
    before = console.engine.case(CASE)
    assert console.take(7) == before
    assert console.store.cursor(CONSUMER) == 4


def test_a_deviation_is_seen_while_the_patient_is_on_the_table_and_said_once() -> None:
    console = Console()
    console.send(6)
    console.performed = performed("ABDO SANS IV", "ABDO ARTERIEL", slice_mm=1.25, length_mm=200.0)
    console.stepped()
    console.take(7)
    console.stepped()
    case = console.take(8)

    assert console.deviations() == ["1:coverage_too_short:native", "1:coverage_too_short:arterial"]
    assert case.protocol.deviations_open == 2
    assert console.asked_for[0] == ((), "ORDER-1")


def test_images_of_the_cases_study_are_compared_as_they_arrive() -> None:
    console = Console()
    console.send(6, "ct-renal-colic")
    study = StudyKey("NORTH", "1.2.500")

    def arrive(case: Case, context: Context) -> Facts:
        return case_commands.receive_instances(case, study, context, received=40)

    console.engine.execute(CASE, arrive, at(7))
    console.performed = performed("ABDO PORTAL", slice_mm=3.0, kv=120.0)
    console.state(
        TOPIC_INSTANCES_STORED, {"issuer": "NORTH", "study_instance_uid": "1.2.500", "study_pk": 1, "series": []}
    )
    console.take(8)
    assert console.deviations() == ["1:contrast_unasked"]
    assert console.asked_for == [((study,), "ORDER-1")]


def test_what_was_never_acquired_is_missing_once_the_images_are_complete() -> None:
    console = Console()
    console.send(6)
    console.performed = performed(*WHOLE[:2])
    console.stepped()
    console.take(7)
    console.engine.compare_finished(at(8), console)
    assert console.deviations() == []
    console.engine.complete_images(CASE, at(9), rule="button")
    for _ in range(2):
        console.engine.compare_finished(at(10), console)
    later = console.another_engine()
    later.compare_finished(at(11), console)
    assert console.deviations() == ["1:phase_missing:portal"]


def test_an_exam_as_it_was_asked_for_says_nothing() -> None:
    console = Console()
    console.send(6)
    console.performed = performed(*WHOLE, is_over=True)
    console.stepped()
    console.take(7)
    console.engine.complete_images(CASE, at(9), rule="button")
    console.engine.compare_finished(at(10), console)
    assert console.deviations() == []


def test_what_could_not_be_looked_up_is_taken_again_later() -> None:
    console = Console()
    console.send(6)
    console.stepped()

    def away(studies: tuple[StudyKey, ...], order_id: str, /) -> Performed:
        raise Unavailable("the index does not answer")

    with pytest.raises(Unavailable):
        console.engine.take_protocol_news(at(7), away)
    assert console.store.cursor(CONSUMER) == 0
    console.performed = performed(*WHOLE[:2], is_over=True)
    console.take(8)
    assert console.deviations() == ["1:phase_missing:portal"]


def test_a_question_of_the_radiographer_pages_a_reader_until_it_is_answered() -> None:
    store = memory_store()
    runner = engine(store, replace(in_force(), engine=EnginePolicy(is_request_paged=True)))
    run_until(runner, at(5))
    runner.open_case(CASE, request(), at(5))
    chosen = protocol("ct-abdomen")
    runner.execute(CASE, lambda case, ctx: commands.send(case, ctx, author=PersonId("anna"), protocol=chosen), at(6))

    def pages() -> int:
        return len([one for one in store.messages.events if one.happened == "queued" and "/q" in one.message_key])

    before = pages()
    run_until(runner, at(8))
    assert pages() == before
    runner.execute(CASE, lambda case, ctx: commands.ask(case, ctx, question="24 G?", radiographer="M."), at(8))
    assert pages() == before + 1
    runner.execute(CASE, lambda case, ctx: commands.answer(case, ctx, reply="Yes", person_id=PersonId("anna")), at(9))
    after_answer = pages()
    run_until(runner, at(12))
    assert pages() == after_answer


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.sampled_from(["delivered1", "delivered2", "stepped", "send", "take", "complete", "compare", "restart"]),
        max_size=14,
    )
)
def test_whatever_comes_in_which_order_each_deviation_of_a_version_is_said_once(steps: list[str]) -> None:
    console, minutes = Console(), 6.0
    console.send(minutes)
    console.performed = performed(*WHOLE[:2], slice_mm=5.0)
    for step in steps:
        minutes += 1
        match step:
            case "delivered1" | "delivered2":
                console.delivered(int(step[-1]))
            case "stepped":
                console.stepped()
            case "send":
                console.send(minutes, "ct-mesenteric" if len(steps) % 2 else "ct-aorta")
            case "take":
                console.take(minutes)
            case "complete":
                console.engine.complete_images(CASE, at(minutes), rule="button")
            case "compare":
                console.engine.compare_finished(at(minutes), console)
            case "restart":
                console.engine = console.another_engine()
    console.take(minutes + 1)
    console.engine.compare_finished(at(minutes + 2), console)
    found, case = console.deviations(), console.engine.case(CASE)
    assert len(found) == len(set(found)) == case.protocol.deviations_open
    assert console.store.cursor(CONSUMER) == len(console.store.stated)
