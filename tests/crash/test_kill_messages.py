"""kill -9 between a decision, its sending and its record: nobody is paged twice for a step, nobody is forgotten."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select

from benchmarks.peers.message_gateway import Gateway, message_gateway
from foundation import faults
from foundation.database import Database, sqlite_url
from oncall.messages_sql import SqlMessages
from oncall.schema import oncall_message
from tests.harness.mail_relay import Relay, mail_relay
from tests.harness.paging_process import PagingProcess
from tests.harness.peers import PostgresqlServer

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]
DUE, SENDING, HANDED_OVER = faults.MESSAGE_POINTS


@dataclass
class Town:
    """The people's mailboxes and telephones, the database, and the workers that died so far."""

    url: str
    relay: Relay
    gateway: Gateway
    dead: list[str] = field(default_factory=list)

    def life(self, first: str, *, people: int = 1, fault: str = "", dead: bool = True) -> subprocess.Popen[bytes]:
        worker = f"w{uuid4().hex[:8]}"
        gone = list(self.dead) if dead else []
        self.dead.append(worker)
        arguments = [self.url, str(self.relay.port), self.gateway.url, worker, first, str(people), *gone]
        environment = os.environ | ({faults.ENVIRONMENT_VARIABLE: fault} if fault else {})
        program = [sys.executable, "-m", "tests.harness.paging_process", *arguments]
        return subprocess.Popen(program, cwd=ROOT, env=environment)

    def go_on_after_the_crash(self, first: str) -> None:
        """Be the next life, in this process: it knows that the one before is dead."""
        process = PagingProcess(self.url, self.relay.port, self.gateway.url, f"w{uuid4().hex[:8]}", first)
        process.run(frozenset(self.dead))
        process.database.close()

    def reached(self) -> tuple[int, int]:
        """Return how often mail arrived and how often a telephone rang."""
        return len(self.relay.recipients()), len(self.gateway.rung())


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "oncall.sqlite")
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database(f"messages_{uuid4().hex}")


@pytest.fixture
def town(url: str, tmp_path: Path) -> Iterator[Town]:
    with mail_relay() as relay, message_gateway(tmp_path / "requests") as gateway:
        yield Town(url, relay, gateway)


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("first", "point", "at_death", "in_the_end"),
    [
        # (mails, rings): decided but not sent is sent once, by the method that was decided.
        ("email", DUE, (0, 0), (1, 0)),
        ("sms", DUE, (0, 0), (0, 1)),
        # Nobody knows whether the mail went out: it is never sent again, the other method pages at once.
        ("email", SENDING, (0, 0), (0, 1)),
        ("email", HANDED_OVER, (1, 0), (1, 1)),
        # The gateway knows the key: it is asked again and the telephone rings once.
        ("sms", SENDING, (0, 0), (0, 1)),
        ("sms", HANDED_OVER, (0, 1), (0, 1)),
    ],
    ids=["mail decided", "text decided", "mail intended", "mail sent", "text intended", "text sent"],
)
def test_a_kill_in_a_window_of_the_hand_over_repeats_nothing_and_forgets_nobody(
    town: Town, first: str, point: str, at_death: tuple[int, int], in_the_end: tuple[int, int]
) -> None:
    assert town.life(first, fault=point).wait() == -9, "the fault point was not reached"
    assert town.reached() == at_death

    town.go_on_after_the_crash(first)
    town.go_on_after_the_crash(first)

    assert town.reached() == in_the_end


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_lives_killed_at_random_moments_page_everybody_and_nobody_twice_by_one_method(town: Town) -> None:
    people, dice = 24, random.Random(7)

    for number in range(4):
        fault = f"{dice.choice(faults.MESSAGE_POINTS[1:])}:{dice.randint(1, 8)}"
        status = town.life(("email", "sms")[number % 2], people=people, fault=fault).wait()
        assert status in {0, -9}
    town.go_on_after_the_crash("email")

    mails, rings = Counter(town.relay.recipients()), Counter(town.gateway.rung())
    assert set(mails.values()) <= {1}
    assert set(rings.values()) <= {1}
    reached = {mail.partition("@")[0] for mail in mails} | {f"p{ring[1:]}" for ring in rings}
    assert reached == {f"p{number}" for number in range(people)}
    assert states_of(town.url) <= {"sent", "unknown"}


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_two_workers_on_one_queue_hand_over_each_message_once(town: Town) -> None:
    lives = [town.life("email", people=16, dead=False) for _ in range(2)]

    assert [life.wait() for life in lives] == [0, 0]
    assert sorted(Counter(town.relay.recipients()).values()) == [1] * 16
    assert town.gateway.rung() == []


def states_of(url: str) -> set[str]:
    """Return every state that a message of the queue is in."""
    database = Database(url)
    with database.read() as connection:
        keys = connection.execute(select(oncall_message.c.message_key)).scalars().all()
        found = [SqlMessages(connection).status(key) for key in keys]
    database.close()
    return {str(status.state) for status in found if status is not None}
