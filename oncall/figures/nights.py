"""Nights out of the log: what the clairvoyant is asked about, and what it said, kept.

For: the morning report, and the causes of a month's late reports. Not for: the judgement (`oncall.figures.night`).

A night is the day from local noon to the next, so that every case is in exactly one. What was said of a night is kept
with a fingerprint of the cases' logs and the roster, and said anew when one of them has changed.

Bring the rows up to date first (`oncall.figures.projection.catch_up`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from foundation.database import Database
from foundation.instants import instant_of_us, microseconds
from oncall.case.log import event_of
from oncall.directory import PersonId
from oncall.documents_store import NothingPublished, load_directory
from oncall.engine.duty_rows import worked_calls
from oncall.figures.night import LateCase, PlayedCase, PlayedNight, Turn, Verdict, judge
from oncall.figures.row import Cause, Outcome
from oncall.figures.summary import FigureQuery, Summary, summary
from oncall.figures.trace import Trace, trace_of
from oncall.local_time import first_instant, local_day
from oncall.reading.board import ExamKind
from oncall.reading.policy import DEFAULT
from oncall.roster_publication import load_roster
from oncall.rota.model import LineKind, Shift
from oncall.rota.timeline import Timeline
from oncall.schema import oncall_case_event, oncall_case_figure, oncall_night_verdict
from oncall.spans import Span

_NOON: Final = time(12)
_MORNING: Final = time(8, 30)
_DAY: Final = timedelta(days=1)
# Whoever is there after the night's last hour may still keep it.
_AFTER: Final = timedelta(hours=3)
# A shift and a call reach into a night from at most two days before.
_AROUND: Final = timedelta(days=2)
_FORMAT: Final = "1"
# Parameters of one statement are limited in SQLite.
_CASES_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class NightReport:
    """A night's figures and what the clairvoyant says of it; ``is_over`` tells a night that can still change."""

    night: date
    figures: Summary
    verdict: Verdict
    is_over: bool


def night_of(night: date, zone: str) -> Span:
    """Return the night that begins on a local day: from its noon to the next."""
    return Span(start=first_instant(night, _NOON, zone), end=first_instant(night + _DAY, _NOON, zone))


def last_night(now: datetime, zone: str) -> date:
    """Return the day on which the newest night began whose morning (08:30) has come."""
    today = local_day(now, zone)
    return today - _DAY if now >= first_instant(today, _MORNING, zone) else today - 2 * _DAY


def night_report(database: Database, night: date, zone: str, now: datetime) -> NightReport:
    """Return the report of a night, asking the clairvoyant only when it has not been asked of these cases.

    Parameters
    ----------
    zone : str
        IANA zone in which the night is one.
    now : datetime
        Aware; what is not reported by then and overdue is late.
    """
    within = night_of(night, zone)
    with database.read() as connection:
        fingerprint = _fingerprint(connection, _counted(connection, within, now))
        kept = _kept_verdict(connection, night, fingerprint)
        played = None if kept is not None else played_night(connection, within, now)
    # Judged with no transaction open: the solver may take seconds.
    verdict = kept if played is None else judge(played)
    assert verdict is not None, "a verdict is kept, or the night was read"
    is_over = now >= within.end + _AFTER
    if is_over and kept is None:
        _keep(database, night, fingerprint, verdict, now)
    with database.read() as connection:
        figures = summary(
            connection,
            FigureQuery(since=within.start, until=within.end, by=("site", "class")),
            now,
            causes=verdict.causes(),
        )
    return NightReport(night=night, figures=figures, verdict=verdict, is_over=is_over)


def judge_nights(database: Database, since: datetime, until: datetime, zone: str, now: datetime) -> int:
    """Ask the clairvoyant of every night of a span in which a report was late; return of how many it is known now."""
    day, last, known = local_day(since, zone) - _DAY, local_day(until, zone), 0
    with database.read() as connection:
        late = _late_instants(connection, since, until, now)
    while day <= last:
        within = night_of(day, zone)
        if any(instant in within for instant in late) and now >= within.end:
            night_report(database, day, zone, now)
            known += 1
        day += _DAY
    return known


