"""Night files of anybody's own, and what became of their cases.

A night file is CSV with the columns `NIGHT_COLUMNS` in any order (others are ignored): minutes after 00:00 of the
evening's day, decimal point, UTF-8. `read_min` is the reader's true time, everything included. What is read is exact:
the times that are written add up to the last digit of those that were read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from foundation.errors import PeerError
from oncall.reading.board import ExamKind, Urgency
from oncall.simulation.arrivals import NIGHT_ENDS_MIN, NIGHT_STARTS_MIN, ArrivedCase, Night, NightCase
from oncall.simulation.night import NightResult

NIGHT_COLUMNS: Final = ("case", "t_images_min", "hospital", "class", "body_part", "read_min")
CASES_COLUMNS: Final = ("case", "t_start_min", "t_done_min", "reader", "backup")

#: A night of a whole country; more is a mistake, and the bound would take hours.
CASES_MAX: Final = 2_000
#: A reader's time for one case; more is a mistake.
READ_MIN_MAX: Final = Decimal(720)
#: Decimals of a time: more than any program prints, fewer than exact sums can hold.
_DECIMALS_MAX: Final = 30
_ERRORS_SHOWN_MAX: Final = 20


class BadNightFile(PeerError):
    """A night file that cannot be played; the message names every line that is wrong (the first twenty)."""


def read_night(path: Path) -> Night:
    """Read a night file.

    Raises
    ------
    BadNightFile
        With everything that is wrong in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read as UTF-8 text: {error}"
        raise BadNightFile(message) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    missing = [column for column in NIGHT_COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        message = (
            f"{path}: the first line must name the columns {','.join(NIGHT_COLUMNS)}, with commas between them; "
            f"missing: {', '.join(missing)}"
        )
        raise BadNightFile(message)
    twice = [column for column in NIGHT_COLUMNS if (reader.fieldnames or ()).count(column) > 1]
    if twice:
        message = f"{path}: the first line names {', '.join(twice)} twice; which one is meant?"
        raise BadNightFile(message)
    cases: list[NightCase] = []
    lines_of: dict[str, int] = {}
    errors: list[str] = []
    for row in reader:
        found = _errors_of(row, lines_of)
        errors += [f"line {reader.line_num}: {error}" for error in found]
        if not found:
            cases.append(_case_of(row))
        lines_of.setdefault((row["case"] or "").strip(), reader.line_num)
    if not cases and not errors:
        errors.append("no cases in it")
    if len(cases) > CASES_MAX:
        errors.append(f"{len(cases)} cases; at most {CASES_MAX} can be played")
    if errors:
        shown = errors[:_ERRORS_SHOWN_MAX]
        if len(errors) > len(shown):
            shown.append(f"and {len(errors) - len(shown)} more")
        raise BadNightFile("\n".join(f"{path}: {error}" for error in shown))
    return Night(name=path.name, cases=tuple(cases))


def _errors_of(row: Mapping[str, str | None], lines_of: Mapping[str, int]) -> list[str]:
    errors = []
    if None in row:
        errors.append("more values than columns")
    name = (row["case"] or "").strip()
    if not name:
        errors.append("case is empty")
    elif name in lines_of:
        errors.append(f"case {name!r} is there already, in line {lines_of[name]}")
    if not (row["hospital"] or "").strip():
        errors.append("hospital is empty")
    if (row["class"] or "").strip() not in {str(int(urgency)) for urgency in Urgency}:
        errors.append(f"class is {row['class']!r}; it must be 1, 2 or 3")
    if (row["body_part"] or "").strip() not in set(ExamKind):
        errors.append(f"body_part is {row['body_part']!r}; it must be one of {', '.join(ExamKind)}")
    ready_min = _minutes(row["t_images_min"])
    if ready_min is None or not NIGHT_STARTS_MIN <= ready_min <= NIGHT_ENDS_MIN:
        errors.append(
            f"t_images_min is {row['t_images_min']!r}; it must be a number of minutes from {NIGHT_STARTS_MIN} (18:30) "
            f"to {NIGHT_ENDS_MIN} (08:30)"
        )
    read_min = _minutes(row["read_min"])
    if read_min is None or not 0 < read_min <= READ_MIN_MAX:
        errors.append(
            f"read_min is {row['read_min']!r}; it must be a number of minutes above 0 and up to {READ_MIN_MAX}"
        )
    return errors


def _minutes(text: str | None) -> Decimal | None:
    """Return an exact number, or None where there is none."""
    try:
        number = Decimal((text or "").strip())
    except InvalidOperation:
        return None
    if not number.is_finite():
        return None
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and exponent >= -_DECIMALS_MAX else None


def _case_of(row: Mapping[str, str | None]) -> NightCase:
    def text(column: str) -> str:
        return (row[column] or "").strip()

    return NightCase(
        arrived=ArrivedCase(
            case_id=text("case"),
            ready_min=Decimal(text("t_images_min")),
            site=text("hospital"),
            urgency=Urgency(int(text("class"))),
            exam=ExamKind(text("body_part")),
        ),
        read_min=Decimal(text("read_min")),
    )


def write_night(path: Path, night: Night) -> None:
    """Write a night file, so that others can play the same night."""
    _write(
        path,
        NIGHT_COLUMNS,
        [
            (
                case.arrived.case_id,
                _plain(case.arrived.ready_min),
                case.arrived.site,
                str(int(case.arrived.urgency)),
                case.arrived.exam.value,
                _plain(case.read_min),
            )
            for case in night.cases
        ],
    )


def write_cases(path: Path, result: NightResult) -> None:
    """Write who read each case from when until when; `backup` is 1 for a called reader, else 0."""
    _write(
        path,
        CASES_COLUMNS,
        [
            (
                outcome.case_id,
                _plain(outcome.start_min),
                _plain(outcome.done_min),
                outcome.reader,
                "1" if outcome.is_backup else "0",
            )
            for outcome in result.outcomes
        ],
    )


def _plain(number: Decimal) -> str:
    """Return every digit, without an exponent."""
    return format(number, "f")


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
