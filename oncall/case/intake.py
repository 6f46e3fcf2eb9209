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

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from foundation.outbox import OutboxEvent
from oncall.case.event import CaseId
from oncall.case.intake_batch import Batch, arrivals_of
from oncall.case.intake_policy import IntakePolicy, IsPublicHoliday
from oncall.case.intake_values import CaseView, IntakeResult, StudyDescriber, StudyTriage
from oncall.directory import Directory
from pacs.contracts import (
    TOPIC_ASSOCIATION_ENDED,
    TOPIC_INSTANCE_CONFLICT,
    TOPIC_INSTANCES_STORED,
    TOPIC_STORAGE_COMMITMENT_REQUESTED,
    TOPIC_STUDY_IN_TWO_PATIENTS,
)

CONSUMER: Final = "oncall_intake"
"""Name of the outbox cursor."""

TOPICS: Final = (
    TOPIC_INSTANCES_STORED,
    TOPIC_ASSOCIATION_ENDED,
    TOPIC_STORAGE_COMMITMENT_REQUESTED,
    TOPIC_INSTANCE_CONFLICT,
    TOPIC_STUDY_IN_TWO_PATIENTS,
)
"""What the intake listens to."""


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
        batch = Batch(self, cases, now)
        arrivals, unusable = arrivals_of(events)
        for arrival in arrivals:
            batch.take_arrival(arrival)
        for event in events:
            if event.topic == TOPIC_INSTANCE_CONFLICT:
                batch.take_conflict(event)
            elif event.topic == TOPIC_STUDY_IN_TWO_PATIENTS:
                batch.take_two_patients(event)
            elif event.topic in {TOPIC_ASSOCIATION_ENDED, TOPIC_STORAGE_COMMITMENT_REQUESTED}:
                # After all images of the batch: what was said before the newest of them does not count.
                unusable += batch.take_evidence(event)
        return batch.result(max((event.event_id for event in events), default=0), tuple(unusable))
