"""Anchors: one a day by itself, however many nodes there are; a late one says so; each holds the one before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from foundation.database import Database
from foundation.errors import Unavailable
from oncall.case.event import CaseId
from oncall.case.vocabulary import EventType as E
from oncall.evidence.anchor import faults_of, missed_days, next_due
from oncall.evidence.anchor_store import Anchors, latest, leaves_of
from oncall.report.signing import NODE
from tests.harness.evidence_case import CASE, Place, told
from tests.harness.small_territory import BEGIN, at, ready_case
from tests.unit.oncall.evidence.conftest import BOTH

NOON = datetime(2026, 10, 25, 12, tzinfo=UTC)


class Unreachable:
    """A time-stamping service that does not answer."""

    def stamp(self, digest: str) -> bytes:
        raise Unavailable(f"no answer about {len(digest)} characters")


class Stamping:
    """A time-stamping service whose answers can be told."""

    def stamp(self, digest: str) -> bytes:
        return b"stamped " + digest.encode()


def test_an_anchor_is_due_at_the_noon_utc_that_ends_a_night() -> None:
    assert next_due(BEGIN) == NOON
    assert next_due(NOON) == NOON + timedelta(days=1)
    assert next_due(NOON - timedelta(microseconds=1)) == NOON


def test_nothing_is_anchored_before_there_is_anything(empty: Place) -> None:
    assert empty.anchors.make_if_due(NOON + timedelta(days=9)) is None


@BOTH
def test_the_days_anchor_is_made_once_by_whichever_node_asks_first(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))
    one, other = empty.anchors, empty.anchors

    assert one.make_if_due(NOON - timedelta(seconds=1)) is None
    made = one.make_if_due(NOON)
    assert made is not None
    assert (made.statement.number, made.statement.due_at, made.statement.late_s) == (1, NOON, 0.0)
    assert other.make_if_due(NOON + timedelta(seconds=1)) is None
    assert one.make_if_due(NOON + timedelta(seconds=2)) is None
    second = other.make_if_due(NOON + timedelta(days=1))

    assert second is not None
    # A day on which nothing happened has an anchor as well, and it holds the one before.
    assert (second.statement.number, second.statement.leaves) == (2, 0)
    assert second.statement.previous == made.statement.digest()


def test_two_nodes_that_think_it_due_at_once_make_one_anchor(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))
    one, other = empty.anchors, empty.anchors
    for node in (one, other):
        node.make_if_due(BEGIN + timedelta(hours=1))

    made = [node.make_if_due(NOON) for node in (one, other)]

    assert [anchor is not None for anchor in made] == [True, False]


def test_an_anchor_after_three_days_of_silence_says_how_late_it_is(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))

    made = empty.anchors.make_if_due(NOON + timedelta(days=3, hours=2))

    assert made is not None
    assert made.statement.late_s == timedelta(days=3, hours=2).total_seconds()
    assert missed_days(made.statement) == 3


@BOTH
def test_leaves_are_the_heads_of_the_logs_that_have_grown_since(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))
    empty.anchors.make(at(6))
    ready_case(empty.engine, CaseId("C2"), at(7), site_id="south")
    empty.anchors.make(at(8))
    empty.say(E.ACTION_RECORDED, 9, case_id=CaseId("C2"), kind="transfer")
    made = empty.anchors.make(at(10))

    with empty.database.read() as connection:
        leaves = leaves_of(connection, made.statement.number)
        assert latest(connection) == made

    assert [(leaf.case_id, leaf.seq) for leaf in leaves] == [("C2", empty.engine.case(CaseId("C2")).seq)]
    assert faults_of(made, made.statement.digest(), node_keys=frozenset({empty.keys.public_key_of(NODE)})) == ()


def test_a_service_that_does_not_stamp_leaves_the_anchor_without_and_made(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))

    made = Anchors(empty.database, empty.keys, Unreachable()).make(at(6))

    assert made.time_stamp is None
    assert faults_of(made, made.statement.digest()) == ()


def test_who_takes_the_time_stamp_off_an_anchor_is_found_out(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))
    made = Anchors(empty.database, empty.keys, Stamping()).make(at(6))
    digest = made.statement.digest()
    assert faults_of(made, digest) == ()
    assert made.time_stamp == b"stamped " + digest.encode()

    bare = type(made)(statement=made.statement, signature=made.signature)

    assert faults_of(bare, digest) != ()


def test_a_failed_anchor_is_tried_again_after_a_minute_not_on_every_tick(database: Database, tmp_path: Path) -> None:
    here = told(database, tmp_path / "keys")
    calls = []

    class Broken:
        def sign(self, key_id: str, digest: str) -> None:
            calls.append((key_id, digest))
            raise Unavailable("the keys are gone")

    anchors = Anchors(here.database, Broken())  # type: ignore[arg-type]  # it never answers
    for seconds in range(120):
        try:
            anchors.make_if_due(NOON + timedelta(seconds=seconds))
        except Unavailable:
            continue

    assert len(calls) == 2
