"""What a roster is made of, as values: lines, shift rules, rotations, shifts, overrides, absences.

A `Roster` is what people edit, in local wall time. `oncall.rota.timeline` resolves it into `Shift` spans in UTC. Who
wins where several speak, from strongest to weakest: what was (history), override (give-aways and swaps are overrides),
explicit shift, higher layer, lower layer; an absence takes a person out of all but history.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum

from oncall.directory import LineId, PersonId, ProviderId, SiteId
from oncall.spans import Span


class LineKind(StrEnum):
    """What being on a line means."""

    DUTY = "duty"
    BACKUP = "backup"
    SENIOR = "senior"
    COORDINATOR = "coordinator"


class DayKind(StrEnum):
    """On which days a shift rule applies, at the line's time zone and reference commune."""

    EVERY_DAY = "every_day"
    WORKDAY = "workday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"
    HOLIDAY = "holiday"
    SUNDAY_OR_HOLIDAY = "sunday_or_holiday"


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """A layer of a line: participants take turns, one shift (or `shifts_per_turn`) each, from `first_day` on.

    The turn counts shifts of the line in their order, so nobody is skipped by weekday exclusions. Of several layers the
    one with the higher `priority` wins. Before `first_day` and from `until` on the layer says nothing.
    """

    line_id: LineId
    participants: tuple[PersonId, ...]
    first_day: date
    until: date | None = None
    shifts_per_turn: int = 1
    priority: int = 0


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

    REPLACE with `removed` None replaces whoever is there.
    """

    override_id: str
    line_id: LineId
    kind: OverrideKind
    span: Span
    added: PersonId | None = None
    removed: PersonId | None = None
    reason: str = ""
    created_at: datetime | None = None


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
    """Everything planned, one version of it; `history` is what was, up to `frozen_until`, and nothing changes it."""

    version: str
    lines: tuple[Line, ...]
    rotations: tuple[Rotation, ...] = ()
    plans: tuple[ShiftPlan, ...] = ()
    overrides: tuple[Override, ...] = ()
    absences: tuple[Absence, ...] = ()
    sessions: tuple[Session, ...] = ()
    history: tuple["Shift", ...] = ()
    frozen_until: datetime | None = None


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
