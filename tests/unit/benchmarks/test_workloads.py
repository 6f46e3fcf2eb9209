"""A workload is dealt whole, and a plan measures every server under the same conditions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.ingest import Plan, make_plan, parse_arguments
from benchmarks.workloads import SMOKE, Sizes, Workload, make_workload


def a_workload(directory: Path, *, files: int, alone: int = 0) -> Workload:
    paths = [directory / f"{number:03d}" for number in range(files + alone)]
    for path in paths:
        path.write_bytes(b"x" * 10)
    return Workload(name="some", title="some", files=tuple(paths[:files]), alone=tuple(paths[files:]))


@pytest.mark.parametrize("associations", [1, 3, 7, 50])
@pytest.mark.parametrize("alone", [0, 1])
def test_each_file_is_dealt_once(tmp_path: Path, associations: int, alone: int) -> None:
    workload = a_workload(tmp_path, files=7, alone=alone)
    hands = workload.deal(associations, tmp_path / "dealt")
    dealt = [path.name for hand in hands for path in hand.iterdir()]
    assert sorted(dealt) == sorted(path.name for path in (*workload.files, *workload.alone))
    assert len(hands) == min(associations, workload.images)
    assert workload.size_bytes == 10 * workload.images


def test_what_is_to_go_alone_goes_alone_when_there_are_several_associations(tmp_path: Path) -> None:
    hands = a_workload(tmp_path, files=6, alone=1).deal(4, tmp_path / "dealt")
    assert [len(list(hand.iterdir())) for hand in hands] == [1, 2, 2, 2]


def test_dealing_again_gives_the_same_hands(tmp_path: Path) -> None:
    workload = a_workload(tmp_path, files=5)
    first = workload.deal(2, tmp_path / "dealt")
    assert workload.deal(2, tmp_path / "dealt") == first
    assert sum(len(list(hand.iterdir())) for hand in first) == 5


@pytest.mark.parametrize("name", ["ct", "mr", "multiframe", "mixed"])
def test_a_generated_workload_has_the_stated_number_of_images(tmp_path: Path, name: str) -> None:
    sizes = Sizes(ct_images=4, mr_images=8, multiframe_bytes=2_000_000)
    wanted = {"ct": 4, "mr": 8, "multiframe": 1, "mixed": 5}[name]
    workload = make_workload(name, tmp_path, sizes)
    assert workload.images == wanted
    assert all(path.is_file() for path in (*workload.files, *workload.alone))


def test_a_plan_measures_every_server_in_every_cell_equally_often() -> None:
    plan = make_plan(parse_arguments(["--repeat", "3", "--servers", "storescp", "bare"]))
    steps = Counter((cell, kind.name) for _, cell, kind in plan.steps())
    assert set(steps.values()) == {3}
    assert {name for _, name in steps} == {"storescp", "bare"}
    assert {cell for cell, _ in steps} == set(plan.cells())


def test_servers_of_a_cell_follow_each_other_and_take_turns_at_being_first() -> None:
    plan = Plan(
        servers=("storescp", "orthanc", "bare"),
        workloads=("ct",),
        nagle=("off",),
        associations=(1,),
        repetitions=3,
        workers=None,
    )
    order = [kind.name for _, _, kind in plan.steps()]
    assert [order[0], order[3], order[6]] == ["storescp", "orthanc", "bare"]
    assert [set(order[i : i + 3]) for i in (0, 3, 6)] == [set(plan.servers)] * 3


def test_one_object_is_not_measured_on_many_associations_and_memory_on_the_most() -> None:
    cells = make_plan(parse_arguments([])).cells()
    by_workload = {
        name: sorted({cell.associations for cell in cells if cell.workload == name})
        for name in ("ct", "mr", "multiframe", "mixed")
    }
    assert by_workload == {
        "ct": [1, 4, 16],
        "mr": [1, 4, 16],
        "multiframe": [1],
        "mixed": [16],
    }


def test_a_smoke_run_is_small() -> None:
    assert SMOKE.ct_images * 526_000 + SMOKE.multiframe_bytes < 25_000_000
    assert make_plan(parse_arguments(["--quick"])).repetitions == 1
