"""Documents as DICOM instances, to the node's own archive or to a hospital's AE, by C-STORE (PS3.4 B).

UIDs and bytes follow from case and version, so a storage SCP that has them already acknowledges them again and keeps
them once. Not for: associations (`territory.report_doors` makes them with `pacs.scu`).
"""

from collections.abc import Sequence
from typing import Protocol

from oncall.delivery.channels.port import Parcel
from oncall.delivery.documents import DICOM_KINDS
from oncall.delivery.model import DeliveryChannel
from oncall.delivery.queue import Arrived, NotArrived, Outcome


class StorageDoor(Protocol):
    """Where instances are stored."""

    def store(self, address: str, instances: Sequence[bytes]) -> str:
        """Store whole files (PS3.10) with an AE title, empty for the node's own archive.

        Returns
        -------
        str
            Empty when the other end has answered for each of them that it keeps it; else why not, a constant word.
        """


class DicomWay:
    """The channel `DeliveryChannel.ARCHIVE` or `DeliveryChannel.DICOM`: arrived when every instance is confirmed."""

    def __init__(self, channel: DeliveryChannel, door: StorageDoor) -> None:
        self.channel = channel
        self._door = door

    def deliver(self, parcel: Parcel) -> Outcome:
        """Store what the version has."""
        documents = parcel.documents()
        instances = [documents[kind] for kind in DICOM_KINDS if kind in documents]
        if not instances:
            return NotArrived(reason="no_documents")
        failure = self._door.store(parcel.delivery.address, instances)
        return NotArrived(reason=failure) if failure else Arrived()
