"""What passes from one reader, shift or provider to the next, as a value: nothing open is left out.

At a change of shift everybody who leaves hands over the cases on their list; what they have open they finish. The
list is stored and shown on both sides (``handover.offered``, ``handover.accepted``), with the instant from which the
next one answers for it.
"""

from dataclasses import dataclass
from enum import StrEnum

from oncall.case.event import CaseId
from oncall.directory import Directory, PersonId, SiteId
from oncall.reading.board import Board, ExamKind, ReadyCase, Urgency
from oncall.reading.planning import plan
from oncall.reading.policy import ReadingPolicy


class OpenState(StrEnum):
    """Where an open case stands."""

    UNASSIGNED = "unassigned"
    ASSIGNED = "assigned"
    ACKNOWLEDGED = "acknowledged"
    BEING_READ = "being_read"


@dataclass(frozen=True, kw_only=True, slots=True)
class HandoverItem:
    """One open case: whose it was, what it is, and whose it will be. None for `to_person` means that nobody can."""

    case_id: CaseId
    site_id: SiteId
    urgency: Urgency
    exam: ExamKind
    state: OpenState
    ready_at_s: float
    deadline_at_s: float
    from_person: PersonId | None
    to_person: PersonId | None
    predicted_start_s: float | None

    @property
    def is_kept(self) -> bool:
        """Whether the reader who leaves finishes it."""
        return self.state is OpenState.BEING_READ


@dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """All open cases at a change of shift, most urgent first; the hash-chained events quote it."""

    at_s: float
    leaving: tuple[PersonId, ...]
    arriving: tuple[PersonId, ...]
    items: tuple[HandoverItem, ...]


def handover(
    board: Board,
    leaving: frozenset[PersonId],
    arriving: frozenset[PersonId],
    directory: Directory,
    policy: ReadingPolicy,
) -> Handover:
    """Return the handover at ``board.now_s``, the board being that of the shift that begins."""
    plan_now = plan(board, directory, policy)
    planned = {read.case_id: read for read in plan_now.reads}
    items = []
    for case in sorted(board.cases, key=lambda each: (each.urgency, each.deadline_at_s, each.case_id)):
        state = _state(case)
        read = planned.get(case.case_id)
        items.append(
            HandoverItem(
                case_id=case.case_id,
                site_id=case.site_id,
                urgency=case.urgency,
                exam=case.exam,
                state=state,
                ready_at_s=case.ready_at_s,
                deadline_at_s=case.deadline_at_s,
                from_person=case.claimed_by or case.assigned_to,
                to_person=case.claimed_by if state is OpenState.BEING_READ else read.person_id if read else None,
                predicted_start_s=read.start_s if read else case.claimed_at_s,
            )
        )
    return Handover(
        at_s=board.now_s, leaving=tuple(sorted(leaving)), arriving=tuple(sorted(arriving)), items=tuple(items)
    )


def _state(case: ReadyCase) -> OpenState:
    if case.claimed_by is not None:
        return OpenState.BEING_READ
    if case.assigned_to is None:
        return OpenState.UNASSIGNED
    return OpenState.ASSIGNED if case.acknowledged_at_s is None else OpenState.ACKNOWLEDGED
