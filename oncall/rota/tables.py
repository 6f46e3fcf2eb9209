"""Shifts as rows: CSV for spreadsheets and payroll, JSON for programs, and back from CSV.

For: export and import of shifts. Not for: the roster itself (`oncall.rota.documents`) or hours and fairness
(`oncall.rota.ledger`).

Invariants: every instant is written with its offset, so that the two 02:30 of October are two texts; what was written
is read back as it was; a name never becomes a formula in a spreadsheet.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from oncall.directory import Directory, LineId
from oncall.rota.imported import SHIFT_MAX, SHIFTS_MAX, Imported, ImportedShift
from oncall.rota.model import Line, Shift
from oncall.rota.person_finder import PersonFinder
from oncall.spans import Span
from oncall.strict_json import DOCUMENT_BYTES_MAX, PROBLEMS_MAX, DocumentInvalid, Value

COLUMNS: Final = ("line_id", "line", "person_id", "name", "start", "end", "hours", "rule", "origin")
_NEEDED: Final = ("line_id", "person_id", "start", "end")
# Spreadsheets take a text that begins so for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def rows_of(shifts: Iterable[Shift], *, lines: Mapping[LineId, Line], directory: Directory) -> list[dict[str, Any]]:
    """Return one row per shift, by start; instants are local to the line, with their offset."""
    return [_row(shift, lines.get(shift.line_id), directory) for shift in sorted(shifts, key=lambda one: one.span)]


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV (RFC 4180) with a heading."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in COLUMNS])
    return text.getvalue()


def shifts_from_csv(text: str, finder: PersonFinder, lines: Mapping[LineId, Line], line_id: LineId | None) -> Imported:
    """Read shifts from CSV with a heading; columns beside ``line_id, person_id, start, end`` are not looked at.

    Parameters
    ----------
    line_id : LineId or None
        Where rows go whose ``line_id`` is empty or that have no such column.

    Raises
    ------
    DocumentInvalid
        With every problem, each with its row; the heading is row 1.
    """
    if len(text) > DOCUMENT_BYTES_MAX:
        raise DocumentInvalid([f"table: at most {DOCUMENT_BYTES_MAX} characters are read"])
    # A byte order mark is what Excel begins its CSV with, a semicolon what it puts between cells in France.
    text = text.removeprefix("\ufeff")
    heading = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if heading.count(";") > heading.count(",") else ","
    )
    missing = [
        column
        for column in _NEEDED
        if column not in (reader.fieldnames or ()) and not (column == "line_id" and line_id is not None)
    ]
    if missing:
        raise DocumentInvalid([f"row 1: no column {', '.join(missing)}; wanted are {', '.join(_NEEDED)}"])
    found: dict[str, ImportedShift] = {}
    problems: list[str] = []
    again = 0
    try:
        for number, row in enumerate(reader, 2):
            try:
                shift = _shift(number, row, finder, lines, line_id)
                known = found.setdefault(shift.shift_id, shift)
                if known is not shift:
                    again += 1
                if known.span != shift.span:
                    problems.append(f"row {number}.end: the same shift ends at another time in a row before")
            except DocumentInvalid as error:
                problems += error.problems
            if len(problems) > PROBLEMS_MAX or len(found) > SHIFTS_MAX:
                break
    except csv.Error as error:
        problems.append(f"row {reader.line_num}: no CSV ({error})")
    if len(found) > SHIFTS_MAX:
        problems.append(f"table: at most {SHIFTS_MAX} shifts are read")
    if problems:
        raise DocumentInvalid(problems)
    notes = (f"{again} rows say what a row before says; each shift is taken once",) if again else ()
    shifts = sorted(found.values(), key=lambda shift: (shift.span, shift.line_id))
    return Imported(shifts=tuple(shifts), notes=notes)


def _row(shift: Shift, line: Line | None, directory: Directory) -> dict[str, Any]:
    zone = ZoneInfo(line.time_zone if line is not None else "UTC")
    person = directory.persons.get(shift.person_id)
    return {
        "line_id": shift.line_id,
        "line": line.name if line is not None else "",
        "person_id": shift.person_id,
        "name": person.name if person is not None else "",
        "start": shift.span.start.astimezone(zone).isoformat(timespec="minutes"),
        "end": shift.span.end.astimezone(zone).isoformat(timespec="minutes"),
        "hours": round(shift.span.hours, 2),
        "rule": shift.rule,
        "origin": shift.origin,
    }


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _shift(
    number: int,
    row: Mapping[str, str | None],
    finder: PersonFinder,
    lines: Mapping[LineId, Line],
    line_id: LineId | None,
) -> ImportedShift:
    def cell(column: str) -> Value:
        return Value(place=f"row {number}.{column}", raw=(row.get(column) or "").strip())

    named = LineId(str(cell("line_id").raw)) or line_id
    if named is None or named not in lines:
        raise cell("line_id").wrong(f"one of the roster's lines is wanted: {', '.join(lines)}")
    person_id = finder.find(cell("person_id").text())
    if person_id is None:
        raise cell("person_id").wrong("it is not one person of the directory; say who with --map")
    start, end = cell("start").instant(), cell("end").instant()
    if end <= start:
        raise cell("end").wrong("it has to be after the start")
    if end - start > SHIFT_MAX:
        raise cell("end").wrong(f"a shift lasts {SHIFT_MAX.days} days at most")
    return ImportedShift(line_id=named, person_id=person_id, span=Span(start=start, end=end))
