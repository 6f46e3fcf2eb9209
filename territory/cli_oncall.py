"""``telegarde oncall``: which module does which command, and the two questions asked most: who, and where are gaps."""

import argparse
import importlib
from datetime import datetime, timedelta
from typing import Any, Final

from foundation.clock import Clock, SystemClock
from oncall.rota.coverage import Gap, absence_conflicts, coverage_gaps, double_bookings
from oncall.rota.model import Shift
from oncall.rota.timeline import Timeline, provider_on
from oncall.spans import Span
from territory.cli_oncall_place import (
    InForce,
    instant_of,
    load_in_force,
    local_text,
    open_database,
    shift_json,
    span_of,
)
from territory.cli_output import answer
from territory.cli_tables import print_rows

_MODULES: Final = {
    "import": "territory.cli_oncall_import",
    "export": "territory.cli_oncall_export",
    "holidays": "territory.cli_oncall_ledger",
    "ledger": "territory.cli_oncall_ledger",
    "generate": "territory.cli_oncall_generate",
    "swap": "territory.cli_oncall_swap",
    "simulate": "territory.cli_oncall_simulate",
    "plan-blanc": "territory.cli_oncall_recall",
    "recall-end": "territory.cli_oncall_recall",
    "case": "territory.cli_oncall_case",
    "why": "territory.cli_oncall_case",
    "evidence": "territory.cli_oncall_evidence",
    "verify-evidence": "territory.cli_oncall_evidence",
    "reconcile": "territory.cli_oncall_evidence",
    "verify-log": "territory.cli_oncall_evidence",
    "anchor": "territory.cli_oncall_evidence",
    "figures": "territory.cli_oncall_figures",
    "morning-report": "territory.cli_oncall_figures",
    "monthly-report": "territory.cli_oncall_figures",
    "billing": "territory.cli_oncall_figures",
    "templates": "territory.cli_oncall_templates",
    "protocols": "territory.cli_oncall_protocols",
    "keys": "territory.cli_oncall_keys",
    "deliveries": "territory.cli_oncall_deliveries",
    "authorise": "territory.cli_oncall_deliveries",
}
_MINUTE: Final = timedelta(minutes=1)
# A shift lasts no longer than a day and the hour of a clock change.
_SHIFT_MAX: Final = timedelta(hours=25)
# How far ahead gaps are looked for when nobody says.
_LOOK_AHEAD: Final = timedelta(days=366)


def run(arguments: argparse.Namespace, clock: Clock | None = None) -> int:
    """Run an on-call command; without a clock, at the time that it is."""
    clock = clock or SystemClock()
    if arguments.oncall_command == "who":
        return _who(arguments, clock)
    if arguments.oncall_command == "gaps":
        return _gaps(arguments, clock)
    return int(importlib.import_module(_MODULES[arguments.oncall_command]).run(arguments, clock))


def _who(arguments: argparse.Namespace, clock: Clock) -> int:
    now = clock.now()
    with open_database(arguments) as database:
        territory = load_in_force(database)
    at = instant_of(arguments.at, option="--at", zone=territory.zone, now=now)
    moment = Span(start=at, end=at + _MINUTE)
    timeline = territory.timeline(moment)
    shifts = _asked(arguments, territory, timeline, moment)
    line_ids = {arguments.line} if arguments.line else set(territory.lines)
    around = Span(start=at - _SHIFT_MAX, end=at + _SHIFT_MAX)
    empty = [gap for gap in coverage_gaps(timeline, around) if gap.line_id in line_ids and at in gap.span]
    change = timeline.next_change(at)
    zone = territory.directory.sites[territory.site(arguments.site)].time_zone if arguments.site else territory.zone
    result: dict[str, Any] = {
        "at": local_text(at, zone),
        "at_utc": local_text(at, "UTC"),
        "roster_version": territory.roster.version,
        "on_duty": [_with_contacts(arguments, territory, shift) for shift in shifts],
        "gaps": [_gap_json(gap, territory) for gap in empty],
        "next_change": local_text(change, zone) if change is not None else None,
    }
    if arguments.site:
        site = territory.directory.sites[territory.site(arguments.site)]
        result["providers"] = list(provider_on(site, at, territory.directory))
    if arguments.json:
        answer(arguments, result, title="")
    else:
        _print_who(result)
    return 1 if empty else 0


