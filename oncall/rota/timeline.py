"""A roster resolved over a window of time: who is on duty at an instant, who when, and what was.

A `Timeline` is built once for a roster version and asked often: an answer is a binary search over the instants at which
somebody comes or goes. Shifts that reach over an end of the window are kept whole, because rest is counted from their
real ends. Before `Roster.frozen_until` history alone speaks (as in GoAlert): no edit changes who was on duty.

Not here: how a line's shifts come about (`line_shifts`, `resolution`), what is missing (`coverage`).
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import TypeVar

from foundation.errors import PeerError, Refused
from oncall.directory import Directory, LineId, PersonId, Provider, ProviderHours, ProviderId, Site, SiteId
from oncall.local_time import first_instant, local_day, span_or_none
from oncall.public_holidays import is_public_holiday
from oncall.rota.line_shifts import joined, line_shifts
from oncall.rota.model import Absence, Override, Roster, Session, Shift, ShiftPlan
from oncall.spans import Span

_DAY = timedelta(days=1)
_Found = TypeVar("_Found")
_Part = TypeVar("_Part", ShiftPlan, Override, Absence, Session)


class _Index:
    """Sorted instants of change and who is there from each; both built once."""

    def __init__(self, shifts: Sequence[Shift]) -> None:
        coming: defaultdict[datetime, list[int]] = defaultdict(list)
        going: defaultdict[datetime, list[int]] = defaultdict(list)
        for number, shift in enumerate(shifts):
            coming[shift.span.start].append(number)
            going[shift.span.end].append(number)
        self.changes = sorted(coming.keys() | going.keys())
        self._there: list[tuple[Shift, ...]] = []
        active: set[int] = set()
        for instant in self.changes:
            active.difference_update(going.get(instant, ()))
            active.update(coming.get(instant, ()))
            self._there.append(tuple(shifts[number] for number in sorted(active)))

    def at(self, instant: datetime) -> tuple[Shift, ...]:
        position = bisect_right(self.changes, instant)
        return self._there[position - 1] if position else ()


class Timeline:
    """Who is on duty, from one roster, within a window.

    Parameters
    ----------
    roster : Roster
        What is asked about; immutable, so the answers are.
    directory : Directory
        Sites and providers, for `on_duty_for`.
    within : Span
        The window; asking outside it is refused, because nobody would be a false answer.

    Raises
    ------
    PeerError
        If a line has an unknown zone or commune.
    """

    def __init__(self, roster: Roster, directory: Directory, within: Span) -> None:
        self.roster = roster
        self.directory = directory
        self.within = within
        by_line = {line.line_id: line_shifts(roster, line, within) for line in roster.lines}
        for line_id in sorted({shift.line_id for shift in roster.history} - by_line.keys()):
            by_line[line_id] = [s for s in roster.history if s.line_id == line_id and s.span.overlaps(within)]
        rank = {line_id: number for number, line_id in enumerate(by_line)}
        self.shifts: tuple[Shift, ...] = tuple(
            sorted(chain.from_iterable(by_line.values()), key=lambda s: (s.span.start, rank[s.line_id], s.person_id))
        )
        self._by_line: dict[LineId, list[Shift]] = {line_id: [] for line_id in by_line}
        self._by_person: defaultdict[PersonId, list[Shift]] = defaultdict(list)
        for shift in self.shifts:
            self._by_line[shift.line_id].append(shift)
            self._by_person[shift.person_id].append(shift)
        # No shift that reaches into a span begins earlier than this before it.
        self._longest = max((shift.span.duration for shift in self.shifts), default=timedelta(0))
        self._index = _Index(self.shifts)
        self._line_index = {line_id: _Index(shifts) for line_id, shifts in self._by_line.items()}

    def on_duty(self, at: datetime, line_id: LineId | None = None) -> tuple[Shift, ...]:
        """Return the shifts that have the aware instant `at`, of one line or all; takes microseconds.

        Raises
        ------
        ValueError
            If `at` is naive.
        Refused
            If `at` is outside the window, or the line is of neither the roster nor its history.
        """
        instant = self._instant(at)
        if line_id is None:
            return self._index.at(instant)
        return self._known(self._line_index, line_id).at(instant)

    def on_duty_for(self, site_id: SiteId, at: datetime) -> tuple[Shift, ...]:
        """Return the shifts of the lines that serve a site at `at`, those of its first provider first.

        Raises
        ------
        ValueError
            If `at` is naive.
        Refused
            If `at` is outside the window or the site is not in the directory.
        """
        site = self.directory.sites.get(site_id)
        if site is None:
            message = f"site {site_id!r} is not in the directory; add it there or correct the name"
            raise Refused(message)
        rank = {provider: number for number, provider in enumerate(provider_on(site, at, self.directory))}
        lines = {
            line.line_id: line
            for line in self.roster.lines
            if line.provider_id in rank and (not line.sites or site_id in line.sites)
        }
        serving = [shift for shift in self.on_duty(at) if shift.line_id in lines]
        return tuple(sorted(serving, key=lambda shift: rank[lines[shift.line_id].provider_id]))

    def shifts_of(self, person_id: PersonId, within: Span | None = None) -> tuple[Shift, ...]:
        """Return somebody's shifts by their start, whole, that have an instant in `within` (default: the window)."""
        return self._overlapping(self._by_person.get(person_id, ()), within)

    def line_shifts(self, line_id: LineId, within: Span | None = None) -> tuple[Shift, ...]:
        """Return a line's shifts by their start, whole, that have an instant in `within` (default: the window).

        Raises
        ------
        Refused
            If the line is of neither the roster nor its history.
        """
        return self._overlapping(self._known(self._by_line, line_id), within)

    def next_change(self, at: datetime) -> datetime | None:
        """Return the first instant after `at` at which somebody comes or goes, or None if the window has none."""
        changes = self._index.changes
        position = bisect_right(changes, self._instant(at))
        return changes[position] if position < len(changes) and changes[position] < self.within.end else None

    def require(self, within: Span) -> None:
        """Refuse a span that is not all in the window: what was not looked at is not answered for."""
        if within.start < self.within.start or self.within.end < within.end:
            message = (
                f"{within.start.isoformat()} to {within.end.isoformat()} is not all in the timeline, which has "
                f"{self.within.start.isoformat()} to {self.within.end.isoformat()}; build a longer one"
            )
            raise Refused(message)

    def _overlapping(self, shifts: Sequence[Shift], within: Span | None) -> tuple[Shift, ...]:
        if within is None:
            return tuple(shifts)
        first = bisect_left(shifts, within.start - self._longest, key=_start_of)
        until = bisect_left(shifts, within.end, lo=first, key=_start_of)
        return tuple(shift for shift in shifts[first:until] if shift.span.end > within.start)

    def _instant(self, at: datetime) -> datetime:
        if at.tzinfo is None:
            message = "who is on duty is asked of an aware instant; pass tzinfo=UTC"
            raise ValueError(message)
        instant = at if at.tzinfo is UTC else at.astimezone(UTC)
        if instant not in self.within:
            message = (
                f"{instant.isoformat()} is outside the timeline, which has {self.within.start.isoformat()} to "
                f"{self.within.end.isoformat()}; build one around the instant"
            )
            raise Refused(message)
        return instant

    def _known(self, found: Mapping[LineId, _Found], line_id: LineId) -> _Found:
        if line_id not in found:
            message = f"line {line_id!r} is not in the roster; it has {', '.join(found) or 'none'}"
            raise Refused(message)
        return found[line_id]


