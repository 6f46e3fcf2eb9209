"""The index writer by itself: what it remembers, what it says, and what it does only once."""

from dataclasses import replace

import pytest

from foundation import outbox
from foundation.database import Database
from pacs.archive import index as index_module
from pacs.archive.header import describe_levels, read_header
from pacs.archive.index import DuplicatePolicy, IndexWriter, Kind, LevelsNeeded, Place
from pacs.archive.index_rows import Arrival
from pacs.archive.schema import instance, instance_conflict, pack, patient, series, study
from pacs.contracts import TOPIC_INSTANCE_CONFLICT, TOPIC_INSTANCES_STORED
from storage_tiers.pack import Member
from tests.harness.archive_parts import rows, wrong_counts
from tests.harness.data_sets import EXPLICIT_LITTLE, image


def arrival(number: int, *, digest: bytes = b"", has_levels: bool = True, **options: object) -> Arrival:
    """Return an arrival without any bytes in a pack; its UID and place follow from the number."""
    uid = f"1.2.9.{number}"
    dataset = image(uid, **options)
    header = read_header(dataset, EXPLICIT_LITTLE, is_complete=True)
    levels, _ = describe_levels(dataset, EXPLICIT_LITTLE, header.identity)
    member = Member(
        sop_instance_uid=uid,
        file_offset=4096 * number + 2048,
        file_length_bytes=1000,
        dataset_offset=300,
        dataset_digest=(digest or uid.encode()).ljust(16, b"-"),
        head_digest=1,
        issuer="NORTH",
        calling_aet="CT1",
        received_at_s=100.0 + number,
        end=4096 * (number + 1),
    )
    return Arrival("a.tar", member, header, EXPLICIT_LITTLE, "NORTH", levels if has_levels else None, False)


@pytest.fixture
def index(database: Database) -> IndexWriter:
    return IndexWriter(database)


def topics(database: Database) -> list[str]:
    with database.read() as connection:
        return [event.topic for event in outbox.read_after(connection, 0)]


def test_a_known_series_needs_no_description_any_more(database: Database, index: IndexWriter) -> None:
    first = arrival(1)
    assert not index.knows_series(first.header.identity, "NORTH")
    index.commit([first], now_s=1.0)

    assert index.knows_series(first.header.identity, "NORTH")
    # The same Patient ID of another hospital is another patient's series.
    assert not index.knows_series(first.header.identity, "SOUTH")
    index.commit([arrival(2, has_levels=False)], now_s=1.0)
    index.close()

    assert len(rows(database, instance)) == 2
    assert wrong_counts(database) == []


def test_another_process_finds_the_series_that_the_first_one_made(database: Database, index: IndexWriter) -> None:
    other = IndexWriter(database)
    index.commit([arrival(1)], now_s=1.0)
    with pytest.raises(LevelsNeeded):
        other.commit([arrival(2, has_levels=False)], now_s=1.0)
    other.commit([arrival(2)], now_s=1.0)
    index.close()
    other.close()

    assert (len(rows(database, patient)), len(rows(database, study)), len(rows(database, series))) == (1, 1, 1)
    assert wrong_counts(database) == []


def test_only_a_bounded_number_of_series_is_remembered(
    database: Database, index: IndexWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "SERIES_REMEMBERED_MAX", 3)
    arrivals = [arrival(number, series_instance_uid=f"1.2.3.{number}") for number in range(6)]

    index.commit(arrivals, now_s=1.0)
    known = [index.knows_series(one.header.identity, "NORTH") for one in arrivals]
    index.close()

    assert known == [False] * 3 + [True] * 3


def test_one_event_tells_of_all_instances_of_a_study_in_a_batch(database: Database, index: IndexWriter) -> None:
    batch = [arrival(number, series_instance_uid=f"1.2.3.{number % 2}") for number in range(6)]
    batch.append(arrival(6, study_instance_uid="1.2.4", series_instance_uid="1.2.4.1"))

    index.commit(batch, now_s=1.0)
    index.close()

    with database.read() as connection:
        events = outbox.read_after(connection, 0, topics=[TOPIC_INSTANCES_STORED])
    assert [len(event.payload["series"]) for event in events] == [2, 1]
    assert sorted(uid for part in events[0].payload["series"] for uid in part["sop_instance_uids"]) == [
        f"1.2.9.{number}" for number in range(6)
    ]


