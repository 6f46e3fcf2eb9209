"""kill -9 between the commit and the answer, and around an exchange: one effect, the same answer, nothing forgotten."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

import pacs.worklist.hl7.schema  # noqa: F401  # adds its tables to METADATA
from foundation import faults
from foundation.database import Database, sqlite_url
from pacs.worklist.hl7 import outgoing
from pacs.worklist.hl7.outgoing import OutgoingState
from tests.harness.hl7_messages import NOON, effects_of, make_effects, message, segment
from tests.harness.hl7_process import DESTINATION
from tests.harness.mllp_peers import Peer, framed, system
from tests.harness.peers import PostgresqlServer, free_port

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "index.sqlite")
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database(f"hl7_{uuid4().hex}")


def process(url: str, action: str, port: int, fault: str = "") -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.harness.hl7_process", url, action, str(port)],
        cwd=ROOT, env=os.environ | {faults.ENVIRONMENT_VARIABLE: fault},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def answered(url: str, port: int, fault: str = "") -> str:
    """Send one message to a listener that lives until it has answered; return MSA-1, '' when it died before."""
    with process(url, "listen", port, fault) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == b"listening\n"
        peer = Peer(port)
        peer.write(framed(message("M1")))
        try:
            answers = peer.read()
        except ConnectionError:
            answers = []
        peer.close()
        listener.communicate()
    return "".join(segment(answer, "MSA")[1] for answer in answers)


def test_a_message_whose_answer_was_lost_with_the_process_is_answered_when_it_comes_again(url: str) -> None:
    database = Database(url)
    database.create_tables()
    make_effects(database)

    said = [answered(url, free_port(), "hl7.committed"), answered(url, free_port())]

    assert said == ["", "AA"]
    assert len(effects_of(database)) == 1
    database.close()


def test_what_was_being_sent_when_the_process_died_arrives_in_order_under_its_control_id(url: str) -> None:
    database = Database(url)
    database.create_tables()
    with database.write(durable=True) as connection:
        for one in ("A", "B"):
            outgoing.enqueue(connection, DESTINATION, message(one), control_id=one, message_type="ORM^O01", now=NOON)
    uncertain, codes = [], []
    with system() as ris:
        for fault in ("hl7.sending", "hl7.answered", ""):
            with process(url, "send", ris.port, fault) as sender:
                sender.communicate(timeout=60)
            codes.append(sender.returncode)
            with database.read() as connection:
                uncertain += [one.is_uncertain for one in outgoing.listed(connection) if one.control_id == "A"]

    assert codes == [-9, -9, 0]
    assert uncertain == [True, True]
    # Once with the process that died before it could write the answer down, and once with the next one.
    assert ris.control_ids() == ["A", "A", "B"]
    assert ris.taken[0] == ris.taken[1]
    with database.read() as connection:
        states = {one.control_id: one.state for one in outgoing.listed(connection, frozenset(OutgoingState))}
    assert states == {"A": OutgoingState.DELIVERED, "B": OutgoingState.DELIVERED}
    database.close()
