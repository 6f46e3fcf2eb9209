"""Write the index: one transaction for a batch of durable instances, and what it found.

Only `IndexWriter.commit` inserts instances. It answers, for each, whether it is new, the same object again (same
digest) or other bytes under a known UID. Whoever receives `Kind.STORED` may confirm; nobody else decides.

Patient, study and series rows are looked up once and remembered by their raw identifying values, so an instance of
a known series costs five statements in all, and a batch of them hardly more (counted in a test). The statements are
SQLAlchemy Core, compiled once; they run on one driver connection kept for this purpose.

Nothing is ever deleted here: rows remembered stay valid.
"""

import contextlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import Executable, and_, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from foundation import outbox
from foundation.database import WRITER_LOCK_KEY, Database, DatabaseAway
from foundation.faults import reach
from pacs.archive.attributes import Level
from pacs.archive.header import Identity, InstanceHeader, LevelDescription
from pacs.archive.person_name import person_name_key
from pacs.archive.schema import instance, instance_conflict, pack, patient, series, study
from pacs.contracts import (
    TOPIC_INSTANCE_CONFLICT,
    TOPIC_INSTANCES_STORED,
    TOPIC_STUDY_IN_TWO_PATIENTS,
)
from storage_tiers.pack import Member

# Series remembered per process: a day of a large territory; each is a few hundred bytes.
SERIES_REMEMBERED_MAX: Final = 20_000


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
class Arrival:
    """A durable member that wants its index row. ``levels`` is needed only for a series not yet known."""

    pack_name: str
    member: Member
    header: InstanceHeader
    transfer_syntax_uid: str
    # The issuer when the data set has none: the calling AE's configured one.
    default_issuer: str
    levels: Mapping[Level, LevelDescription] | None
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one arrival; ``existing`` is the served object when it is not new."""

    kind: Kind
    existing: Place | None


STORED: Final = Outcome(Kind.STORED, None)
ALREADY_INDEXED: Final = Outcome(Kind.ALREADY_INDEXED, None)


class LevelsNeeded(Exception):
    """The series of an arrival is not known: call again with its level descriptions."""


class CommitUncertain(DatabaseAway):
    """The commit was sent and its answer lost: the rows may be there, so the bytes must stay where they are."""


@dataclass(frozen=True, slots=True)
class _SeriesKeys:
    study_pk: int
    series_pk: int
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    issuer: str


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
        self._statements = _Statements(database)
        self._connection: Any = None
        self._series: OrderedDict[tuple[Identity, str], _SeriesKeys] = OrderedDict()
        self._series_lock = threading.Lock()
        self._packs: dict[str, int] = {}

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
            outcomes = self._try(arrivals, now_s, one_by_one=self._has_seen_duplicates)
            if outcomes is None:
                outcomes = self._try(arrivals, now_s, one_by_one=True)
            assert outcomes is not None
        self._has_seen_duplicates = any(outcome.existing is not None for outcome in outcomes)
        reach("index.committed")
        return outcomes

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

    def _try(self, arrivals: Sequence[Arrival], now_s: float, *, one_by_one: bool) -> list[Outcome] | None:
        """Run one transaction; None when it was rolled back because a batch met a known UID."""
        cursor = self._begin()
        try:
            reach("index.begun")
            outcomes = self._insert(cursor, arrivals, now_s, one_by_one=one_by_one)
            reach("index.inserted")
        except LevelsNeeded:
            self._roll_back()
            raise
        except BaseException as error:
            self._roll_back()
            self._forget()
            if isinstance(error, self._statements.driver_error):
                raise DatabaseAway(f"the index cannot be written ({type(error).__name__})") from error
            raise
        if outcomes is None:
            self._roll_back()
            self._forget()
            return None
        self._end(cursor)
        return outcomes

    def _begin(self) -> Any:
        error = self._statements.driver_error
        try:
            if self._connection is None:
                self._connection = self._database.engine.raw_connection()
            cursor = self._connection.cursor()
            for statement in self._statements.begin:
                cursor.execute(statement)
        except Exception as failure:
            self._drop_connection()
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
            self._drop_connection()
            self._forget()
            raise CommitUncertain(f"the index did not confirm ({type(error).__name__})") from error

    def _roll_back(self) -> None:
        # A connection that cannot even roll back is dropped; the server ends its transaction.
        try:
            if self._database.is_sqlite:
                self._connection.cursor().execute("ROLLBACK")
            else:
                self._connection.rollback()
        except self._statements.driver_error:
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(self._statements.driver_error):
                connection.invalidate()

    def _forget(self) -> None:
        # What was remembered in a transaction that did not commit may not exist.
        with self._series_lock:
            self._series.clear()
        self._packs.clear()

    def _insert(
        self, cursor: Any, arrivals: Sequence[Arrival], now_s: float, *, one_by_one: bool
    ) -> list[Outcome] | None:
        keys = [self._resolve(cursor, arrival, now_s) for arrival in arrivals]
        packs = [self._pack_pk(cursor, arrival.pack_name) for arrival in arrivals]
        rows = [_row(*triple) for triple in zip(arrivals, keys, packs, strict=True)]
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

    def _resolve(self, cursor: Any, arrival: Arrival, now_s: float) -> _SeriesKeys:
        identity = (arrival.header.identity, arrival.default_issuer)
        with self._series_lock:
            known = self._series.get(identity)
        if known is not None:
            return known
        if arrival.levels is None:
            raise LevelsNeeded
        found = self._find_or_create(cursor, arrival, arrival.levels, now_s)
        with self._series_lock:
            self._series[identity] = found
            while len(self._series) > SERIES_REMEMBERED_MAX:
                self._series.popitem(last=False)
        return found

    def _find_or_create(
        self, cursor: Any, arrival: Arrival, levels: Mapping[Level, LevelDescription], now_s: float
    ) -> _SeriesKeys:
        run = self._statements
        patient_row = _patient_row(levels[Level.PATIENT], arrival.default_issuer)
        patient_pk = run.find_patient.scalar(cursor, patient_row)
        if patient_pk is None:
            patient_pk = run.insert_patient.insert(cursor, patient_row)
        study_row = _study_row(levels[Level.STUDY], patient_pk, now_s)
        study_pk = run.find_study.scalar(cursor, study_row)
        if study_pk is None:
            others = [row[0] for row in run.find_study_of_others.rows(cursor, study_row)]
            study_pk = run.insert_study.insert(cursor, study_row)
            if others:
                payload = {"study_instance_uid": study_row["study_instance_uid"], "study_pks": [*others, study_pk]}
                self._tell(cursor, TOPIC_STUDY_IN_TWO_PATIENTS, payload, now_s)
        series_row = _series_row(levels[Level.SERIES], study_pk)
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
                "modalities_in_study": _with(modalities, series_row["modality"], 256),
                "sop_classes_in_study": _with(classes, sop_class, 16_384),
                "b_new_series": int(is_new),
            },
        )
        return _SeriesKeys(
            study_pk,
            series_pk,
            study_row["study_instance_uid"],
            series_row["series_instance_uid"],
            series_row["modality"],
            patient_row["issuer"],
        )

    def _pack_pk(self, cursor: Any, name: str) -> int:
        known = self._packs.get(name)
        if known is None:
            known = self._statements.find_pack.scalar(cursor, {"name": name})
            if known is None:
                known = self._statements.insert_pack.insert(cursor, {"name": name, "state": "open", "size_bytes": 0})
            self._packs[name] = known
        return known

    def _explain(
        self, cursor: Any, arrival: Arrival, keys: _SeriesKeys, pack_pk: int, row: Mapping[str, Any], now_s: float
    ) -> Outcome:
        ((name, offset, length, dataset_offset, digest),) = self._statements.find_instance.rows(cursor, row)
        digest = bytes(digest)
        if (name, offset) == (arrival.pack_name, arrival.member.file_offset):
            return ALREADY_INDEXED
        existing = Place(name, offset, length, dataset_offset, digest)
        if digest == arrival.member.dataset_digest:
            return Outcome(Kind.SAME_DIGEST, existing)
        if self._policy is DuplicatePolicy.REFUSE:
            return Outcome(Kind.CONFLICT_REFUSED, existing)
        evidence = {
            **{column: row[column] for column in _EVIDENCE_COLUMNS},
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
        keys: Sequence[_SeriesKeys],
        outcomes: Sequence[Outcome],
        now_s: float,
    ) -> None:
        """Add to the maintained counts and append one event for each study of the batch."""
        by_series: dict[int, tuple[_SeriesKeys, list[Arrival]]] = {}
        for arrival, key, outcome in zip(arrivals, keys, outcomes, strict=True):
            if outcome.kind is Kind.STORED:
                by_series.setdefault(key.series_pk, (key, []))[1].append(arrival)
        by_study: dict[int, list[tuple[_SeriesKeys, list[Arrival]]]] = {}
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
                    "last_received_at_s": now_s,
                },
            )
            self._tell(cursor, TOPIC_INSTANCES_STORED, _stored_payload(study_pk, parts), now_s)


_EVIDENCE_COLUMNS: Final = (
    "series_pk",
    "sop_instance_uid",
    "sop_class_uid",
    "transfer_syntax_uid",
    "file_offset",
    "file_length_bytes",
    "dataset_offset",
    "digest",
)


def _stored_payload(study_pk: int, parts: Sequence[tuple[_SeriesKeys, list[Arrival]]]) -> dict[str, Any]:
    first = parts[0][0]
    return {
        "issuer": first.issuer,
        "study_instance_uid": first.study_instance_uid,
        "study_pk": study_pk,
        "series": [
            {
                "series_instance_uid": key.series_instance_uid,
                "series_pk": key.series_pk,
                "modality": key.modality,
                "sop_instance_uids": [arrival.header.sop_instance_uid for arrival in stored],
            }
            for key, stored in parts
        ],
        "calling_aet": parts[0][1][0].member.calling_aet,
    }


def _row(arrival: Arrival, keys: _SeriesKeys, pack_pk: int) -> dict[str, Any]:
    header, member = arrival.header, arrival.member
    return {
        "series_pk": keys.series_pk,
        "sop_instance_uid": header.sop_instance_uid,
        "sop_class_uid": header.identity.sop_class_uid.decode("ascii"),
        "transfer_syntax_uid": arrival.transfer_syntax_uid,
        "instance_number": header.instance_number,
        "rows": header.rows,
        "columns": header.columns,
        "number_of_frames": header.number_of_frames,
        "pack_pk": pack_pk,
        "file_offset": member.file_offset,
        "file_length_bytes": member.file_length_bytes,
        "dataset_offset": member.dataset_offset,
        "digest": member.dataset_digest,
        "is_damaged": int(arrival.is_damaged),
    }


def _fit(table: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Cut text to its column: PostgreSQL refuses what is too long, and one odd value must not lose an instance."""
    fitted: dict[str, Any] = {}
    for name, value in values.items():
        length = getattr(table.c[name].type, "length", None)
        fitted[name] = value[:length] if length and isinstance(value, str) else value
    return fitted


