"""Around every clock change of every French zone, in steps of 30 seconds: who is on duty, and that somebody is.

The oracle knows no folds and no UTC offsets: it walks the minutes, looks at what the clock on the wall shows, and notes
when it shows a time for the first and for the last time. Zones without clock changes are walked around those of Paris.
After GoAlert's brute-force tests, which walk two zones.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from oncall.directory import LineId, PersonId
from oncall.local_time import span_of
from oncall.rota.coverage import coverage_gaps
from oncall.rota.model import Roster, Rotation, ShiftRule
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from tests.unit.oncall.rota.timeline_parts import NIGHT, NOBODY_YET, line

ZONES = (
    "Europe/Paris",
    "America/Cayenne",
    "America/Guadeloupe",
    "America/Marigot",
    "America/Martinique",
    "America/Miquelon",
    "America/St_Barthelemy",
    "Indian/Kerguelen",
    "Indian/Mayotte",
    "Indian/Reunion",
    "Pacific/Gambier",
    "Pacific/Marquesas",
    "Pacific/Noumea",
    "Pacific/Tahiti",
    "Pacific/Wallis",
    "Australia/Lord_Howe",  # not French: its clocks change by half an hour
)
MINUTE, STEP, DAY = timedelta(minutes=1), timedelta(seconds=30), timedelta(days=1)
# Before and after a change: one night each, and the day on which the next slots begin.
AROUND = timedelta(hours=30)
# The same day tiled three times, with handovers before, in and after hours that are left out or repeated.
TILINGS = {
    "night-and-day": ("08:30", "18:30"),
    "whole-day": ("02:30",),
    "pieces": ("00:30", "01:30", "01:45", "02:00", "02:15", "02:45", "03:00", "08:30", "18:30"),
}
PEOPLE = tuple(PersonId(letter) for letter in "ABCDE")


def changes_of(zone: str) -> list[datetime]:
    """Return the clock changes of 2026 and 2027 to the minute; those of Paris in 2026 for a zone that has none."""
    found = []
    hours = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(2 * 365 * 24)]
    for before, after in pairwise(hours):
        if offset(before, zone) != offset(after, zone):
            minutes = [before + n * MINUTE for n in range(61)]
            found.append(next(at for at in minutes if offset(at, zone) != offset(before, zone)))
    return found or changes_of("Europe/Paris")[:2]


def offset(at: datetime, zone: str) -> timedelta:
    found = at.astimezone(ZoneInfo(zone)).utcoffset()
    assert found is not None
    return found


class WallClock:
    """What the clock on the wall showed, minute by minute."""

    def __init__(self, zone: str, start: datetime, end: datetime) -> None:
        tz = ZoneInfo(zone)
        self.seen: defaultdict[datetime, list[datetime]] = defaultdict(list)
        self.walked: list[tuple[datetime, datetime]] = []
        for number in range((end - start) // MINUTE):
            at = start + number * MINUTE
            wall = at.astimezone(tz).replace(tzinfo=None, fold=0)
            self.seen[wall].append(at)
            self.walked.append((wall, at))

    def first(self, day: date, at: time) -> datetime:
        """Return when the clock first shows a time; when it jumps over it, the minute of the jump."""
        wall = datetime.combine(day, at)
        return self.seen[wall][0] if wall in self.seen else self._jump(wall)

    def last(self, day: date, at: time) -> datetime:
        """Return when the clock last shows a time; when it jumps over it, the minute of the jump."""
        wall = datetime.combine(day, at)
        return self.seen[wall][-1] if wall in self.seen else self._jump(wall)

    def _jump(self, wall: datetime) -> datetime:
        return next(at for (before, _), (after, at) in pairwise(self.walked) if before < wall < after)


def tiling(handovers: tuple[str, ...]) -> tuple[ShiftRule, ...]:
    times = [time.fromisoformat(one) for one in handovers]
    return tuple(
        ShiftRule(name=start.isoformat("minutes"), start=start, end=end)
        for start, end in zip(times, times[1:] + times[:1], strict=True)
    )


def expected(zone: str, first_day: date, start: datetime, ticks: int) -> list[set[tuple[str, PersonId]]]:
    """Return who is on which line at each step, worked out without the code under test."""
    clock = WallClock(zone, start - 3 * DAY, start + ticks * STEP + 3 * DAY)
    there: list[set[tuple[str, PersonId]]] = [set() for _ in range(ticks)]
    for line_id, handovers in TILINGS.items():
        turn = 0
        for number in range(8):
            day = first_day + number * DAY
            for rule in tiling(handovers):
                begins = clock.first(day, rule.start)
                ends = clock.last(day if rule.end > rule.start else day + DAY, rule.end)
                if ends <= begins:
                    continue
                for tick in range(max(0, (begins - start) // STEP), min(ticks, (ends - start) // STEP)):
                    there[tick].add((line_id, PEOPLE[turn % len(PEOPLE)]))
                turn += 1
            if day > (start + ticks * STEP).date():
                break
    return there


@pytest.mark.parametrize("zone", ZONES)
def test_at_every_half_minute_around_every_clock_change_the_right_people_are_on_duty(zone: str) -> None:
    changes = changes_of(zone)
    assert len(changes) in {2, 4}

    for change in changes:
        start = change - AROUND
        ticks = 2 * AROUND // STEP
        first_day = start.astimezone(ZoneInfo(zone)).date() - DAY
        lines = tuple(line(*tiling(handovers), line_id=name, zone=zone) for name, handovers in TILINGS.items())
        rotations = tuple(Rotation(line_id=LineId(name), participants=PEOPLE, first_day=first_day) for name in TILINGS)
        window = Span(start=start, end=start + ticks * STEP)
        timeline = Timeline(Roster(version="1", lines=lines, rotations=rotations), NOBODY_YET, window)

        wanted = expected(zone, first_day, start, ticks)
        for tick in range(ticks):
            at = start + tick * STEP
            found = {(shift.line_id, shift.person_id) for shift in timeline.on_duty(at)}
            assert found == wanted[tick], at
            assert {line_id for line_id, _ in found} == TILINGS.keys(), at
        assert coverage_gaps(timeline, window) == ()


@pytest.mark.parametrize("zone", ZONES)
def test_the_night_of_a_change_is_longer_or_shorter_by_it_and_the_rest_before_and_after_is_ten_hours(zone: str) -> None:
    tz = ZoneInfo(zone)
    for change in changes_of(zone):
        eve = change.astimezone(tz).date() - DAY
        before, night, after = (span_of(eve + n * DAY, NIGHT.start, NIGHT.end, zone) for n in (-1, 0, 1))
        repeated = offset(change - STEP, zone) - offset(change, zone)

        assert night.duration == timedelta(hours=14) + repeated
        assert (night.start - before.end, after.start - night.end) == (timedelta(hours=10),) * 2


def test_a_clock_that_goes_back_puts_two_people_on_duty_and_never_none() -> None:
    # The oracle itself: otherwise a walk that finds nothing would prove nothing.
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)
    there = expected("Europe/Paris", date(2026, 10, 24), change - timedelta(hours=1), 240)

    on_whole_day = [len([one for one in tick if one[0] == "whole-day"]) for tick in there]
    assert on_whole_day == [1] * 60 + [2] * 120 + [1] * 60
