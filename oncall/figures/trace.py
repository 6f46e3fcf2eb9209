"""What a case's state forgets and figures need: every assignment, every reading, every stalled transfer, in order.

For: one pass over the log of one case. Not for: judging it (`oncall.figures.row`, `oncall.figures.night`). The state
(`oncall.case.state`) keeps the newest assignment only; a case that was given on after somebody's silence waited since
the first one, and figures must show that.

Invariants: spans are UTC and never end before they begin; facts that are reported late keep the instant at which they
happened.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from oncall.case.event import Event
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId
from oncall.spans import Span


@dataclass(kw_only=True, slots=True)
class Assignment:
    """A case with one reader: from when, until when (None: still), when they answered, how often they were silent."""

    person_id: PersonId
    since: datetime
    until: datetime | None = None
    acknowledged_at: datetime | None = None
    timeouts: int = 0

    def silence(self) -> Span | None:
        """Return how long an unanswered page was waited for, None when it was answered in time, or runs still."""
        end = self.acknowledged_at or self.until
        return None if self.timeouts == 0 or end is None or end <= self.since else Span(start=self.since, end=end)


@dataclass(kw_only=True, slots=True)
class ReadingTurn:
    """A case opened by one reader: the spans in which it was not laid aside. ``ended_at`` is None while it is open."""

    person_id: PersonId
    opened_at: datetime
    spans: list[Span] = field(default_factory=list)
    ended_at: datetime | None = None
    is_signed: bool = False
    # Since when it is being read; None while it is laid aside.
    running_since: datetime | None = None

    @property
    def duration(self) -> timedelta:
        """Time in which it was read."""
        return sum((span.duration for span in self.spans), timedelta(0))

    def pause(self, at: datetime) -> None:
        """Lay it aside."""
        if self.running_since is not None and at > self.running_since:
            self.spans.append(Span(start=self.running_since, end=at))
        self.running_since = None

    def resume(self, at: datetime) -> None:
        """Go on."""
        if self.running_since is None:
            self.running_since = at

    def end(self, at: datetime, *, is_signed: bool) -> None:
        """Sign it or give it back."""
        self.pause(at)
        self.ended_at, self.is_signed = at, is_signed


@dataclass(kw_only=True, slots=True)
class Arrival:
    """A version of the report that stood: when it was signed, first arrived, and was first acknowledged."""

    version: int
    signer: PersonId
    signed_at: datetime
    delivered_at: datetime | None = None
    known_at: datetime | None = None
    is_retracted: bool = False


@dataclass(kw_only=True, slots=True)
class Trace:
    """What one log tells beside the state."""

    assignments: list[Assignment] = field(default_factory=list)
    turns: list[ReadingTurn] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    stalls: list[Span] = field(default_factory=list)
    late_images: list[datetime] = field(default_factory=list)
    addenda: int = 0
    retractions: int = 0
    is_emptied: bool = False
    stalled_since: datetime | None = None

    @property
    def standing(self) -> Arrival | None:
        """The first signed report that was not retracted, which ended the hour."""
        return next((one for one in self.arrivals if not one.is_retracted), None)

    @property
    def turn(self) -> ReadingTurn | None:
        """The reading that led to the report that stands; the newest one while there is none."""
        standing = self.standing
        signed = [one for one in self.turns if one.is_signed and standing is not None]
        if standing is not None and signed:
            return next((one for one in signed if one.ended_at == standing.signed_at), signed[-1])
        return self.turns[-1] if self.turns else None


def trace_of(events: Iterable[Event]) -> Trace:
    """Return what the log of one case tells, in its order."""
    trace = Trace()
    for event in events:
        step = _STEPS.get(event.type)
        if step is not None:
            step(trace, event)
    return trace


def _assigned(trace: Trace, event: Event) -> None:
    _assignment_ends(trace, event)
    at = event.fact.occurred_at
    trace.assignments.append(Assignment(person_id=PersonId(event.fact.payload["person_id"]), since=at))


def _assignment_ends(trace: Trace, event: Event) -> None:
    if trace.assignments and trace.assignments[-1].until is None:
        trace.assignments[-1].until = max(trace.assignments[-1].since, event.fact.occurred_at)


def _acknowledged(trace: Trace, event: Event) -> None:
    if not trace.assignments:
        return
    last = trace.assignments[-1]
    if last.acknowledged_at is None and last.person_id == event.fact.payload["person_id"]:
        last.acknowledged_at = max(last.since, event.fact.occurred_at)


def _timed_out(trace: Trace, event: Event) -> None:
    if trace.assignments and trace.assignments[-1].person_id == event.fact.payload["person_id"]:
        trace.assignments[-1].timeouts += 1


def _open_turn(trace: Trace) -> ReadingTurn | None:
    return trace.turns[-1] if trace.turns and trace.turns[-1].ended_at is None else None


def _opened(trace: Trace, event: Event) -> None:
    at, reader = event.fact.occurred_at, PersonId(event.fact.payload["person_id"])
    if _open_turn(trace) is not None:
        return
    if not trace.assignments or trace.assignments[-1].until is not None:
        trace.assignments.append(Assignment(person_id=reader, since=at))
    # Opening is the strongest answer.
    _acknowledged(trace, event)
    trace.turns.append(ReadingTurn(person_id=reader, opened_at=at, running_since=at))


def _parked(trace: Trace, event: Event) -> None:
    if (turn := _open_turn(trace)) is not None:
        turn.pause(event.fact.occurred_at)


def _resumed(trace: Trace, event: Event) -> None:
    if (turn := _open_turn(trace)) is not None:
        turn.resume(event.fact.occurred_at)


def _taken_away(trace: Trace, event: Event) -> None:
    if (turn := _open_turn(trace)) is not None:
        turn.end(event.fact.occurred_at, is_signed=False)
    _assignment_ends(trace, event)


def _signed(trace: Trace, event: Event) -> None:
    at, payload = event.fact.occurred_at, event.fact.payload
    if (turn := _open_turn(trace)) is not None:
        turn.end(at, is_signed=True)
    _assignment_ends(trace, event)
    # The same signature told again is the same report.
    if not trace.arrivals or payload["version"] > trace.arrivals[-1].version:
        trace.arrivals.append(Arrival(version=payload["version"], signer=PersonId(payload["signer"]), signed_at=at))


def _replaced(trace: Trace, event: Event) -> None:
    trace.addenda += 1


def _retracted(trace: Trace, event: Event) -> None:
    trace.retractions += 1
    # What is retracted is the newest version and, with it, what it was built on.
    for one in trace.arrivals:
        if one.version <= event.fact.payload["version"]:
            one.is_retracted = True


def _delivered(trace: Trace, event: Event) -> None:
    one = _told_of(trace, event)
    if one is not None and one.delivered_at is None:
        one.delivered_at = event.fact.occurred_at


def _known(trace: Trace, event: Event) -> None:
    one = _told_of(trace, event)
    if one is not None and one.known_at is None:
        # Who acknowledges has it: a receipt may be missing or come later.
        one.delivered_at = one.delivered_at or event.fact.occurred_at
        one.known_at = max(one.delivered_at, event.fact.occurred_at)


def _told_of(trace: Trace, event: Event) -> Arrival | None:
    """Return the signed report that a receipt is about; one that names an older version is about no other."""
    if not trace.arrivals:
        return None
    last, version = trace.arrivals[-1], event.fact.payload.get("version")
    return None if last.is_retracted or (version is not None and version < last.version) else last


def _stalled(trace: Trace, event: Event) -> None:
    if trace.stalled_since is None:
        trace.stalled_since = event.fact.occurred_at - timedelta(seconds=event.fact.payload["silent_s"])


def _moving(trace: Trace, event: Event) -> None:
    since, at = trace.stalled_since, event.fact.occurred_at
    trace.stalled_since = None
    if since is not None and at > since:
        trace.stalls.append(Span(start=since, end=at))


def _late(trace: Trace, event: Event) -> None:
    trace.late_images.append(event.fact.occurred_at)


def _emptied(trace: Trace, event: Event) -> None:
    _taken_away(trace, event)
    trace.is_emptied = True


def _filled(trace: Trace, event: Event) -> None:
    trace.is_emptied = False
    _moving(trace, event)


_Step = Callable[[Trace, Event], None]
_STEPS: Final[Mapping[str, _Step]] = MappingProxyType(
    {
        E.ASSIGN_MADE: _assigned,
        E.ASSIGN_REASSIGNED: _assigned,
        E.ASSIGN_ACKNOWLEDGED: _acknowledged,
        E.ASSIGN_TIMEOUT: _timed_out,
        E.ASSIGN_DECLINED: _assignment_ends,
        E.ASSIGN_REVOKED: _taken_away,
        E.READ_OPENED: _opened,
        E.READ_PARKED: _parked,
        E.READ_PREEMPTED: _parked,
        E.READ_RESUMED: _resumed,
        E.READ_RELEASED: _taken_away,
        E.REPORT_SIGNED: _signed,
        E.REPORT_ADDENDUM: _replaced,
        E.REPORT_REPLACED: _replaced,
        E.REPORT_RETRACTED: _retracted,
        E.REPORT_DELIVERED: _delivered,
        E.REPORT_ACKNOWLEDGED_BY_ED: _known,
        E.IMAGES_STALLED: _stalled,
        E.IMAGES_FIRST_INSTANCE: _filled,
        E.IMAGES_PROGRESS: _filled,
        E.IMAGES_RESUMED: _filled,
        E.IMAGES_LINKED: _filled,
        E.IMAGES_COMPLETE: _filled,
        E.IMAGES_LATE_INSTANCE: _late,
        E.IMAGES_COMPLETE_AGAIN: _moving,
        E.IMAGES_LAST_UNLINKED: _emptied,
        E.REQUEST_WITHDRAWN: _taken_away,
        E.REQUEST_REFUSED: _taken_away,
        E.REQUEST_EXPIRED: _taken_away,
        E.REQUEST_DUPLICATE_MERGED: _taken_away,
        E.CASE_CLOSED: _taken_away,
    }
)
