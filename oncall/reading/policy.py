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
from oncall.reading.read_time import ReadTime

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


def _minutes(mean: float, sd: float, besides: float) -> ReadTime:
    return ReadTime(mean_s=(mean + besides) * _MINUTE, sd_s=sd * _MINUTE)


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
_ACKNOWLEDGE: Final[Mapping[Urgency, float]] = MappingProxyType(
    {Urgency.P1: 2 * _MINUTE, Urgency.P2: 5 * _MINUTE, Urgency.P3: 5 * _MINUTE}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fatigue:
    """Soft limits on load (§1.10): sustained plan, warning, alarm in cases an hour; alarm in seconds of duty."""

    planned_per_hour: float = 4.0
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
    warned_fatigue_s: float = 60.0
    alarmed_fatigue_s: float = 300.0
    # Who has been told of a case keeps it unless another starts this much sooner, so that nobody's list flickers.
    stay_s: float = 240.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupRules:
    """When a backup reader is called, kept and let go. Times in seconds."""

    present_max: int = 2
    # Predicted breaches that the call must avoid.
    breaches_avoided_min: float = 1.0
    extension_s: float = 15 * _MINUTE
    # How long before their end the question is put whether they are kept.
    decided_before_s: float = 2 * _MINUTE


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingPolicy:
    """All numbers of `oncall.reading`; times in seconds."""

    version: str
    read_times: Mapping[ExamKind, ReadTime] = field(default_factory=lambda: READ_TIMES)
    deadline_s: Mapping[Urgency, float] = field(default_factory=lambda: _DEADLINE)
    target_s: Mapping[Urgency, float] = field(default_factory=lambda: _TARGET)
    acknowledge_s: Mapping[Urgency, float] = field(default_factory=lambda: _ACKNOWLEDGE)
    # Verbal report to the trauma team leader (§1.9, SE Scotland).
    verbal_trauma_s: float = 5 * _MINUTE
    open_cases_max: int = 7
    # A late case waits no longer than this for its reader's end, whatever it costs others.
    guard_s: float = 85 * _MINUTE
    fatigue: Fatigue = field(default_factory=Fatigue)
    preferences: Preferences = field(default_factory=Preferences)
    backup: BackupRules = field(default_factory=BackupRules)

    def expected_s(self, exam: ExamKind) -> float:
        """Return the expected reader time of a kind of exam."""
        return self.read_times[exam].mean_s


DEFAULT: Final = ReadingPolicy(version="2026-11-22.1")
