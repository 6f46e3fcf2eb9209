"""The message queue in `oncall_message` and `oncall_message_event`, inside the caller's transaction."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, or_, select, update

from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none
from oncall.case.event import CaseId
from oncall.directory import ChannelKind, PersonId
from oncall.messages import (
    INTERRUPTIONS_MAX,
    LEASE_S,
    NEWS,
    NEWS_PER_READ_MAX,
    RETRY_AFTER_S,
    TRANSITIONS,
    Lease,
    Message,
    MessageEvent,
    MessageState,
    MessageStatus,
    News,
    Outcome,
    Sent,
    Settled,
    after_outcome,
    reason_of,
    settled,
)
from oncall.schema import oncall_message as table
from oncall.schema import oncall_message_event as events
from oncall.strict_json import canonical

S = MessageState

INTERRUPTED_AT_ONCE_MAX = 1000
"""Messages of dead senders that one transaction deals with; the rest follow in the next."""


class SqlMessages:
    """Messages in a database.

    Parameters
    ----------
    connection : Connection
        Of `Database.write(durable=True)` for everything but `status` and `trace`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def enqueue(self, message: Message, now: datetime) -> bool:
        """Queue a message; say False, and change nothing, when its key is known."""
        return self.enqueue_all([message], now) == 1

    def enqueue_all(self, messages: Iterable[Message], now: datetime) -> int:
        """Queue many at once; return how many keys were new."""
        by_key = {message.message_key: message for message in messages}
        known = set()
        keys = sorted(by_key)
        for start in range(0, len(keys), 500):
            wanted = table.c.message_key.in_(keys[start : start + 500])
            known |= set(self._connection.execute(select(table.c.message_key).where(wanted)).scalars())
        new = [by_key[key] for key in keys if key not in known]
        if new:
            self._connection.execute(insert(table), [_row(message) for message in new])
            self._note([message.message_key for message in new], now, str(S.QUEUED))
        return len(new)

    def cancel_chain(self, chain_id: str, now: datetime) -> int:
        """Cancel what is still queued of a chain; return how many."""
        rows = self._connection.execute(
            select(table.c.message_key).where(table.c.chain_id == chain_id, table.c.state == str(S.QUEUED))
        )
        keys = list(rows.scalars())
        self._move(keys, S.CANCELLED, now)
        return len(keys)

    def lease(
        self, channel: ChannelKind, now: datetime, *, worker: str, limit: int, is_for_cases: bool | None = None
    ) -> Lease:
        """Take due messages of one channel, those about cases first, then by due time."""
        now_us = microseconds(now)
        wanted = select(table).where(
            table.c.state == str(S.QUEUED), table.c.channel == str(channel), table.c.due_at_us <= now_us
        )
        if is_for_cases is not None:
            wanted = wanted.where(table.c.case_id.is_not(None) if is_for_cases else table.c.case_id.is_(None))
        wanted = wanted.order_by(table.c.case_id.is_(None), table.c.due_at_us, table.c.message_key).limit(limit)
        found = [_status(row) for row in self._connection.execute(wanted)]
        expired = [status for status in found if _is_expired(status.message, now)]
        taken = [status.message for status in found if not _is_expired(status.message, now)]
        self._move([status.message.message_key for status in expired], S.FAILED, now, "expired")
        until = now + timedelta(seconds=LEASE_S)
        self._move(
            [message.message_key for message in taken],
            S.SENDING,
            now,
            attempts=table.c.attempts + 1,
            leased_by=worker,
            leased_until_us=microseconds(until),
        )
        return Lease(
            messages=tuple(taken),
            until=until,
            expired=tuple(settled(status, S.FAILED, "expired") for status in expired),
        )

    def release(self, message_key: str, now: datetime, *, worker: str) -> None:
        """Give back a leased message that no channel has seen."""
        row = self._row_of(message_key)
        if row is not None and row.state == S.SENDING and row.leased_by == worker:
            self._move([message_key], S.QUEUED, now, "released", attempts=table.c.attempts - 1)

    def settle(
        self, message_key: str, outcome: Outcome, now: datetime, *, worker: str, is_repeatable: bool
    ) -> Settled | None:
        """Record what a channel answered; None when the message goes on or was settled before."""
        row = self._row_of(message_key)
        assert row is not None
        reason = reason_of(outcome)
        changes: dict[str, Any] = {"provider_id": outcome.provider_id} if isinstance(outcome, Sent) else {}
        if row.state != S.SENDING or row.leased_by != worker:
            if changes:
                self._connection.execute(update(table).where(table.c.message_key == message_key).values(changes))
            self._note([message_key], now, f"late_{type(outcome).__name__.lower()}", reason)
            return None
        status = _status(row)
        state = after_outcome(status, outcome, is_repeatable=is_repeatable)
        if state is S.QUEUED:
            changes["due_at_us"] = microseconds(now + timedelta(seconds=RETRY_AFTER_S))
        self._move([message_key], state, now, reason, **changes)
        provider_id = changes.get("provider_id", "")
        return None if state is S.QUEUED else settled(status, state, reason, provider_id)

    def interrupted(
        self, now: datetime, *, repeatable: frozenset[ChannelKind], gone: frozenset[str] = frozenset()
    ) -> tuple[Settled, ...]:
        """Deal with what dead senders left; return the messages that nobody knows about."""
        rows = self._connection.execute(
            select(table)
            .where(table.c.state == str(S.SENDING), _is_left(now, gone))
            .order_by(table.c.message_key)
            .limit(INTERRUPTED_AT_ONCE_MAX)
        )
        left = [_status(row) for row in rows]
        again = [
            status for status in left if status.message.channel in repeatable and status.attempts < INTERRUPTIONS_MAX
        ]
        unknown = [status for status in left if status not in again]
        self._move([status.message.message_key for status in again], S.QUEUED, now, "interrupted")
        self._move([status.message.message_key for status in unknown], S.UNKNOWN, now, "interrupted")
        return tuple(settled(status, S.UNKNOWN, "interrupted") for status in unknown)

    def is_interrupted(self, now: datetime, *, gone: frozenset[str] = frozenset()) -> bool:
        """Say whether `interrupted` would find anything; needs no writer's lock."""
        found = select(table.c.message_key).where(table.c.state == str(S.SENDING), _is_left(now, gone)).limit(1)
        return self._connection.execute(found).first() is not None

    def due(self, now: datetime) -> dict[tuple[ChannelKind, bool], int]:
        """Count what is due, by channel and whether it is about a case; needs no writer's lock."""
        is_for_case = table.c.case_id.is_not(None)
        rows = self._connection.execute(
            select(table.c.channel, is_for_case, func.count())
            .where(table.c.state == str(S.QUEUED), table.c.due_at_us <= microseconds(now))
            .group_by(table.c.channel, is_for_case)
        )
        return {(ChannelKind(channel), bool(is_about_one)): count for channel, is_about_one, count in rows}

    def receipt(self, provider_id: str, state: MessageState, now: datetime, *, reason: str = "") -> Settled | None:
        """Record a provider's delivery receipt; None when it changes nothing."""
        return (
            self._settle_from_outside(table.c.provider_id == provider_id, state, now, reason) if provider_id else None
        )

    def answer(self, answer_token: str, answer: str, now: datetime) -> Settled | None:
        """Record that the person answered; None when there is no such message, or it was answered before."""
        is_asked = table.c.answer_token == answer_token
        return self._settle_from_outside(is_asked, S.ANSWERED, now, answer) if answer_token else None

    def news_after(self, position: int, *, limit: int = NEWS_PER_READ_MAX) -> tuple[News, ...]:
        """Return what became of messages after `position`, oldest first."""
        rows = self._connection.execute(
            select(table, events.c.position, events.c.occurred_at_us, events.c.happened, events.c.detail)
            .join(events, events.c.message_key == table.c.message_key)
            .where(events.c.position > position, events.c.happened.in_(sorted(NEWS)))
            .order_by(events.c.position)
            .limit(limit)
        )
        return tuple(
            News(
                position=row.position,
                occurred_at=instant_of_us(row.occurred_at_us),
                settled=settled(_status(row), MessageState(row.happened), row.detail),
            )
            for row in rows
        )

    def status(self, message_key: str) -> MessageStatus | None:
        """Return a message and where it is."""
        row = self._row_of(message_key)
        return None if row is None else _status(row)

    def trace(self, message_key: str) -> tuple[MessageEvent, ...]:
        """Return everything that happened to a message, in order."""
        rows = self._connection.execute(
            select(events).where(events.c.message_key == message_key).order_by(events.c.position)
        )
        return tuple(
            MessageEvent(
                message_key=row.message_key,
                occurred_at=instant_of_us(row.occurred_at_us),
                happened=row.happened,
                detail=row.detail,
            )
            for row in rows
        )

    def _settle_from_outside(self, which: Any, state: MessageState, now: datetime, reason: str) -> Settled | None:
        row = self._connection.execute(select(table).where(which).limit(1)).one_or_none()
        if row is None:
            return None
        if state not in TRANSITIONS[MessageState(row.state)]:
            self._note([row.message_key], now, f"late_{state}", reason)
            return None
        self._move([row.message_key], state, now, reason)
        return settled(_status(row), state, reason)

    def _row_of(self, message_key: str) -> Any:
        return self._connection.execute(select(table).where(table.c.message_key == message_key)).one_or_none()

    def _move(self, keys: list[str], state: MessageState, now: datetime, detail: str = "", **changes: Any) -> None:
        if not keys:
            return
        if state is not S.SENDING:
            changes |= {"leased_by": None, "leased_until_us": None}
        one = update(table).where(table.c.message_key == bindparam("one_key")).values(state=str(state), **changes)
        self._connection.execute(one, [{"one_key": key} for key in keys])
        self._note(keys, now, str(state), detail)

    def _note(self, keys: list[str], now: datetime, happened: str, detail: str = "") -> None:
        at_us = microseconds(now)
        rows = [{"message_key": key, "occurred_at_us": at_us, "happened": happened, "detail": detail} for key in keys]
        self._connection.execute(insert(events), rows)


