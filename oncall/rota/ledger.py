"""The fairness ledger: who carried how much, in counts that people argue about and in one weighted figure.

Counts are of local nights, weekends and holidays, so a whole night in two shifts is one night; hours are elapsed hours,
so the October night counts 15. The burden weighs each hour by when it falls (deep night, weekend, holiday of the line's
commune) and whether it is spent at home. Who is called works from then on: a call's hours are duty, and no hours at
home. Minutes read come from the cases, not from the roster.

What is night is §1.8 of the domain notes: 18:30 to 08:30, deep night 00:00 to 08:00, by the line's zone.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, time, timedelta
from itertools import combinations, pairwise
from typing import Final

from oncall.directory import LineId, PersonId
from oncall.local_time import first_instant, local_day, zone_of
from oncall.public_holidays import is_public_holiday
from oncall.rota.model import Line, LineKind, Shift, is_call, line_of
from oncall.spans import Span, subtract, union

_SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)
_HOUR_S: Final = 3600.0
# A shift that merely ends at 00:30 is no deep night.
_DEEP_NIGHT_H_MIN: Final = 2.0
# Two loads within 5 % of each other are called equal (as Grafana OnCall's quality report does).
_BALANCE_ENOUGH: Final = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class BurdenWeights:
    """What an hour counts, times each of these that holds for it."""

    deep_night: float = 1.5
    weekend: float = 1.25
    holiday: float = 1.5
    at_home: float = 0.25


WEIGHTS: Final = BurdenWeights()


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerRow:
    """What one person carried; ``backup_hours`` are at home, all other counts are of duty, calls among it.

    ``shifts`` are planned ones; ``calls`` and ``call_hours`` are what was worked when called.
    """

    person_id: PersonId
    shifts: int
    nights: int
    deep_nights: int
    weekends: int
    holidays: int
    hours: float
    night_hours: float
    deep_night_hours: float
    weekend_hours: float
    holiday_hours: float
    backup_hours: float
    calls: int
    call_hours: float
    minutes_read: float
    burden: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A stretch of a shift in which nothing changes; ``day`` is its local day, ``night`` the day its night began."""

    span: Span
    day: date
    night: date | None
    is_deep_night: bool
    is_weekend: bool
    is_holiday: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """How good a roster is, each from 0 to 1: seat hours that are filled, and evenness of the burden over people."""

    coverage: float
    balance: float
    gap_hours: float
    heaviest: PersonId | None
    lightest: PersonId | None


def ledger(
    shifts: Iterable[Shift],
    lines: Iterable[Line],
    within: Span,
    *,
    people: Iterable[PersonId] = (),
    minutes_read: Mapping[PersonId, float] | None = None,
    weights: BurdenWeights = WEIGHTS,
) -> tuple[LedgerRow, ...]:
    """Return a row for everybody who has a shift in `within`, is among `people` or has read; the heaviest first.

    Shifts, and calls (`oncall.rota.model.call`) among them, count for the part of them that is within; those of lines
    that are not among `lines` are passed over.
    """
    by_id = {line.line_id: line for line in lines}
    read = minutes_read or {}
    own: defaultdict[PersonId, list[Shift]] = defaultdict(list, {person_id: [] for person_id in (*people, *read)})
    for shift in shifts:
        if line_of(shift, by_id) is not None and shift.span.overlaps(within):
            own[shift.person_id].append(shift)
    rows = [_row(person_id, mine, by_id, within, read.get(person_id, 0.0), weights) for person_id, mine in own.items()]
    return tuple(sorted(rows, key=lambda row: (-row.burden, row.person_id)))


def burden(span: Span, line: Line, weights: BurdenWeights = WEIGHTS) -> float:
    """Return the weighted hours of being on `line` for a span."""
    return sum(_burden(part, line, weights) for part in parts_of(span, line))


def parts_of(span: Span, line: Line) -> Iterator[Part]:
    """Split a span where the day, the night or the deep night of the line's zone begins or ends."""
    zone = line.time_zone
    first, last = local_day(span.start, zone) - _DAY, local_day(span.end, zone)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    cuts = {first_instant(day, at, zone) for day in days for at in (time(0), time(8), time(8, 30), time(18, 30))}
    instants = [span.start, *sorted(cut for cut in cuts if span.start < cut < span.end), span.end]
    for start, end in pairwise(instants):
        local = start.astimezone(zone_of(zone))
        day, at = local.date(), local.time()
        is_evening, is_morning = at >= time(18, 30), at < time(8, 30)
        yield Part(
            span=Span(start=start, end=end),
            day=day,
            night=day if is_evening else day - _DAY if is_morning else None,
            is_deep_night=at < time(8),
            is_weekend=day.weekday() >= _SATURDAY,
            is_holiday=is_public_holiday(day, line.commune),
        )


