"""Schedules exported from Grafana OnCall, read as shifts of a line.

For: the answers of its HTTP interface in one object, ``{"schedules": [], "on_call_shifts": [], "users": []}`` (each a
list, or a page with ``results``). Grafana OnCall OSS was archived on 24 March 2026. Not for: escalation chains and
integrations; a schedule that only links to a calendar elsewhere is imported from that calendar.

How Grafana means it: a shift belongs to a schedule by its identifier; ``rolling_users`` groups take turns of `interval`
hours, days, weeks or months from the first event at or after `rotation_start` on, counted in the shift's time zone,
daily ones with `by_day` over the selected days only; of overlapping shifts the one with the higher `level` speaks,
overrides above all.

References
----------
grafana.com/docs/oncall: HTTP API, "Schedules" and "On-call shifts"
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from oncall.directory import LineId
from oncall.local_time import first_instant, local_day
from oncall.rota.foreign_turns import PERIODS_MAX, ForeignShift, collisions, joined, strongest
from oncall.rota.imported import Imported, ImportedShift
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from oncall.strict_json import DocumentInvalid, Record, Value

_TYPES: Final = ("single_event", "recurrent_event", "rolling_users", "override")
_FREQUENCIES: Final = ("hourly", "daily", "weekly", "monthly")
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_OVERRIDE_STRENGTH: Final = 1_000_000
_ITEMS_MAX: Final = 10_000
_DURATION_S_MAX: Final = 31 * 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shift:
    kind: str
    zone: str
    level: int
    # Naive, in `zone`.
    start: datetime
    rotation_start: datetime
    duration: timedelta
    frequency: str | None
    interval: int
    until: datetime | None
    week_start: int
    by_day: frozenset[int]
    groups: tuple[tuple[str, ...], ...]


def shifts_from_grafana(
    document: Value, line_id: LineId, finder: PersonFinder, within: Span, *, schedule: str | None = None
) -> Imported:
    """Read one schedule of an export as shifts of a line, within a span.

    Parameters
    ----------
    schedule : str, optional
        Name or identifier of the schedule; may be left out when there is only one.

    Raises
    ------
    DocumentInvalid
        If the export cannot be used, several schedules come into question (they are listed), two people would have
        the line at once, or somebody is not one person of the directory.
    """
    record = document.loose()
    users = {one["id"].text(): one for one in (user.loose() for user in _listed(record, "users"))}
    chosen = _chosen([one.loose() for one in _listed(record, "schedules")], schedule)
    wanted = frozenset(chosen.each("shifts", Value.text, items_max=_ITEMS_MAX))
    zone = chosen.get("time_zone", Value.time_zone, "UTC")
    read: list[ForeignShift] = []
    for value in _listed(record, "on_call_shifts"):
        if value.loose()["id"].text() in wanted:
            read += _worked_out(_shift(value, zone), within)
    settled = joined(strongest(read))
    problems = collisions(settled)
    shifts: list[ImportedShift] = []
    for one in settled:
        person_id = finder.find(*_names(one.who, users))
        if person_id is None:
            who = _names(one.who, users)[0]
            problems.append(f"user {who!r} is not one person of the directory; say who with --map")
        else:
            shifts.append(ImportedShift(line_id=line_id, person_id=person_id, span=one.span))
    if problems:
        raise DocumentInvalid(list(dict.fromkeys(problems)))
    first, last = (local_day(instant, zone) for instant in (within.start, within.end))
    note = f"schedule {chosen['name'].text()} from {first} to {last}"
    return Imported(shifts=tuple(shifts), notes=(note,))


def _listed(record: Record, key: str) -> list[Value]:
    value = record.get(key, lambda found: found, None)
    if value is None:
        return []
    if isinstance(value.raw, dict):
        if value.raw.get("next"):
            raise value.wrong("this is one page of several; join the results of all pages")
        value = value.loose()["results"]
    return value.items(items_max=_ITEMS_MAX)


def _chosen(schedules: Sequence[Record], wanted: str | None) -> Record:
    fitting = [one for one in schedules if wanted is None or wanted in (one["name"].text(), one["id"].text())]
    if len(fitting) != 1:
        names = ", ".join(one["name"].text() for one in schedules) or "none"
        raise DocumentInvalid([f"which schedule goes into the line? say it with --rotation; there are: {names}"])
    if fitting[0].get("type", Value.text, "web") == "ical":
        raise DocumentInvalid(["the schedule is a calendar kept elsewhere; import that calendar with --format ics"])
    return fitting[0]


def _names(user_id: str, users: Mapping[str, Record]) -> tuple[str, ...]:
    user = users.get(user_id)
    if user is None:
        return (user_id,)
    names = [user.get(key, Value.any_text, "") for key in ("email", "name", "username")]
    return tuple(name for name in (*names, user_id) if name)


def _shift(value: Value, schedule_zone: str) -> _Shift:
    record = value.loose()
    kind = record["type"].text()
    if kind not in _TYPES:
        raise record["type"].wrong(f"one of {', '.join(_TYPES)} is wanted")
    frequency = record.get("frequency", Value.text, None)
    if frequency is not None and frequency not in _FREQUENCIES:
        raise record["frequency"].wrong(f"one of {', '.join(_FREQUENCIES)} is wanted")
    for key in ("by_month", "by_monthday"):
        if record.get(key, lambda found: found.raw, None):
            raise record[key].wrong("shifts by month or day of the month cannot be taken over; export a calendar")
    zone = record.get("time_zone", Value.time_zone, schedule_zone)
    start = _wall(record["start"])
    return _Shift(
        kind=kind,
        zone=zone,
        level=record.get("level", lambda one: one.whole(0, 99), 0),
        start=start,
        rotation_start=record.get("rotation_start", _wall, start),
        duration=timedelta(seconds=record["duration"].whole(1, _DURATION_S_MAX)),
        frequency=frequency,
        interval=record.get("interval", lambda one: one.whole(1, 1_000), 1),
        until=record.get("until", _wall, None),
        week_start=record.get("week_start", _day, 0),
        by_day=frozenset(record.each("by_day", _day, items_max=7)),
        groups=_groups(record, kind),
    )


def _groups(record: Record, kind: str) -> tuple[tuple[str, ...], ...]:
    def group(value: Value) -> tuple[str, ...]:
        return tuple(value.each(Value.text, items_max=_ITEMS_MAX))

    if kind in ("rolling_users", "override") and record.get("rolling_users", lambda one: one.raw, None):
        groups = record["rolling_users"].each(group, items_max=_ITEMS_MAX)
    else:
        groups = [tuple(record.each("users", Value.text, items_max=_ITEMS_MAX))]
    groups = [one for one in groups if one]
    if not groups:
        raise DocumentInvalid([f"{record.place}: nobody is on this shift"])
    first = record.get("start_rotation_from_user_index", lambda one: one.whole(0, len(groups) - 1), 0)
    return tuple(groups[first:] + groups[:first])


def _wall(value: Value) -> datetime:
    # Naive in the export, and meant in the shift's zone.
    try:
        read = datetime.fromisoformat(value.text())
    except ValueError:
        raise value.wrong("a time like 2026-10-25T18:30:00 is wanted") from None
    if read.tzinfo is not None:
        raise value.wrong("a time without an offset is wanted: Grafana means it in the shift's time zone")
    return read


def _day(value: Value) -> int:
    name = value.text()[:2].upper()
    if name not in _DAYS:
        raise value.wrong("a day like MO is wanted")
    return _DAYS.index(name)


def _worked_out(shift: _Shift, within: Span) -> Iterator[ForeignShift]:
    strength = _OVERRIDE_STRENGTH if shift.kind == "override" else shift.level
    for turn, wall in _events(shift, within):
        start = first_instant(wall.date(), wall.time(), shift.zone)
        end_wall = wall + shift.duration
        if shift.until is not None:
            end_wall = min(end_wall, shift.until)
        end = first_instant(end_wall.date(), end_wall.time(), shift.zone)
        if end <= start:
            continue
        span = Span(start=start, end=end)
        if not span.overlaps(within):
            continue
        group = shift.groups[turn % len(shift.groups)] if shift.kind == "rolling_users" else shift.groups[0]
        for who in group:
            yield ForeignShift(span=span, who=who, strength=strength)


def _events(shift: _Shift, within: Span) -> Iterator[tuple[int, datetime]]:
    """Yield the starts of a shift's events, in local time, with the number of the turn that each belongs to."""
    if shift.frequency is None or shift.kind == "single_event":
        yield 0, shift.start
        return
    last = (within.end + timedelta(days=1)).astimezone(UTC).replace(tzinfo=None)
    if shift.until is not None:
        last = min(last, shift.until)
    first_period: int | None = None
    selected = -1
    for wall in _candidates(shift, last):
        if wall < shift.rotation_start:
            continue
        if shift.frequency == "daily" and shift.by_day:
            # The turns of daily shifts go over the selected days: nobody is skipped for ever by a week end.
            selected += 1
            period = selected
        else:
            found = _period(shift, wall)
            first_period = found if first_period is None else first_period
            period = found - first_period
        if period % shift.interval == 0:
            yield period // shift.interval, wall


