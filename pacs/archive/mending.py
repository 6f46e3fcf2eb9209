"""Mend what the disk has spoilt: when the same object comes again, its row is pointed to the sound copy.

Without this an image that `telegarde verify` calls corrupt could never be repaired by sending it again: its digest is
known, so the new copy would be taken for a duplicate.

Invariants: a row is only ever pointed to bytes with the digest that it had, read back and proven here; a sound object
is never replaced.
"""

from typing import Final

import xxhash

from foundation import log
from pacs.archive.index import IndexWriter, Place
from pacs.archive.index_rows import Arrival
from storage_tiers.local_packs import LocalPacks, PackUnreadable

# Read at a time: an object may be larger than memory.
_CHUNK_BYTES: Final = 4 * 1024 * 1024


def mend(packs: LocalPacks, index: IndexWriter, arrival: Arrival, stored: Place) -> bool:
    """Serve an instance from the member that has just arrived, if what is stored is spoilt; say whether it was.

    Parameters
    ----------
    arrival : Arrival
        A durable member with the digest of the stored one. It must be kept when this returns True, and also when
        `pacs.archive.index.CommitUncertain` is raised.
    stored : Place
        What the index serves.

    Raises
    ------
    foundation.database.DatabaseAway
        Nothing has changed.
    pacs.archive.index.LevelsNeeded
        The index has forgotten the series meanwhile; nothing has changed.
    """
    member = arrival.member
    copy = Place(
        arrival.pack_name,
        member.file_offset,
        member.file_length_bytes,
        member.dataset_offset,
        member.dataset_digest,
    )
    if is_sound(packs, stored) or not is_sound(packs, copy):
        return False
    is_mended = index.mend(arrival, stored)
    if is_mended:
        log.warning(
            "instance_mended", sop_instance=arrival.header.sop_instance_uid, pack=stored.pack, offset=stored.file_offset
        )
    return is_mended


def is_sound(packs: LocalPacks, place: Place) -> bool:
    """Say whether a data set can be read as it was received."""
    digest = xxhash.xxh3_128()
    position, end = place.file_offset + place.dataset_offset, place.file_offset + place.file_length_bytes
    try:
        while position < end:
            chunk = packs.read(place.pack, position, min(_CHUNK_BYTES, end - position))
            if not chunk:
                return False
            digest.update(chunk)
            position += len(chunk)
    except PackUnreadable:
        return False
    return digest.digest() == place.digest
