"""What scanners say of exams, told to their cases: begun, completed with its dose, given up.

For: the engine's methods that take the topic ``performed_step/1``, and what the steps of a study said before a case had
it. Not for: the images (`oncall.engine.relay`), the comparison with the protocol (`oncall.engine.protocols`), or which
orders a step performs (`pacs`).

Invariants
----------
* The cursor moves in the commit of what it brought; a step begins once and ends once in a case, however often it is
  told of.
* A step reaches the case of an order that it performs, or the case that has its study, of the same hospital. One that
  names an order of another patient reaches none: a human must look.

Source: domain reference, section 4.2 (EXAM); PS3.4 F.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from foundation import log
from foundation.errors import PeerError, Refused
from foundation.outbox import OutboxEvent
from oncall.case import commands
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId, Fact
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.engine import rematch
from oncall.engine.consuming import Consuming
from oncall.engine.draft import Draft
from pacs.contracts import TOPIC_PERFORMED_STEP

CONSUMER: Final = "oncall.engine.exams"
"""Whose cursor on the outbox."""

TOPICS: Final = (TOPIC_PERFORMED_STEP,)

LATE_MAX: Final = timedelta(hours=24)
"""How long before we hear of it a step can have begun: an older time is a scanner's wrong clock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamStep:
    """One performed procedure step, as far as cases need it.

    Attributes
    ----------
    began_at, ended_at : datetime
        By the scanner's clock, UTC; when it was heard of, if that says nothing.
    is_completed, is_discontinued : bool
        Neither while it is in progress.
    expected : int or None
        Instances that it lists; None when it lists none.
    reason : str
        Why it was given up, in coded words.
    dose_mgy_cm, ctdivol_mgy, area_dose_dgy_cm2 : float or None
        Dose-length product in all, highest CTDIvol, dose-area product.
    """

    mpps_uid: str
    site_id: str
    aet: str
    order_ids: tuple[str, ...]
    study_instance_uids: tuple[str, ...]
    began_at: datetime
    ended_at: datetime
    is_completed: bool = False
    is_discontinued: bool = False
    is_of_another_patient: bool = False
    expected: int | None = None
    reason: str = ""
    dose_mgy_cm: float | None = None
    ctdivol_mgy: float | None = None
    area_dose_dgy_cm2: float | None = None


class ExamSteps(Protocol):
    """Looks performed steps up; wired in `territory`."""

    def find(self, mpps_uid: str) -> ExamStep | None:
        """Return a step, or None.

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer.
        """

    def of_study(self, study_instance_uid: str) -> Sequence[ExamStep]:
        """Return the steps whose images go into a study, the first created first; for errors see `find`."""


class Exams(Consuming):
    """The engine's methods about exams at the scanner."""

    _asked_for_steps: set[tuple[CaseId, str]]
    """Cases and studies of them whose earlier steps were looked for."""

    def take_performed_steps(self, now: datetime, steps: ExamSteps) -> int:
        """Take what scanners said into the cases; return how many events of the outbox.

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer; what was not taken is taken later.
        """

        def take(draft: Draft, events: Sequence[OutboxEvent]) -> int:
            self._take_steps(draft, events, steps)
            return len(events)

        taken = self._consume(now, CONSUMER, TOPICS, take)
        self._catch_up_with_steps(now, steps)
        return taken

    def _take_steps(self, draft: Draft, events: Sequence[OutboxEvent], steps: ExamSteps) -> None:
        # A step that was told of several times is looked up once: it is as the last of them left it.
        for event in events:
            if "mpps_uid" not in event.payload:
                log.error("outbox_event_unusable", offset=event.event_id)
        told = (str(event.payload["mpps_uid"]) for event in events if "mpps_uid" in event.payload)
        for mpps_uid in dict.fromkeys(told):
            step = steps.find(mpps_uid)
            if step is None:
                log.error("performed_step_gone")
                continue
            for case_id in cases_of(draft, step):
                self._tell_step(draft, case_id, step)

    def _catch_up_with_steps(self, now: datetime, steps: ExamSteps) -> None:
        """Tell cases of steps that were performed before they had the study: nobody had ordered them."""
        for case in self.open_cases(now):
            for study in case.images.studies:
                key = (case.case_id, study.study_instance_uid)
                if key in self._asked_for_steps:
                    continue
                found = [one for one in steps.of_study(study.study_instance_uid) if is_news(case, one)]
                if found:
                    self._commit(now, lambda draft, found=found: self._tell_all(draft, found))  # type: ignore[misc]  # mypy does not type a lambda's default
                self._asked_for_steps.add(key)

    def _tell_all(self, draft: Draft, found: Sequence[ExamStep]) -> None:
        for step in found:
            for case_id in cases_of(draft, step):
                self._tell_step(draft, case_id, step)

    def _tell_step(self, draft: Draft, case_id: CaseId, step: ExamStep) -> None:
        case = draft.case(case_id)
        try:
            events = draft.record(case_id, *facts_of(case, draft.context, step))
        except (Refused, PeerError) as error:
            # A case that was closed: the step itself is kept all the same.
            log.info("performed_step_too_late", state=case.acquisition.state.value, error=type(error).__name__)
            return
        if events:
            self._follow(draft, case_id, events)


