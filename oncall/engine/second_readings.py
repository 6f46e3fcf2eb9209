"""Second readings within the engine: asked for when a report is signed, given to another reader, read, told, learned.

For: the engine's methods about second readings and discrepancies, and their timer. Not for: the rules
(`oncall.second_reading`), the decisions on a case (`oncall.case.commands_second_reading`), or paging the hospital about
a discrepancy (`oncall.engine.loops`).

Invariants
----------
* What is asked for and not made has a timer, also while its case is closed; when it is overdue somebody is told again
  and again: who has it, the coordinators, and the operators' wall when nobody else is within reach.
* A significant discrepancy is told to the hospital before anything closes, by a named person, in its category's time.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from foundation.errors import PeerError, Refused
from oncall.case import commands_second_reading as asked
from oncall.case.commands import Context
from oncall.case.commands_report import CRITICAL_DUE_S
from oncall.case.event import Actor, CaseId
from oncall.case.regions import SecondReadingState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId
from oncall.engine import hospital_people, loops, second_reading_timer
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft
from oncall.notify import NoticeKind
from oncall.second_reading.board import PendingReading, of_row
from oncall.second_reading.choice import bar_of
from oncall.second_reading.learning import Lesson, checked_text
from oncall.second_reading.policy import DEFAULT, Reason
from oncall.second_reading.rules import Injuries, injuries_of, reasons_for, times_of
from oncall.second_reading.score import BodyRegion, CorrectionBy, DiscrepancyKind, Score

_FOUND = frozenset({SecondReadingState.DISCREPANT, SecondReadingState.COMMUNICATED, SecondReadingState.ACKNOWLEDGED})


class SecondReadings(Deciding):
    """The engine's methods about second readings and discrepancies."""

    def require_second_reading(
        self, case_id: CaseId, now: datetime, *, actor: Actor, injuries: Injuries | None = None
    ) -> Case:
        """Ask for a second reading of a signed report, because somebody wants one; said again it changes nothing.

        Parameters
        ----------
        injuries : Injuries or None
            What is known of a trauma patient, where the report does not tell it: the rules are asked as well.

        Raises
        ------
        Refused
            If no report stands, or it was read a second time already.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            if case.report.signed_at is None:
                raise Refused("no report stands that could be read a second time")
            reasons = [Reason.ASKED]
            if injuries is not None:
                policy = draft.rules.second_reading or DEFAULT
                signer = PersonId(case.report.versions[-1].signer)
                reasons += reasons_for(case, signer, draft.rules.directory, policy, injuries)
            _require(draft, case, replace(draft.context, actor=actor), reasons, case.report.signed_at)

        self._commit(now, decide)
        return self.case(case_id)

    def assign_second_readings(self, now: datetime) -> int:
        """Give what waits for a second reader to those who are at work by day; return how many found one.

        The timer of each does so by itself; this does it at once.
        """
        given = 0

        def decide(draft: Draft) -> None:
            nonlocal given
            given = 0
            for timer in draft.timers_of_kind(second_reading_timer.KIND):
                pending = of_row(timer.payload)
                if pending.assigned_to is None and pending.earliest_at <= now:
                    given += second_reading_timer.assign(draft, draft.required(pending.case_id))

        self._commit(now, decide)
        return given

    def assign_second_reading(self, case_id: CaseId, person_id: PersonId, now: datetime, *, actor: Actor) -> Case:
        """Give one second reading to somebody in particular, because a person says so.

        Raises
        ------
        Refused
            If they signed the report, may not read for the hospital, or cannot read such an exam.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            policy = draft.rules.second_reading or DEFAULT
            bar = bar_of(case, person_id, draft.rules.directory, draft.rules.reading, policy)
            if bar:
                raise Refused(f"this reader may not read it a second time: {bar}; choose another")
            draft.record(
                case_id, *asked.assign(case, replace(draft.context, actor=actor), person_id=person_id, reason="asked")
            )
            second_reading_timer.follow(draft, draft.required(case_id))

        self._commit(now, decide)
        return self.case(case_id)

    def record_blind_findings(self, case_id: CaseId, person_id: PersonId, finding: str, now: datetime) -> Case:
        """Keep what a blind second reader sees; from then on they are shown the first report.

        Raises
        ------
        Refused
            If the second reading is not theirs, or they say nothing.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            context = _reader(draft, person_id)
            draft.record(case_id, *asked.find_blind(case, context, person_id=person_id, finding=finding))

        self._commit(now, decide)
        return self.case(case_id)

    def record_second_reading(
        self, case_id: CaseId, person_id: PersonId, now: datetime, *, score: Score,
        kind: DiscrepancyKind | None = None, body_region: BodyRegion | None = None, note: str = "", category: int = 2,
        correction_by: CorrectionBy = CorrectionBy.FIRST_READER,
    ) -> Case:  # fmt: skip
        """Record how far the second reader agrees; a significant discrepancy is to be told to the hospital in time.

        Parameters
        ----------
        kind : DiscrepancyKind or None
            What a discrepancy was about; wanted with every score but 1.
        note : str
            What was seen; it stays in the case's record.
        category : int
            By the ACR, within which time the hospital must know of a significant one: 1 minutes, 2 hours, 3 days.
        correction_by : CorrectionBy
            Who adds to, replaces or retracts the report.

        Raises
        ------
        Refused
            If the second reading is not theirs, or it is read blind and they have not said what they see.
        PeerError
            If a discrepancy is of no kind, or the category is none of the ACR's.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            facts = asked.finish(case, _reader(draft, person_id), person_id=person_id, score=score.value)
            draft.record(case_id, *facts)
            second_reading_timer.follow(draft, draft.required(case_id))
            if facts and score.is_discrepancy:
                _discrepant(draft, case_id, person_id, score, kind, body_region, note, category, correction_by)

        self._commit(now, decide)
        return self.case(case_id)

    def record_discrepancy(
        self, case_id: CaseId, person_id: PersonId, now: datetime, *, score: Score, kind: DiscrepancyKind,
        body_region: BodyRegion | None = None, note: str = "", category: int = 2,
        correction_by: CorrectionBy = CorrectionBy.FIRST_READER,
    ) -> Case:  # fmt: skip
        """Record a discrepancy that somebody found unasked (a staff meeting, the patient's return).

        Raises
        ------
        Refused
            If a second reading is still to be made, or another discrepancy is being told of.
        PeerError
            If the score is agreement.
        """

        def decide(draft: Draft) -> None:
            if not score.is_discrepancy:
                raise PeerError("agreement is no discrepancy")
            draft.required(case_id)
            _discrepant(draft, case_id, person_id, score, kind, body_region, note, category, correction_by)

        self._commit(now, decide)
        return self.case(case_id)

    def communicate_discrepancy(
        self, case_id: CaseId, now: datetime, *, actor: Actor, recipient: str, method: str, read_back: str,
        received_at: datetime | None = None,
    ) -> Case:  # fmt: skip
        """Record that the change was told to a named person of the hospital, how, and what they read back."""

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            hospital_people.ensure_of_hospital(draft, case, recipient)
            facts = asked.communicate_discrepancy(
                case, replace(draft.context, actor=actor), recipient=recipient, method=method, read_back=read_back,
                received_at=received_at or now,
            )  # fmt: skip
            draft.record(case_id, *facts)

        self._commit(now, decide)
        return self.case(case_id)

    def acknowledge_discrepancy(self, case_id: CaseId, clinician: str, now: datetime, *, actor: Actor) -> Case:
        """A named person of the hospital takes note of the change: its pages stop.

        Raises
        ------
        Refused
            If the clinician is one of the territory's people, or one of those says it for somebody who has not read
            it back to them.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            read_back_by = case.second_reading.recipient
            hospital_people.ensure_taken_over(draft, case, clinician, actor, read_back_by=read_back_by)
            facts = asked.acknowledge_discrepancy(case, replace(draft.context, actor=actor), recipient=clinician)
            draft.record(case_id, *facts)
            loops.follow(draft, draft.required(case_id))

        self._commit(now, decide)
        return self.case(case_id)

    def close_learning(
        self, case_id: CaseId, now: datetime, *, actor: Actor, kind: DiscrepancyKind, lesson: str = "",
        body_region: BodyRegion | None = None, reason: str = "",
    ) -> Case:  # fmt: skip
        """Close a discrepancy: with a lesson for everybody's log, which names nobody, or with why there is none.

        Raises
        ------
        Refused
            If a significant discrepancy was not acknowledged by a named clinician, the report was not corrected, or
            the lesson says whose it was.
        """

        def decide(draft: Draft) -> None:
            case = draft.required(case_id)
            if not lesson.strip() and not reason.strip():
                raise PeerError("say what there is to learn, or why there is nothing")
            facts = asked.close_learning(case, replace(draft.context, actor=actor), reason=reason or None)
            draft.record(case_id, *facts)
            if facts and lesson.strip():
                draft.lessons.append(
                    Lesson(
                        period=now.strftime("%Y-%m"), exam=case.exam, kind=kind, body_region=body_region,
                        score=Score(case.second_reading.score),
                        lesson=checked_text(lesson, case, draft.rules.directory),
                    )
                )  # fmt: skip

        self._commit(now, decide)
        return self.case(case_id)

    def second_readings_due(self, now: datetime) -> Sequence[PendingReading]:
        """Return the second readings still to be made, the next to be due first."""
        found = [of_row(timer.payload) for timer in self._draft(now).timers_of_kind(second_reading_timer.KIND)]
        return sorted(found, key=lambda one: (one.due_at, one.case_id))

    def open_discrepancies(self, now: datetime) -> Sequence[Case]:
        """Return the open cases with a discrepancy that is not closed: those to be told of first, by their time."""
        cases = [case for case in self.open_cases(now) if case.second_reading.state in _FOUND]
        return sorted(
            cases, key=lambda one: (not one.second_reading.is_untold, one.second_reading.communicate_by or now)
        )

    def second_reading_load(self, now: datetime) -> Counter[PersonId]:
        """Return how many second readings each reader has still to make."""
        return second_reading_timer.load(self._draft(now))


def follow(draft: Draft, case: Case, types: Collection[str]) -> None:
    """Do what follows from a case's events: a signed report may be read again, a retracted one is not."""
    if EventType.REPORT_SIGNED in types:
        _signed(draft, case)
    if EventType.REPORT_RETRACTED in types:
        second_reading_timer.follow(draft, draft.case(case.case_id))