def _patient_row(described: LevelDescription, default_issuer: str) -> dict[str, Any]:
    columns = described.columns
    return _fit(
        patient,
        {
            **columns,
            "issuer": columns["issuer"] or default_issuer,
            "patient_name_key": person_name_key(columns["patient_name"]),
            "attributes": described.attributes,
        },
    )


def _study_row(described: LevelDescription, patient_pk: int, now_s: float) -> dict[str, Any]:
    names = (
        "study_instance_uid", "study_date", "study_time", "accession_number", "study_id", "study_description",
        "referring_physician_name",
    )  # fmt: skip
    columns = {name: described.columns[name] for name in names}
    return _fit(
        study,
        {
            **columns,
            "patient_pk": patient_pk,
            "referring_physician_name_key": person_name_key(columns["referring_physician_name"]),
            "modalities_in_study": "",
            "sop_classes_in_study": "",
            "number_of_study_related_series": 0,
            "number_of_study_related_instances": 0,
            "size_bytes": 0,
            "first_received_at_s": now_s,
            "last_received_at_s": now_s,
            "attributes": described.attributes,
        },
    )


def _series_row(described: LevelDescription, study_pk: int) -> dict[str, Any]:
    names = (
        "series_instance_uid", "modality", "series_number", "series_description", "body_part_examined", "series_date",
        "series_time", "institution_name", "station_name",
    )  # fmt: skip
    return _fit(
        series,
        {
            **{name: described.columns[name] for name in names},
            "study_pk": study_pk,
            "number_of_series_related_instances": 0,
            "size_bytes": 0,
            "attributes": described.attributes,
        },
    )


