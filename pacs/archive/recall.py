"""Index again what a database server lost when it crashed: the bytes are still in this process's lanes.

The index commits without waiting for the disk (`foundation.database`), so a PostgreSQL server that dies takes its last
commits with it, while this node lives on and has confirmed them. SQLite loses nothing unless the whole machine dies,
and then recovery at the start does the same from the packs (`pacs.archive.recovery`).

References
----------
https://www.postgresql.org/docs/15/wal-async-commit.html
"""

import heapq
from collections.abc import Iterator

from foundation import log
from pacs.archive.index_rows import Arrival
from pacs.archive.recovery import arrival_of
from storage_tiers.lane import LanePool
from storage_tiers.local_packs import LocalPacks, PackUnreadable
from storage_tiers.pack import Member, PackDamaged, read_manifest, scan


class LaneRecall:
    """Reads members of the lanes of one process again.

    Parameters
    ----------
    lanes : LanePool
        Where this process writes.
    packs : LocalPacks
        The same journal, for reading.
    """

    def __init__(self, lanes: LanePool, packs: LocalPacks) -> None:
        self._lanes = lanes
        self._packs = packs

    def __call__(self, since_s: float) -> Iterator[Arrival]:
        """Yield what was received since then (seconds since 1970 UTC), with descriptions, in the order of receipt.

        Only what was kept: the member that a lane is about to overwrite is left out.
        """
        streams = [self._members(name, tail, since_s) for name, tail in self._lanes.written()]
        for member, name in heapq.merge(*streams, key=lambda one: one[0].received_at_s):
            arrival = arrival_of(self._packs, name, member)
            if arrival is not None:
                yield arrival

    def _members(self, name: str, tail: int, since_s: float) -> Iterator[tuple[Member, str]]:
        reader = self._packs.reader(name)
        try:
            for member in scan(reader, nonce=read_manifest(reader)):
                if member.end > tail:
                    return
                if member.received_at_s >= since_s:
                    yield member, name
        except (PackDamaged, PackUnreadable) as error:
            log.error("pack_unreadable", pack=name, reason=str(error))
