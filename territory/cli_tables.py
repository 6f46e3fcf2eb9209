"""Rows for people: how commands print lists when nobody asked for JSON."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_WIDTH_OF_FILES: Final = 160


def print_rows(
    title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, nothing: str | None = None
) -> None:
    """Print rows under a title; when there are none, `nothing` (or not a word).

    Cells that hold lists are joined by commas.
    """
    rows = list(rows)
    # What goes into a file or a pipe is not cut to the width of a terminal that is not there.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
    if not rows:
        if nothing:
            console.print(nothing, style="bold", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console.print(title, style="bold", highlight=False)
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
