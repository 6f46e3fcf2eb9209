"""Measures how fast studies are sent out: our node and Orthanc, interleaved, to DCMTK.

    python -m benchmarks.retrieve            everything, some minutes
    python -m benchmarks.retrieve --quick    a smoke run of some seconds; its figures mean nothing

Both servers are loaded with the same studies and stay up. In turn, DCMTK's `movescu` has each of
them send a study to DCMTK's `storescp`, and `getscu` fetches it. What arrives is counted after each
retrieval and deleted. The time is that of the whole `movescu` or `getscu` process. The images were
written a moment before, so they are read from the page cache; reading from a cold disk is not
measured here.

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

DESTINATION_AE_TITLE = "DEST"

#: Two thousand images through Orthanc with Nagle on take a minute or two.
RETRIEVAL_TIMEOUT_S = 900.0

_LOADING_ASSOCIATIONS = 4

#: By what share received files may be smaller than the ones sent (their headers are written anew).
_SIZE_TOLERANCE = 0.02

REPORT = Report(
    title="Sending studies out (medians)",
    compared_with=["orthanc"],
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
    "move": "DCMTK movescu; images to DCMTK storescp --fork with its default PDU of 16,384 bytes",
    "get": "DCMTK getscu with its default PDU of 16,384 bytes",
    "time": "of the whole movescu or getscu process",
    "nagle": "off: TCP_NODELAY=1 in the environment of DCMTK's tools and of Orthanc; on: default",
    "cache": "images were stored just before and are read from memory",
}


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """One way to get one study."""

    verb: str
    study: Workload
    study_uid: str

    @property
    def name(self) -> str:
        """For the tables."""
        return f"{self.verb} {self.study.images}"

    def arguments(self, server: RunningServer, directory: Path) -> list[str]:
        """Give the command line of `movescu` or `getscu`."""
        how = ["-aem", DESTINATION_AE_TITLE] if self.verb == "move" else ["--output-directory", str(directory)]
        return [
            *("--study", *how, "-aet", "BENCHMARK", "-aec", server.ae_title),
            *("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={self.study_uid}"),
            *(LOOPBACK, str(server.port)),
        ]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured."""

    servers: tuple[str, ...]
    verbs: tuple[str, ...]
    images: tuple[int, ...]
    nagle: tuple[str, ...]
    repetitions: int
    workers: int | None


def retrieve_once(
    server: RunningServer, retrieval: Retrieval, directory: Path, *, no_delay: bool
) -> tuple[float, measure.Usage]:
    """Retrieve a study, count what arrived, and delete it.

    Parameters
    ----------
    directory : Path
        Where the images arrive; empty before and after.

    Returns
    -------
    (float, Usage)
        Seconds, and what the server used.

    Raises
    ------
    PeerFailed
        When the retrieving program failed.
    WrongResult
        When other than the whole study arrived.
    """
    client: Client = "movescu" if retrieval.verb == "move" else "getscu"
    with measure.watched(server.process.pid) as usage:
        begun_s = time.monotonic()
        finished = run_client(
            client,
            retrieval.arguments(server, directory),
            no_delay=no_delay,
            timeout_s=RETRIEVAL_TIMEOUT_S,
        )
        took_s = time.monotonic() - begun_s
    if finished.returncode != 0:
        message = f"{client} ended with status {finished.returncode}: {finished.stderr[-2000:]}"
        raise PeerFailed(message)
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
    return took_s, usage