def _is_left(now: datetime, gone: frozenset[str]) -> ColumnElement[bool]:
    return or_(table.c.leased_until_us <= microseconds(now), table.c.leased_by.in_(sorted(gone)))


def _is_expired(message: Message, now: datetime) -> bool:
    return message.expires_at is not None and message.expires_at <= now


def _row(message: Message) -> dict[str, Any]:
    expires_at = message.expires_at
    body = {
        "subject": message.subject,
        "text": message.text,
        "expires_at_us": microseconds_or_none(expires_at),
        "attempts_max": message.attempts_max,
    }
    return {
        "message_key": message.message_key,
        "case_id": message.case_id,
        "chain_id": message.chain_id or None,
        "person_id": message.person_id,
        "channel": str(message.channel),
        "address": message.address,
        "answer_token": message.answer_token,
        "state": str(S.QUEUED),
        "body": canonical(body),
        "attempts": 0,
        "due_at_us": microseconds(message.due_at),
    }


def _status(row: Any) -> MessageStatus:
    body = json.loads(row.body)
    expires_at_us = body["expires_at_us"]
    message = Message(
        message_key=row.message_key,
        person_id=PersonId(row.person_id),
        channel=ChannelKind(row.channel),
        address=row.address,
        subject=body["subject"],
        text=body["text"],
        due_at=instant_of_us(row.due_at_us),
        case_id=None if row.case_id is None else CaseId(row.case_id),
        chain_id=row.chain_id or "",
        answer_token=row.answer_token,
        expires_at=instant_of_us_or_none(expires_at_us),
        attempts_max=body["attempts_max"],
    )
    return MessageStatus(
        message=message, state=MessageState(row.state), attempts=row.attempts, provider_id=row.provider_id or ""
    )
