"""Which request a study belongs to, and moving either to another case without losing the clock or the assignment.

Scoring is a pure function of what both sides say: accession number, patient within the issuing hospital, site,
modality, time. Only a match beyond doubt is linked by itself: the accession number with nothing against it, or the
same patient with one candidate only. Everything else is proposed to a person. A patient that differs is never
overruled by an equal accession number: the match is `Verdict.BLOCKED` (invariant: the same ID in two hospitals is two
patients).

Who keeps what
--------------
* The case that has the study keeps T1, deadline, target and assignment; the request joins it (`attach_request`), and
  the request's own case ends as merged into it.
* The case of an announced patient (pre-alert) becomes that of the request which comes for them (`fulfil_pre_alert`).
* A study that moves to another case takes T1, deadline and assignment along (`move_study`), unless that case has a
  deadline of its own: that one never moves.

References
----------
Domain reference, sections 1.5 (identity), 4.3 (deadline rule) and 4.4.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from foundation.errors import Refused
from foundation.instants import microseconds, microseconds_or_none
from oncall.case.commands import Context, Facts, NewRequest, assign, possible, submit
from oncall.case.event import CaseId, Fact
from oncall.case.regions import IdentityState, ImagesState, ReadingState, ReportState, RequestState, StudyKey
from oncall.case.state import Case, rehearse
from oncall.case.vocabulary import EventType as E
from oncall.directory import SiteId

# A study is taken for that of a request only if it begins within this time of when the request was made or expected.
WINDOW: Final = timedelta(hours=6)
# A study may be a little older than its request: in an emergency the paper comes after the patient.
BEFORE: Final = timedelta(hours=2)

CARRIED: Final = "carried"
"""The ``channel`` of a protocol that came with its request to another case: nobody is told of it again."""


class Evidence(StrEnum):
    """What speaks for or against a match; each has a weight in `WEIGHTS`."""

    SAME_ACCESSION = "same_accession"
    SAME_PATIENT = "same_patient"
    SAME_SITE = "same_site"
    SAME_MODALITY = "same_modality"
    NEAR_IN_TIME = "near_in_time"
    UNIDENTIFIED_PATIENT = "unidentified_patient"
    OTHER_ACCESSION = "other_accession"
    OTHER_PATIENT = "other_patient"
    OTHER_SITE = "other_site"
    OTHER_MODALITY = "other_modality"
    FAR_IN_TIME = "far_in_time"


WEIGHTS: Final[Mapping[Evidence, int]] = MappingProxyType(
    {
        Evidence.SAME_ACCESSION: 60,
        Evidence.SAME_PATIENT: 40,
        Evidence.SAME_SITE: 10,
        Evidence.SAME_MODALITY: 10,
        Evidence.NEAR_IN_TIME: 10,
        # Neither for nor against: an unidentified trauma patient is matched by place, machine and time, by a person.
        Evidence.UNIDENTIFIED_PATIENT: 0,
        Evidence.OTHER_ACCESSION: -40,
        Evidence.OTHER_PATIENT: -100,
        Evidence.OTHER_SITE: -40,
        Evidence.OTHER_MODALITY: -20,
        Evidence.FAR_IN_TIME: -30,
    }
)

# Below this nobody is asked.
PROPOSED_MIN: Final = 20


class Verdict(StrEnum):
    """What to do about a study and the requests that wait for one."""

    LINK = "link"
    PROPOSE = "propose"
    BLOCKED = "blocked"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFacts:
    """What is known of a study that arrived; empty texts are not known. ``patient_key`` is opaque."""

    study: StudyKey
    site_id: SiteId | None
    begun_at: datetime
    modalities: frozenset[str] = frozenset()
    accession_number: str = ""
    patient_key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """One case that a study may belong to, its score and why.

    Asked from the side of a request, ``case_id`` is the case that has the study; ``study`` is set for a study that no
    case has, and ``case_id`` is then the request's own.
    """

    case_id: CaseId
    score: int
    evidence: tuple[Evidence, ...]
    study: StudyKey | None = None

    @property
    def is_beyond_doubt(self) -> bool:
        """The accession number says so and nothing speaks against it, or patient, place, machine and time all do."""
        speaks = frozenset(self.evidence)
        is_undisputed = all(WEIGHTS[one] >= 0 for one in speaks)
        return is_undisputed and (Evidence.SAME_ACCESSION in speaks or speaks >= _AS_GOOD_AS_AN_ACCESSION)


_AS_GOOD_AS_AN_ACCESSION: Final = frozenset(
    {Evidence.SAME_PATIENT, Evidence.SAME_SITE, Evidence.SAME_MODALITY, Evidence.NEAR_IN_TIME}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The verdict, the case it is about (LINK, BLOCKED), and every candidate, best first.

    ``studies`` are those of no case that belong to it beyond doubt, when the verdict is LINK.
    """

    verdict: Verdict
    case_id: CaseId | None = None
    candidates: tuple[Match, ...] = ()
    studies: tuple[StudyKey, ...] = ()


