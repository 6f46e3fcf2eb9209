"""The speed of light of the journal: what it costs to make one CT image durable, by every way of writing it.

``python -m benchmarks.disk`` writes the same 526 KB again and again, each way in turn, and reports microseconds of
wall clock and of processor time per image, as medians over rounds, to JSON. docs/adr/0007 cites the result.

For: choosing how lanes write. Not for: comparing disks.
"""

import argparse
import ctypes
import json
import mmap
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import xxhash

from benchmarks import measure as measuring
from benchmarks.results import RESULTS_DIRECTORY

# One CT image with its header, rounded up to whole blocks.
IMAGE_BYTES: Final = (526 * 1024 // 4096 + 1) * 4096
_EXTENT_BYTES: Final = 256 * 1024 * 1024
_FRAGMENT_BYTES: Final = 128 * 1024
# sync_file_range(2): start writing these pages now, without waiting.
_SYNC_FILE_RANGE_WRITE: Final = 2

Writer = Callable[[int, memoryview, int], None]


def _write_then_sync(fd: int, image: memoryview, offset: int) -> None:
    os.pwrite(fd, image, offset)
    os.fdatasync(fd)


def _write_durably(fd: int, image: memoryview, offset: int) -> None:
    os.pwritev(fd, [image], offset, os.RWF_DSYNC)


def _write_only(fd: int, image: memoryview, offset: int) -> None:
    os.pwrite(fd, image, offset)


def _fragments_with_early_writeback(fd: int, image: memoryview, offset: int) -> None:
    sync_file_range = ctypes.CDLL(None).sync_file_range
    for start in range(0, len(image), _FRAGMENT_BYTES):
        fragment = image[start : start + _FRAGMENT_BYTES]
        os.pwrite(fd, fragment, offset + start)
        sync_file_range(
            fd, ctypes.c_int64(offset + start), ctypes.c_int64(len(fragment)), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)
        )
    os.fdatasync(fd)


# Name, open flags, whether room is reserved first, how one image is written.
WAYS: Final[tuple[tuple[str, int, bool, Writer], ...]] = (
    ("page cache, not synced", 0, True, _write_only),
    ("page cache, growing file, fdatasync", 0, False, _write_then_sync),
    ("page cache, reserved, fdatasync", 0, True, _write_then_sync),
    ("page cache, reserved, early writeback, fdatasync", 0, True, _fragments_with_early_writeback),
    ("O_DIRECT, growing file, fdatasync", os.O_DIRECT, False, _write_then_sync),
    ("O_DIRECT, reserved, fdatasync", os.O_DIRECT, True, _write_then_sync),
    ("O_DIRECT, reserved, RWF_DSYNC", os.O_DIRECT, True, _write_durably),
)


@contextmanager
def _opened(directory: Path, flags: int, *, is_reserved: bool) -> Iterator[int]:
    path = directory / "image"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | flags, 0o600)
    try:
        if is_reserved:
            os.posix_fallocate(fd, 0, _EXTENT_BYTES)
        yield fd
    finally:
        os.close(fd)
        path.unlink()


def measure(directory: Path, *, images: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return medians by way of writing: ``wall_us`` and ``cpu_us`` per image."""
    buffer = mmap.mmap(-1, IMAGE_BYTES)
    buffer.write(os.urandom(IMAGE_BYTES))
    image = memoryview(buffer)
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name, *_ in WAYS}
    for _ in range(rounds):
        for name, flags, is_reserved, write in WAYS:
            with _opened(directory, flags, is_reserved=is_reserved) as fd:
                samples[name].append(_time(partial(_write_at, write, fd, image), images))
        samples.setdefault("XXH3-128 of the image", []).append(
            _time(lambda _index: xxhash.xxh3_128_digest(image), images)
        )
    return {
        name: {
            "wall_us": round(statistics.median(wall for wall, _ in taken), 1),
            "cpu_us": round(statistics.median(cpu for _, cpu in taken), 1),
        }
        for name, taken in samples.items()
    }


def _write_at(write: Writer, fd: int, image: memoryview, index: int) -> None:
    write(fd, image, index * IMAGE_BYTES)


def _time(act: Callable[[int], object], times: int) -> tuple[float, float]:
    act(0)
    before, began_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for index in range(times):
        act(index)
    wall_s, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall_s / times * 1e6, cpu_s / times * 1e6


def main() -> None:
    """Measure and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=RESULTS_DIRECTORY / "disk.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        result = measure(Path(directory), images=arguments.images, rounds=arguments.rounds)
    arguments.output.parent.mkdir(exist_ok=True)
    document = {"image_bytes": IMAGE_BYTES, "machine": measuring.machine(Path.cwd()), "ways": result}
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    for name, values in result.items():
        print(f"{name:52s} {values['wall_us']:8.1f} us wall {values['cpu_us']:8.1f} us cpu")


if __name__ == "__main__":
    main()
