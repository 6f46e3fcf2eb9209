"""Two engines on one database, killed at any moment: each due action has happened once, and nobody is forgotten."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

import pytest
from sqlalchemy import select

import oncall.schema
from foundation import faults
from foundation.database import Database, sqlite_url
from oncall.case.event import CaseId
from oncall.case.log import verify_chain
from oncall.case.regions import EscalationState
from oncall.case.sql_log import verify
from oncall.case.state import fold
from oncall.engine.sql_store import SqlStore
from oncall.reading.board import ExamKind, Urgency
from tests.harness.peers import PostgresqlServer
from tests.harness.small_territory import BEGIN, engine, ready_case

pytestmark = pytest.mark.crash

REPOSITORY: Final = Path(__file__).parents[2]
# A minute of the night in a second: leases (10 s) run out long before a worker that died is started again.
SPEED: Final = 60.0
CASES: Final = 3
KILLS: Final = 6
PATIENCE_S: Final = 90.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "oncall.sqlite")
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database(f"engines_{uuid4().hex}")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    opened.create_tables()
    yield opened
    opened.close()


class Workers:
    """Two places for engines; who dies is replaced."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._origin_s = time.monotonic() + 1.0
        self._lives = 0
        self.processes = [self._start(None), self._start(None)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def _start(self, fault: str | None) -> subprocess.Popen[bytes]:
        self._lives += 1
        environment = {key: value for key, value in os.environ.items() if key != faults.ENVIRONMENT_VARIABLE}
        if fault is not None:
            environment[faults.ENVIRONMENT_VARIABLE] = fault
        arguments = [self._url, f"worker-{self._lives}", str(self._origin_s), str(SPEED)]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.harness.oncall_worker", *arguments], cwd=REPOSITORY, env=environment
        )

    def kill(self, place: int, fault: str | None) -> None:
        """Kill one with -9 and start another, which kills itself at a fault point if one is given."""
        self.processes[place].kill()
        self.processes[place].wait()
        self.processes[place] = self._start(fault)

    def stop_for(self, place: int, pause: threading.Event, seconds: float) -> None:
        """Stop one in the middle of whatever it does, and let it go on later: its clock then jumps."""
        self.processes[place].send_signal(signal.SIGSTOP)
        pause.wait(seconds)
        self.processes[place].send_signal(signal.SIGCONT)

    def replace_dead(self) -> None:
        """Start another for each that has killed itself."""
        for place, process in enumerate(self.processes):
            if process.poll() is not None:
                self.processes[place] = self._start(None)


def is_over(store: SqlStore) -> bool:
    """Tell whether every case's ladder is exhausted, and the hospital alarmed."""
    cases = [fold(store.events_of(CaseId(f"C{number}"))) for number in range(CASES)]
    return all(EscalationState.EXHAUSTED in {one.state for one in case.escalations} for case in cases)


@pytest.fixture
def store(database: Database) -> SqlStore:
    """Return a store with cases that nobody will answer for."""
    opened = SqlStore(database)
    runner = engine(opened, worker="opener")
    runner.run_due(BEGIN)
    for number in range(CASES):
        ready_case(runner, f"C{number}", BEGIN, urgency=Urgency.P1, exam=ExamKind.STROKE)
    return opened


def test_each_due_action_happens_once_whichever_of_two_engines_is_killed_when(
    url: str, database: Database, store: SqlStore
) -> None:
    dice = random.Random(20261024)  # a seed, no secret

    moment = threading.Event()
    with Workers(url) as workers:
        for turn in range(KILLS):
            moment.wait(dice.uniform(0.8, 2.5))
            workers.replace_dead()
            point = faults.ENGINE_POINTS[turn % len(faults.ENGINE_POINTS)]
            workers.kill(turn % 2, f"{point}:{dice.randint(1, 6)}")
        wait_until_over(store, workers)

    assert_all_happened_once(database, store)


def test_each_due_action_happens_once_though_engines_are_stopped_and_go_on(
    url: str, database: Database, store: SqlStore
) -> None:
    """Half a minute to ten minutes of the night each: leases run out meanwhile, and the other engine acts."""
    dice = random.Random(7)  # a seed, no secret

    moment = threading.Event()
    with Workers(url) as workers:
        for turn in range(5):
            moment.wait(dice.uniform(0.1, 0.6))
            workers.stop_for(turn % 2, moment, dice.choice([0.5, 1.0]))
        workers.stop_for(0, moment, 10.0 * 60.0 / SPEED / 2)
        wait_until_over(store, workers)

    assert_all_happened_once(database, store)


def wait_until_over(store: SqlStore, workers: Workers) -> None:
    """Wait until the hospital is alarmed about every case; who has died is replaced."""
    moment, deadline_s = threading.Event(), time.monotonic() + PATIENCE_S
    while not is_over(store) and time.monotonic() < deadline_s:
        moment.wait(0.2)
        workers.replace_dead()


def assert_all_happened_once(database: Database, store: SqlStore) -> None:
    """Check logs, steps and messages of every case."""
    verify(database)
    for number in range(CASES):
        events = store.events_of(CaseId(f"C{number}"))
        verify_chain(CaseId(f"C{number}"), events)
        paged = Counter(one.fact.payload["message_key"] for one in events if one.type == "escalation.notified")
        assert set(paged.values()) == {1}
        steps = Counter(
            (one.fact.payload["chain_id"], one.fact.payload["step"], one.fact.payload["level"])
            for one in events
            if one.type == "escalation.started" and "step" in one.fact.payload
        )
        assert set(steps.values()) == {1}
        told = {one.fact.payload["person_id"] for one in events if one.type == "escalation.notified"}
        assert {"serge", "coline", "emma"} <= told
        assert any(
            one.state is EscalationState.EXHAUSTED for one in engine(store).case(CaseId(f"C{number}")).escalations
        )
    assert is_over(store)
    with database.read() as connection:
        keys = connection.execute(select(oncall.schema.oncall_message.c.message_key)).scalars().all()
        stored = connection.execute(select(oncall.schema.oncall_case_event.c.body)).scalars().all()
    assert len(keys) == len(set(keys))
    assert sum('"type":"escalation.notified"' in body for body in stored) == sum(key[0] == "C" for key in keys)
