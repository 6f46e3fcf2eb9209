"""The worklist of Unified Procedure Steps: what DIMSE and UPS-RS ask of it, decided and kept.

For: every operation of PS3.4 CC.2, for a caller whose rights are known. Not for: bytes, HTTP, or sending events.

Invariants
----------
* A request is decided on the work item as it is in the transaction that changes it: of two that claim, one does.
* What a caller may not see is not there for them.
* A work item with an owner changes only by its owner (`pacs.worklist.ups.tasks`).

References
----------
PS3.4 CC.2.1 to CC.2.8; PS3.18 11
"""

import uuid
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from pacs.archive.header import is_uid
from pacs.archive.matching import MatchingOptions
from pacs.archive.query_values import Item
from pacs.status import Status
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups import store
from pacs.worklist.ups.events import cancel_requested
from pacs.worklist.ups.inputs import expanded
from pacs.worklist.ups.matching import compile_keys
from pacs.worklist.ups.model import (
    FILTERED_SUBSCRIPTION,
    WELL_KNOWN,
    Caller,
    State,
    UpsRefused,
    Workitem,
    WorkitemUid,
    unknown,
)
from pacs.worklist.ups.requirements import (
    attributes_to_create,
    attributes_to_set,
    canceled_attributes,
    ensure_final,
)
from pacs.worklist.ups.states import Asked, Cell, decide, decide_change, decide_update
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.subscriptions import Happening
from pacs.worklist.ups.tasks import TaskOwner

ANSWERS_MAX: Final = 2_000
"""Work items of one answer: ten times what a territory's night has."""

_REPORTED: Final = frozenset({tag.PROGRESS_INFORMATION_SEQUENCE, tag.PERFORMED_PROCEDURE_SEQUENCE})
"""What the performer of an owned task reports; all else is what the owner says."""

_RANK: Final = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}


class TooManyWorkitems(Unavailable):
    """More work items match than one answer holds: a part of them must not look like the whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What became of a request that was carried out, or was so already (a warning)."""

    uid: WorkitemUid
    status: Status = Status.SUCCESS


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """What a subscription asks for; ``keys`` only for the filtered one."""

    subscriber: Subscriber
    is_locked: bool = False
    keys: Item = field(repr=False, default_factory=dict)


