"""One delivery: one signed version of a report on its way to one recipient by one channel; and where it is.

For: the values and the table of states. Not for: which deliveries a version needs (`oncall.delivery.plan`), rows
(`oncall.delivery.queue`), or sending (`oncall.delivery.worker`).

Invariants
----------
* A delivery's id follows from case, version, recipient, channel and address: planning it again is the same delivery.
* ``failed`` is no end: the last attempt failed and the next one has its time. Only a named person gives a delivery up.
* A newer version supersedes what tells people of an older one; it never supersedes the archive's copy.

What counts as delivered (T4), by channel: a page of the emergency department when the documents are built and the
version is durable and visible there; DICOM and HL7 when the hospital's system has acknowledged it. A mail relay's
answer is ``sent`` and no more: nobody knows whether the mailbox took it. The archive's copy is this node's own and
delivers nothing to anybody. Source: domain reference, 4.2 DELIVERY, 4.3 C5 and C9.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from oncall.case.event import CaseId
from oncall.report.version import VersionKind

ID_CHARACTERS: Final = 32
"""Of a delivery's id: 128 bits in hexadecimal."""


class DeliveryChannel(StrEnum):
    """How a version travels."""

    WEB = "web"
    EMAIL = "email"
    DICOM = "dicom"
    HL7 = "hl7"
    ARCHIVE = "archive"


class RecipientKind(StrEnum):
    """Who gets it; everybody but the requester and the archive only with the patient's recorded authorisation."""

    EMERGENCY_DEPARTMENT = "emergency_department"
    TREATING_PHYSICIAN = "treating_physician"
    OTHER_PHYSICIAN = "other_physician"
    READER_OF_EARLIER_VERSION = "reader_of_earlier_version"
    ARCHIVE = "archive"


class DeliveryState(StrEnum):
    """Where a delivery is."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    GIVEN_UP = "given_up"
    SUPERSEDED = "superseded"
    ACKNOWLEDGED = "acknowledged"


S = DeliveryState

# A failed delivery is sent again; a leased one whose worker died is queued again. What has arrived stays so when a
# newer version comes: it is a fact; it is sent again only when the report turns out to be another patient's.
TRANSITIONS: Final[Mapping[DeliveryState, frozenset[DeliveryState]]] = MappingProxyType(
    {
        S.QUEUED: frozenset({S.SENDING, S.GIVEN_UP, S.SUPERSEDED, S.ACKNOWLEDGED}),
        S.SENDING: frozenset({S.QUEUED, S.SENT, S.DELIVERED, S.FAILED, S.SUPERSEDED, S.ACKNOWLEDGED}),
        S.FAILED: frozenset({S.SENDING, S.GIVEN_UP, S.SUPERSEDED, S.ACKNOWLEDGED}),
        S.SENT: frozenset({S.QUEUED, S.DELIVERED, S.FAILED, S.ACKNOWLEDGED}),
        S.DELIVERED: frozenset({S.QUEUED, S.ACKNOWLEDGED}),
        S.GIVEN_UP: frozenset({S.QUEUED, S.SUPERSEDED, S.ACKNOWLEDGED}),
        S.SUPERSEDED: frozenset(),
        S.ACKNOWLEDGED: frozenset({S.QUEUED}),
    }
)

PENDING: Final = frozenset({S.QUEUED, S.SENDING, S.FAILED, S.GIVEN_UP})
"""States in which the recipient does not have it."""

WAITING: Final = frozenset({S.QUEUED, S.FAILED})
"""States in which a worker may take it when it is due."""

ARRIVED: Final = frozenset({S.SENT, S.DELIVERED, S.ACKNOWLEDGED})
"""States in which the recipient has it, or may have it."""

TELLING: Final = frozenset({DeliveryChannel.WEB, DeliveryChannel.EMAIL})
"""Channels that tell people, and end when a named clinician has acknowledged the version.

The others file it with a system: its record must be whole even when the clinician has read it elsewhere.
"""

COUNTS_AS_DELIVERED: Final = frozenset({DeliveryChannel.WEB, DeliveryChannel.DICOM, DeliveryChannel.HL7})
"""Channels whose success is T4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A version to a recipient by a channel. No patient data, and no address of a patient, in any of it.

    ``recipient`` is a site's, a person's or a physician's identifier. ``address`` is a mailbox, the AE title of a
    configured peer, the name of an HL7 destination, or empty (web, archive).
    """

    delivery_id: str
    case_id: CaseId
    version: int
    kind: VersionKind
    recipient_kind: RecipientKind
    recipient: str
    channel: DeliveryChannel
    address: str
    planned_at: datetime
    policy_version: str = ""

    @property
    def way(self) -> tuple[RecipientKind, str, DeliveryChannel, str]:
        """Who gets it and how: the same for every version."""
        return self.recipient_kind, self.recipient, self.channel, self.address

    @property
    def is_telling(self) -> bool:
        """Say whether it tells people, rather than files the version with a system."""
        return self.channel in TELLING

    @property
    def outlives_versions(self) -> bool:
        """Say whether it goes on when a newer version is signed: the archive keeps every version."""
        return self.channel is DeliveryChannel.ARCHIVE

    @property
    def is_t4(self) -> bool:
        """Say whether its success means that the emergency department has the report (T4)."""
        is_ed = self.recipient_kind is RecipientKind.EMERGENCY_DEPARTMENT
        return is_ed and self.channel in COUNTS_AS_DELIVERED


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryStatus:
    """A delivery and where it is; instants are UTC.

    ``due_at`` is when the next attempt is due, while one is. ``reason`` is why the last attempt failed, a constant
    word. ``ended_by`` names who gave it up or acknowledged it.
    """

    delivery: Delivery
    state: DeliveryState
    attempts: int
    due_at: datetime
    reason: str = ""
    changed_at: datetime | None = None
    ended_by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryEvent:
    """One line of a delivery's record: what happened to it, when, why, and by which worker or whose decision."""

    delivery_id: str
    occurred_at: datetime
    happened: str
    reason: str = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryNews:
    """What became of a delivery, at its place in the order of all delivery events."""

    position: int
    occurred_at: datetime
    delivery: Delivery
    state: DeliveryState
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Authorisation:
    """The patient lets one more physician have the reports of a case, until it is revoked. Instants are UTC."""

    case_id: CaseId
    recipient_kind: RecipientKind
    recipient: str
    channel: DeliveryChannel
    address: str
    given_at: datetime
    recorded_by: str
    revoked_at: datetime | None = None

    @property
    def way(self) -> tuple[RecipientKind, str, DeliveryChannel, str]:
        """Who is authorised, and how they get it."""
        return self.recipient_kind, self.recipient, self.channel, self.address


def delivery_id(
    case_id: CaseId, version: int, recipient_kind: RecipientKind, recipient: str, channel: DeliveryChannel, address: str
) -> str:
    """Return the one id that this delivery has, whoever plans it and whenever."""
    text = "\0".join((case_id, str(version), recipient_kind.value, recipient, channel.value, address))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_CHARACTERS]
