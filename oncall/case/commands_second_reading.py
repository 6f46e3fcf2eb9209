"""Second readings and discrepancies, as pure decisions like those of `oncall.case.commands`.

What is already so is not said twice.
"""

from collections.abc import Sequence
from datetime import datetime

from foundation.instants import microseconds
from oncall.case.commands import Context, Facts, possible, say
from oncall.case.regions import SecondReadingState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId


def require(
    case: Case, context: Context, *, reasons: Sequence[str], earliest_at: datetime, due_at: datetime, is_blind: bool
) -> Facts:
    """Ask for a second reading; a rule that asks for what is asked for already says nothing."""
    known = case.second_reading
    if known.is_pending and set(reasons) <= set(known.reasons):
        return ()
    return say(
        case,
        context,
        E.REPORT_DOUBLE_READ_REQUIRED,
        reason=reasons[0],
        reasons=list(reasons),
        earliest_at_us=microseconds(earliest_at),
        due_at_us=microseconds(due_at),
        is_blind=is_blind,
    )


def assign(case: Case, context: Context, *, person_id: PersonId, reason: str | None = None) -> Facts:
    """Give the second reading to somebody, or from one to another."""
    known = case.second_reading
    if known.state is SecondReadingState.ASSIGNED and known.assigned_to == person_id:
        return ()
    return say(case, context, E.REPORT_DOUBLE_READ_ASSIGNED, person_id=person_id, reason=reason)


def find_blind(case: Case, context: Context, *, person_id: PersonId, finding: str) -> Facts:
    """Keep what a second reader sees before they are shown the first report; the first word stays."""
    if case.second_reading.blind_findings_at is not None:
        return ()
    return say(case, context, E.REPORT_DOUBLE_READ_FINDINGS, person_id=person_id, finding=finding)


def finish(case: Case, context: Context, *, person_id: PersonId, score: str) -> Facts:
    """The second reader has read it, and agrees so far."""
    known = case.second_reading
    if known.done_at is not None and (known.done_by, known.score) == (person_id, score):
        return ()
    return say(case, context, E.REPORT_DOUBLE_READ_DONE, person_id=person_id, agreement=score)


def record_discrepancy(
    case: Case, context: Context, *, score: str, is_significant: bool, person_id: PersonId, kind: str,
    body_region: str | None, note: str | None, category: int, due_at: datetime, correction_by: str,
) -> Facts:  # fmt: skip
    """Keep a discrepancy; a closed case is opened again when the hospital must be told of it."""
    is_reopened = is_significant and not case.is_open
    reopened = (context.fact(E.CASE_REOPENED, reason="a significant discrepancy was found"),) if is_reopened else ()
    told = {"category": category, "due_at_us": microseconds(due_at), "correction_by": correction_by}
    recorded = context.fact(
        E.DISCREPANCY_RECORDED,
        score=score,
        is_significant=is_significant,
        person_id=person_id,
        kind=kind,
        body_region=body_region,
        note=note or None,
        **(told if is_significant else {}),
    )
    return possible(case, *reopened, recorded)


def communicate_discrepancy(
    case: Case, context: Context, *, recipient: str, method: str, read_back: str, received_at: datetime
) -> Facts:
    """The change was told to a named person, and read back."""
    return say(
        case,
        context,
        E.DISCREPANCY_COMMUNICATED,
        recipient=recipient,
        method=method,
        read_back=read_back,
        received_at_us=microseconds(min(received_at, context.now)),
        person_id=context.actor.who,
    )


def acknowledge_discrepancy(case: Case, context: Context, *, recipient: str) -> Facts:
    """A named clinician has taken note of the change; its escalation stops."""
    if case.second_reading.acknowledged_at is not None:
        return ()
    return say(case, context, E.DISCREPANCY_ACKNOWLEDGED, recipient=recipient)


def close_learning(case: Case, context: Context, *, reason: str | None = None) -> Facts:
    """What there was to learn was said, or it was said that there was nothing."""
    if case.second_reading.state is SecondReadingState.CLOSED:
        return ()
    return say(case, context, E.DISCREPANCY_LEARNING_CLOSED, reason=reason)
