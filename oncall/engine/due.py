"""What is done when a timer is due, within a decision: one function for each kind of timer.

For: steps of chains, the minute's forecast and the backups that it calls, notices that nobody answers. Not for: taking
the timer, which whoever calls does in the same decision, or the clock.

Invariants: each function is told the present time and may be late; it does one step and sets what is due next.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from foundation.instants import instant_of_us, microseconds
from oncall.case.commands import record_silence
from oncall.case.regions import ReadingState
from oncall.chain import Chain, ChainState, Due
from oncall.contact_test import BookBackup
from oncall.directory import PersonId
from oncall.engine import (
    assigning,
    contact_tests,
    handovers,
    notices,
    paging,
    second_reading_timer,
    swap_reminders,
    watching,
)
from oncall.engine.boards import board_at, refusal, refusal_to_keep
from oncall.engine.draft import CHAIN_TIMER, Draft
from oncall.engine.duty import DutyType
from oncall.engine.notices import Notice
from oncall.engine.paging import SILENCE
from oncall.ladder import Target
from oncall.notify import NoticeKind
from oncall.reading.forecast import BackupCall, BackupStay, Forecast, forecast
from oncall.roster_publication import SWAP_CHANGED
from oncall.rota.model import LineKind
from oncall.timers import Timer

FORECAST: Final = "forecast"
BACKUP: Final = "backup"
"""Begins the names of notices that call a backup."""

_SEEN_LATELY: Final = timedelta(minutes=20)


def chain_due(draft: Draft, timer: Timer) -> None:
    """Take the next step of a chain: page again, or the next person."""
    chain_id = timer.timer_key.removeprefix(f"{CHAIN_TIMER}:")
    chain = draft.chain(chain_id)
    assert chain is not None, "a chain's timer holds it"
    case = draft.find(chain.subject.case_id)
    if case is None or not case.is_open:
        draft.cancel_timer(timer.timer_key)
        return
    if chain_id.rpartition("/")[2].startswith(paging.READER_WANTED):
        _note_silence(draft, chain)
    after = paging.tell(draft, chain, Due(callees=paging.callees_of(draft, draft.case(case.case_id))))
    _give_to_next(draft, chain, after)
    assigning.assign(draft)


def _note_silence(draft: Draft, chain: Chain) -> None:
    """Record that the reader who has the case did not answer, when their step ends."""
    case = draft.case(chain.subject.case_id)
    reader = case.reading.assigned_to
    is_over = chain.step_ends_at is not None and draft.now >= chain.step_ends_at and chain.state is ChainState.RUNNING
    asked = {paged.person_id for paged in chain.paged}
    if not is_over or reader is None or reader not in asked or case.reading.state is not ReadingState.ASSIGNED:
        return
    since = case.reading.assigned_at or draft.now
    silent_s = (draft.now - since).total_seconds()
    draft.record(case.case_id, *record_silence(case, reader, draft.context, silent_s=silent_s))
    # Who reads another case is there, and busy; who does nothing at all may be asleep, and gets nothing new.
    if not _was_seen(draft, reader) and reader not in draft.duty.unavailable:
        draft.record_duty(draft.fact(DutyType.READER_UNAVAILABLE, person_id=reader, reason=SILENCE))


def _was_seen(draft: Draft, reader: PersonId) -> bool:
    """Tell whether a reader has something open, or has answered or signed anything lately."""
    since = draft.now - _SEEN_LATELY
    if any(read.person_id == reader and read.signed_at_s >= since.timestamp() for read in draft.night.reads):
        return True
    return any(
        case.reading.claimed_by == reader
        or (
            case.reading.assigned_to == reader
            and case.reading.acknowledged_at is not None
            and case.reading.acknowledged_at >= since
        )
        for case in draft.every_case()
        if case.is_ready
    )


def _give_to_next(draft: Draft, before: Chain, after: Chain) -> None:
    """Put the case on the list of the reader who is asked now instead of the silent one."""
    if after.position == before.position or not after.paged or after.state is not ChainState.RUNNING:
        return
    if after.ladder.steps[after.position].target is not Target.ANOTHER_READER:
        return
    case = draft.case(after.subject.case_id)
    if case.reading.state in {ReadingState.QUEUED, ReadingState.ASSIGNED}:
        assigning.give(draft, case, after.paged[0].person_id, SILENCE)


def watch_due(draft: Draft, timer: Timer) -> None:
    """Look at one case."""
    case = None if timer.case_id is None else draft.find(timer.case_id)
    if case is not None and case.is_open:
        watching.look(draft, case, timer)


def forecast_due(draft: Draft, timer: Timer) -> None:
    """Ask every minute whether the hour will hold; call, keep or release backups."""
    every = timedelta(seconds=draft.rules.engine.forecast_every_s)
    draft.set_timer(
        Timer(
            timer_key=FORECAST,
            kind=FORECAST,
            due_at=_next_beat(timer.due_at, every, draft.now),
            # Kept with the beat, so that a change while no engine ran is seen by the next one.
            payload={"providers": handovers.pass_baton(draft, timer.payload.get("providers", {}))},
        )
    )
    if not draft.duty.backups and not any(case.is_ready for case in draft.every_case()):
        return
    found = _forecast(draft)
    for stay in found.stays:
        _keep(draft, stay)
    if found.call is not None:
        _call(draft, found.call)
    for person_id, why in found.refusals if found.call is None else ():
        _note_refusal(draft, person_id, why)
    _release(draft)
    assigning.assign(draft)


def _forecast(draft: Draft) -> Forecast:
    """Return the forecast; the law is asked only when somebody would be called, because that costs most."""
    rules, seen = draft.rules, assigning.tonight(draft)
    first = forecast(board_at(draft.now, seen, rules, is_law_checked=False), rules.directory, rules.reading)
    if first.call is None:
        return first
    return forecast(board_at(draft.now, seen, rules), rules.directory, rules.reading)


def _call(draft: Draft, call: BackupCall) -> None:
    arrives_at = datetime.fromtimestamp(call.arrives_at_s, tz=draft.now.tzinfo)
    until = datetime.fromtimestamp(call.paid_until_s, tz=draft.now.tzinfo)
    call_backup(draft, call.person_id, call.line_id, arrives_at, until, avoided=call.breaches_avoided)


def call_backup(
    draft: Draft, person_id: PersonId, line_id: str, arrives_at: datetime, until: datetime, *, avoided: float = 0.0
) -> None:
    """Call somebody from home: recorded, told, and their silence watched."""
    draft.record_duty(
        draft.fact(
            DutyType.BACKUP_CALLED,
            person_id=person_id,
            line_id=line_id,
            arrives_at_us=microseconds(arrives_at),
            until_us=microseconds(until),
            breaches_avoided=avoided,
        )
    )
    answer_s = draft.rules.engine.backup_answer_s
    name = f"{BACKUP}:{person_id}"
    if not notices.tell(draft, name, person_id, NoticeKind.BACKUP_CALL, about_at=arrives_at, answer_s=answer_s):
        draft.record_duty(draft.fact(DutyType.BACKUP_DECLINED, person_id=person_id, reason="no_contact_method"))


def call_next(draft: Draft) -> None:
    """Call another backup if the forecast still wants one."""
    found = _forecast(draft)
    if found.call is not None:
        _call(draft, found.call)
    assigning.assign(draft)


def contact_look_due(draft: Draft, _timer: Timer) -> None:
    """Begin the contact tests of the shifts that begin soon."""
    book(draft, contact_tests.look(draft))


def contact_test_due(draft: Draft, timer: Timer) -> None:
    """A test was not answered yet: another method, or the backup."""
    book(draft, contact_tests.alarm(draft, timer))


def book(draft: Draft, bookings: tuple[BookBackup, ...]) -> None:
    """Call a backup, whom the law allows, for the beginning of each shift whose reader did not answer the test."""
    rules = draft.rules
    for booking in bookings:
        if booking.line_id not in rules.lines_of(LineKind.DUTY):
            continue
        starts_at = max(booking.shift_starts_at, draft.now + timedelta(seconds=rules.engine.backup_arrival_s))
        until = starts_at + timedelta(seconds=rules.engine.backup_paid_s)
        for shift in rules.timeline.on_duty(starts_at):
            is_free = shift.person_id not in draft.duty.backups and shift.person_id not in draft.duty.declined_at
            if shift.line_id not in rules.lines_of(LineKind.BACKUP) or not is_free:
                continue
            why = draft.duty.unavailable.get(shift.person_id) or refusal(
                shift.person_id, shift.line_id, starts_at, rules, draft.duty
            )
            if why:
                _note_refusal(draft, shift.person_id, why)
                continue
            call_backup(draft, shift.person_id, shift.line_id, starts_at, until)
            break


def _keep(draft: Draft, stay: BackupStay) -> None:
    backup = draft.duty.backups.get(stay.person_id)
    until_us = round(stay.until_s * 1_000_000)
    if backup is None or until_us == microseconds(backup.until):
        return
    until = instant_of_us(until_us)
    why = refusal_to_keep(backup, until, draft.rules, draft.duty) if until > backup.until else ""
    if why:
        _note_refusal(draft, stay.person_id, why)
    else:
        draft.record_duty(draft.fact(DutyType.BACKUP_EXTENDED, person_id=stay.person_id, until_us=until_us))


def _release(draft: Draft) -> None:
    """Let called readers go whose time is over and who have nothing open."""
    busy = {case.reading.claimed_by for case in draft.every_case() if case.is_ready}
    for backup in list(draft.duty.backups.values()):
        if backup.until > draft.now or backup.person_id in busy:
            continue
        draft.record_duty(draft.fact(DutyType.BACKUP_RELEASED, person_id=backup.person_id))
        name = f"released:{backup.person_id}"
        notices.tell(draft, name, backup.person_id, NoticeKind.BACKUP_RELEASED, about_at=draft.now)


def _note_refusal(draft: Draft, person_id: PersonId, why: str) -> None:
    """Record once an hour by which rule somebody on the backup line was not called."""
    key = f"refused:{person_id}"
    noted = draft.timer(key)
    if noted is None:
        draft.record_duty(draft.fact(DutyType.BACKUP_REFUSED, person_id=person_id, reason=why))
        draft.set_timer(Timer(timer_key=key, kind="forget", due_at=draft.now + timedelta(hours=1)))


def notice_due(draft: Draft, timer: Timer) -> None:
    """A notice was not answered, or no channel has said that it took it: another method, or what giving up means."""
    notice = notices.of_row(timer.payload)
    go_on(draft, notice, SILENCE if notice.answer_s else notices.UNCONFIRMED)


def go_on(draft: Draft, notice: Notice, reason: str) -> None:
    """Send a notice by the next method, or do what must be done when somebody cannot be reached."""
    if notices.go_on(draft, notice, reason):
        return
    match notice.kind:
        case NoticeKind.BACKUP_CALL:
            _replace_backup(draft, notice.person_id, reason)
        case NoticeKind.HANDOVER if notice.answer_s:
            handovers.given_up(draft, notice, reason)
        case NoticeKind.HANDOVER_ALARM:
            handovers.given_up(draft, notice, reason)


def _replace_backup(draft: Draft, person_id: PersonId, reason: str) -> None:
    """A called backup has not answered, or no channel reaches them: call the next one, now."""
    backup = draft.duty.backups.get(person_id)
    if backup is not None and backup.confirmed_at is None:
        draft.record_duty(draft.fact(DutyType.BACKUP_DECLINED, person_id=person_id, reason=reason))
        call_next(draft)


def forget_due(_draft: Draft, _timer: Timer) -> None:
    """Nothing: the timer's being there was its meaning."""


