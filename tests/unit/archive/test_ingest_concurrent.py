"""Many threads, one index: one transaction for many, nobody's failure is a neighbour's, nothing is counted twice."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from foundation import outbox
from foundation.database import Database
from foundation.errors import Unavailable
from pacs.archive.header import describe_levels, read_header
from pacs.archive.index import IndexWriter, Kind, LevelsNeeded, Outcome
from pacs.archive.index_rows import Arrival
from pacs.archive.ingest import Receipt
from pacs.archive.schema import instance, pack, patient, series, study
from pacs.archive.verify import verify
from pacs.contracts import TOPIC_INSTANCES_STORED
from storage_tiers.pack import Member
from tests.harness.archive_parts import Archive, open_archive, rows, store_on, stored_uids, wrong_counts
from tests.harness.data_sets import EXPLICIT_LITTLE, image
from tests.harness.peers import wait_until


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "packs"


def in_parallel(works: Sequence[Callable[[], object]]) -> list[object]:
    """Run each work in a thread of its own, all begun together; return results or exceptions, in order."""
    results: list[object] = [None] * len(works)
    together = threading.Barrier(len(works))

    def run(number: int, work: Callable[[], object]) -> None:
        together.wait()
        try:
            results[number] = work()
        except Exception as error:  # noqa: BLE001  # handed to the test
            results[number] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_sixteen_threads_into_one_study_lose_and_refuse_nothing(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:

        def send(thread: int) -> Callable[[], object]:
            def work() -> list[Receipt]:
                stream = archive.ingest.open_stream()
                receipts = [
                    store_on(stream, image(uid, series_instance_uid=f"1.2.3.{thread % 3}"), uid)
                    for uid in (f"1.2.9.{thread}.{number}" for number in range(10))
                ]
                stream.close()
                return receipts

            return work

        results = in_parallel([send(thread) for thread in range(16)])

    assert results == [[Receipt.STORED] * 10] * 16
    assert len(stored_uids(database)) == 160
    assert (len(rows(database, patient)), len(rows(database, study)), len(rows(database, series))) == (1, 1, 3)
    assert wrong_counts(database) == []
    with database.read() as connection:
        told = outbox.read_after(connection, 0, topics=[TOPIC_INSTANCES_STORED])
    named = [uid for event in told for part in event.payload["series"] for uid in part["sop_instance_uids"]]
    assert Counter(named) == Counter(stored_uids(database))
    assert verify(database, journal).is_whole


@pytest.mark.parametrize("is_series_known", [False, True])
def test_of_sixty_four_parallel_resends_one_is_stored_and_all_are_confirmed(
    database: Database, journal: Path, is_series_known: bool
) -> None:
    dataset = image("1.2.9", pixels=bytes(20_000))
    with open_archive(database, journal) as archive:
        if is_series_known:
            archive.store(image("1.2.8"), "1.2.8")
        results = in_parallel([lambda: archive.store(dataset, "1.2.9")] * 64)

    assert Counter(map(str, results)) == {str(Receipt.STORED): 1, str(Receipt.ALREADY_STORED): 63}
    assert "1.2.9" in stored_uids(database)
    assert wrong_counts(database) == []
    assert verify(database, journal).is_whole


def test_sixteen_different_objects_under_one_uid_leave_one_served_and_fifteen_as_evidence(
    database: Database, journal: Path
) -> None:
    with open_archive(database, journal) as archive:
        works = [
            lambda number=number: archive.store(image("1.2.9", pixels=bytes([number] * 100)), "1.2.9")
            for number in range(16)
        ]
        results = in_parallel(works)

    assert Counter(map(str, results)) == {str(Receipt.STORED): 1, str(Receipt.KEPT_AS_EVIDENCE): 15}
    assert wrong_counts(database) == []
    assert verify(database, journal).is_whole


# --- batches made on purpose ---------------------------------------------------------------------------


def arrival(uid: str, *, pack_name: str = "a.tar", has_levels: bool = True, **options: object) -> Arrival:
    """Return an arrival as ingest makes it, without any bytes in a pack."""
    dataset = image(uid, **options)
    header = read_header(dataset, EXPLICIT_LITTLE, is_complete=True)
    levels, _ = describe_levels(dataset, EXPLICIT_LITTLE, header.identity)
    offset = 4096 * int(uid.rpartition(".")[2])
    member = Member(
        sop_instance_uid=uid,
        file_offset=offset + 2048,
        file_length_bytes=1000,
        dataset_offset=300,
        dataset_digest=uid.encode().ljust(16, b"-"),
        head_digest=1,
        issuer="NORTH",
        calling_aet="CT1",
        received_at_s=1.0,
        end=offset + 4096,
    )
    return Arrival(pack_name, member, header, EXPLICIT_LITTLE, "NORTH", levels if has_levels else None, False)


def committed_together(archive: Archive, arrivals: Sequence[Arrival]) -> list[object]:
    """Submit arrivals so that all but the first are one batch: the first one leads and is held up meanwhile."""
    group = archive.ingest.group
    results: list[object] = [None] * len(arrivals)

    def submit(number: int) -> None:
        try:
            results[number] = group.submit(arrivals[number])
        except Unavailable as error:
            results[number] = error

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(len(arrivals))]
    with archive.database.writer_lock():
        threads[0].start()
        wait_until(lambda: group._is_led and not group._waiting, what="the first arrival to lead")
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: len(group._waiting) == len(arrivals) - 1, what="the others to queue")
    for thread in threads:
        thread.join()
    return results


def test_one_arrival_that_the_index_refuses_does_not_fail_its_neighbours(database: Database, journal: Path) -> None:
    arrivals = [arrival(f"1.2.9.{number}") for number in range(12)]
    # A lone surrogate: neither driver can encode it. What a peer sends is cleaned long before.
    arrivals[5] = replace(arrivals[5], transfer_syntax_uid="\ud800")
    arrivals[7] = replace(arrivals[7], member=replace(arrivals[7].member, dataset_digest=None))  # type: ignore[arg-type]
    with open_archive(database, journal) as archive:
        results = committed_together(archive, arrivals)

    refused = [number for number, result in enumerate(results) if isinstance(result, Unavailable)]
    assert refused == [5, 7]
    assert all(isinstance(result, Outcome) for number, result in enumerate(results) if number not in refused)
    assert len(stored_uids(database)) == 10
    assert wrong_counts(database) == []


def test_a_batch_never_leaves_a_series_behind_that_does_not_exist(database: Database, journal: Path) -> None:
    known = arrival("1.2.9.1", series_instance_uid="1.2.3.1")
    fresh = arrival("1.2.9.2", series_instance_uid="1.2.3.2", study_instance_uid="1.2.4", patient_id="P2")
    needy = arrival("1.2.9.3", series_instance_uid="1.2.3.3", has_levels=False)
    index = IndexWriter(database)

    with pytest.raises(LevelsNeeded):
        index.commit([fresh, needy], now_s=1.0)
    # What the failed transaction gave the new series is given to another one now.
    index.commit([known], now_s=2.0)
    with pytest.raises(LevelsNeeded):
        index.commit([replace(fresh, levels=None)], now_s=3.0)
    index.commit([fresh], now_s=4.0)
    index.close()

    assert wrong_counts(database) == []
    by_uid = {row["series_pk"]: row["series_instance_uid"] for row in rows(database, series)}
    assert {row["sop_instance_uid"]: by_uid[row["series_pk"]] for row in rows(database, instance)} == {
        "1.2.9.1": "1.2.3.1",
        "1.2.9.2": "1.2.3.2",
    }


def test_a_refused_arrival_leaves_no_pack_row_that_does_not_exist(database: Database) -> None:
    index = IndexWriter(database)
    bad = replace(arrival("1.2.9.1", pack_name="b.tar"), transfer_syntax_uid="\ud800")

    with pytest.raises(UnicodeEncodeError):
        index.commit([bad], now_s=1.0)
    index.commit([arrival("1.2.9.2", pack_name="c.tar")], now_s=1.0)
    index.commit([arrival("1.2.9.3", pack_name="b.tar")], now_s=1.0)
    index.close()

    names = {row["pack_pk"]: row["name"] for row in rows(database, pack)}
    assert {row["sop_instance_uid"]: names[row["pack_pk"]] for row in rows(database, instance)} == {
        "1.2.9.2": "c.tar",
        "1.2.9.3": "b.tar",
    }


def test_a_series_that_the_index_forgot_meanwhile_is_described_again(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        archive.store(image("1.2.9.1"), "1.2.9.1")
        stream = archive.ingest.open_stream()
        results: list[object] = []
        with archive.database.writer_lock():
            thread = threading.Thread(
                target=lambda: results.append(store_on(stream, image("1.2.9.2"), "1.2.9.2")), daemon=True
            )
            thread.start()
            # It has asked whether the series is known, and waits for the index.
            wait_until(lambda: archive.ingest.group._is_led, what="the instance to reach the index")
            archive.index.close()
        thread.join()
        stream.close()

    assert results == [Receipt.STORED]
    assert wrong_counts(database) == []


def test_a_member_that_is_indexed_again_is_known_and_counted_once(database: Database) -> None:
    index = IndexWriter(database)
    one = arrival("1.2.9.1")

    assert [outcome.kind for outcome in index.commit([one], now_s=1.0)] == [Kind.STORED]
    assert [outcome.kind for outcome in index.commit([one, one], now_s=1.0)] == [Kind.ALREADY_INDEXED] * 2
    index.close()

    assert wrong_counts(database) == []


def test_the_same_object_twice_in_one_batch_is_stored_once(database: Database) -> None:
    index = IndexWriter(database)
    first = arrival("1.2.9.1")
    copy = replace(first, member=replace(first.member, file_offset=99 * 4096))

    kinds = [outcome.kind for outcome in index.commit([first, copy], now_s=1.0)]
    index.close()

    assert kinds == [Kind.STORED, Kind.SAME_DIGEST]
    assert wrong_counts(database) == []