def causes_between(connection: Connection, since: datetime, until: datetime, zone: str) -> Mapping[str, Cause]:
    """Return what was said of the late cases of the nights of a span, by case id; nothing is asked anew."""
    column = oncall_night_verdict.c
    first, last = local_day(since, zone) - _DAY, local_day(until, zone)
    rows = connection.execute(
        select(column.body).where(column.night >= first.isoformat(), column.night <= last.isoformat())
    )
    causes: dict[str, Cause] = {}
    for row in rows:
        causes.update(verdict_of_json(json.loads(row.body)).causes())
    return causes


def played_night(connection: Connection, within: Span, now: datetime) -> PlayedNight:
    """Return what happened in a night, from the logs of its cases, the roster in force and the calls."""
    traces = _traces(connection, _counted(connection, within, now))
    people = _duties(connection, within)
    cases = tuple(_played(row, trace, now) for row, trace in traces)
    turns = tuple(turn for row, trace in traces for turn in _turns(row.case_id, trace, now))
    return PlayedNight(
        within=within,
        cases=cases,
        turns=turns,
        duties=people,
        silences=_silences([trace for _, trace in traces], within),
    )


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON; instants in microseconds since 1970 UTC."""
    return {
        "start_us": microseconds(verdict.within.start),
        "end_us": microseconds(verdict.within.end),
        **{name: getattr(verdict, name) for name in _COUNTS},
        "late": [
            {
                **{name: getattr(one, name) for name in _LATE},
                "images_at_us": microseconds(one.images_at),
                "cause": one.cause,
            }
            for one in verdict.late
        ],
    }


def verdict_of_json(document: Mapping[str, Any]) -> Verdict:
    """Return the verdict that `verdict_to_json` wrote."""
    return Verdict(
        within=Span(start=instant_of_us(document["start_us"]), end=instant_of_us(document["end_us"])),
        **{name: document[name] for name in _COUNTS},
        late=tuple(
            LateCase(
                **{name: one[name] for name in _LATE},
                images_at=instant_of_us(one["images_at_us"]),
                cause=Cause(one["cause"]),
            )
            for one in document["late"]
        ),
    )


_COUNTS: Final = ("cases", "in_time", "bound", "bound_without_silence", "bound_without_transfers", "reader_hours")
_LATE: Final = ("case_id", "site_id", "urgency", "exam", "elapsed_s", "read_s", "waited_s")


def _kept_verdict(connection: Connection, night: date, fingerprint: str) -> Verdict | None:
    kept = connection.execute(
        select(oncall_night_verdict).where(oncall_night_verdict.c.night == night.isoformat())
    ).one_or_none()
    if kept is None or kept.fingerprint != fingerprint:
        return None
    return verdict_of_json(json.loads(kept.body))


def _keep(database: Database, night: date, fingerprint: str, verdict: Verdict, now: datetime) -> None:
    column = oncall_night_verdict.c
    body = json.dumps(verdict_to_json(verdict), sort_keys=True, separators=(",", ":"))
    with database.write(durable=True) as connection:
        connection.execute(delete(oncall_night_verdict).where(column.night == night.isoformat()))
        connection.execute(
            insert(oncall_night_verdict).values(
                night=night.isoformat(), fingerprint=fingerprint, judged_at_us=microseconds(now), body=body
            )
        )


def _fingerprint(connection: Connection, rows: Sequence[Any]) -> str:
    try:
        roster = load_roster(connection).roster.version
    except NothingPublished:
        roster = ""
    told = [_FORMAT, roster, *(f"{row.case_id} {row.seq}" for row in rows)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _counted(connection: Connection, within: Span, now: datetime) -> Sequence[Any]:
    """Return the rows of the cases whose hour began in the night and is decided."""
    column = oncall_case_figure.c
    return connection.execute(
        select(oncall_case_figure)
        .where(
            column.images_at_us >= microseconds(within.start),
            column.images_at_us < microseconds(within.end),
            column.c4_us.is_not(None) | (column.c4_due_us < microseconds(now)),
        )
        .order_by(column.case_id)
    ).all()


def _late_instants(connection: Connection, since: datetime, until: datetime, now: datetime) -> list[datetime]:
    column = oncall_case_figure.c
    rows = connection.execute(
        select(column.images_at_us).where(
            column.counted_at_us >= microseconds(since),
            column.counted_at_us < microseconds(until),
            column.images_at_us.is_not(None),
            (column.cause != "") | (column.c4_due_us < microseconds(now)),
        )
    )
    return [instant_of_us(row.images_at_us) for row in rows]


def _traces(connection: Connection, rows: Sequence[Any]) -> list[tuple[Any, Trace]]:
    column = oncall_case_event.c
    found: dict[str, Trace] = {}
    for start in range(0, len(rows), _CASES_AT_ONCE):
        ids = [row.case_id for row in rows[start : start + _CASES_AT_ONCE]]
        events = connection.execute(
            select(column.case_id, column.body, column.hash)
            .where(column.case_id.in_(ids))
            .order_by(column.case_id, column.seq)
        )
        for case_id, group in groupby(events, key=lambda row: str(row.case_id)):
            found[case_id] = trace_of(event_of(row.body, row.hash) for row in group)
    return [(row, found[row.case_id]) for row in rows]


def _played(row: Any, trace: Trace, now: datetime) -> PlayedCase:
    images_at = instant_of_us(row.images_at_us)
    signed_at = None if row.outcome != Outcome.REPORTED.value else instant_of_us(row.signed_at_us)
    late_images = [at for at in trace.late_images if images_at < at <= (signed_at or now)]
    return PlayedCase(
        case_id=row.case_id,
        site_id=row.site_id,
        urgency=row.urgency,
        exam=row.exam,
        images_at=images_at,
        deadline_at=instant_of_us(row.deadline_at_us),
        signed_at=signed_at,
        opened_at=None if row.read_at_us is None else instant_of_us(row.read_at_us),
        expected_read_s=DEFAULT.expected_s(ExamKind(row.exam)),
        stalled=sum((span.duration for span in trace.stalls if span.end <= images_at), timedelta(0)),
        late_images_at=max(late_images, default=None),
    )


def _turns(case_id: str, trace: Trace, now: datetime) -> Iterable[Turn]:
    final = trace.turn
    for turn in trace.turns:
        spans = list(turn.spans)
        if turn.running_since is not None and turn.running_since < now:
            spans.append(Span(start=turn.running_since, end=now))
        is_final = turn is final and turn.is_signed
        yield Turn(case_id=case_id, person_id=turn.person_id, spans=tuple(spans), is_final=is_final)


def _silences(traces: Sequence[Trace], within: Span) -> Mapping[PersonId, Sequence[Span]]:
    """Return when people were silent: from a page that they did not answer to their next sign of life."""
    alive: dict[PersonId, list[datetime]] = {}
    for trace in traces:
        for one in trace.assignments:
            if one.acknowledged_at is not None:
                alive.setdefault(one.person_id, []).append(one.acknowledged_at)
        for turn in trace.turns:
            ended = () if turn.ended_at is None else (turn.ended_at,)
            alive.setdefault(turn.person_id, []).extend([turn.opened_at, *ended])
    silences: dict[PersonId, list[Span]] = {}
    for trace in traces:
        for one in trace.assignments:
            if one.timeouts:
                until = min((at for at in alive.get(one.person_id, ()) if at > one.since), default=within.end + _AFTER)
                if until > one.since:
                    silences.setdefault(one.person_id, []).append(Span(start=one.since, end=until))
    return silences


def _duties(connection: Connection, within: Span) -> Mapping[PersonId, Sequence[Span]]:
    """Return who was on duty or called in a night, and a little after it."""
    around = Span(start=within.start, end=within.end + _AFTER)
    duties: dict[PersonId, list[Span]] = {}
    for shift in (*_shifts(connection, around), *worked_calls(connection, within.start - _AROUND)):
        inside = shift.span.intersection(around)
        if inside is not None:
            duties.setdefault(shift.person_id, []).append(inside)
    return duties


def _shifts(connection: Connection, around: Span) -> Sequence[Shift]:
    """Return the shifts of duty; none where no roster was ever published."""
    try:
        roster, directory = load_roster(connection).roster, load_directory(connection)
    except NothingPublished:
        return ()
    reading = {line.line_id for line in roster.lines if line.kind is LineKind.DUTY}
    timeline = Timeline(roster, directory, Span(start=around.start - _AROUND, end=around.end + _AROUND))
    return [shift for shift in timeline.shifts if shift.line_id in reading]
