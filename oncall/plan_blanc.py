"""Plan blanc: a whole staff list recalled in parallel, as pure decisions on values.

For: who is called next by what, and the board of a crisis cell (who, channel, delivered, answered, ETA). Not for: rows
(`oncall.recall_store`), rehearsing (`oncall.drill`, which cannot page), sending (`oncall.dispatch`).

Invariants: everybody is called at once by their first method; who is silent, or was not reached, is called by the next
one; an answer stops the calls to that person and to nobody else; who has no method at all stands on the board from
the first second as somebody to be fetched.

Source: `oncall_domain.md` section 0 (Valenciennes 2016: 100 people in 8 min), 4.2 SYSTEM/MODE, 5.14.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from foundation.errors import Refused
from oncall.directory import ContactMethod, Person, PersonId
from oncall.messages import MessageState

RECALLED_MAX: Final = 5000
"""People on one staff list: ten times the largest hospital of the territory."""

ID_CHARACTERS_MAX: Final = 48
"""Of a recall's id, so that the keys of its messages fit their column."""

# No slash: ids are parts of message keys and addresses.
_ID: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{ID_CHARACTERS_MAX}}}")


class Answer(StrEnum):
    """What a recalled person says."""

    COMING = "coming"
    NOT_COMING = "not_coming"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recalled:
    """One person of the list, as they were when the recall began."""

    person_id: PersonId
    language: str
    methods: tuple[ContactMethod, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecallOrder:
    """What is to be done: recall `people` to `place`; silent ones are called again after `next_method_after_s`.

    Each method is used at most `rounds` times.

    Raises
    ------
    Refused
        If nobody, somebody twice or too many are to be recalled, or the id is too long.
    """

    recall_id: str
    place: str
    zone: str
    people: tuple[Recalled, ...]
    started_by: str
    next_method_after_s: float = 120.0
    rounds: int = 2

    def __post_init__(self) -> None:
        if not 0 < len(self.people) <= RECALLED_MAX:
            raise Refused(f"a recall is of 1 to {RECALLED_MAX} people; split the list")
        if len({recalled.person_id for recalled in self.people}) < len(self.people):
            raise Refused("somebody is on the recall list twice; each person is called once")
        if not _ID.fullmatch(self.recall_id) or self.next_method_after_s <= 0 or self.rounds < 1:
            raise Refused(
                f"a recall has an id of 1 to {ID_CHARACTERS_MAX} letters, digits, dots and dashes, a positive wait and "
                "a round"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One call so far: by which method (index), when, and what became of it."""

    method: int
    called_at: datetime
    state: MessageState
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What somebody answered when, and when they will be there (UTC)."""

    answer: Answer
    answered_at: datetime
    arrives_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Call this person by that method now; `number` counts their calls from 0."""

    person_id: PersonId
    method: int
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """One line of the board. ``reason`` is why somebody is not reached."""

    person_id: PersonId
    channel: str
    calls: int
    is_handed_over: bool
    is_delivered: bool
    answer: str = ""
    answered_at: datetime | None = None
    arrives_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """What the crisis cell sees."""

    standings: tuple[Standing, ...]

    def count(self) -> dict[str, int]:
        """Return how many were recalled, handed over, delivered, are coming, are not, are silent, out of reach."""
        lines = self.standings
        return {
            "recalled": len(lines),
            "handed_over": sum(line.is_handed_over for line in lines),
            "delivered": sum(line.is_delivered for line in lines),
            "coming": sum(line.answer == Answer.COMING for line in lines),
            "not_coming": sum(line.answer == Answer.NOT_COMING for line in lines),
            "silent": sum(not line.answer for line in lines),
            "out_of_reach": sum(bool(line.reason) and not line.answer for line in lines),
        }


def recalled(people: Sequence[Person]) -> tuple[Recalled, ...]:
    """Return the list as it is now."""
    return tuple(
        Recalled(person_id=person.person_id, language=person.language, methods=person.contact_methods)
        for person in people
    )


def next_calls(
    order: RecallOrder,
    attempts: Mapping[PersonId, Sequence[Attempt]],
    replies: Mapping[PersonId, Reply],
    now: datetime,
) -> tuple[Call, ...]:
    """Return whom to call now by what: the first time everybody, later the silent and the not reached."""
    calls = []
    for person in order.people:
        made = attempts.get(person.person_id, ())
        due_at = _due_at(order, person, made, now)
        if person.person_id not in replies and due_at is not None and due_at <= now:
            calls.append(Call(person_id=person.person_id, method=len(made) % len(person.methods), number=len(made)))
    return tuple(calls)


def next_due_at(
    order: RecallOrder,
    attempts: Mapping[PersonId, Sequence[Attempt]],
    replies: Mapping[PersonId, Reply],
    now: datetime,
) -> datetime | None:
    """Return when `next_calls` has something to say (now, or later), None when nobody is left to call."""
    due = [
        _due_at(order, person, attempts.get(person.person_id, ()), now)
        for person in order.people
        if person.person_id not in replies
    ]
    return min((instant for instant in due if instant is not None), default=None)


def board(
    order: RecallOrder, attempts: Mapping[PersonId, Sequence[Attempt]], replies: Mapping[PersonId, Reply]
) -> Board:
    """Return who was called by what, and what came of it, in the order of the list."""
    return Board(
        standings=tuple(
            _standing(person, attempts.get(person.person_id, ()), replies.get(person.person_id))
            for person in order.people
        )
    )


def _due_at(order: RecallOrder, person: Recalled, made: Sequence[Attempt], now: datetime) -> datetime | None:
    if len(made) >= order.rounds * len(person.methods):
        return None
    # A failure is answered by another method at once; once all were tried, only time can help.
    if not made or (_is_failure(made[-1]) and len(made) < len(person.methods)):
        return now
    return made[-1].called_at + timedelta(seconds=order.next_method_after_s)


def _is_failure(attempt: Attempt) -> bool:
    return attempt.state in {MessageState.FAILED, MessageState.UNKNOWN}


def _standing(person: Recalled, made: Sequence[Attempt], reply: Reply | None) -> Standing:
    states = {attempt.state for attempt in made}
    taken = states & {MessageState.SENT, MessageState.DELIVERED, MessageState.ANSWERED}
    reason = ""
    if not person.methods:
        reason = "no_contact_method"
    elif made and all(map(_is_failure, made)):
        reason = made[-1].reason
    return Standing(
        person_id=person.person_id,
        channel=str(person.methods[made[-1].method].kind) if made else "",
        calls=len(made),
        is_handed_over=bool(taken),
        is_delivered=bool(states & {MessageState.DELIVERED, MessageState.ANSWERED}),
        answer="" if reply is None else str(reply.answer),
        answered_at=None if reply is None else reply.answered_at,
        arrives_at=None if reply is None else reply.arrives_at,
        reason=reason,
    )
