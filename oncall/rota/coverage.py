"""What is wrong with a resolved roster: seats that nobody has, people in two places, duty during an absence.

Everything is found before the night, from the timeline alone. Not here: rest and hours (`oncall.rota.legal`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

from oncall.directory import LineId, PersonId
from oncall.local_time import zone_of
from oncall.rota.model import Absence, Session, Shift
from oncall.rota.slots import slots_overlapping
from oncall.rota.timeline import Timeline
from oncall.spans import Span, gaps


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Gap:
    """A seat that its line's rules want filled, and nobody has. `absent` would have it but are away."""

    span: Span
    line_id: LineId
    rule: str
    absent: tuple[PersonId, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DoubleBooking:
    """Somebody has two things to do in one span: two shifts, or a shift and a daytime session."""

    person_id: PersonId
    span: Span
    shifts: tuple[Shift, ...]
    session: Session | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AbsenceConflict:
    """Somebody would be on duty on a line in a span, but is away: `shift` is what they would have."""

    person_id: PersonId
    span: Span
    shift: Shift
    absence: Absence


def coverage_gaps(timeline: Timeline, within: Span) -> tuple[Gap, ...]:
    """Return what nobody covers of the slots of every line, in the order of time.

    Raises
    ------
    Refused
        If `within` is not in the timeline's window: what was not looked at is not called covered.
    """
    timeline.require(within)
    away = absence_conflicts(timeline, within)
    found = []
    for line in timeline.roster.lines:
        for slot in slots_overlapping(line, within):
            wanted = slot.span.intersection(within)
            assert wanted is not None, "a slot that overlaps has a part within"
            covered = [shift.span for shift in timeline.line_shifts(line.line_id, wanted)]
            for span in gaps(wanted, covered):
                absent = {
                    one.person_id for one in away if one.shift.line_id == line.line_id and one.span.overlaps(span)
                }
                found.append(Gap(span=span, line_id=line.line_id, rule=slot.rule, absent=tuple(sorted(absent))))
    return tuple(sorted(found))


def double_bookings(timeline: Timeline, within: Span) -> tuple[DoubleBooking, ...]:
    """Return where somebody has two shifts at once, or a shift and a session.

    Two shifts of which one ends when the other begins are no double booking on the night that repeats the hour between.

    Raises
    ------
    Refused
        If `within` is not in the timeline's window.
    """
    timeline.require(within)
    zones = {line.line_id: line.time_zone for line in timeline.roster.lines}
    found = []
    for person_id in sorted({shift.person_id for shift in timeline.shifts}):
        shifts = timeline.shifts_of(person_id, within)
        for one, other in _overlapping_pairs(shifts):
            span = one.span.intersection(other.span)
            if span is None or not span.overlaps(within):
                continue
            if not _is_repeated_hour(span, zones.get(one.line_id, "UTC")):
                found.append(DoubleBooking(person_id=person_id, span=span, shifts=(one, other)))
        for session in timeline.roster.sessions:
            if session.person_id == person_id:
                found += [
                    DoubleBooking(person_id=person_id, span=span, shifts=(shift,), session=session)
                    for shift in shifts
                    if (span := shift.span.intersection(session.span)) is not None and span.overlaps(within)
                ]
    return tuple(sorted(found, key=lambda one: (one.span, one.person_id)))


def absence_conflicts(timeline: Timeline, within: Span) -> tuple[AbsenceConflict, ...]:
    """Return the shifts, or parts of them, that people would have had if they were not away.

    Raises
    ------
    Refused
        If `within` is not in the timeline's window.
    """
    timeline.require(within)
    roster = timeline.roster
    concerned = [absence for absence in roster.absences if absence.span.overlaps(within)]
    if not concerned:
        return ()
    found = []
    if roster.frozen_until is not None:
        # What was is not in conflict with what is written down later.
        concerned = [absence for absence in concerned if absence.span.end > roster.frozen_until]
    as_planned = Timeline(replace(roster, absences=()), timeline.directory, within)
    for absence in concerned:
        for shift in as_planned.shifts_of(absence.person_id, absence.span):
            span = shift.span.intersection(absence.span)
            if span is not None and span.overlaps(within):
                found.append(AbsenceConflict(person_id=absence.person_id, span=span, shift=shift, absence=absence))
    return tuple(sorted(found, key=lambda one: (one.span, one.person_id)))


def _overlapping_pairs(shifts: Iterable[Shift]) -> list[tuple[Shift, Shift]]:
    return [(one, other) for one, other in combinations(shifts, 2) if one.span.overlaps(other.span)]


def _is_repeated_hour(span: Span, zone: str) -> bool:
    """Tell whether the clocks show the same time at both ends of a span."""
    start, end = (instant.astimezone(zone_of(zone)).replace(tzinfo=None) for instant in (span.start, span.end))
    return start == end
