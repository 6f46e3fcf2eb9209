"""The outbox: facts in the order in which they became true, each consumer at its own place."""

import threading

import pytest

from foundation import outbox
from foundation.database import Database


def append(database: Database, topic: str, *numbers: int) -> None:
    with database.write() as connection:
        for number in numbers:
            outbox.append(connection, topic, {"number": number, "text": "é\0"}, created_at_s=1.5)


def numbers(database: Database, after: int = 0, **options: object) -> list[int]:
    with database.read() as connection:
        return [event.payload["number"] for event in outbox.read_after(connection, after, **options)]  # type: ignore[arg-type]


def test_facts_are_read_in_the_order_in_which_they_were_appended(database: Database) -> None:
    append(database, "a/1", 1, 2)
    append(database, "b/1", 3)
    append(database, "a/1", 4)

    assert numbers(database) == [1, 2, 3, 4]
    assert numbers(database, topics=["a/1"]) == [1, 2, 4]
    assert numbers(database, limit=2) == [1, 2]
    with database.read() as connection:
        last = outbox.last_event_id(connection)
        third = outbox.read_after(connection, 0)[2].event_id
    assert numbers(database, after=third) == [4]
    assert numbers(database, after=last) == []


class Failed(Exception):
    pass


def append_and_fail(database: Database) -> None:
    with database.write() as connection:
        outbox.append(connection, "a/1", {"number": 1}, created_at_s=1.0)
        raise Failed


def test_a_fact_whose_transaction_fails_never_was(database: Database) -> None:
    with pytest.raises(Failed):
        append_and_fail(database)

    assert numbers(database) == []


def test_each_consumer_keeps_its_own_place(database: Database) -> None:
    with database.write() as connection:
        assert outbox.read_cursor(connection, "relay") == 0
        outbox.write_cursor(connection, "relay", 7)
        outbox.write_cursor(connection, "lookup", 3)
        outbox.write_cursor(connection, "relay", 9)

    with database.read() as connection:
        assert outbox.read_cursor(connection, "relay") == 9
        assert outbox.read_cursor(connection, "lookup") == 3
        assert outbox.read_cursor(connection, "new") == 0


def test_an_empty_outbox_has_no_last_event(database: Database) -> None:
    with database.read() as connection:
        assert outbox.last_event_id(connection) == 0


def test_ids_commit_in_order_so_that_no_reader_passes_over_a_late_one(database: Database) -> None:
    seen: list[int] = []
    writers = [threading.Thread(target=append, args=(database, "a/1", *range(5))) for _ in range(8)]

    def read() -> None:
        while len(seen) < 40:
            with database.read() as connection:
                seen.extend(event.event_id for event in outbox.read_after(connection, seen[-1] if seen else 0))

    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in (*writers, reader):
        thread.join()

    with database.read() as connection:
        assert seen == [event.event_id for event in outbox.read_after(connection, 0)]
