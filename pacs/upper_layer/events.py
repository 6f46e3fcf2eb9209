"""What the upper layer tells its driver, in the order it came over the wire.

For: the facts between `UpperLayer` and whatever moves the bytes. Not for: decisions.

Invariants: events are immutable. `DataFragment` and `CommandReceived` are named tuples because two or more
are made per image and a frozen dataclass costs three times as much to make; the rare ones are dataclasses, so that
events of different kinds never compare equal.

References
----------
PS3.8 7 (service primitives).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pacs.upper_layer.associate import AssociateAccept, AssociateRequest
from pacs.upper_layer.dimse import Command
from pacs.upper_layer.errors import RemoteProtocolError

__all__ = [
    "Aborted",
    "AssociateAccepted",
    "AssociateRejected",
    "AssociateRequested",
    "CommandReceived",
    "DataFragment",
    "Event",
    "ProtocolFailure",
    "ReleaseCompleted",
    "ReleaseRequested",
    "TransportClosed",
]


class DataFragment(NamedTuple):
    """Some bytes of the data set that the last command announced.

    Attributes
    ----------
    context_id : int
        The context of the command.
    data : memoryview
        A window into the receive buffer: valid until the next call of `receive_buffer`. It may be
        empty when `is_last` is true.
    is_last : bool
        Nothing of this data set follows.
    """

    context_id: int
    data: memoryview
    is_last: bool


class CommandReceived(NamedTuple):
    """A whole command set has arrived.

    When `command.has_dataset` is true, `DataFragment` events follow. `command.error` says whether the command
    can be carried out at all.
    """

    context_id: int
    command: Command


@dataclass(frozen=True, slots=True)
class AssociateRequested:
    """A-ASSOCIATE indication: answer with `associate_accept` or `associate_reject`."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class AssociateAccepted:
    """A-ASSOCIATE confirmation (accepted): `UpperLayer.contexts` says what may be used."""

    accept: AssociateAccept


@dataclass(frozen=True, slots=True)
class AssociateRejected:
    """The association was refused (PS3.8 Table 9-21).

    At the requestor: by the peer. At the acceptor: by this layer itself (action AE-6, protocol version), and the
    A-ASSOCIATE-RJ is in `bytes_to_send`.
    """

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """A-RELEASE indication: answer with `release_response`.

    Attributes
    ----------
    collision : bool
        Both sides asked at once. The requestor of the association answers now; the acceptor
        answers only after `ReleaseCompleted` (PS3.8 7.2.2.7).
    """

    collision: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseCompleted:
    """A-RELEASE confirmation: the peer agreed to our release request."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The peer ended the association with an A-ABORT (PS3.8 Table 9-26)."""

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class TransportClosed:
    """A-P-ABORT indication: the transport went away during an association."""


@dataclass(frozen=True, slots=True)
class ProtocolFailure:
    """The peer broke the protocol; an A-ABORT is in `bytes_to_send` and the association is over."""

    error: RemoteProtocolError


Event = (
    DataFragment
    | CommandReceived
    | AssociateRequested
    | AssociateAccepted
    | AssociateRejected
    | ReleaseRequested
    | ReleaseCompleted
    | Aborted
    | TransportClosed
    | ProtocolFailure
)
