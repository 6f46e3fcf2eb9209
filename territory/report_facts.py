"""Who the patient of a report is and what was examined, as the archive's index and the directory say now.

For: the port `oncall.delivery.documents.Describer`. Not for: patients' keys of arriving studies
(`territory.oncall_parts.IndexDescriber`).

Invariant: no document is made while it is not certain whose it is: the studies of the case are of one patient, and that
is the patient whom the case knows, unless a person has settled that their identifier was wrong.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, time
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from foundation.clock import Clock
from foundation.database import Database
from oncall.case.event import SYSTEM, Event
from oncall.case.state import Case, fold
from oncall.case.vocabulary import EventType
from oncall.delivery.documents import Described, NotDescribed
from oncall.directory import Directory
from oncall.engine.sql_store import SqlStore
from oncall.report.version import SignedVersion
from oncall.report_documents.source import ExamFacts, ExaminedStudy, Subject
from oncall.schema import oncall_study_link
from pacs.archive.schema import patient
from pacs.archive.schema import study as studies
from pacs.worklist import orders
from pacs.worklist.order import OrderId
from territory.known_patients import day, ordered_subject, patient_in_use, subject_of
from territory.patient_keys import patient_key

_SETTLES: Final = frozenset(
    {
        EventType.IDENTITY_CORRECTED,
        EventType.IDENTITY_MERGED,
        EventType.IDENTITY_SPLIT,
        EventType.IDENTITY_MISMATCH_BLOCKED,
        EventType.IDENTITY_IN_TWO_PATIENTS,
    }
)
"""Events that say whose a case is, or that it is not certain: the last one counts."""

ReadDirectory = Callable[[datetime], Directory]


class IndexFacts:
    """Looks up what documents show.

    Parameters
    ----------
    database : Database
        With the archive's index and the cases.
    secret : bytes
        What patients' keys are made with on this node.
    read_directory : callable
        Returns the directory in force at an instant.
    """

    def __init__(self, database: Database, secret: bytes, read_directory: ReadDirectory, clock: Clock) -> None:
        self._database = database
        self._store = SqlStore(database)
        self._secret = secret
        self._read_directory = read_directory
        self._clock = clock

    def __call__(self, signed: SignedVersion) -> Described:
        """Return patient and exam of a version.

        Raises
        ------
        oncall.delivery.documents.NotDescribed
            While the archive has no study of the case, or it is not certain whose they are.
        foundation.errors.Unavailable
            If the database does not answer, or nothing is published.
        """
        events = self._store.events_of(signed.version.case_id)
        if not events:
            raise NotDescribed("no_case")
        case = fold(events)
        with self._database.read() as connection:
            rows = _studies(connection, case)
            if not rows:
                raise NotDescribed("no_study")
            subject = self._subject(connection, case, events, rows)
        key = self._key(subject)
        if case.is_another(signed.version.patient_key) or signed.version.patient_key not in {"", key}:
            # What was signed for one patient never goes into another's record: it is signed again, or withdrawn.
            raise NotDescribed("signed_for_another")
        return subject, self._exam(case, rows)

    def _subject(
        self, connection: Connection, case: Case, events: Sequence[Event], rows: Sequence[Row[Any]]
    ) -> Subject:
        if _is_settled(events):
            return self._settled(connection, case, rows)
        # Patients whom the hospital has merged are one; those without an identifier never are.
        owners = {
            patient_in_use(connection, row.issuer, row.patient_id) if row.patient_id else row.patient_pk for row in rows
        }
        if len(owners) > 1:
            raise NotDescribed("two_patients")
        subject = subject_of(connection, rows[0])
        if case.patient_key and self._key(subject) != case.patient_key:
            raise NotDescribed("another_patient")
        return subject

    def _settled(self, connection: Connection, case: Case, rows: Sequence[Row[Any]]) -> Subject:
        """Return the patient whom a person has named: as the archive has them, or as the case's order does.

        An identifier that was typed wrong at the console stays on the images in the archive; the report is not filed
        under it once somebody has settled by name whose they are.
        """
        found = [subject_of(connection, row) for row in rows]
        order = orders.find(connection, OrderId(case.request.request_id)) if case.request.request_id else None
        if order is not None:
            found.append(ordered_subject(connection, order.patient))
        for subject in found:
            if self._key(subject) == case.patient_key:
                return subject
        raise NotDescribed("another_patient")

    def _key(self, subject: Subject) -> str:
        return patient_key(self._secret, subject.issuer, subject.patient_id)

    def _exam(self, case: Case, rows: Sequence[Row[Any]]) -> ExamFacts:
        site = self._read_directory(self._clock.now()).sites.get(case.site_id)
        referring = next((row.referring_physician_name for row in rows if row.referring_physician_name), "")
        return ExamFacts(
            site_name=case.site_id if site is None else site.name,
            time_zone="Europe/Paris" if site is None else site.time_zone,
            # A study under two patients, of which a person has settled one, is one study.
            studies=tuple(map(_study, {row.study_instance_uid: row for row in reversed(rows)}.values()))[::-1],
            requester=case.request.requester,
            referring_physician=referring,
        )


def _is_settled(events: Sequence[Event]) -> bool:
    """Say whether the last word on whose a case is was a person's."""
    told = [event for event in events if event.type in _SETTLES]
    return bool(told) and told[-1].type == EventType.IDENTITY_CORRECTED and told[-1].fact.actor != SYSTEM


def _studies(connection: Connection, case: Case) -> list[Row[Any]]:
    """Return the studies of a case with their patients, in the order in which they came."""
    wanted = (
        select(studies, patient)
        .join(patient, patient.c.patient_pk == studies.c.patient_pk)
        .join(
            oncall_study_link,
            (oncall_study_link.c.study_instance_uid == studies.c.study_instance_uid)
            & (oncall_study_link.c.issuer == patient.c.issuer),
        )
        .where(oncall_study_link.c.case_id == case.case_id)
        .order_by(studies.c.first_received_at_s, studies.c.study_pk)
    )
    return list(connection.execute(wanted))


def _study(row: Row[Any]) -> ExaminedStudy:
    return ExaminedStudy(
        study_instance_uid=row.study_instance_uid,
        modality=row.modalities_in_study.partition("\\")[0],
        description=row.study_description,
        accession_number=row.accession_number,
        study_id=row.study_id,
        study_date=day(row.study_date),
        study_time=_time(row.study_time),
    )


def _time(text: str) -> time | None:
    # TM may end after the hour or the minute (PS3.5 6.2); fractions of seconds are no use on paper.
    for length, form in ((6, "%H%M%S"), (4, "%H%M"), (2, "%H")):
        with suppress(ValueError):
            return datetime.strptime(text[:length], form).time()  # noqa: DTZ007  # the modality's own wall time
    return None
