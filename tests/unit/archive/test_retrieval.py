"""What a retrieve request selects: complete, in reading order, and never out of two patients."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foundation.database import Database
from pacs.archive import retrieval
from pacs.archive.reader import PART_BYTES, InstanceUnreadable, PackReader
from pacs.archive.retrieval import AmbiguousSelection, Selection, TooManyInstances, locate
from pacs.contracts import InstanceRef
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.data_sets import image

Keep = Callable[..., None]


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Iterator[Archive]:
    journal = tmp_path / "packs"
    journal.mkdir()
    with open_archive(database, journal) as opened:
        yield opened


@pytest.fixture
def keep(archive: Archive) -> Keep:
    def _keep(
        sop: str, *, series: str = "1.2.3.1", study: str = "1.2.3", patient: str = "P1", issuer: str = ""
    ) -> None:
        data_set = image(
            sop, series_instance_uid=series, study_instance_uid=study, patient_id=patient, issuer=issuer, pixels=b"\1\2"
        )
        archive.store(data_set, sop)

    return _keep


def sops(archive: Archive, **keys: object) -> list[str]:
    return [ref.sop_instance_uid for ref in locate(archive.database, Selection(**keys))]  # type: ignore[arg-type]


@pytest.fixture
def territory(keep: Keep) -> None:
    """Two studies of one patient, and one of another with the same Patient ID in another hospital."""
    keep("1.1.1", series="1.1", study="1")
    keep("1.1.2", series="1.1", study="1")
    keep("1.2.1", series="1.2", study="1")
    keep("2.1.1", series="2.1", study="2")
    keep("3.1.1", series="3.1", study="3", issuer="SOUTH")


# Not a parameter: an empty PostgreSQL database takes a second to make.
KEYS: list[tuple[dict[str, object], list[str]]] = [
    ({"study_instance_uids": ("1",)}, ["1.1.1", "1.1.2", "1.2.1"]),
    ({"study_instance_uids": ("1", "2")}, ["1.1.1", "1.1.2", "1.2.1", "2.1.1"]),
    ({"study_instance_uids": ("1",), "series_instance_uids": ("1.2", "1.1")}, ["1.1.1", "1.1.2", "1.2.1"]),
    ({"study_instance_uids": ("1",), "series_instance_uids": ("2.1",)}, []),
    ({"series_instance_uids": ("2.1",)}, ["2.1.1"]),
    ({"sop_instance_uids": ("2.1.1", "1.1.2", "1.1.2")}, ["1.1.2", "2.1.1"]),
    ({"sop_instance_uids": ("9.9",)}, []),
    (
        {
            "study_instance_uids": ("1",),
            "series_instance_uids": ("1.1",),
            "sop_instance_uids": ("1.1.2", "1.2.1"),
        },
        ["1.1.2"],
    ),
    ({"patient_id": "P1", "issuer": "SOUTH"}, ["3.1.1"]),
    ({"patient_id": "P1", "issuer": "NORTH"}, ["1.1.1", "1.1.2", "1.2.1", "2.1.1"]),
    ({"patient_id": "P1", "issuer": "EAST"}, []),
    ({"patient_id": "P2"}, []),
    ({"patient_id": "P1", "issuer": "SOUTH", "study_instance_uids": ("1",)}, []),
]


@pytest.mark.usefixtures("territory")
def test_every_key_narrows_and_the_order_is_that_of_the_packs(archive: Archive) -> None:
    for keys, expected in KEYS:
        assert sops(archive, **keys) == expected, keys


@pytest.mark.usefixtures("territory")
def test_a_patient_id_of_two_hospitals_is_refused_unless_the_asker_belongs_to_one(archive: Archive) -> None:
    with pytest.raises(AmbiguousSelection, match="Issuer"):
        sops(archive, patient_id="P1")

    assert sops(archive, patient_id="P1", default_issuer="SOUTH") == ["3.1.1"]
    with pytest.raises(AmbiguousSelection):
        sops(archive, patient_id="P1", default_issuer="EAST")


def test_a_patient_id_of_one_hospital_needs_no_issuer(archive: Archive, keep: Keep) -> None:
    keep("4.1.1", patient="P4", issuer="SOUTH")

    assert sops(archive, patient_id="P4") == ["4.1.1"]
    assert sops(archive, patient_id="P4", default_issuer="EAST") == ["4.1.1"]


@pytest.mark.parametrize(
    "keys", [{"study_instance_uids": ("1",)}, {"series_instance_uids": ("1.1",)}, {"sop_instance_uids": ("1.1.1",)}]
)
def test_a_uid_of_two_patients_is_refused_until_the_patient_is_named(
    archive: Archive, keep: Keep, keys: dict[str, object]
) -> None:
    keep("1.1.1", series="1.1", study="1", patient="P1")
    keep("1.1.1", series="1.1", study="1", patient="P2")

    with pytest.raises(AmbiguousSelection, match="two patients"):
        sops(archive, **keys)

    (ref,) = locate(archive.database, Selection(patient_id="P2", **keys))  # type: ignore[arg-type]
    assert b"P2" in bytes(PackReader(archive.packs).read_file(ref))


def test_a_list_longer_than_one_query_takes_is_found_whole(archive: Archive, keep: Keep) -> None:
    keep("1.1.1")
    keep("1.1.2")
    asked = [f"7.{number}" for number in range(3 * retrieval._UIDS_PER_QUERY_MAX)]
    asked[0], asked[-1] = "1.1.2", "1.1.1"

    assert sops(archive, study_instance_uids=("1.2.3",), sop_instance_uids=tuple(asked)) == ["1.1.1", "1.1.2"]


def test_more_instances_than_can_be_counted_are_refused_and_not_cut_off(archive: Archive, keep: Keep) -> None:
    for number in range(4):
        keep(f"1.1.{number}")
    selection = Selection(study_instance_uids=("1.2.3",))

    assert len(locate(archive.database, selection, instances_max=4)) == 4
    with pytest.raises(TooManyInstances):
        locate(archive.database, selection, instances_max=3)


def test_what_is_located_can_be_read(archive: Archive, keep: Keep) -> None:
    keep("1.1.1")

    (ref,) = locate(archive.database, Selection(study_instance_uids=("1.2.3",)))

    file = PackReader(archive.packs).read_file(ref)
    assert bytes(file[ref.dataset_offset :]) == image("1.1.1", pixels=b"\1\2")


LARGE = b"".join(number.to_bytes(4, "little") for number in range(5_000_000))


def damage(archive: Archive, ref: InstanceRef, position: int) -> None:
    """Flip a bit of a stored instance, `position` bytes into its file."""
    with (archive.journal / ref.pack).open("r+b") as pack:
        pack.seek(ref.offset + position)
        byte = pack.read(1)
        pack.seek(ref.offset + position)
        pack.write(bytes([byte[0] ^ 1]))


def test_parts_of_a_large_instance_make_up_its_data_set(archive: Archive) -> None:
    data_set = image("1.1.1", pixels=LARGE)
    archive.store(data_set, "1.1.1")
    (ref,) = locate(archive.database, Selection(study_instance_uids=("1.2.3",)))

    parts = list(PackReader(archive.packs).read_parts(ref))

    assert b"".join(parts) == data_set
    assert all(len(part) == PART_BYTES for part in parts[:-1])
    assert len(parts) == 3


def test_damage_to_a_large_instance_is_found_before_its_first_part_or_before_its_last(archive: Archive) -> None:
    archive.store(image("1.1.1", pixels=LARGE), "1.1.1")
    (ref,) = locate(archive.database, Selection(study_instance_uids=("1.2.3",)))
    reader = PackReader(archive.packs)

    parts = reader.read_parts(ref)
    damage(archive, ref, ref.dataset_offset + 5000)
    # What is damaged after the check is found while it is sent: the last part never comes.
    next(parts)
    next(parts)
    with pytest.raises(InstanceUnreadable):
        next(parts)
    with pytest.raises(InstanceUnreadable):
        reader.read_parts(ref)
