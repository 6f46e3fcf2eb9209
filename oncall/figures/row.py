"""One case in figures: its instants, its clocks, whose it was, and why its hour was missed.

For: turning the log of one case into one row. Not for: storing rows (`oncall.figures.projection`) or counting them
(`oncall.figures.summary`). Pure: nothing here reads a clock or a database.

How cases are counted
---------------------
* A case belongs to the day on which its images were complete (T1), or on which it was opened while there is no T1.
* The hour (C4) ends with the first signed report that stands. What was retracted answers nothing: its case runs on, and
  when it is read again the hour ends with that report. An addendum ends nothing and is no exam.
* A request that was merged into another case, and a case whose images went to another one, are listed as such and
  measured there, once.
* C3 of a case runs from its first assignment until anybody has answered: giving it to another reader does not restart
  it. C5 and C9 are those of the report that stands; the other clocks are as `oncall.case.clocks` reads them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Final

from foundation.instants import microseconds, microseconds_or_none
from oncall.case.clocks import DEFAULT_TARGETS, Clock, Reading, read_clocks
from oncall.case.event import Event
from oncall.case.regions import ImagesState, ReportState, RequestState
from oncall.case.state import Case, fold
from oncall.directory import Directory, PersonId, Site
from oncall.figures.trace import Trace, trace_of
from oncall.local_time import zone_of
from oncall.public_holidays import is_commune, is_public_holiday

HOUR_US: Final = 3_600_000_000
_SATURDAY: Final = 5
_DEEP_NIGHT_ENDS: Final = time(8)
_EVENING_STARTS: Final = time(18, 30)


class Outcome(StrEnum):
    """What became of a case."""

    OPEN = "open"
    REPORTED = "reported"
    RETRACTED = "retracted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    MERGED = "merged"
    MOVED = "moved"
    UNREPORTED = "unreported"


class Period(StrEnum):
    """When in the local time of the site; each instant is in exactly one, the first that holds."""

    DEEP_NIGHT = "deep_night"
    HOLIDAY = "holiday"
    WEEKEND = "weekend"
    EVENING = "evening"
    DAY = "day"


class Cause(StrEnum):
    """Why a report came after its hour. WAITING is what one case alone cannot tell: capacity or order."""

    CAPACITY = "capacity"
    ORDER = "order"
    SILENCE = "silence"
    TRANSFER = "transfer"
    OWN_LENGTH = "own_length"
    WAITING = "waiting"


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseFigure:
    """The row of one case, its columns named as in ``oncall_case_figure``; instants and durations in microseconds.

    ``c1_us`` to ``c9_us`` are what elapsed on a clock that has stopped, ``cN_due_us`` when one that runs is due; bit
    N-1 of ``running_clocks`` and ``late_clocks`` stands for clock N. ``reader_id`` signed the report that stands, or
    has the case.
    """

    case_id: str
    seq: int
    outcome: str
    counted_at_us: int
    site_id: str
    urgency: int
    exam: str
    modality: str
    period: str
    provider_id: str
    reader_id: str
    requested_at_us: int | None
    answered_at_us: int | None
    images_at_us: int | None
    deadline_at_us: int | None
    assigned_at_us: int | None
    acknowledged_at_us: int | None
    read_at_us: int | None
    finding_at_us: int | None
    signed_at_us: int | None
    delivered_at_us: int | None
    known_at_us: int | None
    critical_at_us: int | None
    critical_known_at_us: int | None
    second_read_at_us: int | None
    c1_us: int | None
    c2_us: int | None
    c3_us: int | None
    c4_us: int | None
    c5_us: int | None
    c6_us: int | None
    c7_us: int | None
    c8_us: int | None
    c9_us: int | None
    c1_due_us: int | None
    c2_due_us: int | None
    c3_due_us: int | None
    c4_due_us: int | None
    c5_due_us: int | None
    c6_due_us: int | None
    c7_due_us: int | None
    c8_due_us: int | None
    c9_due_us: int | None
    running_clocks: int
    late_clocks: int
    wait_us: int | None
    reading_us: int | None
    silent_us: int
    stalled_us: int
    assignments: int
    studies: int
    addenda: int
    retractions: int
    cause: str


COLUMNS: Final = tuple(field.name for field in fields(CaseFigure))


def figure_of(events: Sequence[Event], directory_at: Callable[[int], Directory]) -> CaseFigure:
    """Return the row of a case from its whole log and the directory that was in force when it is counted.

    Raises
    ------
    foundation.errors.Refused
        If the log is no case's, or has a gap.
    """
    case, trace = fold(events), trace_of(events)
    standing, turn = trace.standing, trace.turn
    images_at = case.images.complete_at
    counted_at = images_at or case.opened_at
    directory = directory_at(microseconds(counted_at))
    outcome = _outcome(case, trace)
    first_read = min((one.opened_at for one in trace.turns), default=None)
    reader = _reader(case, trace)
    person = directory.persons.get(PersonId(reader))
    silent = sum((span.duration for one in trace.assignments if (span := one.silence())), timedelta(0))
    stalled = sum((span.duration for span in trace.stalls), timedelta(0))
    reading_us = None if turn is None or not turn.is_signed else turn.duration // _MICROSECOND
    clocks = _clocks(case, trace, outcome)
    criticals = case.criticals
    known_at = [one.acknowledged_at for one in criticals]
    stopped = {name: clocks[number] for number, name in enumerate(_STOPPED)}
    c4_us = stopped["c4_us"].elapsed_us
    is_late = bool(stopped["c4_us"].is_late)
    return CaseFigure(
        case_id=case.case_id,
        seq=case.seq,
        outcome=outcome.value,
        counted_at_us=microseconds(counted_at),
        site_id=case.site_id,
        urgency=int(case.urgency),
        exam=case.exam.value,
        modality=case.request.modality,
        period=period_of(counted_at, directory.sites.get(case.site_id)).value,
        provider_id=(person.provider_id or "") if person is not None else "",
        reader_id=reader,
        requested_at_us=microseconds_or_none(case.request.submitted_at),
        answered_at_us=microseconds_or_none(case.request.answered_at),
        images_at_us=microseconds_or_none(images_at),
        deadline_at_us=microseconds_or_none(case.images.deadline_at),
        assigned_at_us=microseconds_or_none(trace.assignments[0].since if trace.assignments else None),
        acknowledged_at_us=microseconds_or_none(_answered_at(trace)),
        read_at_us=microseconds_or_none(first_read),
        finding_at_us=microseconds_or_none(case.report.first_communicated_at),
        signed_at_us=None if standing is None else microseconds(standing.signed_at),
        delivered_at_us=None if standing is None else microseconds_or_none(standing.delivered_at),
        known_at_us=None if standing is None else microseconds_or_none(standing.known_at),
        critical_at_us=microseconds_or_none(min((one.declared_at for one in criticals), default=None)),
        critical_known_at_us=None
        if None in known_at
        else microseconds_or_none(max(filter(None, known_at), default=None)),
        second_read_at_us=microseconds_or_none(case.report.double_read_done_at),
        **{name: clock.elapsed_us for name, clock in stopped.items()},
        **{name: clocks[number].due_us for number, name in enumerate(_DUE)},
        running_clocks=sum(1 << number for number, clock in enumerate(clocks) if clock.is_running),
        late_clocks=sum(1 << number for number, clock in enumerate(clocks) if clock.is_late),
        wait_us=None if images_at is None or first_read is None else _us(images_at, first_read),
        reading_us=reading_us,
        silent_us=silent // _MICROSECOND,
        stalled_us=stalled // _MICROSECOND,
        assignments=len(trace.assignments),
        studies=len(case.images.studies),
        addenda=trace.addenda,
        retractions=trace.retractions,
        cause=_cause(case, trace, c4_us, reading_us, silent // _MICROSECOND).value if is_late else "",
    )


def period_of(instant: datetime, site: Site | None) -> Period:
    """Return the period of an instant by the site's clock and the public holidays of its commune.

    A site that is not in the directory has the clock of UTC and no holidays.
    """
    local = instant if site is None else instant.astimezone(zone_of(site.time_zone))
    if local.time() < _DEEP_NIGHT_ENDS:
        return Period.DEEP_NIGHT
    if site is not None and is_commune(site.commune) and is_public_holiday(local.date(), site.commune):
        return Period.HOLIDAY
    if local.weekday() >= _SATURDAY:
        return Period.WEEKEND
    return Period.EVENING if local.time() >= _EVENING_STARTS else Period.DAY


_MICROSECOND: Final = timedelta(microseconds=1)
_STOPPED: Final = tuple(f"c{number}_us" for number in range(1, 10))
_DUE: Final = tuple(f"c{number}_due_us" for number in range(1, 10))
_ENDED: Final = {
    RequestState.REFUSED: Outcome.REFUSED,
    RequestState.WITHDRAWN: Outcome.WITHDRAWN,
    RequestState.EXPIRED: Outcome.EXPIRED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _ClockFigure:
    elapsed_us: int | None = None
    due_us: int | None = None
    is_running: bool = False
    is_late: bool = False


_NOT_STARTED: Final = _ClockFigure()


def _outcome(case: Case, trace: Trace) -> Outcome:
    if case.request.state is RequestState.MERGED:
        return Outcome.MERGED
    if trace.standing is not None:
        return Outcome.REPORTED
    if case.report.state is ReportState.RETRACTED:
        return Outcome.RETRACTED
    if trace.is_emptied and case.images.state is ImagesState.NONE:
        return Outcome.MOVED
    if case.is_open:
        return Outcome.OPEN
    return _ENDED.get(case.request.state, Outcome.UNREPORTED)


def _reader(case: Case, trace: Trace) -> str:
    if trace.standing is not None:
        return trace.standing.signer
    return case.reading.claimed_by or case.reading.assigned_to or ""


def _answered_at(trace: Trace) -> datetime | None:
    return min((one.acknowledged_at for one in trace.assignments if one.acknowledged_at is not None), default=None)


def _clocks(case: Case, trace: Trace, outcome: Outcome) -> tuple[_ClockFigure, ...]:
    """Return the nine clocks; those of a case that is measured elsewhere have not started."""
    if outcome in {Outcome.MERGED, Outcome.MOVED}:
        return (_NOT_STARTED,) * 9
    # Of clocks that have stopped nothing depends on this instant, of running ones only what is due.
    readings = read_clocks(case, case.opened_at)
    by_clock: dict[Clock, list[Reading]] = {clock: [] for clock in Clock}
    for reading in readings:
        by_clock[reading.clock].append(reading)
    found = {clock: _worst(by_clock[clock]) for clock in Clock}
    found[Clock.ACKNOWLEDGEMENT] = _acknowledgement(case, trace)
    found[Clock.PERCEIVED] = _perceived(case, trace)
    found[Clock.KNOWN_TO_ED] = _known_to_ed(case, trace)
    return tuple(found[clock] for clock in Clock)


def _worst(readings: Sequence[Reading]) -> _ClockFigure:
    """Return one clock's figure; of several findings the slowest, and running as long as one of them runs."""
    if not readings:
        return _NOT_STARTED
    running = [one for one in readings if one.is_running]
    stopped = [one for one in readings if one.stopped_at is not None]
    is_late = any(one.is_missed(one.stopped_at) for one in stopped if one.stopped_at is not None)
    if running:
        due = [one.due_at for one in running if one.due_at is not None and not one.is_paused]
        return _ClockFigure(is_running=True, due_us=microseconds_or_none(min(due, default=None)), is_late=is_late)
    return _ClockFigure(elapsed_us=max(round(one.elapsed_s * 1e6) for one in stopped), is_late=is_late)