def _start_of(shift: Shift) -> datetime:
    return shift.span.start


def provider_on(site: Site, at: datetime, directory: Directory) -> tuple[ProviderId, ...]:
    """Return the providers that serve a site at an aware instant, in the site's order (territorial subsidiarity).

    At 23:30 the baton passes from one to the next (PIMM): hours are half-open, and overlap while a clock change repeats
    them.

    Raises
    ------
    PeerError
        If the site names a provider that the directory does not have.
    """
    serving = []
    for provider_id in site.provider_order:
        provider = directory.providers.get(provider_id)
        if provider is None:
            message = f"site {site.site_id!r} names provider {provider_id!r}, which the directory does not have; add it"
            raise PeerError(message)
        if not provider.hours or any(_is_open(hours, provider, site, at) for hours in provider.hours):
            serving.append(provider_id)
    return tuple(serving)


class WithCalls:
    """A resolved roster with what people worked when called, which is work to the law as any shift is (§1.8)."""

    def __init__(self, timeline: Timeline, calls: Sequence[Shift]) -> None:
        self._timeline = timeline
        self._calls = calls

    def shifts_of(self, person_id: PersonId, within: Span) -> tuple[Shift, ...]:
        """Return the person's shifts and calls that overlap `within`."""
        calls = [one for one in self._calls if one.person_id == person_id and one.span.overlaps(within)]
        return (*self._timeline.shifts_of(person_id, within), *calls)


