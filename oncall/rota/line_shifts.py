"""The shifts of one line of a roster around a window: what its rules, rotations, plans and history claim, resolved.

Not here: who wins (`resolution`), which slots there are (`slots`), the index that answers questions (`timeline`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from oncall.directory import LineId, PersonId
from oncall.rota.model import Line, Override, OverrideKind, Roster, Rotation, Shift
from oncall.rota.resolution import PLAN_STRENGTH, ROTATION_STRENGTH, SEAT_STRENGTH, Claim, resolve
from oncall.rota.slots import Slot, SlotCounter, slots_around
from oncall.spans import Span


def line_shifts(roster: Roster, line: Line, within: Span) -> list[Shift]:
    """Return the shifts of `line` that have an instant in `within`, whole, by their start."""
    history = [shift for shift in roster.history if shift.line_id == line.line_id]
    frozen_until = roster.frozen_until
    if frozen_until is not None and within.end <= frozen_until:
        return [shift for shift in history if shift.span.overlaps(within)]
    live = _live_shifts(roster, line, within)
    if frozen_until is not None:
        live = list(joined(history, live, frozen_until))
    return [shift for shift in live if shift.span.overlaps(within)]


def _live_shifts(roster: Roster, line: Line, within: Span) -> list[Shift]:
    """Return the line's shifts that overlap `within`, and others, as if nothing were frozen."""
    plans = [plan for plan in roster.plans if plan.line_id == line.line_id]
    overrides = [one for one in roster.overrides if one.line_id == line.line_id]
    # A plan or addition may be weeks long: all of it is worked out, so that its shifts are whole.
    spans = [plan.span for plan in plans] + [one.span for one in overrides if _makes_a_seat(one, line)]
    long = [span for span in spans if span.overlaps(within)]
    hull = Span(start=min(one.start for one in (within, *long)), end=max(one.end for one in (within, *long)))
    slots = slots_around(line, hull)
    claims = [
        Claim(span=slot.span, strength=SEAT_STRENGTH, person_id=None, origin="", rule=slot.rule) for slot in slots
    ]
    counter = SlotCounter(line)
    for rotation in roster.rotations:
        if rotation.line_id == line.line_id:
            claims += _turns(rotation, slots, counter)
    rules = {slot.span: slot.rule for slot in slots}
    for plan in plans:
        if plan.span.overlaps(hull):
            claims.append(
                Claim(
                    span=plan.span,
                    strength=PLAN_STRENGTH,
                    person_id=plan.person_id,
                    origin=f"plan:{plan.shift_id}",
                    rule=rules.get(plan.span) or _rule_at(plan.span.start, slots),
                )
            )
    overrides = [one for one in overrides if one.span.overlaps(hull)]
    if not line.rules:
        # A line without rules has a seat whenever somebody says who is on it.
        claims += [
            Claim(span=one.span, strength=SEAT_STRENGTH, person_id=None, origin="", rule="")
            for one in overrides
            if one.kind is OverrideKind.REPLACE and one.removed is None
        ]
    absences = [one for one in roster.absences if one.span.overlaps(hull)]
    return resolve(line.line_id, claims, overrides, absences)


def _makes_a_seat(override: Override, line: Line) -> bool:
    return override.kind is OverrideKind.ADD or (not line.rules and override.removed is None)


def _turns(rotation: Rotation, slots: Sequence[Slot], counter: SlotCounter) -> list[Claim]:
    """Return whose turn each slot is; `slots` has every slot of the days it has any of."""
    mine = [
        slot
        for slot in slots
        if slot.day >= rotation.first_day and (rotation.until is None or slot.day < rotation.until)
    ]
    if not mine or not rotation.participants:
        return []
    passed = counter.count(rotation.first_day, mine[0].day)
    return [
        Claim(
            span=slot.span,
            strength=(ROTATION_STRENGTH, rotation.priority),
            person_id=rotation.participants[number // rotation.shifts_per_turn % len(rotation.participants)],
            origin=f"rotation:{rotation.priority}",
            rule=slot.rule,
        )
        for number, slot in enumerate(mine, passed)
    ]


def _rule_at(instant: datetime, slots: Sequence[Slot]) -> str:
    return next((slot.rule for slot in slots if instant in slot.span), "")


def joined(history: Iterable[Shift], shifts: Iterable[Shift], frozen_until: datetime) -> tuple[Shift, ...]:
    """Return history, and what `shifts` have from `frozen_until` on; a shift that was running then is whole again.

    A shift that begins at `frozen_until` is another one than the same person's that ended then.
    """
    running = {_seat_of(one): one for one in history if one.span.end == frozen_until}
    later = []
    for one in shifts:
        if one.span.start >= frozen_until:
            later.append(one)
        elif one.span.end > frozen_until:
            was = running.pop(_seat_of(one), None)
            start = frozen_until if was is None else was.span.start
            later.append(replace(one, span=Span(start=start, end=one.span.end)))
    kept = [one for one in history if one.span.end < frozen_until or running.get(_seat_of(one)) is one]
    return tuple(sorted((*kept, *later), key=lambda shift: (shift.span, shift.line_id, shift.person_id)))


def _seat_of(shift: Shift) -> tuple[LineId, PersonId, str]:
    return shift.line_id, shift.person_id, shift.rule
