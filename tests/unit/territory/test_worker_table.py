"""The table that workers share: exact limits over all processes, and nothing left of a killed worker."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from territory.worker_table import WorkerState, WorkerTable


@pytest.fixture
def table() -> Iterator[WorkerTable]:
    table = WorkerTable.create(workers=2, associations_max=4)
    yield table
    table.close()


def always(_in_all: int, _of_peer: int) -> bool:
    return True


def test_a_new_table_has_no_workers_and_no_associations(table: WorkerTable) -> None:
    assert [(report.state, report.associations) for report in table.reports()] == [(WorkerState.ABSENT, 0)] * 2


def test_a_worker_reports_its_state_its_process_and_a_fresh_heartbeat(table: WorkerTable) -> None:
    table.row(1).report(WorkerState.READY)

    absent, ready = table.reports()

    assert absent.state is WorkerState.ABSENT
    assert (ready.state, ready.pid) == (WorkerState.READY, os.getpid())
    assert ready.silent_s < 5.0


def test_counts_are_over_all_workers_and_by_peer(table: WorkerTable) -> None:
    table.row(0).reserve("CT_ROANNE", always)
    table.row(1).reserve("CT_ROANNE", always)
    table.row(1).reserve("MR_FEURS", always)
    seen = []

    table.row(0).reserve("CT_ROANNE", lambda *counts: bool(seen.append(counts)))

    assert seen == [(3, 2)]
    assert [report.associations for report in table.reports()] == [1, 2]


def test_one_that_is_not_admitted_takes_no_place(table: WorkerTable) -> None:
    assert table.row(0).reserve("CT_ROANNE", lambda *_: False) is None

    assert table.reports()[0].associations == 0


def test_a_full_node_gives_no_place_even_to_the_admitted_until_one_leaves(table: WorkerTable) -> None:
    tickets = [table.row(worker % 2).reserve("CT_ROANNE", always) for worker in range(4)]
    assert None not in tickets
    assert table.row(0).reserve("CT_ROANNE", always) is None

    assert tickets[3] is not None
    table.row(1).leave(tickets[3])

    assert table.row(0).reserve("CT_ROANNE", always) is not None


def test_what_a_dead_worker_held_is_free_once_cleared(table: WorkerTable) -> None:
    for _ in range(4):
        table.row(1).reserve("CT_ROANNE", always)
    table.row(1).report(WorkerState.READY)

    table.clear(1)

    assert table.reports()[1] == table.reports()[0].__class__(
        worker=1, pid=0, state=WorkerState.ABSENT, silent_s=0.0, associations=0
    )
    assert table.row(0).reserve("CT_ROANNE", always) is not None


def test_threads_never_take_more_places_than_the_limit() -> None:
    table = WorkerTable.create(workers=1, associations_max=64)
    row = table.row(0)
    taken: list[int | None] = []

    def take() -> None:
        taken.extend(row.reserve("CT_ROANNE", lambda _in_all, of_peer: of_peer < 50) for _ in range(20))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    given = [ticket for ticket in taken if ticket is not None]
    assert len(given) == len(set(given)) == 50
    table.close()


def test_processes_never_take_more_places_than_the_limit() -> None:
    table = WorkerTable.create(workers=4, associations_max=64)
    fork = multiprocessing.get_context("fork")

    def take(worker: int) -> None:
        for _ in range(20):
            table.row(worker).reserve("CT_ROANNE", lambda _in_all, of_peer: of_peer < 50)
        os._exit(0)

    processes = [fork.Process(target=take, args=(worker,)) for worker in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert sum(report.associations for report in table.reports()) == 50
    table.close()


def test_a_worker_killed_while_it_held_the_lock_blocks_nobody(table: WorkerTable) -> None:
    fork = multiprocessing.get_context("fork")
    reader, writer = os.pipe()

    def hold() -> None:
        def kill_myself(_in_all: int, _of_peer: int) -> bool:
            os.write(writer, b"!")
            os.kill(os.getpid(), signal.SIGKILL)
            return True

        table.row(1).reserve("CT_ROANNE", kill_myself)

    process = fork.Process(target=hold)
    process.start()
    assert os.read(reader, 1) == b"!"
    process.join()
    os.close(reader)
    os.close(writer)

    assert table.row(0).reserve("CT_ROANNE", always) == 0
