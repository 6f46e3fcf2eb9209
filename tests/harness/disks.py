"""Disks that fail on request: small ones that fill up, files that refuse to be written.

For: tests of what happens when the disk does not do its part. Not for: failing disks under a whole process
(`strace` injects those, see `tests.harness.traced`).
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(directory: Path, *, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of so many bytes at a new directory; yield the path to use; gone at the end."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "telegarde-test", str(directory)]
    if os.geteuid() == 0:
        subprocess.run(mount, check=True)
        try:
            yield directory
        finally:
            # Detached at once even when a failed test left a file open.
            subprocess.run(["umount", "--lazy", directory], check=True)
        return
    # Anybody else may mount in a namespace of their own, and look into it from outside as long as a process is there.
    inside = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        '"$@" && echo mounted && cat',
        "sh",
        *mount,
    ]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mounted\n", "no file system could be mounted"
        yield Path(f"/proc/{holder.pid}/root{directory}")


@contextmanager
def filled_up(directory: Path, *, leave_bytes: int = 0) -> Iterator[None]:
    """Take all room of a disk but so many bytes; given back at the end."""
    ballast = directory / "ballast"
    state = os.statvfs(directory)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - leave_bytes))
    try:
        yield
    finally:
        ballast.unlink()


def descriptor_of(path: Path) -> int:
    """Return this process's open descriptor of a file."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if Path(os.readlink(entry)) == path:
                return int(entry.name)
        except FileNotFoundError:
            continue
    raise LookupError(f"{path.name} is not open here")


def is_direct(path: Path) -> bool:
    """Say whether this process's open descriptor of a file bypasses the page cache."""
    text = Path(f"/proc/self/fdinfo/{descriptor_of(path)}").read_text()
    flags = next(line.split()[1] for line in text.splitlines() if line.startswith("flags:"))
    return bool(int(flags, 8) & os.O_DIRECT)


def make_unwritable(path: Path) -> None:
    """Let every later write to a file that this process has open fail, as a dying disk does."""
    reading = os.open(path, os.O_RDONLY)
    os.dup2(reading, descriptor_of(path))
    os.close(reading)


def make_unsyncable(path: Path) -> None:
    """Let every later sync (and write) of a file that this process has open fail."""
    reader, writer = os.pipe()
    os.dup2(writer, descriptor_of(path))
    os.close(reader)
    os.close(writer)
