"""Fault points: a process dies exactly at the one that it is armed for, and unarmed at none."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from foundation import faults

ROOT = Path(__file__).parents[3]
PROGRAM = "import sys; from foundation.faults import reach; [reach(point) or print(point) for point in sys.argv[1:]]"


def run(armed: str | None, *points: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != faults.ENVIRONMENT_VARIABLE}
    if armed is not None:
        environment[faults.ENVIRONMENT_VARIABLE] = armed
    return subprocess.run(
        [sys.executable, "-u", "-c", PROGRAM, *points],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )


def test_an_unarmed_process_passes_every_point() -> None:
    done = run(None, *faults.POINTS)

    assert (done.returncode, done.stdout.split()) == (0, list(faults.POINTS))


def test_an_armed_process_is_killed_at_its_point() -> None:
    done = run("lane.durable", "lane.written", "lane.durable", "index.begun")

    assert (done.returncode, done.stdout.split()) == (-9, ["lane.written"])


def test_an_armed_process_can_pass_its_point_some_times_first() -> None:
    done = run("index.begun:3", *["index.begun", "lane.written"] * 5)

    assert (done.returncode, done.stdout.split()) == (-9, ["index.begun", "lane.written"] * 2)


@pytest.mark.parametrize("armed", ["no.such.point", "index.begun:x"])
def test_a_point_that_does_not_exist_is_refused_at_once(armed: str) -> None:
    done = run(armed, "index.begun")

    assert done.returncode == 1
    assert "ValueError" in done.stderr


def test_every_point_is_reached_somewhere_and_no_other() -> None:
    reached: set[str] = set()
    for package in ("storage_tiers", "pacs", "oncall", "territory"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                    assert isinstance(node.args[0], ast.Constant)
                    reached.add(str(node.args[0].value))

    known = {
        *faults.POINTS,
        *faults.MESSAGE_POINTS,
        *faults.ENGINE_POINTS,
        *faults.REPORT_POINTS,
        *faults.DELIVERY_POINTS,
        *faults.HL7_POINTS,
        *faults.ROUTING_POINTS,
    }
    assert reached == known
    assert all(re.fullmatch(r"[a-z0-9]+\.[a-z_]+", point) for point in known)