def _with(joined: str, value: str, length_max: int) -> str:
    values = {one for one in joined.split("\\") if one}
    if value:
        values.add(value)
    text = "\\".join(sorted(values))
    return text if len(text) <= length_max else joined


class _Statement:
    """A SQLAlchemy Core statement compiled once for a driver: text and the order of its parameters."""

    def __init__(self, statement: Executable, dialect: Dialect, returning: str | None = None) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # Executable hides ClauseElement
        self._text = str(compiled)
        self._names: list[str] = list(compiled.positiontup or [])
        self._fixed: dict[str, Any] = {k: v for k, v in compiled.params.items() if v is not None}
        self._returning = returning

    def run(self, cursor: Any, values: Mapping[str, Any]) -> None:
        cursor.execute(self._text, self._ordered(values))

    def run_many(self, cursor: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """Return the number of rows really inserted."""
        if len(rows) == 1:
            cursor.execute(self._text, self._ordered(rows[0]))
        else:
            cursor.executemany(self._text, [self._ordered(row) for row in rows])
        return int(cursor.rowcount)

    def rows(self, cursor: Any, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        cursor.execute(self._text, self._ordered(values))
        return list(cursor.fetchall())

    def scalar(self, cursor: Any, values: Mapping[str, Any]) -> Any:
        rows = self.rows(cursor, values)
        return rows[0][0] if rows else None

    def insert(self, cursor: Any, values: Mapping[str, Any]) -> int:
        """Insert one row and return its key."""
        return int(self.rows(cursor, values)[0][0])

    def _ordered(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        fixed = self._fixed
        if fixed:
            return tuple(values[name] if name in values else fixed[name] for name in self._names)
        return tuple([values[name] for name in self._names])


class _Statements:
    """Every statement of the writer."""

    def __init__(self, database: Database) -> None:
        if database.is_sqlite:
            dialect: Dialect = sqlite.dialect(paramstyle="qmark")
            self.begin: tuple[str, ...] = ("BEGIN IMMEDIATE",)
            upsert: Any = sqlite.insert(instance)
        else:
            dialect = postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
            self.begin = (
                f"SELECT pg_advisory_xact_lock({WRITER_LOCK_KEY})",
                "SET LOCAL synchronous_commit = off",
            )
            upsert = postgresql.insert(instance)
        assert database.engine.dialect.dbapi is not None
        self.driver_error: type[Exception] = database.engine.dialect.dbapi.Error

        def compile_(statement: Executable) -> _Statement:
            return _Statement(statement, dialect)

        def insert_of(table: Any, key: str) -> _Statement:
            columns = {c.name: bindparam(c.name, type_=c.type) for c in table.c if c.name != key}
            return compile_(insert(table).values(columns).returning(table.c[key]))

        self.insert_instance = compile_(
            upsert.values({c.name: bindparam(c.name) for c in instance.c}).on_conflict_do_nothing()
        )
        self.find_patient = compile_(
            select(patient.c.patient_pk).where(
                and_(patient.c.issuer == bindparam("issuer"), patient.c.patient_id == bindparam("patient_id"))
            )
        )
        self.insert_patient = insert_of(patient, "patient_pk")
        same_uid = study.c.study_instance_uid == bindparam("study_instance_uid")
        self.find_study = compile_(
            select(study.c.study_pk).where(same_uid, study.c.patient_pk == bindparam("patient_pk"))
        )
        self.find_study_of_others = compile_(select(study.c.study_pk).where(same_uid))
        self.insert_study = insert_of(study, "study_pk")
        self.find_series = compile_(
            select(series.c.series_pk).where(
                series.c.study_pk == bindparam("study_pk"),
                series.c.series_instance_uid == bindparam("series_instance_uid"),
            )
        )
        self.insert_series = insert_of(series, "series_pk")
        self.read_study_sets = compile_(
            select(study.c.modalities_in_study, study.c.sop_classes_in_study).where(
                study.c.study_pk == bindparam("study_pk")
            )
        )
        self.update_study_sets = compile_(
            update(study)
            .where(study.c.study_pk == bindparam("b_study_pk"))
            .values(
                modalities_in_study=bindparam("modalities_in_study"),
                sop_classes_in_study=bindparam("sop_classes_in_study"),
                number_of_study_related_series=study.c.number_of_study_related_series + bindparam("b_new_series"),
            )
        )
        self.count_series = compile_(
            update(series)
            .where(series.c.series_pk == bindparam("b_series_pk"))
            .values(
                number_of_series_related_instances=series.c.number_of_series_related_instances
                + bindparam("b_instances"),
                size_bytes=series.c.size_bytes + bindparam("b_bytes"),
            )
        )
        self.count_study = compile_(
            update(study)
            .where(study.c.study_pk == bindparam("b_study_pk"))
            .values(
                number_of_study_related_instances=study.c.number_of_study_related_instances + bindparam("b_instances"),
                size_bytes=study.c.size_bytes + bindparam("b_bytes"),
                last_received_at_s=bindparam("last_received_at_s"),
            )
        )
        self.find_pack = compile_(select(pack.c.pack_pk).where(pack.c.name == bindparam("name")))
        self.insert_pack = insert_of(pack, "pack_pk")
        self.find_instance = compile_(
            select(
                pack.c.name,
                instance.c.file_offset,
                instance.c.file_length_bytes,
                instance.c.dataset_offset,
                instance.c.digest,
            )
            .join(pack, pack.c.pack_pk == instance.c.pack_pk)
            .where(
                instance.c.series_pk == bindparam("series_pk"),
                instance.c.sop_instance_uid == bindparam("sop_instance_uid"),
            )
        )
        self.find_conflict = compile_(
            select(instance_conflict.c.conflict_pk).where(
                instance_conflict.c.series_pk == bindparam("series_pk"),
                instance_conflict.c.sop_instance_uid == bindparam("sop_instance_uid"),
                instance_conflict.c.digest == bindparam("digest"),
            )
        )
        self.insert_conflict = insert_of(instance_conflict, "conflict_pk")
        self._insert_event = compile_(
            insert(outbox.outbox).values(
                topic=bindparam("topic"), payload=bindparam("payload"), created_at_s=bindparam("created_at_s")
            )
        )

    def append_event(self, cursor: Any, topic: str, payload: Mapping[str, Any], now_s: float) -> None:
        """Append to the outbox in the writer's own transaction."""
        text = json.dumps(payload, separators=(",", ":"))
        self._insert_event.run(cursor, {"topic": topic, "payload": text, "created_at_s": now_s})
