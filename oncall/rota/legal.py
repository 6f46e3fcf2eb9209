"""The law of rest, as code: what somebody's duties and sessions break, and whether one more duty may be added.

What counts as work: shifts of duty lines, hospital sessions, and calls taken from home. Being on a backup, senior or
coordinator line at home is not work; the duty that a call makes of it is (arrêté of 30 April 2003), so a called backup
is a shift on a duty line that lies within the backup shift, or a call (`oncall.rota.model.call`) of what was worked.

How the texts are read (§1.7, §1.8 of the domain notes):

- A *run* is work without a rest of 11 h in it. Up to 14 h from its first start to its last end it needs 11 h of rest
  after it. Up to 24 h (the derogation of R.6152-708) it needs a rest as long as itself. Longer is forbidden.
- Rest after a night is immediate: what was worked between 22:00 and 05:00 is followed by 11 h before any work that
  begins outside these hours. Two nights 18:30-08:30 in a row leave 10 h and are therefore never legal.
- One shift lasts at most 14 h by the wall clock. When only the clock change makes it longer (15 h in October) it is
  flagged, and not forbidden.
- 48 h a week are averaged over 17 whole weeks, wherever these begin.
- Teleradiology is duty for sites where the person does not work otherwise; its share is of the activity in the same 17
  weeks: the hours worked or the contract's hours, whichever is more (a roster seldom holds every daytime session).

All durations are differences of UTC instants; the zone only tells what is night and what the wall clock shows.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from oncall.directory import Directory, Person, PersonId
from oncall.rota import legal_texts
from oncall.rota.model import Absence, Line, LineKind, Roster, Session, Shift, is_call, line_of
from oncall.spans import Span

_HOUR_S: Final = 3600.0
_WEEK_S: Final = 7 * 86_400.0
# Keeps a share of no activity at all finite.
_NO_ACTIVITY_H: Final = 1e-9
# How far a new shift can reach by rests: two runs of 24 h and their equal rests.
_NEAR_S: Final = 4 * 86_400.0

Instants = NDArray[np.float64]


class Rule(StrEnum):
    """What can be broken."""

    REST_11_H = "rest_11_h"
    WEEK_48_H_OVER_4_MONTHS = "week_48_h_over_4_months"
    AMPLITUDE_14_H = "amplitude_14_h"
    TELERADIOLOGY_SHARE = "teleradiology_share"
    DOUBLE_BOOKING = "double_booking"
    ABSENT = "absent"


class Severity(StrEnum):
    """How binding a rule is: law and impossibility forbid always, the charter but in an emergency, a notice never."""

    LAW = "law"
    CHARTER = "charter"
    NOTICE = "notice"


@dataclass(frozen=True, kw_only=True, slots=True)
class LegalLimits:
    """The numbers of the rules; `time_zone` is where the work is done (what is night, what the wall clock shows)."""

    rest_h: float = 11.0
    amplitude_h_max: float = 14.0
    continuous_h_max: float = 24.0
    week_h_max: float = 48.0
    reference_weeks: int = 17
    night_start: time = time(22)
    night_end: time = time(5)
    time_zone: str = "Europe/Paris"


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One rule broken by one person: `shifts` are those that break it together, `span` reaches over them.

    A hospital session among the shifts has the line `legal_texts.SESSION_LINE`. The messages name the rule and the
    shifts and hold no patient data.
    """

    rule: Rule
    severity: Severity
    person_id: PersonId
    span: Span
    shifts: tuple[Shift, ...]
    message_fr: str
    message_en: str


class ShiftSource(Protocol):
    """Where resolved shifts come from: `oncall.rota.timeline.Timeline`."""

    def shifts_of(self, person_id: PersonId, within: Span) -> Sequence[Shift]:
        """Return the person's shifts that overlap `within`."""


class Work(NamedTuple):
    """One shift or session as the rules see it; instants are seconds since 1970 UTC."""

    start_s: float
    end_s: float
    shift: Shift
    is_home: bool
    is_teleradiology: bool


