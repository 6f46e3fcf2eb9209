"""Checks what became of a night from the files alone: nothing of the simulation is used, only of the bound.

    python -m benchmarks.nights.check --night FILE.csv --readers 3,2 --cases OUT.csv --json OUT.json

Checked: each case once; begun when its images were there; read for exactly its time; a reader reads one case at a time;
as many readers as there are on the roster, and after 00:30 who leaves only finishes; backups begin 15 minutes after
their call, are paid for an hour and for what they read; every figure of the JSON file; the bound for the hours used.
That the engine did not know the true times cannot be seen in one night; a test changes them and compares.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation, localcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.nights.files import CASES_COLUMNS, read_night
from oncall.figures.bound import Chair, in_time_max
from oncall.simulation.arrivals import Night

_CHANGE_MIN: Final = Decimal(1470)
_STARTS_MIN: Final = Decimal(1110)
_HOUR_MIN: Final = Decimal(60)
_ARRIVAL_MIN: Final = Decimal(15)
_PAID_MIN: Final = Decimal(60)
#: The day's readers keep the chairs until everything is read.
_FOR_EVER_MIN: Final = 1e9
#: Figures in the JSON file are binary fractions.
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """One line of the cases file."""

    case: str
    start_min: Decimal
    done_min: Decimal
    reader: str
    is_backup: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One backup of the JSON file."""

    reader: str
    called_min: Decimal
    arrived_min: Decimal
    released_min: Decimal
    paid_min: Decimal


def check(night_file: Path, cases_file: Path, summary: Mapping[str, Any], evening: int, deep_night: int) -> list[str]:
    """Return everything that does not hold; nothing when all is right.

    Raises
    ------
    BadNightFile
        When the night file itself cannot be read.
    """
    with localcontext() as context:
        context.prec = 60
        night = read_night(night_file)
        try:
            reads = _reads(cases_file)
            calls = _calls(summary)
        except (ValueError, KeyError, InvalidOperation) as error:
            return [f"not readable: {error!r}"]
        broken = list(_cases(night, reads))
        if broken:
            # Of a schedule that is not of this night's cases nothing more can be said.
            return broken
        broken += _one_at_a_time(reads)
        broken += _roster(reads, evening, deep_night)
        broken += _backups(reads, calls)
        broken += _figures(night, reads, calls, summary)
        broken += _bound(night, reads, calls, summary, evening, deep_night)
        return broken


def _reads(path: Path) -> list[_Read]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != CASES_COLUMNS:
            message = f"{path}: the columns are {rows.fieldnames}, not {','.join(CASES_COLUMNS)}"
            raise ValueError(message)
        found = []
        for row in rows:
            if row["backup"] not in ("0", "1"):
                message = f"{path}: case {row['case']}: backup is {row['backup']!r}, not 0 or 1"
                raise ValueError(message)
            found.append(
                _Read(
                    case=row["case"],
                    start_min=Decimal(row["t_start_min"]),
                    done_min=Decimal(row["t_done_min"]),
                    reader=row["reader"],
                    is_backup=row["backup"] == "1",
                )
            )
    return found


def _calls(summary: Mapping[str, Any]) -> list[_Call]:
    # Through their shortest decimal form, which is what the file shows.
    return [
        _Call(
            reader=str(call["reader"]),
            **{name: Decimal(repr(call[name])) for name in ("called_min", "arrived_min", "released_min", "paid_min")},
        )
        for call in summary["backups"]
    ]


def _cases(night: Night, reads: Sequence[_Read]) -> Iterator[str]:
    by_case: dict[str, list[_Read]] = {}
    for read in reads:
        by_case.setdefault(read.case, []).append(read)
    for case in night.cases:
        name = case.arrived.case_id
        found = by_case.pop(name, [])
        if len(found) != 1:
            yield f"case {name} is there {len(found)} times, not once"
            continue
        read = found[0]
        if read.start_min < case.arrived.ready_min:
            yield f"case {name} is begun at {read.start_min}, before its images at {case.arrived.ready_min}"
        if read.done_min - read.start_min != case.read_min:
            yield f"case {name} takes {read.done_min - read.start_min} minutes, not {case.read_min}"
    yield from (f"case {name} is not of this night" for name in by_case)


