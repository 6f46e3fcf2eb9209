"""kill -9 between leasing, making documents, handing over and recording: delivered once, and nothing forgotten."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation import faults
from foundation.database import Database, sqlite_url
from oncall.delivery.documents import find
from oncall.engine.sql_store import SqlStore
from oncall.schema import oncall_report_document
from pacs.archive.schema import instance, series
from tests.harness.deliveries import happened, states, statuses, tell_case
from tests.harness.delivery_process import real_worker
from tests.harness.mail_relay import mail_relay
from tests.harness.node import running_node
from tests.harness.peers import PostgresqlServer
from tests.harness.report_night import CASE, ReportNight
from tests.harness.small_territory import at

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "oncall.sqlite")
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database(f"delivering_{uuid4().hex}")


def live(url: str, archive_port: int, smtp_port: int, dead: list[str], fault: str) -> int:
    """Be one life of a worker, which knows who died before it and dies there; return its exit code."""
    name = f"w{uuid4().hex[:8]}"
    done = subprocess.run(
        [sys.executable, "-m", "tests.harness.delivery_process", url, str(archive_port), str(smtp_port), name, *dead],
        cwd=ROOT, env=os.environ | {faults.ENVIRONMENT_VARIABLE: fault},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    dead.append(name)
    return done.returncode


def test_a_report_arrives_once_in_effect_wherever_its_workers_are_killed(url: str, tmp_path: Path) -> None:
    database, index = Database(url), Database(sqlite_url(tmp_path / "archive.sqlite"))
    database.create_tables()
    index.create_tables()
    night = ReportNight(SqlStore(database), tmp_path / "keys")
    night.sign()
    dead: list[str] = []
    with running_node(index, tmp_path / "journal") as node, mail_relay() as relay:
        codes = [live(url, node.port, relay.port, dead, point) for point in faults.DELIVERY_POINTS]
        last = real_worker(database, node.port, relay.port, "last")
        last.recover(frozenset(dead))
        last.drain()
        node.wait_until_idle()

    assert codes == [-9] * len(faults.DELIVERY_POINTS)
    assert states(database, CASE) == {(1, "web"): "delivered", (1, "archive"): "delivered", (1, "email"): "sent"}
    with database.read() as connection:
        documents = find(connection, CASE, 1)
        kept = connection.execute(select(func.count()).select_from(oncall_report_document)).scalar_one()
    assert kept == len(documents)
    with index.read() as connection:
        stored = connection.execute(
            select(series.c.modality).join(instance, instance.c.series_pk == series.c.series_pk)
        )
        modalities = sorted(stored.scalars())
    assert modalities == ["DOC", "KO", "SR"]
    # A mail may have gone out twice: it is one message to whoever looks.
    assert len({mail["Message-ID"] for _, mail in relay.taken}) == 1
    for one in statuses(database, CASE):
        record = happened(database, one.delivery.delivery_id)
        assert sum(record.count(end) for end in ("delivered", "sent")) == 1
        assert record.count("sending") == record.count("interrupted") + 1
    tell_case(night, database, 30)
    said = [event.type for event in night.store.events_of(CASE)]
    assert said.count("report.delivered") == 1
    assert night.engine.case(CASE).delivery.delivered_at == at(30)
    index.close()
    database.close()
