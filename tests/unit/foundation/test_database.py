"""The database: one writer at a time whatever process it is in, stable reads, outages told from mistakes."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from foundation import outbox
from foundation.database import LOCK_WAIT_S_MAX, Database, DatabaseAway, sqlite_url
from foundation.outbox import outbox_cursor
from tests.harness.peers import free_port

ROOT = Path(__file__).parents[3]


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(outbox.outbox)).scalar_one())


def append(database: Database, number: int = 0) -> None:
    with database.write() as connection:
        outbox.append(connection, "t/1", {"number": number}, created_at_s=1.0)


class Failed(Exception):
    pass


def append_and_fail(database: Database) -> None:
    with database.write() as connection:
        outbox.append(connection, "t/1", {}, created_at_s=1.0)
        raise Failed


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    append(database)
    with pytest.raises(Failed):
        append_and_fail(database)
    # The connection and the lock are given back.
    append(database)

    assert count(database) == 2


@pytest.mark.parametrize("is_durable", [False, True])
def test_what_was_committed_is_seen_by_every_reader_at_once(database: Database, is_durable: bool) -> None:
    with database.write(durable=is_durable) as connection:
        outbox.append(connection, "t/1", {}, created_at_s=1.0)
        assert count(database) == 0
    assert count(database) == 1


def test_a_reader_keeps_its_view_while_others_write(database: Database) -> None:
    append(database)
    query = select(func.count()).select_from(outbox.outbox)
    with database.read() as connection:
        assert connection.execute(query).scalar_one() == 1
        append(database)
        assert connection.execute(query).scalar_one() == 1
    assert count(database) == 2


def test_writers_of_one_process_come_one_after_another(database: Database) -> None:
    with database.write() as connection:
        outbox.write_cursor(connection, "sum", 0)

    def add() -> None:
        for _ in range(10):
            with database.write() as connection:
                # Read, then write: two at once would lose an addition.
                outbox.write_cursor(connection, "sum", outbox.read_cursor(connection, "sum") + 1)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.read() as connection:
        assert outbox.read_cursor(connection, "sum") == 80


def test_writers_of_several_processes_come_one_after_another(database: Database, database_url: str) -> None:
    program = """
import sys
from foundation import outbox
from foundation.database import Database
database = Database(sys.argv[1])
for _ in range(25):
    with database.write() as connection:
        outbox.write_cursor(connection, "sum", outbox.read_cursor(connection, "sum") + 1)
"""
    with database.write() as connection:
        outbox.write_cursor(connection, "sum", 0)

    running = [subprocess.Popen([sys.executable, "-c", program, database_url], cwd=ROOT) for _ in range(3)]

    assert [process.wait(60) for process in running] == [0, 0, 0]
    with database.read() as connection:
        assert outbox.read_cursor(connection, "sum") == 75


def test_tables_may_be_created_from_everywhere_at_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(6)]
    errors: list[Exception] = []

    def create(one: Database) -> None:
        try:
            one.create_tables()
        except Exception as error:  # noqa: BLE001  # looked at below
            errors.append(error)

    threads = [threading.Thread(target=create, args=(one,)) for one in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    append(databases[0])
    assert count(databases[5]) == 1
    for one in databases:
        one.close()


def test_a_broken_constraint_is_a_mistake_and_no_outage(database: Database) -> None:
    twice = [{"consumer": "twice", "event_id": number} for number in range(2)]
    with pytest.raises(DBAPIError), database.write() as connection:
        connection.execute(insert(outbox_cursor), twice)


def test_a_missing_table_of_postgresql_is_a_mistake_and_no_outage(database: Database) -> None:
    expected = DatabaseAway if database.is_sqlite else DBAPIError
    with pytest.raises(expected), database.read() as connection:
        connection.execute(text("SELECT * FROM no_such_table"))


def test_a_server_that_is_not_there_is_an_outage_without_its_secrets() -> None:
    database = Database(f"postgresql+psycopg://somebody:secret@127.0.0.1:{free_port()}/nothing")

    with pytest.raises(DatabaseAway) as caught:
        database.ping()

    assert "secret" not in str(caught.value)
    assert "check that it runs" in str(caught.value)
    database.close()


def test_a_file_that_is_no_database_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"not a database at all" * 1000)
    database = Database(sqlite_url(tmp_path / "index.sqlite"))

    with pytest.raises(DatabaseAway):
        database.ping()
    database.close()


def test_sqlite_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="give a file path"):
        Database("sqlite://")


@pytest.mark.parametrize("is_durable", [False, True])
def test_only_a_durable_commit_of_sqlite_waits_for_the_disk(tmp_path: Path, is_durable: bool) -> None:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    modes = []
    for durable in (is_durable, False):
        with database.write(durable=durable) as connection:
            modes.append(connection.execute(text("PRAGMA synchronous")).scalar_one())
    database.close()

    # 1 is NORMAL, 2 is FULL (https://www.sqlite.org/pragma.html#pragma_synchronous); it never stays.
    assert modes == [2 if is_durable else 1, 1]


def test_only_a_durable_commit_of_postgresql_waits_for_the_disk(database: Database) -> None:
    if database.is_sqlite:
        return
    modes = []
    for durable in (True, False, True):
        with database.write(durable=durable) as connection:
            modes.append(connection.execute(text("SHOW synchronous_commit")).scalar_one())

    assert modes == ["on", "off", "on"]


def test_a_writer_of_postgresql_that_stops_in_the_middle_is_ended_by_the_server(database: Database) -> None:
    if database.is_sqlite:
        return
    with database.write() as connection:
        shown = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
    with database.read() as connection:
        # A reader may take its time: verify reads packs between two rows.
        unbounded = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()

    assert (shown, unbounded) == (f"{LOCK_WAIT_S_MAX:g}s", "0")


def test_the_writer_lock_is_given_up_by_a_process_that_dies(tmp_path: Path) -> None:
    program = """
import os, sys
from foundation.database import Database
database = Database(sys.argv[1])
with database.write() as connection:
    os.kill(os.getpid(), 9)
"""
    url = sqlite_url(tmp_path / "index.sqlite")
    database = Database(url)
    database.create_tables()

    assert subprocess.run([sys.executable, "-c", program, url], cwd=ROOT, check=False).returncode == -9

    append(database)
    assert count(database) == 1
    database.close()
