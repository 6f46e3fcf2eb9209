"""Draws shares, tails, P1 waits and backup hours over the number of cases a night, and the distribution of nights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.nights.contenders import CONTENDERS
from benchmarks.nights.figures import PlayedNight, Summary

_COLOURS = ("#00666b", "#3d8f5f", "#c8553d", "#e09f3e", "#7d8597", "#b56576")


def draw(
    path: Path,
    *,
    footnote: str,
    played: Mapping[int, Mapping[str, Sequence[PlayedNight]]],
    summaries: Mapping[int, Mapping[str, Summary]],
) -> None:
    """Write a picture; the name's ending chooses the format (`.png`, `.svg`)."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    volumes = sorted(summaries)
    names = list(summaries[volumes[0]])
    ours = names[0]
    colours = dict(zip(CONTENDERS, _COLOURS, strict=True))
    figure, axes = plt.subplots(2, 3, figsize=(15, 8.6))

    def lines(axis: Any, values: Mapping[str, Sequence[float]], title: str, label: str) -> None:
        for name, series in values.items():
            width = 2.4 if name == ours else 1.2
            axis.plot(volumes, series, marker="o", ms=3, lw=width, color=colours[name])
        _dress(axis, title, label)
        axis.set_xticks(volumes)

    def per_volume(value: str) -> dict[str, list[float]]:
        return {name: [getattr(summaries[volume][name], value) or 0.0 for volume in volumes] for name in names}

    shares = axes[0, 0]
    for name in names:
        means = [summaries[volume][name].share_of_nights for volume in volumes]
        shares.errorbar(
            volumes, [mean.mean for mean in means], yerr=[mean.mean - mean.low for mean in means], marker="o", ms=3,
            lw=2.4 if name == ours else 1.2, capsize=2, color=colours[name], label=CONTENDERS[name].title,
        )  # fmt: skip
    bound = [summaries[volume][ours].bound_share_of_nights.mean for volume in volumes]
    # With a mark, because a line through one volume shows nothing.
    label = "nobody can do better with the engine's reader hours"
    shares.plot(volumes, bound, "k--", marker="_", ms=9, lw=1, label=label)
    shares.set_xticks(volumes)
    _dress(shares, "Reported within the hour (95 % intervals)", "share of cases")
    lines(axes[0, 1], per_volume("p99_min"), "99th percentile, images complete to report", "minutes")
    lines(axes[0, 2], per_volume("max_min"), "The longest of all", "minutes")
    lines(axes[1, 0], per_volume("p1_wait_p90_min"), "P1 wait until opened, 90th percentile", "minutes")
    lines(axes[1, 1], per_volume("backup_hours_per_night"), "Hours of called backups", "hours a night")
    tails = axes[1, 2]
    shown = 100 if 100 in volumes else volumes[-1]
    for name in names:
        values = np.sort([case.turnaround_min for night in played[shown][name] for case in night.cases])
        tails.plot(
            values, 1.0 - np.arange(len(values)) / len(values), color=colours[name], lw=2.4 if name == ours else 1.2
        )
    tails.axvline(60, color="#999999", lw=0.8)
    tails.set_yscale("log")
    tails.set_xlim(0, 300)
    _dress(tails, f"Cases that take longer, {shown} a night", "share of cases")
    tails.set_xlabel("minutes from images complete to report")
    handles, labels = shares.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 0.025), ncols=3, fontsize=9, frameon=False)
    figure.suptitle("Simulated nights: the engine, simpler ways and the best possible")
    figure.text(0.01, 0.008, footnote, fontsize=7, color="#555555")
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _dress(axis: Any, title: str, label: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_ylabel(label)
    axis.set_xlabel("cases a night")
    axis.spines[["top", "right"]].set_visible(False)
