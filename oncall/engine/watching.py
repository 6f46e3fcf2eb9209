"""Each open case's own alarm: when it is looked at next, and what is found then.

For: the watch timer of a case, its breached clocks, a transfer that stopped. Not for: chains of pages, which have
timers of their own (`oncall.engine.paging`).

Invariant: after every decision each open case it touched has a watch timer, so no case is without a next alarm time;
each clock is said to be breached once.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from foundation.instants import microseconds
from oncall.case.clocks import Clock, read_clocks
from oncall.case.completeness import due_images, next_look_at
from oncall.case.event import CaseId
from oncall.case.regions import ReadingState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.chain import Cause
from oncall.critical.loops import loops_of
from oncall.engine import assigning, deliveries, loops, paging, requests
from oncall.engine.draft import Draft
from oncall.engine.in_force import InForce
from oncall.engine.site_links import STOPPED
from oncall.ladder import Purpose
from oncall.reading.board import Urgency
from oncall.timers import Timer

WATCH: Final = "watch"
ARRIVING: Final = "arriving"
"""Not a clock of the case's: when images on their way are looked at again."""

AT_ONCE: Final = timedelta(seconds=1)
"""When what is overdue already is looked at: a timer is due after the decision that sets it."""

_TIMED_ELSEWHERE: Final = frozenset({Clock.ACKNOWLEDGEMENT, Clock.CRITICAL, Clock.SECOND_READ})
_WAITING: Final = frozenset({ReadingState.QUEUED, ReadingState.ASSIGNED})


def watch_key(case_id: CaseId) -> str:
    """Return the key of a case's watch timer."""
    return f"{WATCH}:{case_id}"


def watch(draft: Draft) -> None:
    """Set the watch timer of every open case that the draft touched, and cancel that of a closed one."""
    for case in list(draft.cases.values()):
        key = watch_key(case.case_id)
        if not case.is_open:
            draft.cancel_timer(key)
            for one in case.escalations:
                if draft.chain(one.chain_id) is not None:
                    paging.close(draft, draft.case(case.case_id), "closed", one.chain_id.rpartition("/")[2][:1])
            continue
        deliveries.end_if_read(draft, case)
        if case.images.stalled_since is None and case.images.link_lost_at is None:
            paging.close(draft, draft.case(case.case_id), "images_moving", STOPPED)
        case = draft.case(case.case_id)
        payload = _said(draft, key)
        due_at = next_look(case, draft.rules, draft.now, said=payload.get("said", ()))
        draft.set_timer(Timer(timer_key=key, kind=WATCH, due_at=due_at, case_id=case.case_id, payload=payload))


def next_look(case: Case, rules: InForce, now: datetime, *, said: Collection[str]) -> datetime:
    """Return when the case is looked at next: its nearest clock, and never later than the policy's review.

    What was due before anybody could see it (images that a relay brings late) is looked at at once.
    """
    ahead = [max(at, now + AT_ONCE) for clock, at in alarms(case, rules, now) if at > now or clock not in said]
    is_unasked = case.is_ready and case.reading.state in _WAITING and paging.running_chain(case) is None
    is_unheard = any(loop.is_overdue(now) and paging.running_chain(case, loop.mark) is None for loop in loops_of(case))
    is_unread = deliveries.is_unread(case, now) and paging.running_chain(case, deliveries.UNREAD) is None
    review_s = rules.engine.follow_up_s if is_unasked or is_unheard or is_unread else rules.engine.review_s
    return min([*ahead, now + timedelta(seconds=review_s)])


def alarms(case: Case, rules: InForce, now: datetime) -> Iterator[tuple[str, datetime]]:
    """Return the clocks that run on a case and when each is breached (section 4.3)."""
    images = case.images
    look_at = next_look_at(case, rules.intake)
    if look_at is not None:
        yield ARRIVING, look_at
    for loop in loops_of(case):
        if loop.is_waiting:
            # Each is said to be overdue by itself.
            yield loop.clock, loop.due_at
    is_told = case.report.first_communicated_at is not None
    if case.is_ready and images.target_at is not None and images.target_at != images.deadline_at and not is_told:
        yield "target", images.target_at
    unread_at = deliveries.overdue_at(case)
    if unread_at is not None:
        yield deliveries.alarm_name(case), unread_at
    for reading in read_clocks(case, now):
        is_answer_late = reading.clock is Clock.ANSWER and images.complete_at is not None
        # C3 has the chain's own timer; an answer to a request whose images are there helps nobody any more.
        # C6 is among the hospital's loops; C8 has a timer of its own, because it runs when the case is closed.
        if reading.clock in _TIMED_ELSEWHERE or is_answer_late or reading.is_paused:
            continue
        if reading.is_running and reading.due_at is not None:
            yield reading.clock.value, reading.due_at


