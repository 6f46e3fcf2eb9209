"""After a crash: what was acknowledged is indexed again, and nothing that could be somebody's image is thrown away."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, event, select

from foundation import outbox
from foundation.clock import SystemClock
from foundation.database import Database, sqlite_url
from pacs.archive import recovery, verify
from pacs.archive.index import CommitUncertain, DuplicatePolicy
from pacs.archive.ingest import Receipt
from pacs.archive.reader import InstanceUnreadable, PackReader
from pacs.archive.schema import instance, instance_conflict, pack, patient, series, study
from pacs.archive.sop_lookup import find
from storage_tiers import pack as pack_format
from storage_tiers.local_packs import LocalPacks
from storage_tiers.pack import ALIGNMENT, PREFIX_BYTES
from tests.harness.archive_parts import (
    Archive,
    announcement,
    files_in,
    index_content,
    open_archive,
    rows,
    store_on,
    stored_uids,
    wrong_counts,
)
from tests.harness.data_sets import image

CLEAN = {"missing": 0, "corrupt": 0, "unindexed": 0}


def uids(count: int) -> list[str]:
    return [f"1.2.3.9.{number}" for number in range(count)]


def store(archive: Archive, names: list[str], **options: object) -> None:
    for name in names:
        assert archive.store(image(name, pixels=name.encode() * 500, **options), name) is Receipt.STORED


def crash(archive: Archive) -> Path:
    """Give up the one idle lane as the kernel does when its process dies; return its pack."""
    lane = archive.lanes.acquire()
    lane.close()
    return archive.journal / lane.name


def recover(database: Database, journal: Path) -> recovery.RecoveryReport:
    return recovery.recover(database, journal, SystemClock())


def verified(database: Database, journal: Path) -> dict[str, int]:
    return dict(verify.verify(database, journal).to_json())


def forget_index(database: Database) -> None:
    with database.write() as connection:
        for table in (instance, instance_conflict, series, study, patient, pack):
            connection.execute(delete(table))


def damage(path: Path, position: int) -> None:
    """Flip one bit in a file."""
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 0x04]))


def place_of(database: Database, uid: str) -> int:
    """Return where an instance's Part 10 file begins in its pack."""
    with database.read() as connection:
        found = connection.execute(select(instance.c.file_offset).where(instance.c.sop_instance_uid == uid))
        return int(found.scalar_one())


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "packs"


@pytest.mark.parametrize("lost", [0, 3, 5])
def test_rows_that_a_power_cut_took_are_written_again(database: Database, journal: Path, lost: int) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(5))
        crash(archive)
    whole = index_content(database)
    if lost == 5:
        forget_index(database)
    else:
        _forget_last(database, lost)

    report = recover(database, journal)

    assert (report.packs, report.members, report.recovered) == (1, 5, lost)
    assert stored_uids(database) == set(uids(5))
    assert wrong_counts(database) == []
    assert {name: content for name, content in index_content(database).items() if name != "pack"} == whole
    assert verified(database, journal) | CLEAN == verified(database, journal)
    assert set(find(database, uids(5))) == set(uids(5))


def _forget_last(database: Database, count: int) -> None:
    """Take the last rows away as if their transactions had never been."""
    with database.write() as connection:
        for uid in uids(5)[5 - count :]:
            row = connection.execute(select(instance).where(instance.c.sop_instance_uid == uid)).one()
            connection.execute(delete(instance).where(instance.c.sop_instance_uid == uid))
            for table, key in ((series, series.c.series_pk == row.series_pk), (study, study.c.study_pk > 0)):
                name = f"number_of_{table.name}_related_instances"
                connection.execute(
                    table.update()
                    .where(key)
                    .values({name: table.c[name] - 1, "size_bytes": table.c.size_bytes - row.file_length_bytes})
                )


def test_what_came_after_the_mark_is_proved_and_indexed_again(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(2))
        archive.ingest.look_after_index()
        store(archive, uids(5)[2:])
        crash(archive)
    _forget_last(database, 3)

    report = recover(database, journal)

    assert (report.packs, report.members, report.recovered) == (1, 5, 3)
    assert stored_uids(database) == set(uids(5))
    assert verified(database, journal) | CLEAN == verified(database, journal)


