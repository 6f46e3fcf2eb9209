"""Studies that no case has: kept until a person calls one an emergency, a request comes for it, or it has grown old.

For: what is known of such a study, and the facts by which a case takes it. Not for: deciding whose it is
(`oncall.case.matching`), or the archive, which keeps its images whatever is said here.

Invariant: a study that a case has is not here. Nothing here names a patient: the key is opaque.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from foundation.instants import instant_of_us, microseconds
from oncall.case import commands
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.matching import StudyFacts
from oncall.case.regions import IdentityState, StudyKey
from oncall.case.state import Case, rehearse
from oncall.case.vocabulary import EventType as E
from oncall.directory import SiteId
from oncall.reading.board import ExamKind

SHOWN_FOR: Final = timedelta(hours=24)
"""How long ago its last image may have come for a study to be shown, and to be found by a request."""

SHOWN_MAX: Final = 500
"""Newest studies shown, and looked at for a request: more than a territory's emergency scanners make in a day."""

KEPT_FOR: Final = timedelta(days=7)
"""After that only the archive knows it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnclaimedStudy:
    """A study without a case, and why. Instants are aware UTC.

    ``told_by`` is the newest outbox event that told of its images; ``exam`` what its words say it is, if anything.
    ``is_in_two_patients`` is set when the archive has its UID under two patients: whoever takes it must settle whose
    it is.
    """

    study: StudyKey
    first_at: datetime
    last_at: datetime
    received: int
    told_by: int
    reason: str
    site_id: SiteId | None = None
    calling_aet: str = ""
    modalities: frozenset[str] = frozenset()
    accession_number: str = ""
    patient_key: str = ""
    exam: ExamKind | None = None
    is_in_two_patients: bool = False

    @property
    def facts(self) -> StudyFacts:
        """What matching looks at."""
        return StudyFacts(
            study=self.study,
            site_id=self.site_id,
            begun_at=self.first_at,
            modalities=self.modalities,
            accession_number=self.accession_number,
            patient_key=self.patient_key,
        )


def take(case: Case, unclaimed: UnclaimedStudy, context: Context, *, reason: str) -> Facts:
    """Link an unclaimed study to a case, with its images at the times at which they came: the hour is not given away.

    Raises
    ------
    oncall.case.state.TransitionRefused
        If the case cannot have it.
    """
    linked = replace(context, happened_at=unclaimed.first_at).fact(
        E.IMAGES_LINKED,
        issuer=unclaimed.study.issuer,
        study_instance_uid=unclaimed.study.study_instance_uid,
        reason=reason,
    )
    return (linked, *_arrived(rehearse(case, [linked]), unclaimed, context))


def open_for(unclaimed: UnclaimedStudy, request: NewRequest, context: Context) -> Facts:
    """Begin a case with a study that a person calls an emergency; a request may still come for it."""
    opened = context.fact(E.REQUEST_UNANNOUNCED, **request.payload(), rule="said_by_a_person")
    case = rehearse(None, [opened])
    return (opened, *take(case, unclaimed, context, reason="opened for this study"))


def _arrived(case: Case, unclaimed: UnclaimedStudy, context: Context) -> Facts:
    facts = commands.receive_instances(
        case,
        unclaimed.study,
        replace(context, happened_at=unclaimed.last_at),
        received=unclaimed.received,
        outbox_event_id=unclaimed.told_by,
        calling_aet=unclaimed.calling_aet,
        modalities=sorted(unclaimed.modalities),
    )
    if unclaimed.is_in_two_patients and case.identity.state is not IdentityState.BLOCKED:
        uid = unclaimed.study.study_instance_uid
        facts = (*facts, context.fact(E.IDENTITY_IN_TWO_PATIENTS, study_instance_uid=uid))
    return facts


def to_json(unclaimed: UnclaimedStudy) -> dict[str, Any]:
    """Return an unclaimed study as a JSON object; instants are microseconds since 1970 UTC."""
    return {
        "issuer": unclaimed.study.issuer,
        "study_instance_uid": unclaimed.study.study_instance_uid,
        "first_at_us": microseconds(unclaimed.first_at),
        "last_at_us": microseconds(unclaimed.last_at),
        "received": unclaimed.received,
        "told_by": unclaimed.told_by,
        "reason": unclaimed.reason,
        "site_id": unclaimed.site_id,
        "calling_aet": unclaimed.calling_aet,
        "modalities": sorted(unclaimed.modalities),
        "accession_number": unclaimed.accession_number,
        "patient_key": unclaimed.patient_key,
        "exam": None if unclaimed.exam is None else unclaimed.exam.value,
        "is_in_two_patients": unclaimed.is_in_two_patients,
    }


def of_json(row: Mapping[str, Any]) -> UnclaimedStudy:
    """Return the unclaimed study that `to_json` wrote."""
    return UnclaimedStudy(
        study=StudyKey(row["issuer"], row["study_instance_uid"]),
        first_at=instant_of_us(row["first_at_us"]),
        last_at=instant_of_us(row["last_at_us"]),
        received=row["received"],
        told_by=row["told_by"],
        reason=row["reason"],
        site_id=None if row["site_id"] is None else SiteId(row["site_id"]),
        calling_aet=row["calling_aet"],
        modalities=frozenset(row["modalities"]),
        accession_number=row["accession_number"],
        patient_key=row["patient_key"],
        exam=None if row["exam"] is None else ExamKind(row["exam"]),
        is_in_two_patients=row["is_in_two_patients"],
    )
