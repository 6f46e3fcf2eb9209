"""The contact test before a shift: who is going on duty answers a page by a time, or the backup is booked.

For: when a test begins, by which method it is repeated, when it has failed. Not for: booking the backup (the engine,
through the legal check) or sending. A test is a chain of messages of its own; an answer to it ends it and nothing else.

Source: `oncall_domain.md` 2.3 complaint 9, 5.15.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from oncall.directory import ContactMethod, LineId, Person, PersonId
from oncall.rota.model import Shift


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactTestPolicy:
    """Seconds before a shift at which the test begins, before which it must be answered, and between two methods."""

    begins_s: float = 1800.0
    answer_by_s: float = 900.0
    next_method_after_s: float = 300.0

    def __post_init__(self) -> None:
        if not self.begins_s > self.answer_by_s > 0 < self.next_method_after_s:
            raise ValueError("a contact test begins before it must be answered, and both before the shift")


class ContactTestState(StrEnum):
    """A test waits, was answered in time, or failed: then the backup is booked."""

    WAITING = "waiting"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactTest:
    """One person's test before one shift; while it waits, `next_alarm_at` (UTC) is when to ask `advance` again."""

    test_id: str
    person_id: PersonId
    line_id: LineId
    shift_starts_at: datetime
    answer_by: datetime
    methods: tuple[ContactMethod, ...]
    next_alarm_at: datetime | None
    tried: int = 0
    failed: int = 0
    state: ContactTestState = ContactTestState.WAITING
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactTestPage:
    """Send the test by this method."""

    message_key: str
    person_id: PersonId
    method: ContactMethod


@dataclass(frozen=True, kw_only=True, slots=True)
class BookBackup:
    """The test failed; ``reason`` is logged, and somebody else is made ready for the shift."""

    person_id: PersonId
    line_id: LineId
    shift_starts_at: datetime
    reason: str


def shifts_to_test(
    shifts: Sequence[Shift], now: datetime, policy: ContactTestPolicy, known: frozenset[str]
) -> tuple[Shift, ...]:
    """Return the shifts whose test is due now and not begun.

    Parameters
    ----------
    known : frozenset of str
        Ids (`contact_test_id`) of tests that were begun before.
    """
    opens = timedelta(seconds=policy.begins_s)
    return tuple(
        shift
        for shift in shifts
        if shift.span.start - opens <= now < shift.span.start and contact_test_id(shift) not in known
    )


def contact_test_id(shift: Shift) -> str:
    """Return the deterministic id of a shift's test: a restart does not test twice."""
    return f"test/{shift.line_id}/{shift.person_id}/{shift.span.start:%Y%m%dT%H%MZ}"


def begin(shift: Shift, person: Person, now: datetime, policy: ContactTestPolicy) -> ContactTest:
    """Return a test that is due at once. A shift that was changed late is answered by its start at the latest."""
    in_time = shift.span.start - timedelta(seconds=policy.answer_by_s)
    shortest = now + timedelta(seconds=policy.next_method_after_s)
    return ContactTest(
        test_id=contact_test_id(shift),
        person_id=person.person_id,
        line_id=shift.line_id,
        shift_starts_at=shift.span.start,
        answer_by=min(max(in_time, shortest), shift.span.start),
        methods=person.contact_methods,
        next_alarm_at=now,
    )


def advance(
    test: ContactTest, now: datetime, policy: ContactTestPolicy, *, failed_method: bool = False
) -> tuple[ContactTest, tuple[ContactTestPage | BookBackup, ...]]:
    """Return the test and what to do at its alarm time, or at once when its last method failed.

    A person without any contact method fails at once: that is known before the night, not in it.
    """
    if test.state is not ContactTestState.WAITING or test.next_alarm_at is None:
        return test, ()
    if now < test.next_alarm_at and not failed_method:
        return test, ()
    if not test.methods:
        return _failed(test, "no_contact_method")
    if now >= test.answer_by:
        return _failed(test, "no_answer")
    if failed_method:
        test = replace(test, failed=test.failed + 1)
        if test.failed >= len(test.methods):
            return _failed(test, "no_method_reaches")
        if test.tried >= len(test.methods):
            return test, ()
    method = test.methods[test.tried % len(test.methods)]
    page = ContactTestPage(message_key=f"{test.test_id}/{test.tried}", person_id=test.person_id, method=method)
    again_at = now + timedelta(seconds=policy.next_method_after_s)
    later = replace(test, tried=test.tried + 1, next_alarm_at=min(again_at, test.answer_by))
    return later, (page,)


def answered(test: ContactTest, now: datetime) -> ContactTest:
    """Return the test after its person answered; too late an answer does not unbook the backup."""
    if test.state is not ContactTestState.WAITING or now > test.answer_by:
        return test
    return replace(test, state=ContactTestState.ANSWERED, next_alarm_at=None)


def _failed(test: ContactTest, reason: str) -> tuple[ContactTest, tuple[BookBackup]]:
    booking = BookBackup(
        person_id=test.person_id, line_id=test.line_id, shift_starts_at=test.shift_starts_at, reason=reason
    )
    return replace(test, state=ContactTestState.FAILED, next_alarm_at=None, reason=reason), (booking,)
