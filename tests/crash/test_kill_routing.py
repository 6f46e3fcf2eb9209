"""kill -9 between leasing, the destination's answer and its record: all arrives, nothing is claimed too early."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from foundation import faults
from foundation.database import Database, sqlite_url
from pacs.routing import intake
from pacs.routing.model import ItemState
from storage_tiers.local_packs import LocalPacks
from tests.harness.archive_parts import open_archive
from tests.harness.peers import PostgresqlServer, storescp
from tests.harness.routing import items_of, keep_study
from tests.harness.routing_process import real_worker

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "index.sqlite")
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database(f"routing_{uuid4().hex}")


def live(url: str, journal: Path, port: int, fault: str) -> int:
    """Be one life of the process, killed at a point; return its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.harness.routing_process", url, str(journal), str(port), uuid4().hex[:8]],
        cwd=ROOT, env=os.environ | {faults.ENVIRONMENT_VARIABLE: fault},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode


def test_a_study_arrives_whole_wherever_its_sender_is_killed(url: str, tmp_path: Path) -> None:
    database, journal = Database(url), tmp_path / "journal"
    database.create_tables()
    intake.begin(database, has_routes=True)
    with open_archive(database, journal) as archive:
        first = keep_study(archive, 1, images=20)
    with storescp(tmp_path / "peer") as peer:
        codes, sent = [], []
        for point in faults.ROUTING_POINTS:
            codes.append(live(url, journal, peer.port, point))
            (item,) = items_of(database)
            sent.append((item.state, item.sent, len(peer.files())))
        with open_archive(database, journal) as archive:
            second = keep_study(archive, 2, images=3)
        packs = LocalPacks(journal)
        real_worker(database, packs, peer.port, "last").drain()
        received = sorted(path.name for path in peer.files())
        packs.close()

    assert codes == [-9] * len(faults.ROUTING_POINTS)
    # Leased and nothing sent; answered and nothing recorded, so nothing is claimed; recorded, and counted once.
    assert sent == [(ItemState.SENDING, 0, 0), (ItemState.SENDING, 0, 20), (ItemState.SENDING, 20, 20)]
    assert {item.state for item in items_of(database)} == {ItemState.SENT}
    assert [(item.instances, item.sent) for item in items_of(database)] == [(20, 20), (3, 3)]
    assert len(received) == len(first.uids) + len(second.uids)
    database.close()
