"""The message queue of one process, for simulated nights and tests: the contract of the database's, nothing kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from oncall.directory import ChannelKind
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

S = MessageState


@dataclass(slots=True)
class _Held:
    message: Message
    due_at: datetime
    state: MessageState = S.QUEUED
    attempts: int = 0
    provider_id: str = ""
    leased_by: str = ""
    leased_until: datetime | None = None

    @property
    def status(self) -> MessageStatus:
        """Return a message and where it is."""
        return MessageStatus(
            message=self.message, state=self.state, attempts=self.attempts, provider_id=self.provider_id
        )


class MemoryMessages:
    """Messages in a dictionary; `events` is the trace of all, in order."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self.events: list[MessageEvent] = []

    def enqueue(self, message: Message, now: datetime) -> bool:
        """Queue a message; say False, and change nothing, when its key is known."""
        if message.message_key in self._held:
            return False
        self._held[message.message_key] = _Held(message=message, due_at=message.due_at)
        self._note(message.message_key, now, "queued")
        return True

    def cancel_chain(self, chain_id: str, now: datetime) -> int:
        """Cancel what is still queued of a chain; return how many."""
        queued = [held for held in self._held.values() if held.message.chain_id == chain_id and held.state is S.QUEUED]
        for held in queued:
            self._move(held, S.CANCELLED, now)
        return len(queued)

    def lease(
        self, channel: ChannelKind, now: datetime, *, worker: str, limit: int, is_for_cases: bool | None = None
    ) -> Lease:
        """Take due messages of one channel, those about cases first, then by due time."""
        due = [
            held
            for held in self._held.values()
            if held.state is S.QUEUED
            and held.message.channel is channel
            and held.due_at <= now
            and is_for_cases in {None, held.message.case_id is not None}
        ]
        due.sort(key=lambda held: (held.message.case_id is None, held.due_at, held.message.message_key))
        until = now + timedelta(seconds=LEASE_S)
        taken, expired = [], []
        for held in due[:limit]:
            if held.message.expires_at is not None and held.message.expires_at <= now:
                self._move(held, S.FAILED, now, "expired")
                expired.append(settled(held.status, S.FAILED, "expired"))
                continue
            held.attempts += 1
            held.leased_by, held.leased_until = worker, until
            self._move(held, S.SENDING, now)
            taken.append(held.message)
        return Lease(messages=tuple(taken), until=until, expired=tuple(expired))

    def release(self, message_key: str, now: datetime, *, worker: str) -> None:
        """Give back a leased message that no channel has seen."""
        held = self._held.get(message_key)
        if held is not None and held.state is S.SENDING and held.leased_by == worker:
            held.attempts -= 1
            self._move(held, S.QUEUED, now, "released")

    def settle(
        self, message_key: str, outcome: Outcome, now: datetime, *, worker: str, is_repeatable: bool
    ) -> Settled | None:
        """Record what a channel answered; None when the message goes on or was settled before."""
        held = self._held[message_key]
        reason = reason_of(outcome)
        if isinstance(outcome, Sent):
            held.provider_id = outcome.provider_id
        if held.state is not S.SENDING or held.leased_by != worker:
            self._note(message_key, now, f"late_{type(outcome).__name__.lower()}", reason)
            return None
        state = after_outcome(held.status, outcome, is_repeatable=is_repeatable)
        if state is S.QUEUED:
            held.due_at = now + timedelta(seconds=RETRY_AFTER_S)
        self._move(held, state, now, reason)
        return None if state is S.QUEUED else settled(held.status, state, reason)

    def interrupted(
        self, now: datetime, *, repeatable: frozenset[ChannelKind], gone: frozenset[str] = frozenset()
    ) -> tuple[Settled, ...]:
        """Deal with what dead senders left; return the messages that nobody knows about."""
        unknown = []
        for held in self._held.values():
            is_left = held.leased_by in gone or (held.leased_until is not None and held.leased_until <= now)
            if held.state is not S.SENDING or not is_left:
                continue
            if held.message.channel in repeatable and held.attempts < INTERRUPTIONS_MAX:
                self._move(held, S.QUEUED, now, "interrupted")
            else:
                self._move(held, S.UNKNOWN, now, "interrupted")
                unknown.append(settled(held.status, S.UNKNOWN, "interrupted"))
        return tuple(unknown)

    def receipt(self, provider_id: str, state: MessageState, now: datetime, *, reason: str = "") -> Settled | None:
        """Record a provider's delivery receipt; None when it changes nothing."""
        for held in self._held.values():
            if provider_id and held.provider_id == provider_id:
                return self._settle_from_outside(held, state, now, reason)
        return None

    def answer(self, answer_token: str, answer: str, now: datetime) -> Settled | None:
        """Record that the person answered; None when there is no such message, or it was answered before."""
        for held in self._held.values():
            if answer_token and held.message.answer_token == answer_token:
                return self._settle_from_outside(held, S.ANSWERED, now, answer)
        return None

    def news_after(self, position: int, *, limit: int = NEWS_PER_READ_MAX) -> tuple[News, ...]:
        """Return what became of messages after `position`, oldest first."""
        news: list[News] = []
        for place, event in enumerate(self.events[position:], start=position + 1):
            if event.happened in NEWS and len(news) < limit:
                status = self._held[event.message_key].status
                what = settled(status, MessageState(event.happened), event.detail)
                news.append(News(position=place, occurred_at=event.occurred_at, settled=what))
        return tuple(news)

    def status(self, message_key: str) -> MessageStatus | None:
        held = self._held.get(message_key)
        return None if held is None else held.status

    def trace(self, message_key: str) -> tuple[MessageEvent, ...]:
        """Return everything that happened to a message, in order."""
        return tuple(event for event in self.events if event.message_key == message_key)

    def _settle_from_outside(self, held: _Held, state: MessageState, now: datetime, reason: str) -> Settled | None:
        if state not in TRANSITIONS[held.state]:
            self._note(held.message.message_key, now, f"late_{state}", reason)
            return None
        self._move(held, state, now, reason)
        return settled(held.status, state, reason)

    def _move(self, held: _Held, state: MessageState, now: datetime, detail: str = "") -> None:
        assert state in TRANSITIONS[held.state]
        if state is not S.SENDING:
            held.leased_by, held.leased_until = "", None
        held.state = state
        self._note(held.message.message_key, now, str(state), detail)

    def _note(self, message_key: str, now: datetime, happened: str, detail: str = "") -> None:
        self.events.append(MessageEvent(message_key=message_key, occurred_at=now, happened=happened, detail=detail))