def test_reindexing_says_nothing_new(database: Database) -> None:
    quiet = IndexWriter(database, is_announcing=False)
    quiet.commit([arrival(1), arrival(2, study_instance_uid="1.2.3", patient_id="P2")], now_s=1.0)
    quiet.commit([replace(arrival(1, digest=b"other"), pack_name="b.tar")], now_s=1.0)
    quiet.close()

    assert topics(database) == []
    assert len(rows(database, instance_conflict)) == 1


def test_other_bytes_of_the_same_digest_length_are_a_conflict_told_once(database: Database, index: IndexWriter) -> None:
    index.commit([arrival(1)], now_s=1.0)
    other = replace(arrival(1, digest=b"other"), pack_name="b.tar")

    kinds = [index.commit([other], now_s=1.0)[0].kind for _ in range(2)]
    index.close()

    assert kinds == [Kind.CONFLICT_KEPT] * 2
    assert len(rows(database, instance_conflict)) == 1
    assert topics(database).count(TOPIC_INSTANCE_CONFLICT) == 1
    assert wrong_counts(database) == []


def test_a_refusing_policy_keeps_no_evidence(database: Database) -> None:
    index = IndexWriter(database, DuplicatePolicy.REFUSE)
    index.commit([arrival(1)], now_s=1.0)
    other = replace(arrival(1, digest=b"other"), pack_name="b.tar")

    (outcome,) = index.commit([other], now_s=1.0)
    index.close()

    assert outcome.kind is Kind.CONFLICT_REFUSED
    assert rows(database, instance_conflict) == []
    assert TOPIC_INSTANCE_CONFLICT not in topics(database)


def test_a_batch_of_duplicates_and_news_gives_each_its_own_answer(database: Database, index: IndexWriter) -> None:
    index.commit([arrival(1), arrival(2)], now_s=1.0)
    again = replace(arrival(1), pack_name="b.tar")
    other = replace(arrival(2, digest=b"other"), pack_name="b.tar")

    outcomes = index.commit([again, arrival(3), other, arrival(4)], now_s=1.0)
    index.close()

    assert [outcome.kind for outcome in outcomes] == [
        Kind.SAME_DIGEST,
        Kind.STORED,
        Kind.CONFLICT_KEPT,
        Kind.STORED,
    ]
    assert outcomes[0].existing == Place("a.tar", 4096 + 2048, 1000, 300, arrival(1).member.dataset_digest)
    assert wrong_counts(database) == []


def test_sealing_is_marked_with_the_size(database: Database, index: IndexWriter) -> None:
    index.commit([arrival(1)], now_s=1.0)

    index.mark_sealed("a.tar", 8192)
    index.mark_sealed("nobody knows.tar", 1)
    index.close()

    ((name, state, size),) = [(row["name"], row["state"], row["size_bytes"]) for row in rows(database, pack)]
    assert (name, state, size) == ("a.tar", "sealed", 8192)


def test_a_row_is_pointed_elsewhere_only_from_the_place_that_was_looked_at(
    database: Database, index: IndexWriter
) -> None:
    index.commit([arrival(1)], now_s=1.0)
    copy = replace(arrival(1), pack_name="b.tar")
    copy = replace(copy, member=replace(copy.member, file_offset=999, file_length_bytes=1200))
    served = Place("a.tar", 4096 + 2048, 1000, 300, copy.member.dataset_digest)

    assert not index.mend(copy, replace(served, file_offset=7))
    assert index.mend(copy, served)
    assert not index.mend(copy, served)
    index.close()

    (row,) = rows(database, instance)
    assert (row["file_offset"], row["file_length_bytes"]) == (999, 1200)
    assert wrong_counts(database) == []


def test_looking_after_an_index_that_is_there_changes_nothing(database: Database, index: IndexWriter) -> None:
    index.look(now_s=1.0)
    index.commit([arrival(1)], now_s=1.0)
    index.look(now_s=2.0)
    index.commit([arrival(2, has_levels=False)], now_s=3.0)
    index.close()

    assert len(rows(database, instance)) == 2


def test_times_of_a_study_are_those_of_receipt_in_whatever_order_it_is_indexed(
    database: Database, index: IndexWriter
) -> None:
    for number in (5, 9, 2):
        index.commit([arrival(number)], now_s=1000.0)
    index.close()

    (row,) = rows(database, study)
    assert row["last_received_at_s"] == 109.0