def _asked(arguments: argparse.Namespace, territory: InForce, timeline: Timeline, moment: Span) -> list[Shift]:
    order = list(territory.lines)
    if arguments.site:
        shifts = list(timeline.on_duty_for(territory.site(arguments.site), moment.start))
    else:
        shifts = sorted(timeline.on_duty(moment.start), key=lambda shift: order.index(shift.line_id))
    if arguments.line:
        line = territory.line(arguments.line)
        shifts = [shift for shift in shifts if shift.line_id == line.line_id]
    return shifts


def _with_contacts(arguments: argparse.Namespace, territory: InForce, shift: Shift) -> dict[str, Any]:
    found = shift_json(shift, territory)
    if arguments.contacts:
        methods = territory.directory.persons[shift.person_id].contact_methods
        found["contacts"] = [{"kind": method.kind.value, "address": method.address} for method in methods]
    return found


def _gap_json(gap: Gap, territory: InForce) -> dict[str, Any]:
    zone = territory.lines[gap.line_id].time_zone
    return {
        "line_id": gap.line_id,
        "line": territory.lines[gap.line_id].name,
        "rule": gap.rule,
        "start": local_text(gap.span.start, zone),
        "end": local_text(gap.span.end, zone),
        "hours": round(gap.span.hours, 2),
        "absent": list(gap.absent),
    }


def _print_who(result: dict[str, Any]) -> None:
    print_rows(
        f"On duty at {result['at']}",
        ("line", "name", "person_id", "start", "end", "rule"),
        result["on_duty"],
        nothing="Nobody, and no line has hours then.",
    )
    for shift in result["on_duty"]:
        for method in shift.get("contacts", ()):
            print(f"  {shift['person_id']}  {method['kind']:<6} {method['address']}")
    for gap in result["gaps"]:
        print(f"EMPTY: {gap['line']} ({gap['line_id']}), from {gap['start']} to {gap['end']}")
    if result["next_change"]:
        print(f"next change at {result['next_change']}")


def _gaps(arguments: argparse.Namespace, clock: Clock) -> int:
    now = clock.now()
    with open_database(arguments) as database:
        territory = load_in_force(database)
    within = _planned(arguments, territory, now)
    timeline = territory.timeline(within)
    gaps = coverage_gaps(timeline, within)
    doubles = double_bookings(timeline, within)
    conflicts = absence_conflicts(timeline, within)
    result = {
        "from": local_text(within.start, territory.zone),
        "to": local_text(within.end, territory.zone),
        "roster_version": territory.roster.version,
        "gaps": [_gap_json(gap, territory) for gap in gaps],
        "double_bookings": [
            {
                "person_id": one.person_id,
                "start": local_text(one.span.start, territory.zone),
                "end": local_text(one.span.end, territory.zone),
                "lines": [shift.line_id for shift in one.shifts],
                "session": one.session is not None,
            }
            for one in doubles
        ],
        "absence_conflicts": [
            {
                "person_id": one.person_id,
                "start": local_text(one.span.start, territory.zone),
                "end": local_text(one.span.end, territory.zone),
                "line_id": one.shift.line_id,
                "absence": one.absence.kind,
            }
            for one in conflicts
        ],
    }
    if arguments.json:
        answer(arguments, result, title="")
    else:
        _print_gaps(result)
    return 1 if gaps or doubles or conflicts else 0


def _print_gaps(result: dict[str, Any]) -> None:
    when = f"{result['from']} to {result['to']}"
    print_rows(
        f"Empty seats, {when}",
        ("line", "start", "end", "hours", "absent"),
        result["gaps"],
        nothing=f"No empty seat from {when}.",
    )
    print_rows("In two places at once", ("person_id", "start", "end", "lines"), result["double_bookings"])
    print_rows("On duty during leave", ("person_id", "start", "end", "line_id"), result["absence_conflicts"])


def _planned(arguments: argparse.Namespace, territory: InForce, now: datetime) -> Span:
    """Return the span to look at: unless somebody says to when, a year, or as far as shifts are written down."""
    within = span_of(arguments, zone=territory.zone, now=now, begin=timedelta(0), length=_LOOK_AHEAD)
    turning = {rotation.line_id for rotation in territory.roster.rotations}
    written = [plan.span.end for plan in territory.roster.plans if plan.line_id not in turning]
    if arguments.end is not None or not written or not within.start < max(written) < within.end:
        return within
    return Span(start=within.start, end=max(written))
