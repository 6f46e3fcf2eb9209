"""Write the index: one transaction for a batch of durable instances, and what it found.

Only `IndexWriter.commit` inserts instances. It answers, for each, whether it is new, the same object again (same
digest) or other bytes under a known UID. Whoever receives `Kind.STORED` may confirm; nobody else decides.

Patient, study and series rows are looked up once and remembered by their raw identifying values, so an instance of
a known series costs five statements in all, and a batch of them hardly more (counted in a test). The statements are
SQLAlchemy Core, compiled once; they run on one driver connection kept for this purpose.

Nothing is ever deleted here: rows remembered stay valid.
"""

import contextlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import update

from foundation import log
from foundation.database import Database, DatabaseAway
from foundation.faults import reach
from pacs.archive.attributes import Level
from pacs.archive.header import Identity, LevelDescription
from pacs.archive.index_rows import (
    EVIDENCE_COLUMNS,
    Arrival,
    SeriesKeys,
    instance_row,
    joined_with,
    patient_row_of,
    series_row_of,
    stored_payload,
    study_row_of,
)
from pacs.archive.index_statements import Statements
from pacs.archive.schema import pack
from pacs.contracts import (
    TOPIC_INSTANCE_CONFLICT,
    TOPIC_INSTANCES_STORED,
    TOPIC_STUDY_IN_TWO_PATIENTS,
)

# Series remembered per process: a day of a large territory; each is a few hundred bytes.
SERIES_REMEMBERED_MAX: Final = 20_000
# How far back a crash of PostgreSQL can reach: three times wal_writer_delay, which is 10 s at most.
_LOST_S_MAX: Final = 60.0
_AGAIN_PER_TRANSACTION: Final = 64

Recall = Callable[[float], Iterator[Arrival]]
"""Gives what this process received since then (seconds since 1970 UTC), with level descriptions, oldest first."""


class Kind(Enum):
    """What the index made of an arrival."""

    STORED = "stored"
    # This very member was indexed before: recovery passes it again.
    ALREADY_INDEXED = "already_indexed"
    # The same digest under the same UIDs: the caller compares the bytes before it believes it.
    SAME_DIGEST = "same_digest"
    # Other bytes under a known SOP Instance UID, kept as evidence.
    CONFLICT_KEPT = "conflict_kept"
    # The same, but policy keeps nothing.
    CONFLICT_REFUSED = "conflict_refused"


class DuplicatePolicy(Enum):
    """What to do with other bytes under a known SOP Instance UID; the first always stays served."""

    KEEP_AS_EVIDENCE = "keep_as_evidence"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stored file is."""

    pack: str
    file_offset: int
    file_length_bytes: int
    dataset_offset: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one arrival; ``existing`` is the served object when it is not new."""

    kind: Kind
    existing: Place | None


_NEW_PACK: Final = {"state": "open", "size_bytes": 0, "indexed_until": 0}
STORED: Final = Outcome(Kind.STORED, None)
ALREADY_INDEXED: Final = Outcome(Kind.ALREADY_INDEXED, None)


class LevelsNeeded(Exception):
    """The series of an arrival is not known: call again with its level descriptions."""


class CommitUncertain(DatabaseAway):
    """The commit was sent and its answer lost: the rows may be there, so the bytes must stay where they are."""


