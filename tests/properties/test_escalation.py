"""Escalations under any sequence of happenings, on a virtual clock.

Against a model that only watches: who was paged when by which key, what was recorded, and when the next alarm is.
"""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from oncall.case.event import CaseId
from oncall.case.vocabulary import check
from oncall.chain import ALIVE, CONTROL_ROOM
from oncall.directory import ChannelKind, ContactMethod, PersonId, SiteId
from oncall.engine.chain_rows import chain_from_json, chain_to_json
from oncall.escalation import (
    DEFAULT_LADDER,
    Acknowledged,
    Action,
    Callee,
    CancelPages,
    Chain,
    ChainState,
    Closed,
    Declined,
    Due,
    Happening,
    Ladder,
    Page,
    PageFailed,
    PageKind,
    Raised,
    Record,
    Step,
    Subject,
    Target,
    advance,
    begin,
)
from oncall.reading.board import Urgency

START = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
PEOPLE = [PersonId(f"p{number}") for number in range(6)]
CALLED_TARGETS = [target for target in Target if target is not Target.HOSPITAL]
KINDS = [ChannelKind.PUSH, ChannelKind.SMS, ChannelKind.VOICE]

persons = st.sampled_from(PEOPLE)
methods = st.lists(st.sampled_from(KINDS), max_size=3, unique=True)


@st.composite
def callees(draw: st.DrawFn) -> dict[Target, tuple[Callee, ...]]:
    """Draw who is meant by each target: nobody, people without methods, people whom a rule forbids calling."""
    found = {}
    for target in draw(st.lists(st.sampled_from(list(Target)), unique=True)):
        names = draw(st.lists(persons, max_size=3, unique=True))
        found[target] = tuple(
            Callee(
                person_id=name,
                methods=tuple(ContactMethod(kind=kind, address=f"{name}-{kind}") for kind in draw(methods)),
                refusal=draw(st.sampled_from(["", "", "", "REST_11_H"])),
            )
            for name in names
        )
    return found


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    """Draw a ladder of one to five steps."""
    seconds = st.floats(min_value=1.0, max_value=600.0)
    steps = [
        Step(
            level=level,
            target=draw(st.sampled_from(CALLED_TARGETS)),
            wait_s={urgency: draw(seconds) for urgency in Urgency},
            repage_after_s={urgency: draw(seconds) for urgency in Urgency},
            pages_max=draw(st.integers(1, 3)),
            persons_max=draw(st.integers(1, 3)),
        )
        for level in range(draw(st.integers(1, 5)))
    ]
    return Ladder(ladder_id="drawn", version="1", steps=tuple(steps), rounds=draw(st.integers(1, 2)))


