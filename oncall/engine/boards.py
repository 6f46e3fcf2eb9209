"""The board as the engine sees it: open cases from their logs, readers from the roster and from the night's log.

Pure: everything is passed in. Times on a board are seconds since 1970 UTC.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from oncall.directory import PersonId
from oncall.engine.duty import CalledBackup, Duty
from oncall.engine.in_force import InForce
from oncall.reading.board import Board, CallableBackup, Reader, ReadyCase
from oncall.rota import legal
from oncall.rota.model import LineKind, Shift
from oncall.rota.timeline import WithCalls
from oncall.spans import Span, union


class Read(NamedTuple):
    """One case read by somebody: seconds since 1970 UTC."""

    person_id: PersonId
    opened_at_s: float
    signed_at_s: float
    patient_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tonight:
    """What a board is made of beside the rules: the open cases' projections and what happened this night."""

    ready: tuple[ReadyCase, ...]
    duty: Duty
    reads: tuple[Read, ...] = ()
    ready_times_s: tuple[float, ...] = ()


def board_at(now: datetime, tonight: Tonight, rules: InForce, *, is_law_checked: bool = True) -> Board:
    """Return the board at `now`.

    Parameters
    ----------
    is_law_checked : bool
        False leaves the refusals of backups out: for a first forecast, most of which want nobody called.
    """
    roster_readers = _rostered(now, rules)
    called = {
        person_id: backup for person_id, backup in tonight.duty.backups.items() if person_id not in roster_readers
    }
    spans = {**roster_readers, **{person: Span(start=one.arrives_at, end=max(one.until, one.arrives_at + _MOMENT))
                                  for person, one in called.items()}}  # fmt: skip
    readers = [
        _reader(person_id, span, tonight, rules, is_backup=person_id in called)
        # Those on duty first: where two could begin at the same time, who was called from home stays free to go.
        for person_id, span in sorted(spans.items(), key=lambda item: (item[0] in called, item[0]))
    ]
    return Board(
        now_s=now.timestamp(),
        cases=tonight.ready,
        readers=tuple(_with_reads(readers, tonight.reads)),
        backups=tuple(_backups(now, tonight.duty, rules, frozenset(spans), is_law_checked=is_law_checked)),
        ready_times_s=tonight.ready_times_s,
        utc_offset_s=_utc_offset_s(now, rules),
    )


def refusal(person_id: PersonId, line_id: str, now: datetime, rules: InForce, duty: Duty) -> str:
    """Return which rule of law forbids calling somebody from a backup line now, with the shift; '' when none does.

    The law is asked about the roster and what was really worked when called, this night and in the weeks before.
    """
    arrives_at = now + timedelta(seconds=rules.engine.backup_arrival_s)
    span = Span(start=arrives_at, end=arrives_at + timedelta(seconds=rules.engine.backup_paid_s))
    return _refused(person_id, line_id, span, worked(duty, person_id), rules)


def refusal_to_keep(backup: CalledBackup, until: datetime, rules: InForce, duty: Duty) -> str:
    """Return which rule of law forbids keeping a called backup until then; '' when none does."""
    earlier = [one.worked for one in duty.released if one.person_id == backup.person_id]
    span = Span(start=backup.arrives_at, end=until)
    return _refused(backup.person_id, backup.line_id, span, [one for one in earlier if one is not None], rules)


def _refused(person_id: PersonId, line_id: str, span: Span, calls: Sequence[Shift], rules: InForce) -> str:
    line = next(line for line in rules.roster.lines if line.line_id == line_id)
    broken = legal.may_add(
        person_id,
        span,
        # Called in, they work: the law of rest counts it as duty, not as being at home.
        replace(line, kind=LineKind.DUTY),
        WithCalls(rules.timeline, calls),
        rules.roster,
        rules.directory,
        rules.limits,
        is_emergency=True,
    )
    return broken[0].message_en if broken else ""


def resting_until(person_id: PersonId, duty_span: Span, rules: InForce, duty: Duty) -> datetime | None:
    """Return until when somebody rests who was called before their duty; None when the law lets them read.

    Calls are checked before they are made; one that was then kept longer may still have taken the rest before a duty.

    Parameters
    ----------
    duty_span : Span
        Of the duty, all of it.
    """
    before = [shift for shift in worked(duty, person_id) if shift.span.end < duty_span.start]
    if not before:
        return None
    ends_at = max(shift.span.end for shift in before) + timedelta(hours=rules.limits.rest_h)
    if ends_at <= duty_span.start:
        return None
    shifts = [one for one in rules.timeline.shifts_of(person_id, duty_span) if one.line_id in rules.lines]
    own = [one for one in shifts if rules.lines[one.line_id].kind is LineKind.DUTY]
    broken = legal.may_add(
        person_id,
        duty_span,
        rules.lines[own[0].line_id],
        WithCalls(rules.timeline, before),
        rules.roster,
        rules.directory,
        rules.limits,
        is_emergency=True,
        instead_of=own,
    )
    return ends_at if any(one.rule is legal.Rule.REST_11_H for one in broken) else None


