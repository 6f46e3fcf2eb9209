"""A night's log replayed, in both databases: the same state, the same decisions; what was tampered with is located."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, select, update

from foundation.database import Database
from oncall.case.event import CaseId
from oncall.case.log import ChainBroken, body_of
from oncall.case.sql_log import rebuild, verify
from oncall.case.state import fold
from oncall.engine.engine import Engine
from oncall.engine.in_force import FixedRules
from oncall.engine.night import Night
from oncall.engine.ports import Positioned, Store
from oncall.engine.sql_store import SqlStore
from oncall.reading.board import ExamKind, Urgency
from oncall.schema import oncall_case, oncall_case_event, oncall_study_link
from tests.harness.small_territory import (
    BEGIN,
    READERS,
    SENDER,
    SITES,
    in_force,
    memory_store,
    ready_case,
    run_until,
)

CASES = 4
EVENT = oncall_case_event.c


def lived(store: Store, seed: int = 3) -> Engine:
    """Live through a while of seeded happenings: cases come, some pages are answered, some cases read."""
    numbers = iter(range(1, 10_000))
    runner = Engine(
        store, FixedRules(in_force()), SENDER, worker="one", new_event_id=lambda _now: f"{next(numbers):08d}"
    )
    dice, now = random.Random(seed), BEGIN
    runner.run_due(now)
    for number in range(CASES):
        now += timedelta(minutes=dice.choice([1, 4, 12]))
        ready_case(
            runner, f"C{number}", now, site_id=dice.choice(SITES), urgency=dice.choice(list(Urgency)),
            exam=dice.choice(list(ExamKind)),
        )  # fmt: skip
        reader = dice.choice(READERS)
        turn = runner.next_case(reader, now)
        if turn is not None:
            runner.claim(turn.case_id, reader, now, transaction_uid=f"1.2.{number}")
            now += timedelta(minutes=6)
            run_until(runner, now)
            runner.sign(turn.case_id, reader, now, transaction_uid=f"1.2.{number}")
    run_until(runner, now + timedelta(minutes=15))
    return runner


def log_of(store: Store) -> list[Positioned]:
    return list(store.events_after(0))


def rows(database: Database, table: Table) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return sorted(tuple(row) for row in connection.execute(select(table)))


def test_a_replayed_log_gives_every_projection_and_is_the_same_in_memory_and_each_database(
    database: Database,
) -> None:
    store, in_memory = SqlStore(database), memory_store()
    runner = lived(store)
    lived(in_memory)
    before = {table.name: rows(database, table) for table in (oncall_case, oncall_study_link)}

    replayed = Night()
    replayed.apply(log_of(store))
    with database.write(durable=True) as connection:
        assert rebuild(connection) == CASES

    bodies = [body_of(event) for _, event in log_of(store)]
    assert bodies == [body_of(event) for _, event in in_memory.log]
    assert len(bodies) > 50
    assert replayed.cases == runner.night.cases
    assert replayed.duty == runner.night.duty
    assert {table.name: rows(database, table) for table in (oncall_case, oncall_study_link)} == before
    for case_id, case in replayed.cases.items():
        assert fold(store.events_of(case_id)) == case
    assert verify(database).events == len(bodies)


def altered_payload(database: Database, case_id: str) -> int:
    change = (EVENT.case_id == case_id) & (EVENT.seq == 3)
    with database.write(durable=True) as connection:
        body = connection.execute(select(EVENT.body).where(change)).scalar_one()
        connection.execute(
            update(oncall_case_event).where(change).values(body=body.replace('"payload":{', '"payload":{"x":1,'))
        )
    return 3


def altered_hash(database: Database, case_id: str) -> int:
    with database.write(durable=True) as connection:
        is_second = (EVENT.case_id == case_id) & (EVENT.seq == 2)
        connection.execute(update(oncall_case_event).where(is_second).values(hash="f" * 64))
    return 2


def dropped(database: Database, case_id: str) -> int:
    with database.write(durable=True) as connection:
        connection.execute(delete(oncall_case_event).where(EVENT.case_id == case_id, EVENT.seq == 2))
    return 2


def exchanged(database: Database, case_id: str) -> int:
    """Let two events change places: the numbers beside the hashed texts too."""
    with database.write(durable=True) as connection:
        for number, other in ((2, 9002), (3, 2), (9002, 3)):
            connection.execute(
                update(oncall_case_event).where(EVENT.case_id == case_id, EVENT.seq == number).values(seq=other)
            )
    return 2


def test_what_is_tampered_with_is_found_at_its_place_in_a_cases_log_and_in_the_nights(database: Database) -> None:
    store = SqlStore(database)
    lived(store)
    streams = {event.case_id for _, event in log_of(store)}
    with database.read() as connection:
        as_it_was = [row._asdict() for row in connection.execute(select(oncall_case_event))]

    for case_id in ("C0", next(one for one in streams if one.startswith("duty:"))):
        for tamper in (altered_payload, altered_hash, dropped, exchanged):
            at = tamper(database, case_id)
            with pytest.raises(ChainBroken) as broken:
                verify(database)
            assert (broken.value.case_id, broken.value.seq) == (CaseId(case_id), at), tamper.__name__
            with database.write(durable=True) as connection:
                connection.execute(delete(oncall_case_event))
                connection.execute(insert(oncall_case_event), as_it_was)
    verify(database)