def test_what_came_before_the_mark_is_not_read_again(
    database: Database, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(3))
        archive.ingest.look_after_index()
        store(archive, uids(4)[3:])
        path = crash(archive)
    # Whoever reads the first and the last finds them damaged.
    damage(path, place_of(database, uids(1)[0]) + 700)
    damage(path, place_of(database, uids(4)[3]) + 700)

    report = recover(database, journal)

    assert (report.members, report.recovered) == (4, 0)
    assert caplog.text.count("unsound_member") == 1
    assert verified(database, journal)["corrupt"] == 2


def test_an_instance_whose_commit_failed_is_found_though_later_ones_went_in(tmp_path: Path, journal: Path) -> None:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    connections: list[sqlite3.Connection] = []
    event.listen(database.engine, "connect", lambda connection, _entry: connections.append(connection))
    database.create_tables()

    def refuse_commit(action: int, what: str | None, *_: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    with contextlib.closing(database), open_archive(database, journal) as archive:
        store(archive, uids(1))
        archive.ingest.look_after_index()
        for connection in connections:
            connection.set_authorizer(refuse_commit)
        with pytest.raises(CommitUncertain):
            store(archive, ["1.2.3.9.77"])
        # The writer has dropped the connection that did not confirm; its next one is new and free.
        connections.clear()
        store(archive, uids(3)[1:])
        archive.ingest.look_after_index()
        crash(archive)

        report = recover(database, journal)

        assert (report.members, report.recovered) == (4, 1)
        assert stored_uids(database) == {*uids(3), "1.2.3.9.77"}


def test_an_instance_that_recovery_indexed_is_announced(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(2))
        crash(archive)
    forget_index(database)
    with database.read() as connection:
        before = outbox.last_event_id(connection)

    recover(database, journal)

    with database.read() as connection:
        events = outbox.read_after(connection, before)
    assert [uid for event in events for part in event.payload["series"] for uid in part["sop_instance_uids"]] == uids(2)


def test_recovery_may_be_repeated_and_looks_only_at_what_is_not_sealed(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(3))
        crash(archive)
    first = recover(database, journal)

    second = recover(database, journal)

    assert (first.packs, first.recovered) == (1, 0)
    assert (second.packs, second.members) == (0, 0)
    assert rows(database, pack)[0]["state"] == "sealed"


def test_a_pack_that_a_living_process_writes_is_left_alone(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(1))
        size = (journal / files_in(journal)[0]).stat().st_size

        report = recover(database, journal)

        assert report.packs == 0
        assert (journal / files_in(journal)[0]).stat().st_size == size
        store(archive, ["1.2.3.9.8"])
    assert verified(database, journal) == {"instances": 2, "bytes": _bytes(database), **CLEAN}


def _bytes(database: Database) -> int:
    return sum(row["file_length_bytes"] for row in rows(database, instance))


def test_a_recovered_pack_is_cut_to_its_members_and_readable_by_any_tar(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(3))
        path = crash(archive)
    preallocated = path.stat().st_size

    recover(database, journal)

    assert path.stat().st_size < preallocated
    reader = LocalPacks(journal).reader(path.name)
    nonce = pack_format.read_manifest(reader)
    *_, last = pack_format.scan(reader, nonce=nonce)
    assert pack_format.read_footer(reader, last.end, nonce=nonce) == 3


def test_a_torn_last_member_is_not_indexed_and_its_successors_are_elsewhere(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(3))
        path = crash(archive)
    forget = place_of(database, "1.2.3.9.2")
    forget_index(database)
    damage(path, forget + 900)

    report = recover(database, journal)

    assert stored_uids(database) == set(uids(2))
    assert report.recovered == 2
    assert verified(database, journal) == {"instances": 2, "bytes": _bytes(database), **CLEAN}


@pytest.mark.parametrize("is_index_lost", [False, True])
def test_a_damaged_member_is_reported_and_never_sent(database: Database, journal: Path, is_index_lost: bool) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(3))
        path = crash(archive)
    damage(path, place_of(database, "1.2.3.9.1") + 900)
    if is_index_lost:
        forget_index(database)

    recover(database, journal)

    assert verified(database, journal) | {"bytes": 0} == {"instances": 2, "bytes": 0, **CLEAN, "corrupt": 1}
    packs = PackReader(LocalPacks(journal))
    refs = {uid: found[0] for uid, found in find(database, uids(3)).items()}
    with pytest.raises(InstanceUnreadable):
        packs.read_file(refs["1.2.3.9.1"])
    for whole in ("1.2.3.9.0", "1.2.3.9.2"):
        assert bytes(packs.read_file(refs[whole])).endswith(image(whole, pixels=whole.encode() * 500))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("is_index_lost", [False, True])
