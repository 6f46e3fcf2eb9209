"""Read stored instances back: the bytes that were received, proven by their digest each time.

A digest costs 10 us for a CT image; sending wrong pixels could cost a life.
"""

from collections.abc import Iterator
from typing import Final

import xxhash

from foundation.errors import Unavailable
from pacs.contracts import InstanceRef
from storage_tiers.local_packs import LocalPacks

# How much of a large instance is in memory at a time while it is sent; even, so that it can be cut into fragments.
PART_BYTES: Final = 8 * 1024 * 1024


class InstanceUnreadable(Unavailable):
    """The stored bytes of an instance are missing or are not those received; `telegarde verify` says more."""

    def __init__(self, sop_instance_uid: str) -> None:
        super().__init__(
            f"instance {sop_instance_uid} cannot be read as stored; run telegarde verify", is_retryable=False
        )
        self.sop_instance_uid = sop_instance_uid


class PackReader:
    """Reads instances from the packs on local disk; thread-safe.

    Parameters
    ----------
    packs : LocalPacks
        The journal.
    """

    def __init__(self, packs: LocalPacks) -> None:
        self._packs = packs

    def read_file(self, ref: InstanceRef) -> memoryview:
        """Return the whole Part 10 file of an instance; the data set begins at ``ref.dataset_offset``.

        Raises
        ------
        InstanceUnreadable
            If the bytes are not those received.
        storage_tiers.local_packs.PackUnreadable
            If the pack is missing or the disk fails.
        """
        file = memoryview(self._packs.read(ref.pack, ref.offset, ref.length_bytes))
        if len(file) != ref.length_bytes or xxhash.xxh3_128_digest(file[ref.dataset_offset :]) != ref.digest:
            raise InstanceUnreadable(ref.sop_instance_uid)
        return file

    def read_parts(self, ref: InstanceRef) -> Iterator[memoryview]:
        """Return the data set of an instance in parts, for one too large to be held in memory.

        All of it is read and checked before this returns. It is read again as the parts are taken, and checked again:
        the last part is given out only if everything before and in it is as received, so that nobody ever gets all of
        a data set that is not.

        Returns
        -------
        iterator of memoryview
            Parts of `PART_BYTES`; the last may be shorter.

        Raises
        ------
        InstanceUnreadable
            At once or from the iterator: the bytes are not those received.
        storage_tiers.local_packs.PackUnreadable
            If the pack is missing or the disk fails.
        """
        for _ in self._checked_parts(ref):
            pass
        return self._checked_parts(ref)

    def _checked_parts(self, ref: InstanceRef) -> Iterator[memoryview]:
        digest = xxhash.xxh3_128()
        position, end = ref.offset + ref.dataset_offset, ref.offset + ref.length_bytes
        while position < end:
            size = min(PART_BYTES, end - position)
            part = self._packs.read(ref.pack, position, size)
            digest.update(part)
            position += size
            is_wrong = len(part) != size or (position == end and digest.digest() != ref.digest)
            if is_wrong:
                raise InstanceUnreadable(ref.sop_instance_uid)
            yield memoryview(part)

    def prefetch(self, ref: InstanceRef) -> None:
        """Ask the disk to have an instance ready; returns at once."""
        self._packs.prefetch(ref.pack, ref.offset, ref.length_bytes)
