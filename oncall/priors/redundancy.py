"""Is there a recent exam that answers the same question? For the radiologist, before a protocol is chosen.

For: `equivalents`, a pure function, and the windows within which an exam counts as recent. Not for: avoiding an exam:
a radiologist decides that (`oncall.priors.commands`), nobody else and no rule.

Equivalent is a study of the same modality (or magnetic resonance where a CT is asked) that shows every part of the body
that is asked for, not of the other side, made within the window of the kind of exam. A study that says nothing about
what it shows is never called equivalent.

Source: redundant acts are some 15 % of a territory's radiology (press, domain reference section 0); the windows are an
assumption of ours: short where a new state is the question, long where bones do not change.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from oncall.priors.model import PriorExam
from oncall.priors.rank import Asked, is_other_side
from oncall.reading.board import ExamKind

EQUIVALENTS_MAX: Final = 5
"""Equivalent exams that are told of, the newest first."""

WINDOWS: Final[Mapping[ExamKind, timedelta]] = MappingProxyType(
    {
        ExamKind.STROKE: timedelta(hours=6),
        ExamKind.WHOLE_BODY: timedelta(hours=24),
        ExamKind.HEAD: timedelta(hours=48),
        ExamKind.CHEST: timedelta(hours=72),
        ExamKind.ABDOMEN: timedelta(hours=72),
        ExamKind.MSK: timedelta(days=30),
    }
)
"""How long an exam counts as recent, by the kind that is asked for."""

_ANSWERS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {"CT": frozenset({"CT", "MR"}), "MR": frozenset({"MR"})}
)
"""Which modalities answer what is asked of one; of any other only itself."""

_CLOCKS_DIFFER: Final = timedelta(minutes=10)
"""How far ahead of ours a scanner's clock may be."""

_SHOWS: Final[Mapping[ExamKind, frozenset[ExamKind]]] = MappingProxyType(
    {
        # A head CT shows no vessels: it does not answer what a stroke protocol asks.
        ExamKind.STROKE: frozenset({ExamKind.STROKE}),
        ExamKind.WHOLE_BODY: frozenset({ExamKind.WHOLE_BODY}),
        ExamKind.HEAD: frozenset({ExamKind.HEAD, ExamKind.STROKE, ExamKind.WHOLE_BODY}),
        ExamKind.CHEST: frozenset({ExamKind.CHEST, ExamKind.WHOLE_BODY}),
        ExamKind.ABDOMEN: frozenset({ExamKind.ABDOMEN, ExamKind.WHOLE_BODY}),
        # Which bone it is, is not known here: a whole-body scan does not show hands and feet.
        ExamKind.MSK: frozenset({ExamKind.MSK}),
    }
)
"""Which kinds of exam show all that is asked of one."""


def equivalents(asked: Asked, priors: Iterable[PriorExam], now: datetime) -> tuple[PriorExam, ...]:
    """Return recent exams that may answer what is asked, the newest first."""
    found = [prior for prior in priors if _is_equivalent(asked, prior, now)]
    found.sort(key=lambda prior: (-_seconds(prior), prior.study))
    return tuple(found[:EQUIVALENTS_MAX])


def _is_equivalent(asked: Asked, prior: PriorExam, now: datetime) -> bool:
    if prior.performed_at is None or prior.instances == 0 or prior.exam is None:
        return False
    is_recent = now - WINDOWS[asked.exam] <= prior.performed_at <= now + _CLOCKS_DIFFER
    answers = _ANSWERS.get(asked.modality, frozenset({asked.modality}))
    return (
        is_recent
        and not answers.isdisjoint(prior.modalities)
        and prior.exam in _SHOWS[asked.exam]
        and not is_other_side(asked.laterality, prior.laterality)
    )


def _seconds(prior: PriorExam) -> float:
    return 0.0 if prior.performed_at is None else prior.performed_at.timestamp()
