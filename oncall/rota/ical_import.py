"""Calendars that other programs wrote, read as shifts: recurrences expanded, every instant certain.

For: iCalendar files of shared calendars, of other schedulers and of our own feeds. Not for: deciding whether the result
is legal.

Invariants: an event without a time zone is read in the zone of the line, as people mean it, and said so in a note; one
whose zone nobody knows is refused, never read as something else; a cancelled event is no shift; of one event told twice
the higher SEQUENCE counts; somebody who cannot be identified stops the import, all of them reported together. What a
file can make us compute is bounded.

References
----------
RFC 5545; RFC 5546 2.1.4 (SEQUENCE)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import recurring_ical_events
from icalendar import Calendar
from icalendar.prop import vBroken

from oncall.directory import LineId
from oncall.rota.ical import LINE_PROPERTY, PERSON_PROPERTY
from oncall.rota.imported import SHIFT_MAX, Imported, ImportedShift
from oncall.rota.model import Line
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from oncall.strict_json import PROBLEMS_MAX, DocumentInvalid

# A year of a dozen lines is 3 MB.
CALENDAR_BYTES_MAX: Final = 20 * 1024 * 1024
EVENTS_MAX: Final = 50_000
# What the recurrences of one file may expand to.
OCCURRENCES_MAX: Final = 100_000
_PER_DAY_MAX: Final = {"HOURLY": 24}
_UTC: Final = ZoneInfo("UTC")
# Read by us or by the library that expands recurrences; a value of them that cannot be read may hide a shift.
_READ: Final = ("SEQUENCE", "DTSTAMP", "RRULE", "EXRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "DTEND", "DURATION")
_TOO_FINE: Final = ("SECONDLY", "MINUTELY")
# The library types a value as one of 28 classes; which one it is, is what we find out.
_Event: TypeAlias = Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where events go that do not say it themselves, and what they are read with.

    `line_id` is None when every event has to name its line, as those of our own feeds do.
    """

    lines: Mapping[LineId, Line]
    line_id: LineId | None
    within: Span
    finder: PersonFinder


def shifts_from_calendar(text: bytes, target: Target) -> Imported:
    """Read the shifts that a calendar has within a span.

    Parameters
    ----------
    text : bytes
        One iCalendar object or several.

    Returns
    -------
    Imported
        Shifts that overlap `target.within`, whole, by start.

    Raises
    ------
    DocumentInvalid
        If it is no calendar, is too much of one, or an event cannot be used; every problem with its event.
    """
    events, zones = _parsed(text)
    notes: list[str] = []
    left = _newest(events)
    if len(left) < len(events):
        notes.append(f"{len(events) - len(left)} events were told again under their UID: what was said last counts")
    cancelled = sum(_is_cancelled(event) for event in left)
    if cancelled:
        notes.append(f"{cancelled} cancelled events were left out")
    _check_bounds(left, target.within)
    problems: list[str] = []
    shifts: dict[str, ImportedShift] = {}
    floating = whole_days = 0
    for event in _occurrences([*zones, *left], target.within):
        if _is_cancelled(event):
            continue
        try:
            shift, is_floating = _shift(event, target)
        except DocumentInvalid as error:
            problems += error.problems
            if len(problems) > PROBLEMS_MAX:
                break
            continue
        floating += is_floating
        whole_days += not isinstance(event["DTSTART"].dt, datetime)
        if shift.span.overlaps(target.within):
            shifts[shift.shift_id] = shift
    if problems:
        raise DocumentInvalid(list(dict.fromkeys(problems)))
    if floating:
        notes.append(f"{floating} events name no time zone: they were read in the zone of their line")
    if whole_days:
        notes.append(f"{whole_days} events say days without times: they were read from midnight to midnight")
    return Imported(
        shifts=tuple(sorted(shifts.values(), key=lambda shift: (shift.span, shift.line_id))), notes=tuple(notes)
    )


def _parsed(text: bytes) -> tuple[list[_Event], list[Any]]:
    if len(text) > CALENDAR_BYTES_MAX:
        raise DocumentInvalid([f"calendar: at most {CALENDAR_BYTES_MAX} bytes are read"])
    try:
        calendars = Calendar.from_ical(text, multiple=True)
    except (ValueError, IndexError, KeyError) as error:
        # The library's words quote lines of the file.
        raise DocumentInvalid([f"calendar: no iCalendar text ({type(error).__name__})"]) from None
    calendars = [one for one in calendars if one.name == "VCALENDAR"]
    if not calendars:
        raise DocumentInvalid(["calendar: no VCALENDAR in the file"])
    if any(str(one.get("METHOD", "")).upper() == "CANCEL" for one in calendars):
        raise DocumentInvalid(["calendar: METHOD:CANCEL takes events back; import the calendar itself"])
    events = [event for one in calendars for event in one.walk("VEVENT")]
    if len(events) > EVENTS_MAX:
        raise DocumentInvalid([f"calendar: at most {EVENTS_MAX} events are read"])
    broken = [f"{_place(event)}: no UID" for event in events if "UID" not in event]
    broken += [
        f"{_place(event)}: {name} cannot be read"
        for event in events
        for name in _READ
        if any(isinstance(one, vBroken) for one in _each(event.get(name)))
    ]
    broken += [f"{_place(event)}: no DTSTART that can be read" for event in events if not _has_time(event, "DTSTART")]
    broken += [
        f"{_place(event)}: {name} has a time zone ({zone}) that neither the file nor this machine knows"
        for event in events
        for name in ("DTSTART", "DTEND")
        if (zone := _unknown_zone(event, name)) is not None
    ]
    # The library that expands recurrences turns such an event round without a word.
    broken += [f"{_place(event)}: ends before it starts, or at once" for event in events if _is_backwards(event)]
    if broken:
        raise DocumentInvalid(broken)
    return events, [zone for one in calendars for zone in one.walk("VTIMEZONE")]


