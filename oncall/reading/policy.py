"""The reading policy: every number that a reading decision depends on, as one frozen value with a version.

The version is stored with each decision, so that an old decision can be explained and replayed. Nothing in
`oncall.reading` holds a number of this kind of its own.
Sources: §3.5 (times, hourly rates), §4.3 (clocks), §1.10 (load), §3.6 (backup, guard).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from oncall.reading.board import ExamKind, Urgency
from oncall.reading.expected_arrivals import ArrivalProfile
from oncall.reading.read_time import ReadTime

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


def _minutes(mean: float, sd: float, fixed: float) -> ReadTime:
    return ReadTime(fixed_s=fixed * _MINUTE, mean_s=mean * _MINUTE, sd_s=sd * _MINUTE)


# From 18:30, 20:30, 00:00, 02:00, 05:00 and 07:00 until 08:30 (§3.5).
NIGHT: Final = ArrivalProfile(
    changes_s=(18.5 * _HOUR, 20.5 * _HOUR, 24 * _HOUR, 26 * _HOUR, 29 * _HOUR, 31 * _HOUR, 32.5 * _HOUR),
    rates=(1.3, 1.6, 1.0, 0.5, 0.4, 0.7),
    usual_cases=85.0,
    usual_weight_cases=20.0,
)


# Reading plus 3.5 min of protocol and telephone, 5 min for what is usually P1 (§3.5).
READ_TIMES: Final[Mapping[ExamKind, ReadTime]] = MappingProxyType(
    {
        ExamKind.STROKE: _minutes(10.0, 6.0, 5.0),
        ExamKind.WHOLE_BODY: _minutes(25.0, 12.0, 5.0),
        ExamKind.HEAD: _minutes(7.0, 6.5, 3.5),
        ExamKind.ABDOMEN: _minutes(17.1, 14.6, 3.5),
        ExamKind.CHEST: _minutes(14.2, 11.1, 3.5),
        ExamKind.MSK: _minutes(8.0, 6.0, 3.5),
    }
)

# The hour, for every class; P1 is measured by its first communicated finding besides (§3.6: a third of P1 reads take
# longer than 20 min by themselves).
_DEADLINE: Final[Mapping[Urgency, float]] = MappingProxyType({Urgency.P1: _HOUR, Urgency.P2: _HOUR, Urgency.P3: _HOUR})
_TARGET: Final[Mapping[Urgency, float]] = MappingProxyType(
    {Urgency.P1: 20 * _MINUTE, Urgency.P2: _HOUR, Urgency.P3: _HOUR}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fatigue:
    """Soft limits on load (§1.10): warning, alarm in cases an hour; alarm in seconds of duty."""

    warned_per_hour: float = 6.0
    alarmed_per_hour: float = 13.0
    alarmed_after_s: float = 10 * _HOUR
    # Rates mean nothing before this much duty.
    measured_from_s: float = _HOUR


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """What is worth waiting how long for, seconds of later start; never at the cost of the deadline, never for P1."""

    same_patient_s: float = 180.0
    same_author_s: float = 120.0
    expert_s: float = 60.0
    # "Can do if nobody else" (§3.1): as if this reader were free so much later.
    last_resort_s: float = 45 * _MINUTE
    last_resort_p1_s: float = 10 * _MINUTE
    warned_fatigue_s: float = 30.0
    alarmed_fatigue_s: float = 120.0
    # Who was told of a case keeps it unless another begins this much sooner and it matters: lists must not flicker.
    stay_s: float = 8 * _MINUTE


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRules:
    """How cases that are not P1 are compared (`oncall.reading.order`). Times in seconds, tuned on drawn nights."""

    # About how long it takes until the next reader is free and the question is put again.
    next_chance_s: float = 15 * _MINUTE
    # The guard: a case that has waited so long goes before all but P1.
    guard_s: float = 85 * _MINUTE
    # What missing the guard is worth, missing the hour being one.
    guard_weight: float = 0.55
    # Loss of chance is divided by expected time to this power: 1 is per minute of reader, 0 is per case.
    work_exponent: float = 0.67


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupRules:
    """When a backup reader is called, kept and let go. Times in seconds, tuned on drawn nights."""

    present_max: int = 3
    # What the forecast looks ahead to, and what an expected case is like (nearly the mean of all, §3.5).
    horizon_s: float = 60 * _MINUTE
    expected_exam: ExamKind = ExamKind.CHEST
    # What an hour of waiting beyond the guard counts, a missed hour counting one.
    overdue_weight: float = 2.0
    # Predicted harm (in missed hours) that a call, or keeping somebody for another extension, must avoid.
    call_avoids_min: float = 4.0
    extension_avoids_min: float = 1.0
    extension_s: float = 10 * _MINUTE
    # How long before their end the question is put whether they are kept.
    decided_before_s: float = 2 * _MINUTE


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingPolicy:
    """All numbers of `oncall.reading`; times in seconds."""

    version: str
    read_times: Mapping[ExamKind, ReadTime] = field(default_factory=lambda: READ_TIMES)
    deadline_s: Mapping[Urgency, float] = field(default_factory=lambda: _DEADLINE)
    target_s: Mapping[Urgency, float] = field(default_factory=lambda: _TARGET)
    # Verbal report to the trauma team leader (§1.9, SE Scotland).
    verbal_trauma_s: float = 5 * _MINUTE
    open_cases_max: int = 7
    order: OrderRules = field(default_factory=OrderRules)
    arrivals: ArrivalProfile = NIGHT
    fatigue: Fatigue = field(default_factory=Fatigue)
    preferences: Preferences = field(default_factory=Preferences)
    backup: BackupRules = field(default_factory=BackupRules)

    def expected_s(self, exam: ExamKind) -> float:
        """Return the expected reader time of a kind of exam."""
        return self.read_times[exam].expected_s


DEFAULT: Final = ReadingPolicy(version="2026-11-22.3")
