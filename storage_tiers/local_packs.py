"""Positioned reads of packs on local disk, with a bounded number of open files."""

import errno
import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from foundation.errors import Unavailable

# Open descriptors kept for reading: well under the usual limit of 1,024 per process.
OPEN_PACKS_MAX: Final = 128


class PackUnreadable(Unavailable):
    """A pack is missing or the disk does not give its bytes."""


class LocalPacks:
    """Reads any range of any pack in one directory; safe to use from several threads.

    Parameters
    ----------
    directory : Path
        Where the packs are; names given to the methods are file names in it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _OpenPack] = OrderedDict()

    def read(self, pack: str, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only at the end of the pack.

        Raises
        ------
        PackUnreadable
            If the pack is missing or the disk fails.
        """
        try:
            with self._borrow(pack) as fd:
                data = os.pread(fd, length, offset)
                while 0 < len(data) < length:
                    # One read gives at most 2 GiB - 4 KiB on Linux, and less when a signal comes.
                    more = os.pread(fd, length - len(data), offset + len(data))
                    if not more:
                        break
                    data += more
                return data
        except OSError as error:
            raise _unreadable(pack, error) from error

    @contextmanager
    def mapped(self, pack: str, offset: int, length: int) -> Iterator[memoryview]:
        """Give a window on a range without reading it: only the pages that are looked at come from disk.

        The window is closed at the end of the context; views into it must be gone by then.

        Raises
        ------
        PackUnreadable
            If the pack is missing or shorter than that.
        """
        start = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        try:
            with self._borrow(pack) as fd:
                whole = mmap.mmap(fd, offset - start + length, access=mmap.ACCESS_READ, offset=start)
        except (OSError, ValueError) as error:
            cause = error if isinstance(error, OSError) else OSError(errno.EIO, "shorter than expected")
            raise _unreadable(pack, cause) from error
        with whole, memoryview(whole) as everything, everything[offset - start :] as window:
            yield window

    def prefetch(self, pack: str, offset: int, length: int) -> None:
        """Ask the disk to have a range ready; returns at once."""
        try:
            with self._borrow(pack) as fd:
                os.posix_fadvise(fd, offset, length, os.POSIX_FADV_WILLNEED)
        except OSError as error:
            raise _unreadable(pack, error) from error

    def reader(self, pack: str) -> "PackRange":
        """Return a reader of one pack for `storage_tiers.pack`."""
        return PackRange(self, pack)

    def names(self) -> list[str]:
        """Return the names of all packs, sorted; one that is being made has a leading dot and is none yet."""
        return sorted(path.name for path in self._directory.glob("*.tar") if not path.name.startswith("."))

    def size_bytes(self, pack: str) -> int:
        """Return the size of a pack's file.

        Raises
        ------
        PackUnreadable
            If there is no such pack.
        """
        try:
            return (self._directory / pack).stat().st_size
        except OSError as error:
            raise _unreadable(pack, error) from error

    def close(self) -> None:
        """Close every open pack that nobody reads."""
        with self._lock:
            for entry in self._open.values():
                if entry.readers == 0:
                    os.close(entry.fd)
            self._open.clear()

    @contextmanager
    def _borrow(self, pack: str) -> Iterator[int]:
        with self._lock:
            entry = self._open.get(pack)
            if entry is None:
                if "/" in pack or pack.startswith("."):
                    raise FileNotFoundError(errno.ENOENT, "not a pack name")
                entry = _OpenPack(os.open(self._directory / pack, os.O_RDONLY | os.O_CLOEXEC))
                self._open[pack] = entry
                self._close_oldest()
            self._open.move_to_end(pack)
            entry.readers += 1
        try:
            yield entry.fd
        finally:
            with self._lock:
                entry.readers -= 1
                if entry.readers == 0 and self._open.get(pack) is not entry:
                    os.close(entry.fd)

    def _close_oldest(self) -> None:
        while len(self._open) > OPEN_PACKS_MAX:
            _, oldest = self._open.popitem(last=False)
            if oldest.readers == 0:
                os.close(oldest.fd)


class _OpenPack:
    __slots__ = ("fd", "readers")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.readers = 0


class PackRange:
    """One pack as a `storage_tiers.pack.RangeReader`."""

    def __init__(self, packs: LocalPacks, pack: str) -> None:
        self._packs = packs
        self._pack = pack

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        return self._packs.read(self._pack, offset, length)


def _unreadable(pack: str, error: OSError) -> PackUnreadable:
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return PackUnreadable(f"pack {pack} cannot be read ({name}); run telegarde verify", is_retryable=error.errno != 2)
