"""Figures are those of the cases, and means over nights have honest intervals."""

import pytest

from benchmarks.nights import figures
from benchmarks.nights.figures import CaseTimes, PlayedNight, mean_of, paired, summarise


def case(site: str, turnaround_min: float, *, wait_min: float = 0.0, is_p1: bool = False) -> CaseTimes:
    return CaseTimes(
        site=site,
        is_p1=is_p1,
        wait_min=wait_min,
        turnaround_min=turnaround_min,
        is_in_time=turnaround_min <= 60,
    )


def night(*cases: CaseTimes, seed: int = 0, bound: int = 0, hours: float = 0.0) -> PlayedNight:
    return PlayedNight(
        seed=seed, cases=cases, backup_calls=int(hours > 0), backup_hours=hours, bound_in_time=bound or len(cases)
    )


def test_a_summary_is_that_of_all_cases_and_its_share_that_of_nights() -> None:
    first = night(case("A", 10), case("B", 60), case("B", 61), case("A", 20, wait_min=5, is_p1=True), bound=4, hours=1)
    second = night(case("A", 70), bound=1, hours=0.5)

    summary = summarise([first, second])

    assert (summary.nights, summary.cases, summary.in_time) == (2, 5, 3)
    assert summary.share_within_60 == 0.6
    assert summary.share_of_nights.mean == pytest.approx((0.75 + 0.0) / 2)
    assert summary.p50_min == 60
    assert summary.max_min == 70
    assert (summary.p1_cases, summary.p1_wait_p90_min) == (1, 5)
    assert (summary.hospital_min, summary.hospital_min_share) == ("B", 0.5)
    assert (summary.backup_calls, summary.backup_hours, summary.backup_hours_per_night) == (2, 1.5, 0.75)
    assert summary.ratio_to_bound == 3 / 5


def test_without_p1_there_is_no_p1_wait() -> None:
    assert summarise([night(case("A", 10))]).p1_wait_p90_min is None


def test_nothing_is_not_summarised() -> None:
    with pytest.raises(ValueError, match="no case"):
        summarise([night()])


def test_an_interval_is_two_standard_errors_wide_on_each_side() -> None:
    mean = mean_of([0.9, 1.0, 0.8, 0.9])

    assert mean.mean == pytest.approx(0.9)
    assert mean.se == pytest.approx(0.0408248)
    assert (mean.low, mean.high) == (pytest.approx(0.9 - 1.96 * mean.se), pytest.approx(0.9 + 1.96 * mean.se))
    assert mean_of([0.5]).se == 0.0


def test_differences_are_taken_night_by_night_and_only_of_the_same_nights() -> None:
    ours = [night(case("A", 10), seed=1), night(case("A", 10), case("A", 70), seed=2)]
    theirs = [night(case("A", 70), seed=1), night(case("A", 10), case("A", 70), seed=2)]

    assert paired(ours, {"other": theirs})["other"].mean == 0.5
    with pytest.raises(AssertionError):
        paired(ours, {"other": theirs[::-1]})


def test_hospitals_have_shares_of_their_own() -> None:
    assert figures.shares_by_hospital([case("B", 10), case("A", 70), case("B", 90)]) == {"A": 0.0, "B": 0.5}
