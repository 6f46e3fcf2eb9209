"""Messages to people: the durable queue between a decision and a channel, and the trace of what became of each.

For: enqueueing in the transaction that decides, leasing, settling, receipts, answers. Not for: words (`oncall.notify`),
sending (`oncall.channels`), threads (`oncall.dispatch`), or what follows from a failure (the chain's `PageFailed`).

Invariants
----------
* A message has a deterministic key; enqueueing it again does nothing, so a decision taken twice is sent once.
* The intent to send (state ``sending``) is durable before a channel sees the message. A sender that dies in between
  leaves nobody knowing whether it was sent: a repeatable channel (one that recognises the key) is given it again, any
  other message becomes ``unknown``, is never sent again, and its chain goes on by another method at once.
* Every change of state leaves an event; states move only as `TRANSITIONS` says.

Source: `oncall_domain.md` 2.3 (complaints 3, 4, 9), 4.4 invariants 6 and 9.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from oncall.case.event import CaseId
from oncall.directory import ChannelKind, PersonId

MESSAGE_KEY_CHARACTERS_MAX: Final = 200
"""Of the column."""

LEASE_S: Final = 45.0
"""How long a sender may hold a message: more than the slowest hand-over; a dead sender's messages are free after it."""

RETRY_AFTER_S: Final = 5.0
"""Before a message that was certainly not sent, or that a repeatable channel may have, is handed over again."""

INTERRUPTIONS_MAX: Final = 5
"""Hand-overs of one message to a repeatable channel; senders that die more often than this die of the message."""


class MessageState(StrEnum):
    """Where a message is."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    ANSWERED = "answered"


S = MessageState

# Receipts and answers may overtake the sender's own record, and an answer is true whatever came before it.
TRANSITIONS: Final[Mapping[MessageState, frozenset[MessageState]]] = {
    S.QUEUED: frozenset({S.SENDING, S.CANCELLED, S.FAILED}),
    S.SENDING: frozenset({S.QUEUED, S.SENT, S.DELIVERED, S.FAILED, S.UNKNOWN, S.ANSWERED}),
    S.SENT: frozenset({S.DELIVERED, S.FAILED, S.ANSWERED}),
    S.UNKNOWN: frozenset({S.DELIVERED, S.ANSWERED}),
    S.DELIVERED: frozenset({S.ANSWERED}),
    S.FAILED: frozenset({S.ANSWERED}),
    S.CANCELLED: frozenset(),
    S.ANSWERED: frozenset(),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One text for one person by one channel; no patient data in any of it.

    ``due_at`` and `expires_at` are UTC; a message still queued when it expires fails instead of arriving late.
    ``attempts_max`` counts hand-overs; the chain's own next method is better than a second attempt of a page.
    """

    message_key: str
    person_id: PersonId
    channel: ChannelKind
    address: str
    subject: str
    text: str
    due_at: datetime
    case_id: CaseId | None = None
    chain_id: str = ""
    answer_token: str | None = None
    expires_at: datetime | None = None
    attempts_max: int = 1

    def __post_init__(self) -> None:
        if not 0 < len(self.message_key) <= MESSAGE_KEY_CHARACTERS_MAX:
            message = f"a message key has 1 to {MESSAGE_KEY_CHARACTERS_MAX} characters"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """The channel took it; `provider_id` is what receipts will name."""

    provider_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotSent:
    """It certainly did not go out: refused, or no connection. `reason` is a constant word, never a peer's text."""

    reason: str
    is_retryable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsure:
    """It may have gone out: the connection broke after the text was handed over."""

    reason: str


