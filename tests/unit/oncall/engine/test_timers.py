"""Timers behave the same in memory and in both databases: the contract that the engine stands on."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from oncall.case.event import CaseId
from oncall.timers import LEASE_S, MemoryTimers, SqlTimers, Timer, TimerNotHeld, Timers
from tests.harness.peers import PostgresqlServer

NOW = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)


class InMemory:
    def __init__(self) -> None:
        self._timers = MemoryTimers()

    @contextmanager
    def transaction(self) -> Iterator[Timers]:
        yield self._timers


class InDatabase:
    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def transaction(self) -> Iterator[Timers]:
        with self._database.write(durable=True) as connection:
            yield SqlTimers(connection)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InMemory | InDatabase]:
    if request.param == "memory":
        yield InMemory()
        return
    url = sqlite_url(tmp_path / "oncall.sqlite")
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database(f"timers_{uuid4().hex}")
    database = Database(url)
    database.create_tables()
    yield InDatabase(database)
    database.close()


def timer(key: str, *, seconds: float = 0.0, case_id: str | None = None, **payload: object) -> Timer:
    return Timer(
        timer_key=key,
        kind="watch",
        due_at=NOW + timedelta(seconds=seconds),
        case_id=None if case_id is None else CaseId(case_id),
        payload=payload,
    )


def test_what_is_due_is_leased_once_earliest_first_and_what_is_not_due_stays(place: InMemory | InDatabase) -> None:
    with place.transaction() as timers:
        for one in (timer("b", seconds=-1), timer("a", seconds=-1), timer("z", seconds=-2), timer("later", seconds=1)):
            timers.put(one)

    with place.transaction() as timers:
        first = timers.lease_due(NOW, worker="one")
        second = timers.lease_due(NOW, worker="two")

    assert [one.timer_key for one in first] == ["z", "a", "b"]
    assert second == ()


def test_a_leased_timer_keeps_what_it_was_set_with(place: InMemory | InDatabase) -> None:
    with place.transaction() as timers:
        timers.put(timer("chain:C1", case_id="C1", step=2, note="é"))

    with place.transaction() as timers:
        assert timers.lease_due(NOW, worker="one") == (timer("chain:C1", case_id="C1", step=2, note="é"),)


def test_a_lease_that_ran_out_goes_to_another_worker_and_the_first_can_no_longer_take_it(
    place: InMemory | InDatabase,
) -> None:
    with place.transaction() as timers:
        timers.put(timer("forecast"))
    with place.transaction() as timers:
        (held,) = timers.lease_due(NOW, worker="dead")

    with place.transaction() as timers:
        assert timers.lease_due(NOW + timedelta(seconds=LEASE_S - 0.001), worker="alive") == ()
        (again,) = timers.lease_due(NOW + timedelta(seconds=LEASE_S), worker="alive")

    with pytest.raises(TimerNotHeld), place.transaction() as timers:
        timers.take(held, worker="dead")
    with place.transaction() as timers:
        timers.take(again, worker="alive")
        assert timers.find("forecast") is None


def test_a_timer_is_taken_once(place: InMemory | InDatabase) -> None:
    with place.transaction() as timers:
        timers.put(timer("handover"))
        (held,) = timers.lease_due(NOW, worker="one")
        timers.take(held, worker="one")

    with pytest.raises(TimerNotHeld), place.transaction() as timers:
        timers.take(held, worker="one")


def test_setting_a_timer_anew_replaces_it_and_takes_it_from_whoever_leased_it(place: InMemory | InDatabase) -> None:
    with place.transaction() as timers:
        timers.put(timer("watch:C1"))
        (held,) = timers.lease_due(NOW, worker="one")
    with place.transaction() as timers:
        timers.put(timer("watch:C1", seconds=60))

    with pytest.raises(TimerNotHeld), place.transaction() as timers:
        timers.take(held, worker="one")
    with place.transaction() as timers:
        assert timers.lease_due(NOW, worker="one") == ()
        assert timers.next_due_at() == NOW + timedelta(seconds=60)


def test_a_timer_set_anew_and_leased_again_is_not_taken_by_what_was_leased_before(
    place: InMemory | InDatabase,
) -> None:
    with place.transaction() as timers:
        timers.put(timer("watch:C1", seconds=-60))
        (held,) = timers.lease_due(NOW, worker="one")
    with place.transaction() as timers:
        timers.put(timer("watch:C1"))
        assert timers.lease_due(NOW, worker="one") == (timer("watch:C1"),)

    with pytest.raises(TimerNotHeld), place.transaction() as timers:
        timers.take(held, worker="one")


def test_a_cancelled_timer_is_never_due(place: InMemory | InDatabase) -> None:
    with place.transaction() as timers:
        timers.put(timer("ack:C1"))
        assert timers.cancel("ack:C1")
        assert not timers.cancel("ack:C1")

        assert timers.lease_due(NOW, worker="one") == ()
        assert timers.next_due_at() is None


def test_a_cases_timers_are_found_earliest_first_and_no_other_cases(place: InMemory | InDatabase) -> None:
    with place.transaction() as timers:
        for one in (
            timer("deadline:C1", seconds=9, case_id="C1"),
            timer("ack:C1", seconds=2, case_id="C1"),
            timer("ack:C2", seconds=1, case_id="C2"),
        ):
            timers.put(one)

        assert [one.timer_key for one in timers.of_case(CaseId("C1"))] == ["ack:C1", "deadline:C1"]


def test_a_worker_leases_no_more_than_it_is_allowed(place: InMemory | InDatabase) -> None:
    with place.transaction() as timers:
        for number in range(5):
            timers.put(timer(f"t{number}"))

        assert [one.timer_key for one in timers.lease_due(NOW, worker="one", limit=2)] == ["t0", "t1"]
        assert [one.timer_key for one in timers.lease_due(NOW, worker="two", limit=9)] == ["t2", "t3", "t4"]


def test_a_timer_without_a_usable_key_or_instant_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="1 to 160 characters"):
        timer("x" * 161)
    with pytest.raises(ValueError, match="aware"):
        Timer(timer_key="a", kind="watch", due_at=datetime(2026, 1, 1))  # noqa: DTZ001  # a naive one is the point
