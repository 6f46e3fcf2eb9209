"""Time is handed in: instants are aware and UTC, durations never go back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.clock import SET_BACK_BRIDGED_MAX, SLOWER, ManualClock, SteadyClock, SystemClock

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


def test_a_steady_clock_shows_what_its_machine_shows_and_follows_it_forward() -> None:
    machine = ManualClock(START)
    clock = SteadyClock(machine)

    machine.advance(timedelta(seconds=90))
    assert clock.now() == machine.now()
    machine.set(START + timedelta(hours=1))
    assert clock.now() == machine.now()


def test_a_steady_clock_goes_on_when_its_machine_is_set_back_and_meets_it_again() -> None:
    machine = ManualClock(START)
    clock = SteadyClock(machine)
    machine.set(START - timedelta(hours=1))

    assert clock.now() == START
    machine.advance(timedelta(minutes=2))
    # Two minutes are late by seconds, not by an hour.
    assert clock.now() == START + timedelta(minutes=2) * (1.0 - SLOWER)
    machine.advance(timedelta(hours=1) / SLOWER)
    assert clock.now() == machine.now()


def test_a_steady_clock_begins_no_earlier_than_the_life_before_it_ended() -> None:
    machine = ManualClock(START)

    assert SteadyClock(machine, not_before=START + timedelta(minutes=59)).now() == START + timedelta(minutes=59)
    assert SteadyClock(machine, not_before=START - timedelta(minutes=59)).now() == START


def test_a_steady_clock_leaves_a_time_that_was_nobodys() -> None:
    machine = ManualClock(START + timedelta(days=3650))
    clock = SteadyClock(machine)
    machine.set(START)

    assert clock.now() == START
    assert SteadyClock(machine, not_before=START + timedelta(days=3650)).now() == START


steps = st.lists(st.tuples(st.floats(0, 400), st.floats(-3600, 3600) | st.just(0.0)), max_size=30)


@given(steps)
def test_whatever_is_done_to_the_machine_a_steady_clock_neither_goes_back_nor_stands_still(
    story: list[tuple[float, float]],
) -> None:
    machine = ManualClock(START)
    clock = SteadyClock(machine)
    for passed_s, set_by_s in story:
        before, ahead = clock.now(), clock.now() - machine.now()
        machine.advance(timedelta(seconds=passed_s))
        machine.set(machine.now() + timedelta(seconds=set_by_s))
        is_bridged = ahead - timedelta(seconds=set_by_s) <= SET_BACK_BRIDGED_MAX
        if is_bridged:
            assert clock.now() - before >= timedelta(seconds=passed_s) * (1.0 - SLOWER) - timedelta(microseconds=2)
        assert clock.now() - machine.now() <= SET_BACK_BRIDGED_MAX
