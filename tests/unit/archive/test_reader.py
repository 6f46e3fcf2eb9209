"""Reading back: the bytes that were received, or an error; never other bytes, never too few."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash

from pacs.archive.reader import PART_BYTES, InstanceUnreadable, PackReader
from pacs.contracts import InstanceRef, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from storage_tiers.local_packs import LocalPacks, PackUnreadable

HEAD = b"preamble and file meta"


@pytest.fixture
def packs(tmp_path: Path) -> LocalPacks:
    return LocalPacks(tmp_path)


def stored(directory: Path, dataset: bytes) -> InstanceRef:
    """Put a file into a pack, between other bytes; return where it is."""
    before = b"what stands before"
    (directory / "a.tar").write_bytes(before + HEAD + dataset + b"what follows")
    return InstanceRef(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=SeriesInstanceUid("1.2.3"),
        sop_instance_uid=SopInstanceUid("1.2.3.4"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        pack="a.tar",
        offset=len(before),
        length_bytes=len(HEAD) + len(dataset),
        dataset_offset=len(HEAD),
        digest=xxhash.xxh3_128_digest(dataset),
    )


def change(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("size_bytes", [0, 1, 100_000])
def test_a_file_is_read_as_it_was_stored(tmp_path: Path, packs: LocalPacks, size_bytes: int) -> None:
    dataset = os.urandom(size_bytes)
    ref = stored(tmp_path, dataset)

    reader = PackReader(packs)

    assert bytes(reader.read_file(ref)) == HEAD + dataset
    assert b"".join(map(bytes, reader.read_parts(ref))) == dataset


def test_a_large_data_set_comes_in_even_parts(tmp_path: Path, packs: LocalPacks) -> None:
    dataset = os.urandom(2 * PART_BYTES + 10)
    ref = stored(tmp_path, dataset)

    parts = [bytes(part) for part in PackReader(packs).read_parts(ref)]

    assert [len(part) for part in parts] == [PART_BYTES, PART_BYTES, 10]
    assert b"".join(parts) == dataset


@pytest.mark.parametrize("where", [0, 50_000, 99_999])
def test_a_changed_byte_of_the_data_set_is_never_given_out(tmp_path: Path, packs: LocalPacks, where: int) -> None:
    ref = stored(tmp_path, os.urandom(100_000))
    change(tmp_path / "a.tar", ref.offset + ref.dataset_offset + where)

    reader = PackReader(packs)

    for read in (reader.read_file, reader.read_parts):
        with pytest.raises(InstanceUnreadable) as caught:
            read(ref)
        assert caught.value.sop_instance_uid == "1.2.3.4"
        assert not caught.value.is_retryable


def test_a_large_data_set_that_changes_while_it_is_read_is_not_given_out_whole(
    tmp_path: Path, packs: LocalPacks
) -> None:
    ref = stored(tmp_path, bytes(2 * PART_BYTES))
    parts = PackReader(packs).read_parts(ref)
    next(parts)
    with (tmp_path / "a.tar").open("r+b") as file:
        file.seek(ref.offset + ref.length_bytes - 1)
        file.write(b"!")

    with pytest.raises(InstanceUnreadable):
        list(parts)


def test_a_pack_that_was_cut_gives_nothing(tmp_path: Path, packs: LocalPacks) -> None:
    ref = stored(tmp_path, os.urandom(1000))
    os.truncate(tmp_path / "a.tar", ref.offset + ref.length_bytes - 1)

    reader = PackReader(packs)

    for read in (reader.read_file, reader.read_parts):
        with pytest.raises(InstanceUnreadable):
            read(ref)


def test_a_pack_that_is_not_there_is_unreadable(tmp_path: Path, packs: LocalPacks) -> None:
    ref = replace(stored(tmp_path, b"x"), pack="gone.tar")

    with pytest.raises(PackUnreadable, match="ENOENT"):
        PackReader(packs).read_file(ref)
    with pytest.raises(PackUnreadable, match="ENOENT"):
        PackReader(packs).prefetch(ref)


def test_prefetching_changes_nothing(tmp_path: Path, packs: LocalPacks) -> None:
    ref = stored(tmp_path, os.urandom(10_000))
    before = (tmp_path / "a.tar").read_bytes()

    PackReader(packs).prefetch(ref)

    assert (tmp_path / "a.tar").read_bytes() == before
