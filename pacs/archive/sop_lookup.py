"""Finds instances by SOP Instance UID alone, for storage commitment and relational queries.

`sop_lookup` maps a hash of the UID to the series that holds it. Receiving does not pay for it: this module consumes
the outbox (`instances_stored/1`) behind the journal and inserts in sorted batches, because UIDs arrive in random order
and each would otherwise dirty a page of its own. `find` catches up first, so whoever was told that an instance is
stored finds it.

Invariants
----------
* A hit is believed only after the instance row was read: a colliding hash or a stale row is never an answer.
* Rows and cursor move in one transaction under the product's writer lock, so several processes may drain at once and a
  crash repeats or loses nothing.
* The same UID under two series gives both.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import xxhash
from sqlalchemy import Connection, Insert, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from foundation import outbox
from foundation.database import Database
from pacs.archive.schema import instance, pack, series, sop_lookup, study
from pacs.contracts import (
    TOPIC_INSTANCES_STORED,
    InstanceRef,
    SeriesInstanceUid,
    SopInstanceUid,
    StudyInstanceUid,
)

CONSUMER: Final = "sop_lookup"
"""Name of the outbox cursor: nobody may purge events behind it."""

EVENTS_PER_BATCH_MAX: Final = 64
"""Events of one transaction. Each tells of at most one group commit (64 instances), so the writer lock is held for some
4,000 rows, tens of milliseconds, and receiving hardly notices."""

UIDS_PER_QUERY_MAX: Final = 500
"""Values in one IN list: well under SQLite's limit of 32,766 parameters."""

REBUILD_ROWS_PER_BATCH: Final = 100_000
"""Rows sorted in memory at a time, some 20 MB."""

_HASH_VALUES: Final = 1 << 64


def sop_hash(sop_instance_uid: str) -> int:
    """Return XXH3-64 of a UID as a signed 64-bit integer, which both databases can hold."""
    unsigned = xxhash.xxh3_64_intdigest(sop_instance_uid.encode("ascii", "replace"))
    return unsigned - _HASH_VALUES if unsigned >= _HASH_VALUES // 2 else unsigned


def drain(database: Database) -> int:
    """Take in every event that was in the outbox when this began; return how many instances they named.

    Raises
    ------
    foundation.database.DatabaseAway
        Batches done so far stay done.
    """
    with database.read() as connection:
        done = outbox.read_cursor(connection, CONSUMER)
        last = outbox.last_event_id(connection)
    instances = 0
    while done < last:
        with database.write() as connection:
            # Another process may have come first.
            done = outbox.read_cursor(connection, CONSUMER)
            events = outbox.read_after(connection, done, topics=[TOPIC_INSTANCES_STORED], limit=EVENTS_PER_BATCH_MAX)
            instances += _insert(connection, database, _rows_of(events))
            # Without further events of ours, everything up to `last` was of other topics.
            done = events[-1].event_id if len(events) == EVENTS_PER_BATCH_MAX else max(done, last)
            if events:
                done = max(done, events[-1].event_id)
            outbox.write_cursor(connection, CONSUMER, done)
    return instances


def _rows_of(events: Iterable[outbox.OutboxEvent]) -> list[tuple[int, int]]:
    return [
        (sop_hash(uid), part["series_pk"])
        for event in events
        for part in event.payload["series"]
        for uid in part["sop_instance_uids"]
    ]


def _insert(connection: Connection, database: Database, rows: list[tuple[int, int]]) -> int:
    if rows:
        rows.sort()
        values = [{"sop_hash": hashed, "series_pk": series_pk} for hashed, series_pk in rows]
        connection.execute(_insert_if_new(database), values)
    return len(rows)


def _insert_if_new(database: Database) -> Insert:
    if database.is_sqlite:
        return sqlite.insert(sop_lookup).on_conflict_do_nothing()
    return postgresql.insert(sop_lookup).on_conflict_do_nothing()


