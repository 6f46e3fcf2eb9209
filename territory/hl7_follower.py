"""Tells hospitals' systems by HL7 what becomes of their orders: answers, status, and requests for their RIS.

For: the follower behind the case log; it queues messages, in the transaction that moves its cursor. Not for: reports
(`territory.hl7_report_port`), or sending (`pacs.worklist.hl7.sender`).

Invariants
----------
* One event is one message to a destination, however often it is followed: its control id is made of the two.
* Only the hospital of the order is told, and only what its entry in the settings asks for.
* What is said is of the order's patient, as its hospital named them; a case without an order tells nobody anything.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from oncall.case.event import Event
from oncall.case.matching import CARRIED
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import Directory, PersonId
from oncall.protocol import wording
from oncall.protocol.payload import SENT, sent_in
from pacs.worklist import orders
from pacs.worklist.hl7 import codes, status_out, teleradiology
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.order_context import OrderContext, find_context
from pacs.worklist.hl7.outgoing import enqueue
from pacs.worklist.hl7.status_out import OrderStatus, StatusNews
from pacs.worklist.hl7.teleradiology import Acceptance, Refusal
from pacs.worklist.hl7.writing import Header
from pacs.worklist.order import Order, OrderId
from territory.hl7_names import control_id_of, header_to, person_as_professional, service_of
from territory.order_facts import WEB
from territory.settings_hl7 import Hl7, Hl7Traffic

NAME: Final = "territory.hl7_follower"

STATUS_OF: Final[Mapping[str, OrderStatus]] = MappingProxyType(
    {
        EventType.EXAM_STARTED: OrderStatus.IN_PROGRESS,
        EventType.EXAM_DISCONTINUED: OrderStatus.DISCONTINUED,
        EventType.IMAGES_COMPLETE: OrderStatus.IN_PROGRESS,
        EventType.ASSIGN_ACKNOWLEDGED: OrderStatus.IN_PROGRESS,
        EventType.READ_OPENED: OrderStatus.IN_PROGRESS,
        EventType.PRELIM_ISSUED: OrderStatus.SOME_RESULTS,
        EventType.REPORT_SIGNED: OrderStatus.COMPLETED,
        EventType.REQUEST_REFUSED: OrderStatus.CANCELLED,
        EventType.REQUEST_WITHDRAWN: OrderStatus.CANCELLED,
    }
)
"""ORC-5 of what an event means for the order; ORC-16 names the event."""

_FROM_FORM: Final = frozenset({EventType.REQUEST_SUBMITTED, EventType.REQUEST_WITHDRAWN})

_Made = tuple[tuple[str, str, str], bytes, str]
"""A message: its type (MSH-9), its bytes, its control id."""


class HospitalNews:
    """The follower.

    Parameters
    ----------
    hl7 : Hl7
        With its destinations.
    destinations : mapping
        The same by name, as they are connected to.
    read_directory : callable
        Returns the directory in force at an instant.
    """

    def __init__(
        self, hl7: Hl7, destinations: Mapping[str, Destination], read_directory: Callable[[datetime], Directory]
    ) -> None:
        self._hl7 = hl7
        self._destinations = destinations
        self._read_directory = read_directory

    @property
    def name(self) -> str:
        """The consumer whose cursor this is."""
        return NAME

    def follow(self, connection: Connection, case: Case, events: Sequence[Event], now: datetime) -> None:
        """Queue what the hospital of the case's order is told of these events."""
        if not case.request.request_id or not self._destinations:
            return
        order = orders.find(connection, OrderId(case.request.request_id))
        if order is None:
            return
        context = find_context(connection, order.order_id)
        directory = self._read_directory(now)
        site = directory.sites.get(case.site_id)
        zone = ZoneInfo("UTC" if site is None else site.time_zone)
        for one in self._hl7.destinations:
            if one.site != order.site_id:
                continue
            teller = _Teller(self._hl7, self._destinations[one.name], zone, directory)
            for event in events:
                for made in teller.told(one.sends, case, order, context, event):
                    (code, trigger, _), content, control_id = made
                    enqueue(
                        connection, one.name, content, control_id=control_id, message_type=f"{code}^{trigger}", now=now
                    )


class _Teller:
    """Makes the messages of one destination."""

    def __init__(self, hl7: Hl7, destination: Destination, zone: ZoneInfo, directory: Directory) -> None:
        self._hl7 = hl7
        self._destination = destination
        self._zone = zone
        self._directory = directory

    def told(
        self, sends: Sequence[Hl7Traffic], case: Case, order: Order, context: OrderContext, event: Event
    ) -> list[_Made]:
        """Return the messages of an event: type, bytes, control id."""
        made = []
        is_answer = event.type in SENT and event.fact.payload.get("channel") != CARRIED
        if Hl7Traffic.ANSWERS in sends and (is_answer or event.type == EventType.REQUEST_REFUSED):
            made.append(self._answer(order, context, event))
        if Hl7Traffic.ORDER_STATUS in sends and event.type in STATUS_OF:
            made.append(self._status(order, context, event))
        if Hl7Traffic.ORDERS in sends and order.source == WEB and event.type in _FROM_FORM:
            made.append(self._order(case, order, context, event))
        return made

    def _answer(self, order: Order, context: OrderContext, event: Event) -> _Made:
        header = self._header(teleradiology.MESSAGE_TYPE, event, Hl7Traffic.ANSWERS, profile=codes.TLR_PROFILE)
        payload = event.fact.payload
        decision: Acceptance | Refusal
        if event.type in SENT:
            sent = sent_in(event)
            decision, who = Acceptance(text=wording.words(sent)), sent.author
        else:
            motive = "\n".join(text for text in (payload["motive"], payload.get("alternative")) if text)
            decision, who = Refusal(motive=motive), PersonId(event.fact.actor.who)
        person = None if who is None else self._directory.persons.get(who)
        content = teleradiology.answer(
            header, order, context, decision,
            radiologist=person_as_professional(person), service=service_of(self._hl7),
        )  # fmt: skip
        return teleradiology.MESSAGE_TYPE, content, header.control_id

    def _status(self, order: Order, context: OrderContext, event: Event) -> _Made:
        header = self._header(status_out.MESSAGE_TYPE, event, Hl7Traffic.ORDER_STATUS)
        news = StatusNews(status=STATUS_OF[event.type], event=event.type)
        return status_out.MESSAGE_TYPE, status_out.status_message(header, order, context, news), header.control_id

    def _order(self, case: Case, order: Order, context: OrderContext, event: Event) -> _Made:
        header = self._header(status_out.MESSAGE_TYPE, event, Hl7Traffic.ORDERS)
        is_first = event.fact.occurred_at == case.request.submitted_at
        control = status_out.NEW if is_first else status_out.CHANGED
        if event.type == EventType.REQUEST_WITHDRAWN:
            control = status_out.TAKEN_BACK
        content = status_out.order_message(header, order, context, control=control)
        return status_out.MESSAGE_TYPE, content, header.control_id

    def _header(
        self, message_type: tuple[str, str, str], event: Event, traffic: Hl7Traffic, *, profile: tuple[str, ...] = ()
    ) -> Header:
        control_id = control_id_of(self._destination.name, event.event_id, traffic.value)
        return header_to(
            self._hl7, self._destination, message_type, control_id, event.recorded_at, self._zone, profile=profile
        )
