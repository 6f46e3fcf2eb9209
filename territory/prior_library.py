"""The archive as the on-call engine asks it about earlier exams: a patient's studies of every hospital, their bytes.

For: the port `oncall.priors.model.PriorLibrary` on the index, the identities that hospitals stated, and the packs. Not
for: what is worth comparing, or equivalent (`oncall.priors`).

Invariants: a patient is found by their identifiers, those that a hospital or a person joined to them, and an equal,
qualified INS; nobody is found for a similar name. A study is ready when the bytes of each of its instances are there.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, func, or_, select

from foundation.clock import Clock
from foundation.database import Database
from oncall.case.exam_words import exam_of
from oncall.case.regions import StudyKey
from oncall.directory import Directory
from oncall.priors.model import Laterality, PriorAnswer, PriorExam, PriorQuestion, Readiness, SamePerson
from oncall.priors.sides import side_of
from pacs.archive.schema import instance, pack, patient, series
from pacs.archive.schema import study as studies
from pacs.worklist import identity, orders
from pacs.worklist.identity import PatientKey
from pacs.worklist.identity_schema import worklist_patient, worklist_patient_change
from pacs.worklist.order import Ins, InsStatus, Order, OrderId
from storage_tiers.local_packs import LocalPacks, PackUnreadable
from territory.exam_steps import instant_of_wall_time
from territory.order_facts import id_of_unidentified

STUDIES_MAX: Final = 200
"""The newest studies of a patient that are looked at: who has more has had them for years."""

SERIES_MAX: Final = 2_000
"""Series of all of them whose words are read."""

READY_BYTES_MAX: Final = 2 * 1024**3
"""Of one study that the disk is asked to have ready: more would push out what others are reading."""

_GAP_BYTES: Final = 64 * 1024
"""Instances nearer to each other than this are asked for as one range."""


class ArchivePriors:
    """Searches the index of the archive.

    Parameters
    ----------
    packs : LocalPacks
        Where the bytes of instances are.
    directory_at : callable
        The directory in force: which hospital issues which identifiers, and in which time zone it stands.
    """

    def __init__(
        self, database: Database, packs: LocalPacks, directory_at: Callable[[datetime], Directory], clock: Clock
    ) -> None:
        self._database = database
        self._packs = packs
        self._directory_at = directory_at
        self._clock = clock

    def search(self, question: PriorQuestion) -> PriorAnswer:
        """Return the earlier exams of a patient; see `oncall.priors.model.PriorLibrary`."""
        with self._database.read() as connection:
            order = orders.find(connection, OrderId(question.order_id)) if question.order_id else None
            persons = _persons(connection, order, question.studies)
            if not persons:
                return PriorAnswer(is_patient_known=False)
            own = {one.study_instance_uid for one in question.studies}
            if order is not None:
                own.add(order.study_instance_uid)
            rows = [one for one in _studies(connection, persons) if one.study_instance_uid not in own]
            words = _words(connection, [row.study_pk for row in rows])
        directory = self._directory_at(self._clock.now())
        exams = tuple(_exam(row, words.get(row.study_pk, []), directory, persons) for row in rows)
        return PriorAnswer(is_patient_known=True, exams=exams, laterality=_side_asked(order))

    def identities_version(self) -> int:
        """Return a number that grows when patients are joined or parted."""
        with self._database.read() as connection:
            newest = connection.execute(select(func.max(worklist_patient_change.c.number))).scalar_one_or_none()
        return int(newest or 0)

    def make_ready(self, study: StudyKey) -> Readiness:
        """Ask the disk for a study; see `oncall.priors.model.PriorLibrary`."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(pack.c.name, instance.c.file_offset, instance.c.file_length_bytes)
                .select_from(instance)
                .join(pack, pack.c.pack_pk == instance.c.pack_pk)
                .join(series, series.c.series_pk == instance.c.series_pk)
                .join(studies, studies.c.study_pk == series.c.study_pk)
                .join(patient, patient.c.patient_pk == studies.c.patient_pk)
                .where(studies.c.study_instance_uid == study.study_instance_uid, patient.c.issuer == study.issuer)
                .order_by(pack.c.name, instance.c.file_offset)
            ).all()
        by_pack: dict[str, list[tuple[int, int]]] = {}
        for row in rows:
            by_pack.setdefault(row.name, []).append((row.file_offset, row.file_offset + row.file_length_bytes))
        left, missing = READY_BYTES_MAX, 0
        for name, ranges in by_pack.items():
            here = self._bytes_of(name)
            whole = [one for one in ranges if one[1] <= here]
            missing += len(ranges) - len(whole)
            left -= self._prefetch(name, whole, left)
        return Readiness(instances=len(rows), missing=missing)

    def _bytes_of(self, name: str) -> int:
        try:
            return self._packs.size_bytes(name)
        except PackUnreadable:
            return 0

    def _prefetch(self, name: str, ranges: Iterable[tuple[int, int]], bytes_max: int) -> int:
        asked = 0
        for begin, end in _joined(ranges):
            if asked + end - begin > bytes_max:
                break
            self._packs.prefetch(name, begin, end - begin)
            asked += end - begin
        return asked


