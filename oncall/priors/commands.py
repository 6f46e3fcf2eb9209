"""What a radiologist says of a recent exam that may answer the request: enough, or the new one is needed all the same.

For: pure decisions as in `oncall.case.commands`. Invariant: only a person avoids an exam; an avoided one is refused in
the same breath, so that nobody performs it.
"""

from enum import StrEnum
from typing import Final

from foundation.errors import Refused
from oncall.case import commands
from oncall.case.commands import Context, Facts
from oncall.case.regions import PriorFound, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.priors.telling import may_be_avoided


class Outcome(StrEnum):
    """What became of an equivalent exam that was found."""

    FOUND = "found"
    AVOIDED = "avoided"
    CONFIRMED = "confirmed"
    VOID = "void"


MOTIVE_AVOIDED: Final = "redundant"
"""The motive of a refusal because a recent exam answers the question."""


def judge(case: Case, context: Context, *, study: StudyKey, outcome: Outcome, note: str = "") -> Facts:
    """Record what a radiologist says of an equivalent exam; avoiding the exam refuses the request and closes the case.

    Parameters
    ----------
    note : str
        Why; it goes to whoever asked, with a refusal.

    Raises
    ------
    Refused
        If the study was not found for this case, or the exam has begun.
    """
    known = next((one for one in case.request.prior_exams if one.study == study), None)
    if known is None or known.outcome == Outcome.VOID or outcome not in {Outcome.AVOIDED, Outcome.CONFIRMED}:
        raise Refused("no such earlier exam was found for this case; reload it and choose one of the list")
    if known.outcome == outcome.value:
        return ()
    said = context.fact(
        EventType.REQUEST_PRIOR_EXAM_FOUND,
        outcome=outcome.value,
        issuer=study.issuer,
        study_instance_uid=study.study_instance_uid,
        note=note or None,
    )
    if outcome is Outcome.CONFIRMED:
        return commands.possible(case, said)
    if not may_be_avoided(case):
        raise Refused("the exam has begun, or nobody has requested it: it can no longer be avoided")
    if not note:
        raise Refused("say why the earlier exam is enough: whoever asked is told so")
    # Refused with what is to be read instead; the words go to the hospital.
    refusal = commands.refuse(case, context, motive=f"{MOTIVE_AVOIDED}: {note}", alternative=_named(known))
    return commands.possible(case, said, *refusal)


def _named(prior: PriorFound) -> str:
    """Return what an earlier exam is called to whoever asked for the new one."""
    day = "" if prior.performed_at is None else f" {prior.performed_at.date().isoformat()}"
    return f"{prior.modality}{day}, Study Instance UID {prior.study.study_instance_uid}"
