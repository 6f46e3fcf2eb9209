"""The archive of one worker, put together in the test's own process: journal, index, the way in.

For: tests of `pacs.archive` that need no socket. Not for: associations (`tests.harness.node`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Table, func, select

from foundation.clock import Clock, SystemClock
from foundation.database import Database
from pacs.archive.index import DuplicatePolicy, IndexWriter
from pacs.archive.ingest import Announcement, Ingest, InstanceStream, Receipt
from pacs.archive.schema import instance, instance_conflict, pack, patient, series, study
from storage_tiers.lane import LaneLimits, LanePool
from storage_tiers.local_packs import LocalPacks
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE

#: Small, so that tests cross every bound; without a reserve, because the machine's disk is not the test's.
SMALL = LaneLimits(
    staging_bytes=1024 * 1024, extent_bytes=4 * 1024 * 1024, lane_bytes_max=64 * 1024 * 1024, free_space_reserve_bytes=0
)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What one worker process has."""

    database: Database
    journal: Path
    lanes: LanePool
    packs: LocalPacks
    index: IndexWriter
    ingest: Ingest

    def store(self, data_set: bytes, sop_instance_uid: str, **announced: str) -> Receipt:
        """Store one data set on a stream of its own, as an association of one instance does."""
        stream = self.ingest.open_stream()
        try:
            return store_on(stream, data_set, sop_instance_uid, **announced)
        finally:
            stream.close()


def store_on(
    stream: InstanceStream, data_set: bytes, sop_instance_uid: str, *, fragment_bytes: int = 131_066, **announced: str
) -> Receipt:
    """Store one data set on an open stream, in fragments."""
    stream.begin(replace(announcement(sop_instance_uid), **announced))
    view = memoryview(data_set)
    for start in range(0, len(view), fragment_bytes):
        stream.write(view[start : start + fragment_bytes])
    return stream.finish()


def announcement(sop_instance_uid: str) -> Announcement:
    """Return what a CT of the hospital NORTH says of an instance."""
    return Announcement(
        sop_class_uid=CT_IMAGE,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=EXPLICIT_LITTLE,
        calling_aet="CT1",
        issuer="NORTH",
    )


@contextmanager
def open_archive(
    database: Database,
    journal: Path,
    *,
    limits: LaneLimits = SMALL,
    policy: DuplicatePolicy = DuplicatePolicy.KEEP_AS_EVIDENCE,
    clock: Clock | None = None,
) -> Iterator[Archive]:
    """Yield the archive of a worker; its lanes are sealed at the end."""
    clock = clock or SystemClock()
    packs = LocalPacks(journal)
    index = IndexWriter(database, policy)
    lanes = LanePool(journal, limits, clock, on_sealed=index.mark_sealed)
    try:
        yield Archive(
            database=database,
            journal=journal,
            lanes=lanes,
            packs=packs,
            index=index,
            ingest=Ingest(lanes, packs, index, clock),
        )
    finally:
        try:
            lanes.close()
        finally:
            index.close()
            packs.close()


def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    """Return every row of a table."""
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table))]


def stored_uids(database: Database) -> set[str]:
    """Return the SOP Instance UIDs that the index serves."""
    with database.read() as connection:
        return set(connection.execute(select(instance.c.sop_instance_uid)).scalars())


def wrong_counts(database: Database) -> list[str]:
    """Compare the maintained counts with a count of the rows; return what differs, in words."""
    with database.read() as connection:
        counted = {
            row.series_pk: (row[1], row[2])
            for row in connection.execute(
                select(instance.c.series_pk, func.count(), func.sum(instance.c.file_length_bytes)).group_by(
                    instance.c.series_pk
                )
            )
        }
        series_rows = connection.execute(select(series)).all()
        study_rows = connection.execute(select(study)).all()
    wrong = [f"instances of no series {key}" for key in counted.keys() - {row.series_pk for row in series_rows}]
    for row in series_rows:
        kept = (row.number_of_series_related_instances, row.size_bytes)
        if kept != tuple(map(int, counted.get(row.series_pk, (0, 0)))):
            wrong.append(f"series {row.series_pk} says {kept}, has {counted.get(row.series_pk)}")
    for row in study_rows:
        of_study = [one for one in series_rows if one.study_pk == row.study_pk]
        kept = (row.number_of_study_related_series, row.number_of_study_related_instances, row.size_bytes)
        has = (
            len(of_study),
            sum(one.number_of_series_related_instances for one in of_study),
            sum(one.size_bytes for one in of_study),
        )
        if kept != has:
            wrong.append(f"study {row.study_pk} says {kept}, has {has}")
        modalities = "\\".join(sorted({one.modality for one in of_study if one.modality}))
        if row.modalities_in_study != modalities:
            wrong.append(f"study {row.study_pk} has modalities {modalities}, says {row.modalities_in_study}")
    return wrong


#: What differs from one run to another although the archive is the same.
_PASSING = {"first_received_at_s", "last_received_at_s"}


def index_content(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return the index without its keys and times: two indexes of the same packs are equal when this is."""
    joined = {
        "patient": select(patient),
        "study": select(study, patient.c.issuer, patient.c.patient_id).join(patient),
        "series": select(series, study.c.study_instance_uid, patient.c.issuer, patient.c.patient_id)
        .join(study, study.c.study_pk == series.c.study_pk)
        .join(patient, patient.c.patient_pk == study.c.patient_pk),
        "instance": _with_place(instance),
        "evidence": _with_place(instance_conflict),
    }
    content: dict[str, list[tuple[Any, ...]]] = {}
    with database.read() as connection:
        for name, query in joined.items():
            found = connection.execute(query).mappings().all()
            content[name] = sorted(
                tuple(_plain(row[key]) for key in row if not key.endswith("_pk") and key not in _PASSING)
                for row in found
            )
    return content


def _with_place(table: Table) -> Any:
    return (
        select(
            table,
            series.c.series_instance_uid,
            study.c.study_instance_uid,
            patient.c.issuer,
            patient.c.patient_id,
            pack.c.name.label("pack_name"),
        )
        .join(series, series.c.series_pk == table.c.series_pk)
        .join(study, study.c.study_pk == series.c.study_pk)
        .join(patient, patient.c.patient_pk == study.c.patient_pk)
        .join(pack, pack.c.pack_pk == table.c.pack_pk)
    )


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)


def files_in(journal: Path) -> Sequence[str]:
    """Return the names of everything in a journal, also what has a leading dot."""
    return sorted(path.name for path in journal.iterdir())
