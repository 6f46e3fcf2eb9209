"""One batch of the archive's events while it is decided: what each study comes to, event by event, on copies of cases.

For: `oncall.case.intake`. Not for: reading the outbox, or writing; invariants are there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Protocol

from foundation.outbox import OutboxEvent
from oncall.case import commands
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.completeness import due_images, needs_no_quiet, next_look_at
from oncall.case.event import CaseId
from oncall.case.image_evidence import AssociationEnd, EvidenceKind, ImageEvidence
from oncall.case.intake_policy import (
    EmergencyRule,
    IntakePolicy,
    IsPublicHoliday,
    Unexpected,
    is_document,
    rule_for,
    site_of,
)
from oncall.case.intake_values import (
    CaseView,
    Grade,
    IntakeResult,
    Proposal,
    StudyDescriber,
    StudyDescription,
    StudyTriage,
)
from oncall.case.matching import Decision, StudyFacts, Verdict, decide_match
from oncall.case.regions import IdentityState, ImagesState, StudyKey
from oncall.case.state import Case, rehearse
from oncall.case.unclaimed import UnclaimedStudy
from oncall.case.vocabulary import EventType as E
from oncall.directory import Directory, Site
from pacs.contracts import TOPIC_INSTANCES_STORED, TOPIC_STORAGE_COMMITMENT_REQUESTED

# Leaves room for the mark of a second patient in the 64 characters of a link's issuer.
_ISSUER_CHARACTERS_KEPT: Final = 47


class Deciding(Protocol):
    """What a batch is decided by (`oncall.case.intake.Intake`)."""

    policy: IntakePolicy
    directory: Directory
    describe: StudyDescriber
    is_public_holiday: IsPublicHoliday
    new_case_id: Callable[[OutboxEvent], CaseId]
    triage: StudyTriage


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """What a batch says of one study, gathered. ``study_pk`` tells two patients' studies of one UID apart."""

    study: StudyKey
    study_pk: int | None
    calling_aet: str
    modalities: frozenset[str]
    # (outbox event id, instances), so that what a case knows already is left out.
    counts: tuple[tuple[int, int], ...]
    first_event: OutboxEvent
    # When the newest of them was stated, in seconds since 1970 UTC; 0 unknown.
    stated_at_s: float
    # What was known of it while no case had it.
    unclaimed: UnclaimedStudy | None = None

    @property
    def last_event_id(self) -> int:
        """The newest event that told of it."""
        return self.counts[-1][0]

    def received_after(self, event_id: int) -> int:
        """Return how many instances events after this one told of."""
        return sum(count for told_by, count in self.counts if told_by > event_id)


def arrivals_of(events: Sequence[OutboxEvent]) -> tuple[list[Arrival], list[int]]:
    """Return what the batch says of each study, and the events that say nothing that can be understood."""
    gathered: dict[tuple[StudyKey, int | None], Arrival] = {}
    unusable: list[int] = []
    for event in events:
        if event.topic != TOPIC_INSTANCES_STORED:
            continue
        try:
            payload = event.payload
            study = StudyKey(str(payload["issuer"]), str(payload["study_instance_uid"]))
            count = sum(len(series["sop_instance_uids"]) for series in payload["series"])
            modalities = frozenset(str(series["modality"]) for series in payload["series"] if series["modality"])
            study_pk = payload.get("study_pk")
        except (KeyError, TypeError):
            unusable.append(event.event_id)
            continue
        known = gathered.get((study, study_pk))
        gathered[study, study_pk] = Arrival(
            study=study,
            study_pk=study_pk,
            calling_aet=str(payload.get("calling_aet", "")) if known is None else known.calling_aet,
            modalities=modalities if known is None else known.modalities | modalities,
            counts=(*(() if known is None else known.counts), (event.event_id, count)),
            first_event=event if known is None else known.first_event,
            stated_at_s=max(event.created_at_s, 0.0 if known is None else known.stated_at_s),
        )
    return list(gathered.values()), unusable


