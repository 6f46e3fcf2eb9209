"""The contents of A-ASSOCIATE-RQ, -AC and -RJ as values.

For: what is asked and answered when an association is made. Not for: bytes (`associate_codec`) or choosing
the answer (`negotiation`).

Invariants: everything is immutable; UIDs and AE titles are without padding; what an identity consists of never shows
in a `repr`.

References
----------
PS3.8 9.3.2 to 9.3.4 and Annex D; PS3.7 Annex D.3.3
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

__all__ = [
    "APPLICATION_CONTEXT",
    "DEFAULT_MAXIMUM_LENGTH",
    "PROTOCOL_VERSION",
    "AssociateAccept",
    "AssociateReject",
    "AssociateRequest",
    "AsynchronousOperationsWindow",
    "ContextResult",
    "PresentationContextProposal",
    "PresentationContextResult",
    "RejectResult",
    "RejectSource",
    "RoleSelection",
    "SopClassCommonExtendedNegotiation",
    "SopClassExtendedNegotiation",
    "UnknownItem",
    "UserIdentity",
    "UserIdentityType",
    "UserInformation",
]

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
"""DICOM Application Context Name (PS3.7 Annex A.2.1)."""

PROTOCOL_VERSION: Final = 1
"""Bit 0: version 1, the only one (PS3.8 9.3.2)."""

DEFAULT_MAXIMUM_LENGTH: Final = 16_384
"""Bytes assumed when a peer leaves out the mandatory Maximum Length sub-item: what old toolkits offer, so safe."""


class ContextResult(IntEnum):
    """Result/Reason of a presentation context (PS3.8 Table 9-18)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class RejectResult(IntEnum):
    """Result of A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    PERMANENT = 1
    TRANSIENT = 2


class RejectSource(IntEnum):
    """Source of A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    SERVICE_USER = 1
    SERVICE_PROVIDER_ACSE = 2
    SERVICE_PROVIDER_PRESENTATION = 3


class UserIdentityType(IntEnum):
    """What the primary field of a user identity holds (PS3.7 Table D.3-14)."""

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class PresentationContextProposal:
    """One abstract syntax with the transfer syntaxes proposed for it, in the requestor's order (PS3.8 9.3.2.2)."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PresentationContextResult:
    """The answer to one proposal; `transfer_syntax` means nothing unless `result` is 0 (PS3.8 9.3.3.2)."""

    context_id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AsynchronousOperationsWindow:
    """How many operations may be outstanding; 0 is unlimited, 1 is synchronous (PS3.7 D.3.3.3)."""

    operations_invoked_max: int
    operations_performed_max: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleSelection:
    """Roles of the association requestor for one SOP Class (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu_role: bool
    scp_role: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SopClassExtendedNegotiation:
    """Service class application information, laid out by the service class (PS3.7 D.3.3.5)."""

    sop_class_uid: str
    application_information: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class SopClassCommonExtendedNegotiation:
    """Service class and related general SOP Classes of a SOP Class (PS3.7 D.3.3.6). Never answered."""

    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class UserIdentity:
    """Who is asking (PS3.7 D.3.3.7). The fields are secrets: they are kept out of `repr`.

    Attributes
    ----------
    identity_type : int
        A `UserIdentityType`, or a number we do not know.
    positive_response_requested : bool
        Whether the requestor wants an answer.
    primary_field, secondary_field : bytes
        User name, ticket, assertion or token; passcode.
    """

    identity_type: int
    positive_response_requested: bool
    primary_field: bytes = field(repr=False)
    secondary_field: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownItem:
    """A user information sub-item of a type we do not know; kept, never answered (PS3.8 9.3.1)."""

    item_type: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class UserInformation:
    """User information item (PS3.8 Annex D, PS3.7 Annex D.3.3).

    Attributes
    ----------
    maximum_length : int
        Longest P-DATA-TF the sender of this item takes, in bytes; 0 is unlimited.
    user_identity : UserIdentity or None
        Only in a request.
    user_identity_response : bytes or None
        Only in an acceptance: the server response, b"" for user names; None when there is no response item.
    """

    maximum_length: int = DEFAULT_MAXIMUM_LENGTH
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    asynchronous_operations_window: AsynchronousOperationsWindow | None = None
    role_selections: tuple[RoleSelection, ...] = ()
    sop_class_extended_negotiations: tuple[SopClassExtendedNegotiation, ...] = ()
    sop_class_common_extended_negotiations: tuple[SopClassCommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    user_identity_response: bytes | None = field(default=None, repr=False)
    unknown_items: tuple[UnknownItem, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    called_ae_title: str
    calling_ae_title: str
    presentation_contexts: tuple[PresentationContextProposal, ...]
    user_information: UserInformation
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (PS3.8 9.3.3); the AE titles repeat those of the request."""

    called_ae_title: str
    calling_ae_title: str
    presentation_contexts: tuple[PresentationContextResult, ...]
    user_information: UserInformation
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4, Table 9-21).

    Attributes
    ----------
    result : int
        1 permanent, 2 transient.
    source : int
        1 service user, 2 provider (ACSE), 3 provider (presentation).
    reason : int
        Source 1: 1 no reason, 2 application context, 3 calling AE title, 7 called AE title. Source 2: 1 no
        reason, 2 protocol version. Source 3: 1 temporary congestion, 2 local limit exceeded.
    """

    result: int
    source: int
    reason: int
