"""The demonstration territory's roster: every seat of 2026 and 2027 filled, legally.

For: ``telegarde demo``. Not for: making real rosters, which `oncall.rota.generate` does with wishes and proofs; this
one is dealt out in the order of time, to whoever has carried least, in a moment.

Invariants: no gap and no double booking in the two years; a day of rest at least between two duties of one reader
of the pool, at home or not, so that a called backup is still legal; the same roster at each call.
"""

from bisect import bisect, insort
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import Final

from oncall.directory import Competence, Directory, LineId, PersonId, Role, SiteId, SubSpecialty
from oncall.local_time import span_of
from oncall.rota.model import Absence, DayKind, Line, LineKind, Roster, Rotation, Session, ShiftPlan, ShiftRule
from oncall.rota.slots import slots_overlapping
from oncall.spans import Span
from territory.demo_territory import COMPANY, COORDINATORS, POOL, coordinator_id

ZONE: Final = "Europe/Paris"
_COMMUNE: Final = "42218"
FIRST_DAY: Final = date(2026, 1, 1)
END_DAY: Final = date(2028, 1, 1)
# Both years as anybody in the territory counts them, La Réunion (UTC+4) to Paris in winter (UTC+1).
COVERED: Final = Span(
    start=datetime(2025, 12, 31, 20, tzinfo=UTC),
    end=datetime(2027, 12, 31, 23, tzinfo=UTC),
)
_REST: Final = timedelta(hours=24)
# Those of the company have nights of nine hours and are never called from home: two in a row leave 15 h.
_NIGHT_REST: Final = timedelta(hours=11)
# Leave of each year, in weeks from its first Monday on, shifted by person: five weeks each.
_LEAVE_WEEKS: Final = (6, 15, 27, 28, 43)
_WEEK: Final = timedelta(days=7)
_AVERAGED: Final = timedelta(weeks=17)

_NIGHT: Final = ShiftRule(name="nuit", start=time(18, 30), end=time(8, 30))
_EVENING: Final = ShiftRule(name="soirée", start=time(18, 30), end=time(23, 30))
_LATE_EVENING: Final = ShiftRule(name="soirée", start=time(18, 30), end=time(0, 30))
_DEEP_NIGHT: Final = ShiftRule(name="nuit profonde", start=time(23, 30), end=time(8, 30))
_DAYS: Final = (
    ShiftRule(name="samedi", start=time(8, 30), end=time(18, 30), days=DayKind.SATURDAY),
    ShiftRule(name="dimanche ou férié", start=time(8, 30), end=time(18, 30), days=DayKind.SUNDAY_OR_HOLIDAY),
)


def demo_lines() -> tuple[Line, ...]:
    """Return the lines: three readers in the evening, two from 00:30 on, two by day at weekends and on holidays.

    At 23:30 the second reader of the pool hands over to one of the company.
    """
    return (
        _line("lecteur-1", "Lecteur 1", LineKind.DUTY, (_NIGHT, *_DAYS)),
        _line("lecteur-2", "Lecteur 2", LineKind.DUTY, (_EVENING,)),
        _line("lecteur-3", "Lecteur 3", LineKind.DUTY, (_LATE_EVENING,)),
        _line("societe", "Lecteur de la société", LineKind.DUTY, (_DEEP_NIGHT, *_DAYS), is_of_company=True),
        _line("renfort-1", "Renfort 1", LineKind.BACKUP, (_NIGHT, *_DAYS)),
        _line("renfort-2", "Renfort 2", LineKind.BACKUP, (_NIGHT, *_DAYS)),
        _line("senior", "Neuroradiologue d'astreinte", LineKind.SENIOR, (_NIGHT, *_DAYS)),
        _line("coordination", "Coordination médicale", LineKind.COORDINATOR, (_NIGHT, *_DAYS)),
    )


def demo_roster(directory: Directory) -> Roster:
    """Return the roster of 2026 and 2027, as version ``demo``."""
    lines = demo_lines()
    readers = sorted(person.person_id for person in directory.persons.values() if person.role is Role.RADIOLOGIST)
    absences = tuple(chain.from_iterable(_leave(number, person) for number, person in enumerate(readers)))
    plans = _dealt(lines, directory, readers, absences)
    return Roster(
        version="demo",
        lines=lines,
        rotations=(
            Rotation(
                line_id=LineId("coordination"),
                participants=tuple(coordinator_id(number) for number in range(1, COORDINATORS + 1)),
                first_day=FIRST_DAY - timedelta(days=1),
            ),
        ),
        plans=plans,
        absences=absences,
        sessions=_sessions(directory, readers, plans, absences),
    )


def _line(
    line_id: str, name: str, kind: LineKind, rules: tuple[ShiftRule, ...], *, is_of_company: bool = False
) -> Line:
    return Line(
        line_id=LineId(line_id),
        name=name,
        kind=kind,
        provider_id=COMPANY if is_of_company else POOL,
        time_zone=ZONE,
        commune=_COMMUNE,
        rules=rules,
    )


