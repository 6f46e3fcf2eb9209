"""Which earlier exams are worth comparing, best first: the same kind of picture of the same part, not too old.

For: `ranked`, a pure function. Not for: whether the new exam is needed at all (`oncall.priors.redundancy`).

The score is a sum of four parts, each from a table here: modality, body part, age, side. The parts are said with the
score, so that whoever looks can see why. An exam of another part of the body, or of the other side, is listed and not
fetched. An assumption of ours, not taken from a source: nobody publishes such weights.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from oncall.priors.model import Laterality, PriorExam
from oncall.reading.board import ExamKind

LISTED_MAX: Final = 50
"""Earlier exams that are ranked; a reader looks at a handful."""

FETCHED_MAX: Final = 5
"""Earlier exams that are made ready before the reading."""

_SAME_MODALITY: Final = 40
_SECTIONAL: Final = 25
_OTHER_MODALITY: Final = 5
_SECTIONS: Final = frozenset({"CT", "MR"})
# What says nothing about the body: reports, pictures of screens, dose.
_NO_PICTURES: Final = frozenset({"SR", "PR", "KO", "DOC", "OT", "SC", "REG", "SEG", "RTSTRUCT"})

_SAME_PART: Final = 40
_PART_WITHIN: Final = 35
_PART_UNKNOWN: Final = 10

_PARTS: Final[Mapping[ExamKind, frozenset[str]]] = MappingProxyType(
    {
        ExamKind.STROKE: frozenset({"head"}),
        ExamKind.HEAD: frozenset({"head"}),
        ExamKind.CHEST: frozenset({"chest"}),
        ExamKind.ABDOMEN: frozenset({"abdomen"}),
        ExamKind.MSK: frozenset({"limbs"}),
        ExamKind.WHOLE_BODY: frozenset({"head", "chest", "abdomen", "limbs"}),
    }
)
"""What part of the body each kind of exam shows."""

_FRESH: Final = 20.0
_HALF_LIFE: Final = timedelta(days=365)
_OTHER_SIDE: Final = -30


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The exam that is asked for; ``modality`` is '' when nobody has said it."""

    exam: ExamKind
    modality: str
    laterality: Laterality = Laterality.UNSAID


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """An earlier exam and its score, 0 to 100; ``parts`` are what the score is the sum of, by name."""

    prior: PriorExam
    score: int
    parts: tuple[tuple[str, int], ...]
    is_relevant: bool


def ranked(asked: Asked, priors: Iterable[PriorExam], now: datetime) -> tuple[Ranked, ...]:
    """Return earlier exams, the most useful first, at most `LISTED_MAX`; the same of each study once."""
    scored = {prior.study: _scored(asked, prior, now) for prior in priors}
    # Of equals the newer one, then always in the same order.
    found = sorted(scored.values(), key=lambda one: (-one.score, -_instant(one.prior), one.prior.study))
    return tuple(found[:LISTED_MAX])


def worth_fetching(found: Iterable[Ranked]) -> tuple[Ranked, ...]:
    """Return those that are to be made ready before the reading."""
    return tuple(one for one in found if one.is_relevant)[:FETCHED_MAX]


def shares_part(asked: ExamKind, prior: ExamKind | None) -> bool:
    """Say whether two kinds of exam show a common part of the body."""
    return prior is not None and not _PARTS[asked].isdisjoint(_PARTS[prior])


def is_other_side(one: Laterality, other: Laterality) -> bool:
    """Say whether one is of the left and the other of the right side."""
    return {one, other} == {Laterality.LEFT, Laterality.RIGHT}


def _scored(asked: Asked, prior: PriorExam, now: datetime) -> Ranked:
    parts = (
        ("modality", _modality(asked.modality, prior.modalities)),
        ("body_part", _body_part(asked.exam, prior.exam)),
        ("age", _age(prior.performed_at, now)),
        ("side", _OTHER_SIDE if is_other_side(asked.laterality, prior.laterality) else 0),
    )
    has_pictures = bool(set(prior.modalities) - _NO_PICTURES) and prior.instances > 0
    is_of_part = prior.exam is None or shares_part(asked.exam, prior.exam)
    return Ranked(
        prior=prior,
        score=max(0, sum(points for _, points in parts)),
        parts=parts,
        is_relevant=has_pictures and is_of_part and not is_other_side(asked.laterality, prior.laterality),
    )


def _modality(asked: str, found: tuple[str, ...]) -> int:
    if asked and asked in found:
        return _SAME_MODALITY
    if (not asked or asked in _SECTIONS) and _SECTIONS.intersection(found):
        return _SECTIONAL
    return _OTHER_MODALITY if set(found) - _NO_PICTURES else 0


def _body_part(asked: ExamKind, found: ExamKind | None) -> int:
    if found is None:
        return _PART_UNKNOWN
    if _PARTS[asked] == _PARTS[found]:
        return _SAME_PART
    return _PART_WITHIN if shares_part(asked, found) else 0


def _age(performed_at: datetime | None, now: datetime) -> int:
    if performed_at is None:
        return 0
    age = max(timedelta(0), now - performed_at)
    return round(_FRESH * math.pow(0.5, age / _HALF_LIFE))


def _instant(prior: PriorExam) -> float:
    return 0.0 if prior.performed_at is None else prior.performed_at.timestamp()
