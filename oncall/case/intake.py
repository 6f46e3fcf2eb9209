"""From what the archive states in the outbox to facts about cases: a pure decision over one batch of events.

For: linking studies to the cases that wait for them, opening a case for an emergency study that nobody announced (by
policy: site, AE, modality, hours), telling linked cases that images arrive, that the archive met a conflict, or that
one Study Instance UID came under two patients. Not for: reading the outbox, or writing (`oncall.engine` does both, and
moves the consumer's cursor in the same transaction).

Invariants
----------
* An event that is seen twice has effect once: each case remembers the newest outbox event that told it of images, and
  what was noted of conflicts carries the event's id as its source.
* A batch makes one fact per study, not one per image.
* Images arrived when the archive stated them, not when the batch is taken: a relay that was down for an hour must not
  give the hour away.
* Images that belong to nobody's case are never dropped silently: the result keeps the study and says why
  (`oncall.case.unclaimed`), and what came of it before is counted when a case takes it.
* A study is at least as urgent as the rule says that makes it an emergency; what its words say may raise that.
* A study whose patient is not the case's blocks the identity of the case; its images are not taken for that patient's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

from foundation.outbox import OutboxEvent
from oncall.case import commands
from oncall.case.commands import Context, Facts, NewRequest
from oncall.case.completeness import due_images, needs_no_quiet, next_look_at
from oncall.case.event import CaseId
from oncall.case.exam_words import exam_of
from oncall.case.intake_policy import (
    EmergencyRule,
    IntakePolicy,
    IsPublicHoliday,
    Unexpected,
    is_document,
    rule_for,
    site_of,
)
from oncall.case.matching import Decision, Match, StudyFacts, Verdict, decide_match
from oncall.case.regions import IdentityState, StudyKey
from oncall.case.state import Case, rehearse
from oncall.case.unclaimed import UnclaimedStudy
from oncall.case.vocabulary import EventType as E
from oncall.directory import Directory, Site, SubSpecialty
from oncall.reading.board import ExamKind, Urgency
from pacs.contracts import TOPIC_INSTANCE_CONFLICT, TOPIC_INSTANCES_STORED, TOPIC_STUDY_IN_TWO_PATIENTS

CONSUMER: Final = "oncall_intake"
"""Name of the outbox cursor."""

TOPICS: Final = (TOPIC_INSTANCES_STORED, TOPIC_INSTANCE_CONFLICT, TOPIC_STUDY_IN_TWO_PATIENTS)
"""What the intake listens to."""

# Leaves room for the mark of a second patient in the 64 characters of a link's issuer.
_ISSUER_CHARACTERS_KEPT: Final = 47


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyDescription:
    """What the archive's index says of a study beyond the outbox; empty texts are not known.

    ``patient_key`` is opaque: made of issuer and Patient ID by whoever describes, never a name. ``words`` are what the
    scanner calls the exam (descriptions, protocol names); they are looked up (`oncall.case.exam_words`), never kept.
    """

    patient_key: str = ""
    accession_number: str = ""
    body_part: str = ""
    words: tuple[str, ...] = ()

    @property
    def exam(self) -> ExamKind | None:
        """What kind of exam it says it is; None when that is not known."""
        return exam_of((*self.words, self.body_part))


class Grade(NamedTuple):
    """How urgent an unannounced study is and whom it needs."""

    urgency: Urgency
    needs: SubSpecialty


class StudyTriage(Protocol):
    """Grades a study of a known kind of exam (`oncall.reading.triage`, bound by the engine)."""

    def __call__(self, exam: ExamKind, rule: EmergencyRule, at: datetime) -> Grade:
        """Return the grade; less urgent than `rule` says is not heard."""


class StudyDescriber(Protocol):
    """Looks a study up in the archive's index; wired in `territory`: `oncall` sees of `pacs` its contracts only."""

    def __call__(self, study: StudyKey, study_pk: int | None) -> StudyDescription:
        """Return what is known of the study.

        Raises
        ------
        foundation.errors.Unavailable
            If the index does not answer: the batch is taken again later.
        """