_WAITING: Final = frozenset(
    {RequestState.DRAFTED, RequestState.SUBMITTED, RequestState.CLARIFYING, RequestState.ANSWERED}
)


def may_take(case: Case, study: StudyFacts) -> bool:
    """Tell whether the case is one that the study may belong to.

    A case that has its images, or that no request opened, takes a further study by its accession number only: the same
    patient may well have another exam of the same kind in the same night.
    """
    if not case.is_open:
        return False
    if case.request.state in _WAITING and case.images.state is not ImagesState.COMPLETE:
        return True
    return bool(study.accession_number) and study.accession_number == case.request.accession_number


def decide_match(study: StudyFacts, cases: Iterable[Case]) -> Decision:
    """Return which case the study belongs to, if any; pure, and independent of the order of `cases`."""
    return _decision([score(study, case) for case in cases if may_take(case, study)])


def _decision(matches: Iterable[Match]) -> Decision:
    matches = sorted(matches, key=lambda match: (-match.score, match.case_id, match.study or ()))
    blocked = [
        match for match in matches if {Evidence.SAME_ACCESSION, Evidence.OTHER_PATIENT} <= frozenset(match.evidence)
    ]
    sure = [match for match in matches if match.is_beyond_doubt]
    candidates = tuple(match for match in matches if match.score >= PROPOSED_MIN)
    by_accession = [match for match in sure if Evidence.SAME_ACCESSION in match.evidence]
    # Several studies of one accession number that no case has are the request's, all of them.
    if len({match.case_id for match in by_accession}) == 1:
        return _linked(by_accession, candidates)
    if blocked:
        return Decision(verdict=Verdict.BLOCKED, case_id=blocked[0].case_id, candidates=candidates)
    if len(sure) == 1 and not by_accession:
        return _linked(sure, candidates)
    return Decision(verdict=Verdict.PROPOSE if candidates else Verdict.NONE, candidates=candidates)


def _linked(sure: Sequence[Match], candidates: tuple[Match, ...]) -> Decision:
    studies = tuple(match.study for match in sure if match.study is not None)
    return Decision(verdict=Verdict.LINK, case_id=sure[0].case_id, candidates=candidates, studies=studies)


def decide_request(request_case: Case, cases: Iterable[Case], unclaimed: Iterable[StudyFacts] = ()) -> Decision:
    """Return which study that came before it a request belongs to: one that opened a case, or one that no case has.

    The match is scored from the study's side, so that it comes out the same whichever of the two was first.
    """
    matches = []
    for case in cases:
        if case.is_open and case.request.state is RequestState.UNANNOUNCED and case.images.studies:
            match = score(_study_facts(case), request_case)
            matches.append(replace(match, case_id=case.case_id))
    matches += [replace(score(study, request_case), study=study.study) for study in unclaimed]
    return _decision(matches)


def candidates_of(case: Case, cases: Iterable[Case], unclaimed: Iterable[StudyFacts] = ()) -> tuple[Match, ...]:
    """Return what a case may belong together with, best first, for a person to decide: `Match.case_id` is the other.

    A request that waits is shown studies, an unannounced study the requests that wait; any other case nothing.
    """
    others = [one for one in cases if one.case_id != case.case_id]
    if is_waiting(case):
        return decide_request(case, others, unclaimed).candidates
    if case.request.state is not RequestState.UNANNOUNCED or not case.images.studies or not case.is_open:
        return ()
    return _decision([score(_study_facts(case), one) for one in others if is_waiting(one)]).candidates


def is_waiting(case: Case) -> bool:
    """Tell whether the case is a request that was made and has no images yet; an announced patient's is none."""
    is_made = case.request.state in _WAITING and case.request.state is not RequestState.DRAFTED
    return case.is_open and is_made and not case.images.studies


