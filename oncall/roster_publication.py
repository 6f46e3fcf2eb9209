"""Putting a roster in force, and telling calendars what that changed.

For: the one way by which a roster is published, whoever edits it (a planner, a swap, an import, a backup). Not for:
deciding whether it is legal or complete; that is asked before.

Invariants: what was on duty until now is written down from the version before and never changed; a roster that was made
from a version no longer in force is refused, so that two edits at once cannot undo each other; each event of a
subscribed calendar keeps its UID, its SEQUENCE only grows, and what is no longer so is cancelled; a swap request that
nobody has settled follows its shift, or is closed with a reason when the shift is no longer its asker's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from foundation.errors import Refused
from foundation.instants import instant_of_us, microseconds
from oncall.callees import ContactDefect, contact_defects
from oncall.directory import Directory, LineId, PersonId
from oncall.documents_store import DocumentKind, Published, in_force, latest, publish, version_name
from oncall.rota import swap_store
from oncall.rota.calendar import CalendarEvent, feed, revised
from oncall.rota.documents import roster_from_json, roster_to_json
from oncall.rota.legal import LegalLimits
from oncall.rota.model import Roster
from oncall.rota.swaps import SwapContext, SwapRequest, follow
from oncall.rota.timeline import Timeline, beginning, freeze
from oncall.rota.timeline import revised as left_the_past_alone
from oncall.schema import oncall_calendar_event
from oncall.spans import Span
from oncall.strict_json import canonical, parse
from oncall.timers import SqlTimers, Timer

# How far ahead calendars are told of changes: a year, so that summer leave can be planned, and some.
TOLD_AHEAD: Final = timedelta(days=400)
SWAP_CHANGED: Final = "swap_changed"
"""Kind of the timer that tells people what became of a swap request when the roster changed; its payload is that of
`oncall.rota.swap_store.values_of`."""

_TOLD_BEHIND: Final = timedelta(days=2)
# Parameters of one statement are limited in SQLite.
_ROWS_PER_STATEMENT: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterInForce:
    """A roster and when it was published (UTC)."""

    roster: Roster
    published_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterPublication:
    """What a publication did: the roster as it is in force now, and the calendar events that it changed.

    ``defects`` are the contacts that would make its escalations silent: whoever published shows them at once. ``swaps``
    are the requests that followed their shift or were closed.
    """

    roster: Roster
    published: Published
    changes: tuple[CalendarEvent, ...]
    defects: tuple[ContactDefect, ...]
    swaps: tuple[SwapRequest, ...] = ()


def load_roster(connection: Connection) -> RosterInForce:
    """Return the roster in force.

    Raises
    ------
    oncall.documents_store.NothingPublished
        If there is none.
    oncall.strict_json.DocumentInvalid
        If the row is damaged.
    """
    found = in_force(connection, DocumentKind.ROSTER)
    return RosterInForce(roster=roster_from_json(parse(found.body)), published_at=found.published_at)


def publish_roster(
    connection: Connection, roster: Roster, directory: Directory, *, by: str, now: datetime
) -> RosterPublication:
    """Put a roster in force.

    Parameters
    ----------
    connection : Connection
        Inside a durable write transaction of `foundation.database.Database`.
    roster : Roster
        Its `version` is that of the roster that it was made from; it gets a new one.
    by : str
        The identifier of who publishes.

    Returns
    -------
    RosterPublication
        Without a new version when the roster says what is in force already.

    Raises
    ------
    Refused
        If another roster was published in between, or the past was edited.
    """
    known = latest(connection, DocumentKind.ROSTER)
    if known is None:
        return _published(connection, roster, (), unreachable(roster, directory, now), by=by, now=now)
    before = roster_from_json(parse(known.body))
    if roster.version != before.version:
        raise Refused("another roster was published since this one was loaded; load that one and edit it again")
    if canonical(roster_to_json(roster)) == known.body:
        defects = unreachable(before, directory, now)
        return RosterPublication(roster=before, published=known, changes=(), defects=defects)
    frozen = _frozen(before, directory, now)
    left_the_past_alone(before, roster)
    after = left_the_past_alone(frozen, replace(roster, history=frozen.history, frozen_until=frozen.frozen_until))
    told, within = Span(start=now - _TOLD_BEHIND, end=now + TOLD_AHEAD), Span(start=now, end=now + TOLD_AHEAD)
    # Resolved once, because the database's only writer waits: a year of a territory takes a third of a second.
    planned = Timeline(after, directory, told)
    changes = _changes(connection, Timeline(before, directory, told), planned, told, now)
    defects = contact_defects(directory, _people(planned, within))
    made = _published(connection, after, changes, defects, by=by, now=now)
    return replace(made, swaps=_follow_swaps(connection, made.roster, planned, directory, within, now))


def unreachable(roster: Roster, directory: Directory, now: datetime) -> tuple[ContactDefect, ...]:
    """Return the people on duty from `now` on, and the hospitals, that no message could reach.

    Asked of a roster before it is published and of a directory that would replace the one it was made for; as far ahead
    as calendars are told.
    """
    within = Span(start=now, end=now + TOLD_AHEAD)
    return contact_defects(directory, _people(Timeline(roster, directory, within), within))


def changed_events(
    connection: Connection,
    within: Span,
    *,
    person_id: PersonId | None = None,
    line_ids: Iterable[LineId] | None = None,
) -> dict[str, CalendarEvent]:
    """Return the revised calendar events that overlap a span, by UID, of one person or some lines or all."""
    table = oncall_calendar_event
    wanted = select(table).where(
        table.c.start_us < microseconds(within.end), table.c.end_us > microseconds(within.start)
    )
    if person_id is not None:
        wanted = wanted.where(table.c.person_id == person_id)
    if line_ids is not None:
        wanted = wanted.where(table.c.line_id.in_(sorted(line_ids)))
    return {row.uid: _event(row) for row in connection.execute(wanted)}


def _follow_swaps(
    connection: Connection, roster: Roster, planned: Timeline, directory: Directory, within: Span, now: datetime
) -> tuple[SwapRequest, ...]:
    """Let the requests that wait follow their shifts; who asked and who took it are told by a timer of the engine."""
    context = SwapContext(roster=roster, timeline=planned, directory=directory, limits=LegalLimits())
    changed = []
    for request in swap_store.unsettled(connection):
        parts = [part for part in (request.given, request.wanted) if part is not None]
        # What lies beyond the timeline would look as if nobody had it; what has begun ends as past due.
        if any(part.span.start < within.start or part.span.end > within.end for part in parts):
            continue
        after = follow(request, context)
        if after == request:
            continue
        swap_store.save(connection, after, now, before=request)
        SqlTimers(connection).put(
            Timer(
                timer_key=f"{SWAP_CHANGED}:{after.swap_id}",
                kind=SWAP_CHANGED,
                due_at=now.astimezone(UTC),
                payload=swap_store.values_of(after),
            )
        )
        changed.append(after)
    return tuple(changed)


def _frozen(before: Roster, directory: Directory, now: datetime) -> Roster:
    since = before.frozen_until or beginning(before)
    # Instants of publication grow, but a clock that was set back may lie before what is frozen.
    until = max(now, before.frozen_until) if before.frozen_until is not None else now
    window = Span(start=until - timedelta(days=1), end=until)
    if since is not None and since < until:
        window = Span(start=since, end=until)
    return freeze(before, until, Timeline(before, directory, window))


def _changes(
    connection: Connection, before: Timeline, after: Timeline, within: Span, now: datetime
) -> tuple[CalendarEvent, ...]:
    told = feed(before.shifts, changed_events(connection, within))
    return revised({event.uid: event for event in told}, after.shifts, within, now)


def _people(timeline: Timeline, within: Span) -> frozenset[PersonId]:
    return frozenset(shift.person_id for shift in timeline.shifts if shift.span.overlaps(within))


def _published(
    connection: Connection,
    roster: Roster,
    changes: tuple[CalendarEvent, ...],
    defects: tuple[ContactDefect, ...],
    *,
    by: str,
    now: datetime,
) -> RosterPublication:
    version = version_name(roster_to_json(roster), now)
    named = replace(roster, version=version)
    published = publish(connection, DocumentKind.ROSTER, version, roster_to_json(named), by=by, now=now)
    _keep(connection, [event for event in changes if event.sequence > 0])
    return RosterPublication(roster=named, published=published, changes=changes, defects=defects)


def _keep(connection: Connection, events: list[CalendarEvent]) -> None:
    for first in range(0, len(events), _ROWS_PER_STATEMENT):
        batch = events[first : first + _ROWS_PER_STATEMENT]
        uids = [event.uid for event in batch]
        connection.execute(delete(oncall_calendar_event).where(oncall_calendar_event.c.uid.in_(uids)))
        connection.execute(insert(oncall_calendar_event), [_row(event) for event in batch])


def _row(event: CalendarEvent) -> Mapping[str, Any]:
    assert event.changed_at is not None, "an event with a sequence was revised at some time"
    return {
        "uid": event.uid,
        "line_id": event.line_id,
        "person_id": event.person_id,
        "start_us": microseconds(event.span.start),
        "end_us": microseconds(event.span.end),
        "rule": event.rule,
        "sequence": event.sequence,
        "is_cancelled": event.is_cancelled,
        "changed_at_us": microseconds(event.changed_at),
    }


def _event(row: Any) -> CalendarEvent:
    return CalendarEvent(
        line_id=LineId(row.line_id),
        person_id=PersonId(row.person_id),
        span=Span(start=instant_of_us(row.start_us), end=instant_of_us(row.end_us)),
        rule=row.rule,
        sequence=row.sequence,
        is_cancelled=row.is_cancelled,
        changed_at=instant_of_us(row.changed_at_us),
    )
