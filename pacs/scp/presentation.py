"""What is offered when an association is negotiated: SOP Classes, transfer syntaxes and roles, within a peer's rights.

For: the `Offer` that `pacs.upper_layer.negotiation` answers with, and the tables that docs/conformance.md is made from.
Not for: who may connect (`pacs.scp.access`) and what a service does with an accepted context.

Invariants: look-ups cost the same however long the tables are; a context is only accepted if the peer has the right to
what it is for, but a service still checks the right of each request. Storage takes every encoding as it comes, because
bytes are kept as they come; data sets that we must read and write (queries, commitment) are never compressed images.

References
----------
PS3.4 B.5 (standard storage SOP Classes), C.6 (Query/Retrieve), J.3 (Storage Commitment), A.4 (Verification); PS3.5 10;
PS3.6 Annex A (registry of UIDs); PS3.7 D.3.3.4 (roles)
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]  # public, but pydicom lists no re-exports

from pacs.scp.services import Rights
from pacs.upper_layer.associate import AssociateRequest
from pacs.upper_layer.negotiation import Offer, RequestorRoles

__all__ = [
    "MESSAGE_TRANSFER_SYNTAXES",
    "MPPS",
    "MPPS_RETRIEVE",
    "SERVICE_SOP_CLASSES",
    "STORAGE_COMMITMENT_PUSH_MODEL",
    "STORAGE_SOP_CLASSES",
    "STORAGE_TRANSFER_SYNTAXES",
    "VERIFICATION",
    "ExtendedNegotiation",
    "Needs",
    "PresentationPolicy",
]

ExtendedNegotiation = Callable[[str, bytes], bytes | None]
"""(SOP Class UID, application information) to the answer, or None for none (PS3.7 D.3.3.5)."""

VERIFICATION: Final = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
# Modality Performed Procedure Step, and its Retrieve SOP Class (PS3.4 F.7, F.8).
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
MPPS_RETRIEVE: Final = "1.2.840.10008.3.1.2.3.4"

_STANDARD_ROOT: Final = "1.2.840.10008."


class Needs(Enum):
    """The right that a service SOP Class needs."""

    NOTHING = "nothing"
    QUERY = "query"
    RETRIEVE = "retrieve"
    COMMIT = "commit"
    WORKLIST = "worklist"
    WORKITEMS = "workitems"


SERVICE_SOP_CLASSES: Final[Mapping[str, Needs]] = MappingProxyType(
    {
        VERIFICATION: Needs.NOTHING,
        STORAGE_COMMITMENT_PUSH_MODEL: Needs.COMMIT,
        MPPS: Needs.WORKLIST,
        MPPS_RETRIEVE: Needs.WORKLIST,
        "1.2.840.10008.5.1.4.31": Needs.WORKLIST,  # Modality Worklist, FIND
        "1.2.840.10008.5.1.4.34.6.1": Needs.WORKITEMS,  # Unified Procedure Step, Push
        "1.2.840.10008.5.1.4.34.6.2": Needs.WORKITEMS,  # Unified Procedure Step, Watch
        "1.2.840.10008.5.1.4.34.6.3": Needs.WORKITEMS,  # Unified Procedure Step, Pull
        "1.2.840.10008.5.1.4.34.6.5": Needs.WORKITEMS,  # Unified Procedure Step, Query
        "1.2.840.10008.5.1.4.1.2.1.1": Needs.QUERY,  # Patient Root, FIND
        "1.2.840.10008.5.1.4.1.2.1.2": Needs.RETRIEVE,  # Patient Root, MOVE
        "1.2.840.10008.5.1.4.1.2.1.3": Needs.RETRIEVE,  # Patient Root, GET
        "1.2.840.10008.5.1.4.1.2.2.1": Needs.QUERY,  # Study Root, FIND
        "1.2.840.10008.5.1.4.1.2.2.2": Needs.RETRIEVE,  # Study Root, MOVE
        "1.2.840.10008.5.1.4.1.2.2.3": Needs.RETRIEVE,  # Study Root, GET
        "1.2.840.10008.5.1.4.1.2.3.1": Needs.QUERY,  # Patient/Study Only (retired, still in use), FIND
        "1.2.840.10008.5.1.4.1.2.3.2": Needs.RETRIEVE,  # Patient/Study Only, MOVE
        "1.2.840.10008.5.1.4.1.2.3.3": Needs.RETRIEVE,  # Patient/Study Only, GET
    }
)
"""Every SOP Class that is not storage, with the right it needs."""

# The registry calls these 'Storage', but they are no composite objects of a patient's study (PS3.4 B.5).
_NOT_IN_A_STUDY: Final = frozenset(
    {
        "1.2.840.10008.1.3.10",  # Media Storage Directory: never on the network (PS3.4 I.4)
        "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
        "1.2.840.10008.1.20.2",  # Storage Commitment Pull Model (retired)
        # Non-Patient Object Storage (PS3.4 GG.3): there is no study to keep them in.
        "1.2.840.10008.5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.200.3",  # Protocol Approval
        "1.2.840.10008.5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.201.1",  # Inventory
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
        "1.2.840.10008.5.1.4.39.1",  # Color Palette
        "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
        "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
        "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
    }
)

# What the standard has and pydicom 3.0's registry has not. (pynetdicom adds some of it when it is imported; what we
# offer must not depend on who imported what first.)
_NEWER_STORAGE: Final = {
    "1.2.840.10008.5.1.4.1.1.9.100.1": "Waveform Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.2": "Waveform Acquisition Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
}

_NEWER_TRANSFER_SYNTAXES: Final = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
}

# Transfer syntaxes with which C-STORE would not hand over the whole object, or that encode no data set.
_NOT_WHOLE_OBJECTS: Final = frozenset(
    {
        "1.2.840.10008.1.2.4.94",  # JPIP Referenced: the pixels stay with the sender
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.204",  # JPIP HTJ2K Referenced
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
        "1.2.840.10008.1.2.6.1",  # RFC 2557 MIME encapsulation (retired)
        "1.2.840.10008.1.2.6.2",  # XML Encoding (retired)
        "1.2.840.10008.1.2.7.1",  # SMPTE ST 2110: real-time video, never in C-STORE (PS3.22)
        "1.2.840.10008.1.2.7.2",
        "1.2.840.10008.1.2.7.3",
        "1.2.840.10008.1.20",  # Papyrus 3 Implicit VR Little Endian (retired)
    }
)


def _storage_sop_classes() -> dict[str, str]:
    # An entry with a remark belongs to another standard (DICOS: baggage; DICONDE: materials), not to medicine.
    registered = {
        uid: name
        for uid, (name, kind, remark, _retired, _keyword) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and not remark and uid not in _NOT_IN_A_STUDY
    }
    return dict(sorted((_NEWER_STORAGE | registered).items()))


def _storage_transfer_syntaxes() -> dict[str, str]:
    registered = {
        uid: entry[0]
        for uid, entry in UID_dictionary.items()
        if entry[1] == "Transfer Syntax" and uid not in _NOT_WHOLE_OBJECTS
    }
    return _NEWER_TRANSFER_SYNTAXES | registered


STORAGE_SOP_CLASSES: Final[Mapping[str, str]] = MappingProxyType(_storage_sop_classes())
"""Names of the storage SOP Classes of the standard by UID, retired ones included: old archives are migrated too."""

STORAGE_TRANSFER_SYNTAXES: Final[Mapping[str, str]] = MappingProxyType(_storage_transfer_syntaxes())
"""Names of the transfer syntaxes taken for storage, by UID."""

MESSAGE_TRANSFER_SYNTAXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        uid: STORAGE_TRANSFER_SYNTAXES[uid]
        for uid in (
            "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
            "1.2.840.10008.1.2",  # Implicit VR Little Endian
            "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
            "1.2.840.10008.1.2.2",  # Explicit VR Big Endian (retired)
        )
    }
)
"""Names of the transfer syntaxes of every other service: identifiers and action or event information."""

_STORAGE_SYNTAXES: Final = frozenset(STORAGE_TRANSFER_SYNTAXES)
_MESSAGE_SYNTAXES: Final = frozenset(MESSAGE_TRANSFER_SYNTAXES)
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class _PrivateSopClasses:
    """Which private SOP Classes count as storage."""

    is_any: bool
    uids: frozenset[str]
    prefixes: tuple[str, ...]

    def __contains__(self, uid: str) -> bool:
        if uid.startswith(_STANDARD_ROOT):
            return False
        return self.is_any or uid in self.uids or uid.startswith(self.prefixes)


class PresentationPolicy:
    """What this node offers, to be narrowed to each peer's rights.

    Parameters
    ----------
    private_sop_classes : collection of str
        UIDs, prefixes that end in a dot, or ``*`` for all; standard UIDs are never private.
    """

    def __init__(self, *, private_sop_classes: Collection[str]) -> None:
        self._private = _PrivateSopClasses(
            is_any="*" in private_sop_classes,
            uids=frozenset(private_sop_classes),
            prefixes=tuple(entry for entry in private_sop_classes if entry.endswith(".")),
        )

    def is_storage(self, sop_class_uid: str) -> bool:
        """Say whether instances of this SOP Class are kept."""
        return sop_class_uid in STORAGE_SOP_CLASSES or sop_class_uid in self._private

    def transfer_syntaxes_for(
        self, abstract_syntax: str, rights: Rights, *, scp_roles: Collection[str] = _NONE
    ) -> Collection[str]:
        """Return the transfer syntaxes taken for an abstract syntax; empty when it is not offered to this peer.

        Parameters
        ----------
        scp_roles : collection of str
            SOP Class UIDs for which the requestor proposes to be SCP: it wants to receive them by C-GET.
        """
        needs = SERVICE_SOP_CLASSES.get(abstract_syntax)
        if needs is not None:
            return _MESSAGE_SYNTAXES if _has(rights, needs) else _NONE
        is_wanted = rights.may_store or (rights.may_retrieve and abstract_syntax in scp_roles)
        return _STORAGE_SYNTAXES if is_wanted and self.is_storage(abstract_syntax) else _NONE

    def requestor_roles_for(self, abstract_syntax: str, rights: Rights) -> RequestorRoles:
        """Return the roles the requestor may take when it proposes a role selection.

        The SCP role only makes sense for storage: the C-STORE sub-operations of a C-GET (PS3.4 C.4.3).
        """
        if not self.is_storage(abstract_syntax):
            return RequestorRoles(scu=True, scp=False)
        return RequestorRoles(scu=rights.may_store, scp=rights.may_retrieve)

    def offer(
        self,
        request: AssociateRequest,
        rights: Rights,
        *,
        implementation_class_uid: str,
        implementation_version_name: str,
        maximum_length: int,
        extended_negotiation: ExtendedNegotiation,
    ) -> Offer:
        """Return what this request is answered from.

        Parameters
        ----------
        maximum_length : int
            Longest P-DATA-TF taken, in bytes.
        extended_negotiation : callable
            Answers of the query service (PS3.4 C.5); of the other services nothing is negotiated.
        """
        scp_roles = frozenset(role.sop_class_uid for role in request.user_information.role_selections if role.scp_role)

        def transfer_syntaxes_for(abstract_syntax: str) -> Collection[str]:
            return self.transfer_syntaxes_for(abstract_syntax, rights, scp_roles=scp_roles)

        def requestor_roles_for(abstract_syntax: str) -> RequestorRoles:
            return self.requestor_roles_for(abstract_syntax, rights)

        return Offer(
            transfer_syntaxes_for=transfer_syntaxes_for,
            implementation_class_uid=implementation_class_uid,
            implementation_version_name=implementation_version_name,
            maximum_length=maximum_length,
            requestor_roles_for=requestor_roles_for,
            extended_negotiation=extended_negotiation,
        )


def _has(rights: Rights, needs: Needs) -> bool:
    match needs:
        case Needs.NOTHING:
            return True
        case Needs.QUERY:
            return rights.may_query
        case Needs.RETRIEVE:
            return rights.may_retrieve
        case Needs.COMMIT:
            return rights.may_commit
        case Needs.WORKLIST:
            return rights.may_worklist
        case Needs.WORKITEMS:
            return rights.may_workitems
