"""Earlier exams as values, what is asked of an archive about them, and what its answer is.

For: searching (a port), ranking, redundancy. Not for: patients: who they are is known to the archive's side of the port
only; here is a case, and what was found for it.

Invariants: "no priors" is said only by an archive that knew whom to look for and could look; a study that cannot be
read again is not ready.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from oncall.case.regions import StudyKey
from oncall.reading.board import ExamKind


class Laterality(StrEnum):
    """Which side of a paired body part an exam is of; UNSAID for the middle, both sides, or nothing said."""

    LEFT = "left"
    RIGHT = "right"
    UNSAID = "unsaid"


class SamePerson(StrEnum):
    """Why an earlier exam is of the same person."""

    SAME_ID = "same_id"  # the same Patient ID of the same hospital
    LINKED = "linked"  # merged or linked by a hospital or a person
    SAME_INS = "same_ins"  # the same qualified national identity


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorQuestion:
    """Whose earlier exams are asked for: those of the patient of an order, and of studies that are here already.

    ``order_id`` is '' for a case without an order. The studies themselves are no priors.
    """

    order_id: str = ""
    studies: tuple[StudyKey, ...] = ()
    site_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorExam:
    """One earlier study in the territory.

    ``performed_at`` is UTC, None when nobody knows; ``exam`` what its words say it is, None when they say nothing.
    ``site_id`` is the hospital whose identifier it carries, '' when that is unknown.
    """

    study: StudyKey
    modalities: tuple[str, ...]
    performed_at: datetime | None
    exam: ExamKind | None
    laterality: Laterality = Laterality.UNSAID
    instances: int = 0
    site_id: str = ""
    same_person: SamePerson = SamePerson.SAME_ID


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorAnswer:
    """What an archive found.

    ``is_patient_known`` False: nobody knows whom to look for, so that nothing is known of earlier exams either.
    """

    is_patient_known: bool
    exams: tuple[PriorExam, ...] = ()
    laterality: Laterality = Laterality.UNSAID


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """Whether every instance of a study can be read at once; ``missing`` are those that cannot."""

    instances: int
    missing: int

    @property
    def is_ready(self) -> bool:
        """Say whether there are instances and all of them can be read."""
        return self.instances > 0 and self.missing == 0


class PriorLibrary(Protocol):
    """The archive, as the on-call engine asks it about earlier exams; wired in `territory`."""

    def search(self, question: PriorQuestion) -> PriorAnswer:
        """Return the earlier exams of the patient in the whole territory.

        Raises
        ------
        foundation.errors.Unavailable
            If it could not be looked for everywhere: then nothing is known.
        """

    def identities_version(self) -> int:
        """Return a number that grows when patients are linked, merged or parted; for errors see `search`."""

    def make_ready(self, study: StudyKey) -> Readiness:
        """Bring a study where it is read at once, and return whether all of it is there; for errors see `search`."""
