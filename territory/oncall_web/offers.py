"""When the page of a case offers an action: what its state and the person who looks make sensible.

Not for: refusing anything (`oncall.case` does). ``me`` is who looks, None where nobody is known and a reader is chosen.
"""

from collections.abc import Callable
from typing import Final

from oncall.case.regions import CriticalState, DeliveryState, ImagesState, ReadingState
from oncall.case.state import Case
from oncall.directory import PersonId


def is_mine(case: Case, me: PersonId | None) -> bool:
    """The reading is held by this person."""
    return case.reading.claimed_by is not None and me in (None, case.reading.claimed_by)


_UNOPENED: Final = frozenset({ReadingState.QUEUED, ReadingState.ASSIGNED, ReadingState.ACKNOWLEDGED})


def may_take(case: Case, me: PersonId | None) -> bool:
    """It waits for somebody's yes."""
    return case.is_ready and case.reading.state in {ReadingState.QUEUED, ReadingState.ASSIGNED}


def may_decline(case: Case, me: PersonId | None) -> bool:
    """It is on this person's list, or on nobody's."""
    return case.is_ready and case.reading.state in _UNOPENED and me in (None, case.reading.assigned_to)


def may_open(case: Case, me: PersonId | None) -> bool:
    """It is to be read and nobody has opened it."""
    return case.is_ready and case.reading.state in _UNOPENED


def is_read(case: Case, me: PersonId | None) -> bool:
    """This person is reading it."""
    return case.reading.state is ReadingState.CLAIMED and is_mine(case, me)


def is_laid_aside(case: Case, me: PersonId | None) -> bool:
    """This person has parked it."""
    return case.reading.state is ReadingState.PARKED and is_mine(case, me)


def is_open(case: Case, me: PersonId | None) -> bool:
    """Somebody still has something to do."""
    return case.is_open


def is_unread(case: Case, me: PersonId | None) -> bool:
    """Its report is not signed."""
    return case.is_open and case.report.signed_at is None


def awaits_protocol(case: Case, me: PersonId | None) -> bool:
    """Its images are not complete."""
    return is_unread(case, me) and case.images.state is not ImagesState.COMPLETE


def awaits_completeness(case: Case, me: PersonId | None) -> bool:
    """Its images are not complete, or not any more."""
    return awaits_protocol(case, me) or (is_unread(case, me) and case.images.is_reopened)


def awaits_images(case: Case, me: PersonId | None) -> bool:
    """It has no study yet."""
    return case.is_open and not case.images.studies


def awaits_first_word(case: Case, me: PersonId | None) -> bool:
    """This person is reading it and has told nobody yet."""
    return is_unread(case, me) and is_mine(case, me) and case.report.first_communicated_at is None


def awaits_radiographer(case: Case, me: PersonId | None) -> bool:
    """A protocol was sent and nobody at the scanner has seen it."""
    return awaits_protocol(case, me) and case.protocol.version > 0 and case.protocol.acknowledged_at is None


_AT_HOSPITAL: Final = frozenset(
    {DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.DELIVERED, DeliveryState.ACCESSED}
)


def awaits_clinician(case: Case, me: PersonId | None) -> bool:
    """The report has gone to the hospital, and no clinician has acknowledged it."""
    return case.delivery.state in _AT_HOSPITAL and case.delivery.acknowledged_at is None


def has_critical(*states: CriticalState) -> Callable[[Case, PersonId | None], bool]:
    """Return whether a critical finding is in one of these states."""
    return lambda case, me: any(one.state in states for one in case.criticals)


def criticals(*states: CriticalState) -> Callable[[Case], tuple[str, ...]]:
    """Return the ids of the critical findings in one of these states."""
    return lambda case: tuple(one.critical_id for one in case.criticals if one.state in states)
