"""How a case begins, in the engine: with a request, with a patient who is announced, or with facts of somebody else.

For: requests that come for an announced patient or after their study. Not for: studies that no case has
(`oncall.engine.rematch`), or what a request must say (whoever takes it checks that).

Invariant: one request opens one case, however often it is said; a patient who was announced and comes is one case.
"""

from foundation.errors import Refused
from oncall.case import commands, matching
from oncall.case.commands import Context, NewRequest
from oncall.case.event import CaseId
from oncall.case.regions import RequestState
from oncall.case.state import Case
from oncall.engine import assigning, paging, rematch
from oncall.engine.draft import Draft


def open_case(draft: Draft, case_id: CaseId, request: NewRequest, context: Context) -> None:
    """Begin a case with a submitted request, or submit the announced case of this id; said again it changes nothing."""
    known = draft.known(case_id)
    if known is not None:
        if known.is_open and known.request.state is RequestState.DRAFTED:
            draft.record(case_id, *commands.submit(known, request, context))
            _more_urgent(draft, known)
        return
    draft.record(case_id, *commands.open_from_request(request, context))
    case = draft.case(case_id)
    announced = matching.pre_alert_of(case, draft.every_case())
    if announced is not None:
        both = matching.fulfil_pre_alert(announced, case, request, context)
        draft.record(case_id, *both.source)
        draft.record(announced.case_id, *both.target)
        _more_urgent(draft, announced)
        case_id = announced.case_id
    if not draft.case(case_id).images.studies:
        rematch.join_waiting_study(draft, case_id)


def open_pre_alert(draft: Draft, case_id: CaseId, announced: NewRequest, context: Context) -> None:
    """Begin a case with the announcement of a patient on the way; said again with news it says them.

    Raises
    ------
    Refused
        If the case is closed.
    """
    known = draft.known(case_id)
    if known is None:
        draft.record(case_id, *commands.open_from_pre_alert(announced, context))
        return
    if not known.is_open:
        raise Refused("the case is closed: announce the patient as a new one")
    if known.request.state is not RequestState.DRAFTED:
        return
    draft.record(case_id, *commands.announce_again(known, announced, context))
    _more_urgent(draft, known)


def say_again(draft: Draft, known: Case, request: NewRequest, context: Context) -> None:
    """Say to an open case what its request says now; what is more urgent by it is paged about.

    Raises
    ------
    Refused
        If the case is closed.
    """
    draft.record(known.case_id, *commands.submit(known, request, context))
    _more_urgent(draft, known)


def _more_urgent(draft: Draft, before: Case) -> None:
    case = draft.case(before.case_id)
    if case.urgency < before.urgency:
        paging.raised(draft, case)
    if case.is_ready and case.reading.claimed_by is None:
        assigning.assign(draft)
