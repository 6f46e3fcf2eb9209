"""The queue: who goes first, what is recorded for whom, what a person may decide, and what dead workers leave."""

from datetime import timedelta

import pytest

from foundation.database import Database
from foundation.errors import Refused
from pacs.routing import queue
from pacs.routing.model import Item, ItemState, StudyId
from tests.harness.routing import QUICK, START, item_of, items_of

THREE = [("1.2.1", f"1.2.1.{number}") for number in range(3)]


def study(number: int = 1) -> StudyId:
    return StudyId(issuer="NORTH", patient_id=f"P{number}", study_instance_uid=f"1.2.{number}")


def put(database: Database, number: int = 1, *, minute: int = 0, is_emergency: bool = False) -> None:
    with database.write(durable=True) as connection:
        queue.enqueue(
            connection, "away", study(number), THREE, START + timedelta(minutes=minute),
            rule="all", is_emergency=is_emergency, seen_event_id=number,
        )  # fmt: skip


def take(database: Database, *, minute: int = 60, worker: str = "w1") -> Item | None:
    with database.write(durable=True) as connection:
        return queue.lease(connection, "away", START + timedelta(minutes=minute), worker=worker)


def settle(database: Database, item: Item, *, brought: int = 0, reason: str = "", worker: str = "w1") -> ItemState:
    with database.write(durable=True) as connection:
        return queue.settle(
            connection, item.item_id, START + timedelta(minutes=60),
            worker=worker, policy=QUICK, brought=brought, reason=reason,
        )  # fmt: skip


def record(database: Database, item: Item, arrived: int = 0, failed: int = 0, reason: str = "status_A700") -> None:
    with database.write(durable=True) as connection:
        queue.record(connection, item.item_id, THREE[:arrived], [(one, reason) for one in THREE[3 - failed :]])


def test_emergencies_go_first_and_then_what_waits_longest(database: Database) -> None:
    put(database, 1, minute=5)
    put(database, 2, minute=1)
    put(database, 3, minute=9, is_emergency=True)

    order = []
    while (item := take(database)) is not None:
        order.append(item.study.study_instance_uid)

    assert order == ["1.2.3", "1.2.2", "1.2.1"]


def test_queueing_again_what_waits_changes_nothing(database: Database) -> None:
    put(database)
    put(database)

    assert item_of(database).instances == 3


def test_an_item_is_sent_only_when_every_instance_was_answered_for(database: Database) -> None:
    put(database)
    item = take(database)
    assert item is not None
    record(database, item, arrived=2, failed=1)

    assert settle(database, item, brought=2, reason="status_A700") is ItemState.FAILED
    after = item_of(database)
    assert (after.sent, after.unsent, after.fruitless, after.reason) == (2, 1, 1, "status_A700")
    with database.read() as connection:
        assert queue.reasons(connection, item.item_id) == {"status_A700": 1}
        assert queue.unsent(connection, item.item_id) == {THREE[2]: 1}


def test_failures_in_a_row_wait_longer_and_progress_begins_anew(database: Database) -> None:
    put(database)
    waits = []
    for brought in (0, 0, 0, 1, 0):
        item = take(database, minute=600)
        assert item is not None
        settle(database, item, brought=brought, reason="status_A700")
        after = item_of(database)
        waits.append((after.fruitless, (after.due_at - after.changed_at).total_seconds()))

    assert [fruitless for fruitless, _ in waits] == [1, 2, 3, 1, 2]
    assert waits[0][1] < waits[1][1] < waits[2][1] > waits[3][1]


def test_what_comes_while_an_item_is_sent_is_sent_too(database: Database) -> None:
    put(database)
    item = take(database)
    assert item is not None
    with database.write(durable=True) as connection:
        queue.enqueue(
            connection, "away", study(), [("1.2.1", "1.2.1.9")], START, rule="all", is_emergency=False, seen_event_id=9
        )
    record(database, item, arrived=3)

    assert settle(database, item, brought=3) is ItemState.QUEUED
    again = take(database)
    assert again is not None
    assert (again.instances, again.sent) == (4, 3)


def test_a_study_that_was_sent_is_queued_again_by_a_late_image(database: Database) -> None:
    put(database)
    item = take(database)
    assert item is not None
    record(database, item, arrived=3)
    assert settle(database, item, brought=3) is ItemState.SENT
    with database.write(durable=True) as connection:
        queue.enqueue(
            connection, "away", study(), [("1.2.1", "1.2.1.9")], START, rule="all", is_emergency=False, seen_event_id=9
        )

    after = item_of(database)
    assert (after.state, after.instances, after.sent, after.seen_event_id) == (ItemState.QUEUED, 4, 3, 9)


def test_late_images_of_a_study_that_failed_do_not_wait_as_long_as_it_does(database: Database) -> None:
    put(database)
    for _ in range(8):
        item = take(database, minute=600)
        assert item is not None
        settle(database, item, reason="status_A900")
    failed = item_of(database)
    assert failed.due_at - failed.changed_at > timedelta(seconds=queue.FRESH_WAIT_S)
    with database.write(durable=True) as connection:
        late = failed.changed_at + timedelta(seconds=1)
        queue.enqueue(
            connection, "away", study(), [("1.2.1", "1.2.1.9")], late, rule="all", is_emergency=False, seen_event_id=9
        )

    assert item_of(database).due_at == failed.changed_at + timedelta(seconds=queue.FRESH_WAIT_S)


