"""What routing is about: rules, studies on their way to destinations, and where each of them is.

For: the values and the table of states. Not for: which study goes where (`pacs.routing.rules`), rows
(`pacs.routing.queue`), or sending (`pacs.routing.worker`).

Invariants
----------
* An item is one study on its way to one destination: a study goes whole, with what comes later, and never to who sent
  it.
* ``failed`` is no end: the last attempt failed and the next one has its time. Only a named person gives an item up, and
  may take that back.
* An instance has arrived when the destination has answered so for this instance, and never otherwise.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pacs.routing.hours import ALWAYS, Hours

JITTER: Final = 0.25
"""By how much a wait may be shorter: destinations that went away together are not all called at the same moment."""


class ItemState(StrEnum):
    """Where a study on its way to a destination is."""

    QUEUED = "queued"  # something of it waits
    SENDING = "sending"  # a worker holds it
    FAILED = "failed"  # the last attempt did not bring everything; the next one has its time
    SENT = "sent"  # the destination has answered for every instance that is here
    GIVEN_UP = "given_up"  # what is unsent of it was given up by a named person


TRANSITIONS: Final[Mapping[ItemState, frozenset[ItemState]]] = MappingProxyType(
    {
        ItemState.QUEUED: frozenset({ItemState.SENDING, ItemState.GIVEN_UP}),
        ItemState.SENDING: frozenset({ItemState.QUEUED, ItemState.FAILED, ItemState.SENT, ItemState.GIVEN_UP}),
        ItemState.FAILED: frozenset({ItemState.QUEUED, ItemState.SENDING, ItemState.GIVEN_UP}),
        ItemState.SENT: frozenset({ItemState.QUEUED}),
        ItemState.GIVEN_UP: frozenset({ItemState.QUEUED}),
    }
)
"""What may follow what; `pacs.routing.queue` moves an item in no other way."""

WAITING: Final = frozenset({ItemState.QUEUED, ItemState.FAILED})
"""States in which a worker may take an item when it is due."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyId:
    """A study of a patient of an issuer: stays the same when the index is built anew. ``patient_id`` may be ''."""

    issuer: str
    patient_id: str
    study_instance_uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteRule:
    """Studies for which everything given holds go to all destinations; what is empty holds for every study.

    ``hours`` are those in which the study's first image came, so that a study never goes in halves.
    """

    name: str
    destinations: tuple[str, ...]
    sites: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()
    calling_aets: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    is_for_emergencies: bool = False
    hours: Hours = ALWAYS


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFacts:
    """What rules look at; ``calling_aet`` and ``site_id`` are those of whose instances came last ('' unknown)."""

    study: StudyId
    accession_number: str
    calling_aet: str
    site_id: str
    modalities: frozenset[str]
    first_received_at: datetime
    is_emergency: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Waits between attempts, in seconds."""

    first_wait_s: float = 10.0
    wait_max_s: float = 900.0


DEFAULT_RETRY: Final = RetryPolicy()


@dataclass(frozen=True, kw_only=True, slots=True)
class DestinationPolicy:
    """How a destination may be used.

    ``ae_title`` is '' for a DICOMweb node. ``bandwidth_bytes_per_s`` is None without a limit; ``associations_max``
    bounds the studies that go there at a time.
    """

    name: str
    ae_title: str = ""
    bandwidth_bytes_per_s: int | None = None
    associations_max: int = 2
    retry: RetryPolicy = DEFAULT_RETRY


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One study on its way to one destination, as the queue has it.

    Attributes
    ----------
    rule : str
        The first that said so.
    instances, sent : int
        How many were ever queued, and for how many the destination has answered.
    attempts, fruitless : int
        All of them, and those at the end in a row that brought nothing.
    reason : str
        Why the last attempt did not bring everything: a constant word, never a peer's text.
    """

    item_id: int
    destination: str
    study: StudyId
    rule: str
    is_emergency: bool
    state: ItemState
    instances: int
    sent: int
    attempts: int
    fruitless: int
    reason: str
    queued_at: datetime
    due_at: datetime
    changed_at: datetime
    seen_event_id: int
    decided_by: str

    @property
    def unsent(self) -> int:
        """How many instances the destination does not have, as far as we know."""
        return self.instances - self.sent


def wait_after(seed: str, failures: int, policy: RetryPolicy) -> timedelta:
    """Return how long to wait after so many failures in a row (1 or more).

    Doubled after each, up to a bound, and shorter by up to `JITTER`; how much follows from the seed, so that it can be
    foretold.
    """
    longest_s = min(policy.first_wait_s * 2.0 ** min(failures - 1, 40), policy.wait_max_s)
    drawn = int.from_bytes(hashlib.sha256(f"{seed}\0{failures}".encode()).digest()[:4], "big") / 2**32
    return timedelta(seconds=longest_s * (1.0 - JITTER * drawn))
