"""Turns measurements into medians, ratios and verdicts, and writes them as JSON and as a table.

For: `benchmarks.ingest` and `benchmarks.retrieve`. Not for: measuring, or drawing
(`benchmarks.plots`). Invariants: every single measurement is in the file, and everything else in it
can be computed from them; a ratio compares cells that differ only in the server, from one run.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS_DIRECTORY = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """What was measured, but for the server and the repetition.

    `nagle` is the sender's: "off" or "on".
    """

    workload: str
    nagle: str
    associations: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One server, once.

    `cpu_s` and `peak_memory_bytes` (of its biggest process) are the measured server's;
    a peak of 0 was not measured. `association_rates` are images/s of each association, where the server logs them.
    """

    server: str
    cell: Cell
    repetition: int
    images: int
    size_bytes: int
    took_s: float
    cpu_s: float
    peak_memory_bytes: int
    association_rates: tuple[float, ...] = ()

    @property
    def images_per_s(self) -> float:
        """Images in a second, of the whole."""
        return self.images / self.took_s

    @property
    def megabytes_per_s(self) -> float:
        """10^6 bytes in a second."""
        return self.size_bytes / 1e6 / self.took_s

    @property
    def cpu_us_per_image(self) -> float:
        """Microseconds of processor for an image."""
        return self.cpu_s * 1e6 / self.images


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Medians over the repetitions of one server in one cell, and the range of the rate."""

    server: str
    cell: Cell
    repetitions: int
    images_per_s: float
    images_per_s_lowest: float
    images_per_s_highest: float
    megabytes_per_s: float
    cpu_us_per_image: float
    peak_memory_bytes: int
    association_images_per_s: float | None


def summarise(measurements: Iterable[Measurement]) -> list[Summary]:
    """Give one summary for each server and cell, in the order in which they first appear."""
    groups: dict[tuple[Cell, str], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.cell, measurement.server), []).append(measurement)
    summaries = []
    for (cell, server), group in groups.items():
        rates = [measurement.images_per_s for measurement in group]
        summaries.append(
            Summary(
                server=server,
                cell=cell,
                repetitions=len(group),
                images_per_s=statistics.median(rates),
                images_per_s_lowest=min(rates),
                images_per_s_highest=max(rates),
                megabytes_per_s=statistics.median(m.megabytes_per_s for m in group),
                cpu_us_per_image=statistics.median(m.cpu_us_per_image for m in group),
                # Not a median: what is promised about memory is promised about the worst.
                peak_memory_bytes=max(m.peak_memory_bytes for m in group),
                association_images_per_s=_median(rate for m in group for rate in m.association_rates),
            )
        )
    return summaries


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How one server compares with another in a cell; rates and CPU are medians divided."""

    cell: Cell
    server: str
    other: str
    images_per_s: float
    cpu_per_image: float | None


def ratios(summaries: Sequence[Summary], *, server: str, others: Sequence[str]) -> list[Ratio]:
    """Compare `server` with each of `others` wherever both were measured.

    CPU is compared only where the other used any that the clock could show.
    """
    by_place = {(summary.cell, summary.server): summary for summary in summaries}
    found = []
    for (cell, name), ours in by_place.items():
        if name != server:
            continue
        for other in others:
            theirs = by_place.get((cell, other))
            if theirs is None:
                continue
            cpu = theirs.cpu_us_per_image
            found.append(
                Ratio(
                    cell=cell,
                    server=server,
                    other=other,
                    images_per_s=ours.images_per_s / theirs.images_per_s,
                    cpu_per_image=ours.cpu_us_per_image / cpu if cpu > 0 else None,
                )
            )
    return found


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Something the project has promised about its own node.

    Parameters
    ----------
    quantity : {"images_per_s", "cpu_per_image", "peak_memory_bytes"}
        The first two relative to `other`.
    at_least, at_most : float, optional
        Exactly one of them.
    """

    title: str
    cell: Cell
    quantity: str
    other: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, value: float) -> bool:
        """Tell whether a value is good enough."""
        if self.at_least is not None:
            return value >= self.at_least
        assert self.at_most is not None
        return value <= self.at_most


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a goal; `value` None means that it was not measured."""

    goal: str
    wanted: str
    value: float | None
    is_reached: bool | None


