"""The fairness ledger: what counts as a night, a weekend, a holiday, and what an hour weighs."""

import csv
import io
import json
from datetime import date, timedelta

import pytest

from oncall.directory import LineId, PersonId
from oncall.rota.ledger import BurdenWeights, LedgerRow, burden, csv_text, ledger, quality, row_values
from oncall.rota.model import LineKind, Shift, call
from oncall.spans import Span
from tests.unit.oncall.rota.rosters import DEEP_NIGHT, EVENING, SATURDAY, SUNDAY, WHOLE_NIGHT, line, local

READER = line("reader-1", EVENING, DEEP_NIGHT, SATURDAY, SUNDAY)
BACKUP = line("backup", WHOLE_NIGHT, kind=LineKind.BACKUP)
ANNE, BERT = PersonId("anne"), PersonId("bert")
YEAR = Span(start=local(date(2026, 1, 1), "00:00", "01:00").start, end=local(date(2027, 1, 1), "00:00", "01:00").start)
WEDNESDAY = date(2026, 6, 10)


def shift(day: date, start: str, end: str, person: PersonId = ANNE, on: LineId = READER.line_id) -> Shift:
    return Shift(line_id=on, person_id=person, span=local(day, start, end), origin="plan:1")


def row(*shifts: Shift, within: Span = YEAR) -> LedgerRow:
    (only,) = ledger(shifts, [READER, BACKUP], within)
    return only


def test_a_whole_night_in_two_shifts_is_one_night_and_one_deep_night() -> None:
    counted = row(shift(WEDNESDAY, "18:30", "00:30"), shift(WEDNESDAY + timedelta(days=1), "00:30", "08:30"))

    assert (counted.shifts, counted.nights, counted.deep_nights) == (2, 1, 1)
    assert (counted.hours, counted.night_hours, counted.deep_night_hours) == (14, 14, 8)


def test_an_evening_that_ends_at_half_past_midnight_is_no_deep_night() -> None:
    counted = row(shift(WEDNESDAY, "18:30", "00:30"))

    assert (counted.nights, counted.deep_nights, counted.deep_night_hours) == (1, 0, 0.5)


def test_the_october_night_counts_fifteen_hours_and_the_march_night_thirteen() -> None:
    assert row(shift(date(2026, 10, 24), "18:30", "08:30")).hours == 15
    assert row(shift(date(2026, 3, 28), "18:30", "08:30")).hours == 13
    assert burden(local(date(2026, 10, 24), "18:30", "08:30"), READER) > burden(
        local(date(2026, 10, 17), "18:30", "08:30"), READER
    )


def test_a_weekend_counts_once_whichever_of_its_days_are_worked() -> None:
    saturday = date(2026, 6, 13)
    counted = row(shift(saturday, "08:30", "18:30"), shift(saturday + timedelta(days=1), "08:30", "18:30"))

    assert (counted.weekends, counted.weekend_hours, counted.nights) == (1, 20, 0)


def test_a_holiday_is_one_of_the_lines_commune() -> None:
    good_friday = date(2026, 4, 3)
    alsace = line("alsace", EVENING)
    alsace = type(alsace)(
        line_id=alsace.line_id, name="", kind=alsace.kind, provider_id=alsace.provider_id, time_zone="Europe/Paris",
        commune="67482", rules=alsace.rules,
    )  # fmt: skip
    here, there = (
        ledger([shift(good_friday, "08:30", "18:30", on=on.line_id)], [on], YEAR)[0] for on in (READER, alsace)
    )

    assert (here.holidays, there.holidays) == (0, 1)
    assert there.burden == pytest.approx(15)
    assert here.burden == pytest.approx(10)


def test_each_hour_weighs_by_when_it_falls() -> None:
    weights = BurdenWeights(deep_night=2.0, weekend=3.0, holiday=5.0, at_home=0.1)
    friday_night = local(date(2026, 6, 12), "18:30", "08:30")

    assert burden(friday_night, READER, weights) == pytest.approx(5.5 + 8 * 2 * 3 + 0.5 * 3)
    assert burden(friday_night, BACKUP, weights) == pytest.approx((5.5 + 8 * 2 * 3 + 0.5 * 3) / 10)
    assert burden(local(date(2026, 12, 25), "08:30", "18:30"), READER, weights) == pytest.approx(50)


def test_hours_at_home_are_told_apart() -> None:
    counted = row(shift(WEDNESDAY, "18:30", "08:30", on=BACKUP.line_id))

    assert (counted.shifts, counted.nights, counted.hours, counted.backup_hours) == (0, 0, 0, 14)
    assert counted.burden > 0


def test_hours_worked_when_called_are_duty_and_no_hours_at_home() -> None:
    home = shift(WEDNESDAY, "18:30", "08:30", on=BACKUP.line_id)
    worked = call(BACKUP.line_id, ANNE, local(WEDNESDAY, "20:00", "22:30"))

    counted, quiet = row(home, worked), row(home)

    assert (counted.calls, counted.call_hours, counted.hours, counted.backup_hours) == (1, 2.5, 2.5, 11.5)
    assert (counted.shifts, counted.nights, counted.night_hours) == (0, 1, 2.5)
    assert counted.burden - quiet.burden == pytest.approx(2.5 * 0.75)


def test_only_what_is_within_counts() -> None:
    until_midnight = Span(start=YEAR.start, end=local(WEDNESDAY + timedelta(days=1), "00:00", "01:00").start)

    assert row(shift(WEDNESDAY, "18:30", "08:30"), within=until_midnight).hours == 5.5


def test_everybody_of_the_pool_has_a_row_the_heaviest_first_with_the_minutes_read() -> None:
    rows = ledger(
        [shift(WEDNESDAY, "18:30", "00:30", BERT)], [READER], YEAR, people=[ANNE, BERT], minutes_read={ANNE: 90.5}
    )

    assert [one.person_id for one in rows] == [BERT, ANNE]
    assert rows[1].minutes_read == 90.5
    assert rows[1].hours == 0


def test_quality_falls_with_gaps_and_with_unevenness() -> None:
    even = ledger([shift(WEDNESDAY, "18:30", "00:30", who) for who in (ANNE, BERT)], [READER], YEAR)
    uneven = ledger(
        [shift(WEDNESDAY, "18:30", "00:30", ANNE), shift(WEDNESDAY, "18:30", "21:30", BERT)], [READER], YEAR
    )

    assert quality(even, 12, ()).balance == 1
    assert quality(even, 12, ()).coverage == 1
    assert quality(uneven, 12, ()).balance < 0.6
    assert quality(uneven, 12, ()).heaviest == ANNE
    assert quality(even, 12, [local(WEDNESDAY, "18:30", "21:30")]).coverage == 0.75
    assert quality((), 0, ()).balance == 1


def test_rows_are_written_as_csv_and_json() -> None:
    rows = ledger([shift(WEDNESDAY, "18:30", "00:30")], [READER], YEAR)

    (read,) = csv.DictReader(io.StringIO(csv_text(rows)))

    assert read["person_id"] == "anne"
    assert float(read["hours"]) == 6
    assert json.loads(json.dumps(row_values(rows[0])))["deep_night_hours"] == 0.5
