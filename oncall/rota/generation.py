"""What a roster generator is asked and what it answers: values only; the search is in `generate`.

Seats of lines over a stretch of days are to be filled from a pool of people. Locked plans and agreed overrides (swaps)
stay; what else is planned on these lines and days gives way; everything else that people do (other lines, sessions,
what was before and comes after) is a fact that the law is measured against.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from oncall.directory import Competence, Directory, LineId, PersonId, SubSpecialty
from oncall.rota.ledger import WEIGHTS, BurdenWeights
from oncall.rota.legal import LegalLimits
from oncall.rota.model import Roster, ShiftPlan
from oncall.spans import Span

# What a planner waits for at a screen.
SEARCH_S_MAX: Final = 30.0


class CapKind(StrEnum):
    """What a cap counts of one person: all shifts, or those of duty that touch a night or a weekend."""

    SHIFTS = "shifts"
    NIGHT_SHIFTS = "night_shifts"
    WEEKEND_SHIFTS = "weekend_shifts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """At most `count_max` in any `days` of the days to fill on end; of one person, or of each when `person_id` is None.

    A night that is split in two shifts counts two.
    """

    kind: CapKind
    count_max: int
    days: int
    person_id: PersonId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Whenever seats of `lines` are filled, at least `people_min` of those in them read `needed` well enough."""

    needed: SubSpecialty
    lines: frozenset[LineId]
    competence_min: Competence = Competence.COMPETENT
    people_min: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationRequest:
    """A roster to fill.

    Parameters
    ----------
    roster : Roster
        Lines, locked plans, absences, sessions, and what is planned around the days.
    first_day, until : date
        Local days on which the seats begin, `until` excluded.
    people : tuple[PersonId, ...]
        The pool.
    lines : frozenset[LineId]
        The lines to fill; empty means all.
    eligible : Mapping[LineId, frozenset[PersonId]]
        Who may take a line; a line that is not there is for the whole pool.
    parts : Mapping[PersonId, float]
        How much of the burden is somebody's, relative to the others: 1.0 unless named (part-time 0.5). It is reduced by
        what they are absent.
    carried : Mapping[PersonId, float]
        Weighted hours (`ledger.burden`) that somebody carried too many (or, negative, too few) before these days.
    keeps_backups_callable : bool
        Whether somebody at home on a backup line must be able to be called at any minute of it: then it needs the same
        rest around it as work.
    search_s_max : float
        Seconds after which the best roster found so far is good enough.
    """

    roster: Roster
    directory: Directory
    first_day: date
    until: date
    people: tuple[PersonId, ...]
    lines: frozenset[LineId] = frozenset()
    eligible: Mapping[LineId, frozenset[PersonId]] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()
    mixes: tuple[Mix, ...] = ()
    parts: Mapping[PersonId, float] = field(default_factory=dict)
    carried: Mapping[PersonId, float] = field(default_factory=dict)
    limits: LegalLimits = field(default_factory=LegalLimits)
    weights: BurdenWeights = WEIGHTS
    keeps_backups_callable: bool = True
    search_s_max: float = SEARCH_S_MAX
    workers: int = 2
    seed: int = 0


class DemandKind(StrEnum):
    """What a roster must do, and what a conflict is made of."""

    COVER = "cover"
    LOCKED = "locked"
    ABSENCE = "absence"
    ELSEWHERE = "elsewhere"
    REST = "rest"
    AMPLITUDE = "amplitude"
    WEEK_48_H = "week_48_h"
    TELERADIOLOGY_SHARE = "teleradiology_share"
    CAP = "cap"
    MIX = "mix"


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """One thing that was asked or that the law asks, of a person or a line; `text_fr` and `text_en` say which.

    ``subject`` is what tells demands of one kind apart: a person, a line and span, a plan.
    """

    kind: DemandKind
    subject: str
    text_fr: str
    text_en: str
    person_id: PersonId | None = None
    span: Span | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a search is; ``unevenness`` is what is being minimised (0 is even), `bound` what it cannot go below."""

    search_s: float
    rosters_found: int
    unevenness: float
    bound: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The largest less the smallest load over those of the pool whose part is full, absences and all.

    Of weighted hours, and of shifts in the deep night, on weekends, on holidays and at home.
    """

    burden_hours: float
    deep_nights: int
    weekends: int
    holidays: int
    backups: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedRoster:
    """Every seat filled, and nobody's work breaks the law: checked by `legal.violations` before it is returned.

    ``plans`` are the locked ones and one for every other seat. ``unevenness`` is what was minimised;
    ``is_proven_best`` tells that no more even roster exists.
    """

    plans: tuple[ShiftPlan, ...]
    is_proven_best: bool
    unevenness: float
    spread: Spread
    search_s: float
    rounds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Infeasible:
    """No roster does all that is asked: these demands cannot hold together.

    ``is_minimal`` tells that without any one of them the others can; it is False only when time ran out while looking.
    """

    conflict: tuple[Demand, ...]
    is_minimal: bool
    message_fr: str
    message_en: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NotFound:
    """Neither a roster nor a proof that there is none within the time given."""

    search_s: float
