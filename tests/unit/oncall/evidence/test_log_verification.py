"""Every log and every anchor proved at once: each way in which somebody who writes to the database changes a log."""

import hashlib
import json
from collections.abc import Callable
from typing import Final

import pytest
from sqlalchemy import Connection, delete, func, insert, select, update

from oncall.case.event import CaseId
from oncall.evidence.log_verification import LogVerdict, verify_logs
from oncall.report.signing import NODE
from oncall.schema import (
    oncall_anchor,
    oncall_anchor_leaf,
    oncall_case,
    oncall_case_event,
    oncall_report_version,
)
from tests.harness.evidence_case import CASE, Place
from tests.harness.small_territory import at, ready_case
from tests.unit.oncall.evidence.conftest import BOTH

EVENT: Final = oncall_case_event.c


def proved(here: Place) -> LogVerdict:
    return verify_logs(here.database, node_keys=frozenset({here.keys.public_key_of(NODE)}))


def where(verdict: LogVerdict) -> list[str]:
    return [f"{one.what.value} {one.where}" for one in verdict.found]


def change(here: Place, how: Callable[[Connection], object]) -> None:
    with here.database.write(durable=True) as connection:
        how(connection)


def rechained(connection: Connection, case_id: str = CASE, *, from_seq: int = 1) -> None:
    """Make every number and hash of a log anew, in rows and in the case's own row, as who knows the format does."""
    rows = connection.execute(select(oncall_case_event).where(EVENT.case_id == case_id).order_by(EVENT.seq)).all()
    before, seq = "0" * 64, 0
    for row in rows:
        seq += 1
        body = {**json.loads(row.body), "seq": seq, "prev_hash": before}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if row.seq >= from_seq:
            connection.execute(
                update(oncall_case_event)
                .where(EVENT.position == row.position)
                .values(seq=seq, body=text, prev_hash=before, hash=digest)
            )
        before = digest
    row = oncall_case.c
    connection.execute(update(oncall_case).where(row.case_id == case_id).values(seq=seq, head_hash=before))


@BOTH
def test_a_log_and_its_anchors_that_nobody_touched_are_proven(here: Place) -> None:
    ready_case(here.engine, CaseId("C2"), at(30), site_id="south")

    verdict = proved(here)

    assert verdict.found == []
    assert verdict.logs >= 2
    assert verdict.anchors == 2
    assert verdict.unanchored >= 1
    assert verdict.newest_anchor_number == 2


@BOTH
def test_a_changed_event_is_named_and_the_events_after_it_are_not(here: Place) -> None:
    body = func.replace(EVENT.body, "iomeprol", "iohexol")
    change(here, lambda connection: connection.execute(update(oncall_case_event).values(body=body)))

    assert where(proved(here)) == ["altered event 8 of C1"]


def test_a_column_beside_the_text_that_says_something_else_is_found(here: Place) -> None:
    wanted = (EVENT.case_id == CASE) & (EVENT.seq == 4)
    change(
        here, lambda connection: connection.execute(update(oncall_case_event).where(wanted).values(type="page.sent"))
    )

    assert where(proved(here)) == ["altered event 4 of C1"]


def test_a_dropped_event_is_found_at_its_place(here: Place) -> None:
    wanted = (EVENT.case_id == CASE) & (EVENT.seq == 5)
    change(here, lambda connection: connection.execute(delete(oncall_case_event).where(wanted)))

    assert where(proved(here)) == ["missing event 6 of C1"]


def test_a_log_that_lost_its_end_is_found_by_its_case_and_by_the_anchor(here: Place) -> None:
    wanted = (EVENT.case_id == CASE) & (EVENT.seq >= 17)
    change(here, lambda connection: connection.execute(delete(oncall_case_event).where(wanted)))

    assert where(proved(here)) == ["missing event 16 of C1", "missing event 18 of C1"]


def test_a_whole_log_that_is_gone_is_found(here: Place) -> None:
    change(here, lambda connection: connection.execute(delete(oncall_case_event).where(EVENT.case_id == CASE)))

    assert where(proved(here)) == ["missing log of C1"]


def test_who_drops_an_event_and_makes_every_hash_anew_is_found_by_the_anchors(here: Place) -> None:
    def drop(connection: Connection) -> None:
        connection.execute(delete(oncall_case_event).where(EVENT.case_id == CASE, EVENT.seq == 8))
        rechained(connection)

    change(here, drop)

    assert where(proved(here))[0] == "altered event 10 of C1"


def test_an_event_slipped_in_behind_an_anchor_is_found(here: Place) -> None:
    def slip_in(connection: Connection) -> None:
        ready = connection.execute(select(oncall_case_event).where(EVENT.case_id == CASE, EVENT.seq == 1)).one()
        body = json.loads(ready.body) | {"case_id": "C9", "event_id": "made-up"}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        values = {**ready._mapping, "case_id": "C9", "event_id": "made-up", "body": text, "position": 0}
        values["hash"] = hashlib.sha256(text.encode()).hexdigest()
        connection.execute(insert(oncall_case_event).values(values))

    change(here, slip_in)

    assert where(proved(here)) == ["added event 1 of C9"]


def test_leaves_that_are_made_to_fit_no_longer_have_the_root_that_was_signed(here: Place) -> None:
    def rewrite(connection: Connection) -> None:
        connection.execute(delete(oncall_case_event).where(EVENT.case_id == CASE, EVENT.seq == 12))
        rechained(connection)
        head = connection.execute(select(oncall_case).where(oncall_case.c.case_id == CASE)).one()
        leaf = oncall_anchor_leaf.c
        connection.execute(update(oncall_anchor_leaf).where(leaf.number == 2).values(seq=head.seq, hash=head.head_hash))

    change(here, rewrite)

    assert where(proved(here)) == ["altered anchor 2"]


@pytest.mark.parametrize("number", [1, 2])
def test_an_anchor_that_was_changed_or_dropped_is_named(here: Place, number: int) -> None:
    def spoil(connection: Connection) -> None:
        if number == 1:
            connection.execute(delete(oncall_anchor).where(oncall_anchor.c.number == 1))
        else:
            body = func.replace(oncall_anchor.c.body, '"number":2', '"number":3')
            connection.execute(update(oncall_anchor).where(oncall_anchor.c.number == 2).values(body=body))

    change(here, spoil)

    assert "altered anchor 2" in where(proved(here))


def test_reading_says_how_far_it_is(here: Place) -> None:
    told: list[tuple[int, int]] = []

    verify_logs(here.database, progress=lambda done, total: told.append((done, total)))

    total = told[-1][1]
    assert told[-1] == (total, total)


@pytest.mark.parametrize("how", ["dropped", "changed"])
def test_a_report_version_that_is_not_what_the_log_says_was_signed_is_named(here: Place, how: str) -> None:
    def spoil(connection: Connection) -> None:
        if how == "dropped":
            connection.execute(delete(oncall_report_version))
        else:
            body = func.replace(oncall_report_version.c.body, "Chute", "Chut")
            connection.execute(update(oncall_report_version).values(body=body))

    change(here, spoil)

    assert where(proved(here)) == ["altered version 1 of the report of case C1"]