PRE_ALERT_WITHIN: Final = timedelta(hours=2)
"""How far from the announced time a request may come and still be that of the patient who was announced."""


def pre_alert_of(request_case: Case, cases: Iterable[Case]) -> Case | None:
    """Return the announced case that a request is for: same hospital and exam, near in time, and the only one such."""
    request = request_case.request
    asked = request.expected_at or request.submitted_at or request_case.opened_at
    found = [
        case
        for case in cases
        if case.is_open
        and case.request.state is RequestState.DRAFTED
        and case.request.pre_alert_at is not None
        and (case.site_id, case.exam) == (request_case.site_id, request_case.exam)
        and abs(asked - (case.request.expected_at or case.opened_at)) <= PRE_ALERT_WITHIN
        and not (case.patient_key and request_case.patient_key and case.patient_key != request_case.patient_key)
    ]
    return found[0] if len(found) == 1 else None


def _study_facts(case: Case) -> StudyFacts:
    request = case.request
    return StudyFacts(
        study=case.images.studies[0],
        site_id=case.site_id,
        begun_at=case.images.first_at or case.opened_at,
        modalities=frozenset({request.modality} - {""}),
        accession_number=request.accession_number,
        patient_key=case.patient_key,
    )


def score(study: StudyFacts, case: Case) -> Match:
    """Return how well a study fits a case, and why."""
    request = case.request
    evidence: list[Evidence] = []
    if study.accession_number and request.accession_number:
        is_same = study.accession_number == request.accession_number
        evidence.append(Evidence.SAME_ACCESSION if is_same else Evidence.OTHER_ACCESSION)
    if study.patient_key and case.patient_key and case.identity.state is not IdentityState.PROVISIONAL:
        is_same = study.patient_key in {case.patient_key, *case.identity.former_patient_keys}
        evidence.append(Evidence.SAME_PATIENT if is_same else Evidence.OTHER_PATIENT)
    elif study.patient_key and study.patient_key == case.patient_key:
        evidence.append(Evidence.SAME_PATIENT)
    else:
        evidence.append(Evidence.UNIDENTIFIED_PATIENT)
    if study.site_id is not None:
        evidence.append(Evidence.SAME_SITE if study.site_id == case.site_id else Evidence.OTHER_SITE)
    if study.modalities and request.modality:
        is_same = request.modality in study.modalities
        evidence.append(Evidence.SAME_MODALITY if is_same else Evidence.OTHER_MODALITY)
    asked = request.expected_at or request.submitted_at or case.opened_at
    is_near = asked - BEFORE <= study.begun_at <= asked + WINDOW
    evidence.append(Evidence.NEAR_IN_TIME if is_near else Evidence.FAR_IN_TIME)
    return Match(case_id=case.case_id, score=sum(WEIGHTS[one] for one in evidence), evidence=tuple(evidence))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rematch:
    """Facts for two cases, to be appended in one transaction."""

    source: Facts
    target: Facts


def attach_request(study_case: Case, request_case: Case, context: Context, *, reason: str) -> Rematch:
    """Let a request join the case that has the study: that one keeps clock, deadline and assignment.

    Returns
    -------
    Rematch
        ``source`` is for the request's case, which ends as merged; ``target`` for the study's case.

    Raises
    ------
    Refused
        If the request's case has images of its own, or both know the patient and know another one.
    """
    if request_case.images.studies:
        raise Refused("the request's case has images of its own: move the study to it instead")
    _refuse_other_patient(study_case, request_case)
    request, protocol = request_case.request, request_case.protocol
    joined: list[Fact] = [
        context.fact(
            E.REQUEST_MATCHED,
            from_case_id=request_case.case_id,
            reason=reason,
            exam=request_case.exam.value,
            # Matching may make a case more urgent, never less: that takes a triage by name.
            urgency=int(min(request_case.urgency, study_case.urgency)),
            needs=request_case.needs.value,
            submitted_at_us=microseconds_or_none(request.submitted_at),
            answered_at_us=microseconds_or_none(request.answered_at),
            onset_at_us=microseconds_or_none(request.onset_at),
            request_id=request.request_id or None,
            placer_order_number=request.placer_order_number or None,
            accession_number=request.accession_number or None,
            requester=request.requester or None,
            modality=request.modality or None,
            protocol_author=protocol.author,
        )
    ]
    if request_case.patient_key and study_case.patient_key != request_case.patient_key:
        joined.append(_corrected(context, request_case.patient_key, study_case.patient_key, reason))
    if study_case.protocol.sent_at is None:
        joined += _carried(request_case, context)
    merged = context.fact(E.REQUEST_DUPLICATE_MERGED, into_case_id=study_case.case_id, reason=reason)
    return Rematch(
        source=possible(request_case, merged, context.fact(E.CASE_CLOSED)), target=possible(study_case, *joined)
    )


