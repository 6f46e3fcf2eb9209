"""Medians, ratios and verdicts are computed from the measurements and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import plots, results
from benchmarks.results import Cell, Goal, Measurement, judge, ratios, summarise, write_json

CELL = Cell(workload="ct", nagle="off", associations=4)


def measured(
    server: str,
    took_s: float,
    *,
    cpu_s: float = 1.0,
    peak: int = 10,
    rates: tuple[float, ...] = (),
) -> Measurement:
    return Measurement(
        server=server,
        cell=CELL,
        repetition=0,
        images=100,
        size_bytes=50_000_000,
        took_s=took_s,
        cpu_s=cpu_s,
        peak_memory_bytes=peak,
        association_rates=rates,
    )


MEASUREMENTS = [
    measured("ours", 1.0, cpu_s=0.1, peak=30, rates=(20.0, 30.0)),
    measured("theirs", 2.0, cpu_s=0.5),
    measured("ours", 0.5, cpu_s=0.2, peak=50, rates=(70.0,)),
    measured("theirs", 4.0, cpu_s=0.4),
    measured("ours", 0.1, cpu_s=0.9, peak=40),
    measured("theirs", 5.0, cpu_s=0.3),
]


def test_a_summary_has_medians_the_range_of_the_rate_and_the_worst_peak() -> None:
    ours, theirs = summarise(MEASUREMENTS)
    assert (ours.server, ours.repetitions) == ("ours", 3)
    assert (ours.images_per_s, ours.megabytes_per_s) == (200.0, 100.0)
    assert (ours.images_per_s_lowest, ours.images_per_s_highest) == (100.0, 1000.0)
    assert ours.cpu_us_per_image == pytest.approx(2000.0)
    assert ours.peak_memory_bytes == 50
    assert ours.association_images_per_s == 30.0
    assert theirs.images_per_s == 25.0
    assert theirs.association_images_per_s is None


def test_a_ratio_divides_medians_of_the_same_cell() -> None:
    elsewhere = Measurement(
        **{
            **MEASUREMENTS[1].__dict__,
            "cell": Cell(workload="mr", nagle="off", associations=4),
        }
    )
    (ratio,) = ratios(summarise([*MEASUREMENTS, elsewhere]), server="ours", others=["theirs"])
    assert ratio.cell == CELL
    assert ratio.images_per_s == 8.0
    assert ratio.cpu_per_image == pytest.approx(0.5)


def test_cpu_is_not_compared_with_a_server_that_used_none_the_clock_could_show() -> None:
    summaries = summarise([measured("ours", 1.0), measured("theirs", 1.0, cpu_s=0.0)])
    assert ratios(summaries, server="ours", others=["theirs"])[0].cpu_per_image is None


@pytest.mark.parametrize(
    ("goal", "is_reached"),
    [
        (Goal(title="", cell=CELL, quantity="images_per_s", other="theirs", at_least=8.0), True),
        (Goal(title="", cell=CELL, quantity="images_per_s", other="theirs", at_least=8.1), False),
        (Goal(title="", cell=CELL, quantity="cpu_per_image", other="theirs", at_most=0.51), True),
        (Goal(title="", cell=CELL, quantity="cpu_per_image", other="theirs", at_most=0.4), False),
        (Goal(title="", cell=CELL, quantity="peak_memory_bytes", at_most=50), True),
        (Goal(title="", cell=CELL, quantity="peak_memory_bytes", at_most=49), False),
        (Goal(title="", cell=CELL, quantity="images_per_s", other="third", at_least=1.0), None),
    ],
)
def test_a_goal_is_reached_missed_or_was_not_measured(goal: Goal, *, is_reached: bool | None) -> None:
    summaries = summarise(MEASUREMENTS)
    compared = ratios(summaries, server="ours", others=["theirs", "third"])
    (verdict,) = judge([goal], summaries, compared, server="ours")
    assert verdict.is_reached is is_reached
    assert (verdict.value is None) is (is_reached is None)


def test_the_file_holds_every_measurement_and_what_was_said_about_the_run(tmp_path: Path) -> None:
    summaries = summarise(MEASUREMENTS)
    path = tmp_path / "new" / "result.json"
    write_json(
        path,
        about={"commit": "abc"},
        measurements=MEASUREMENTS,
        summaries=summaries,
        compared=ratios(summaries, server="ours", others=["theirs"]),
        verdicts=[],
    )
    document = json.loads(path.read_text())
    assert document["commit"] == "abc"
    assert [m["took_s"] for m in document["measurements"]] == [1.0, 2.0, 0.5, 4.0, 0.1, 5.0]
    assert document["ratios"][0]["images_per_s"] == 8.0


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_a_plot_is_drawn_even_when_a_server_misses_a_cell(tmp_path: Path, ending: str) -> None:
    nagle = Measurement(**{**MEASUREMENTS[0].__dict__, "cell": Cell(workload="ct", nagle="on", associations=1)})
    path = tmp_path / f"plot{ending}"
    plots.draw(
        path,
        title="rates",
        footnote="note",
        titles={"ours": "Ours", "theirs": "Theirs"},
        summaries=results.summarise([*MEASUREMENTS, nagle]),
    )
    assert path.stat().st_size > 5000
