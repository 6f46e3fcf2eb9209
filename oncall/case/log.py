"""The log of cases: append-only, chained by hashes, in memory or in the database; cases come from it alone.

`append` is the only way in. It takes facts, refuses those that cannot happen (`oncall.case.state`), gives the rest a
place in the chain. Nothing is changed or removed. Both logs say and refuse the same; what one holds can be replayed in
the other.

A caller that decides on a case passes the `seq` that it decided on; if somebody was faster, `StaleCase` asks it to load
and decide again.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol

from foundation.errors import Refused, TelegardeError
from foundation.instants import instant_of_us
from oncall.case.event import GENESIS_HASH, Actor, CaseId, Event, Fact, canonical_bytes, chained, uuid7
from oncall.case.regions import StudyKey
from oncall.case.state import Case, apply
from oncall.case.vocabulary import check

EventIds = Callable[[datetime], str]
"""Makes the next event id from the instant of recording; a replay passes one that repeats itself."""


class StaleCase(Refused):
    """Somebody appended to the case since it was loaded: load it again and decide again."""


class ChainBroken(TelegardeError):
    """The log does not prove itself: an event was altered, dropped, moved or added behind its back.

    Parameters
    ----------
    case_id : CaseId
        Whose log it is.
    seq : int
        The first event that does not fit.
    reason : str
        What does not fit.
    """

    def __init__(self, case_id: CaseId, seq: int, reason: str) -> None:
        super().__init__(
            f"the log of case {case_id} is broken at event {seq}: {reason}; restore it from the other copy"
        )
        self.case_id = case_id
        self.seq = seq
        self.reason = reason


class CaseLog(Protocol):
    """Where facts about cases go, and where cases come from."""

    def append(self, case_id: CaseId, expected_seq: int, facts: Sequence[Fact], now: datetime) -> tuple[Event, ...]:
        """Append facts in order, all or none, and return them as events.

        Parameters
        ----------
        case_id : CaseId
            Whose log; it is begun when `expected_seq` is 0.
        expected_seq : int
            The last event that the caller knew of.
        facts : sequence of Fact
            What happened; each is checked against the vocabulary and the state tables.
        now : datetime
            When it is recorded (aware, UTC).

        Raises
        ------
        StaleCase
            If the log is longer, or shorter, than the caller knew.
        oncall.case.state.TransitionRefused
            If a fact cannot happen now.
        PeerError
            If a fact is not in the vocabulary.
        """

    def case(self, case_id: CaseId) -> Case | None:
        """Return the case as its whole log tells it, or None when there is no such case."""

    def events(self, case_id: CaseId, after_seq: int = 0) -> tuple[Event, ...]:
        """Return the events of one case after `after_seq`, in order."""

    def open_cases(self) -> tuple[Case, ...]:
        """Return every case that is not closed, oldest first."""


class MemoryCaseLog:
    """A log in memory: for simulated nights and tests, with the same refusals as the one in the database."""

    def __init__(self, event_ids: EventIds = uuid7) -> None:
        self._event_ids = event_ids
        self._events: dict[CaseId, list[Event]] = {}
        self._cases: dict[CaseId, Case] = {}
        self._open: dict[CaseId, None] = {}

    def append(self, case_id: CaseId, expected_seq: int, facts: Sequence[Fact], now: datetime) -> tuple[Event, ...]:
        """See `CaseLog.append`."""
        before = self._cases.get(case_id)
        events, after = append_to(before, case_id, expected_seq, facts, now, self._event_ids)
        if after is not None:
            self._events.setdefault(case_id, []).extend(events)
            self._cases[case_id] = after
            if after.is_open:
                self._open[case_id] = None
            else:
                self._open.pop(case_id, None)
        return events

    def case(self, case_id: CaseId) -> Case | None:
        """See `CaseLog.case`."""
        return self._cases.get(case_id)

    def events(self, case_id: CaseId, after_seq: int = 0) -> tuple[Event, ...]:
        """See `CaseLog.events`."""
        return tuple(self._events.get(case_id, ())[after_seq:])

    def open_cases(self) -> tuple[Case, ...]:
        """See `CaseLog.open_cases`."""
        return in_order_of_opening(self._cases[case_id] for case_id in self._open)

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        """Return which case a study belongs to now: the last one that it was linked to."""
        found = [case_id for case_id, case in self._cases.items() if study in case.images.studies]
        return found[-1] if found else None

    def studies_of_uid(self, study_instance_uid: str) -> tuple[tuple[StudyKey, CaseId], ...]:
        """Return every link of a Study Instance UID, whichever issuer."""
        return tuple(
            (study, case_id)
            for case_id, case in self._cases.items()
            for study in case.images.studies
            if study.study_instance_uid == study_instance_uid
        )

    def case_ids(self) -> tuple[CaseId, ...]:
        """Return every case of the log, in the order of their first events."""
        return tuple(self._events)


def in_order_of_opening(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Return cases oldest first; those of one instant by their ids, so that the order is always the same."""
    return tuple(sorted(cases, key=lambda case: (case.opened_at, case.case_id)))


