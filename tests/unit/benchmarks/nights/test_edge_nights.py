"""Nights at the edges of what a file may hold, played by the engine and judged from the files alone.

The judge here is written from the words of the interface and shares no code with `benchmarks.nights.check`: one of the
two may be wrong.
"""

import csv
import json
import random
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.nights import __main__ as nights

Case = tuple[str, str, str, str, str, str]

COLUMNS = ("case", "t_images_min", "hospital", "class", "body_part", "read_min")
PARTS = ("stroke", "wbct", "head", "abdo", "chest", "msk")


def case(number: int, ready: object, read: object = "10", urgency: str = "2", part: str = "head") -> Case:
    return f"c{number}", str(ready), f"H{number % 18}", urgency, part, str(read)


def drawn(seed: int, count: int) -> list[Case]:
    chance = random.Random(seed)
    return [
        case(number, f"{chance.uniform(1110, 1950):.4f}", f"{chance.expovariate(1 / 16) + 0.1:.3f}", *chosen)
        for number in range(count)
        for chosen in [(str(chance.randint(1, 3)), chance.choice(PARTS))]
    ]


NIGHTS: dict[str, tuple[str, list[Case]]] = {
    "one": ("3,2", [case(0, 1200)]),
    "all_at_once": ("3,2", [case(number, 1300) for number in range(25)]),
    "first_and_last_minute": ("3,2", [case(0, 1110), case(1, 1950), case(2, 1950, urgency="1", part="stroke")]),
    "all_p1": ("2,2", [case(number, 1200 + 4 * number, urgency="1", part="wbct") for number in range(20)]),
    "short_and_endless": (
        "3,2",
        [case(number, 1110 + 9 * number, "300" if number % 3 else "0.1") for number in range(9)],
    ),
    "around_the_change": ("3,2", [case(number, f"1469.{number:02}", "45") for number in range(12)]),
    "more_at_night": ("1,3", drawn(1, 25)),
    "drawn": ("3,2", drawn(2, 40)),
}


def problems(cases: list[Case], reads: list[dict[str, str]], calls: list[dict[str, float]], readers: str) -> list[str]:
    """Return what does not hold of what was written about a night."""
    evening, deep_night = map(int, readers.split(","))
    asked = {one[0]: one for one in cases}
    found = [] if sorted(one["case"] for one in reads) == sorted(asked) else ["not each case once"]
    by_reader: dict[str, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for one in reads:
        start, done = Decimal(one["t_start_min"]), Decimal(one["t_done_min"])
        by_reader[one["reader"]].append((start, done))
        _, ready, _, _, _, read = asked[one["case"]]
        found += [f"{one['case']} before its images"] * (start < Decimal(ready))
        found += [f"{one['case']} not in its time"] * (done - start != Decimal(read))
    for reader, times in by_reader.items():
        found += [f"{reader} reads two" for one, other in pairwise(sorted(times)) if other[0] < one[1]]
    called = {str(one["reader"]): one for one in calls}
    regular = by_reader.keys() - called.keys()
    before = {reader for reader in regular if any(start < 1470 for start, _ in by_reader[reader])}
    after = {reader for reader in regular if any(start >= 1470 for start, _ in by_reader[reader])}
    found += ["more readers than on duty"] * (len(before) > evening or len(after) > deep_night)
    found += ["more people than ever on duty"] * (len(regular) > max(evening, deep_night))
    found += [f"{one['reader']} is a backup" for one in reads if (one["backup"] == "1") != (one["reader"] in called)]
    for reader, call in called.items():
        times = by_reader.get(reader, [])
        found += [f"{reader} comes too soon"] * (call["arrived_min"] - call["called_min"] < 15)
        found += [f"{reader} is paid too little"] * (call["paid_min"] < 60)
        found += [f"{reader} begins too soon" for start, _ in times if float(start) < call["arrived_min"] - 1e-9]
        found += [f"{reader} is not paid to the end" for _, done in times if float(done) > call["released_min"] + 1e-9]
    return found


@pytest.mark.parametrize("name", NIGHTS)
def test_whatever_a_file_holds_is_read_by_who_is_there(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readers, cases = NIGHTS[name]
    night, out, summary = (tmp_path / file for file in ("night.csv", "out.csv", "out.json"))
    with night.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *cases])

    status = nights.main(["--night", str(night), "--readers", readers, "--cases", str(out), "--json", str(summary)])

    capsys.readouterr()
    told = json.loads(summary.read_text(encoding="utf-8"))
    with out.open(encoding="utf-8", newline="") as file:
        reads = list(csv.DictReader(file))
    assert (status, problems(cases, reads, told["backups"], readers)) == (0, [])
    ready = {one[0]: Decimal(one[1]) for one in cases}
    in_time = sum(Decimal(one["t_done_min"]) - ready[one["case"]] <= 60 for one in reads)
    assert told["share_within_60"] == in_time / len(cases) <= told["bound_share"]
    assert told["backup_hours"] * 60 == pytest.approx(sum(one["paid_min"] for one in told["backups"]))