def _timed(start: datetime | None, end: datetime | None, target_s: float | None, *, is_over: bool) -> _ClockFigure:
    if start is None or (end is None and is_over):
        return _NOT_STARTED
    due_at = None if target_s is None else start + timedelta(seconds=target_s)
    if end is None:
        return _ClockFigure(is_running=True, due_us=microseconds_or_none(due_at))
    return _ClockFigure(elapsed_us=_us(start, end), is_late=due_at is not None and end > due_at)


def _acknowledgement(case: Case, trace: Trace) -> _ClockFigure:
    start = trace.assignments[0].since if trace.assignments else None
    is_over = case.is_closed or trace.standing is not None or case.images.state is ImagesState.NONE
    target_s = DEFAULT_TARGETS.acknowledgement_s[case.urgency]
    return _timed(start, _answered_at(trace), target_s, is_over=is_over)


def _perceived(case: Case, trace: Trace) -> _ClockFigure:
    delivered = None if trace.standing is None else trace.standing.delivered_at
    return _timed(case.request.submitted_at, delivered, None, is_over=case.is_closed)


def _known_to_ed(case: Case, trace: Trace) -> _ClockFigure:
    one = trace.standing
    if one is None:
        return _NOT_STARTED
    return _timed(one.delivered_at, one.known_at, DEFAULT_TARGETS.known_to_ed_s[case.urgency], is_over=case.is_closed)


def _cause(case: Case, trace: Trace, c4_us: int | None, reading_us: int | None, silent_us: int) -> Cause:
    """Return the first that explains the whole delay by itself; the night's bound tells capacity from order."""
    if c4_us is None or case.images.deadline_at is None or case.images.complete_at is None:
        return Cause.WAITING
    allowed_us = _us(case.images.complete_at, case.images.deadline_at)
    late_us = c4_us - allowed_us
    if reading_us is not None and reading_us > allowed_us:
        return Cause.OWN_LENGTH
    if silent_us >= late_us:
        return Cause.SILENCE
    standing = trace.standing
    waited = [at for at in trace.late_images if standing is not None and at <= standing.signed_at]
    if waited and _us(case.images.complete_at, max(waited)) >= late_us:
        return Cause.TRANSFER
    return Cause.WAITING


def _us(start: datetime, end: datetime) -> int:
    """Return microseconds between two UTC instants; facts may come out of order, durations are never negative."""
    return max(0, (end - start) // _MICROSECOND)
