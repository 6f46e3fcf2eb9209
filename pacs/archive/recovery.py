"""Catch up the index from the packs: after a crash (`recover`) or from nothing (`reindex`).

Both pass members to `IndexWriter.commit`, which takes a member that it knows as known; so both may be interrupted at
any moment and run again. A pack is looked at until it is marked sealed, and its members are proved from where it is
marked as indexed. Each mark is a later transaction than the rows it speaks of: wherever a power cut leaves the index,
what it lost is found again. So recovery reads the prefixes of what came long ago, and the bytes of the last seconds.

A member counts only if every digest holds: its prefix can reach the disk before its data.
"""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import delete, func, select

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from pacs.archive import file_meta, sop_lookup
from pacs.archive.header import (
    UnusableDataSet,
    describe_levels,
    inflate,
    is_uncompressed_header,
    read_header,
)
from pacs.archive.index import IndexWriter, Kind
from pacs.archive.index_rows import Arrival
from pacs.archive.mending import mend
from pacs.archive.schema import instance, instance_conflict, pack, patient, series, study
from pacs.archive.schema import sop_lookup as sop_lookup_table
from storage_tiers.lane import seal_file, try_own
from storage_tiers.local_packs import LocalPacks, PackUnreadable
from storage_tiers.pack import (
    ALIGNMENT,
    Member,
    PackDamaged,
    RangeReader,
    check_member,
    footer,
    is_like_prefix,
    read_footer,
    read_manifest,
    scan,
)

# Members per transaction.
_BATCH: Final = 64
# Read at a time when only zeros are expected.
_LOOK_BYTES: Final = 1024 * 1024

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryReport:
    """What recovery found; ``packs`` were scanned, ``recovered`` members had no row before."""

    packs: int
    members: int
    recovered: int


def recover(database: Database, journal: Path, clock: Clock, on_progress: OnProgress | None = None) -> RecoveryReport:
    """Index what a crash left unindexed, then seal the packs it left open. Packs of living processes are left alone.

    Parameters
    ----------
    database : Database
        The index.
    journal : Path
        Directory of the packs.
    clock : Clock
        For the times of events.
    on_progress : callable, optional
        Called with packs done and packs in all.

    Raises
    ------
    foundation.errors.Unavailable
        If the database or the disk does not answer; run it again.
    """
    for unfinished in journal.glob(".*.tar"):
        _remove_if_abandoned(unfinished)
    packs = LocalPacks(journal)
    writer = IndexWriter(database)
    try:
        with database.read() as connection:
            rows = connection.execute(select(pack.c.name, pack.c.state, pack.c.indexed_until)).all()
        sealed = {row.name for row in rows if row.state == "sealed"}
        indexed_until = {row.name: int(row.indexed_until) for row in rows}
        open_packs = [name for name in packs.names() if name not in sealed]
        scanned = members = recovered = 0
        for done, name in enumerate(open_packs):
            if on_progress is not None:
                on_progress(done, len(open_packs))
            try:
                counts = _recover_pack(journal / name, packs, writer, database, clock, indexed_until.get(name, 0))
            except PackUnreadable as error:
                # One bad sector must not keep the node from starting; the pack is looked at again next time.
                log.error("pack_unreadable", pack=name, reason=str(error))
                continue
            if counts is not None:
                scanned, members, recovered = scanned + 1, members + counts[0], recovered + counts[1]
        if scanned:
            log.info("recovered", count=scanned, members=members, unindexed=recovered)
        return RecoveryReport(packs=scanned, members=members, recovered=recovered)
    finally:
        writer.close()
        packs.close()