def quality(rows: Sequence[LedgerRow], seat_hours: float, gaps: Iterable[Span]) -> Quality:
    """Return the quality of a roster from its ledger, the hours of its seats and the spans that nobody fills.

    Balance is the mean over pairs of people of the smaller burden through the larger; pairs within 5 % count as even.
    """
    gap_hours = sum(gap.hours for gap in gaps)
    loads = [row.burden for row in rows]
    ratios = [min(one, other) / max(one, other) if max(one, other) else 1.0 for one, other in combinations(loads, 2)]
    even = [1.0 if ratio >= _BALANCE_ENOUGH else ratio for ratio in ratios]
    return Quality(
        coverage=1.0 - gap_hours / seat_hours if seat_hours else 1.0,
        balance=sum(even) / len(even) if even else 1.0,
        gap_hours=gap_hours,
        heaviest=max(rows, key=lambda row: row.burden).person_id if rows else None,
        lightest=min(rows, key=lambda row: row.burden).person_id if rows else None,
    )


def row_values(row: LedgerRow) -> dict[str, str | int | float]:
    """Return a row as a JSON object; hours with two decimals."""
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in asdict(row).items()}


def csv_text(rows: Iterable[LedgerRow]) -> str:
    """Return the ledger as CSV (RFC 4180) with a head line of the rows' field names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [one.name for one in fields(LedgerRow)])
    writer.writeheader()
    writer.writerows(row_values(row) for row in rows)
    return text.getvalue()


def _row(
    person_id: PersonId,
    shifts: Sequence[Shift],
    lines: Mapping[LineId, Line],
    within: Span,
    minutes_read: float,
    weights: BurdenWeights,
) -> LedgerRow:
    duty: list[Part] = []
    total, home_hours = 0.0, 0.0
    calls = [shift.span for shift in shifts if is_call(shift)]
    for shift in shifts:
        line, inside = line_of(shift, lines), shift.span.intersection(within)
        assert line is not None, "only shifts of these lines are given"
        assert inside is not None, "only shifts that overlap are given"
        is_home = line.kind is not LineKind.DUTY
        for span in subtract([inside], calls) if is_home else [inside]:
            parts = list(parts_of(span, line))
            total += sum(_burden(part, line, weights) for part in parts)
            duty += [] if is_home else parts
            home_hours += span.hours if is_home else 0.0
    return LedgerRow(
        person_id=person_id,
        shifts=sum(not is_call(one) and lines[one.line_id].kind is LineKind.DUTY for one in shifts),
        nights=len({part.night for part in duty if part.night is not None}),
        deep_nights=sum(hours >= _DEEP_NIGHT_H_MIN for hours in _deep_night_hours(duty).values()),
        weekends=len({_saturday(part.day) for part in duty if part.is_weekend}),
        holidays=len({part.day for part in duty if part.is_holiday}),
        hours=_hours(duty),
        night_hours=_hours(part for part in duty if part.night is not None),
        deep_night_hours=_hours(part for part in duty if part.is_deep_night),
        weekend_hours=_hours(part for part in duty if part.is_weekend),
        holiday_hours=_hours(part for part in duty if part.is_holiday),
        backup_hours=home_hours,
        calls=len(calls),
        call_hours=sum(inside.hours for span in calls if (inside := span.intersection(within)) is not None),
        minutes_read=minutes_read,
        burden=total,
    )


def _deep_night_hours(parts: Iterable[Part]) -> Mapping[date, float]:
    found: defaultdict[date, float] = defaultdict(float)
    for part in parts:
        if part.is_deep_night:
            found[part.day] += part.span.hours
    return found


def _hours(parts: Iterable[Part]) -> float:
    return sum(span.duration.total_seconds() for span in union(part.span for part in parts)) / _HOUR_S


def _saturday(day: date) -> date:
    return day - timedelta(days=day.weekday() - _SATURDAY)


def _burden(part: Part, line: Line, weights: BurdenWeights) -> float:
    weight = 1.0 if line.kind is LineKind.DUTY else weights.at_home
    if part.is_deep_night:
        weight *= weights.deep_night
    if part.is_holiday:
        weight *= weights.holiday
    elif part.is_weekend:
        weight *= weights.weekend
    return part.span.hours * weight
