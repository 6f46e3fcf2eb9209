"""Puts the protocol in force of a case on its order, so that the console's worklist has it.

For: the follower behind the case log. Not for: the worklist (`pacs.worklist`), or HL7.

Invariants: the order gets what the log says is in force, version by version, never an older one; a case without an
order, or with an order that another node keeps, changes nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from oncall.case.event import Event
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import Person, PersonId
from oncall.protocol import wording
from oncall.protocol.model import SentProtocol
from oncall.protocol.parameters import parameters
from oncall.protocol.payload import SENT, protocol_in_force
from oncall.report.content import CodedConcept
from pacs.worklist import orders
from pacs.worklist.order import Code, OrderId, ProtocolParameter, ScheduledProtocol

NAME: Final = "territory.protocol_follower"

# A protocol may be in force before the case knows its order: a request that joins a study brings it.
_TOLD_BY: Final = SENT | {EventType.REQUEST_MATCHED, EventType.REQUEST_SUBMITTED}


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
        """Put the protocol in force on the case's order."""
        if not case.request.request_id or not any(event.type in _TOLD_BY for event in events):
            return
        sent = protocol_in_force(case)
        order = orders.find(connection, OrderId(case.request.request_id))
        if sent is None or order is None:
            return
        author = None if sent.author is None else self._find_person(sent.author, now)
        name = "" if author is None else author.name
        protocol = scheduled(sent, author=name, weight_kg=order.patient.weight_kg)
        orders.set_protocol(connection, order.order_id, protocol, now)


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
