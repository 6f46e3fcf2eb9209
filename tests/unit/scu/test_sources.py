"""What is found below paths, and that reading gives exactly the data sets."""

import tarfile
from pathlib import Path

import pytest

from pacs.archive.file_meta import encode
from pacs.scu.sources import READ_BYTES_MAX, Skipped, Source, SourceReader, find_sources
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE, image


def part10(sop_instance_uid: str, pixels: bytes = b"\1\2") -> bytes:
    head = encode(
        sop_class_uid=CT_IMAGE, sop_instance_uid=sop_instance_uid, transfer_syntax_uid=EXPLICIT_LITTLE, source_aet="CT1"
    )
    return head + image(sop_instance_uid, pixels=pixels)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "b" / "c").mkdir(parents=True)
    (root / "z.dcm").write_bytes(part10("1.9"))
    (root / "b" / "no-suffix").write_bytes(part10("1.2"))
    (root / "b" / "c" / "1.dcm").write_bytes(part10("1.1"))
    (root / "b" / "readme.txt").write_text("no image")
    (root / "b" / "empty.dcm").write_bytes(b"")
    (root / "b" / "headonly.dcm").write_bytes(part10("1.4")[: -len(image("1.4", pixels=b"\1\2"))])
    (root / "gone.dcm").symlink_to(root / "nowhere.dcm")
    with tarfile.open(root / "pack.tar", "w", format=tarfile.USTAR_FORMAT) as pack:
        pack.add(root / "z.dcm", "in/1.9.dcm")
        pack.add(root / "b" / "readme.txt")
    (root / "broken.tar").write_bytes(b"\xff" * 2000)
    return root


def test_everything_is_found_or_told_with_a_reason(tree: Path) -> None:
    found = list(find_sources([tree]))

    sources = [one for one in found if isinstance(one, Source)]
    assert [(str(one.path.relative_to(tree)), one.meta.sop_instance_uid) for one in sources] == [
        ("pack.tar", "1.9"),
        ("z.dcm", "1.9"),
        ("b/no-suffix", "1.2"),
        ("b/c/1.dcm", "1.1"),
    ]
    skipped = {str(one.path.relative_to(tree)): one.reason for one in found if isinstance(one, Skipped)}
    assert skipped == {
        "b/readme.txt": "not a DICOM file",
        "b/empty.dcm": "not a DICOM file",
        "b/headonly.dcm": "no data set in the file",
        "broken.tar": "not a readable pack",
        "gone.dcm": "No such file or directory",
        "pack.tar": "not a DICOM file",
    }


def test_a_path_that_does_not_exist_is_told() -> None:
    (skipped,) = find_sources([Path("nowhere")])
    assert isinstance(skipped, Skipped)


def test_a_dicomdir_is_no_instance(tmp_path: Path) -> None:
    head = encode(
        sop_class_uid="1.2.840.10008.1.3.10",
        sop_instance_uid="1.2",
        transfer_syntax_uid=EXPLICIT_LITTLE,
        source_aet="CT1",
    )
    (tmp_path / "DICOMDIR").write_bytes(head + image("1.2"))

    (skipped,) = find_sources([tmp_path])

    assert isinstance(skipped, Skipped)
    assert "DICOMDIR" in skipped.reason


@pytest.mark.parametrize("extra_bytes", [0, 10_000, READ_BYTES_MAX + 1])
def test_data_sets_are_read_exactly_from_files_and_packs(tmp_path: Path, extra_bytes: int) -> None:
    pixels = bytes(range(256)) * ((extra_bytes + 256) // 256)
    path = tmp_path / "1.dcm"
    path.write_bytes(part10("1.1", pixels))
    with tarfile.open(tmp_path / "pack.tar", "w", format=tarfile.USTAR_FORMAT) as pack:
        pack.addfile(tarfile.TarInfo("first"))
        pack.add(path, "1.1.dcm")
    reader = SourceReader()

    for source in find_sources([path, tmp_path / "pack.tar"]):
        if isinstance(source, Source):
            assert bytes(reader.read_dataset(source)) == image("1.1", pixels=pixels)


def test_a_data_set_stays_whole_while_the_next_is_read(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(part10(f"1.{number}", bytes([number]) * 1000))
    sources = [one for one in find_sources([tmp_path]) if isinstance(one, Source)]
    reader = SourceReader()

    first = reader.read_dataset(sources[0])
    second = reader.read_dataset(sources[1])

    assert bytes(first) == image("1.0", pixels=b"\0" * 1000)
    assert bytes(second) == image("1.1", pixels=b"\1" * 1000)


@pytest.mark.parametrize("size", [1000, READ_BYTES_MAX + 1000])
def test_a_file_that_became_shorter_is_an_error_and_not_a_crash(tmp_path: Path, size: int) -> None:
    path = tmp_path / "1.dcm"
    path.write_bytes(part10("1.1", bytes(size)))
    (source,) = find_sources([path])
    assert isinstance(source, Source)
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(OSError, match="shorter"):
        SourceReader().read_dataset(source)
