"""Lanes: what is committed is on the disk as it came, and a disk that fails costs no more than the instance in hand."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import xxhash

from foundation.clock import SystemClock
from foundation.errors import DiskFull
from storage_tiers import pack
from storage_tiers.lane import Lane, LaneBroken, LaneLimits, LanePool, MemberWriter, try_own
from storage_tiers.local_packs import LocalPacks
from storage_tiers.pack import ALIGNMENT, PREFIX_BYTES, Member, PackDamaged
from tests.harness.disks import descriptor_of, filled_up, is_direct, make_unsyncable, make_unwritable, small_disk
from tests.harness.traced import run_traced

MIB = 1024 * 1024
LIMITS = LaneLimits(staging_bytes=256 * 1024, extent_bytes=2 * MIB, lane_bytes_max=8 * MIB, free_space_reserve_bytes=0)
HEAD = bytes(128) + b"DICM" + bytes(200)


def write_member(lane: Lane, dataset: bytes, *, fragment_bytes: int = 100_000, uid: str = "1.2.3") -> Member:
    """Put one member into a lane, durably."""
    writer = MemberWriter(lane)
    writer.begin(HEAD)
    for start in range(0, len(dataset), fragment_bytes):
        append(writer, dataset[start : start + fragment_bytes])
    member = writer.complete(sop_instance_uid=uid, issuer="NORTH", calling_aet="CT1", received_at_s=1.5)
    writer.sync()
    writer.keep()
    return member


def write_until_it_fails(lane: Lane) -> None:
    for _ in range(200):
        write_member(lane, os.urandom(200_000))


def append(writer: MemberWriter, fragment: bytes) -> None:
    view = memoryview(fragment)
    if not writer.try_write(view):
        writer.write(view)


def member_files(journal: Path, name: str) -> list[bytes]:
    """Return every file in a pack, each proven."""
    reader = LocalPacks(journal).reader(name)
    files = []
    for member in pack.scan(reader, nonce=pack.read_manifest(reader)):
        pack.check_member(reader, member)
        files.append(reader.read(member.file_offset, member.file_length_bytes))
    return files


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    directory = tmp_path / "packs"
    directory.mkdir()
    return directory


@pytest.fixture
def lane(journal: Path) -> Iterator[Lane]:
    opened = Lane(journal, LIMITS, SystemClock())
    yield opened
    opened.close()


SIZES = [
    *(0, 1, 511, 512, 513, ALIGNMENT - PREFIX_BYTES - len(HEAD), ALIGNMENT - PREFIX_BYTES - len(HEAD) + 1),
    # Around what the staging buffer holds, and several times that.
    *(LIMITS.staging_bytes - PREFIX_BYTES - len(HEAD) + shift for shift in (-1, 0, 1)),
    *(LIMITS.staging_bytes, 3 * LIMITS.staging_bytes + 17, 5 * MIB + 3),
]


def test_members_of_all_sizes_are_read_back_as_they_came(lane: Lane, journal: Path) -> None:
    datasets = [os.urandom(size) for size in SIZES]

    members = [write_member(lane, dataset) for dataset in datasets]

    assert member_files(journal, lane.name) == [HEAD + dataset for dataset in datasets]
    assert [member.dataset_digest for member in members] == [xxhash.xxh3_128_digest(one) for one in datasets]
    assert lane.tail == members[-1].end
    assert lane.members == len(SIZES)


def test_a_lane_writes_past_the_page_cache_where_the_disk_allows(lane: Lane, journal: Path) -> None:
    assert is_direct(journal / lane.name)


def test_a_file_system_without_direct_writes_gets_ordinary_ones(tmp_path: Path, journal: Path) -> None:
    refused = "pwrite64:error=EINVAL:when=1"
    program = """
import sys
from pathlib import Path
from foundation.clock import SystemClock
from storage_tiers.lane import Lane
from tests.harness.disks import is_direct
from tests.unit.storage_tiers.test_lane import HEAD, LIMITS, SIZES, member_files, write_member

journal = Path(sys.argv[1])
lane = Lane(journal, LIMITS, SystemClock())
for size in SIZES:
    write_member(lane, bytes(size))
