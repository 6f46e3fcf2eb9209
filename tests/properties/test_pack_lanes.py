"""Lanes, however a data set is cut into fragments and whatever was discarded before: bytes in are bytes out."""

import random
import tempfile
from pathlib import Path

import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.clock import SystemClock
from storage_tiers import pack
from storage_tiers.lane import Lane, LaneLimits, MemberWriter
from storage_tiers.local_packs import LocalPacks

# A buffer of four blocks, so that a few kilobytes stream through it several times.
LIMITS = LaneLimits(
    staging_bytes=16 * 1024, extent_bytes=256 * 1024, lane_bytes_max=64 * 1024 * 1024, free_space_reserve_bytes=0
)
HEAD = bytes(range(200)) + b"head"

MEMBERS = st.lists(
    st.tuples(
        st.lists(
            st.one_of(st.integers(0, 300), st.integers(3_900, 4_300), st.integers(0, 40_000)), min_size=0, max_size=8
        ),
        st.booleans(),
    ),
    max_size=5,
)


@given(members=MEMBERS, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_is_kept_is_read_back_and_what_is_discarded_is_gone(
    members: list[tuple[list[int], bool]], seed: int
) -> None:
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        lane = Lane(Path(directory), LIMITS, SystemClock())
        kept = []
        for fragments, is_kept in members:
            dataset = b"".join(generator.randbytes(size) for size in fragments)
            writer = MemberWriter(lane)
            writer.begin(HEAD)
            position = 0
            for size in fragments:
                view = memoryview(dataset)[position : position + size]
                if not writer.try_write(view):
                    writer.write(view)
                position += size
                assert writer.dataset_length_bytes == position
            if not is_kept:
                continue
            member = writer.complete(sop_instance_uid="1.2", issuer="N", calling_aet="C", received_at_s=1.0)
            writer.sync()
            writer.keep()
            assert member.dataset_digest == xxhash.xxh3_128_digest(dataset)
            kept.append(HEAD + dataset)

        reader = LocalPacks(Path(directory)).reader(lane.name)
        found = list(pack.scan(reader, nonce=lane.nonce))
        for member in found:
            pack.check_member(reader, member)
        assert [reader.read(one.file_offset, one.file_length_bytes) for one in found] == kept
        lane.close()
