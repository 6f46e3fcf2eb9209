"""Prove every byte of the archive: what the index says is in the packs, and what is in the packs is in the index.

Packs are read once, in order; index rows come sorted by pack from the database (which sorts on disk), so memory does
not grow with the archive. It may run beside a serving node: in a pack that a living process writes, only rows are
checked.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, literal_column, select, union_all

from foundation import log
from foundation.database import Database
from pacs.archive.header import InstanceHeader, UnusableDataSet, read_header
from pacs.archive.recovery import dataset_window
from pacs.archive.schema import instance, instance_conflict, pack, series
from storage_tiers.lane import try_own
from storage_tiers.local_packs import LocalPacks, PackUnreadable
from storage_tiers.pack import (
    PREFIX_BYTES,
    Member,
    PackDamaged,
    RangeReader,
    check_member,
    read_manifest,
    read_member,
    scan,
)

OnProgress = Callable[[int, int], None]
# Rows fetched from the database at a time.
_ROWS_PER_FETCH: Final = 2000


@dataclass(kw_only=True, slots=True)
class VerifyReport:
    """What was found; the archive is whole when the last three are zero.

    ``instances`` and ``bytes`` count index rows whose bytes were proven; ``missing`` rows have no member where they
    point, ``corrupt`` ones have a member that is not what was received, ``unindexed`` members are whole and in no row.
    """

    instances: int = 0
    bytes: int = 0
    missing: int = 0
    corrupt: int = 0
    unindexed: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.missing == self.corrupt == self.unindexed == 0

    def to_json(self) -> Mapping[str, int]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in ("instances", "bytes", "missing", "corrupt", "unindexed")}


def verify(database: Database, journal: Path, on_progress: OnProgress | None = None) -> VerifyReport:
    """Check every indexed instance and every member.

    Parameters
    ----------
    database : Database
        The index.
    journal : Path
        Directory of the packs.
    on_progress : callable, optional
        Called with bytes done and bytes in all.

    Raises
    ------
    foundation.errors.Unavailable
        If the database does not answer: then nothing is known, and nothing is said.
    """
    packs = LocalPacks(journal)
    report = VerifyReport()
    done = 0
    # A node may be receiving: the rows are one snapshot, so a pack that was written before it or is new after it may
    # have members without a row, and every row has its pack in a list made after it.
    written = {name: _is_owned(journal / name) for name in packs.names()}
    try:
        with database.read() as connection:
            rows = _RowsByPack(connection)
            sizes = {name: packs.size_bytes(name) for name in packs.names() if (journal / name).exists()}
            total = sum(sizes.values())
            for name, size in sizes.items():
                _verify_pack(packs, name, rows.take(name), report, connection, is_open=written.get(name, True))
                done += size
                if on_progress is not None:
                    on_progress(done, total)
            report.missing += rows.count_left()
    finally:
        packs.close()
    return report


class _RowsByPack:
    """Index and evidence rows in the order of pack name and offset, one pack at a time."""

    def __init__(self, connection: Connection) -> None:
        def places(table: Any) -> Any:
            return select(
                pack.c.name.label("pack_name"),
                table.c.file_offset.label("file_offset"),
                table.c.file_length_bytes,
                table.c.dataset_offset,
                table.c.digest,
                literal_column("1" if table is instance else "0").label("is_served"),
            ).join(pack, pack.c.pack_pk == table.c.pack_pk)

        query = union_all(places(instance), places(instance_conflict)).order_by("pack_name", "file_offset")
        result = connection.execution_options(yield_per=_ROWS_PER_FETCH).execute(query)
        self._rows: Iterator[Any] = iter(result)
        self._next = next(self._rows, None)
        self._lost = 0

    def take(self, name: str) -> Iterator[Any]:
        """Yield the rows of a pack; names must be taken in sorted order. Rows of packs passed over are lost ones."""
        while self._next is not None and self._next.pack_name < name:
            self._lose(self._next)
        while self._next is not None and self._next.pack_name == name:
            row, self._next = self._next, next(self._rows, None)
            yield row

    def count_left(self) -> int:
        """Return how many rows point to packs that are not there."""
        while self._next is not None:
            self._lose(self._next)
        return self._lost

    def _lose(self, row: Any) -> None:
        self._lost += 1
        log.error("pack_missing", pack=row.pack_name, offset=row.file_offset)
        self._next = next(self._rows, None)


def _verify_pack(
    packs: LocalPacks,
    name: str,
    rows: Iterator[Any],
    report: VerifyReport,
    connection: Connection,
    *,
    is_open: bool,
) -> None:
    reader = packs.reader(name)
    expected = {row.file_offset: row for row in rows}
    try:
        nonce = read_manifest(reader)
    except (PackDamaged, PackUnreadable) as error:
        if expected or not is_open:
            log.error("pack_without_manifest", pack=name, reason=str(error))
        report.corrupt += len(expected)
        return
    try:
        for member in scan(reader, nonce=nonce):
            row = expected.pop(member.file_offset, None)
            if row is not None:
                _check_row(reader, member, row, name, report)
            elif not is_open:
                _check_rowless(packs, member, name, report, connection)
    except PackUnreadable as error:
        log.error("pack_unreadable", pack=name, reason=str(error))
    for row in expected.values():
        # Its prefix is broken, or the scan stopped before it.
        try:
            member = read_member(reader, row.file_offset - PREFIX_BYTES, nonce=nonce)
        except PackDamaged as error:
            log.error("member_missing", pack=name, offset=row.file_offset, reason=str(error))
            report.missing += 1
        except PackUnreadable as error:
            log.error("member_corrupt", pack=name, offset=row.file_offset, reason=str(error))
            report.corrupt += 1
        else:
            _check_row(reader, member, row, name, report)


def _check_row(reader: RangeReader, member: Member, row: Any, name: str, report: VerifyReport) -> None:
    try:
        proven = (member.dataset_digest, member.file_length_bytes, member.dataset_offset)
        if proven != (bytes(row.digest), row.file_length_bytes, row.dataset_offset):
            raise PackDamaged("the index and the pack differ")
        check_member(reader, member)
    except (PackDamaged, PackUnreadable) as error:
        log.error("member_corrupt", pack=name, offset=row.file_offset, reason=str(error))
        report.corrupt += 1
        return
    if row.is_served:
        report.instances += 1
        report.bytes += row.file_length_bytes


def _check_rowless(packs: LocalPacks, member: Member, name: str, report: VerifyReport, connection: Connection) -> None:
    """Count a member without a row, unless it was torn or is a copy of what has one."""
    try:
        check_member(packs.reader(name), member)
        with dataset_window(packs, name, member) as (syntax, dataset, _):
            header = read_header(dataset, syntax, is_complete=False)
    except (PackDamaged, UnusableDataSet):
        return
    except PackUnreadable as error:
        log.error("member_corrupt", pack=name, offset=member.file_offset, reason=str(error))
        report.corrupt += 1
        return
    if member.dataset_digest not in _known_digests(header, connection):
        log.error("unindexed_member", pack=name, offset=member.file_offset)
        report.unindexed += 1


def _known_digests(header: InstanceHeader, connection: Connection) -> set[bytes]:
    """Return the digests of what is served and of what is kept as evidence under the UIDs of a header."""
    return {
        bytes(digest)
        for table in (instance, instance_conflict)
        for digest in connection.execute(
            select(table.c.digest)
            .join(series, series.c.series_pk == table.c.series_pk)
            .where(
                series.c.series_instance_uid == header.identity.series_instance_uid.decode("ascii"),
                table.c.sop_instance_uid == header.sop_instance_uid,
            )
        ).scalars()
    }


def _is_owned(path: Path) -> bool:
    fd = try_own(path)
    if fd is None:
        return True
    os.close(fd)
    return False
