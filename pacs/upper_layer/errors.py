"""Errors of the DICOM upper layer, each carrying the answer the standard wants.

For: telling *our* mistakes (`LocalProtocolError`) from *theirs* (`RemoteProtocolError`,
`CommandError`), so that a driver never has to guess what to send back.
Not for: network faults (the driver's) or the meaning of data sets (the services').

Invariants: messages hold no value a peer sent, only lengths, codes and identifiers of the protocol, because
they are logged and what a peer sends may be about a patient.

References
----------
PS3.8 Table 9-26 (A-ABORT source and reason); PS3.7 Annex C (DIMSE status codes).
"""

from __future__ import annotations

from enum import IntEnum

from foundation.errors import PeerError, TelegardeError

__all__ = [
    "AbortReason",
    "AbortSource",
    "AssociationOver",
    "CommandError",
    "LocalProtocolError",
    "RemoteProtocolError",
]


class AbortSource(IntEnum):
    """Who ends the association (PS3.8 Table 9-26, byte 9)."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class AbortReason(IntEnum):
    """Why the service provider ends the association (PS3.8 Table 9-26, byte 10)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PDU_PARAMETER = 4
    UNEXPECTED_PDU_PARAMETER = 5
    INVALID_PDU_PARAMETER_VALUE = 6


class LocalProtocolError(TelegardeError):
    """This side asked for something the protocol forbids now; a programming error on our side.

    Nothing was sent and the state did not change.
    """


class AssociationOver(LocalProtocolError):
    """This side asked for something after the peer had ended the association: a race, not a mistake.

    It happens when the end (an A-ABORT, a breach of the protocol, a close) came in the same read as what is being
    answered: the events told then name the cause, and the driver has just not got to it yet.
    """


class RemoteProtocolError(PeerError):
    """The peer broke the protocol; the association ends with an A-ABORT.

    Parameters
    ----------
    message : str
        What was wrong, without any value the peer sent.
    reason : AbortReason
        What the A-ABORT should say when the service provider is its source.

    References
    ----------
    PS3.8 Table 9-26
    """

    def __init__(self, message: str, reason: AbortReason = AbortReason.INVALID_PDU_PARAMETER_VALUE) -> None:
        super().__init__(message)
        self.abort_source = AbortSource.SERVICE_PROVIDER
        self.abort_reason = reason


class CommandError(PeerError):
    """A command set that can be answered, but not carried out: the answer is a failure status.

    Parameters
    ----------
    message : str
        Fits Error Comment (0000,0902) once cut to 64 characters; holds no value the peer sent.
    status : int
        DIMSE status that answers, for example 0x0212 (mistyped argument).
    offending_element : int
        Tag of the element at fault, (group << 16) | element.

    References
    ----------
    PS3.7 Annex C
    """

    def __init__(self, message: str, *, status: int, offending_element: int) -> None:
        super().__init__(message)
        self.status = status
        self.offending_element = offending_element