def cases_of(draft: Draft, step: ExamStep) -> tuple[CaseId, ...]:
    """Return the cases that a step is of, each once: by order, else by study, of its hospital."""
    if step.is_of_another_patient:
        log.error("performed_step_of_another_patient", calling_aet=step.aet)
        return ()
    of_site = [case for case in draft.every_case() if case.site_id == step.site_id]
    ordered = [case for case in of_site if case.request.request_id and case.request.request_id in step.order_ids]
    chosen = ordered or [case for case in of_site if _has_study(case, step.study_instance_uids)]
    return tuple(dict.fromkeys(rematch.goes_on(draft, case.case_id) for case in chosen))


def is_news(case: Case, step: ExamStep) -> bool:
    """Say whether a case has not been told all of a step."""
    known = next((one for one in case.acquisition.steps if one.mpps_uid == step.mpps_uid), None)
    return known is None or (not known.is_ended and (step.is_completed or step.is_discontinued))


def facts_of(case: Case, context: Context, step: ExamStep) -> Facts:
    """Return what a step says that its case does not know yet.

    Raises
    ------
    foundation.errors.Refused
        If the case's state does not allow it: it is closed.
    """
    if not is_news(case, step):
        return ()
    said = {"mpps_uid": step.mpps_uid, "aet": step.aet, **_study_of(case, step)}
    if not step.order_ids:
        said["is_unscheduled"] = True
    facts: Facts = ()
    if all(one.mpps_uid != step.mpps_uid for one in case.acquisition.steps):
        facts = (_fact(context, EventType.EXAM_STARTED, step.began_at, said),)
    dose = {
        "dose_mgy_cm": step.dose_mgy_cm,
        "ctdivol_mgy": step.ctdivol_mgy,
        "area_dose_dgy_cm2": step.area_dose_dgy_cm2,
    }
    if step.is_completed:
        ended = {**said, **dose, "expected": step.expected}
        facts = (*facts, _fact(context, EventType.EXAM_COMPLETED, step.ended_at, ended))
    elif step.is_discontinued:
        ended = {**said, **dose, "reason": step.reason or "not said"}
        facts = (*facts, _fact(context, EventType.EXAM_DISCONTINUED, step.ended_at, ended))
    return commands.possible(case, *facts)


def _fact(context: Context, event_type: EventType, at: datetime, payload: dict[str, object]) -> Fact:
    happened_at = min(at, context.now)
    if context.now - happened_at > LATE_MAX:
        happened_at = context.now
    return replace(context, happened_at=happened_at).fact(event_type, **payload)


def _study_of(case: Case, step: ExamStep) -> dict[str, object]:
    """Return the case's study that the step is of; a study of which no image is here has no issuer yet."""
    for study in case.images.studies:
        if study.study_instance_uid in step.study_instance_uids:
            return {"issuer": study.issuer, "study_instance_uid": study.study_instance_uid}
    return {"study_instance_uid": step.study_instance_uids[0]} if step.study_instance_uids else {}


def _has_study(case: Case, study_instance_uids: Iterable[str]) -> bool:
    wanted = frozenset(study_instance_uids)
    return any(study.study_instance_uid in wanted for study in case.images.studies)