def judge(
    goals: Sequence[Goal], summaries: Sequence[Summary], compared: Sequence[Ratio], *, server: str
) -> list[Verdict]:
    """Hold the goals against what was measured."""
    verdicts = []
    for goal in goals:
        value: float | None = None
        if goal.quantity == "peak_memory_bytes":
            mine = (s for s in summaries if s.server == server and s.cell == goal.cell)
            value = next((float(summary.peak_memory_bytes) for summary in mine), None)
        else:
            pairs = (r for r in compared if r.cell == goal.cell and r.other == goal.other)
            pair = next(pairs, None)
            if pair is not None:
                is_rate = goal.quantity == "images_per_s"
                value = pair.images_per_s if is_rate else pair.cpu_per_image
        sign, bound = (">=", goal.at_least) if goal.at_least is not None else ("<=", goal.at_most)
        verdicts.append(
            Verdict(
                goal=goal.title,
                wanted=f"{sign} {bound:g}",
                value=value,
                is_reached=None if value is None else goal.reached(value),
            )
        )
    return verdicts


def write_json(
    path: Path,
    *,
    about: Mapping[str, object],
    measurements: Sequence[Measurement],
    summaries: Sequence[Summary],
    compared: Sequence[Ratio],
    verdicts: Sequence[Verdict],
) -> None:
    """Write everything into one file, medians and ratios before the raw figures."""
    document = {
        **about,
        "summaries": [asdict(summary) for summary in summaries],
        "ratios": [asdict(ratio) for ratio in compared],
        "goals": [asdict(verdict) for verdict in verdicts],
        "measurements": [asdict(measurement) for measurement in measurements],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(document), indent=1, ensure_ascii=False) + "\n")


def _rounded(value: object) -> object:
    """Round floats to six significant digits, which is more than was measured."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def print_tables(
    console: Console,
    *,
    title: str,
    summaries: Sequence[Summary],
    compared: Sequence[Ratio],
    verdicts: Sequence[Verdict],
) -> None:
    """Show the medians, the ratios beside them, and the goals."""
    by_place = {(ratio.cell, ratio.other): ratio for ratio in compared}
    table = Table(title=title)
    for name in ("workload", "Nagle", "assoc.", "server"):
        table.add_column(name, no_wrap=True)
    for name in ("images/s", "MB/s", "CPU us/image", "peak MB", "ours/it", "CPU ours/it"):
        table.add_column(name, justify="right")
    previous: Cell | None = None
    for summary in summaries:
        cell = summary.cell
        if cell != previous and previous is not None:
            table.add_section()
        previous = cell
        ratio = by_place.get((cell, summary.server))
        cpu_ratio = ratio.cpu_per_image if ratio is not None else None
        table.add_row(
            cell.workload,
            cell.nagle,
            str(cell.associations),
            summary.server,
            f"{summary.images_per_s:.1f}",
            f"{summary.megabytes_per_s:.0f}",
            f"{summary.cpu_us_per_image:.0f}",
            f"{summary.peak_memory_bytes / 1e6:.0f}" if summary.peak_memory_bytes else "",
            "" if ratio is None else f"{ratio.images_per_s:.2f}",
            "" if cpu_ratio is None else f"{cpu_ratio:.2f}",
        )
    console.print(table)
    for verdict in verdicts:
        if verdict.value is not None:
            word = "reached" if verdict.is_reached else "MISSED"
            console.print(f"{word:8} {verdict.goal}: {verdict.value:.3g} (wanted {verdict.wanted})")
