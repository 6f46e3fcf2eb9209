"""Who a patient of the archive is now: under the identifier in use, with the national identity that may be shown.

For: one answer for documents, evidence and messages. Not for: keys (`territory.patient_keys`), or saying who is who
(`pacs.worklist.identity`).

Invariant: an INS is on a subject only while it is qualified.
"""

from contextlib import suppress
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from oncall.report_documents.source import NationalIdentity, Subject
from pacs.worklist import identity
from pacs.worklist.identity import PatientKey
from pacs.worklist.order import OrderPatient


def patient_in_use(connection: Connection, issuer: str, patient_id: str) -> PatientKey:
    """Return under which identifier a patient of the archive is known now."""
    return identity.surviving(connection, issuer, patient_id)


def subject_of(connection: Connection, row: Any) -> Subject:
    """Return who the patient of a row of the archive's index is now; it has the columns of table ``patient``."""
    key = patient_in_use(connection, row.issuer, row.patient_id)
    said = identity.find_patient(connection, key)
    is_another = key != (row.issuer, row.patient_id)
    return Subject(
        # The hospital's word counts where the images were taken under another identifier.
        name=said.name if is_another and said is not None and said.name else row.patient_name,
        patient_id=key.patient_id,
        issuer=key.issuer,
        birth_date=day(row.patient_birth_date),
        sex=row.patient_sex,
        ins=_shown(said),
    )


def ordered_subject(connection: Connection, patient: OrderPatient) -> Subject:
    """Return who the patient of an order is now."""
    key = patient_in_use(connection, patient.issuer, patient.patient_id)
    return Subject(
        name=patient.name,
        patient_id=key.patient_id,
        issuer=key.issuer,
        birth_date=day(patient.birth_date),
        sex=patient.sex,
        ins=_shown(identity.find_patient(connection, key)),
    )


def day(text: str) -> date | None:
    """Return a DICOM date, or None."""
    with suppress(ValueError):
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007  # a calendar day has no zone
    return None


def _shown(said: OrderPatient | None) -> NationalIdentity | None:
    if said is None or said.ins is None or not said.ins.may_be_sent:
        return None
    return NationalIdentity(matricule=said.ins.matricule, oid=said.ins.oid)