def violations(
    person_id: PersonId,
    shifts: Sequence[Shift],
    sessions: Sequence[Session],
    limits: LegalLimits,
    within: Span,
    *,
    lines: Iterable[Line] = (),
    person: Person | None = None,
    absences: Sequence[Absence] = (),
) -> tuple[Violation, ...]:
    """Return what the person's work breaks within a span, earliest first; notices are among them.

    Parameters
    ----------
    shifts, sessions : Sequence
        Those of this person (others are passed over), also well before and after `within`: 17 weeks for averages.
    lines : Iterable[Line]
        What the shifts' lines are; a line that is not among them counts as duty.
    person : Person, optional
        Without it the teleradiology share is not looked at.
    """
    works = works_of(person_id, shifts, sessions, lines=lines, person=person)
    found = [
        *_double_bookings(works, limits, None),
        *_absences(works, [absence for absence in absences if absence.person_id == person_id], limits),
        *_amplitudes(works, limits),
        *_rests(works, limits, None),
        *_averages(works, limits, person, None, within),
    ]
    return tuple(sorted((one for one in found if one.span.overlaps(within)), key=_order))


def may_add(
    person_id: PersonId,
    span: Span,
    line: Line,
    timeline: ShiftSource,
    roster: Roster,
    directory: Directory,
    limits: LegalLimits,
    *,
    is_emergency: bool = False,
    instead_of: Sequence[Shift] = (),
) -> tuple[Violation, ...]:
    """Return what one more shift on `line` would break; empty means that it may be added.

    Only what the new shift takes part in is returned, and only what forbids: notices (the October night) are left out.

    Parameters
    ----------
    is_emergency : bool
        A backup is called now: the charter's share does not stand against it, and neither does the person's own shift
        at home on a backup line, out of which they are called. The law of rest does.
    instead_of : Sequence[Shift]
        Shifts that the person gives away in the same act (a swap), or the old place of a shift that moves.
    """
    reach = timedelta(weeks=limits.reference_weeks, days=2)
    around = Span(start=span.start - reach, end=span.end + reach)
    left = [shift for shift in timeline.shifts_of(person_id, around) if shift not in instead_of]
    sessions = [one for one in roster.sessions if one.person_id == person_id and one.span.overlaps(around)]
    person = directory.persons.get(person_id)
    works = works_of(person_id, left, sessions, lines=roster.lines, person=person)
    absences = [one for one in roster.absences if one.person_id == person_id and one.span.overlaps(span)]
    return may_add_to(
        works, new_work(person_id, span, line, person), limits, person, absences, is_emergency=is_emergency
    )


def may_add_to(
    works: Sequence[Work],
    new: Work,
    limits: LegalLimits,
    person: Person | None,
    absences: Sequence[Absence],
    *,
    is_emergency: bool = False,
) -> tuple[Violation, ...]:
    """Return what `new` would break beside `works` (sorted, 17 weeks around): `may_add` for who has them at hand."""
    merged = sorted([*works, new], key=_place)
    near = _near(works, new)
    found = [
        *_double_bookings([work for work in near if not (is_emergency and work.is_home)], limits, new),
        *_absences([new], absences, limits),
        *_amplitudes([new], limits),
        *_rests(near, limits, new),
        *_averages(merged, limits, person, new, new.shift.span),
    ]
    allowed = {Severity.NOTICE, Severity.CHARTER} if is_emergency else {Severity.NOTICE}
    return tuple(sorted((one for one in found if one.severity not in allowed), key=_order))


def around(works: Sequence[Work], new: Work, limits: LegalLimits) -> tuple[Violation, ...]:
    """Return what `new` would break beside sorted `works` by double booking, rest or its own length; no notices."""
    near = _near(works, new)
    found = [*_double_bookings(near, limits, new), *_amplitudes([new], limits), *_rests(near, limits, new)]
    return tuple(one for one in found if one.severity is not Severity.NOTICE)


def is_too_close(first: Work, second: Work, limits: LegalLimits) -> bool:
    """Tell whether nobody may do both, whatever else: too little rest between, or a run that only a long rest allows.

    Stricter than `violations`, which allows the derogation up to 24 h: what is planned ahead does without it.
    """
    end_s = max(first.end_s, second.end_s)
    if second.start_s - first.end_s >= limits.rest_h * _HOUR_S:
        return False
    zone = ZoneInfo(limits.time_zone)
    length_h = min((end_s - first.start_s) / _HOUR_S, _wall_h(first.start_s, end_s, zone))
    return length_h > limits.amplitude_h_max or bool(around([first], second, limits))