def append_to(
    case: Case | None, case_id: CaseId, expected_seq: int, facts: Sequence[Fact], now: datetime, event_ids: EventIds
) -> tuple[tuple[Event, ...], Case | None]:
    """Return `facts` as the events that follow `case`, and the case after them; raises as `CaseLog.append` does."""
    seq, prev_hash = (0, GENESIS_HASH) if case is None else (case.seq, case.head_hash)
    if seq != expected_seq:
        raise StaleCase(f"the case has {seq} events, not {expected_seq}: load it again and decide again")
    events = []
    for fact in facts:
        check(fact)
        seq += 1
        event = chained(case_id, seq, prev_hash, fact, recorded_at=now, event_id=event_ids(now))
        case = apply(case, event)
        prev_hash = event.hash
        events.append(event)
    return tuple(events), case


def verify_chain(case_id: CaseId, events: Sequence[Event]) -> None:
    """Check that `events` are one whole, unaltered log.

    Raises
    ------
    ChainBroken
        Naming the first event that does not fit.
    """
    prev_hash = GENESIS_HASH
    for position, event in enumerate(events, start=1):
        if event.seq != position:
            raise ChainBroken(case_id, position, f"event {event.seq} is in its place")
        if event.case_id != case_id:
            raise ChainBroken(case_id, position, "it belongs to another case")
        if event.prev_hash != prev_hash:
            raise ChainBroken(case_id, position, "it is not chained to the event before")
        content = canonical_bytes(case_id, event.seq, event.prev_hash, event.fact, event.recorded_at, event.event_id)
        if sha256(content).hexdigest() != event.hash:
            raise ChainBroken(case_id, position, "its content does not have its hash")
        prev_hash = event.hash


def body_of(event: Event) -> str:
    """Return the canonical JSON text that the event's hash is taken of; it holds the whole event."""
    return canonical_bytes(
        event.case_id, event.seq, event.prev_hash, event.fact, event.recorded_at, event.event_id
    ).decode()


def event_of(body: str, hash_: str) -> Event:
    """Return the event that `body_of` wrote."""
    content: dict[str, Any] = json.loads(body)
    who, role, authentication, place = content["actor"]
    return Event(
        event_id=content["event_id"],
        case_id=CaseId(content["case_id"]),
        seq=content["seq"],
        prev_hash=content["prev_hash"],
        hash=hash_,
        recorded_at=instant_of_us(content["recorded_at_us"]),
        fact=Fact(
            type=content["type"],
            occurred_at=instant_of_us(content["occurred_at_us"]),
            actor=Actor(who=who, role=role, authentication=authentication, place=place),
            payload=content["payload"],
            **{name: content[name] for name in _TEXTS},
        ),
    )


_TEXTS: Final = ("on_behalf_of", "policy_version", "roster_version", "source_message", "correlation_id")


def difference(mine: Mapping[str, Event], theirs: Mapping[str, Event]) -> tuple[str, ...]:
    """Return the ids of events that only one of two copies has, or that they tell differently."""
    return tuple(
        sorted(event_id for event_id in mine.keys() | theirs.keys() if mine.get(event_id) != theirs.get(event_id))
    )
