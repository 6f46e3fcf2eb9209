"""The way in, on both databases: what is new, known, different or unreadable, and what the index says of it then."""

import struct
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from foundation import outbox
from foundation.clock import SystemClock
from foundation.database import Database, sqlite_url
from pacs.archive import recovery
from pacs.archive.header import UnusableDataSet
from pacs.archive.index import DuplicatePolicy
from pacs.archive.ingest import NotAsAnnounced, Receipt
from pacs.archive.reader import PackReader
from pacs.archive.schema import instance, instance_conflict, pack, patient, series, study
from pacs.archive.sop_lookup import find
from pacs.archive.verify import verify
from pacs.contracts import TOPIC_INSTANCE_CONFLICT, TOPIC_INSTANCES_STORED, TOPIC_STUDY_IN_TWO_PATIENTS
from storage_tiers.lane import LaneLimits
from storage_tiers.pack import FILE_BYTES_MAX
from tests.harness.archive_parts import Archive, announcement, open_archive, rows, store_on, wrong_counts
from tests.harness.data_sets import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    MR_IMAGE,
    element,
    image,
    image_elements,
    text,
    written,
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "packs"


def events(database: Database, topic: str) -> list[Any]:
    with database.read() as connection:
        return [event.payload for event in outbox.read_after(connection, 0, topics=[topic])]


def stored_bytes(archive: Archive, uid: str) -> bytes:
    """Return the data set that is served for an instance."""
    (ref,) = find(archive.database, [uid])[uid]
    return bytes(PackReader(archive.packs).read_file(ref)[ref.dataset_offset :])


# --- new ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_what_is_confirmed_is_indexed_counted_announced_and_kept_byte_for_byte(
    database: Database, journal: Path, syntax: str
) -> None:
    dataset = image("1.2.9", syntax=syntax, pixels=bytes(range(200)), extra={0x00280008: ("IS", b"3 ")})
    with open_archive(database, journal) as archive:
        assert archive.store(dataset, "1.2.9", transfer_syntax_uid=syntax) is Receipt.STORED

        assert stored_bytes(archive, "1.2.9") == dataset
    (row,) = rows(database, instance)
    assert (row["rows"], row["columns"], row["number_of_frames"], row["instance_number"]) == (16, 8, 3, "1")
    assert row["transfer_syntax_uid"] == syntax
    (of_study,) = rows(database, study)
    assert (of_study["number_of_study_related_instances"], of_study["modalities_in_study"]) == (1, "CT")
    assert wrong_counts(database) == []
    (event,) = events(database, TOPIC_INSTANCES_STORED)
    assert event["issuer"] == "NORTH"
    assert event["calling_aet"] == "CT1"
    assert event["series"][0]["sop_instance_uids"] == ["1.2.9"]


