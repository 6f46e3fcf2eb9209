"""The bandwidth of a destination on a virtual clock: in no span of time more than the rate and one burst."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.clock import ManualClock
from pacs.routing.bandwidth import BURST_S, PART_BYTES_MIN, Throttle, TokenBucket

START = datetime(2026, 7, 16, tzinfo=UTC)


class Line:
    """What goes through a throttle, and when; waiting moves the clock."""

    def __init__(self, rate_bytes_per_s: float) -> None:
        self.clock = ManualClock(START)
        self.bucket = TokenBucket(rate_bytes_per_s, self.clock)
        self.throttle = Throttle(self.bucket, lambda seconds: self.clock.advance(timedelta(seconds=seconds)))
        self.gone: list[tuple[float, int]] = []

    def send(self, size_bytes: int) -> bytes:
        """Send so many bytes."""
        data = (bytes(range(251)) * (size_bytes // 251 + 1))[:size_bytes]
        whole = b""
        for part in self.throttle.parts(memoryview(data)):
            self.gone.append((self.clock.monotonic_s(), len(part)))
            whole += part
        assert whole == data
        return whole


@settings(max_examples=50)
@given(
    rate=st.integers(1_000, 1_000_000),
    sends=st.lists(st.tuples(st.integers(0, 20_000), st.floats(0, 5)), min_size=1, max_size=12),
)
def test_no_span_of_time_carries_more_than_the_rate_and_one_burst(rate: int, sends: list[tuple[int, float]]) -> None:
    line = Line(rate)
    for size_bytes, pause_s in sends:
        line.send(size_bytes)
        line.clock.advance(timedelta(seconds=pause_s))

    burst = max(rate * BURST_S, PART_BYTES_MIN)
    for first in range(len(line.gone)):
        carried = 0
        for at_s, size_bytes in line.gone[first:]:
            carried += size_bytes
            # Instants of the manual clock are whole microseconds.
            assert carried <= burst + rate * (at_s - line.gone[first][0] + 1e-5 * len(line.gone)) + 1


@settings(max_examples=25)
@given(rate=st.integers(1_000, 20_000), seconds=st.integers(2, 5))
def test_a_line_that_is_never_idle_carries_its_rate(rate: int, seconds: int) -> None:
    line = Line(rate)

    line.send(rate * seconds)

    assert seconds - 2 * BURST_S - 1 <= line.clock.monotonic_s() <= seconds


def test_two_senders_share_the_bandwidth_of_their_destination() -> None:
    line = Line(10_000)
    line.bucket.take(2_500)

    first_s, second_s = line.bucket.take(1_000), line.bucket.take(1_000)

    assert (round(first_s, 6), round(second_s, 6)) == (0.1, 0.2)


def test_parts_have_even_lengths_so_that_they_can_be_fragments() -> None:
    line = Line(7_777)

    line.send(20_001)

    assert all(size_bytes % 2 == 0 for _, size_bytes in line.gone[:-1])


def test_without_a_limit_everything_goes_at_once_in_one_piece() -> None:
    def never(seconds: float) -> None:
        raise AssertionError(seconds)

    assert [len(part) for part in Throttle(None, never).parts(memoryview(bytes(10**6)))] == [10**6]
