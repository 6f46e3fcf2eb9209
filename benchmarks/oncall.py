"""How long the on-call engine takes: who is on duty, an assignment among a hundred open cases, a roster of four months.

Run as ``python -m benchmarks.oncall [--repeat 5] [--search-s 30] [--output FILE]``. Everything is on the demonstration
territory (18 hospitals, 30 radiologists, two years of roster) with an override every day of a year. What is found is
checked: the generated roster is complete, and no rule of rest stands against it.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

from benchmarks.nights.conditions import versions
from oncall.case.event import CaseId
from oncall.directory import Directory, LineId, Person, PersonId, ProviderId, Role, SubSpecialty
from oncall.local_time import span_of
from oncall.reading.assignment import decide, next_case
from oncall.reading.board import Board, ExamKind, Reader, ReadyCase, Urgency
from oncall.reading.forecast import forecast
from oncall.reading.policy import DEFAULT
from oncall.rota.coverage import coverage_gaps
from oncall.rota.generate import generate, with_generated
from oncall.rota.generation import GeneratedRoster, GenerationRequest
from oncall.rota.legal import Severity, violations
from oncall.rota.model import Absence, DayKind, Line, LineKind, Override, OverrideKind, Roster, ShiftRule
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from territory.demo_roster import demo_roster
from territory.demo_territory import demo_directory, reader_id

GOALS_S = {"who_is_on_duty": 0.001, "assign_100_cases": 0.010, "generate_4_months": 60.0}
NIGHT = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
_FIRST_DAY, _UNTIL = date(2026, 9, 1), date(2027, 1, 1)


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description="How fast the on-call engine answers.")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument(
        "--search-s", type=float, default=30.0, help="how long the roster search may look (%(default)s)"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/oncall.json"))
    given = parser.parse_args()
    directory = demo_directory()
    timeline = a_year_of_overrides(directory)
    board = a_hundred_cases(directory, timeline)
    asked = [NIGHT + timedelta(minutes=17 * number) for number in range(1000)]
    person = board.readers[0].person_id
    seconds = {
        "who_is_on_duty": best(given.repeat, lambda: [timeline.on_duty(at) for at in asked]) / len(asked),
        "assign_100_cases": best(given.repeat, lambda: decide(board, directory, DEFAULT)),
        "next_case_of_100": best(given.repeat, lambda: next_case(board, person, directory, DEFAULT)),
        "forecast_100_cases": best(given.repeat, lambda: forecast(board, directory, DEFAULT)),
        "generate_4_months": generated(given.search_s),
    }
    result: dict[str, Any] = {
        "benchmark": "oncall",
        "versions": versions(),
        "readers": len(board.readers),
        "seconds": seconds,
        "goals_s": GOALS_S,
    }
    for name, taken_s in seconds.items():
        goal_s = GOALS_S.get(name)
        word = "" if goal_s is None else f"goal {goal_s:g} s {'reached' if taken_s <= goal_s else 'MISSED'}"
        print(f"{name:20} {taken_s * 1000:12.3f} ms  {word}")
    given.output.write_text(json.dumps(result, indent=1) + "\n")


def best(repeat: int, work: Callable[[], object]) -> float:
    """Return the median of the seconds that some work takes."""
    taken = []
    for _ in range(repeat):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def a_year_of_overrides(directory: Directory) -> Timeline:
    """Return the demonstration roster of a year in which somebody replaces somebody every day."""
    roster = demo_roster(directory)
    overrides = tuple(
        Override(
            override_id=f"o{number}",
            line_id=roster.lines[0].line_id,
            kind=OverrideKind.REPLACE,
            span=span_of(date(2026, 1, 1) + timedelta(days=number), clock(18, 30), clock(22, 0), "Europe/Paris"),
            added=reader_id(number % 28 + 1),
        )
        for number in range(365)
    )
    within = Span(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC))
    return Timeline(replace(roster, overrides=overrides), directory, within)


def a_hundred_cases(directory: Directory, timeline: Timeline) -> Board:
    """Return a board with a hundred open cases and whoever is on duty."""
    chance = random.Random(1)
    now_s = NIGHT.timestamp()
    sites = sorted(directory.sites)
    kinds = list(ExamKind)
    cases = []
    for number in range(100):
        exam = chance.choice(kinds)
        ready_at_s = now_s - chance.uniform(0, 3000)
        is_first = exam in {ExamKind.STROKE, ExamKind.WHOLE_BODY}
        cases.append(
            ReadyCase(
                case_id=CaseId(f"c{number}"),
                site_id=chance.choice(sites),
                urgency=Urgency.P1 if is_first else Urgency.P2,
                exam=exam,
                needs=SubSpecialty.GENERAL,
                ready_at_s=ready_at_s,
                deadline_at_s=ready_at_s + 3600,
                target_at_s=ready_at_s + 3600,
                expected_read_s=DEFAULT.expected_s(exam),
                patient_key=f"p{number}",
            )
        )
    readers = tuple(
        Reader(
            person_id=shift.person_id,
            on_duty_from_s=shift.span.start.timestamp(),
            off_duty_at_s=shift.span.end.timestamp(),
        )
        for shift in timeline.on_duty(NIGHT)
    )
    return Board(now_s=now_s, cases=tuple(cases), readers=readers)


def generated(search_s: float) -> float:
    """Generate four months for thirty radiologists, check the roster, and return the seconds that it took."""
    request = _to_fill(search_s)
    begun = time.perf_counter()
    found = generate(request)
    taken_s = time.perf_counter() - begun
    if not isinstance(found, GeneratedRoster):
        message = f"no roster was found ({type(found).__name__}); the figures mean nothing"
        raise SystemExit(message)
    roster = with_generated(request.roster, request, found, "generated")
    around = Span(start=_instant(_FIRST_DAY - timedelta(weeks=18)), end=_instant(_UNTIL + timedelta(weeks=18)))
    timeline = Timeline(roster, request.directory, around)
    broken = [
        one
        for person in request.directory.persons.values()
        for one in violations(
            person.person_id,
            timeline.shifts,
            roster.sessions,
            request.limits,
            around,
            lines=roster.lines,
            person=person,
            absences=roster.absences,
        )
        if one.severity is not Severity.NOTICE
    ]
    # Seats that begin after the last midnight are no longer asked for.
    asked = Span(start=_instant(_FIRST_DAY), end=_instant(_UNTIL) - timedelta(hours=11))
    empty = coverage_gaps(timeline, asked)
    if broken or empty:
        message = f"{len(broken)} rules broken, {len(empty)} seats empty; the figures mean nothing"
        raise SystemExit(message)
    return taken_s


def _to_fill(search_s: float) -> GenerationRequest:
    # Three evening readers, two from half past midnight on, two by day at weekends and on holidays, one backup.
    chance = random.Random(2)
    people = tuple(PersonId(f"g{number:02}") for number in range(30))
    persons = {
        one: Person(person_id=one, name=one, role=Role.RADIOLOGIST, teleradiology_share_max=0.25) for one in people
    }
    evening = ShiftRule(name="evening", start=clock(18, 30), end=clock(0, 30))
    deep_night = ShiftRule(name="deep night", start=clock(0, 30), end=clock(8, 30))
    days = tuple(
        ShiftRule(name=kind.value, start=clock(8, 30), end=clock(18, 30), days=kind)
        for kind in (DayKind.SATURDAY, DayKind.SUNDAY_OR_HOLIDAY)
    )
    whole = ShiftRule(name="night", start=clock(18, 30), end=clock(8, 30))
    lines = (
        _line("reader-1", LineKind.DUTY, evening, deep_night, *days),
        _line("reader-2", LineKind.DUTY, evening, deep_night, *days),
        _line("reader-3", LineKind.DUTY, evening),
        _line("backup", LineKind.BACKUP, whole),
    )
    leave = tuple(
        Absence(person_id=one, span=Span(start=start, end=start + timedelta(days=14)))
        for one in people
        for start in [_instant(_FIRST_DAY + timedelta(days=chance.randrange(100)))]
    )
    return GenerationRequest(
        roster=Roster(version="draft", lines=lines, absences=leave),
        directory=Directory(sites={}, persons=persons, providers={}),
        first_day=_FIRST_DAY,
        until=_UNTIL,
        people=people,
        search_s_max=search_s,
    )


def _line(name: str, kind: LineKind, *rules: ShiftRule) -> Line:
    return Line(
        line_id=LineId(name),
        name=name,
        kind=kind,
        provider_id=ProviderId("pool"),
        time_zone="Europe/Paris",
        commune="42187",
        rules=rules,
    )


def _instant(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 10, tzinfo=UTC)


if __name__ == "__main__":
    main()
