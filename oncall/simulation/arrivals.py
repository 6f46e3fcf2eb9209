"""What comes in during a night: cases with the times that only the world knows.

For: the nights benchmark, `telegarde oncall simulate`, rehearsals. Not for: anything that decides; the engine gets
`ArrivedCase`, which has no true reading time in it. Times are exact decimal minutes after 00:00 of the evening's day,
so that the end of a reading is its start plus its length to the last digit.

The model is that of the on-call domain reference, section 3.5: 18 hospitals, arrivals that peak from 20:30 to
midnight, mix after Vatele 2020 and Martinon 2014, minutes after JMIRO 2016 (Brazil). The same seed and volume give
the same night.
"""

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import NormalDist
from typing import Final

import numpy as np

from oncall.reading.board import ExamKind, Urgency

NIGHT_STARTS_MIN: Final = Decimal(1110)
READERS_CHANGE_MIN: Final = Decimal(1470)
NIGHT_ENDS_MIN: Final = Decimal(1950)

HOSPITALS: Final = 18
VOLUME_DEFAULT: Final = 80

# From 18:30, 20:30, 00:00, 02:00, 05:00 and 07:00, until 08:30; what is expected in an hour, relative to the others.
_RATE_CHANGES_MIN: Final = (1110, 1230, 1440, 1560, 1740, 1860, 1950)
_RATES: Final = (1.3, 1.6, 1.0, 0.5, 0.4, 0.7)

# Night-to-night coefficient of variation of what is expected, beside Poisson's own.
_NIGHT_VARIATION: Final = 0.15
# Of the logarithms of the hospitals' volumes.
_HOSPITAL_SIGMA: Final = 0.8

# Protocol and telephone for every case, and more of it for P1: minutes of the reader's time.
_EVERY_CASE_MIN: Final = 3.5
_P1_MIN: Final = 1.5

# Of the cases that are not P1; the model says nothing of it, and every class but P1 has the same hour.
_P2_SHARE: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamModel:
    """How often an exam comes (share of all) and how long it is read: mean and standard deviation, lognormal."""

    kind: ExamKind
    share: float
    mean_min: float
    deviation_min: float

    @property
    def is_p1(self) -> bool:
        """Tell whether it is always P1: stroke and polytrauma."""
        return self.kind in (ExamKind.STROKE, ExamKind.WHOLE_BODY)


EXAMS: Final = (
    ExamModel(kind=ExamKind.STROKE, share=0.096, mean_min=10.0, deviation_min=6.0),
    ExamModel(kind=ExamKind.WHOLE_BODY, share=0.032, mean_min=25.0, deviation_min=12.0),
    ExamModel(kind=ExamKind.HEAD, share=0.34, mean_min=7.0, deviation_min=6.5),
    ExamModel(kind=ExamKind.ABDOMEN, share=0.30, mean_min=17.1, deviation_min=14.6),
    ExamModel(kind=ExamKind.CHEST, share=0.20, mean_min=14.2, deviation_min=11.1),
    ExamModel(kind=ExamKind.MSK, share=0.032, mean_min=8.0, deviation_min=6.0),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrivedCase:
    """A case when its images are complete, as the engine may see it."""

    case_id: str
    ready_min: Decimal
    site: str
    urgency: Urgency
    exam: ExamKind


@dataclass(frozen=True, kw_only=True, slots=True)
class NightCase:
    """A case and how long a reader will really need for it, everything included."""

    arrived: ArrivedCase
    read_min: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """The cases of one night; their order says nothing, names are unique."""

    name: str
    cases: tuple[NightCase, ...]


def expected_read_min(kind: ExamKind) -> float:
    """Return the model's mean of the reader's time for a kind of exam, everything included."""
    exam = next(exam for exam in EXAMS if exam.kind is kind)
    return exam.mean_min + _EVERY_CASE_MIN + (_P1_MIN if exam.is_p1 else 0.0)


def hospital_shares() -> tuple[float, ...]:
    """Return each hospital's share of the cases: lognormal quantiles, so a few are big and none is there by luck."""
    ranks = ((number + 0.5) / HOSPITALS for number in range(HOSPITALS))
    sizes = [float(np.exp(_HOSPITAL_SIGMA * NormalDist().inv_cdf(1.0 - rank))) for rank in ranks]
    return tuple(size / sum(sizes) for size in sizes)


def hospital_names() -> tuple[str, ...]:
    """Return the names of the model's hospitals, the biggest first."""
    return tuple(f"H{number:02d}" for number in range(1, HOSPITALS + 1))


def draw_night(seed: int, volume: float = VOLUME_DEFAULT) -> Night:
    """Draw a night of about `volume` cases.

    Times have three decimals (60 ms), so that a night survives being written to a file and read again.
    """
    generator = np.random.default_rng(seed)
    shape = 1.0 / _NIGHT_VARIATION**2
    count = int(generator.poisson(volume * generator.gamma(shape, 1.0 / shape)))
    starts = np.array(_RATE_CHANGES_MIN[:-1], dtype=float)
    lengths = np.array([end - start for start, end in pairwise(_RATE_CHANGES_MIN)], dtype=float)
    weights = lengths * np.array(_RATES)
    pieces = generator.choice(len(_RATES), size=count, p=weights / weights.sum())
    ready = np.sort(starts[pieces] + generator.random(count) * lengths[pieces])
    sites = generator.choice(HOSPITALS, size=count, p=hospital_shares())
    kinds = generator.choice(len(EXAMS), size=count, p=[exam.share for exam in EXAMS])
    normal = generator.standard_normal(count)
    is_p2 = generator.random(count) < _P2_SHARE
    names = hospital_names()
    cases = []
    for index in range(count):
        exam = EXAMS[kinds[index]]
        arrived = ArrivedCase(
            case_id=f"c{index + 1:03d}",
            ready_min=_milli(float(ready[index])),
            site=names[sites[index]],
            urgency=Urgency.P1 if exam.is_p1 else (Urgency.P2 if is_p2[index] else Urgency.P3),
            exam=exam.kind,
        )
        cases.append(NightCase(arrived=arrived, read_min=read_min_of(exam, float(normal[index]))))
    return Night(name=f"seed {seed}, volume {volume:g}", cases=tuple(cases))


def read_min_of(exam: ExamModel, normal: float) -> Decimal:
    """Return the reader's time, everything included, that belongs to a standard normal value."""
    return _milli(_lognormal(exam, normal) + _EVERY_CASE_MIN + (_P1_MIN if exam.is_p1 else 0.0))


def _lognormal(exam: ExamModel, normal: float) -> float:
    """Return the quantile of the exam's reading time that belongs to a standard normal value."""
    variance = float(np.log1p((exam.deviation_min / exam.mean_min) ** 2))
    return float(np.exp(np.log(exam.mean_min) - variance / 2 + normal * np.sqrt(variance)))


def _milli(minutes: float) -> Decimal:
    return Decimal(f"{minutes:.3f}")
