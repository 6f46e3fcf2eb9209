"""Critical results within the engine: declared, called about, told, taken over, closed, listed.

For: the engine's methods about critical findings, with what needs the directory (who may take over, which number was
dialled). Not for: the decisions on a case (`oncall.case.commands_report`), or paging (`oncall.engine.loops`).

Invariants: only a named person of the hospital takes a finding over; the one who declared it never does; what the
territory's own people say for them is taken only after a read-back of that very person.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from foundation.errors import PeerError
from oncall.case import commands_critical, commands_report
from oncall.case.commands_report import CRITICAL_DUE_S, find_critical
from oncall.case.event import Actor, CaseId
from oncall.case.state import Case
from oncall.critical.calls import CallOutcome, number_of
from oncall.critical.loops import LoopKind, loops_of
from oncall.critical.open_criticals import OpenCritical, open_criticals
from oncall.directory import PersonId
from oncall.engine import hospital_people, loops, paging
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft


class CriticalResults(Deciding):
    """The engine's methods about critical findings."""

    def declare_critical(
        self, case_id: CaseId, now: datetime, *, actor: Actor, critical_id: str, category: int, finding: str,
        radiologist: str = "", identified_at: datetime | None = None, reason: str = "",
    ) -> Case:  # fmt: skip
        """Declare a critical finding of ACR category 1, 2 or 3; a closed case is opened again for it.

        Said again with a smaller category it becomes more urgent; with a greater one, and a reason, that is on record
        and nothing becomes less urgent; otherwise nothing happens.

        Parameters
        ----------
        radiologist : str
            Who found it; the actor when empty.
        identified_at : datetime or None
            When it was found (UTC), when that is before now. The time left runs from the declaration.

        Raises
        ------
        Refused
            If a clinician has taken it over already and something else is said of it.
        PeerError
            If the category is none of the ACR's, or the finding says nothing.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            if category not in CRITICAL_DUE_S:
                raise PeerError("a critical finding is of ACR category 1, 2 or 3")
            facts = commands_critical.declare(
                case, replace(draft.context, actor=actor), critical_id=critical_id, category=category,
                finding=finding, radiologist=radiologist or actor.who, identified_at=identified_at, reason=reason,
                due_at=now + timedelta(seconds=CRITICAL_DUE_S[category]),
            )  # fmt: skip
            draft.record(case_id, *facts)
            loops.follow(draft, draft.required(case_id))

        self._commit(now, decide)
        return self.case(case_id)

    def call_attempt(
        self, case_id: CaseId, critical_id: str, person_id: PersonId, now: datetime, *, actor: Actor,
        outcome: CallOutcome,
    ) -> Case:  # fmt: skip
        """Record a call to one of the hospital's people at the directory's number; no outcome confirms anything.

        Raises
        ------
        Refused
            If the hospital does not name them, they have no number, or there is no such finding.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            called = number_of(draft.rules.directory, case.site_id, person_id)
            facts = commands_critical.attempt_call(
                case, replace(draft.context, actor=actor), critical_id=critical_id, recipient=person_id,
                number=called.number, outcome=outcome.value,
            )  # fmt: skip
            draft.record(case_id, *facts)

        self._commit(now, decide)
        return self.case(case_id)

    def communicate_critical(
        self, case_id: CaseId, critical_id: str, now: datetime, *, actor: Actor, recipient: str, method: str,
        read_back: str, received_at: datetime | None = None,
    ) -> Case:  # fmt: skip
        """Record that a finding was told to a named person, how, and what was read back; it is not yet taken over.

        Parameters
        ----------
        received_at : datetime or None
            When they heard it (UTC); now when None.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            hospital_people.ensure_of_hospital(draft, case, recipient)
            facts = commands_critical.communicate(
                case, replace(draft.context, actor=actor), critical_id=critical_id, recipient=recipient,
                method=method, read_back=read_back, received_at=received_at or now,
            )  # fmt: skip
            draft.record(case_id, *facts)

        self._commit(now, decide)
        return self.case(case_id)

    def acknowledge_critical(
        self, case_id: CaseId, critical_id: str, clinician: str, now: datetime, *, actor: Actor
    ) -> Case:
        """A named person of the hospital takes the finding over: its pages stop, and only its.

        Raises
        ------
        Refused
            If the clinician is one of the territory's readers or coordinators, or one of those says it for somebody
            who has not read it back to them.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            known = find_critical(case, critical_id)
            read_back_by = "" if known is None else known.recipient
            hospital_people.ensure_taken_over(draft, case, clinician, actor, read_back_by=read_back_by)
            facts = commands_report.acknowledge_critical(
                case, replace(draft.context, actor=actor), critical_id=critical_id, clinician=clinician
            )
            draft.record(case_id, *facts)
            loops.follow(draft, draft.required(case_id))

        self._commit(now, decide)
        return self.case(case_id)

    def close_critical(self, case_id: CaseId, critical_id: str, clinician: str, now: datetime, *, actor: Actor) -> Case:
        """Close the loop: by a named person, after the acknowledgement, with all six fields and the read-back.

        Raises
        ------
        Refused
            If nobody has taken it over, or one of the fields is missing.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            facts = commands_report.close_critical(
                case, replace(draft.context, actor=actor), critical_id=critical_id, clinician=clinician
            )
            draft.record(case_id, *facts)

        self._commit(now, decide)
        return self.case(case_id)

    def open_criticals(self, now: datetime) -> Sequence[OpenCritical]:
        """Return the findings of open cases that are not closed: those that wait first, the next to be due first."""
        cases = self.open_cases(now)
        escalating = frozenset(
            f"{case.case_id}/{loop.subject}"
            for case in cases
            if case.criticals
            for loop in loops_of(case)
            if loop.kind is LoopKind.CRITICAL and paging.running_chain(case, loop.mark) is not None
        )
        return open_criticals(cases, now, escalating=escalating)
