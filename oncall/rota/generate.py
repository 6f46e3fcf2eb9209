"""Fill a roster: legal by construction, as even as it gets, or the reason why there is none.

The model knows the law in the form that a solver likes: pairs that are too close, averages over sampled windows. What
it finds is then judged by `oncall.rota.legal` itself, the same code that judges swaps; whatever that still finds is
added to the problem and the search goes on. So a roster that is returned has passed the law, not a copy of it.

References
----------
OR-tools CP-SAT (``shift_scheduling_sat`` shows the usual form), https://developers.google.com/optimization/cp
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from ortools.sat.python import cp_model

from foundation.errors import Refused
from oncall.directory import LineId, PersonId
from oncall.local_time import local_day
from oncall.rota import legal
from oncall.rota.generate_explain import conflict_of
from oncall.rota.generate_first import first_roster
from oncall.rota.generate_model import RosterModel, scales_of
from oncall.rota.generate_problem import (
    Group,
    Problem,
    averages_window,
    lines_to_fill,
    problem_of,
    reference_span,
)
from oncall.rota.generation import GeneratedRoster, GenerationRequest, Infeasible, NotFound, Progress, Spread
from oncall.rota.legal import Rule, Severity, Violation, Work
from oncall.rota.model import Roster, ShiftPlan

# Searching again is only for rare windows between the sampled ones; more rounds than this would be our own defect.
_ROUNDS_MAX: Final = 20
# What a solve is given when the time is already spent: enough to take over what it begins with.
_SOLVE_S_MIN: Final = 3.0
_AVERAGES: Final = frozenset({Rule.WEEK_48_H_OVER_4_MONTHS, Rule.TELERADIOLOGY_SHARE})

Taken = Mapping[int, Sequence[PersonId]]


def generate(
    request: GenerationRequest, progress: Callable[[Progress], None] | None = None
) -> GeneratedRoster | Infeasible | NotFound:
    """Fill the seats that a request names.

    Parameters
    ----------
    progress : Callable, optional
        Called from the solver's thread whenever a better roster is found.

    Raises
    ------
    PeerError
        If the request names lines or people that are not there, or a locked plan that fills a part of a seat.
    Refused
        If some of its days are frozen.
    """
    frozen_until = request.roster.frozen_until
    problem = problem_of(request)
    if frozen_until is not None and any(group.span.start < frozen_until for group in problem.groups):
        message = f"the roster is frozen until {frozen_until.isoformat()}; generate later days"
        raise Refused(message)
    begun_with = first_roster(problem, scales_of(problem))
    search = _Search(problem, progress)
    found = search.first(begun_with)
    if found is None:
        return conflict_of(problem) if search.is_refuted else NotFound(search_s=search.searched_s)
    best = search.better(found)
    return GeneratedRoster(
        plans=_plans(problem, best),
        is_proven_best=search.is_proven_best,
        unevenness=search.unevenness,
        spread=_spread(problem, best),
        search_s=search.searched_s,
        rounds=search.rounds,
    )


def with_generated(roster: Roster, request: GenerationRequest, generated: GeneratedRoster, version: str) -> Roster:
    """Return the roster with the generated plans in the place of what was planned on these lines and days."""
    zones = {line.line_id: line.time_zone for line in lines_to_fill(request)}

    def gives_way(plan: ShiftPlan) -> bool:
        zone = zones.get(plan.line_id)
        return zone is not None and request.first_day <= local_day(plan.span.start, zone) < request.until

    kept = {plan.shift_id: plan for plan in roster.plans if not gives_way(plan)}
    return replace(
        roster, version=version, plans=tuple({**kept, **{one.shift_id: one for one in generated.plans}}.values())
    )


class _Search:
    """First any legal roster, which takes seconds or shows that there is none; then better ones while there is time."""

    def __init__(self, problem: Problem, progress: Callable[[Progress], None] | None) -> None:
        self._problem = problem
        self._progress = progress
        self.searched_s = 0.0
        self.rounds = 0
        self.unevenness = float("inf")
        self.is_refuted = False
        self.is_proven_best = False

    def first(self, begun_with: Collection[tuple[PersonId, int]]) -> Taken | None:
        """Return a legal roster, or None when there is none or none was found in time."""
        while self.rounds < _ROUNDS_MAX:
            model = RosterModel(self._problem)
            model.begin_with(begun_with)
            status, taken, _ = self._solve(model)
            self.is_refuted = status == cp_model.INFEASIBLE
            if taken is None:
                return None
            if not _learn(self._problem, taken):
                return taken
            begun_with = _places(taken)
        return None

    def better(self, found: Taken) -> Taken:
        """Return the most even legal roster that is found in the time left; `found` itself if there is no other."""
        begun_with = _places(found)
        while self.rounds < _ROUNDS_MAX:
            model = RosterModel(self._problem)
            begun_at = model.minimise_unevenness(begun_with)
            if begun_with == _places(found):
                self.unevenness = begun_at
            model.begin_with(begun_with)
            status, taken, unevenness = self._solve(model, is_improving=True)
            if taken is None:
                return found
            if not _learn(self._problem, taken):
                self.is_proven_best, self.unevenness = status == cp_model.OPTIMAL, unevenness
                return taken
            begun_with = _places(taken)
        return found

    def _solve(self, model: RosterModel, *, is_improving: bool = False) -> tuple[object, Taken | None, float]:
        request = self._problem.request
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = request.workers
        solver.parameters.random_seed = request.seed
        solver.parameters.max_time_in_seconds = max(_SOLVE_S_MIN, request.search_s_max - self.searched_s)
        # From a roster that is there, changing parts of it gains most; both workers do only that.
        solver.parameters.use_lns_only = is_improving
        listener = _Listener(self._progress, self.searched_s) if self._progress else None
        status = solver.solve(model.model, listener)
        self.searched_s += solver.wall_time
        self.rounds += 1
        if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
            return status, None, float("inf")
        taken: defaultdict[int, list[PersonId]] = defaultdict(list)
        for (person_id, number), variable in model.taken.items():
            if solver.boolean_value(variable):
                taken[number].append(person_id)
        return status, taken, solver.objective_value


def _places(taken: Taken) -> set[tuple[PersonId, int]]:
    return {(person_id, number) for number, people in taken.items() for person_id in people}


class _Listener(cp_model.CpSolverSolutionCallback):
    """Tells of each better roster that the solver finds."""

    def __init__(self, tell: Callable[[Progress], None], before_s: float) -> None:
        super().__init__()
        self._tell = tell
        self._before_s = before_s
        self._found = 0

    def on_solution_callback(self) -> None:
        """Called by the solver."""
        self._found += 1
        self._tell(
            Progress(
                search_s=self._before_s + self.wall_time,
                rosters_found=self._found,
                unevenness=self.objective_value,
                bound=self.best_objective_bound,
            )
        )


def _learn(problem: Problem, taken: Taken) -> bool:
    """Judge a roster by the law; add what it breaks to the problem. Return whether there was anything."""
    request = problem.request
    within = reference_span(request)
    own: defaultdict[PersonId, list[Group]] = defaultdict(list)
    for number, people in taken.items():
        for person_id in people:
            own[person_id].append(problem.groups[number])
    has_learnt = False
    for person_id, groups in own.items():
        works = {group.number: _work(problem, person_id, group) for group in groups}
        shifts = [work.shift for work in (*problem.fixed[person_id], *works.values())]
        found = legal.violations(
            person_id, shifts, (), request.limits, within,
            lines=request.roster.lines, person=request.directory.persons.get(person_id),
        )  # fmt: skip
        numbers = {id(work.shift): number for number, work in works.items()}
        for violation in found:
            has_learnt |= _forbid(problem, person_id, violation, numbers)
    return has_learnt


def _forbid(problem: Problem, person_id: PersonId, violation: Violation, numbers: Mapping[int, int]) -> bool:
    if violation.severity is Severity.NOTICE:
        return False
    if violation.rule in _AVERAGES:
        window = averages_window(problem, person_id, violation.rule, violation.span)
        problem.windows.append(window)
        return any(window.weights.get(number) for number in numbers.values())
    involved = frozenset(numbers[id(shift)] for shift in violation.shifts if id(shift) in numbers)
    if involved:
        problem.forbidden.append((problem.rest[person_id], person_id, involved))
    return bool(involved)


def _work(problem: Problem, person_id: PersonId, group: Group) -> Work:
    person = problem.request.directory.persons.get(person_id)
    return legal.new_work(person_id, group.span, group.lines[0], person)


def _plans(problem: Problem, taken: Taken) -> tuple[ShiftPlan, ...]:
    """Give each person of a group one of its lines: a locked one, the one they are on just before, or the next free."""
    kept = {(plan.line_id, number): plan.person_id for plan, number, _ in problem.locked}
    before: dict[tuple[LineId, PersonId], datetime] = {}
    plans = list(problem.locked_plans)
    for group in problem.groups:
        free = {slot.line_id: slot for slot in group.slots if (slot.line_id, group.number) not in kept}
        seated = {kept[slot.line_id, group.number] for slot in group.slots if (slot.line_id, group.number) in kept}
        people = [person_id for person_id in taken.get(group.number, ()) if person_id not in seated]
        for person_id in sorted(people, key=lambda one: (not _continued(one, group, free, before), one)):
            goes_on = _continued(person_id, group, free, before)
            slot = free.pop(goes_on[0] if goes_on else min(free))
            before[slot.line_id, person_id] = group.span.end
            shift_id = f"{slot.line_id}:{slot.rule}:{slot.day}"
            plans.append(ShiftPlan(shift_id=shift_id, line_id=slot.line_id, person_id=person_id, span=slot.span))
    return tuple(plans)


def _continued(
    person_id: PersonId,
    group: Group,
    free: Collection[LineId],
    before: Mapping[tuple[LineId, PersonId], datetime],
) -> list[LineId]:
    """Return the free lines on which the person is until the group begins."""
    return [line_id for line_id in sorted(free) if before.get((line_id, person_id)) == group.span.start]


def _spread(problem: Problem, taken: Taken) -> Spread:
    request = problem.request
    full = max((request.parts.get(one, 1.0) for one in request.people), default=1.0)
    alike = [one for one in request.people if request.parts.get(one, 1.0) == full]
    groups_of: defaultdict[PersonId, list[Group]] = defaultdict(list)
    for number, people in taken.items():
        for person_id in people:
            groups_of[person_id].append(problem.groups[number])

    def spread(count: Callable[[Group], int]) -> int:
        loads = [sum(count(group) for group in groups_of[person_id]) for person_id in alike]
        return max(loads, default=0) - min(loads, default=0)

    return Spread(
        burden_hours=spread(lambda group: group.burden_min) / 60,
        deep_nights=spread(lambda group: group.is_deep_night and not group.is_home),
        weekends=spread(lambda group: group.is_weekend and not group.is_home),
        holidays=spread(lambda group: group.is_holiday and not group.is_home),
        backups=spread(lambda group: group.is_home),
    )
