"""Lets the engine read nights in which something goes wrong, beside the same nights in which nothing does.

    python -m benchmarks.nights.faults --volume 80 --nights 30

silence: who had nothing to do for 20 minutes after 00:30 does not hear one page in five, and wakes 25 minutes later.
lost: a reader's line is dead from 22:00. burst: 15 polytraumas within an hour from 22:00. cut-off: the biggest
hospital's network is down from 21:00 to 22:00, and its images are complete together when it is back.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import reports
from benchmarks.nights import figures
from benchmarks.nights.figures import CaseTimes, PlayedNight
from oncall.reading.policy import DEFAULT
from oncall.simulation.arrivals import READERS_CHANGE_MIN, Night, draw_night
from oncall.simulation.engine_run import EngineOnCall, everybody
from oncall.simulation.night import NightResult, Staffing, simulate
from oncall.simulation.perturbations import DropOut, Silence, with_burst, with_site_cut_off

_STAFFING: Final = Staffing(evening=3, deep_night=2)
_TEN_IN_THE_EVENING_MIN: Final = Decimal(1320)
_CASUALTIES: Final = 15
FAULTS: Final = ("nothing", "silence", "lost", "burst", "cut-off")


def play(fault: str, seed: int, volume: int) -> tuple[Night, NightResult]:
    """Let the engine read one night with one fault."""
    night = draw_night(seed, volume)
    if fault == "burst":
        night = with_burst(night, seed=seed, at_min=_TEN_IN_THE_EVENING_MIN, casualties=_CASUALTIES)
    if fault == "cut-off":
        night = with_site_cut_off(
            night, site="H01", from_min=_TEN_IN_THE_EVENING_MIN - 60, until_min=_TEN_IN_THE_EVENING_MIN
        )
    silence = Silence(seed=seed) if fault == "silence" else None
    drop_outs = [DropOut(person="reader-2", at_min=_TEN_IN_THE_EVENING_MIN)] if fault == "lost" else []
    sites = {case.arrived.site for case in night.cases}
    engine = EngineOnCall(_STAFFING, sites, DEFAULT, answers=everybody if silence is None else silence.hears)
    return night, simulate(night, _STAFFING, engine, silence=silence, drop_outs=drop_outs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the nights and print a table; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nights.faults", description="nights with faults")
    parser.add_argument("--volume", type=int, default=80, help="cases a night (80)")
    parser.add_argument("--nights", type=int, default=30, help="of each fault (30)")
    parsed = parser.parse_args(arguments)
    console = reports.make_console()
    played: dict[str, list[PlayedNight]] = {fault: [] for fault in FAULTS}
    deep: dict[str, list[CaseTimes]] = {fault: [] for fault in FAULTS}
    with reports.make_progress(console, is_quick=False) as progress:
        bar = progress.add_task("nights", total=len(FAULTS) * parsed.nights)
        for seed in range(1000, 1000 + parsed.nights):
            for fault in FAULTS:
                night, result = play(fault, seed, parsed.volume)
                times = figures.times_of(night, result)
                # The bound is not asked: readers who are lost or asleep are not in its capacity.
                played[fault].append(
                    PlayedNight(
                        seed=seed,
                        cases=times,
                        backup_calls=len(result.backups),
                        backup_hours=result.backup_hours,
                        bound_in_time=len(times),
                    )
                )
                deep[fault] += [
                    one
                    for case, one in zip(night.cases, times, strict=True)
                    if case.arrived.ready_min >= READERS_CHANGE_MIN
                ]
                progress.update(bar, advance=1, description=fault)
    _print(console, parsed.volume, played, deep)
    return 0


def _print(
    console: Console,
    volume: int,
    played: Mapping[str, Sequence[PlayedNight]],
    deep: Mapping[str, Sequence[CaseTimes]],
) -> None:
    table = Table(title=f"{volume} cases a night, {len(played['nothing'])} nights, what goes wrong")
    for column in ("fault", "in 60 min", "after 00:30", "wait p95", "p95", "p99", "max", "P1 p90", "calls", "hours"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for fault, nights in played.items():
        summary = figures.summarise(nights)
        table.add_row(
            fault,
            f"{summary.share_of_nights.mean:.4f}",
            f"{sum(case.is_in_time for case in deep[fault]) / max(1, len(deep[fault])):.4f}",
            # From images to opening, after 00:30: where silence shows.
            f"{np.percentile([case.wait_min for case in deep[fault]] or [0.0], 95):.1f}",
            *(f"{value:.1f}" for value in (summary.p95_min, summary.p99_min, summary.max_min)),
            "" if summary.p1_wait_p90_min is None else f"{summary.p1_wait_p90_min:.1f}",
            f"{summary.backup_calls / summary.nights:.2f}",
            f"{summary.backup_hours_per_night:.2f}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
