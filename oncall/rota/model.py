"""What a roster is made of, as values: lines, shift rules, rotations, shifts, overrides, absences.

A `Roster` is what people edit, in local wall time. `oncall.rota.timeline` resolves it into `Shift` spans in UTC. Who
wins where several speak, from strongest to weakest: what was (history), override (give-aways and swaps are overrides),
explicit shift, higher layer, lower layer; an absence takes a person out of all but history.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from enum import StrEnum
from typing import Final

from oncall.directory import LineId, PersonId, ProviderId, SiteId
from oncall.ladder import Ladder, Purpose
from oncall.spans import Span

_CALLED_OUT_OF: Final = "call:"


class LineKind(StrEnum):
    """What being on a line means."""

    DUTY = "duty"
    BACKUP = "backup"
    SENIOR = "senior"
    COORDINATOR = "coordinator"


class DayKind(StrEnum):
    """On which days a shift rule applies, at the line's time zone and reference commune.

    A workday is Monday to Friday and no public holiday. A public holiday on a Saturday or Sunday has the line's rules
    for holidays if it has any, else those of its weekday (`oncall.rota.slots`).
    """

    EVERY_DAY = "every_day"
    WORKDAY = "workday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"
    HOLIDAY = "holiday"
    SUNDAY_OR_HOLIDAY = "sunday_or_holiday"

    @property
    def is_of_holidays(self) -> bool:
        """Tell whether a rule with this kind speaks of public holidays."""
        return self in {DayKind.HOLIDAY, DayKind.SUNDAY_OR_HOLIDAY}


@dataclass(frozen=True, kw_only=True, slots=True)
class ShiftRule:
    """Shifts of one shape: from `start` to `end` wall time (of the next day when not later) on days of one kind.

    A wall time that happens twice begins at its first occurrence and ends at its last, so that a clock change can make
    shifts overlap but never opens a gap (GoAlert's semantics).
    """

    name: str
    start: time
    end: time
    days: DayKind = DayKind.EVERY_DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One seat that must be filled at the hours of its rules: ``reader 1``, ``backup``, ``coordinator``."""

    line_id: LineId
    name: str
    kind: LineKind
    provider_id: ProviderId
    time_zone: str
    commune: str
    rules: tuple[ShiftRule, ...]
    # Sites that this line serves; empty means all.
    sites: frozenset[SiteId] = frozenset()
    # The roster's ladder for cases of who is on this line; None means the engine's own.
    ladder_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """A layer of a line: participants take turns, one shift (or `shifts_per_turn`) each, from `first_day` on.

    The turn counts shifts of the line in their order, so nobody is skipped by weekday exclusions. Of several layers the
    one with the higher `priority` wins. Before `first_day` and from `until` on the layer says nothing: both are days on
    which shifts begin.

    Raises
    ------
    ValueError
        If `shifts_per_turn` is less than 1.
    """

    line_id: LineId
    participants: tuple[PersonId, ...]
    first_day: date
    until: date | None = None
    shifts_per_turn: int = 1
    priority: int = 0

    def __post_init__(self) -> None:
        if self.shifts_per_turn < 1:
            message = f"shifts_per_turn is at least 1, not {self.shifts_per_turn}"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShiftPlan:
    """One person on one line for one span, written down by somebody or by the generator; ``locked`` cells stay."""

    shift_id: str
    line_id: LineId
    person_id: PersonId
    span: Span
    locked: bool = False


class OverrideKind(StrEnum):
    """How an override changes a line."""

    REPLACE = "replace"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """A change for a span: `added` takes the place of `removed` (REPLACE), comes too (ADD), or `removed` leaves.

    REPLACE with `removed` None replaces whoever is there, or should be there by the line's rules. REPLACE and REMOVE of
    somebody who is not there change nothing. Where several overrides speak, the later made works on what the earlier
    left.

    Raises
    ------
    ValueError
        If `added` or `removed` is missing where its kind needs it, or given where it means nothing.
    """

    override_id: str
    line_id: LineId
    kind: OverrideKind
    span: Span
    added: PersonId | None = None
    removed: PersonId | None = None
    reason: str = ""
    created_at: datetime | None = None

    def __post_init__(self) -> None:
        if (self.added is None) != (self.kind is OverrideKind.REMOVE):
            message = "an override adds somebody unless its kind is remove: check `added`"
            raise ValueError(message)
        if {OverrideKind.REMOVE: self.removed is None, OverrideKind.ADD: self.removed is not None}.get(
            self.kind, False
        ):
            message = "an override that removes names who leaves, and one that adds does not: check `removed`"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """Somebody is not there: leave, illness, training, compulsory rest."""

    person_id: PersonId
    span: Span
    kind: str = "leave"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Daytime work outside the lines (a hospital session): it counts for rest and for weekly hours."""

    person_id: PersonId
    span: Span
    site_id: SiteId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Roster:
    """Everything planned, one version of it; `history` is what was, up to `frozen_until`, and nothing changes it.

    Raises
    ------
    ValueError
        If an id is there twice, a rotation, plan or override is of no line, a line's ladder is not there or looks for
        no reader, two ladders are of one purpose that the territory shares, or history goes beyond `frozen_until`.
    """

    version: str
    lines: tuple[Line, ...]
    rotations: tuple[Rotation, ...] = ()
    plans: tuple[ShiftPlan, ...] = ()
    overrides: tuple[Override, ...] = ()
    absences: tuple[Absence, ...] = ()
    sessions: tuple[Session, ...] = ()
    history: tuple["Shift", ...] = ()
    frozen_until: datetime | None = None
    ladders: tuple[Ladder, ...] = ()

    def __post_init__(self) -> None:
        line_ids = [line.line_id for line in self.lines]
        for kind, ids in (
            ("line", line_ids),
            ("plan", [plan.shift_id for plan in self.plans]),
            ("override", [override.override_id for override in self.overrides]),
            ("ladder", [ladder.ladder_id for ladder in self.ladders]),
        ):
            if twice := [one for one, count in Counter(ids).items() if count > 1]:
                message = f"each {kind} of a roster has an id of its own; twice there: {', '.join(sorted(twice))}"
                raise ValueError(message)
        named = {rotation.line_id for rotation in self.rotations}
        named |= {plan.line_id for plan in self.plans} | {override.line_id for override in self.overrides}
        if unknown := named - set(line_ids):
            names = ", ".join(sorted(unknown))
            message = f"rotations, plans and overrides are of a line of the roster; no such line: {names}"
            raise ValueError(message)
        self._check_ladders()
        frozen_until = self.frozen_until
        if self.history and (frozen_until is None or any(shift.span.end > frozen_until for shift in self.history)):
            message = "the history of a roster ends by its frozen_until"
            raise ValueError(message)

    def _check_ladders(self) -> None:
        wanted = {line.ladder_id for line in self.lines if line.ladder_id is not None}
        known = {ladder.ladder_id for ladder in self.ladders if ladder.purpose is Purpose.READER}
        if unknown := wanted - known:
            message = f"lines name a ladder of the roster for readers; no such ladder: {', '.join(sorted(unknown))}"
            raise ValueError(message)
        shared = Counter(ladder.purpose for ladder in self.ladders if ladder.purpose is not Purpose.READER)
        if twice := [purpose for purpose, count in shared.items() if count > 1]:
            message = f"a territory has one ladder of a purpose but reader; more of: {', '.join(sorted(twice))}"
            raise ValueError(message)

    def line(self, line_id: LineId) -> Line:
        """Return the line of that id; KeyError if there is none."""
        for line in self.lines:
            if line.line_id == line_id:
                return line
        raise KeyError(line_id)

    def ladder_of(self, line: Line) -> Ladder | None:
        """Return the ladder that a line names; None when it names none."""
        return next((ladder for ladder in self.ladders if ladder.ladder_id == line.ladder_id), None)

    def ladder_for(self, purpose: Purpose) -> Ladder | None:
        """Return the territory's ladder of a purpose that no line has its own for; None when it carries none."""
        assert purpose is not Purpose.READER, "each line names its own"
        return next((ladder for ladder in self.ladders if ladder.purpose is purpose), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """One person on duty on one line for one span: what the timeline answers with.

    ``origin`` says why: ``history``, ``override:ID``, ``plan:ID`` or ``rotation:PRIORITY``. ``rule`` is the name of the
    `ShiftRule`.
    """

    line_id: LineId
    person_id: PersonId
    span: Span
    origin: str
    rule: str = ""


def call(line_id: LineId, person_id: PersonId, span: Span) -> Shift:
    """Return what somebody worked when called out of a line at home: work, which being on that line is not (§1.8).

    Its line is no line of the roster; `line_of` knows it.
    """
    return Shift(line_id=LineId(f"{_CALLED_OUT_OF}{line_id}"), person_id=person_id, span=span, origin="call")


def is_call(shift: Shift) -> bool:
    """Tell a call from a shift that was planned."""
    return shift.line_id.startswith(_CALLED_OUT_OF)


def line_of(shift: Shift, lines: Mapping[LineId, Line]) -> Line | None:
    """Return the line of a shift, None when it is not among `lines`; a call's is the one left, as a line of duty."""
    if not is_call(shift):
        return lines.get(shift.line_id)
    left = lines.get(LineId(shift.line_id.removeprefix(_CALLED_OUT_OF)))
    return None if left is None else replace(left, kind=LineKind.DUTY)
