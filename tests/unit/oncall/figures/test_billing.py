"""Exams for billing: each once, and what is no exam beside them."""

import csv
import io

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from foundation.instants import microseconds
from oncall.figures.billing import COLUMNS, BillingLine, billing, csv_text
from tests.unit.oncall.figures.night_rows import MINUTE_US, NOVEMBER, put, row


def lines(database: Database) -> tuple[BillingLine, ...]:
    with database.read() as connection:
        return billing(connection, *NOVEMBER)


def test_an_addendum_is_no_exam_and_what_does_not_stand_is_listed(database: Database) -> None:
    put(
        database,
        row(1, 20),
        row(2, 20, addenda=2),
        row(3, None, outcome="retracted", retractions=1),
        row(4, None, outcome="merged"),
        row(5, 20, provider_id="company", exam="abdo"),
    )

    found = {(one.exam, one.provider_id, one.outcome): (one.cases, one.exams, one.addenda) for one in lines(database)}

    assert found == {
        ("abdo", "company", "reported"): (1, 1, 0),
        ("head", "pool", "merged"): (1, 0, 0),
        ("head", "pool", "reported"): (2, 2, 2),
        ("head", "pool", "retracted"): (1, 0, 0),
    }


def test_an_exam_is_billed_once_in_the_month_of_its_signature(on_disk: Database) -> None:
    ends_us = microseconds(NOVEMBER[1])
    before, after = ends_us - MINUTE_US, ends_us + 30 * MINUTE_US
    put(on_disk, row(1, 31, counted_at_us=before, images_at_us=before, signed_at_us=after))

    with on_disk.read() as connection:
        december = billing(connection, NOVEMBER[1], NOVEMBER[1].replace(year=2027))

    assert lines(on_disk) == ()
    assert [one.exams for one in december] == [1]


def test_the_table_names_hospital_and_provider_and_no_spreadsheet_runs_it(on_disk: Database) -> None:
    put(on_disk, row(1, 20, modality="=1+1", reader_id="anne"))

    text = csv_text(lines(on_disk), "2026-11", {"roanne": "CH de Roanne", "pool": "GIE é"})

    (found,) = csv.DictReader(io.StringIO(text))
    assert tuple(found) == COLUMNS
    assert (found["site"], found["provider"], found["exams"], found["modality"]) == (
        "CH de Roanne",
        "GIE é",
        "1",
        "'=1+1",
    )
    assert not {"anne", "case-0001"} & set(found.values())
