"""The real node, started as a user starts it: its workers are killed under load, then all of it at once."""

import json
import os
import random
import signal
import urllib.request
from pathlib import Path

import pytest

from foundation.database import Database, sqlite_url
from tests.crash.senders import Load, what_is_wrong
from tests.harness.peers import TelegardeNode, wait_until

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("TELEGARDE_CRASH_KILLS", "20"))


def worker_pids(node: TelegardeNode) -> list[int]:
    """Return the process ids of the workers that say they are ready."""
    with urllib.request.urlopen(f"http://{node.host}:{node.http_port}/health", timeout=10) as answer:
        workers = json.load(answer)["workers"]
    return [worker["pid"] for worker in workers if worker["state"] == "ready"]


def test_a_node_whose_workers_are_killed_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    chance = random.Random(1)
    node = TelegardeNode(tmp_path, workers=2)
    node.start()
    load = Load(node.port, 4)
    killed: set[int] = set()
    for _ in range(max(2, KILLS // 10)):
        assert load.wait_for(chance.randrange(20, 60))
        wait_until(node.is_healthy, what="all workers to be ready")
        victim = chance.choice(worker_pids(node))
        killed.add(victim)
        os.kill(victim, signal.SIGKILL)
    assert load.wait_for(40)
    wait_until(node.is_healthy, what="all workers to be ready again")
    assert killed.isdisjoint(worker_pids(node))
    node.kill()
    confirmed = load.confirmed
    node.start()
    assert load.wait_for(20)
    load.stop()
    assert node.stop() == 0

    assert load.refused == []
    assert len(load.confirmed) > len(confirmed)
    assert node.verify() | {"bytes": 0} == {
        "instances": len(load.confirmed),
        "bytes": 0,
        "missing": 0,
        "corrupt": 0,
        "unindexed": 0,
    }
    database = Database(sqlite_url(next(node.data.glob("*.sqlite"))))
    assert what_is_wrong(database, node.data / "packs", load.confirmed, set()) == []
    database.close()