def _carried(request_case: Case, context: Context) -> list[Fact]:
    """Return the request's protocol for the case that it joins: what is compared with the images is what was asked."""
    protocol = request_case.protocol
    if protocol.sent_at is None or not protocol.said:
        return []
    said = {key: value for key, value in protocol.said.items() if key != "reason"}
    found = [context.fact(E.PROTOCOL_SENT, **{**said, "channel": CARRIED})]
    if protocol.acknowledged_at is not None:
        acknowledged = {"version": protocol.version, "radiographer": protocol.acknowledged_by}
        found.append(context.fact(E.PROTOCOL_ACKNOWLEDGED, **acknowledged))
    return found


def fulfil_pre_alert(announced: Case, request_case: Case, request: NewRequest, context: Context) -> Rematch:
    """Let an announced case become that of the request that came; the request's own case ends as merged into it."""
    merged = context.fact(
        E.REQUEST_DUPLICATE_MERGED, into_case_id=announced.case_id, reason="the patient was announced before"
    )
    return Rematch(
        source=possible(request_case, merged, context.fact(E.CASE_CLOSED)), target=submit(announced, request, context)
    )


def detach_request(
    study_case: Case, request_case: Case, context: Context, *, reason: str, former_patient_key: str | None = None
) -> Rematch:
    """Undo `attach_request`: the study's case goes on unannounced with its clock; the request's case waits again.

    Parameters
    ----------
    former_patient_key : str or None
        The key that the study's case had if it took its patient from the request ('' for none): it has that one again,
        for its patient is then not known any more. None when the patient did not come from the request.

    Raises
    ------
    Refused
        If the request is not joined to this case.
    """
    is_joined = request_case.case_id in study_case.request.matched_from
    if not is_joined or request_case.request.merged_into != study_case.case_id:
        raise Refused("this request is not joined to that case: look up what it was merged into")
    parted = [context.fact(E.REQUEST_UNMATCHED, from_case_id=request_case.case_id, reason=reason)]
    is_still_its = study_case.identity.state is IdentityState.KNOWN
    if former_patient_key is not None and is_still_its and study_case.patient_key == request_case.patient_key:
        parted.append(context.fact(E.IDENTITY_PROVISIONAL, patient_key=former_patient_key, reason=reason))
    reopened = context.fact(E.CASE_REOPENED, reason=reason)
    return Rematch(source=possible(request_case, reopened), target=possible(study_case, *parted))