def test_a_study_that_becomes_an_emergency_is_due_at_once(database: Database) -> None:
    put(database)
    item = take(database)
    assert item is not None
    settle(database, item, reason="status_A900")
    now = item_of(database).changed_at + timedelta(seconds=1)
    with database.write(durable=True) as connection:
        assert queue.hurry(connection, study(), now) == 1
        assert queue.hurry(connection, study(), now) == 0

    after = item_of(database)
    assert (after.is_emergency, after.due_at) == (True, now)


def test_of_a_very_large_study_the_rest_follows_at_once(database: Database) -> None:
    many = [("1.2.1", f"1.2.1.{number}") for number in range(queue.INSTANCES_PER_LEASE_MAX + 5)]
    with database.write(durable=True) as connection:
        queue.enqueue(connection, "away", study(), many, START, rule="all", is_emergency=False, seen_event_id=1)
    states = []
    for _ in range(2):
        item = take(database)
        assert item is not None
        with database.write(durable=True) as connection:
            queue.record(connection, item.item_id, list(queue.unsent(connection, item.item_id)), [])
        states.append(settle(database, item, brought=1))

    assert states == [ItemState.QUEUED, ItemState.SENT]
    assert item_of(database).sent == len(many)


def test_a_worker_that_lost_its_lease_settles_nothing_but_what_arrived_counts(database: Database) -> None:
    put(database)
    item = take(database)
    assert item is not None
    late = START + timedelta(minutes=60, seconds=queue.LEASE_S + 1)
    with database.write(durable=True) as connection:
        assert queue.release_interrupted(connection, late) == 1
    assert take(database, minute=120, worker="w2") is not None

    record(database, item, arrived=1)
    assert settle(database, item, brought=1) is ItemState.SENDING
    assert item_of(database).sent == 1


def test_a_lease_that_is_renewed_does_not_run_out(database: Database) -> None:
    put(database)
    assert take(database) is not None
    late = START + timedelta(minutes=60, seconds=queue.LEASE_S + 1)
    with database.write(durable=True) as connection:
        assert queue.renew(connection, late - timedelta(seconds=2), worker="w1") == 1
        assert queue.release_interrupted(connection, late) == 0


def test_what_a_former_life_held_is_not_waited_for(database: Database) -> None:
    put(database, 1)
    put(database, 2)
    take(database, worker="node-life1")
    take(database, worker="other-life1")
    with database.write(durable=True) as connection:
        assert queue.release_interrupted(connection, START + timedelta(minutes=60), gone="node-") == 1

    assert {item.state for item in items_of(database)} == {ItemState.QUEUED, ItemState.SENDING}


def test_giving_up_and_trying_again_are_decided_by_name_and_shown(database: Database) -> None:
    put(database)
    (item,) = items_of(database)
    with database.write(durable=True) as connection:
        assert queue.give_up(connection, item.item_id, START, by="Dr Roy").state is ItemState.GIVEN_UP
    assert take(database) is None
    assert item_of(database).decided_by == "Dr Roy"
    with database.write(durable=True) as connection:
        queue.retry(connection, item.item_id, START, by="Dr Lin")

    again = take(database)
    assert again is not None
    with database.read() as connection:
        assert len(queue.unsent(connection, again.item_id)) == 3


def test_what_comes_after_giving_up_goes_without_what_was_given_up(database: Database) -> None:
    put(database)
    (item,) = items_of(database)
    with database.write(durable=True) as connection:
        queue.give_up(connection, item.item_id, START, by="Dr Roy")
        queue.enqueue(
            connection, "away", study(), [("1.2.1", "1.2.1.9")], START, rule="all", is_emergency=False, seen_event_id=9
        )
    taken = take(database)
    assert taken is not None
    with database.write(durable=True) as connection:
        assert list(queue.unsent(connection, taken.item_id)) == [("1.2.1", "1.2.1.9")]
        queue.record(connection, taken.item_id, [("1.2.1", "1.2.1.9")], [])

    assert settle(database, taken, brought=1) is ItemState.GIVEN_UP


def test_nobody_gives_up_without_a_name_or_what_is_under_way(database: Database) -> None:
    put(database)
    item = take(database)
    assert item is not None
    with database.write(durable=True) as connection:
        for decide in (queue.give_up, queue.retry):
            for nobody in (" ", "x" * 129):
                with pytest.raises(Refused, match="by NAME"):
                    decide(connection, item.item_id, START, by=nobody)
            with pytest.raises(Refused, match="only an item that waits"):
                decide(connection, item.item_id, START, by="Dr Roy")
            with pytest.raises(Refused, match="no such item"):
                decide(connection, 999, START, by="Dr Roy")


def test_old_items_that_were_sent_are_forgotten_and_others_never(database: Database) -> None:
    put(database, 1)
    put(database, 2)
    item = take(database)
    assert item is not None
    record(database, item, arrived=3)
    settle(database, item, brought=3)

    with database.write() as connection:
        assert queue.purge(connection, START + queue.KEPT) == 0
        assert queue.purge(connection, START + queue.KEPT + timedelta(hours=2)) == 1
    assert [item.state for item in items_of(database)] == [ItemState.QUEUED]


def test_instances_that_ended_an_attempt_go_last_in_the_next(database: Database) -> None:
    put(database)
    item = take(database)
    assert item is not None
    with database.write(durable=True) as connection:
        queue.record(connection, item.item_id, [], [(THREE[0], "interrupted")])
        assert list(queue.unsent(connection, item.item_id)) == [THREE[1], THREE[2], THREE[0]]
