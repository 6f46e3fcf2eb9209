"""Shifts that came from another program, and putting them into a roster.

For: what every importer hands over, whatever it read. Not for: reading any format.

Invariants: importing the same again gives the same roster; the past is not touched; a locked cell is never overwritten,
the import is refused instead; what was planned on a line makes room for the shifts that come, and only for them: the
feed of one person does not empty a line of the others.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from foundation.errors import Refused
from oncall.directory import LineId, PersonId
from oncall.rota.model import Roster, ShiftPlan
from oncall.spans import Span, subtract, union

# What is longer is no shift, but a slip in a date.
SHIFT_MAX: Final = timedelta(days=31)
# Two shifts of a line overlap by an hour where they change hands in the hour that October repeats.
_CLOCK_CHANGE: Final = timedelta(hours=1)
# Two years of a dozen lines; more is a mistake in the file or in the window.
SHIFTS_MAX: Final = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedShift:
    """One person on one line for one span, as somebody else planned it."""

    line_id: LineId
    person_id: PersonId
    span: Span

    @property
    def shift_id(self) -> str:
        """The identifier of its cell: the same for the same shift, so that a second import changes nothing."""
        what = f"{self.line_id} {self.person_id} {self.span.start.isoformat()}"
        return f"import:{hashlib.sha256(what.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an importer read; `notes` say what was left out on purpose and why."""

    shifts: tuple[ImportedShift, ...]
    notes: tuple[str, ...] = ()


def with_imported(roster: Roster, shifts: Sequence[ImportedShift], *, now: datetime) -> Roster:
    """Return the roster with these shifts as cells of their lines; its version is still the old one.

    A cell that an imported shift overlaps keeps what is left of it.

    Raises
    ------
    Refused
        If a line is not in the roster, a shift begins in the past, a cell is locked, or there are too many.
    """
    if len(shifts) > SHIFTS_MAX:
        raise Refused(f"{len(shifts)} shifts are more than {SHIFTS_MAX}; import a shorter time")
    known = {line.line_id for line in roster.lines}
    unknown = sorted({shift.line_id for shift in shifts} - known)
    if unknown:
        raise Refused(f"no line {', '.join(unknown)} in the roster; its lines are {', '.join(sorted(known))}")
    past = roster.frozen_until if roster.frozen_until is not None and roster.frozen_until > now else now
    early = [shift for shift in shifts if shift.span.start < past]
    if early:
        raise Refused(
            f"{len(early)} shifts begin before {past.isoformat(timespec='minutes')}: the past is frozen; "
            "import from a later instant on"
        )
    plans = list(roster.plans)
    for line_id in sorted({shift.line_id for shift in shifts}):
        mine = [shift for shift in shifts if shift.line_id == line_id]
        plans = [*_with_room(plans, line_id, mine), *(_cell(shift) for shift in mine)]
    return replace(roster, plans=tuple(sorted(plans, key=lambda plan: (plan.span, plan.line_id, plan.person_id))))


def overlapping_pairs(shifts: Iterable[ImportedShift]) -> list[tuple[ImportedShift, ImportedShift]]:
    """Return pairs on one line that overlap by more than a clock change: one seat with two people on it."""
    found: list[tuple[ImportedShift, ImportedShift]] = []
    reaching: ImportedShift | None = None
    for shift in sorted(shifts, key=lambda shift: (shift.line_id, shift.span)):
        if reaching is None or reaching.line_id != shift.line_id:
            reaching = shift
            continue
        both = reaching.span.intersection(shift.span)
        if both is not None and both.end - both.start > _CLOCK_CHANGE:
            found.append((reaching, shift))
        if shift.span.end > reaching.span.end:
            reaching = shift
    return found


def _cell(shift: ImportedShift) -> ShiftPlan:
    return ShiftPlan(shift_id=shift.shift_id, line_id=shift.line_id, person_id=shift.person_id, span=shift.span)


def _with_room(plans: Sequence[ShiftPlan], line_id: LineId, shifts: Sequence[ImportedShift]) -> list[ShiftPlan]:
    """Return the plans without what is in the way of the line's imported shifts."""
    taken = union(shift.span for shift in shifts)
    left: list[ShiftPlan] = []
    for plan in plans:
        holes = _overlapping(taken, plan.span) if plan.line_id == line_id else []
        if not holes:
            left.append(plan)
            continue
        if plan.locked:
            if _is_the_same(plan, shifts):
                continue
            raise Refused(
                f"the cell of {plan.person_id} on {line_id} from {plan.span.start.isoformat(timespec='minutes')} is "
                "locked; unlock it, or import around it"
            )
        for number, rest in enumerate(subtract([plan.span], holes)):
            left.append(replace(plan, shift_id=f"{plan.shift_id}/{number}", span=rest))
    return left


def _overlapping(taken: Sequence[Span], span: Span) -> list[Span]:
    first = bisect_right(taken, span.start, key=lambda one: one.end)
    return list(taken[first : bisect_left(taken, span.end, key=lambda one: one.start)])


def _is_the_same(plan: ShiftPlan, shifts: Sequence[ImportedShift]) -> bool:
    return any(shift.span == plan.span and shift.person_id == plan.person_id for shift in shifts)
