"""The plan: which reader will read which waiting case, in which order and when, by expected times.

A list schedule: whoever is free first takes the case that `oncall.reading.order` puts first among those they may
read, unless another reader suits it better and can begin about as soon. P1 cases are placed without looking at any
other case, so no other case can delay them (§4.4 invariant 10). The plan is a forecast, not a promise: it is made anew
whenever something happens, and a case belongs to nobody until it is claimed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from oncall.case.event import CaseId
from oncall.directory import Competence, Directory, PersonId
from oncall.reading.board import Board, Reader, ReadyCase, Urgency
from oncall.reading.eligibility import level, may_read_at
from oncall.reading.order import rank
from oncall.reading.policy import ReadingPolicy
from oncall.reading.read_time import remaining_s

_NEVER: Final = float("inf")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRead:
    """One case on one reader's list, with predicted begin and end."""

    case_id: CaseId
    person_id: PersonId
    start_s: float
    done_s: float
    deadline_at_s: float

    @property
    def is_breach(self) -> bool:
        """Whether the report is predicted to be late."""
        return self.done_s > self.deadline_at_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All open cases in the order in which they are predicted to begin; ``claimed`` ones have begun.

    ``unplanned`` cases have no reader who may read them: somebody must act.
    """

    at_s: float
    claimed: tuple[PlannedRead, ...]
    reads: tuple[PlannedRead, ...]
    unplanned: tuple[CaseId, ...]

    def list_of(self, person_id: PersonId) -> tuple[PlannedRead, ...]:
        """Return what `person_id` is predicted to read, in order, what they have open excepted."""
        return tuple(read for read in self.reads if read.person_id == person_id)

    @property
    def breaches(self) -> tuple[PlannedRead, ...]:
        """Reads that are predicted to end after their deadline."""
        return tuple(read for read in (*self.claimed, *self.reads) if read.is_breach)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What a reader's suitability for a case is made of, in equivalent seconds; the lowest total is chosen."""

    person_id: PersonId
    start_s: float
    wait_s: float
    same_patient_s: float = 0.0
    same_author_s: float = 0.0
    expert_s: float = 0.0
    last_resort_s: float = 0.0
    fatigue_s: float = 0.0

    @property
    def total_s(self) -> float:
        """Wait plus penalties minus preferences."""
        return (
            self.wait_s + self.last_resort_s + self.fatigue_s - self.same_patient_s - self.same_author_s - self.expert_s
        )


@dataclass(slots=True, eq=False)
class Seat:
    """A reader as the schedule sees them: when they are free next. Changed while a schedule is made."""

    reader: Reader
    free_at_s: float
    fatigue_s: float
    open_count: int

    @property
    def is_open(self) -> bool:
        """Whether the next case would begin before the end of duty."""
        return self.free_at_s < self.reader.off_duty_at_s


Placed = Callable[[ReadyCase, Seat, Sequence[Seat]], bool]


def plan(board: Board, directory: Directory, policy: ReadingPolicy) -> Plan:
    """Return who will read what, and when, by expected times."""
    seats, claimed = seats_of(board, policy)
    reads: list[PlannedRead] = []

    def placed(case: ReadyCase, seat: Seat, _others: Sequence[Seat]) -> bool:
        reads.append(planned(case, seat))
        return False

    waiting = waiting_cases(board)
    left = schedule(waiting, seats, directory, policy, placed)
    return Plan(at_s=board.now_s, claimed=tuple(claimed), reads=tuple(reads), unplanned=tuple(left))


def waiting_cases(board: Board) -> list[ReadyCase]:
    """Return the cases that nobody has opened."""
    return [case for case in board.cases if case.claimed_by is None]


def planned(case: ReadyCase, seat: Seat) -> PlannedRead:
    """Return `case` as read by `seat` when it is free next."""
    return PlannedRead(
        case_id=case.case_id,
        person_id=seat.reader.person_id,
        start_s=seat.free_at_s,
        done_s=seat.free_at_s + case.expected_read_s,
        deadline_at_s=case.deadline_at_s,
    )


def seats_of(board: Board, policy: ReadingPolicy) -> tuple[list[Seat], list[PlannedRead]]:
    """Return the readers with the time each is free next, and the predicted ends of what is open."""
    now_s = board.now_s
    seats = {
        reader.person_id: Seat(
            reader=reader,
            free_at_s=max(now_s, reader.on_duty_from_s, reader.resting_until_s or 0.0),
            fatigue_s=fatigue_s(reader, now_s, policy),
            open_count=0,
        )
        for reader in board.readers
        if not reader.is_unavailable
    }
    claimed = []
    for case in board.cases:
        if case.claimed_by is None:
            continue
        begun_s = now_s if case.claimed_at_s is None else case.claimed_at_s
        left_s = remaining_s(case.expected_read_s, policy.read_times[case.exam].variation, now_s - begun_s)
        seat = seats.get(case.claimed_by)
        begin_s = now_s if seat is None else seat.free_at_s
        claimed.append(
            PlannedRead(
                case_id=case.case_id,
                person_id=case.claimed_by,
                start_s=begun_s,
                done_s=begin_s + left_s,
                deadline_at_s=case.deadline_at_s,
            )
        )
        if seat is not None:
            seat.free_at_s += left_s
            seat.open_count += 1
    return list(seats.values()), claimed


