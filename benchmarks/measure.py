"""What a measurement needs whatever is measured: CPU and memory of a server, and the machine's name.

For: `benchmarks.ingest` and `benchmarks.retrieve`. Not for: deciding what to measure. Invariants:
CPU is the kernel's count for every process of a server, living, dead or waiting to be collected;
work that the kernel does on its own account (writing back, softirqs) is nobody's and not counted.

References: proc(5).
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: Peak memory of processes that end during a run is looked up this often; a look costs a few
#: milliseconds, so this is about one percent of a core, for every server alike.
SAMPLE_INTERVAL_S = 0.25

_CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class _Process:
    """One line of /proc/PID/stat."""

    pid: int
    cpu_ticks: int


def _processes(session: int) -> Iterator[_Process]:
    """Yield the processes of a session, zombies included."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The name may hold spaces; what follows its parenthesis begins with the third field.
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                # utime, stime, and those of children that were waited for: fields 14 to 17.
                yield _Process(pid=int(path.parent.name), cpu_ticks=sum(map(int, fields[11:15])))


def cpu_seconds(session: int) -> float:
    """Sum user and system time of a server: all processes of its session and their dead children.

    Parameters
    ----------
    session : int
        Id of the process that leads the session, as `ServerProcess` starts its servers.
    """
    return sum(process.cpu_ticks for process in _processes(session)) / _CLOCK_TICKS_PER_S


def collected_children_cpu_seconds() -> float:
    """Sum user and system time of those children of this process that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_memory_bytes(session: int) -> int:
    """Give the highest resident set size that any one living process of a session has had."""
    return max((_peak_of(process.pid) for process in _processes(session)), default=0)


def _peak_of(pid: int) -> int:
    """Read VmHWM; 0 for a process that has just ended or waits to be collected."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@dataclass(kw_only=True)
class Usage:
    """What a server used between the start and the end of `watched`."""

    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def _sample(self, session: int) -> None:
        while not self._over.wait(SAMPLE_INTERVAL_S):
            self._look(session)

    def _look(self, session: int) -> None:
        self.peak_memory_bytes = max(self.peak_memory_bytes, peak_memory_bytes(session))


@contextmanager
def watched(session: int) -> Iterator[Usage]:
    """Measure a server while the body runs; the result is complete when the body has ended.

    The peak of a process counts from its own start, so the peak of a server that keeps its
    processes includes its warm-up.
    """
    usage = Usage()
    sampler = threading.Thread(target=usage._sample, args=(session,), name="memory sampler")
    before_s = cpu_seconds(session)
    sampler.start()
    try:
        yield usage
        usage.cpu_s = cpu_seconds(session) - before_s
        usage._look(session)
    finally:
        usage._over.set()
        sampler.join()


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """Where the servers of a run keep their data."""

    kind: str
    device: str
    options: str

    @property
    def is_memory(self) -> bool:
        """True when a sync there does nothing, so that figures about durability mean nothing."""
        return self.kind in ("tmpfs", "ramfs")


def file_system(directory: Path) -> FileSystem:
    """Look up the mount that holds a directory."""
    wanted = directory.resolve()
    best: tuple[int, list[str]] = (-1, ["none", "/", "unknown", ""])
    for line in Path("/proc/self/mounts").read_text().splitlines():
        columns = line.split()
        mount = Path(columns[1])
        if wanted.is_relative_to(mount) and len(mount.parts) >= best[0]:
            best = (len(mount.parts), columns)
    return FileSystem(kind=best[1][2], device=best[1][0], options=best[1][3])


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def machine(data_directory: Path) -> dict[str, object]:
    """Say on what a result was measured: cores, kernel, file system, memory, load."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    kept = file_system(data_directory)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_bytes": pages,
        "kernel": platform.release(),
        "file_system": kept.kind,
        "file_system_options": kept.options,
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
    }


def commit() -> str:
    """Name the commit that is measured; `+changes` when the work tree differs from it."""

    def git(*arguments: str) -> str:
        finished = subprocess.run(["git", *arguments], cwd=_REPOSITORY, capture_output=True, text=True, check=False)
        return finished.stdout.strip()

    name = git("rev-parse", "--short=12", "HEAD") or "unknown"
    # Results are written by the benchmarks themselves and change nothing that is measured.
    is_changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return f"{name}+changes" if is_changed else name