def _leave(number: int, person_id: PersonId) -> list[Absence]:
    found = []
    for year in range(FIRST_DAY.year, END_DAY.year):
        first_monday = date(year, 1, 1) + timedelta(days=-date(year, 1, 1).weekday() % 7)
        for block in _LEAVE_WEEKS:
            monday = first_monday + _WEEK * ((block + 3 * number) % 51)
            span = Span(
                start=span_of(monday, time(0), time(0), ZONE).start,
                end=span_of(monday + _WEEK, time(0), time(0), ZONE).start,
            )
            found.append(Absence(person_id=person_id, span=span))
    return found


@dataclass(kw_only=True, slots=True)
class _Reader:
    """What somebody has been given so far: spans by start, recent duty, shifts of each kind of line at home."""

    person_id: PersonId
    is_of_company: bool
    is_neuro: bool
    away: list[Span]
    taken: list[Span] = field(default_factory=list)
    # Duty of the last 17 weeks, over which the law and the charter average.
    recent: deque[Span] = field(default_factory=deque)
    recent_s: float = 0.0
    at_home: Counter[LineKind] = field(default_factory=Counter)

    def may_take(self, line: Line, span: Span) -> bool:
        if self.is_of_company != (line.provider_id == COMPANY):
            return False
        if line.kind is LineKind.SENIOR and not self.is_neuro:
            return False
        rest = _NIGHT_REST if self.is_of_company else _REST
        place = bisect(self.taken, span)
        if place and self.taken[place - 1].end + rest > span.start:
            return False
        if place < len(self.taken) and span.end + rest > self.taken[place].start:
            return False
        return not any(span.overlaps(one) for one in self.away)

    def take(self, line: Line, span: Span) -> None:
        insort(self.taken, span)
        if line.kind is LineKind.DUTY:
            self.recent.append(span)
            self.recent_s += span.duration.total_seconds()
        else:
            self.at_home[line.kind] += 1

    def carried(self, line: Line, span: Span) -> tuple[float, PersonId]:
        while self.recent and self.recent[0].start < span.start - _AVERAGED:
            self.recent_s -= self.recent.popleft().duration.total_seconds()
        return self.recent_s if line.kind is LineKind.DUTY else self.at_home[line.kind], self.person_id


def _dealt(
    lines: Sequence[Line], directory: Directory, readers: Sequence[PersonId], absences: Sequence[Absence]
) -> tuple[ShiftPlan, ...]:
    """Give each seat to the one of those who may take it who has carried least, in the order of time.

    The seats that fewest people may take are given first, for the whole time: neuroradiologists', then duty, then the
    backups'.
    """
    pool = [_reader(directory, person_id, absences) for person_id in readers]
    plans: list[ShiftPlan] = []
    for kind in (LineKind.SENIOR, LineKind.DUTY, LineKind.BACKUP):
        by_id = {line.line_id: line for line in lines if line.kind is kind}
        seats = chain.from_iterable(slots_overlapping(line, COVERED) for line in by_id.values())
        for seat in sorted(seats, key=lambda seat: (seat.span, seat.line_id)):
            line = by_id[seat.line_id]
            able = (reader for reader in pool if reader.may_take(line, seat.span))
            chosen = min(able, key=lambda reader: reader.carried(line, seat.span))
            chosen.take(line, seat.span)
            plans.append(
                ShiftPlan(
                    shift_id=f"demo-{len(plans):05d}",
                    line_id=seat.line_id,
                    person_id=chosen.person_id,
                    span=seat.span,
                )
            )
    return tuple(sorted(plans, key=lambda plan: (plan.span, plan.line_id)))


def _reader(directory: Directory, person_id: PersonId, absences: Sequence[Absence]) -> _Reader:
    person = directory.persons[person_id]
    return _Reader(
        person_id=person_id,
        is_of_company=person.provider_id == COMPANY,
        is_neuro=person.competence(SubSpecialty.NEURO) is Competence.EXPERT,
        away=[one.span for one in absences if one.person_id == person_id],
    )


def _sessions(
    directory: Directory, readers: Sequence[PersonId], plans: Sequence[ShiftPlan], absences: Sequence[Absence]
) -> tuple[Session, ...]:
    """Return Tuesday mornings at the own hospital for every third reader, where rest and leave allow them."""
    found = []
    for person_id in readers[::3]:
        sites = sorted(directory.persons[person_id].sites)
        taken = [
            Span(start=plan.span.start - _REST, end=plan.span.end + _REST)
            for plan in plans
            if plan.person_id == person_id
        ] + [one.span for one in absences if one.person_id == person_id]
        day = FIRST_DAY + timedelta(days=(1 - FIRST_DAY.weekday()) % 7)
        while day < END_DAY:
            span = span_of(day, time(8, 30), time(12, 30), ZONE)
            if not any(span.overlaps(one) for one in taken):
                found.append(Session(person_id=person_id, span=span, site_id=SiteId(sites[0]) if sites else None))
            day += _WEEK
    return tuple(found)
