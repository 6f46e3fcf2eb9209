"""The journal's lanes: append-only packs on local disk, one per association at a time.

A lane receives one member after another. Bytes are gathered in one reused, page-aligned buffer
(`LaneLimits.staging_bytes`) and written past the page cache (``O_DIRECT``), which costs half the processor time of a
copy into the cache and leaves nothing for `fdatasync` to flush but the device's own cache (docs/adr/0007). A member
longer than the buffer streams through it. Where the file system refuses direct writes the lane uses ordinary ones.

Room is reserved ahead in extents (`posix_fallocate`), so that a full disk is met before an instance begins, not in its
middle. A lane is owned by one process through `flock`; the kernel gives it up when the process dies, and recovery then
scans it. A lane is never continued after a crash: recovery seals it.

Invariants
----------
* `MemberWriter.commit` returns only after every byte of the member is on stable storage.
* Until `commit`, nothing that was written can pass for a member: the prefix is written last.
* A lane that had an input/output error is never written again.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import xxhash

from foundation import log
from foundation.clock import Clock
from foundation.errors import DiskFull, Unavailable
from foundation.faults import reach
from storage_tiers import pack
from storage_tiers.pack import ALIGNMENT, PREFIX_BYTES, Member

_DIRECT: Final = getattr(os, "O_DIRECT", 0)
# Lanes that ended lately: more than end in the seconds that a crash of a database server can reach back.
ENDED_REMEMBERED_MAX: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneLimits:
    """Bounds of the journal, each in bytes."""

    # Holds a whole CT image and its header: one write each. Per lane, so 16 associations hold 16 MiB.
    staging_bytes: int = 1024 * 1024
    # Reserved at a time; what a crash can leave unused per lane until recovery truncates it.
    extent_bytes: int = 64 * 1024 * 1024
    # A lane is sealed when it has grown beyond this and a new one begun.
    lane_bytes_max: int = 1024 * 1024 * 1024
    # Kept free for the index and the system: below this nothing is accepted.
    free_space_reserve_bytes: int = 1024 * 1024 * 1024


class LaneBroken(Unavailable):
    """The disk refused a write: the instance is not stored and the lane is given up."""


class Lane:
    """One open pack being appended to; used by one thread at a time.

    Parameters
    ----------
    directory : Path
        The journal.
    limits : LaneLimits
        Its bounds.
    clock : Clock
        For the times in headers.

    Raises
    ------
    DiskFull
        If there is no room for a first extent.
    """

    def __init__(self, directory: Path, limits: LaneLimits, clock: Clock) -> None:
        self.limits = limits
        self.clock = clock
        self.nonce = pack.new_nonce()
        self.name = f"{clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.tar"
        self.tail = ALIGNMENT
        self.members = 0
        self.is_broken = False
        # The index knows the pack by this number once a member of it was committed.
        self.pack_pk: int | None = None
        self._directory = directory
        self._allocated = 0
        self._fd = _create(directory, self.name)
        try:
            self.staging = mmap.mmap(-1, limits.staging_bytes)
            self.reserve(ALIGNMENT)
            manifest = pack.manifest_member(self.nonce, created_at_s=clock.now().timestamp())
            self.staging[:ALIGNMENT] = manifest
            self._is_direct = self._try_direct_write()
            os.fsync(self._fd)
            _fsync_directory(directory)
        except BaseException as error:
            self.close()
            with contextlib.suppress(OSError):
                (directory / self.name).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise self._break(error) from error
            raise
        reach("lane.created")

    def reserve(self, until: int) -> None:
        """Make room in the file up to `until`.

        Raises
        ------
        DiskFull
            If the disk, less its reserve, has no room.
        """
        while self._allocated < until:
            extent = max(self.limits.extent_bytes, pack.aligned(until - self._allocated))
            try:
                free = free_bytes(self._directory)
                if free - extent < self.limits.free_space_reserve_bytes:
                    raise DiskFull(
                        f"the journal's disk has {free} bytes free; make room or lower free_space_reserve_bytes"
                    )
                os.posix_fallocate(self._fd, self._allocated, extent)
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise DiskFull("the journal's disk is full; make room") from error
                raise self._break(error) from error
            self._allocated += extent

    def write_at(self, view: memoryview, offset: int) -> None:
        """Write aligned bytes at an aligned offset.

        Raises
        ------
        LaneBroken
            If the disk refuses.
        """
        try:
            written = os.pwrite(self._fd, view, offset)
            while written < len(view):
                written += os.pwrite(self._fd, view[written:], offset + written)
        except OSError as error:
            raise self._break(error) from error

    def sync(self) -> None:
        """Return when everything written is on stable storage.

        Raises
        ------
        LaneBroken
            If the disk refuses: then nothing since the last sync may be acknowledged.
        """
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise self._break(error) from error

    def seal(self) -> None:
        """End the pack: cut what was reserved and not used, add the footer, sync. An empty pack is removed."""
        reach("lane.sealing")
        end = pack.footer(self.nonce, members=self.members, sealed_at_s=self.clock.now().timestamp())
        try:
            if self.members == 0:
                (self._directory / self.name).unlink()
                return
            seal_file(self._fd, self.tail, end)
        except OSError as error:
            raise self._break(error) from error
        reach("lane.sealed")

    def close(self) -> None:
        """Give up the file and its lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _try_direct_write(self) -> bool:
        view = memoryview(self.staging)[:ALIGNMENT]
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        if _DIRECT:
            try:
                fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | _DIRECT)
                os.pwrite(self._fd, view, 0)
            except OSError as error:
                if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
                    raise self._break(error) from error
                fcntl.fcntl(self._fd, fcntl.F_SETFL, flags)
            else:
                return True
        self.write_at(view, 0)
        return False

    def _break(self, error: OSError) -> LaneBroken:
        self.is_broken = True
        name = errno.errorcode.get(error.errno or 0, "unknown")
        log.error("lane_broken", lane=self.name, error=name)
        return LaneBroken(f"the journal's disk refused a write ({name}); check the disk")


