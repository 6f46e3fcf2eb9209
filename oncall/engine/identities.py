"""What hospitals say of whose patients are one, taken into the cases: merged, split again, qualified, doubted.

For: the engine's method that takes the topic ``patient_identity/1``, and the port through which it sees a change. Not
for: who is linked with whom (`pacs.worklist.identity`), or contradictions that a person settles.

Invariants
----------
* A case follows its patient: merged with them, split when that is undone, and only cases that the merge moved go back.
* A link (A24) changes no case: both identifiers stay in use.
* What is blocked stays blocked: a person settles it.
* The cursor moves in the commit of what it brought.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from foundation import log
from foundation.errors import PeerError, Refused
from foundation.outbox import OutboxEvent
from oncall.case import commands
from oncall.case.commands import Context
from oncall.case.event import Actor
from oncall.case.regions import IdentityState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.engine import rematch
from oncall.engine.consuming import Consuming
from oncall.engine.draft import Draft
from pacs.contracts import TOPIC_PATIENT_IDENTITY

CONSUMER: Final = "oncall.engine.identities"
"""Whose cursor on the outbox."""

TOPICS: Final = (TOPIC_PATIENT_IDENTITY,)

_HOSPITAL: Final = "hospital"


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityNews:
    """What was said of patients, in opaque keys.

    Attributes
    ----------
    change : str
        ``merged``, ``linked``, ``unlinked`` or ``updated``.
    patient_key : str
        Who stays, or whose identity was updated.
    other_patient_key : str
        Who was merged into them, or is another again; '' for an update.
    was_merged : bool
        What was undone was a merge.
    was_qualified, is_qualified : bool
        How the INS of an updated identity stood before, and stands now.
    is_undone : bool
        A merge that does not stand any more.
    """

    change: str
    patient_key: str
    other_patient_key: str = ""
    was_merged: bool = False
    was_qualified: bool = False
    is_qualified: bool = False
    is_undone: bool = False
    source_message: str = ""
    issuer: str = ""


IdentityDescriber = Callable[[str], IdentityNews | None]
"""Looks up what was said under an id; None when there is nothing. Raises `foundation.errors.Unavailable`."""


class Identities(Consuming):
    """The engine's method about patients' identities."""

    def take_identities(self, now: datetime, describe: IdentityDescriber) -> int:
        """Take what was said of patients into the cases; return how many events of the outbox that was.

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer; what was not taken is taken later.
        """

        def take_batch(draft: Draft, events: Sequence[OutboxEvent]) -> int:
            for event in events:
                news = describe(str(event.payload["change_id"]))
                if news is None:
                    log.error("identity_change_without_row", offset=event.event_id)
                else:
                    take(draft, event, news)
            return len(events)

        return self._consume(now, CONSUMER, TOPICS, take_batch)


def take(draft: Draft, event: OutboxEvent, news: IdentityNews) -> None:
    """Tell every case that one thing was said of its patient."""
    context = _context(draft, event, news)
    for case in sorted(draft.every_case(), key=lambda one: (one.opened_at, one.case_id)):
        try:
            _tell(draft, case, news, context)
        except (Refused, PeerError) as error:
            log.error("identity_refused_by_case", error=type(error).__name__)


def _tell(draft: Draft, case: Case, news: IdentityNews, context: Context) -> None:
    key, other = case.patient_key, news.other_patient_key
    match news.change:
        case "merged" if other and key == other and not news.is_undone:
            merged = commands.say(
                case, context, EventType.IDENTITY_MERGED,
                patient_key=news.patient_key, former_patient_key=other, reason="the hospital has merged the two",
            )  # fmt: skip
            draft.record(case.case_id, *merged)
            if case.identity.state is not IdentityState.BLOCKED:
                rematch.look_again(draft, case.case_id)
        case "unlinked" if news.was_merged and key == news.patient_key and _came_from(draft, case, other):
            split = commands.say(
                case, context, EventType.IDENTITY_SPLIT,
                patient_key=other, former_patient_key=key, reason="the hospital has undone the merge",
            )  # fmt: skip
            draft.record(case.case_id, *split)
        case "updated" if key and key == news.patient_key and case.is_open:
            _updated(draft, case, news, context)
        case _:
            pass


def _updated(draft: Draft, case: Case, news: IdentityNews, context: Context) -> None:
    state = case.identity.state
    if news.is_qualified and state is IdentityState.KNOWN:
        rematch.qualify_identity(draft, case.case_id, news.patient_key, context, method="INS qualified by the hospital")
    elif news.was_qualified and not news.is_qualified and state is IdentityState.QUALIFIED:
        doubted = commands.say(
            case, context, EventType.IDENTITY_CORRECTED,
            patient_key=news.patient_key, former_patient_key=news.patient_key,
            reason="the INS is no longer qualified",
        )  # fmt: skip
        draft.record(case.case_id, *doubted)


def _came_from(draft: Draft, case: Case, other: str) -> bool:
    """Say whether a case was of the other patient before the merge: the last merge or split that named both says it."""
    for event in reversed(draft.log_of(case.case_id)):
        payload = event.fact.payload
        if event.type in {EventType.IDENTITY_MERGED, EventType.IDENTITY_SPLIT} and other in {
            payload.get("former_patient_key"), payload["patient_key"],
        }:  # fmt: skip
            return event.type == EventType.IDENTITY_MERGED
    return False


def _context(draft: Draft, event: OutboxEvent, news: IdentityNews) -> Context:
    stated_at = datetime.fromtimestamp(event.created_at_s, tz=UTC) if event.created_at_s else draft.now
    return replace(
        draft.context,
        actor=Actor(who=news.issuer, role=_HOSPITAL),
        happened_at=min(stated_at, draft.now),
        source_message=news.source_message,
    )
