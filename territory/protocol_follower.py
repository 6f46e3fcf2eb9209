"""Puts on a case's order what the console must know of the case: the protocol, its urgency, that it is not to be done.

For: the follower behind the case log. Not for: the worklist (`pacs.worklist`), or HL7.

Invariants: the order gets what the log says is in force, version by version, never an older one; it becomes more
urgent with its case, never less; what was refused or withdrawn leaves the worklist, unless its exam has begun. A case
without an order, or with an order that another node keeps, changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection

from foundation import log
from oncall.case.event import Event
from oncall.case.regions import RequestState
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import Person, PersonId
from oncall.protocol import wording
from oncall.protocol.model import SentProtocol
from oncall.protocol.parameters import parameters
from oncall.protocol.payload import SENT, protocol_in_force
from oncall.reading.board import Urgency
from oncall.report.content import CodedConcept
from pacs.worklist import orders
from pacs.worklist.order import Code, Order, OrderId, OrderPriority, ProtocolParameter, ScheduledProtocol
from pacs.worklist.orders import StateCannotFollow

NAME: Final = "territory.protocol_follower"

# A protocol may be in force before the case knows its order: a request that joins a study brings it.
_TOLD_BY: Final = SENT | {EventType.REQUEST_MATCHED, EventType.REQUEST_SUBMITTED}


_ENDED: Final = frozenset({EventType.REQUEST_REFUSED, EventType.REQUEST_WITHDRAWN})

PRIORITY_OF: Final[Mapping[Urgency, OrderPriority]] = MappingProxyType(
    {Urgency.P1: OrderPriority.STAT, Urgency.P2: OrderPriority.HIGH, Urgency.P3: OrderPriority.ROUTINE}
)
"""Requested Procedure Priority (0040,1003) of each urgency."""

_RANK: Final = (
    OrderPriority.STAT, OrderPriority.HIGH, OrderPriority.MEDIUM, OrderPriority.ROUTINE, OrderPriority.LOW,
)  # fmt: skip


class WorklistProtocols:
    """The follower.

    Parameters
    ----------
    find_person : callable
        Returns who somebody is, by the directory in force at an instant; their name is shown at the console.
    """

    def __init__(self, find_person: Callable[[PersonId, datetime], Person | None]) -> None:
        self._find_person = find_person

    @property
    def name(self) -> str:
        """The consumer whose cursor this is."""
        return NAME

    def follow(self, connection: Connection, case: Case, events: Sequence[Event], now: datetime) -> None:
        """Put what is so now on the case's order."""
        types = {event.type for event in events}
        order = orders.find(connection, OrderId(case.request.request_id)) if case.request.request_id else None
        if order is None:
            return
        if types & _ENDED and case.request.state in {RequestState.REFUSED, RequestState.WITHDRAWN}:
            _end(connection, order, now)
            return
        if EventType.REQUEST_TRIAGED in types:
            order = _raised(connection, order, case, now)
        if types & _TOLD_BY:
            self._put(connection, order, case, now)

    def _put(self, connection: Connection, order: Order, case: Case, now: datetime) -> None:
        sent = protocol_in_force(case)
        if sent is None:
            return
        author = None if sent.author is None else self._find_person(sent.author, now)
        name = "" if author is None else author.name
        protocol = scheduled(sent, author=name, weight_kg=order.patient.weight_kg)
        orders.set_protocol(connection, order.order_id, protocol, now)


def _end(connection: Connection, order: Order, now: datetime) -> None:
    try:
        orders.cancel(connection, order.order_id, now)
    except StateCannotFollow:
        # The patient is on the table, or was: what is done stays, and its images are read.
        log.info("order_not_cancelled", state=order.state.value)


def _raised(connection: Connection, order: Order, case: Case, now: datetime) -> Order:
    wanted = PRIORITY_OF[case.urgency]
    is_more = _RANK.index(wanted) < _RANK.index(order.priority)
    if not is_more or order.state not in orders.OPEN_STATES:
        return order
    raised = replace(order, priority=wanted, urgency=str(int(case.urgency)))
    return orders.place(connection, raised, now).order


def scheduled(sent: SentProtocol, *, author: str, weight_kg: float | None) -> ScheduledProtocol:
    """Return a protocol that was sent as the worklist gives it."""
    contrast = sent.contrast
    return ScheduledProtocol(
        version=sent.version,
        title=wording.title_of(sent),
        codes=tuple(map(_code, sent.codes)),
        parameters=tuple(
            ProtocolParameter(concept=_code(one.concept), value=one.value, unit=one.unit)
            for one in parameters(sent, weight_kg=weight_kg)
        ),
        text="\n".join(wording.lines(sent)),
        contrast_agent="" if contrast is None else _agent(contrast.agent, contrast.concentration_mg_ml),
        pre_medication=sent.preparation,
        author=author,
        protocol_id=sent.protocol_id,
        library_version=sent.library_version,
        sent_at=sent.sent_at,
    )


def _agent(name: str, concentration_mg_ml: int | None) -> str:
    return name if concentration_mg_ml is None else f"{name} {concentration_mg_ml} mg/mL"


def _code(concept: CodedConcept) -> Code:
    return Code(value=concept.code, scheme=concept.scheme, meaning=concept.meaning)
