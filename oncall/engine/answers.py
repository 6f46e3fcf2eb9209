"""What people answer, within a decision: to pages, calls from home and notices; and news of messages that failed.

For: who takes a case by answering, who declines, whom that makes available. Not for: how an answer travels here
(`oncall.messages`), or what is due (`oncall.engine.due`).

Invariant: an answer ends the chain that asked, and no other; an answer that comes too late changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from foundation import log
from foundation.errors import Refused
from oncall.case import commands
from oncall.case.commands import Context
from oncall.case.event import Actor, CaseId
from oncall.case.regions import ReadingState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId
from oncall.engine import assigning, contact_tests, due, handovers, loops, notices, paging, requests
from oncall.engine.draft import Draft
from oncall.engine.duty import DutyType
from oncall.messages import MessageState, News, Settled

NO: Final = frozenset({"no", "declined", "not_coming"})
"""Answers to a message that are a no; any other is a yes."""


def reader(draft: Draft, person_id: PersonId) -> Context:
    """Return the context of what a reader does now."""
    return replace(draft.context, actor=Actor(who=person_id, role="reader"))


def acknowledge(draft: Draft, case_id: CaseId, person_id: PersonId, channel: str | None) -> None:
    """Somebody answers a page with yes; see `oncall.engine.engine.Engine.acknowledge`."""
    case = draft.required(case_id)
    is_back(draft, person_id)
    _call_if_backup(draft, person_id)
    may_take = _may_take(draft, case, person_id)
    if not may_take and not paging.is_asked(draft, case, person_id):
        raise Refused("nobody has asked this person, and they may not read the case; nothing has changed")
    if not may_take and paging.informed(draft, case, person_id):
        return
    if case.reading.state in _UNOPENED and may_take:
        case = assigning.give(draft, case, person_id, "answered")
        draft.record(case_id, *commands.acknowledge(case, person_id, reader(draft, person_id), channel=channel))
        # That it is late was said to find somebody: somebody is found.
        paging.close(draft, draft.case(case_id), "taken", "d")
    paging.answered(draft, draft.case(case_id), person_id)
    for mark in ("d", "t", requests.ANSWER_WANTED):
        _answer_other(draft, case_id, person_id, mark)
    loops.answered(draft, draft.case(case_id), person_id)


def decline(draft: Draft, case_id: CaseId, person_id: PersonId, reason: str) -> None:
    """Somebody answers a page with no: the next one is asked at once."""
    case = draft.required(case_id)
    if case.reading.assigned_to == person_id and case.reading.claimed_by is None:
        draft.record(case_id, *commands.decline(case, person_id, reader(draft, person_id), reason=reason))
    paging.declined(draft, draft.case(case_id), person_id)
    paging.declined(draft, draft.case(case_id), person_id, requests.ANSWER_WANTED)
    loops.declined(draft, draft.case(case_id), person_id)
    assigning.assign(draft)


def answer_backup(draft: Draft, person_id: PersonId, *, is_coming: bool) -> None:
    """A called backup says yes or no; after a no the next one is called at once."""
    if person_id not in draft.duty.backups:
        return
    notices.close(draft, f"{due.BACKUP}:{person_id}")
    if is_coming:
        draft.record_duty(draft.fact(DutyType.BACKUP_CONFIRMED, person_id=person_id))
        return
    draft.record_duty(draft.fact(DutyType.BACKUP_DECLINED, person_id=person_id, reason="declined"))
    due.call_next(draft)


def is_back(draft: Draft, person_id: PersonId) -> None:
    """Whoever does anything is there."""
    if person_id in draft.duty.unavailable:
        draft.record_duty(draft.fact(DutyType.READER_BACK, person_id=person_id))


def hear(draft: Draft, news: News) -> None:
    """Decide on what became of a message: failures go on by another method, answers are answers."""
    settled = news.settled
    if settled.chain_id.startswith(contact_tests.PREFIX):
        due.book(draft, contact_tests.hear(draft, settled))
        return
    if settled.case_id is None:
        _hear_notice(draft, settled)
        return
    if draft.find(settled.case_id) is None:
        return
    if settled.state is MessageState.ANSWERED:
        _hear_answer(draft, settled)
        return
    _note_message(draft, settled)
    chain = draft.chain(settled.chain_id) if settled.chain_id else None
    if settled.is_failure and chain is not None:
        paging.failed(draft, chain, settled.message_key, settled.reason or settled.state.value)


def _answer_other(draft: Draft, case_id: CaseId, person_id: PersonId, mark: str) -> None:
    chain_id = paging.running_chain(draft.case(case_id), mark)
    chain = None if chain_id is None else draft.chain(chain_id)
    if chain is not None and any(paged.person_id == person_id for paged in chain.paged):
        paging.acknowledge_chain(draft, chain, person_id)


def _may_take(draft: Draft, case: Case, person_id: PersonId) -> bool:
    if case.reading.assigned_to == person_id:
        return True
    try:
        assigning.ensure_may_open(draft, case, person_id)
    except assigning.NotEligible:
        return False
    return True


def _call_if_backup(draft: Draft, person_id: PersonId) -> None:
    """Somebody on a backup line who answers a page has been called by it."""
    for backup in assigning.board(draft, is_law_checked=True).backups:
        if backup.person_id == person_id and not backup.refusal:
            arrives_at = draft.now + timedelta(seconds=backup.arrival_s)
            due.call_backup(
                draft, person_id, backup.line_id, arrives_at, arrives_at + timedelta(seconds=backup.paid_s_min)
            )
            answer_backup(draft, person_id, is_coming=True)


def _hear_answer(draft: Draft, settled: Settled) -> None:
    assert settled.case_id is not None, "who asks about a case names it"
    try:
        if settled.reason in NO:
            decline(draft, settled.case_id, settled.person_id, "declined by message")
        else:
            acknowledge(draft, settled.case_id, settled.person_id, settled.channel.value)
    except Refused:
        # A late answer to pages that were taken back: the case is with somebody else, and the news behind it count.
        log.info("answer_too_late", reason=settled.channel.value)


def _hear_notice(draft: Draft, settled: Settled) -> None:
    if settled.state is not MessageState.ANSWERED:
        notice = notices.heard(draft, settled)
        if notice is not None:
            due.go_on(draft, notice, settled.reason or settled.state.value)
        return
    name = settled.chain_id.rpartition(":")[0]
    is_yes = settled.reason not in NO
    match name.partition(":")[0]:
        case due.BACKUP:
            answer_backup(draft, settled.person_id, is_coming=is_yes)
        case handovers.HANDOVER if is_yes:
            handovers.accept(draft, settled.person_id, "accepted")
        case handovers.HANDOVER:
            handovers.refuse(draft, settled.person_id)
        case handovers.ALARM:
            handovers.alarm_answered(draft, name, settled.person_id, is_yes=is_yes)


def _note_message(draft: Draft, settled: Settled) -> None:
    assert settled.case_id is not None, "a page is about a case"
    kind = _MESSAGE_FACTS.get(settled.state)
    if kind is not None:
        payload = {
            "person_id": settled.person_id,
            "channel": settled.channel.value,
            "message_key": settled.message_key,
            **({"reason": settled.reason or settled.state.value} if settled.is_failure else {}),
        }
        draft.record(settled.case_id, draft.fact(kind, **payload))


_UNOPENED: Final = frozenset({ReadingState.QUEUED, ReadingState.ASSIGNED, ReadingState.ACKNOWLEDGED})
_MESSAGE_FACTS: Final[Mapping[MessageState, EventType]] = MappingProxyType(
    {
        MessageState.SENT: EventType.PAGE_SENT,
        MessageState.DELIVERED: EventType.PAGE_DELIVERED,
        MessageState.FAILED: EventType.PAGE_FAILED,
        MessageState.UNKNOWN: EventType.PAGE_FAILED,
    }
)
