"""Turns what happened in nights into the figures that are published.

For: `benchmarks.nights`. Not for: running or drawing. The share within the hour never stands alone: it rewards letting
late patients rot, which the percentiles, the maximum and the P1 wait show (on-call domain reference, 3.4 and 3.6).

Percentiles are numpy's (linear between ranks), over all cases of all nights; shares of nights are averaged over nights,
with the standard error of that mean. Times are minutes from images complete.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from oncall.figures.bound import HOUR_MIN
from oncall.reading.board import Urgency
from oncall.simulation.arrivals import Night
from oncall.simulation.night import NightResult

#: Two-sided 95 % of a normal distribution: with 150 nights Student's is the same to two digits.
_Z_95 = 1.96


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseTimes:
    """What a figure needs of one case: from images complete to begun and to signed."""

    site: str
    is_p1: bool
    wait_min: float
    turnaround_min: float
    is_in_time: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayedNight:
    """One night as one contender read it; `bound_in_time` is for the capacity that it used."""

    seed: int | None
    cases: tuple[CaseTimes, ...]
    backup_calls: int
    backup_hours: float
    bound_in_time: int
    cpu_s: float = 0.0

    @property
    def in_time(self) -> int:
        """Cases signed within the hour."""
        return sum(case.is_in_time for case in self.cases)

    @property
    def share(self) -> float:
        """In time, of all cases; a night without cases holds."""
        return self.in_time / len(self.cases) if self.cases else 1.0

    @property
    def bound_share(self) -> float:
        """What no policy can exceed with this capacity."""
        return self.bound_in_time / len(self.cases) if self.cases else 1.0

    @property
    def ratio(self) -> float:
        """Share divided by its bound."""
        return self.in_time / self.bound_in_time if self.bound_in_time else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """A mean over nights with its standard error and 95 % confidence interval."""

    mean: float
    se: float
    low: float
    high: float


def mean_of(values: Sequence[float]) -> Mean:
    """Average over nights."""
    mean = float(np.mean(values))
    se = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Mean(mean=mean, se=se, low=mean - _Z_95 * se, high=mean + _Z_95 * se)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The figures of one contender over some nights; None where there was no such case."""

    nights: int
    cases: int
    in_time: int
    share_within_60: float
    share_of_nights: Mean
    p50_min: float
    p95_min: float
    p99_min: float
    max_min: float
    p1_cases: int
    p1_wait_p50_min: float | None
    p1_wait_p90_min: float | None
    p1_wait_max_min: float | None
    hospital_min: str
    hospital_min_share: float
    backup_calls: int
    backup_hours: float
    backup_hours_per_night: float
    bound_in_time: int
    bound_share: float
    bound_share_of_nights: Mean
    ratio_to_bound: float


def times_of(night: Night, result: NightResult) -> tuple[CaseTimes, ...]:
    """Return the times of every case, in the night's order."""
    times = []
    for case, outcome in zip(night.cases, result.outcomes, strict=True):
        assert case.arrived.case_id == outcome.case_id
        turnaround_min = outcome.done_min - case.arrived.ready_min
        times.append(
            CaseTimes(
                site=case.arrived.site,
                is_p1=case.arrived.urgency is Urgency.P1,
                wait_min=float(outcome.start_min - case.arrived.ready_min),
                turnaround_min=float(turnaround_min),
                is_in_time=turnaround_min <= HOUR_MIN,
            )
        )
    return tuple(times)


def summarise(played: Sequence[PlayedNight]) -> Summary:
    """Pool nights of one contender.

    Raises
    ------
    ValueError
        If there is no case in any of them.
    """
    cases = [case for night in played for case in night.cases]
    if not cases:
        message = "no case in any night: there is nothing to summarise"
        raise ValueError(message)
    p50, p95, p99 = (float(value) for value in np.percentile([case.turnaround_min for case in cases], [50, 95, 99]))
    p1_waits = [case.wait_min for case in cases if case.is_p1]
    worst, worst_share = min(shares_by_hospital(cases).items(), key=lambda item: (item[1], item[0]))
    in_time = sum(case.is_in_time for case in cases)
    bound = sum(night.bound_in_time for night in played)
    hours = float(sum(Decimal(night.backup_hours) for night in played))
    return Summary(
        nights=len(played),
        cases=len(cases),
        in_time=in_time,
        share_within_60=in_time / len(cases),
        share_of_nights=mean_of([night.share for night in played]),
        p50_min=p50,
        p95_min=p95,
        p99_min=p99,
        max_min=max(case.turnaround_min for case in cases),
        p1_cases=len(p1_waits),
        p1_wait_p50_min=float(np.percentile(p1_waits, 50)) if p1_waits else None,
        p1_wait_p90_min=float(np.percentile(p1_waits, 90)) if p1_waits else None,
        p1_wait_max_min=max(p1_waits) if p1_waits else None,
        hospital_min=worst,
        hospital_min_share=worst_share,
        backup_calls=sum(night.backup_calls for night in played),
        backup_hours=hours,
        backup_hours_per_night=hours / len(played),
        bound_in_time=bound,
        bound_share=bound / len(cases),
        bound_share_of_nights=mean_of([night.bound_share for night in played]),
        ratio_to_bound=in_time / bound if bound else 1.0,
    )


def shares_by_hospital(cases: Iterable[CaseTimes]) -> dict[str, float]:
    """Return each hospital's share within the hour, by name."""
    found: dict[str, list[bool]] = {}
    for case in cases:
        found.setdefault(case.site, []).append(case.is_in_time)
    return {site: sum(found[site]) / len(found[site]) for site in sorted(found)}


def paired(ours: Sequence[PlayedNight], others: Mapping[str, Sequence[PlayedNight]]) -> dict[str, Mean]:
    """Return the mean difference of share, night by night, between ours and each other's on the same nights."""
    differences = {}
    for name, theirs in others.items():
        assert [night.seed for night in ours] == [night.seed for night in theirs]
        differences[name] = mean_of([a.share - b.share for a, b in zip(ours, theirs, strict=True)])
    return differences
