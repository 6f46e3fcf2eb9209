"""Contact tests in the engine: a minute's look at the shifts that begin soon, each test as a timer's row, its news.

For: binding `oncall.contact_test` to timers, messages and the night's log. Not for: booking; what a failed test asks
for is returned as a `Booking`, and `oncall.engine.due` calls the backup. Off unless `EnginePolicy.is_contact_tested`: a
simulated night has nobody who answers.

Invariant: a shift is tested once; its timer stays, as a mark, until the shift begins.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none
from oncall import contact_test
from oncall.contact_test import BookBackup, ContactTest, ContactTestPage, ContactTestPolicy, ContactTestState
from oncall.directory import LineId, PersonId, methods_of_rows, methods_to_rows
from oncall.engine.draft import Draft
from oncall.engine.duty import DutyType
from oncall.messages import MessageState, Settled
from oncall.notify import NoticeKind, Words, notice_message
from oncall.rota.model import LineKind, Shift
from oncall.spans import Span
from oncall.timers import Timer

LOOK: Final = "contact_tests"
TEST: Final = "contact_test"
DONE: Final = "forget"
PREFIX: Final = "test/"
_LOOK_EVERY: Final = timedelta(seconds=60)
_TESTED: Final = tuple(LineKind)

Booking = BookBackup


def ensure_timer(draft: Draft) -> None:
    """Set the next look at the shifts that begin soon, if contacts are tested at all."""
    if draft.rules.engine.is_contact_tested and draft.timer(LOOK) is None:
        draft.set_timer(Timer(timer_key=LOOK, kind=LOOK, due_at=draft.now))


def look(draft: Draft) -> tuple[Booking, ...]:
    """Begin the tests that are due, and look again in a minute."""
    policy = _policy(draft)
    asked: list[Booking] = []
    for shift in contact_test.shifts_to_test(_beginning_soon(draft), draft.now, policy, frozenset()):
        person = draft.rules.directory.persons.get(shift.person_id)
        if person is not None and draft.timer(contact_test.contact_test_id(shift)) is None:
            asked += _go_on(draft, contact_test.begin(shift, person, draft.now, policy))
    draft.set_timer(Timer(timer_key=LOOK, kind=LOOK, due_at=draft.now + _LOOK_EVERY))
    return tuple(asked)


def alarm(draft: Draft, timer: Timer) -> tuple[Booking, ...]:
    """Try the next method of a test, or give it up."""
    return tuple(_go_on(draft, _from_json(timer.payload)))


def hear(draft: Draft, settled: Settled) -> tuple[Booking, ...]:
    """Take what became of a test's message: an answer ends the test, a failure is followed by the next method."""
    timer = draft.timer(settled.chain_id)
    if timer is None or timer.kind != TEST:
        return ()
    test = _from_json(timer.payload)
    if settled.state is MessageState.ANSWERED:
        # Somebody who says no is reached, and will not come: as good as silence until the last moment.
        if settled.reason != "no":
            _keep(draft, contact_test.answered(test, draft.now))
            return ()
        return tuple(_go_on(draft, replace(test, answer_by=draft.now, next_alarm_at=draft.now)))
    return tuple(_go_on(draft, test, failed_method=True)) if settled.is_failure else ()


def _go_on(draft: Draft, test: ContactTest, *, failed_method: bool = False) -> list[Booking]:
    after, actions = contact_test.advance(test, draft.now, _policy(draft), failed_method=failed_method)
    for action in actions:
        if isinstance(action, ContactTestPage):
            _page(draft, after, action)
    _keep(draft, after)
    return [action for action in actions if isinstance(action, BookBackup)]


def _page(draft: Draft, test: ContactTest, page: ContactTestPage) -> None:
    line = draft.rules.lines.get(test.line_id)
    words = Words(
        place="" if line is None else line.name,
        zone="UTC" if line is None else line.time_zone,
        deadline_at=test.answer_by,
    )
    person = draft.rules.directory.persons[test.person_id]
    draft.messages.append(
        notice_message(
            page.message_key,
            NoticeKind.CONTACT_TEST,
            words,
            person,
            page.method,
            draft.now,
            sender=draft.sender,
            chain_id=test.test_id,
            attempts_max=1,
        )
    )
    draft.record_duty(draft.fact(DutyType.CONTACT_TEST_SENT, person_id=test.person_id, message_key=page.message_key))


def _keep(draft: Draft, test: ContactTest) -> None:
    if test.next_alarm_at is not None:
        timer = Timer(timer_key=test.test_id, kind=TEST, due_at=test.next_alarm_at, payload=_to_json(test))
        draft.set_timer(timer)
        return
    draft.cancel_pages(test.test_id)
    draft.set_timer(Timer(timer_key=test.test_id, kind=DONE, due_at=max(test.shift_starts_at, draft.now)))
    happened = DutyType.CONTACT_TEST_FAILED
    if test.state is ContactTestState.ANSWERED:
        happened = DutyType.CONTACT_TEST_ANSWERED
    draft.record_duty(draft.fact(happened, person_id=test.person_id, line_id=test.line_id, reason=test.reason))


def _beginning_soon(draft: Draft) -> list[Shift]:
    """Return shifts that begin within the policy's time, of people who are not on duty already."""
    rules = draft.rules
    soon = Span(start=draft.now, end=draft.now + timedelta(seconds=_policy(draft).begins_s + 1))
    present = {shift.person_id for shift in rules.timeline.on_duty(draft.now)}
    return [
        shift
        for kind in _TESTED
        for line_id in sorted(rules.lines_of(kind))
        for shift in rules.timeline.line_shifts(line_id, soon)
        if shift.person_id not in present and shift.span.start > draft.now
    ]


def _policy(draft: Draft) -> ContactTestPolicy:
    engine = draft.rules.engine
    # What is left between the beginning of a test and its answer is shared by three tries.
    next_method_after_s = (engine.contact_test_s - engine.contact_answer_s) / 3
    return ContactTestPolicy(
        begins_s=engine.contact_test_s, answer_by_s=engine.contact_answer_s, next_method_after_s=next_method_after_s
    )


def _to_json(test: ContactTest) -> dict[str, Any]:
    return {
        "test_id": test.test_id,
        "person_id": test.person_id,
        "line_id": test.line_id,
        "shift_starts_at_us": microseconds(test.shift_starts_at),
        "answer_by_us": microseconds(test.answer_by),
        "methods": methods_to_rows(test.methods),
        "next_alarm_at_us": microseconds_or_none(test.next_alarm_at),
        "tried": test.tried,
        "failed": test.failed,
    }


def _from_json(row: Mapping[str, Any]) -> ContactTest:
    return ContactTest(
        test_id=row["test_id"],
        person_id=PersonId(row["person_id"]),
        line_id=LineId(row["line_id"]),
        shift_starts_at=instant_of_us(row["shift_starts_at_us"]),
        answer_by=instant_of_us(row["answer_by_us"]),
        methods=methods_of_rows(row["methods"]),
        next_alarm_at=instant_of_us_or_none(row["next_alarm_at_us"]),
        tried=row["tried"],
        failed=row["failed"],
    )
