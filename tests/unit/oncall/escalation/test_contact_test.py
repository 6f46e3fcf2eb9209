"""The contact test before a shift: answered by its time, or the backup is booked."""

from datetime import UTC, datetime, timedelta

import pytest

from oncall.contact_test import (
    BookBackup,
    ContactTest,
    ContactTestPage,
    ContactTestPolicy,
    ContactTestState,
    advance,
    answered,
    begin,
    contact_test_id,
    shifts_to_test,
)
from oncall.directory import ChannelKind, ContactMethod, LineId, Person, PersonId, Role
from oncall.rota.model import Shift
from oncall.spans import Span

# The night of 24 to 25 October 2026 begins at 18:30 in Paris, 16:30 UTC, and has 15 hours.
STARTS = datetime(2026, 10, 24, 16, 30, tzinfo=UTC)
SHIFT = Shift(
    line_id=LineId("reader1"),
    person_id=PersonId("ann"),
    span=Span(start=STARTS, end=STARTS + timedelta(hours=15)),
    origin="plan:x",
)
POLICY = ContactTestPolicy()
OPENS, ANSWER_BY = STARTS - timedelta(minutes=30), STARTS - timedelta(minutes=15)
SMS = ContactMethod(kind=ChannelKind.SMS, address="+33600000001")
VOICE = ContactMethod(kind=ChannelKind.VOICE, address="+33600000001")


def ann(*methods: ContactMethod) -> Person:
    return Person(person_id=PersonId("ann"), name="Ann", role=Role.RADIOLOGIST, contact_methods=methods)


def walked(test: ContactTest, now: datetime) -> tuple[ContactTest, list[ContactTestPage | BookBackup]]:
    """Let the alarms come until the test is over."""
    done: list[ContactTestPage | BookBackup] = []
    while test.next_alarm_at is not None:
        now = max(now, test.next_alarm_at)
        test, actions = advance(test, now, POLICY)
        done += actions
    return test, done


@pytest.mark.parametrize(
    ("now", "is_due"),
    [
        (OPENS - timedelta(seconds=1), False),
        (OPENS, True),
        (STARTS - timedelta(seconds=1), True),
        (STARTS, False),
    ],
    ids=["too early", "half an hour before", "late roster change", "begun"],
)
def test_a_shift_is_tested_in_the_half_hour_before_it(now: datetime, is_due: bool) -> None:
    assert bool(shifts_to_test([SHIFT], now, POLICY, frozenset())) == is_due


def test_a_restart_does_not_test_twice() -> None:
    assert shifts_to_test([SHIFT], OPENS, POLICY, frozenset({contact_test_id(SHIFT)})) == ()


def test_silence_is_tried_by_every_method_and_then_the_backup_is_booked_in_time() -> None:
    test, done = walked(begin(SHIFT, ann(SMS, VOICE), OPENS, POLICY), OPENS)

    pages = [action for action in done if isinstance(action, ContactTestPage)]
    assert [page.method for page in pages] == [SMS, VOICE, SMS]
    assert len({page.message_key for page in pages}) == 3
    assert done[-1] == BookBackup(
        person_id=PersonId("ann"), line_id=LineId("reader1"), shift_starts_at=STARTS, reason="no_answer"
    )
    assert (test.state, test.answer_by) == (ContactTestState.FAILED, ANSWER_BY)


def test_a_person_without_a_contact_method_is_found_before_the_night() -> None:
    test, done = walked(begin(SHIFT, ann(), OPENS, POLICY), OPENS)

    assert test.state is ContactTestState.FAILED
    assert [action.reason for action in done if isinstance(action, BookBackup)] == ["no_contact_method"]


def test_an_answer_in_time_ends_the_test_and_books_nobody() -> None:
    begun, _ = advance(begin(SHIFT, ann(SMS), OPENS, POLICY), OPENS, POLICY)

    test = answered(begun, ANSWER_BY)

    assert (test.state, test.next_alarm_at) == (ContactTestState.ANSWERED, None)
    assert advance(test, STARTS, POLICY) == (test, ())


def test_an_answer_that_comes_too_late_does_not_unbook_the_backup() -> None:
    failed, _ = walked(begin(SHIFT, ann(SMS), OPENS, POLICY), OPENS)

    assert answered(failed, ANSWER_BY) == failed


def test_a_method_that_fails_is_followed_by_the_next_at_once_and_the_backup_when_none_is_left() -> None:
    test, _ = advance(begin(SHIFT, ann(SMS, VOICE), OPENS, POLICY), OPENS, POLICY)

    test, second = advance(test, OPENS, POLICY, failed_method=True)
    test, last = advance(test, OPENS, POLICY, failed_method=True)

    assert [type(action) for action in (*second, *last)] == [ContactTestPage, BookBackup]
    assert test.reason == "no_method_reaches"


def test_a_method_that_fails_beside_one_that_may_be_answered_waits_for_the_answer() -> None:
    test, _ = advance(begin(SHIFT, ann(SMS, VOICE), OPENS, POLICY), OPENS, POLICY)
    assert test.next_alarm_at is not None
    test, _ = advance(test, test.next_alarm_at, POLICY)

    waiting, actions = advance(test, OPENS + timedelta(minutes=6), POLICY, failed_method=True)

    assert (waiting.state, actions) == (ContactTestState.WAITING, ())


def test_a_late_roster_change_leaves_time_to_answer_but_never_beyond_the_start() -> None:
    ten_before = begin(SHIFT, ann(SMS), STARTS - timedelta(minutes=10), POLICY)
    one_before = begin(SHIFT, ann(SMS), STARTS - timedelta(minutes=1), POLICY)

    assert (ten_before.answer_by, one_before.answer_by) == (STARTS - timedelta(minutes=5), STARTS)


def test_a_policy_whose_times_contradict_each_other_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="contact test"):
        ContactTestPolicy(begins_s=600, answer_by_s=900)
