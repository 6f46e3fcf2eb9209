"""Who at the hospital is paged about what nobody there has taken note of, within a decision.

For: binding `oncall.critical.loops` to chains of pages: begun when a loop is overdue, ended when a named person of the
hospital has taken note. Not for: the words (`oncall.notify`), or which loops there are.

Invariants: each loop has a chain of its own; an answer to a page is on record and ends nothing; a loop that is overdue
and about which nobody is paged is found at the case's next look; a case that becomes more urgent climbs the quicker
ladder at once.
"""

from typing import Final

from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.chain import Cause, Declined
from oncall.critical.loops import Loop, LoopKind, loops_of
from oncall.directory import PersonId
from oncall.engine import paging
from oncall.engine.draft import Draft
from oncall.ladder import HOSPITAL_LADDERS, Ladder, Purpose

NOT_IN_TIME: Final = "not_acknowledged_in_time"
SEEN: Final = "seen"
"""Somebody answered a page: they know that there is something, not what."""


def overdue(draft: Draft, case: Case, clock: str | None = None) -> None:
    """Page the hospital about each overdue loop (or that of one clock) about which nobody is being paged."""
    for loop in loops_of(case):
        is_meant = clock is None or loop.clock == clock
        if is_meant and loop.is_overdue(draft.now) and paging.running_chain(case, loop.mark) is None:
            _begin(draft, draft.case(case.case_id), loop)


def follow(draft: Draft, case: Case) -> None:
    """End the chains of loops that are closed; a loop that has become more urgent is paged about anew, more quickly."""
    for loop in loops_of(case):
        chain_id = paging.running_chain(case, loop.mark)
        if chain_id is None:
            continue
        if not loop.is_waiting:
            paging.close(draft, draft.case(case.case_id), "acknowledged", loop.mark)
            continue
        chain = draft.chain(chain_id)
        if chain is not None and chain.ladder.ladder_id in _slower_than(loop.category):
            paging.close(draft, draft.case(case.case_id), "raised", loop.mark)
            overdue(draft, draft.case(case.case_id), loop.clock)


def answered(draft: Draft, case: Case, person_id: PersonId) -> None:
    """Record that somebody answered a page about a loop; pages go on until somebody takes note by name."""
    for loop in _asked(draft, case, person_id):
        if loop.kind is LoopKind.CRITICAL and loop.is_waiting:
            seen = draft.fact(EventType.CRITICAL_ESCALATED, critical_id=loop.subject, recipient=person_id, reason=SEEN)
            draft.record(case.case_id, seen)


def declined(draft: Draft, case: Case, person_id: PersonId) -> None:
    """Somebody answered a page about a loop with no: the next one is told at once."""
    for loop in _asked(draft, case, person_id):
        chain_id = paging.running_chain(case, loop.mark)
        chain = None if chain_id is None else draft.chain(chain_id)
        if chain is not None:
            callees = paging.callees_of(draft, draft.case(case.case_id))
            said = Declined(chain_id=chain.chain_id, person_id=person_id, callees=callees)
            paging.tell(draft, chain, said)


def ladder_for(draft: Draft, loop: Loop) -> Ladder:
    """Return the ladder inside the hospital: the territory's own where the roster has one, else by category."""
    return draft.rules.roster.ladder_for(Purpose.CRITICAL) or HOSPITAL_LADDERS[loop.category]


def _slower_than(category: int) -> frozenset[str]:
    """Return the ladders of lower urgency; one that the territory published is the same for every category."""
    return frozenset(ladder.ladder_id for slower, ladder in HOSPITAL_LADDERS.items() if slower > category)


def _begin(draft: Draft, case: Case, loop: Loop) -> None:
    if loop.kind is LoopKind.CRITICAL:
        escalated = draft.fact(EventType.CRITICAL_ESCALATED, critical_id=loop.subject, reason=NOT_IN_TIME)
        draft.record(case.case_id, escalated)
    paging.begin(draft, draft.case(case.case_id), Cause.CLINICAL, mark=loop.mark, ladder=ladder_for(draft, loop))


def _asked(draft: Draft, case: Case, person_id: PersonId) -> list[Loop]:
    """Return the loops about which somebody is being paged, or was in an earlier step."""
    found = []
    for loop in loops_of(case):
        chain_id = paging.running_chain(case, loop.mark)
        chain = None if chain_id is None else draft.chain(chain_id)
        paged = () if chain is None else (*chain.paged_before, *(one.person_id for one in chain.paged))
        if person_id in paged:
            found.append(loop)
    return found
