"""A request that waits: a reader on duty is found and paged until it is answered, and nobody after that."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from oncall.case import commands
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId
from oncall.case.regions import ReadingState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId
from oncall.engine.engine import Engine
from oncall.engine.in_force import EnginePolicy
from oncall.engine.ports import MemoryStore
from oncall.reading.board import Urgency
from tests.harness.small_territory import at, engine, in_force, memory_store, request, run_until

CASE = CaseId("C1")


def began(urgency: Urgency = Urgency.P2) -> tuple[Engine, MemoryStore]:
    store = memory_store()
    runner = engine(store, replace(in_force(), engine=EnginePolicy(is_request_paged=True)))
    run_until(runner, at(5))
    runner.open_case(CASE, request(urgency=urgency), at(5))
    return runner, store


def asked(store: MemoryStore) -> list[str]:
    """Return who was asked to answer the request, in order."""
    queued = [one for one in store.messages.events if one.happened == "queued" and "/q" in one.message_key]
    return [one.message_key.split("/")[3] for one in queued]


def wait(runner: Engine, minutes: float) -> None:
    run_until(runner, at(minutes))


def tell(runner: Engine, kind: EventType, minutes: float, **payload: object) -> None:
    def command(case: Case, context: Context) -> Facts:
        return commands.say(case, context, kind, **payload)

    runner.execute(CASE, command, at(minutes))


def protocol(runner: Engine, by: str, now: datetime) -> None:
    runner.execute(
        CASE,
        lambda case, context: commands.send_protocol(case, context, author=PersonId(by), protocol_id="ct-head"),
        now,
    )


def test_a_reader_on_duty_is_paged_when_a_request_comes_and_the_text_asks_for_an_answer() -> None:
    _, store = began()
    assert asked(store) == ["anna"]
    key = next(one.message_key for one in store.messages.events if "/q" in one.message_key)
    status = store.messages.status(key)
    assert status is not None
    assert status.message.text.startswith("DEMANDE P2")


def test_silence_brings_the_next_reader_then_those_above_them_and_then_the_hospital_knows() -> None:
    runner, store = began()
    wait(runner, 14)
    assert list(dict.fromkeys(asked(store))) == ["anna", "boris", "serge", "coline", "emma"]


@pytest.mark.parametrize("kind", ["protocol", "refusal", "question", "images"])
def test_whatever_answers_the_request_ends_its_pages(kind: str) -> None:
    runner, store = began()
    match kind:
        case "protocol":
            protocol(runner, "anna", at(6))
        case "refusal":
            runner.execute(CASE, lambda case, context: commands.refuse(case, context, motive="no indication"), at(6))
        case "question":
            tell(runner, EventType.REQUEST_CLARIFICATION_ASKED, 6, question="creatinine?")
        case _:
            runner.complete_images(CASE, at(6), rule="radiographer")
    before = asked(store)
    wait(runner, 30)
    assert asked(store) == before


def test_who_says_that_they_answer_is_asked_again_only_when_the_answer_is_overdue() -> None:
    runner, store = began()
    runner.acknowledge(CASE, PersonId("anna"), at(6))
    wait(runner, 14.9)
    assert asked(store) == ["anna"]
    # C1 is ten minutes: nobody counts on a promise after that.
    wait(runner, 16)
    assert asked(store)[1:] != []


def test_saying_that_one_answers_gives_nobody_the_case_to_read() -> None:
    runner, _ = began()
    case = runner.acknowledge(CASE, PersonId("anna"), at(6))
    assert case.reading.state is ReadingState.NONE
    assert case.reading.assigned_to is None


def test_who_declines_is_not_waited_for() -> None:
    runner, store = began()
    runner.decline(CASE, PersonId("anna"), at(6), reason="in an intervention")
    assert asked(store) == ["anna", "boris"]


def test_an_answered_question_asks_a_reader_again() -> None:
    runner, store = began()
    tell(runner, EventType.REQUEST_CLARIFICATION_ASKED, 6, question="creatinine?")
    tell(runner, EventType.REQUEST_CLARIFICATION_ANSWERED, 7, answer="80")
    assert asked(store) == ["anna", "anna"]


def test_a_stroke_is_answered_within_its_shorter_time() -> None:
    runner, store = began(Urgency.P1)
    run_until(runner, at(5) + timedelta(seconds=61))
    assert "boris" in asked(store)
