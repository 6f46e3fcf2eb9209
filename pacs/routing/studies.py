"""What the archive's index and the orders say about studies, for routing; and where their instances lie.

For: reading, inside the caller's transaction. Not for: deciding (`pacs.routing.rules`).

Invariant: a study is found by issuer, Patient ID and Study Instance UID together, so that two patients whose studies
bear one UID are never mixed up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, select

from foundation.instants import instant_of_us
from pacs.archive.schema import instance, pack, patient, series, study
from pacs.contracts import InstanceRef, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from pacs.routing.model import StudyId
from pacs.routing.queue import Instance
from pacs.worklist import orders
from pacs.worklist.order import Order, OrderId, OrderState

_UIDS_PER_QUERY_MAX: Final = 500
_US_PER_S: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownStudy:
    """A study as the index has it now; ``first_received_at`` is UTC."""

    study_pk: int
    study: StudyId
    accession_number: str
    modalities: frozenset[str]
    first_received_at: datetime


def by_key(connection: Connection, study_pk: int) -> KnownStudy | None:
    """Return the study that has a key of the index now."""
    found = _studies(connection, study.c.study_pk == study_pk)
    return found[0] if found else None


def by_uid(connection: Connection, issuer: str, study_instance_uid: str) -> list[KnownStudy]:
    """Return the studies of an issuer with a UID: more than one when two of its patients have it."""
    return _studies(connection, study.c.study_instance_uid == study_instance_uid, patient.c.issuer == issuer)


def of_order(connection: Connection, order: Order) -> list[KnownStudy]:
    """Return the studies that are here already for an order: by its Study Instance UID, else its accession number."""
    issuer = order.patient.issuer
    found = by_uid(connection, issuer, order.study_instance_uid) if order.study_instance_uid else []
    if order.accession_number:
        found += _studies(connection, study.c.accession_number == order.accession_number, patient.c.issuer == issuer)
    return list({one.study_pk: one for one in found}.values())


def find_order(connection: Connection, order_id: str) -> Order | None:
    """Return an order; None when there is none."""
    return orders.find(connection, OrderId(order_id))


def is_emergency(connection: Connection, known: KnownStudy) -> bool:
    """Say whether an order of this study, which was not cancelled, is an emergency."""
    issuer = known.study.issuer
    placed = [
        *orders.find_by_study(connection, known.study.study_instance_uid),
        *orders.find_by_accession(connection, issuer, known.accession_number),
    ]
    return any(
        one.is_emergency and one.state is not OrderState.CANCELLED and one.patient.issuer == issuer for one in placed
    )


def instances_of(connection: Connection, study_pk: int) -> list[Instance]:
    """Return every instance of a study that is here."""
    rows = connection.execute(
        select(series.c.series_instance_uid, instance.c.sop_instance_uid)
        .join(instance, instance.c.series_pk == series.c.series_pk)
        .where(series.c.study_pk == study_pk)
    )
    return [(row.series_instance_uid, row.sop_instance_uid) for row in rows]


def locate(connection: Connection, of: StudyId, wanted: Sequence[Instance]) -> list[InstanceRef]:
    """Return where instances of a study lie, in the order in which to read them; what is not here is left out."""
    by_series: dict[str, list[str]] = {}
    for series_uid, sop_uid in wanted:
        by_series.setdefault(series_uid, []).append(sop_uid)
    rows: list[Row[Any]] = []
    for series_uid, sop_uids in by_series.items():
        for chunk in _chunks(sop_uids):
            rows += connection.execute(_located(of, series_uid, chunk)).all()
    rows.sort(key=lambda row: (row.series_pk, row.pack_pk, row.file_offset))
    return [_ref(row) for row in rows]


def _located(of: StudyId, series_uid: str, sop_uids: Sequence[str]) -> Any:
    return (
        select(
            study.c.study_instance_uid,
            series.c.series_pk,
            series.c.series_instance_uid,
            instance.c.sop_instance_uid,
            instance.c.sop_class_uid,
            instance.c.transfer_syntax_uid,
            instance.c.pack_pk,
            pack.c.name.label("pack"),
            instance.c.file_offset,
            instance.c.file_length_bytes,
            instance.c.dataset_offset,
            instance.c.digest,
        )
        .select_from(study)
        .join(patient, patient.c.patient_pk == study.c.patient_pk)
        .join(series, series.c.study_pk == study.c.study_pk)
        .join(instance, instance.c.series_pk == series.c.series_pk)
        .join(pack, pack.c.pack_pk == instance.c.pack_pk)
        .where(
            study.c.study_instance_uid == of.study_instance_uid,
            patient.c.issuer == of.issuer,
            patient.c.patient_id == of.patient_id,
            series.c.series_instance_uid == series_uid,
            instance.c.sop_instance_uid.in_(sop_uids),
        )
    )


def _studies(connection: Connection, *where: ColumnElement[bool]) -> list[KnownStudy]:
    rows = connection.execute(
        select(
            study.c.study_pk,
            study.c.study_instance_uid,
            study.c.accession_number,
            study.c.modalities_in_study,
            study.c.first_received_at_s,
            patient.c.issuer,
            patient.c.patient_id,
        )
        .join(patient, patient.c.patient_pk == study.c.patient_pk)
        .where(*where)
        .order_by(study.c.study_pk)
    )
    return [_known(row._mapping) for row in rows]


def _known(row: Mapping[Any, Any]) -> KnownStudy:
    return KnownStudy(
        study_pk=row["study_pk"],
        study=StudyId(
            issuer=row["issuer"], patient_id=row["patient_id"] or "", study_instance_uid=row["study_instance_uid"]
        ),
        accession_number=row["accession_number"] or "",
        modalities=frozenset(one for one in (row["modalities_in_study"] or "").split("\\") if one),
        first_received_at=instant_of_us(int(row["first_received_at_s"] * _US_PER_S)),
    )


def _chunks(uids: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(uids), _UIDS_PER_QUERY_MAX):
        yield uids[start : start + _UIDS_PER_QUERY_MAX]


def _ref(row: Row[Any]) -> InstanceRef:
    return InstanceRef(
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
