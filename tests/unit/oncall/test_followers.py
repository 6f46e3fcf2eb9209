"""Followers of the case log: each event reaches each of them once in effect, and one that fails holds up nobody."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, func, insert, select

import oncall.schema  # noqa: F401  # adds its tables
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from foundation.errors import Refused, Unavailable
from oncall.case.commands import Context, NewRequest, open_from_request, say
from oncall.case.event import CaseId, Event
from oncall.case.sql_log import SqlCaseLog
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import SiteId
from oncall.followers import Followers
from oncall.reading.board import ExamKind, Urgency
from tests.harness.peers import PostgresqlServer

NOW = datetime(2026, 10, 24, 22, tzinfo=UTC)
REQUEST = NewRequest(site_id=SiteId("roanne"), exam=ExamKind.STROKE, urgency=Urgency.P1)
SEEN = Table("followed_here", MetaData(), Column("seq", Integer), Column("case_id", String(64)))


class Noting:
    """Writes down what it is told, and fails on the cases that it is told to."""

    def __init__(self, name: str, failing: CaseId | None = None, error: Exception | None = None) -> None:
        self.name = name
        self.failing = failing
        self.error = error or Refused("not this case")

    def follow(self, connection: Connection, case: Case, events: Sequence[Event], now: datetime) -> None:
        for event in events:
            connection.execute(insert(SEEN).values(seq=event.seq, case_id=f"{self.name}/{case.case_id}"))
        if case.case_id == self.failing:
            raise self.error


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database(sqlite_url(tmp_path / "index.sqlite"))
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        database = Database(server.new_database(f"followers_{uuid4().hex}"))
    database.create_tables()
    SEEN.create(database.engine)
    yield database
    database.close()


def begin(database: Database, *names: str) -> None:
    log = SqlCaseLog(database)
    for name in names:
        log.append(CaseId(name), 0, open_from_request(REQUEST, Context(now=NOW)), NOW)


def seen(database: Database) -> list[tuple[str, int]]:
    with database.read() as connection:
        rows = connection.execute(select(SEEN.c.case_id, SEEN.c.seq).order_by(SEEN.c.case_id, SEEN.c.seq))
        return [(row.case_id, row.seq) for row in rows]


def test_each_follower_is_told_of_each_event_once(database: Database) -> None:
    begin(database, "a", "b")
    followers = Followers(database, [Noting("one"), Noting("two")], ManualClock(NOW))
    assert followers.take() == 4
    case = SqlCaseLog(database).case(CaseId("a"))
    assert case is not None
    later = Context(now=NOW + timedelta(minutes=1))
    facts = say(case, later, EventType.PATIENT_ARRIVED_IN_ROOM)
    SqlCaseLog(database).append(CaseId("a"), case.seq, facts, later.now)
    # A new life of the process goes on where the last one ended.
    assert Followers(database, [Noting("one"), Noting("two")], ManualClock(NOW)).take() == 2
    assert seen(database) == [("one/a", 1), ("one/a", 2), ("one/b", 1), ("two/a", 1), ("two/a", 2), ("two/b", 1)]


def test_a_case_that_a_follower_fails_on_leaves_nothing_and_holds_up_no_other(database: Database) -> None:
    begin(database, "a", "b")
    Followers(database, [Noting("one", failing=CaseId("a")), Noting("two")], ManualClock(NOW)).take()
    assert seen(database) == [("one/b", 1), ("two/a", 1), ("two/b", 1)]


def test_a_database_that_is_away_moves_no_cursor(database: Database) -> None:
    begin(database, "a")
    broken = Noting("one", failing=CaseId("a"), error=Unavailable("away"))
    with pytest.raises(Unavailable):
        Followers(database, [broken], ManualClock(NOW)).take()
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(SEEN)).scalar_one() == 0
    assert Followers(database, [Noting("one")], ManualClock(NOW)).take() == 1
