"""The rows of recalls and drills that say what was ordered and what people answered. Nothing here calls anybody.

That one began is in the log of the night too, a drill under another name than a recall (section 4.2).
"""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from foundation.errors import Refused
from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none
from oncall.case.event import Fact
from oncall.directory import PersonId, methods_of_rows, methods_to_rows
from oncall.engine.duty import DutyType
from oncall.engine.duty_rows import record_within
from oncall.plan_blanc import Answer, Recalled, RecallOrder, Reply
from oncall.schema import oncall_message_event, oncall_recall, oncall_recall_answer
from oncall.strict_json import canonical


def insert_recall(connection: Connection, order: RecallOrder, now: datetime, *, is_drill: bool) -> None:
    """Write down that a recall or drill began.

    Raises
    ------
    Refused
        If one of this id exists.
    """
    if order_of(connection, order.recall_id) is not None:
        raise Refused("a recall of this id exists already; nobody was called again")
    connection.execute(
        insert(oncall_recall).values(
            recall_id=order.recall_id,
            is_drill=is_drill,
            started_at_us=microseconds(now),
            started_by=order.started_by,
            ended_at_us=None,
            body=canonical(_order_to_json(order)),
        )
    )
    began = DutyType.MASS_ALERT_REHEARSED if is_drill else DutyType.MASS_ALERT_STARTED
    said = {
        "recall_id": order.recall_id,
        "place": order.place,
        "people": len(order.people),
        "by": order.started_by,
    }
    record_within(connection, [Fact(type=began, occurred_at=now, payload=said)], now)


def order_of(connection: Connection, recall_id: str) -> RecallOrder | None:
    """Return what was ordered, with the list as it was then."""
    row = connection.execute(select(oncall_recall).where(oncall_recall.c.recall_id == recall_id)).one_or_none()
    return None if row is None else _order_from_json(row.recall_id, row.started_by, json.loads(row.body))


def replies_of(connection: Connection, recall_id: str) -> dict[PersonId, Reply]:
    """Return what people answered, the last word of each."""
    rows = connection.execute(select(oncall_recall_answer).where(oncall_recall_answer.c.recall_id == recall_id))
    return {
        PersonId(row.person_id): Reply(
            answer=Answer(row.answer),
            answered_at=instant_of_us(row.answered_at_us),
            arrives_at=instant_of_us_or_none(row.arrives_at_us),
        )
        for row in rows
    }


def record_reply(connection: Connection, recall_id: str, person_id: PersonId, reply: Reply) -> None:
    """Write down what somebody answered; the last word counts, the trace keeps every one."""
    arrives_at_us = microseconds_or_none(reply.arrives_at)
    answered_at_us = microseconds(reply.answered_at)
    row = {"answered_at_us": answered_at_us, "answer": str(reply.answer), "arrives_at_us": arrives_at_us}
    table = oncall_recall_answer
    is_theirs = (table.c.recall_id == recall_id) & (table.c.person_id == person_id)
    if connection.execute(update(table).where(is_theirs).values(row)).rowcount == 0:
        connection.execute(insert(table).values(recall_id=recall_id, person_id=person_id, **row))
    connection.execute(
        insert(oncall_message_event).values(
            message_key=chain_of(recall_id, person_id),
            occurred_at_us=answered_at_us,
            happened="replied",
            detail=json.dumps({"answer": str(reply.answer), "arrives_at_us": arrives_at_us}, sort_keys=True),
        )
    )


def chain_of(recall_id: str, person_id: PersonId) -> str:
    """Return the chain of one person's calls: an answer cancels it and no other."""
    return f"recall/{recall_id}/{person_id}"


def _order_to_json(order: RecallOrder) -> dict[str, Any]:
    return {
        "place": order.place,
        "zone": order.zone,
        "next_method_after_s": order.next_method_after_s,
        "rounds": order.rounds,
        "people": [[person.person_id, person.language, methods_to_rows(person.methods)] for person in order.people],
    }


def _order_from_json(recall_id: str, started_by: str, body: dict[str, Any]) -> RecallOrder:
    return RecallOrder(
        recall_id=recall_id,
        place=body["place"],
        zone=body["zone"],
        people=tuple(
            Recalled(
                person_id=PersonId(person_id),
                language=language,
                methods=methods_of_rows(methods),
            )
            for person_id, language, methods in body["people"]
        ),
        started_by=started_by,
        next_method_after_s=body["next_method_after_s"],
        rounds=body["rounds"],
    )
