"""``telegarde oncall simulate``: one drawn night, read by the engine with as many people as the roster has.

The night is drawn after the model of the nights benchmark; the engine's own code reads it on a virtual clock. Its
hospitals are the territory's, the biggest first. Not for: comparing policies (``python -m benchmarks.nights``).
"""

import argparse
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from foundation.clock import Clock
from foundation.errors import Refused
from oncall.local_time import first_instant
from oncall.reading.board import Urgency
from oncall.reading.policy import DEFAULT
from oncall.rota.model import LineKind, Shift
from oncall.simulation.arrivals import Night, draw_night, hospital_names
from oncall.simulation.engine_run import EngineOnCall
from oncall.simulation.night import NightResult, Staffing, simulate
from oncall.spans import Span
from territory.cli_oncall_place import InForce, day_of, load_in_force, open_database, shift_json
from territory.cli_output import answer
from territory.cli_tables import print_rows

# When the roster is asked how many read in the evening and in the deep night.
_EVENING: Final = time(20)
_DEEP_NIGHT: Final = time(2)
_HOUR_MIN: Final = 60.0
_VOLUME_MAX: Final = 1_000


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``simulate``."""
    if not 1 <= arguments.volume <= _VOLUME_MAX:
        raise Refused(f"--volume {arguments.volume}: 1 to {_VOLUME_MAX} studies can be expected of a night")
    if arguments.seed < 0:
        raise Refused("--seed is a whole number from 0 on")
    with open_database(arguments) as database:
        territory = load_in_force(database)
    now = clock.now()
    today = now.astimezone(ZoneInfo(territory.zone)).date()
    day = today if arguments.night is None else day_of(arguments.night, option="--night")
    evening = first_instant(day, _EVENING, territory.zone)
    deep = first_instant(day + timedelta(days=1), _DEEP_NIGHT, territory.zone)
    on_duty = _on_duty(territory, evening)
    staffing = _staffing(territory, on_duty, _on_duty(territory, deep))
    night = draw_night(arguments.seed, arguments.volume)
    sites = {case.arrived.site for case in night.cases}
    result = simulate(night, staffing, EngineOnCall(staffing, sites, DEFAULT))
    found: dict[str, Any] = {
        "night": day.isoformat(),
        "seed": arguments.seed,
        "roster_version": territory.roster.version,
        "readers": {"evening": staffing.evening, "deep_night": staffing.deep_night},
        "callable_backups": staffing.callable_backups,
        **_figures(night, result),
        "hospitals": _by_hospital(territory, night, result),
        "on_duty": [shift_json(shift, territory) for shift in on_duty],
    }
    if arguments.json:
        answer(arguments, found, title="")
        return 0
    print_rows("On duty in the evening", ("line", "name", "start", "end"), found["on_duty"])
    print_rows("Share reported within the hour", ("site", "cases", "share_within_60"), found["hospitals"])
    rest = {key: value for key, value in found.items() if key not in ("hospitals", "on_duty")}
    if "share_within_60" in rest:
        rest["share_within_60"] = f"{rest['share_within_60']:.1%}"
    answer(arguments, rest, title=f"Night of {day.isoformat()}, seed {arguments.seed}")
    return 0


def _on_duty(territory: InForce, at: datetime) -> list[Shift]:
    return list(territory.timeline(Span(start=at, end=at + timedelta(minutes=1))).on_duty(at))


def _staffing(territory: InForce, evening: list[Shift], deep: list[Shift]) -> Staffing:
    def count(shifts: list[Shift], kind: LineKind) -> int:
        return sum(territory.lines[shift.line_id].kind is kind for shift in shifts if shift.line_id in territory.lines)

    found = Staffing(
        evening=count(evening, LineKind.DUTY),
        deep_night=count(deep, LineKind.DUTY),
        callable_backups=count(evening, LineKind.BACKUP),
    )
    if not found.evening or not found.deep_night:
        raise Refused("the roster has nobody on duty in that night; telegarde oncall gaps lists empty seats")
    return found


def _figures(night: Night, result: NightResult) -> dict[str, Any]:
    if not night.cases:
        return {"cases": 0}
    done = {outcome.case_id: outcome for outcome in result.outcomes}
    turnaround = [float(done[case.arrived.case_id].done_min - case.arrived.ready_min) for case in night.cases]
    p1_waits = [
        float(done[case.arrived.case_id].start_min - case.arrived.ready_min)
        for case in night.cases
        if case.arrived.urgency is Urgency.P1
    ]
    p50, p95, p99 = (float(value) for value in np.percentile(turnaround, [50, 95, 99]))
    return {
        "cases": len(night.cases),
        "share_within_60": round(sum(one <= _HOUR_MIN for one in turnaround) / len(turnaround), 4),
        "p50_min": round(p50, 1),
        "p95_min": round(p95, 1),
        "p99_min": round(p99, 1),
        "max_min": round(max(turnaround), 1),
        "p1_cases": len(p1_waits),
        "p1_wait_p90_min": round(float(np.percentile(p1_waits, 90)), 1) if p1_waits else None,
        "backup_calls": len(result.backups),
        "backup_hours": round(result.backup_hours, 2),
    }


def _by_hospital(territory: InForce, night: Night, result: NightResult) -> list[dict[str, Any]]:
    """Return each hospital's share; the model's are given to the territory's, those with most services first."""
    sites = sorted(territory.directory.sites.values(), key=lambda site: (-len(site.services), site.site_id))
    names = dict(zip(hospital_names(), (site.site_id for site in sites), strict=False))
    done = {outcome.case_id: outcome.done_min for outcome in result.outcomes}
    within: dict[str, list[bool]] = {}
    for case in night.cases:
        turnaround = float(done[case.arrived.case_id] - case.arrived.ready_min)
        within.setdefault(names.get(case.arrived.site, case.arrived.site), []).append(turnaround <= _HOUR_MIN)
    return [
        {"site": site, "cases": len(found), "share_within_60": round(sum(found) / len(found), 3)}
        for site, found in sorted(within.items(), key=lambda item: -len(item[1]))
    ]
