"""Whatever happens to a case, in whatever order: the hour never moves, nothing signed changes, no two readers claim.

Steps are tried in any order; those that the case refuses are left out, as they would be in a night. Time goes on
between steps by drawn amounts. The invariants are those of the domain reference, section 4.4, numbers 2, 3, 5, 6 and
7.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import Refused
from foundation.instants import microseconds
from oncall.case import commands as ask
from oncall.case import commands_report as report
from oncall.case.clocks import Clock, read_clocks
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId, Event, Fact, chained
from oncall.case.log import ChainBroken, MemoryCaseLog, body_of, event_of, verify_chain
from oncall.case.matching import attach_request, detach_request, move_study
from oncall.case.regions import EscalationState, ReadingState, StudyKey
from oncall.case.state import Case, apply, fold
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId
from oncall.reading.board import Urgency
from tests.unit.oncall.case.cases import START, numbered_ids, request

PERSONS = [PersonId("anne"), PersonId("bruno")]
UIDS = ["2.25.1", "2.25.2"]
STUDIES = [StudyKey("HOSP", "1.2.1"), StudyKey("HOSP", "1.2.2")]
CHAINS = ["c1", "c2"]
SCAN, ORDER = CaseId("scan"), CaseId("order")


@dataclass(frozen=True)
class Step:
    """One thing that somebody tries: which, by whom, with which of two values, how long after the one before."""

    name: str
    person: int
    other: int
    seconds: int


Ask = Callable[[Case, Context, Step], Facts]

ASKS: dict[str, Ask] = {
    "submit": lambda case, context, _: ask.submit(case, request(), context),
    "withdraw": lambda case, context, _: ask.withdraw(case, context, motive="m"),
    "refuse": lambda case, context, _: ask.refuse(case, context, motive="m"),
    "triage": lambda case, context, step: ask.triage(
        case,
        context,
        urgency=Urgency(1 + step.other),
        reason="r",
        target_at=context.at + timedelta(minutes=10 + 50 * step.other),
    ),
    "images": lambda case, context, step: ask.receive_instances(case, STUDIES[step.other], context, received=7),
    "complete": lambda case, context, step: ask.complete_images(
        case, context, rule="button", target_s=1200.0 if step.other else None
    ),
    # What a peer may say past our own commands: again, later, with another deadline, another reader, another content.
    "complete_again": lambda case, context, step: ask.say(
        case, context, E.IMAGES_COMPLETE, rule="mpps", deadline_at_us=microseconds(context.at + timedelta(hours=2))
    ),
    "open_again": lambda case, context, step: ask.say(
        case, context, E.READ_OPENED, person_id=PERSONS[step.person], transaction_uid=UIDS[step.other]
    ),
    "sign_again": lambda case, context, step: ask.say(
        case, context, E.REPORT_SIGNED, version=1 + step.other, signer=PERSONS[step.person], content_hash="x"
    ),
    "reject": lambda case, context, _: ask.say(case, context, E.IMAGES_QUALITY_REJECTED, reason="moved"),
    "assign": lambda case, context, step: ask.assign(case, PERSONS[step.person], context, reason="r"),
    "acknowledge": lambda case, context, step: ask.acknowledge(case, PERSONS[step.person], context),
    "decline": lambda case, context, step: ask.decline(case, PERSONS[step.person], context, reason="busy"),
    "silence": lambda case, context, step: ask.record_silence(case, PERSONS[step.person], context, silent_s=300.0),
    "revoke": lambda case, context, _: ask.revoke(case, context, reason="r"),
    "claim": lambda case, context, step: ask.claim(
        case, PERSONS[step.person], context, transaction_uid=UIDS[step.other]
    ),
    "park": lambda case, context, step: ask.park(case, context, transaction_uid=UIDS[step.other], reason="r"),
    "resume": lambda case, context, step: ask.resume(case, context, transaction_uid=UIDS[step.other]),
    "release": lambda case, context, step: ask.release(case, context, transaction_uid=UIDS[step.other], reason="r"),
    "sign": lambda case, context, step: report.sign(case, PERSONS[step.person], context, content_hash=f"h{step.other}"),
    "addendum": lambda case, context, step: report.add_addendum(
        case, PERSONS[step.person], context, content_hash="a", reason="r"
    ),
    "retract": lambda case, context, _: report.retract(case, context, reason="wrong patient"),
    "send": lambda case, context, _: report.send_report(case, context, channel="web"),
    "deliver": lambda case, context, step: report.record_delivery(
        case, context, channel="web", version=1 if step.other else None
    ),
    "known": lambda case, context, _: report.acknowledge_report(case, "Dr Martin", context),
    "close": lambda case, context, step: ask.close(case, context, reason="r" if step.other else None),
    "reopen": lambda case, context, step: ask.reopen(case, context, reason="r", read_again=bool(step.other)),
    "block": lambda case, context, _: report.block_identity(case, context, reason="r"),
    "correct": lambda case, context, step: report.correct_identity(
        case, context, patient_key=f"key-{step.other}", reason="r"
    ),
    "escalate": lambda case, context, step: ask.say(
        case, context, E.ESCALATION_STARTED, chain_id=CHAINS[step.other], cause="silence"
    ),
    "answer": lambda case, context, step: ask.say(
        case, context, E.ESCALATION_ACKNOWLEDGED, chain_id=CHAINS[step.other], person_id=PERSONS[step.person]
    ),
    "exhaust": lambda case, context, step: ask.say(case, context, E.ESCALATION_EXHAUSTED, chain_id=CHAINS[step.other]),
}
BETWEEN = ("attach", "detach", "move", "move_back")

steps = st.builds(
    Step,
    name=st.sampled_from([*ASKS, *BETWEEN]),
    person=st.integers(0, 1),
    other=st.integers(0, 1),
    seconds=st.integers(0, 900),
)
# Plain random steps seldom get far: most nights begin as nights do.
BEGINNINGS = [
    [],
    [Step("images", 0, 0, 5), Step("complete", 0, 0, 60)],
    [Step(name, 0, 0, 60) for name in ("images", "complete", "assign", "acknowledge", "claim")],
    [Step(name, 0, 0, 60) for name in ("images", "complete", "assign", "claim", "sign", "send", "deliver", "known")],
]
stories = st.tuples(st.sampled_from(BEGINNINGS), st.lists(steps, max_size=25)).map(lambda parts: [*parts[0], *parts[1]])


class Night:
    """Two cases, one that has the study and one that has the request, and every state that they went through."""

    def __init__(self) -> None:
        self.log = MemoryCaseLog(numbered_ids())
        self.now = START
        self.seen: dict[CaseId, list[Case]] = {SCAN: [], ORDER: []}
        context = Context(now=START)
        self.append(SCAN, ask.open_unannounced(request(), STUDIES[0], context, rule="night"))
        self.append(ORDER, ask.open_from_request(request(), context))

    def case(self, case_id: CaseId) -> Case:
        found = self.log.case(case_id)
        assert found is not None
        return found

    def append(self, case_id: CaseId, facts: Facts) -> None:
        known = self.log.case(case_id)
        self.log.append(case_id, 0 if known is None else known.seq, facts, self.now)
        self.seen[case_id].append(self.case(case_id))

    def step(self, step: Step) -> None:
        self.now += timedelta(seconds=step.seconds)
        context = Context(now=self.now, policy_version="p")
        try:
            if step.name not in BETWEEN:
                self.append(SCAN, ASKS[step.name](self.case(SCAN), context, step))
                return
            scan, order = self.case(SCAN), self.case(ORDER)
            if step.name == "attach":
                source, target, both = ORDER, SCAN, attach_request(scan, order, context, reason="r")
            elif step.name == "detach":
                source, target, both = ORDER, SCAN, detach_request(scan, order, context, reason="r")
            elif step.name == "move":
                source, target, both = SCAN, ORDER, move_study(scan, order, STUDIES[step.other], context, reason="r")
            else:
                source, target, both = ORDER, SCAN, move_study(order, scan, STUDIES[step.other], context, reason="r")
        except Refused:
            return
        self.append(source, both.source)
        self.append(target, both.target)


def told(story: list[Step]) -> Night:
    night = Night()
    for step in story:
        night.step(step)
    return night


@given(stories)
@settings(max_examples=150, deadline=None)
def test_the_hour_is_set_once_and_never_moves_and_the_target_only_comes_nearer(story: list[Step]) -> None:
    night = told(story)

    for states in night.seen.values():
        for before, after in pairwise(states):
            if before.images.deadline_at is not None:
                assert (after.images.complete_at, after.images.deadline_at) == (
                    before.images.complete_at,
                    before.images.deadline_at,
                )
            if before.images.target_at is not None:
                assert after.images.target_at is not None
                assert after.images.target_at <= before.images.target_at
        for case in states:
            if case.images.deadline_at is not None:
                assert case.images.complete_at is not None
                assert case.images.target_at is not None
                assert case.images.target_at <= case.images.deadline_at
                clocks = {one.clock: one for one in read_clocks(case, night.now)}
                if Clock.REPORT in clocks:
                    assert clocks[Clock.REPORT].due_at == case.images.deadline_at
                    assert clocks[Clock.REPORT].started_at == case.images.complete_at


@given(stories)
@settings(max_examples=80, deadline=None)
def test_a_study_that_moves_takes_its_clock_along(story: list[Step]) -> None:
    night = told([*story, Step("move", 0, 0, 60)])
    scan, order = night.case(SCAN), night.case(ORDER)

    if STUDIES[0] in order.images.studies and order.images.deadline_at is not None:
        known = [case.images.deadline_at for case in night.seen[SCAN] if case.images.deadline_at is not None]
        assert order.images.deadline_at in known
        assert STUDIES[0] not in scan.images.studies


@given(stories)
@settings(max_examples=100, deadline=None)
def test_a_signed_version_never_changes_and_versions_only_grow(story: list[Step]) -> None:
    states = told(story).seen[SCAN]

    for before, after in pairwise(states):
        assert after.report.versions[: len(before.report.versions)] == before.report.versions
        assert after.report.retracted[: len(before.report.retracted)] == before.report.retracted
    numbers = [version.version for version in states[-1].report.versions]
    assert numbers == list(range(1, len(numbers) + 1))


@given(stories)
@settings(max_examples=100, deadline=None)
def test_no_two_claims_hold_and_a_claim_is_given_up_before_another_begins(story: list[Step]) -> None:
    night = told(story)

    taken = {ReadingState.CLAIMED, ReadingState.PARKED}
    case: Case | None = None
    for event in night.log.events(SCAN):
        before, case = case, apply(case, event)
        reading = case.reading
        if reading.state in taken:
            assert reading.claimed_by is not None
            assert reading.transaction_uid
            assert reading.claimed_by == reading.assigned_to
            assert reading.transaction_uid not in reading.replaced_transaction_uids
        if before is not None and before.reading.state in taken and reading.state in taken:
            assert (reading.claimed_by, reading.transaction_uid) == (
                before.reading.claimed_by,
                before.reading.transaction_uid,
            )
        if before is not None and event.type in {E.READ_PARKED, E.READ_RESUMED, E.READ_RELEASED}:
            assert event.fact.payload["transaction_uid"] == before.reading.transaction_uid


@given(stories)
@settings(max_examples=80, deadline=None)
def test_an_answer_stops_its_own_chain_and_only_it(story: list[Step]) -> None:
    night = told(story)

    case: Case | None = None
    for event in night.log.events(SCAN):
        before, case = case, apply(case, event)
        if before is None or event.type != E.ESCALATION_ACKNOWLEDGED:
            continue
        mine = event.fact.payload["chain_id"]
        assert {one.chain_id: one.state for one in case.escalations}[mine] is EscalationState.ACKNOWLEDGED
        assert [one for one in case.escalations if one.chain_id != mine] == [
            one for one in before.escalations if one.chain_id != mine
        ]


@given(stories)
@settings(max_examples=80, deadline=None)
def test_replaying_a_log_gives_the_same_events_and_the_same_case(story: list[Step]) -> None:
    night = told(story)

    for case_id in (SCAN, ORDER):
        events = night.log.events(case_id)
        assert fold(events) == night.case(case_id)
        verify_chain(case_id, events)
        assert tuple(event_of(body_of(event), event.hash) for event in events) == events
        again = MemoryCaseLog(iter_ids(events))
        for event in events:
            again.append(case_id, event.seq - 1, [event.fact], event.recorded_at)
        assert [event.hash for event in again.events(case_id)] == [event.hash for event in events]
        assert again.case(case_id) == night.case(case_id)


def iter_ids(events: tuple[Event, ...]) -> Callable[[object], str]:
    ids = iter([event.event_id for event in events])
    return lambda _: next(ids)


@given(stories)
@settings(max_examples=60, deadline=None)
def test_a_ready_case_is_in_the_hands_of_nobody_or_of_one_reader(story: list[Step]) -> None:
    for case in told(story).seen[SCAN]:
        ready = case.ready_case(600.0)
        assert (ready is not None) == case.is_ready
        if ready is None:
            continue
        assert ready.deadline_at_s >= ready.target_at_s
        assert (ready.assigned_to is None) == (case.reading.state is ReadingState.QUEUED)
        assert (ready.claimed_by is None) == (case.reading.state not in {ReadingState.CLAIMED, ReadingState.PARKED})


@given(stories, st.data())
@settings(max_examples=60, deadline=None)
def test_an_event_that_is_altered_dropped_or_moved_is_found_at_its_place(
    story: list[Step], data: st.DataObject
) -> None:
    events = list(told(story).log.events(SCAN))
    at = data.draw(st.integers(0, len(events) - 1))
    how = data.draw(st.sampled_from(["payload", "actor", "instant", "recorded", "dropped", "swapped", "doubled"]))
    event = events[at]
    broken = altered(event, how)
    if broken is not None:
        events[at] = broken
    elif how == "doubled":
        events.insert(at, event)
        at += 1
    elif at + 1 == len(events):
        return  # a log that lost its end is found by its head, not by its chain (oncall.case.sql_log.verify)
    elif how == "dropped":
        del events[at]
    else:
        events[at], events[at + 1] = events[at + 1], events[at]

    with pytest.raises(ChainBroken) as found:
        verify_chain(SCAN, events)

    assert found.value.seq == at + 1


@given(stories, st.data())
@settings(max_examples=30, deadline=None)
def test_an_event_written_anew_with_a_hash_of_its_own_is_found_at_the_next(
    story: list[Step], data: st.DataObject
) -> None:
    events = list(told(story).log.events(SCAN))
    if len(events) < 2:
        return
    at = data.draw(st.integers(0, len(events) - 2))
    event = events[at]
    forged = replace(event.fact, actor=replace(event.fact.actor, who="somebody else"))
    events[at] = chained(
        SCAN, event.seq, event.prev_hash, forged, recorded_at=event.recorded_at, event_id=event.event_id
    )

    with pytest.raises(ChainBroken) as found:
        verify_chain(SCAN, events)

    assert found.value.seq == at + 2


def altered(event: Event, how: str) -> Event | None:
    fact: Fact = event.fact
    if how == "payload":
        return replace(event, fact=replace(fact, payload={**fact.payload, "reason": "another"}))
    if how == "actor":
        return replace(event, fact=replace(fact, actor=replace(fact.actor, who="somebody else")))
    if how == "instant":
        return replace(event, fact=replace(fact, occurred_at=fact.occurred_at - timedelta(microseconds=1)))
    if how == "recorded":
        return replace(event, recorded_at=event.recorded_at + timedelta(microseconds=1))
    return None
