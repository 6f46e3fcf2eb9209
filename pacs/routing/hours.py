"""Hours of the week by the wall clock of a place, and whether an instant is in them.

For: rules and watches that hold at night or at weekends. Not for: rosters (`oncall.rota`), which know holidays.

Invariants: an instant is converted to wall time once and compared there, so that on the night of October in which an
hour comes twice both are in or both are out, and on the one of March nothing is left out but the hour that is not
there. A window that ends before it begins goes past midnight, and belongs to the day on which it began.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from foundation.errors import PeerError

MINUTES_OF_DAY: Final = 24 * 60
_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))", re.ASCII)


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


WEEK: Final = tuple(Weekday)
"""Monday first, as `datetime.weekday` counts."""


class NotHours(PeerError):
    """A text that is no window of a day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """Some hours of some days; all of them by default.

    Attributes
    ----------
    days : frozenset of Weekday
        On which the window begins.
    begin_min, end_min : int
        Minutes after midnight by the wall clock; the end is not in the window. Past midnight when the end is before
        the beginning, or at it.
    """

    days: frozenset[Weekday] = frozenset(WEEK)
    begin_min: int = 0
    end_min: int = MINUTES_OF_DAY

    def contains(self, instant: datetime, zone: tzinfo) -> bool:
        """Say whether an instant (aware) is in the window, by the wall clock of a zone."""
        wall = instant.astimezone(zone).replace(tzinfo=None)
        minute = wall.hour * 60 + wall.minute
        today, yesterday = WEEK[wall.weekday()], WEEK[(wall - timedelta(days=1)).weekday()]
        if self.begin_min < self.end_min:
            return today in self.days and self.begin_min <= minute < self.end_min
        return (today in self.days and minute >= self.begin_min) or (yesterday in self.days and minute < self.end_min)


ALWAYS: Final = Hours()


def parse_hours(window: str, days: frozenset[Weekday] = frozenset()) -> Hours:
    """Return the hours that a text such as ``18:00-08:00`` means; ``""`` is all day, no days are all days.

    Raises
    ------
    NotHours
        If the text is no window.
    """
    days = days or frozenset(WEEK)
    if not window:
        return Hours(days=days)
    found = _WINDOW.fullmatch(window)
    if found is None:
        raise NotHours("hours are HH:MM-HH:MM, for example 18:00-08:00")
    begin_hour, begin_minute, end_hour, end_minute = (int(part) for part in found.groups() if part is not None)
    return Hours(days=days, begin_min=begin_hour * 60 + begin_minute, end_min=end_hour * 60 + end_minute)
