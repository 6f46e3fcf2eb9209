"""A database that goes away: never a success, and as soon as it is back everything goes on by itself."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation import outbox
from foundation.clock import SystemClock
from foundation.database import LOCK_WAIT_S_MAX, Database, DatabaseAway, sqlite_url
from foundation.errors import Unavailable
from pacs.archive import recovery
from pacs.archive.index import CommitUncertain
from pacs.archive.ingest import Receipt
from pacs.archive.schema import instance
from pacs.archive.verify import verify
from pacs.contracts import TOPIC_INSTANCES_STORED
from storage_tiers.lane import LaneLimits
from tests.harness.archive_parts import Archive, open_archive, rows, store_on, stored_uids, wrong_counts
from tests.harness.data_sets import image
from tests.harness.disks import filled_up, small_disk
from tests.harness.stoppable_postgresql import CuttableLine, StoppablePostgresql, stoppable_postgresql


@pytest.fixture(scope="module")
def postgres() -> Iterator[StoppablePostgresql]:
    with stoppable_postgresql() as cluster:
        yield cluster


# A lane ends after a few instances.
SMALL_LANES = LaneLimits(extent_bytes=1024 * 1024, lane_bytes_max=500_000, free_space_reserve_bytes=0)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "packs"


@contextmanager
def new_database(url: str) -> Iterator[Database]:
    opened = Database(url)
    try:
        opened.create_tables()
        yield opened
    finally:
        opened.close()


def test_postgresql_that_stops_and_starts_refuses_and_then_stores_without_any_help(
    postgres: StoppablePostgresql, journal: Path
) -> None:
    with (
        new_database(postgres.server.new_database("stops")) as database,
        open_archive(database, journal) as archive,
    ):
        stream = archive.ingest.open_stream()
        assert store_on(stream, image("1.2.9.1"), "1.2.9.1") is Receipt.STORED
        postgres.stop()
        for _ in range(3):
            with pytest.raises(DatabaseAway):
                store_on(stream, image("1.2.9.2"), "1.2.9.2")
        with pytest.raises(DatabaseAway):
            store_on(stream, image("1.2.9.3", series_instance_uid="1.2.3.9"), "1.2.9.3")
        postgres.start()

        for number in (2, 3):
            assert store_on(stream, image(f"1.2.9.{number}"), f"1.2.9.{number}") is Receipt.STORED
        stream.close()
        assert stored_uids(database) == {f"1.2.9.{number}" for number in (1, 2, 3)}
        assert wrong_counts(database) == []
    with new_database(database.url.render_as_string(hide_password=False)) as again:
        assert verify(again, journal).is_whole


@pytest.mark.parametrize("is_quiet", [False, True], ids=["with the next instance", "in quiet times"])
def test_rows_that_a_killed_postgresql_lost_are_there_again_without_a_restart(
    postgres: StoppablePostgresql, journal: Path, is_quiet: bool
) -> None:
    uids = [f"1.2.9.{number}" for number in range(20)]
    with (
        new_database(postgres.server.new_database(f"killed_{is_quiet}".lower())) as database,
        open_archive(database, journal, limits=SMALL_LANES) as archive,
    ):
        with database.write(durable=True) as connection:
            connection.execute(text("SELECT 1"))
        stream = archive.ingest.open_stream()
        for uid in uids:
            # A new patient, study and series each time, and lanes that are full after a few.
            dataset = image(uid, pixels=bytes(100_000), series_instance_uid=f"{uid}.1", study_instance_uid=f"{uid}.2")
            assert store_on(stream, dataset, uid) is Receipt.STORED
        postgres.kill()
        archive.ingest.look_after_index()
        postgres.start()
        lost = set(uids) - stored_uids(database)

        if is_quiet:
            archive.ingest.look_after_index()
            assert stored_uids(database) == set(uids)
        assert store_on(stream, image("1.2.9.99"), "1.2.9.99") is Receipt.STORED

        stream.close()
        assert lost, "the server lost nothing, so nothing was shown"
        assert stored_uids(database) == {*uids, "1.2.9.99"}
        assert wrong_counts(database) == []
        with database.read() as connection:
            events = outbox.read_after(connection, 0, topics=[TOPIC_INSTANCES_STORED])
        told = [uid for event in events for part in event.payload["series"] for uid in part["sop_instance_uids"]]
        assert sorted(told) == sorted([*uids, "1.2.9.99"])
        assert verify(database, journal).is_whole


def test_rows_that_a_killed_postgresql_lost_are_there_after_a_kill_of_the_node_too(
    postgres: StoppablePostgresql, journal: Path
) -> None:
    uids = [f"1.2.9.{number}" for number in range(20)]
    with (
        new_database(postgres.server.new_database("both_killed")) as database,
        open_archive(database, journal) as archive,
    ):
        stream = archive.ingest.open_stream()
        for number, uid in enumerate(uids):
            store_on(stream, image(uid), uid)
            if number % 5 == 0:
                archive.ingest.look_after_index()
        postgres.kill()
        stream.close()
        archive.lanes.acquire().close()
        postgres.start()

        recovery.recover(database, journal, SystemClock())

        assert stored_uids(database) == set(uids)
        assert wrong_counts(database) == []
        assert verify(database, journal).is_whole


@contextmanager
def behind_a_line(
    postgres: StoppablePostgresql, name: str, journal: Path
) -> Iterator[tuple[Archive, CuttableLine, Database]]:
    """Yield an archive whose database is reached over a line that can be cut, the line, and the database itself."""
    url = postgres.server.new_database(name)
    with (
        contextlib.closing(CuttableLine(postgres.port)) as line,
        new_database(url) as direct,
        new_database(url.replace(f":{postgres.port}/", f":{line.port}/")) as over_line,
        open_archive(over_line, journal) as archive,
    ):
        yield archive, line, direct


@pytest.mark.parametrize("is_delivered", [False, True])
def test_a_commit_whose_answer_is_lost_is_never_a_success_and_keeps_the_bytes(
    postgres: StoppablePostgresql, journal: Path, is_delivered: bool
) -> None:
    with behind_a_line(postgres, f"lost_{is_delivered}".lower(), journal) as (archive, line, database):
        stream = archive.ingest.open_stream()
        store_on(stream, image("1.2.9.1"), "1.2.9.1")
        line.cut_at(b"COMMIT", is_delivered=is_delivered)
        with pytest.raises(CommitUncertain):
            store_on(stream, image("1.2.9.2", pixels=b"in doubt" * 100), "1.2.9.2")
        assert line.cuts == 1
        assert ("1.2.9.2" in stored_uids(database)) is is_delivered
        # Whatever came of it, the next one does not overwrite its bytes.
        store_on(stream, image("1.2.9.3", pixels=b"afterwards" * 100), "1.2.9.3")
        assert verify(database, journal).is_whole

        # The bytes were kept, so with the next instance they are indexed, whether their own commit went through or not.
        again = store_on(stream, image("1.2.9.2", pixels=b"in doubt" * 100), "1.2.9.2")
        stream.close()

        assert again is Receipt.ALREADY_STORED
        assert stored_uids(database) == {f"1.2.9.{number}" for number in (1, 2, 3)}
        assert wrong_counts(database) == []


def test_a_transaction_that_is_cut_leaves_nothing_and_the_next_one_goes_in(
    postgres: StoppablePostgresql, journal: Path
) -> None:
    with behind_a_line(postgres, "cut", journal) as (archive, line, database):
        stream = archive.ingest.open_stream()
        for marker in (
            b"pg_advisory_xact_lock",
            b"INSERT INTO patient",
            b"INSERT INTO instance",
            b"INSERT INTO outbox",
        ):
            line.cut_at(marker, is_delivered=True)
            with pytest.raises(Unavailable):
                store_on(stream, image("1.2.9.1"), "1.2.9.1")
            assert stored_uids(database) == set()
        assert line.cuts == 4
        assert store_on(stream, image("1.2.9.1"), "1.2.9.1") is Receipt.STORED
        stream.close()
        assert wrong_counts(database) == []


def test_waits_on_postgresql_are_bounded(postgres: StoppablePostgresql) -> None:
    with new_database(postgres.server.new_database("bounded")) as database, database.read() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == f"{LOCK_WAIT_S_MAX:g}s"


def test_an_index_on_a_full_disk_refuses_until_there_is_room(tmp_path: Path, journal: Path) -> None:
    with (
        small_disk(tmp_path / "disk", size_bytes=4 * 1024 * 1024) as disk,
        new_database(sqlite_url(disk / "index.sqlite")) as database,
        open_archive(database, journal) as archive,
    ):
        stream = archive.ingest.open_stream()
        store_on(stream, image("1.2.9.1"), "1.2.9.1")
        refused = 0
        with filled_up(disk):
            for number in range(2, 80):
                try:
                    store_on(stream, image(f"1.2.9.{number}", series_instance_uid=f"1.2.3.{number}"), f"1.2.9.{number}")
                except Unavailable:
                    refused += 1
                # Reading goes on.
                assert "1.2.9.1" in stored_uids(database)
        assert refused > 0
        stored = len(stored_uids(database))
        assert stored + refused == 79

        assert store_on(stream, image("1.2.9.99"), "1.2.9.99") is Receipt.STORED
        stream.close()
        assert len(rows(database, instance)) == stored + 1
        assert wrong_counts(database) == []
        assert verify(database, journal).is_whole