def run(plan: Plan, directory: Path, progress: Progress) -> list[Measurement]:
    """Carry out a plan and give every measurement."""
    task = progress.add_task("generating", total=None)
    studies = [_study(directory / "files", images) for images in plan.images]
    retrievals = [
        Retrieval(verb=verb, study=study, study_uid=study_uid) for study, study_uid in studies for verb in plan.verbs
    ]
    total = len(plan.nagle) * plan.repetitions * len(retrievals) * len(plan.servers)
    progress.update(task, total=total)
    stored_bytes = sum(study.size_bytes for study, _ in studies)
    measurements: list[Measurement] = []
    for nagle in plan.nagle:
        reports.require_room(directory, (len(plan.servers) + 1) * 2 * stored_bytes)
        no_delay = nagle == "off"
        with ExitStack() as stack:
            destination = stack.enter_context(
                storescp(
                    directory / "destination",
                    ae_title=DESTINATION_AE_TITLE,
                    options=(),
                    no_delay=no_delay,
                )
            )
            servers = _loaded(plan, directory, stack, destination, studies, no_delay=no_delay)
            for repetition, name, retrieval in _turns(plan, retrievals):
                progress.update(task, description=f"{retrieval.name}, Nagle {nagle}: {name}")
                fetched = directory / "fetched"
                fetched.mkdir(exist_ok=True)
                target = destination.directory if retrieval.verb == "move" else fetched
                took_s, usage = retrieve_once(servers[name], retrieval, target, no_delay=no_delay)
                os.sync()
                measurements.append(
                    Measurement(
                        server=name,
                        cell=Cell(workload=retrieval.name, nagle=nagle, associations=1),
                        repetition=repetition,
                        images=retrieval.study.images,
                        size_bytes=retrieval.study.size_bytes,
                        took_s=took_s,
                        cpu_s=usage.cpu_s,
                        peak_memory_bytes=usage.peak_memory_bytes,
                    )
                )
                progress.advance(task)
        shutil.rmtree(directory / "destination")
    return measurements


def _study(directory: Path, images: int) -> tuple[Workload, str]:
    """Write a CT study; gives it and its UID."""
    name = f"study-{images}"
    files = write_ct_study(directory / name, seed=images, slices=images)
    study = Workload(name=name, title=f"{images} CT", files=tuple(files))
    return study, _study_uid(study)


def _study_uid(study: Workload) -> str:
    return str(pydicom.dcmread(study.files[0], stop_before_pixels=True).StudyInstanceUID)


def _loaded(
    plan: Plan,
    directory: Path,
    stack: ExitStack,
    destination: StorageServer,
    studies: Sequence[tuple[Workload, str]],
    *,
    no_delay: bool,
) -> Mapping[str, RunningServer]:
    """Start the servers, fill them, and let each send once without being measured."""
    options = StartOptions(
        no_delay=no_delay,
        workers=plan.workers,
        destinations={DESTINATION_AE_TITLE: destination.port},
    )
    servers: dict[str, RunningServer] = {}
    for name in plan.servers:
        kind = SERVERS[name]
        server = stack.enter_context(started(kind, directory / "servers", options))
        for study, _ in studies:
            hands = study.deal(_LOADING_ASSOCIATIONS, directory / "dealt")
            # However slowly the study is retrieved, it is loaded at full speed.
            send(kind, server, hands, no_delay=True)
        study, study_uid = studies[0]
        warm_up = Retrieval(verb="move", study=study, study_uid=study_uid)
        retrieve_once(server, warm_up, destination.directory, no_delay=no_delay)
        servers[name] = server
    os.sync()
    return servers


def _turns(plan: Plan, retrievals: Sequence[Retrieval]) -> Iterator[tuple[int, str, Retrieval]]:
    """Interleave the servers; who comes first turns with the repetition."""
    for repetition in range(plan.repetitions):
        turn = repetition % len(plan.servers)
        for retrieval in retrievals:
            for name in (*plan.servers[turn:], *plan.servers[:turn]):
                yield repetition, name, retrieval


def make_plan(arguments: argparse.Namespace) -> Plan:
    """Fill in what the command line left open."""
    quick = arguments.quick
    return Plan(
        servers=tuple(arguments.servers or ARCHIVES),
        verbs=("move", "get"),
        images=tuple(arguments.images or ([20] if quick else [250, 2000])),
        nagle=tuple(arguments.nagle or (["off"] if quick else ["off", "on"])),
        repetitions=arguments.repeat or (1 if quick else 5),
        workers=arguments.workers,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieve", description="how fast studies are sent out")
    reports.add_common_options(parser, servers=ARCHIVES)
    parser.add_argument("--images", type=int, nargs="+", help="in a study (250 2000; 20 when quick)")
    parsed = parser.parse_args(arguments)
    plan = make_plan(parsed)
    console = reports.make_console()
    with tempfile.TemporaryDirectory(prefix="telegarde-retrieve-", dir=parsed.work_directory) as temporary:
        directory = Path(temporary)
        about = reports.conditions(
            "retrieve",
            directory,
            plan.servers,
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