def test_a_damaged_prefix_costs_no_other_instance(
    database: Database, journal: Path, number: int, is_index_lost: bool
) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(3))
        path = crash(archive)
    before = path.read_bytes()
    place = place_of(database, uids(3)[number])
    damage(path, place - PREFIX_BYTES + 600)
    if is_index_lost:
        forget_index(database)

    recover(database, journal)

    # The bytes of all three are still where they were, also those of the one that has no prefix any more.
    written = before.rstrip(b"\0")
    after = path.read_bytes()[: len(written)]
    assert [index for index, byte in enumerate(after) if byte != written[index]] == [place - PREFIX_BYTES + 600]
    assert len(after) == len(written)
    others = [uid for uid in uids(3) if uid != uids(3)[number]]
    assert stored_uids(database) >= set(others)
    found = verified(database, journal)
    assert found["missing"] == (0 if is_index_lost else 1)
    assert found["instances"] == 2


def test_a_pack_of_one_member_with_a_damaged_prefix_is_not_deleted(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(1))
        path = crash(archive)
    damage(path, ALIGNMENT + 600)
    forget_index(database)

    recover(database, journal)

    assert path.exists()
    assert image(uids(1)[0], pixels=uids(1)[0].encode() * 500) in path.read_bytes()


def test_a_pack_whose_manifest_was_zeroed_is_not_deleted(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(2))
        path = crash(archive)
    with path.open("r+b") as file:
        file.write(bytes(ALIGNMENT))

    recover(database, journal)

    assert path.exists()
    assert verified(database, journal)["corrupt"] == 2


