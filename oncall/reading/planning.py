"""The plan: which reader will read which waiting case, in which order and when, by expected times.

A list schedule: whoever is free first takes the case that `oncall.reading.order` puts first among those they may
read, unless another reader suits it better and can begin about as soon. All P1 cases are placed before any other case
is looked at, so no other case can delay them (§4.4 invariant 10). The plan is a forecast, not a promise: it is made
anew whenever something happens, and a case belongs to nobody until it is claimed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from oncall.case.event import CaseId
from oncall.directory import Competence, Directory, PersonId
from oncall.reading.board import Board, Reader, ReadyCase, Urgency
from oncall.reading.eligibility import first_broken, level
from oncall.reading.order import Rank, Waiting, waiting
from oncall.reading.policy import ReadingPolicy


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


class Seat:
    """A reader as a schedule sees them: `free_at_s` moves on while it is made; `bit` is theirs in `Waiting.seats`."""

    __slots__ = ("bit", "free_at_s", "off_s", "open_count", "reader")

    def __init__(self, reader: Reader, free_at_s: float, bit: int) -> None:
        self.reader = reader
        self.free_at_s = free_at_s
        self.off_s = reader.off_duty_at_s
        self.bit = bit
        self.open_count = 0


# Told a case and its seat, whose `free_at_s` is when the case begins, and the rivals; true stops the schedule.
Placed = Callable[[Waiting, Seat, Sequence[Seat]], bool]
# Returns who of the rivals takes a case; the first argument after it is the seat that is free first.
Choose = Callable[[Waiting, Seat, Sequence[Seat]], Seat]

_RANKED_LAST: Final[Rank] = (9, 0.0, 0.0, "")


def plan(board: Board, directory: Directory, policy: ReadingPolicy) -> Plan:
    """Return who will read what, and when, by expected times."""
    seats, claimed = seats_of(board, policy)
    queue = queue_of(board, seats, directory, policy)
    reads: list[PlannedRead] = []

    def placed(each: Waiting, seat: Seat, _rivals: Sequence[Seat]) -> bool:
        reads.append(planned(each, seat))
        return False

    left = list_schedule(queue, seats, placed, choose=suitable(directory, policy, board.now_s))
    reads.sort(key=lambda read: (read.start_s, read.case_id))
    return Plan(at_s=board.now_s, claimed=tuple(claimed), reads=tuple(reads), unplanned=tuple(left))


def planned(each: Waiting, seat: Seat) -> PlannedRead:
    """Return a case as read by `seat` when it is free next."""
    return PlannedRead(
        case_id=each.case_id,
        person_id=seat.reader.person_id,
        start_s=seat.free_at_s,
        done_s=seat.free_at_s + each.expected_s,
        deadline_at_s=each.deadline_at_s,
    )


def seats_of(board: Board, policy: ReadingPolicy) -> tuple[list[Seat], list[PlannedRead]]:
    """Return the readers with the time each is free next, and the predicted ends of what is open."""
    now_s = board.now_s
    seats = {
        reader.person_id: Seat(reader, max(now_s, reader.on_duty_from_s, reader.resting_until_s or 0.0), 1 << number)
        for number, reader in enumerate(board.readers)
        if not reader.is_unavailable
    }
    claimed = []
    for case in board.cases:
        if case.claimed_by is None:
            continue
        begun_s = now_s if case.claimed_at_s is None else case.claimed_at_s
        usual = policy.read_times[case.exam]
        scale = case.expected_read_s / usual.expected_s
        left_s = usual.remaining_s((now_s - begun_s) / scale) * scale
        seat = seats.get(case.claimed_by)
        done_s = (now_s if seat is None else seat.free_at_s) + left_s
        claimed.append(
            PlannedRead(
                case_id=case.case_id,
                person_id=case.claimed_by,
                start_s=begun_s,
                done_s=done_s,
                deadline_at_s=case.deadline_at_s,
            )
        )
        if seat is not None:
            seat.free_at_s = done_s
            seat.open_count += 1
    return list(seats.values()), claimed


def queue_of(board: Board, seats: Sequence[Seat], directory: Directory, policy: ReadingPolicy) -> list[Waiting]:
    """Return the cases that nobody has opened, each with the seats that may read it when they are free."""
    return [
        waiting(case, policy, _may_read(case, seats, directory, policy))
        for case in board.cases
        if case.claimed_by is None
    ]


def list_schedule(
    queue: Sequence[Waiting],
    seats: Sequence[Seat],
    placed: Placed,
    *,
    choose: Choose | None = None,
    coming: Sequence[Waiting] = (),
) -> list[CaseId]:
    """Place every waiting case, P1 first, then each seat's next as it comes free; return the cases nobody may read.

    Parameters
    ----------
    choose : Choose, optional
        Who takes a case, among those who may; by default whoever is free first.
    coming : sequence of Waiting
        Cases that are expected later, by time of arrival; anybody may read them.
    """
    first = [each for each in queue if each.is_p1]
    left: list[CaseId] = []
    is_over = bool(first) and _run(first, seats, placed, choose, (), left)
    if not is_over:
        _run([each for each in queue if not each.is_p1], seats, placed, choose, coming, left)
    return left


def _run(
    queue: list[Waiting],
    seats: Sequence[Seat],
    placed: Placed,
    choose: Choose | None,
    coming: Sequence[Waiting],
    left: list[CaseId],
) -> bool:
    """Place the queue; add what nobody may read to `left`; tell whether `placed` has stopped the schedule."""
    there = [seat for seat in seats if seat.free_at_s < seat.off_s]
    next_coming, comings = 0, len(coming)
    while there and (queue or next_coming < comings):
        seat = there[0]
        for other in there:
            if other.free_at_s < seat.free_at_s:
                seat = other
        at_s = seat.free_at_s
        if at_s >= seat.off_s:
            there.remove(seat)
            continue
        while next_coming < comings and coming[next_coming].ready_s <= at_s:
            queue.append(coming[next_coming])
            next_coming += 1
        best = _first_for(seat, queue, at_s)
        if best is None:
            if next_coming == comings:
                there.remove(seat)
            else:
                seat.free_at_s = coming[next_coming].ready_s
            continue
        rivals = there if choose is None else [each for each in there if best.seats & each.bit]
        taker = seat if choose is None else choose(best, seat, rivals)
        queue.remove(best)
        if placed(best, taker, rivals):
            return True
        taker.free_at_s += best.expected_s
    left.extend(each.case_id for each in queue if each.case is not None)
    return False


def _first_for(seat: Seat, queue: Sequence[Waiting], at_s: float) -> Waiting | None:
    best, best_rank, bit = None, _RANKED_LAST, seat.bit
    for each in queue:
        if each.seats & bit:
            rank = each.rank(at_s)
            if rank < best_rank:
                best, best_rank = each, rank
    return best


def suitable(directory: Directory, policy: ReadingPolicy, now_s: float) -> Choose:
    """Return the choice of the reader whose `Score` is lowest; who is free first wins a tie."""

    def choose(each: Waiting, seat: Seat, rivals: Sequence[Seat]) -> Seat:
        if len(rivals) == 1 or each.case is None:
            return seat
        scored = [(score(each.case, rival, seat.free_at_s, now_s, directory, policy), rival) for rival in rivals]
        return min(scored, key=lambda pair: (pair[0].total_s, pair[0].start_s))[1]

    return choose


def score(
    case: ReadyCase, seat: Seat, from_s: float, now_s: float, directory: Directory, policy: ReadingPolicy
) -> Score:
    """Return how well `seat` suits `case`, whose wait counts from `from_s`.

    Preferences and fatigue count only when they cost nothing that matters: never the target, and for a P1 not a second
    of wait (they then only decide between readers who can begin at the same time).
    """
    reader, prefer = seat.reader, policy.preferences
    wait_s = seat.free_at_s - from_s
    how_well = level(directory, reader.person_id, case.needs)
    last_resort_s = 0.0
    if how_well is Competence.LAST_RESORT:
        last_resort_s = prefer.last_resort_p1_s if case.urgency is Urgency.P1 else prefer.last_resort_s
    is_costly = case.urgency is Urgency.P1 or seat.free_at_s + case.expected_read_s > case.target_at_s
    if wait_s > 0.0 and is_costly:
        return Score(person_id=reader.person_id, start_s=seat.free_at_s, wait_s=wait_s, last_resort_s=last_resort_s)
    return Score(
        person_id=reader.person_id,
        start_s=seat.free_at_s,
        wait_s=wait_s,
        last_resort_s=last_resort_s,
        fatigue_s=0.0 if is_costly else fatigue_s(reader, now_s, policy),
        same_patient_s=prefer.same_patient_s if case.patient_key and case.patient_key in reader.patients else 0.0,
        same_author_s=prefer.same_author_s if case.protocol_author == reader.person_id else 0.0,
        expert_s=prefer.expert_s if how_well is Competence.EXPERT else 0.0,
    )


def fatigue_s(reader: Reader, now_s: float, policy: ReadingPolicy) -> float:
    """Return the penalty for a tired reader, in equivalent seconds of wait (§1.10: cases an hour, hours on duty)."""
    limits, on_duty_s = policy.fatigue, now_s - reader.on_duty_from_s
    if on_duty_s < limits.measured_from_s:
        return 0.0
    per_hour = reader.cases_read * 3600.0 / on_duty_s
    if per_hour >= limits.alarmed_per_hour or on_duty_s >= limits.alarmed_after_s:
        return policy.preferences.alarmed_fatigue_s
    return policy.preferences.warned_fatigue_s if per_hour >= limits.warned_per_hour else 0.0


def _may_read(case: ReadyCase, seats: Sequence[Seat], directory: Directory, policy: ReadingPolicy) -> int:
    """Return the bit set of the seats that break no rule once they are free."""
    bits = 0
    for seat in seats:
        load = 0 if case.urgency is Urgency.P1 else seat.open_count
        if first_broken(case, seat.reader, directory, policy, load=load) is None:
            bits |= seat.bit
    return bits