class MemberWriter:
    """Streams one member into a lane: `begin`, `write` any number of times, `complete`, then `commit` or `discard`.

    Not thread-safe. Fragments are copied at once; the caller keeps its buffers.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._staging = memoryview(lane.staging)
        self._size = len(self._staging)
        self._position = 0
        self._base = 0
        self._head_length = 0
        self._first_block = b""
        self._digest = xxhash.xxh3_128()
        self._hashed = 0
        self._member: Member | None = None

    def begin(self, head: bytes) -> None:
        """Start a member whose file begins with `head` (preamble and file meta; at most a few hundred bytes).

        Raises
        ------
        foundation.errors.DiskFull
            If there is no room for an instance of ordinary size.
        """
        self._lane.reserve(self._lane.tail + self._size)
        start = PREFIX_BYTES + len(head)
        self._staging[PREFIX_BYTES:start] = head
        self._position = self._hashed = start
        self._head_length = len(head)
        self._base = 0
        self._first_block = b""
        self._digest.reset()
        self._member = None

    @property
    def dataset_length_bytes(self) -> int:
        """How many bytes of the data set have come."""
        return self._base + self._position - PREFIX_BYTES - self._head_length

    def staged_dataset(self) -> memoryview:
        """Return the data set from its first byte as far as it is in memory; valid until the buffer is reused.

        Only meaningful until `try_write` first says False.
        """
        assert self._base == 0
        return self._staging[PREFIX_BYTES + self._head_length : self._position]

    def try_write(self, fragment: memoryview) -> bool:
        """Append bytes of the data set if they fit the buffer; they are copied. Say whether they did."""
        position = self._position
        end = position + len(fragment)
        if end > self._size:
            return False
        self._staging[position:end] = fragment
        self._position = end
        return True

    def room(self, length: int) -> memoryview:
        """Return the next free part of the buffer, at most `length` bytes and perhaps none, to be received into."""
        return self._staging[self._position : min(self._position + length, self._size)]

    def advance(self, length: int) -> None:
        """Count bytes that were put at the beginning of the last `room`."""
        self._position += length

    def write(self, fragment: memoryview) -> None:
        """Append bytes of the data set, writing out what no longer fits; they are copied.

        Raises
        ------
        foundation.errors.DiskFull, LaneBroken
            Then the member can only be discarded.
        """
        length = len(fragment)
        done = 0
        while done < length:
            if self._position == self._size:
                self._spill()
            step = min(length - done, self._size - self._position)
            self._staging[self._position : self._position + step] = fragment[done : done + step]
            self._position += step
            done += step

    def complete(self, *, sop_instance_uid: str, issuer: str, calling_aet: str, received_at_s: float) -> Member:
        """Write the rest of the member and its prefix; not yet durable.

        Raises
        ------
        foundation.errors.DiskFull, LaneBroken
            Then the member can only be discarded.
        """
        self._digest.update(self._staging[self._hashed : self._position])
        lane = self._lane
        file_length = self._base + self._position - PREFIX_BYTES
        first_block = self._first_block or self._staging
        member = Member(
            sop_instance_uid=sop_instance_uid,
            file_offset=lane.tail + PREFIX_BYTES,
            file_length_bytes=file_length,
            dataset_offset=self._head_length,
            dataset_digest=self._digest.digest(),
            head_digest=xxhash.xxh3_64_intdigest(first_block[PREFIX_BYTES : PREFIX_BYTES + self._head_length]),
            issuer=issuer,
            calling_aet=calling_aet,
            received_at_s=received_at_s,
            end=lane.tail + pack.aligned(PREFIX_BYTES + file_length),
        )
        lane.reserve(member.end)
        prefix = pack.member_prefix(member, nonce=lane.nonce)
        if self._base == 0:
            self._staging[:PREFIX_BYTES] = prefix
            self._append_padding(pack.padding_after(file_length))
            lane.write_at(self._staging[: self._position], lane.tail)
        else:
            self._append_padding(pack.padding_after(file_length))
            lane.write_at(self._staging[: self._position], lane.tail + self._base)
            reach("lane.partly_written")
            self._staging[:ALIGNMENT] = prefix + self._first_block[PREFIX_BYTES:]
            lane.write_at(self._staging[:ALIGNMENT], lane.tail)
        reach("lane.written")
        self._member = member
        return member

    def sync(self) -> None:
        """Return when the completed member is on stable storage.

        Raises
        ------
        LaneBroken
            Then it must not be acknowledged.
        """
        self._lane.sync()
        reach("lane.durable")

    def keep(self) -> None:
        """Make the completed member part of the lane: the next one comes after it."""
        assert self._member is not None
        self._lane.tail = self._member.end
        self._lane.members += 1

    def _append_padding(self, padding: bytes) -> None:
        # Buffer and members end on the same boundaries, so it always fits.
        self._staging[self._position : self._position + len(padding)] = padding
        self._position += len(padding)

    def _spill(self) -> None:
        """Write what is staged, but for what does not fill a block, and go on after it."""
        if self._base == 0:
            self._first_block = bytes(self._staging[:ALIGNMENT])
            # The place of the prefix stays empty until the member is complete.
            self._staging[:PREFIX_BYTES] = bytes(PREFIX_BYTES)
        self._digest.update(self._staging[self._hashed : self._position])
        whole = self._position // ALIGNMENT * ALIGNMENT
        self._lane.reserve(self._lane.tail + self._base + whole)
        self._lane.write_at(self._staging[:whole], self._lane.tail + self._base)
        rest = self._position - whole
        self._staging[:rest] = bytes(self._staging[whole : self._position])
        self._base += whole
        self._position = self._hashed = rest
        reach("lane.partly_written")


class LanePool:
    """The lanes of one process: an association borrows one for its lifetime; lanes are reused, most recent first.

    Thread-safe.

    Parameters
    ----------
    directory : Path
        The journal; created when missing.
    limits, clock
        As for `Lane`.
    on_sealed : callable
        Called with name and size in bytes of every lane after it was sealed, so that the index knows.
    """

    def __init__(
        self, directory: Path, limits: LaneLimits, clock: Clock, on_sealed: Callable[[str, int], None]
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._clock = clock
        self._on_sealed = on_sealed
        self._lock = threading.Lock()
        self._idle: list[Lane] = []
        # By name: lanes that may still grow, and the tails of the last ones that will not.
        self._growing: dict[str, Lane] = {}
        self._ended: deque[tuple[str, int]] = deque(maxlen=ENDED_REMEMBERED_MAX)
        directory.mkdir(parents=True, exist_ok=True)

    def acquire(self) -> Lane:
        """Return a lane that nobody else writes.

        Raises
        ------
        foundation.errors.DiskFull
            If a new lane finds no room.
        """
        with self._lock:
            if self._idle:
                return self._idle.pop()
        lane = Lane(self._directory, self._limits, self._clock)
        with self._lock:
            self._growing[lane.name] = lane
        return lane

    def written(self) -> list[tuple[str, int]]:
        """Return names and tails, in bytes, of the lanes of this process that have members; of ended ones the last."""
        with self._lock:
            return [*self._ended, *((lane.name, lane.tail) for lane in self._growing.values() if lane.members)]

    def is_worn(self, lane: Lane) -> bool:
        """Say whether a lane is to be exchanged for another one before its next member."""
        return lane.is_broken or lane.tail >= self._limits.lane_bytes_max

    def release(self, lane: Lane) -> None:
        """Take a lane back; one that has grown enough is sealed, a broken one given up. Never fails."""
        if lane.is_broken:
            # Its members stay readable; recovery scans and seals it at the next start.
            self._end(lane)
        elif self.is_worn(lane):
            self._seal(lane)
        else:
            with self._lock:
                self._idle.append(lane)

    def close(self) -> None:
        """Seal and close every idle lane. Never fails: recovery does what cannot be done now."""
        with self._lock:
            lanes, self._idle = self._idle, []
        for lane in lanes:
            self._seal(lane)

    def _seal(self, lane: Lane) -> None:
        try:
            lane.seal()
            if lane.members:
                self._on_sealed(lane.name, lane.tail)
        except Unavailable as error:
            log.warning("lane_not_sealed", lane=lane.name, message=str(error))
        finally:
            self._end(lane)

    def _end(self, lane: Lane) -> None:
        lane.close()
        with self._lock:
            self._growing.pop(lane.name, None)
            if lane.members:
                self._ended.append((lane.name, lane.tail))


def seal_file(fd: int, tail: int, footer: bytes) -> None:
    """Cut a pack at `tail`, append its footer and sync: what both a clean end and recovery do."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~_DIRECT)
    os.ftruncate(fd, tail)
    os.pwrite(fd, footer, tail)
    os.fsync(fd)


def free_bytes(directory: Path) -> int:
    """Return the bytes that an ordinary process may still write on the disk of `directory`."""
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize


def try_own(path: Path) -> int | None:
    """Open a pack for recovery; None while a living process owns it or when that has removed it.

    The caller closes the descriptor.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _create(directory: Path, name: str) -> int:
    # Owned before it has its name: recovery, which looks at named packs, can never take it from us.
    unnamed = directory / f".{name}"
    fd = -1
    try:
        fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(directory / name)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
            unnamed.unlink(missing_ok=True)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull("the journal's disk is full; make room") from error
        raise LaneBroken(f"the journal cannot be written ({errno.errorcode.get(error.errno or 0)})") from error
    return fd


def _fsync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
