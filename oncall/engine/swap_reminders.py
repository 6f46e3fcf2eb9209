"""Reminders of swap requests that nobody has settled: a look every quarter of an hour, each reminder sent once.

For: who is told, requests whose shift has begun, and telling what became of one when the roster changed. Not for: when
a reminder is due (`oncall.rota.swaps`), following a shift (`oncall.roster_publication`), taking or approving a request,
which people do.

Invariant: that a reminder was sent is saved with the decision that queues it; a request that somebody changes
meanwhile is decided on again.
"""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from oncall.directory import PersonId, Role
from oncall.engine import notices
from oncall.engine.draft import Draft
from oncall.engine.ports import SwapChange
from oncall.notify import NoticeKind
from oncall.rota import swap_store, swaps
from oncall.rota.swaps import Reminder, SwapRequest
from oncall.timers import Timer

LOOK: Final = "swap_reminders"
_LOOK_EVERY: Final = timedelta(minutes=15)


def ensure_timer(draft: Draft) -> None:
    """Set the next look at the requests."""
    if draft.timer(LOOK) is None:
        draft.set_timer(Timer(timer_key=LOOK, kind=LOOK, due_at=draft.now))


def look_due(draft: Draft, _timer: Timer) -> None:
    """Send the reminders that are due, and end the requests whose shift has begun."""
    draft.set_timer(Timer(timer_key=LOOK, kind=LOOK, due_at=draft.now + _LOOK_EVERY))
    for request in draft.unsettled_swaps():
        after = swaps.expire(request, draft.now)
        for reminder in swaps.due_reminders(after, draft.now):
            _remind(draft, after, reminder)
            after = swaps.reminded(after, draft.now)
        if after != request:
            draft.swaps.append(SwapChange(request=after, before=request))


def changed_due(draft: Draft, timer: Timer) -> None:
    """Tell who asked, and who has taken the request, that it follows its moved shift or is closed."""
    request = swap_store.request_of(timer.payload)
    kind = NoticeKind.SWAP_CLOSED if request.is_over else NoticeKind.SWAP_MOVED
    concerned = {request.given.person_id, *([] if request.taken_by is None else [request.taken_by])}
    _tell(draft, request, kind, concerned)


def _remind(draft: Draft, request: SwapRequest, reminder: Reminder) -> None:
    _tell(draft, request, NoticeKind.ROSTER, _told(draft, request, reminder))


def _tell(draft: Draft, request: SwapRequest, kind: NoticeKind, people: Iterable[PersonId]) -> None:
    line = draft.rules.lines.get(request.given.line_id)
    zone = ZoneInfo("UTC" if line is None else line.time_zone)
    starts_at = request.given.span.start.astimezone(zone)
    place = f"{request.given.line_id if line is None else line.name} {starts_at:%d/%m %H:%M}"
    # Ids may be long, and a name ends in columns that are not.
    short = hashlib.sha256(request.swap_id.encode()).hexdigest()[:12]
    for person_id in sorted(people):
        name = f"swap:{short}:{person_id}"
        notices.tell(draft, name, person_id, kind, about_at=request.starts_at, place=place)


def _told(draft: Draft, request: SwapRequest, reminder: Reminder) -> Iterable[PersonId]:
    """Return who can settle the request: managers, the one whose shift is wanted, or all who may take it."""
    persons = draft.rules.directory.persons.values()
    if reminder.waits_for_approval:
        return [one.person_id for one in persons if one.role is Role.COORDINATOR]
    if request.wanted is not None:
        return [request.wanted.person_id]
    if reminder.to:
        return reminder.to
    line = draft.rules.lines.get(request.given.line_id)
    return [
        one.person_id
        for one in persons
        if one.role is Role.RADIOLOGIST
        and one.person_id != request.given.person_id
        and (line is None or one.provider_id == line.provider_id)
    ]
