"""What follows, in the engine, when a study or a request goes to another case, or it is settled whose a case is.

For: moving a study, joining and parting requests, identities, studies that no case has. Not for: deciding what matches
(`oncall.case.matching`) or whom a case may be given to (`oncall.engine.assigning`).

Invariants: both cases change in one decision; T1, deadline and reader go with the images; whoever was asked about the
case that lost them is asked no more, whoever must read them is asked about the case that has them; a case that is left
with nothing to do is closed.
"""

from collections.abc import Sequence
from typing import Final

from foundation import log
from foundation.errors import Refused
from oncall.case import commands, commands_report, matching, unclaimed
from oncall.case.commands import Context, NewRequest
from oncall.case.completeness import due_images
from oncall.case.event import CaseId
from oncall.case.matching import Match, Verdict
from oncall.case.regions import IdentityState, ImagesState, ReadingState, ReportState, RequestState, StudyKey
from oncall.case.state import Case
from oncall.case.unclaimed import UnclaimedStudy
from oncall.case.vocabulary import EventType
from oncall.chain import Cause, Chain
from oncall.engine import assigning, paging
from oncall.engine.draft import Draft
from oncall.reading.board import Reader
from oncall.reading.eligibility import first_broken

_CAME_AFTER: Final = "the request came after its study"
_IDENTITY_SETTLED: Final = "its patient is known now"
_UNOPENED: Final = frozenset({ReadingState.QUEUED, ReadingState.ASSIGNED})


def move_study(
    draft: Draft, case_id: CaseId, study: StudyKey, to_case_id: CaseId, context: Context, *, reason: str,
    is_patient_settled: bool,
) -> None:  # fmt: skip
    """Move a study to the case that it belongs to; said again it changes nothing."""
    source, target = draft.required(case_id), draft.required(to_case_id)
    if study not in source.images.studies and study in target.images.studies:
        return
    both = matching.move_study(source, target, study, context, reason=reason, patient_settled=is_patient_settled)
    climbing = _chain_of(draft, source)
    draft.record(case_id, *both.source)
    draft.record(to_case_id, *both.target)
    _leave(draft, case_id, context)
    _arrive(draft, target, climbing)


def join_request(
    draft: Draft, study_case_id: CaseId, request_case_id: CaseId, context: Context, *, reason: str
) -> None:
    """Let a request join the case that has its study; said again it changes nothing."""
    study_case, request_case = draft.required(study_case_id), draft.required(request_case_id)
    if request_case.request.merged_into == study_case_id:
        return
    if not study_case.is_open or not request_case.is_open:
        raise Refused("one of the two cases is closed: reopen it, or look up what it was merged into")
    if request_case.request.state is RequestState.DRAFTED:
        raise Refused("that is no request yet, only an announcement or a draft: submit it first")
    _join(draft, study_case, request_case, context, reason)


def part_request(
    draft: Draft, study_case_id: CaseId, request_case_id: CaseId, context: Context, *, reason: str
) -> None:
    """Undo `join_request`: both are cases of their own again; a patient who came with the request goes with it."""
    study_case, request_case = draft.required(study_case_id), draft.required(request_case_id)
    former = _former_patient_key(draft, study_case, request_case)
    both = matching.detach_request(study_case, request_case, context, reason=reason, former_patient_key=former)
    draft.record(request_case_id, *both.source)
    draft.record(study_case_id, *both.target)


def settle_identity(draft: Draft, case_id: CaseId, patient_key: str, context: Context, *, reason: str) -> None:
    """Say whose case it is; what the right patient makes certain is joined at once."""
    case = draft.required(case_id)
    draft.record(case_id, *commands_report.correct_identity(case, context, patient_key=patient_key, reason=reason))
    look_again(draft, case_id)


def qualify_identity(draft: Draft, case_id: CaseId, patient_key: str, context: Context, *, method: str) -> None:
    """Record that somebody proved whose case it is; what the right patient makes certain is joined at once."""
    case = draft.required(case_id)
    draft.record(case_id, *commands_report.qualify_identity(case, context, patient_key=patient_key, method=method))
    look_again(draft, case_id)


