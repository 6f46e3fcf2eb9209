"""Who can read a night: the engine, and what it is compared with, by name.

For: `benchmarks.nights`. Every contender is made anew for each night, and plays in the same world. A result above the
bound of its own capacity would mean that the world or the bound is wrong, so it ends the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.nights import baselines, figures
from benchmarks.nights.figures import PlayedNight
from oncall.figures import bound
from oncall.figures.bound import Chair
from oncall.reading.policy import DEFAULT
from oncall.simulation.arrivals import Night, hospital_names, hospital_shares
from oncall.simulation.engine_run import EngineOnCall
from oncall.simulation.night import NightResult, OnCall, Staffing, simulate
from oncall.simulation.run import ReadingOnCall

#: The contender that the goals are about.
OURS: Final = "engine"
#: Decides the same without log, timers and pages: for tuning a policy.
READING: Final = "reading"


class AboveTheBound(AssertionError):
    """A contender had more cases in time than anybody can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A way to read a night; `make` gives a new one for a night and its staffing."""

    title: str
    make: Callable[[Night, Staffing], OnCall]


def _engine(night: Night, staffing: Staffing) -> OnCall:
    return EngineOnCall(staffing, _sites(night), DEFAULT)


def _reading(night: Night, staffing: Staffing) -> OnCall:
    return ReadingOnCall(staffing, _sites(night), DEFAULT)


def _silo(night: Night, staffing: Staffing) -> OnCall:
    known = dict(zip(hospital_names(), hospital_shares(), strict=True))
    if _sites(night) <= known.keys():
        return baselines.Silo(site_shares=known)
    return baselines.Silo(site_shares=baselines.shares_of(case.arrived for case in night.cases))


CONTENDERS: Final[Mapping[str, Contender]] = {
    OURS: Contender(title="the engine", make=_engine),
    READING: Contender(title="its reading code alone (faster, the same decisions)", make=_reading),
    "simple": Contender(
        title="simple rules: P1 first, late last, 2 backups", make=lambda _, staffing: baselines.simple_rules(staffing)
    ),
    "fifo-backup": Contender(
        title="first in first out, 1 backup", make=lambda _, staffing: baselines.fifo_with_backup(staffing)
    ),
    "fifo": Contender(title="first in first out", make=lambda _night, _staffing: baselines.fifo()),
    "silo": Contender(title="fixed hospital silos", make=_silo),
}


def _sites(night: Night) -> frozenset[str]:
    return frozenset(case.arrived.site for case in night.cases)


class Stage:
    """One night in which several contenders can play; the bound of a capacity is computed once."""

    def __init__(self, night: Night, staffing: Staffing, *, seed: int | None = None) -> None:
        self._night = night
        self._staffing = staffing
        self._seed = seed
        self._bounds: dict[tuple[Chair, ...], int] = {}

    def play(self, name: str) -> tuple[PlayedNight, NightResult]:
        """Let a contender read the night, and say what anybody could have reached with the hours it used.

        Raises
        ------
        AboveTheBound
            When it did better than that.
        """
        oncall = CONTENDERS[name].make(self._night, self._staffing)
        before_s = time.process_time()
        result = simulate(self._night, self._staffing, oncall)
        cpu_s = time.process_time() - before_s
        in_time_max = self._bound(bound.chairs(self._staffing, result.backups))
        played = PlayedNight(
            seed=self._seed,
            cases=figures.times_of(self._night, result),
            backup_calls=len(result.backups),
            backup_hours=result.backup_hours,
            bound_in_time=in_time_max,
            cpu_s=cpu_s,
        )
        if played.in_time > in_time_max:
            message = (
                f"{name}, {self._night.name}: {played.in_time} in time, and nobody can have more than {in_time_max}"
            )
            raise AboveTheBound(message)
        return played, result

    def _bound(self, capacity: tuple[Chair, ...]) -> int:
        if capacity not in self._bounds:
            self._bounds[capacity] = bound.in_time_max(self._night, capacity)
        return self._bounds[capacity]
