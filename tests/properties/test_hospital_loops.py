"""Whatever people do and forget, a critical finding waits for a named person, and somebody is told while it waits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from foundation.errors import PeerError, Refused
from oncall.case import commands
from oncall.case.event import Actor, CaseId
from oncall.case.regions import CriticalState
from oncall.critical.calls import CallOutcome
from oncall.critical.loops import loops_of
from oncall.directory import PersonId
from oncall.engine.engine import Engine
from oncall.engine.paging import running_chain
from oncall.engine.watching import watch_key
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from tests.harness.small_territory import engine, in_force, memory_store, request, run_until

CASE: Final = CaseId("C1")
ANNA: Final = Actor(who="anna", role="read")
DESK: Final = Actor(who="desk-north", role="request")
IDS: Final = st.sampled_from(["f1", "f1", "f2"])
# An hour before clocks change in Paris, back and forward.
BEGINNINGS: Final = st.sampled_from(
    [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2027, 3, 28, 0, 30, tzinfo=UTC)]
)
NAMES: Final = st.sampled_from(["Dr Martin", "Dr Martin", "Dr Blanc", "anna", "Coline", " "])


class HospitalLoops(RuleBasedStateMachine):
    """One case, two findings, everything that may be said of them in any order."""

    runner: Engine

    @initialize(begins_at=BEGINNINGS)
    def begin(self, begins_at: datetime) -> None:
        self.now = begins_at
        self.store = memory_store()
        rules = in_force()
        around = Span(start=begins_at - timedelta(days=7), end=begins_at + timedelta(days=30))
        self.runner = engine(self.store, replace(rules, timeline=Timeline(rules.roster, rules.directory, around)))
        self.runner.open_case(CASE, request(), begins_at)
        sent = partial(commands.send_protocol, author=PersonId("anna"), protocol_id="p")
        self.runner.execute(CASE, sent, begins_at)

    def attempt(self, ask: partial[object]) -> bool:
        """Say something that may be refused; a refusal changes nothing."""
        before = len(self.store.log)
        try:
            ask()
        except (Refused, PeerError):
            assert len(self.store.log) == before
            return False
        return True

    @rule(critical_id=IDS, category=st.integers(1, 3), reason=st.sampled_from(["", "old blood"]))
    def declare(self, critical_id: str, category: int, reason: str) -> None:
        before = {one.critical_id: one for one in self.runner.case(CASE).criticals}.get(critical_id)
        is_said = self.attempt(
            partial(self.runner.declare_critical, CASE, self.now, actor=ANNA, critical_id=critical_id,
                    category=category, finding="subdural", reason=reason)
        )  # fmt: skip
        after = {one.critical_id: one for one in self.runner.case(CASE).criticals}.get(critical_id)
        if before is not None and is_said:
            assert after is not None
            assert after.category <= before.category
            assert (after.due_at or self.now) <= (before.due_at or self.now)

    @rule(critical_id=IDS, outcome=st.sampled_from(list(CallOutcome)))
    def call(self, critical_id: str, outcome: CallOutcome) -> None:
        states = [one.state for one in self.runner.case(CASE).criticals]
        self.attempt(
            partial(
                self.runner.call_attempt, CASE, critical_id, PersonId("emma"), self.now, actor=ANNA, outcome=outcome
            )
        )
        assert [one.state for one in self.runner.case(CASE).criticals] == states

    @rule(critical_id=IDS, who=NAMES)
    def tell(self, critical_id: str, who: str) -> None:
        self.attempt(
            partial(self.runner.communicate_critical, CASE, critical_id, self.now, actor=ANNA, recipient=who,
                    method="phone", read_back="subdural")
        )  # fmt: skip

    @rule(critical_id=IDS, who=NAMES, actor=st.sampled_from([ANNA, DESK]))
    def take_over(self, critical_id: str, who: str, actor: Actor) -> None:
        self.attempt(partial(self.runner.acknowledge_critical, CASE, critical_id, who, self.now, actor=actor))

    @rule(critical_id=IDS)
    def take_over_when_it_is_overdue(self, critical_id: str) -> None:
        self.wait(16)
        self.take_over(critical_id, "Dr Martin", DESK)

    @rule(critical_id=IDS, who=NAMES)
    def close_loop(self, critical_id: str, who: str) -> None:
        self.attempt(partial(self.runner.close_critical, CASE, critical_id, who, self.now, actor=DESK))

    @rule(reason=st.sampled_from(["", "tidy up"]))
    def close_case(self, reason: str) -> None:
        close = partial(commands.close, reason=reason)
        self.attempt(partial(self.runner.execute, CASE, close, self.now))

    @rule(who=st.sampled_from(["emma", "coline"]), is_yes=st.booleans())
    def answer_page(self, who: str, is_yes: bool) -> None:
        if is_yes:
            self.attempt(partial(self.runner.acknowledge, CASE, PersonId(who), self.now))
        else:
            self.attempt(partial(self.runner.decline, CASE, PersonId(who), self.now, reason="busy"))

    @rule(minutes=st.sampled_from([1, 5, 15, 16, 40, 241, 4 * 1440]))
    def wait(self, minutes: int) -> None:
        waiting = [loop for loop in loops_of(self.runner.case(CASE)) if loop.is_overdue(self.now)]
        paged = self.pages()
        self.now += timedelta(minutes=minutes)
        # Days pass in one leap: an engine that was away does one step of each thing.
        if minutes > 300:
            self.runner.run_due(self.now)
        run_until(self.runner, self.now)
        if waiting and minutes >= 4 * 1440:
            assert self.pages() > paged

    def pages(self) -> int:
        return sum(event.type == "escalation.notified" for event in self.store.events_of(CASE))

    @invariant()
    def nothing_is_closed_without_a_named_person_and_all_six_fields(self) -> None:
        for one in self.runner.case(CASE).criticals:
            if one.state in {CriticalState.ACKNOWLEDGED, CriticalState.CLOSED}:
                assert one.acknowledged_by in {"Dr Martin", "Dr Blanc"}
            if one.state is CriticalState.CLOSED:
                assert one.missing == ()
                assert one.closed_by.strip()

    @invariant()
    def what_waits_has_a_next_alarm_and_its_hospital_is_paged_when_it_is_overdue(self) -> None:
        case = self.runner.case(CASE)
        for loop in loops_of(case):
            chain_id = running_chain(case, loop.mark)
            if not loop.is_waiting:
                assert chain_id is None
                continue
            assert case.is_open
            watch = self.store.find_timer(watch_key(CASE))
            assert watch is not None
            assert watch.due_at > self.now - timedelta(seconds=1)
            assert chain_id is not None or watch.due_at <= max(loop.due_at, self.now + timedelta(seconds=1))


TestHospitalLoops = HospitalLoops.TestCase
TestHospitalLoops.settings = settings(max_examples=25, stateful_step_count=14, deadline=None)