def look(draft: Draft, case: Case, timer: Timer) -> None:
    """Do what a due watch timer is for: say what was breached, and see to it that somebody knows."""
    said = list(timer.payload.get("said", ()))
    _look_at_images(draft, case)
    case = draft.case(case.case_id)
    for clock, at in list(alarms(case, draft.rules, draft.now)):
        if at <= draft.now and clock not in said and clock != ARRIVING:
            said.append(clock)
            if clock.startswith(deliveries.UNREAD_ALARM):
                continue
            _breached(draft, draft.case(case.case_id), clock, at)
    case = draft.case(case.case_id)
    is_waiting = case.is_ready and case.reading.state is ReadingState.QUEUED
    # Somebody who cannot read it answered for its reader, and the reader has still not.
    is_unanswered = case.is_ready and case.reading.state is ReadingState.ASSIGNED
    is_left = is_unanswered or (is_waiting and timer.payload.get("was_waiting"))
    if is_left and paging.running_chain(case) is None:
        # Two looks long nobody could be given it, and nobody is being asked: whoever was told has done nothing.
        paging.begin(draft, case, Cause.CAPACITY)
    deadline_at = case.images.deadline_at
    is_late = case.is_ready and case.reading.claimed_by is None and deadline_at is not None and deadline_at < draft.now
    if is_late and Clock.REPORT.value in timer.payload.get("said", ()) and _is_quiet(case):
        # Somebody was found, and has not opened it since the last look.
        _tell_of_late(draft, draft.case(case.case_id))
    # Begun anew where a chain has ended and nobody has taken note.
    loops.overdue(draft, draft.case(case.case_id))
    deliveries.look(draft, draft.case(case.case_id))
    case = draft.case(case.case_id)
    draft.cases.setdefault(case.case_id, case)
    key = watch_key(case.case_id)
    draft.set_timer(
        Timer(timer_key=key, kind=WATCH, due_at=draft.now, case_id=case.case_id,
              payload={"said": said, "was_waiting": is_waiting})
    )  # fmt: skip


def _is_quiet(case: Case) -> bool:
    return paging.running_chain(case) is None and paging.running_chain(case, "d") is None


def _look_at_images(draft: Draft, case: Case) -> None:
    """Images that went quiet are complete, or their transfer has stopped and somebody must look."""
    facts = due_images(case, draft.rules.intake, draft.now)
    if not facts:
        return
    draft.record(case.case_id, *facts)
    after = draft.case(case.case_id)
    if after.images.stalled_since is None:
        assigning.assign(draft)
    elif after.images.link_lost_at is None and paging.running_chain(after, STOPPED) is None:
        # Of a hospital that is out of reach its own page tells (`site_links`), once.
        paging.begin(draft, after, Cause.TECHNICAL, mark=STOPPED, ladder=draft.rules.ladder_for(Purpose.TECHNICAL))


def _breached(draft: Draft, case: Case, clock: str, at: datetime) -> None:
    kind = clock.partition(":")[0]
    draft.record(case.case_id, draft.fact(EventType.CLOCK_BREACHED, clock=kind, due_at_us=microseconds(at)))
    loops.overdue(draft, draft.case(case.case_id), clock)
    if clock == Clock.ANSWER.value:
        requests.overdue(draft, draft.case(case.case_id))
    is_unopened = case.reading.claimed_by is None
    is_urgent = clock == "C4" or (clock == "target" and case.urgency is Urgency.P1)
    if is_urgent and is_unopened and paging.running_chain(case, "d") is None:
        _tell_of_late(draft, draft.case(case.case_id))


def _tell_of_late(draft: Draft, case: Case) -> None:
    ladder = draft.rules.ladder_for(Purpose.LATE)
    paging.begin(draft, case, Cause.DEADLINE_MISSED, mark="d", ladder=ladder)


def _said(draft: Draft, key: str) -> dict[str, Any]:
    timer = draft.timer(key)
    return {} if timer is None else dict(timer.payload)
