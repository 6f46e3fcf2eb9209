"""Who is given which case, within a decision: the board is built, decided upon, and the choice recorded and paged.

For: binding `oncall.reading` to a draft; who may open a case. Not for: the choice itself.

Invariant: a case that nobody may be given escalates at once, unless every reader's list is merely full: then it waits
in the queue, watched, and the forecast calls a backup.
"""

from typing import Any, Final

from foundation.errors import Refused
from oncall.case.commands import assign as assign_to
from oncall.case.regions import ReadingState
from oncall.case.state import Case
from oncall.chain import Cause as ChainCause
from oncall.chain import ChainState, Closed
from oncall.directory import PersonId
from oncall.engine import paging
from oncall.engine.boards import Tonight, board_at
from oncall.engine.draft import Draft
from oncall.reading import assignment
from oncall.reading.assignment import AssignmentDecision
from oncall.reading.board import Board, Reader, ReadyCase
from oncall.reading.eligibility import Rule, exclusions
from oncall.reading.stored_decision import stored
from oncall.rota.model import LineKind
from oncall.spans import Span

# A full list, and the wish not to see it again, do not forbid opening a case: the reader is there and willing.
_NO_BAR_TO_OPENING: Final = frozenset({Rule.LOAD, Rule.DECLINED})


class NotEligible(Refused):
    """Somebody may not open this case now; the message names every rule."""


def tonight(draft: Draft) -> Tonight:
    """Return what the board is made of, as the draft leaves it."""
    expected_s = draft.rules.reading.expected_s
    ready = [case.ready_case(expected_s(case.exam)) for case in draft.every_case() if case.is_ready]
    return Tonight(
        ready=tuple(sorted((case for case in ready if case is not None), key=_place)),
        duty=draft.duty,
        reads=tuple(draft.night.reads),
        ready_times_s=tuple(sorted(at.timestamp() for _, at in draft.night.ready_times)),
    )


def board(draft: Draft, *, is_law_checked: bool = False) -> Board:
    """Return the board as the draft leaves it."""
    return board_at(draft.now, tonight(draft), draft.rules, is_law_checked=is_law_checked)


def assign(draft: Draft) -> None:
    """Give every case that nobody has opened to the reader whom the policy chooses."""
    seen = board(draft)
    if not any(case.claimed_by is None for case in seen.cases):
        return
    for decision in assignment.decide(seen, draft.rules.directory, draft.rules.reading):
        _carry_out(draft, decision)


def give(draft: Draft, case: Case, person_id: PersonId, reason: str, why: dict[str, Any] | None = None) -> Case:
    """Record that the case is somebody's now; nothing when it is already."""
    draft.record(case.case_id, *assign_to(case, person_id, draft.context, reason=reason, why=why))
    return draft.case(case.case_id)


def reader_at(draft: Draft, person_id: PersonId) -> Reader | None:
    """Return somebody as a reader now: on a duty or senior line, or called from home; None when they are none."""
    seen = board(draft)
    now_s = seen.now_s
    for reader in seen.readers:
        if reader.person_id == person_id and reader.on_duty_from_s <= now_s:
            return reader
    called = draft.duty.backups.get(person_id)
    if called is not None and draft.now < called.until:
        # Called and at a screen before the time they named: nobody is kept waiting for that.
        return Reader(person_id=person_id, on_duty_from_s=now_s, off_duty_at_s=called.until.timestamp(), is_backup=True)
    lines = draft.rules.lines_of(LineKind.SENIOR)
    for shift in draft.rules.timeline.on_duty(draft.now):
        if shift.person_id == person_id and shift.line_id in lines:
            return _reader_of(shift.person_id, shift.span)
    return None


def ensure_may_open(draft: Draft, case: Case, person_id: PersonId) -> None:
    """Refuse who is not licensed for the hospital, not on duty nor legally called, resting or not competent (§4.4, 4).

    Raises
    ------
    NotEligible
        With every rule that stands against it.
    """
    ready = case.ready_case(draft.rules.reading.expected_s(case.exam))
    if ready is None:
        raise NotEligible("the case is not to be read now: its images are not complete, or its report is signed")
    reader = reader_at(draft, person_id)
    if reader is None:
        raise NotEligible("not_on_duty: only who is on duty or was called from home opens a case; call them first")
    broken = exclusions(ready, reader, board(draft), draft.rules.directory, draft.rules.reading)
    rules = [f"{one.rule.value} {one.detail}".strip() for one in broken if one.rule not in _NO_BAR_TO_OPENING]
    # Who is there and asks is not unavailable, whatever their silence made of them.
    rules = [rule for rule in rules if rule != Rule.UNAVAILABLE.value]
    if rules:
        raise NotEligible(f"this reader may not open the case: {', '.join(rules)}; choose another reader")


def _carry_out(draft: Draft, decision: AssignmentDecision) -> None:
    case = draft.case(decision.case_id)
    chain_id = paging.running_chain(case)
    if decision.person_id is None:
        if chain_id is None and case.reading.state is ReadingState.QUEUED and not _is_only_full(decision):
            paging.begin(draft, case, ChainCause.SKILL_GAP)
        return
    chain = None if chain_id is None else draft.chain(chain_id)
    is_climbing = chain is not None and chain.state is ChainState.RUNNING and chain.position > 0
    if is_climbing and case.reading.state is ReadingState.ASSIGNED:
        # Its ladder is already asking others, in order: another plan must not send it back to the first step.
        return
    if chain is not None:
        # An alarm of the hospital goes out all the same: who is asked now has not answered yet.
        paging.tell(draft, chain, Closed(reason=f"assignment:{decision.cause.value}", is_superseded=True))
    given = give(draft, draft.case(decision.case_id), decision.person_id, decision.cause.value, stored(decision))
    paging.begin(draft, given, ChainCause.ASSIGNED)


def _is_only_full(decision: AssignmentDecision) -> bool:
    rules = {one.person_id: set[Rule]() for one in decision.excluded}
    for one in decision.excluded:
        rules[one.person_id].add(one.rule)
    return any(broken == {Rule.LOAD} for broken in rules.values()) or bool(decision.candidates)


def _reader_of(person_id: PersonId, span: Span) -> Reader:
    return Reader(person_id=person_id, on_duty_from_s=span.start.timestamp(), off_duty_at_s=span.end.timestamp())


def _place(case: ReadyCase) -> tuple[float, str]:
    return case.ready_at_s, case.case_id