def schedule(
    waiting: Sequence[ReadyCase], seats: Sequence[Seat], directory: Directory, policy: ReadingPolicy, placed: Placed
) -> list[CaseId]:
    """Place every waiting case with `placed`, seat by seat as they come free; return the cases nobody may read.

    `placed` is told the case, the seat (still with the time at which the case begins) and the seats that might have
    had it; it stops the schedule by returning true.
    """
    allowed = {case.case_id: _allowed(case, seats, directory, policy) for case in waiting}
    left = [case.case_id for case in waiting if not allowed[case.case_id]]
    queue = [case for case in waiting if allowed[case.case_id]]
    while queue:
        open_seats = [seat for seat in seats if seat.is_open]
        if not open_seats:
            break
        first = min(open_seats, key=lambda seat: seat.free_at_s)
        mine = [case for case in queue if first in allowed[case.case_id]]
        if not mine:
            seats = [seat for seat in seats if seat is not first]
            continue
        case = min(mine, key=lambda each: rank(each, first.free_at_s, policy))
        rivals = [seat for seat in open_seats if seat in allowed[case.case_id]]
        seat = best_seat(case, first, rivals, directory, policy)
        queue.remove(case)
        if placed(case, seat, rivals):
            return left
        seat.free_at_s += case.expected_read_s
    left.extend(case.case_id for case in queue)
    return left


def best_seat(
    case: ReadyCase, first: Seat, rivals: Sequence[Seat], directory: Directory, policy: ReadingPolicy
) -> Seat:
    """Return who of `rivals` should read `case`; `first` is the one who is free first."""
    if len(rivals) == 1:
        return first
    scores = [score(case, seat, first.free_at_s, directory, policy) for seat in rivals]
    return min(zip(scores, rivals, strict=True), key=lambda pair: (pair[0].total_s, pair[0].start_s))[1]


def score(case: ReadyCase, seat: Seat, from_s: float, directory: Directory, policy: ReadingPolicy) -> Score:
    """Return how well `seat` suits `case`, whose wait counts from `from_s`.

    Preferences count only when they cost nothing that matters: never the deadline, and for a P1 not a second of wait
    (they then only decide between readers who can begin at the same time).
    """
    reader, prefer = seat.reader, policy.preferences
    wait_s = seat.free_at_s - from_s
    is_late = seat.free_at_s + case.expected_read_s > case.target_at_s
    how_well = level(directory, reader.person_id, case.needs)
    result = Score(
        person_id=reader.person_id,
        start_s=seat.free_at_s,
        wait_s=wait_s,
        last_resort_s=prefer.last_resort_s if how_well is Competence.LAST_RESORT else 0.0,
        fatigue_s=seat.fatigue_s,
    )
    if wait_s > 0.0 and (is_late or case.urgency is Urgency.P1):
        return result
    return replace(
        result,
        same_patient_s=prefer.same_patient_s if case.patient_key and case.patient_key in reader.patients else 0.0,
        same_author_s=prefer.same_author_s if case.protocol_author == reader.person_id else 0.0,
        expert_s=prefer.expert_s if how_well is Competence.EXPERT else 0.0,
    )


def fatigue_s(reader: Reader, now_s: float, policy: ReadingPolicy) -> float:
    """Return the penalty for a tired reader, in equivalent seconds of wait."""
    limits, on_duty_s = policy.fatigue, now_s - reader.on_duty_from_s
    if on_duty_s < limits.measured_from_s:
        return 0.0
    per_hour = reader.cases_read * 3600.0 / on_duty_s
    if per_hour >= limits.alarmed_per_hour or on_duty_s >= limits.alarmed_after_s:
        return policy.preferences.alarmed_fatigue_s
    return policy.preferences.warned_fatigue_s if per_hour >= limits.warned_per_hour else 0.0


def _allowed(case: ReadyCase, seats: Sequence[Seat], directory: Directory, policy: ReadingPolicy) -> list[Seat]:
    return [
        seat
        for seat in seats
        if may_read_at(
            case,
            seat.reader,
            directory,
            policy,
            max(seat.reader.on_duty_from_s, seat.reader.resting_until_s or 0.0),
            load=0 if case.urgency is Urgency.P1 else seat.open_count,
        )
    ]
