"""Read stored instances back: the bytes that were received, proven by their digest each time.

A digest costs 10 us for a CT image; sending wrong pixels could cost a life.
"""

import xxhash

from foundation.errors import Unavailable
from pacs.contracts import InstanceRef
from storage_tiers.local_packs import LocalPacks


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

    def prefetch(self, ref: InstanceRef) -> None:
        """Ask the disk to have an instance ready; returns at once."""
        self._packs.prefetch(ref.pack, ref.offset, ref.length_bytes)