def join_waiting_study(draft: Draft, case_id: CaseId) -> CaseId:
    """Let a request join the study that came before it, if that is beyond doubt; one that no case has comes to it.

    Returns
    -------
    CaseId
        The case that goes on: the study's, or the request's own.
    """
    case = draft.case(case_id)
    others = [one for one in draft.every_case() if one.case_id != case_id]
    waiting = draft.unclaimed()
    decision = matching.decide_request(case, others, [one.facts for one in waiting])
    if decision.verdict is Verdict.LINK and decision.case_id is not None:
        if decision.case_id != case_id:
            _join(draft, draft.case(decision.case_id), case, draft.context, _CAME_AFTER)
            return decision.case_id
        # The first to come is the first to be counted.
        taken = [one for one in reversed(waiting) if one.study in decision.studies and _is_only_its(draft, one, case)]
        draft.saw_unclaimed(*taken)
        for one in taken:
            _take(draft, case_id, one, draft.context, _CAME_AFTER)
        return case_id
    if decision.verdict is Verdict.BLOCKED:
        reason = "a study of another patient has its accession number"
        draft.record(case_id, *commands_report.block_identity(case, draft.context, reason=reason))
    if decision.candidates:
        log.info("study_match_proposed", count=len(decision.candidates))
    return case_id


def goes_on(draft: Draft, case_id: CaseId) -> CaseId:
    """Return the case in which a case goes on: itself, unless it was merged into another one."""
    case = draft.required(case_id)
    while not case.is_open and case.request.merged_into:
        case = draft.required(CaseId(case.request.merged_into))
    return case.case_id


def link_study(draft: Draft, case_id: CaseId, study: StudyKey, context: Context, *, reason: str) -> None:
    """Give a study that no case has to a case; said again it changes nothing."""
    case = draft.required(case_id)
    if study in case.images.studies:
        return
    if not case.is_open or case.report.state is ReportState.SIGNED:
        raise Refused(
            "nobody would read the images there: reopen the case, retract its report, or open a case for them"
        )
    found = draft.find_unclaimed(study)
    if found.patient_key and case.identity.state in _SURE and found.patient_key != case.patient_key:
        raise Refused("the study is of another patient than the case: settle the identity first")
    _take(draft, case_id, found, context, reason)


def open_for_study(draft: Draft, case_id: CaseId, study: StudyKey, request: NewRequest, context: Context) -> None:
    """Begin a case with a study that a person calls an emergency; its hour runs from when its images came."""
    draft.record(case_id, *unclaimed.open_for(draft.find_unclaimed(study), request, context))
    _complete_if_due(draft, case_id)


def candidates(draft: Draft, case_id: CaseId) -> Sequence[Match]:
    """Return what a case may belong together with, for a person to decide."""
    return matching.candidates_of(draft.required(case_id), draft.every_case(), [one.facts for one in draft.unclaimed()])


_SURE: Final = frozenset({IdentityState.KNOWN, IdentityState.QUALIFIED})


def _chain_of(draft: Draft, case: Case) -> Chain | None:
    chain_id = paging.running_chain(case)
    return None if chain_id is None else draft.chain(chain_id)


def _leave(draft: Draft, case_id: CaseId, context: Context) -> None:
    """See to the case that a study has left."""
    case = draft.case(case_id)
    if not case.is_ready:
        paging.end_for_readers(draft, case, "study_moved")
    if case.images.state is ImagesState.NONE:
        paging.close(draft, draft.case(case_id), "study_moved", "t")
    # Nobody asked for it and nothing is left of it: what it was opened for is in the other case.
    is_empty = case.request.state is RequestState.UNANNOUNCED and not case.images.studies and not case.report.versions
    if case.is_open and is_empty and not case.criticals:
        draft.record(case_id, *commands.close(draft.case(case_id), context, reason="its study is in another case"))


