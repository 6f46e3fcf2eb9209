"""Plays many drawn nights of several volumes with every contender, and tells what came of it.

Every single night is in the JSON file, and everything else in it can be computed from them. Nights are played in
several processes; each is a pure function of its seed and volume, so the figures do not depend on how many.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import measure, reports, results
from benchmarks.nights import figures, goals, plots, tables
from benchmarks.nights.conditions import versions
from benchmarks.nights.contenders import CONTENDERS, Stage
from benchmarks.nights.figures import PlayedNight, Summary
from benchmarks.nights.files import write_night
from oncall.simulation.arrivals import draw_night
from oncall.simulation.night import Staffing


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which nights are played by whom; ``processes`` None means one for each core."""

    volumes: tuple[int, ...]
    seeds: tuple[int, ...]
    contenders: tuple[str, ...]
    staffing: Staffing
    processes: int | None
    is_quick: bool


@dataclass(frozen=True, kw_only=True)
class _Task:
    volume: int
    seed: int
    contenders: tuple[str, ...]
    staffing: Staffing


#: By volume and contender, in the order of the seeds.
Played = dict[int, dict[str, list[PlayedNight]]]


def _play(task: _Task) -> tuple[_Task, dict[str, PlayedNight]]:
    stage = Stage(draw_night(task.seed, task.volume), task.staffing, seed=task.seed)
    return task, {name: stage.play(name)[0] for name in task.contenders}


def play(plan: Plan, console: Console, *, is_quiet: bool) -> Played:
    """Play every night of a plan."""
    tasks = [
        _Task(volume=volume, seed=seed, contenders=plan.contenders, staffing=plan.staffing)
        for volume in plan.volumes
        for seed in plan.seeds
    ]
    played: Played = {volume: {name: [] for name in plan.contenders} for volume in plan.volumes}
    with reports.make_progress(console, is_quick=is_quiet) as progress:
        bar = progress.add_task("nights", total=len(tasks))
        for task, night in _done(tasks, plan.processes or len(os.sched_getaffinity(0))):
            for name, result in night.items():
                played[task.volume][name].append(result)
            progress.update(bar, advance=1, description=f"{task.volume} cases a night")
    return played


def _done(tasks: Sequence[_Task], processes: int) -> Iterator[tuple[_Task, dict[str, PlayedNight]]]:
    """Yield the played nights in the order of the tasks."""
    if processes == 1:
        yield from map(_play, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_play, tasks)


def run(plan: Plan, *, json_file: Path | None, output: Path | None, nights_into: Path | None) -> int:
    """Play, write JSON and plot, and print the tables; gives the exit status."""
    is_json = json_file == Path("-")
    console = Console(stderr=True) if is_json else reports.make_console()
    begun = datetime.now(UTC)
    about: dict[str, object] = {
        "benchmark": "nights",
        "is_smoke_run": plan.is_quick,
        "begun_utc": begun.isoformat(timespec="seconds"),
        "machine": measure.machine(Path.cwd()),
        "versions": versions(),
        "seeds": [plan.seeds[0], plan.seeds[-1]],
        "readers": [plan.staffing.evening, plan.staffing.deep_night],
        "contenders": {name: CONTENDERS[name].title for name in plan.contenders},
    }
    if nights_into is not None:
        for volume in plan.volumes:
            for seed in plan.seeds:
                write_night(nights_into / f"night-{volume}-{seed}.csv", draw_night(seed, volume))
    played = play(plan, console, is_quiet=plan.is_quick or is_json)
    summaries = {
        volume: {name: figures.summarise(nights) for name, nights in by_name.items()}
        for volume, by_name in played.items()
    }
    content = _content(about, played, summaries)
    text = json.dumps(content, indent=1) + "\n"
    if is_json:
        print(text, end="")
        return 0
    directory = Path(tempfile.gettempdir()) if plan.is_quick else results.RESULTS_DIRECTORY
    path = json_file or output or directory / f"nights-{begun:%Y%m%d-%H%M}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    picture = path.with_suffix(".png")
    plots.draw(picture, footnote=_footnote(plan, versions()), played=played, summaries=summaries)
    if plan.is_quick:
        console.print(f"benchmarks.nights --quick: {len(plan.seeds) * len(plan.volumes)} nights, all right")
        return 0
    for volume, by_name in summaries.items():
        tables.print_summaries(console, f"{volume} cases a night, {len(plan.seeds)} nights", by_name)
        tables.print_paired(console, _paired(played[volume]))
    for verdict in goals.judge(summaries, played):
        word = "reached" if verdict.is_reached else "MISSED"
        console.print(f"{word:8} {verdict.goal}: {verdict.value:.4g} (wanted {verdict.wanted})")
    console.print(f"written: {path} and {picture.name}")
    return 0


def _paired(by_name: Mapping[str, Sequence[PlayedNight]]) -> dict[str, figures.Mean]:
    """Compare the first contender with the others."""
    (_, ours), *others = by_name.items()
    return figures.paired(ours, dict(others))


def _content(
    about: Mapping[str, object], played: Played, summaries: Mapping[int, Mapping[str, Summary]]
) -> dict[str, object]:
    return {
        **about,
        "percentiles": "linear between ranks, over all cases of all nights, minutes from images complete",
        "goals": [asdict(verdict) for verdict in goals.judge(summaries, played)],
        "volumes": [
            {
                "volume": volume,
                "summaries": {name: asdict(summary) for name, summary in by_name.items()},
                "ahead_of": {name: asdict(mean) for name, mean in _paired(played[volume]).items()},
                "hospitals": {
                    name: figures.shares_by_hospital(case for night in nights for case in night.cases)
                    for name, nights in played[volume].items()
                },
            }
            for volume, by_name in summaries.items()
        ],
        "nights": [
            {
                "volume": volume,
                "seed": night.seed,
                "contender": name,
                "cases": len(night.cases),
                "in_time": night.in_time,
                "bound_in_time": night.bound_in_time,
                "backup_calls": night.backup_calls,
                "backup_hours": night.backup_hours,
                "cpu_s": round(night.cpu_s, 4),
                "turnaround_min": [round(case.turnaround_min, 3) for case in night.cases],
                "p1_wait_min": [round(case.wait_min, 3) for case in night.cases if case.is_p1],
            }
            for volume, by_name in played.items()
            for name, nights in by_name.items()
            for night in nights
        ],
    }


def _footnote(plan: Plan, named: Mapping[str, str]) -> str:
    return (
        f"commit {named['commit']}, policy {named['policy']}; seeds {plan.seeds[0]} to {plan.seeds[-1]}; "
        f"readers {plan.staffing.evening}, from 00:30 {plan.staffing.deep_night}"
    )
