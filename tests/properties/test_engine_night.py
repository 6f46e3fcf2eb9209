"""Whatever happens in a night, on a virtual clock: no case is without an alarm, no answer is lost, silence has a cause.

Invariants 1, 2, 4, 6, 7, 8 and 9 of the domain reference, section 4.4, over the whole engine; and 5: the same
happenings give the same log, whether one engine lived through them or a new one was started before each.
"""

import itertools
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from foundation.errors import Refused
from oncall.case import commands
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId
from oncall.case.log import body_of, verify_chain
from oncall.case.regions import EscalationState, ReadingState
from oncall.case.state import Case, fold
from oncall.chain import ChainState
from oncall.directory import ChannelKind, PersonId
from oncall.engine.chain_rows import chain_from_json
from oncall.engine.engine import Engine
from oncall.engine.in_force import FixedRules
from oncall.engine.night import Night
from oncall.engine.paging import running_chain
from oncall.engine.ports import MemoryStore
from oncall.messages import NotSent, Sent, Unsure
from oncall.reading.board import ExamKind, Urgency
from tests.harness.small_territory import (
    BEGIN,
    READERS,
    SENDER,
    SITES,
    directory,
    in_force,
    memory_store,
    ready_case,
    run_until,
    without_contacts,
)

# Hours before the clocks go back, so that every night crosses 01:00 UTC.
START: Final = BEGIN + timedelta(hours=7)
RULES: Final = in_force(people=without_contacts(directory(), "serge"))
OPEN: Final = frozenset({ReadingState.CLAIMED, ReadingState.PARKED})


def numbered() -> Callable[[datetime], str]:
    """Return a source of event ids that repeats itself."""
    count = itertools.count(1)
    return lambda _now: f"event-{next(count)}"


def started(store: MemoryStore, worker: str, ids: Callable[[datetime], str]) -> Engine:
    return Engine(store, FixedRules(RULES), SENDER, worker=worker, new_event_id=ids)


def chains_of(store: MemoryStore, case_id: CaseId) -> dict[str, Any]:
    return {
        timer.timer_key: chain_from_json(timer.payload)
        for timer in store.timers_of(case_id)
        if timer.timer_key.startswith("chain:")
    }


def is_answered_for(case: Case) -> bool:
    """Tell whether somebody who cannot read the case answered its pages: it is looked at again soon."""
    asked = [one for one in case.escalations if one.chain_id.startswith(f"{case.case_id}/r")]
    return asked[-1].state is EscalationState.ACKNOWLEDGED


