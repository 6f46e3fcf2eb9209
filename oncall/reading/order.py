"""In which order waiting cases are read: nobody chooses, so nobody picks cherries and nobody is forgotten.

P1 first, always, by target. Then cases whose wait has reached the guard, oldest first. Then all others by what a delay
would cost: the chance of making the hour (and, at a smaller weight, the guard) that is lost if the case waits for the
next free reader, for the work that it takes. With time to spare nothing is lost by waiting, and cases near their
deadline go first; a case that is late anyway loses nothing either, and waits until its guard comes near. Without the
guard, late patients would be left to rot for the sake of the share within the hour (§3.6, "the trap").
"""

from enum import IntEnum
from typing import Final

from oncall.case.event import CaseId
from oncall.reading.board import ExamKind, ReadyCase, Urgency
from oncall.reading.policy import ReadingPolicy
from oncall.reading.read_time import STEP_S

Rank = tuple[int, float, float, str]

# A case that makes its deadline at least this probably counts as able to.
_LIKELY: Final = 0.5


class Band(IntEnum):
    """Bands of the reading order as they are explained; ON_TIME and LATE are compared by what a delay would cost."""

    P1 = 1
    GUARDED = 2
    ON_TIME = 3
    LATE = 4


class Waiting:
    """A case that waits, with everything its rank is computed from; `seats` is the bit set of who may read it."""

    __slots__ = (
        "_chances",
        "_guard_at_s",
        "_guard_weight",
        "_next_chance_s",
        "_per_step",
        "_work",
        "case",
        "case_id",
        "deadline_at_s",
        "expected_s",
        "is_p1",
        "ready_s",
        "seats",
        "target_at_s",
    )

    def __init__(
        self,
        case: ReadyCase | None,
        *,
        exam: ExamKind,
        ready_s: float,
        deadline_at_s: float,
        expected_s: float,
        policy: ReadingPolicy,
        seats: int,
    ) -> None:
        read_time = policy.read_times[exam]
        rules = policy.order
        self.case = case
        self.case_id = CaseId("") if case is None else case.case_id
        self.is_p1 = case is not None and case.urgency is Urgency.P1
        self.ready_s = ready_s
        self.deadline_at_s = deadline_at_s
        self.target_at_s = deadline_at_s if case is None else case.target_at_s
        self.expected_s = expected_s
        self.seats = seats
        self._chances = read_time.chances
        # A case said to take twice the usual time has half the steps of the table in the same time.
        self._per_step = read_time.expected_s / expected_s / STEP_S
        self._guard_at_s = ready_s + rules.guard_s
        self._guard_weight = rules.guard_weight
        self._next_chance_s = rules.next_chance_s
        self._work = expected_s**rules.work_exponent

    def chance_at(self, at_s: float) -> float:
        """Return the probability of making the deadline when opened at `at_s`."""
        return self._chance(self.deadline_at_s - at_s)

    def band(self, at_s: float) -> Band:
        """Return the band at `at_s`."""
        if self.is_p1:
            return Band.P1
        if at_s >= self._guard_at_s:
            return Band.GUARDED
        return Band.ON_TIME if self.chance_at(at_s) >= _LIKELY else Band.LATE

    def rank(self, at_s: float) -> Rank:
        """Return the sort key in the order of reading at `at_s`; the lowest is read next."""
        if self.is_p1:
            return 0, self.target_at_s, self.ready_s, self.case_id
        guard_in_s = self._guard_at_s - at_s
        if guard_in_s <= 0.0:
            return 1, self.ready_s, 0.0, self.case_id
        hour_in_s, later_s = self.deadline_at_s - at_s, self._next_chance_s
        lost = self._guard_weight * (self._chance(guard_in_s) - self._chance(guard_in_s - later_s))
        if hour_in_s > 0.0:
            lost += self._chance(hour_in_s) - self._chance(hour_in_s - later_s)
        return 2, -lost / self._work, self.ready_s, self.case_id

    def _chance(self, within_s: float) -> float:
        if within_s <= 0.0:
            return 0.0
        step = int(within_s * self._per_step)
        return self._chances[step] if step < len(self._chances) else 1.0


def waiting(case: ReadyCase, policy: ReadingPolicy, seats: int = -1) -> Waiting:
    """Return `case` as something that waits; by default everybody may read it."""
    return Waiting(
        case,
        exam=case.exam,
        ready_s=case.ready_at_s,
        deadline_at_s=case.deadline_at_s,
        expected_s=case.expected_read_s,
        policy=policy,
        seats=seats,
    )