def find(database: Database, sop_instance_uids: Iterable[str]) -> dict[str, list[InstanceRef]]:
    """Return where each instance is.

    Parameters
    ----------
    sop_instance_uids : iterable of str
        Any number; repeated ones count once.

    Returns
    -------
    dict
        Every UID asked for, in order, with its instances by series; an empty list for one that is not stored.

    Raises
    ------
    foundation.database.DatabaseAway
        Then nothing is known: this is not "not stored".
    """
    drain(database)
    found: dict[str, list[InstanceRef]] = {uid: [] for uid in sop_instance_uids}
    with database.read() as connection:
        for uids in _chunks(list(found)):
            for series_pk, in_series in _series_of(connection, uids).items():
                for ref in _instances_of(connection, series_pk, in_series):
                    found[ref.sop_instance_uid].append(ref)
    for refs in found.values():
        refs.sort(key=lambda ref: (ref.study_instance_uid, ref.series_instance_uid, ref.pack, ref.offset))
    return found


def _chunks(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(uids), UIDS_PER_QUERY_MAX):
        yield uids[start : start + UIDS_PER_QUERY_MAX]


def _series_of(connection: Connection, uids: Sequence[str]) -> Mapping[int, list[str]]:
    """Return the candidates by series: one query per series then walks its clustered rows in order."""
    by_hash: dict[int, list[str]] = defaultdict(list)
    for uid in uids:
        by_hash[sop_hash(uid)].append(uid)
    query = select(sop_lookup.c.sop_hash, sop_lookup.c.series_pk).where(sop_lookup.c.sop_hash.in_(by_hash))
    candidates: dict[int, list[str]] = defaultdict(list)
    for row in connection.execute(query):
        candidates[row.series_pk] += by_hash[row.sop_hash]
    return candidates


def _instances_of(connection: Connection, series_pk: int, uids: Sequence[str]) -> Iterator[InstanceRef]:
    query = (
        select(
            study.c.study_instance_uid,
            series.c.series_instance_uid,
            instance.c.sop_instance_uid,
            instance.c.sop_class_uid,
            instance.c.transfer_syntax_uid,
            pack.c.name.label("pack"),
            instance.c.file_offset,
            instance.c.file_length_bytes,
            instance.c.dataset_offset,
            instance.c.digest,
        )
        .join(series, series.c.series_pk == instance.c.series_pk)
        .join(study, study.c.study_pk == series.c.study_pk)
        .join(pack, pack.c.pack_pk == instance.c.pack_pk)
        .where(instance.c.series_pk == series_pk, instance.c.sop_instance_uid.in_(uids))
    )
    for row in connection.execute(query):
        yield InstanceRef(
            study_instance_uid=StudyInstanceUid(row.study_instance_uid),
            series_instance_uid=SeriesInstanceUid(row.series_instance_uid),
            sop_instance_uid=SopInstanceUid(row.sop_instance_uid),
            sop_class_uid=row.sop_class_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            pack=row.pack,
            offset=row.file_offset,
            length_bytes=row.file_length_bytes,
            dataset_offset=row.dataset_offset,
            digest=bytes(row.digest),
        )


def rebuild(database: Database) -> int:
    """Fill the look-up anew from the instance table, for ``telegarde reindex``; return the number of rows.

    One transaction: whoever asks meanwhile is answered from the old look-up, and a crash leaves it as it was.

    Raises
    ------
    foundation.database.DatabaseAway
        Nothing has changed.
    """
    rows = 0
    with database.write() as connection:
        connection.execute(delete(sop_lookup))
        for chunk in _all_instances(connection):
            rows += _insert(connection, database, [(sop_hash(row.sop_instance_uid), row.series_pk) for row in chunk])
        outbox.write_cursor(connection, CONSUMER, outbox.last_event_id(connection))
    return rows


def _all_instances(connection: Connection) -> Iterator[Sequence[Any]]:
    key = tuple_(instance.c.series_pk, instance.c.sop_instance_uid)
    query = select(instance.c.series_pk, instance.c.sop_instance_uid).order_by(*key).limit(REBUILD_ROWS_PER_BATCH)
    chunk = connection.execute(query).all()
    while chunk:
        yield chunk
        last = chunk[-1]
        chunk = connection.execute(query.where(key > (last.series_pk, last.sop_instance_uid))).all()
