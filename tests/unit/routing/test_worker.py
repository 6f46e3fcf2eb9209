"""The forwarding worker on a virtual clock: island mode, emergencies first, pauses, poison, and honest answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from foundation.clock import ManualClock
from foundation.database import Database
from pacs.archive.schema import instance
from pacs.routing import destinations, queue
from pacs.routing.consignment import INTERRUPTED, Consignment
from pacs.routing.destinations import DestinationStatus
from pacs.routing.model import DestinationPolicy, ItemState, RouteRule
from pacs.scu.errors import ConnectionLost
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.routing import (
    QUICK,
    START,
    ScriptedSender,
    item_of,
    items_of,
    keep_study,
    later,
    make_worker,
    place_order,
)

ONE_AT_A_TIME = DestinationPolicy(name="away", associations_max=1, retry=QUICK)


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Iterator[Archive]:
    with open_archive(database, tmp_path / "journal", clock=ManualClock(START)) as opened:
        yield opened


def status(database: Database, name: str = "away") -> DestinationStatus:
    with database.read() as connection:
        return destinations.status_of(connection, name)


def test_every_instance_is_sent_once_and_counted(archive: Archive) -> None:
    sender = ScriptedSender()
    worker = make_worker(archive, {"away": sender})
    kept = keep_study(archive, images=5)
    worker.drain()
    worker.drain()

    assert sorted(sender.taken) == sorted(kept.uids)
    assert item_of(archive.database).state is ItemState.SENT
    now = status(archive.database)
    assert (now.sent_instances, now.last_sent_at, now.reach.is_away) == (5, START, False)
    assert now.sent_bytes > 0


def test_what_the_destination_refuses_waits_and_the_rest_has_arrived(archive: Archive) -> None:
    clock, sender = ManualClock(START), ScriptedSender()
    worker = make_worker(archive, {"away": sender}, clock=clock)
    kept = keep_study(archive, images=4)
    sender.refusing = {kept.uids[1]: "status_A700"}
    worker.drain()

    item = item_of(archive.database)
    assert (item.state, item.sent, item.reason) == (ItemState.FAILED, 3, "status_A700")
    worker.drain()
    assert item_of(archive.database).attempts == 1, "nothing is tried before its time"
    sender.refusing = {}
    later(clock, seconds=QUICK.first_wait_s)
    worker.drain()
    assert item_of(archive.database).state is ItemState.SENT
    assert sender.taken.count(kept.uids[1]) == 1


def test_a_destination_that_is_away_gets_one_probe_at_a_time_and_nothing_else(archive: Archive) -> None:
    clock, sender = ManualClock(START), ScriptedSender()
    worker = make_worker(archive, {"away": sender}, clock=clock)
    sender.is_away = True
    for number in range(5):
        keep_study(archive, number, images=2)
    worker.drain()
    assert status(archive.database).reach.away_since == START
    asked = sender.probes

    for _ in range(30):
        later(clock, seconds=1)
        worker.drain()

    # Waits of 10, 20, 40 ... seconds, shorter by up to a quarter: at most three probes in half a minute.
    assert 1 <= sender.probes - asked <= 3
    assert {item.state for item in items_of(archive.database)} == {ItemState.QUEUED}
    assert max(item.attempts for item in items_of(archive.database)) <= 1
    assert sender.taken == []


def test_on_its_return_emergencies_go_first_and_then_the_oldest(archive: Archive) -> None:
    clock, sender = ManualClock(START), ScriptedSender()
    worker = make_worker(archive, {"away": sender}, clock=clock, policies=[ONE_AT_A_TIME])
    sender.is_away = True
    for number in (1, 2, 3):
        keep_study(archive, number, images=1)
        worker.drain()
        later(clock, seconds=1)
    place_order(archive.database, 9, study_uid="1.2.3.9")
    keep_study(archive, 9, images=1)
    worker.drain()
    sender.is_away = False
    later(clock, seconds=QUICK.wait_max_s)
    worker.drain()
    assert not status(archive.database).reach.is_away
    worker.drain()

    assert [uid.split(".")[3] for uid in sender.taken] == ["9", "1", "2", "3"]
    assert sender.urgent == [True, False, False, False]


def test_an_emergency_waits_for_no_more_than_the_instance_in_hand(archive: Archive) -> None:
    clock, sender = ManualClock(START), ScriptedSender()
    worker = make_worker(archive, {"away": sender}, clock=clock, policies=[ONE_AT_A_TIME])
    keep_study(archive, 1, images=6)

    def third_brings_an_emergency(uid: str) -> None:
        # Each instance takes longer than the interval at which it is asked what is more urgent.
        later(clock, seconds=2)
        if uid.endswith("1.2"):
            sender.on_instance = lambda _: later(clock, seconds=2)
            place_order(archive.database, 9, study_uid="1.2.3.9")
            keep_study(archive, 9, images=2)
            worker.step()

    sender.on_instance = third_brings_an_emergency
    worker.drain()

    studies = [uid.split(".")[3] for uid in sender.taken]
    assert studies == ["1", "1", "1", "9", "9", "1", "1", "1"]
    assert {item.state for item in items_of(archive.database)} == {ItemState.SENT}


def test_a_destination_that_hangs_or_is_away_holds_up_no_other(archive: Archive) -> None:
    away, there = ScriptedSender(), ScriptedSender()
    away.is_away = True
    both = RouteRule(name="both", destinations=("away", "there"))
    worker = make_worker(archive, {"away": away, "there": there}, rules=[both])
    kept = keep_study(archive)
    worker.drain()

    assert sorted(there.taken) == sorted(kept.uids)
    assert item_of(archive.database, "away").state is ItemState.QUEUED


def test_a_link_that_breaks_in_the_middle_keeps_what_was_answered(archive: Archive) -> None:
    clock, sender = ManualClock(START), ScriptedSender()
    worker = make_worker(archive, {"away": sender}, clock=clock)
    kept = keep_study(archive, images=5)

    def leave_at_the_third(uid: str) -> None:
        sender.is_away = uid.endswith("1.2")

    sender.on_instance = leave_at_the_third
    worker.drain()
    item = item_of(archive.database)
    assert (item.state, item.sent, status(archive.database).reach.is_away) == (ItemState.QUEUED, 2, True)

    sender.on_instance, sender.is_away = (lambda _: None), False
    later(clock, seconds=QUICK.first_wait_s)
    worker.drain()
    worker.drain()

    assert sorted(sender.taken) == sorted(kept.uids), "each instance once"
    assert item_of(archive.database).state is ItemState.SENT


class CrashingSender(ScriptedSender):
    """A destination whose process dies of one instance, and is there again at once."""

    def __init__(self, deadly_uid: str) -> None:
        super().__init__()
        self.deadly_uid = deadly_uid

    def send(self, consignment: Consignment) -> None:
        """Answer for each instance up to the deadly one."""
        for ref in consignment.refs:
            if ref.sop_instance_uid == self.deadly_uid:
                consignment.failed(ref, INTERRUPTED)
                raise ConnectionLost("it crashed")
            self.taken.append(ref.sop_instance_uid)
            consignment.arrived(ref)


def test_one_instance_that_ends_every_association_does_not_keep_the_others_back(archive: Archive) -> None:
    clock = ManualClock(START)
    crashing = CrashingSender("1.2.3.1.1.0")
    worker = make_worker(archive, {"away": crashing}, clock=clock)
    kept = keep_study(archive, images=4)
    for _ in range(3):
        worker.drain()
        later(clock, seconds=QUICK.wait_max_s)

    item = item_of(archive.database)
    assert sorted(crashing.taken) == sorted(kept.uids[1:])
    assert (item.state, item.unsent, item.reason) == (ItemState.FAILED, 1, "interrupted")
    assert not status(archive.database).reach.is_away, "it answers C-ECHO"


def pause_at_once(database: Database) -> None:
    with database.write(durable=True) as connection:
        destinations.pause(connection, "away", by="Dr Roy")


def test_a_paused_destination_gets_nothing_until_somebody_says_so(archive: Archive) -> None:
    sender = ScriptedSender()
    worker = make_worker(archive, {"away": sender})
    pause_at_once(archive.database)
    keep_study(archive)
    worker.drain()
    assert (sender.taken, item_of(archive.database).attempts) == ([], 0)

    with archive.database.write(durable=True) as connection:
        destinations.resume(connection, "away")
    worker.drain()
    assert len(sender.taken) == 3


def test_an_instance_that_is_gone_from_the_archive_is_not_said_to_be_sent(archive: Archive) -> None:
    sender = ScriptedSender()
    worker = make_worker(archive, {"away": sender})
    pause_at_once(archive.database)
    kept = keep_study(archive)
    worker.drain()
    with archive.database.write(durable=True) as connection:
        connection.execute(delete(instance).where(instance.c.sop_instance_uid == kept.uids[0]))
        destinations.resume(connection, "away")
    worker.drain()

    item = item_of(archive.database)
    assert sorted(sender.taken) == sorted(kept.uids[1:])
    assert (item.state, item.unsent, item.reason) == (ItemState.FAILED, 1, "gone")


def test_a_defect_of_a_sender_leaves_a_visible_failure_and_no_lease(archive: Archive) -> None:
    sender = ScriptedSender()

    def fail(uid: str) -> None:
        raise ZeroDivisionError(uid)

    sender.on_instance = fail
    worker = make_worker(archive, {"away": sender})
    keep_study(archive)
    worker.drain()

    item = item_of(archive.database)
    assert (item.state, item.reason, item.sent) == (ItemState.FAILED, "defect", 0)


def test_stopping_leaves_what_is_unsent_in_the_queue(archive: Archive) -> None:
    sender = ScriptedSender()
    clock = ManualClock(START)
    worker = make_worker(archive, {"away": sender}, clock=clock, policies=[ONE_AT_A_TIME])
    keep_study(archive, 1, images=5)
    keep_study(archive, 2, images=5)

    def stop_at_the_second(uid: str) -> None:
        later(clock, seconds=2)
        if uid.endswith(".1"):
            worker.begin_no_more()

    sender.on_instance = stop_at_the_second
    worker.drain()

    assert len(sender.taken) == 2
    assert [(item.state, item.sent) for item in items_of(archive.database)] == [
        (ItemState.QUEUED, 2), (ItemState.QUEUED, 0),
    ]  # fmt: skip


def test_two_workers_on_one_database_send_each_instance_once(archive: Archive) -> None:
    first, second = ScriptedSender(), ScriptedSender()
    workers = [
        make_worker(archive, {"away": first}, worker="w1"),
        make_worker(archive, {"away": second}, worker="w2"),
    ]
    uids = [uid for number in range(8) for uid in keep_study(archive, number, images=4).uids]
    for worker in workers:
        worker.step()
    for worker in workers:
        worker.drain()

    assert sorted(first.taken + second.taken) == sorted(uids)
    assert {item.state for item in items_of(archive.database)} == {ItemState.SENT}


def test_a_study_that_takes_longer_than_a_lease_is_not_taken_for_interrupted(archive: Archive) -> None:
    clock, sender = ManualClock(START), ScriptedSender()
    worker = make_worker(archive, {"away": sender}, clock=clock, policies=[ONE_AT_A_TIME])

    def take_a_minute(uid: str) -> None:
        later(clock, seconds=queue.LEASE_S / 2)
        worker.step()

    sender.on_instance = take_a_minute
    keep_study(archive, images=6)
    worker.drain()

    item = item_of(archive.database)
    assert (item.state, item.sent, item.attempts) == (ItemState.SENT, 6, 1)
    assert len(sender.taken) == 6


def test_a_destination_that_is_paused_gets_no_more_than_what_is_in_hand(archive: Archive) -> None:
    clock, sender = ManualClock(START), ScriptedSender()
    worker = make_worker(archive, {"away": sender}, clock=clock)

    def pause_at_the_second(uid: str) -> None:
        later(clock, seconds=2)
        if uid.endswith(".1"):
            pause_at_once(archive.database)

    sender.on_instance = pause_at_the_second
    keep_study(archive, images=5)
    worker.drain()

    item = item_of(archive.database)
    assert (len(sender.taken), item.state, item.sent) == (2, ItemState.QUEUED, 2)
