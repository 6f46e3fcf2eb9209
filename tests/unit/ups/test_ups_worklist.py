"""The operations of the worklist: create, find, claim, report, finish, cancel, subscribe.

On SQLite; what rows do on both databases is in `test_ups_rows`.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import pacs.worklist.ups.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from pacs.archive.matching import InvalidKey
from pacs.status import Status
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups import store
from pacs.worklist.ups.model import FILTERED_SUBSCRIPTION, GLOBAL_SUBSCRIPTION, Caller, State
from pacs.worklist.ups.requirements import DEFAULT_LABEL
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.worklist import Asking, Worklist
from tests.harness.workitems import (
    LOCK,
    NIGHT,
    OTHER_LOCK,
    READER,
    UID,
    discontinued,
    new_step,
    performed,
    refused,
    told,
    worklist,
)

WATCHER = Subscriber(aet="WATCHER")
NORTH = Caller(name="RIS_NORTH", sites=frozenset({"north"}))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(sqlite_url(tmp_path / "index.sqlite"))
    opened.create_tables()
    yield opened
    opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NIGHT)


@pytest.fixture
def steps(database: Database, clock: ManualClock) -> Worklist:
    return worklist(database, clock)


def state_of(steps: Worklist, uid: str = UID) -> str:
    return tag.text_of(steps.get(uid, READER), tag.PROCEDURE_STEP_STATE)


# Creating


def test_a_created_work_item_is_scheduled_and_says_when_it_was_created(steps: Worklist) -> None:
    done = steps.create(new_step(), UID, READER)

    dataset = steps.get(UID, READER)
    assert (done.uid, done.status) == (UID, Status.SUCCESS)
    assert tag.text_of(dataset, tag.PROCEDURE_STEP_STATE) == "SCHEDULED"
    assert tag.text_of(dataset, tag.MODIFICATION_DATE_TIME) == "20261024230000+0000"
    assert tag.text_of(dataset, tag.PATIENT_NAME) == "DUPONT^MARIE"


def test_what_is_created_without_a_uid_is_given_one(steps: Worklist) -> None:
    assert steps.create(new_step(), "", READER).uid.startswith("2.25.")


def test_a_missing_attribute_of_type_two_is_created_empty_and_warned_of(steps: Worklist) -> None:
    asked = new_step()
    del asked[tag.ADMISSION_ID]

    assert steps.create(asked, UID, READER).status is Status.UPS_CREATED_WITH_MODIFICATIONS
    assert steps.get(UID, READER)[tag.ADMISSION_ID].text == ""


def test_a_worklist_label_that_is_not_given_is_filled_in(steps: Worklist) -> None:
    steps.create(new_step(worklist=""), UID, READER)

    assert tag.text_of(steps.get(UID, READER), tag.WORKLIST_LABEL) == DEFAULT_LABEL


@pytest.mark.parametrize("missing", [tag.PRIORITY, tag.PROCEDURE_STEP_LABEL, tag.SCHEDULED_START])
def test_a_missing_attribute_of_type_one_is_refused(steps: Worklist, missing: int) -> None:
    asked = new_step()
    del asked[missing]

    with refused(Status.MISSING_ATTRIBUTE):
        steps.create(asked, UID, READER)


def test_what_is_not_created_as_scheduled_is_refused(steps: Worklist) -> None:
    with refused(Status.UPS_NOT_CREATED_SCHEDULED):
        steps.create(new_step(state="IN PROGRESS"), UID, READER)


def test_a_priority_of_its_own_making_is_refused(steps: Worklist) -> None:
    with refused(Status.INVALID_ATTRIBUTE_VALUE):
        steps.create(new_step(priority="STAT"), UID, READER)


def test_a_work_item_is_not_created_with_results(steps: Worklist) -> None:
    with refused(Status.INVALID_ATTRIBUTE_VALUE):
        steps.create({**new_step(), **performed()}, UID, READER)


@pytest.mark.parametrize("uid", [UID, GLOBAL_SUBSCRIPTION, FILTERED_SUBSCRIPTION])
def test_a_uid_that_is_taken_is_not_given_twice(steps: Worklist, uid: str) -> None:
    steps.create(new_step(), UID, READER)

    with refused(Status.DUPLICATE_SOP_INSTANCE):
        steps.create(new_step(), uid, READER)


def test_who_may_only_read_creates_nothing(steps: Worklist) -> None:
    with refused(Status.NOT_AUTHORIZED):
        steps.create(new_step(), UID, replace(READER, may_request=False))


# Claiming, reporting, finishing


def test_a_claimed_work_item_is_finished_by_its_performer(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)
    steps.update(UID, performed(), LOCK, READER)

    done = steps.change_state(UID, State.COMPLETED, LOCK, READER)

    assert (done.status, state_of(steps)) == (Status.SUCCESS, "COMPLETED")
    again = steps.change_state(UID, State.COMPLETED, LOCK, READER)
    assert again.status is Status.UPS_ALREADY_COMPLETED


def test_the_transaction_uid_is_told_to_nobody(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)

    assert tag.TRANSACTION_UID not in steps.get(UID, READER)
    keys = {tag.TRANSACTION_UID: tag.value("UI", OTHER_LOCK)}
    assert len(steps.search(keys, READER)) == 1, "nor can it be asked for"


def test_without_results_a_work_item_is_not_completed(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)

    with refused(Status.UPS_FINAL_STATE_REQUIREMENTS_NOT_MET):
        steps.change_state(UID, State.COMPLETED, LOCK, READER)
    assert state_of(steps) == "IN PROGRESS"


def test_output_may_be_nothing_but_must_be_said(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)
    item = dict(tag.first_item(performed(), tag.PERFORMED_PROCEDURE_SEQUENCE))
    del item[tag.OUTPUT_INFORMATION_SEQUENCE]
    steps.update(UID, {tag.PERFORMED_PROCEDURE_SEQUENCE: tag.sequence(item)}, LOCK, READER)

    with refused(Status.UPS_FINAL_STATE_REQUIREMENTS_NOT_MET):
        steps.change_state(UID, State.COMPLETED, LOCK, READER)


def test_who_cancels_says_why_and_the_time_is_filled_in(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)
    with refused(Status.UPS_FINAL_STATE_REQUIREMENTS_NOT_MET):
        steps.change_state(UID, State.CANCELED, LOCK, READER)

    steps.update(UID, discontinued(), LOCK, READER)
    steps.change_state(UID, State.CANCELED, LOCK, READER)

    progress = tag.first_item(steps.get(UID, READER), tag.PROGRESS_INFORMATION_SEQUENCE)
    assert tag.text_of(progress, tag.CANCELLATION_DATE_TIME) == "20261024230000+0000"
    assert tag.text_of(progress, tag.REASON_FOR_CANCELLATION) == "scanner broken"


def test_what_another_has_claimed_is_neither_set_nor_finished(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)

    with refused(Status.UPS_TRANSACTION_UID_WRONG):
        steps.change_state(UID, State.IN_PROGRESS, OTHER_LOCK, READER)
    with refused(Status.UPS_TRANSACTION_UID_WRONG):
        steps.update(UID, performed(), OTHER_LOCK, READER)
    with refused(Status.UPS_TRANSACTION_UID_WRONG):
        steps.update(UID, performed(), "", READER)
    with refused(Status.UPS_TRANSACTION_UID_WRONG):
        steps.change_state(UID, State.COMPLETED, OTHER_LOCK, READER)


def test_setting_replaces_whole_sequences_and_leaves_the_rest(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)

    steps.update(UID, {tag.PRIORITY: tag.value("CS", "LOW")}, "", READER)

    dataset = steps.get(UID, READER)
    assert tag.text_of(dataset, tag.PRIORITY) == "LOW"
    assert tag.text_of(dataset, tag.PROCEDURE_STEP_LABEL) == "CT HEAD"


@pytest.mark.parametrize(
    "asked",
    [
        {tag.PROCEDURE_STEP_STATE: tag.value("CS", "COMPLETED")},
        {tag.PATIENT_ID: tag.value("LO", "IPP-2")},
        {tag.PATIENT_NAME: tag.value("PN", "MARTIN^JEAN")},
        {tag.PRIORITY: tag.value("CS", "")},
    ],
    ids=["state", "patient id", "patient name", "no priority"],
)
def test_what_may_not_be_set_is_refused_and_nothing_changes(steps: Worklist, asked: dict[int, tag.Element]) -> None:
    steps.create(new_step(), UID, READER)
    before = steps.get(UID, READER)

    with refused(Status.INVALID_ATTRIBUTE_VALUE):
        steps.update(UID, asked, "", READER)
    assert steps.get(UID, READER) == before


# Asking to cancel


def test_nobody_having_claimed_it_a_cancel_request_cancels(steps: Worklist, database: Database) -> None:
    steps.create(new_step(), UID, READER)
    steps.subscribe(UID, Asking(subscriber=WATCHER), READER)

    done = steps.request_cancel(UID, {tag.REASON_FOR_CANCELLATION: tag.value("LT", "wrong arm")}, READER)

    assert (done.status, state_of(steps)) == (Status.SUCCESS, "CANCELED")
    events = [(kind, state) for _, kind, state in told(database, "WATCHER")]
    assert events == [(1, "SCHEDULED"), (2, ""), (1, "IN PROGRESS"), (1, "CANCELED")]
    progress = tag.first_item(steps.get(UID, READER), tag.PROGRESS_INFORMATION_SEQUENCE)
    assert tag.has_value(progress, tag.DISCONTINUATION_REASON_CODE_SEQUENCE)
    assert steps.request_cancel(UID, {}, READER).status is Status.UPS_ALREADY_CANCELED


def test_a_claimed_work_item_is_not_canceled_by_others_but_its_subscribers_are_told(
    steps: Worklist, database: Database
) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)
    with refused(Status.UPS_PERFORMER_UNREACHABLE):
        steps.request_cancel(UID, {}, READER)

    steps.subscribe(UID, Asking(subscriber=WATCHER), READER)
    steps.request_cancel(UID, {}, READER)

    assert state_of(steps) == "IN PROGRESS"
    assert told(database, "WATCHER")[-1][:2] == (UID, 2)


def test_a_completed_work_item_is_not_canceled(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)
    steps.update(UID, performed(), LOCK, READER)
    steps.change_state(UID, State.COMPLETED, LOCK, READER)

    with refused(Status.UPS_IS_COMPLETED):
        steps.request_cancel(UID, {}, READER)


# Finding


def test_a_query_finds_by_state_readiness_pool_and_performer(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.create(new_step(readiness="INCOMPLETE"), f"{UID}.2", READER)
    steps.create(new_step(worklist="DAY"), f"{UID}.3", READER)
    steps.create(new_step(), f"{UID}.4", READER)
    steps.change_state(f"{UID}.4", State.IN_PROGRESS, LOCK, READER)
    keys = {
        tag.PROCEDURE_STEP_STATE: tag.value("CS", "SCHEDULED"),
        tag.INPUT_READINESS_STATE: tag.value("CS", "READY"),
        tag.WORKLIST_LABEL: tag.value("LO", "NIGHT"),
        tag.SCHEDULED_WORKITEM_CODE_SEQUENCE: tag.sequence({tag.CODE_VALUE: tag.value("SH", "110005")}),
    }

    found = steps.search(keys, READER)

    assert [tag.text_of(one, tag.SOP_INSTANCE_UID) for one in found] == [UID]


def test_urgent_work_items_come_first_then_those_that_are_due_first(steps: Worklist) -> None:
    steps.create(new_step(priority="LOW", due="20261024230100+0000"), f"{UID}.1", READER)
    steps.create(new_step(due="20261025003000+0000"), f"{UID}.2", READER)
    steps.create(new_step(due="20261025000000+0000"), f"{UID}.3", READER)

    found = [tag.text_of(one, tag.SOP_INSTANCE_UID) for one in steps.search({}, READER)]

    assert found == [f"{UID}.3", f"{UID}.2", f"{UID}.1"]
    assert [tag.text_of(one, tag.SOP_INSTANCE_UID) for one in steps.search({}, READER, limit=1, offset=1)] == found[1:2]


def test_a_key_without_meaning_is_a_failure_and_not_an_empty_list(steps: Worklist) -> None:
    with pytest.raises(InvalidKey):
        steps.search({tag.SCHEDULED_START: tag.value("DT", "yesterday")}, READER)


def test_a_hospital_sees_its_own_work_items_and_those_it_made(steps: Worklist) -> None:
    steps.create(new_step(), f"{UID}.1", READER, site_id="south")
    steps.create(new_step(), f"{UID}.2", READER, site_id="north")
    steps.create(new_step(), f"{UID}.3", NORTH)
    steps.create(new_step(), f"{UID}.4", READER)

    found = {tag.text_of(one, tag.SOP_INSTANCE_UID) for one in steps.search({}, NORTH)}

    assert found == {f"{UID}.2", f"{UID}.3"}
    with refused(Status.UPS_UNKNOWN):
        steps.get(f"{UID}.1", NORTH)
    with refused(Status.UPS_UNKNOWN):
        steps.change_state(f"{UID}.1", State.IN_PROGRESS, LOCK, NORTH)


# Subscribing


def test_who_subscribes_to_all_is_told_of_what_is_created_later(steps: Worklist, database: Database) -> None:
    steps.subscribe(GLOBAL_SUBSCRIPTION, Asking(subscriber=WATCHER), READER)
    performers = tag.sequence({tag.HUMAN_PERFORMER_NAME: tag.value("PN", "ANNA")})

    steps.create({**new_step(), tag.SCHEDULED_HUMAN_PERFORMERS_SEQUENCE: performers}, UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)

    assert told(database, "WATCHER") == [(UID, 1, "SCHEDULED"), (UID, 5, ""), (UID, 1, "IN PROGRESS")]


def test_a_global_subscription_with_lock_tells_of_what_is_there(steps: Worklist, database: Database) -> None:
    steps.create(new_step(), UID, READER)

    steps.subscribe(GLOBAL_SUBSCRIPTION, Asking(subscriber=WATCHER, is_locked=True), READER)

    assert told(database, "WATCHER") == [(UID, 1, "SCHEDULED")]


def test_a_filtered_subscription_is_told_of_what_matches_only(steps: Worklist, database: Database) -> None:
    keys = {tag.PRIORITY: tag.value("CS", "HIGH")}
    steps.subscribe(FILTERED_SUBSCRIPTION, Asking(subscriber=WATCHER, keys=keys), READER)

    steps.create(new_step(), f"{UID}.1", READER)
    steps.create(new_step(priority="LOW"), f"{UID}.2", READER)

    assert told(database, "WATCHER") == [(f"{UID}.1", 1, "SCHEDULED")]
    with refused(Status.INVALID_ARGUMENT_VALUE):
        steps.subscribe(FILTERED_SUBSCRIPTION, Asking(subscriber=WATCHER), READER)


def test_a_suspended_subscription_keeps_what_it_has_and_gets_nothing_new(steps: Worklist, database: Database) -> None:
    steps.subscribe(GLOBAL_SUBSCRIPTION, Asking(subscriber=WATCHER), READER)
    steps.create(new_step(), f"{UID}.1", READER)

    assert steps.suspend(GLOBAL_SUBSCRIPTION, WATCHER)
    steps.create(new_step(), f"{UID}.2", READER)
    steps.change_state(f"{UID}.1", State.IN_PROGRESS, LOCK, READER)

    assert told(database, "WATCHER") == [(f"{UID}.1", 1, "SCHEDULED"), (f"{UID}.1", 1, "IN PROGRESS")]
    with refused(Status.UPS_ACTION_NOT_APPROPRIATE):
        steps.suspend(UID, WATCHER)


def test_unsubscribing_from_all_ends_every_subscription_and_lock(
    steps: Worklist, database: Database, clock: ManualClock
) -> None:
    steps.create(new_step(), UID, READER)
    steps.subscribe(UID, Asking(subscriber=WATCHER, is_locked=True), READER)
    assert steps.unsubscribe(GLOBAL_SUBSCRIPTION, WATCHER, READER)
    assert not steps.unsubscribe(GLOBAL_SUBSCRIPTION, WATCHER, READER)

    steps.request_cancel(UID, {}, READER)
    clock.advance(store.FINAL_KEPT_FOR + timedelta(seconds=1))

    with database.write(durable=True) as connection:
        assert store.purge(connection, clock.now()) == 1


def test_a_subscriber_is_not_told_of_other_hospitals(steps: Worklist, database: Database) -> None:
    north = Subscriber(aet="NORTH", sites=frozenset({"north"}))
    steps.subscribe(GLOBAL_SUBSCRIPTION, Asking(subscriber=north), NORTH)

    steps.create(new_step(), f"{UID}.1", READER, site_id="south")
    steps.create(new_step(), f"{UID}.2", READER, site_id="north")

    assert told(database, "NORTH") == [(f"{UID}.2", 1, "SCHEDULED")]


def test_nobody_subscribes_or_unsubscribes_under_anothers_title(steps: Worklist) -> None:
    steps.create(new_step(), UID, READER)
    steps.subscribe(UID, Asking(subscriber=Subscriber(aet="ANNA", holder="anna")), READER)

    with refused(Status.NOT_AUTHORIZED):
        steps.subscribe(UID, Asking(subscriber=Subscriber(aet="ANNA", holder="bruno")), READER)
    with refused(Status.NOT_AUTHORIZED):
        steps.unsubscribe(UID, Subscriber(aet="ANNA", holder="bruno"), READER)


def test_progress_is_told_once(steps: Worklist, database: Database) -> None:
    steps.create(new_step(), UID, READER)
    steps.change_state(UID, State.IN_PROGRESS, LOCK, READER)
    steps.subscribe(UID, Asking(subscriber=WATCHER), READER)
    progress = {tag.PROGRESS_INFORMATION_SEQUENCE: tag.sequence({tag.PROCEDURE_STEP_PROGRESS: tag.value("DS", "50")})}

    steps.update(UID, progress, LOCK, READER)
    steps.update(UID, progress, LOCK, READER)

    assert [kind for _, kind, _ in told(database, "WATCHER")] == [1, 3]


# Removal


def test_what_ended_is_removed_when_nobody_holds_it_and_its_uid_stays_taken(
    steps: Worklist, database: Database, clock: ManualClock
) -> None:
    steps.create(new_step(), UID, READER)
    steps.subscribe(UID, Asking(subscriber=WATCHER, is_locked=True), READER)
    steps.request_cancel(UID, {}, READER)
    clock.advance(store.FINAL_KEPT_FOR + timedelta(seconds=1))
    with database.write(durable=True) as connection:
        assert store.purge(connection, clock.now()) == 0, "the lock holds it"

    steps.unsubscribe(UID, WATCHER, READER)
    with database.write(durable=True) as connection:
        assert store.purge(connection, clock.now()) == 1

    with refused(Status.UPS_UNKNOWN):
        steps.get(UID, READER)
    with refused(Status.DUPLICATE_SOP_INSTANCE):
        steps.create(new_step(), UID, READER)


def test_a_forgotten_lock_is_given_up_after_its_time(steps: Worklist, database: Database, clock: ManualClock) -> None:
    steps.create(new_step(), UID, READER)
    steps.subscribe(UID, Asking(subscriber=WATCHER, is_locked=True), READER)
    steps.request_cancel(UID, {}, READER)
    clock.advance(store.LOCK_HELD_FOR + timedelta(seconds=1))

    with database.write(durable=True) as connection:
        assert store.purge(connection, clock.now()) == 1
