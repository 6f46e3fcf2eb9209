"""What a reader of a case can see in the archive at an instant: its own studies, and the patient's others.

For: the list that is shown beside a report and frozen when it is signed ("who could see what when"). Not for: finding
priors in other archives, or opening them.

Invariant: a study that the archive does not know is said to have no image; it is never left out. The same Patient ID of
another issuer is another patient.
"""

from typing import Any, Final

from sqlalchemy import Row, select

from foundation.database import Database
from oncall.case.regions import StudyKey
from oncall.case.state import Case
from oncall.report.version import SeenStudy
from pacs.archive.schema import patient
from pacs.archive.schema import study as studies

PRIORS_MAX: Final = 50
"""The newest priors that are listed; a reader looks at a handful."""


class IndexSeen:
    """Looks in the archive's index.

    Parameters
    ----------
    database : Database
        With the index of the archive.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, case: Case) -> tuple[SeenStudy, ...]:
        """Return the studies of a case as they stand, then the patient's others, the newest first."""
        own: list[SeenStudy] = []
        patients: set[int] = set()
        uids = {one.study_instance_uid for one in case.images.studies}
        with self._database.read() as connection:
            for key in case.images.studies:
                row = connection.execute(_wanted().where(*_is(key)).limit(1)).one_or_none()
                if row is None:
                    own.append(SeenStudy(issuer=key.issuer, study_instance_uid=key.study_instance_uid, instances=0))
                else:
                    own.append(_seen(row, is_prior=False))
                    patients.add(row.patient_pk)
            rows = connection.execute(
                _wanted()
                .where(studies.c.patient_pk.in_(sorted(patients)), studies.c.study_instance_uid.not_in(sorted(uids)))
                .order_by(studies.c.study_date.desc(), studies.c.study_time.desc())
                .limit(PRIORS_MAX)
            ).all()
        return (*own, *(_seen(row, is_prior=True) for row in rows))


def _wanted() -> Any:
    return select(
        patient.c.issuer,
        studies.c.patient_pk,
        studies.c.study_instance_uid,
        studies.c.number_of_study_related_instances,
        studies.c.modalities_in_study,
        studies.c.study_date,
        studies.c.study_description,
    ).join(patient, patient.c.patient_pk == studies.c.patient_pk)


def _is(key: StudyKey) -> tuple[Any, ...]:
    return (studies.c.study_instance_uid == key.study_instance_uid, patient.c.issuer == key.issuer)


def _seen(row: Row[Any], *, is_prior: bool) -> SeenStudy:
    return SeenStudy(
        issuer=row.issuer,
        study_instance_uid=row.study_instance_uid,
        instances=row.number_of_study_related_instances,
        is_prior=is_prior,
        modality=row.modalities_in_study.replace("\\", "/"),
        study_date=row.study_date,
        description=row.study_description,
    )
