"""Packs built in memory, member by member, as a lane lays them out on disk.

For: tests of the format (`storage_tiers.pack`). Not for: how a lane writes them (`tests.unit.storage_tiers.test_lane`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import xxhash

from storage_tiers import pack
from storage_tiers.pack import Member


class BytesReader:
    """A pack in memory as a `storage_tiers.pack.RangeReader`."""

    def __init__(self, content: bytes | bytearray) -> None:
        self.content = content

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        return bytes(self.content[offset : offset + length])


@dataclass(frozen=True, kw_only=True)
class BuiltPack:
    """A pack's bytes, and what is in it."""

    nonce: str
    content: bytearray
    members: Sequence[Member]
    #: Where the last member ends: footer or nothing follows.
    tail: int

    @property
    def reader(self) -> BytesReader:
        """Return a reader of the content as it is now."""
        return BytesReader(self.content)

    def file(self, number: int) -> bytes:
        """Return the Part 10 file of a member."""
        member = self.members[number]
        return bytes(self.content[member.file_offset : member.file_offset + member.file_length_bytes])


def build_pack(
    files: Sequence[tuple[bytes, bytes]], *, is_sealed: bool = True, nonce: str | None = None, issuer: str = "NORTH"
) -> BuiltPack:
    """Return a pack of files, each given as head (preamble and file meta) and data set."""
    nonce = nonce or pack.new_nonce()
    content = bytearray(pack.manifest_member(nonce, created_at_s=1_700_000_000.0))
    members = []
    for number, (head, dataset) in enumerate(files):
        offset = len(content)
        length = len(head) + len(dataset)
        member = Member(
            sop_instance_uid=f"1.2.3.{number}",
            file_offset=offset + pack.PREFIX_BYTES,
            file_length_bytes=length,
            dataset_offset=len(head),
            dataset_digest=xxhash.xxh3_128_digest(dataset),
            head_digest=xxhash.xxh3_64_intdigest(head),
            issuer=issuer,
            calling_aet="CT1",
            received_at_s=1_700_000_000.25 + number,
            end=offset + pack.aligned(pack.PREFIX_BYTES + length),
        )
        content += pack.member_prefix(member, nonce=nonce) + head + dataset + pack.padding_after(length)
        assert len(content) == member.end
        members.append(member)
    tail = len(content)
    if is_sealed:
        content += pack.footer(nonce, members=len(members), sealed_at_s=1_700_000_100.0)
    return BuiltPack(nonce=nonce, content=content, members=members, tail=tail)
