"""Which rules ask for a second reading of a report that was just signed: pure, and the same whoever asks.

For: `reasons_for`. Not for: when and by whom it is read (`oncall.second_reading.choice`).

Invariants: the draw of the sample depends on seed, reader and case alone, so nobody can choose and everybody can check;
what is not known of a whole-body CT counts as a reason, never as the absence of one.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.directory import Directory, PersonId
from oncall.reading.board import ExamKind
from oncall.reading.eligibility import level
from oncall.report.content import ReportContent
from oncall.second_reading.policy import Reason, SecondReadingPolicy, Window

_DRAWN_OF: Final = 2**64

# Fields of the whole-body form (`oncall/report/library/trauma-whole-body.json`) whose answers tell a predictor.
_REGIONS: Final = "injured_regions"
_AGE: Final = "age"
_SEVERITY: Final = "severity_class"
_NONE: Final = frozenset({"none", "aucune"})
_CLASS: Final = re.compile(r"(?:class|classe)? ?([1-9])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Injuries:
    """What predicts a missed injury; None where nobody knows."""

    regions: int | None = None
    age_years: int | None = None
    severity_class: int | None = None


def injuries_of(content: ReportContent) -> Injuries:
    """Return the predictors that a structured report tells; what another form calls otherwise is not known."""
    answers = {answer.field_id: answer.value for answer in content.answers}
    regions, age, severity = answers.get(_REGIONS), answers.get(_AGE), answers.get(_SEVERITY)
    told = _CLASS.fullmatch(str(severity).strip())
    return Injuries(
        regions=sum(one.casefold() not in _NONE for one in regions) if isinstance(regions, tuple) else None,
        age_years=int(age) if isinstance(age, int | float) and not isinstance(age, bool) else None,
        severity_class=None if told is None else int(told[1]),
    )


def reasons_for(
    case: Case, reader: PersonId, directory: Directory, policy: SecondReadingPolicy, injuries: Injuries
) -> tuple[Reason, ...]:
    """Return the rules that ask for a second reading of what `reader` has signed; empty when none does."""
    found = []
    if case.exam is ExamKind.WHOLE_BODY and _is_predicted(injuries, policy):
        found.append(Reason.WHOLE_BODY)
    known = level(directory, reader, case.needs)
    if known is None or known <= policy.trainee_level:
        found.append(Reason.TRAINEE)
    if is_sampled(case.case_id, reader, policy):
        found.append(Reason.SAMPLED)
    return tuple(found)


def is_sampled(case_id: CaseId, reader: PersonId, policy: SecondReadingPolicy) -> bool:
    """Tell whether a case is drawn for review: each reader's cases are a stratum with a draw and a share of its own."""
    share = policy.sampled_share_of.get(reader, policy.sampled_share)
    drawn = hashlib.sha256("\x1f".join((policy.seed, reader, case_id)).encode()).digest()
    return int.from_bytes(drawn[:8], "big") < share * _DRAWN_OF


def window_of(reasons: Sequence[Reason], policy: SecondReadingPolicy) -> Window:
    """Return the window of several rules together: from the earliest beginning until the earliest end."""
    windows = [policy.windows[reason] for reason in reasons]
    return Window(earliest_s=min(one.earliest_s for one in windows), due_s=min(one.due_s for one in windows))


def times_of(reasons: Sequence[Reason], policy: SecondReadingPolicy, signed_at: datetime) -> tuple[datetime, datetime]:
    """Return from when and until when (UTC) a report signed then is read again."""
    window = window_of(reasons, policy)
    return signed_at + timedelta(seconds=window.earliest_s), signed_at + timedelta(seconds=window.due_s)


def _is_predicted(injuries: Injuries, policy: SecondReadingPolicy) -> bool:
    predictors = policy.predictors
    known = (
        None if injuries.regions is None else injuries.regions > predictors.regions_above,
        None if injuries.severity_class is None else injuries.severity_class <= predictors.severity_class_max,
    )
    # Age alone is known of few at night, and says nothing when it is not; injuries nobody counted may be many.
    is_old = injuries.age_years is not None and injuries.age_years > predictors.age_above_years
    return is_old or any(one is None or one for one in known)