Outcome = Sent | NotSent | Unsure


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What became of a message: tell the chain `PageFailed` when `is_failure`."""

    message_key: str
    person_id: PersonId
    channel: ChannelKind
    state: MessageState
    case_id: CaseId | None = None
    chain_id: str = ""
    reason: str = ""
    provider_id: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the person may know nothing of it."""
        return self.state in {S.FAILED, S.UNKNOWN}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """What a sender got: messages to hand over until `until`, and those that had expired."""

    messages: tuple[Message, ...]
    until: datetime
    expired: tuple[Settled, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageEvent:
    """One line of a message's trace."""

    message_key: str
    occurred_at: datetime
    happened: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageStatus:
    """A message and where it is."""

    message: Message
    state: MessageState
    attempts: int = 0
    provider_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """What became of a message, at its place in the order of all message events."""

    position: int
    occurred_at: datetime
    settled: Settled


NEWS: Final = frozenset({S.SENT, S.DELIVERED, S.FAILED, S.UNKNOWN, S.ANSWERED})
"""States that a decision may follow from; `Messages.news_after` tells them in order."""

NEWS_PER_READ_MAX: Final = 200
"""News that one decision consumes at most."""


class Messages(Protocol):
    """The queue, as one transaction sees it."""

    def enqueue(self, message: Message, now: datetime) -> bool:
        """Queue a message; say False, and change nothing, when its key is known."""

    def cancel_chain(self, chain_id: str, now: datetime) -> int:
        """Cancel what is still queued of a chain; return how many."""

    def lease(
        self, channel: ChannelKind, now: datetime, *, worker: str, limit: int, is_for_cases: bool | None = None
    ) -> Lease:
        """Take due messages of one channel for `LEASE_S`, those about cases first, then by due time.

        They are in ``sending`` once the transaction commits. `is_for_cases` restricts to messages with, or without, a
        case.
        """

    def release(self, message_key: str, now: datetime, *, worker: str) -> None:
        """Give back a leased message that no channel has seen."""

    def settle(
        self, message_key: str, outcome: Outcome, now: datetime, *, worker: str, is_repeatable: bool
    ) -> Settled | None:
        """Record what a channel answered; None when the message goes on (handed over again later, or already settled).

        Only the worker that holds the lease settles; what a late one says is kept as an event and changes nothing.
        """

    def interrupted(
        self, now: datetime, *, repeatable: frozenset[ChannelKind], gone: frozenset[str] = frozenset()
    ) -> tuple[Settled, ...]:
        """Deal with what dead senders left: leases that ran out, and any of workers known to be `gone`.

        Messages of repeatable channels are queued again; the others become ``unknown`` and are returned.
        """

    def receipt(self, provider_id: str, state: MessageState, now: datetime, *, reason: str = "") -> Settled | None:
        """Record a provider's delivery receipt (``delivered`` or ``failed``); None when it changes nothing."""

    def answer(self, answer_token: str, answer: str, now: datetime) -> Settled | None:
        """Record that the person answered; None when no message has this token, or it was answered before."""

    def news_after(self, position: int, *, limit: int = NEWS_PER_READ_MAX) -> tuple[News, ...]:
        """Return what became of messages after `position`, oldest first.

        Whoever decides on it keeps the last position in the transaction of the decision's effect, so that no failure
        and no answer is missed or acted on twice, whoever dies when.
        """

    def status(self, message_key: str) -> MessageStatus | None:
        """Return a message and where it is."""

    def trace(self, message_key: str) -> tuple[MessageEvent, ...]:
        """Return everything that happened to a message, in order."""


def answer_token(secret: bytes, message_key: str) -> str:
    """Return the unguessable token (22 characters, 132 bits) by which a link answers this message and no other."""
    digest = hmac.new(secret, message_key.encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest)[:22].decode()


def idempotency_key(message_key: str) -> str:
    """Return what a provider is told to recognise a repetition by: the same for the same message, and opaque."""
    return hashlib.sha256(message_key.encode()).hexdigest()[:32]


def after_outcome(status: MessageStatus, outcome: Outcome, *, is_repeatable: bool) -> MessageState:
    """Return the state that follows from what a channel answered."""
    match outcome:
        case Sent():
            return S.SENT
        case NotSent():
            may_repeat = outcome.is_retryable
            otherwise = S.FAILED
        case Unsure():
            may_repeat = is_repeatable
            otherwise = S.UNKNOWN
    return S.QUEUED if may_repeat and status.attempts < status.message.attempts_max else otherwise


def reason_of(outcome: Outcome) -> str:
    """Return the constant word that says why, empty when it was sent."""
    return "" if isinstance(outcome, Sent) else outcome.reason


def settled(status: MessageStatus, state: MessageState, reason: str = "", provider_id: str = "") -> Settled:
    """Return what became of a message as a value."""
    message = status.message
    return Settled(
        message_key=message.message_key,
        person_id=message.person_id,
        channel=message.channel,
        state=state,
        case_id=message.case_id,
        chain_id=message.chain_id,
        reason=reason,
        provider_id=provider_id or status.provider_id,
    )