def _signed(draft: Draft, case: Case) -> None:
    policy, signed_at = draft.rules.second_reading, case.report.signed_at
    is_read_already = case.second_reading.state is not SecondReadingState.NONE and not case.second_reading.is_pending
    if policy is None or signed_at is None or is_read_already:
        return
    signed = [one.version for one in draft.signed_versions if one.version.case_id == case.case_id]
    injuries = injuries_of(signed[-1].content) if signed else Injuries()
    signer = PersonId(case.report.versions[-1].signer)
    reasons = reasons_for(case, signer, draft.rules.directory, policy, injuries)
    if reasons:
        _require(draft, case, draft.context, reasons, signed_at)


def _require(draft: Draft, case: Case, context: Context, reasons: Sequence[Reason], signed_at: datetime) -> None:
    policy = draft.rules.second_reading or DEFAULT
    earliest_at, due_at = times_of(reasons, policy, signed_at)
    if due_at <= draft.now:
        # Asked for days later, there is still time to read it.
        earliest_at, due_at = times_of(reasons, policy, draft.now)
    facts = asked.require(
        case, context, reasons=[reason.value for reason in reasons], earliest_at=earliest_at, due_at=due_at,
        is_blind=policy.is_blind,
    )  # fmt: skip
    draft.record(case.case_id, *facts)
    second_reading_timer.follow(draft, draft.case(case.case_id))


