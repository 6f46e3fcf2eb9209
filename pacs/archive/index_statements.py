"""The statements of the index writer: SQLAlchemy Core, compiled once to the driver's own text and parameter order.

Executing a Core statement costs about 60 us in SQLAlchemy, six times what SQLite takes; a driver cursor with the
compiled text costs nothing more than the statement.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Executable, and_, bindparam, case, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from foundation import outbox
from foundation.database import Database, begin_writing_on_postgresql
from pacs.archive.schema import instance, instance_conflict, pack, patient, series, study

# Kept because json.dumps with separators makes an encoder for each call.
_ENCODE_JSON: Final = json.JSONEncoder(separators=(",", ":")).encode


class Statement:
    """A SQLAlchemy Core statement compiled once for a driver: text and the order of its parameters."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # Executable hides ClauseElement
        self._text = str(compiled)
        names = compiled.positiontup or []
        assert all(value is None for value in compiled.params.values()), "every parameter is bound at execution"
        self._ordered: Callable[[Mapping[str, Any]], tuple[Any, ...]] = (
            itemgetter(*names) if len(names) > 1 else lambda values: tuple(values[name] for name in names)
        )

    def run(self, cursor: Any, values: Mapping[str, Any]) -> int:
        """Execute with values by name; return the number of rows that it touched."""
        cursor.execute(self._text, self._ordered(values))
        return int(cursor.rowcount)

    def run_many(self, cursor: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """Return the number of rows really inserted."""
        if len(rows) == 1:
            cursor.execute(self._text, self._ordered(rows[0]))
        else:
            cursor.executemany(self._text, [self._ordered(row) for row in rows])
        return int(cursor.rowcount)

    def rows(self, cursor: Any, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return every row found."""
        cursor.execute(self._text, self._ordered(values))
        return list(cursor.fetchall())

    def scalar(self, cursor: Any, values: Mapping[str, Any]) -> Any:
        """Return the first column of the first row; None when there is none."""
        rows = self.rows(cursor, values)
        return rows[0][0] if rows else None

    def insert(self, cursor: Any, values: Mapping[str, Any]) -> int:
        """Insert one row and return its key."""
        return int(self.rows(cursor, values)[0][0])


class Statements:
    """Every statement of the writer."""

    def __init__(self, database: Database) -> None:
        if database.is_sqlite:
            dialect: Dialect = sqlite.dialect(paramstyle="qmark")
            self.begin = "BEGIN IMMEDIATE"
            upsert: Any = sqlite.insert(instance)
        else:
            dialect = postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
            self.begin = begin_writing_on_postgresql(durable=False)
            upsert = postgresql.insert(instance)
        driver = database.engine.dialect.dbapi
        assert driver is not None
        self.driver_error: type[Exception] = driver.Error
        # What a driver raises about a value or a constraint, not about the database (PEP 249).
        self.value_errors: tuple[type[Exception], ...] = (driver.DataError, driver.IntegrityError)

        self._dialect = dialect
        self.insert_instance = self._compiled(
            upsert.values({c.name: bindparam(c.name) for c in instance.c}).on_conflict_do_nothing()
        )
        self._compile_levels()
        self._compile_counts()
        self._compile_instances()

    def _compiled(self, statement: Executable) -> Statement:
        return Statement(statement, self._dialect)

    def _insert_of(self, table: Any, key: str) -> Statement:
        columns = {c.name: bindparam(c.name, type_=c.type) for c in table.c if c.name != key}
        return self._compiled(insert(table).values(columns).returning(table.c[key]))

    def _compile_levels(self) -> None:
        self.find_patient = self._compiled(
            select(patient.c.patient_pk).where(
                and_(
                    patient.c.issuer == bindparam("issuer"),
                    patient.c.patient_id == bindparam("patient_id"),
                    patient.c.apart == bindparam("apart"),
                )
            )
        )
        self.insert_patient = self._insert_of(patient, "patient_pk")
        same_uid = study.c.study_instance_uid == bindparam("study_instance_uid")
        self.find_study = self._compiled(
            select(study.c.study_pk).where(same_uid, study.c.patient_pk == bindparam("patient_pk"))
        )
        self.find_study_of_others = self._compiled(select(study.c.study_pk).where(same_uid))
        self.insert_study = self._insert_of(study, "study_pk")
        self.find_series = self._compiled(
            select(series.c.series_pk).where(
                series.c.study_pk == bindparam("study_pk"),
                series.c.series_instance_uid == bindparam("series_instance_uid"),
            )
        )
        self.insert_series = self._insert_of(series, "series_pk")

    def _compile_counts(self) -> None:
        self.mark_indexed = self._compiled(
            update(pack).where(pack.c.name == bindparam("b_name")).values(indexed_until=bindparam("b_indexed_until"))
        )
        self.read_study_sets = self._compiled(
            select(study.c.modalities_in_study, study.c.sop_classes_in_study).where(
                study.c.study_pk == bindparam("study_pk")
            )
        )
        self.update_study_sets = self._compiled(
            update(study)
            .where(study.c.study_pk == bindparam("b_study_pk"))
            .values(
                modalities_in_study=bindparam("modalities_in_study"),
                sop_classes_in_study=bindparam("sop_classes_in_study"),
                number_of_study_related_series=study.c.number_of_study_related_series + bindparam("b_new_series"),
            )
        )
        self.count_series = self._compiled(
            update(series)
            .where(series.c.series_pk == bindparam("b_series_pk"))
            .values(
                number_of_series_related_instances=series.c.number_of_series_related_instances
                + bindparam("b_instances"),
                size_bytes=series.c.size_bytes + bindparam("b_bytes"),
            )
        )
        self.count_study = self._compiled(
            update(study)
            .where(study.c.study_pk == bindparam("b_study_pk"))
            .values(
                number_of_study_related_instances=study.c.number_of_study_related_instances + bindparam("b_instances"),
                size_bytes=study.c.size_bytes + bindparam("b_bytes"),
                # Recovery passes packs one after another, not in the order of receipt.
                last_received_at_s=case(
                    (study.c.last_received_at_s > bindparam("b_received_at_s"), study.c.last_received_at_s),
                    else_=bindparam("b_received_at_s"),
                ),
            )
        )

    def _compile_instances(self) -> None:
        self.find_pack = self._compiled(select(pack.c.pack_pk).where(pack.c.name == bindparam("name")))
        self.insert_pack = self._insert_of(pack, "pack_pk")
        self.find_instance = self._compiled(
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
        self.mend_instance = self._compiled(
            update(instance)
            .where(
                instance.c.series_pk == bindparam("b_series_pk"),
                instance.c.sop_instance_uid == bindparam("b_sop_instance_uid"),
                instance.c.digest == bindparam("b_digest"),
                instance.c.transfer_syntax_uid == bindparam("b_transfer_syntax_uid"),
                instance.c.file_offset == bindparam("b_spoilt_offset"),
            )
            .values(
                pack_pk=bindparam("b_pack_pk"),
                file_offset=bindparam("b_file_offset"),
                file_length_bytes=bindparam("b_file_length_bytes"),
                dataset_offset=bindparam("b_dataset_offset"),
            )
        )
        self.find_conflict = self._compiled(
            select(instance_conflict.c.conflict_pk).where(
                instance_conflict.c.series_pk == bindparam("series_pk"),
                instance_conflict.c.sop_instance_uid == bindparam("sop_instance_uid"),
                instance_conflict.c.digest == bindparam("digest"),
            )
        )
        self.insert_conflict = self._insert_of(instance_conflict, "conflict_pk")
        self._insert_event = self._compiled(
            insert(outbox.outbox).values(
                topic=bindparam("topic"), payload=bindparam("payload"), created_at_s=bindparam("created_at_s")
            )
        )

    def append_event(self, cursor: Any, topic: str, payload: Mapping[str, Any], now_s: float) -> None:
        """Append to the outbox in the writer's own transaction."""
        text = _ENCODE_JSON(payload)
        self._insert_event.run(cursor, {"topic": topic, "payload": text, "created_at_s": now_s})
