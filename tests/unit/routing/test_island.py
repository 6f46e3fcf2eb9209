"""A destination that is away: when it is asked again, and what is known of it."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pacs.routing.island import Reach, found, lost
from pacs.routing.model import JITTER, RetryPolicy, wait_after

NOW = datetime(2026, 7, 16, 8, 0, tzinfo=UTC)
POLICY = RetryPolicy(first_wait_s=10.0, wait_max_s=900.0)


def test_the_first_loss_says_since_when_and_later_ones_keep_it() -> None:
    once = lost(Reach(destination="chu"), NOW, "unreachable", POLICY)
    twice = lost(once, NOW + timedelta(seconds=10), "rejected_1_1_7", POLICY)

    assert (once.away_since, once.probes) == (NOW, 1)
    assert (twice.away_since, twice.probes, twice.reason) == (NOW, 2, "rejected_1_1_7")
    assert found(twice) == Reach(destination="chu")


@given(st.text("abc", min_size=1), st.integers(1, 10_000))
def test_waits_double_up_to_a_bound_and_are_shorter_only_by_the_jitter(seed: str, failures: int) -> None:
    wait_s = wait_after(seed, failures, POLICY).total_seconds()

    longest_s = min(10.0 * 2 ** min(failures - 1, 40), 900.0)
    assert longest_s * (1 - JITTER) <= wait_s <= longest_s
    assert wait_after(seed, failures, POLICY) == wait_after(seed, failures, POLICY)


def test_destinations_that_went_away_together_are_not_asked_together() -> None:
    waits = {wait_after(f"destination{number}", 5, POLICY) for number in range(20)}

    assert len(waits) == 20


def test_a_probe_is_due_when_its_wait_is_over_and_not_before() -> None:
    away = lost(Reach(destination="chu"), NOW, "unreachable", POLICY)
    assert away.probe_at is not None

    assert not away.is_probe_due(away.probe_at - timedelta(microseconds=1))
    assert away.is_probe_due(away.probe_at)
    assert not found(away).is_probe_due(NOW + timedelta(days=1))
