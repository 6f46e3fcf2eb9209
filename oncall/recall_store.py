"""The rows of a plan blanc: starting it, calling on, answers, the board. Every message of it is in the message queue.

Not for drills: `oncall.drill` has a way of its own, which ends at a recorder. Each function runs in the caller's write
transaction, so that a recall is started, continued and answered whole or not at all.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select, update

from foundation.database import Database
from foundation.errors import Refused
from foundation.instants import instant_of_us, microseconds
from oncall.case.event import Fact
from oncall.directory import PersonId
from oncall.engine.duty import DutyType
from oncall.engine.duty_rows import record_within
from oncall.messages import Message, MessageState
from oncall.messages_sql import SqlMessages
from oncall.notify import NoticeKind, Sender, Words, addressed_message
from oncall.plan_blanc import Answer, Attempt, Board, Call, Recalled, RecallOrder, Reply, board, next_calls, next_due_at
from oncall.recall_rows import chain_of, insert_recall, order_of, record_reply, replies_of
from oncall.schema import oncall_message, oncall_message_event, oncall_recall

CALLED_ON_FOR: Final = timedelta(hours=12)
"""After which a recall that nobody ended is looked at no more."""

# SQLite binds some thousands of values at most.
_KEYS_PER_QUERY_MAX: Final = 500

# A call that may have arrived is called off: a crash while sending leaves UNKNOWN, and whoever it woke would come.
_NEVER_ARRIVED: Final = frozenset({MessageState.QUEUED, MessageState.CANCELLED, MessageState.FAILED})

Attempts = dict[PersonId, list[Attempt]]


def start(connection: Connection, order: RecallOrder, now: datetime, sender: Sender) -> int:
    """Begin a recall for real: call everybody who has a method; return how many were called.

    Raises
    ------
    Refused
        If a recall or drill of this id exists: the same button pressed twice recalls once.
    """
    insert_recall(connection, order, now, is_drill=False)
    return _call(connection, order, next_calls(order, {}, {}, now), now, sender)


def go_on(connection: Connection, recall_id: str, now: datetime, sender: Sender) -> datetime | None:
    """Call the silent and the not reached by their next method; return when to look again, None when it is over."""
    order = order_of(connection, recall_id)
    if order is None or not _is_running(connection, recall_id):
        return None
    attempts, replies = _attempts(connection, order), replies_of(connection, recall_id)
    _call(connection, order, next_calls(order, attempts, replies, now), now, sender)
    return next_due_at(order, _attempts(connection, order), replies, now)


def go_on_with_all(database: Database, now: datetime, sender: Sender) -> int:
    """Call on for every recall that runs, where something is due; return how many were looked at.

    For the engine's tick: while nothing is due it only reads.
    """
    with database.read() as connection:
        running = connection.execute(
            select(oncall_recall.c.recall_id).where(
                oncall_recall.c.ended_at_us.is_(None),
                oncall_recall.c.is_drill.is_(False),
                oncall_recall.c.started_at_us > microseconds(now - CALLED_ON_FOR),
            )
        )
        due = [recall_id for recall_id in running.scalars() if _is_due(connection, recall_id, now)]
    for recall_id in due:
        with database.write(durable=True) as connection:
            go_on(connection, recall_id, now, sender)
    return len(due)


def answer(
    connection: Connection,
    recall_id: str,
    person_id: PersonId,
    what: Answer,
    now: datetime,
    *,
    arrives_at: datetime | None = None,
) -> bool:
    """Record what somebody says (the last word counts) and call them no more; False for a person not recalled."""
    order = order_of(connection, recall_id)
    if order is None or all(person.person_id != person_id for person in order.people):
        return False
    record_reply(connection, recall_id, person_id, Reply(answer=what, answered_at=now, arrives_at=arrives_at))
    SqlMessages(connection).cancel_chain(chain_of(recall_id, person_id), now)
    return True


def answer_by_link(
    connection: Connection, answer_token: str, what: Answer, now: datetime, *, arrives_at: datetime | None = None
) -> bool:
    """Record an answer that came by the link of a recall's message; False when the link is of no recall."""
    row = connection.execute(
        select(oncall_message.c.chain_id, oncall_message.c.person_id).where(
            oncall_message.c.answer_token == answer_token
        )
    ).one_or_none()
    if not answer_token or row is None or not (row.chain_id or "").startswith("recall/"):
        return False
    SqlMessages(connection).answer(answer_token, str(what), now)
    recall_id = row.chain_id.split("/")[1]
    return answer(connection, recall_id, PersonId(row.person_id), what, now, arrives_at=arrives_at)


