"""Turns and layers as other schedulers mean them, worked out to spans: shared by the importers.

For: periods that are counted in local time, and who is on duty where layers overlap. Not for: any program's format.

Invariants: periods are counted by the calendar of a zone, so that a weekly turn changes hands at the same wall time all
year; where two people of the same strength would have one seat at once, that is a problem and not a choice of ours.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from oncall.local_time import first_instant
from oncall.spans import Span, subtract

# Hours by the hour for two years; what would be more is a mistake in the export or in the window.
PERIODS_MAX: Final = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignShift:
    """Somebody on duty, by the other program's name, with the strength of their layer: the highest one wins."""

    span: Span
    who: str
    strength: int = 0


def periods(first: datetime, length: timedelta, zone: str, within: Span) -> Iterator[tuple[int, Span]]:
    """Yield consecutive periods from a naive local time on, numbered from 0, that overlap a span.

    A period of days keeps its wall time over clock changes; one of hours keeps its length. Where a wall time comes
    twice, the first one is meant: one period ends exactly where the next begins.
    """
    is_of_days = length % timedelta(days=1) == timedelta(0)
    begin = _local(first, zone)
    # One earlier: a clock change may move a start by an hour.
    skipped = max(0, int((within.start - begin) / length) - 1)
    for number in range(skipped, skipped + PERIODS_MAX):
        if is_of_days:
            start, end = _local(first + length * number, zone), _local(first + length * (number + 1), zone)
        else:
            start, end = begin + length * number, begin + length * (number + 1)
        if start >= within.end:
            return
        if end > within.start:
            yield number, Span(start=start, end=end)


def strongest(shifts: Iterable[ForeignShift]) -> list[ForeignShift]:
    """Return the shifts without the parts in which a stronger one speaks, by start."""
    left: list[ForeignShift] = []
    stronger: list[Span] = []
    by_strength: dict[int, list[ForeignShift]] = {}
    for shift in shifts:
        by_strength.setdefault(shift.strength, []).append(shift)
    for strength in sorted(by_strength, reverse=True):
        layer = by_strength[strength]
        for shift in layer:
            near = [span for span in stronger if span.overlaps(shift.span)]
            left += [ForeignShift(span=rest, who=shift.who, strength=strength) for rest in subtract([shift.span], near)]
        stronger += [shift.span for shift in layer]
    return sorted(left, key=lambda shift: (shift.span, shift.who))


def joined(shifts: Sequence[ForeignShift]) -> list[ForeignShift]:
    """Return the shifts with those of one person that touch or overlap made one."""
    last: dict[str, int] = {}
    whole: list[ForeignShift] = []
    for shift in sorted(shifts, key=lambda shift: shift.span):
        place = last.get(shift.who)
        if place is not None and whole[place].span.end >= shift.span.start:
            known = whole[place]
            end = max(known.span.end, shift.span.end)
            whole[place] = ForeignShift(span=Span(start=known.span.start, end=end), who=known.who)
            continue
        last[shift.who] = len(whole)
        whole.append(shift)
    return sorted(whole, key=lambda shift: (shift.span, shift.who))


def collisions(shifts: Sequence[ForeignShift]) -> list[str]:
    """Return a problem for each time at which two people have one seat."""
    ordered = sorted(shifts, key=lambda shift: (shift.span, shift.who))
    found = []
    reach: ForeignShift | None = None
    for shift in ordered:
        if reach is not None and shift.span.start < reach.span.end and shift.who != reach.who:
            found.append(
                f"from {shift.span.start:%Y-%m-%dT%H:%MZ}: {reach.who} and {shift.who} at once; a line has "
                "one seat, import them into two lines"
            )
        if reach is None or shift.span.end > reach.span.end:
            reach = shift
    return found


def _local(wall: datetime, zone: str) -> datetime:
    return first_instant(wall.date(), wall.time(), zone)
