"""What a hospital must take note of by name, and by when: critical findings, significant discrepancies.

For: reading a case as a list of such loops, each apart from the others. Not for: paging (`oncall.engine.loops`), nor
what is told (`oncall.case.commands_report`, `oncall.case.commands_second_reading`).

Invariant: a loop waits until a named person of the hospital has taken note; neither an answer to a page nor a call
ends it.
Source: §1.7 (Cass. crim. 4 June 2013), §1.9 (ACR), §4.3 C6.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from oncall.case.clocks import Clock
from oncall.case.commands_report import CRITICAL_DUE_S
from oncall.case.state import Case

DISCREPANCY: Final = "discrepancy"
"""Not one of C1 to C9: by when a hospital must know of a significant discrepancy."""


class LoopKind(StrEnum):
    """What a hospital must take note of; the first letter marks its chains of pages."""

    CRITICAL = "c"
    DISCREPANCY = "x"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """One thing that a named person of the hospital must take note of by ``due_at`` (UTC).

    ``subject`` is the critical finding's id, empty for the discrepancy. ``category`` is the ACR's (1 minutes, 2 hours,
    3 days); ``is_waiting`` until somebody has taken note.
    """

    kind: LoopKind
    subject: str
    number: int
    category: int
    due_at: datetime
    is_waiting: bool

    @property
    def mark(self) -> str:
        """What begins the name of its chains of pages within the case."""
        return f"{self.kind.value}{self.number}."

    @property
    def clock(self) -> str:
        """Its clock, as the case's watch names it."""
        return f"{Clock.CRITICAL.value}:{self.subject}" if self.kind is LoopKind.CRITICAL else DISCREPANCY

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether its time has passed and nobody has taken note."""
        return self.is_waiting and self.due_at <= now


def loops_of(case: Case) -> Iterator[Loop]:
    """Return the loops of a case, those that are closed included."""
    for one in case.criticals:
        yield Loop(
            kind=LoopKind.CRITICAL,
            subject=one.critical_id,
            number=one.number,
            category=one.category,
            due_at=one.due_at or one.declared_at + timedelta(seconds=CRITICAL_DUE_S[one.category]),
            is_waiting=one.is_waiting,
        )
    second = case.second_reading
    if second.is_significant and second.communicate_by is not None:
        yield Loop(
            kind=LoopKind.DISCREPANCY,
            subject="",
            number=second.version_read,
            category=second.category,
            due_at=second.communicate_by,
            is_waiting=second.is_untold,
        )
