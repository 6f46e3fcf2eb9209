"""Time is handed in: instants are aware and UTC, durations never go back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from foundation.clock import ManualClock, SystemClock

START = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)


def test_the_systems_clock_gives_aware_instants_and_durations_that_do_not_go_back() -> None:
    clock = SystemClock()
    first_s, second_s = clock.monotonic_s(), clock.monotonic_s()

    assert clock.now().utcoffset() == timedelta(0)
    assert second_s >= first_s


def test_a_manual_clock_moves_only_when_told_to_and_both_its_faces_together() -> None:
    clock = ManualClock(START)

    assert (clock.now(), clock.monotonic_s()) == (START, 0.0)
    clock.advance(timedelta(seconds=90))
    assert (clock.now(), clock.monotonic_s()) == (START + timedelta(seconds=90), 90.0)


def test_a_manual_clock_begun_elsewhere_shows_utc() -> None:
    clock = ManualClock(datetime(2026, 7, 1, 2, tzinfo=timezone(timedelta(hours=2))))

    assert clock.now() == datetime(2026, 7, 1, tzinfo=UTC)
    assert clock.now().utcoffset() == timedelta(0)


def test_a_clock_without_a_zone_and_a_step_back_are_refused() -> None:
    with pytest.raises(ValueError, match="tzinfo=UTC"):
        ManualClock(START.replace(tzinfo=None))
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock(START).advance(timedelta(seconds=-1))