def end(connection: Connection, recall_id: str, now: datetime, sender: Sender, *, by: str = "") -> bool:
    """End a recall: what no channel has yet is taken back, and who was called and may be coming is told.

    The board as it then stands goes into the night's log, with the identifier `by` of who ended it. False when it was
    not running: the same button pressed twice tells nobody twice, and a drill told nobody.
    """
    order = order_of(connection, recall_id)
    if order is None or not _is_running(connection, recall_id):
        return False
    connection.execute(
        update(oncall_recall).where(oncall_recall.c.recall_id == recall_id).values(ended_at_us=microseconds(now))
    )
    messages = SqlMessages(connection)
    for person in order.people:
        messages.cancel_chain(chain_of(recall_id, person.person_id), now)
    attempts, replies = _attempts(connection, order), replies_of(connection, recall_id)
    said = {"recall_id": recall_id, "board": board(order, attempts, replies).count(), "by": by}
    record_within(connection, [Fact(type=DutyType.MASS_ALERT_ENDED, occurred_at=now, payload=said)], now)
    called_off = [
        _call_off(order, person, reached[-1].method, now, sender)
        for person in order.people
        if (reached := [one for one in attempts.get(person.person_id, ()) if one.state not in _NEVER_ARRIVED])
        and not ((reply := replies.get(person.person_id)) and reply.answer is Answer.NOT_COMING)
    ]
    messages.enqueue_all(called_off, now)
    return True


def board_of(connection: Connection, recall_id: str) -> Board:
    """Return the board of a recall.

    Raises
    ------
    Refused
        If there is no such recall.
    """
    order = order_of(connection, recall_id)
    if order is None:
        raise Refused("there is no such recall; list them to see their ids")
    return board(order, _attempts(connection, order), replies_of(connection, recall_id))


def _is_due(connection: Connection, recall_id: str, now: datetime) -> bool:
    order = order_of(connection, recall_id)
    if order is None:
        return False
    due_at = next_due_at(order, _attempts(connection, order), replies_of(connection, recall_id), now)
    return due_at is not None and due_at <= now


def _is_running(connection: Connection, recall_id: str) -> bool:
    wanted = select(oncall_recall.c.recall_id).where(
        oncall_recall.c.recall_id == recall_id,
        oncall_recall.c.ended_at_us.is_(None),
        oncall_recall.c.is_drill.is_(False),
    )
    return connection.execute(wanted).first() is not None


def _call(connection: Connection, order: RecallOrder, calls: tuple[Call, ...], now: datetime, sender: Sender) -> int:
    people = {person.person_id: person for person in order.people}
    messages = [_message(order, people[call.person_id], call, now, sender) for call in calls]
    return SqlMessages(connection).enqueue_all(messages, now)


def _message(order: RecallOrder, person: Recalled, call: Call, now: datetime, sender: Sender) -> Message:
    chain_id = chain_of(order.recall_id, person.person_id)
    return addressed_message(
        f"{chain_id}/{call.number}",
        NoticeKind.RECALL,
        Words(place=order.place, zone=order.zone),
        person_id=person.person_id,
        language=person.language,
        method=person.methods[call.method],
        now=now,
        sender=sender,
        case_id=None,
        chain_id=chain_id,
        attempts_max=2,
    )


def _call_off(order: RecallOrder, person: Recalled, method: int, now: datetime, sender: Sender) -> Message:
    return addressed_message(
        f"{chain_of(order.recall_id, person.person_id)}/end",
        NoticeKind.RECALL_ENDED,
        Words(place=order.place, zone=order.zone, deadline_at=now),
        person_id=person.person_id,
        language=person.language,
        method=person.methods[method],
        now=now,
        sender=sender,
        case_id=None,
        # Of no chain: it is no call, and no answer to it is an answer to the recall.
        chain_id="",
        attempts_max=3,
    )


def _attempts(connection: Connection, order: RecallOrder) -> Attempts:
    found: dict[PersonId, dict[int, Attempt]] = {}
    for first in range(0, len(order.people), _KEYS_PER_QUERY_MAX):
        some = {chain_of(order.recall_id, one.person_id): one for one in order.people[first:][:_KEYS_PER_QUERY_MAX]}
        rows = connection.execute(
            select(oncall_message.c.message_key, oncall_message.c.chain_id, oncall_message.c.state).where(
                oncall_message.c.chain_id.in_(sorted(some))
            )
        ).all()
        called_at, reasons = _story(connection, [row.message_key for row in rows])
        for row in rows:
            person, number = some[row.chain_id], int(row.message_key.rpartition("/")[2])
            found.setdefault(person.person_id, {})[number] = Attempt(
                method=number % len(person.methods),
                called_at=called_at[row.message_key],
                state=MessageState(row.state),
                reason=reasons.get(row.message_key, ""),
            )
    return {person_id: [made[number] for number in sorted(made)] for person_id, made in found.items()}


def _story(connection: Connection, keys: list[str]) -> tuple[dict[str, datetime], dict[str, str]]:
    """Return when each message was queued, and why it failed if it did."""
    called_at: dict[str, datetime] = {}
    reasons: dict[str, str] = {}
    for first in range(0, len(keys), _KEYS_PER_QUERY_MAX):
        told = connection.execute(
            select(oncall_message_event)
            .where(oncall_message_event.c.message_key.in_(keys[first:][:_KEYS_PER_QUERY_MAX]))
            .order_by(oncall_message_event.c.position)
        )
        for row in told:
            called_at.setdefault(row.message_key, instant_of_us(row.occurred_at_us))
            if row.happened in {MessageState.FAILED, MessageState.UNKNOWN}:
                reasons[row.message_key] = row.detail
    return called_at, reasons
