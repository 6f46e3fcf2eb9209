"""What the engine lends to those parts of it that have modules of their own: making a decision, and looking."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime

from oncall.case.event import CaseId, Event
from oncall.case.state import Case
from oncall.engine.draft import Draft


class Deciding(ABC):
    """A part of `oncall.engine.engine.Engine`, which has these methods."""

    @abstractmethod
    def case(self, case_id: CaseId) -> Case:
        """Return a case as it is committed."""

    @abstractmethod
    def open_cases(self, now: datetime) -> list[Case]:
        """Return the open cases, oldest first."""

    @abstractmethod
    def _commit(self, now: datetime, decide: Callable[[Draft], None]) -> None:
        """Make one decision, in one commit."""

    @abstractmethod
    def _draft(self, now: datetime) -> Draft:
        """Return a draft of no decision: for looking."""

    @abstractmethod
    def _follow(self, draft: Draft, case_id: CaseId, events: Sequence[Event]) -> None:
        """Do within the decision what follows from a case's new events."""
