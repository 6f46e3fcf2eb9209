"""How commands answer: one JSON object on standard output, or text for people; progress on standard error."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table


class Advance(Protocol):
    """Reports how far a long piece of work is."""

    def __call__(self, done: int, total: int) -> None:
        """Show `done` of `total`, in the unit of the progress bar."""


def answer(arguments: argparse.Namespace, result: Mapping[str, Any], *, title: str) -> None:
    """Print a result: as one JSON object with ``--json``, else as a table of its single values."""
    if arguments.json:
        print(json.dumps(result))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in result.items():
        table.add_row(key.replace("_", " "), _readable(key, value))
    console = Console()
    console.print(title, style="bold", highlight=False)
    console.print(table)


def _readable(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_readable(name, item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_readable("", item) for item in value) or "none"
    if key.endswith("bytes") and isinstance(value, int):
        return f"{value:,} ({size(value)})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return "-" if value is None else str(value)


def size(size_bytes: int) -> str:
    """Return a size with a unit that people read."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the last unit always fits")


@contextmanager
def progress(description: str, *, unit: str) -> Iterator[Advance]:
    """Show a progress bar on standard error while work goes on; nothing when that is no terminal.

    Parameters
    ----------
    unit : str
        ``bytes`` for sizes and speed, else what is counted.
    """
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")]
    if unit == "bytes":
        columns += [DownloadColumn(), TransferSpeedColumn()]
    else:
        columns += [MofNCompleteColumn(), TextColumn(unit)]
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task(description, total=None)

        def advance(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=max(total, 1))

        yield advance
