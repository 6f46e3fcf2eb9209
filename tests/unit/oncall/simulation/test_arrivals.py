"""The nights that the model draws have the volumes, mix, minutes and hours of the domain reference, section 3.5."""

import numpy as np
import pytest

from oncall.reading.board import ExamKind, Urgency
from oncall.simulation.arrivals import (
    EXAMS,
    HOSPITALS,
    NIGHT_ENDS_MIN,
    NIGHT_STARTS_MIN,
    NightCase,
    draw_night,
    expected_read_min,
    hospital_names,
    hospital_shares,
)


@pytest.fixture(scope="module")
def cases() -> list[NightCase]:
    """All cases of the benchmark's nights at 80 a night."""
    return [case for seed in range(1000, 1150) for case in draw_night(seed, 80).cases]


def test_the_same_seed_and_volume_give_the_same_night_and_others_another() -> None:
    assert draw_night(1000, 80) == draw_night(1000, 80)
    assert draw_night(1000, 80) != draw_night(1001, 80)
    assert draw_night(1000, 80) != draw_night(1000, 90)


def test_nights_are_as_big_and_vary_as_much_as_the_model_says() -> None:
    counts = [len(draw_night(seed, 80).cases) for seed in range(1000, 1150)]

    assert np.mean(counts) == pytest.approx(80, abs=2.5)
    assert np.std(counts) == pytest.approx(16, abs=2)


def test_reading_takes_as_long_as_the_model_says(cases: list[NightCase]) -> None:
    read_min = [float(case.read_min) for case in cases]

    assert np.mean(read_min) == pytest.approx(16.0, abs=0.3)
    assert np.median(read_min) == pytest.approx(12.6, abs=0.3)
    assert np.percentile(read_min, 95) == pytest.approx(38.5, abs=1.0)
    assert np.mean([minutes > 60 for minutes in read_min]) == pytest.approx(0.010, abs=0.003)


@pytest.mark.parametrize("kind", list(ExamKind))
def test_each_exam_comes_as_often_and_takes_as_long_as_the_model_says(kind: ExamKind, cases: list[NightCase]) -> None:
    mine = [float(case.read_min) for case in cases if case.arrived.exam is kind]
    wanted = next(exam for exam in EXAMS if exam.kind is kind)

    assert len(mine) / len(cases) == pytest.approx(wanted.share, abs=0.01)
    assert np.mean(mine) == pytest.approx(expected_read_min(kind), rel=0.06)


def test_strokes_and_polytraumas_are_p1_and_nothing_else_is(cases: list[NightCase]) -> None:
    p1 = {case.arrived.exam for case in cases if case.arrived.urgency is Urgency.P1}
    others = {case.arrived.exam for case in cases if case.arrived.urgency is not Urgency.P1}

    assert p1 == {ExamKind.STROKE, ExamKind.WHOLE_BODY}
    assert not p1 & others


def test_cases_come_within_the_night_and_most_of_all_in_the_evening(cases: list[NightCase]) -> None:
    ready = np.array([float(case.arrived.ready_min) for case in cases])
    per_hour = [
        np.sum((ready >= start) & (ready < end)) / (end - start)
        for start, end in ((1110, 1230), (1230, 1440), (1440, 1560), (1560, 1740), (1740, 1860), (1860, 1950))
    ]

    assert ready.min() >= NIGHT_STARTS_MIN
    assert ready.max() <= NIGHT_ENDS_MIN
    np.testing.assert_allclose(per_hour / per_hour[2], [1.3, 1.6, 1.0, 0.5, 0.4, 0.7], rtol=0.1)


def test_few_hospitals_are_big_and_their_shares_are_kept(cases: list[NightCase]) -> None:
    shares = hospital_shares()
    found = [sum(case.arrived.site == name for case in cases) / len(cases) for name in hospital_names()]

    assert len(shares) == HOSPITALS
    assert sum(shares) == pytest.approx(1.0)
    assert np.std(np.log(shares)) == pytest.approx(0.8, abs=0.06)
    np.testing.assert_allclose(found, shares, atol=0.01)
