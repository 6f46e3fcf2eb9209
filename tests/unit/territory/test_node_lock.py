"""One node per data directory."""

import multiprocessing
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foundation.clock import ManualClock
from territory.node_lock import ORPHANS_WAIT_S_MAX, NodeLock, NodeRunning, node_stopped, running_node


class ImpatientClock(ManualClock):
    """Each look at it takes a second, so that a bounded wait ends without waiting."""

    def monotonic_s(self) -> float:
        self.advance(timedelta(seconds=1))
        return super().monotonic_s()


def impatient_clock() -> ImpatientClock:
    return ImpatientClock(datetime(2026, 1, 1, tzinfo=UTC))


def test_a_second_node_on_the_same_data_is_told_who_has_it(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path)
    lock.describe({"http_port": 8042})

    with pytest.raises(NodeRunning, match=f"in use by process {os.getpid()}; stop it first"):
        NodeLock(tmp_path, clock=impatient_clock())

    lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    NodeLock(tmp_path).release()
    NodeLock(tmp_path).release()


def test_two_data_directories_do_not_disturb_each_other(tmp_path: Path) -> None:
    with node_stopped(tmp_path / "a"), node_stopped(tmp_path / "b"):
        pass


def test_the_lock_stays_held_by_a_process_that_inherited_it_until_that_one_ends(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path)
    reader, writer = os.pipe()
    orphan = multiprocessing.get_context("fork").Process(target=os.read, args=(reader, 1))
    orphan.start()
    lock.release()

    clock = impatient_clock()
    with pytest.raises(NodeRunning, match="in use by another process"):
        NodeLock(tmp_path, clock=clock)
    assert clock.monotonic_s() > ORPHANS_WAIT_S_MAX

    os.write(writer, b"!")
    orphan.join()
    NodeLock(tmp_path).release()
    os.close(reader)
    os.close(writer)


def test_a_running_node_is_seen_with_what_it_says_of_itself(tmp_path: Path) -> None:
    assert running_node(tmp_path) is None
    lock = NodeLock(tmp_path)
    lock.describe({"http_port": 8042})

    assert running_node(tmp_path) == {"pid": os.getpid(), "http_port": 8042}

    lock.release()
    assert running_node(tmp_path) is None
