"""The benchmarks measure what they say, and refuse a server that loses what it acknowledged."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import ingest, measure, retrieve, workloads
from benchmarks.peers.dcmtk import storescp
from benchmarks.peers.processes import PeerFailed, ServerProcess
from benchmarks.results import Cell, Measurement
from benchmarks.sending import send
from benchmarks.servers import (
    SERVERS,
    RunningServer,
    ServerKind,
    StartOptions,
    WrongResult,
    started,
)
from benchmarks.workloads import Sizes, Workload

TINY = Sizes(ct_images=4, mr_images=4, multiframe_bytes=2_000_000)
ONE_ASSOCIATION = Cell(workload="ct", nagle="off", associations=1)


def measure_tiny(kind: ServerKind, directory: Path) -> Measurement:
    return ingest.measure_once(
        kind,
        ONE_ASSOCIATION,
        workloads.make_workload("ct", directory / "files", TINY),
        workloads.warm_up(directory / "files"),
        directory,
        repetition=0,
        workers=None,
    )


@pytest.mark.parametrize("name", list(SERVERS))
def test_a_server_is_measured_and_nothing_of_it_is_left(name: str, tmp_path: Path) -> None:
    measured = measure_tiny(SERVERS[name], tmp_path)
    assert measured.images == 4
    assert measured.took_s > 0
    assert measured.peak_memory_bytes > 1_000_000
    assert len(measured.association_rates) == (1 if name == "telegarde" else 0)
    assert not (tmp_path / "servers" / name).exists()


def test_a_server_that_loses_what_it_acknowledged_is_an_error(tmp_path: Path) -> None:
    @contextmanager
    def forgetful(directory: Path, options: StartOptions) -> Iterator[RunningServer]:
        with storescp(directory, options=["--ignore"], no_delay=options.no_delay) as server:
            yield RunningServer(
                ae_title=server.ae_title,
                port=server.port,
                process=server.process,
                kept=lambda: len(server.files()),
            )

    kind = replace(SERVERS["storescp"], start=forgetful)
    with pytest.raises(WrongResult, match="acknowledged 20 instances and keeps 0"):
        measure_tiny(kind, tmp_path)


def test_a_sender_that_fails_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "not-dicom").write_bytes(b"x" * 100)
    kind = SERVERS["storescp"]
    options = StartOptions(no_delay=True, workers=None, destinations={})
    with (
        started(kind, tmp_path / "servers", options) as server,
        pytest.raises(PeerFailed, match="a sender ended with status"),
    ):
        send(kind, server, [tmp_path / "hand"], no_delay=True)


def test_cpu_of_children_counts_whether_they_live_or_have_died(tmp_path: Path) -> None:
    program = (
        "import os, time\n"
        "def burn(seconds):\n"
        "    while time.process_time() < seconds: pass\n"
        "if os.fork() == 0:\n"
        "    burn(0.2); os._exit(0)\n"
        "os.wait()\n"
        "if os.fork() == 0:\n"
        "    burn(0.2); print('burnt', flush=True); time.sleep(600)\n"
        "time.sleep(600)\n"
    )
    with ServerProcess("burning", [sys.executable, "-c", program], directory=tmp_path) as process:
        process.wait_until_ready(lambda: "burnt" in process.output())
        assert 0.38 <= measure.cpu_seconds(process.pid) < 2.0


def test_peak_memory_is_that_of_the_biggest_process(tmp_path: Path) -> None:
    program = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    block = bytearray(80_000_000); block = None\n"
        "    print('allocated', flush=True); time.sleep(600)\n"
        "time.sleep(600)\n"
    )
    with ServerProcess("greedy", [sys.executable, "-c", program], directory=tmp_path) as process:
        process.wait_until_ready(lambda: "allocated" in process.output())
        assert 80_000_000 < measure.peak_memory_bytes(process.pid) < 130_000_000


def test_what_a_server_used_is_what_it_used_while_it_was_watched(tmp_path: Path) -> None:
    program = "import time\nwhile True: pass\n"
    with ServerProcess("busy", [sys.executable, "-c", program], directory=tmp_path) as process:
        process.wait_until_ready(lambda: measure.cpu_seconds(process.pid) > 0.3)
        begun_s = time.monotonic()
        with measure.watched(process.pid) as usage:
            deadline = measure.cpu_seconds(process.pid) + 0.2
            process.wait_until_ready(lambda: measure.cpu_seconds(process.pid) > deadline)
        assert 0.2 <= usage.cpu_s <= time.monotonic() - begun_s + 0.05


def test_the_machine_and_the_commit_are_named(tmp_path: Path) -> None:
    described = measure.machine(tmp_path)
    assert described["cores"] == len(os.sched_getaffinity(0))
    assert described["file_system"] not in ("", "unknown")
    assert measure.commit() != "unknown"


def test_the_ingest_benchmark_runs_from_command_line_to_json_and_plot(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    arguments = ["--quick", "--servers", "storescp", "bare", "--output", str(output)]
    assert ingest.main([*arguments, "--work-directory", str(tmp_path)]) == 0
    document = json.loads(output.read_text())
    assert document["is_smoke_run"] is True
    assert [m["images"] for m in document["measurements"]] == [24, 24, 24, 24, 25, 25]
    assert document["servers"]["storescp"]["version"].startswith("dcmtk: storescp v3.6")
    assert output.with_suffix(".png").stat().st_size > 5000


def test_the_retrieve_benchmark_moves_and_gets_whole_studies(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    arguments = ["--quick", "--servers", "orthanc", "direct", "--images", "3"]
    places = ["--output", str(output), "--work-directory", str(tmp_path)]
    assert retrieve.main([*arguments, *places]) == 0
    document = json.loads(output.read_text())
    assert [(s["cell"]["workload"], s["server"]) for s in document["summaries"]] == [
        ("move 3", "orthanc"),
        ("move 3", "direct"),
        ("move, PDU 128 KiB 3", "orthanc"),
        ("move, PDU 128 KiB 3", "direct"),
        ("get 3", "orthanc"),
    ]


def test_a_retrieval_of_less_than_the_study_is_an_error(tmp_path: Path) -> None:
    files = workloads.make_workload("ct", tmp_path / "files", TINY).files
    partly = Workload(name="part", title="part", files=files[:3])
    whole = Workload(name="whole", title="whole", files=files)
    plan = retrieve.Plan(
        servers=("orthanc",),
        ways=("move", "get"),
        images=(),
        nagle=("off",),
        repetitions=1,
        workers=None,
    )
    with retrieve.Bench(plan, tmp_path, no_delay=True) as bench:
        bench.load([partly])
        for way in plan.ways:
            wanted = retrieve.Retrieval(way=way, study=whole, study_uid=retrieve.study_uid(whole))
            with pytest.raises(WrongResult, match="3 images"):
                bench.retrieve("orthanc", wanted)
