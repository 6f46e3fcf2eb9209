"""What a performed step lists is compared with what the index has: under its study, and under any other."""

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from foundation.database import Database, DatabaseAway
from oncall.engine.completeness import Listed
from pacs.worklist import mpps_store, orders
from pacs.worklist.mpps_store import Caller
from territory.image_facts import ArchiveImages
from tests.harness.lookup_rows import add_instances
from tests.harness.orders import NOW, order
from tests.harness.performed_steps import MPPS_UID, created, ended, item, series

SITE = "roanne"
CALLER = Caller(calling_aet="CT1", site_id=SITE)


@pytest.fixture
def study_uid(database: Database) -> str:
    """An exam of one series of four images that has ended; return its Study Instance UID."""
    with database.write(durable=True) as connection:
        asked = orders.place(connection, order(site_id=SITE), NOW).order
        mpps_store.create(connection, MPPS_UID, item(created(asked)), CALLER, NOW)
        mpps_store.change(connection, MPPS_UID, item(ended("COMPLETED", series(1, 4))), CALLER, NOW)
    return asked.study_instance_uid


def listed_uids(database: Database) -> list[str]:
    with database.read() as connection:
        found = mpps_store.references(connection, MPPS_UID)
    assert found is not None
    return list(found.sop_instance_uids)


def test_a_list_is_whole_when_each_of_its_instances_is_in_the_index(database: Database, study_uid: str) -> None:
    uids, images = listed_uids(database), ArchiveImages(database)
    assert images.listed(MPPS_UID) == Listed(count=4, missing=4, study_instance_uids=(study_uid,))
    add_instances(database, uids[:3], study_uid=study_uid)
    assert images.listed(MPPS_UID) == Listed(count=4, missing=1, study_instance_uids=(study_uid,))
    add_instances(database, uids[3:], study_uid=study_uid, series_uid="1.2.3.2")
    assert images.listed(MPPS_UID) == Listed(count=4, missing=0, study_instance_uids=(study_uid,))


def test_as_many_other_images_of_the_study_do_not_make_a_list_whole(database: Database, study_uid: str) -> None:
    add_instances(database, [f"9.9.{number}" for number in range(9)], study_uid=study_uid)
    found = ArchiveImages(database).listed(MPPS_UID)
    assert found is not None
    assert found.missing == 4


def test_images_that_came_under_another_study_are_found_and_their_study_is_named(
    database: Database, study_uid: str
) -> None:
    add_instances(database, listed_uids(database), study_uid="1.2.99")
    found = ArchiveImages(database).listed(MPPS_UID)
    assert found == Listed(count=4, missing=0, study_instance_uids=tuple(sorted(["1.2.99", study_uid])))


def test_a_step_that_nobody_knows_or_that_lists_nothing_says_nothing(database: Database) -> None:
    images = ArchiveImages(database)
    assert images.listed("1.2.3.4.5") is None
    with database.write(durable=True) as connection:
        mpps_store.create(connection, MPPS_UID, item(created()), CALLER, NOW)
    assert images.listed(MPPS_UID) is None


def test_a_database_that_is_away_is_not_an_empty_archive(database: Database, study_uid: str) -> None:
    def lose(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "instance" in statement:
            raise OperationalError(statement, {}, Exception("gone"))

    event.listen(database.engine, "before_cursor_execute", lose)
    try:
        with pytest.raises(DatabaseAway):
            ArchiveImages(database).listed(MPPS_UID)
    finally:
        event.remove(database.engine, "before_cursor_execute", lose)


def test_the_number_that_a_hospital_names_is_that_of_its_order(database: Database) -> None:
    with database.write(durable=True) as connection:
        asked = orders.place(connection, order(site_id=SITE), NOW).order
    images = ArchiveImages(database)
    assert images.expected_of(asked.order_id) is None
    with database.write(durable=True) as connection:
        orders.tell_performed(connection, asked.order_id, NOW, expected_instances=120)
    assert images.expected_of(asked.order_id) == 120
    assert images.expected_of("nobody's") is None
