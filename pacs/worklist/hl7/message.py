"""What the transport and the meaning of HL7 messages say to each other: a message received, and what became of it.

For: the values that cross the port, and the port. Not for: sockets (`pacs.worklist.hl7.listener`), rows
(`pacs.worklist.hl7.inbox`) or what a message means (whoever implements `Handler`).

Invariants
----------
* A handler runs inside the transaction that stores the message and its answer: effect, message and answer are on disk
  together before the sender hears anything, or not at all.
* What is rejected or parked has no effect: what the handler wrote is rolled back, and the message is a dead letter.
* No text of an error holds patient data: it names the segment and the field, never the value.

References
----------
HL7 2.5.1 2.9 (acknowledgements), 2.15.5 (ERR), tables 0008, 0357, 0516
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

import hl7
from sqlalchemy import Connection


class ErrorCode(StrEnum):
    """Table 0357: why a message cannot be taken (ERR-3)."""

    SEGMENT_SEQUENCE = "100"
    REQUIRED_FIELD_MISSING = "101"
    DATA_TYPE = "102"
    TABLE_VALUE_NOT_FOUND = "103"
    VALUE_TOO_LONG = "104"
    UNSUPPORTED_MESSAGE_TYPE = "200"
    UNSUPPORTED_EVENT_CODE = "201"
    UNSUPPORTED_PROCESSING_ID = "202"
    UNSUPPORTED_VERSION_ID = "203"
    UNKNOWN_KEY_IDENTIFIER = "204"
    DUPLICATE_KEY_IDENTIFIER = "205"
    RECORD_LOCKED = "206"
    INTERNAL_ERROR = "207"


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldError:
    """One ERR segment: where the message is wrong, why, and what to do.

    Attributes
    ----------
    segment : str
        Of the message that is answered, such as ``OBR``; '' when no place can be named.
    sequence : int
        Which one of these segments, from 1.
    field, component : int
        From 1; 0 when the whole segment, or the whole field, is meant.
    code : ErrorCode
    text : str
        For the people at the other end (ERR-8), in English; never a value of the message.
    """

    segment: str
    sequence: int = 1
    field: int = 0
    component: int = 0
    code: ErrorCode
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderIdentity:
    """Whom the settings know a sending application to be.

    Attributes
    ----------
    application, facility : str
        MSH-3.1 and MSH-4.1 of its messages.
    site_id : str
        The site whose orders and patients it may speak of; never another.
    issuer : str
        Who issues the patient identifiers that name no authority; '' when none is assumed.
    """

    application: str
    facility: str
    site_id: str
    issuer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedMessage:
    """A message that can be read, of a sender that is known.

    Attributes
    ----------
    message_id : str
        32 hexadecimal digits; the same for the same bytes of the same sender.
    control_id : str
        MSH-10.
    code, event : str
        MSH-9.1 and MSH-9.2, such as ``ORM`` and ``O01``.
    structure : str
        MSH-9.3, such as ``ORM_O01``; '' when not said.
    version, processing_id : str
        MSH-12.1 and MSH-11.1.
    sender : SenderIdentity
    text : str
        All of it, decoded; segments end with a carriage return.
    parsed : hl7.Message
        The same, parsed.
    received_at : datetime
        UTC; a message that is replayed keeps it.
    """

    message_id: str
    control_id: str
    code: str
    event: str
    structure: str
    version: str
    processing_id: str
    sender: SenderIdentity
    text: str
    parsed: hl7.Message
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """It took effect; answered AA."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """It has no effect, and the same message would never have one; a dead letter.

    Attributes
    ----------
    code : {'AE', 'AR'}
        AE: its content is wrong. AR: it is of a kind, version or processing that is not taken here.
    errors : tuple of FieldError
        At least one.
    """

    code: Literal["AE", "AR"]
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parked:
    """A human must decide; it has no effect until somebody replays it. Answered AE: nobody is told that it was done.

    Attributes
    ----------
    reason : str
        A word for lists and logs, such as ``patient_differs``; no patient data.
    errors : tuple of FieldError
        At least one.
    """

    reason: str
    errors: tuple[FieldError, ...]


Outcome = Accepted | Rejected | Parked


class Handler(Protocol):
    """What messages mean: one for all of an interface's messages."""

    def handle(self, connection: Connection, message: ReceivedMessage, now: datetime) -> Outcome:
        """Give a message its effect in the transaction that stores it.

        Called again with a message that was parked or rejected when somebody replays it. Other messages of other
        senders are in the same transaction: each has a savepoint of its own.

        Raises
        ------
        foundation.errors.Unavailable
            If it cannot be done now: nothing is kept, and the sender, told so by AR, sends it again.
        Exception
            Anything else is a defect: the message is a dead letter, answered AE with `ErrorCode.INTERNAL_ERROR`.
        """