class IndexWriter:
    """The one writer of instance rows in this process; `commit` may be called by one thread at a time.

    Parameters
    ----------
    database : Database
        Holds the tables of `pacs.archive.schema`.
    policy : DuplicatePolicy
        For other bytes under a known UID.
    is_announcing : bool
        Whether facts go to the outbox; `telegarde reindex` says nothing new.
    """

    def __init__(
        self,
        database: Database,
        policy: DuplicatePolicy = DuplicatePolicy.KEEP_AS_EVIDENCE,
        *,
        is_announcing: bool = True,
    ) -> None:
        self._database = database
        self._policy = policy
        self._is_announcing = is_announcing
        # Duplicates come in runs (a study sent again): after one, rows are inserted one by one until a batch has none.
        self._has_seen_duplicates = False
        self._statements = Statements(database)
        self._connection: Any = None
        self._series: OrderedDict[tuple[Identity, str], SeriesKeys] = OrderedDict()
        self._series_lock = threading.Lock()
        self._packs: dict[str, int] = {}
        # Rows of the transaction in hand: remembered only once it has committed, because they may never exist.
        self._new_series: dict[tuple[Identity, str], SeriesKeys] = {}
        self._new_packs: dict[str, int] = {}
        # What a server that crashes loses, `recall` gives again.
        self._recall: Recall | None = None
        self._has_lost_contact = False
        self._committed_at_s = 0.0
        # How far each lane is indexed, not yet marked; and lanes with a member whose commit was never confirmed.
        self._indexed_until: dict[str, int] = {}
        self._uncertain_packs: set[str] = set()

    def recall_from(self, recall: Recall) -> None:
        """Say where to get again what a database server lost when it crashed; see `pacs.archive.recall`."""
        self._recall = recall

    def look(self, *, now_s: float) -> None:
        """Notice a database server that was away, and index again what it lost; for quiet times, cheap otherwise.

        Raises
        ------
        DatabaseAway
            It is away now.
        """
        if self._database.is_sqlite or (self._connection is None and not self._has_lost_contact):
            return
        with self._database.writer_lock():
            if not self._has_lost_contact:
                try:
                    self._connection.cursor().execute("SELECT 1")
                    self._connection.rollback()
                except self._statements.driver_error:
                    self._lose_contact()
            if self._has_lost_contact:
                self._index_again(now_s)

    def knows_series(self, identity: Identity, default_issuer: str) -> bool:
        """Say whether an arrival with this identity needs no level descriptions."""
        with self._series_lock:
            return (identity, default_issuer) in self._series

    def commit(self, arrivals: Sequence[Arrival], *, now_s: float) -> list[Outcome]:
        """Insert a batch in one transaction.

        Parameters
        ----------
        arrivals : sequence of Arrival
            Each durable already.
        now_s : float
            Seconds since 1970 UTC, for the outbox.

        Returns
        -------
        list of Outcome
            One for each arrival, in order. When this returns, every reader sees the rows.

        Raises
        ------
        LevelsNeeded
            If an arrival lacks the descriptions of a series that is not known; nothing was written.
        DatabaseAway
            Nothing was written.
        CommitUncertain
            The rows may have been written.
        """
        with self._database.writer_lock():
            if self._has_lost_contact:
                self._index_again(now_s)
            try:
                outcomes = self._try(arrivals, now_s, one_by_one=self._has_seen_duplicates)
                if outcomes is None:
                    outcomes = self._try(arrivals, now_s, one_by_one=True)
            except CommitUncertain:
                self._uncertain_packs.update(arrival.pack_name for arrival in arrivals)
                raise
            assert outcomes is not None
            self._committed_at_s = now_s
            for arrival, outcome in zip(arrivals, outcomes, strict=True):
                if outcome is STORED:
                    self._indexed_until[arrival.pack_name] = arrival.member.end
        self._has_seen_duplicates = any(outcome.existing is not None for outcome in outcomes)
        reach("index.committed")
        return outcomes

    def mend(self, arrival: Arrival, spoilt: Place) -> bool:
        """Point the row of an instance to another copy of the same bytes; see `pacs.archive.mending`.

        Returns
        -------
        bool
            False when the row has another place by now.

        Raises
        ------
        LevelsNeeded, DatabaseAway, CommitUncertain
            As for `commit`.
        """
        with self._database.writer_lock():
            cursor = self._begin()
            try:
                is_mended = self._point_to(cursor, arrival, spoilt)
            except BaseException as error:
                self._roll_back()
                if isinstance(error, self._statements.driver_error):
                    raise DatabaseAway(f"the index cannot be written ({type(error).__name__})") from error
                raise
            self._end(cursor)
            self._remember()
        return is_mended

    def _point_to(self, cursor: Any, arrival: Arrival, spoilt: Place) -> bool:
        run, member = self._statements, arrival.member
        keys = self._resolve(cursor, arrival, member.received_at_s)
        pack_pk = self._pack_pk(cursor, arrival.pack_name)
        row = {
            **instance_row(arrival, keys, pack_pk),
            "spoilt_offset": spoilt.file_offset,
        }
        if run.mend_instance.run(cursor, {f"b_{name}": value for name, value in row.items()}) != 1:
            return False
        # The head in front of the same data set may be longer or shorter.
        change = {"b_instances": 0, "b_bytes": member.file_length_bytes - spoilt.file_length_bytes}
        run.count_series.run(cursor, {"b_series_pk": keys.series_pk, **change})
        run.count_study.run(cursor, {"b_study_pk": keys.study_pk, "b_received_at_s": member.received_at_s, **change})
        return True

    def mark_indexed(self, *, now_s: float) -> None:
        """Record how far each lane is indexed, so that recovery proves only what came after; about once a second.

        The mark is a later transaction than the rows, so wherever it survives, they do. A lane with a member whose
        commit was never confirmed is marked no further: recovery looks at that member.

        Raises
        ------
        DatabaseAway
            Then it is tried again the next time.
        """
        if not self._indexed_until:
            return
        with self._database.writer_lock():
            if self._has_lost_contact:
                self._index_again(now_s)
            cursor = self._begin()
            try:
                for name, end in self._indexed_until.items():
                    if name not in self._uncertain_packs:
                        self._statements.mark_indexed.run(cursor, {"b_name": name, "b_indexed_until": end})
            except self._statements.driver_error as error:
                self._roll_back()
                raise DatabaseAway(f"the index cannot be written ({type(error).__name__})") from error
            self._end(cursor)
            self._indexed_until.clear()

    def mark_sealed(self, pack_name: str, size_bytes: int) -> None:
        """Record that a pack has all its rows and will not grow: recovery need not look at it again.

        The mark is a later transaction than its rows, so wherever it survives, they do.

        Raises
        ------
        DatabaseAway
            Then recovery scans the pack once more at the next start: harmless.
        """
        with self._database.write() as connection:
            connection.execute(
                update(pack).where(pack.c.name == pack_name).values(state="sealed", size_bytes=size_bytes)
            )

    def close(self) -> None:
        """Give the connection back."""
        self._drop_connection()

    def _index_again(self, now_s: float) -> None:
        """Commit once more what was confirmed shortly before contact was lost; what is there is known as such."""
        if self._recall is not None:
            again = self._recall(self._committed_at_s - _LOST_S_MAX)
            while batch := list(itertools.islice(again, _AGAIN_PER_TRANSACTION)):
                outcomes = self._try(batch, now_s, one_by_one=True)
                assert outcomes is not None
                lost = sum(outcome is STORED for outcome in outcomes)
                if lost:
                    log.warning("indexed_again", count=lost)
            # Members in doubt were among them.
            self._uncertain_packs.clear()
        self._has_lost_contact = False

    def _try(self, arrivals: Sequence[Arrival], now_s: float, *, one_by_one: bool) -> list[Outcome] | None:
        """Run one transaction; None when it was rolled back because a batch met a known UID."""
        cursor = self._begin()
        try:
            reach("index.begun")
            outcomes = self._insert(cursor, arrivals, now_s, one_by_one=one_by_one)
            reach("index.inserted")
        except BaseException as error:
            self._roll_back()
            # A value that the database refuses is the arrival's fault: its neighbours go in without it.
            is_outage = isinstance(error, self._statements.driver_error)
            if is_outage and not isinstance(error, self._statements.value_errors):
                raise DatabaseAway(f"the index cannot be written ({type(error).__name__})") from error
            raise
        if outcomes is None:
            self._roll_back()
            return None
        self._end(cursor)
        self._remember()
        return outcomes

    def _begin(self) -> Any:
        if self._connection is not None:
            # The server may have been away since the last time: that is no reason to refuse anything.
            with contextlib.suppress(DatabaseAway):
                return self._try_begin()
        return self._try_begin()

    def _try_begin(self) -> Any:
        error = self._statements.driver_error
        try:
            self._new_series.clear()
            self._new_packs.clear()
            if self._connection is None:
                # A server that was away may have lost its last commits: nothing that was known need be true.
                self._forget()
                self._connection = self._database.engine.raw_connection()
            cursor = self._connection.cursor()
            cursor.execute(self._statements.begin)
        except Exception as failure:  # driver, pool or SQLAlchemy: sorted below, anything else goes on
            self._lose_contact()
            if isinstance(failure, error) or "sqlalchemy" in type(failure).__module__:
                raise DatabaseAway(f"the index does not answer ({type(failure).__name__})") from failure
            raise
        return cursor

    def _end(self, cursor: Any) -> None:
        try:
            if self._database.is_sqlite:
                cursor.execute("COMMIT")
            else:
                self._connection.commit()
            cursor.close()
        except self._statements.driver_error as error:
            self._roll_back()
            self._lose_contact()
            raise CommitUncertain(f"the index did not confirm ({type(error).__name__})") from error

    def _roll_back(self) -> None:
        # A connection that cannot even roll back is dropped; the server ends its transaction.
        try:
            if self._database.is_sqlite:
                self._connection.cursor().execute("ROLLBACK")
            else:
                self._connection.rollback()
        except self._statements.driver_error:
            self._lose_contact()

    def _lose_contact(self) -> None:
        # Whether the server crashed or only the connection ended cannot be told from here.
        self._has_lost_contact = not self._database.is_sqlite and self._committed_at_s > 0.0
        self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(self._statements.driver_error):
                connection.invalidate()

    def _forget(self) -> None:
        with self._series_lock:
            self._series.clear()
        self._packs.clear()

    def _remember(self) -> None:
        self._packs.update(self._new_packs)
        if self._new_series:
            with self._series_lock:
                self._series.update(self._new_series)
                while len(self._series) > SERIES_REMEMBERED_MAX:
                    self._series.popitem(last=False)

    def _insert(
        self, cursor: Any, arrivals: Sequence[Arrival], now_s: float, *, one_by_one: bool
    ) -> list[Outcome] | None:
        keys = [self._resolve(cursor, arrival, now_s) for arrival in arrivals]
        packs = [self._pack_pk(cursor, arrival.pack_name) for arrival in arrivals]
        rows = [instance_row(*triple) for triple in zip(arrivals, keys, packs, strict=True)]
        insert_instance = self._statements.insert_instance
        if one_by_one:
            outcomes = [
                STORED
                if insert_instance.run_many(cursor, [row]) == 1
                else self._explain(cursor, arrival, key, pack_pk, row, now_s)
                for arrival, key, pack_pk, row in zip(arrivals, keys, packs, rows, strict=True)
            ]
        elif insert_instance.run_many(cursor, rows) == len(rows):
            outcomes = [STORED] * len(rows)
        else:
            return None
        self._count_and_tell(cursor, arrivals, keys, outcomes, now_s)
        return outcomes

    def _resolve(self, cursor: Any, arrival: Arrival, now_s: float) -> SeriesKeys:
        identity = (arrival.header.identity, arrival.default_issuer)
        with self._series_lock:
            known = self._series.get(identity)
        if known is None:
            known = self._new_series.get(identity)
        if known is not None:
            return known
        if arrival.levels is None:
            raise LevelsNeeded
        found = self._new_series[identity] = self._find_or_create(cursor, arrival, arrival.levels, now_s)
        return found

    def _find_or_create(
        self, cursor: Any, arrival: Arrival, levels: Mapping[Level, LevelDescription], now_s: float
    ) -> SeriesKeys:
        run = self._statements
        study_uid = levels[Level.STUDY].columns["study_instance_uid"]
        patient_row = patient_row_of(levels[Level.PATIENT], arrival.default_issuer, study_uid)
        patient_pk = run.find_patient.scalar(cursor, patient_row)
        if patient_pk is None:
            patient_pk = run.insert_patient.insert(cursor, patient_row)
        study_row = study_row_of(levels[Level.STUDY], patient_pk, arrival.member.received_at_s)
        study_pk = run.find_study.scalar(cursor, study_row)
        if study_pk is None:
            others = [row[0] for row in run.find_study_of_others.rows(cursor, study_row)]
            study_pk = run.insert_study.insert(cursor, study_row)
            if others:
                payload = {"study_instance_uid": study_row["study_instance_uid"], "study_pks": [*others, study_pk]}
                self._tell(cursor, TOPIC_STUDY_IN_TWO_PATIENTS, payload, now_s)
        series_row = series_row_of(levels[Level.SERIES], study_pk)
        series_pk = run.find_series.scalar(cursor, series_row)
        is_new = series_pk is None
        if is_new:
            series_pk = run.insert_series.insert(cursor, series_row)
        sop_class = arrival.header.identity.sop_class_uid.decode("ascii")
        ((modalities, classes),) = run.read_study_sets.rows(cursor, {"study_pk": study_pk})
        run.update_study_sets.run(
            cursor,
            {
                "b_study_pk": study_pk,
                "modalities_in_study": joined_with(modalities, series_row["modality"], 256),
                "sop_classes_in_study": joined_with(classes, sop_class, 16_384),
                "b_new_series": int(is_new),
            },
        )
        return SeriesKeys(
            study_pk,
            series_pk,
            study_row["study_instance_uid"],
            series_row["series_instance_uid"],
            series_row["modality"],
            patient_row["issuer"],
        )

    def _pack_pk(self, cursor: Any, name: str) -> int:
        known = self._packs.get(name) or self._new_packs.get(name)
        if known is None:
            known = self._statements.find_pack.scalar(cursor, {"name": name})
            if known is None:
                known = self._statements.insert_pack.insert(cursor, {"name": name, **_NEW_PACK})
            self._new_packs[name] = known
        return known

    def _explain(
        self, cursor: Any, arrival: Arrival, keys: SeriesKeys, pack_pk: int, row: Mapping[str, Any], now_s: float
    ) -> Outcome:
        ((name, offset, length, dataset_offset, digest),) = self._statements.find_instance.rows(cursor, row)
        digest = bytes(digest)
        if (name, offset, digest) == (arrival.pack_name, arrival.member.file_offset, arrival.member.dataset_digest):
            return ALREADY_INDEXED
        existing = Place(name, offset, length, dataset_offset, digest)
        if digest == arrival.member.dataset_digest:
            return Outcome(Kind.SAME_DIGEST, existing)
        if self._policy is DuplicatePolicy.REFUSE:
            return Outcome(Kind.CONFLICT_REFUSED, existing)
        evidence = {
            **{column: row[column] for column in EVIDENCE_COLUMNS},
            "pack_pk": pack_pk,
            "calling_aet": arrival.member.calling_aet[:16],
            "received_at_s": arrival.member.received_at_s,
        }
        known = self._statements.find_conflict.scalar(cursor, evidence)
        if known is None:
            conflict_pk = self._statements.insert_conflict.insert(cursor, evidence)
            self._tell(
                cursor,
                TOPIC_INSTANCE_CONFLICT,
                {
                    "study_instance_uid": keys.study_instance_uid,
                    "series_instance_uid": keys.series_instance_uid,
                    "sop_instance_uid": arrival.header.sop_instance_uid,
                    "conflict_pk": conflict_pk,
                    "calling_aet": arrival.member.calling_aet,
                },
                now_s,
            )
        return Outcome(Kind.CONFLICT_KEPT, existing)

    def _tell(self, cursor: Any, topic: str, payload: Mapping[str, Any], now_s: float) -> None:
        if self._is_announcing:
            self._statements.append_event(cursor, topic, payload, now_s)

    def _count_and_tell(
        self,
        cursor: Any,
        arrivals: Sequence[Arrival],
        keys: Sequence[SeriesKeys],
        outcomes: Sequence[Outcome],
        now_s: float,
    ) -> None:
        """Add to the maintained counts and append one event for each study of the batch."""
        by_series: dict[int, tuple[SeriesKeys, list[Arrival]]] = {}
        for arrival, key, outcome in zip(arrivals, keys, outcomes, strict=True):
            if outcome.kind is Kind.STORED:
                by_series.setdefault(key.series_pk, (key, []))[1].append(arrival)
        by_study: dict[int, list[tuple[SeriesKeys, list[Arrival]]]] = {}
        for key, stored in by_series.values():
            size = sum(arrival.member.file_length_bytes for arrival in stored)
            self._statements.count_series.run(
                cursor, {"b_series_pk": key.series_pk, "b_instances": len(stored), "b_bytes": size}
            )
            by_study.setdefault(key.study_pk, []).append((key, stored))
        for study_pk, parts in by_study.items():
            stored_all = [arrival for _, stored in parts for arrival in stored]
            self._statements.count_study.run(
                cursor,
                {
                    "b_study_pk": study_pk,
                    "b_instances": len(stored_all),
                    "b_bytes": sum(arrival.member.file_length_bytes for arrival in stored_all),
                    "b_received_at_s": max(arrival.member.received_at_s for arrival in stored_all),
                },
            )
            self._tell(cursor, TOPIC_INSTANCES_STORED, stored_payload(study_pk, parts), now_s)