assert member_files(journal, lane.name) == [HEAD + bytes(size) for size in SIZES]
print(is_direct(journal / lane.name))
"""
    done = run_traced(["-c", program, journal], tmp_path / "trace", calls=["pwrite64"], inject=[refused])

    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    assert [call for call in done.calls if "INJECTED" in call.result]


def test_a_tmpfs_takes_members_too(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=16 * MIB) as disk:
        lane = Lane(disk, LIMITS, SystemClock())
        datasets = [os.urandom(size) for size in SIZES]
        for dataset in datasets:
            write_member(lane, dataset)
        assert member_files(disk, lane.name) == [HEAD + dataset for dataset in datasets]
        lane.close()


def test_nothing_of_an_unfinished_member_can_pass_for_one(lane: Lane, journal: Path) -> None:
    write_member(lane, b"first")
    writer = MemberWriter(lane)
    writer.begin(HEAD)
    append(writer, os.urandom(3 * LIMITS.staging_bytes))

    assert len(member_files(journal, lane.name)) == 1


def test_a_discarded_member_is_overwritten_by_the_next_whatever_their_sizes(lane: Lane, journal: Path) -> None:
    for discarded_bytes, kept_bytes in [(900_000, 10), (10, 900_000), (500, 500), (2_000_000, 600_000)]:
        writer = MemberWriter(lane)
        writer.begin(HEAD)
        append(writer, os.urandom(discarded_bytes))
        writer.complete(sop_instance_uid="1.9", issuer="", calling_aet="X", received_at_s=1.0)
        writer.sync()
        write_member(lane, bytes([discarded_bytes % 251]) * kept_bytes)

    assert [len(file) - len(HEAD) for file in member_files(journal, lane.name)] == [10, 900_000, 500, 600_000]


def test_a_sealed_pack_is_cut_to_its_members_and_ends_with_a_footer(lane: Lane, journal: Path) -> None:
    write_member(lane, os.urandom(1000))
    write_member(lane, os.urandom(2000))

    lane.seal()

    reader = LocalPacks(journal).reader(lane.name)
    assert (journal / lane.name).stat().st_size == lane.tail + 4 * 512
    assert pack.read_footer(reader, lane.tail, nonce=lane.nonce) == 2
    listed = subprocess.run(["tar", "tf", journal / lane.name], capture_output=True, text=True, check=True)
    assert len(listed.stdout.split()) == 4


def test_an_empty_lane_leaves_no_file_when_it_is_sealed(lane: Lane, journal: Path) -> None:
    lane.seal()

    assert list(journal.iterdir()) == []


def test_only_one_process_owns_a_lane_until_it_ends(lane: Lane, journal: Path) -> None:
    path = journal / lane.name
    program = (
        "import sys; from pathlib import Path; from storage_tiers.lane import try_own;"
        "sys.exit(try_own(Path(sys.argv[1])) is None)"
    )

    def is_refused() -> bool:
        return subprocess.run([sys.executable, "-c", program, path], check=False).returncode == 1

    assert is_refused()
    assert try_own(path) is None
    lane.close()
    assert not is_refused()


def test_a_lane_that_its_owner_removed_is_nobodys(journal: Path) -> None:
    assert try_own(journal / "gone.tar") is None


# --- the disk fails -----------------------------------------------------------------------------------


def test_a_full_disk_is_met_before_a_member_begins_and_room_brings_the_lane_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=8 * MIB) as disk:
        lane = Lane(disk, LIMITS, SystemClock())
        write_member(lane, os.urandom(1000))
        writer = MemberWriter(lane)
        with filled_up(disk):
            # What was reserved is used up first.
            with pytest.raises(DiskFull, match="make room"):
                write_until_it_fails(lane)
            kept = lane.members
            with pytest.raises(DiskFull):
                writer.begin(HEAD)
        write_member(lane, b"there is room again")

        assert not lane.is_broken
        assert len(member_files(disk, lane.name)) == kept + 1
        lane.close()


def test_a_disk_that_fills_up_inside_a_long_member_leaves_no_member(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=8 * MIB) as disk:
        lane = Lane(disk, LIMITS, SystemClock())
        write_member(lane, b"before")
        with filled_up(disk), pytest.raises(DiskFull):
            write_member(lane, os.urandom(4 * MIB))
        write_member(lane, b"after")

        assert [file[len(HEAD) :] for file in member_files(disk, lane.name)] == [b"before", b"after"]
        lane.close()


def test_the_reserve_for_the_index_is_never_written(tmp_path: Path) -> None:
    limits = LaneLimits(
        staging_bytes=64 * 1024, extent_bytes=MIB, lane_bytes_max=8 * MIB, free_space_reserve_bytes=5 * MIB
    )
    with small_disk(tmp_path / "disk", size_bytes=8 * MIB) as disk:
        lane = Lane(disk, limits, SystemClock())
        with pytest.raises(DiskFull, match="free_space_reserve_bytes"):
            write_until_it_fails(lane)
        state = os.statvfs(disk)
        assert state.f_bavail * state.f_frsize >= 5 * MIB
        lane.close()


def test_a_new_lane_on_a_full_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=4 * MIB) as disk, filled_up(disk):
        with pytest.raises(DiskFull):
            Lane(disk, LIMITS, SystemClock())
        assert [path.name for path in disk.iterdir()] == ["ballast"]


def test_a_journal_that_is_gone_is_an_outage_and_no_defect(tmp_path: Path) -> None:
    with pytest.raises(LaneBroken, match="ENOENT"):
        Lane(tmp_path / "unmounted", LIMITS, SystemClock())


def test_a_lane_whose_disk_refuses_a_write_is_broken_and_keeps_what_it_had(lane: Lane, journal: Path) -> None:
    write_member(lane, b"before")
    make_unwritable(journal / lane.name)

    with pytest.raises(LaneBroken, match="EBADF"):
        write_member(lane, b"lost")

    assert lane.is_broken
    assert lane.members == 1
    assert [file[len(HEAD) :] for file in member_files(journal, lane.name)] == [b"before"]


def test_a_sync_that_fails_confirms_nothing_and_breaks_the_lane(lane: Lane, journal: Path) -> None:
    writer = MemberWriter(lane)
    writer.begin(HEAD)
    append(writer, b"written, but is it there?")
    writer.complete(sop_instance_uid="1.2", issuer="", calling_aet="X", received_at_s=1.0)
    make_unsyncable(journal / lane.name)

    with pytest.raises(LaneBroken, match="EINVAL"):
        writer.sync()

    assert lane.is_broken


# --- the pool -----------------------------------------------------------------------------------------


class Sealed:
    """Records what the pool says it has sealed; can refuse as a database that is away does."""

    def __init__(self) -> None:
        self.packs: list[tuple[str, int]] = []
        self.is_away = False

    def __call__(self, name: str, size_bytes: int) -> None:
        if self.is_away:
            raise LaneBroken("the database is away")
        self.packs.append((name, size_bytes))


def test_a_lane_is_used_by_one_association_after_another(journal: Path) -> None:
    sealed = Sealed()
    pool = LanePool(journal, LIMITS, SystemClock(), sealed)
    first = pool.acquire()
    write_member(first, b"a")
    pool.release(first)

    again = pool.acquire()
    other = pool.acquire()

    assert again is first
    assert other is not first
    pool.release(again)
    pool.release(other)
    pool.close()
    assert sealed.packs == [(first.name, first.tail)]
    assert [path.name for path in journal.iterdir()] == [first.name]


def test_a_lane_that_has_grown_enough_is_sealed_and_not_used_again(journal: Path) -> None:
    sealed = Sealed()
    pool = LanePool(journal, LIMITS, SystemClock(), sealed)
    lane = pool.acquire()
    for _ in range(5):
        write_member(lane, os.urandom(2 * MIB))
    pool.release(lane)

    assert sealed.packs == [(lane.name, lane.tail)]
    other = pool.acquire()
    assert other.name != lane.name
    pool.release(other)
    pool.close()


def test_a_broken_lane_is_not_used_again_and_stays_for_recovery(journal: Path) -> None:
    sealed = Sealed()
    pool = LanePool(journal, LIMITS, SystemClock(), sealed)
    lane = pool.acquire()
    write_member(lane, b"before")
    make_unwritable(journal / lane.name)
    with pytest.raises(LaneBroken):
        write_member(lane, b"lost")
    pool.release(lane)

    other = pool.acquire()

    assert other.name != lane.name
    assert sealed.packs == []
    own = try_own(journal / lane.name)
    assert own is not None
    os.close(own)
    pool.release(other)
    pool.close()


def test_an_index_that_is_away_does_not_keep_lanes_from_being_sealed(journal: Path) -> None:
    sealed = Sealed()
    sealed.is_away = True
    pool = LanePool(journal, LIMITS, SystemClock(), sealed)
    lanes = [pool.acquire() for _ in range(3)]
    for lane in lanes:
        write_member(lane, b"a")
        pool.release(lane)

    pool.close()

    packs = LocalPacks(journal)
    for lane in lanes:
        assert pack.read_footer(packs.reader(lane.name), lane.tail, nonce=lane.nonce) == 1


def test_a_lane_that_cannot_be_sealed_does_not_keep_the_others_from_it(journal: Path) -> None:
    sealed = Sealed()
    pool = LanePool(journal, LIMITS, SystemClock(), sealed)
    lanes = [pool.acquire() for _ in range(3)]
    for lane in lanes:
        write_member(lane, b"a")
        pool.release(lane)
    make_unwritable(journal / lanes[1].name)

    pool.close()

    assert {name for name, _ in sealed.packs} == {lanes[0].name, lanes[2].name}
    with pytest.raises(LookupError):
        descriptor_of(journal / lanes[1].name)


# --- reading ------------------------------------------------------------------------------------------


def test_a_pack_that_is_not_there_or_not_a_name_is_unreadable(journal: Path) -> None:
    packs = LocalPacks(journal)

    for name in ("gone.tar", "../packs/gone.tar", ".hidden.tar", "/etc/passwd"):
        with pytest.raises(Exception, match="ENOENT") as caught:
            packs.read(name, 0, 10)
        assert type(caught.value).__name__ == "PackUnreadable"


def test_many_packs_are_read_with_a_bounded_number_of_open_files(journal: Path) -> None:
    from storage_tiers.local_packs import OPEN_PACKS_MAX

    names = [f"{number:04d}.tar" for number in range(OPEN_PACKS_MAX + 20)]
    for name in names:
        (journal / name).write_bytes(name.encode())
    packs = LocalPacks(journal)
    before = len(list(Path("/proc/self/fd").iterdir()))

    for name in [*names, *names[:3]]:
        assert packs.read(name, 0, 100) == name.encode()

    assert len(list(Path("/proc/self/fd").iterdir())) - before <= OPEN_PACKS_MAX
    packs.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_directory_in_the_place_of_a_pack_is_unreadable(journal: Path) -> None:
    (journal / "x.tar").mkdir()

    with pytest.raises(Exception, match=errno.errorcode[errno.EISDIR]):
        LocalPacks(journal).read("x.tar", 0, 10)


def test_a_mapped_window_shows_what_a_read_gives(lane: Lane, journal: Path) -> None:
    member = write_member(lane, os.urandom(10_000))
    packs = LocalPacks(journal)

    with packs.mapped(lane.name, member.file_offset, member.file_length_bytes) as window:
        assert bytes(window) == packs.read(lane.name, member.file_offset, member.file_length_bytes)


def test_a_window_beyond_the_end_of_a_pack_is_refused(journal: Path) -> None:
    (journal / "x.tar").write_bytes(bytes(1000))

    with pytest.raises(Exception, match="EIO"), LocalPacks(journal).mapped("x.tar", 0, 100_000):
        pass


def test_a_cut_file_is_no_pack(journal: Path) -> None:
    (journal / "x.tar").write_bytes(b"")

    with pytest.raises(PackDamaged):
        pack.read_manifest(LocalPacks(journal).reader("x.tar"))
