"""Two engines whose clocks disagree and are set back and forth: every step is taken once, and nobody is forgotten.

A step of the clock is one of NTP or of a hand (up to an hour each way); a pause is a process that was stopped (up to
ten minutes) and goes on. Timers may be late or early by the clock's error, but each has one effect.
"""

from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.case.event import CaseId
from oncall.case.log import verify_chain
from oncall.engine.engine import Engine
from oncall.engine.ports import MemoryStore
from oncall.reading.board import Urgency
from oncall.timers import LEASE_S
from tests.harness.small_territory import BEGIN, END, at, engine, in_force, memory_store, ready_case

RULES = in_force()
CASES = ("C1", "C2")
clocks = st.sampled_from([0.0, 0.0, 0.5, -0.5, 30.0, -30.0, 3600.0, -3600.0])
turns = st.lists(
    # Whose turn it is, how much time really passed since the last, and how far its clock is off now.
    st.tuples(st.integers(0, 1), st.sampled_from([0.1, 1.0, LEASE_S, 45.0, 125.0, 600.0]), clocks),
    min_size=5,
    max_size=40,
)


def lived(story: list[tuple[int, float, float]]) -> tuple[MemoryStore, list[Engine]]:
    """Let both engines live through a story on one store."""
    store = memory_store()
    workers = [engine(store, RULES, worker=name) for name in ("one", "two")]
    for number, case_id in enumerate(CASES, start=1):
        ready_case(workers[0], case_id, at(1), urgency=Urgency(number))
    now = at(1)
    for place, passed_s, is_off_by_s in story:
        now += timedelta(seconds=passed_s)
        workers[place].run_due(max(BEGIN, now + timedelta(seconds=is_off_by_s)))
    return store, workers


@given(turns)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_whatever_clocks_say_each_step_is_taken_once_and_every_case_has_an_alarm(
    story: list[tuple[int, float, float]],
) -> None:
    store, _ = lived(story)

    runner = engine(store, RULES, worker="another")
    for case_id in map(CaseId, CASES):
        events = store.events_of(case_id)
        verify_chain(case_id, events)
        pages = Counter(one.fact.payload["message_key"] for one in events if one.type == "escalation.notified")
        steps = Counter(
            (one.fact.payload["chain_id"], one.fact.payload["step"], one.fact.payload["level"])
            for one in events
            if one.type == "escalation.started" and "step" in one.fact.payload
        )
        assert set(pages.values()) == {1}
        assert set(steps.values()) == {1}
        assert runner.case(case_id).is_open
        assert store.timers_of(case_id)
        assert runner.case(case_id).images.deadline_at == at(61)


@given(turns)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_when_clocks_are_right_again_somebody_at_the_hospital_is_alarmed_in_time(
    story: list[tuple[int, float, float]],
) -> None:
    store, workers = lived(story)
    # The last clock error is an hour at most: from an hour after the last turn on every timer is due by right clocks.
    last_turn = at(1) + timedelta(seconds=sum(passed_s for _, passed_s, _ in story))
    now = last_turn + timedelta(hours=1)

    while now < END:
        now += timedelta(minutes=1)
        workers[0].run_due(now)
        told = {
            one.fact.payload["person_id"] for one in store.events_of(CaseId("C1")) if one.type == "escalation.notified"
        }
        if "emma" in told:
            break

    assert now < last_turn + timedelta(hours=2)