class Batch:
    """The decision on one batch while it is made: facts are applied to copies, so later events see earlier ones."""

    def __init__(self, intake: Deciding, cases: CaseView, now: datetime) -> None:
        self._intake = intake
        self._view = cases
        self._now = now
        self._changed: dict[CaseId, Case] = {}
        self._facts: dict[CaseId, Facts] = {}
        self._links: dict[StudyKey, CaseId] = {}
        self._opened: list[CaseId] = []
        self._proposals: list[Proposal] = []
        self._unclaimed: dict[StudyKey, UnclaimedStudy] = {}
        self._unclaimed_seen: dict[StudyKey, UnclaimedStudy] = {}

    def take_arrival(self, arrival: Arrival) -> None:
        """Link, tell, open, block or leave one study."""
        description = self._intake.describe(arrival.study, arrival.study_pk)
        case = self._linked(arrival.study)
        if case is not None and _is_of_another(case, description):
            self._block(case, arrival, "images of another patient came under the study of this case")
            arrival = replace(arrival, study=_apart(arrival.study, description.patient_key))
            case = self._linked(arrival.study)
        if case is not None:
            if not is_document(self._intake.directory, arrival.calling_aet, arrival.modalities):
                self._tell(case, arrival)
            return
        arrival = self._with_what_came_before(arrival, description)
        site = site_of(self._intake.directory, arrival.calling_aet, arrival.study.issuer)
        decision = decide_match(
            StudyFacts(
                study=arrival.study,
                site_id=None if site is None else site.site_id,
                begun_at=self._begun_at(arrival),
                modalities=arrival.modalities,
                accession_number=description.accession_number,
                patient_key=description.patient_key,
            ),
            self._open_cases(),
        )
        if decision.verdict is Verdict.LINK and decision.case_id is not None:
            self._link(decision.case_id, arrival, decision)
            return
        if decision.verdict is Verdict.BLOCKED and decision.case_id is not None:
            self._block(self._case(decision.case_id), arrival, "the study's patient is not the request's")
        self._open(arrival, site, description, decision)

    def take_conflict(self, event: OutboxEvent) -> None:
        """Note on every case of the study that other bytes came under a known SOP Instance UID."""
        names = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "conflict_pk", "calling_aet")
        self._note(event, E.IMAGES_CONFLICT, {name: event.payload.get(name) for name in names})

    def take_two_patients(self, event: OutboxEvent) -> None:
        """Block the identity of every case of a study whose UID two patients share."""
        names = ("study_instance_uid", "study_pks")
        for unclaimed in self._unclaimed_of_uid(str(event.payload.get("study_instance_uid") or "")):
            self._unclaimed[unclaimed.study] = replace(unclaimed, is_in_two_patients=True)
        patients = self._patients_of(event)
        self._note(
            event,
            E.IDENTITY_IN_TWO_PATIENTS,
            {name: event.payload.get(name) for name in names},
            unless=lambda case: (
                "" not in patients and patients <= {case.patient_key, *case.identity.former_patient_keys}
            ),
        )

    def _patients_of(self, event: OutboxEvent) -> frozenset[str]:
        """Return the keys of the patients whose a shared UID is; '' for one that nobody knows any more."""
        study = StudyKey("", str(event.payload.get("study_instance_uid") or ""))
        return frozenset(self._intake.describe(study, pk).patient_key for pk in event.payload.get("study_pks") or (0,))

    def take_evidence(self, event: OutboxEvent) -> list[int]:
        """Note on the cases of the studies what says that they are complete; return the event if it is not usable."""
        try:
            found = _evidence_of(event, self._stated_at(event.created_at_s))
        except (KeyError, TypeError, ValueError):
            return [event.event_id]
        for evidence in found:
            for case_id in self._linked_by_uid(evidence.studies):
                case = self._case(case_id)
                # What is presumed says nothing new of what was found to be complete.
                if case.images.state is not ImagesState.COMPLETE or case.images.is_reopened:
                    context = self._context(event.event_id)
                    self._add(case, commands.find_evidence(case, context, evidence))
        return []

    def result(self, last_event_id: int, unusable: tuple[int, ...]) -> IntakeResult:
        """Return what the batch comes to."""
        policy = self._intake.policy
        looks = {case_id: next_look_at(self._case(case_id), policy) for case_id in self._facts}
        return IntakeResult(
            last_event_id=last_event_id,
            facts=self._facts,
            links=self._links,
            opened=tuple(self._opened),
            proposals=tuple(self._proposals),
            unclaimed=tuple(self._unclaimed.values()),
            unclaimed_seen=tuple(self._unclaimed_seen.values()),
            unusable=unusable,
            look_again_at={case_id: at for case_id, at in looks.items() if at is not None},
        )

    def _note(
        self,
        event: OutboxEvent,
        kind: E,
        payload: Mapping[str, Any],
        unless: Callable[[Case], bool] = lambda _: False,
    ) -> None:
        for case_id in self._linked_by_uid([str(payload.get("study_instance_uid") or "")]):
            case = self._case(case_id)
            if event.event_id > case.images.noted_event_id and not unless(case):
                context = self._context(event.event_id)
                self._add(case, commands.say(case, context, kind, **payload, outbox_event_id=event.event_id))

    def _linked_by_uid(self, uids: Sequence[str]) -> list[CaseId]:
        new = [case_id for study, case_id in self._links.items() if study.study_instance_uid in uids]
        return list(dict.fromkeys([*new, *(known for uid in uids for _, known in self._view.studies_of_uid(uid))]))

    def _tell(self, case: Case, arrival: Arrival) -> None:
        received = arrival.received_after(case.images.told_by(arrival.study))
        if received == 0:
            return
        facts = commands.receive_instances(
            case,
            arrival.study,
            self._context_of(arrival),
            received=received,
            outbox_event_id=arrival.last_event_id,
            calling_aet=arrival.calling_aet,
            modalities=sorted(arrival.modalities),
        )
        after = self._add(case, facts)
        if needs_no_quiet(after, self._intake.policy):
            self._add(after, due_images(after, self._intake.policy, self._now))

    def _link(self, case_id: CaseId, arrival: Arrival, decision: Decision) -> None:
        case = self._case(case_id)
        match = next(one for one in decision.candidates if one.case_id == case_id)
        linked = commands.say(
            case,
            self._context_of(arrival),
            E.IMAGES_LINKED,
            issuer=arrival.study.issuer,
            study_instance_uid=arrival.study.study_instance_uid,
            score=match.score,
            reason=", ".join(match.evidence),
        )
        self._take(arrival, case_id)
        self._tell(self._add(case, linked), arrival)
        self._block_if_in_two_patients(case_id, arrival)

    def _open(self, arrival: Arrival, site: Site | None, description: StudyDescription, decision: Decision) -> None:
        case_id: CaseId | None = None
        if site is None:
            self._leave(arrival, site, description, "no single site has its AE title or issuer")
        else:
            unexpected = Unexpected(
                site=site,
                calling_aet=arrival.calling_aet,
                modalities=arrival.modalities,
                body_part=description.body_part,
                at=self._arrived_at(arrival),
            )
            rule = rule_for(self._intake.policy, unexpected, self._intake.is_public_holiday)
            if rule is None:
                self._leave(arrival, site, description, "no rule makes it an emergency")
            else:
                case_id = self._open_by(rule, site, arrival, description)
        if decision.candidates:
            self._proposals.append(Proposal(study=arrival.study, case_id=case_id, candidates=decision.candidates))

    def _open_by(self, rule: EmergencyRule, site: Site, arrival: Arrival, description: StudyDescription) -> CaseId:
        case_id = self._intake.new_case_id(arrival.first_event)
        exam, grade = description.exam, Grade(rule.urgency, rule.needs)
        if exam is not None:
            grade = self._intake.triage(exam, rule, self._arrived_at(arrival))
        urgency = min(rule.urgency, grade.urgency)
        request = NewRequest(
            site_id=site.site_id,
            exam=exam or rule.exam,
            urgency=urgency,
            needs=grade.needs,
            patient_key=description.patient_key,
            accession_number=description.accession_number,
            modality=min(arrival.modalities & rule.modalities, default=min(arrival.modalities, default="")),
            target_s=self._intake.policy.target_s.get(urgency),
        )
        facts = commands.open_unannounced(
            request,
            arrival.study,
            self._context_of(arrival),
            rule=rule.name,
            received=arrival.received_after(0),
            outbox_event_id=arrival.last_event_id,
            calling_aet=arrival.calling_aet,
            modalities=sorted(arrival.modalities),
        )
        self._changed[case_id] = rehearse(None, facts, case_id)
        self._facts[case_id] = facts
        self._take(arrival, case_id)
        self._opened.append(case_id)
        self._block_if_in_two_patients(case_id, arrival)
        return case_id

    def _take(self, arrival: Arrival, case_id: CaseId) -> None:
        self._links[arrival.study] = case_id
        self._unclaimed.pop(arrival.study, None)

    def _leave(self, arrival: Arrival, site: Site | None, description: StudyDescription, reason: str) -> None:
        """Keep a study that is no case's, for whoever claims it later."""
        known = arrival.unclaimed
        self._unclaimed[arrival.study] = UnclaimedStudy(
            study=arrival.study,
            first_at=self._begun_at(arrival),
            last_at=max(self._arrived_at(arrival), self._begun_at(arrival)),
            received=arrival.received_after(0),
            told_by=arrival.last_event_id,
            reason=reason,
            site_id=None if site is None else site.site_id,
            calling_aet=arrival.calling_aet,
            modalities=arrival.modalities,
            accession_number=description.accession_number,
            patient_key=description.patient_key,
            exam=description.exam,
            is_in_two_patients=known is not None and known.is_in_two_patients,
        )

    def _with_what_came_before(self, arrival: Arrival, description: StudyDescription) -> Arrival:
        """Return an arrival with the images of its study that came while no case had it."""
        known = self._unclaimed_study(arrival.study)
        is_of_another = known is not None and known.patient_key and known.patient_key != description.patient_key
        if is_of_another and description.patient_key:
            arrival = replace(arrival, study=_apart(arrival.study, description.patient_key))
            known = self._unclaimed_study(arrival.study)
        if known is None:
            return arrival
        new = tuple(count for count in arrival.counts if count[0] > known.told_by)
        return replace(
            arrival,
            calling_aet=known.calling_aet or arrival.calling_aet,
            modalities=arrival.modalities | known.modalities,
            counts=((known.told_by, known.received), *new),
            unclaimed=known,
        )

    def _unclaimed_study(self, study: StudyKey) -> UnclaimedStudy | None:
        found = self._unclaimed_of_uid(study.study_instance_uid)
        return next((one for one in found if one.study == study), None)

    def _unclaimed_of_uid(self, uid: str) -> Sequence[UnclaimedStudy]:
        for one in self._view.unclaimed_of_uid(uid):
            self._unclaimed_seen.setdefault(one.study, one)
        known = {**self._unclaimed_seen, **self._unclaimed}.values()
        return [one for one in known if one.study.study_instance_uid == uid and one.study not in self._links]

    def _block_if_in_two_patients(self, case_id: CaseId, arrival: Arrival) -> None:
        if arrival.unclaimed is not None and arrival.unclaimed.is_in_two_patients:
            uid = arrival.study.study_instance_uid
            case, context = self._case(case_id), self._context_of(arrival)
            self._add(case, commands.say(case, context, E.IDENTITY_IN_TWO_PATIENTS, study_instance_uid=uid))

    def _block(self, case: Case, arrival: Arrival, reason: str) -> None:
        if case.identity.state is not IdentityState.BLOCKED:
            fact = commands.say(
                case,
                self._context_of(arrival),
                E.IDENTITY_MISMATCH_BLOCKED,
                reason=reason,
                issuer=arrival.study.issuer,
                study_instance_uid=arrival.study.study_instance_uid,
                outbox_event_id=arrival.last_event_id,
            )
            self._add(case, fact)

    def _add(self, case: Case, facts: Facts) -> Case:
        after = rehearse(case, facts)
        self._changed[case.case_id] = after
        self._facts[case.case_id] = (*self._facts.get(case.case_id, ()), *facts)
        return after

    def _context(self, event_id: int) -> Context:
        return Context(now=self._now, policy_version=self._intake.policy.version, source_message=f"outbox:{event_id}")

    def _context_of(self, arrival: Arrival) -> Context:
        return replace(self._context(arrival.last_event_id), happened_at=self._arrived_at(arrival))

    def _begun_at(self, arrival: Arrival) -> datetime:
        return self._arrived_at(arrival) if arrival.unclaimed is None else arrival.unclaimed.first_at

    def _arrived_at(self, arrival: Arrival) -> datetime:
        return self._stated_at(arrival.stated_at_s)

    def _stated_at(self, stated_at_s: float) -> datetime:
        # A clock of another machine may be ahead of ours: nothing happens after it was recorded.
        stated = datetime.fromtimestamp(stated_at_s, UTC) if stated_at_s > 0 else self._now
        return min(stated, self._now)

    def _linked(self, study: StudyKey) -> Case | None:
        case_id = self._links.get(study) or self._view.case_of_study(study)
        return None if case_id is None else self._case(case_id)

    def _case(self, case_id: CaseId) -> Case:
        case = self._changed.get(case_id) or self._view.case(case_id)
        assert case is not None, "a link names a case that exists"
        return case

    def _open_cases(self) -> list[Case]:
        known = {case.case_id: case for case in self._view.open_cases()}
        return list({**known, **self._changed}.values())