def _arrive(draft: Draft, before: Case, climbing: Chain | None) -> None:
    """See to the case that a study has come to: its reader is asked about this case, or it is given to somebody."""
    case = draft.case(before.case_id)
    reader = case.reading.assigned_to
    is_carried = reader is not None and before.reading.assigned_to is None
    if is_carried and case.is_ready and not _may_read(draft, case):
        reason = "may not read the case that the study belongs to"
        draft.record(case.case_id, *commands.revoke(case, draft.context, reason=reason))
        case = draft.case(case.case_id)
    if case.is_ready and case.reading.state in _UNOPENED and paging.running_chain(case) is None:
        if climbing is not None and climbing.position > 0:
            # Others were being asked already: the ladder is not begun again.
            paging.carry(draft, case, climbing)
        elif case.reading.state is ReadingState.ASSIGNED:
            paging.begin(draft, case, Cause.ASSIGNED)
    _give(draft, case.case_id)


def _may_read(draft: Draft, case: Case) -> bool:
    """Tell whether the reader that came with a study may have it as this case: licence, competence, no refusal."""
    policy = draft.rules.reading
    ready, person_id = case.ready_case(policy.expected_s(case.exam)), case.reading.assigned_to
    assert ready is not None, "asked of what is to be read"
    assert person_id is not None, "asked of what somebody has"
    reader = Reader(person_id=person_id, on_duty_from_s=0.0, off_duty_at_s=ready.deadline_at_s)
    return first_broken(ready, reader, draft.rules.directory, policy) is None


def _join(draft: Draft, study_case: Case, request_case: Case, context: Context, reason: str) -> None:
    both = matching.attach_request(study_case, request_case, context, reason=reason)
    draft.record(request_case.case_id, *both.source)
    draft.record(study_case.case_id, *both.target)
    after = draft.case(study_case.case_id)
    if after.urgency < study_case.urgency:
        paging.raised(draft, after)
    if (after.urgency, after.exam, after.needs) != (study_case.urgency, study_case.exam, study_case.needs):
        _give(draft, after.case_id)


def _former_patient_key(draft: Draft, study_case: Case, request_case: Case) -> str | None:
    """Return the key that a study's case had before this request named its patient; None when it did not."""
    is_joined = False
    former: str | None = None
    for event in draft.log_of(study_case.case_id):
        payload = event.fact.payload
        if event.type == EventType.REQUEST_MATCHED:
            is_joined = payload["from_case_id"] == request_case.case_id
            former = None if is_joined else former
        elif event.type == EventType.IDENTITY_CORRECTED and is_joined:
            former = payload.get("former_patient_key", "")
            is_joined = False
        else:
            is_joined = False
    return former


def look_again(draft: Draft, case_id: CaseId) -> None:
    """Join what the patient that is known now makes certain, from whichever side."""
    case = draft.case(case_id)
    if matching.is_waiting(case):
        join_waiting_study(draft, case_id)
        return
    if not case.is_open or case.request.state is not RequestState.UNANNOUNCED:
        return
    rows = [one.facts for one in draft.unclaimed()]
    for request in sorted(
        filter(matching.is_waiting, draft.every_case()), key=lambda one: (one.opened_at, one.case_id)
    ):
        others = [one for one in draft.every_case() if one.case_id != request.case_id]
        decision = matching.decide_request(request, others, rows)
        if decision.verdict is Verdict.LINK and decision.case_id == case_id:
            _join(draft, draft.case(case_id), request, draft.context, _IDENTITY_SETTLED)
            return


def _is_only_its(draft: Draft, study: UnclaimedStudy, case: Case) -> bool:
    """Tell whether a study, asked from its own side, belongs to this case and no other."""
    decision = matching.decide_match(study.facts, draft.every_case())
    return decision.verdict is Verdict.LINK and decision.case_id == case.case_id


def _take(draft: Draft, case_id: CaseId, found: UnclaimedStudy, context: Context, reason: str) -> None:
    draft.record(case_id, *unclaimed.take(draft.case(case_id), found, context, reason=reason))
    _complete_if_due(draft, case_id)


def _complete_if_due(draft: Draft, case_id: CaseId) -> None:
    draft.record(case_id, *due_images(draft.case(case_id), draft.rules.intake, draft.now))
    _give(draft, case_id)


def _give(draft: Draft, case_id: CaseId) -> None:
    case = draft.case(case_id)
    if case.is_ready and case.reading.claimed_by is None:
        assigning.assign(draft)
