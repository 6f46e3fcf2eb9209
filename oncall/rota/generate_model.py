"""The CP-SAT model of a generator's problem: demands as constraints, unevenness as what is minimised.

A model is built from a subset of the demands, so that a conflict can be looked for by leaving some out. What nobody can
ask away is always in it: one person is in one place, and a seat takes one person.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Final

from ortools.sat.python import cp_model

from oncall.directory import Person, PersonId
from oncall.rota.generate_first import Scale
from oncall.rota.generate_problem import Group, Problem
from oncall.rota.generation import Demand, DemandKind

# How much unevenness hurts: a step of burden, a shift in the deep night, on a weekend, on a holiday, at home.
COSTS: Final = {"burden": 1, "deep_nights": 6, "weekends": 6, "holidays": 8, "backups": 4}
# A deviation of the one who deviates most counts as much as this many of anybody's.
_WORST_FACTOR: Final = 5
# Burdens this close are called even: less than the shortest shift.
_BURDEN_TOLERANCE_MIN: Final = 180
# Burden is counted in steps, because a solver is no faster for minutes.
_BURDEN_STEP_MIN: Final = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """Something that is to be spread evenly: what each group counts, by its number."""

    name: str
    counts: Mapping[int, int]
    tolerance: int


class RosterModel:
    """The model, and who is in which group by its variables.

    Parameters
    ----------
    demands : Collection[Demand], optional
        What must hold; None means everything.
    is_assumed : bool
        Whether each demand holds by an assumption, so that the solver can name those that do not hold together.
    """

    def __init__(
        self, problem: Problem, demands: Collection[Demand] | None = None, *, is_assumed: bool = False
    ) -> None:
        self.problem = problem
        self.model = cp_model.CpModel()
        self._demands = None if demands is None else frozenset(demands)
        self._is_assumed = is_assumed
        self._literals: dict[Demand, Any] = {}
        self.taken: dict[tuple[PersonId, int], Any] = {}
        self._people_of: dict[int, list[PersonId]] = {}
        self._add_people()
        self._add_cover()
        self._add_conflicts()
        self._add_windows()
        self._add_mixes()
        if is_assumed:
            self.model.add_assumptions(list(self._literals.values()))

    def assumed(self, index: int) -> Demand:
        """Return the demand whose assumption has this index in the model."""
        return next(demand for demand, literal in self._literals.items() if literal.index == index)

    def minimise_unevenness(self, begun_with: Collection[tuple[PersonId, int]]) -> int:
        """Set the objective: deviations from everybody's due share, the worst of each kind counting most.

        Returns
        -------
        int
            The unevenness of the roster to begin with; its deviations are hints too.
        """
        terms: list[Any] = []
        begun_cost = 0
        for dimension in dimensions(self.problem):
            total = sum(len(group.slots) * dimension.counts.get(group.number, 0) for group in self.problem.groups)
            if not total:
                continue
            due = due_shares(self.problem, dimension)
            worst, worst_begun = self.model.new_int_var(0, total, f"worst {dimension.name}"), 0
            for person_id in self.problem.people:
                own = [one for one in dimension.counts.items() if (person_id, one[0]) in self.taken]
                load = sum(count * self.taken[person_id, number] for number, count in own)
                # Whole steps on both sides of the due share are as even as it gets.
                low = floor(due[person_id]) - dimension.tolerance
                high = ceil(due[person_id]) + dimension.tolerance
                off = self.model.new_int_var(0, total, "")
                self.model.add(load - off <= high)
                self.model.add(load + off >= low)
                self.model.add(worst >= off)
                terms.append(COSTS[dimension.name] * off)
                load_begun = sum(count for number, count in own if (person_id, number) in begun_with)
                off_begun = max(0, load_begun - high, low - load_begun)
                self.model.add_hint(off, off_begun)
                worst_begun = max(worst_begun, off_begun)
                begun_cost += COSTS[dimension.name] * off_begun
            begun_cost += COSTS[dimension.name] * _WORST_FACTOR * worst_begun
            self.model.add_hint(worst, worst_begun)
            terms.append(COSTS[dimension.name] * _WORST_FACTOR * worst)
        self.model.minimize(sum(terms))
        return begun_cost

    def begin_with(self, taken: Collection[tuple[PersonId, int]]) -> None:
        """Let the search begin with a roster, which need not be complete or allowed."""
        for place, variable in self.taken.items():
            self.model.add_hint(variable, place in taken)

    def _is_asked(self, demand: Demand) -> bool:
        return self._demands is None or demand in self._demands

    def _literal(self, demand: Demand) -> Any:
        if demand not in self._literals:
            self._literals[demand] = self.model.new_bool_var("")
        return self._literals[demand]

    def _bind(self, constraint: Any, demand: Demand) -> None:
        if self._is_assumed:
            constraint.only_enforce_if(self._literal(demand))

    def _add_people(self) -> None:
        problem = self.problem
        kept = {(plan.person_id, number) for plan, number, _ in problem.locked}
        for group in problem.groups:
            self._people_of[group.number] = []
            for person_id in problem.people:
                place = (person_id, group.number)
                if person_id not in group.eligible and place not in kept:
                    continue
                reasons = [one for one in problem.blocked.get(place, []) if self._is_asked(one)]
                if reasons and not self._is_assumed and place not in kept:
                    continue
                self.taken[place] = self.model.new_bool_var("")
                self._people_of[group.number].append(person_id)
                for reason in reasons:
                    self._bind(self.model.add(self.taken[place] == 0), reason)
        seated: dict[tuple[PersonId, int], Demand] = {}
        for plan, number, demand in problem.locked:
            place = (plan.person_id, number)
            if self._is_asked(demand):
                self._bind(self.model.add(self.taken[place] == 1), demand)
                if place in seated:
                    self._never_both(seated[place], demand)
                seated[place] = demand

    def _never_both(self, one: Demand, other: Demand) -> None:
        """Two plans keep one person on two seats at a time."""
        literals = [self._literal(demand) for demand in (one, other)] if self._is_assumed else []
        self.model.add_bool_or([~literal for literal in literals])

    def _add_cover(self) -> None:
        for group, demand in zip(self.problem.groups, self.problem.cover, strict=True):
            people = [self.taken[person_id, group.number] for person_id in self._people_of[group.number]]
            seats = len(group.slots)
            if seats == 1:
                self.model.add_at_most_one(people)
            else:
                self.model.add(sum(people) <= seats)
            if self._is_asked(demand):
                at_least = self.model.add_bool_or(people) if seats == 1 else self.model.add(sum(people) >= seats)
                self._bind(at_least, demand)

    def _add_conflicts(self) -> None:
        problem = self.problem
        for first, second, is_overlap in problem.conflicts:
            for person_id in problem.people:
                one, other = self.taken.get((person_id, first)), self.taken.get((person_id, second))
                demand = problem.rest[person_id]
                if one is None or other is None or not (is_overlap or self._is_asked(demand)):
                    continue
                either = self.model.add_bool_or([~one, ~other])
                if not is_overlap:
                    self._bind(either, demand)
        for demand, person_id, numbers in problem.forbidden:
            taken = [self.taken[person_id, number] for number in numbers if (person_id, number) in self.taken]
            if self._is_asked(demand) and len(taken) == len(numbers):
                self._bind(self.model.add_bool_or([~one for one in taken]), demand)

    def _add_windows(self) -> None:
        for window in self.problem.windows:
            own = [
                weight * self.taken[window.person_id, number]
                for number, weight in window.weights.items()
                if (window.person_id, number) in self.taken
            ]
            if own and self._is_asked(window.demand):
                self._bind(self.model.add(sum(own) <= window.limit), window.demand)

    def _add_mixes(self) -> None:
        for mix, demand, numbers in self.problem.mixes:
            able = [
                self.taken[person_id, number]
                for number in numbers
                for person_id in self._people_of[number]
                if (level := self._person(person_id).competence(mix.needed)) is not None and level >= mix.competence_min
            ]
            if self._is_asked(demand):
                self._bind(self.model.add(sum(able) >= mix.people_min), demand)

    def _person(self, person_id: PersonId) -> Person:
        return self.problem.request.directory.persons[person_id]


def dimensions(problem: Problem) -> tuple[Dimension, ...]:
    """Return what is balanced over people."""

    def counted(name: str, groups: list[Group]) -> Dimension:
        return Dimension(name=name, counts={group.number: 1 for group in groups}, tolerance=0)

    duty = [group for group in problem.groups if not group.is_home]
    steps = {group.number: round(group.burden_min / _BURDEN_STEP_MIN) for group in problem.groups}
    return (
        Dimension(name="burden", counts=steps, tolerance=_BURDEN_TOLERANCE_MIN // _BURDEN_STEP_MIN),
        counted("deep_nights", [group for group in duty if group.is_deep_night]),
        counted("weekends", [group for group in duty if group.is_weekend]),
        counted("holidays", [group for group in duty if group.is_holiday]),
        counted("backups", [group for group in problem.groups if group.is_home]),
    )


def due_shares(problem: Problem, dimension: Dimension) -> dict[PersonId, float]:
    """Return everybody's share of a dimension: each group is shared by those who may take it and are not absent."""
    due: defaultdict[PersonId, float] = defaultdict(float)
    for group in problem.groups:
        count = dimension.counts.get(group.number, 0) * len(group.slots)
        parts = {one: _part(problem, one) for one in group.eligible if not _is_absent(problem, one, group)}
        whole = sum(parts.values())
        if count and whole:
            for person_id, part in parts.items():
                due[person_id] += count * part / whole
    if dimension.name == "burden":
        carried = problem.request.carried
        mean_h = sum(carried.values()) / len(problem.people) if problem.people else 0.0
        for person_id in problem.people:
            surplus_h = carried.get(person_id, 0.0) - mean_h
            due[person_id] = max(0.0, due[person_id] - surplus_h * 60 / _BURDEN_STEP_MIN)
    return due


def _part(problem: Problem, person_id: PersonId) -> float:
    return problem.request.parts.get(person_id, 1.0)


def _is_absent(problem: Problem, person_id: PersonId, group: Group) -> bool:
    return any(reason.kind is DemandKind.ABSENCE for reason in problem.blocked.get((person_id, group.number), ()))


def scales_of(problem: Problem) -> list[Scale]:
    """Return what a first roster is balanced by."""
    return [(one.counts, due_shares(problem, one), COSTS[one.name]) for one in dimensions(problem)]
