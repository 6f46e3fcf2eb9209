"""How long figures take: taking 100,000 cases in from the log, and the monthly figures over all of them.

Run as ``python -m benchmarks.figures [--cases 100000] [--repeat 5] [--work-directory DIR] [--output FILE]``;
``--quick`` is a smoke run. The database is SQLite. Everything is checked: each case has its row, and the counts of the
figures are those of the cases written. Figures are asked for twice: of every case at once (three years as if they were
one month, in all dimensions), and of one month.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime
from datetime import time as wall
from pathlib import Path
from typing import Any

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from benchmarks import measure
from benchmarks.figure_cases import FIRST_NIGHT, ZONE, last_instant, write_cases
from foundation.database import Database, sqlite_url
from oncall.directory import Role
from oncall.figures.documents import to_json
from oncall.figures.nights import night_report
from oncall.figures.projection import catch_up
from oncall.figures.summary import FigureQuery, Summary, summary
from oncall.local_time import first_instant
from territory.demo_oncall import put_in_force
from territory.demo_territory import demo_directory

GOAL_S = 10.0
_MONTH = (date(2026, 3, 1), date(2026, 4, 1))
_NIGHT = date(2026, 3, 14)


def run(directory: Path, cases: int, repeat: int) -> dict[str, Any]:
    """Measure once on a database in `directory`."""
    path = directory / "figures.sqlite"
    database = Database(sqlite_url(path))
    put_in_force(database)
    demo = demo_directory()
    readers = sorted(one.person_id for one in demo.persons.values() if one.role is Role.RADIOLOGIST)
    begun = time.perf_counter()
    with database.write(durable=True) as connection:
        events = write_cases(connection, cases, sorted(demo.sites), readers, seed=1000)
    written = time.perf_counter()
    rows = catch_up(database)
    projected = time.perf_counter()
    if rows < cases:
        message = f"{rows} rows of {cases} cases; the figures mean nothing"
        raise SystemExit(message)
    now = last_instant(cases)
    everything = FigureQuery(since=first_instant(FIRST_NIGHT, wall(0), ZONE), until=now, shows_readers=True)
    month = FigureQuery(
        since=first_instant(_MONTH[0], wall(0), ZONE), until=first_instant(_MONTH[1], wall(0), ZONE), shows_readers=True
    )
    whole = _figures(database, everything, now)
    if whole.cases != cases:
        message = f"{whole.cases} cases in the figures of {cases}; they mean nothing"
        raise SystemExit(message)
    in_month = _figures(database, month, now).cases
    result = {
        "cases": cases,
        "events": events,
        "database_bytes": path.stat().st_size,
        "written_s": written - begun,
        "projected_s": projected - written,
        "cases_projected_per_s": cases / (projected - written),
        "nothing_new_s": _median(repeat, lambda: catch_up(database)),
        "figures_of_all_s": _median(repeat, lambda: to_json(_figures(database, everything, now))),
        "cases_of_the_month": in_month,
        "figures_of_the_month_s": _median(repeat, lambda: to_json(_figures(database, month, now))),
        "morning_report_s": _median(1, lambda: night_report(database, _NIGHT, ZONE, now)),
    }
    database.close()
    return result


def _figures(database: Database, query: FigureQuery, now: datetime) -> Summary:
    with database.read() as connection:
        return summary(connection, query, now)


def _median(repeat: int, work: Callable[[], object]) -> float:
    taken = []
    for _ in range(repeat):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description="How long figures take.")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds; its figures mean nothing")
    parser.add_argument("--work-directory", type=Path, help="on the disk to measure (the temporary directory)")
    parser.add_argument("--output", type=Path, help="JSON file (benchmarks/results/figures.json; none when quick)")
    given = parser.parse_args()
    cases, repeat = (2_000, 1) if given.quick else (given.cases, given.repeat)
    with tempfile.TemporaryDirectory(dir=given.work_directory) as name:
        about = {
            "benchmark": "figures", "is_smoke_run": given.quick, "commit": measure.commit(),
            "machine": measure.machine(Path(name)), "repetitions": repeat, "goal_s": GOAL_S,
        }  # fmt: skip
        found = run(Path(name), cases, repeat)
    is_reached = found["figures_of_all_s"] < GOAL_S
    output = given.output or (None if given.quick else Path("benchmarks/results/figures.json"))
    if output is not None:
        output.write_text(json.dumps({**about, **found, "is_reached": is_reached}, indent=1) + "\n")
    for key, value in found.items():
        print(f"{key:24} {value:14,.2f}" if isinstance(value, float) else f"{key:24} {value:14,}")
    print(f"figures of {found['cases']:,} cases: goal {GOAL_S:g} s {'reached' if is_reached else 'MISSED'}")


if __name__ == "__main__":
    main()
