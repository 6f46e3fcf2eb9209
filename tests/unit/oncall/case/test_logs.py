"""The log of cases: what goes in, what is refused, what is proved; the same in memory and in both databases."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Table, delete, insert, select, update

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from foundation.errors import PeerError
from oncall.case import commands as ask
from oncall.case.event import CaseId
from oncall.case.log import (
    CaseLog,
    ChainBroken,
    MemoryCaseLog,
    StaleCase,
    body_of,
    difference,
    event_of,
    verify_chain,
)
from oncall.case.matching import move_study
from oncall.case.regions import ReadingState, StudyKey
from oncall.case.sql_log import SqlCaseLog, Verified, rebuild, verify
from oncall.case.state import TransitionRefused, fold
from oncall.case.vocabulary import EventType as E
from oncall.schema import oncall_case, oncall_case_event, oncall_study_link
from tests.harness.peers import PostgresqlServer
from tests.unit.oncall.case.cases import CASE, START, Story, after, at, fact, numbered_ids, request, whole_story

STUDY = StudyKey("ROANNE", "1.2.3")
OTHER = CaseId("case-2")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CaseLog]:
    if request.param == "memory":
        yield MemoryCaseLog(numbered_ids())
        return
    url = sqlite_url(tmp_path / "cases.sqlite")
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database(f"cases_{uuid4().hex}")
    database = Database(url)
    database.create_tables()
    yield SqlCaseLog(database, numbered_ids())
    database.close()


def test_what_was_appended_is_the_case_and_its_events_in_order(log: CaseLog) -> None:
    story = whole_story(log)

    events = log.events(CASE)

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert fold(events) == story.case
    assert log.events(CASE, after_seq=8) == events[8:]
    verify_chain(CASE, events)


def test_every_log_tells_the_same_story_byte_for_byte(log: CaseLog) -> None:
    whole_story(log)
    in_memory = whole_story(MemoryCaseLog(numbered_ids()))

    assert [event.hash for event in log.events(CASE)] == [event.hash for event in in_memory.log.events(CASE)]
    assert log.case(CASE) == in_memory.case


def test_a_case_that_does_not_exist_is_none_and_has_no_events(log: CaseLog) -> None:
    assert log.case(CASE) is None
    assert log.events(CASE) == ()


def test_whoever_decided_on_an_older_case_decides_again(log: CaseLog) -> None:
    story = Story(log)
    story.opened()
    seen = story.case
    story.complete()

    with pytest.raises(StaleCase, match="decide again"):
        log.append(CASE, seen.seq, ask.complete_images(seen, at(20), rule="quiet_period"), after(20))
    assert log.case(CASE) == story.case


@pytest.mark.parametrize("expected_seq", [1, 5])
def test_a_log_is_begun_only_by_whoever_knows_that_there_is_none(log: CaseLog, expected_seq: int) -> None:
    with pytest.raises(StaleCase):
        log.append(CASE, expected_seq, [fact(E.REQUEST_SUBMITTED, site_id="roanne")], START)


def test_facts_are_appended_all_or_none(log: CaseLog) -> None:
    story = Story(log)
    story.opened()
    facts = [
        fact(E.IMAGES_COMPLETE, 1, rule="button", deadline_at_us=1),
        fact(E.READ_PARKED, 2, transaction_uid="2.25.1", reason="call"),
    ]

    with pytest.raises(TransitionRefused):
        log.append(CASE, 1, facts, after(2))

    assert len(log.events(CASE)) == 1
    assert story.case.images.complete_at is None


def test_a_log_begins_with_a_request_or_a_study_that_nobody_announced(log: CaseLog) -> None:
    with pytest.raises(TransitionRefused, match="does not begin with"):
        log.append(CASE, 0, [fact(E.IMAGES_STALLED, silent_s=1.0)], START)
    assert log.case(CASE) is None


def test_an_unknown_event_does_not_enter_the_log(log: CaseLog) -> None:
    story = Story(log)
    story.opened()

    with pytest.raises(PeerError, match="no event is called"):
        log.append(CASE, 1, [replace(fact(E.REQUEST_RECEIVED), type="request.invented")], START)


def test_open_cases_are_listed_oldest_first_and_closed_ones_are_not(log: CaseLog) -> None:
    Story(log, CaseId("b")).opened(5)
    Story(log, CaseId("c")).opened(5)
    Story(log, CaseId("a")).opened(9)
    whole_story(log, CaseId("done"))

    assert [case.case_id for case in log.open_cases()] == ["b", "c", "a"]


def test_a_closed_case_that_is_reopened_is_listed_again(log: CaseLog) -> None:
    story = whole_story(log)

    story.append(ask.reopen(story.case, at(50), reason="question"))

    assert [case.case_id for case in log.open_cases()] == [CASE]


def test_an_event_is_written_and_read_without_loss() -> None:
    context = at(1, on_behalf_of="Dr Ém", source_message="MSG1", correlation_id="c", roster_version="r")
    log = MemoryCaseLog(numbered_ids())
    log.append(CASE, 0, [context.fact(E.REQUEST_SUBMITTED, **request(requester="Dr Ñandú").payload())], after(1))
    (event,) = log.events(CASE)

    assert event_of(body_of(event), event.hash) == event


def test_two_copies_are_told_apart_by_the_events_that_differ() -> None:
    mine = {event.event_id: event for event in whole_story().log.events(CASE)}
    theirs = dict(mine)
    first, second, *_ = mine
    theirs[first] = replace(mine[first], recorded_at=after(99))
    del theirs[second]

    assert difference(mine, theirs) == tuple(sorted([first, second]))
    assert difference(mine, dict(mine)) == ()


# The database: what only it can lose


def test_facts_stand_or_fall_with_the_callers_transaction(database: Database) -> None:
    log = SqlCaseLog(database, numbered_ids())
    story = Story(log)
    story.opened()

    def append_and_fail() -> None:
        with database.write(durable=True) as connection:
            log.append_within(connection, CASE, 1, ask.complete_images(story.case, at(10), rule="button"), after(10))
            raise RuntimeError("the caller's other work failed")

    with pytest.raises(RuntimeError):
        append_and_fail()

    assert story.case.seq == 1
    assert story.case.images.complete_at is None
    assert story.complete(12).images.complete_at == after(12)


def test_another_process_sees_what_was_appended_and_goes_on_from_there(database: Database) -> None:
    story = Story(SqlCaseLog(database, numbered_ids()))
    story.opened()
    elsewhere = Story(SqlCaseLog(database))
    elsewhere.complete(10)

    assert story.case.is_ready
    story.assigned()
    assert elsewhere.case.reading.state is ReadingState.ASSIGNED


def test_a_study_is_found_by_its_case_and_moves_with_it(database: Database) -> None:
    log = SqlCaseLog(database, numbered_ids())
    scan, order = Story(log), Story(log, OTHER)
    scan.append(ask.open_unannounced(request(), STUDY, at(0), rule="night"))
    order.opened(1)
    assert log.case_of_study(STUDY) == CASE

    both = move_study(scan.case, order.case, STUDY, at(5), reason="wrong request")
    scan.append(both.source)
    order.append(both.target)

    assert log.case_of_study(STUDY) == OTHER
    assert log.case_of_study(StudyKey("FEURS", "1.2.3")) is None


def content(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in connection.execute(select(table)))


def test_projections_are_rebuilt_from_the_events_alone(database: Database) -> None:
    log = SqlCaseLog(database, numbered_ids())
    whole_story(log)
    Story(log, OTHER).append(ask.open_unannounced(request(), STUDY, at(0), rule="night"))
    with database.read() as connection:
        before = [content(connection, table) for table in (oncall_case, oncall_study_link)]

    with database.write(durable=True) as connection:
        connection.execute(update(oncall_case).values(seq=1, is_open=False, head_hash="x"))
        connection.execute(delete(oncall_study_link))
        assert rebuild(connection) == 2

    with database.read() as connection:
        assert [content(connection, table) for table in (oncall_case, oncall_study_link)] == before
    assert [case.case_id for case in SqlCaseLog(database).open_cases()] == [OTHER]


def test_a_whole_log_is_proved(database: Database) -> None:
    log = SqlCaseLog(database, numbered_ids())
    whole_story(log)
    Story(log, OTHER).opened()

    assert verify(database) == Verified(logs=2, events=len(log.events(CASE)) + 1)


CHANGES: list[dict[str, Any]] = [
    {"body": '{"case_id":"case-1"}'},
    {"body": "not even JSON"},
    {"hash": "0" * 64},
    {"type": "images.complete"},
    {"occurred_at_us": 1},
    {"recorded_at_us": 1},
    {"event_id": "00000000-0000-7000-8000-000000000000"},
]


def test_an_event_altered_in_the_database_is_found_whatever_of_it_was_altered(database: Database) -> None:
    whole_story(SqlCaseLog(database, numbered_ids()))
    row = oncall_case_event.c
    is_fourth = (row.case_id == CASE) & (row.seq == 4)
    with database.read() as connection:
        as_it_was = connection.execute(select(oncall_case_event).where(is_fourth)).one()._asdict()

    for change in CHANGES:
        with database.write(durable=True) as connection:
            connection.execute(update(oncall_case_event).where(is_fourth).values({**as_it_was, **change}))
        with pytest.raises(ChainBroken) as broken:
            verify(database)
        assert (broken.value.case_id, broken.value.seq) == (CASE, 4), change


def test_an_event_dropped_from_the_database_is_found_the_last_one_too(database: Database) -> None:
    assert whole_story(SqlCaseLog(database, numbered_ids())).case.seq == 10
    row = oncall_case_event.c
    with database.read() as connection:
        rows = {one.seq: one._asdict() for one in connection.execute(select(oncall_case_event))}

    for gone, found_at in ((1, 1), (5, 5), (10, 9)):
        with database.write(durable=True) as connection:
            connection.execute(delete(oncall_case_event).where(row.seq == gone))
        with pytest.raises(ChainBroken) as broken:
            verify(database)
        assert broken.value.seq == found_at
        with database.write(durable=True) as connection:
            connection.execute(insert(oncall_case_event).values(rows[gone]))
    verify(database)


def test_a_log_that_is_gone_as_a_whole_is_found(database: Database) -> None:
    whole_story(SqlCaseLog(database, numbered_ids()))
    with database.write(durable=True) as connection:
        connection.execute(delete(oncall_case_event))

    with pytest.raises(ChainBroken, match="its log is gone"):
        verify(database)


def test_a_case_is_not_given_out_when_its_log_has_lost_its_end(database: Database) -> None:
    whole_story(SqlCaseLog(database, numbered_ids()))
    row = oncall_case_event.c
    with database.write(durable=True) as connection:
        connection.execute(delete(oncall_case_event).where(row.case_id == CASE, row.seq == 10))

    with pytest.raises(ChainBroken, match="not the last event"):
        SqlCaseLog(database).case(CASE)
