"""The timer of a second reading, within a decision: it finds a reader, and tells somebody when it is overdue.

For: the row that is both alarm and place on the board. Not for: what asks for a second reading
(`oncall.engine.second_readings`).

Invariant: as long as a second reading is asked for and not made its timer is set, ever later; each time that it is due
and overdue somebody is told, and it is recorded once that C8 was breached.
"""

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from foundation.instants import microseconds
from oncall.case import commands_second_reading as asked
from oncall.case.clocks import Clock
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.chain import CONTROL_ROOM
from oncall.directory import ChannelKind, ContactMethod, PersonId, Role
from oncall.engine import notices
from oncall.engine.draft import Draft
from oncall.notify import NoticeKind, Words, addressed_message, case_code
from oncall.rota.model import LineKind
from oncall.second_reading.board import PendingReading, of_row, pending_of, to_row
from oncall.second_reading.choice import Choice, choose, is_day
from oncall.second_reading.policy import DEFAULT, SecondReadingPolicy
from oncall.timers import Timer

KIND: Final = "second_reading"

# A timer is due after the decision that sets it.
_AT_ONCE_S: Final = 1.0
# Names the notices, with few enough characters for their column.
_NAME: Final = "second"


def key_of(case: Case) -> str:
    """Return the key of a case's timer."""
    return f"{KIND}:{case.case_id}"


def follow(draft: Draft, case: Case) -> None:
    """Set the timer of a second reading that is to be made, and cancel that of one that is not."""
    before = draft.timer(key_of(case))
    is_breached = before is not None and of_row(before.payload).is_breached
    pending = pending_of(case, is_breached=is_breached)
    if pending is None:
        draft.cancel_timer(key_of(case))
        return
    _set(draft, pending, _AT_ONCE_S)


def due(draft: Draft, timer: Timer) -> None:
    """Look for a second reader, or tell that it is overdue; then wait on."""
    case = None if timer.case_id is None else draft.known(timer.case_id)
    was_breached = of_row(timer.payload).is_breached
    pending = None if case is None else pending_of(case, is_breached=was_breached)
    if case is None or pending is None:
        return
    if pending.assigned_to is None and pending.earliest_at <= draft.now and assign(draft, case):
        case = draft.case(case.case_id)
        pending = pending_of(case, is_breached=was_breached) or pending
    if pending.is_overdue(draft.now):
        pending = _overdue(draft, case, pending, is_first=not was_breached)
    _set(draft, pending, _policy(draft).look_again_s)


def assign(draft: Draft, case: Case) -> bool:
    """Give a second reading to a reader who is at work by day; False when there is none, and nothing has changed."""
    policy, rules = _policy(draft), draft.rules
    if not is_day(draft.now, rules.directory.sites[case.site_id].time_zone, policy):
        return False
    choice = choice_for(draft, case)
    if choice.person_id is None:
        return False
    draft.record(case.case_id, *asked.assign(case, draft.context, person_id=choice.person_id))
    given = draft.case(case.case_id)
    follow(draft, given)
    about_at = given.second_reading.due_at
    assert about_at is not None, "what is assigned is due"
    notify(draft, given, choice.person_id, NoticeKind.SECOND_READING, about_at)
    return True


def choice_for(draft: Draft, case: Case) -> Choice:
    """Return who would be given a case's second reading now, and why the others would not."""
    rules = draft.rules
    return choose(case, _present(draft), load(draft), rules.directory, rules.reading, _policy(draft))


def load(draft: Draft) -> Counter[PersonId]:
    """Return how many second readings each reader has still to make."""
    pending = [of_row(timer.payload).assigned_to for timer in draft.timers_of_kind(KIND)]
    return Counter(person_id for person_id in pending if person_id is not None)


def notify(draft: Draft, case: Case, person_id: PersonId, kind: NoticeKind, about_at: datetime) -> bool:
    """Tell somebody about a second reading, by each of their methods until one has taken it; False when none could."""
    if person_id not in draft.rules.directory.persons:
        return False
    named = hashlib.sha256(case.case_id.encode()).hexdigest()[:12]
    site = draft.rules.directory.sites[case.site_id]
    return notices.tell(
        draft,
        f"{_NAME}:{named}:{person_id}",
        person_id,
        kind,
        about_at=about_at,
        place=f"{case_code(case.case_id)}, {site.name}",
    )


def _overdue(draft: Draft, case: Case, pending: PendingReading, *, is_first: bool) -> PendingReading:
    if is_first:
        breached = draft.fact(
            EventType.CLOCK_BREACHED, clock=Clock.SECOND_READ.value, due_at_us=microseconds(pending.due_at)
        )
        draft.record(case.case_id, breached)
    told = [
        notify(draft, case, person_id, NoticeKind.SECOND_READING_LATE, pending.due_at)
        for person_id in _alarmed(draft, pending)
    ]
    if not any(told):
        _show_on_wall(draft, case, pending)
    return replace(pending, is_breached=True)


def _alarmed(draft: Draft, pending: PendingReading) -> list[PersonId]:
    """Return who is told that it is overdue: who has it, and the coordinators, on duty or, without any, all of them."""
    rules = draft.rules
    on_duty = rules.on(LineKind.COORDINATOR, draft.now)
    persons = rules.directory.persons.values()
    chiefs = on_duty or tuple(person.person_id for person in persons if person.role is Role.COORDINATOR)
    having = () if pending.assigned_to is None else (pending.assigned_to,)
    return list(dict.fromkeys((*having, *chiefs)))


def _show_on_wall(draft: Draft, case: Case, pending: PendingReading) -> None:
    site = draft.rules.directory.sites[case.site_id]
    words = Words(place=f"{case_code(case.case_id)}, {site.name}", zone=site.time_zone, deadline_at=pending.due_at)
    key = f"{key_of(case)}:{microseconds(draft.now)}"
    draft.messages.append(
        addressed_message(
            key,
            NoticeKind.SECOND_READING_LATE,
            words,
            person_id=CONTROL_ROOM,
            language="fr",
            method=ContactMethod(kind=ChannelKind.CONSOLE, address=case.site_id),
            now=draft.now,
            sender=draft.sender,
            case_id=None,
            chain_id="",
            attempts_max=2,
        )
    )


def _present(draft: Draft) -> list[PersonId]:
    """Return who is at work now: on a duty line or in a session, not absent and not gone."""
    rules, now = draft.rules, draft.now
    away = {one.person_id for one in rules.roster.absences if one.span.start <= now < one.span.end}
    sessions = [one.person_id for one in rules.roster.sessions if one.span.start <= now < one.span.end]
    here = dict.fromkeys((*rules.on(LineKind.DUTY, now), *sorted(sessions)))
    return [one for one in here if one not in away and one not in draft.duty.unavailable]


def _set(draft: Draft, pending: PendingReading, wait_s: float) -> None:
    """Set the next look: in `wait_s` for a reader, at the due time, or when it is overdue and must be told again."""
    now = draft.now
    if pending.is_overdue(now):
        due_at = now + timedelta(seconds=_policy(draft).repeat_s if pending.is_breached else wait_s)
    elif pending.assigned_to is None:
        due_at = min(max(pending.earliest_at, now + timedelta(seconds=wait_s)), pending.due_at)
    else:
        due_at = pending.due_at
    draft.set_timer(
        Timer(
            timer_key=f"{KIND}:{pending.case_id}",
            kind=KIND,
            due_at=due_at,
            case_id=pending.case_id,
            payload=to_row(pending),
        )
    )


def _policy(draft: Draft) -> SecondReadingPolicy:
    return draft.rules.second_reading or DEFAULT
