"""Tables of shifts: what is written is read back, on the long night too, and nothing becomes a formula."""

import csv
import io
from dataclasses import replace

import pytest

from oncall.directory import Directory, PersonId
from oncall.rota.imported import Imported
from oncall.rota.person_finder import PersonFinder
from oncall.rota.tables import COLUMNS, csv_text, rows_of, shifts_from_csv
from oncall.strict_json import DocumentInvalid
from tests.unit.oncall.rota.exchange_parts import NIGHT, OCTOBER, directory, roster, timeline

LINES = {line.line_id: line for line in roster().lines}


def read(text: str, *, has_line: bool = False) -> Imported:
    return shifts_from_csv(text, PersonFinder(directory()), LINES, NIGHT if has_line else None)


def written(who: Directory | None = None) -> str:
    return csv_text(rows_of(timeline(within=OCTOBER).shifts, lines=LINES, directory=who or directory()))


def test_what_was_written_is_read_back_as_it_was() -> None:
    assert {(one.line_id, one.person_id, one.span) for one in read(written()).shifts} == {
        (one.line_id, one.person_id, one.span) for one in timeline(within=OCTOBER).shifts
    }


def test_rows_have_local_times_with_their_offsets_and_real_hours() -> None:
    rows = rows_of(timeline(within=OCTOBER).line_shifts(NIGHT), lines=LINES, directory=directory())
    long = next(row for row in rows if row["start"] == "2026-10-24T18:30+02:00")

    assert (long["end"], long["hours"], long["rule"]) == ("2026-10-25T08:30+01:00", 15.0, "night")


def test_a_name_never_becomes_a_formula() -> None:
    named = directory()
    persons = {key: replace(person, name=f"=cmd({key})") for key, person in named.persons.items()}

    cells = next(csv.DictReader(io.StringIO(written(replace(named, persons=persons)))))

    assert tuple(cells) == COLUMNS
    assert cells["name"].startswith("'=cmd(")


def test_a_table_as_french_spreadsheets_write_it_is_read() -> None:
    text = "\ufeffstart;end;person_id\r\n2026-10-24T18:30+02:00;2026-10-25T08:30+01:00;Dr Zoé Élan\r\n"

    (shift,) = read(text, has_line=True).shifts

    assert (shift.line_id, shift.person_id, shift.span.hours) == (NIGHT, PersonId("r01"), 15.0)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("reader-1,r01,2026-10-24T18:30,2026-10-25T08:30+01:00", "row 2.start: an instant needs its offset"),
        ("reader-1,r01,2026-10-25T08:30+01:00,2026-10-24T18:30+02:00", "row 2.end: it has to be after"),
        ("reader-1,r09,2026-10-24T18:30+02:00,2026-10-25T08:30+01:00", "row 2.person_id: it is not one person"),
        ("nowhere,r01,2026-10-24T18:30+02:00,2026-10-25T08:30+01:00", "row 2.line_id: one of the roster's lines"),
        ("reader-1,r01", "row 2.start: a text that is not empty"),
        ("reader-1,r01,9999-12-31T18:30-12:00,9999-12-31T20:30-12:00", "row 2.start: a year from 1900 to 2200"),
        ("reader-1,r01,2026-10-24T18:30+02:00,2027-10-25T08:30+02:00", "row 2.end: a shift lasts 31 days at most"),
    ],
    ids=["naive", "backwards", "nobody", "line", "short", "end_of_time", "a_year_long"],
)
def test_a_row_that_cannot_be_used_is_named(row: str, said: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read(f"line_id,person_id,start,end\n{row}\n")

    assert said in str(caught.value)


def test_a_table_without_the_columns_says_which_are_missing() -> None:
    with pytest.raises(DocumentInvalid, match="no column person_id, end"):
        read("line_id,start\n")


def test_a_row_that_is_there_twice_is_one_shift_and_said() -> None:
    row = "reader-1,r01,2026-10-24T18:30+02:00,2026-10-25T08:30+01:00\n"

    found = read(f"line_id,person_id,start,end\n{row}{row}")

    assert len(found.shifts) == 1
    assert found.notes == ("1 rows say what a row before says; each shift is taken once",)


def test_one_shift_with_two_ends_is_a_problem_and_not_a_choice() -> None:
    start = "reader-1,r01,2026-10-24T18:30+02:00"

    with pytest.raises(DocumentInvalid, match=r"row 3\.end: the same shift ends at another time"):
        read(f"line_id,person_id,start,end\n{start},2026-10-25T08:30+01:00\n{start},2026-10-25T00:30+02:00\n")
