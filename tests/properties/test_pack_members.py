"""Packs, whatever is put in: every member comes back, and no changed byte of a file goes unnoticed."""

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from storage_tiers import pack
from storage_tiers.pack import ALIGNMENT, BLOCK, PREFIX_BYTES, PackDamaged
from tests.harness.packs import build_pack

# Near the sizes where padding, filler and alignment change.
LENGTHS = st.one_of(
    st.integers(0, 3 * ALIGNMENT),
    st.builds(
        lambda blocks, shift: max(0, blocks * BLOCK - PREFIX_BYTES + shift), st.integers(4, 24), st.integers(-3, 3)
    ),
)


@given(lengths=st.lists(LENGTHS, max_size=6))
@settings(deadline=None)
def test_members_of_every_length_are_found_where_they_are_and_by_any_tar(lengths: list[int]) -> None:
    files = [(b"\1" * 300, bytes([number]) * length) for number, length in enumerate(lengths)]

    built = build_pack(files)

    assert list(pack.scan(built.reader, nonce=built.nonce)) == list(built.members)
    assert all(member.end % ALIGNMENT == 0 for member in built.members)
    with tarfile.open(fileobj=io.BytesIO(built.content)) as archive:
        contents = [archive.extractfile(one).read() for one in archive if one.name.endswith(".dcm")]  # type: ignore[union-attr]
    assert contents == [head + dataset for head, dataset in files]


@given(gap=st.integers(0, ALIGNMENT // BLOCK))
def test_a_filler_has_exactly_the_length_asked_for(gap: int) -> None:
    assert len(pack.filler(gap * BLOCK)) == gap * BLOCK


@given(length=st.integers(0, 200_000))
def test_padding_brings_every_member_to_the_alignment(length: int) -> None:
    assert (PREFIX_BYTES + length + len(pack.padding_after(length))) % ALIGNMENT == 0


PACK = build_pack([(b"\2" * 300, bytes(range(250)) * 13), (b"\3" * 300, b"next")])


@given(position=st.integers(ALIGNMENT, PACK.members[0].end - 1), bit=st.integers(0, 7))
@settings(max_examples=400, deadline=None)
def test_a_flipped_bit_is_found_or_changes_nothing_that_counts(position: int, bit: int) -> None:
    damaged = bytearray(PACK.content)
    damaged[position] ^= 1 << bit
    reader = type(PACK.reader)(damaged)
    member = PACK.members[0]

    found = list(pack.scan(reader, nonce=PACK.nonce))

    assert found[-1] == PACK.members[1]
    is_in_file = member.file_offset <= position < member.file_offset + member.file_length_bytes
    if found[0] == member:
        try:
            pack.check_member(reader, member)
        except PackDamaged:
            assert is_in_file
        else:
            assert not is_in_file
    else:
        # Its prefix is damaged: it is missing, which verify reports, or it is not what the index says.
        assert ALIGNMENT <= position < member.file_offset


@given(
    issuer=st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), max_size=64),
    calling_aet=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=16),
    received_at_s=st.floats(0, 8_000_000_000),
    dataset_offset=st.integers(0, 1024),
)
def test_what_a_prefix_says_is_read_back(
    issuer: str, calling_aet: str, received_at_s: float, dataset_offset: int
) -> None:
    built = build_pack([(b"", b"")])
    member = type(built.members[0])(
        **{name: getattr(built.members[0], name) for name in type(built.members[0]).__slots__}
        | {
            "issuer": issuer,
            "calling_aet": calling_aet,
            "received_at_s": round(received_at_s, 6),
            "dataset_offset": dataset_offset,
        }
    )
    content = bytes(ALIGNMENT) + pack.member_prefix(member, nonce=built.nonce)

    assert pack.read_member(type(built.reader)(content), ALIGNMENT, nonce=built.nonce) == member
