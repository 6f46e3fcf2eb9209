"""Shifts as calendar events that keep their identity from one roster version to the next.

For: what a subscribed calendar has to be told when a roster changes: the same event with a higher SEQUENCE, or that it
is cancelled. Not for: the text of a feed (`oncall.rota.ical`) or where changes are kept (`oncall.roster_publication`).

Invariants: one person on one line from one instant on is one event, in whichever feed it appears; its sequence only
grows; what was once told and no longer holds is cancelled, not dropped, so that no client keeps showing it; what has
ended is not revised.

References
----------
RFC 5545 3.8.4.7 (UID), 3.8.7.4 (SEQUENCE), 3.8.1.11 (STATUS); RFC 5546 2.1.4
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from oncall.directory import LineId, PersonId
from oncall.rota.model import Shift
from oncall.spans import Span

# What comes after the @ of a UID: it makes them ours in anybody's calendar.
UID_DOMAIN: Final = "telegarde"


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarEvent:
    """One shift as calendars know it; ``changed_at`` (UTC) is None until it has been revised."""

    line_id: LineId
    person_id: PersonId
    span: Span
    rule: str = ""
    sequence: int = 0
    is_cancelled: bool = False
    changed_at: datetime | None = None

    @property
    def uid(self) -> str:
        """The event's identity: line, person and start."""
        return event_uid(self.line_id, self.person_id, self.span.start)


def event_uid(line_id: LineId, person_id: PersonId, start: datetime) -> str:
    """Return the UID of the event of a shift that starts at an aware instant."""
    return f"{line_id}.{person_id}.{start.astimezone(UTC):%Y%m%dT%H%M%SZ}@{UID_DOMAIN}"


def events_of(shifts: Iterable[Shift]) -> dict[str, CalendarEvent]:
    """Return each shift as an event that nobody has revised, by UID.

    Of two shifts with the same line, person and start (a seat booked twice) the longer one is kept.
    """
    events: dict[str, CalendarEvent] = {}
    for shift in shifts:
        event = CalendarEvent(line_id=shift.line_id, person_id=shift.person_id, span=shift.span, rule=shift.rule)
        known = events.get(event.uid)
        if known is None or known.span.end < event.span.end:
            events[event.uid] = event
    return events


def revised(
    told: Mapping[str, CalendarEvent], shifts: Iterable[Shift], within: Span, now: datetime
) -> tuple[CalendarEvent, ...]:
    """Return the events that a calendar has to be told about anew.

    Parameters
    ----------
    told : Mapping
        What calendars know, by UID: events of the version before with the sequences that they have reached, and those
        that were cancelled.
    shifts : iterable
        Those of the new version that overlap `within`.
    within : Span
        The part of time that both sides were computed for.
    now : datetime
        Of the revision; what ended before is left as it was.

    Returns
    -------
    tuple of CalendarEvent
        New events (sequence 0, `changed_at` None) among them; what did not change is not.
    """
    wanted = events_of(shifts)
    changes: list[CalendarEvent] = []
    for uid, event in wanted.items():
        known = told.get(uid)
        if event.span.end <= now:
            continue
        if known is None:
            changes.append(event)
        elif known.is_cancelled or (known.span, known.rule) != (event.span, event.rule):
            changes.append(replace(event, sequence=known.sequence + 1, changed_at=now))
    for uid, known in told.items():
        is_due = known.span.overlaps(within) and known.span.end > now
        if is_due and not known.is_cancelled and uid not in wanted:
            changes.append(replace(known, sequence=known.sequence + 1, is_cancelled=True, changed_at=now))
    return tuple(sorted(changes, key=lambda event: (event.span.start, event.uid)))


def feed(shifts: Iterable[Shift], changed: Mapping[str, CalendarEvent]) -> tuple[CalendarEvent, ...]:
    """Return the events of a feed: the shifts with the sequences that they have reached, and what was cancelled.

    Parameters
    ----------
    changed : Mapping
        Revised events by UID, of the same persons, lines and time as the shifts.
    """
    events = {
        uid: replace(event, sequence=changed[uid].sequence, changed_at=changed[uid].changed_at)
        if uid in changed and not changed[uid].is_cancelled
        else event
        for uid, event in events_of(shifts).items()
    }
    for uid, event in changed.items():
        if event.is_cancelled and uid not in events:
            events[uid] = event
    return tuple(sorted(events.values(), key=lambda event: (event.span.start, event.uid)))
