"""Chains of pages within a decision: begun, advanced, answered, ended, with their messages and facts.

For: binding `oncall.escalation` (who is told next) to a draft. Not for: deciding that somebody must be told
(`oncall.engine.assigning`, `oncall.engine.watching`).

Invariants: a case has at most one chain that looks for a reader; it ends when somebody opens the case or it is no
longer to be read, and an answer ends it and no other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from oncall import escalation
from oncall.callees import callees, phone_of_hospital, phone_to_call
from oncall.case.event import CaseId
from oncall.case.regions import EscalationState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.chain import (
    Acknowledged,
    Action,
    Callee,
    CancelPages,
    Cause,
    Chain,
    ChainState,
    Closed,
    Declined,
    Due,
    Happening,
    Informed,
    Page,
    PageFailed,
    PageKind,
    Raised,
    Record,
    Subject,
)
from oncall.critical.loops import LoopKind
from oncall.directory import ContactDuty, PersonId
from oncall.engine.boards import refusal, resting_until
from oncall.engine.draft import Draft
from oncall.ladder import Ladder, Target, for_stroke
from oncall.notify import LoopPageKind, page_message
from oncall.reading.board import ExamKind
from oncall.rota.model import LineKind, Shift
from oncall.spans import Span

SILENCE: Final = "silence"
"""Why somebody counts as unavailable until they do anything."""

READER_WANTED: Final = "r"
"""Marks the chain that looks for somebody to read the case; others have other letters."""

_ALIVE: Final = frozenset({EscalationState.RUNNING, EscalationState.EXHAUSTED})


def running_chain(case: Case, mark: str = READER_WANTED) -> str | None:
    """Return the id of the case's running chain of one kind, or None."""
    prefix = f"{case.case_id}/{mark}"
    alive = [one.chain_id for one in case.escalations if one.state in _ALIVE and one.chain_id.startswith(prefix)]
    return alive[-1] if alive else None


def begin(draft: Draft, case: Case, cause: Cause, *, mark: str = READER_WANTED, ladder: Ladder | None = None) -> None:
    """Begin a chain for a case; its first page goes out with this decision."""
    chosen = ladder or ladder_for(draft, case)
    chain_id = f"{case.case_id}/{mark}{case.seq}"
    draft.record(
        case.case_id,
        draft.fact(
            EventType.ESCALATION_STARTED, chain_id=chain_id, cause=cause.value, ladder_version=chosen.version, level=0
        ),
    )
    subject = Subject(case_id=case.case_id, site_id=case.site_id, urgency=case.urgency)
    chain = escalation.begin(chosen, subject, draft.now, chain_id=chain_id, cause=cause)
    tell(draft, chain, Due(callees=callees_of(draft, case)))


def carry(draft: Draft, case: Case, climbing: Chain) -> None:
    """Go on with a ladder for the case that a study has gone to, from the step at which it was for the other case.

    Whoever is asked in that step is asked about this case now; whoever was asked before it is not asked again.
    """
    chain_id = f"{case.case_id}/{READER_WANTED}{case.seq}"
    started = {
        "chain_id": chain_id,
        "cause": climbing.cause.value,
        "ladder_version": climbing.ladder.version,
        "level": 0,
    }
    draft.record(case.case_id, draft.fact(EventType.ESCALATION_STARTED, **started))
    if climbing.state is ChainState.EXHAUSTED:
        exhausted = draft.fact(EventType.ESCALATION_EXHAUSTED, chain_id=chain_id, cause=climbing.cause.value)
        draft.record(case.case_id, exhausted)
    chain = replace(
        climbing,
        chain_id=chain_id,
        subject=Subject(case_id=case.case_id, site_id=case.site_id, urgency=case.urgency),
        begun_at=draft.now,
        next_alarm_at=draft.now,
        position=climbing.position - 1,
        step_ends_at=None,
        paged=(),
    )
    tell(draft, chain, Due(callees=callees_of(draft, case)))


def end_for_readers(draft: Draft, case: Case, reason: str) -> None:
    """End the chains of a case that is not to be read now, or is being read."""
    for mark in (READER_WANTED, "d"):
        close(draft, draft.case(case.case_id), reason, mark)