def _one_at_a_time(reads: Sequence[_Read]) -> Iterator[str]:
    by_reader: dict[str, list[_Read]] = {}
    for read in reads:
        by_reader.setdefault(read.reader, []).append(read)
    for reader, mine in by_reader.items():
        if len({read.is_backup for read in mine}) > 1:
            yield f"{reader} is both on the roster and a backup"
        mine.sort(key=lambda read: (read.start_min, read.done_min))
        for before, after in pairwise(mine):
            if after.start_min < before.done_min:
                yield f"{reader} begins {after.case} at {after.start_min} and has {before.case} until {before.done_min}"


def _roster(reads: Sequence[_Read], evening: int, deep_night: int) -> Iterator[str]:
    regular = [read for read in reads if not read.is_backup]
    early = {read.reader for read in regular if read.start_min < _CHANGE_MIN}
    late = {read.reader for read in regular if read.start_min >= _CHANGE_MIN}
    if len(early) > evening:
        yield f"{len(early)} readers before 00:30, and {evening} are on the roster"
    if len(late) > deep_night:
        yield f"{len(late)} readers begin cases after 00:30, and {deep_night} are on the roster"
    if len(early | late) > max(evening, deep_night):
        yield f"{len(early | late)} readers in all, and {max(evening, deep_night)} are on the roster"
    yield from (f"case {read.case} is begun before 18:30" for read in reads if read.start_min < _STARTS_MIN)


def _backups(reads: Sequence[_Read], calls: Sequence[_Call]) -> Iterator[str]:
    by_reader = {call.reader: call for call in calls}
    if len(by_reader) != len(calls):
        yield "a backup is called twice under one name"
    for call in calls:
        if call.called_min < _STARTS_MIN:
            yield f"{call.reader} is called at {call.called_min}, before the night"
        if call.arrived_min - call.called_min < _ARRIVAL_MIN:
            yield f"{call.reader} arrives at {call.arrived_min}, sooner than 15 minutes after {call.called_min}"
        if abs(call.released_min - call.arrived_min - call.paid_min) > Decimal(_TOLERANCE):
            yield f"{call.reader} is paid {call.paid_min} minutes from {call.arrived_min} to {call.released_min}"
        if call.paid_min < _PAID_MIN:
            yield f"{call.reader} is paid {call.paid_min} minutes, less than an hour"
    for read in reads:
        if not read.is_backup:
            if read.reader in by_reader:
                yield f"case {read.case} is read by {read.reader}, a backup, and not said to be"
            continue
        found = by_reader.get(read.reader)
        if found is None:
            yield f"case {read.case} is read by {read.reader}, whom nobody called"
        elif read.start_min < found.arrived_min:
            yield f"case {read.case} is begun by {read.reader} at {read.start_min}, before {found.arrived_min}"
        elif read.done_min > found.released_min + Decimal(_TOLERANCE):
            yield f"case {read.case} ends at {read.done_min}, and {read.reader} was paid until {found.released_min}"


