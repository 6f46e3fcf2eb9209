"""kill -9 at every fault point and at random moments: what was confirmed is there, byte for byte.

The number of random kills comes from TELEGARDE_CRASH_KILLS: 20 in `make check`, at least 200 in `make crash`.
"""

import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation import faults
from foundation.database import Database, sqlite_url
from pacs.archive.sop_lookup import find
from tests.crash.senders import Load, what_is_wrong
from tests.harness.forked_node import Breeder, ForkedNode
from tests.harness.peers import PostgresqlServer

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("TELEGARDE_CRASH_KILLS", "20"))
SENDERS = 4
#: One in so many kills takes the index back to an earlier copy, as a power cut takes what its log had not on disk.
POWER_CUT_EVERY = 4
#: As many of the latest confirmations are looked up after an ordinary kill; all of them at the end.
FRESH = 200


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "index.sqlite")
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database(f"crash_{tmp_path.name.replace('-', '_')}".lower()[:60])


@pytest.fixture(scope="module")
def breeder() -> Iterator[Breeder]:
    with Breeder() as process:
        yield process


@pytest.fixture
def node(breeder: Breeder, url: str, tmp_path: Path) -> Iterator[ForkedNode]:
    with ForkedNode(breeder, url, tmp_path) as forked:
        yield forked


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


# What happens before the index is asked is the same whichever it is.
_ON_POSTGRESQL = [point for point in faults.POINTS if point.partition(".")[0] in {"index", "store"}]


@pytest.mark.parametrize(
    ("url", "point"),
    [*(("sqlite", point) for point in faults.POINTS), *(("postgresql", point) for point in _ON_POSTGRESQL)],
    indirect=["url"],
)
def test_a_kill_at_a_fault_point_loses_nothing(node: ForkedNode, database: Database, point: str) -> None:
    passes = 1 if "seal" in point or "created" in point else 4
    assert node.start(f"{point}:{passes}")
    load = Load(node.port, SENDERS)
    if "seal" in point:
        # A lane is sealed when it has grown, or at a stop in good order.
        load.wait_for(20)
        load.stop()
        assert node.stop() == -9, "the fault point was not reached"
    else:
        assert node.wait() == -9
        # The next life recovers and is armed too: it dies in its own recovery or soon after.
        node.start(f"{point}:1")
        node.kill()
    assert node.start()
    if "seal" not in point:
        assert load.wait_for(20), node.log.read_text()
        load.stop()
    node.kill()
    assert node.start()

    assert what_is_wrong(database, node.journal, load.confirmed, set()) == []
    assert load.refused == []
    assert node.stop() == 0
    assert what_is_wrong(database, node.journal, load.confirmed, set()) == []


@pytest.mark.parametrize(
    ("url", "kills"), [("sqlite", KILLS), ("postgresql", max(5, KILLS // 4))], indirect=["url"], ids=str
)
def test_kills_at_random_moments_under_load_lose_nothing(
    node: ForkedNode, database: Database, kills: int, tmp_path: Path
) -> None:
    chance = random.Random(kills)
    moment = threading.Event()
    proven: set[str] = set()
    old_index = OldIndex(database, tmp_path / "old")
    assert node.start()
    load = Load(node.port, SENDERS)
    for kill in range(kills):
        assert load.wait_for(chance.randrange(1, 30)), f"nothing moves after {kill} kills: {node.log.read_text()}"
        # Somewhere inside what is going on; nothing tells when.
        moment.wait(chance.random() * 0.01)
        node.kill()
        confirmed = load.confirmed
        if kill % POWER_CUT_EVERY == 2:
            old_index.take()
        is_index_old = kill % POWER_CUT_EVERY == 3
        if is_index_old:
            old_index.bring_back()
        assert node.start(), node.log.read_text()
        lost = what_cannot_be_found(database, confirmed if is_index_old else confirmed[-FRESH:])
        assert lost == [], (kill, lost)
    load.stop()
    node.kill()
    assert node.start()

    assert what_is_wrong(database, node.journal, load.confirmed, proven) == []
    assert load.refused == []
    assert len(load.confirmed) >= kills
    assert node.stop() == 0
    assert what_is_wrong(database, node.journal, load.confirmed, proven) == []


def what_cannot_be_found(database: Database, confirmed: list[str]) -> list[str]:
    """Look, beside the running node, whether what was confirmed before a kill can be found after it."""
    return [uid for uid, refs in find(database, confirmed).items() if len(refs) != 1]


class OldIndex:
    """A copy of a SQLite index; of another database none is made."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._index = Path(database.url.database or "") if database.is_sqlite else None
        self._database = database
        self._copy = directory
        directory.mkdir()

    def take(self) -> None:
        """Copy the index of a node that is not running."""
        for path in self._files():
            shutil.copy(path, self._copy)

    def bring_back(self) -> None:
        """Put the copy in the place of the index, whose later transactions are lost with it."""
        if self._index is None:
            return
        # Nothing here may go on with what it knew of the file.
        self._database.engine.dispose()
        for path in self._files():
            path.unlink()
        for path in self._copy.iterdir():
            shutil.copy(path, self._index.parent)

    def _files(self) -> list[Path]:
        if self._index is None:
            return []
        names = [f"{self._index.name}{suffix}" for suffix in ("", "-wal", "-shm")]
        return [path for name in names if (path := self._index.with_name(name)).exists()]