class Worklist:
    """The operations.

    Parameters
    ----------
    database : Database
    clock : Clock
    owner : TaskOwner
        Decides about work items that show somebody's tasks.
    """

    def __init__(self, database: Database, clock: Clock, owner: TaskOwner) -> None:
        self._database = database
        self._clock = clock
        self._owner = owner

    # One work item

    def create(self, asked: Item, uid: str, caller: Caller, *, site_id: str = "") -> Done:
        """Create a work item (N-CREATE); `uid` is '' when it is to be given one.

        Raises
        ------
        UpsRefused
            0111 when there is or was one of this UID, C309, 0120, 0106, 0124.
        """
        _ensure(caller.may_request, "this caller may not create work items")
        created = attributes_to_create(asked)
        chosen = WorkitemUid(uid or f"2.25.{uuid.uuid4().int}")
        if not is_uid(chosen.encode("ascii", "replace")):
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, "the SOP Instance UID is no UID", tag=tag.SOP_INSTANCE_UID)
        now = self._clock.now()
        workitem = Workitem(
            uid=chosen,
            state=State.SCHEDULED,
            attributes=created.attributes,
            site_id=site_id,
            creator=caller.name,
            created_at=now,
            changed_at=now,
        )
        with self._database.write(durable=True) as connection:
            known = store.find(connection, chosen)
            cell = decide(Asked.CREATE, None if known is None else known.state)
            if not cell.is_done or store.is_gone(connection, chosen) or chosen in WELL_KNOWN:
                raise UpsRefused(Status.DUPLICATE_SOP_INSTANCE, "there is or was a work item of this UID")
            store.record(connection, None, workitem, now)
        return Done(uid=chosen, status=Status.UPS_CREATED_WITH_MODIFICATIONS if created.is_modified else Status.SUCCESS)

    def get(self, uid: str, caller: Caller) -> Item:
        """Return what may be told of a work item (N-GET)."""
        with self._database.read() as connection:
            workitem = _seen(connection, uid, caller)
            dataset = workitem.dataset()
            return expanded(connection, dataset) if workitem.owner else dataset

    def update(self, uid: str, asked: Item, transaction_uid: str, caller: Caller) -> Done:
        """Set attributes (N-SET); `transaction_uid` is '' when the request brought none."""
        _ensure(caller.may_perform or caller.may_request, "this caller may not change work items")
        task = self._current(uid, caller)
        if task.owner and task.state is State.SCHEDULED:
            return self._assign(task, asked, transaction_uid, caller)
        now = self._clock.now()
        with self._database.write(durable=True) as connection:
            workitem = _seen(connection, uid, caller)
            _raise_unless_done(decide_update(workitem, transaction_uid))
            if workitem.owner:
                _ensure_reported_only(asked)
            attributes = attributes_to_set(workitem, asked)
            store.record(connection, workitem, workitem.with_attributes(attributes, now), now)
        return Done(uid=workitem.uid)

    def change_state(self, uid: str, to: State, transaction_uid: str, caller: Caller) -> Done:
        """Claim, complete or cancel (N-ACTION, Change UPS State)."""
        _ensure(caller.may_perform, "this caller may not perform work items")
        task = self._current(uid, caller)
        cell = decide_change(task, to, transaction_uid)
        if cell.is_warning:
            return Done(uid=task.uid, status=cell.status)
        _raise_unless_done(cell)
        if task.owner:
            self._ask_owner(task, to, transaction_uid, caller)
            return Done(uid=task.uid)
        now = self._clock.now()
        with self._database.write(durable=True) as connection:
            workitem = _seen(connection, uid, caller)
            cell = decide_change(workitem, to, transaction_uid)
            _raise_unless_done(cell)
            if to is State.CANCELED:
                workitem_after = workitem.with_attributes(canceled_attributes(workitem.attributes, now), now)
            else:
                workitem_after = workitem
            if cell.needs_final:
                ensure_final(workitem_after, to)
            store.record(connection, workitem, workitem_after.moved(to, now, transaction_uid=transaction_uid), now)
        return Done(uid=workitem.uid)

    def request_cancel(self, uid: str, said: Item, caller: Caller) -> Done:
        """Ask that a work item be canceled (N-ACTION, Request UPS Cancel): done while nobody has claimed it, else told
        to its subscribers.

        Raises
        ------
        UpsRefused
            C311 when it is completed, C312 when nobody listens, C313 when its owner says no.
        """
        _ensure(caller.may_request, "this caller may not ask to cancel work items")
        task = self._current(uid, caller)
        now = self._clock.now()
        if task.owner and task.state is State.SCHEDULED:
            self._owner.withdraw(task, tag.text_of(said, tag.REASON_FOR_CANCELLATION), caller)
            return Done(uid=task.uid)
        with self._database.write(durable=True) as connection:
            workitem = _seen(connection, uid, caller)
            cell = decide(Asked.REQUEST_CANCEL, workitem.state)
            if cell.is_warning:
                return Done(uid=workitem.uid, status=cell.status)
            _raise_unless_done(cell)
            told = store.tell(connection, workitem, cancel_requested(caller.name[:16], said), now)
            if cell.tells_only:
                if not told:
                    raise UpsRefused(Status.UPS_PERFORMER_UNREACHABLE, "nobody listens to events of this work item")
                return Done(uid=workitem.uid)
            after = workitem.with_attributes(canceled_attributes(workitem.attributes, now, said), now)
            store.record(connection, workitem, after.moved(State.CANCELED, now), now)
        return Done(uid=workitem.uid)

    # All of them

    def search(
        self,
        keys: Item,
        caller: Caller,
        *,
        options: MatchingOptions | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Item]:
        """Return the work items that match (C-FIND), urgent ones first, then those that are due first.

        Raises
        ------
        pacs.archive.matching.InvalidKey
            If a key has no meaning.
        TooManyWorkitems
            If more match than one answer holds, and no limit was given.
        """
        compiled = compile_keys(keys, options)
        found: list[tuple[tuple[int, str, str], Item]] = []
        with self._database.read() as connection:
            for workitem in store.every(connection, compiled.narrowing()):
                dataset = workitem.dataset()
                if caller.sees(workitem) and compiled.matches(dataset):
                    found.append((_haste(workitem), dataset))
        found.sort(key=lambda one: one[0])
        chosen = [dataset for _, dataset in found[offset : None if limit is None else offset + limit]]
        if len(chosen) > ANSWERS_MAX:
            raise TooManyWorkitems(f"more than {ANSWERS_MAX} work items match; ask more narrowly, or with a limit")
        return chosen

    # Subscriptions

    def subscribe(self, uid: str, asking: Asking, caller: Caller) -> Done:
        """Have an AE told of one work item, of all, or of those that match its keys."""
        now = self._clock.now()
        with self._database.write(durable=True) as connection:
            self._keep_subscriber(connection, asking.subscriber)
            if uid in WELL_KNOWN:
                _subscribe_globally(connection, uid, asking, self._clock)
            else:
                workitem = _seen(connection, uid, caller)
                happening = Happening.SUBSCRIBED_LOCKED if asking.is_locked else Happening.SUBSCRIBED_UNLOCKED
                store.apply(connection, happening, asking.subscriber, workitem, now)
        return Done(uid=WorkitemUid(uid))

    def unsubscribe(self, uid: str, subscriber: Subscriber, caller: Caller) -> bool:
        """End the subscription of an AE to one work item, or to all of them; say whether there was one."""
        now = self._clock.now()
        with self._database.write(durable=True) as connection:
            _ensure_holder(connection, subscriber)
            if uid in WELL_KNOWN:
                had_global = store.drop_global(connection, subscriber.aet, uid)
                return store.drop_every(connection, subscriber.aet) or had_global
            workitem = _seen(connection, uid, caller)
            was = store.subscription(connection, uid, subscriber.aet)
            store.apply(connection, Happening.UNSUBSCRIBED, subscriber, workitem, now)
        return was.is_told

    def suspend(self, uid: str, subscriber: Subscriber) -> bool:
        """Subscribe an AE to no further work items; those that it is subscribed to stay. Say whether it was.

        Raises
        ------
        UpsRefused
            C314 when the UID is that of one work item.
        """
        if uid not in WELL_KNOWN:
            raise UpsRefused(Status.UPS_ACTION_NOT_APPROPRIATE, "only a global subscription is suspended")
        with self._database.write(durable=True) as connection:
            _ensure_holder(connection, subscriber)
            return store.drop_global(connection, subscriber.aet, uid)

    def _keep_subscriber(self, connection: Connection, one: Subscriber) -> None:
        _ensure_holder(connection, one)
        if store.subscriber(connection, one.aet) != one:
            store.keep_subscriber(connection, one)

    # Tasks of others

    def _current(self, uid: str, caller: Caller) -> Workitem:
        """Return a work item as it is now: one with an owner as the owner says it is now."""
        with self._database.read() as connection:
            workitem = _seen(connection, uid, caller)
        if not workitem.owner or workitem.state.is_final:
            return workitem
        self._owner.refresh(workitem)
        with self._database.read() as connection:
            return _seen(connection, uid, caller)

    def _ask_owner(self, task: Workitem, to: State, transaction_uid: str, caller: Caller) -> None:
        match to:
            case State.IN_PROGRESS:
                self._owner.claim(task, transaction_uid, caller)
            case State.COMPLETED:
                self._owner.complete(task, transaction_uid, caller)
            case _:
                progress = tag.first_item(task.attributes, tag.PROGRESS_INFORMATION_SEQUENCE)
                reason = tag.text_of(progress, tag.REASON_FOR_CANCELLATION)
                self._owner.give_back(task, transaction_uid, reason, caller)

    def _assign(self, task: Workitem, asked: Item, transaction_uid: str, caller: Caller) -> Done:
        _raise_unless_done(decide_update(task, transaction_uid))
        if asked.keys() != {tag.SCHEDULED_HUMAN_PERFORMERS_SEQUENCE}:
            message = "of an unclaimed reading task only (0040,4034) is set; the case says the rest"
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, message)
        _ensure(caller.may_assign, "this caller may not say who reads")
        self._owner.assign(task, asked[tag.SCHEDULED_HUMAN_PERFORMERS_SEQUENCE].items, caller)
        return Done(uid=task.uid)