def _discrepant(
    draft: Draft, case_id: CaseId, person_id: PersonId, score: Score, kind: DiscrepancyKind | None,
    body_region: BodyRegion | None, note: str, category: int, correction_by: CorrectionBy,
) -> None:  # fmt: skip
    if kind is None or category not in CRITICAL_DUE_S:
        raise PeerError("a discrepancy is of a kind, and told within the time of ACR category 1, 2 or 3")
    case = draft.required(case_id)
    facts = asked.record_discrepancy(
        case, _reader(draft, person_id), score=score.value, is_significant=score.is_significant, person_id=person_id,
        kind=kind.value, body_region=None if body_region is None else body_region.value, note=note, category=category,
        due_at=draft.now + timedelta(seconds=CRITICAL_DUE_S[category]), correction_by=correction_by.value,
    )  # fmt: skip
    draft.record(case_id, *facts)
    if score.is_significant and correction_by is CorrectionBy.FIRST_READER and case.report.versions:
        author = PersonId(case.report.versions[-1].signer)
        second_reading_timer.notify(draft, draft.required(case_id), author, NoticeKind.CORRECTION, draft.now)


def _reader(draft: Draft, person_id: PersonId) -> Context:
    return replace(draft.context, actor=Actor(who=person_id, role="reader"))
