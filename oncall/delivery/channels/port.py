"""What a way of delivery is to the worker: it takes a parcel and says honestly what became of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from oncall.delivery.documents import Documents
from oncall.delivery.model import Delivery, DeliveryChannel
from oncall.delivery.queue import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """What is delivered; ``documents`` makes them when it is called for the first time.

    Raises of ``documents``: `foundation.errors.Unavailable` while the patient cannot be looked up.
    """

    delivery: Delivery
    documents: Callable[[], Documents]


class Way(Protocol):
    """One way out. Threads may call `deliver` at the same time.

    The same parcel given twice arrives once in effect: each way gives the other end what it recognises it by.
    """

    @property
    def channel(self) -> DeliveryChannel:
        """Which deliveries it takes."""

    def deliver(self, parcel: Parcel) -> Outcome:
        """Give the parcel to the other end; never raises for what the other end does."""
