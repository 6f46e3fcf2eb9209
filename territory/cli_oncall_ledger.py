"""``telegarde oncall ledger`` and ``holidays``: who carried how much, and which days count as holidays where.

Not for: what counts (`oncall.rota.ledger`, `oncall.public_holidays`).
"""

import argparse
from datetime import timedelta
from typing import Any, Final

from foundation.clock import Clock
from foundation.errors import Refused
from oncall.engine.duty_rows import worked_calls
from oncall.engine.read_minutes import minutes_read
from oncall.local_time import local_day
from oncall.public_holidays import holidays_of, is_commune
from oncall.rota.coverage import coverage_gaps
from oncall.rota.ledger import csv_text, ledger, quality, row_values
from oncall.rota.model import LineKind
from territory.cli_oncall_place import InForce, load_in_force, local_text, open_database, span_of
from territory.cli_output import answer
from territory.cli_tables import print_rows

# As long as hours are averaged (R.6152-708).
_LOOK_BACK: Final = timedelta(weeks=17)
_COLUMNS: Final = (
    "person_id", "name", "shifts", "nights", "deep_nights", "weekends", "holidays", "hours", "backup_hours", "calls",
    "call_hours", "minutes_read", "burden",
)  # fmt: skip
_YEARS: Final = range(1990, 2100)


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``ledger`` or ``holidays``."""
    return _holidays(arguments, clock) if arguments.oncall_command == "holidays" else _ledger(arguments, clock)


def _ledger(arguments: argparse.Namespace, clock: Clock) -> int:
    now = clock.now()
    with open_database(arguments) as database:
        territory = load_in_force(database)
        within = span_of(arguments, zone=territory.zone, now=now, begin=-_LOOK_BACK, length=_LOOK_BACK)
        with database.read() as connection:
            calls, read = worked_calls(connection, within.start - timedelta(days=1)), minutes_read(connection, within)
    timeline = territory.timeline(within)
    rows = ledger((*timeline.shifts, *calls), territory.roster.lines, within, minutes_read=read)
    if arguments.csv:
        print(csv_text(rows), end="")
        return 0
    duty = {line.line_id for line in territory.roster.lines if line.kind is LineKind.DUTY}
    gaps = [gap.span for gap in coverage_gaps(timeline, within) if gap.line_id in duty]
    inside = [shift.span.intersection(within) for shift in timeline.shifts if shift.line_id in duty]
    seat_hours = sum(span.hours for span in (*inside, *gaps) if span is not None)
    persons = territory.directory.persons
    found = quality(rows, seat_hours, gaps)
    result: dict[str, Any] = {
        "from": local_text(within.start, territory.zone),
        "to": local_text(within.end, territory.zone),
        "roster_version": territory.roster.version,
        "coverage": round(found.coverage, 4),
        "balance": round(found.balance, 4),
        "people": [
            {**row_values(row), "name": persons[row.person_id].name if row.person_id in persons else row.person_id}
            for row in rows
        ],
    }
    if arguments.json:
        answer(arguments, result, title="")
        return 0
    print_rows(
        f"Ledger, {result['from']} to {result['to']}: coverage {found.coverage:.1%}, balance {found.balance:.1%}",
        _COLUMNS,
        result["people"],
        nothing="Nobody had a shift then.",
    )
    return 0


def _holidays(arguments: argparse.Namespace, clock: Clock) -> int:
    with open_database(arguments) as database:
        territory = load_in_force(database)
    year = arguments.year or local_day(clock.now(), territory.zone).year
    if year not in _YEARS:
        raise Refused(f"--year {year}: a year from {_YEARS[0]} to {_YEARS[-1]} is wanted")
    places = _communes(arguments, territory)
    days: dict[Any, dict[str, Any]] = {}
    for commune, who in sorted(places.items()):
        for one in holidays_of(year, commune):
            entry = {"day": one.day.isoformat(), "name": one.name_en, "name_fr": one.name_fr, "sites": []}
            days.setdefault((one.day, one.name_en), entry)["sites"].extend(who)
    everywhere = sorted(site for who in places.values() for site in who)
    rows = [{**days[key], "sites": sorted(days[key]["sites"])} for key in sorted(days)]
    if arguments.json:
        answer(arguments, {"year": year, "holidays": rows}, title="")
        return 0
    # Of one place that was asked for, every day is one of all places.
    is_of_all = arguments.site is None and arguments.commune is None
    shown = [
        {**row, "sites": "everywhere" if is_of_all and row["sites"] == everywhere else row["sites"]} for row in rows
    ]
    print_rows(f"Public holidays of {year}", ("day", "name", "name_fr", "sites"), shown)
    return 0


def _communes(arguments: argparse.Namespace, territory: InForce) -> dict[str, list[str]]:
    """Return the communes that are asked about, each with the hospitals there."""
    if arguments.commune:
        if not is_commune(arguments.commune):
            raise Refused(f"--commune {arguments.commune}: an INSEE commune code like 42218 is wanted")
        return {arguments.commune: [arguments.commune]}
    wanted = {territory.site(arguments.site)} if arguments.site else set(territory.directory.sites)
    found: dict[str, list[str]] = {}
    for site_id in sorted(wanted):
        found.setdefault(territory.directory.sites[site_id].commune, []).append(site_id)
    return found
