"""What pages ask about deliveries: what is on its way, and to which hospital its case belongs."""

from collections.abc import Mapping

from sqlalchemy import select

from foundation.database import Database
from oncall.case.event import CaseId
from oncall.delivery import queue
from oncall.delivery.model import DeliveryStatus
from oncall.schema import oncall_case, oncall_delivery


class DeliveryRoom:
    """Deliveries in the database.

    Parameters
    ----------
    database : Database
        That of the cases.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self) -> tuple[DeliveryStatus, ...]:
        """Return every delivery that its recipient does not have, the oldest first, those given up included."""
        with self._database.read() as connection:
            return queue.pending(connection)

    def of_case(self, case_id: CaseId) -> tuple[DeliveryStatus, ...]:
        """Return the deliveries of a case."""
        with self._database.read() as connection:
            return queue.deliveries_of(connection, case_id)

    def sites(self, case_ids: frozenset[CaseId]) -> Mapping[CaseId, str]:
        """Return the hospitals of cases that have deliveries."""
        wanted = (
            select(oncall_case.c.case_id, oncall_case.c.site_id)
            .join(oncall_delivery, oncall_delivery.c.case_id == oncall_case.c.case_id)
            .distinct()
        )
        with self._database.read() as connection:
            return {CaseId(row.case_id): row.site_id for row in connection.execute(wanted) if row.case_id in case_ids}
