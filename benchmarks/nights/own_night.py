"""Plays one night from a file: cases read, figures, comparison, bound; nothing in the output depends on the clock.

The same file, readers and commit give the same bytes. What is written is checked by `benchmarks.nights.check`, from the
files alone, before the program ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import track

from benchmarks.nights import check, figures, tables
from benchmarks.nights.conditions import versions
from benchmarks.nights.contenders import CONTENDERS, Stage
from benchmarks.nights.figures import PlayedNight
from benchmarks.nights.files import NIGHT_COLUMNS, read_night, write_cases
from oncall.simulation.night import NightResult, Staffing

__all__ = ["NIGHT_COLUMNS", "run"]

#: Who plays besides the one whose cases are written.
COMPARED_WITH: Final = ("fifo", "silo")


def run(
    night_file: Path,
    staffing: Staffing,
    *,
    contender: str,
    cases: Path | None,
    json_file: Path | None,
    console: Console,
) -> int:
    """Play a night file; gives the exit status.

    Raises
    ------
    BadNightFile
        When it cannot be played.
    """
    night = read_night(night_file)
    stage = Stage(night, staffing)
    names = list(dict.fromkeys((contender, *COMPARED_WITH)))
    is_quiet = json_file == Path("-")
    played: dict[str, tuple[PlayedNight, NightResult]] = {}
    for name in track(names, description=night.name, console=console, disable=is_quiet or not console.is_terminal):
        played[name] = stage.play(name)
    summaries = {name: figures.summarise([night_played]) for name, (night_played, _) in played.items()}
    content: dict[str, object] = {
        "benchmark": "nights",
        "night": night.name,
        "night_sha256": hashlib.sha256(night_file.read_bytes()).hexdigest(),
        "versions": versions(),
        "readers": [staffing.evening, staffing.deep_night],
        "contender": contender,
        **_flat(*played[contender]),
        "bound_share_without_backups": played["fifo"][0].bound_share,
        "compared_with": {
            name: {"title": CONTENDERS[name].title, **_flat(*played[name])} for name in names if name != contender
        },
        "percentiles": "linear between ranks, over all cases, minutes from images complete",
    }
    if cases is not None:
        write_cases(cases, played[contender][1])
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if is_quiet:
        print(text, end="")
    elif json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(text, encoding="utf-8")
    if not is_quiet:
        tables.print_summaries(console, f"{night.name}, readers {staffing.evening},{staffing.deep_night}", summaries)
        tables.print_backups(console, played[contender][1])
    if cases is not None:
        broken = check.check(night_file, cases, content, staffing.evening, staffing.deep_night)
        assert not broken, "what was written does not hold:\n" + "\n".join(broken)
    return 0


def _flat(played: PlayedNight, result: NightResult) -> Mapping[str, object]:
    """Return the figures of one night as JSON; times are minutes after 00:00 of the evening's day."""
    summary = asdict(figures.summarise([played]))
    # Means over nights say nothing of one.
    for name in ("nights", "share_of_nights", "bound_share_of_nights", "backup_hours_per_night"):
        del summary[name]
    return {
        **summary,
        "hospitals": figures.shares_by_hospital(played.cases),
        "backups": [
            {
                "reader": backup.reader,
                "called_min": float(backup.called_min),
                "arrived_min": float(backup.arrived_min),
                "released_min": float(backup.released_min),
                "paid_min": float(backup.paid_min),
            }
            for backup in result.backups
        ],
    }