def _candidates(shift: _Shift, last: datetime) -> Iterator[datetime]:
    step = timedelta(hours=1) if shift.frequency == "hourly" else timedelta(days=1)
    wall = shift.start
    # What lies years back is passed over in whole weeks; events before `rotation_start` do not count.
    if shift.rotation_start - wall > timedelta(days=14):
        wall += timedelta(weeks=(shift.rotation_start - wall).days // 7 - 1)
    for _ in range(PERIODS_MAX * 2):
        if wall >= last:
            return
        if _is_selected(shift, wall.date()):
            yield wall
        wall += step
    raise DocumentInvalid([f"a shift that starts on {shift.start:%Y-%m-%d} has too many events; shorten the time"])


def _is_selected(shift: _Shift, day: date) -> bool:
    if shift.by_day:
        return day.weekday() in shift.by_day
    if shift.frequency == "weekly":
        return day.weekday() == shift.start.weekday()
    return shift.frequency != "monthly" or day.day == shift.start.day


def _period(shift: _Shift, wall: datetime) -> int:
    if shift.frequency == "hourly":
        return int((wall - shift.start) / timedelta(hours=1))
    if shift.frequency == "weekly":
        # Day 1 of the ordinals is a Monday.
        return (wall.toordinal() - 1 - shift.week_start) // 7
    if shift.frequency == "monthly":
        return wall.year * 12 + wall.month
    return wall.date().toordinal()
