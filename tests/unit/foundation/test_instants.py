"""Instants survive the way into a row and back, to the microsecond, whatever zone they were said in."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none

START = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)


def test_an_instant_is_the_same_after_a_journey_through_microseconds() -> None:
    local = datetime(2026, 10, 25, 2, 30, 0, 123457, tzinfo=ZoneInfo("Europe/Paris"), fold=1)

    assert microseconds(local) == 1_792_891_800_123_457
    assert instant_of_us(microseconds(local)) == datetime(2026, 10, 25, 1, 30, 0, 123457, tzinfo=UTC)
    assert instant_of_us(-1) == datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def test_what_is_missing_stays_missing_in_microseconds() -> None:
    assert (microseconds_or_none(None), instant_of_us_or_none(None)) == (None, None)
    assert instant_of_us_or_none(microseconds_or_none(START)) == START


def test_a_naive_instant_has_no_microseconds() -> None:
    with pytest.raises(TypeError):
        microseconds(START.replace(tzinfo=None))
