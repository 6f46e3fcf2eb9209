"""Periodic tasks, and the checkpoints that keep SQLite's log short."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database, sqlite_url
from foundation.errors import Unavailable
from territory.maintenance import Maintenance, OnRequest, PeriodicTask, checkpoint


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(tmp_path / "index.sqlite"), is_checkpointed_elsewhere=True)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (x BLOB)"))
    yield database
    database.close()


def insert(database: Database, rows: int) -> None:
    for _ in range(rows):
        with database.write() as connection:
            connection.execute(text("INSERT INTO t VALUES (randomblob(4000))"))


def log_bytes(database: Database) -> int:
    return Path(f"{database.url.database}-wal").stat().st_size


def test_without_checkpoints_the_log_grows_for_ever(database: Database) -> None:
    insert(database, 1200)

    # SQLite by itself would have begun anew after 1,000 pages of 4,096 bytes.
    assert log_bytes(database) > 1200 * 4096


def test_checkpoints_between_writes_keep_the_log_short(database: Database) -> None:
    for _ in range(60):
        insert(database, 20)
        checkpoint(database)

    assert log_bytes(database) < 200 * 4096


def test_a_reader_that_stays_lets_the_log_grow_and_its_end_lets_it_begin_anew(database: Database) -> None:
    with database.read() as connection:
        connection.execute(text("SELECT count(*) FROM t")).one()
        insert(database, 50)
        # It must neither fail nor wait for the reader.
        checkpoint(database)
    checkpoint(database, log_pages_max=10)
    before = log_bytes(database)

    insert(database, 20)

    assert log_bytes(database) == before


def test_what_was_checkpointed_is_in_the_database_file_itself(database: Database, tmp_path: Path) -> None:
    insert(database, 3)
    checkpoint(database)

    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(Path(str(database.url.database)).read_bytes())
    with sqlite3.connect(copy) as opened:
        assert opened.execute("SELECT count(*) FROM t").fetchone() == (3,)
    opened.close()


def test_a_task_that_fails_is_tried_again_and_holds_up_no_other() -> None:
    stopping = threading.Event()
    failed_twice, other_ran = threading.Event(), threading.Event()
    failures: list[int] = []

    def fail() -> None:
        failures.append(1)
        if len(failures) >= 2:
            failed_twice.set()
        raise Unavailable("no room") if len(failures) % 2 else RuntimeError("defect")

    maintenance = Maintenance(
        [PeriodicTask(name="fails", every_s=0.01, run=fail), PeriodicTask(name="works", every_s=60, run=other_ran.set)],
        stopping,
    )

    maintenance.start()

    assert failed_twice.wait(10)
    assert other_ran.wait(10)
    maintenance.stop()
    assert stopping.is_set()


def test_work_on_request_is_done_once_for_each_request_and_again_after_a_failure() -> None:
    done: list[str] = []
    is_away = True

    def work() -> None:
        if is_away:
            raise Unavailable("the database is away")
        done.append("done")

    request = OnRequest(work)
    request.run()
    request.ask()
    with pytest.raises(Unavailable):
        request.run()
    is_away = False
    request.run()
    request.run()

    assert done == ["done"]
