"""A reader opens a case, within a decision: the rules are asked, it becomes theirs, its pages end."""

from oncall.case import commands
from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.engine import answers, assigning, handovers, paging
from oncall.engine.draft import Draft


def claim(draft: Draft, case_id: CaseId, person_id: PersonId, transaction_uid: str) -> None:
    """Lock a case for a reader, on whosever list it was; see `oncall.engine.engine.Engine.claim`."""
    case = draft.required(case_id)
    if case.reading.claimed_by != person_id:
        assigning.ensure_may_open(draft, case, person_id)
        if case.reading.claimed_by is None:
            case = assigning.give(draft, case, person_id, "opened")
    answers.is_back(draft, person_id)
    handovers.opened(draft, person_id)
    context = answers.reader(draft, person_id)
    draft.record(case_id, *commands.claim(case, person_id, context, transaction_uid=transaction_uid))
    paging.end_for_readers(draft, case, "opened")
