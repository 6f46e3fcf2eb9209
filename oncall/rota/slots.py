"""Which seats a line needs filled, and when: its shift rules applied to the days of its zone and commune.

A slot is one occurrence of one rule. The order of a line's slots is what rotations count turns by, and their spans are
what coverage is measured against. A line has one seat, so two rules never make the same span twice on one day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from oncall.directory import LineId
from oncall.local_time import local_day, span_or_none
from oncall.public_holidays import is_public_holiday
from oncall.rota.model import DayKind, Line, ShiftRule
from oncall.spans import Span

_DAY = timedelta(days=1)
_SATURDAY, _SUNDAY = 5, 6
# No clock change of our time leaves out more: a rule that takes longer by the clock always happens.
_LEFT_OUT_MAX = timedelta(hours=3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One occurrence of a rule: `day` is the local day on which it begins."""

    line_id: LineId
    rule: str
    day: date
    span: Span


def rules_on(line: Line, day: date) -> tuple[ShiftRule, ...]:
    """Return the rules of `line` that begin on a local day, in the order of their starts.

    On a public holiday that is a Saturday or Sunday, rules for holidays take the place of rules for the weekday if the
    line has any; a line without rules for holidays is not left empty on 15 August 2026, a Saturday.
    """
    return _rules_by_kind(line, day.weekday(), is_holiday=is_public_holiday(day, line.commune))


def slots_on(line: Line, day: date) -> tuple[Slot, ...]:
    """Return the slots of `line` that begin on a local day, in order."""
    return tuple(
        Slot(line_id=line.line_id, rule=rule.name, day=day, span=span)
        for rule in rules_on(line, day)
        # None: the clocks leave out the whole of it (02:10 to 02:50 in spring).
        if (span := span_or_none(day, rule.start, rule.end, line.time_zone)) is not None
    )


def slots_around(line: Line, within: Span) -> tuple[Slot, ...]:
    """Return every slot of the local days that may reach into `within`, in order; days are whole."""
    # A slot lasts a day at most (and the hour of a clock change), so the day before the first one may reach into it.
    first_day, last_day = local_day(within.start, line.time_zone) - _DAY, local_day(within.end, line.time_zone)
    return tuple(slot for day in _days(first_day, last_day + _DAY) for slot in slots_on(line, day))


def slots_overlapping(line: Line, within: Span) -> tuple[Slot, ...]:
    """Return every slot of `line` that has an instant in `within`, in order: the seats that must be filled."""
    return tuple(slot for slot in slots_around(line, within) if slot.span.overlaps(within))


class SlotCounter:
    """Counts a line's slots by the day on which they begin; what rotations take turns by.

    Counting a year takes about a millisecond: only the kind of each day matters, not its instants.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._short = tuple(rule for rule in line.rules if _wall_duration(rule) <= _LEFT_OUT_MAX)
        self._counts: dict[tuple[int, bool], int] = {}

    def count(self, first_day: date, until: date) -> int:
        """Return how many slots begin from `first_day` (in) to `until` (out)."""
        return sum(self._on(day) for day in _days(first_day, until))

    def _on(self, day: date) -> int:
        if self._short:
            return len(slots_on(self._line, day))
        kind = (day.weekday(), is_public_holiday(day, self._line.commune))
        if kind not in self._counts:
            self._counts[kind] = len(_rules_by_kind(self._line, kind[0], is_holiday=kind[1]))
        return self._counts[kind]


def _rules_by_kind(line: Line, weekday: int, *, is_holiday: bool) -> tuple[ShiftRule, ...]:
    holidays_first = is_holiday and any(rule.days.is_of_holidays for rule in line.rules)
    found: dict[tuple[time, time], ShiftRule] = {}
    for rule in line.rules:
        if _is_on(rule.days, weekday, is_holiday=is_holiday, holidays_first=holidays_first):
            found.setdefault((rule.start, rule.end), rule)
    return tuple(found[key] for key in sorted(found))


def _is_on(days: DayKind, weekday: int, *, is_holiday: bool, holidays_first: bool) -> bool:
    match days:
        case DayKind.EVERY_DAY:
            return True
        case DayKind.WORKDAY:
            return weekday < _SATURDAY and not is_holiday
        case DayKind.SATURDAY:
            return weekday == _SATURDAY and not holidays_first
        case DayKind.SUNDAY:
            return weekday == _SUNDAY and not holidays_first
        case DayKind.HOLIDAY:
            return is_holiday
        case DayKind.SUNDAY_OR_HOLIDAY:
            return weekday == _SUNDAY or is_holiday


def _wall_duration(rule: ShiftRule) -> timedelta:
    start, end = (datetime.combine(date.min, at) for at in (rule.start, rule.end))
    return end - start if rule.end > rule.start else end - start + _DAY


def _days(first: date, until: date) -> Iterator[date]:
    for number in range((until - first).days):
        yield first + timedelta(days=number)
