"""Measures how fast images are received: our node, others, and the speed of light, interleaved.

    python -m benchmarks.ingest            everything, about half an hour
    python -m benchmarks.ingest --quick    a smoke run of some seconds; its figures mean nothing

Every server gets the same files from the same sender (DCMTK's storescu, one process for each
association; the bare copy has its own) under the same conditions, one after the other, and again,
in an order that turns with each repetition. A server starts empty for each measurement, is sent
a few other images first, and must afterwards keep exactly what it acknowledged: a fast wrong run
is an error. Between two measurements its data are deleted and the disk is brought to rest.

What the figures mean: see README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from benchmarks import measure, reports, workloads
from benchmarks.reports import OURS, Report
from benchmarks.results import Cell, Goal, Measurement
from benchmarks.sending import send
from benchmarks.servers import (
    SERVERS,
    RunningServer,
    ServerKind,
    StartOptions,
    WrongResult,
    started,
)
from benchmarks.workloads import Workload

DEFAULT_SERVERS = ("telegarde", "storescp", "orthanc", "pynetdicom", "bare")

_CT_1 = Cell(workload="ct", nagle="off", associations=1)
_CT_4 = Cell(workload="ct", nagle="off", associations=4)
_CT_1_NAGLE = Cell(workload="ct", nagle="on", associations=1)
_MIXED_16 = Cell(workload="mixed", nagle="off", associations=16)

#: Stated for two cores, all servers in the same run.
GOALS = (
    Goal(
        title="images/s against Orthanc, 1 association",
        cell=_CT_1,
        quantity="images_per_s",
        other="orthanc",
        at_least=3.0,
    ),
    Goal(
        title="images/s against storescp, 1 association",
        cell=_CT_1,
        quantity="images_per_s",
        other="storescp",
        at_least=1.0,
    ),
    Goal(
        title="images/s against Orthanc, 4 associations",
        cell=_CT_4,
        quantity="images_per_s",
        other="orthanc",
        at_least=2.5,
    ),
    Goal(
        title="images/s against storescp, 4 associations",
        cell=_CT_4,
        quantity="images_per_s",
        other="storescp",
        at_least=1.0,
    ),
    Goal(
        title="CPU per image against storescp, 1 association",
        cell=_CT_1,
        quantity="cpu_per_image",
        other="storescp",
        at_most=0.5,
    ),
    Goal(
        title="CPU per image against the bare copy, 1 association",
        cell=_CT_1,
        quantity="cpu_per_image",
        other="bare",
        at_most=4.0,
    ),
    Goal(
        title="CPU per image against storescp, 4 associations",
        cell=_CT_4,
        quantity="cpu_per_image",
        other="storescp",
        at_most=0.5,
    ),
    Goal(
        title="CPU per image against the bare copy, 4 associations",
        cell=_CT_4,
        quantity="cpu_per_image",
        other="bare",
        at_most=4.0,
    ),
    Goal(
        title="images/s against storescp with Nagle left on at the sender, 1 association",
        cell=_CT_1_NAGLE,
        quantity="images_per_s",
        other="storescp",
        at_least=8.0,
    ),
    Goal(
        title="peak memory of a worker in bytes, 16 associations and a big object",
        cell=_MIXED_16,
        quantity="peak_memory_bytes",
        at_most=200e6,
    ),
)


REPORT = Report(
    title="Receiving images (medians)",
    compared_with=[name for name in SERVERS if name != OURS],
    goals=GOALS,
)

SENDER = {
    "program": "DCMTK storescu --propose-little, one process for each association; "
    "benchmarks.bare_copy for the bare copy",
    "time": "from the start of the first sender to the end of the last",
    "nagle": "off: TCP_NODELAY=1 in the sender's environment; on: DCMTK's default",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured, in which order."""

    servers: tuple[str, ...]
    workloads: tuple[str, ...]
    nagle: tuple[str, ...]
    associations: tuple[int, ...]
    repetitions: int
    workers: int | None

    def steps(self) -> Iterator[tuple[int, Cell, ServerKind]]:
        """Yield repetition, cell and server; who comes first turns with the repetition."""
        for repetition in range(self.repetitions):
            for cell in self.cells():
                turn = repetition % len(self.servers)
                for name in (*self.servers[turn:], *self.servers[:turn]):
                    yield repetition, cell, SERVERS[name]

    def cells(self) -> list[Cell]:
        """Give the cells of a repetition.

        One object cannot be dealt to several associations; beside others it needs them.
        """
        return [
            Cell(workload=workload, nagle=nagle, associations=associations)
            for workload in self.workloads
            for nagle in self.nagle
            for associations in self.associations
            if (workload != "multiframe" or associations == min(self.associations))
            and (workload != "mixed" or associations == max(self.associations))
        ]


