"""What was performed, read out of a real archive and real performed steps, in both databases."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from foundation.clock import ManualClock
from foundation.database import Database
from oncall.case.regions import StudyKey
from oncall.protocol.performed import PerformedSeries
from pacs.archive.reader import PackReader
from pacs.worklist import mpps_store, orders
from pacs.worklist.mpps_store import Caller
from territory.performed_facts import SETTLED_AFTER, ArchivePerformed
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.orders import NOW, order
from tests.harness.performed_steps import CT_IMAGE, MPPS_UID, code, created, ended, item, series

STUDY = StudyKey("NORTH", "1.2.500")
CALLER = Caller(calling_aet="CT1", site_id="north")


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Iterator[Archive]:
    database.create_tables()
    with open_archive(database, tmp_path / "packs") as archive:
        yield archive


def ct(number: int, image: int, **values: object) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CT_IMAGE, f"1.2.500.{number}.{image}"
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY.study_instance_uid, f"1.2.500.{number}"
    made.PatientID, made.Modality, made.SeriesDescription = "P1", "CT", "ABDO PORTAL"
    made.InstanceNumber, made.ImageType = image, ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SliceThickness, made.KVP, made.ProtocolName = "1.25", "100", "Abdomen"
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, -10.0 * image]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def store(archive: Archive, made: Dataset) -> None:
    into = DicomBytesIO()
    into.is_implicit_VR, into.is_little_endian = False, True
    write_dataset(into, made)
    archive.store(into.getvalue(), made.SOPInstanceUID)


def facts(archive: Archive, clock: ManualClock) -> ArchivePerformed:
    return ArchivePerformed(archive.database, PackReader(archive.packs), clock)


def only(archive: Archive, clock: ManualClock | None = None) -> PerformedSeries:
    (found,) = facts(archive, clock or ManualClock(NOW))((STUDY,), "").series
    return found


def test_a_series_says_its_words_its_slices_and_how_long_it_is(archive: Archive) -> None:
    for image in (2, 1, 41):
        store(archive, ct(1, image))
    found = only(archive)
    assert (found.description, found.protocol_name, found.instances) == ("ABDO PORTAL", "Abdomen", 3)
    assert (found.slice_mm, found.kv, found.is_original) == (1.25, 100.0, True)
    assert found.length_mm == pytest.approx(401.25)
    assert found.has_contrast is None


def test_what_images_do_not_say_is_unknown_and_not_nothing(archive: Archive) -> None:
    bare = ct(1, 1)
    for keyword in ("SliceThickness", "KVP", "ImagePositionPatient", "ImageType", "ProtocolName"):
        delattr(bare, keyword)
    store(archive, bare)
    found = only(archive)
    assert (found.slice_mm, found.kv, found.length_mm, found.is_original) == (None, None, None, True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ContrastBolusAgent": "IOMERON 350"}, (True, True)),
        ({"ContrastBolusAgent": ""}, (None, True)),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, (None, False)),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, (None, False)),
    ],
)
def test_contrast_and_what_is_no_acquisition_are_read_from_the_images(
    archive: Archive, values: dict[str, object], expected: tuple[bool | None, bool]
) -> None:
    store(archive, ct(1, 1, **values))
    found = only(archive)
    assert (found.has_contrast, found.is_original) == expected


def test_a_series_is_whole_when_it_has_not_grown_for_a_while(archive: Archive) -> None:
    clock = ManualClock(NOW)
    look = facts(archive, clock)
    store(archive, ct(1, 1))
    assert [one.is_settled for one in look((STUDY,), "").series] == [False]
    clock.advance(SETTLED_AFTER - timedelta(seconds=1))
    store(archive, ct(1, 2))
    assert [one.is_settled for one in look((STUDY,), "").series] == [False]
    clock.advance(SETTLED_AFTER)
    assert [one.is_settled for one in look((STUDY,), "").series] == [True]


def test_the_same_study_uid_of_another_issuer_is_another_study(archive: Archive) -> None:
    store(archive, ct(1, 1))
    look = facts(archive, ManualClock(NOW))
    assert look((StudyKey("SOUTH", STUDY.study_instance_uid),), "").series == ()


def test_a_pack_that_is_gone_leaves_what_the_index_knows(archive: Archive) -> None:
    store(archive, ct(1, 1))
    for path in archive.journal.iterdir():
        path.unlink()
    fresh = ArchivePerformed(archive.database, PackReader(type(archive.packs)(archive.journal)), ManualClock(NOW))
    (found,) = fresh((STUDY,), "").series
    assert (found.description, found.instances, found.slice_mm) == ("ABDO PORTAL", 1, None)


def test_a_step_says_what_was_made_before_its_images_are_here_and_when_it_is_over(archive: Archive) -> None:
    database, asked = archive.database, order(site_id="north")
    made = [series(1, 2, description="ABDO SANS IV"), series(2, 3, description="ABDO PORTAL")]
    with database.write(durable=True) as connection:
        placed = orders.place(connection, asked, NOW).order
        mpps_store.create(connection, MPPS_UID, item(created(placed)), CALLER, NOW)
    look = facts(archive, ManualClock(NOW))
    assert look((), placed.order_id).is_over is False

    with database.write(durable=True) as connection:
        protocol = [code("CT-ABDOMEN", "99TELEGARDE", "Acute abdomen CT")]
        done = item(ended("COMPLETED", *made, PerformedProtocolCodeSequence=protocol))
        mpps_store.change(connection, MPPS_UID, done, CALLER, NOW)
    found = look((), placed.order_id)

    assert (found.is_over, found.mpps_uid, found.codes) == (True, MPPS_UID, (("CT-ABDOMEN", "99TELEGARDE"),))
    assert [(one.description, one.modality, one.instances) for one in found.series] == [
        ("ABDO SANS IV", "CT", 0), ("ABDO PORTAL", "CT", 0),
    ]  # fmt: skip


def test_a_series_is_whole_when_all_that_the_step_lists_of_it_is_here(archive: Archive) -> None:
    database = archive.database
    listed = series(1, 2)
    listed.SeriesInstanceUID = "1.2.500.1"
    with database.write(durable=True) as connection:
        placed = orders.place(connection, order(site_id="north"), NOW).order
        mpps_store.create(connection, MPPS_UID, item(created(placed)), CALLER, NOW)
        mpps_store.change(connection, MPPS_UID, item(ended("COMPLETED", listed)), CALLER, NOW)
    look = facts(archive, ManualClock(NOW))
    store(archive, ct(1, 1))
    assert [one.is_settled for one in look((STUDY,), placed.order_id).series] == [False]
    store(archive, ct(1, 2))
    assert [one.is_settled for one in look((STUDY,), placed.order_id).series] == [True]