class CaseView(Protocol):
    """What the intake looks at: the cases as they are before the batch."""

    def case(self, case_id: CaseId) -> Case | None:
        """Return a case, or None."""

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        """Return which case a study belongs to now."""

    def studies_of_uid(self, study_instance_uid: str) -> Sequence[tuple[StudyKey, CaseId]]:
        """Return every link of a Study Instance UID, whichever issuer; topics about conflicts do not name one."""

    def open_cases(self) -> Sequence[Case]:
        """Return every case that is not closed."""

    def unclaimed_of_uid(self, study_instance_uid: str) -> Sequence[UnclaimedStudy]:
        """Return the studies without a case that have this Study Instance UID, whichever issuer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """Cases that a study may belong to, for a person to decide; ``case_id`` is the case that it opened meanwhile."""

    study: StudyKey
    case_id: CaseId | None
    candidates: tuple[Match, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class IntakeResult:
    """What a batch comes to. ``facts`` are in the order in which they are to be appended, by case.

    ``unusable`` are events that are not what `pacs.contracts` says: a defect, to be told to a human; it must not keep
    the events behind it from their patients.

    ``unclaimed`` are studies without a case as the batch leaves them, ``unclaimed_seen`` those of them that it knew.
    ``last_event_id`` is what the consumer's cursor moves to. ``look_again_at`` says, for cases whose images are on the
    way, when `due_images` has something to say if nothing comes until then.
    """

    last_event_id: int
    facts: Mapping[CaseId, Facts] = field(default_factory=dict)
    links: Mapping[StudyKey, CaseId] = field(default_factory=dict)
    opened: tuple[CaseId, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    unclaimed: tuple[UnclaimedStudy, ...] = ()
    unclaimed_seen: tuple[UnclaimedStudy, ...] = ()
    unusable: tuple[int, ...] = ()
    look_again_at: Mapping[CaseId, datetime] = field(default_factory=dict)


class Intake:
    """Decides over batches of outbox events.

    Parameters
    ----------
    policy : IntakePolicy
        In force now.
    directory : Directory
        Which AE titles and issuers are which site's.
    describe : StudyDescriber
        Looks studies up in the index.
    is_public_holiday : callable
        Tells whether a day is a public holiday in a commune.
    new_case_id : callable
        Gives the id of the case that an outbox event opens; the same event gives the same id.
    triage : StudyTriage
        Grades a study whose words are known.
    """

    def __init__(
        self,
        policy: IntakePolicy,
        directory: Directory,
        describe: StudyDescriber,
        *,
        is_public_holiday: IsPublicHoliday,
        new_case_id: Callable[[OutboxEvent], CaseId],
        triage: StudyTriage,
    ) -> None:
        self.policy = policy
        self.directory = directory
        self.describe = describe
        self.is_public_holiday = is_public_holiday
        self.new_case_id = new_case_id
        self.triage = triage

    def take(self, events: Sequence[OutboxEvent], cases: CaseView, now: datetime) -> IntakeResult:
        """Return what a batch comes to; nothing is written, so an error leaves everything as it was.

        Parameters
        ----------
        events : sequence of OutboxEvent
            In order, of `TOPICS`.
        cases : CaseView
            As committed.
        now : datetime
            When the batch is taken (aware, UTC).

        Raises
        ------
        foundation.errors.Unavailable
            If the index does not answer.
        """
        batch = _Batch(self, cases, now)
        arrivals, unusable = _arrivals(events)
        for arrival in arrivals:
            batch.take_arrival(arrival)
        for event in events:
            if event.topic == TOPIC_INSTANCE_CONFLICT:
                batch.take_conflict(event)
            elif event.topic == TOPIC_STUDY_IN_TWO_PATIENTS:
                batch.take_two_patients(event)
        return batch.result(max((event.event_id for event in events), default=0), tuple(unusable))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Arrival:
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
        return self.counts[-1][0]

    def received_after(self, event_id: int) -> int:
        return sum(count for told_by, count in self.counts if told_by > event_id)


def _arrivals(events: Sequence[OutboxEvent]) -> tuple[list[_Arrival], list[int]]:
    """Return what the batch says of each study, and the events that say nothing that can be understood."""
    gathered: dict[tuple[StudyKey, int | None], _Arrival] = {}
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
        gathered[study, study_pk] = _Arrival(
            study=study,
            study_pk=study_pk,
            calling_aet=str(payload.get("calling_aet", "")) if known is None else known.calling_aet,
            modalities=modalities if known is None else known.modalities | modalities,
            counts=(*(() if known is None else known.counts), (event.event_id, count)),
            first_event=event if known is None else known.first_event,
            stated_at_s=max(event.created_at_s, 0.0 if known is None else known.stated_at_s),
        )
    return list(gathered.values()), unusable


class _Batch:
    """The decision on one batch while it is made: facts are applied to copies, so later events see earlier ones."""

    def __init__(self, intake: Intake, cases: CaseView, now: datetime) -> None:
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

    def take_arrival(self, arrival: _Arrival) -> None:
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
        self._note(event, E.IDENTITY_IN_TWO_PATIENTS, {name: event.payload.get(name) for name in names})

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

    def _note(self, event: OutboxEvent, kind: E, payload: Mapping[str, Any]) -> None:
        uid = str(payload.get("study_instance_uid") or "")
        linked = dict.fromkeys(
            [case_id for study, case_id in self._links.items() if study.study_instance_uid == uid]
            + [case_id for _, case_id in self._view.studies_of_uid(uid)]
        )
        for case_id in linked:
            case = self._case(case_id)
            if event.event_id > case.images.noted_event_id:
                context = self._context(event.event_id)
                self._add(case, commands.say(case, context, kind, **payload, outbox_event_id=event.event_id))

    def _tell(self, case: Case, arrival: _Arrival) -> None:
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

    def _link(self, case_id: CaseId, arrival: _Arrival, decision: Decision) -> None:
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

    def _open(self, arrival: _Arrival, site: Site | None, description: StudyDescription, decision: Decision) -> None:
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

    def _open_by(self, rule: EmergencyRule, site: Site, arrival: _Arrival, description: StudyDescription) -> CaseId:
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

    def _take(self, arrival: _Arrival, case_id: CaseId) -> None:
        self._links[arrival.study] = case_id
        self._unclaimed.pop(arrival.study, None)

    def _leave(self, arrival: _Arrival, site: Site | None, description: StudyDescription, reason: str) -> None:
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

    def _with_what_came_before(self, arrival: _Arrival, description: StudyDescription) -> _Arrival:
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

    def _block_if_in_two_patients(self, case_id: CaseId, arrival: _Arrival) -> None:
        if arrival.unclaimed is not None and arrival.unclaimed.is_in_two_patients:
            uid = arrival.study.study_instance_uid
            case, context = self._case(case_id), self._context_of(arrival)
            self._add(case, commands.say(case, context, E.IDENTITY_IN_TWO_PATIENTS, study_instance_uid=uid))

    def _block(self, case: Case, arrival: _Arrival, reason: str) -> None:
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

    def _context_of(self, arrival: _Arrival) -> Context:
        return replace(self._context(arrival.last_event_id), happened_at=self._arrived_at(arrival))

    def _begun_at(self, arrival: _Arrival) -> datetime:
        return self._arrived_at(arrival) if arrival.unclaimed is None else arrival.unclaimed.first_at

    def _arrived_at(self, arrival: _Arrival) -> datetime:
        # A clock of another machine may be ahead of ours: nothing happens after it was recorded.
        stated = datetime.fromtimestamp(arrival.stated_at_s, UTC) if arrival.stated_at_s > 0 else self._now
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
