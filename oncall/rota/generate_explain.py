"""Why no roster exists: a smallest set of demands that cannot hold together, in words.

First whole kinds of demands (fill every seat of these lines, everybody's share, ...) are left out one after the other
while the rest stays impossible; then the same is done with the single demands of the kinds that remain, after the
solver has named those that suffice (``sufficient_assumptions_for_infeasibility``). Few single demands are the better
answer; when no few are to blame (thirty shares against a thousand seat hours) the kinds are.

The set is minimal by construction: each member was left out once, and then a roster existed.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

from ortools.sat.python import cp_model

from oncall.rota import generate_texts as texts
from oncall.rota.generate_first import first_roster
from oncall.rota.generate_model import RosterModel, scales_of
from oncall.rota.generate_problem import Problem
from oncall.rota.generation import Demand, DemandKind, Infeasible

# One question to the solver; in doubt the demands can hold together.
QUESTION_S_MAX: Final = 6.0
# All questions about kinds, and all about single demands: what a planner waits for an explanation.
KINDS_S_MAX: Final = 30.0
SINGLE_S_MAX: Final = 12.0
# More single demands than this explain nothing to anybody.
CONFLICT_MAX: Final = 24

Member = TypeVar("Member")


class _Asker:
    """Asks the solver whether demands can hold together, within a budget of its own time."""

    def __init__(self, problem: Problem, left_s: float) -> None:
        self._problem = problem
        self._scales = scales_of(problem)
        self._left_s = left_s
        self.has_doubt = False

    def is_impossible(self, demands: Collection[Demand]) -> bool:
        """Tell whether it is proven that these cannot hold together; in doubt they can."""
        if self._left_s <= 0:
            self.has_doubt = True
            return False
        model = RosterModel(self._problem, demands)
        model.begin_with(first_roster(self._problem, self._scales, demands))
        status, _ = self._solve(model, self._problem.request.workers)
        return status == cp_model.INFEASIBLE

    def core(self, demands: Collection[Demand]) -> set[Demand]:
        """Return demands among these that already cannot hold together; all of them if none are named in time."""
        model = RosterModel(self._problem, demands, is_assumed=True)
        # Assumptions are named by a single worker only.
        status, solver = self._solve(model, workers=1)
        if status != cp_model.INFEASIBLE:
            return set(demands)
        return {model.assumed(index) for index in solver.sufficient_assumptions_for_infeasibility()}

    def _solve(self, model: RosterModel, workers: int) -> tuple[object, cp_model.CpSolver]:
        solver = cp_model.CpSolver()
        solver.parameters.random_seed = self._problem.request.seed
        solver.parameters.num_workers = workers
        solver.parameters.max_time_in_seconds = min(QUESTION_S_MAX, self._left_s)
        status = solver.solve(model.model)
        self._left_s -= solver.wall_time
        self.has_doubt |= status == cp_model.UNKNOWN
        return status, solver


def conflict_of(problem: Problem) -> Infeasible:
    """Return a smallest conflict among the demands of a problem that is known to have no roster."""
    classes: defaultdict[tuple[DemandKind, str], list[Demand]] = defaultdict(list)
    for demand in problem.demands():
        classes[_class(demand, problem)].append(demand)
    asker = _Asker(problem, KINDS_S_MAX)
    kinds = minimal(sorted(classes), lambda left: asker.is_impossible([one for key in left for one in classes[key]]))
    assert kinds is not None, "no number of kinds is too many"
    single = _single(problem, [demand for key in kinds for demand in classes[key]])
    if single is not None:
        return _explained(single, is_minimal=True)
    request = problem.request
    whole = [
        texts.whole_class(kind, lines, classes[kind, lines], request.first_day, request.until) for kind, lines in kinds
    ]
    return _explained(whole, is_minimal=not asker.has_doubt)


def _single(problem: Problem, demands: Sequence[Demand]) -> list[Demand] | None:
    """Return the few single demands to blame, or None when they are not few or not found for certain in time."""
    asker = _Asker(problem, SINGLE_S_MAX)
    core = asker.core(demands)
    few = minimal(sorted(core, key=_order), asker.is_impossible, enough=CONFLICT_MAX)
    return None if asker.has_doubt else few


def minimal(
    members: Sequence[Member], is_impossible: Callable[[Sequence[Member]], bool], enough: int | None = None
) -> list[Member] | None:
    """Return a subset that is impossible while none of its own parts is (QuickXplain, Junker 2004).

    Parameters
    ----------
    members : Sequence
        Impossible together; the question is asked about subsets in this order.
    enough : int, optional
        As soon as the answer is known to have more members than this, None is returned.
    """

    def search(kept: list[Member], has_more: bool, among: list[Member]) -> list[Member] | None:  # recursion
        if has_more and is_impossible(kept):
            return []
        if len(among) == 1:
            return among
        middle = len(among) // 2
        first, second = among[:middle], among[middle:]
        of_second = search(kept + first, bool(first), second)
        if of_second is None or (enough is not None and len(of_second) > enough):
            return None
        of_first = search(kept + of_second, bool(of_second), first)
        if of_first is None or (enough is not None and len(of_first) + len(of_second) > enough):
            return None
        return of_first + of_second

    return search([], False, list(members)) if members else []


def _class(demand: Demand, problem: Problem) -> tuple[DemandKind, str]:
    """Kinds are one class each, but the seats of each set of lines are one of their own."""
    if demand.kind is not DemandKind.COVER:
        return demand.kind, ""
    group = problem.groups[problem.cover.index(demand)]
    return demand.kind, ", ".join(line.line_id for line in group.lines)


def _order(demand: Demand) -> tuple[str, str]:
    return demand.kind, demand.subject


def _explained(conflict: Sequence[Demand], *, is_minimal: bool) -> Infeasible:
    french = " ; ".join(demand.text_fr for demand in conflict)
    english = "; ".join(demand.text_en for demand in conflict)
    return Infeasible(
        conflict=tuple(conflict),
        is_minimal=is_minimal,
        message_fr=f"Aucun tableau ne peut tout respecter. Ensemble, ceci est impossible : {french}. "
        "Lever une seule de ces exigences résout ce conflit.",
        message_en=f"No roster can do all of this together: {english}. "
        "Lifting any one of these resolves this conflict.",
    )
