"""Proving every byte: whatever is wrong is counted, nothing that is right is, and nothing is said that is not known."""

import json
import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from foundation.database import Database, DatabaseAway, sqlite_url
from pacs.archive.ingest import Receipt
from pacs.archive.schema import instance, instance_conflict
from pacs.archive.verify import verify
from storage_tiers.pack import PREFIX_BYTES
from tests.harness.archive_parts import open_archive, rows, store_on, stored_uids
from tests.harness.data_sets import image
from tests.harness.peers import free_port, wait_until
from tests.harness.traced import run_traced

CLEAN = {"missing": 0, "corrupt": 0, "unindexed": 0}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "packs"


def filled(database: Database, journal: Path, count: int = 6) -> list[Path]:
    """Store instances through two lanes, and one object as evidence; return the packs."""
    with open_archive(database, journal) as archive:
        streams = [archive.ingest.open_stream() for _ in range(2)]
        for number in range(count):
            uid = f"1.2.9.{number}"
            store_on(streams[number % 2], image(uid, pixels=uid.encode() * 900), uid)
        evidence = image("1.2.9.0", pixels=b"evidence" * 100)
        assert store_on(streams[0], evidence, "1.2.9.0") is Receipt.KEPT_AS_EVIDENCE
        for stream in streams:
            stream.close()
    return sorted(journal.glob("*.tar"))


def report(database: Database, journal: Path) -> dict[str, int]:
    return dict(verify(database, journal).to_json())


def total_bytes(database: Database) -> int:
    return sum(row["file_length_bytes"] for row in rows(database, instance))


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def test_an_archive_that_is_whole_is_said_to_be(database: Database, journal: Path) -> None:
    filled(database, journal)

    assert report(database, journal) == {"instances": 6, "bytes": total_bytes(database), **CLEAN}


def test_an_empty_archive_is_whole(database: Database, journal: Path) -> None:
    journal.mkdir()

    assert report(database, journal) == {"instances": 0, "bytes": 0, **CLEAN}


