"""The demo ends with 0 when all that it showed worked, and only then."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.harness.peers import telegarde_json

ROOT = Path(__file__).parents[2]


def run_demo(directory: Path, *, first_on_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    if first_on_path is not None:
        environment["PATH"] = f"{first_on_path}:{environment['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "territory.demo", "--once", "--slices", "12"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_demo_shows_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run_demo(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "C-ECHO answered (pynetdicom, DCMTK)" in " ".join(done.stdout.split())
    assert "172 images" in done.stdout
    assert "All of it worked." in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_leaves_a_territory_and_an_archive_where_it_is_told_to(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "territory.cli", "demo", "--data", str(data), "--once", "--slices", "12", "--json"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["worked"] is True
    assert told["territory"] == {
        "sites": 18,
        "radiologists": 30,
        "persons": told["territory"]["persons"],
        "lines": 8,
        "shifts": told["territory"]["shifts"],
        "roster_version": told["territory"]["roster_version"],
        "is_new": True,
    }
    assert telegarde_json("status", "--data", data)["instances"] == 184
    assert telegarde_json("oncall", "gaps", "--data", data, "--from", "2026-01-01", "--to", "2028-01-01")["gaps"] == []


def test_the_demo_fails_when_one_step_does_not_work(tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "echoscu"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)

    done = run_demo(tmp_path, first_on_path=broken.parent)

    assert done.returncode == 1
    assert "This did not work: DCMTK's echoscu got no answer" in done.stdout
    assert "All of it worked." not in done.stdout
