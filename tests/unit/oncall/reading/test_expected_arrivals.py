"""Cases still to come: the usual night, corrected by tonight's own."""

import pytest

from oncall.reading.expected_arrivals import expected_arrivals
from oncall.reading.policy import NIGHT
from tests.unit.oncall.reading.boards import NOW_S, OFFSET_S

HOUR_S = 3600.0
# 18:30 in Paris, 2.5 h before NOW_S.
BEGIN_S = NOW_S - 2.5 * HOUR_S


def test_the_shares_of_a_night_run_from_nothing_to_everything() -> None:
    assert NIGHT.share_before(18.5 * HOUR_S) == 0.0
    assert NIGHT.share_before(32.5 * HOUR_S) == pytest.approx(1.0)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.99])
def test_the_instant_of_a_share_is_when_that_share_has_come(share: float) -> None:
    assert NIGHT.share_before(NIGHT.instant_of(share)) == pytest.approx(share)


def test_a_usual_night_expects_about_a_dozen_cases_in_its_busiest_hour() -> None:
    usual = tuple(BEGIN_S + number * 400.0 for number in range(22))
    found = expected_arrivals(NIGHT, NOW_S, OFFSET_S, usual, HOUR_S)
    assert len(found) in (9, 10, 11)
    assert all(NOW_S < at_s <= NOW_S + HOUR_S for at_s in found)
    assert list(found) == sorted(found)


def test_a_night_that_has_been_busy_expects_more_than_one_that_has_been_quiet() -> None:
    busy = tuple(BEGIN_S + number * 200.0 for number in range(40))
    assert len(expected_arrivals(NIGHT, NOW_S, OFFSET_S, busy, HOUR_S)) > len(
        expected_arrivals(NIGHT, NOW_S, OFFSET_S, busy[::4], HOUR_S)
    )


def test_after_midnight_the_night_is_still_the_one_that_began_the_evening_before() -> None:
    at_3_in_the_morning = NOW_S + 6 * HOUR_S
    seen = tuple(BEGIN_S + number * 300.0 for number in range(75))
    assert len(expected_arrivals(NIGHT, at_3_in_the_morning, OFFSET_S, seen, HOUR_S)) in (3, 4, 5)


def test_the_morning_of_the_day_before_tells_nothing_about_tonight() -> None:
    yesterday = tuple(BEGIN_S - 20 * HOUR_S + number for number in range(500))
    assert expected_arrivals(NIGHT, NOW_S, OFFSET_S, yesterday, HOUR_S) == expected_arrivals(
        NIGHT, NOW_S, OFFSET_S, (), HOUR_S
    )


def test_outside_the_night_nothing_is_foretold() -> None:
    assert expected_arrivals(NIGHT, NOW_S - 9 * HOUR_S, OFFSET_S, (), HOUR_S) == ()
