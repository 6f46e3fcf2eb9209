"""send, verify, reindex and status against a real node and its real files."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies import write_ct_study, write_mr_study
from tests.harness.peers import TelegardeNode, free_port, run_telegarde, telegarde_json


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("files")
    write_ct_study(directory / "ct", seed=21, slices=5)
    write_mr_study(directory / "mr", seed=22, slices=3, series=2)
    (directory / "notes.txt").write_text("no DICOM here")
    return directory


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TelegardeNode]:
    """Give a serving node; every test that needs instances sends them, and they are kept once."""
    with TelegardeNode(tmp_path_factory.mktemp("node"), workers=2) as node:
        yield node


def send(node: TelegardeNode, *paths: Path, options: tuple[str, ...] = ()) -> dict[str, Any]:
    return telegarde_json("send", *paths, "--host", node.host, "--port", str(node.port), *options)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Path:
    """Return the data directory of a node that has stored 11 instances and was stopped."""
    with TelegardeNode(tmp_path_factory.mktemp("stopped"), workers=2) as node:
        assert send(node, files)["sent"] == 11
    return node.data


@pytest.fixture
def archive(stopped: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be damaged."""
    return Path(shutil.copytree(stopped, tmp_path / "data"))


def verify(data: Path) -> tuple[int, dict[str, Any]]:
    done = run_telegarde("verify", "--data", data, "--json")
    return done.returncode, json.loads(done.stdout)


def biggest_pack(data: Path) -> Path:
    return max((data / "packs").glob("*.tar"), key=lambda path: path.stat().st_size)


def test_send_says_what_was_sent_and_what_was_no_dicom(node: TelegardeNode, files: Path) -> None:
    options = ("--aet", "SENDER", "--aec", "TELEGARDE", "--parallel", "2")

    report = send(node, files, options=options)

    assert (report["instances"], report["sent"], report["failed"], report["failures"]) == (11, 11, 0, {})
    assert (report["skipped"], report["errors"]) == (1, [])
    assert report["bytes"] > 5 * 512 * 512 * 2
    assert report["images_per_s"] > 0


def test_what_is_sent_twice_is_confirmed_twice_and_kept_once(node: TelegardeNode, files: Path) -> None:
    send(node, files)

    assert send(node, files, options=("--parallel", "4"))["sent"] == 11
    assert node.status()["instances"] == 11


def test_send_fails_and_says_why_when_nobody_listens(files: Path) -> None:
    done = run_telegarde("send", files, "--host", "127.0.0.1", "--port", str(free_port()), "--json")

    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert (report["sent"], report["failed"]) == (0, 11)
    assert len(report["errors"]) > 0


def test_send_refuses_what_it_cannot_use_all_at_once(tmp_path: Path) -> None:
    done = run_telegarde(
        *("send", tmp_path / "nothing", "--host", "127.0.0.1", "--port", "0"),
        *("--aet", "A" * 17, "--parallel", "0"),
    )

    assert done.returncode == 2
    assert [
        problem for problem in ("--aet", "--port", "--parallel", "no such file") if problem not in done.stderr
    ] == []


def test_sending_nothing_is_not_a_success(node: TelegardeNode, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    done = run_telegarde("send", tmp_path / "empty", "--host", node.host, "--port", str(node.port))

    assert done.returncode == 1
    assert "No DICOM instance found" in done.stdout


def test_status_counts_what_is_there_and_asks_the_node_how_it_is(node: TelegardeNode, files: Path) -> None:
    send(node, files)

    status = node.status()

    counted = {key: status[key] for key in ("patients", "studies", "series", "instances", "conflicts")}
    assert counted == {"patients": 2, "studies": 2, "series": 3, "instances": 11, "conflicts": 0}
    assert (status["serving"], status["reasons"], status["workers_ready"]) == (True, [], 2)
    assert status["pid"] == node.process.pid


def test_status_of_a_stopped_node_still_counts_what_is_there(archive: Path) -> None:
    status = telegarde_json("status", "--data", archive)

    assert (status["serving"], status["reasons"], status["instances"]) == (False, [], 11)


def test_an_archive_that_is_whole_verifies_with_exit_code_0(archive: Path) -> None:
    code, found = verify(archive)

    assert code == 0
    assert found.pop("bytes") > 5 * 512 * 512 * 2
    assert found == {"instances": 11, "missing": 0, "corrupt": 0, "unindexed": 0}


def test_verify_finds_one_changed_byte(archive: Path) -> None:
    pack = biggest_pack(archive)
    content = bytearray(pack.read_bytes())
    # In the middle of somebody's pixels: members are far longer than what lies between them.
    content[len(content) // 2] ^= 0x01
    pack.write_bytes(content)

    code, found = verify(archive)

    assert code == 1
    assert (found["instances"], found["corrupt"], found["missing"]) == (10, 1, 0)


def test_verify_finds_a_missing_pack(archive: Path) -> None:
    biggest_pack(archive).unlink()

    code, found = verify(archive)

    assert code == 1
    assert found["missing"] > 0
    assert found["instances"] + found["missing"] == 11


def test_reindex_builds_the_whole_index_from_the_packs_alone(archive: Path) -> None:
    before = telegarde_json("status", "--data", archive)
    for path in archive.glob("index.sqlite*"):
        path.unlink()
    assert run_telegarde("status", "--data", archive).returncode == 1

    report = telegarde_json("reindex", "--data", archive)

    assert (report["instances"], report["members"]) == (11, 11)
    after = telegarde_json("status", "--data", archive)
    same = ("patients", "studies", "series", "instances", "bytes", "last_received_at")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    assert verify(archive)[0] == 0


def test_reindex_leaves_a_serving_node_alone(node: TelegardeNode, files: Path) -> None:
    send(node, files)

    done = run_telegarde("reindex", "--data", node.data)

    assert done.returncode == 2
    assert f"is in use by process {node.process.pid}" in done.stderr
    assert node.status()["instances"] == 11


def test_verify_runs_beside_a_serving_node(node: TelegardeNode, files: Path) -> None:
    send(node, files)

    code, found = verify(node.data)

    assert (code, found["instances"]) == (0, 11)


def test_data_directories_are_not_for_everybody(archive: Path) -> None:
    readable = [path for path in (archive, *archive.rglob("*")) if path.stat().st_mode & 0o007]

    assert readable == []
