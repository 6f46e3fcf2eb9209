"""What ``telegarde send`` sends: DICOM files and the members of packs, found below paths and read without copying.

Invariants: only heads are read while looking; what cannot be sent is told with a reason, never passed over. A source
refers to a file by path: nothing stays open between looking and sending.

References
----------
PS3.10 7 (files); POSIX.1 pax, ustar (packs are plain tar files)
"""

import mmap
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pacs.scu.part10 import HEAD_BYTES_MAX, FileMeta, NotPart10, read_meta
from pacs.scu.store import Kind

_PACK_SUFFIX: Final = ".tar"
# A file system's own directory of a medium: it names files and is none of the objects.
_MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
# Larger ones are mapped instead of read: a 500 MB object then takes pages, not memory.
READ_BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One instance to be sent: a range of a file, in bytes."""

    path: Path
    offset: int
    length_bytes: int
    meta: FileMeta

    @property
    def kind(self) -> Kind:
        """What decides about its presentation context."""
        return self.meta.sop_class_uid, self.meta.transfer_syntax_uid


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file that is not sent, and why."""

    path: Path
    reason: str


def find_sources(paths: Iterable[Path]) -> Iterator[Source | Skipped]:
    """Look at files, at everything below directories, and into packs; in order of name."""
    for path in paths:
        if path.is_dir():
            for directory, directories, names in os.walk(path):
                directories.sort()
                for name in sorted(names):
                    yield from _look_at(Path(directory) / name)
        else:
            yield from _look_at(path)


def _look_at(path: Path) -> Iterator[Source | Skipped]:
    try:
        if path.suffix == _PACK_SUFFIX:
            yield from _look_into_pack(path)
            return
        with path.open("rb", buffering=0) as file:
            length_bytes = os.fstat(file.fileno()).st_size
            yield _source(path, 0, length_bytes, file.read(HEAD_BYTES_MAX))
    except tarfile.TarError:
        yield Skipped(path=path, reason="not a readable pack")
    except OSError as error:
        yield Skipped(path=path, reason=error.strerror or type(error).__name__)


def _look_into_pack(path: Path) -> Iterator[Source | Skipped]:
    with path.open("rb") as file, tarfile.open(fileobj=file) as pack:
        for member in pack:
            if member.isreg():
                head = os.pread(file.fileno(), min(member.size, HEAD_BYTES_MAX), member.offset_data)
                yield _source(path, member.offset_data, member.size, head)


def _source(path: Path, offset: int, length_bytes: int, head: bytes) -> Source | Skipped:
    try:
        meta = read_meta(head)
    except NotPart10 as error:
        return Skipped(path=path, reason=str(error))
    if meta.sop_class_uid == _MEDIA_STORAGE_DIRECTORY:
        return Skipped(path=path, reason="a DICOMDIR, not an instance")
    if meta.dataset_offset >= length_bytes:
        return Skipped(path=path, reason="no data set in the file")
    return Source(path=path, offset=offset, length_bytes=length_bytes, meta=meta)


class SourceReader:
    """Reads data sets, two at a time: into one of two buffers that are used in turn, or as a mapping when large.

    For one thread. A data set given out is overwritten by the second `read_dataset` after it.
    """

    def __init__(self) -> None:
        self._buffers = [memoryview(bytearray()), memoryview(bytearray())]

    def read_dataset(self, source: Source) -> memoryview:
        """Return the data set of a source.

        Raises
        ------
        OSError
            If the file cannot be read, or is shorter than when it was found (`EOFError` is not used: the file changed).
        """
        fd = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            start = source.offset + source.meta.dataset_offset
            size = source.length_bytes - source.meta.dataset_offset
            if size > READ_BYTES_MAX:
                return _mapped(fd, start, size)
            view = self._next_buffer(size)
            if os.preadv(fd, [view], start) != size:
                raise OSError("the file became shorter while it was sent")
            return view
        finally:
            os.close(fd)

    def _next_buffer(self, size: int) -> memoryview:
        self._buffers.reverse()
        if len(self._buffers[0]) < size:
            self._buffers[0] = memoryview(bytearray(size))
        return self._buffers[0][:size]


def _mapped(fd: int, start: int, size: int) -> memoryview:
    if os.fstat(fd).st_size < start + size:
        # Touching a page beyond the end would kill the process.
        raise OSError("the file became shorter while it was sent")
    first = start - start % mmap.ALLOCATIONGRANULARITY
    mapping = mmap.mmap(fd, start + size - first, prot=mmap.PROT_READ, offset=first)
    mapping.madvise(mmap.MADV_SEQUENTIAL)
    return memoryview(mapping)[start - first :]
