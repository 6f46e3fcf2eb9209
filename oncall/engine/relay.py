"""What the archive stated, taken into the cases: one batch of the outbox is one decision.

For: binding `oncall.case.intake` to a draft and its cursor. Not for: deciding what a study means.

Invariants: the cursor moves in the commit of what it brought, so that nothing the archive stated is missed or taken
twice, whoever dies when; a study without a case is kept with the reason, never dropped silently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from foundation import log
from foundation.outbox import OutboxEvent
from oncall.case.event import CaseId
from oncall.case.intake import CONSUMER, TOPICS, Intake
from oncall.case.intake_policy import EmergencyRule
from oncall.case.intake_values import Grade, IntakeResult, StudyDescriber
from oncall.case.regions import StudyKey
from oncall.case.state import Case
from oncall.case.unclaimed import UnclaimedStudy
from oncall.directory import SubSpecialty
from oncall.engine import assigning
from oncall.engine.draft import Draft
from oncall.engine.ports import Cursor, Store
from oncall.public_holidays import is_public_holiday
from oncall.reading.board import ExamKind
from oncall.reading.policy import ReadingPolicy
from oncall.reading.triage import RequestFacts, triage

CASE_PREFIX: Final = "study-"


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """The cases as the intake sees them."""

    draft: Draft
    store: Store

    def case(self, case_id: CaseId) -> Case | None:
        return self.draft.known(case_id)

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        return self.store.case_of_study(study)

    def studies_of_uid(self, study_instance_uid: str) -> Sequence[tuple[StudyKey, CaseId]]:
        return self.store.studies_of_uid(study_instance_uid)

    def open_cases(self) -> Sequence[Case]:
        return [case for case in self.draft.every_case() if case.is_open]

    def unclaimed_of_uid(self, study_instance_uid: str) -> Sequence[UnclaimedStudy]:
        return self.store.unclaimed_of_uid(study_instance_uid)


def take(draft: Draft, store: Store, describe: StudyDescriber) -> int:
    """Take the next batch into a draft; return how many events it has.

    Raises
    ------
    foundation.errors.Unavailable
        If the archive's index does not answer: the batch is taken again later.
    """
    position = store.cursor(CONSUMER)
    events = store.stated_after(position, TOPICS)
    if not events:
        return 0
    intake = Intake(
        draft.rules.intake,
        draft.rules.directory,
        describe,
        is_public_holiday=is_public_holiday,
        new_case_id=case_id_of,
        triage=partial(grade, draft.rules.reading),
    )
    result = intake.take(events, _View(draft=draft, store=store), draft.now)
    _record(draft, result)
    draft.cursors.append(Cursor(CONSUMER, position, events[-1].event_id))
    return len(events)


def case_id_of(event: OutboxEvent) -> CaseId:
    """Return the id of the case that an outbox event opens: always the same for the same event."""
    return CaseId(f"{CASE_PREFIX}{event.event_id}")


def grade(policy: ReadingPolicy, exam: ExamKind, rule: EmergencyRule, at: datetime) -> Grade:
    """Return how urgent an unannounced study of a known exam is: at least as the rule says, and whom it needs."""
    decided = triage(
        # Any reader of the night reads any region; only strokes and polytraumas need more.
        RequestFacts(exam=exam, requested=rule.urgency, at_s=at.timestamp(), is_general_enough=True),
        policy,
    )
    return Grade(decided.urgency, rule.needs if decided.needs is SubSpecialty.GENERAL else decided.needs)


def _record(draft: Draft, result: IntakeResult) -> None:
    for case_id, facts in result.facts.items():
        draft.record(case_id, *(draft.stamped(fact) for fact in facts))
    draft.saw_unclaimed(*result.unclaimed_seen)
    draft.unclaimed_kept += result.unclaimed
    for unclaimed in result.unclaimed:
        log.info("study_unclaimed", study=unclaimed.study.study_instance_uid, reason=unclaimed.reason)
    for event_id in result.unusable:
        log.error("outbox_event_unusable", offset=event_id)
    for proposal in result.proposals:
        log.info("study_match_proposed", study=proposal.study.study_instance_uid, count=len(proposal.candidates))
    if any(draft.case(case_id).is_ready for case_id in result.facts):
        assigning.assign(draft)