def test_what_a_crash_left_empty_is_removed(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        crash(archive)
        (journal / "20260101T000000-00000000.tar").write_bytes(bytes(1024 * 1024))
        (journal / ".20260101T000000-00000001.tar").write_bytes(b"")

    recover(database, journal)

    assert files_in(journal) == []


def test_an_unfinished_first_member_does_not_keep_its_pack(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        stream = archive.ingest.open_stream()
        stream.begin(announcement("1.2.3.9.1"))
        for _ in range(40):
            stream.write(memoryview(image("1.2.3.9.1", pixels=bytes(100_000))))
        stream.close()
        crash(archive)

    recover(database, journal)

    assert files_in(journal) == []


def test_a_strange_file_in_the_journal_stops_nothing(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(2))
        crash(archive)
    forget_index(database)
    (journal / "00000000T000000-strange.tar").write_bytes(b"not a pack" * 1000)
    (journal / "notes.txt").write_text("of an operator")

    recover(database, journal)

    assert stored_uids(database) == set(uids(2))
    assert {"00000000T000000-strange.tar", "notes.txt"} <= set(files_in(journal))


def test_a_pack_that_its_owner_removes_meanwhile_stops_nothing(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(2))
        crash(archive)
    forget_index(database)
    # A name without a file is what is seen when a living worker removes its empty lane between listing and opening.
    (journal / "00000000T000000-gone.tar").symlink_to(journal / "nothing")
    (journal / ".00000000T000000-gone.tar").symlink_to(journal / "nothing")

    recover(database, journal)

    assert stored_uids(database) == set(uids(2))


def test_recovery_that_was_interrupted_goes_on_where_it_stopped(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(70))
        crash(archive)
        store(archive, ["1.2.3.9.100"])
        crash(archive)
    whole = index_content(database)
    forget_index(database)

    class Interrupted(Exception):
        pass

    def interrupt(done: int, _total: int) -> None:
        if done == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        recovery.recover(database, journal, SystemClock(), interrupt)
    assert len(stored_uids(database)) in {1, 70}
    recover(database, journal)

    assert index_content(database) == whole


def _a_mixed_archive(archive: Archive) -> None:
    store(archive, uids(3))
    store(archive, ["1.2.3.9.50"], series_instance_uid="1.2.3.2", modality="MR")
    store(archive, ["1.2.3.9.51"], study_instance_uid="1.2.4", series_instance_uid="1.2.4.1", patient_id="P2")
    store(archive, ["1.2.3.9.52"], patient_id="P2", series_instance_uid="1.2.3.7")
    # Another object under a known UID, and the same one again.
    evidence = image("1.2.3.9.0", pixels=b"other")
    assert archive.store(evidence, "1.2.3.9.0") is Receipt.KEPT_AS_EVIDENCE
    assert archive.store(evidence, "1.2.3.9.0") is Receipt.KEPT_AS_EVIDENCE
    again = image("1.2.3.9.1", pixels=b"1.2.3.9.1" * 500)
    assert archive.store(again, "1.2.3.9.1") is Receipt.ALREADY_STORED
    # A hospital of its own for an AE that another issuer is configured for.
    assert archive.store(image("1.2.3.9.60"), "1.2.3.9.60", issuer="SOUTH") is Receipt.STORED
    # An object damaged in its last element.
    assert archive.store(image("1.2.3.9.61", pixels=b"12345678")[:-3], "1.2.3.9.61") is Receipt.STORED_DAMAGED


@pytest.mark.parametrize("make_old", [forget_index, lambda database: None], ids=["no index", "an index"])
def test_reindex_gives_the_index_that_there_was(
    database: Database, journal: Path, make_old: Callable[[Database], None]
) -> None:
    with open_archive(database, journal) as archive:
        first, second = archive.ingest.open_stream(), archive.ingest.open_stream()
        # Two lanes, so that order of receipt is not order of packs.
        for number in range(80, 90):
            stream = (first, second)[number % 2]
            store_on(stream, image(f"1.2.3.9.{number}"), f"1.2.3.9.{number}")
        first.close()
        second.close()
        _a_mixed_archive(archive)
    whole = index_content(database)
    make_old(database)

    report = recovery.reindex(database, journal, SystemClock())

    assert index_content(database) == whole
    assert report.recovered == len(whole["instance"])
    assert wrong_counts(database) == []
    assert {row["state"] for row in rows(database, pack)} == {"sealed"}
    assert all(find(database, stored_uids(database)).values())
    assert verified(database, journal) == {"instances": len(whole["instance"]), "bytes": _bytes(database), **CLEAN}


def test_reindex_serves_the_object_that_came_first_whatever_its_pack(database: Database, journal: Path) -> None:
    with open_archive(database, journal, policy=DuplicatePolicy.KEEP_AS_EVIDENCE) as archive:
        first, second = archive.ingest.open_stream(), archive.ingest.open_stream()
        store_on(first, image("1.2.3.9.7"), "1.2.3.9.7")
        store_on(second, image("1.2.3.9.1", pixels=b"came first"), "1.2.3.9.1")
        store_on(first, image("1.2.3.9.1", pixels=b"came later"), "1.2.3.9.1")
        first.close()
        second.close()
    served = rows(database, instance)

    recovery.reindex(database, journal, SystemClock())

    assert [row["digest"] for row in rows(database, instance)] == [row["digest"] for row in served]
    assert len(rows(database, instance_conflict)) == 1


@pytest.mark.parametrize("number", [0, 1, 2])
def test_reindex_does_not_let_a_damaged_member_of_a_sealed_pack_vanish(
    database: Database, journal: Path, number: int
) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(3))
    (name,) = files_in(journal)
    damage(journal / name, place_of(database, uids(3)[number]) + 900)

    recovery.reindex(database, journal, SystemClock())

    assert stored_uids(database) == set(uids(3))
    assert verified(database, journal)["corrupt"] == 1


def test_reindex_passes_over_a_pack_that_cannot_be_read(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        store(archive, uids(2))
    (name,) = files_in(journal)
    shutil.copy(journal / name, journal / "00000000T000000-broken.tar")
    damage(journal / "00000000T000000-broken.tar", 3)
    (journal / ".unfinished.tar").write_bytes(b"")
    os.symlink(journal / "nothing", journal / "00000000T000000-gone.tar")

    recovery.reindex(database, journal, SystemClock())

    assert stored_uids(database) == set(uids(2))
