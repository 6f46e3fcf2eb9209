"""A request that waits for its answer: a reader on duty is found and paged until somebody has answered it.

So does a radiographer's question about the protocol: the patient lies on the table.

For: when that chain of pages begins, and when it ends. Not for: who is asked in which order (the ladder of purpose
``request``), or the answers themselves (a protocol, a refusal, a question; `oncall.case.commands`).

Invariants: a request that nobody has answered has a running chain, or somebody who said that they would answer it; who
said so and has not when the answer is overdue (C1) is not waited for any longer. Images that are complete want a reader
and no answer: the chain ends.
"""

from datetime import datetime
from typing import Final

from oncall.case.regions import RequestState
from oncall.case.state import Case
from oncall.chain import Cause
from oncall.engine import paging
from oncall.engine.draft import Draft
from oncall.ladder import Purpose

ANSWER_WANTED: Final = "q"
"""Marks the chain that looks for somebody to answer a request."""


def is_unanswered(case: Case) -> bool:
    """Say whether a request waits for an answer that still matters."""
    is_waiting = case.request.state is RequestState.SUBMITTED or case.protocol.open_questions > 0
    return case.is_open and is_waiting and case.images.complete_at is None


def follow(draft: Draft) -> None:
    """Begin and end the chains of the cases that this decision touched."""
    if not draft.rules.engine.is_request_paged:
        return
    for case_id in list(draft.cases):
        case = draft.case(case_id)
        is_running = paging.running_chain(case, ANSWER_WANTED) is not None
        if is_unanswered(case):
            if not is_running and not _is_taken(case):
                _begin(draft, case, Cause.ASSIGNED)
        elif is_running:
            paging.close(draft, case, "answered", ANSWER_WANTED)


def overdue(draft: Draft, case: Case) -> None:
    """The answer is overdue: whoever said that they would give it has not, and is asked again with the others."""
    is_running = paging.running_chain(case, ANSWER_WANTED) is not None
    if draft.rules.engine.is_request_paged and is_unanswered(case) and not is_running:
        _begin(draft, case, Cause.DEADLINE_MISSED)


def _begin(draft: Draft, case: Case, cause: Cause) -> None:
    paging.begin(draft, case, cause, mark=ANSWER_WANTED, ladder=draft.rules.ladder_for(Purpose.REQUEST))


def _is_taken(case: Case) -> bool:
    """Say whether somebody was found since the request was last said; a question answered is a request said anew."""
    since = max(filter(None, (case.request.resumed_at, case.protocol.questioned_at)), default=None)
    since = since or case.request.submitted_at
    prefix = f"{case.case_id}/{ANSWER_WANTED}"
    begun: list[datetime] = [one.started_at for one in case.escalations if one.chain_id.startswith(prefix)]
    return since is not None and any(at >= since for at in begun)
