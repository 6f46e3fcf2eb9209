"""Takes an order off the worklist when its case says that there is nothing to do at the scanner any more, and back on.

For: the follower behind the case log; hospitals whose consoles send no MPPS would otherwise show exams that are long
read. Not for: exams that run or were done: MPPS says that, and what it says stays.

Invariants: only an order that nobody has begun is touched; a request that was refused or withdrawn is cancelled, one
whose case is taken up again is scheduled again, one whose report is signed is completed.
"""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from oncall.case.event import Event
from oncall.case.regions import ImagesState, RequestState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from pacs.worklist import orders
from pacs.worklist.order import OrderId, OrderState

NAME: Final = "territory.worklist_states"

_TAKEN_BACK: Final = frozenset({RequestState.REFUSED, RequestState.WITHDRAWN})
_TOLD_BY: Final = frozenset(
    {EventType.REQUEST_REFUSED, EventType.REQUEST_WITHDRAWN, EventType.CASE_REOPENED, EventType.REPORT_SIGNED}
)


class WorklistStates:
    """The follower."""

    @property
    def name(self) -> str:
        """The consumer whose cursor this is."""
        return NAME

    def follow(self, connection: Connection, case: Case, events: Sequence[Event], now: datetime) -> None:
        """Cancel, schedule again or complete the case's order."""
        told = _TOLD_BY & {event.type for event in events}
        if not case.request.request_id or not told:
            return
        order = orders.find(connection, OrderId(case.request.request_id))
        if order is None:
            return
        is_taken_back = case.request.state in _TAKEN_BACK
        if order.state is OrderState.SCHEDULED and is_taken_back:
            orders.cancel(connection, order.order_id, now)
        elif order.state is OrderState.SCHEDULED and EventType.REPORT_SIGNED in told:
            orders.set_state(connection, order.order_id, OrderState.COMPLETED, now)
        elif order.state is OrderState.CANCELLED and _is_wanted_again(case, told):
            orders.set_state(connection, order.order_id, OrderState.SCHEDULED, now)


def _is_wanted_again(case: Case, told: Set[EventType]) -> bool:
    # A case is opened again too when images came all the same: then there is nothing to do at the scanner.
    is_open = EventType.CASE_REOPENED in told and case.request.state not in _TAKEN_BACK
    return is_open and case.images.state is ImagesState.NONE
