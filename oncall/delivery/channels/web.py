"""The emergency department's page: a version is there as soon as it is durable, so delivering it is looking for it."""

from typing import Final

from foundation.database import Database
from oncall.delivery.channels.port import Parcel
from oncall.delivery.model import DeliveryChannel
from oncall.delivery.queue import Arrived, NotArrived, Outcome
from oncall.report import store


class WebWay:
    """The channel `DeliveryChannel.WEB`: arrived when the page, which reads the same row, shows the version.

    The page shows the text of the version itself, so nothing waits for documents to be made.
    """

    channel: Final = DeliveryChannel.WEB

    def __init__(self, database: Database) -> None:
        self._database = database

    def deliver(self, parcel: Parcel) -> Outcome:
        """Look whether the version is there and is what was signed."""
        delivery = parcel.delivery
        with self._database.read() as connection:
            found = store.find(connection, delivery.case_id, delivery.version)
        return NotArrived(reason="not_stored") if found is None else Arrived()