class NightMachine(RuleBasedStateMachine):
    """Hospitals send, readers answer or do not, channels fail, engines are started anew."""

    def __init__(self) -> None:
        super().__init__()
        self.store = memory_store()
        self.ids = numbered()
        self.lives = itertools.count(1)
        self.now = START
        self.engine = started(self.store, "life-0", self.ids)
        self.claims: dict[CaseId, tuple[PersonId, str]] = {}

    @initialize()
    def begin(self) -> None:
        self.engine.run_due(self.now)

    def ready(self) -> list[Case]:
        return [case for case in self.engine.open_cases(self.now) if case.is_ready]

    def chosen(self, number: int) -> Case:
        cases = self.ready()
        return cases[number % len(cases)]

    @rule(site=st.sampled_from(SITES), urgency=st.sampled_from(Urgency), exam=st.sampled_from(ExamKind))
    def images_are_complete(self, site: str, urgency: Urgency, exam: ExamKind) -> None:
        case_id = f"C{len(self.engine.night.cases)}"
        ready_case(self.engine, case_id, self.now, site_id=site, urgency=urgency, exam=exam)

    @rule(minutes=st.sampled_from([0.5, 1, 2, 5, 17, 45]))
    def time_passes(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)
        run_until(self.engine, self.now)

    @rule()
    def the_engine_is_started_anew(self) -> None:
        self.engine = started(self.store, f"life-{next(self.lives)}", self.ids)
        self.engine.run_due(self.now)

    @precondition(lambda self: self.ready())
    @rule(number=st.integers(0, 9), person=st.sampled_from((*READERS, PersonId("coline"), PersonId("emma"))))
    def somebody_answers(self, number: int, person: PersonId) -> None:
        case = self.chosen(number)
        before = {one.case_id: chains_of(self.store, one.case_id) for one in self.ready()}
        was = running_chain(case)

        try:
            self.engine.acknowledge(case.case_id, person, self.now)
        except Refused:
            # Nobody has asked them, and they may not read it.
            return

        after = {one.case_id: chains_of(self.store, one.case_id) for one in self.ready()}
        # Its own chain has stopped, and no other has moved (invariant 6).
        assert was is None or f"chain:{was}" not in after[case.case_id]
        assert all(after[other] == chains for other, chains in before.items() if other != case.case_id)

    @precondition(lambda self: self.ready())
    @rule(number=st.integers(0, 9))
    def the_reader_declines(self, number: int) -> None:
        case = self.chosen(number)
        if case.reading.assigned_to is not None:
            self.engine.decline(case.case_id, case.reading.assigned_to, self.now, reason="busy")

    @precondition(lambda self: self.ready())
    @rule(number=st.integers(0, 9), person=st.sampled_from(READERS))
    def somebody_opens(self, number: int, person: PersonId) -> None:
        case = self.chosen(number)
        uid = f"1.2.{case.seq}"
        try:
            self.engine.claim(case.case_id, person, self.now, transaction_uid=uid)
        except Refused:
            return
        # A second claim is refused while the first holds (invariant 2), and who opens may (invariant 4).
        assert case.case_id not in self.claims
        assert case.site_id in RULES.directory.persons[person].privileges
        on_duty = {
            shift.person_id for shift in RULES.timeline.on_duty(self.now) if shift.line_id[:6] in ("reader", "senior")
        }
        assert person in on_duty | set(self.engine.night.duty.backups)
        self.claims[case.case_id] = (person, uid)

    @precondition(lambda self: self.claims)
    @rule(number=st.integers(0, 9), is_given_back=st.booleans())
    def the_reader_signs_or_gives_back(self, number: int, is_given_back: bool) -> None:
        case_id = sorted(self.claims)[number % len(self.claims)]
        person, uid = self.claims[case_id]
        if self.engine.case(case_id).reading.state not in OPEN:
            del self.claims[case_id]
            return
        with pytest.raises(Refused, match="C301"):
            self.engine.sign(case_id, person, self.now, transaction_uid=uid + ".9")

        def release(case: Case, context: Context) -> Facts:
            return commands.release(case, context, transaction_uid=uid, reason="called away")

        if is_given_back:
            self.engine.execute(case_id, release, self.now)
        else:
            self.engine.sign(case_id, person, self.now, transaction_uid=uid)
        del self.claims[case_id]

    @rule(person=st.sampled_from(READERS), is_gone=st.booleans())
    def a_reader_goes_or_comes_back(self, person: PersonId, is_gone: bool) -> None:
        if not is_gone:
            self.engine.set_available(person, self.now)
            return
        self.engine.set_unavailable(person, self.now, reason="network")
        self.claims = {case_id: claim for case_id, claim in self.claims.items() if claim[0] != person}

    @rule(
        kind=st.sampled_from([ChannelKind.SMS, ChannelKind.EMAIL]),
        outcome=st.sampled_from(["sent", "failed", "unsure"]),
    )
    def a_channel_answers(self, kind: ChannelKind, outcome: str) -> None:
        said = {"sent": Sent(provider_id="p"), "failed": NotSent(reason="gateway_down"), "unsure": Unsure(reason="cut")}
        with self.store.queue() as queue:
            for message in queue.lease(kind, self.now, worker="sender", limit=5).messages:
                queue.settle(message.message_key, said[outcome], self.now, worker="sender", is_repeatable=False)
        self.engine.run_due(self.now)

    @rule(person=st.sampled_from(("bruno", "basile")), is_coming=st.booleans())
    def a_backup_answers(self, person: str, is_coming: bool) -> None:
        self.engine.answer_backup_call(PersonId(person), self.now, is_coming=is_coming)

    @invariant()
    def no_open_case_is_without_an_alarm(self) -> None:
        for case in self.engine.open_cases(self.now):
            timers = self.store.timers_of(case.case_id)
            assert timers, case.case_id
            assert all(timer.due_at > self.now for timer in timers), case.case_id

    @invariant()
    def a_ready_case_is_with_somebody_or_somebody_is_being_asked(self) -> None:
        for case in self.ready():
            chain_id = running_chain(case)
            alive = None if chain_id is None else chains_of(self.store, case.case_id)[f"chain:{chain_id}"]
            if case.reading.state is ReadingState.ASSIGNED:
                assert alive is not None or is_answered_for(case), case.case_id
            if case.reading.state in OPEN:
                assert alive is None, case.case_id
            if alive is not None:
                assert alive.state in {ChainState.RUNNING, ChainState.EXHAUSTED}

    @invariant()
    def every_step_pages_somebody_or_says_why_not(self) -> None:
        for case in self.engine.open_cases(self.now):
            told = 1
            for event in self.store.events_of(case.case_id):
                if event.type in {"escalation.notified", "escalation.no_notification_sent"}:
                    told += 1
                elif event.type == "escalation.skipped_empty_step" or (
                    event.type == "escalation.started" and "step" in event.fact.payload
                ):
                    assert told, (case.case_id, event.seq)
                    told = 1 if event.type == "escalation.skipped_empty_step" else 0

    @invariant()
    def the_hour_is_an_hour(self) -> None:
        for case in self.ready():
            assert case.images.deadline_at is not None
            assert case.images.complete_at is not None
            assert case.images.deadline_at - case.images.complete_at == timedelta(hours=1)

    def teardown(self) -> None:
        """A fold over the log from nothing is what the engine holds; every log proves itself."""
        folded = Night()
        folded.apply(self.store.log)
        assert folded.cases == self.engine.night.cases
        assert folded.duty == self.engine.night.duty
        for case_id in {event.case_id for _, event in self.store.log}:
            events = self.store.events_of(case_id)
            verify_chain(case_id, events)
            if not case_id.startswith("duty:"):
                assert fold(events) == self.engine.case(case_id)


