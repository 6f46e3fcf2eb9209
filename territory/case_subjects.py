"""Who the patient of a case is, as the archive's index names them now: for dossiers of evidence.

For: the port `oncall.evidence.gathering.SubjectDescriber`. Not for: documents of reports (`territory.report_facts`).

Invariant: nobody is named for whom the case's opaque key was not made, so that a dossier never bears another patient's
name; when the studies' patient is not the case's, the dossier has the key alone, and the log says why.
"""

from sqlalchemy import select

from foundation.database import Database
from oncall.case.state import Case
from oncall.report_documents.source import Subject
from pacs.archive.schema import patient, study
from territory.known_patients import subject_of
from territory.patient_keys import patient_key


class IndexSubjects:
    """Looks the patient up through the case's studies.

    Parameters
    ----------
    database : Database
        With the archive's index.
    secret : bytes
        What patients' keys are made with on this node.
    """

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    def __call__(self, case: Case) -> Subject | None:
        """Return the patient whose key the case has; None when no study of the case is theirs."""
        wanted = {(one.study_instance_uid, one.issuer) for one in case.images.studies}
        if not wanted or not case.patient_key:
            return None
        with self._database.read() as connection:
            rows = connection.execute(
                select(
                    study.c.study_instance_uid,
                    patient.c.issuer,
                    patient.c.patient_id,
                    patient.c.patient_name,
                    patient.c.patient_birth_date,
                    patient.c.patient_sex,
                )
                .join(patient, patient.c.patient_pk == study.c.patient_pk)
                .where(study.c.study_instance_uid.in_(sorted(uid for uid, _ in wanted)))
                .order_by(study.c.study_pk)
            ).all()
            for row in rows:
                subject = subject_of(connection, row)
                is_of_case = (row.study_instance_uid, row.issuer) in wanted
                if is_of_case and patient_key(self._secret, subject.issuer, subject.patient_id) == case.patient_key:
                    return subject
        return None
