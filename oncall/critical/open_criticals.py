"""Critical findings that still want somebody, as a list for people: the next to be due first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from oncall.case.commands_report import CRITICAL_DUE_S
from oncall.case.event import CaseId
from oncall.case.regions import CriticalFinding, CriticalState
from oncall.case.state import Case
from oncall.directory import SiteId


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenCritical:
    """A critical finding that is not closed.

    ``due_at`` (UTC) is when a named clinician must have taken it over, and ``is_overdue`` that nobody had by then.
    ``finding`` holds the six fields and the read-back as far as they are known; its ``missing`` names the others.
    ``is_escalating`` while somebody of the hospital is being paged.
    """

    case_id: CaseId
    site_id: SiteId
    finding: CriticalFinding
    due_at: datetime
    is_overdue: bool
    is_escalating: bool


def open_criticals(cases: Iterable[Case], now: datetime, *, escalating: frozenset[str]) -> Sequence[OpenCritical]:
    """Return the findings of these cases that are not closed: those that wait first, then by due time.

    Parameters
    ----------
    escalating : frozenset of str
        ``case_id/critical_id`` of those somebody is paged about now.
    """
    found = []
    for case in cases:
        for one in case.criticals:
            if one.state is CriticalState.CLOSED:
                continue
            due_at = one.due_at or one.declared_at + timedelta(seconds=CRITICAL_DUE_S[one.category])
            found.append(
                OpenCritical(
                    case_id=case.case_id,
                    site_id=case.site_id,
                    finding=one,
                    due_at=due_at,
                    is_overdue=one.is_waiting and due_at <= now,
                    is_escalating=f"{case.case_id}/{one.critical_id}" in escalating,
                )
            )
    return sorted(found, key=lambda one: (not one.finding.is_waiting, one.due_at, one.case_id))