def ladder_for(draft: Draft, case: Case) -> Ladder:
    """Return the ladder of the assigned reader's line; that in force for everybody when the line, or nobody, has one.

    Who comes on duty within the horizon is given cases already: the line that counts is then the one they come to.
    """
    rules, now, person_id = draft.rules, draft.now, case.reading.assigned_to
    if person_id is None or not rules.roster.ladders:
        return _of_kind(rules.ladder, case)
    within = Span(start=now, end=now + timedelta(seconds=rules.engine.horizon_s))
    lines = rules.lines
    places = {line_id: place for place, line_id in enumerate(lines)}

    def rank(shift: Shift) -> tuple[bool, datetime, bool, int]:
        line = lines[shift.line_id]
        is_elsewhere = bool(line.sites) and case.site_id not in line.sites
        return is_elsewhere, max(shift.span.start, now), line.kind is not LineKind.DUTY, places[shift.line_id]

    shifts = [shift for shift in rules.timeline.shifts_of(person_id, within) if shift.line_id in lines]
    own = None if not shifts else rules.roster.ladder_of(lines[min(shifts, key=rank).line_id])
    return _of_kind(own or rules.ladder, case)


def _of_kind(ladder: Ladder, case: Case) -> Ladder:
    return for_stroke(ladder) if case.exam is ExamKind.STROKE else ladder


def tell(draft: Draft, chain: Chain, happening: Happening) -> Chain:
    """Advance a chain and do what it asks."""
    after, actions = escalation.advance(chain, happening, draft.now)
    for action in actions:
        _do(draft, chain.subject.case_id, action)
    if after != chain or actions:
        draft.keep_chain(after)
    return after


def is_asked(draft: Draft, case: Case, person_id: PersonId) -> bool:
    """Tell whether a running chain of the case has paged somebody, in this step or an earlier one."""
    chains = [draft.chain(one.chain_id) for one in case.escalations if one.state in _ALIVE]
    return any(
        person_id in chain.paged_before or any(paged.person_id == person_id for paged in chain.paged)
        for chain in chains
        if chain is not None
    )


def close(draft: Draft, case: Case, reason: str, mark: str = READER_WANTED) -> None:
    """End the case's running chain of one kind, if there is one."""
    chain_id = running_chain(case, mark)
    chain = None if chain_id is None else draft.chain(chain_id)
    if chain is not None:
        tell(draft, chain, Closed(reason=reason))


def answered(draft: Draft, case: Case, person_id: PersonId) -> None:
    """Tell the chain that looks for a reader that somebody answered it."""
    chain_id = running_chain(case)
    chain = None if chain_id is None else draft.chain(chain_id)
    if chain is not None:
        acknowledge_chain(draft, chain, person_id)


def acknowledge_chain(draft: Draft, chain: Chain, person_id: PersonId) -> None:
    """Tell one chain that somebody answered it."""
    tell(draft, chain, Acknowledged(chain_id=chain.chain_id, person_id=person_id))


def declined(draft: Draft, case: Case, person_id: PersonId, mark: str = READER_WANTED) -> None:
    """Tell the running chain of one kind that somebody said no."""
    chain_id = running_chain(case, mark)
    chain = None if chain_id is None else draft.chain(chain_id)
    if chain is not None:
        found = Declined(chain_id=chain.chain_id, person_id=person_id, callees=callees_of(draft, case))
        tell(draft, chain, found)


def informed(draft: Draft, case: Case, person_id: PersonId) -> bool:
    """Tell the chain that looks for a reader that the hospital's neurologist knows; False for anybody else."""
    site = draft.rules.directory.sites.get(case.site_id)
    if site is None or person_id not in site.contacts.get(ContactDuty.NEUROLOGIST, ()):
        return False
    chain_id = running_chain(case)
    chain = None if chain_id is None else draft.chain(chain_id)
    if chain is not None:
        found = Informed(chain_id=chain.chain_id, person_id=person_id, callees=callees_of(draft, case))
        tell(draft, chain, found)
    return True


def failed(draft: Draft, chain: Chain, message_key: str, reason: str) -> None:
    """Tell a chain that a page did not go out, or that nobody knows."""
    case = draft.case(chain.subject.case_id)
    tell(draft, chain, PageFailed(message_key=message_key, reason=reason, callees=callees_of(draft, case)))


def raised(draft: Draft, case: Case) -> None:
    """Tell the case's chains how urgent it is now."""
    for chain_id in [one.chain_id for one in case.escalations if one.state in _ALIVE]:
        chain = draft.chain(chain_id)
        if chain is not None:
            tell(draft, chain, Raised(urgency=case.urgency))


def callees_of(draft: Draft, case: Case) -> Mapping[Target, tuple[Callee, ...]]:
    """Return whom each target of a ladder means for this case now, with the law asked about backups."""
    return _Callees(draft, case)