def freeze(roster: Roster, until: datetime, timeline: Timeline) -> Roster:
    """Return the roster with everything before `until` written into its history, which nothing changes any more.

    Parameters
    ----------
    roster : Roster
        What the timeline was built from.
    until : datetime
        Aware; usually now.
    timeline : Timeline
        Has everything from `frozen_until` (or `beginning(roster)`) to `until`.

    Raises
    ------
    Refused
        If `until` is before what is frozen already, or the timeline is of another roster or leaves out some past.
    """
    since = roster.frozen_until or beginning(roster)
    if roster.frozen_until is not None and until < roster.frozen_until:
        message = f"the roster is frozen until {roster.frozen_until.isoformat()}; history is never opened again"
        raise Refused(message)
    if timeline.roster is not roster and timeline.roster != roster:
        message = f"the timeline is of roster version {timeline.roster.version!r}; build it from {roster.version!r}"
        raise Refused(message)
    if since is None or since >= until:
        return replace(roster, frozen_until=until)
    if timeline.within.start > since or timeline.within.end < until:
        message = f"freezing needs a timeline from {since.isoformat()} to {until.isoformat()}; build one that has them"
        raise Refused(message)
    was = [
        replace(shift, span=Span(start=shift.span.start, end=min(shift.span.end, until)), origin="history")
        for shift in timeline.shifts
        if shift.span.start < until
    ]
    return replace(roster, history=joined(roster.history, was, since), frozen_until=until)


def beginning(roster: Roster) -> datetime | None:
    """Return an instant before which the roster says nothing, or None when it says nothing at all."""
    zones = {line.line_id: line.time_zone for line in roster.lines}
    starts = [plan.span.start for plan in roster.plans] + [override.span.start for override in roster.overrides]
    starts += [first_instant(one.first_day, time(0), zones[one.line_id]) for one in roster.rotations]
    return min(starts, default=None)


def revised(before: Roster, after: Roster) -> Roster:
    """Return `after`, the edited roster, if it leaves the past of `before` alone; every edit goes through here.

    What somebody wrote down (plans, overrides, absences, sessions) may be changed from `frozen_until` on: a running
    shift can be cut short. Lines and rotations may change at will: before `frozen_until` history speaks, not they.

    Raises
    ------
    Refused
        If history, `frozen_until` or a part before it differs; the message says which.
    """
    until = before.frozen_until
    if (after.frozen_until, after.history) != (until, before.history):
        message = "history and frozen_until are what was, and only freezing adds to them; keep them as they are"
        raise Refused(message)
    if until is None:
        return after
    for kind in ("plans", "overrides", "absences", "sessions"):
        was, now = (Counter(_before(until, getattr(roster, kind))) for roster in (before, after))
        if was != now:
            changed = next(iter((was - now) + (now - was)))
            name = getattr(changed, "shift_id", None) or getattr(changed, "override_id", None) or changed.person_id
            message = (
                f"{kind}: {name} from {changed.span.start.isoformat()} is before {until.isoformat()}, and the past is "
                "frozen; edit from there on, or cut a running one short instead of removing it"
            )
            raise Refused(message)
    return after


def _before(until: datetime, parts: Iterable[_Part]) -> list[_Part]:
    """Return the parts that begin before `until`, cut there."""
    return [
        replace(part, span=Span(start=part.span.start, end=min(part.span.end, until)))
        for part in parts
        if part.span.start < until
    ]


def _is_open(hours: ProviderHours, provider: Provider, site: Site, at: datetime) -> bool:
    today = local_day(at, provider.time_zone)
    return any(
        _opens_on(hours, site, day)
        and (span := span_or_none(day, hours.start, hours.end, provider.time_zone)) is not None
        and at in span
        for day in (today - _DAY, today)
    )


def _opens_on(hours: ProviderHours, site: Site, day: date) -> bool:
    return day.weekday() in hours.weekdays or (hours.on_holidays and is_public_holiday(day, site.commune))