def works_of(
    person_id: PersonId,
    shifts: Iterable[Shift],
    sessions: Iterable[Session],
    *,
    lines: Iterable[Line],
    person: Person | None,
) -> list[Work]:
    """Return the person's shifts and sessions as the rules see them, sorted by start."""
    by_id = {line.line_id: line for line in lines}
    works = [_work(shift, line_of(shift, by_id), person) for shift in shifts if shift.person_id == person_id]
    works += [_session_work(session) for session in sessions if session.person_id == person_id]
    return sorted(works, key=_place)


def new_work(person_id: PersonId, span: Span, line: Line, person: Person | None) -> Work:
    """Return a shift that is not in the roster yet as the rules see it."""
    return _work(Shift(line_id=line.line_id, person_id=person_id, span=span, origin="new"), line, person)


def is_teleradiology(line: Line, person: Person) -> bool:
    """Tell whether duty on `line` is remote reading for this person: it serves a site where they do not work."""
    return not line.sites or not line.sites <= person.sites


def _work(shift: Shift, line: Line | None, person: Person | None) -> Work:
    is_home = line is not None and line.kind is not LineKind.DUTY
    return Work(
        start_s=shift.span.start.timestamp(),
        end_s=shift.span.end.timestamp(),
        shift=shift,
        is_home=is_home,
        is_teleradiology=not is_home and line is not None and person is not None and is_teleradiology(line, person),
    )


def _session_work(session: Session) -> Work:
    shift = Shift(
        line_id=legal_texts.SESSION_LINE,
        person_id=session.person_id,
        span=session.span,
        origin=f"session:{session.site_id or ''}",
    )
    return Work(session.span.start.timestamp(), session.span.end.timestamp(), shift, False, False)


def _double_bookings(works: Sequence[Work], limits: LegalLimits, about: Work | None) -> Iterator[Violation]:
    zone = ZoneInfo(limits.time_zone)
    for place, work in enumerate(works):
        for other in works[place + 1 :]:
            if other.start_s >= work.end_s:
                break
            if (about is None or work is about or other is about) and not _is_together(work, other, zone):
                texts = legal_texts.booked_twice(work.shift, other.shift, zone)
                yield _violation(Rule.DOUBLE_BOOKING, Severity.LAW, (work, other), texts)


def _is_together(one: Work, other: Work, zone: ZoneInfo) -> bool:
    """Tell whether two overlapping works go together: two duties at home, a call taken out of one, or one seat.

    Two shifts of one line overlap when its hand-over falls into the hour that the clocks repeat: still one seat.
    """
    earlier, later = sorted((one, other), key=_place)
    if one.shift.line_id == other.shift.line_id and _wall_h(earlier.end_s, later.start_s, zone) == 0:
        return True
    if one.is_home and other.is_home:
        return one.shift.line_id != other.shift.line_id
    home, duty = (one, other) if one.is_home else (other, one)
    is_within = home.is_home and home.start_s <= duty.start_s and duty.end_s <= home.end_s
    return is_within and (is_call(duty.shift) or duty.shift.origin.startswith("override:"))


def _absences(works: Iterable[Work], absences: Sequence[Absence], limits: LegalLimits) -> Iterator[Violation]:
    zone = ZoneInfo(limits.time_zone)
    for work in works:
        for absence in absences:
            # A hospital session during leave is the hospital's business; the lines' is ours.
            if work.shift.span.overlaps(absence.span) and work.shift.line_id != legal_texts.SESSION_LINE:
                texts = legal_texts.absent(work.shift, absence.kind, zone)
                yield _violation(Rule.ABSENT, Severity.LAW, (work,), texts)


def _amplitudes(works: Iterable[Work], limits: LegalLimits) -> Iterator[Violation]:
    zone = ZoneInfo(limits.time_zone)
    for work in works:
        length_h = (work.end_s - work.start_s) / _HOUR_S
        if work.is_home or length_h <= limits.amplitude_h_max:
            continue
        is_clock_change = _wall_h(work.start_s, work.end_s, zone) <= limits.amplitude_h_max
        texts = legal_texts.long_shift(
            work.shift, length_h, limits.amplitude_h_max, zone, is_clock_change=is_clock_change
        )
        severity = Severity.NOTICE if is_clock_change else Severity.LAW
        yield _violation(Rule.AMPLITUDE_14_H, severity, (work,), texts)


