"""Finding instances by SOP Instance UID alone: complete, checked, repeatable, safe from several processes."""

import random
import threading
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select
from sqlalchemy.exc import OperationalError

from foundation import outbox
from foundation.database import Database, DatabaseAway
from pacs.archive import sop_lookup
from pacs.archive.schema import sop_lookup as lookup_table
from tests.harness.lookup_rows import add_instances, tell_stored


def uids(count: int, root: str = "1.2.3.1") -> list[str]:
    return [f"{root}.{number}" for number in range(1, count + 1)]


def row_count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(lookup_table)).scalar_one()


def test_an_instance_is_found_right_after_it_was_stored(database: Database) -> None:
    add_instances(database, uids(3))

    found = sop_lookup.find(database, ["1.2.3.1.2"])

    (ref,) = found["1.2.3.1.2"]
    assert (ref.study_instance_uid, ref.series_instance_uid) == ("1.2.3", "1.2.3.1")
    assert (ref.sop_instance_uid, ref.offset) == ("1.2.3.1.2", 1024)
    assert len(ref.digest) == 16


def test_what_is_not_stored_gives_an_empty_list_and_not_an_absent_key(database: Database) -> None:
    add_instances(database, uids(1))

    assert sop_lookup.find(database, ["9.9", "1.2.3.1.1"])["9.9"] == []
    assert sop_lookup.find(database, []) == {}


def test_the_same_uid_under_two_series_gives_both(database: Database) -> None:
    add_instances(database, ["1.9"], series_uid="1.2.3.1")
    add_instances(database, ["1.9"], series_uid="1.2.3.2")

    refs = sop_lookup.find(database, ["1.9"])["1.9"]

    assert [ref.series_instance_uid for ref in refs] == ["1.2.3.1", "1.2.3.2"]


def test_a_look_up_of_more_uids_than_one_query_takes_finds_all(database: Database) -> None:
    every = uids(sop_lookup.UIDS_PER_QUERY_MAX + 50)
    add_instances(database, every)
    random.Random(1).shuffle(every)

    found = sop_lookup.find(database, every)

    assert list(found) == every
    assert all(len(refs) == 1 for refs in found.values())


def test_draining_takes_more_events_than_one_batch(database: Database) -> None:
    count = 2 * sop_lookup.EVENTS_PER_BATCH_MAX + 3
    series_pk = add_instances(database, uids(count), tell=False)
    with database.write() as connection:
        for uid in uids(count):
            tell_stored(connection, series_pk, [uid])

    assert sop_lookup.drain(database) == count
    assert sop_lookup.drain(database) == 0
    assert row_count(database) == count


def test_events_of_other_topics_are_passed_over(database: Database) -> None:
    with database.write() as connection:
        for _ in range(3):
            outbox.append(connection, "study_complete/1", {}, created_at_s=0.0)
    add_instances(database, uids(1))
    with database.write() as connection:
        outbox.append(connection, "study_complete/1", {}, created_at_s=0.0)

    assert sop_lookup.drain(database) == 1
    with database.read() as connection:
        assert outbox.read_cursor(connection, sop_lookup.CONSUMER) == outbox.last_event_id(connection)


def test_an_event_seen_twice_is_seen_once(database: Database) -> None:
    series_pk = add_instances(database, uids(3))
    sop_lookup.drain(database)
    with database.write() as connection:
        tell_stored(connection, series_pk, uids(3))

    sop_lookup.drain(database)

    assert row_count(database) == 3


def test_a_colliding_hash_is_no_answer(database: Database) -> None:
    series_pk = add_instances(database, uids(1))
    sop_lookup.drain(database)
    with database.write() as connection:
        connection.execute(insert(lookup_table).values(sop_hash=sop_lookup.sop_hash("7.7"), series_pk=series_pk))

    assert sop_lookup.find(database, ["7.7"]) == {"7.7": []}


def test_several_processes_drain_at_once_and_nothing_is_lost(database: Database, database_url: str) -> None:
    count = 3 * sop_lookup.EVENTS_PER_BATCH_MAX
    series_pk = add_instances(database, uids(count), tell=False)
    with database.write() as connection:
        for uid in uids(count):
            tell_stored(connection, series_pk, [uid])
    # A Database of its own for each: what separates processes is the lock file or the advisory lock.
    others = [Database(database_url) for _ in range(4)]
    done: list[int] = []
    threads = [threading.Thread(target=lambda one=one: done.append(sop_lookup.drain(one))) for one in others]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for other in others:
        other.close()

    assert len(done) == 4
    assert sum(done) == count
    assert row_count(database) == count


class Cut(Exception):
    """What stands for a process that ends here."""


def test_a_rebuild_that_is_cut_off_leaves_the_look_up_as_it_was(database: Database) -> None:
    add_instances(database, uids(3))
    sop_lookup.drain(database)

    def cut(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO sop_lookup"):
            raise Cut

    event.listen(database.engine, "before_cursor_execute", cut)
    with pytest.raises(Cut):
        sop_lookup.rebuild(database)
    event.remove(database.engine, "before_cursor_execute", cut)

    assert len(sop_lookup.find(database, ["1.2.3.1.3"])["1.2.3.1.3"]) == 1


def test_a_database_that_is_away_is_not_an_empty_answer(database: Database) -> None:
    add_instances(database, uids(1))

    def lose(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM sop_lookup" in statement:
            raise OperationalError(statement, {}, Exception("gone"))

    event.listen(database.engine, "before_cursor_execute", lose)
    with pytest.raises(DatabaseAway):
        sop_lookup.find(database, uids(1))


def test_rebuild_fills_the_look_up_from_the_instances(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sop_lookup, "REBUILD_ROWS_PER_BATCH", 4)
    first = add_instances(database, uids(5), tell=False)
    add_instances(database, uids(5, "1.2.3.2"), series_uid="1.2.3.2", tell=False)
    with database.write() as connection:
        connection.execute(insert(lookup_table).values(sop_hash=1, series_pk=first))

    assert sop_lookup.rebuild(database) == 10

    assert row_count(database) == 10
    found = sop_lookup.find(database, uids(5) + uids(5, "1.2.3.2"))
    assert all(len(refs) == 1 for refs in found.values())


def test_events_after_a_rebuild_are_taken_in(database: Database) -> None:
    add_instances(database, uids(2))
    sop_lookup.rebuild(database)
    add_instances(database, ["1.2.3.1.77"])

    assert len(sop_lookup.find(database, ["1.2.3.1.77"])["1.2.3.1.77"]) == 1


def test_hashes_fit_a_signed_64_bit_column() -> None:
    hashes = [sop_lookup.sop_hash(uid) for uid in uids(1000)]

    assert min(hashes) < 0 < max(hashes)
    assert all(-(2**63) <= value < 2**63 for value in hashes)
