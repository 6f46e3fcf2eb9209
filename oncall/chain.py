"""Values of an escalation: the chain, what happens to it, what it asks to be done. `oncall.escalation` decides.

Everything is a frozen snapshot, so that a chain can be kept in a timer's row and replayed. Instants are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from oncall.case.event import CaseId, Fact
from oncall.directory import ContactMethod, PersonId, SiteId
from oncall.ladder import Ladder, Target
from oncall.reading.board import Urgency


class Cause(StrEnum):
    """Why a level begins."""

    ASSIGNED = "assigned"
    SILENCE = "silence"
    DECLINED = "declined"
    TECHNICAL = "technical"
    DEADLINE_FORECAST = "deadline_forecast"
    DEADLINE_MISSED = "deadline_missed"
    CAPACITY = "capacity"
    SKILL_GAP = "skill_gap"
    CLINICAL = "clinical"


class PageKind(StrEnum):
    """What a page asks; `oncall.notify` has the words."""

    READ_CASE = "read_case"
    REPEATED = "repeated"
    ESCALATED = "escalated"
    HOSPITAL_ALARM = "hospital_alarm"
    REPORT_UNREAD = "report_unread"
    ANSWER_REQUEST = "answer_request"
    TRANSFER_STOPPED = "transfer_stopped"


class ChainState(StrEnum):
    """RUNNING through its steps, EXHAUSTED and alarming the hospital, or ended by an answer or by the case."""

    RUNNING = "running"
    EXHAUSTED = "exhausted"
    ACKNOWLEDGED = "acknowledged"
    STOPPED = "stopped"


ALIVE: Final = frozenset({ChainState.RUNNING, ChainState.EXHAUSTED})

# What an operator's wall shows when a hospital has nobody whom a channel reaches.
CONTROL_ROOM: Final = PersonId("control_room")


@dataclass(frozen=True, kw_only=True, slots=True)
class Callee:
    """Somebody whom a step may page, with methods in order; `refusal` names the rule that forbids it, or is empty."""

    person_id: PersonId
    methods: tuple[ContactMethod, ...]
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The case that a chain is about, as far as paging needs it."""

    case_id: CaseId
    site_id: SiteId
    urgency: Urgency


@dataclass(frozen=True, kw_only=True, slots=True)
class Paged:
    """Somebody paged in the present step: `used` is the method of each page so far, `failed` those that failed."""

    person_id: PersonId
    methods: tuple[ContactMethod, ...]
    used: tuple[int, ...] = ()
    failed: frozenset[int] = frozenset()
    # Pages beyond the policy's, because a channel failed: they do not count towards `pages_max`.
    replaced: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A running or ended escalation; `next_alarm_at` (UTC) is when `Due` must be told next, None only when ended."""

    chain_id: str
    subject: Subject
    ladder: Ladder
    cause: Cause
    begun_at: datetime
    next_alarm_at: datetime | None
    state: ChainState = ChainState.RUNNING
    round: int = 0
    # Index of the present step; -1 before the first one. Counts alarms once exhausted.
    position: int = -1
    step_ends_at: datetime | None = None
    paged: tuple[Paged, ...] = ()
    paged_before: frozenset[PersonId] = frozenset()
    declined: frozenset[PersonId] = frozenset()
    ended_by: str = ""

    def __post_init__(self) -> None:
        if (self.state in ALIVE) != (self.next_alarm_at is not None):
            message = f"chain {self.chain_id}: alive means having a next alarm time, and only that"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """The alarm time has come; `callees` are the people whom each target means now."""

    callees: Mapping[Target, tuple[Callee, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledged:
    """Somebody answered a page of the chain `chain_id`."""

    chain_id: str
    person_id: PersonId


@dataclass(frozen=True, kw_only=True, slots=True)
class Declined:
    """Somebody answered a page of the chain `chain_id` with no."""

    chain_id: str
    person_id: PersonId
    callees: Mapping[Target, tuple[Callee, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Informed:
    """Somebody who is only told (a neurologist) answered a page of the chain `chain_id`: it goes on at once."""

    chain_id: str
    person_id: PersonId
    callees: Mapping[Target, tuple[Callee, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PageFailed:
    """The page did not go out, or nobody knows whether it did (a crash while sending); `reason` is logged."""

    message_key: str
    reason: str
    callees: Mapping[Target, tuple[Callee, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Raised:
    """The case is more urgent now; the present waits are measured anew from now and only ever shorten."""

    urgency: Urgency


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """The case needs nobody any more (claimed, signed, withdrawn), or another chain begins; `reason` is logged.

    With `is_superseded` another reader is asked instead: the hospital's alarm stays true until they answer, and what no
    channel has of it yet goes out.
    """

    reason: str
    is_superseded: bool = False


Happening = Due | Acknowledged | Declined | Informed | PageFailed | Raised | Closed


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Send one message to one person; `message_key` is the same whenever the same decision is taken again."""

    message_key: str
    chain_id: str
    subject: Subject
    person_id: PersonId
    method: ContactMethod
    kind: PageKind
    level: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelPages:
    """Take back every page of the chain that no channel has yet."""

    chain_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Append a fact to the case's log."""

    fact: Fact


Action = Page | CancelPages | Record