@pytest.mark.parametrize("size_bytes", [0, 1, 1_047_000, 1_048_576, 5_000_001])
@pytest.mark.parametrize("fragment_bytes", [131_066, 16_378, 1_000_000])
def test_a_data_set_of_any_size_in_fragments_of_any_size_is_kept_as_it_came(
    tmp_path: Path, size_bytes: int, fragment_bytes: int
) -> None:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    pixels = bytes(range(256)) * (size_bytes // 256 + 1)
    dataset = image("1.2.9", pixels=pixels[: size_bytes // 2 * 2])
    with open_archive(database, tmp_path / "packs") as archive:
        stream = archive.ingest.open_stream()
        assert store_on(stream, dataset, "1.2.9", fragment_bytes=fragment_bytes) is Receipt.STORED
        stream.close()
        assert stored_bytes(archive, "1.2.9") == dataset
    database.close()


def test_uids_behind_a_long_sequence_are_found(database: Database, journal: Path) -> None:
    elements = image_elements("1.2.9", pixels=bytes(100))
    parts = [(tag, element(tag, vr, value)) for tag, (vr, value) in elements.items()]
    item = element(0xFFFEE000, "", bytes(0), IMPLICIT_LITTLE)
    parts.append((0x00081140, element(0x00081140, "SQ", item * 300_000)))
    dataset = b"".join(part for _, part in sorted(parts))
    assert len(dataset) > 2_000_000

    with open_archive(database, journal) as archive:
        assert archive.store(dataset, "1.2.9") is Receipt.STORED
        assert stored_bytes(archive, "1.2.9") == dataset
    assert rows(database, patient)[0]["patient_name"] == "Doe^Jane"


# --- known ----------------------------------------------------------------------------------------------


def test_the_same_bytes_again_are_confirmed_and_kept_once(database: Database, journal: Path) -> None:
    dataset = image("1.2.9", pixels=bytes(5000))
    with open_archive(database, journal) as archive:
        stream = archive.ingest.open_stream()
        store_on(stream, dataset, "1.2.9")
        for _ in range(3):
            assert store_on(stream, dataset, "1.2.9", calling_aet="CT2") is Receipt.ALREADY_STORED
        # Nothing of the copies stays: the next instance lies right behind the first one.
        store_on(stream, image("1.2.10"), "1.2.10")
        stream.close()
    first, second = sorted(row["file_offset"] for row in rows(database, instance))
    assert second - first < 16_384
    assert wrong_counts(database) == []
    assert len(events(database, TOPIC_INSTANCES_STORED)) == 2


def test_other_bytes_under_a_known_uid_are_evidence_and_the_first_stays_served(
    database: Database, journal: Path
) -> None:
    first, other = image("1.2.9", pixels=b"first."), image("1.2.9", pixels=b"other.")
    with open_archive(database, journal) as archive:
        assert archive.store(first, "1.2.9") is Receipt.STORED
        assert archive.store(other, "1.2.9", calling_aet="CT2") is Receipt.KEPT_AS_EVIDENCE
        assert archive.store(other, "1.2.9") is Receipt.KEPT_AS_EVIDENCE
        assert archive.store(first, "1.2.9") is Receipt.ALREADY_STORED

        assert stored_bytes(archive, "1.2.9") == first
        (evidence,) = rows(database, instance_conflict)
        kept = archive.packs.read(
            _pack_name(database, evidence["pack_pk"]), evidence["file_offset"], evidence["file_length_bytes"]
        )
    assert kept[evidence["dataset_offset"] :] == other
    assert evidence["calling_aet"] == "CT2"
    (event,) = events(database, TOPIC_INSTANCE_CONFLICT)
    assert event["sop_instance_uid"] == "1.2.9"
    assert event["conflict_pk"] == evidence["conflict_pk"]
    assert wrong_counts(database) == []


def _pack_name(database: Database, pack_pk: int) -> str:
    with database.read() as connection:
        return str(connection.execute(select(pack.c.name).where(pack.c.pack_pk == pack_pk)).scalar_one())


def test_a_policy_can_refuse_other_bytes_and_then_nothing_of_them_is_kept(database: Database, journal: Path) -> None:
    first, other = image("1.2.9", pixels=b"first."), image("1.2.9", pixels=b"other." * 2000)
    with open_archive(database, journal, policy=DuplicatePolicy.REFUSE) as archive:
        archive.store(first, "1.2.9")
        assert archive.store(other, "1.2.9") is Receipt.CONFLICT_REFUSED
        archive.store(image("1.2.10"), "1.2.10")

        assert stored_bytes(archive, "1.2.9") == first
    assert rows(database, instance_conflict) == []
    assert all(b"other.other." not in path.read_bytes() for path in journal.iterdir())
    assert wrong_counts(database) == []


@pytest.mark.parametrize("harm", ["changed byte", "pack is gone"])
def test_what_the_disk_has_spoilt_is_mended_by_sending_it_again(database: Database, journal: Path, harm: str) -> None:
    dataset = image("1.2.9", pixels=b"whole!" * 50)
    with open_archive(database, journal) as archive:
        archive.store(dataset, "1.2.9")
    (path,) = journal.glob("*.tar")
    if harm == "pack is gone":
        path.unlink()
    else:
        (row,) = rows(database, instance)
        with path.open("r+b") as file:
            file.seek(row["file_offset"] + row["file_length_bytes"] - 1)
            file.write(b"?")
    assert not verify(database, journal).is_whole

    with open_archive(database, journal) as archive:
        # A longer AE title makes a longer head, so the file's length changes.
        assert archive.store(dataset, "1.2.9", calling_aet="ANOTHER_CT") is Receipt.STORED
        assert archive.store(dataset, "1.2.9") is Receipt.ALREADY_STORED
        assert stored_bytes(archive, "1.2.9") == dataset

    assert verify(database, journal).is_whole
    assert wrong_counts(database) == []
    assert len(rows(database, instance)) == 1
    recovery.reindex(database, journal, SystemClock())
    assert verify(database, journal).is_whole
    assert len(rows(database, instance)) == 1


# --- whose -----------------------------------------------------------------------------------------------


def test_one_uid_under_two_series_is_two_instances(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        assert archive.store(image("1.2.9"), "1.2.9") is Receipt.STORED
        assert archive.store(image("1.2.9", series_instance_uid="1.2.3.2"), "1.2.9") is Receipt.STORED
    assert len(rows(database, instance)) == 2
    assert len(find(database, ["1.2.9"])["1.2.9"]) == 2
    assert wrong_counts(database) == []


def test_one_study_uid_under_two_patients_is_two_studies_and_somebody_is_told(
    database: Database, journal: Path
) -> None:
    with open_archive(database, journal) as archive:
        archive.store(image("1.2.9"), "1.2.9")
        archive.store(image("1.2.10", patient_id="P2"), "1.2.10")
        archive.store(image("1.2.11", patient_id="P2"), "1.2.11")
    assert len(rows(database, study)) == 2
    (event,) = events(database, TOPIC_STUDY_IN_TWO_PATIENTS)
    assert sorted(event["study_pks"]) == sorted(row["study_pk"] for row in rows(database, study))
    assert wrong_counts(database) == []


def test_one_patient_id_in_two_hospitals_is_two_patients(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        archive.store(image("1.2.9"), "1.2.9", issuer="NORTH")
        archive.store(image("1.2.10", study_instance_uid="1.2.4"), "1.2.10", issuer="SOUTH")
        # What the data set says of its issuer comes before what is configured for the sender.
        archive.store(image("1.2.11", study_instance_uid="1.2.5", issuer="SOUTH"), "1.2.11", issuer="NORTH")
    patients = {row["patient_pk"]: row["issuer"] for row in rows(database, patient)}
    assert sorted(patients.values()) == ["NORTH", "SOUTH"]
    assert [patients[row["patient_pk"]] for row in rows(database, study)] == ["NORTH", "SOUTH", "SOUTH"]


def test_patients_without_an_id_are_never_one_patient(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        for number, name in enumerate(["Unknown^One", "Unknown^Two"]):
            for series_number in range(2):
                uid = f"1.2.9.{number}.{series_number}"
                archive.store(
                    image(
                        uid,
                        patient_id="",
                        patient_name=name,
                        study_instance_uid=f"1.2.{number}",
                        series_instance_uid=f"1.2.{number}.{series_number}",
                    ),
                    uid,
                )
    names = {row["patient_pk"]: row["patient_name"] for row in rows(database, patient)}
    assert sorted(names.values()) == ["Unknown^One", "Unknown^Two"]
    of_study = {row["study_instance_uid"]: names[row["patient_pk"]] for row in rows(database, study)}
    assert of_study == {"1.2.0": "Unknown^One", "1.2.1": "Unknown^Two"}


def test_counts_and_modalities_follow_whatever_arrives(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        for number in range(24):
            uid = f"1.2.9.{number}"
            modality = ("CT", "MR", "PR")[number % 3]
            dataset = image(
                uid,
                study_instance_uid=f"1.2.{number % 2}",
                series_instance_uid=f"1.2.{number % 2}.{number % 4}.{modality}".replace(modality, str(number % 3)),
                modality=modality,
                sop_class_uid=MR_IMAGE if modality == "MR" else announcement(uid).sop_class_uid,
                pixels=bytes(2 * number),
            )
            announced = {"sop_class_uid": MR_IMAGE} if modality == "MR" else {}
            assert archive.store(dataset, uid, **announced) is Receipt.STORED
            if number % 5 == 0:
                assert archive.store(dataset, uid, **announced) is Receipt.ALREADY_STORED
    assert wrong_counts(database) == []
    assert {row["modalities_in_study"] for row in rows(database, study)} == {"CT\\MR\\PR"}
    assert {row["sop_classes_in_study"] for row in rows(database, study)} == {
        "\\".join(sorted([announcement("1").sop_class_uid, MR_IMAGE]))
    }


# --- unreadable -------------------------------------------------------------------------------------------


def refused(archive: Archive, dataset: bytes, uid: str = "1.2.9", **announced: str) -> str:
    """Store what must be refused; return what is said, after making sure that nothing is left of it."""
    stream = archive.ingest.open_stream()
    with pytest.raises(UnusableDataSet) as caught:
        store_on(stream, dataset, uid, **announced)
    stream.abandon()
    # The association goes on.
    assert store_on(stream, image("1.2.99"), "1.2.99") in {Receipt.STORED, Receipt.ALREADY_STORED}
    stream.close()
    return f"{type(caught.value).__name__}: {caught.value}"


def test_a_data_set_without_uids_is_refused_and_nothing_is_kept(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        for dataset in (b"", b"\0" * 1000, b"rubbish" * 100, image("1.2.9")[:40], bytes(3_000_000)):
            refused(archive, dataset)
    assert [row["sop_instance_uid"] for row in rows(database, instance)] == ["1.2.99"]


def test_a_data_set_that_is_not_what_was_announced_is_refused(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        assert refused(archive, image("1.2.10")).startswith(NotAsAnnounced.__name__)
        assert refused(archive, image("1.2.9"), sop_class_uid=MR_IMAGE).startswith(NotAsAnnounced.__name__)
        assert refused(archive, image("1.2.10", pixels=bytes(3_000_000))).startswith(NotAsAnnounced.__name__)
    assert [row["sop_instance_uid"] for row in rows(database, instance)] == ["1.2.99"]


@pytest.mark.parametrize("pixel_bytes", [1000, 200_000, 3_000_000])
def test_a_data_set_that_ends_early_is_kept_and_marked(database: Database, journal: Path, pixel_bytes: int) -> None:
    dataset = image("1.2.9", pixels=bytes(pixel_bytes))[:-100]
    with open_archive(database, journal) as archive:
        assert archive.store(dataset, "1.2.9") is Receipt.STORED_DAMAGED
        assert stored_bytes(archive, "1.2.9") == dataset
    assert rows(database, instance)[0]["is_damaged"] == 1


def test_a_deflated_data_set_of_any_size_is_not_taken_for_one_that_ends_early(
    database: Database, journal: Path
) -> None:
    pixels = b"".join(struct.pack("<I", number * 2654435761 % 2**32) for number in range(500_000))
    for name, data in (("1.2.9", bytes(3_000_000)), ("1.2.10", pixels)):
        with open_archive(database, journal) as archive:
            dataset = image(name, syntax=DEFLATED, pixels=data)
            assert archive.store(dataset, name, transfer_syntax_uid=DEFLATED) is Receipt.STORED


def test_values_that_a_database_refuses_cost_no_instance(database: Database, journal: Path) -> None:
    long = "x" * 300
    extra = {
        0x00080005: ("CS", text("ISO_IR 192")),
        0x00080050: ("SH", text(long)),
        0x00080060: ("CS", text("MODALITY" * 10)),
        0x00081030: ("LO", b"a\0b\xed\xa0\x80 "),
        0x00100010: ("PN", text("É" * 400)),
        0x00100030: ("DA", text("not a date, and much longer than one")),
        0x00200013: ("IS", b"1\x002\0"),
        0x00280008: ("IS", b"99999999999999999999999 "),
        0x00200011: ("IS", text("1" * 200)),
    }
    with open_archive(database, journal) as archive:
        receipt = archive.store(image("1.2.9", extra=extra), "1.2.9")
        assert receipt in {Receipt.STORED, Receipt.STORED_DAMAGED}
    (row,) = rows(database, instance)
    assert (row["instance_number"], row["number_of_frames"]) == ("12", None)
    assert wrong_counts(database) == []


def test_a_data_set_longer_than_a_member_can_be_is_refused(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        stream = archive.ingest.open_stream()
        stream.begin(announcement("1.2.9"))

        class Endless:
            """A fragment that says it is larger than any pack takes."""

            def __len__(self) -> int:
                return FILE_BYTES_MAX

        stream.write(memoryview(written(image_elements("1.2.9"))))
        with pytest.raises(UnusableDataSet, match="larger than"):
            stream.write(Endless())  # type: ignore[arg-type]
        stream.close()


def test_a_long_association_changes_lanes_and_loses_nothing(database: Database, journal: Path) -> None:
    limits = LaneLimits(extent_bytes=1024 * 1024, lane_bytes_max=1024 * 1024, free_space_reserve_bytes=0)
    with open_archive(database, journal, limits=limits) as archive:
        stream = archive.ingest.open_stream()
        for number in range(12):
            uid = f"1.2.9.{number}"
            store_on(stream, image(uid, pixels=bytes(400_000)), uid)
        stream.close()
    assert len(list(journal.glob("*.tar"))) >= 4
    assert {row["state"] for row in rows(database, pack)} == {"sealed"}
    assert len(rows(database, instance)) == 12
    assert len(rows(database, series)) == 1