class _Callees(Mapping[Target, tuple[Callee, ...]]):
    """Callees, resolved when a step asks for them; the law only when backups are meant, because that costs most."""

    def __init__(self, draft: Draft, case: Case) -> None:
        self._draft = draft
        self._case = case
        self._found: dict[bool, Mapping[Target, tuple[Callee, ...]]] = {}

    def __getitem__(self, target: Target) -> tuple[Callee, ...]:
        is_law_asked = target is Target.BACKUP
        if is_law_asked not in self._found:
            self._found[is_law_asked] = _resolved(self._draft, self._case, is_law_asked=is_law_asked)
        return self._found[is_law_asked][target]

    def __iter__(self) -> Iterator[Target]:
        return iter(Target)

    def __len__(self) -> int:
        return len(Target)


def _resolved(draft: Draft, case: Case, *, is_law_asked: bool) -> Mapping[Target, tuple[Callee, ...]]:
    rules, now = draft.rules, draft.now
    lines = rules.lines
    on_duty = [(lines[shift.line_id], shift) for shift in rules.timeline.on_duty(now) if shift.line_id in lines]
    refusals = dict(draft.duty.unavailable)
    for line, shift in on_duty:
        if line.kind is LineKind.DUTY and _rests(draft, shift):
            refusals.setdefault(shift.person_id, "rests after a call")
        if line.kind is not LineKind.DUTY and refusals.get(shift.person_id) == SILENCE:
            # Of those at home or above, one silence is no reason not to ask about another case.
            del refusals[shift.person_id]
        if is_law_asked and line.kind is LineKind.BACKUP and shift.person_id not in draft.duty.backups:
            reason = refusal(shift.person_id, shift.line_id, now, rules, draft.duty)
            if reason:
                refusals.setdefault(shift.person_id, reason)
    assigned = case.reading.assigned_to
    # Who has the case is asked again, whatever was said of them: only an answer or the next step ends that.
    asked = {person_id: why for person_id, why in refusals.items() if person_id != assigned}
    return callees(
        rules.directory.sites[case.site_id],
        case.needs,
        rules.directory,
        on_duty,
        assigned=assigned,
        refusals=asked,
    )


def _rests(draft: Draft, shift: Shift) -> bool:
    until = resting_until(shift.person_id, shift.span, draft.rules, draft.duty)
    return until is not None and draft.now < until


def _do(draft: Draft, case_id: CaseId, action: Action) -> None:
    match action:
        case Record(fact=fact):
            draft.record(case_id, draft.stamped(fact))
        case CancelPages(chain_id=chain_id):
            draft.cancel_pages(chain_id)
        case Page():
            _page(draft, action)


def _page(draft: Draft, page: Page) -> None:
    directory = draft.rules.directory
    case = draft.case(page.subject.case_id)
    phone = ""
    kind = _loop_kind(page)
    if kind is not None and page.person_id in draft.rules.on(LineKind.COORDINATOR, draft.now):
        phone = phone_of_hospital(callees_of(draft, case), alarmed=page.person_id)
    elif kind is not None or page.kind is PageKind.HOSPITAL_ALARM:
        phone = phone_to_call(callees_of(draft, case), alarmed=page.person_id)
    draft.messages.append(
        page_message(
            page,
            directory.persons.get(page.person_id),
            directory.sites[case.site_id],
            draft.now,
            sender=draft.sender,
            deadline_at=case.images.deadline_at,
            phone=phone,
            kind=kind,
        )
    )


def _loop_kind(page: Page) -> LoopPageKind | None:
    """Return what a page about a loop of the hospital says; None for any other chain."""
    kinds = _LOOP_KINDS.get(page.chain_id.rpartition("/")[2][:1])
    if kinds is None:
        return None
    first, again, alarm = kinds
    if page.kind is PageKind.HOSPITAL_ALARM:
        return alarm
    return again if page.kind is PageKind.REPEATED else first


_LOOP_KINDS: Final = MappingProxyType(
    {
        LoopKind.CRITICAL.value: (
            LoopPageKind.CRITICAL,
            LoopPageKind.CRITICAL_AGAIN,
            LoopPageKind.CRITICAL_ALARM,
        ),
        LoopKind.DISCREPANCY.value: (
            LoopPageKind.DISCREPANCY,
            LoopPageKind.DISCREPANCY_AGAIN,
            LoopPageKind.DISCREPANCY_ALARM,
        ),
    }
)
