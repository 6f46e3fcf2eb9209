"""Many associations at once, over real sockets, on both databases: nothing is refused, lost or counted twice."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.database import Database
from pacs.archive.reader import PackReader
from pacs.archive.schema import instance, patient, study
from pacs.archive.sop_lookup import find
from pacs.archive.verify import verify
from tests.harness.archive_parts import rows, wrong_counts
from tests.harness.data_sets import image
from tests.harness.node import Node, running_node
from tests.harness.raw_scu import RawScu

ASSOCIATIONS = 16
INSTANCES_EACH = 12


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "packs"


def associations(node: Node, count: int, work: Callable[[RawScu, int], list[int]]) -> list[list[int]]:
    """Open so many associations, begin the work on all of them together, return the statuses of each."""
    statuses: list[list[int]] = [[] for _ in range(count)]
    together = threading.Barrier(count)

    def run(number: int) -> None:
        with RawScu(node.port) as scu:
            scu.associate(calling_aet=f"CT{number % 3}")
            together.wait()
            statuses[number] = work(scu, number)
            scu.release()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node.wait_until_idle()
    return statuses


def is_kept(node: Node, uid: str, dataset: bytes) -> bool:
    (ref,) = find(node.archive.database, [uid])[uid]
    return bytes(PackReader(node.archive.packs).read_file(ref)[ref.dataset_offset :]) == dataset


def test_sixteen_associations_into_one_study_store_everything(database: Database, journal: Path) -> None:
    def dataset(uid: str) -> bytes:
        return image(uid, pixels=uid.encode() * 1500, series_instance_uid=f"1.2.3.{len(uid) % 4}")

    def send(scu: RawScu, number: int) -> list[int]:
        uids = [f"1.2.9.{number}.{which}" for which in range(INSTANCES_EACH)]
        return [scu.store(dataset(uid), uid).status for uid in uids]

    with running_node(database, journal) as node:
        assert associations(node, ASSOCIATIONS, send) == [[0] * INSTANCES_EACH] * ASSOCIATIONS
        stored = [row["sop_instance_uid"] for row in rows(database, instance)]
        assert len(stored) == ASSOCIATIONS * INSTANCES_EACH
        assert all(is_kept(node, uid, dataset(uid)) for uid in stored)
    assert (len(rows(database, patient)), len(rows(database, study))) == (1, 1)
    assert wrong_counts(database) == []
    assert verify(database, journal).is_whole


def test_sixty_four_resends_of_one_instance_at_once_are_all_confirmed_and_it_is_kept_once(
    database: Database, journal: Path
) -> None:
    dataset = image("1.2.9", pixels=bytes(range(256)) * 200)

    with running_node(database, journal) as node:
        statuses = associations(node, 64, lambda scu, _: [scu.store(dataset, "1.2.9").status])
        assert Counter(map(tuple, statuses)) == {(0,): 64}
        assert is_kept(node, "1.2.9", dataset)
    assert len(rows(database, instance)) == 1
    assert wrong_counts(database) == []
    assert verify(database, journal).is_whole
    assert sum(dataset[-1000:] in path.read_bytes() for path in journal.iterdir()) == 1


def test_a_study_sent_again_while_it_is_being_sent_is_confirmed_to_both(database: Database, journal: Path) -> None:
    uids = [f"1.2.9.{number}" for number in range(40)]

    def send(scu: RawScu, number: int) -> list[int]:
        order = uids if number % 2 else uids[::-1]
        return [scu.store(image(uid, pixels=uid.encode() * 700), uid).status for uid in order]

    with running_node(database, journal) as node:
        assert associations(node, 6, send) == [[0] * len(uids)] * 6
    assert len(rows(database, instance)) == len(uids)
    assert wrong_counts(database) == []
    assert verify(database, journal).is_whole
