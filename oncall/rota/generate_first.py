"""A first roster by going through the days once: where the search starts from.

Each seat goes to whoever is furthest below their due of those who may have it. It may leave seats empty and is no
answer; it saves the solver the time in which it finds its first roster.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from oncall.directory import PersonId
from oncall.rota.generate_problem import Group, Problem, Window
from oncall.rota.generation import Demand

# By dimension: what each group counts, everybody's due, and what a deviation costs.
Scale = tuple[Mapping[int, int], Mapping[PersonId, float], int]


def first_roster(
    problem: Problem, scales: Sequence[Scale], demands: Collection[Demand] | None = None
) -> set[tuple[PersonId, int]]:
    """Return who takes which group; of `demands` (None: all) nothing is broken but that every seat is filled."""
    asked = None if demands is None else frozenset(demands)

    def is_asked(demand: Demand) -> bool:
        return asked is None or demand in asked

    clashes: defaultdict[int, set[int]] = defaultdict(set)
    for first, second, _ in problem.conflicts:
        clashes[first].add(second)
        clashes[second].add(first)
    windows: defaultdict[tuple[PersonId, int], list[Window]] = defaultdict(list)
    for window in problem.windows:
        for number in window.weights if is_asked(window.demand) else ():
            windows[window.person_id, number].append(window)
    room = {id(window): window.limit for window in problem.windows}
    loads: defaultdict[tuple[PersonId, int], float] = defaultdict(float)
    busy: defaultdict[PersonId, set[int]] = defaultdict(set)
    taken: set[tuple[PersonId, int]] = set()

    def take(person_id: PersonId, number: int) -> None:
        taken.add((person_id, number))
        busy[person_id].add(number)
        for window in windows[person_id, number]:
            room[id(window)] -= window.weights[number]
        for place, (counts, _, _) in enumerate(scales):
            loads[person_id, place] += counts.get(number, 0)

    def may_take(person_id: PersonId, group: Group) -> bool:
        return (
            person_id in group.eligible
            and not any(is_asked(one) for one in problem.blocked.get((person_id, group.number), ()))
            and (person_id, group.number) not in taken
            and not clashes[group.number] & busy[person_id]
            and all(room[id(one)] >= one.weights[group.number] for one in windows[person_id, group.number])
        )

    def cost(person_id: PersonId, number: int) -> tuple[float, PersonId]:
        terms = (
            factor * counts.get(number, 0) * (loads[person_id, place] - due[person_id]) / max(due[person_id], 1.0)
            for place, (counts, due, factor) in enumerate(scales)
        )
        return sum(terms), person_id

    for plan, number, demand in problem.locked:
        if is_asked(demand):
            take(plan.person_id, number)
    for group in problem.groups:
        free = len(group.slots) - sum(group.number in numbers for numbers in busy.values())
        people = sorted(
            (person_id for person_id in problem.people if may_take(person_id, group)),
            key=lambda person_id: cost(person_id, group.number),
        )
        for person_id in people[: max(0, free)]:
            take(person_id, group.number)
    return taken
