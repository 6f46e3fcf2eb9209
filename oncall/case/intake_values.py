"""What goes into a decision of the intake and what comes of it, as values, and the ports through which it looks.

For: `oncall.case.intake` and whoever gives it what it needs. Not for: the decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from oncall.case.commands import Facts
from oncall.case.event import CaseId
from oncall.case.exam_words import exam_of
from oncall.case.intake_policy import EmergencyRule
from oncall.case.matching import Match
from oncall.case.regions import StudyKey
from oncall.case.state import Case
from oncall.case.unclaimed import UnclaimedStudy
from oncall.directory import SubSpecialty
from oncall.reading.board import ExamKind, Urgency


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyDescription:
    """What the archive's index says of a study beyond the outbox; empty texts are not known.

    ``patient_key`` is opaque: made of issuer and Patient ID by whoever describes, never a name. ``words`` are what the
    scanner calls the exam (descriptions, protocol names); they are looked up (`oncall.case.exam_words`), never kept.
    """

    patient_key: str = ""
    accession_number: str = ""
    body_part: str = ""
    words: tuple[str, ...] = ()

    @property
    def exam(self) -> ExamKind | None:
        """What kind of exam it says it is; None when that is not known."""
        return exam_of((*self.words, self.body_part))


class Grade(NamedTuple):
    """How urgent an unannounced study is and whom it needs."""

    urgency: Urgency
    needs: SubSpecialty


class StudyTriage(Protocol):
    """Grades a study of a known kind of exam (`oncall.reading.triage`, bound by the engine)."""

    def __call__(self, exam: ExamKind, rule: EmergencyRule, at: datetime) -> Grade:
        """Return the grade; less urgent than `rule` says is not heard."""


class StudyDescriber(Protocol):
    """Looks a study up in the archive's index; wired in `territory`: `oncall` sees of `pacs` its contracts only."""

    def __call__(self, study: StudyKey, study_pk: int | None) -> StudyDescription:
        """Return what is known of the study.

        Raises
        ------
        foundation.errors.Unavailable
            If the index does not answer: the batch is taken again later.
        """


class CaseView(Protocol):
    """What the intake looks at: the cases as they are before the batch."""

    def case(self, case_id: CaseId) -> Case | None:
        """Return a case, or None."""

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        """Return which case a study belongs to now."""

    def studies_of_uid(self, study_instance_uid: str) -> Sequence[tuple[StudyKey, CaseId]]:
        """Return every link of a Study Instance UID, whichever issuer; topics about conflicts do not name one."""

    def open_cases(self) -> Sequence[Case]:
        """Return every case that is not closed."""

    def unclaimed_of_uid(self, study_instance_uid: str) -> Sequence[UnclaimedStudy]:
        """Return the studies without a case that have this Study Instance UID, whichever issuer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """Cases that a study may belong to, for a person to decide; ``case_id`` is the case that it opened meanwhile."""

    study: StudyKey
    case_id: CaseId | None
    candidates: tuple[Match, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class IntakeResult:
    """What a batch comes to. ``facts`` are in the order in which they are to be appended, by case.

    ``unusable`` are events that are not what `pacs.contracts` says: a defect, to be told to a human; it must not keep
    the events behind it from their patients.

    ``unclaimed`` are studies without a case as the batch leaves them, ``unclaimed_seen`` those of them that it knew.
    ``last_event_id`` is what the consumer's cursor moves to. ``look_again_at`` says, for cases whose images are on the
    way, when `due_images` has something to say if nothing comes until then.
    """

    last_event_id: int
    facts: Mapping[CaseId, Facts] = field(default_factory=dict)
    links: Mapping[StudyKey, CaseId] = field(default_factory=dict)
    opened: tuple[CaseId, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    unclaimed: tuple[UnclaimedStudy, ...] = ()
    unclaimed_seen: tuple[UnclaimedStudy, ...] = ()
    unusable: tuple[int, ...] = ()
    look_again_at: Mapping[CaseId, datetime] = field(default_factory=dict)
