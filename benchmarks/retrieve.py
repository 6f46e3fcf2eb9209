"""Measures how fast studies are sent out: our node and Orthanc, interleaved, to DCMTK.

    python -m benchmarks.retrieve            everything, about a quarter of an hour
    python -m benchmarks.retrieve --quick    a smoke run of some seconds; its figures mean nothing

The servers are loaded with the same studies and stay up. In turn, DCMTK's `movescu` has each of
them send a study to DCMTK's `storescp`, and `getscu` fetches it; and DCMTK's `storescu` sends the
same files to the same `storescp` without any archive, which shows what that destination can take.
What arrives is counted after each retrieval and deleted. The time is that of the whole client
process. The images were written a moment before, so they are read from the page cache; reading
from a cold disk is not measured here.

What the figures mean: see README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pydicom
from rich.progress import Progress

from benchmarks import measure, reports
from benchmarks.peers.dcmtk import Client, StorageServer, run_client, storescp
from benchmarks.peers.processes import LOOPBACK, PeerFailed
from benchmarks.reports import Report
from benchmarks.results import Cell, Goal, Measurement
from benchmarks.sending import send
from benchmarks.servers import SERVERS, RunningServer, StartOptions, WrongResult, started
from benchmarks.studies import write_ct_study
from benchmarks.workloads import Workload

#: What can be asked for studies.
ARCHIVES = ("telegarde", "orthanc")

#: Not an archive: storescu sends the files themselves.
DIRECT = "direct"

#: The ways to retrieve: to a storescp with these options, or (None) to getscu.
DESTINATIONS: Mapping[str, tuple[str, ...] | None] = {
    "move": (),
    "move, PDU 128 KiB": ("+B", "--max-pdu", "131072"),
    "get": None,
}

#: Two thousand images through Orthanc with Nagle on take a minute or two.
RETRIEVAL_TIMEOUT_S = 900.0

_LOADING_ASSOCIATIONS = 4

#: By what share received files may be smaller than the ones sent (their headers are written anew).
_SIZE_TOLERANCE = 0.02

REPORT = Report(
    title="Sending studies out (medians)",
    compared_with=["orthanc", DIRECT],
    titles={DIRECT: "DCMTK storescu from the files, no archive"},
    goals=(
        Goal(
            title="images/s of C-MOVE against Orthanc, 250 images",
            cell=Cell(workload="move 250", nagle="off", associations=1),
            quantity="images_per_s",
            other="orthanc",
            at_least=2.0,
        ),
    ),
)

RECEIVER = {
    "move": "DCMTK movescu; images to DCMTK storescp --fork, default PDU of 16,384 bytes",
    "move, PDU 128 KiB": "DCMTK movescu; images to DCMTK storescp --fork +B --max-pdu 131072",
    "get": "DCMTK getscu, default PDU of 16,384 bytes",
    "time": "of the whole movescu, getscu or storescu process",
    "nagle": "off: TCP_NODELAY=1 in the environment of DCMTK's tools and of Orthanc; on: default",
    "cache": "images were stored just before and are read from memory",
}


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """One way (a key of `DESTINATIONS`) to get one study."""

    way: str
    study: Workload
    study_uid: str

    @property
    def name(self) -> str:
        """For the tables."""
        return f"{self.way} {self.study.images}"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one retrieval took; `cpu_s` and `peak_memory_bytes` are the sender's."""

    took_s: float
    cpu_s: float
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured."""

    servers: tuple[str, ...]
    ways: tuple[str, ...]
    images: tuple[int, ...]
    nagle: tuple[str, ...]
    repetitions: int
    workers: int | None


class Bench:
    """The servers and destinations of one setting of Nagle, running and loaded."""

    def __init__(self, plan: Plan, directory: Path, *, no_delay: bool) -> None:
        self._plan = plan
        self._directory = directory
        self._no_delay = no_delay
        self._stack = ExitStack()
        self._servers: dict[str, RunningServer] = {}
        self._destinations: dict[str, StorageServer] = {}

    def __enter__(self) -> Self:
        for number, way in enumerate(self._plan.ways):
            options = DESTINATIONS[way]
            if options is not None:
                place = self._directory / "destinations" / str(number)
                started_here = storescp(place, ae_title=f"DEST{number}", options=options, no_delay=self._no_delay)
                self._destinations[way] = self._stack.enter_context(started_here)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        shutil.rmtree(self._directory / "destinations", ignore_errors=True)

    def load(self, studies: Sequence[Workload]) -> None:
        """Start the servers and fill them, at full speed however slowly they will be asked."""
        options = StartOptions(
            no_delay=self._no_delay,
            workers=self._plan.workers,
            destinations={d.ae_title: d.port for d in self._destinations.values()},
        )
        for name in self._plan.servers:
            if name == DIRECT:
                continue
            kind = SERVERS[name]
            server = self._stack.enter_context(started(kind, self._directory / "servers", options))
            for study in studies:
                hands = study.deal(_LOADING_ASSOCIATIONS, self._directory / "dealt")
                send(kind, server, hands, no_delay=True)
            self._servers[name] = server
        os.sync()

    def retrieve(self, name: str, retrieval: Retrieval) -> Taken:
        """Have one server send a study, count what arrived, and delete it.

        Raises
        ------
        PeerFailed
            When the retrieving program failed.
        WrongResult
            When other than the whole study arrived.
        """
        destination = self._destinations.get(retrieval.way)
        if destination is not None:
            arrival = destination.directory
        else:
            arrival = self._directory / "fetched"
            arrival.mkdir(exist_ok=True)
        if name == DIRECT:
            assert destination is not None
            taken = self._send_directly(destination, retrieval.study)
        else:
            taken = self._ask(self._servers[name], destination, retrieval.study_uid, arrival)
        _empty(arrival, retrieval)
        os.sync()
        return taken

    def _ask(
        self,
        server: RunningServer,
        destination: StorageServer | None,
        study_uid: str,
        arrival: Path,
    ) -> Taken:
        client: Client = "getscu" if destination is None else "movescu"
        how = ["-od", str(arrival)] if destination is None else ["-aem", destination.ae_title]
        wanted = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid}"]
        called = ["-aet", "BENCHMARK", "-aec", server.ae_title, LOOPBACK, str(server.port)]
        with measure.watched(server.process.pid) as usage:
            took_s = self._run(client, ["-S", *how, *wanted, *called])
        return Taken(took_s=took_s, cpu_s=usage.cpu_s, peak_memory_bytes=usage.peak_memory_bytes)

    def _send_directly(self, destination: StorageServer, study: Workload) -> Taken:
        (hand,) = study.deal(1, self._directory / "dealt")
        called = ["-aec", destination.ae_title, "+sd", LOOPBACK, str(destination.port)]
        before_s = measure.collected_children_cpu_seconds()
        took_s = self._run("storescu", ["-aet", "BENCHMARK", *called, str(hand)])
        cpu_s = measure.collected_children_cpu_seconds() - before_s
        return Taken(took_s=took_s, cpu_s=cpu_s, peak_memory_bytes=0)

    def _run(self, client: Client, arguments: Sequence[str]) -> float:
        """Run a client to its end; gives its seconds."""
        begun_s = time.monotonic()
        finished = run_client(client, arguments, no_delay=self._no_delay, timeout_s=RETRIEVAL_TIMEOUT_S)
        took_s = time.monotonic() - begun_s
        if finished.returncode != 0:
            message = f"{client} ended with status {finished.returncode}: {finished.stderr[-2000:]}"
            raise PeerFailed(message)
        return took_s


def _empty(directory: Path, retrieval: Retrieval) -> None:
    """Count what arrived and delete it."""
    files = [path for path in directory.iterdir() if path.is_file()]
    size_bytes = sum(path.stat().st_size for path in files)
    for path in files:
        path.unlink()
    wanted_bytes = retrieval.study.size_bytes * (1 - _SIZE_TOLERANCE)
    if len(files) != retrieval.study.images or size_bytes < wanted_bytes:
        message = (
            f"{retrieval.name}: {len(files)} images of {size_bytes} bytes arrived, "
            f"{retrieval.study.images} of {retrieval.study.size_bytes} were asked for"
        )
        raise WrongResult(message)


def run(plan: Plan, directory: Path, progress: Progress) -> list[Measurement]:
    """Carry out a plan and give every measurement."""
    task = progress.add_task("generating", total=None)
    studies = [_study(directory / "files", images) for images in plan.images]
    retrievals = [Retrieval(way=way, study=study, study_uid=study_uid(study)) for study in studies for way in plan.ways]
    turns = {nagle: list(_turns(plan, retrievals, nagle)) for nagle in plan.nagle}
    progress.update(task, total=sum(map(len, turns.values())))
    measurements: list[Measurement] = []
    for nagle in plan.nagle:
        stored_bytes = sum(study.size_bytes for study in studies)
        reports.require_room(directory, (len(plan.servers) + 1) * 2 * stored_bytes)
        with Bench(plan, directory, no_delay=nagle == "off") as bench:
            progress.update(task, description=f"Nagle {nagle}: storing")
            bench.load(studies)
            for name in plan.servers:
                # Not measured: the first sending of each server, of the smallest study.
                bench.retrieve(name, retrievals[0])
            for repetition, name, retrieval in turns[nagle]:
                progress.update(task, description=f"Nagle {nagle}, {retrieval.name}: {name}")
                taken = bench.retrieve(name, retrieval)
                measurements.append(
                    Measurement(
                        server=name,
                        cell=Cell(workload=retrieval.name, nagle=nagle, associations=1),
                        repetition=repetition,
                        images=retrieval.study.images,
                        size_bytes=retrieval.study.size_bytes,
                        took_s=taken.took_s,
                        cpu_s=taken.cpu_s,
                        peak_memory_bytes=taken.peak_memory_bytes,
                    )
                )
                progress.advance(task)
    return measurements


def _study(directory: Path, images: int) -> Workload:
    name = f"study-{images}"
    files = write_ct_study(directory / name, seed=images, slices=images)
    return Workload(name=name, title=f"{images} CT", files=tuple(files))


def study_uid(study: Workload) -> str:
    """Read the Study Instance UID of a workload that is one study."""
    return str(pydicom.dcmread(study.files[0], stop_before_pixels=True).StudyInstanceUID)


def _turns(plan: Plan, retrievals: Sequence[Retrieval], nagle: str) -> Iterator[tuple[int, str, Retrieval]]:
    """Interleave the servers; who comes first turns with the repetition.

    With Nagle on, only the smallest study is retrieved: the others stall on every image alike, and 2,000 of them
    take more than a minute and a half each time.
    """
    smallest = min(plan.images)
    for repetition in range(plan.repetitions):
        turn = repetition % len(plan.servers)
        for retrieval in retrievals:
            if nagle == "on" and retrieval.study.images > smallest:
                continue
            for name in (*plan.servers[turn:], *plan.servers[:turn]):
                if name != DIRECT or DESTINATIONS[retrieval.way] is not None:
                    yield repetition, name, retrieval


def make_plan(arguments: argparse.Namespace) -> Plan:
    """Fill in what the command line left open."""
    quick = arguments.quick
    return Plan(
        servers=tuple(arguments.servers or (*ARCHIVES, DIRECT)),
        ways=tuple(DESTINATIONS),
        images=tuple(arguments.images or ([20] if quick else [250, 2000])),
        nagle=tuple(arguments.nagle or (["off"] if quick else ["off", "on"])),
        repetitions=arguments.repeat or (1 if quick else 5),
        workers=arguments.workers,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieve", description="how fast studies are sent out")
    reports.add_common_options(parser, servers=(*ARCHIVES, DIRECT))
    parser.add_argument("--images", type=int, nargs="+", help="in a study (250 2000; 20 when quick)")
    parsed = parser.parse_args(arguments)
    plan = make_plan(parsed)
    console = reports.make_console()
    with tempfile.TemporaryDirectory(prefix="telegarde-retrieve-", dir=parsed.work_directory) as temporary:
        directory = Path(temporary)
        about = reports.conditions(
            "retrieve",
            directory,
            [name for name in plan.servers if name != DIRECT],
            repetitions=plan.repetitions,
            workers=plan.workers,
            is_quick=parsed.quick,
        )
        with reports.make_progress(console, is_quick=parsed.quick) as progress:
            measurements = run(plan, directory, progress)
        REPORT.tell(
            console,
            {**about, "receiver": RECEIVER},
            measurements,
            output=parsed.output,
            scratch=directory,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
