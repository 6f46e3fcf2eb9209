"""Feeds of shifts as iCalendar texts that any calendar can subscribe to.

For: writing. Not for: reading what others wrote (`oncall.rota.ical_import`), or which events a feed has
(`oncall.rota.calendar`).

Invariants: every instant in the text is the instant of the shift, on the two nights of a clock change too: local time
with a VTIMEZONE where that says it exactly, UTC where the wall clock shows a time twice and RFC 5545 would mean the
other one. The same roster version gives the same bytes, so that clients and caches see a change only when there is one.

References
----------
RFC 5545 (iCalendar), 3.3.5 (a local time that occurs twice means its first occurrence); RFC 7986 (NAME,
REFRESH-INTERVAL)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event

from oncall.directory import Directory, LineId
from oncall.rota.calendar import CalendarEvent
from oncall.rota.model import Line, LineKind
from oncall.spans import Span

PRODUCT: Final = "-//Telegarde//on-call roster//FR"
LINE_PROPERTY: Final = "X-TELEGARDE-LINE"
PERSON_PROPERTY: Final = "X-TELEGARDE-PERSON"
RULE_PROPERTY: Final = "X-TELEGARDE-RULE"
# How often a client is asked to look again; a change for tonight should be seen today.
_REFRESH: Final = timedelta(hours=1)
# A clock change on each side of the feed is in its VTIMEZONE.
_ZONE_MARGIN: Final = timedelta(days=366)


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """What a feed is called and whose it is.

    `stamped_at` (UTC) is when the roster version was published. In one's own feed a duty blocks the time; in that of a
    line or a site it does not, because it is somebody else's.
    """

    title: str
    stamped_at: datetime
    is_own: bool
    time_zone: str


def calendar_text(
    events: Sequence[CalendarEvent], feed: Feed, *, lines: Mapping[LineId, Line], directory: Directory
) -> bytes:
    """Return an iCalendar object with these events, in their order.

    Parameters
    ----------
    lines : Mapping
        Those of the roster; an event of a line that is no longer there is written with its identifier.
    """
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar.add("name", feed.title)
    calendar.add("x-wr-calname", feed.title)
    # No X-WR-TIMEZONE: readers move UTC times into it, and lose which of two 02:30 was meant.
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    for event in events:
        calendar.add_component(_component(event, feed, lines.get(event.line_id), directory))
    if events:
        first = min(event.span.start for event in events) - _ZONE_MARGIN
        last = max(event.span.end for event in events) + _ZONE_MARGIN
        calendar.add_missing_timezones(first_date=first.date(), last_date=last.date())
    text: bytes = calendar.to_ical()
    return text


def _component(event: CalendarEvent, feed: Feed, line: Line | None, directory: Directory) -> Event:
    zone = ZoneInfo(line.time_zone if line is not None else feed.time_zone)
    person = directory.persons.get(event.person_id)
    name = person.name if person is not None else event.person_id
    line_name = line.name if line is not None else event.line_id
    component = Event()
    component.add("uid", event.uid)
    component.add("dtstamp", feed.stamped_at.astimezone(UTC).replace(microsecond=0))
    if event.changed_at is not None:
        component.add("last-modified", event.changed_at.astimezone(UTC).replace(microsecond=0))
    component.add("sequence", event.sequence)
    component.add("status", "CANCELLED" if event.is_cancelled else "CONFIRMED")
    start, end = written(event.span, zone)
    component.add("dtstart", start)
    component.add("dtend", end)
    component.add("summary", f"{line_name} : {name}")
    component.add("description", _description(event, name, line_name, zone))
    is_busy = feed.is_own and not event.is_cancelled and (line is None or line.kind is LineKind.DUTY)
    component.add("transp", "OPAQUE" if is_busy else "TRANSPARENT")
    # Outlook colours whole days as busy unless it is told otherwise in its own words.
    component.add("x-microsoft-cdo-busystatus", "BUSY" if is_busy else "FREE")
    component.add("categories", [line.kind.value if line is not None else LineKind.DUTY.value])
    component.add(LINE_PROPERTY, event.line_id)
    component.add(PERSON_PROPERTY, event.person_id)
    if event.rule:
        component.add(RULE_PROPERTY, event.rule)
    return component


def _description(event: CalendarEvent, name: str, line_name: str, zone: ZoneInfo) -> str:
    start, end = event.span.start.astimezone(zone), event.span.end.astimezone(zone)
    text = f"{name}, {line_name}\n{start:%d/%m/%Y %H:%M} ({start:%Z}) - {end:%d/%m/%Y %H:%M} ({end:%Z})"
    if start.utcoffset() != end.utcoffset():
        # The night that is an hour longer or shorter than its wall times say.
        text += f"\nChangement d'heure / clock change: {event.span.hours:g} h"
    return text


def written(span: Span, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return start and end in local time where RFC 5545 reads both as these instants, else both in UTC.

    Both, because readers are known to carry a length over from one zone to the other by the wall clock.
    """
    start, end = span.start.astimezone(zone), span.end.astimezone(zone)
    is_exact = all(local.replace(fold=0).astimezone(UTC) == local.astimezone(UTC) for local in (start, end))
    return (start, end) if is_exact else (span.start, span.end)