def test_progress_ends_where_it_said_it_would(database: Database, journal: Path) -> None:
    filled(database, journal)
    steps: list[tuple[int, int]] = []

    verify(database, journal, lambda done, total: steps.append((done, total)))

    assert steps[-1] == (sum(path.stat().st_size for path in journal.iterdir()),) * 2
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.parametrize("table", [instance, instance_conflict])
def test_a_changed_byte_of_an_instance_or_of_evidence_is_corrupt(
    database: Database, journal: Path, table: object
) -> None:
    filled(database, journal)
    row = rows(database, table)[0]  # type: ignore[arg-type]
    for path in journal.glob("*.tar"):
        content = path.read_bytes()
        if content[row["file_offset"] - PREFIX_BYTES :].startswith(b"PaxHeaders/"):
            flip(path, row["file_offset"] + row["file_length_bytes"] // 2)

    found = report(database, journal)

    # The offset of one row may be a member of the other pack too.
    assert 1 <= found["corrupt"] <= 2
    assert found["missing"] == found["unindexed"] == 0


def test_a_pack_that_is_gone_is_missing(database: Database, journal: Path) -> None:
    gone, stays = filled(database, journal)
    gone.unlink()

    found = report(database, journal)

    assert found["instances"] == 3
    # Three instances, or three and the evidence.
    assert found["missing"] in {3, 4}
    assert found["corrupt"] == 0
    assert stays.exists()


def test_a_row_that_points_to_no_member_is_missing(database: Database, journal: Path) -> None:
    filled(database, journal)
    with database.write() as connection:
        connection.execute(
            update(instance)
            .where(instance.c.sop_instance_uid == "1.2.9.3")
            .values(file_offset=instance.c.file_offset + 512)
        )

    found = report(database, journal)

    # Its member is whole, and known by its digest: only the row is wrong.
    assert (found["missing"], found["unindexed"]) == (1, 0)


@pytest.mark.parametrize("column", ["digest", "file_length_bytes", "dataset_offset"])
def test_a_row_that_says_something_else_than_its_member_is_corrupt(
    database: Database, journal: Path, column: str
) -> None:
    filled(database, journal)
    wrong = b"x" * 16 if column == "digest" else 100
    with database.write() as connection:
        connection.execute(update(instance).where(instance.c.sop_instance_uid == "1.2.9.3").values({column: wrong}))

    found = report(database, journal)

    assert (found["corrupt"], found["missing"], found["instances"]) == (1, 0, 5)


def test_a_member_without_a_row_is_unindexed(database: Database, journal: Path) -> None:
    filled(database, journal)
    with database.write() as connection:
        connection.execute(delete(instance).where(instance.c.sop_instance_uid == "1.2.9.3"))

    assert report(database, journal)["unindexed"] == 1


def test_a_copy_of_what_is_served_or_kept_is_not_unindexed(database: Database, journal: Path) -> None:
    filled(database, journal)
    with open_archive(database, journal) as archive:
        stream = archive.ingest.open_stream()
        for _ in range(2):
            store_on(stream, image("1.2.9.0", pixels=b"evidence" * 100), "1.2.9.0")
            store_on(stream, image("1.2.9.1", pixels=b"1.2.9.1" * 900), "1.2.9.1")
        # A copy that nothing overwrote, as a crash leaves it.
        archive.lanes.close()
        stream.close()

    assert report(database, journal) == {"instances": 6, "bytes": total_bytes(database), **CLEAN}


def test_a_strange_file_in_the_journal_is_nobodys(database: Database, journal: Path) -> None:
    filled(database, journal)
    (journal / "00000000T000000-strange.tar").write_bytes(b"no pack" * 1000)
    (journal / ".20260101T000000-beginning.tar").write_bytes(b"")

    assert report(database, journal) == {"instances": 6, "bytes": total_bytes(database), **CLEAN}


def test_without_the_database_nothing_is_said(tmp_path: Path) -> None:
    database = Database(f"postgresql+psycopg://telegarde@127.0.0.1:{free_port()}/nothing")

    with pytest.raises(DatabaseAway):
        verify(database, tmp_path)
    database.close()


def test_an_archive_that_receives_meanwhile_is_not_called_broken(database: Database, journal: Path) -> None:
    with open_archive(database, journal) as archive:
        stopping = threading.Event()

        def send(thread: int) -> None:
            number = 0
            while not stopping.is_set():
                # A new stream each time: lanes come, grow and go.
                stream = archive.ingest.open_stream()
                for _ in range(3):
                    uid = f"1.2.9.{thread}.{number}"
                    store_on(stream, image(uid, pixels=uid.encode() * 500), uid)
                    number += 1
                stream.close()

        threads = [threading.Thread(target=send, args=(thread,)) for thread in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(stored_uids(database)) > 10, what="the first instances")
        reports = [report(database, journal) for _ in range(8)]
        stopping.set()
        for thread in threads:
            thread.join()

    assert [found | {"instances": 0, "bytes": 0} for found in reports] == [{"instances": 0, "bytes": 0, **CLEAN}] * 8
    assert reports[-1]["instances"] > 0


# --- a disk with a bad sector ----------------------------------------------------------------------------

VERIFY = """
import json, sys
from pathlib import Path
from foundation.database import Database
from pacs.archive.verify import verify
print(json.dumps(dict(verify(Database(sys.argv[1]), Path(sys.argv[2])).to_json())))
"""
RECOVER = """
import sys
from pathlib import Path
from foundation.clock import SystemClock
from foundation.database import Database
from pacs.archive.recovery import recover
recover(Database(sys.argv[1]), Path(sys.argv[2]), SystemClock())
"""


def one_pack(tmp_path: Path, *, is_sealed: bool) -> tuple[str, Path]:
    url = sqlite_url(tmp_path / "index.sqlite")
    database = Database(url)
    database.create_tables()
    with open_archive(database, tmp_path / "packs") as archive:
        for number in range(4):
            uid = f"1.2.9.{number}"
            archive.store(image(uid, pixels=uid.encode() * 900), uid)
        if not is_sealed:
            archive.lanes.acquire().close()
    database.close()
    return url, next((tmp_path / "packs").glob("*.tar"))


@pytest.mark.parametrize("failing", ["1", "5", "2+", "8+"])
def test_reads_that_fail_are_counted_unless_they_succeed_later(tmp_path: Path, failing: str) -> None:
    url, path = one_pack(tmp_path, is_sealed=True)

    done = run_traced(
        ["-c", VERIFY, url, path.parent],
        tmp_path / "trace",
        calls=["pread64"],
        inject=[f"pread64:error=EIO:when={failing}"],
        only=path,
    )

    assert done.returncode == 0, done.stderr
    assert [call for call in done.calls if "INJECTED" in call.result], "no read failed"
    found = json.loads(done.stdout)
    assert found["corrupt"] >= failing.endswith("+")
    assert found["instances"] + found["corrupt"] == 4


@pytest.mark.parametrize("failing", ["1", "5", "2+", "8+"])
def test_a_read_that_fails_does_not_keep_a_node_from_starting_nor_costs_an_instance(
    tmp_path: Path, failing: str
) -> None:
    url, path = one_pack(tmp_path, is_sealed=False)
    written = path.read_bytes().rstrip(b"\0")
    arguments = ["-c", RECOVER, url, path.parent]

    done = run_traced(
        arguments,
        tmp_path / "trace",
        calls=["pread64"],
        inject=[f"pread64:error=EIO:when={failing}"],
        only=path,
    )

    assert done.returncode == 0, done.stderr
    assert path.read_bytes().startswith(written)
    database = Database(url)
    assert report(database, path.parent) | {"bytes": 0} == {"instances": 4, "bytes": 0, **CLEAN}
    database.close()
