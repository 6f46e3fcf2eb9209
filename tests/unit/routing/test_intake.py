"""From the outbox into the queue: whole studies, once, from now on, and emergencies also when the order comes late."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.clock import ManualClock
from foundation.database import Database
from pacs.routing import intake, queue
from pacs.routing.hours import parse_hours
from pacs.routing.model import ItemState, RouteRule
from pacs.worklist.order import OrderPriority
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.data_sets import image
from tests.harness.routing import EVERYTHING, START, begun_intake, item_of, items_of, keep_study, place_order

CT_ONLY = RouteRule(name="ct", destinations=("away",), modalities=frozenset({"CT"}))
EMERGENCIES = RouteRule(
    name="emergencies", destinations=("night",), is_for_emergencies=True, calling_aets=frozenset({"CT1"})
)


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Iterator[Archive]:
    with open_archive(database, tmp_path / "journal", clock=ManualClock(START)) as opened:
        yield opened


def waiting(database: Database, destination: str = "away") -> set[str]:
    with database.read() as connection:
        return {sop for _, sop in queue.unsent(connection, item_of(database, destination).item_id)}


def test_each_instance_of_a_study_is_queued_once_for_each_destination(archive: Archive) -> None:
    both = RouteRule(name="both", destinations=("away", "chu"))
    taking = begun_intake(archive.database, both, EVERYTHING)
    kept = keep_study(archive, images=3)

    assert taking.take(START) == 6
    assert taking.take(START) == 0
    assert waiting(archive.database, "away") == waiting(archive.database, "chu") == set(kept.uids)
    assert {(item.rule, item.state, item.instances) for item in items_of(archive.database)} == {
        ("both", ItemState.QUEUED, 3)
    }


def test_what_was_here_before_the_first_route_is_not_forwarded(archive: Archive) -> None:
    keep_study(archive, 1)
    taking = begun_intake(archive.database)
    keep_study(archive, 2)

    taking.take(START)

    assert [item.study.study_instance_uid for item in items_of(archive.database)] == ["1.2.3.2"]


def test_routes_that_are_taken_away_and_come_again_begin_anew(archive: Archive) -> None:
    begun_intake(archive.database)
    intake.begin(archive.database, has_routes=False)
    keep_study(archive, 1)
    taking = begun_intake(archive.database)
    begun_intake(archive.database)

    assert taking.take(START) == 0


def test_a_study_goes_whole_once_a_rule_holds_for_one_of_its_series(archive: Archive) -> None:
    taking = begun_intake(archive.database, CT_ONLY)
    report = keep_study(archive, 1, images=1, modality="SR", first=100)
    assert taking.take(START) == 0

    # The series of a later image decides for the study, and what comes after that follows.
    archive_ct(archive, "1.2.3.1.900", series="1.2.3.1.2")
    assert taking.take(START) == 2
    late = keep_study(archive, 1, images=1, modality="SR", first=200)
    assert taking.take(START) == 1
    assert waiting(archive.database) == {*report.uids, *late.uids, "1.2.3.1.900"}


def archive_ct(archive: Archive, uid: str, *, series: str) -> None:
    archive.store(
        image(uid, study_instance_uid="1.2.3.1", series_instance_uid=series, patient_id="P1", modality="CT"), uid
    )


def test_hours_are_those_of_the_first_image_so_that_no_study_goes_in_halves(database: Database, tmp_path: Path) -> None:
    clock = ManualClock(START)
    until_ten = replace(EVERYTHING, hours=parse_hours("00:00-10:01"))
    with open_archive(database, tmp_path / "journal", clock=clock) as archive:
        taking = begun_intake(database, until_ten)
        keep_study(archive, 1, images=1)
        taking.take(clock.now())
        clock.set(START.replace(hour=9))
        keep_study(archive, 1, images=1, first=1)
        keep_study(archive, 2, images=1)
        taking.take(clock.now())

    # 08:00 UTC is 10:00 in Paris in July.
    assert [(item.study.study_instance_uid, item.instances) for item in items_of(database)] == [("1.2.3.1", 2)]


def test_the_same_study_uid_of_two_patients_is_two_items(archive: Archive) -> None:
    taking = begun_intake(archive.database)
    keep_study(archive, 1, images=1, patient_id="P1")
    keep_study(archive, 1, images=1, patient_id="P2", first=1)
    keep_study(archive, 1, images=1, patient_id="P1", issuer="SOUTH", first=2)
    taking.take(START)

    items = items_of(archive.database)
    assert sorted((item.study.issuer, item.study.patient_id, item.instances) for item in items) == [
        ("NORTH", "P1", 1), ("NORTH", "P2", 1), ("SOUTH", "P1", 1),
    ]  # fmt: skip


def test_a_study_does_not_go_back_to_the_ae_that_sent_it_also_when_it_goes_there_already(archive: Archive) -> None:
    taking = begun_intake(archive.database, ae_titles={"away": "CHU"})
    keep_study(archive, 1, images=2, calling_aet="CT1")
    taking.take(START)
    keep_study(archive, 1, images=1, calling_aet="CHU", first=5)
    keep_study(archive, 2, images=1, calling_aet="CHU")

    assert taking.take(START) == 0
    assert item_of(archive.database).instances == 2


def test_a_study_whose_order_is_an_emergency_goes_as_one(archive: Archive) -> None:
    taking = begun_intake(archive.database, EVERYTHING, EMERGENCIES)
    place_order(archive.database, 1, study_uid="1.2.3.1")
    place_order(archive.database, 2, study_uid="1.2.3.2", priority=OrderPriority.ROUTINE)
    keep_study(archive, 2)
    keep_study(archive, 1)
    taking.take(START)

    found = [
        (item.study.study_instance_uid, item.destination, item.is_emergency) for item in items_of(archive.database)
    ]
    assert sorted(found) == [("1.2.3.1", "away", True), ("1.2.3.1", "night", True), ("1.2.3.2", "away", False)]


@pytest.mark.parametrize("by", ["study", "accession number"])
def test_an_order_that_comes_after_the_images_makes_an_emergency_of_them(archive: Archive, by: str) -> None:
    taking = begun_intake(archive.database, EVERYTHING, EMERGENCIES)
    keep_study(archive, 1, images=2)
    taking.take(START)
    assert not item_of(archive.database).is_emergency

    # The accession number of every image of the harness is A1.
    place_order(
        archive.database, 1,
        study_uid="1.2.3.1" if by == "study" else "1.2.9", accession_number="" if by == "study" else "A1",
    )  # fmt: skip

    assert taking.take(START) == 2
    assert item_of(archive.database).is_emergency
    assert item_of(archive.database, "night").instances == 2


def test_an_order_of_another_hospital_with_the_same_number_hurries_nothing(archive: Archive) -> None:
    taking = begun_intake(archive.database)
    keep_study(archive, 1, issuer="SOUTH")
    taking.take(START)
    place_order(archive.database, 1, accession_number="A1", study_uid="1.2.9")
    taking.take(START)

    assert not item_of(archive.database).is_emergency


def test_a_site_is_known_by_its_ae_and_decides(archive: Archive) -> None:
    of_north = replace(EVERYTHING, sites=frozenset({"north"}))
    taking = begun_intake(archive.database, of_north, sites={"CT1": "north"})
    keep_study(archive, 1, calling_aet="CT1")
    keep_study(archive, 2, calling_aet="CT2")
    taking.take(START)

    assert [item.study.study_instance_uid for item in items_of(archive.database)] == ["1.2.3.1"]


def test_what_was_sent_before_its_event_is_taken_in_is_not_sent_again(archive: Archive) -> None:
    taking = begun_intake(archive.database)
    kept = keep_study(archive, images=intake.EVENTS_PER_BATCH_MAX + 3)
    # The first event brings the study as it is in the index, which is further than the first batch of events.
    assert taking.take(START, batches_max=1) == len(kept.uids)
    with archive.database.write(durable=True) as connection:
        item_id = item_of(archive.database).item_id
        queue.record(connection, item_id, list(queue.unsent(connection, item_id)), [])

    assert taking.take(START) == 0
    assert (item_of(archive.database).instances, item_of(archive.database).sent) == (len(kept.uids), len(kept.uids))


def test_many_events_are_taken_in_batches_and_none_is_missed(archive: Archive) -> None:
    taking = begun_intake(archive.database)
    kept = keep_study(archive, images=intake.EVENTS_PER_BATCH_MAX * 2 + 3)

    assert taking.take(START) == len(kept.uids)
    assert item_of(archive.database).instances == len(kept.uids)
