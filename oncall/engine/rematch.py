"""A request that comes after its study joins the case that the study opened: that one keeps clock, reader and chains.

For: what follows, in the engine, from `oncall.case.matching`. Not for: deciding what matches.
"""

from typing import Final

from foundation import log
from oncall.case.commands_report import block_identity
from oncall.case.event import CaseId
from oncall.case.matching import Verdict, attach_request, decide_request
from oncall.engine import paging
from oncall.engine.draft import Draft

_REASON: Final = "the request came after its study"


def join_waiting_study(draft: Draft, case_id: CaseId) -> CaseId:
    """Let a request that has just opened a case join the study that waits for it, if that is beyond doubt.

    Returns
    -------
    CaseId
        The case that goes on: the study's, or the request's own.
    """
    case = draft.case(case_id)
    others = [one for one in draft.every_case() if one.case_id != case_id]
    decision = decide_request(case, others)
    if decision.verdict is Verdict.LINK and decision.case_id is not None:
        before = draft.case(decision.case_id)
        both = attach_request(before, case, draft.context, reason=_REASON)
        draft.record(case_id, *both.source)
        draft.record(before.case_id, *both.target)
        after = draft.case(before.case_id)
        if after.urgency < before.urgency:
            paging.raised(draft, after)
        return after.case_id
    if decision.verdict is Verdict.BLOCKED:
        draft.record(
            case_id, *block_identity(case, draft.context, reason="a study of another patient has its accession number")
        )
    if decision.candidates:
        log.info("study_match_proposed", count=len(decision.candidates))
    return case_id