def _seen(connection: Connection, uid: str, caller: Caller) -> Workitem:
    workitem = store.find(connection, uid)
    if workitem is None:
        raise unknown(is_gone=store.is_gone(connection, uid))
    if not caller.sees(workitem):
        raise unknown()
    return workitem


def _raise_unless_done(cell: Cell) -> None:
    if not cell.is_done:
        raise UpsRefused(cell.status, _COMMENTS.get(cell.status, "not possible in its state"))


_COMMENTS: Final = {
    Status.UPS_NO_LONGER_UPDATABLE: "the work item has ended",
    Status.UPS_TRANSACTION_UID_WRONG: "the Transaction UID is missing or incorrect",
    Status.UPS_ALREADY_IN_PROGRESS: "the work item is claimed already",
    Status.UPS_SCHEDULED_BY_CREATION_ONLY: "a work item becomes SCHEDULED by its creation only",
    Status.UPS_NOT_YET_IN_PROGRESS: "the work item is not claimed",
    Status.UPS_IS_COMPLETED: "the work item is completed",
}


def _ensure(is_allowed: bool, comment: str) -> None:  # reads as a sentence where it is called
    if not is_allowed:
        raise UpsRefused(Status.NOT_AUTHORIZED, comment)


def _ensure_reported_only(asked: Item) -> None:
    others = asked.keys() - _REPORTED
    if others:
        message = "of a claimed reading task progress and results are set; the case says the rest"
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, message, tag=min(others))


