"""The Loire story as ``telegarde demo`` shows it: line by line, with the wall time of the night that is rehearsed.

For: printing. Not for: the story (`territory.rehearsal`).
"""

import datetime
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from foundation import log
from territory.demo_node import StepFailed
from territory.rehearsal.play import played
from territory.rehearsal.variants import VARIANTS

EVERY: str = "all"
"""What names every variant."""


def chosen(name: str) -> list[str]:
    """Return the variants that a name means."""
    return list(VARIANTS) if name == EVERY else [name]


def show(console: Console, directory: Path, names: Sequence[str]) -> dict[str, Any]:
    """Play variants one after the other; return the clocks of each, in seconds.

    Raises
    ------
    StepFailed
        If one of them did not go as it must; what was made is left in `directory` then.
    """
    # What fails is a step that failed; lines of the log would stand between those of the story.
    log.configure(level="CRITICAL")
    shown: dict[str, Any] = {}
    for name in names:
        variant = VARIANTS[name]
        console.print(f"\n[bold]{variant.title}[/]  [dim]{name}[/]")
        table = Table.grid(padding=(0, 2))
        place = directory / name

        def tell(at: datetime.datetime, what: str, detail: str, table: Table = table) -> None:
            table.add_row(f"[cyan]{at:%H:%M %Z}[/]", what, f"[dim]{detail}[/]")

        try:
            with played(variant, place, tell) as story:
                shown[name] = dict(story.ended_with)
        except StepFailed as failure:
            raise StepFailed(f"{name}: {failure}") from failure
        finally:
            console.print(table)
        shutil.rmtree(place, ignore_errors=True)
    return shown
