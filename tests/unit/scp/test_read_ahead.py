"""Read-ahead: in order, bounded, and its errors come out where the item does."""

import threading

import pytest

from foundation.errors import Unavailable
from pacs.scp import read_ahead
from pacs.scp.read_ahead import BYTES_AHEAD_MAX, ITEMS_AHEAD_MAX, ReadAhead


def nothing() -> None:
    """Stand for a caller with nothing to report."""


def test_every_item_comes_out_once_and_in_order() -> None:
    with ReadAhead(range(1000), lambda item: item * 2, lambda _: 1, nothing) as ahead:
        assert list(ahead) == [(item, item * 2) for item in range(1000)]


def test_an_error_is_the_result_of_its_item_and_the_others_go_on() -> None:
    def prepare(item: int) -> int:
        if item == 3:
            raise Unavailable("gone")
        return item

    with ReadAhead(range(6), prepare, lambda _: 1, nothing) as ahead:
        results = list(ahead)

    assert [item for item, result in results if isinstance(result, Unavailable)] == [3]
    assert [result for item, result in results if item != 3] == [0, 1, 2, 4, 5]


def test_a_defect_in_the_thread_is_raised_in_the_callers() -> None:
    def prepare(item: int) -> int:
        raise ZeroDivisionError

    with ReadAhead([1], prepare, lambda _: 1, nothing) as ahead, pytest.raises(ZeroDivisionError):
        list(ahead)


@pytest.mark.parametrize(
    ("size_bytes", "ahead_max"), [(1, ITEMS_AHEAD_MAX), (BYTES_AHEAD_MAX, 1), (BYTES_AHEAD_MAX + 1, 0)]
)
def test_no_more_is_prepared_ahead_than_allowed(size_bytes: int, ahead_max: int) -> None:
    prepared = threading.Semaphore(0)
    begun: list[int] = []

    def prepare(item: int) -> int:
        begun.append(item)
        prepared.release()
        return item

    with ReadAhead(range(8), prepare, lambda _: size_bytes, nothing) as ahead:
        for taken, (item, _) in enumerate(ahead):
            expected = min(8, taken + 1 + ahead_max)
            while len(begun) < expected:
                assert prepared.acquire(timeout=5)
            assert item == taken
            assert len(begun) == expected


def test_a_long_wait_is_heard_of_and_what_that_raises_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "_TICK_S", 0.001)
    release = threading.Event()
    waits: list[int] = []

    def on_wait() -> None:
        waits.append(1)
        if len(waits) == 3:
            raise Unavailable("enough")

    def prepare(item: int) -> int:
        release.wait(10)
        return item

    with ReadAhead([1], prepare, lambda _: 1, on_wait) as ahead, pytest.raises(Unavailable, match="enough"):
        list(ahead)
    release.set()
    assert len(waits) == 3


def test_the_thread_ends_with_the_block() -> None:
    before = set(threading.enumerate())
    with ReadAhead(range(9), lambda item: item, lambda _: 1, nothing) as ahead:
        next(iter(ahead))
        (thread,) = set(threading.enumerate()) - before
    thread.join(5)
    assert not thread.is_alive()