def reindex(database: Database, journal: Path, clock: Clock, on_progress: OnProgress | None = None) -> RecoveryReport:
    """Rebuild patients, studies, series, instances and evidence from the packs alone.

    The node must not be running. Members are taken in the order in which they were received, whatever lane they came
    through, so that among several objects under one UID the first stays the one served. Commitments are kept; nothing
    is announced again.

    Parameters
    ----------
    database, journal, clock
        As for `recover`.
    on_progress : callable, optional
        Called with bytes done and bytes in all.
    """
    packs = LocalPacks(journal)
    writer = IndexWriter(database, is_announcing=False)
    names = packs.names()
    total = sum(_size_bytes(packs, name) for name in names)
    try:
        with database.write() as connection:
            for table in (sop_lookup_table, instance, instance_conflict, series, study, patient, pack):
                connection.execute(delete(table))
        streams = [_members(packs.reader(name), name) for name in names]
        done = members = recovered = 0
        batch: list[Arrival] = []
        for member, name in heapq.merge(*streams, key=lambda one: one[0].received_at_s):
            arrival = arrival_of(packs, name, member)
            if arrival is not None:
                batch.append(arrival)
            if len(batch) >= _BATCH:
                recovered += _commit(packs, writer, batch, clock)
                batch.clear()
            members += 1
            done += member.end - member.file_offset
            if on_progress is not None:
                on_progress(done, total)
        recovered += _commit(packs, writer, batch, clock)
        sop_lookup.rebuild(database)
    finally:
        writer.close()
        packs.close()
    # Sealing, and the marks that go with it, are recovery's: every pack is unmarked now.
    recover(database, journal, clock)
    if on_progress is not None:
        on_progress(total, total)
    return RecoveryReport(packs=len(names), members=members, recovered=recovered)


def _size_bytes(packs: LocalPacks, name: str) -> int:
    try:
        return packs.size_bytes(name)
    except PackUnreadable:
        return 0


def _recover_pack(
    path: Path, packs: LocalPacks, writer: IndexWriter, database: Database, clock: Clock, indexed_until: int
) -> tuple[int, int] | None:
    fd = try_own(path)
    if fd is None:
        return None
    try:
        reader = packs.reader(path.name)
        try:
            nonce = read_manifest(reader)
        except PackDamaged:
            _set_aside(path, reader)
            return None
        tail, count, sound, recovered = ALIGNMENT, 0, 0, 0
        batch: list[Arrival] = []
        for member, is_indexed in _proven(reader, nonce, indexed_until):
            tail, count = member.end, count + 1
            sound += is_indexed
            is_new = is_indexed and member.end > indexed_until
            arrival = arrival_of(packs, path.name, member) if is_new else None
            if arrival is not None:
                batch.append(arrival)
            if len(batch) >= _BATCH:
                recovered += _commit(packs, writer, batch, clock)
                batch.clear()
        recovered += _commit(packs, writer, batch, clock)
        if not _is_all(reader, tail, path.name, nonce, database):
            return count, recovered
        if count == 0:
            path.unlink()
            return 0, 0
        # What was torn is not counted: a footer says how many members were whole when the pack was sealed.
        seal_file(fd, tail, footer(nonce, members=sound, sealed_at_s=clock.now().timestamp()))
        writer.mark_sealed(path.name, tail)
        return count, recovered
    finally:
        os.close(fd)


def _is_all(reader: RangeReader, tail: int, name: str, nonce: str, database: Database) -> bool:
    """Say whether nothing that was ever acknowledged can lie behind `tail`: then the pack may be cut there.

    An unfinished instance leaves bytes behind the last member, but no prefix and no row.
    """
    if read_footer(reader, tail, nonce=nonce) is not None or not _has_content(reader, tail):
        return True
    if not is_like_prefix(reader, tail, nonce=nonce) and _indexed_until(database, name) <= tail:
        return True
    log.error("member_prefix_damaged", pack=name, offset=tail, reason="left as it is; run telegarde verify")
    return False


def _has_content(reader: RangeReader, offset: int) -> bool:
    """Say whether anything but zeros follows closely."""
    return bool(bytes(reader.read(offset, _LOOK_BYTES)).strip(b"\0"))


def _indexed_until(database: Database, name: str) -> int:
    """Return where the last row of a pack says that its file ends. Looks at every instance: only for rare cases."""
    last = 0
    with database.read() as connection:
        for table in (instance, instance_conflict):
            end = func.max(table.c.file_offset + table.c.file_length_bytes)
            query = select(end).join(pack, pack.c.pack_pk == table.c.pack_pk).where(pack.c.name == name)
            last = max(last, connection.execute(query).scalar() or 0)
    return last