def _each(value: Any) -> list[Any]:
    """Return the values of a property that may be there several times."""
    return value if isinstance(value, list) else [value]


def _has_time(event: _Event, name: str) -> bool:
    return isinstance(getattr(event.get(name), "dt", None), date)


def _is_backwards(event: _Event) -> bool:
    start, end = (getattr(event.get(name), "dt", None) for name in ("DTSTART", "DTEND"))
    if isinstance(start, datetime) and isinstance(end, datetime):
        is_comparable = (start.tzinfo is None) == (end.tzinfo is None)
        # In UTC: two times of one zone would be compared by the wall clock.
        return is_comparable and (
            end <= start if start.tzinfo is None else _instant(end, _UTC) <= _instant(start, _UTC)
        )
    return type(start) is date and type(end) is date and end <= start


def _unknown_zone(event: _Event, name: str) -> str | None:
    value = event.get(name)
    zone = value.params.get("TZID") if value is not None and hasattr(value, "params") else None
    found = getattr(value, "dt", None)
    # The library reads an unknown zone as no zone: that would be another instant.
    return str(zone) if zone is not None and isinstance(found, datetime) and found.tzinfo is None else None


def _newest(events: list[_Event]) -> list[_Event]:
    """Return of each event, and of each changed occurrence, what was said last."""
    newest: dict[tuple[str, str], _Event] = {}
    for event in events:
        occurrence = event.get("RECURRENCE-ID")
        key = (str(event["UID"]), "" if occurrence is None else occurrence.dt.isoformat())
        known = newest.get(key)
        if known is None or _version(event) >= _version(known):
            newest[key] = event
    return list(newest.values())


def _version(event: _Event) -> tuple[int, str]:
    stamp = event.get("DTSTAMP")
    return int(event.get("SEQUENCE", 0)), stamp.dt.isoformat() if stamp is not None else ""


def _is_cancelled(event: _Event) -> bool:
    return str(event.get("STATUS", "")).upper() == "CANCELLED"


def _check_bounds(events: list[_Event], within: Span) -> None:
    days = within.hours / 24 + 1
    expected = 0.0
    for event in events:
        rules = event.get("RRULE")
        for rule in _each(rules) if rules is not None else []:
            frequency = str(next(iter(rule.get("FREQ", ["DAILY"])))).upper()
            if frequency in _TOO_FINE or "BYSECOND" in rule or "BYMINUTE" in rule:
                raise DocumentInvalid([f"{_place(event)}: a shift does not recur every minute"])
            expected += days * (24 if "BYHOUR" in rule else _PER_DAY_MAX.get(frequency, 1))
    if expected > OCCURRENCES_MAX:
        raise DocumentInvalid(
            [f"calendar: its recurrences may give {expected:.0f} shifts, more than {OCCURRENCES_MAX}; shorten the time"]
        )


def _occurrences(components: list[Any], within: Span) -> Iterator[_Event]:
    calendar = Calendar()
    calendar.add("prodid", "-//Telegarde//import//FR")
    calendar.add("version", "2.0")
    for component in components:
        calendar.add_component(component)
    try:
        found = recurring_ical_events.of(calendar).between(within.start, within.end)
    except recurring_ical_events.InvalidCalendar as error:
        raise DocumentInvalid([f"calendar: a recurrence cannot be expanded ({type(error).__name__})"]) from None
    yield from found


def _shift(event: _Event, target: Target) -> tuple[ImportedShift, bool]:
    line = _line(event, target)
    zone = ZoneInfo(line.time_zone)
    start, end = event["DTSTART"].dt, event["DTEND"].dt
    is_floating = isinstance(start, datetime) and start.tzinfo is None
    begins, ends = _instant(start, zone), _instant(end, zone)
    if not begins < ends <= begins + SHIFT_MAX:
        raise DocumentInvalid([f"{_place(event)}: ends before it starts, or after more than {SHIFT_MAX.days} days"])
    names = _names(event)
    person_id = target.finder.find(*names)
    if person_id is None:
        who = names[-1] if names else "nobody"
        raise DocumentInvalid([f"{_place(event)}: {who!r} is not one person of the directory; say who with --map"])
    return (
        ImportedShift(line_id=line.line_id, person_id=person_id, span=Span(start=begins, end=ends)),
        is_floating,
    )


def _line(event: _Event, target: Target) -> Line:
    named = LineId(str(event.get(LINE_PROPERTY, "")))
    line_id = named if named in target.lines else target.line_id
    if line_id is None:
        raise DocumentInvalid([f"{_place(event)}: says no line of the roster; say which with --line"])
    return target.lines[line_id]


def _instant(moment: date, zone: ZoneInfo) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(0))
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def _names(event: _Event) -> list[str]:
    """Return what may say who is on duty, the surest first."""
    attendees = _each(event.get("ATTENDEE", []))
    names = [str(event[PERSON_PROPERTY])] if PERSON_PROPERTY in event else []
    names += [str(one) for one in attendees] if len(attendees) == 1 else []
    summary = str(event.get("SUMMARY", "")).strip()
    # "Garde : Dr Martin", "Dr Martin - nuit", "[L1] martin@example.org"
    parts = [part.strip() for part in summary.replace("[", "]").replace(" - ", ":").replace("]", ":").split(":")]
    return [*names, *(part for part in parts if part), summary] if summary else names


def _place(event: _Event) -> str:
    return f"event {str(event.get('UID', '?'))[:80]}"