def _rests(works: Sequence[Work], limits: LegalLimits, about: Work | None) -> Iterator[Violation]:
    zone = ZoneInfo(limits.time_zone)
    runs = _runs([work for work in works if not work.is_home], limits.rest_h * _HOUR_S)
    for place, run in enumerate(runs):
        following = runs[place + 1] if place + 1 < len(runs) else None
        if about is not None and about not in run and (following is None or following[0] is not about):
            continue
        short = list(_rests_after_nights(run, limits, about, zone))
        yield from short
        end_s = max(work.end_s for work in run)
        length_h = (end_s - run[0].start_s) / _HOUR_S
        is_ordinary = min(length_h, _wall_h(run[0].start_s, end_s, zone)) <= limits.amplitude_h_max
        # A pair that is too close says it better than the length of the run that it makes.
        if short or is_ordinary:
            continue
        if length_h > limits.continuous_h_max:
            texts = legal_texts.long_run(run[0].shift, run[-1].shift, length_h, limits.continuous_h_max, zone)
            yield _violation(Rule.REST_11_H, Severity.LAW, run, texts)
        elif following is not None and (rest_h := (following[0].start_s - end_s) / _HOUR_S) < length_h:
            texts = legal_texts.short_rest(run[-1].shift, following[0].shift, rest_h, length_h, zone)
            yield _violation(Rule.REST_11_H, Severity.LAW, (*run, following[0]), texts)


def _runs(works: Sequence[Work], rest_s: float) -> list[list[Work]]:
    """Split sorted works where there is a rest of `rest_s`."""
    runs: list[list[Work]] = []
    end_s = float("-inf")
    for work in works:
        if work.start_s - end_s >= rest_s:
            runs.append([])
        runs[-1].append(work)
        end_s = max(end_s, work.end_s)
    return runs


def _rests_after_nights(
    run: Sequence[Work], limits: LegalLimits, about: Work | None, zone: ZoneInfo
) -> Iterator[Violation]:
    for first, second in pairwise(run):
        if about is not None and first is not about and second is not about:
            continue
        if second.start_s < first.end_s or not _is_at_night(first.start_s, first.end_s, limits, zone):
            continue
        if not _is_at_night(second.start_s, second.start_s, limits, zone):
            rest_h = (second.start_s - first.end_s) / _HOUR_S
            texts = legal_texts.short_rest(first.shift, second.shift, rest_h, limits.rest_h, zone)
            yield _violation(Rule.REST_11_H, Severity.LAW, (first, second), texts)


def _is_at_night(start_s: float, end_s: float, limits: LegalLimits, zone: ZoneInfo) -> bool:
    """Tell whether the instants from start to end touch the night hours; the start alone when both are one."""
    start, end = datetime.fromtimestamp(start_s, zone), datetime.fromtimestamp(end_s, zone)
    if not limits.night_end <= start.time() < limits.night_start:
        return True
    return end > datetime.combine(start.date(), limits.night_start, zone)


