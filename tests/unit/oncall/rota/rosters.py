"""Small territories for tests of rosters: lines, people and local spans, all in Europe/Paris."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from oncall.directory import Directory, LineId, Person, PersonId, ProviderId, Role
from oncall.rota.model import DayKind, Line, LineKind, ShiftRule
from oncall.spans import Span

PARIS: Final = ZoneInfo("Europe/Paris")
EVENING: Final = ShiftRule(name="evening", start=time(18, 30), end=time(0, 30))
DEEP_NIGHT: Final = ShiftRule(name="deep night", start=time(0, 30), end=time(8, 30))
WHOLE_NIGHT: Final = ShiftRule(name="night", start=time(18, 30), end=time(8, 30))
SATURDAY: Final = ShiftRule(name="saturday", start=time(8, 30), end=time(18, 30), days=DayKind.SATURDAY)
SUNDAY: Final = ShiftRule(name="sunday", start=time(8, 30), end=time(18, 30), days=DayKind.SUNDAY_OR_HOLIDAY)


def line(name: str, *rules: ShiftRule, kind: LineKind = LineKind.DUTY) -> Line:
    """Return a line of the pool for all sites, in Roanne."""
    return Line(
        line_id=LineId(name), name=name, kind=kind, provider_id=ProviderId("pool"), time_zone="Europe/Paris",
        commune="42187", rules=rules,
    )  # fmt: skip


def readers(count: int) -> tuple[PersonId, ...]:
    """Return so many ids of radiologists."""
    return tuple(PersonId(f"r{number:02}") for number in range(1, count + 1))


def directory(people: tuple[PersonId, ...], *, share: float = 1.0, weekly_hours: float = 39.0) -> Directory:
    """Return a directory of radiologists who are all alike."""
    persons = {
        one: Person(
            person_id=one, name=f"Dr {one}", role=Role.RADIOLOGIST, teleradiology_share_max=share,
            weekly_hours=weekly_hours,
        )
        for one in people
    }  # fmt: skip
    return Directory(sites={}, persons=persons, providers={})


def local(day: date, start: str, end: str) -> Span:
    """Return a local span; the end is on the next day when it is not later."""
    first, last = time.fromisoformat(start), time.fromisoformat(end)
    end_day = day + timedelta(days=last <= first)
    return Span(start=datetime.combine(day, first, PARIS), end=datetime.combine(end_day, last, PARIS))
