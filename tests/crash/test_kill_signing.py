"""A signer killed with -9 between signing, storing and answering: exactly one signed version, whenever it was."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from foundation import faults
from foundation.database import Database, sqlite_url
from oncall.case.log import verify_chain
from oncall.delivery import queue
from oncall.engine.sql_store import SqlStore
from oncall.report import states
from oncall.report.drafts import Drafts
from oncall.report.signing import verify
from oncall.report.version import VersionKind
from tests.harness import reports
from tests.harness.peers import PostgresqlServer
from tests.harness.report_night import CASE, ReportNight
from tests.harness.small_territory import at

pytestmark = pytest.mark.crash

REPOSITORY: Final = Path(__file__).parents[2]
# Where it dies, what it signs, and whether what it signed is kept all the same.
KILLS: Final = (
    ("report.signed", VersionKind.FINAL, False),
    ("engine.decided", VersionKind.ADDENDUM, False),
    ("engine.committed", VersionKind.RETRACTION, True),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "oncall.sqlite")
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database(f"signing_{uuid4().hex}")


def sign(url: str, keys: Path, kind: VersionKind, minute: int, fault: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.harness.report_night", url, str(keys), kind.value, str(minute)],
        cwd=REPOSITORY, env={**os.environ, faults.ENVIRONMENT_VARIABLE: fault},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_version_is_signed_once_whenever_its_signer_is_killed(url: str, tmp_path: Path) -> None:
    database = Database(url)
    database.create_tables()
    store, kept = SqlStore(database), Drafts(database)
    night = ReportNight(store, tmp_path / "keys")
    kept.open(CASE, night.reader, at(6), reports.content())

    for number, (fault, kind, is_kept) in enumerate(KILLS, start=1):
        killed = sign(url, tmp_path / "keys", kind, 10 * number, fault)
        assert killed.returncode == -9, killed.stderr
        assert len(store.versions_of(CASE)) == number - (not is_kept)
        # Nothing is half done: words that were not signed are still the reader's.
        assert (kept.find(CASE) is not None) == (number == 1)

        again = night.sign(kind, 10 * number)

        assert again == store.versions_of(CASE)[-1]
        assert len(store.versions_of(CASE)) == number

    history, events = store.versions_of(CASE), store.events_of(CASE)
    states.ensure_history(history)
    assert all(verify(one.signature, one.digest) for one in history)
    verify_chain(CASE, events)
    said = Counter(event.type for event in events)
    assert [said[one] for one in ("report.signed", "report.addendum", "report.retracted")] == [1, 1, 1]
    with database.read() as connection:
        planned = Counter(one.delivery.version for one in queue.deliveries_of(connection, CASE))
    assert set(planned) == {1, 2, 3}
    assert kept.find(CASE) is None
    database.close()
