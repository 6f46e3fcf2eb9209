"""Reading times: a fixed part and a log-normal."""

import pytest

from oncall.reading.board import ExamKind
from oncall.reading.policy import DEFAULT
from oncall.reading.read_time import STEP_S, ReadTime

HEAD = DEFAULT.read_times[ExamKind.HEAD]


def test_the_expected_times_are_those_of_the_published_means() -> None:
    minutes = {exam.value: round(DEFAULT.expected_s(exam) / 60, 1) for exam in ExamKind}
    assert minutes == {"stroke": 15.0, "wbct": 30.0, "head": 10.5, "abdo": 20.6, "chest": 17.7, "msk": 11.5}


def test_the_table_of_chances_has_the_mean_that_it_was_made_for() -> None:
    # The mean is the integral of the chance of still being open.
    steps = ReadTime(fixed_s=210.0, mean_s=420.0, sd_s=390.0).chances
    assert sum(1.0 - chance for chance in steps) * 30.0 == pytest.approx(630.0, rel=0.03)


def test_chances_only_grow_with_time_and_begin_after_the_fixed_part() -> None:
    assert list(HEAD.chances) == sorted(HEAD.chances)
    assert HEAD.chances[int(HEAD.fixed_s / STEP_S)] == 0.0
    assert HEAD.chances[-1] > 0.99


def test_what_is_left_of_a_read_falls_at_first_and_grows_once_it_has_turned_out_difficult() -> None:
    assert HEAD.remaining_s(0.0) == HEAD.expected_s
    assert HEAD.remaining_s(300.0) < HEAD.expected_s
    assert HEAD.remaining_s(3600.0) > HEAD.remaining_s(1200.0)
    assert HEAD.remaining_s(1e7) > 0.0
