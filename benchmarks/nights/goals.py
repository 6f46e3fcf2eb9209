"""What is wanted of the engine, and whether it was reached. Stated for 3 then 2 readers and the model's nights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.nights.contenders import OURS, READING
from benchmarks.nights.figures import PlayedNight, Summary


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """A figure of one volume and what it should be."""

    title: str
    volume: int
    value: Callable[[Summary], float]
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a goal was reached."""

    goal: str
    wanted: str
    value: float
    is_reached: bool


GOALS: Final = (
    Goal(title="80 a night: share within the hour", volume=80, value=lambda s: s.share_of_nights.mean, at_least=0.97),
    Goal(title="80 a night: p99, min", volume=80, value=lambda s: s.p99_min, at_most=85.0),
    Goal(title="80 a night: P1 wait to start p90, min", volume=80, value=lambda s: s.p1_wait_p90_min or 0.0, at_most=9),
    Goal(
        title="100 a night: share within the hour", volume=100, value=lambda s: s.share_of_nights.mean, at_least=0.955
    ),
    Goal(title="100 a night: p99, min", volume=100, value=lambda s: s.p99_min, at_most=90.0),
    Goal(
        title="100 a night: P1 wait to start p90, min", volume=100, value=lambda s: s.p1_wait_p90_min or 0.0, at_most=9
    ),
    Goal(title="100 a night: backup hours a night", volume=100, value=lambda s: s.backup_hours_per_night, at_most=3.0),
)

#: The same shares with half the backup hours of the simple rules.
STRETCH_SHARE_OF_HOURS: Final = 0.5
#: Processor seconds for 150 nights on one core.
NIGHTS_CPU_MAX_S: Final = 120.0


def judge(
    summaries: Mapping[int, Mapping[str, Summary]], played: Mapping[int, Mapping[str, Sequence[PlayedNight]]]
) -> list[Verdict]:
    """Say of each goal whose volume was played whether the engine (or its reading code, played alone) reached it."""
    ours = OURS if all(OURS in by_name for by_name in summaries.values()) else READING
    if any(ours not in by_name for by_name in summaries.values()):
        return []
    verdicts = [
        _verdict(goal.title, goal.value(summaries[goal.volume][ours]), goal.at_least, goal.at_most)
        for goal in GOALS
        if goal.volume in summaries
    ]
    for volume, by_name in summaries.items():
        nights = played[volume][ours]
        verdicts.append(
            _verdict(
                f"{volume} a night: processor seconds of the engine for 150 nights",
                sum(night.cpu_s for night in nights) / len(nights) * 150,
                None,
                NIGHTS_CPU_MAX_S,
            )
        )
        simple = by_name.get("simple")
        if simple is not None and simple.backup_hours > 0 and volume in (80, 100):
            verdicts.append(
                _verdict(
                    f"{volume} a night: backup hours against those of the simple rules (stretch)",
                    by_name[ours].backup_hours / simple.backup_hours,
                    None,
                    STRETCH_SHARE_OF_HOURS,
                )
            )
    return verdicts


def _verdict(title: str, value: float, at_least: float | None, at_most: float | None) -> Verdict:
    is_reached = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    wanted = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"
    return Verdict(goal=title, wanted=wanted, value=value, is_reached=is_reached)
