"""Prints figures of nights as tables."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.nights.contenders import CONTENDERS
from benchmarks.nights.figures import Mean, Summary
from oncall.simulation.night import NightResult

_COLUMNS = (
    "in 60 min", "p50", "p95", "p99", "max", "P1 p50", "P1 p90", "P1 max", "worst site", "calls", "hours", "bound",
    "ratio",
)  # fmt: skip


def print_summaries(console: Console, title: str, summaries: Mapping[str, Summary]) -> None:
    """Print one line for each contender: minutes, calls and hours a night; ± is the mean's standard error."""
    table = Table(title=title)
    table.add_column("contender", no_wrap=True)
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for name, summary in summaries.items():
        table.add_row(
            name,
            _with_error(summary),
            *(f"{value:.1f}" for value in (summary.p50_min, summary.p95_min, summary.p99_min, summary.max_min)),
            *(
                "" if value is None else f"{value:.1f}"
                for value in (summary.p1_wait_p50_min, summary.p1_wait_p90_min, summary.p1_wait_max_min)
            ),
            f"{summary.hospital_min_share:.3f}",
            f"{summary.backup_calls / summary.nights:.2f}",
            f"{summary.backup_hours_per_night:.3f}",
            f"{summary.bound_share_of_nights.mean:.4f}",
            f"{summary.ratio_to_bound:.4f}",
        )
    console.print(table)


def _with_error(summary: Summary) -> str:
    share = summary.share_of_nights
    return f"{share.mean:.4f} ±{share.se:.4f}" if summary.nights > 1 else f"{share.mean:.4f}"


def print_paired(console: Console, differences: Mapping[str, Mean]) -> None:
    """Print how far the engine is ahead of each other contender on the same nights."""
    for name, difference in differences.items():
        console.print(
            f"  ahead of {CONTENDERS[name].title}: {100 * difference.mean:+.2f} points within the hour "
            f"(95 %: {100 * difference.low:+.2f} to {100 * difference.high:+.2f})"
        )


def print_backups(console: Console, result: NightResult) -> None:
    """Print each backup call of one night, in minutes after 00:00 of the evening's day."""
    for backup in result.backups:
        console.print(
            f"  {backup.reader}: called at {backup.called_min}, read from {backup.arrived_min} to "
            f"{backup.released_min:.2f}, paid {backup.paid_min:.2f} min"
        )