def _averages(
    works: Sequence[Work], limits: LegalLimits, person: Person | None, about: Work | None, within: Span
) -> Iterator[Violation]:
    """The worst window of each average: of all that touch `within`, or of those that hold some of `about`."""
    if about is not None and about.is_home:
        return
    zone = ZoneInfo(limits.time_zone)
    window_s = limits.reference_weeks * _WEEK_S
    worked = _Hours([work for work in works if not work.is_home])
    # Load over windows is piecewise linear: its maximum begins where work begins or ends where work ends.
    starts = np.concatenate([worked.starts_s, worked.ends_s - window_s])
    starts = starts[(starts > within.start.timestamp() - window_s) & (starts < within.end.timestamp())]
    if not len(starts):
        return
    worked_h = worked.between(starts, starts + window_s)
    worst = int(worked_h.argmax())
    average_h = float(worked_h[worst]) / limits.reference_weeks
    # A minute of tolerance: the hours are sums of floats.
    if average_h > limits.week_h_max + 1 / 60 / limits.reference_weeks:
        last = about or _last_in(works, starts[worst], window_s)
        span = _window(starts[worst], window_s)
        texts = legal_texts.long_weeks(last.shift, average_h, limits.week_h_max, span.start, span.end, zone)
        yield _violation(Rule.WEEK_48_H_OVER_4_MONTHS, Severity.LAW, (last,), texts, span)
    if person is None or (about is not None and not about.is_teleradiology):
        return
    remote = [work for work in works if work.is_teleradiology]
    activity_h = np.maximum(np.maximum(worked_h, person.weekly_hours * limits.reference_weeks), _NO_ACTIVITY_H)
    shares = _Hours(remote).between(starts, starts + window_s) / activity_h
    worst = int(shares.argmax())
    if float(shares[worst]) > person.teleradiology_share_max + 1e-6:
        last = about or _last_in(remote, starts[worst], window_s)
        span = _window(starts[worst], window_s)
        texts = legal_texts.large_share(
            last.shift, float(shares[worst]), person.teleradiology_share_max, span.start, span.end, zone
        )
        yield _violation(Rule.TELERADIOLOGY_SHARE, Severity.CHARTER, (last,), texts, span)


class _Hours:
    """Hours worked between any two instants, by two binary searches; for arrays of instants at once."""

    def __init__(self, works: Sequence[Work]) -> None:
        merged: list[list[float]] = []
        for work in works:
            if merged and work.start_s <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], work.end_s)
            else:
                merged.append([work.start_s, work.end_s])
        self.starts_s, self.ends_s = np.array(merged, dtype=np.float64).reshape(-1, 2).T
        self._before_s = np.concatenate([[0.0], np.cumsum(self.ends_s - self.starts_s)])

    def between(self, start_s: Instants, end_s: Instants) -> Instants:
        """Return the hours worked from each start to each end."""
        return (self._until(end_s) - self._until(start_s)) / _HOUR_S

    def _until(self, instant_s: Instants) -> Instants:
        if not len(self.starts_s):
            return np.zeros_like(instant_s)
        begun = np.searchsorted(self.starts_s, instant_s, side="right")
        last = np.maximum(begun - 1, 0)
        running_s = np.minimum(instant_s, self.ends_s[last]) - self.starts_s[last]
        return np.where(begun > 0, self._before_s[last] + running_s, 0.0)


def _last_in(works: Sequence[Work], start_s: float, window_s: float) -> Work:
    return max((work for work in works if work.start_s < start_s + window_s and not work.is_home), key=_place)


def _window(start_s: float, window_s: float) -> Span:
    return Span(start=datetime.fromtimestamp(start_s, UTC), end=datetime.fromtimestamp(start_s + window_s, UTC))


def _wall_h(start_s: float, end_s: float, zone: ZoneInfo) -> float:
    # Both share the zone: Python subtracts what the wall clock shows, which is what is wanted here.
    return (datetime.fromtimestamp(end_s, zone) - datetime.fromtimestamp(start_s, zone)).total_seconds() / _HOUR_S


def _violation(
    rule: Rule, severity: Severity, works: Sequence[Work], texts: tuple[str, str], span: Span | None = None
) -> Violation:
    shifts = tuple(work.shift for work in works)
    reach = Span(start=min(one.span.start for one in shifts), end=max(one.span.end for one in shifts))
    return Violation(
        rule=rule,
        severity=severity,
        person_id=shifts[0].person_id,
        span=span or reach,
        shifts=shifts,
        message_fr=texts[0],
        message_en=texts[1],
    )


def _near(works: Sequence[Work], new: Work) -> list[Work]:
    """Return `new` and those of sorted `works` that it can break a rest with, sorted."""
    first = bisect_left(works, new.start_s - _NEAR_S, key=_start)
    last = bisect_left(works, new.end_s + _NEAR_S, key=_start)
    return sorted([*works[first:last], new], key=_place)


def _start(work: Work) -> float:
    return work.start_s


def _place(work: Work) -> tuple[float, float, str]:
    return work.start_s, work.end_s, work.shift.line_id


def _order(violation: Violation) -> tuple[datetime, str, datetime]:
    return violation.span.start, violation.rule, violation.span.end
