"""The orders behind the cases, as the pages need them: recorded by the form, shown at the console, asked for cautions.

For: one place that keeps and looks up `pacs.worklist` orders for pages and interface. Not for: HL7, or the worklist's
own queries.

Invariants: an order is durable before its case is opened; the same request again is the same order, unchanged; who the
patient is leaves this room only for a page of somebody who treats them.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from foundation.database import Database
from oncall.case.state import Case
from oncall.directory import SiteId
from oncall.protocol.cautions import PatientFacts
from pacs.worklist import orders
from pacs.worklist.order import Order, OrderId
from territory.order_cautions import patient_facts


class OrderRoom:
    """Orders of the cases.

    Parameters
    ----------
    database : Database
        With the orders.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def place(self, order: Order, now: datetime) -> Order:
        """Keep an order and return it as it is kept, with its accession number and Study Instance UID.

        Raises
        ------
        foundation.errors.Refused
            If the same number was used for another patient, or what it asks for was done or cancelled.
        foundation.errors.Unavailable
            If it could not be made durable.
        """
        with self._database.write(durable=True) as connection:
            known = orders.find(connection, order.order_id)
            if known is not None:
                # Said again later: nothing of it has changed by that.
                order = replace(order, scheduled_at=known.scheduled_at, filler_order_number=known.filler_order_number)
            return orders.place(connection, order, now).order

    def of_case(self, case: Case) -> Order | None:
        """Return the order that a case answers, or None."""
        if not case.request.request_id:
            return None
        with self._database.read() as connection:
            return orders.find(connection, OrderId(case.request.request_id))

    def open_of_sites(self, site_ids: Iterable[SiteId]) -> tuple[Order, ...]:
        """Return what is to be done or runs at hospitals: of each, emergencies first, then by scheduled time."""
        with self._database.read() as connection:
            return tuple(order for site_id in site_ids for order in orders.open_of_site(connection, site_id))

    def patient_of(self, case: Case, now: datetime) -> PatientFacts:
        """Return what the case's order says of the patient; nothing is known without an order."""
        order = self.of_case(case)
        return PatientFacts() if order is None else patient_facts(order.patient, now.date())
