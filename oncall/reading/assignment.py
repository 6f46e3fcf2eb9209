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
from oncall.reading.board import Board, ReadyCase, Urgency
from oncall.reading.eligibility import Exclusion, exclusions, open_load
from oncall.reading.order import Band, band
from oncall.reading.planning import Score, Seat, schedule, score, seats_of, waiting_cases
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
    candidates: tuple[Score, ...]
    excluded: tuple[Exclusion, ...]
    policy_version: str


def decide(board: Board, directory: Directory, policy: ReadingPolicy) -> tuple[AssignmentDecision, ...]:
    """Return the assignments and reassignments that `board` calls for, in the order of reading."""
    seats, _ = seats_of(board, policy)
    placed: dict[CaseId, tuple[Seat, float, tuple[Score, ...]]] = {}
    given: dict[tuple[PersonId, bool], int] = {}

    def place(case: ReadyCase, seat: Seat, rivals: Sequence[Seat]) -> bool:
        scores = sorted(
            (score(case, rival, board.now_s, directory, policy) for rival in rivals),
            key=lambda each: (each.total_s, each.start_s),
        )
        placed[case.case_id] = (seat, seat.free_at_s, tuple(scores))
        return False

    waiting = {case.case_id: case for case in waiting_cases(board)}
    schedule(list(waiting.values()), seats, directory, policy, place)
    decisions = []
    for case_id, (seat, start_s, scores) in placed.items():
        case = waiting[case_id]
        key = (seat.reader.person_id, case.urgency is Urgency.P1)
        given[key] = given.get(key, 0) + 1
        chosen = seat.reader.person_id if given[key] <= policy.open_cases_max else None
        cause = _cause(case, chosen, start_s, scores, board, directory, policy)
        if cause is not None:
            decisions.append(_decision(case, cause, chosen, start_s, scores, board, directory, policy))
    decisions.extend(
        _decision(case, Cause.NOBODY, None, None, (), board, directory, policy)
        for case_id, case in waiting.items()
        if case_id not in placed
    )
    return tuple(decisions)


def next_case(
    board: Board, person_id: PersonId, directory: Directory, policy: ReadingPolicy
) -> AssignmentDecision | None:
    """Return the case that `person_id`, who is free, opens now, on whosever list it is; None when there is none."""
    found: list[tuple[ReadyCase, tuple[Score, ...]]] = []

    def place(case: ReadyCase, seat: Seat, rivals: Sequence[Seat]) -> bool:
        if seat.reader.person_id != person_id:
            return False
        if seat.free_at_s <= board.now_s:
            scores = sorted(
                (score(case, rival, board.now_s, directory, policy) for rival in rivals),
                key=lambda each: (each.total_s, each.start_s),
            )
            found.append((case, tuple(scores)))
        return True

    seats, _ = seats_of(board, policy)
    schedule(waiting_cases(board), seats, directory, policy, place)
    if not found:
        return None
    case, scores = found[0]
    return _decision(case, Cause.TURN, person_id, board.now_s, scores, board, directory, policy)


def _cause(
    case: ReadyCase,
    chosen: PersonId | None,
    start_s: float,
    scores: tuple[Score, ...],
    board: Board,
    directory: Directory,
    policy: ReadingPolicy,
) -> Cause | None:
    if chosen is None:
        return Cause.NOBODY if case.assigned_to is None else None
    if case.assigned_to is None:
        return Cause.NEW
    if case.assigned_to == chosen:
        return None
    theirs = next((each.start_s for each in scores if each.person_id == case.assigned_to), None)
    if theirs is None:
        return Cause.READER_LOST
    return Cause.SOONER if theirs - start_s >= policy.preferences.stay_s else None


def _decision(
    case: ReadyCase,
    cause: Cause,
    chosen: PersonId | None,
    start_s: float | None,
    scores: tuple[Score, ...],
    board: Board,
    directory: Directory,
    policy: ReadingPolicy,
) -> AssignmentDecision:
    among = {each.person_id for each in scores}
    excluded = [
        broken
        for reader in board.readers
        if reader.person_id not in among
        for broken in exclusions(case, reader, board, directory, policy, load=open_load(board, reader, case.urgency))
    ]
    return AssignmentDecision(
        at_s=board.now_s,
        case_id=case.case_id,
        cause=cause,
        person_id=chosen,
        previous=case.assigned_to,
        band=band(case, board.now_s, policy),
        predicted_start_s=start_s,
        predicted_done_s=None if start_s is None else start_s + case.expected_read_s,
        deadline_at_s=case.deadline_at_s,
        candidates=scores,
        excluded=tuple(excluded),
        policy_version=policy.version,
    )