def _figures(night: Night, reads: Sequence[_Read], calls: Sequence[_Call], summary: Mapping[str, Any]) -> Iterator[str]:
    case_of = {case.arrived.case_id: case for case in night.cases}
    took = {read.case: read.done_min - case_of[read.case].arrived.ready_min for read in reads}
    is_in_time = {name: turnaround_min <= _HOUR_MIN for name, turnaround_min in took.items()}
    p1_waits = [
        float(read.start_min - case_of[read.case].arrived.ready_min)
        for read in reads
        if case_of[read.case].arrived.urgency == 1
    ]
    hospitals: dict[str, list[bool]] = {}
    for case in night.cases:
        hospitals.setdefault(case.arrived.site, []).append(is_in_time[case.arrived.case_id])
    shares = {site: sum(found) / len(found) for site, found in hospitals.items()}
    p50, p95, p99 = np.percentile([float(value) for value in took.values()], [50, 95, 99])
    wanted: dict[str, object] = {
        "cases": len(reads),
        "in_time": sum(is_in_time.values()),
        "share_within_60": sum(is_in_time.values()) / len(reads),
        "p50_min": float(p50),
        "p95_min": float(p95),
        "p99_min": float(p99),
        "max_min": float(max(took.values())),
        "p1_cases": len(p1_waits),
        "p1_wait_p50_min": float(np.percentile(p1_waits, 50)) if p1_waits else None,
        "p1_wait_p90_min": float(np.percentile(p1_waits, 90)) if p1_waits else None,
        "p1_wait_max_min": max(p1_waits) if p1_waits else None,
        "hospital_min_share": min(shares.values()),
        "backup_calls": len(calls),
        "backup_hours": float(sum((call.paid_min for call in calls), Decimal(0)) / 60),
    }
    for name, value in wanted.items():
        if not _is_same(summary.get(name), value):
            yield f"{name} is {summary.get(name)} in the JSON file; the cases say {value}"
    if {site: round(share, 9) for site, share in summary["hospitals"].items()} != {
        site: round(share, 9) for site, share in shares.items()
    }:
        yield "the hospitals' shares are not those of the cases"


def _is_same(told: object, found: object) -> bool:
    if isinstance(told, int | float) and isinstance(found, int | float):
        return abs(told - found) <= _TOLERANCE * max(1.0, abs(found))
    return told == found


def _bound(
    night: Night,
    reads: Sequence[_Read],
    calls: Sequence[_Call],
    summary: Mapping[str, Any],
    evening: int,
    deep_night: int,
) -> Iterator[str]:
    change_min, start_min = float(_CHANGE_MIN), float(_STARTS_MIN)
    stays = min(evening, deep_night)
    capacity = [Chair(from_min=start_min, until_min=_FOR_EVER_MIN, may_finish=True)] * stays
    capacity += [Chair(from_min=start_min, until_min=change_min, may_finish=True)] * (evening - stays)
    capacity += [Chair(from_min=change_min, until_min=_FOR_EVER_MIN, may_finish=True)] * (deep_night - stays)
    capacity += [
        Chair(from_min=float(call.arrived_min), until_min=float(call.released_min), may_finish=False) for call in calls
    ]
    ready_min = {case.arrived.case_id: case.arrived.ready_min for case in night.cases}
    in_time = sum(read.done_min - ready_min[read.case] <= _HOUR_MIN for read in reads)
    possible = in_time_max(night, capacity)
    if in_time > possible:
        yield f"{in_time} cases in time, and with these hours nobody can have more than {possible}"
    if summary.get("bound_in_time") != possible:
        yield f"bound_in_time is {summary.get('bound_in_time')} in the JSON file; it is {possible}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the files of one night; gives the exit status: 1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nights.check", description="check a played night")
    parser.add_argument("--night", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--readers", default="3,2", metavar="N,M")
    parser.add_argument("--cases", type=Path, required=True, metavar="OUT.csv")
    parser.add_argument("--json", type=Path, required=True, metavar="OUT.json")
    parsed = parser.parse_args(arguments)
    evening, deep_night = (int(part) for part in parsed.readers.split(","))
    summary = json.loads(parsed.json.read_text(encoding="utf-8"))
    broken = check(parsed.night, parsed.cases, summary, evening, deep_night)
    for line in broken:
        print(line)
    print(f"{parsed.cases}: {len(broken)} things do not hold" if broken else f"{parsed.cases}: everything holds")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