TestNight = NightMachine.TestCase
TestNight.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip


def live(seed: int, *, is_started_anew: bool) -> list[str]:
    """Live through a night of seeded happenings; return its log."""
    dice = random.Random(seed)  # a seed, no secret
    store, ids = memory_store(), numbered()
    runner = started(store, "one", ids)
    now = BEGIN
    runner.run_due(now)
    for turn in range(50):
        if is_started_anew:
            runner = started(store, f"life-{turn}", ids)
            runner.run_due(now)
        now += timedelta(minutes=dice.choice([0, 1, 3, 8]))
        run_until(runner, now)
        ready = [case for case in runner.open_cases(now) if case.is_ready]
        happening = dice.choice(["new", "new", "answer", "open", "sign"])
        if happening == "new":
            site, urgency, exam = dice.choice(SITES), dice.choice(list(Urgency)), dice.choice(list(ExamKind))
            ready_case(runner, f"C{turn}", now, site_id=site, urgency=urgency, exam=exam)
        elif ready and happening == "answer":
            case = dice.choice(ready)
            if case.reading.assigned_to is not None:
                runner.acknowledge(case.case_id, case.reading.assigned_to, now)
        elif happening == "open":
            person = dice.choice(READERS)
            turn_of = runner.next_case(person, now)
            if turn_of is not None:
                runner.claim(turn_of.case_id, person, now, transaction_uid=f"1.2.{turn}")
        elif happening == "sign":
            opened = [case for case in ready if case.reading.state is ReadingState.CLAIMED]
            if opened and opened[0].reading.claimed_by is not None:
                case = opened[0]
                uid = case.reading.transaction_uid
                runner.sign(case.case_id, opened[0].reading.claimed_by, now, transaction_uid=uid)
    return [body_of(event) for _, event in store.log]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_happenings_give_the_same_log_whoever_lives_through_them(seed: int) -> None:
    one_life = live(seed, is_started_anew=False)

    assert live(seed, is_started_anew=False) == one_life
    assert live(seed, is_started_anew=True) == one_life
    assert len(one_life) > 150
