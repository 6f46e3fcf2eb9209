"""``telegarde oncall generate``: the seats of some weeks or months filled, legal by construction, and published.

For: planners who have written the rules of their lines, leave and the shifts that are fixed (locked plans). Not for:
the search (`oncall.rota.generate`), or lines that rotations fill.

Invariants: what is published has passed the law of rest and leaves no seat empty; locked plans and agreed swaps stay;
where there is no such roster nothing changes, and what stands against it is said in words.
"""

import argparse
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from foundation.clock import Clock
from foundation.errors import Refused
from oncall.directory import LineId, PersonId
from oncall.local_time import first_instant
from oncall.roster_publication import publish_roster
from oncall.rota.generate import generate, with_generated
from oncall.rota.generation import GeneratedRoster, GenerationRequest, Infeasible, NotFound, Progress
from oncall.rota.model import Roster
from oncall.spans import Span
from territory.cli_oncall_place import InForce, day_of, load_in_force, open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows

# The law averages over four months; half a year is as far as leave is known.
_DAYS_MAX: Final = 190
_SEARCH_S_MAX: Final = 3_600
# Whoever had a line's seats within a year before is who may have them again.
_LOOK_BACK: Final = timedelta(days=366)


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``generate``: exit code 1 when there is no such roster, or none was found in time."""
    if not 1 <= arguments.search_s <= _SEARCH_S_MAX:
        raise Refused(f"--search-s {arguments.search_s}: 1 to {_SEARCH_S_MAX} seconds can be searched")
    now = clock.now().astimezone(UTC)
    with open_database(arguments) as database:
        territory = load_in_force(database)
        request = _request(arguments, territory, now)
        found = generate(request, None if arguments.json or not sys.stderr.isatty() else _tell)
        if not isinstance(found, GeneratedRoster):
            return _answer_none(arguments, request, found)
        after = with_generated(territory.roster, request, found, territory.roster.version)
        version = None
        if not arguments.dry_run:
            with database.write(durable=True) as connection:
                version = publish_roster(
                    connection, after, territory.directory, by=arguments.by, now=clock.now().astimezone(UTC)
                ).roster.version
    title = "It can be filled; nothing was changed" if arguments.dry_run else "Filled and published"
    answer(arguments, {**_figures(request, found, territory.roster), "version": version}, title=title)
    return 0


def _request(arguments: argparse.Namespace, territory: InForce, now: datetime) -> GenerationRequest:
    first_day = day_of(arguments.first_day, option="--from")
    until = day_of(arguments.until, option="--to")
    if not timedelta(0) < until - first_day <= timedelta(days=_DAYS_MAX):
        raise Refused(f"--to has to be 1 to {_DAYS_MAX} days after --from")
    if first_day <= now.astimezone(ZoneInfo(territory.zone)).date():
        raise Refused(f"--from {first_day}: what is before tomorrow stays as it is; generate from tomorrow on")
    lines = _lines(arguments, territory)
    eligible = _eligible(arguments, territory, lines, first_day)
    return GenerationRequest(
        roster=territory.roster,
        directory=territory.directory,
        first_day=first_day,
        until=until,
        people=tuple(sorted(frozenset().union(*eligible.values()))),
        lines=lines,
        eligible=eligible,
        search_s_max=float(arguments.search_s),
        seed=arguments.seed,
    )


def _lines(arguments: argparse.Namespace, territory: InForce) -> frozenset[LineId]:
    turning = {rotation.line_id for rotation in territory.roster.rotations}
    if not arguments.line:
        return frozenset(line_id for line_id, line in territory.lines.items() if line.rules and line_id not in turning)
    chosen = frozenset(territory.line(name).line_id for name in arguments.line)
    if turned := sorted(chosen & turning):
        raise Refused(f"a rotation fills {', '.join(turned)} already; leave it out, or take the rotation off")
    if bare := sorted(line_id for line_id in chosen if not territory.lines[line_id].rules):
        raise Refused(f"{', '.join(bare)} has no rules that say when somebody is wanted; write them into the roster")
    return chosen


def _eligible(
    arguments: argparse.Namespace, territory: InForce, lines: frozenset[LineId], first_day: date
) -> dict[LineId, frozenset[PersonId]]:
    if arguments.person:
        people = frozenset(territory.person(name) for name in arguments.person)
        return dict.fromkeys(lines, people)
    end = first_instant(first_day, datetime.min.time(), territory.zone)
    shifts = territory.timeline(Span(start=end - _LOOK_BACK, end=end)).shifts
    found = {
        line_id: frozenset(
            shift.person_id
            for shift in shifts
            if shift.line_id == line_id and shift.person_id in territory.directory.persons
        )
        for line_id in lines
    }
    if nobodys := sorted(line_id for line_id, people in found.items() if not people):
        raise Refused(f"nobody had {', '.join(nobodys)} in the year before; say who may have it with --person")
    return found


def _figures(request: GenerationRequest, found: GeneratedRoster, before: Roster) -> dict[str, Any]:
    locked = {plan.shift_id for plan in before.plans if plan.locked}
    return {
        "from": request.first_day.isoformat(),
        "to": request.until.isoformat(),
        "lines": sorted(request.lines),
        "people": len(request.people),
        "shifts": len(found.plans),
        "locked": sum(plan.shift_id in locked for plan in found.plans),
        "search_s": round(found.search_s, 1),
        "is_proven_best": found.is_proven_best,
        "spread": {
            "burden_hours": round(found.spread.burden_hours, 1),
            "deep_nights": found.spread.deep_nights,
            "weekends": found.spread.weekends,
            "holidays": found.spread.holidays,
            "backups": found.spread.backups,
        },
    }


def _answer_none(arguments: argparse.Namespace, request: GenerationRequest, found: Infeasible | NotFound) -> int:
    result: dict[str, Any] = {
        "from": request.first_day.isoformat(),
        "to": request.until.isoformat(),
        "lines": sorted(request.lines),
        "people": len(request.people),
        "shifts": 0,
        "version": None,
    }
    if isinstance(found, NotFound):
        message = f"no roster and no proof that there is none in {found.search_s:.0f} s; give more with --search-s"
        answer(arguments, {**result, "message": message}, title="NOT filled")
        return 1
    demands = [
        {"kind": one.kind.value, "person_id": one.person_id, "text": one.text_fr, "text_en": one.text_en}
        for one in found.conflict
    ]
    result |= {"message": found.message_fr, "message_en": found.message_en, "is_minimal": found.is_minimal}
    if arguments.json:
        answer(arguments, {**result, "conflict": demands}, title="")
        return 1
    print_rows("What cannot hold together", ("kind", "person_id", "text_en"), demands)
    answer(arguments, result, title="NOT filled: there is no such roster")
    return 1


def _tell(progress: Progress) -> None:
    print(f"{progress.search_s:.0f} s: roster {progress.rosters_found}", file=sys.stderr)