def _proven(reader: RangeReader, nonce: str, indexed_until: int = 0) -> Iterator[tuple[Member, bool]]:
    """Yield members and whether they are to be indexed; those up to `indexed_until` have their rows and are not read.

    A member whose digest does not hold at the end of a pack was torn by the crash and never acknowledged: its bytes
    stay where they are, unindexed. One with a successor was complete once, and so was one that a footer counts: it is
    indexed, so that its damage is found by `telegarde verify` and a retrieve of it fails, instead of its vanishing.
    """
    for before, member in enumerate(scan(reader, nonce=nonce)):
        if member.end <= indexed_until:
            yield member, True
            continue
        try:
            check_member(reader, member)
        except (PackDamaged, PackUnreadable) as error:
            log.warning("unsound_member", offset=member.file_offset, reason=str(error))
            yield member, _was_complete(reader, member, nonce, before)
        else:
            yield member, True


def _was_complete(reader: RangeReader, member: Member, nonce: str, before: int) -> bool:
    counted = read_footer(reader, member.end, nonce=nonce)
    return is_like_prefix(reader, member.end, nonce=nonce) if counted is None else counted > before


def _members(reader: RangeReader, name: str) -> Iterator[tuple[Member, str]]:
    # One pack that cannot be read must not keep all others out of the index.
    try:
        nonce = read_manifest(reader)
        for member, is_indexed in _proven(reader, nonce):
            if is_indexed:
                yield member, name
    except (PackDamaged, PackUnreadable) as error:
        log.error("pack_unreadable", pack=name, reason=str(error))


def arrival_of(packs: LocalPacks, name: str, member: Member) -> Arrival | None:
    """Read a member's header again; None when it has none (then it was never acknowledged as an instance)."""
    try:
        with dataset_window(packs, name, member) as (syntax, dataset, is_complete):
            header = read_header(dataset, syntax, is_complete=is_complete)
            levels, problem = describe_levels(dataset, syntax, header.identity)
    except UnusableDataSet as error:
        log.error("member_without_header", pack=name, offset=member.file_offset, reason=str(error))
        return None
    return Arrival(name, member, header, syntax, member.issuer, levels, bool(header.problem or problem))


@contextmanager
def dataset_window(packs: LocalPacks, name: str, member: Member) -> Iterator[tuple[str, memoryview | bytes, bool]]:
    """Give the transfer syntax of a member, a window on its data set, and whether that is the whole of it.

    A deflated data set is inflated, as far as its header can be.

    Raises
    ------
    UnusableDataSet
        If it is not deflated as its transfer syntax says.
    """
    with packs.mapped(name, member.file_offset, member.file_length_bytes) as file:
        syntax = file_meta.transfer_syntax_uid(bytes(file[: member.dataset_offset]))
        with file[member.dataset_offset :] as dataset:
            if is_uncompressed_header(syntax):
                yield syntax, dataset, True
            else:
                yield syntax, inflate(dataset), False


def _commit(packs: LocalPacks, writer: IndexWriter, batch: Iterable[Arrival], clock: Clock) -> int:
    arrivals = list(batch)
    if not arrivals:
        return 0
    outcomes = writer.commit(arrivals, now_s=clock.now().timestamp())
    for arrival, outcome in zip(arrivals, outcomes, strict=True):
        if outcome.kind is Kind.SAME_DIGEST and outcome.existing is not None:
            # Two copies are in the packs; a spoilt one must not be what is served.
            mend(packs, writer, arrival, outcome.existing)
    return sum(outcome.kind is Kind.STORED for outcome in outcomes)


def _set_aside(path: Path, reader: RangeReader) -> None:
    """A pack without manifest: empty when the crash came before its first write, otherwise for a human to look at."""
    offset = 0
    while chunk := bytes(reader.read(offset, _LOOK_BYTES)):
        if chunk.strip(b"\0"):
            log.error("pack_without_manifest", pack=path.name, reason="left as it is; run telegarde verify")
            return
        offset += len(chunk)
    path.unlink()


def _remove_if_abandoned(path: Path) -> None:
    fd = try_own(path)
    if fd is not None:
        path.unlink(missing_ok=True)
        os.close(fd)