def _evidence_of(event: OutboxEvent, at: datetime) -> list[ImageEvidence]:
    payload = event.payload
    if event.topic == TOPIC_STORAGE_COMMITMENT_REQUESTED:
        return [
            ImageEvidence(
                kind=EvidenceKind.STORAGE_COMMITMENT,
                source=str(payload["transaction_uid"]),
                at=at,
                studies=tuple(map(str, payload["study_instance_uids"])),
                count=int(payload["count"]),
            )
        ]
    how = AssociationEnd(payload.get("how") or ("released" if payload["is_released"] else "cut")).value
    uids = [str(study["study_instance_uid"]) for study in payload["studies"]]
    return [
        ImageEvidence(kind=EvidenceKind.ASSOCIATION_END, source=uid, at=at, studies=(uid,), how=how) for uid in uids
    ]


def _is_of_another(case: Case, description: StudyDescription) -> bool:
    """Tell whether the archive knows the study under another patient than the case does."""
    identity, key = case.identity, description.patient_key
    if not key or not identity.patient_key or identity.state is IdentityState.PROVISIONAL:
        return False
    return key != identity.patient_key and key not in identity.former_patient_keys


def _apart(study: StudyKey, patient_key: str) -> StudyKey:
    """Return the key of the second patient's study under a UID that two patients of one issuer share."""
    mark = sha256(patient_key.encode()).hexdigest()[:16]
    return StudyKey(f"{study.issuer[:_ISSUER_CHARACTERS_KEPT]}#{mark}", study.study_instance_uid)
