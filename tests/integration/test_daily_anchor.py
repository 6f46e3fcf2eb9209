"""The on-call process anchors its logs by itself, once a day, and says so when it was down."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from foundation.clock import ManualClock
from foundation.database import Database
from oncall.documents_store import publish_directory
from oncall.engine.sql_store import SqlStore
from oncall.evidence.anchor import Statement
from oncall.evidence.anchor_store import latest
from oncall.evidence.log_verification import verify_logs
from oncall.report.signing import NODE, Ed25519Keys
from oncall.roster_publication import publish_roster
from territory.oncall_parts import OncallParts
from territory.oncall_process import SIGNING_KEYS
from territory.settings import load
from tests.harness.peers import wait_until
from tests.harness.small_territory import at, directory, engine, ready_case, roster

NOON = datetime(2026, 10, 25, 12, tzinfo=UTC)


def test_the_process_anchors_a_night_at_noon_and_what_it_missed_when_it_is_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    file = tmp_path / "telegarde.toml"
    file.write_text(f'[archive]\ndata_dir = "{data}"\n\n[dicom]\naet = ["TELEGARDE"]\n\n[oncall]\ntick_s = 0.1\n')
    settings = load(file)
    database = Database(settings.database_url)
    database.create_tables()
    with database.write(durable=True) as connection:
        publish_directory(connection, directory(), by="test", now=at(0))
        publish_roster(connection, roster(), directory(), by="test", now=at(0))
    ready_case(engine(SqlStore(database), worker="before"), "C1", at(1))

    def newest() -> Statement | None:
        with database.read() as connection:
            found = latest(connection)
        return None if found is None else found.statement

    def lives_at(instant: datetime, number: int) -> Statement:
        parts = OncallParts(settings, worker=f"life-{number}", clock=ManualClock(instant))
        parts.start()
        try:
            wait_until(
                lambda: (found := newest()) is not None and found.number == number,
                what=f"anchor {number}",
                timeout_s=20,
            )
        finally:
            parts.stop()
        found = newest()
        assert found is not None
        return found

    in_time = lives_at(NOON, 1)
    late = lives_at(NOON + timedelta(days=3), 2)

    assert (in_time.due_at, in_time.late_s) == (NOON, 0.0)
    assert (late.due_at, late.late_s) == (NOON + timedelta(days=1), timedelta(days=2).total_seconds())
    key = Ed25519Keys(data / SIGNING_KEYS).public_key_of(NODE)
    assert verify_logs(database, node_keys=frozenset({key})).found == []
    database.close()
