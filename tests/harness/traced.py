"""Python programs run under `strace`: their system calls counted, or made to fail.

For: counts that do not depend on the machine, and disks that fail under a real process. Not for: timing, which tracing
spoils.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]
_TIMEOUT_S = 120.0
#: ``1234 pwrite64(7</journal/a.tar>, ...) = 4096``; a call that another thread interrupts is resumed on a later line.
_CALL = re.compile(r"^(?P<pid>\d+) +(?:<\.\.\. )?(?P<name>\w+)(?P<rest>.*)$")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One system call as strace shows it."""

    name: str
    arguments: str
    result: str


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A program's end, and its system calls in the order in which they returned."""

    returncode: int
    stdout: str
    stderr: str
    calls: Sequence[Call]

    def counts(self) -> Counter[str]:
        """Return how often each system call was made."""
        return Counter(call.name for call in self.calls)


def run_traced(
    arguments: Sequence[str | Path],
    trace: Path,
    *,
    calls: Sequence[str],
    inject: Sequence[str] = (),
    only: Path | None = None,
) -> Traced:
    """Run Python with these arguments to its end.

    Parameters
    ----------
    trace : Path
        File for the trace.
    calls : sequence of str
        Names of the system calls to be recorded.
    inject : sequence of str
        As for ``strace -e inject=``, for example ``fdatasync:error=EIO:when=3``.
    only : Path, optional
        Calls on other files are neither recorded nor made to fail.
    """
    finished = subprocess.run(
        [*strace_command(trace, calls=calls, inject=inject, only=only), sys.executable, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=_REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
        timeout=_TIMEOUT_S,
        check=False,
    )
    return Traced(
        returncode=finished.returncode, stdout=finished.stdout, stderr=finished.stderr, calls=read_trace(trace)
    )


def strace_command(
    trace: Path, *, calls: Sequence[str], inject: Sequence[str] = (), only: Path | None = None
) -> list[str]:
    """Return what to put before a command so that it is traced, threads and children too."""
    command = ["strace", "-f", "-qq", "-y", "-s", "64", "-o", str(trace), "-e", f"trace={','.join(calls)}"]
    if only is not None:
        command += ["-P", str(only)]
    for one in inject:
        command += ["-e", f"inject={one}"]
    return command


def read_trace(trace: Path) -> list[Call]:
    """Read what strace wrote."""
    calls = []
    begun: dict[tuple[str, str], str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        pid, name, rest = match["pid"], match["name"], match["rest"]
        if rest.endswith("<unfinished ...>"):
            begun[pid, name] = rest.removesuffix("<unfinished ...>")
            continue
        if rest.startswith(" resumed>"):
            rest = begun.pop((pid, name), "") + rest.removeprefix(" resumed>")
        arguments, _, result = rest.rpartition(" = ")
        calls.append(Call(name=name, arguments=arguments, result=result))
    return calls
