"""Minutes read are those from opening to signing, of whoever signed, and in the time that is asked about."""

from datetime import timedelta

import pytest

from foundation.database import Database
from oncall.directory import PersonId
from oncall.engine.read_minutes import minutes_read
from oncall.engine.sql_store import SqlStore
from oncall.spans import Span
from tests.harness.small_territory import BEGIN, at, engine, ready_case

ANNA, BORIS = PersonId("anna"), PersonId("boris")


def test_minutes_read_are_from_the_last_opening_to_the_signature(database: Database) -> None:
    runner = engine(SqlStore(database))
    for number, (who, opened, signed) in enumerate(((ANNA, 5, 15.5), (BORIS, 5, 40), (ANNA, 20, 31))):
        case = ready_case(runner, f"C{number}", at(opened))
        runner.claim(case, who, at(opened), transaction_uid=f"1.{number}")
        runner.sign(case, who, at(signed), transaction_uid=f"1.{number}")
    left = ready_case(runner, "left", at(45))
    runner.claim(left, ANNA, at(45), transaction_uid="1.9")

    with database.read() as connection:
        whole = minutes_read(connection, Span(start=BEGIN, end=BEGIN + timedelta(days=1)))
        early = minutes_read(connection, Span(start=BEGIN, end=at(30)))

    assert whole == pytest.approx({ANNA: 21.5, BORIS: 35.0})
    assert early == pytest.approx({ANNA: 10.5})