Handler = Callable[[Draft, Timer], None]

HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        CHAIN_TIMER: chain_due,
        watching.WATCH: watch_due,
        FORECAST: forecast_due,
        handovers.HANDOVER: handovers.due,
        notices.NOTICE: notice_due,
        swap_reminders.LOOK: swap_reminders.look_due,
        SWAP_CHANGED: swap_reminders.changed_due,
        contact_tests.LOOK: contact_look_due,
        contact_tests.TEST: contact_test_due,
        second_reading_timer.KIND: second_reading_timer.due,
        "forget": forget_due,
    }
)
"""What each kind of timer does when it is due."""


def ensure_timers(draft: Draft) -> None:
    """Set what must always be set: the forecast's beat and the next change of shift."""
    if draft.timer(FORECAST) is None:
        draft.set_timer(Timer(timer_key=FORECAST, kind=FORECAST, due_at=draft.now))
    if draft.timer(handovers.HANDOVER) is None:
        handovers.set_timer(draft)
    contact_tests.ensure_timer(draft)
    swap_reminders.ensure_timer(draft)


def _next_beat(due_at: datetime, every: timedelta, now: datetime) -> datetime:
    """Return the next beat of the same rhythm after `now`: a late one is not caught up on."""
    missed = max(0, int((now - due_at) / every))
    return due_at + every * (missed + 1)
