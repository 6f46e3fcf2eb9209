"""Schedules exported from Opsgenie, read as shifts of a line.

For: what ``GET /v2/schedules?expand=rotation`` (or one schedule of it) answers, with the answers of
``GET /v2/schedules/ID/overrides`` beside it under ``overrides``. Opsgenie's support ends on 5 April 2027. Not for:
alerts, policies and teams; a team or an escalation as a participant is refused.

How Opsgenie means it: a rotation's participants take turns of `length` hours, days or weeks from `startDate` on,
counted in the schedule's time zone; a time restriction cuts what is outside it out of each turn and counts no turn; the
rotations of a schedule are on call side by side, so each goes to a line of its own; an override takes the place of
whoever is there.

References
----------
docs.opsgenie.com: Schedule API, Schedule Rotation API, Schedule Override API
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from oncall.directory import LineId
from oncall.local_time import first_instant, last_instant, local_day, span_of
from oncall.rota.foreign_turns import ForeignShift, collisions, joined, periods, strongest
from oncall.rota.imported import Imported, ImportedShift
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from oncall.strict_json import DocumentInvalid, Record, Value

_TURN: Final = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SCHEDULES_MAX: Final = 1_000
_WITHIN_ONE_MAX: Final = 10_000
_LENGTH_MAX: Final = 1_000
_NOBODY: Final = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Restriction:
    """Wall times; with days (0 is Monday) from one day of the week to another, else of every day."""

    start: time
    end: time
    start_day: int | None = None
    end_day: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rotation:
    rotation_id: str
    name: str
    schedule: str
    zone: str
    first: datetime
    end: datetime | None
    length: timedelta
    participants: tuple[str, ...]
    restrictions: tuple[_Restriction, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Override:
    span: Span
    who: str
    rotations: frozenset[str]


def shifts_from_opsgenie(
    document: Value, line_id: LineId, finder: PersonFinder, within: Span, *, rotation: str | None = None
) -> Imported:
    """Read one rotation of an export as shifts of a line, within a span.

    Parameters
    ----------
    rotation : str, optional
        Name or identifier of the rotation, or ``schedule/rotation``; may be left out when there is only one.

    Raises
    ------
    DocumentInvalid
        If the export cannot be used, several rotations come into question (they are listed), or a participant is not
        one person of the directory.
    """
    record = document.loose()
    data = record["data"]
    schedules = data.items(items_max=_SCHEDULES_MAX) if isinstance(data.raw, list) else [data]
    rotations = [one for schedule in schedules for one in _rotations(schedule)]
    chosen = _chosen(rotations, rotation)
    overrides = [
        one
        for one in record.each("overrides", _override, items_max=_WITHIN_ONE_MAX)
        if not one.rotations or {chosen.rotation_id, chosen.name} & one.rotations
    ]
    shifts = [*_turns(chosen, within)]
    shifts += [ForeignShift(span=one.span, who=one.who, strength=1) for one in overrides if one.span.overlaps(within)]
    settled = [shift for shift in joined(strongest(shifts)) if shift.span.overlaps(within)]
    problems = collisions(settled)
    read: list[ImportedShift] = []
    for shift in settled:
        person_id = finder.find(shift.who)
        if person_id is None:
            problems.append(f"participant {shift.who!r} is not one person of the directory; say who with --map")
        else:
            read.append(ImportedShift(line_id=line_id, person_id=person_id, span=shift.span))
    if problems:
        raise DocumentInvalid(list(dict.fromkeys(problems)))
    first, last = (local_day(instant, chosen.zone) for instant in (within.start, within.end))
    note = f"rotation {chosen.schedule}/{chosen.name} from {first} to {last}"
    return Imported(shifts=tuple(read), notes=(note,))


def _rotations(schedule: Value) -> list[_Rotation]:
    record = schedule.loose()
    name, zone = record["name"].text(), record["timezone"].time_zone()
    if record.get("enabled", Value.flag, default=True) is False:
        return []
    return record.each("rotations", lambda one: _rotation(one, name, zone), items_max=_WITHIN_ONE_MAX)


def _rotation(value: Value, schedule: str, zone: str) -> _Rotation:
    record = value.loose()
    kind = record["type"].text()
    if kind not in _TURN:
        raise record["type"].wrong("hourly, daily or weekly is wanted")
    length = record.get("length", lambda one: one.whole(1, _LENGTH_MAX), 1)
    first = record["startDate"].instant().astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    participants = record["participants"].each(_participant, items_max=_WITHIN_ONE_MAX)
    if not participants:
        raise record["participants"].wrong("at least one participant is wanted")
    return _Rotation(
        rotation_id=record.get("id", Value.text, ""),
        name=record.get("name", Value.text, "rotation"),
        schedule=schedule,
        zone=zone,
        first=first,
        end=record.get("endDate", _end, None),
        length=_TURN[kind] * length,
        participants=tuple(participants),
        restrictions=tuple(record.get("timeRestriction", _restrictions, [])),
    )


def _end(value: Value) -> datetime | None:
    return value.instant().astimezone(UTC)


def _participant(value: Value) -> str:
    record = value.loose()
    kind = record["type"].text()
    if kind == _NOBODY:
        return _NOBODY
    if kind != "user":
        raise record["type"].wrong("only users can be taken over; put the people of a team or escalation there")
    return record["username"].text() if "username" in value.raw else record["id"].text()


def _restrictions(value: Value) -> list[_Restriction]:
    record = value.loose()
    kind = record["type"].text()
    if kind == "time-of-day":
        # One object by Opsgenie's interface, a list by some of its exporters.
        key = "restriction" if "restriction" in value.raw else "restrictions"
        is_list = isinstance(record[key].raw, list)
        return record[key].each(_restriction, items_max=7) if is_list else [_restriction(record[key])]
    if kind == "weekday-and-time-of-day":
        return record["restrictions"].each(_restriction, items_max=_WITHIN_ONE_MAX)
    raise record["type"].wrong("time-of-day or weekday-and-time-of-day is wanted")


def _restriction(value: Value) -> _Restriction:
    record = value.loose()

    def wall(hour: str, minute: str) -> time:
        # 24:00 is how an end at midnight is sometimes written.
        return time(
            record.get(hour, lambda one: one.whole(0, 24), 0) % 24, record.get(minute, lambda one: one.whole(0, 59), 0)
        )

    return _Restriction(
        start=wall("startHour", "startMin"),
        end=wall("endHour", "endMin"),
        start_day=record.get("startDay", _weekday, None),
        end_day=record.get("endDay", _weekday, None),
    )


def _weekday(value: Value) -> int | None:
    name = value.text().lower()
    if name not in _DAYS:
        raise value.wrong("a day like monday is wanted")
    return _DAYS.index(name)


def _override(value: Value) -> _Override:
    record = value.loose()
    start, end = record["startDate"].instant(), record["endDate"].instant()
    if end <= start:
        raise record["endDate"].wrong("it has to be after the start")
    names = record.each("rotations", _rotation_names, items_max=_WITHIN_ONE_MAX)
    return _Override(
        span=Span(start=start, end=end),
        who=_participant(record["user"]),
        rotations=frozenset(name for pair in names for name in pair if name),
    )


def _rotation_names(value: Value) -> tuple[str, str]:
    record: Record = value.loose()
    return record.get("id", Value.text, ""), record.get("name", Value.text, "")


def _chosen(rotations: Sequence[_Rotation], wanted: str | None) -> _Rotation:
    fitting = [
        one
        for one in rotations
        if wanted is None or wanted in (one.name, one.rotation_id, f"{one.schedule}/{one.name}")
    ]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(f"{one.schedule}/{one.name}" for one in rotations) or "none"
    raise DocumentInvalid([f"which rotation goes into the line? say it with --rotation; there are: {names}"])


def _turns(rotation: _Rotation, within: Span) -> Iterator[ForeignShift]:
    allowed = list(_allowed(rotation, within))
    for number, period in periods(rotation.first, rotation.length, rotation.zone, within):
        who = rotation.participants[number % len(rotation.participants)]
        if rotation.end is not None:
            if period.start >= rotation.end:
                return
            period = Span(start=period.start, end=min(period.end, rotation.end))
        if who == _NOBODY:
            continue
        if not rotation.restrictions:
            yield ForeignShift(span=period, who=who)
            continue
        for hours in allowed:
            part = period.intersection(hours)
            if part is not None:
                yield ForeignShift(span=part, who=who)


def _allowed(rotation: _Rotation, within: Span) -> Iterator[Span]:
    """Yield the hours that a rotation's restrictions leave, around a span."""
    day = local_day(within.start, rotation.zone) - timedelta(days=8)
    last = local_day(within.end, rotation.zone) + timedelta(days=1)
    while day <= last:
        for one in rotation.restrictions:
            if one.start_day is None or one.end_day is None:
                yield span_of(day, one.start, one.end, rotation.zone)
            elif day.weekday() == one.start_day:
                days = (one.end_day - one.start_day) % 7
                if days == 0 and one.end <= one.start:
                    days = 7
                start = first_instant(day, one.start, rotation.zone)
                yield Span(start=start, end=last_instant(day + timedelta(days=days), one.end, rotation.zone))
        day += timedelta(days=1)
