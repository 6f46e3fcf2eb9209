"""Which instances a retrieve request means, and the port through which their bytes come.

For: C-MOVE, C-GET and whoever else sends stored instances. Not for: matching (`pacs.archive.query_plan`): a retrieve
names unique keys, and nothing else selects.

Invariants
----------
* Instances of two patients never come out of one name. Patients are namespaced by issuing hospital, and UIDs do
  collide between hospitals in practice; a selection that a human would have to decide is refused and says why.
* One read transaction: the list is a snapshot.
* Instances are ordered by series, then as they lie in the packs, so that they are read from one end to the other.

References
----------
PS3.4 C.4.2.1.4, C.4.2.2, C.4.3 (identifiers of C-MOVE and C-GET), C.5.2.1 (relational retrieve), C.2.2.1
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from foundation.database import Database
from foundation.errors import Refused
from pacs.archive import sop_lookup
from pacs.archive.schema import instance, pack, patient, series, study
from pacs.contracts import InstanceRef, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

INSTANCES_MAX: Final = 65_535
"""Instances of one retrieve: the counts of sub-operations in its responses have 16 bits (PS3.7 E.1)."""

_UIDS_PER_QUERY_MAX: Final = 500
"""Values of one IN list: the planners of both databases stay quick, and SQLite takes at most 32,766 parameters."""


class AmbiguousSelection(Refused):
    """The request's keys fit more than one patient; more keys are needed."""


class TooManyInstances(Refused):
    """The request means more instances than one retrieve can count."""


class InstanceReader(Protocol):
    """Where the bytes of instances come from; `pacs.archive.reader.PackReader` is one."""

    def read_file(self, ref: InstanceRef) -> memoryview:
        """Return the whole Part 10 file; the data set begins at ``ref.dataset_offset``.

        Raises
        ------
        foundation.errors.Unavailable
            If the bytes cannot be read, or are not those received.
        """

    def read_parts(self, ref: InstanceRef) -> Iterator[memoryview]:
        """Return the data set in parts of even length, for an instance too large to be held in memory.

        Raises
        ------
        foundation.errors.Unavailable
            At once or from the iterator, then before the last part: the bytes cannot be read, or are not those
            received.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The unique keys of a retrieve request; a tuple is empty, and a text None, when the key was not given.

    ``issuer`` is Issuer of Patient ID as asked for; ``default_issuer`` the one configured for the asker, which decides
    only when the same Patient ID is known from several hospitals.
    """

    patient_id: str | None = None
    issuer: str | None = None
    default_issuer: str = ""
    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()


def locate(database: Database, selection: Selection, *, instances_max: int = INSTANCES_MAX) -> list[InstanceRef]:
    """Find the instances that are to be sent.

    Parameters
    ----------
    database : Database
    selection : Selection
        At least one key is given.
    instances_max : int
        More than this is refused.

    Returns
    -------
    list of InstanceRef
        In the order in which to read them; empty when nothing matches.

    Raises
    ------
    AmbiguousSelection
        If the keys fit two patients.
    TooManyInstances
        If there are more than `instances_max`.
    foundation.database.DatabaseAway
        Then nothing is known: this is not "nothing matches".
    """
    assert selection != Selection(default_issuer=selection.default_issuer), "a retrieve names something"
    if selection.sop_instance_uids and not (selection.series_instance_uids or selection.study_instance_uids):
        # By SOP Instance UID alone: the look-up knows the series, and the query below then finds the rows clustered.
        found = sop_lookup.find(database, selection.sop_instance_uids)
        series_uids = {ref.series_instance_uid for refs in found.values() for ref in refs}
        if not series_uids:
            return []
        selection = _within(selection, tuple(sorted(series_uids)))
    with database.read() as connection:
        patient_pk = _patient(connection, selection)
        if selection.patient_id is not None and patient_pk is None:
            return []
        rows = _rows(connection, selection, patient_pk, instances_max)
    _refuse_two_patients(rows)
    rows.sort(key=lambda row: (row.series_pk, row.pack_pk, row.file_offset))
    return [_ref(row) for row in rows]


def _within(selection: Selection, series_uids: tuple[str, ...]) -> Selection:
    return Selection(
        patient_id=selection.patient_id,
        issuer=selection.issuer,
        default_issuer=selection.default_issuer,
        series_instance_uids=series_uids,
        sop_instance_uids=selection.sop_instance_uids,
    )


def _patient(connection: Connection, selection: Selection) -> int | None:
    if selection.patient_id is None:
        return None
    query = select(patient.c.patient_pk, patient.c.issuer).where(patient.c.patient_id == selection.patient_id)
    if selection.issuer is not None:
        query = query.where(patient.c.issuer == selection.issuer)
    known = {row.issuer: row.patient_pk for row in connection.execute(query)}
    if selection.default_issuer and selection.default_issuer in known:
        return int(known[selection.default_issuer])
    if len(known) > 1:
        raise AmbiguousSelection("Patient ID known from several issuers: give Issuer or Study UID")
    return int(next(iter(known.values()))) if known else None


def _rows(
    connection: Connection, selection: Selection, patient_pk: int | None, instances_max: int
) -> list[Row[tuple[object, ...]]]:
    rows: list[Row[tuple[object, ...]]] = []
    for query in _queries(selection):
        if patient_pk is not None:
            query = query.where(study.c.patient_pk == patient_pk)
        rows += connection.execute(query.limit(instances_max - len(rows) + 1))
        if len(rows) > instances_max:
            raise TooManyInstances(f"more than {instances_max} instances: retrieve study by study")
    return rows


def _queries(selection: Selection) -> Iterator[Select[tuple[object, ...]]]:
    """Yield one query for each chunk of the longest list; lists are short but for that one, or it is refused."""
    lists: list[tuple[ColumnElement[str], tuple[str, ...]]] = [
        (study.c.study_instance_uid, selection.study_instance_uids),
        (series.c.series_instance_uid, selection.series_instance_uids),
        (instance.c.sop_instance_uid, selection.sop_instance_uids),
    ]
    # A UID asked for twice is sent once.
    given = sorted(
        ((column, tuple(dict.fromkeys(uids))) for column, uids in lists if uids), key=lambda one: len(one[1])
    )
    base = (
        select(
            study.c.patient_pk,
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
        .join(series, series.c.study_pk == study.c.study_pk)
        .join(instance, instance.c.series_pk == series.c.series_pk)
        .join(pack, pack.c.pack_pk == instance.c.pack_pk)
    )
    yield from _chunked(base, given)


def _chunked(
    query: Select[tuple[object, ...]], given: Sequence[tuple[ColumnElement[str], tuple[str, ...]]]
) -> Iterator[Select[tuple[object, ...]]]:
    if not given:
        yield query
        return
    (column, uids), rest = given[0], given[1:]
    for start in range(0, len(uids), _UIDS_PER_QUERY_MAX):
        yield from _chunked(query.where(column.in_(uids[start : start + _UIDS_PER_QUERY_MAX])), rest)


def _refuse_two_patients(rows: Sequence[Row[tuple[object, ...]]]) -> None:
    patient_of: dict[str, int] = {}
    for row in rows:
        for uid in (row.study_instance_uid, row.series_instance_uid, row.sop_instance_uid):
            if patient_of.setdefault(uid, row.patient_pk) != row.patient_pk:
                raise AmbiguousSelection("This UID belongs to two patients: give Patient ID and Issuer")


def _ref(row: Row[tuple[object, ...]]) -> InstanceRef:
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
