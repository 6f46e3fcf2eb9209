"""What asks for a second reading, and within what time, as one frozen value with a version.

Sources: §1.10 (Banaste 2018: whole-body CT read again after 12 to 48 h; more than two regions injured, age above 30,
severity class 1 predict a missed injury), §4.3 C8.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from oncall.directory import Competence

_HOUR: Final = 3600.0


class Reason(StrEnum):
    """The rule that asks for a second reading."""

    WHOLE_BODY = "whole_body_ct"
    TRAINEE = "trainee"
    SAMPLED = "sampled"
    ASKED = "asked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """When a second reading is made, in seconds after the signature: not before, and until."""

    earliest_s: float
    due_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.earliest_s < self.due_s:
            raise ValueError("a second reading begins after the first and has some time")


_WINDOWS: Final[Mapping[Reason, Window]] = MappingProxyType(
    {
        Reason.WHOLE_BODY: Window(earliest_s=12 * _HOUR, due_s=48 * _HOUR),
        # A trainee's read is looked at by the first senior of the day.
        Reason.TRAINEE: Window(earliest_s=0.0, due_s=24 * _HOUR),
        Reason.SAMPLED: Window(earliest_s=12 * _HOUR, due_s=48 * _HOUR),
        Reason.ASKED: Window(earliest_s=0.0, due_s=48 * _HOUR),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictors:
    """Which whole-body CTs are read again: any of these asks for it. What is not known asks for it too."""

    regions_above: int = 2
    age_above_years: int = 30
    severity_class_max: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondReadingPolicy:
    """All numbers of second readings.

    ``trainee_level`` is the competence up to which somebody counts as a trainee in what a case needs. ``sampled_share``
    of each reader's cases is drawn by ``seed``; ``sampled_share_of`` has readers with a share of their own.
    ``day_start`` and ``day_end`` are the hospital's wall time within which second readings are given to somebody.
    ``repeat_s`` is between two alarms about one that is overdue.
    """

    version: str
    windows: Mapping[Reason, Window] = field(default_factory=lambda: _WINDOWS)
    predictors: Predictors = field(default_factory=Predictors)
    trainee_level: Competence = Competence.LAST_RESORT
    sampled_share: float = 0.02
    sampled_share_of: Mapping[str, float] = field(default_factory=dict)
    seed: str = "1"
    is_blind: bool = False
    is_other_provider_wanted: bool = False
    open_max: int = 12
    day_start: time = time(8)
    day_end: time = time(20)
    look_again_s: float = _HOUR
    repeat_s: float = 2 * _HOUR

    def __post_init__(self) -> None:
        shares = (self.sampled_share, *self.sampled_share_of.values())
        if not all(0 <= share <= 1 for share in shares) or min(self.look_again_s, self.repeat_s) <= 0:
            raise ValueError("shares are between 0 and 1, waits are positive")
        if set(self.windows) != set(Reason) or self.day_start >= self.day_end:
            raise ValueError("every reason has a window, and the day begins before it ends")


DEFAULT: Final = SecondReadingPolicy(version="1")