def move_study(
    source: Case, target: Case, study: StudyKey, context: Context, *, reason: str, patient_settled: bool = False
) -> Rematch:
    """Move a study to the case that it belongs to, with T1, deadline and assignment.

    Parameters
    ----------
    patient_settled : bool
        True when a person has settled whose study it is although the cases know different patients.

    Raises
    ------
    Refused
        If the study is not the source's, a signed report of either stands in its way, the target is closed, or the
        patients differ.
    """
    if source.case_id == target.case_id:
        raise Refused("the study is in this case: name another one")
    if study not in source.images.studies:
        raise Refused("that study is not linked to this case: look up where it is")
    if source.report.state is ReportState.SIGNED:
        raise Refused("the case has a signed report: retract it before its images go to another case")
    if not target.is_open:
        raise Refused("the other case is closed, nobody would read the images there: reopen it or choose another one")
    if target.report.state is ReportState.SIGNED:
        raise Refused("the other case has a signed report, nobody would read the images there: retract it, or open one")
    if not patient_settled:
        _refuse_other_patient(source, target)
    is_last = len(source.images.studies) == 1
    left = context.fact(
        E.IMAGES_LAST_UNLINKED if is_last else E.IMAGES_UNLINKED,
        issuer=study.issuer,
        study_instance_uid=study.study_instance_uid,
        reason=reason,
        to_case_id=target.case_id,
    )
    # Its images came when they came, not when somebody moved them: a new T1 is reckoned from then.
    linked = _as_of(context, source.images.latest_at).fact(
        E.IMAGES_LINKED,
        issuer=study.issuer,
        study_instance_uid=study.study_instance_uid,
        # What is counted with a study of several is not told apart; the newest event is, so that nothing counts twice.
        received=source.images.received if is_last else None,
        outbox_event_id=source.images.told_by(study) or None,
        from_case_id=source.case_id,
        reason=reason,
    )
    taken = [linked]
    if patient_settled and source.patient_key and target.patient_key not in {"", source.patient_key}:
        settled = {"patient_key": target.patient_key, "former_patient_key": source.patient_key, "reason": reason}
        taken.append(context.fact(E.IDENTITY_CORRECTED, **settled))
    if source.images.state is ImagesState.COMPLETE and target.images.state is not ImagesState.COMPLETE:
        taken.append(_carried_clock(source, target, context))
    elif target.images.state is ImagesState.NONE:
        taken.append(_still_arriving(source, study, context, is_last=is_last))
    after = rehearse(target, taken)
    reader = source.reading.assigned_to
    is_reader_free = reader is not None and is_last and after.reading.state is ReadingState.QUEUED
    if reader is not None and is_reader_free:
        taken += _carried_assignment(source, after, context, reason)
    return Rematch(source=possible(source, left), target=possible(target, *taken))


def _still_arriving(source: Case, study: StudyKey, context: Context, *, is_last: bool) -> Fact:
    """Go on waiting for the rest of a study: without it nothing would ever complete it in its new case."""
    return _as_of(context, source.images.latest_at).fact(
        E.IMAGES_FIRST_INSTANCE,
        issuer=study.issuer,
        study_instance_uid=study.study_instance_uid,
        received=0,
        expected=source.images.expected if is_last else None,
    )


def _carried_clock(source: Case, target: Case, context: Context) -> Fact:
    images = source.images
    deadline = target.images.deadline_at or images.deadline_at
    assert images.complete_at is not None, "complete images have a T1"
    assert deadline is not None, "complete images have a deadline"
    return Fact(
        type=E.IMAGES_COMPLETE,
        occurred_at=images.complete_at,
        actor=context.actor,
        payload={
            "rule": images.rule,
            **({"confidence": images.confidence} if images.confidence else {}),
            "deadline_at_us": microseconds(deadline),
            **({} if images.target_at is None else {"target_at_us": microseconds(min(images.target_at, deadline))}),
            "carried_from_case_id": source.case_id,
        },
        policy_version=images.deadline_policy,
        roster_version=context.roster_version,
        correlation_id=context.correlation_id,
    )


def _carried_assignment(source: Case, target: Case, context: Context, reason: str) -> Sequence[Fact]:
    """Give the moved study to whoever had it, as assigned and, where so, acknowledged at the same instants.

    A claim is not carried: its work item was of the other case. Its reader opens the case again.
    """
    reading = source.reading
    assert reading.assigned_to is not None, "only an assignment can be carried"
    facts = list(assign(target, reading.assigned_to, _as_of(context, reading.assigned_at), reason=reason))
    if reading.acknowledged_at is not None:
        facts.append(
            _as_of(context, reading.acknowledged_at).fact(E.ASSIGN_ACKNOWLEDGED, person_id=reading.assigned_to)
        )
    return facts


def _as_of(context: Context, at: datetime | None) -> Context:
    changes: dict[str, Any] = {name: getattr(context, name) for name in context.__slots__}
    return Context(**{**changes, "happened_at": at})


def _refuse_other_patient(one: Case, other: Case) -> None:
    sure = {IdentityState.KNOWN, IdentityState.QUALIFIED}
    if (
        one.identity.state in sure
        and other.identity.state in sure
        and one.patient_key != other.patient_key
        and one.patient_key not in other.identity.former_patient_keys
        and other.patient_key not in one.identity.former_patient_keys
    ):
        raise Refused("the two cases are of different patients: settle the identity first")


def _corrected(context: Context, patient_key: str, former: str, reason: str) -> Fact:
    return context.fact(E.IDENTITY_CORRECTED, patient_key=patient_key, former_patient_key=former or None, reason=reason)
