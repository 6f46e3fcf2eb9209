"""Who is on one line, when several parts of a roster speak: claims, overrides and absences into shifts.

At any instant (`oncall.rota.model` has the order of strength):

1. Every slot, rotation and plan that covers the instant is a claim on the seat.
2. Overrides change claims in the order in which they were made, whatever the claim's strength: who gave a shift away
   stays away, even when they go on leave afterwards and a weaker layer would speak.
3. Somebody absent does not speak, so that a weaker layer may. That is so for whom an override put there too; whom they
   replaced is not called back, since they do not expect it. Without a weaker layer the seat is empty, and
   `oncall.rota.coverage` reports it. Whom an override removed leaves the seat empty, and no weaker layer takes it.
4. The strongest claims that remain have the seat, together with whoever is added. Equally strong claims share it: that
   is how two shifts overlap while a clock change repeats an hour.

All instants between two changes are alike, so this is worked out once for each stretch between them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from oncall.directory import LineId, PersonId
from oncall.rota.model import Absence, Override, OverrideKind, Shift
from oncall.spans import Span

# Strengths compare as pairs; the second member of a rotation's is its priority.
SEAT_STRENGTH: Final = (0, 0)
ROTATION_STRENGTH: Final = 1
PLAN_STRENGTH: Final = (2, 0)
_OVERRIDE_STRENGTH: Final = (3, 0)
_EVER_BEFORE: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One part of a roster says that somebody has the seat for a span; `person_id` None: the seat is to be filled."""

    span: Span
    strength: tuple[int, int]
    person_id: PersonId | None
    origin: str
    rule: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Holder:
    """A claim at one instant, as overrides have changed it; `claim` is its number among the claims of the line."""

    claim: int
    strength: tuple[int, int]
    person_id: PersonId | None
    origin: str
    rule: str


def resolve(
    line_id: LineId, claims: Sequence[Claim], overrides: Iterable[Override], absences: Iterable[Absence]
) -> list[Shift]:
    """Return the shifts of one line by start; successive stretches of one claim, person and origin are one."""
    by_start = sorted(claims, key=lambda claim: claim.span)
    by_age = sorted(overrides, key=lambda override: override.created_at or _EVER_BEFORE)
    concerned = {claim.person_id for claim in claims} | {override.added for override in by_age}
    away = [absence for absence in absences if absence.person_id in concerned]
    shifts: list[Shift] = []
    running: dict[_Holder, datetime] = {}
    for start, active in _stretches(
        [claim.span for claim in by_start], [one.span for one in by_age], [one.span for one in away]
    ):
        seated = set(
            _seated(
                [(number, by_start[number]) for number in active[0]],
                [(len(by_start) + number, by_age[number]) for number in active[1]],
                {away[number].person_id for number in active[2]},
            )
        )
        gone = running.keys() - seated
        shifts += [_shift(line_id, holder, running.pop(holder), start) for holder in gone]
        for holder in seated - running.keys():
            running[holder] = start
    return sorted(shifts, key=lambda shift: (shift.span, shift.person_id))


def _stretches(*tracks: Sequence[Span]) -> Iterator[tuple[datetime, list[list[int]]]]:
    """Yield each instant at which something changes, with the positions of the spans that hold from it on, by track.

    The last instant yielded has no spans.
    """
    entering: defaultdict[datetime, list[tuple[int, int]]] = defaultdict(list)
    leaving: defaultdict[datetime, list[tuple[int, int]]] = defaultdict(list)
    for track, spans in enumerate(tracks):
        for position, span in enumerate(spans):
            entering[span.start].append((track, position))
            leaving[span.end].append((track, position))
    active: list[set[int]] = [set() for _ in tracks]
    for instant in sorted(entering.keys() | leaving.keys()):
        for track, position in leaving.get(instant, ()):
            active[track].remove(position)
        for track, position in entering.get(instant, ()):
            active[track].add(position)
        yield instant, [sorted(positions) for positions in active]


def _seated(
    claims: Sequence[tuple[int, Claim]], overrides: Sequence[tuple[int, Override]], absent: set[PersonId]
) -> list[_Holder]:
    holders = [
        _Holder(claim=number, strength=one.strength, person_id=one.person_id, origin=one.origin, rule=one.rule)
        for number, one in claims
    ]
    added: list[_Holder] = []
    for number, override in overrides:
        if override.kind is OverrideKind.ADD:
            added.append(_holder_of(override, number))
        elif override.removed is None:
            holders, added = _replaced_there(holders, override, absent), []
        else:
            holders, added = (_changed(part, override) for part in (holders, added))
    seated: dict[PersonId, _Holder] = {}
    for one in chain(_strongest(holders, absent), added):
        if one.person_id is not None and one.person_id not in absent:
            seated.setdefault(one.person_id, one)
    return list(seated.values())


def _holder_of(override: Override, number: int) -> _Holder:
    return _Holder(
        claim=number,
        strength=_OVERRIDE_STRENGTH,
        person_id=override.added,
        origin=f"override:{override.override_id}",
        rule="",
    )


def _strongest(holders: Sequence[_Holder], absent: set[PersonId]) -> list[_Holder]:
    """Return who has the seat: the strongest of those who speak; an empty seat (person None) speaks too."""
    speaking = [one for one in holders if one.person_id not in absent]
    strength = max((one.strength for one in speaking), default=SEAT_STRENGTH)
    return [one for one in speaking if one.strength == strength]


def _replaced_there(holders: Sequence[_Holder], override: Override, absent: set[PersonId]) -> list[_Holder]:
    there = _strongest(holders, absent)
    return [_given(one, override) if one in there else one for one in holders]


def _changed(holders: Sequence[_Holder], override: Override) -> list[_Holder]:
    return [_given(one, override) if one.person_id == override.removed else one for one in holders]


def _given(holder: _Holder, override: Override) -> _Holder:
    return replace(holder, person_id=override.added, origin=f"override:{override.override_id}")


def _shift(line_id: LineId, holder: _Holder, start: datetime, end: datetime) -> Shift:
    assert holder.person_id is not None, "an empty seat is no shift"
    return Shift(
        line_id=line_id,
        person_id=holder.person_id,
        span=Span(start=start, end=end),
        origin=holder.origin,
        rule=holder.rule,
    )
