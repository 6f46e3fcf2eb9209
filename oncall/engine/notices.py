"""Messages of the night that belong to no case's chain, each followed until it is heard, answered, or given up.

For: calls to backups and their release, handovers, and alarms about them: the first method, then the next one as soon
as one fails or stays silent, as a timer's row. Not for: what giving up means (`oncall.engine.due`), or pages of a case
(`oncall.engine.paging`).

Invariants: one notice of a name is followed at a time; going on and giving up are facts of the night's log with their
reason, so no silence is without a cause.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from foundation.instants import instant_of_us, microseconds
from oncall.case.event import Fact
from oncall.directory import PersonId
from oncall.engine.draft import Draft
from oncall.engine.duty import DutyType
from oncall.messages import MessageState, Settled
from oncall.notify import NoticeKind, Words, notice_message
from oncall.timers import Timer

NOTICE: Final = "notice"

UNCONFIRMED: Final = "unconfirmed"
"""Why a notice that nobody answers is sent again: no channel has said that it took it."""

# A notice that nobody need answer: how long a channel may take to say that it has it.
_CONFIRMED_WITHIN_S: Final = 900.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One message to one person; `name` is what it is about, `chain_id` is that at its time.

    ``answer_s`` is how long an answer may take by all methods together; 0 when nobody waits for one. ``told`` are those
    who were told before and have not answered. ``tries`` counts messages sent.
    """

    name: str
    chain_id: str
    person_id: PersonId
    kind: NoticeKind
    about_at: datetime
    place: str = "Telegarde"
    count: int = 0
    answer_s: float = 0.0
    told: tuple[PersonId, ...] = ()
    tries: int = 0

    @property
    def message_key(self) -> str:
        """The key of the message sent last."""
        return self.chain_id if self.tries < 2 else f"{self.chain_id}/{self.tries}"


def tell(
    draft: Draft, name: str, person_id: PersonId, kind: NoticeKind, *, about_at: datetime, place: str = "Telegarde",
    count: int = 0, answer_s: float = 0.0, told: tuple[PersonId, ...] = (),
) -> bool:  # fmt: skip
    """Send a notice by the person's first method and follow it; False, and on record, when they have none."""
    notice = Notice(
        name=name, chain_id=f"{name}:{microseconds(draft.now)}", person_id=person_id, kind=kind, about_at=about_at,
        place=place, count=count, answer_s=answer_s, told=told,
    )  # fmt: skip
    if not _methods(draft, person_id):
        record_unsent(draft, notice, "no_contact_method")
        return False
    _send(draft, notice)
    return True


def find(draft: Draft, name: str) -> Notice | None:
    """Return the notice of this name that is followed now."""
    timer = draft.timer(_key(name))
    return None if timer is None else of_row(timer.payload)


def close(draft: Draft, name: str) -> None:
    """Follow a notice no more, and take back what no channel has yet of it."""
    notice = find(draft, name)
    if notice is not None:
        draft.cancel_timer(_key(name))
        draft.cancel_pages(notice.chain_id)


def go_on(draft: Draft, notice: Notice, reason: str) -> bool:
    """Send a notice by the next method; False, and on record, when there is none left: then it is given up."""
    if notice.tries < _tries_max(draft, notice):
        _send(draft, notice)
        draft.record_duty(_fact(draft, DutyType.NOTICE_REPEATED, notice, reason))
        return True
    draft.cancel_timer(_key(notice.name))
    draft.cancel_pages(notice.chain_id)
    record_unsent(draft, notice, reason)
    return False


def heard(draft: Draft, settled: Settled) -> Notice | None:
    """Take what became of a notice's message; return the notice when it must go on by another method now."""
    notice = find(draft, settled.chain_id.rpartition(":")[0])
    if notice is None or notice.message_key != settled.message_key:
        return None
    if settled.is_failure:
        return notice
    if notice.answer_s == 0.0 and settled.state in {MessageState.SENT, MessageState.DELIVERED}:
        draft.cancel_timer(_key(notice.name))
    return None


def record_unsent(draft: Draft, notice: Notice, reason: str) -> None:
    """Record that somebody was not reached, and why."""
    draft.record_duty(_fact(draft, DutyType.NO_NOTIFICATION_SENT, notice, reason))


def of_row(row: Mapping[str, Any]) -> Notice:
    """Return the notice that a timer's row holds."""
    return Notice(
        name=row["name"],
        chain_id=row["chain_id"],
        person_id=PersonId(row["person_id"]),
        kind=NoticeKind(row["kind"]),
        about_at=instant_of_us(row["about_at_us"]),
        place=row["place"],
        count=row["count"],
        answer_s=row["answer_s"],
        told=tuple(map(PersonId, row["told"])),
        tries=row["tries"],
    )


def _send(draft: Draft, notice: Notice) -> None:
    person = draft.rules.directory.persons[notice.person_id]
    method = person.contact_methods[notice.tries % len(person.contact_methods)]
    sent = replace(notice, tries=notice.tries + 1)
    line = next(iter(draft.rules.roster.lines), None)
    words = Words(
        place=sent.place,
        zone="Europe/Paris" if line is None else line.time_zone,
        deadline_at=sent.about_at,
        count=sent.count,
    )
    wait_s = _wait_s(draft, sent)
    message = notice_message(
        sent.message_key, sent.kind, words, person, method, draft.now,
        sender=draft.sender, chain_id=sent.chain_id, attempts_max=1 if len(person.contact_methods) > 1 else 2,
    )  # fmt: skip
    due_at = draft.now + timedelta(seconds=wait_s)
    # What no channel took by then goes on by another method, and must not arrive behind it.
    draft.messages.append(replace(message, expires_at=due_at))
    draft.set_timer(Timer(timer_key=_key(sent.name), kind=NOTICE, due_at=due_at, payload=_to_row(sent)))


def _wait_s(draft: Draft, notice: Notice) -> float:
    return notice.answer_s / _tries_max(draft, notice) if notice.answer_s else _CONFIRMED_WITHIN_S


def _tries_max(draft: Draft, notice: Notice) -> int:
    """Return how often somebody is told: by each method, and twice at least where an answer is wanted."""
    methods = len(_methods(draft, notice.person_id))
    return max(methods, 2) if notice.answer_s and methods else methods


def _methods(draft: Draft, person_id: PersonId) -> tuple[object, ...]:
    person = draft.rules.directory.persons.get(person_id)
    return () if person is None else person.contact_methods


def _fact(draft: Draft, happened: DutyType, notice: Notice, reason: str) -> Fact:
    return draft.fact(
        happened, person_id=notice.person_id, kind=notice.kind.value, chain_id=notice.chain_id, reason=reason
    )


def _key(name: str) -> str:
    return f"{NOTICE}:{name}"


def _to_row(notice: Notice) -> dict[str, Any]:
    return {
        "name": notice.name,
        "chain_id": notice.chain_id,
        "person_id": notice.person_id,
        "kind": notice.kind.value,
        "about_at_us": microseconds(notice.about_at),
        "place": notice.place,
        "count": notice.count,
        "answer_s": notice.answer_s,
        "told": list(notice.told),
        "tries": notice.tries,
    }