class AnyEscalation(RuleBasedStateMachine):
    """One chain, anything that can happen to it, and everything that must hold."""

    @initialize(ladder=st.one_of(st.just(DEFAULT_LADDER), ladders()), urgency=st.sampled_from(Urgency))
    def start(self, ladder: Ladder, urgency: Urgency) -> None:
        self.now = START
        self.pages: list[Page] = []
        self.records: list[Record] = []
        self.ladder = ladder
        subject = Subject(case_id=CaseId("c1"), site_id=SiteId("s1"), urgency=urgency)
        self.chain = begin(ladder, subject, START, chain_id="c1/1")

    def tell(self, happening: Happening) -> tuple[Action, ...]:
        before = self.chain
        after, actions = advance(before, happening, self.now)
        again = advance(chain_from_json(chain_to_json(before)), happening, self.now)
        assert again == (after, actions), "the same chain, kept in a row and told the same, decides the same"
        if before.state not in ALIVE:
            assert (after, actions) == (before, ()), "an ended chain does nothing any more"
        self.chain = after
        self.pages += [action for action in actions if isinstance(action, Page)]
        self.records += [action for action in actions if isinstance(action, Record)]
        self.check_silence(before, actions)
        return actions

    def check_silence(self, before: Chain, actions: tuple[Action, ...]) -> None:
        """Every step that was entered paged somebody, or says why it did not."""
        said = [action.fact.type.removeprefix("escalation.") for action in actions if isinstance(action, Record)]
        for place, word in enumerate(said):
            if word == "skipped_empty_step":
                assert said[place - 1] == "no_notification_sent"
            if word in {"started", "exhausted"}:
                assert "notified" in said[place:], "a level that began pages somebody"
        keys = [action.message_key for action in actions if isinstance(action, Page)]
        assert said.count("notified") == len(keys)

    @rule(wait_s=st.floats(min_value=0.0, max_value=400.0))
    def time_passes(self, wait_s: float) -> None:
        self.now += timedelta(seconds=wait_s)

    @rule(who=callees())
    def the_alarm_is_asked_about(self, who: dict[Target, tuple[Callee, ...]]) -> None:
        early = self.chain.next_alarm_at is not None and self.now < self.chain.next_alarm_at
        before = self.chain
        actions = self.tell(Due(callees=who))
        if early:
            assert (self.chain, actions) == (before, ()), "a timer that comes early or twice changes nothing"
        if before.state in ALIVE and not early:
            assert self.chain.next_alarm_at is not None
            assert self.chain.next_alarm_at > self.now, "an alarm that was answered is not due again at once"

    @rule(who=callees())
    def the_alarm_comes(self, who: dict[Target, tuple[Callee, ...]]) -> None:
        if self.chain.next_alarm_at is not None:
            self.now = max(self.now, self.chain.next_alarm_at)
            self.tell(Due(callees=who))

    @rule(days=st.integers(1, 90), who=callees())
    def the_node_was_away_for_long(self, days: int, who: dict[Target, tuple[Callee, ...]]) -> None:
        self.now += timedelta(days=days)
        actions = self.tell(Due(callees=who))
        per_step = max([step.persons_max for step in self.ladder.steps] + [len(who.get(Target.HOSPITAL, ())), 1])
        assert sum(isinstance(action, Page) for action in actions) <= per_step, "missed alarms are not caught up on"
        again = self.tell(Due(callees=who))
        assert again == (), "and asking again at the same moment does nothing"

    @rule(person=persons, chain_id=st.sampled_from(["c1/1", "c1/2", "c1/10", "c2/1"]))
    def somebody_answers(self, person: PersonId, chain_id: str) -> None:
        before = self.chain
        actions = self.tell(Acknowledged(chain_id=chain_id, person_id=person))
        if chain_id != "c1/1":
            assert (self.chain, actions) == (before, ()), "an answer to another chain is not an answer to this one"
        elif before.state in ALIVE:
            assert self.chain.state is ChainState.ACKNOWLEDGED
            assert CancelPages(chain_id="c1/1") in actions
            assert not any(isinstance(action, Page) for action in actions)

    @rule(person=persons, who=callees())
    def somebody_declines(self, person: PersonId, who: dict[Target, tuple[Callee, ...]]) -> None:
        paged = [one.person_id for one in self.chain.paged]
        was_running = self.chain.state is ChainState.RUNNING
        actions = self.tell(Declined(chain_id="c1/1", person_id=person, callees=who))
        if was_running and paged == [person]:
            assert any(isinstance(action, Page) for action in actions), "nobody waits for who has said no"

    @rule(back=st.integers(0, 5), who=callees())
    def a_page_fails(self, back: int, who: dict[Target, tuple[Callee, ...]]) -> None:
        if not self.pages:
            return
        failed = self.pages[-1 - back % len(self.pages)]
        before = self.chain
        actions = self.tell(PageFailed(message_key=failed.message_key, reason="interrupted", callees=who))
        again = self.tell(PageFailed(message_key=failed.message_key, reason="interrupted", callees=who))
        assert again == (), "a failure told twice is told once"
        if actions and self.chain.state in ALIVE:
            said = [action.fact.type for action in actions if isinstance(action, Record)]
            assert said[0] == "escalation.no_notification_sent"
            reached = [one for one in self.chain.paged if set(one.used) - one.failed]
            is_given_up = before.state is ChainState.EXHAUSTED and CONTROL_ROOM in {p.person_id for p in before.paged}
            assert reached or is_given_up, "somebody is being paged after every failure"

    @rule(urgency=st.sampled_from(Urgency))
    def the_case_is_triaged_again(self, urgency: Urgency) -> None:
        before = self.chain
        self.tell(Raised(urgency=urgency))
        if before.next_alarm_at is not None:
            assert self.chain.next_alarm_at is not None
            assert self.chain.next_alarm_at <= before.next_alarm_at, "triage never puts an alarm off"
        assert self.chain.subject.urgency <= before.subject.urgency

    @rule(is_superseded=st.booleans())
    def the_case_is_closed(self, is_superseded: bool) -> None:
        before = self.chain.state
        actions = self.tell(Closed(reason="signed", is_superseded=is_superseded))
        # What the hospital is told of an exhausted ladder stays true while another reader is only asked.
        are_pages_kept = is_superseded and before is ChainState.EXHAUSTED
        assert (CancelPages(chain_id="c1/1") in actions) == (before in ALIVE and not are_pages_kept)

    @invariant()
    def alive_means_having_a_next_alarm_time(self) -> None:
        assert (self.chain.next_alarm_at is None) == (self.chain.state not in ALIVE)

    @invariant()
    def no_page_was_ever_decided_twice(self) -> None:
        keys = [page.message_key for page in self.pages]
        assert len(keys) == len(set(keys))
        assert all(len(key) <= 200 for key in keys)

    @invariant()
    def exhaustion_alarmed_somebody_at_the_hospital_or_its_wall(self) -> None:
        said = [record.fact.type for record in self.records]
        alarmed = [page for page in self.pages if page.kind is PageKind.HOSPITAL_ALARM]
        assert bool(alarmed) == ("escalation.exhausted" in said)

    @invariant()
    def nobody_is_paged_more_often_in_a_step_than_the_policy_says(self) -> None:
        for one in self.chain.paged:
            if self.chain.state is ChainState.RUNNING:
                assert len(one.used) - one.replaced <= self.ladder.steps[self.chain.position].pages_max
            assert one.replaced <= len(one.methods)

    @invariant()
    def every_record_is_in_the_vocabulary(self) -> None:
        for record in self.records:
            check(record.fact)
        self.records = [record for record in self.records if record.fact.type == "escalation.exhausted"][:1]


