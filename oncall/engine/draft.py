"""One decision while it is made: facts applied at once to copies, timers and messages gathered, nothing written.

For: turning facts into chained events and everything that goes with them into one `Changes`. Not for: what to decide
(`oncall.engine.reactions`), or writing (`oncall.engine.ports`).

Invariants: the night itself is not touched, so a draft that is thrown away leaves no trace; facts the case refuses
raise before anything is committed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from foundation.errors import Refused
from foundation.outbox import OutboxEvent
from oncall.case.commands import Context
from oncall.case.event import CaseId, Event, Fact, chained
from oncall.case.log import append_to
from oncall.case.regions import StudyKey
from oncall.case.state import Case, fold
from oncall.case.unclaimed import SHOWN_FOR, UnclaimedStudy
from oncall.chain import Chain
from oncall.delivery.model import Delivery
from oncall.engine import duty as duty_log
from oncall.engine.chain_rows import chain_from_json, chain_to_json
from oncall.engine.duty import Duty
from oncall.engine.in_force import InForce
from oncall.engine.night import Night
from oncall.engine.ports import Changes, Cursor, HeadMoved, Store, SwapChange
from oncall.messages import Message
from oncall.notify import Sender
from oncall.report.version import SignedVersion
from oncall.rota.swaps import SwapRequest
from oncall.second_reading.learning import Lesson
from oncall.timers import Timer

CHAIN_TIMER: Final = "chain"


class Draft:
    """A decision on one state of the night.

    Parameters
    ----------
    night : Night
        Caught up; only read.
    store : Store
        Where timers are looked up.
    sender : Sender
        What signs and links messages.
    new_event_id : callable
        Gives the id of the next event.
    """

    def __init__(
        self,
        night: Night,
        rules: InForce,
        store: Store,
        now: datetime,
        *,
        sender: Sender,
        new_event_id: Callable[[datetime], str],
    ) -> None:
        self.night = night
        self.rules = rules
        self.sender = sender
        self.now = now
        self.duty: Duty = night.duty
        self.cases: dict[CaseId, Case] = {}
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self.cursors: list[Cursor] = []
        self.swaps: list[SwapChange] = []
        self.unclaimed_kept: list[UnclaimedStudy] = []
        self.signed_versions: list[SignedVersion] = []
        self.deliveries: list[Delivery] = []
        self.lessons: list[Lesson] = []
        self._unclaimed_seen: dict[StudyKey, UnclaimedStudy] = {}
        self._store = store
        self._new_event_id = new_event_id
        self._stream_head: tuple[int, str] | None = None
        self._taken: list[Timer] = []
        self._cancelled: dict[str, None] = {}
        self._set: dict[str, Timer] = {}
        self._cancelled_chains: list[str] = []

    # Cases and facts

    @property
    def context(self) -> Context:
        """Who acts when nobody asks: the engine itself, by the rules in force."""
        return Context(
            now=self.now, policy_version=self.rules.reading.version, roster_version=self.rules.roster.version
        )

    def fact(self, event_type: str, **payload: Any) -> Fact:
        """Return a fact of the engine itself at this time."""
        return self.stamped(Fact(type=event_type, occurred_at=self.now, payload=payload))

    def stamped(self, fact: Fact) -> Fact:
        """Return a fact with the versions of the rules that led to it."""
        return replace(fact, policy_version=self.rules.reading.version, roster_version=self.rules.roster.version)

    def find(self, case_id: CaseId) -> Case | None:
        """Return the case as this draft leaves it, or None."""
        return self.cases.get(case_id) or self.night.cases.get(case_id)

    def known(self, case_id: CaseId) -> Case | None:
        """Return the case as this draft leaves it, also one that was closed long ago; None when there is none."""
        return self.find(case_id) or load(self._store, self.night, case_id)

    def required(self, case_id: CaseId) -> Case:
        """Return a case that somebody names; raises `Refused` when there is none."""
        found = self.known(case_id)
        if found is None:
            raise Refused("there is no such case; look at the list of open cases")
        return found

    def log_of(self, case_id: CaseId) -> Sequence[Event]:
        """Return the committed log of a case."""
        return self._store.events_of(case_id)

    def stated(self, consumer: str, topics: Sequence[str]) -> tuple[int, Sequence[OutboxEvent]]:
        """Return how far a consumer of the outbox has come, and what was stated after that, at most a read's worth."""
        position = self._store.cursor(consumer)
        return position, self._store.stated_after(position, topics)

    def versions_of(self, case_id: CaseId) -> tuple[SignedVersion, ...]:
        """Return the signed versions of a case's report, the first one first.

        Raises
        ------
        HeadMoved
            If one was signed since the state that this decision is made on.
        Refused
            If a report was signed without its text being kept here.
        """
        kept, known = self._store.versions_of(case_id), self.case(case_id).report.version
        if len(kept) > known:
            raise HeadMoved("a version was signed meanwhile; decide again")
        if len(kept) < known:
            raise Refused("a version of this report was signed in another system: add to it, or replace it, there")
        return kept

    def case(self, case_id: CaseId) -> Case:
        """Return a case that is known to exist."""
        found = self.find(case_id)
        assert found is not None, "a case is opened by its first event before it is asked for"
        return found

    def every_case(self) -> list[Case]:
        """Return all cases that the engine holds, as this draft leaves them."""
        return list({**self.night.cases, **self.cases}.values())

    def record(self, case_id: CaseId, *facts: Fact) -> list[Event]:
        """Append facts to a case.

        Raises
        ------
        foundation.errors.Refused
            If the case's state does not allow one of them.
        foundation.errors.PeerError
            If the vocabulary does not know one of them.
        """
        before = self.find(case_id)
        seq = 0 if before is None else before.seq
        events, after = append_to(before, case_id, seq, facts, self.now, self._new_event_id)
        if after is not None:
            self.cases[case_id] = after
        self.events += events
        return list(events)

    def record_duty(self, *facts: Fact) -> None:
        """Append facts to the night's log."""
        stream = duty_log.stream_of(self.now)
        for fact in facts:
            duty_log.check(fact)
            seq, prev_hash = self._stream_head or self.night.stream_head(stream)
            event = chained(
                stream, seq + 1, prev_hash, fact, recorded_at=self.now, event_id=self._new_event_id(self.now)
            )
            self._stream_head = (event.seq, event.hash)
            self.duty = duty_log.apply(self.duty, event)
            self.events.append(event)

    # Studies that no case has

    def unclaimed(self) -> list[UnclaimedStudy]:
        """Return the studies that no case has and that are recent, newest first, as this draft leaves them."""
        found = self._store.unclaimed_since(self.now - SHOWN_FOR)
        taken = {study for case in self.cases.values() for study in case.images.studies}
        return [one for one in found if one.study not in taken]

    def find_unclaimed(self, study: StudyKey) -> UnclaimedStudy:
        """Return a study that no case has, to be taken into one; raises `Refused` when it is not there."""
        for one in self._store.unclaimed_of_uid(study.study_instance_uid):
            if one.study == study:
                self.saw_unclaimed(one)
                return one
        raise Refused("no such study is without a case: it belongs to one already, or is known to the archive only")

    def saw_unclaimed(self, *seen: UnclaimedStudy) -> None:
        """Remember what this decision is made on: it is void if one of them has changed meanwhile."""
        self._unclaimed_seen.update((one.study, one) for one in seen)

    # Timers

    def take(self, timer: Timer) -> None:
        """Consume a due timer with this decision."""
        self._taken.append(timer)

    def set_timer(self, timer: Timer) -> None:
        """Set a timer when the decision is committed; the last one of a key counts."""
        self._cancelled.pop(timer.timer_key, None)
        self._set[timer.timer_key] = timer

    def cancel_timer(self, timer_key: str) -> None:
        """Remove a timer when the decision is committed."""
        self._set.pop(timer_key, None)
        self._cancelled[timer_key] = None

    def timer(self, timer_key: str) -> Timer | None:
        """Return a timer as this draft leaves it."""
        if timer_key in self._set:
            return self._set[timer_key]
        if timer_key in self._cancelled or any(taken.timer_key == timer_key for taken in self._taken):
            return None
        return self._store.find_timer(timer_key)

    def timers_of_kind(self, kind: str) -> list[Timer]:
        """Return the timers of one kind as this draft leaves them."""
        taken = {timer.timer_key for timer in self._taken}
        kept = {one.timer_key: one for one in self._store.timers_of_kind(kind) if one.timer_key not in taken}
        found = {**kept, **{one.timer_key: one for one in self._set.values() if one.kind == kind}}
        return [one for key, one in found.items() if key not in self._cancelled]

    def unsettled_swaps(self) -> Sequence[SwapRequest]:
        """Return the swap requests that wait for somebody."""
        return self._store.unsettled_swaps()

    # Chains, which live in their timers' rows

    def chain(self, chain_id: str) -> Chain | None:
        """Return a running chain; None when there is none of this id, or it has ended."""
        key = chain_key(chain_id)
        found = self._set.get(key)
        if found is None and key not in self._cancelled:
            # The timer that is being acted on holds it too.
            found = next((taken for taken in self._taken if taken.timer_key == key), None)
            found = found or self._store.find_timer(key)
        return None if found is None else chain_from_json(found.payload)

    def keep_chain(self, chain: Chain) -> None:
        """Keep a chain with its next alarm; an ended one has no timer."""
        if chain.next_alarm_at is None:
            self.cancel_timer(chain_key(chain.chain_id))
            return
        self.set_timer(
            Timer(
                timer_key=chain_key(chain.chain_id),
                kind=CHAIN_TIMER,
                due_at=chain.next_alarm_at,
                case_id=chain.subject.case_id,
                payload=chain_to_json(chain),
            )
        )

    def cancel_pages(self, chain_id: str) -> None:
        """Take back what no channel has yet of a chain."""
        self._cancelled_chains.append(chain_id)

    def finish(self) -> Changes:
        """Return everything as one value to commit."""
        return Changes(
            events=tuple(self.events),
            cases=tuple(self.cases.values()),
            timers_taken=tuple(self._taken),
            timers_cancelled=tuple(self._cancelled),
            timers_set=tuple(self._set.values()),
            cancelled_chains=tuple(dict.fromkeys(self._cancelled_chains)),
            messages=tuple(self.messages),
            cursors=tuple(self.cursors),
            swaps=tuple(self.swaps),
            unclaimed_seen=tuple(self._unclaimed_seen.values()),
            unclaimed_kept=tuple(self.unclaimed_kept),
            signed_versions=tuple(self.signed_versions),
            deliveries=tuple(self.deliveries),
            lessons=tuple(self.lessons),
        )


def load(store: Store, night: Night, case_id: CaseId) -> Case | None:
    """Read a case that a night does not hold into it; None when there is no such case."""
    events = store.events_of(case_id)
    if not events:
        return None
    case = fold(events)
    night.adopt(case)
    return case


def chain_key(chain_id: str) -> str:
    """Return the key of a chain's timer."""
    return f"{CHAIN_TIMER}:{chain_id}"
