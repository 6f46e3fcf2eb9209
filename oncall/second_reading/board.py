"""Second readings that are still to be made, as a list for people: the next to be due first.

For: what a timer's row says of one (`PendingReading`), and whether a blind reader may see the first report. Not for:
who reads what (`oncall.second_reading.choice`).

Invariant: each second reading that is asked for and not made has exactly one timer, which is its row on this board:
what is on the board has a next alarm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.instants import instant_of_us, microseconds
from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.directory import PersonId, SiteId
from oncall.reading.board import ExamKind


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingReading:
    """A second reading that somebody has to make between ``earliest_at`` and ``due_at`` (UTC).

    ``reasons`` are rules of `oncall.second_reading.policy.Reason`; ``assigned_to`` is None while nobody has it.
    ``is_breached`` when it was said to be overdue.
    """

    case_id: CaseId
    site_id: SiteId
    exam: ExamKind
    reasons: tuple[str, ...]
    earliest_at: datetime
    due_at: datetime
    is_blind: bool = False
    assigned_to: PersonId | None = None
    is_breached: bool = False

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether its time has passed."""
        return self.due_at <= now


def pending_of(case: Case, *, is_breached: bool) -> PendingReading | None:
    """Return what is to be made of a case's second reading; None when nothing is."""
    part = case.second_reading
    if not part.is_pending or part.earliest_at is None or part.due_at is None:
        return None
    return PendingReading(
        case_id=case.case_id,
        site_id=case.site_id,
        exam=case.exam,
        reasons=part.reasons,
        earliest_at=part.earliest_at,
        due_at=part.due_at,
        is_blind=part.is_blind,
        assigned_to=part.assigned_to,
        is_breached=is_breached,
    )


def to_row(pending: PendingReading) -> dict[str, Any]:
    """Return a pending reading as its timer's row holds it."""
    return {
        "case_id": pending.case_id,
        "site_id": pending.site_id,
        "exam": pending.exam.value,
        "reasons": list(pending.reasons),
        "earliest_at_us": microseconds(pending.earliest_at),
        "due_at_us": microseconds(pending.due_at),
        "is_blind": pending.is_blind,
        "assigned_to": pending.assigned_to,
        "is_breached": pending.is_breached,
    }


def of_row(row: Mapping[str, Any]) -> PendingReading:
    """Return the pending reading that `to_row` wrote."""
    assigned_to = row["assigned_to"]
    return PendingReading(
        case_id=CaseId(row["case_id"]),
        site_id=SiteId(row["site_id"]),
        exam=ExamKind(row["exam"]),
        reasons=tuple(row["reasons"]),
        earliest_at=instant_of_us(row["earliest_at_us"]),
        due_at=instant_of_us(row["due_at_us"]),
        is_blind=row["is_blind"],
        assigned_to=None if assigned_to is None else PersonId(assigned_to),
        is_breached=row["is_breached"],
    )


def is_first_report_hidden(case: Case, person_id: PersonId) -> bool:
    """Tell whether somebody reads this case blind and has not yet said what they see."""
    part = case.second_reading
    return part.is_blind and part.is_pending and part.assigned_to == person_id and part.blind_findings_at is None
