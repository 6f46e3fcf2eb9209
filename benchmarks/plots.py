"""Draws the results of a benchmark: one panel for each workload and setting of Nagle.

For: `benchmarks.ingest` and `benchmarks.retrieve`. Bars are medians; the lines on them span the
repetitions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.results import Summary

_COLOURS = ("#00666b", "#c8553d", "#e09f3e", "#7d8597", "#a3b18a", "#c9cba3", "#b56576")


def draw(
    path: Path,
    *,
    title: str,
    footnote: str,
    titles: Mapping[str, str],
    summaries: Sequence[Summary],
) -> None:
    """Write a picture of the rates; the name's ending chooses the format (`.png`, `.svg`)."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = list(dict.fromkeys((s.cell.workload, s.cell.nagle) for s in summaries))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width_inches, height_inches = 5.5 * max(columns, 1.6), 3.2 * rows + 1.4
    figure, axes = plt.subplots(rows, columns, figsize=(width_inches, height_inches), squeeze=False)
    # A server keeps its colour, whichever others are measured.
    colours = dict(zip(titles, _COLOURS, strict=False))
    for axis, panel in zip(axes.flat, panels, strict=False):
        here = [s for s in summaries if (s.cell.workload, s.cell.nagle) == panel]
        counts = sorted({summary.cell.associations for summary in here})
        servers = list(dict.fromkeys(summary.server for summary in here))
        width = 0.8 / len(servers)
        for number, server in enumerate(servers):
            mine = [summary for summary in here if summary.server == server]
            places = [counts.index(s.cell.associations) + number * width for s in mine]
            rates = [summary.images_per_s for summary in mine]
            spans = [
                [s.images_per_s - s.images_per_s_lowest for s in mine],
                [s.images_per_s_highest - s.images_per_s for s in mine],
            ]
            axis.bar(
                places,
                rates,
                width * 0.92,
                yerr=spans if mine else None,
                label=titles[server],
                color=colours[server],
                error_kw={"elinewidth": 1, "ecolor": "#333333"},
            )
        axis.set_xticks([place + 0.4 - width / 2 for place in range(len(counts))])
        axis.set_xticklabels([f"{n} assoc." for n in counts])
        axis.set_title(f"{panel[0]}, Nagle {panel[1]} at the sender", fontsize=10)
        axis.set_ylabel("images/s")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.25 / height_inches),
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    figure.suptitle(title)
    figure.text(0.01, 0.08 / height_inches, footnote, fontsize=6, color="#555555")
    figure.tight_layout(rect=(0, 1.0 / height_inches, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
