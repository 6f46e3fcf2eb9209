"""What a node keeps, read from its data directory: each data set as it lies in its pack, by SOP Instance UID.

For: comparing bytes kept with bytes sent, while the node serves or after it. Not for: proving an archive whole, which
`telegarde verify` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Table, select

from foundation.database import Database, sqlite_url
from pacs.archive.schema import instance, instance_conflict, pack


@dataclass(frozen=True, kw_only=True)
class StoredDataset:
    """One instance as kept."""

    transfer_syntax_uid: str
    dataset: bytes
    is_damaged: bool = False


def served_datasets(data: Path, *, database_url: str | None = None) -> dict[str, StoredDataset]:
    """Return what is served, of a node whose data directory this is; SQLite in it unless a URL is given."""
    found = {}
    for row in _rows(data, database_url, instance):
        assert row.sop_instance_uid not in found
        found[row.sop_instance_uid] = StoredDataset(
            transfer_syntax_uid=row.transfer_syntax_uid, dataset=_dataset(data, row), is_damaged=bool(row.is_damaged)
        )
    return found


def evidence(data: Path, *, database_url: str | None = None) -> list[tuple[str, bytes]]:
    """Return SOP Instance UID and data set of everything kept as evidence."""
    return [(row.sop_instance_uid, _dataset(data, row)) for row in _rows(data, database_url, instance_conflict)]


def _rows(data: Path, database_url: str | None, table: Table) -> Sequence[Row[Any]]:
    database = Database(database_url or sqlite_url(data / "index.sqlite"))
    try:
        with database.read() as connection:
            joined = table.join(pack, table.c.pack_pk == pack.c.pack_pk)
            return connection.execute(select(table, pack.c.name.label("pack_name")).select_from(joined)).all()
    finally:
        database.close()


def _dataset(data: Path, row: Row[Any]) -> bytes:
    with (data / "packs" / row.pack_name).open("rb") as file:
        file.seek(row.file_offset + row.dataset_offset)
        return file.read(row.file_length_bytes - row.dataset_offset)
