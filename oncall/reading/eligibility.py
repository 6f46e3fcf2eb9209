"""Who may read a case, and by which rule not.

A plan asks only for the first broken rule, an explanation for all of them. What is merely undesirable (fatigue,
affinity) is a score in `oncall.reading.planning`, not a rule.
Source: §3.1 (list of constraints), §4.4 invariant 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from oncall.directory import Competence as Level
from oncall.directory import Directory, PersonId, Role, SubSpecialty
from oncall.reading.board import Board, Reader, ReadyCase, Urgency
from oncall.reading.policy import ReadingPolicy


class Rule(StrEnum):
    """Why somebody may not be given a case."""

    UNKNOWN_PERSON = "unknown_person"
    NOT_A_RADIOLOGIST = "not_a_radiologist"
    NOT_ON_DUTY = "not_on_duty"
    RESTING = "resting"
    UNAVAILABLE = "unavailable"
    DECLINED = "declined"
    NO_PRIVILEGE = "no_privilege"
    NOT_COMPETENT = "not_competent"
    LOAD = "load"
    LEAVES_BEFORE = "leaves_before"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exclusion:
    """One reason why `person_id` may not be given the case; `detail` is a datum for the rule's sentence."""

    person_id: PersonId
    rule: Rule
    detail: str = ""


def exclusions(
    case: ReadyCase, reader: Reader, board: Board, directory: Directory, policy: ReadingPolicy, *, load: int = 0
) -> tuple[Exclusion, ...]:
    """Return every rule that keeps `reader` from being given `case` at ``board.now_s``; empty means eligible.

    Parameters
    ----------
    load : int
        How many open cases the reader has besides this one; for a P1 only P1 cases count.
    """
    now_s = board.now_s
    found: list[tuple[Rule, str]] = []
    if reader.is_unavailable:
        found.append((Rule.UNAVAILABLE, ""))
    if not reader.on_duty_from_s <= now_s < reader.off_duty_at_s:
        found.append((Rule.NOT_ON_DUTY, ""))
    if reader.resting_until_s is not None and now_s < reader.resting_until_s:
        found.append((Rule.RESTING, ""))
    found.extend(_broken(case, reader, directory, policy, load))
    return tuple(Exclusion(person_id=reader.person_id, rule=rule, detail=detail) for rule, detail in found)


def first_broken(
    case: ReadyCase, reader: Reader, directory: Directory, policy: ReadingPolicy, *, load: int = 0
) -> Rule | None:
    """Return the first rule that keeps `reader` from `case` at whatever time they are on duty and rested, or None."""
    found = next(_broken(case, reader, directory, policy, load), None)
    return None if found is None else found[0]


def open_load(board: Board, reader: Reader, urgency: Urgency) -> int:
    """Return how many open cases the reader holds; a P1 sees P1 only, so that no routine case ever bars one."""
    return sum(
        1
        for case in board.cases
        if (case.claimed_by or case.assigned_to) == reader.person_id
        and (urgency is not Urgency.P1 or case.urgency is Urgency.P1)
    )


def level(directory: Directory, person_id: PersonId, needs: SubSpecialty) -> Level | None:
    """Return how well somebody reads `needs`; every radiologist reads what needs no sub-specialty."""
    person = directory.persons.get(person_id)
    if person is None:
        return None
    known = person.competence(needs)
    if known is None and needs is SubSpecialty.GENERAL and person.role is Role.RADIOLOGIST:
        return Level.COMPETENT
    return known


def _broken(
    case: ReadyCase, reader: Reader, directory: Directory, policy: ReadingPolicy, load: int
) -> Iterator[tuple[Rule, str]]:
    person_id = reader.person_id
    if person_id in case.declined_by:
        yield Rule.DECLINED, ""
    if load >= policy.open_cases_max:
        yield Rule.LOAD, f"{load}/{policy.open_cases_max}"
    person = directory.persons.get(person_id)
    if person is None:
        yield Rule.UNKNOWN_PERSON, ""
        return
    if person.role is not Role.RADIOLOGIST:
        yield Rule.NOT_A_RADIOLOGIST, person.role
    if case.site_id not in person.privileges:
        yield Rule.NO_PRIVILEGE, case.site_id
    if level(directory, person_id, case.needs) is None:
        yield Rule.NOT_COMPETENT, case.needs
