"""The pack format: any tar opens it, only genuine members count, and what is damaged is found."""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from storage_tiers import pack
from storage_tiers.pack import ALIGNMENT, BLOCK, PREFIX_BYTES, PackDamaged
from tests.harness.packs import BytesReader, build_pack

HEAD = bytes(128) + b"DICM" + bytes(200)
FILES = [(HEAD, b"first"), (HEAD, bytes(range(256)) * 40), (HEAD, b""), (HEAD, b"x" * 100_000)]


def test_gnu_tar_lists_and_extracts_a_sealed_pack(tmp_path: Path) -> None:
    built = build_pack(FILES)
    (tmp_path / "p.tar").write_bytes(built.content)

    listed = subprocess.run(["tar", "tf", "p.tar"], cwd=tmp_path, capture_output=True, text=True, check=True)
    subprocess.run(["tar", "xf", "p.tar"], cwd=tmp_path, capture_output=True, check=True)

    names = [f"1.2.3.{number}.dcm" for number in range(len(FILES))]
    assert listed.stdout.split() == [pack.MANIFEST_NAME, *names, pack.FOOTER_NAME]
    assert [(tmp_path / name).read_bytes() for name in names] == [head + dataset for head, dataset in FILES]


def test_python_tarfile_reads_files_and_what_the_pax_records_say() -> None:
    built = build_pack(FILES, issuer="Hôpital du Forez")

    with tarfile.open(fileobj=io.BytesIO(built.content)) as archive:
        members = [member for member in archive if member.name.endswith(".dcm")]
        contents = [archive.extractfile(member).read() for member in members]  # type: ignore[union-attr]

    assert contents == [head + dataset for head, dataset in FILES]
    assert {member.pax_headers["TELEGARDE.issuer"] for member in members} == {"Hôpital du Forez"}
    assert members[1].pax_headers["TELEGARDE.member"] == built.nonce
    assert members[1].mtime == pytest.approx(1_700_000_001.25)


def test_an_unsealed_pack_can_still_be_listed_by_gnu_tar(tmp_path: Path) -> None:
    built = build_pack(FILES, is_sealed=False)
    (tmp_path / "p.tar").write_bytes(built.content + bytes(64 * 1024))

    listed = subprocess.run(["tar", "tf", "p.tar"], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert len(listed.stdout.split()) == 1 + len(FILES)


def test_scan_yields_every_member_as_it_was_written() -> None:
    built = build_pack(FILES)

    assert list(pack.scan(built.reader, nonce=pack.read_manifest(built.reader))) == list(built.members)
    for member in built.members:
        pack.check_member(built.reader, member)


def test_a_whole_pack_hidden_in_pixel_data_adds_no_member() -> None:
    inner = build_pack([(HEAD, b"forged")])
    # Aligned as a genuine member would be, so that only the nonce tells them apart.
    shift = bytes(-(PREFIX_BYTES + len(HEAD)) % ALIGNMENT)
    outer = build_pack([(HEAD, shift + bytes(inner.content)), (HEAD, b"after")])

    found = list(pack.scan(outer.reader, nonce=outer.nonce))

    assert found == list(outer.members)
    hidden = outer.members[0].file_offset + len(HEAD) + len(shift) + ALIGNMENT
    with pytest.raises(PackDamaged, match="not of this pack"):
        pack.read_member(outer.reader, hidden, nonce=outer.nonce)


def test_a_hidden_pack_adds_no_member_even_when_the_prefix_before_it_is_destroyed() -> None:
    inner = build_pack([(HEAD, b"forged")])
    shift = bytes(-(PREFIX_BYTES + len(HEAD)) % ALIGNMENT)
    outer = build_pack([(HEAD, shift + bytes(inner.content)), (HEAD, b"after")])
    outer.content[ALIGNMENT : ALIGNMENT + BLOCK] = bytes(BLOCK)

    assert list(pack.scan(outer.reader, nonce=outer.nonce)) == [outer.members[1]]


@pytest.mark.parametrize("number", range(len(FILES)))
def test_scan_finds_the_members_behind_one_whose_prefix_is_damaged(number: int) -> None:
    built = build_pack(FILES)
    built.content[built.members[number].file_offset - PREFIX_BYTES + 700] ^= 0x10

    found = list(pack.scan(built.reader, nonce=built.nonce))

    assert found == [member for member in built.members if member is not built.members[number]]


def test_scan_ends_at_a_tail_that_holds_zeros_or_rubbish() -> None:
    built = build_pack(FILES, is_sealed=False)

    for tail in (b"", bytes(8192), b"ustar" * 3000, b"PaxHeaders/" * 2000):
        reader = BytesReader(bytes(built.content) + tail)
        assert list(pack.scan(reader, nonce=built.nonce)) == list(built.members)


def test_scan_ends_before_a_member_whose_prefix_is_cut() -> None:
    built = build_pack(FILES, is_sealed=False)
    last = built.members[-1]

    for length in (last.file_offset - PREFIX_BYTES, last.file_offset - 1):
        found = list(pack.scan(BytesReader(built.content[:length]), nonce=built.nonce))
        assert found == list(built.members[:-1])


def test_a_member_whose_file_is_cut_is_seen_and_does_not_pass_its_check() -> None:
    built = build_pack(FILES, is_sealed=False)
    last = built.members[-1]
    reader = BytesReader(built.content[: last.file_offset + last.file_length_bytes - 1])

    assert list(pack.scan(reader, nonce=built.nonce))[-1] == last
    with pytest.raises(PackDamaged):
        pack.check_member(reader, last)


def test_the_footer_counts_the_members_and_ends_the_tar() -> None:
    built = build_pack(FILES)

    with tarfile.open(fileobj=io.BytesIO(built.content)) as archive:
        footer = archive.extractfile(pack.FOOTER_NAME)
        assert footer is not None
        assert json.loads(footer.read()) == {"nonce": built.nonce, "members": len(FILES)}
    assert built.content[-2 * BLOCK :] == bytes(2 * BLOCK)
    assert len(built.content) % BLOCK == 0


@pytest.mark.parametrize("content", [b"", b"no tar at all", bytes(ALIGNMENT), b"\xff" * ALIGNMENT])
def test_what_does_not_begin_with_our_manifest_is_no_pack(content: bytes) -> None:
    with pytest.raises(PackDamaged):
        pack.read_manifest(BytesReader(content))


def test_a_tar_of_somebody_else_is_no_pack() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo("a.dcm")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))

    with pytest.raises(PackDamaged, match="no manifest"):
        pack.read_manifest(BytesReader(target.getvalue()))


def test_a_file_that_does_not_fit_a_tar_header_is_refused() -> None:
    built = build_pack(FILES)
    member = built.members[0]
    large = type(member)(
        **{name: getattr(member, name) for name in type(member).__slots__}
        | {"file_length_bytes": pack.FILE_BYTES_MAX + 1}
    )

    with pytest.raises(ValueError, match="do not fit"):
        pack.member_prefix(large, nonce=built.nonce)


@pytest.mark.parametrize("issuer", ["a\nb", "é" * 129])
def test_a_value_that_could_forge_a_record_is_refused(issuer: str) -> None:
    with pytest.raises(ValueError, match="too long or has a line feed"):
        build_pack([(HEAD, b"x")], issuer=issuer)


def test_the_longest_issuer_and_calling_ae_title_fit_a_prefix() -> None:
    built = build_pack([(HEAD, b"x")], issuer="界" * 64)

    assert pack.read_member(built.reader, ALIGNMENT, nonce=built.nonce).issuer == "界" * 64