def measure_once(
    kind: ServerKind,
    cell: Cell,
    workload: Workload,
    warm_up: Workload,
    directory: Path,
    *,
    repetition: int,
    workers: int | None,
) -> Measurement:
    """Start a server, warm it up, send the workload, check what it keeps, and remove it.

    Raises
    ------
    WrongResult
        When the server keeps more or fewer instances than it acknowledged.
    """
    no_delay = cell.nagle == "off"
    options = StartOptions(no_delay=no_delay, workers=workers, destinations={})
    hands = workload.deal(cell.associations, directory / "dealt")
    first_hands = warm_up.deal(workloads.WARM_UP_ASSOCIATIONS, directory / "dealt")
    with started(kind, directory / "servers", options) as server:
        send(kind, server, first_hands, no_delay=no_delay)
        with measure.watched(server.process.pid) as usage:
            took_s = send(kind, server, hands, no_delay=no_delay)
        _check(kind, server, wanted=workload.images + warm_up.images)
        # Without the warm-up, which ended first.
        association_rates = server.association_rates()[len(first_hands) :]
    # Whoever comes next must not wait for what this server left in the page cache; what was
    # deleted unwritten is not written any more.
    os.sync()
    return Measurement(
        server=kind.name,
        cell=cell,
        repetition=repetition,
        images=workload.images,
        size_bytes=workload.size_bytes,
        took_s=took_s,
        cpu_s=usage.cpu_s,
        peak_memory_bytes=usage.peak_memory_bytes,
        association_rates=tuple(association_rates),
    )


def _check(kind: ServerKind, server: RunningServer, *, wanted: int) -> None:
    kept = server.kept()
    if kept != wanted:
        message = f"{kind.title} acknowledged {wanted} instances and keeps {kept}"
        raise WrongResult(message)


def run(plan: Plan, directory: Path, sizes: workloads.Sizes, progress: Progress) -> list[Measurement]:
    """Carry out a plan and give every measurement."""
    task = progress.add_task("generating", total=None)
    files = directory / "files"
    warm_up = workloads.warm_up(files)
    made = {name: workloads.make_workload(name, files, sizes) for name in plan.workloads}
    os.sync()
    measurements = []
    steps = list(plan.steps())
    progress.update(task, total=len(steps))
    for repetition, cell, kind in steps:
        progress.update(
            task,
            description=f"{made[cell.workload].title}, Nagle {cell.nagle}, {cell.associations} assoc.: {kind.title}",
        )
        # A server may hold the images twice while it works.
        reports.require_room(directory, 2 * made[cell.workload].size_bytes)
        measurements.append(
            measure_once(
                kind,
                cell,
                made[cell.workload],
                warm_up,
                directory,
                repetition=repetition,
                workers=plan.workers,
            )
        )
        progress.advance(task)
    return measurements


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description="how fast images are received")
    reports.add_common_options(parser, servers=list(SERVERS))
    parser.add_argument("--associations", type=int, nargs="+", help="(1 4 16; 1 4 when quick)")
    parser.add_argument("--workloads", nargs="+", choices=list(workloads.WORKLOADS))
    return parser.parse_args(arguments)


def make_plan(arguments: argparse.Namespace) -> Plan:
    """Fill in what the command line left open."""
    quick = arguments.quick
    return Plan(
        servers=tuple(arguments.servers or DEFAULT_SERVERS),
        workloads=tuple(arguments.workloads or (["ct", "mixed"] if quick else workloads.WORKLOADS)),
        nagle=tuple(arguments.nagle or (["off"] if quick else ["off", "on"])),
        associations=tuple(arguments.associations or ([1, 4] if quick else [1, 4, 16])),
        repetitions=arguments.repeat or (1 if quick else 5),
        workers=arguments.workers,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; gives the exit status."""
    parsed = parse_arguments(arguments)
    plan = make_plan(parsed)
    sizes = workloads.SMOKE if parsed.quick else workloads.FULL
    console = reports.make_console()
    with tempfile.TemporaryDirectory(prefix="telegarde-ingest-", dir=parsed.work_directory) as temporary:
        directory = Path(temporary)
        about = reports.conditions(
            "ingest",
            directory,
            plan.servers,
            repetitions=plan.repetitions,
            workers=plan.workers,
            is_quick=parsed.quick,
        )
        with reports.make_progress(console, is_quick=parsed.quick) as progress:
            measurements = run(plan, directory, sizes, progress)
        REPORT.tell(
            console,
            {**about, "sender": SENDER},
            measurements,
            output=parsed.output,
            scratch=directory,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
