"""What a worklist asks of the engine about one reading task: to claim it by its number, and to say who should read it.

For: clients of UPS, whose work items are numbered. Not for: pages, which speak of the case whatever its task's number.

Invariants
----------
* A request about a task that has been replaced meanwhile does nothing to the task that replaced it.
* Who is named as reader must be one who may read it, as for whoever opens it themselves.
"""

from dataclasses import replace
from datetime import datetime

from foundation.errors import Refused
from oncall.case import commands
from oncall.case.event import Actor, CaseId
from oncall.case.regions import ReadingState
from oncall.case.state import Case
from oncall.chain import Cause, Closed
from oncall.directory import PersonId
from oncall.engine import assigning, claiming, paging
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft


class TaskReplaced(Refused):
    """The task has ended: another one of the same case replaced it."""


class ReadingTasks(Deciding):
    """The engine's methods about reading tasks."""

    def claim_task(
        self, case_id: CaseId, number: int, person_id: PersonId, now: datetime, *, transaction_uid: str
    ) -> Case:
        """Claim one task of a case; see `oncall.engine.engine.Engine.claim`.

        Raises
        ------
        TaskReplaced
            If it is not the case's task any more.
        oncall.engine.assigning.NotEligible
            If a rule stands against this reader.
        """

        def decide(draft: Draft) -> None:
            _ensure_current(draft.required(case_id), number)
            claiming.claim(draft, case_id, person_id, transaction_uid)

        self._commit(now, decide)
        return self.case(case_id)

    def assign_task(self, case_id: CaseId, number: int, person_id: PersonId, now: datetime, *, actor: Actor) -> Case:
        """Give a task that nobody has claimed to a reader, because a coordinator says so; the reader is paged.

        Raises
        ------
        TaskReplaced
            If it is not the case's task any more.
        foundation.errors.Refused
            If it is claimed.
        oncall.engine.assigning.NotEligible
            If a rule stands against this reader.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            _ensure_current(case, number)
            if case.reading.assigned_to == person_id and case.reading.state is not ReadingState.QUEUED:
                return
            if case.reading.claimed_by is not None:
                raise Refused("the case is being read: have it released before another reader is named")
            assigning.ensure_may_open(draft, case, person_id)
            chain_id = paging.running_chain(case)
            chain = None if chain_id is None else draft.chain(chain_id)
            if chain is not None:
                paging.tell(draft, chain, Closed(reason="assignment:named", is_superseded=True))
            by = replace(draft.context, actor=actor)
            named = commands.assign(draft.case(case_id), person_id, by, reason="named by a coordinator")
            draft.record(case_id, *named)
            paging.begin(draft, draft.case(case_id), Cause.ASSIGNED)

        self._commit(now, decide)
        return self.case(case_id)


def _ensure_current(case: Case, number: int) -> None:
    if case.reading.work_item != number:
        raise TaskReplaced("this reading task has ended; another one of the same case replaced it")