def _ensure_holder(connection: Connection, one: Subscriber) -> None:
    known = store.subscriber(connection, one.aet)
    _ensure(known is None or known.holder == one.holder, "somebody else subscribes under this AE title")


def _subscribe_globally(connection: Connection, uid: str, asking: Asking, clock: Clock) -> None:
    is_filtered = uid == FILTERED_SUBSCRIPTION
    if is_filtered and not asking.keys:
        raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "a filtered subscription needs matching keys")
    keys = asking.keys if is_filtered else {}
    compiled = compile_keys(keys)
    one, now = asking.subscriber, clock.now()
    store.keep_global(connection, one.aet, uid, is_locked=asking.is_locked, keys=keys)
    happening = Happening.SUBSCRIBED_GLOBALLY_LOCKED if asking.is_locked else Happening.SUBSCRIBED_GLOBALLY_UNLOCKED
    for workitem in list(store.every(connection, compiled.narrowing())):
        if one.sees(workitem) and compiled.matches(workitem.dataset()):
            store.apply(connection, happening, one, workitem, now)


def _haste(workitem: Workitem) -> tuple[int, str, str]:
    attributes = workitem.attributes
    due = tag.text_of(attributes, tag.EXPECTED_COMPLETION) or "9"
    return _RANK.get(tag.text_of(attributes, tag.PRIORITY), 3), due, tag.text_of(attributes, tag.SCHEDULED_START)
