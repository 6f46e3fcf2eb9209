"""What scanners say of exams reaches the right case, once, whatever comes first."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.outbox import OutboxEvent
from oncall.case.commands import NewRequest
from oncall.case.event import CaseId
from oncall.case.regions import ExamState, StudyKey
from oncall.case.vocabulary import EventType
from oncall.engine.engine import Engine
from oncall.engine.exams import CONSUMER, ExamStep
from oncall.engine.ports import MemoryStore
from pacs.contracts import TOPIC_PERFORMED_STEP
from tests.harness.small_territory import at, engine, memory_store, request, run_until

CASE = CaseId("C1")
STUDY = StudyKey("NORTH", "1.2.500")
STEP = ExamStep(
    mpps_uid="1.2.77",
    site_id="north",
    aet="CT1",
    order_ids=("ORDER-1",),
    study_instance_uids=(STUDY.study_instance_uid,),
    began_at=at(6),
    ended_at=at(9),
)
DONE = replace(STEP, is_completed=True, expected=5, dose_mgy_cm=1043.5, ctdivol_mgy=51.3)
GIVEN_UP = replace(STEP, is_discontinued=True, reason="Patient refused")


@dataclass
class Scanner:
    """The steps as they stand, and what the outbox was told."""

    store: MemoryStore = field(default_factory=memory_store)
    steps: dict[str, ExamStep] = field(default_factory=dict)

    def says(self, step: ExamStep) -> None:
        self.steps[step.mpps_uid] = step
        number = len(self.store.stated) + 1
        self.store.stated.append(
            OutboxEvent(event_id=number, topic=TOPIC_PERFORMED_STEP, payload={"mpps_uid": step.mpps_uid})
        )

    def find(self, mpps_uid: str) -> ExamStep | None:
        return self.steps.get(mpps_uid)

    def of_study(self, study_instance_uid: str) -> Sequence[ExamStep]:
        return [one for one in self.steps.values() if study_instance_uid in one.study_instance_uids]


def ordered(**changes: object) -> NewRequest:
    return replace(request(), request_id="ORDER-1", **changes)  # type: ignore[arg-type]  # fields of a request


def began() -> tuple[Engine, Scanner]:
    scanner = Scanner()
    runner = engine(scanner.store)
    run_until(runner, at(5))
    runner.open_case(CASE, ordered(), at(5))
    return runner, scanner


def exam_events(scanner: Scanner, case_id: CaseId = CASE) -> list[str]:
    return [event.type for event in scanner.store.events_of(case_id) if event.type.startswith("exam.")]


def test_an_exam_begins_and_ends_in_the_case_of_its_order_with_its_dose_and_its_count() -> None:
    runner, scanner = began()
    scanner.says(STEP)
    runner.take_performed_steps(at(6.1), scanner)
    assert runner.case(CASE).acquisition.state is ExamState.STARTED
    scanner.says(DONE)
    runner.take_performed_steps(at(9.1), scanner)

    part = runner.case(CASE).acquisition
    assert part.state is ExamState.COMPLETED
    assert (part.started_at, part.ended_at, part.expected_instances) == (at(6), at(9), 5)
    (completed,) = [one for one in scanner.store.events_of(CASE) if one.type == EventType.EXAM_COMPLETED]
    assert completed.fact.payload == {
        "mpps_uid": "1.2.77",
        "aet": "CT1",
        "study_instance_uid": "1.2.500",
        "dose_mgy_cm": 1043.5,
        "ctdivol_mgy": 51.3,
        "expected": 5,
    }


def test_a_step_told_of_many_times_begins_once_and_ends_once() -> None:
    runner, scanner = began()
    for step in (STEP, STEP, DONE, DONE):
        scanner.says(step)
        runner.take_performed_steps(at(9.1), scanner)

    assert exam_events(scanner) == ["exam.started", "exam.completed"]
    assert scanner.store.cursor(CONSUMER) == 4


def test_a_step_that_is_over_before_we_look_begins_and_ends_at_once() -> None:
    runner, scanner = began()
    scanner.says(STEP)
    scanner.says(GIVEN_UP)
    runner.take_performed_steps(at(9.1), scanner)

    assert exam_events(scanner) == ["exam.started", "exam.discontinued"]
    assert runner.case(CASE).acquisition.state is ExamState.DISCONTINUED


def test_a_repeated_exam_after_one_that_was_given_up_is_an_exam_again() -> None:
    runner, scanner = began()
    for step in (GIVEN_UP, replace(DONE, mpps_uid="1.2.78", began_at=at(10), ended_at=at(12))):
        scanner.says(step)
        runner.take_performed_steps(at(12.1), scanner)

    part = runner.case(CASE).acquisition
    assert part.state is ExamState.COMPLETED
    assert len(part.steps) == 2


def test_a_step_of_another_hospital_or_of_another_patient_reaches_no_case() -> None:
    runner, scanner = began()
    scanner.says(replace(STEP, site_id="south"))
    scanner.says(replace(STEP, mpps_uid="1.2.78", is_of_another_patient=True))
    runner.take_performed_steps(at(9.1), scanner)

    assert exam_events(scanner) == []


def test_a_step_that_nobody_ordered_counts_when_a_case_has_its_study() -> None:
    runner, scanner = began()
    unordered = replace(DONE, order_ids=())
    scanner.says(unordered)
    runner.take_performed_steps(at(9.1), scanner)
    assert exam_events(scanner) == []

    link(runner)
    runner.take_performed_steps(at(9.3), scanner)

    assert exam_events(scanner) == ["exam.started", "exam.completed"]
    started = next(one for one in scanner.store.events_of(CASE) if one.type == EventType.EXAM_STARTED)
    assert started.fact.payload["is_unscheduled"] is True
    assert started.fact.payload["issuer"] == "NORTH"


def test_a_clock_that_is_a_day_wrong_is_not_believed() -> None:
    runner, scanner = began()
    scanner.says(replace(STEP, began_at=at(6) - timedelta(days=300)))
    runner.take_performed_steps(at(6.1), scanner)

    assert runner.case(CASE).acquisition.started_at == at(6.1)


def test_a_step_that_begins_after_now_began_when_it_was_heard_of() -> None:
    runner, scanner = began()
    scanner.says(replace(STEP, began_at=at(60)))
    runner.take_performed_steps(at(6.1), scanner)

    assert runner.case(CASE).acquisition.started_at == at(6.1)


def link(runner: Engine) -> None:
    """Give the study to the case, as the intake does."""
    runner.execute(
        CASE,
        lambda case, context: (
            context.fact(
                EventType.IMAGES_FIRST_INSTANCE,
                issuer=STUDY.issuer,
                study_instance_uid=STUDY.study_instance_uid,
                received=1,
                outbox_event_id=99,
            ),
        ),
        at(9.2),
    )


WHAT_HAPPENS = ("begins", "ends", "images")


@pytest.mark.parametrize("order", list(permutations(WHAT_HAPPENS)), ids=" ".join)
def test_the_order_of_step_and_images_makes_no_difference(order: tuple[str, ...]) -> None:
    runner, scanner = began()
    over = False
    for what in order:
        match what:
            case "images":
                link(runner)
            case "ends":
                over = True
                scanner.says(replace(DONE, order_ids=()))
            case _:
                # A late word of the beginning does not undo the end: the step is as it stands.
                scanner.says(replace(DONE if over else STEP, order_ids=()))
        runner.take_performed_steps(at(9.5), scanner)

    assert exam_events(scanner) == ["exam.started", "exam.completed"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["1.2.1", "1.2.2"]), st.sampled_from(["runs", "done", "given up"])), max_size=8)
)
def test_whatever_is_told_each_step_begins_once_and_ends_once(told: list[tuple[str, str]]) -> None:
    runner, scanner = began()
    steps = {"runs": STEP, "done": DONE, "given up": GIVEN_UP}
    for mpps_uid, what in told:
        known = scanner.steps.get(mpps_uid)
        is_over = known is not None and (known.is_completed or known.is_discontinued)
        scanner.says(known if known is not None and is_over else replace(steps[what], mpps_uid=mpps_uid))
        runner.take_performed_steps(at(9.5), scanner)

    by_step: dict[str, list[str]] = {}
    for event in scanner.store.events_of(CASE):
        if event.type.startswith("exam."):
            by_step.setdefault(event.fact.payload["mpps_uid"], []).append(event.type)
    for types in by_step.values():
        assert types[0] == "exam.started"
        assert len(types) <= 2


def test_a_statement_that_nobody_can_read_keeps_none_behind_it() -> None:
    runner, scanner = began()
    scanner.store.stated.append(OutboxEvent(event_id=1, topic=TOPIC_PERFORMED_STEP, payload={}))
    scanner.says(DONE)
    runner.take_performed_steps(at(9.1), scanner)

    assert exam_events(scanner) == ["exam.started", "exam.completed"]
    assert scanner.store.cursor(CONSUMER) == 2
