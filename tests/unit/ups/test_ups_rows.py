"""Rows of work items, subscriptions and events on both databases, and two who claim at once."""

import threading
from datetime import timedelta

import pacs.worklist.ups.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database
from pacs.status import Status
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups import store
from pacs.worklist.ups.model import FILTERED_SUBSCRIPTION, State, UpsRefused
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.worklist import Asking
from tests.harness.workitems import (
    LOCK,
    NIGHT,
    OTHER_LOCK,
    READER,
    UID,
    new_step,
    performed,
    told,
    worklist,
)

WATCHER = Subscriber(aet="WATCHER", holder="anna", sites=frozenset({"north"}))


def test_a_whole_life_is_kept_told_and_removed(database: Database) -> None:
    clock = ManualClock(NIGHT)
    steps = worklist(database, clock)
    keys = {tag.WORKLIST_LABEL: tag.value("LO", "NIGHT")}
    steps.subscribe(FILTERED_SUBSCRIPTION, Asking(subscriber=WATCHER, is_locked=True, keys=keys), READER)
    steps.create(new_step(name="MÜLLER^ANNE"), UID, READER, site_id="north")
    steps.create(new_step(worklist="DAY"), f"{UID}.2", READER, site_id="north")
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)
    steps.update(UID, performed(), LOCK, READER)
    steps.change_state(UID, State.COMPLETED, LOCK, READER)

    found = steps.search(keys, READER)
    assert [tag.text_of(one, tag.PATIENT_NAME) for one in found] == ["MÜLLER^ANNE"]
    assert [state for _, _, state in told(database, "WATCHER")] == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]

    clock.advance(store.FINAL_KEPT_FOR + timedelta(seconds=1))
    with database.write(durable=True) as connection:
        assert store.purge(connection, clock.now()) == 0
        assert store.subscriber(connection, "WATCHER") == WATCHER
    assert steps.unsubscribe(UID, WATCHER, READER)
    with database.write(durable=True) as connection:
        assert store.purge(connection, clock.now()) == 1
        assert store.is_gone(connection, UID)
    assert told(database, "WATCHER") == [], "events are kept for a day"


def test_of_many_who_claim_at_once_one_has_it(database: Database) -> None:
    steps = worklist(database)
    steps.create(new_step(), UID, READER)
    results: list[Status] = []
    ready = threading.Barrier(4)

    def claim(number: int) -> None:
        ready.wait()
        try:
            results.append(steps.change_state(UID, State.IN_PROGRESS, f"{OTHER_LOCK}.{number}", READER).status)
        except UpsRefused as error:
            results.append(error.status)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [Status.SUCCESS, *3 * (Status.UPS_TRANSACTION_UID_WRONG,)]


def test_who_waits_for_events_is_who_has_not_had_the_newest(database: Database) -> None:
    steps = worklist(database)
    steps.create(new_step(), UID, READER)
    steps.subscribe(UID, Asking(subscriber=Subscriber(aet="ANNA")), READER)
    steps.subscribe(UID, Asking(subscriber=Subscriber(aet="BRUNO")), READER)

    with database.write(durable=True) as connection:
        newest = store.newest_event(connection)
        store.note_delivered(connection, "dicom", "BRUNO", newest)
        assert store.waiting(connection, "dicom") == {"ANNA"}
        assert store.waiting(connection, "web") == {"ANNA", "BRUNO"}


def test_how_far_each_way_of_delivery_came_is_kept_apart(database: Database) -> None:
    with database.write(durable=True) as connection:
        store.note_delivered(connection, "web", "ANNA", 7)
        store.note_failed(connection, "dicom", "ANNA", failures=2, next_at=NIGHT)

    with database.read() as connection:
        assert (store.delivered(connection, "web", "ANNA"), store.delivered(connection, "dicom", "ANNA")) == (7, 0)
        assert store.failures(connection, "dicom", "ANNA") == (2, NIGHT)
        assert store.failures(connection, "web", "ANNA")[0] == 0
