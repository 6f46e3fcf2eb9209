"""Who is given which case, with everything that made it so: candidates, scores, exclusions ("why me").

`decide` names a reader for each case that nobody has opened; `next_case` says which one a free reader opens. Both read
the same plan. A decision changes somebody's list only for a reason: the case had no reader, its reader may no longer
read it, or another would begin it clearly sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from oncall.case.event import CaseId
from oncall.directory import Directory, PersonId
from oncall.reading.board import Board
from oncall.reading.eligibility import Exclusion, Rule, exclusions, open_load
from oncall.reading.order import Band, Waiting
from oncall.reading.planning import Score, Seat, list_schedule, queue_of, score, seats_of, suitable
from oncall.reading.policy import ReadingPolicy


class Cause(StrEnum):
    """Why a case is given to somebody now."""

    NEW = "new"
    READER_LOST = "reader_lost"
    SOONER = "sooner"
    TURN = "turn"
    NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True, slots=True)
class AssignmentDecision:
    """The choice of a reader for one case at `at_s`; ``person_id`` None means nobody may be given it: escalate.

    ``candidates`` are scored lowest first; ``excluded`` are the others, by rule. ``previous`` had the case before.
    ``chance_of_hour`` is the probability of the hour as predicted, ``chance_if_delayed`` if the case were passed over
    once: why it comes in this order.
    """

    at_s: float
    case_id: CaseId
    cause: Cause
    person_id: PersonId | None
    previous: PersonId | None
    band: Band
    predicted_start_s: float | None
    predicted_done_s: float | None
    deadline_at_s: float
    chance_of_hour: float
    chance_if_delayed: float
    candidates: tuple[Score, ...]
    excluded: tuple[Exclusion, ...]
    policy_version: str


def decide(board: Board, directory: Directory, policy: ReadingPolicy) -> tuple[AssignmentDecision, ...]:
    """Return the assignments and reassignments that `board` calls for, in the order of reading."""
    seats, _ = seats_of(board, policy)
    queue = queue_of(board, seats, directory, policy)
    placed: list[tuple[Waiting, Seat, float, tuple[Score, ...]]] = []

    def place(each: Waiting, seat: Seat, rivals: Sequence[Seat]) -> bool:
        placed.append((each, seat, seat.free_at_s, _scores(each, seat, rivals, board, directory, policy)))
        return False

    nobodys = set(list_schedule(queue, seats, place, choose=suitable(directory, policy, board.now_s)))
    decisions = []
    given: dict[tuple[PersonId, bool], int] = {}
    for each, seat, start_s, scores in placed:
        person_id = seat.reader.person_id
        key = (person_id, each.is_p1)
        given[key] = given.get(key, 0) + 1
        # Not more on a list than may be; the rest waits for the next change of the board.
        chosen = person_id if given[key] <= policy.open_cases_max else None
        cause = _cause(each, chosen, start_s, scores, policy)
        if cause is not None:
            decisions.append(_decision(each, cause, chosen, start_s, scores, board, directory, policy))
    decisions.extend(
        _decision(each, Cause.NOBODY, None, None, (), board, directory, policy)
        for each in queue
        if each.case_id in nobodys
    )
    return tuple(decisions)


def next_case(
    board: Board, person_id: PersonId, directory: Directory, policy: ReadingPolicy
) -> AssignmentDecision | None:
    """Return the case that `person_id`, who is free, opens now, on whosever list it is; None when there is none."""
    found: list[tuple[Waiting, tuple[Score, ...]]] = []

    def place(each: Waiting, seat: Seat, rivals: Sequence[Seat]) -> bool:
        if seat.reader.person_id != person_id:
            return False
        if seat.free_at_s <= board.now_s:
            found.append((each, _scores(each, seat, rivals, board, directory, policy)))
        return True

    seats, _ = seats_of(board, policy)
    queue = queue_of(board, seats, directory, policy)
    list_schedule(queue, seats, place, choose=suitable(directory, policy, board.now_s))
    if not found:
        return None
    each, scores = found[0]
    return _decision(each, Cause.TURN, person_id, board.now_s, scores, board, directory, policy)


def _scores(
    each: Waiting, first: Seat, rivals: Sequence[Seat], board: Board, directory: Directory, policy: ReadingPolicy
) -> tuple[Score, ...]:
    assert each.case is not None, "only the forecast places cases that have not come yet"
    from_s = min(first.free_at_s, *(rival.free_at_s for rival in rivals))
    scores = [score(each.case, rival, from_s, board.now_s, directory, policy) for rival in rivals]
    return tuple(sorted(scores, key=lambda one: (one.total_s, one.start_s)))


def _cause(
    each: Waiting, chosen: PersonId | None, start_s: float, scores: tuple[Score, ...], policy: ReadingPolicy
) -> Cause | None:
    case = each.case
    assert case is not None, "only the forecast places cases that have not come yet"
    if chosen is None:
        return Cause.NOBODY if case.assigned_to is None else None
    if case.assigned_to is None:
        return Cause.NEW
    if case.assigned_to == chosen:
        return None
    theirs_s = next((one.start_s for one in scores if one.person_id == case.assigned_to), None)
    if theirs_s is None:
        return Cause.READER_LOST
    is_needed = each.is_p1 or theirs_s + each.expected_s > each.deadline_at_s
    return Cause.SOONER if is_needed and theirs_s - start_s >= policy.preferences.stay_s else None


def _decision(
    each: Waiting,
    cause: Cause,
    chosen: PersonId | None,
    start_s: float | None,
    scores: tuple[Score, ...],
    board: Board,
    directory: Directory,
    policy: ReadingPolicy,
) -> AssignmentDecision:
    case = each.case
    assert case is not None, "only the forecast places cases that have not come yet"
    among = {one.person_id for one in scores}
    begin_s = board.now_s if start_s is None else start_s
    excluded: list[Exclusion] = []
    for reader in board.readers:
        if reader.person_id in among:
            continue
        broken = exclusions(case, reader, board, directory, policy, load=open_load(board, reader, case.urgency))
        # Who breaks no rule and is no candidate has no turn left: what is before this case outlasts their duty.
        excluded += broken or [Exclusion(person_id=reader.person_id, rule=Rule.LEAVES_BEFORE)]
    return AssignmentDecision(
        at_s=board.now_s,
        case_id=case.case_id,
        cause=cause,
        person_id=chosen,
        previous=case.assigned_to,
        band=each.band(board.now_s),
        chance_of_hour=each.chance_at(begin_s),
        chance_if_delayed=each.chance_at(begin_s + policy.order.next_chance_s),
        predicted_start_s=start_s,
        predicted_done_s=None if start_s is None else start_s + case.expected_read_s,
        deadline_at_s=case.deadline_at_s,
        candidates=scores,
        excluded=tuple(excluded),
        policy_version=policy.version,
    )