# A span is never empty; a backup let go before arriving is there for no time that matters.
_MOMENT = timedelta(microseconds=1)


def _rostered(now: datetime, rules: InForce) -> dict[PersonId, Span]:
    """Return until when those on a duty line stay, and from when those who come within the horizon are there."""
    ahead = Span(start=now, end=now + timedelta(seconds=rules.engine.horizon_s))
    duty_lines = rules.lines_of(LineKind.DUTY)
    found: dict[PersonId, list[Span]] = {}
    for shift in _around(ahead, rules):
        if shift.line_id in duty_lines:
            found.setdefault(shift.person_id, []).append(shift.span)
    # Evening and night of one person in a row are one duty.
    runs = {person_id: [span for span in union(spans) if span.overlaps(ahead)] for person_id, spans in found.items()}
    return {person_id: spans[0] for person_id, spans in runs.items() if spans}


def _around(ahead: Span, rules: InForce) -> Iterable[Shift]:
    instants = [ahead.start]
    # One who is on duty now may go on in the next shift, and that one begins before the horizon or not.
    change = rules.timeline.next_change(ahead.start)
    while change is not None and change < ahead.end:
        instants.append(change)
        change = rules.timeline.next_change(change)
    if change is not None:
        instants.append(change)
    for instant in instants:
        yield from rules.timeline.on_duty(instant)


def _reader(person_id: PersonId, span: Span, tonight: Tonight, rules: InForce, *, is_backup: bool) -> Reader:
    rest = None if is_backup else resting_until(person_id, span, rules, tonight.duty)
    return Reader(
        person_id=person_id,
        on_duty_from_s=span.start.timestamp(),
        off_duty_at_s=span.end.timestamp(),
        is_backup=is_backup,
        is_unavailable=person_id in tonight.duty.unavailable,
        resting_until_s=None if rest is None else rest.timestamp(),
    )


def _with_reads(readers: Sequence[Reader], reads: Sequence[Read]) -> Iterable[Reader]:
    by_person: dict[PersonId, list[Read]] = {}
    for read in reads:
        by_person.setdefault(read.person_id, []).append(read)
    for reader in readers:
        theirs = [one for one in by_person.get(reader.person_id, ()) if one.signed_at_s >= reader.on_duty_from_s]
        if not theirs:
            yield reader
            continue
        yield replace(
            reader,
            read_s=sum(one.signed_at_s - one.opened_at_s for one in theirs),
            cases_read=len(theirs),
            patients=frozenset(one.patient_key for one in theirs if one.patient_key),
        )


def _backups(
    now: datetime, duty: Duty, rules: InForce, present: frozenset[PersonId], *, is_law_checked: bool
) -> Iterable[CallableBackup]:
    lines = rules.lines_of(LineKind.BACKUP)
    for shift in rules.timeline.on_duty(now):
        person_id = shift.person_id
        if shift.line_id not in lines or person_id in present or person_id in duty.backups:
            continue
        why = _unreachable(person_id, duty, shift)
        if not why and is_law_checked:
            why = refusal(person_id, shift.line_id, now, rules, duty)
        yield CallableBackup(
            person_id=person_id,
            line_id=shift.line_id,
            arrival_s=rules.engine.backup_arrival_s,
            paid_s_min=rules.engine.backup_paid_s,
            refusal=why,
        )


def _unreachable(person_id: PersonId, duty: Duty, shift: Shift) -> str:
    if person_id in duty.unavailable:
        return f"unavailable: {duty.unavailable[person_id]}"
    declined_at = duty.declined_at.get(person_id)
    if declined_at is not None and declined_at in shift.span:
        return "declined a call in this shift"
    return ""


def _utc_offset_s(now: datetime, rules: InForce) -> float:
    zone = ZoneInfo(rules.roster.lines[0].time_zone) if rules.roster.lines else UTC
    offset = now.astimezone(zone).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def worked(duty: Duty, person_id: PersonId) -> tuple[Shift, ...]:
    """Return what somebody worked when called, as shifts for the law."""
    released = [one for one in duty.released if one.person_id == person_id]
    present = [duty.backups[person_id]] if person_id in duty.backups else []
    return tuple(shift for one in (*released, *present) if (shift := one.worked) is not None)