AnyEscalation.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestAnyEscalation = AnyEscalation.TestCase


@settings(max_examples=200, deadline=None)
@given(ladder=ladders(), who=callees(), urgency=st.sampled_from(Urgency))
def test_when_nobody_answers_the_hospital_is_alarmed_within_the_ladders_own_waits(
    ladder: Ladder, who: dict[Target, tuple[Callee, ...]], urgency: Urgency
) -> None:
    subject = Subject(case_id=CaseId("c1"), site_id=SiteId("s1"), urgency=urgency)
    chain = begin(ladder, subject, START, chain_id="c1/1")
    longest = timedelta(seconds=ladder.rounds * sum(step.wait_s[urgency] for step in ladder.steps))
    pages: list[Page] = []

    while chain.state is ChainState.RUNNING:
        assert chain.next_alarm_at is not None
        now = chain.next_alarm_at
        chain, actions = advance(chain, Due(callees=who), now)
        pages += [action for action in actions if isinstance(action, Page)]

    assert now - START <= longest + timedelta(milliseconds=1)
    assert pages[-1].kind is PageKind.HOSPITAL_ALARM
    able = {callee.person_id for callee in who.get(Target.HOSPITAL, ()) if callee.methods and not callee.refusal}
    alarmed = {page.person_id for page in pages if page.kind is PageKind.HOSPITAL_ALARM}
    assert alarmed == (able or {CONTROL_ROOM})
