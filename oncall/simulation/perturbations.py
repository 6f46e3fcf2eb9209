"""What goes wrong in a night: silence, readers who drop out, a burst of casualties, a hospital that is cut off.

For: nights with faults, `benchmarks.nights.faults`. Not for: the engine's answers to them; those are the engine's.
Source: on-call domain reference, sections 3.5 and 3.6. All of it is drawn from seeds: the same seed, the same faults.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import Final

from oncall.reading.board import ExamKind, Urgency
from oncall.simulation.arrivals import (
    EXAMS,
    NIGHT_ENDS_MIN,
    READERS_CHANGE_MIN,
    ArrivedCase,
    Night,
    NightCase,
    read_min_of,
)

# §3.6: who had nothing to do for 20 min in the deep night does not hear one page in five, and wakes 25 min later.
DOZES_AFTER_MIN: Final = Decimal(20)
UNHEARD: Final = 0.2
WAKES_AFTER_MIN: Final = Decimal(25)


@dataclass(kw_only=True)
class Silence:
    """Who sleeps: readers without work in the deep night act on pages only, and do not hear every one.

    Each page has its own chance to be heard, so a repeated one may be.
    """

    seed: int
    unheard: float = UNHEARD
    _dice: Random = field(init=False)
    _wakes_min: dict[str, Decimal] = field(default_factory=dict)
    _awake_since_min: dict[str, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._dice = Random(self.seed)  # noqa: S311  # a simulation, and its draws must repeat

    def worked(self, person: str, now_min: Decimal) -> None:
        """Note that somebody is awake: they came, read or answered."""
        self._awake_since_min[person] = now_min
        self._wakes_min.pop(person, None)

    def is_dozing(self, person: str, now_min: Decimal) -> bool:
        """Tell whether somebody must be woken: they look at no list by themselves."""
        wakes_min = self._wakes_min.get(person)
        if wakes_min is not None and now_min >= wakes_min:
            self.worked(person, now_min)
        awake_since_min = self._awake_since_min.get(person, now_min)
        return now_min >= READERS_CHANGE_MIN and now_min - awake_since_min >= DOZES_AFTER_MIN

    def hears(self, person: str, now_min: Decimal) -> bool:
        """Tell whether somebody hears a page that comes now."""
        if not self.is_dozing(person, now_min):
            return True
        if self._dice.random() < self.unheard:
            self._wakes_min.setdefault(person, now_min + WAKES_AFTER_MIN)
            return False
        self.worked(person, now_min)
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class DropOut:
    """A reader whose line goes dead: what they have open goes back, and is read by another from its beginning."""

    person: str
    at_min: Decimal


def with_burst(night: Night, *, seed: int, at_min: Decimal, casualties: int) -> Night:
    """Return the night with an accident: polytraumas from one hospital within an hour (§3.5: 15 to 40)."""
    dice = Random(seed)  # noqa: S311  # a simulation, and its draws must repeat
    exam = next(exam for exam in EXAMS if exam.kind is ExamKind.WHOLE_BODY)
    site = night.cases[0].arrived.site
    added = []
    for number in range(casualties):
        ready_min = min(at_min + Decimal(f"{dice.random() * 60:.3f}"), NIGHT_ENDS_MIN)
        arrived = ArrivedCase(
            case_id=f"b{number + 1:03d}", ready_min=ready_min, site=site, urgency=Urgency.P1, exam=exam.kind
        )
        added.append(NightCase(arrived=arrived, read_min=read_min_of(exam, dice.gauss(0.0, 1.0))))
    return Night(name=f"{night.name}, burst of {casualties}", cases=(*night.cases, *added))


def with_site_cut_off(night: Night, *, site: str, from_min: Decimal, until_min: Decimal) -> Night:
    """Return the night in which a hospital's images wait for its network: they are complete when it is back."""
    return Night(
        name=f"{night.name}, {site} cut off",
        cases=tuple(
            replace(case, arrived=replace(case.arrived, ready_min=until_min))
            if case.arrived.site == site and from_min <= case.arrived.ready_min < until_min
            else case
            for case in night.cases
        ),
    )
