"""Whatever is sent, through whatever lanes, with crashes in between: the archive holds what was confirmed."""

import contextlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.clock import SystemClock
from foundation.database import Database, sqlite_url
from pacs.archive import recovery
from pacs.archive.header import UnusableDataSet
from pacs.archive.ingest import InstanceStream, Receipt
from pacs.archive.reader import PackReader
from pacs.archive.schema import instance_conflict
from pacs.archive.sop_lookup import find
from pacs.archive.verify import verify
from storage_tiers.lane import LaneLimits
from storage_tiers.local_packs import LocalPacks
from tests.harness.archive_parts import Archive, announcement, index_content, open_archive, rows, store_on, wrong_counts
from tests.harness.data_sets import image

# So small that a few instances cross every bound: buffer, extent, lane.
LIMITS = LaneLimits(
    staging_bytes=8 * 1024, extent_bytes=64 * 1024, lane_bytes_max=100 * 1024, free_space_reserve_bytes=0
)
STREAMS = 3


@dataclass(frozen=True)
class Store:
    """Send one of several objects under one of several UIDs."""

    stream: int
    uid: int
    series: int
    variant: int
    pixel_bytes: int
    fragment_bytes: int

    def uid_text(self) -> str:
        return f"1.2.9.{self.uid}"

    def dataset(self) -> bytes:
        return image(
            self.uid_text(),
            series_instance_uid=f"1.2.3.{self.series}",
            pixels=bytes([self.variant + 1]) * (self.pixel_bytes // 2 * 2),
        )


@dataclass(frozen=True)
class Spoil:
    """Send what must be refused, or break off in the middle."""

    stream: int
    kind: str


@dataclass(frozen=True)
class Crash:
    """Let the process die and the next one recover; the index may have lost everything."""

    is_index_lost: bool


STEPS = st.one_of(
    st.builds(
        Store,
        stream=st.integers(0, STREAMS - 1),
        uid=st.integers(0, 5),
        series=st.integers(0, 1),
        variant=st.integers(0, 1),
        pixel_bytes=st.sampled_from([0, 10, 3_000, 9_000, 40_000]),
        fragment_bytes=st.sampled_from([700, 4_096, 100_000]),
    ),
    st.builds(
        Spoil, stream=st.integers(0, STREAMS - 1), kind=st.sampled_from(["rubbish", "other uid", "broken off", "huge"])
    ),
    st.builds(Crash, is_index_lost=st.booleans()),
)


@dataclass
class Expected:
    """What the archive must hold: the first object under each UID of a series, and every other one once."""

    served: dict[tuple[int, int], bytes] = field(default_factory=dict)
    evidence: set[tuple[int, int, bytes]] = field(default_factory=set)

    def receipt(self, step: Store) -> Receipt:
        key, dataset = (step.series, step.uid), step.dataset()
        first = self.served.setdefault(key, dataset)
        if first != dataset:
            self.evidence.add((*key, dataset))
            return Receipt.KEPT_AS_EVIDENCE
        return Receipt.ALREADY_STORED if key in self._seen else self._note(key)

    def _note(self, key: tuple[int, int]) -> Receipt:
        self._seen.add(key)
        return Receipt.STORED

    _seen: set[tuple[int, int]] = field(default_factory=set)


def spoil(stream: InstanceStream, kind: str) -> None:
    if kind == "broken off":
        stream.begin(announcement("1.2.9.77"))
        stream.write(memoryview(image("1.2.9.77", pixels=bytes(30_000))[:-10]))
        stream.abandon()
        return
    dataset = {"rubbish": b"\1" * 5_000, "other uid": image("1.2.9.78"), "huge": bytes(60_000)}[kind]
    with contextlib.suppress(UnusableDataSet):
        store_on(stream, dataset, "1.2.9.77")
        raise AssertionError("what must be refused was not")
    stream.abandon()


def run_until_crash(archive: Archive, steps: list[object], expected: Expected) -> Crash | None:
    """Carry out steps; return the crash that ended them."""
    streams = [archive.ingest.open_stream() for _ in range(STREAMS)]
    while steps:
        step = steps.pop(0)
        if isinstance(step, Store):
            receipt = store_on(
                streams[step.stream], step.dataset(), step.uid_text(), fragment_bytes=step.fragment_bytes
            )
            assert receipt is expected.receipt(step), step
        elif isinstance(step, Spoil):
            spoil(streams[step.stream], step.kind)
        elif isinstance(step, Crash):
            die(archive, streams)
            return step
    for stream in streams:
        stream.close()
    return None


def die(archive: Archive, streams: list[InstanceStream]) -> None:
    """Give up all lanes as the kernel does."""
    for stream in streams:
        stream.close()
    for _ in range(STREAMS):
        archive.lanes.acquire().close()


@given(steps=st.lists(STEPS, max_size=25))
@settings(max_examples=30, deadline=None)
def test_the_archive_holds_what_was_confirmed_and_nothing_else(steps: list[object]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        journal, left, expected = Path(directory) / "packs", list(steps), Expected()
        life, is_index_lost = 0, False
        index = Path(directory) / "index0.sqlite"
        while True:
            if is_index_lost:
                life += 1
                index = Path(directory) / f"index{life}.sqlite"
            database = Database(sqlite_url(index))
            database.create_tables()
            journal.mkdir(exist_ok=True)
            if is_index_lost:
                # Only this takes all packs together, in the order of receipt.
                recovery.reindex(database, journal, SystemClock())
            recovery.recover(database, journal, SystemClock())
            with open_archive(database, journal, limits=LIMITS) as archive:
                crash = run_until_crash(archive, left, expected)
            if crash is None:
                break
            is_index_lost = crash.is_index_lost
            database.close()
        check(database, journal, expected)
        database.close()


def check(database: Database, journal: Path, expected: Expected) -> None:
    report = verify(database, journal)
    assert report.is_whole, report
    assert report.instances == len(expected.served)
    assert len(rows(database, instance_conflict)) == len(expected.evidence)
    assert wrong_counts(database) == []
    packs = LocalPacks(journal)
    for (series, uid), dataset in expected.served.items():
        refs = find(database, [f"1.2.9.{uid}"])[f"1.2.9.{uid}"]
        (ref,) = [ref for ref in refs if ref.series_instance_uid == f"1.2.3.{series}"]
        assert bytes(PackReader(packs).read_file(ref)[ref.dataset_offset :]) == dataset
    packs.close()
    whole = index_content(database)
    recovery.reindex(database, journal, SystemClock())
    assert index_content(database) == whole
