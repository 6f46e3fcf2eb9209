"""The most cases that anybody could have read within the hour: what a night's result is divided by.

For: judging nights, real ones (`oncall.figures.night`) and drawn ones (``benchmarks.nights``). Not for: deciding
anything; it knows every arrival and every true reading time beforehand.

The clairvoyant may break off a reading, go on with it later and hand it to another reader at no cost, and all readers
can read everything; so no policy that reads a case in one piece, with the same reader hours, can have more cases in
time. A mixed-integer program (on-call domain reference, 3.3; Horn, Federgruen and Groenevelt for the flow): ``x_j``
is 1 when case j is done in time, ``y_jk`` the minutes that it is read in interval k. A reader whose duty ends may
finish one case that had arrived before, and so may the clairvoyant's (``z_j``). Backups are there from arrival to
release.

What is returned is the solver's dual bound, so it holds even where the solver stopped before the optimum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from oncall.simulation.arrivals import Night
from oncall.simulation.night import BackupDuty, Staffing

HOUR_MIN: Final = Decimal(60)

#: The solver stops when its bound is this near; a thousandth of 120 cases is a fraction of one.
_GAP: Final = 1e-3
_SOLVER_TIME_MAX_S: Final = 20.0
#: Whole cases are counted; the solver's arithmetic is this exact.
_TOLERANCE: Final = 1e-6
#: A whole number that the solver says may be a little off.
_CHOSEN: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Chair:
    """A reader's place at the reading station from and until when; `may_finish` a case begun before its end."""

    from_min: float
    until_min: float
    may_finish: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A case to read: from when it can be, by when it is in time, and how long it takes."""

    ready_min: float
    due_min: float
    read_min: float


def chairs(staffing: Staffing, backups: Sequence[BackupDuty]) -> tuple[Chair, ...]:
    """Return the capacity of a night: its readers, and its backups from arrival to release."""
    regular = (
        Chair(from_min=float(duty.from_min), until_min=float(duty.until_min), may_finish=True)
        for duty in staffing.duties()
    )
    # What a backup finished after the paid hour is in `released_min` already.
    called = (
        Chair(from_min=float(duty.arrived_min), until_min=float(duty.released_min), may_finish=False)
        for duty in backups
    )
    return (*regular, *called)


def in_time_max(night: Night, capacity: Sequence[Chair]) -> int:
    """Return a number of cases done within the hour that no policy can exceed with this capacity."""
    jobs = [
        Job(
            ready_min=float(case.arrived.ready_min),
            due_min=float(case.arrived.ready_min + HOUR_MIN),
            read_min=float(case.read_min),
        )
        for case in night.cases
        if case.read_min <= HOUR_MIN
    ]
    return most_in_time(jobs, capacity)


def most_in_time(jobs: Sequence[Job], capacity: Sequence[Chair]) -> int:
    """Return a number of jobs done in time that nobody can exceed with this capacity."""
    if not jobs or not capacity:
        return 0
    bound = _Program(jobs, capacity, frozenset()).solve().bound
    return min(len(jobs), math.floor(bound + _TOLERANCE * (1 + len(jobs))))


def also_in_time(jobs: Sequence[Job], capacity: Sequence[Chair], kept: frozenset[int]) -> frozenset[int] | None:
    """Return jobs that can be in time together with all of `kept`, as many as there can be, by their indices.

    Returns
    -------
    frozenset of int or None
        Without `kept`; None when not even those can be, or the solver found nothing in its time.
    """
    if not capacity:
        return None if kept else frozenset()
    chosen = _Program(jobs, capacity, kept).solve().in_time
    return None if chosen is None else chosen - kept


@dataclass(frozen=True, kw_only=True, slots=True)
class _Solved:
    bound: float
    in_time: frozenset[int] | None


class _Program:
    """The mixed-integer program of one night, built row by row."""

    def __init__(self, jobs: Sequence[Job], capacity: Sequence[Chair], kept: frozenset[int]) -> None:
        self._jobs = jobs
        self._kept = kept
        self._upper: list[float] = [1.0] * len(jobs)
        self._rows: list[int] = []
        self._columns: list[int] = []
        self._values: list[float] = []
        self._row_lower: list[float] = []
        self._row_upper: list[float] = []
        self._build(capacity)

    def _variable(self, upper: float) -> int:
        self._upper.append(upper)
        return len(self._upper) - 1

    def _row(self, terms: Sequence[tuple[int, float]], lower: float, upper: float) -> None:
        row = len(self._row_lower)
        for column, value in terms:
            self._rows.append(row)
            self._columns.append(column)
            self._values.append(value)
        self._row_lower.append(lower)
        self._row_upper.append(upper)

    def _build(self, capacity: Sequence[Chair]) -> None:
        instants = {instant for job in self._jobs for instant in (job.ready_min, job.due_min)}
        horizon_min = max(instants)
        instants |= {end for chair in capacity for end in (chair.from_min, chair.until_min) if end < horizon_min}
        intervals = list(pairwise(sorted(instants)))
        in_interval: list[list[int]] = [[] for _ in intervals]
        overruns = self._overruns(capacity)
        starts = [start for start, _ in intervals]
        for index, job in enumerate(self._jobs):
            first = int(np.searchsorted(starts, job.ready_min))
            last = int(np.searchsorted(starts, job.due_min))
            finishing = overruns.get(index, {})
            work: list[int] = []
            after: dict[float, list[int]] = {change_min: [] for change_min in finishing}
            for number in range(first, last):
                start_min, end_min = intervals[number]
                length_min = end_min - start_min
                regular = self._variable(length_min)
                in_interval[number].append(regular)
                work.append(regular)
                together = [(regular, 1.0)]
                for change_min, begun in finishing.items():
                    if start_min >= change_min:
                        finished = self._variable(length_min)
                        self._row([(finished, 1.0), (begun, -length_min)], -np.inf, 0.0)
                        work.append(finished)
                        after[change_min].append(finished)
                        together.append((finished, 1.0))
                if len(together) > 1:
                    self._row(together, -np.inf, length_min)
            for change_min, begun in finishing.items():
                finished_in_all = [(variable, 1.0) for variable in after[change_min]]
                self._row([*finished_in_all, (begun, -job.read_min)], -np.inf, 0.0)
            self._row([*((variable, 1.0) for variable in work), (index, -job.read_min)], 0.0, 0.0)
        for (start_min, end_min), variables in zip(intervals, in_interval, strict=True):
            there = sum(1 for chair in capacity if chair.from_min <= start_min and end_min <= chair.until_min)
            if len(variables) > there:
                self._row([(variable, 1.0) for variable in variables], -np.inf, there * (end_min - start_min))

    def _overruns(self, capacity: Sequence[Chair]) -> dict[int, dict[float, int]]:
        """Return, by job and end of duty, the variable that says that a leaving reader finishes that job.

        It may be a fraction, which only lets the clairvoyant do more: on 120 nights the bound was the same, and found
        four times as fast.
        """
        found: dict[int, dict[float, int]] = {}
        leaving: dict[float, int] = {}
        for chair in capacity:
            if chair.may_finish:
                leaving[chair.until_min] = leaving.get(chair.until_min, 0) + 1
        for change_min, readers in leaving.items():
            begun = []
            for index, job in enumerate(self._jobs):
                if job.ready_min < change_min < job.due_min:
                    variable = self._variable(1.0)
                    found.setdefault(index, {})[change_min] = variable
                    begun.append((variable, 1.0))
            if begun:
                self._row(begun, -np.inf, float(readers))
        return found

    def solve(self) -> _Solved:
        """Return the dual bound on the number of jobs in time, and the jobs of the best plan that was found."""
        variables = len(self._upper)
        objective = np.zeros(variables)
        objective[: len(self._jobs)] = -1.0
        integrality = np.zeros(variables)
        integrality[: len(self._jobs)] = 1
        lower = np.zeros(variables)
        lower[sorted(self._kept)] = 1.0
        matrix = csr_array(
            (self._values, (self._rows, self._columns)), shape=(len(self._row_lower), variables), dtype=float
        )
        result = milp(
            objective,
            integrality=integrality,
            bounds=Bounds(lower, np.array(self._upper)),
            constraints=LinearConstraint(matrix, np.array(self._row_lower), np.array(self._row_upper)),
            options={"mip_rel_gap": _GAP, "time_limit": _SOLVER_TIME_MAX_S},
        )
        bound = result.mip_dual_bound
        chosen = None
        if result.x is not None:
            chosen = frozenset(np.flatnonzero(result.x[: len(self._jobs)] > _CHOSEN).tolist())
        # Without a bound of its own the solver has proved nothing: then every job might be in time.
        is_proved = bound is not None and np.isfinite(bound)
        return _Solved(bound=-float(bound) if is_proved else float(len(self._jobs)), in_time=chosen)
