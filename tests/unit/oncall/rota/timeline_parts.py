"""Small rosters for tests: one or two lines in Paris, people with one-letter names."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

from oncall.directory import Directory, LineId, PersonId, ProviderId
from oncall.rota.model import DayKind, Line, LineKind, Override, OverrideKind, Rotation, Shift, ShiftPlan, ShiftRule
from oncall.rota.timeline import Timeline
from oncall.spans import Span

NOBODY_YET = Directory(sites={}, persons={}, providers={})
READER = LineId("reader-1")
NIGHT = ShiftRule(name="night", start=time(18, 30), end=time(8, 30))
DAY = ShiftRule(name="day", start=time(8, 30), end=time(18, 30), days=DayKind.SUNDAY_OR_HOLIDAY)


def utc(text: str) -> datetime:
    """Return an instant written without its offset: UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(start: str, end: str) -> Span:
    """Return a span of two instants in UTC."""
    return Span(start=utc(start), end=utc(end))


def line(*rules: ShiftRule, line_id: str = READER, zone: str = "Europe/Paris", commune: str = "42218") -> Line:
    """Return a line of Saint-Étienne, of the local group."""
    return Line(
        line_id=LineId(line_id),
        name=line_id,
        kind=LineKind.DUTY,
        provider_id=ProviderId("pool"),
        time_zone=zone,
        commune=commune,
        rules=rules,
    )


def turns(people: str, first_day: str, *, priority: int = 0, until: str | None = None, per_turn: int = 1) -> Rotation:
    """Return a rotation of the first reader's line; each letter is somebody."""
    return Rotation(
        line_id=READER,
        participants=tuple(PersonId(one) for one in people),
        first_day=date.fromisoformat(first_day),
        until=None if until is None else date.fromisoformat(until),
        shifts_per_turn=per_turn,
        priority=priority,
    )


def plan(shift_id: str, person: str, start: str, end: str) -> ShiftPlan:
    """Return a shift of the first reader's line."""
    return ShiftPlan(shift_id=shift_id, line_id=READER, person_id=PersonId(person), span=span(start, end))


def override(
    override_id: str, kind: OverrideKind, start: str, end: str, *, added: str = "", removed: str = "", made: str = ""
) -> Override:
    """Return an override of the first reader's line."""
    return Override(
        override_id=override_id,
        line_id=READER,
        kind=kind,
        span=span(start, end),
        added=PersonId(added) if added else None,
        removed=PersonId(removed) if removed else None,
        created_at=utc(made) if made else None,
    )


def people_at(timeline: Timeline, at: str) -> str:
    """Return the letters of who is on duty at an instant in UTC."""
    return "".join(sorted(shift.person_id for shift in timeline.on_duty(utc(at))))


def nights(shifts: Sequence[Shift]) -> list[tuple[str, str]]:
    """Return who begins when, in UTC."""
    return [(shift.person_id, shift.span.start.strftime("%m-%dT%H:%M")) for shift in shifts]