def _joined(ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """Join ranges, in ascending order, that are next to each other."""
    current: tuple[int, int] | None = None
    for begin, end in ranges:
        if current is not None and begin - current[1] <= _GAP_BYTES:
            current = (current[0], max(current[1], end))
            continue
        if current is not None:
            yield current
        current = (begin, end)
    if current is not None:
        yield current


# Who


def _persons(
    connection: Connection, order: Order | None, of_studies: Sequence[StudyKey]
) -> dict[PatientKey, SamePerson]:
    """Return every identifier of the patient, and why it is theirs; none when nobody knows whose the case is."""
    first: dict[PatientKey, SamePerson] = {}
    # An identifier that was made up for whom nobody knows yet finds nothing, and that would be a false "none".
    if order is not None and order.patient.patient_id != id_of_unidentified(order.order_id):
        first[PatientKey(order.patient.issuer, order.patient.patient_id)] = SamePerson.SAME_ID
        for patient_id, issuer in order.patient.other_ids:
            first.setdefault(PatientKey(issuer, patient_id), SamePerson.LINKED)
        for key in _of_ins(connection, order.patient.ins):
            first.setdefault(key, SamePerson.SAME_INS)
    for study in of_studies:
        for row in connection.execute(
            select(patient.c.issuer, patient.c.patient_id)
            .join(studies, studies.c.patient_pk == patient.c.patient_pk)
            .where(studies.c.study_instance_uid == study.study_instance_uid, patient.c.issuer == study.issuer)
        ):
            first.setdefault(PatientKey(row.issuer, row.patient_id), SamePerson.SAME_ID)
    found: dict[PatientKey, SamePerson] = {}
    for key, why in first.items():
        if not key.patient_id:
            continue
        found.setdefault(key, why)
        of_ins = set(_of_ins(connection, _ins_of(connection, key)))
        for other in identity.same_person(connection, key.issuer, key.patient_id):
            found.setdefault(other, SamePerson.SAME_INS if other in of_ins else SamePerson.LINKED)
    return dict(list(found.items())[: identity.LINKED_MAX])


def _ins_of(connection: Connection, key: PatientKey) -> Ins | None:
    known = identity.find_patient(connection, key)
    return None if known is None else known.ins


def _of_ins(connection: Connection, ins: Ins | None) -> list[PatientKey]:
    if ins is None or not ins.may_be_sent:
        return []
    column = worklist_patient.c
    rows = connection.execute(
        select(column.issuer, column.patient_id)
        .where(
            column.ins_matricule == ins.matricule,
            column.ins_oid == ins.oid,
            column.ins_status == InsStatus.QUALIFIED.value,
        )
        .order_by(column.issuer, column.patient_id)
        .limit(identity.LINKED_MAX)
    )
    return [PatientKey(row.issuer, row.patient_id) for row in rows]


# What


def _studies(connection: Connection, persons: Iterable[PatientKey]) -> Sequence[Row[Any]]:
    of_patient = [and_(patient.c.issuer == key.issuer, patient.c.patient_id == key.patient_id) for key in persons]
    rows: Sequence[Any] = connection.execute(
        select(
            studies.c.study_pk,
            studies.c.study_instance_uid,
            studies.c.study_date,
            studies.c.study_time,
            studies.c.study_description,
            studies.c.modalities_in_study,
            studies.c.number_of_study_related_instances,
            studies.c.first_received_at_s,
            patient.c.issuer,
            patient.c.patient_id,
        )
        .join(patient, patient.c.patient_pk == studies.c.patient_pk)
        .where(or_(*of_patient))
        .order_by(studies.c.study_date.desc(), studies.c.study_time.desc(), studies.c.study_pk.desc())
        .limit(STUDIES_MAX)
    ).all()
    return rows


def _words(connection: Connection, study_pks: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    column = series.c
    for row in connection.execute(
        select(column.study_pk, column.body_part_examined, column.series_description)
        .where(column.study_pk.in_(study_pks))
        .order_by(column.series_pk)
        .limit(SERIES_MAX)
    ):
        found.setdefault(row.study_pk, []).extend(
            text for text in (row.body_part_examined, row.series_description) if text
        )
    return found


def _exam(
    row: Row[Any], words: Sequence[str], directory: Directory, persons: dict[PatientKey, SamePerson]
) -> PriorExam:
    texts = [row.study_description, *words]
    site = next((one for one in directory.sites.values() if one.issuer == row.issuer), None)
    received_at = datetime.fromtimestamp(row.first_received_at_s, UTC)
    zone = "UTC" if site is None else site.time_zone
    return PriorExam(
        study=StudyKey(row.issuer, row.study_instance_uid),
        modalities=tuple(one for one in row.modalities_in_study.split("\\") if one),
        performed_at=instant_of_wall_time(row.study_date + (row.study_time or "12"), "", zone, heard_at=received_at),
        exam=exam_of(texts),
        laterality=side_of(texts),
        instances=row.number_of_study_related_instances,
        site_id="" if site is None else site.site_id,
        same_person=persons[PatientKey(row.issuer, row.patient_id)],
    )


def _side_asked(order: Order | None) -> Laterality:
    if order is None:
        return Laterality.UNSAID
    coded = [code.meaning for code in (order.procedure, order.body_region) if code is not None]
    return side_of([order.description, *coded])
