"""What one image costs in system calls and index statements: counts that do not depend on the machine.

A worker of a real node is watched by ``strace`` while DCMTK's storescu sends it a study on one association.
"""

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event

from benchmarks.studies import write_ct_study, write_mr_study
from foundation.database import Database, sqlite_url
from pacs.archive.ingest import Receipt
from tests.harness.archive_parts import open_archive, store_on
from tests.harness.configured_node import ConfiguredNode
from tests.harness.data_sets import image
from tests.harness.peers import LOOPBACK, run_client, wait_until
from tests.harness.stored_datasets import served_datasets
from tests.harness.traced import Call, read_trace, strace_command

#: More than a new connection to the index reads pages of its schema, which is once for an association.
IMAGES = 80
#: The association: two writes (accepted, released), a lane and its manifest, a study that is new to the index.
ONCE_PER_ASSOCIATION = 8
#: A CT image comes in five PDUs of 128 KiB; the receive buffer holds two of them.
READS_PER_IMAGE_MAX = 8
#: Pages of the write-ahead log, each with a header of its own: series, study, instance, and what they touch.
INDEX_WRITES_PER_IMAGE_MAX = 12
INDEX_LOCKS_PER_IMAGE_MAX = 8
INDEX_STATEMENTS_PER_IMAGE_MAX = 6
BLOCK_BYTES = 4096
CALLS = ["%network", "%desc", "fsync", "fdatasync", "sync_file_range"]
TOML = f"""
[[peers]]
aet = "CT1"
addresses = ["{LOOPBACK}"]
rights = ["store"]
issuer = "NORTH"
"""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A study that was received, and the system calls of the worker meanwhile."""

    calls: Sequence[Call]
    dataset_bytes: int

    def on(self, name: str, file: str) -> list[Call]:
        """Return the calls of one name on descriptors of files (or sockets) whose path has this in it."""
        return [call for call in self.calls if call.name == name and file in first_argument(call)]


def first_argument(call: Call) -> str:
    return call.arguments.partition(",")[0]


@contextmanager
def watched(pid: int, trace: Path) -> Iterator[None]:
    """Record the system calls of a running process and its threads."""
    tracer = subprocess.Popen([*strace_command(trace, calls=CALLS), "-p", str(pid)])
    try:
        wait_until(lambda: tracer_of(pid) == tracer.pid, what="strace to be attached")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)


def tracer_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("TracerPid:")))


def worker_of(node: ConfiguredNode) -> int:
    """Return the process id of the only worker."""
    pid = node.process.pid
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(worker)


def receive(directory: Path, study: Path, *, no_delay: bool = True) -> Watched:
    """Let storescu send a study to a new node, watched."""
    trace = directory / "trace"
    with ConfiguredNode(directory / "node", TOML) as node:
        with watched(worker_of(node), trace):
            done = run_client(
                "storescu",
                [
                    *("-xe", "-aet", "CT1", "-aec", node.ae_title, "--max-send-pdu", "131072"),
                    *("+sd", LOOPBACK, str(node.port), study),
                ],
                no_delay=no_delay,
            )
            node.wait_until_idle()
        assert done.returncode == 0, done.stderr
        served = served_datasets(node.data)
    assert len(served) == IMAGES
    return Watched(calls=read_trace(trace), dataset_bytes=sum(len(one.dataset) for one in served.values()))


@pytest.fixture(scope="module", params=[True, False], ids=["without Nagle", "with Nagle"])
def ct(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    directory = tmp_path_factory.mktemp("ct")
    write_ct_study(directory / "study", seed=1, slices=IMAGES)
    return receive(directory, directory / "study", no_delay=request.param)


@pytest.fixture(scope="module")
def mr(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    directory = tmp_path_factory.mktemp("mr")
    write_mr_study(directory / "study", seed=1, slices=IMAGES, series=1)
    return receive(directory, directory / "study")


def test_each_image_is_synced_once_and_nothing_else_is(ct: Watched) -> None:
    assert len(ct.on("fdatasync", "/packs/")) == IMAGES
    # The lane itself, when it is made; the directory that names it.
    assert len(ct.on("fsync", "/packs")) <= 2
    # The index can be made anew from the packs: it is only synced when its log begins anew after a checkpoint.
    assert len(ct.on("fdatasync", "index.sqlite")) <= IMAGES // 4
    assert not ct.on("fsync", "index.sqlite")


def test_each_response_follows_the_sync_and_the_index_of_its_image(ct: Watched) -> None:
    letters = []
    for call in ct.calls:
        where = first_argument(call)
        if call.name == "pwrite64" and "/packs/" in where:
            letters.append("w")
        elif call.name == "fdatasync" and "/packs/" in where:
            letters.append("s")
        elif call.name == "pwrite64" and "index.sqlite-wal" in where:
            letters.append("i")
        elif call.name == "sendmsg":
            letters.append("a")
    order = re.sub(r"(.)\1+", r"\1", "".join(letters))
    # The first answer accepts the association, the last two are the response to the last image and to the release.
    # What is stated of the association when it has ended comes after them.
    assert re.fullmatch(rf"a(wsia){{{IMAGES}}}i", order), order


def test_a_ct_image_is_written_in_one_piece_and_once(ct: Watched) -> None:
    writes = ct.on("pwrite64", "/packs/")
    # One more for the manifest.
    assert len(writes) == IMAGES + 1
    written = sum(int(call.result) for call in writes)
    assert ct.dataset_bytes < written <= ct.dataset_bytes + (IMAGES + 1) * 3 * BLOCK_BYTES


def test_an_ordinary_image_is_written_in_one_piece(mr: Watched) -> None:
    assert len(mr.on("fdatasync", "/packs/")) == IMAGES
    # One more for the manifest.
    assert len(mr.on("pwrite64", "/packs/")) == IMAGES + 1


def test_an_image_is_read_from_the_socket_in_few_pieces_and_answered_in_one(ct: Watched) -> None:
    reads = [*ct.on("recvfrom", "socket:"), *ct.on("recvmsg", "socket:")]
    assert len(reads) <= READS_PER_IMAGE_MAX * IMAGES + ONCE_PER_ASSOCIATION
    # Accepted and released beside the responses.
    assert len(ct.on("sendmsg", "socket:")) == IMAGES + 2
    assert not ct.on("sendto", "socket:")


def test_every_read_is_acknowledged_at_once_and_nothing_waits_for_nagle(ct: Watched) -> None:
    """The kernel takes TCP_QUICKACK back whenever it likes, so it must be set again after every read."""
    of_socket = [call for call in ct.calls if call.name in {"recvfrom", "recvmsg", "setsockopt", "sendmsg", "poll"}]
    reads = 0
    for position, call in enumerate(of_socket):
        if call.name in {"recvfrom", "recvmsg"} and int(call.result.split()[0]) > 0:
            after = of_socket[position + 1]
            assert after.name == "setsockopt", after
            assert "TCP_QUICKACK, [1]" in after.arguments
            reads += 1
    assert reads >= IMAGES
    assert sum("TCP_NODELAY, [1]" in call.arguments for call in ct.on("setsockopt", "socket:")) == 1


def test_the_index_takes_two_locks_and_few_pages_for_an_image(ct: Watched) -> None:
    # One more transaction: what is stated of the association when it has ended; and one if a lane is sealed meanwhile.
    assert len(ct.on("flock", "index.sqlite.lock")) in {2 * (IMAGES + 1), 2 * (IMAGES + 2)}
    assert len(ct.on("pwrite64", "index.sqlite-wal")) <= INDEX_WRITES_PER_IMAGE_MAX * IMAGES + ONCE_PER_ASSOCIATION
    assert len(ct.on("fcntl", "index.sqlite-shm")) <= INDEX_LOCKS_PER_IMAGE_MAX * IMAGES + ONCE_PER_ASSOCIATION


def test_an_image_costs_no_calls_but_these(ct: Watched) -> None:
    """No other call is made as often as there are images: all else is of the association or the series."""
    counted = {"recvfrom", "recvmsg", "setsockopt", "sendmsg", "pwrite64", "fdatasync", "flock", "fcntl"}
    others = Counter(call.name for call in ct.calls if call.name not in counted)
    assert all(count < IMAGES for count in others.values()), others


def test_an_image_of_a_known_series_takes_few_index_statements(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    statements: list[str] = []
    try:
        event.listen(database.engine, "connect", lambda connection, _: connection.set_trace_callback(statements.append))
        database.engine.dispose()
        with open_archive(database, tmp_path / "packs") as archive:
            stream = archive.ingest.open_stream()
            assert store_on(stream, image("1.2.3.1.0"), "1.2.3.1.0") is Receipt.STORED
            first = len(statements)
            for number in range(1, IMAGES + 1):
                uid = f"1.2.3.1.{number}"
                assert store_on(stream, image(uid), uid) is Receipt.STORED
            later = statements[first:]
            stream.close()
    finally:
        database.close()
    assert first > 0
    # BEGIN and COMMIT are no questions to the index.
    asked = [one for one in later if not one.startswith(("BEGIN", "COMMIT", "--"))]
    assert IMAGES <= len(asked) <= INDEX_STATEMENTS_PER_IMAGE_MAX * IMAGES, Counter(asked).most_common(10)
    assert sum(one.startswith("COMMIT") for one in later) == IMAGES
