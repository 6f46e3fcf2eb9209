"""Lets the real engine read simulated nights, or a night of anybody's own, beside simpler ways and the best possible.

    python -m benchmarks.nights                                  every volume, 150 nights each: some minutes
    python -m benchmarks.nights --volumes 80 --nights 150        one volume
    python -m benchmarks.nights --night FILE.csv --readers 3,2 --cases OUT.csv --json OUT.json
    python -m benchmarks.nights --quick                          a smoke run of some seconds; its figures mean nothing

The whole engine (cases and their log, assignment, forecast with backup calls, timers, pages) runs on a virtual clock;
it never learns how long a reading will really take. `--contenders reading` plays its reading code alone, which
decides the same and is faster. All contenders play the same nights in the same world (`oncall.simulation.night`), so
differences are paired. What the figures and files mean: see README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import reports
from benchmarks.nights import matrix, own_night
from benchmarks.nights.contenders import CONTENDERS, OURS, READING
from benchmarks.nights.files import BadNightFile
from oncall.simulation.night import Staffing

VOLUMES = (50, 60, 70, 80, 90, 100, 120)
NIGHTS = 150
FIRST_SEED = 1000

_READERS_MAX = 50


def staffing_of(text: str) -> Staffing:
    """Read ``3,2``: readers until 00:30 and from then on."""
    parts = text.split(",")
    if len(parts) == 2 and all(part.strip().isdecimal() for part in parts):
        evening, deep_night = (int(part) for part in parts)
        if 1 <= evening <= _READERS_MAX and 1 <= deep_night <= _READERS_MAX:
            return Staffing(evening=evening, deep_night=deep_night)
    message = f"{text!r} is not of the form 3,2: readers until 00:30 and after it, each from 1 to {_READERS_MAX}"
    raise argparse.ArgumentTypeError(message)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        message = f"{number} is less than 1"
        raise argparse.ArgumentTypeError(message)
    return number


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nights", description="how many emergency studies are reported within the hour"
    )
    parser.add_argument(
        "--readers", type=staffing_of, default="3,2", metavar="N,M", help="until 00:30 and after it (3,2)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=Path("-"),
        metavar="FILE",
        help="write the figures as JSON; without FILE to standard output, and no tables",
    )
    drawn = parser.add_argument_group("nights drawn by the model")
    drawn.add_argument("--volumes", type=_positive, nargs="+", metavar="N", help="cases a night (50 ... 120)")
    drawn.add_argument("--nights", type=_positive, help="of each volume (150; 2 when quick)")
    drawn.add_argument("--first-seed", type=int, default=FIRST_SEED, help="of the first night (1000)")
    drawn.add_argument(
        "--contenders", nargs="+", choices=list(CONTENDERS), help="who plays (all but reading); the first is compared"
    )
    drawn.add_argument("--processes", type=_positive, help="nights played at once (one for each core)")
    drawn.add_argument("--output", type=Path, help="JSON file; the plot lies beside it (benchmarks/results/...)")
    drawn.add_argument("--write-nights", type=Path, metavar="DIR", help="write the nights themselves too, as CSV")
    drawn.add_argument("--quick", action="store_true", help="a smoke run of some seconds; its figures mean nothing")
    own = parser.add_argument_group("a night of one's own")
    own.add_argument("--night", type=Path, metavar="FILE", help="CSV: " + ",".join(own_night.NIGHT_COLUMNS))
    own.add_argument("--cases", type=Path, metavar="FILE", help="write when and by whom each case was read")
    own.add_argument("--contender", choices=list(CONTENDERS), default=OURS, help="whose cases are written (engine)")
    parsed = parser.parse_args(arguments)
    if parsed.night is None and parsed.cases is not None:
        parser.error("--cases belongs to --night FILE")
    files = [file.resolve() for file in (parsed.night, parsed.cases, parsed.json) if file is not None]
    if len(set(files)) < len(files):
        parser.error("--night, --cases and --json are three files")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; gives the exit status: 2 when a file cannot be played, or not be written."""
    parsed = parse_arguments(arguments)
    console = reports.make_console()
    if parsed.night is not None:
        try:
            return own_night.run(
                parsed.night,
                parsed.readers,
                contender=parsed.contender,
                cases=parsed.cases,
                json_file=parsed.json,
                console=console,
            )
        except BadNightFile as error:
            print(error, file=sys.stderr)
            return 2
        except OSError as error:
            print(f"cannot write {error.filename or 'the outcome'}: {error.strerror}", file=sys.stderr)
            return 2
    quick = parsed.quick
    plan = matrix.Plan(
        volumes=tuple(parsed.volumes or ((50, 100) if quick else VOLUMES)),
        seeds=tuple(range(parsed.first_seed, parsed.first_seed + (parsed.nights or (2 if quick else NIGHTS)))),
        contenders=tuple(parsed.contenders or (name for name in CONTENDERS if name != READING)),
        staffing=parsed.readers,
        processes=parsed.processes,
        is_quick=quick,
    )
    return matrix.run(plan, json_file=parsed.json, output=parsed.output, nights_into=parsed.write_nights)


if __name__ == "__main__":
    sys.exit(main())
