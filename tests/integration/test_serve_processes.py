"""The supervisor and its workers as real processes: death, restart, limits, health."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from pacs.upper_layer.events import AssociateRejected
from tests.harness.peers import (
    ServerProcess,
    TelegardeNode,
    free_port,
    postgresql,
    run_client,
    run_telegarde,
    wait_until,
)
from tests.harness.stepwise import Refused, StepwiseRequestor


def health_of(http_port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/health", timeout=20) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
        error.close()
    found = json.loads(body)
    assert isinstance(found, dict)
    return found


def worker_pids(node: TelegardeNode) -> list[int]:
    return [worker["pid"] for worker in health_of(node.http_port)["workers"]]


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def echo(node: TelegardeNode) -> int:
    return run_client("echoscu", ["-aec", node.ae_title, node.host, str(node.port)]).returncode


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TelegardeNode]:
    """Give a node to be treated badly."""
    with TelegardeNode(tmp_path, workers=2) as node:
        yield node


@pytest.fixture(scope="module")
def calm_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TelegardeNode]:
    """Give a node for tests that leave it as it was."""
    with TelegardeNode(tmp_path_factory.mktemp("calm"), workers=2) as node:
        yield node


def test_a_ready_node_says_who_it_is_and_answers_echo(calm_node: TelegardeNode) -> None:
    health = health_of(calm_node.http_port)

    assert (health["status"], health["reasons"]) == ("ready", [])
    assert (health["aet"], health["open_loopback"], health["pid"]) == (["TELEGARDE"], True, calm_node.process.pid)
    assert [worker["state"] for worker in health["workers"]] == ["ready", "ready"]
    assert echo(calm_node) == 0


def test_a_second_node_on_the_same_data_is_refused_with_the_reason(calm_node: TelegardeNode) -> None:
    done = run_telegarde(
        *("serve", "--data", calm_node.data, "--open-loopback"),
        *("--dicom-port", str(free_port()), "--http-port", str(free_port())),
    )

    assert done.returncode == 2
    assert f"is in use by process {calm_node.process.pid}" in done.stderr
    assert echo(calm_node) == 0


def test_a_port_that_is_taken_is_a_usage_error_that_names_the_option(calm_node: TelegardeNode, tmp_path: Path) -> None:
    done = run_telegarde(
        *("serve", "--data", tmp_path / "other", "--open-loopback"),
        *("--dicom-port", str(calm_node.port), "--http-port", str(free_port())),
    )

    assert done.returncode == 2
    assert "another program listens there; change dicom.port (--dicom-port)" in done.stderr


def test_a_killed_worker_is_started_again_and_the_other_ones_association_lives_on(node: TelegardeNode) -> None:
    with ExitStack() as stack:
        # The kernel wakes the workers in turn, unless one is just coming back from its timeout: ask until each has one.
        requestors: list[StepwiseRequestor] = []
        workers = health_of(node.http_port)["workers"]
        while min(worker["associations"] for worker in workers) == 0:
            assert len(requestors) < 16, workers
            requestors.append(stack.enter_context(StepwiseRequestor(node.port)))
            workers = health_of(node.http_port)["workers"]
        victim, survivor = workers[0]["pid"], workers[1]["pid"]
        left = workers[1]["associations"]

        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in worker_pids(node) and node.is_healthy(), what="a new worker")

        assert survivor in worker_pids(node)
        # Only the dead worker's places are free again; the others still have their associations.
        assert sum(worker["associations"] for worker in health_of(node.http_port)["workers"]) == left
        released = []
        for requestor in requestors:
            try:
                requestor.release()
            except (AssertionError, OSError):
                continue
            released.append(requestor)
        assert len(released) == left
    assert [echo(node) for _ in range(4)] == [0, 0, 0, 0]
    assert node.stop() == 0


def test_workers_end_when_their_supervisor_is_killed_and_the_data_can_be_served_again(node: TelegardeNode) -> None:
    orphans = worker_pids(node)
    with StepwiseRequestor(node.port):
        os.kill(node.process.pid, signal.SIGKILL)
        wait_until(lambda: all(is_gone(pid) for pid in orphans), what="the end of the orphans")
    wait_until(lambda: node.process.returncode is not None, what="the supervisor to be reaped")

    node.start()

    assert echo(node) == 0


def test_associations_are_spread_over_the_workers(calm_node: TelegardeNode) -> None:
    # Whatever a test before left open is gone first.
    wait_until(lambda: health_of(calm_node.http_port)["associations"] == 0, what="an idle node")
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(StepwiseRequestor(calm_node.port))
        counts = [worker["associations"] for worker in health_of(calm_node.http_port)["workers"]]

    assert sum(counts) == 8
    assert min(counts) >= 2


CONFIGURATION = """
[archive]
data_dir = "{data_dir}"
free_space_reserve_bytes = {reserve_bytes}
{database}
[dicom]
aet = ["TELEGARDE"]
host = "127.0.0.1"
port = {port}
workers = 2
[dicom.limits]
associations_max = 4
associations_per_peer_max = 3
[http]
port = {http_port}
[[peers]]
aet = "STEPWISE"
addresses = ["127.0.0.1"]
rights = ["store"]
issuer = "NORTH"
[[peers]]
aet = "OTHER"
addresses = ["127.0.0.1"]
rights = ["query"]
"""


class ConfiguredNode:
    """A node with a configuration of its own: tight limits, two peers."""

    def __init__(self, directory: Path, *, reserve_bytes: int = 0, database_url: str | None = None) -> None:
        self.port, self.http_port = free_port(), free_port()
        configuration = directory / "telegarde.toml"
        configuration.write_text(
            CONFIGURATION.format(
                data_dir=directory / "data",
                port=self.port,
                http_port=self.http_port,
                reserve_bytes=reserve_bytes,
                database=f'database_url = "{database_url}"' if database_url else "",
            )
        )
        self.process = ServerProcess(
            "telegarde",
            [sys.executable, "-m", "territory.cli", "serve", "--config", configuration],
            directory=directory,
            working_directory=Path(__file__).parents[2],
        )
        self.process.wait_until_ready(self._are_workers_ready)

    def _are_workers_ready(self) -> bool:
        try:
            return all(worker["state"] == "ready" for worker in health_of(self.http_port)["workers"])
        except (urllib.error.URLError, ConnectionError):
            return False

    def close(self) -> None:
        assert self.process.stop() == 0


def test_limits_on_associations_are_exact_over_all_workers(tmp_path: Path) -> None:
    with closing(ConfiguredNode(tmp_path)) as node, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(StepwiseRequestor(node.port))
        # Each peer's bound, then the node's: both transient (PS3.8 Table 9-21), so that a modality tries again.
        with pytest.raises(Refused) as of_peer:
            StepwiseRequestor(node.port)
        last = StepwiseRequestor(node.port, calling_aet="OTHER")
        with pytest.raises(Refused) as in_all:
            StepwiseRequestor(node.port, calling_aet="OTHER")
        last.release()
        wait_until(lambda: health_of(node.http_port)["associations"] == 3, what="the place to be free")
        StepwiseRequestor(node.port, calling_aet="OTHER").release()

    rejections = [caught.value.args[0] for caught in (of_peer, in_all)]
    assert [type(rejection) for rejection in rejections] == [AssociateRejected, AssociateRejected]
    assert [(one.result, one.source, one.reason) for one in rejections] == [(2, 3, 2), (2, 3, 1)]


def test_a_node_without_room_says_so_and_still_answers_echo(tmp_path: Path) -> None:
    with closing(ConfiguredNode(tmp_path, reserve_bytes=2**50)) as node:
        health = health_of(node.http_port)
        StepwiseRequestor(node.port).release()

    assert health["status"] == "unavailable"
    assert [reason.partition(":")[0] for reason in health["reasons"]] == ["no room"]


def test_a_node_whose_database_is_away_says_so_and_still_answers_echo(tmp_path: Path) -> None:
    with postgresql() as server:
        url = server.new_database("away")
        with closing(ConfiguredNode(tmp_path, database_url=url)) as node:
            assert health_of(node.http_port)["status"] == "ready"
            server.process.kill()

            health = health_of(node.http_port)

            assert health["status"] == "unavailable"
            assert [reason for reason in health["reasons"] if "the database does not answer" in reason]
            StepwiseRequestor(node.port).release()


def test_serve_with_json_prints_one_object_when_it_is_ready(tmp_path: Path) -> None:
    port, http_port = free_port(), free_port()
    command = [sys.executable, "-m", "territory.cli", "serve", "--data", str(tmp_path), "--open-loopback", "--json"]
    command += ["--dicom-port", str(port), "--http-port", str(http_port), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    expected = {"event": "ready", "pid": process.pid, "aet": "TELEGARDE", "dicom_port": port, "http_port": http_port}
    assert ready == expected
    assert (rest, process.returncode) == ("", 0)
