"""What may happen to a work item in each state: PS3.4 Table CC.1.1-2 and the rules of N-SET, as data.

For: one decision about one request. Not for: whether a final state's attributes are there
(`pacs.worklist.ups.requirements`), who may ask, or rows.

Invariants: no cell leads back to SCHEDULED; a final state is never left; without the Transaction UID of the claim
nothing of a claimed work item changes.

References
----------
PS3.4 CC.1.1 (states and transitions), CC.2.6 (N-SET), CC.2.2 (cancel requests)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pacs.status import Status
from pacs.worklist.ups.model import State, Workitem

__all__ = ["TABLE", "Asked", "Cell", "decide", "decide_change", "decide_update"]


class Asked(StrEnum):
    """The rows of the table: a request, and whether it brings the right Transaction UID.

    For a work item that is SCHEDULED any UID is right: it becomes the lock.
    """

    CREATE = "create"
    CLAIM = "claim"
    CLAIM_UNLOCKED = "claim without the correct Transaction UID"
    SCHEDULE = "change to SCHEDULED"
    COMPLETE = "complete"
    COMPLETE_UNLOCKED = "complete without the correct Transaction UID"
    REQUEST_CANCEL = "request cancel"
    CANCEL = "cancel"
    CANCEL_UNLOCKED = "cancel without the correct Transaction UID"
    # N-SET (CC.2.6.3): a SCHEDULED work item takes no Transaction UID, one IN PROGRESS takes the right one only.
    UPDATE = "update with the correct Transaction UID"
    UPDATE_UNLOCKED = "update without the Transaction UID"
    UPDATE_WRONG = "update with another Transaction UID"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What a request gets: the status, and the state that follows when it is carried out.

    ``needs_final`` : the attributes that the final state requires must be there. ``tells_only`` : the request is
    reported to the subscribers and changes nothing.
    """

    status: Status
    to: State | None = None
    needs_final: bool = False
    tells_only: bool = False

    @property
    def is_done(self) -> bool:
        """The request is carried out."""
        return self.status is Status.SUCCESS

    @property
    def is_warning(self) -> bool:
        """It is so already."""
        return self.status in {Status.UPS_ALREADY_CANCELED, Status.UPS_ALREADY_COMPLETED}


_S, _P, _C, _X = State.SCHEDULED, State.IN_PROGRESS, State.COMPLETED, State.CANCELED


def _row(
    none: Cell, scheduled: Cell, in_progress: Cell, completed: Cell, canceled: Cell
) -> Mapping[State | None, Cell]:
    return MappingProxyType({None: none, _S: scheduled, _P: in_progress, _C: completed, _X: canceled})


def _error(status: Status) -> Cell:
    return Cell(status=status)


def _everywhere(status: Status) -> Mapping[State | None, Cell]:
    return _row(_C307, *(4 * (_error(status),)))


_C300: Final = _error(Status.UPS_NO_LONGER_UPDATABLE)
_C301: Final = _error(Status.UPS_TRANSACTION_UID_WRONG)
_C302: Final = _error(Status.UPS_ALREADY_IN_PROGRESS)
_C307: Final = _error(Status.UPS_UNKNOWN)
_C310: Final = _error(Status.UPS_NOT_YET_IN_PROGRESS)
_C311: Final = _error(Status.UPS_IS_COMPLETED)
_0111: Final = _error(Status.DUPLICATE_SOP_INSTANCE)
_B304: Final = _error(Status.UPS_ALREADY_CANCELED)
_B306: Final = _error(Status.UPS_ALREADY_COMPLETED)
_DONE: Final = Cell(status=Status.SUCCESS)


def _to(state: State, *, needs_final: bool = False) -> Cell:
    return Cell(status=Status.SUCCESS, to=state, needs_final=needs_final)


TABLE: Final[Mapping[Asked, Mapping[State | None, Cell]]] = MappingProxyType(
    {
        #                          no such work item, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED
        Asked.CREATE: _row(_to(_S), _0111, _0111, _0111, _0111),
        Asked.CLAIM: _row(_C307, _to(_P), _C302, _C300, _C300),
        Asked.CLAIM_UNLOCKED: _everywhere(Status.UPS_TRANSACTION_UID_WRONG),
        Asked.SCHEDULE: _everywhere(Status.UPS_SCHEDULED_BY_CREATION_ONLY),
        Asked.COMPLETE: _row(_C307, _C310, _to(_C, needs_final=True), _B306, _C300),
        Asked.COMPLETE_UNLOCKED: _everywhere(Status.UPS_TRANSACTION_UID_WRONG),
        Asked.REQUEST_CANCEL: _row(_C307, _to(_X), Cell(status=Status.SUCCESS, tells_only=True), _C311, _B304),
        Asked.CANCEL: _row(_C307, _C310, _to(_X, needs_final=True), _C300, _B304),
        Asked.CANCEL_UNLOCKED: _everywhere(Status.UPS_TRANSACTION_UID_WRONG),
        Asked.UPDATE: _row(_C307, _C310, _DONE, _C300, _C300),
        Asked.UPDATE_UNLOCKED: _row(_C307, _DONE, _C301, _C300, _C300),
        Asked.UPDATE_WRONG: _row(_C307, _C310, _C301, _C300, _C300),
    }
)
"""By request and state (None: there is no such work item)."""

_LOCKED: Final = MappingProxyType(
    {
        State.IN_PROGRESS: (Asked.CLAIM, Asked.CLAIM_UNLOCKED),
        State.COMPLETED: (Asked.COMPLETE, Asked.COMPLETE_UNLOCKED),
        State.CANCELED: (Asked.CANCEL, Asked.CANCEL_UNLOCKED),
    }
)


def decide(asked: Asked, state: State | None) -> Cell:
    """Return what a request gets."""
    return TABLE[asked][state]


def decide_change(workitem: Workitem | None, to: State, transaction_uid: str) -> Cell:
    """Return what a Change UPS State gets (CC.2.1)."""
    state = None if workitem is None else workitem.state
    if to is State.SCHEDULED:
        return decide(Asked.SCHEDULE, state)
    locked, unlocked = _LOCKED[to]
    return decide(locked if _is_right(workitem, transaction_uid) else unlocked, state)


def decide_update(workitem: Workitem | None, transaction_uid: str) -> Cell:
    """Return what an N-SET gets; '' when it brought no Transaction UID."""
    state = None if workitem is None else workitem.state
    if not transaction_uid:
        return decide(Asked.UPDATE_UNLOCKED, state)
    return decide(Asked.UPDATE if _is_right(workitem, transaction_uid) else Asked.UPDATE_WRONG, state)


def _is_right(workitem: Workitem | None, transaction_uid: str) -> bool:
    if workitem is None or workitem.state is State.SCHEDULED:
        return bool(transaction_uid)
    return bool(transaction_uid) and workitem.transaction_uid == transaction_uid
