"""What the benchmark programs have in common: options, conditions, files and tables of a run.

For: `benchmarks.ingest` and `benchmarks.retrieve`. Not for: measuring. Invariants: a smoke run
writes nothing into the repository unless told where, and says in its file that it is one.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import measure, plots, results
from benchmarks.results import Goal, Measurement
from benchmarks.servers import SERVERS

#: The server that the goals are about.
OURS = "telegarde"

#: Left free on the disk at any time.
FREE_BYTES_MIN = 10_000_000_000

#: The tables need this much when the output is not a terminal, which knows its own width.
_TABLE_COLUMNS = 132


def add_common_options(parser: argparse.ArgumentParser, *, servers: Sequence[str]) -> None:
    """Add the options that every benchmark program has."""
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds; its figures mean nothing")
    parser.add_argument("--repeat", type=int, help="repetitions (5; 1 when quick)")
    parser.add_argument("--nagle", nargs="+", choices=["off", "on"], help="at DCMTK's tools")
    parser.add_argument("--servers", nargs="+", choices=servers, help="what is measured (all that are compared)")
    parser.add_argument("--workers", type=int, help="of our node; its default otherwise")
    parser.add_argument("--output", type=Path, help="JSON file; the plot lies beside it (benchmarks/results/...)")
    parser.add_argument("--work-directory", type=Path, help="on the disk to measure (the temporary directory)")


def make_console() -> Console:
    """Make the console that everything is printed on."""
    console = Console()
    return console if console.is_terminal else Console(width=_TABLE_COLUMNS)


def make_progress(console: Console, *, is_quick: bool) -> Progress:
    """Make the progress bar; a smoke run shows none."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=is_quick,
    )


def require_room(directory: Path, wanted_bytes: int) -> None:
    """End the program when a step would leave less than `FREE_BYTES_MIN` on the disk."""
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < FREE_BYTES_MIN + wanted_bytes:
        message = (
            f"{free_bytes / 1e9:.1f} GB are free in {directory}; this needs "
            f"{(FREE_BYTES_MIN + wanted_bytes) / 1e9:.1f} GB. Free some or use --work-directory."
        )
        raise SystemExit(message)


def conditions(
    benchmark: str,
    directory: Path,
    servers: Sequence[str],
    *,
    repetitions: int,
    workers: int | None,
    is_quick: bool,
) -> dict[str, object]:
    """Say under which conditions figures are taken; call it before measuring."""
    return {
        "benchmark": benchmark,
        "is_smoke_run": is_quick,
        "commit": measure.commit(),
        "begun_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": measure.machine(directory),
        "servers": {
            name: {
                "title": SERVERS[name].title,
                "version": SERVERS[name].version(),
                "durability_at_answer": SERVERS[name].durability,
                "pdu_offered_bytes": SERVERS[name].pdu,
                "nagle": SERVERS[name].nagle,
            }
            for name in servers
        },
        "telegarde_workers": workers or "default",
        "repetitions": repetitions,
    }


@dataclass(frozen=True, kw_only=True)
class Report:
    """How the measurements of a benchmark are told.

    `titles` names what is compared with and is not one of `SERVERS`.
    """

    title: str
    titles: Mapping[str, str] = field(default_factory=dict)
    compared_with: Sequence[str]
    goals: Sequence[Goal]

    def tell(
        self,
        console: Console,
        about: Mapping[str, object],
        measurements: Sequence[Measurement],
        *,
        output: Path | None,
        scratch: Path,
    ) -> None:
        """Write JSON and plot; print the tables, or one line after a smoke run.

        Parameters
        ----------
        output : Path, optional
            The JSON file. When None, a new one in the repository; in `scratch` after a smoke run.
        """
        is_quick, name = bool(about["is_smoke_run"]), about["benchmark"]
        if output is None:
            directory = scratch if is_quick else results.RESULTS_DIRECTORY
            output = directory / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M}.json"
        summaries = results.summarise(measurements)
        compared = results.ratios(summaries, server=OURS, others=self.compared_with)
        verdicts = results.judge(self.goals, summaries, compared, server=OURS)
        results.write_json(
            output,
            about=about,
            measurements=measurements,
            summaries=summaries,
            compared=compared,
            verdicts=verdicts,
        )
        picture = output.with_suffix(".png")
        plots.draw(
            picture,
            title=self.title,
            footnote=_footnote(about),
            titles={**{kind.name: kind.title for kind in SERVERS.values()}, **self.titles},
            summaries=summaries,
        )
        if is_quick:
            console.print(f"benchmarks.{name} --quick: {len(measurements)} measurements, all right")
            return
        results.print_tables(console, title=self.title, summaries=summaries, compared=compared, verdicts=verdicts)
        console.print(f"written: {output} and {picture.name}")


def _footnote(about: Mapping[str, object]) -> str:
    machine = about["machine"]
    assert isinstance(machine, dict)
    return (
        f"commit {about['commit']}; {machine['cores']} cores {machine['cpu']}, "
        f"{machine['file_system']}, Linux {machine['kernel']}; medians of {about['repetitions']}, "
        "lines span the repetitions"
    )
