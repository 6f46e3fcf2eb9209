"""In which order waiting cases are read: nobody chooses, so nobody picks cherries and nobody is forgotten.

P1 first, always. Then cases whose wait has reached the guard, then those that can still make their deadline, earliest
deadline first; those that are late already come after them, oldest first, until the guard brings them back. Without
the guard, late patients would be left to rot for the sake of the share within the hour (§3.6, "the trap").
"""

from enum import IntEnum

from oncall.reading.board import ReadyCase, Urgency
from oncall.reading.policy import ReadingPolicy


class Band(IntEnum):
    """Bands of the reading order, first to last."""

    P1 = 1
    GUARDED = 2
    ON_TIME = 3
    LATE = 4


def band(case: ReadyCase, at_s: float, policy: ReadingPolicy) -> Band:
    """Return the band in which `case` waits at `at_s`."""
    if case.urgency is Urgency.P1:
        return Band.P1
    done_s = at_s + case.expected_read_s
    if done_s <= case.deadline_at_s:
        return Band.ON_TIME
    if done_s >= case.ready_at_s + policy.guard_s:
        return Band.GUARDED
    return Band.LATE


def rank(case: ReadyCase, at_s: float, policy: ReadingPolicy) -> tuple[int, float, str]:
    """Return the sort key of `case` in the order of reading at `at_s`; the lowest is read next."""
    where = band(case, at_s, policy)
    due_s = case.target_at_s if where in (Band.P1, Band.ON_TIME) else case.ready_at_s
    return where, due_s, case.case_id
