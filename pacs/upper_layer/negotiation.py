"""Association negotiation as a pure function: what was asked and what is on offer give the answer.

For: presentation contexts, roles, window, extended negotiation, user identity and the refusals that follow from
the request alone. Not for: who may connect (`pacs.scp` access policy) or bytes.

Invariants: the same request and offer give the same answer; every proposed context is answered, in the order
proposed.

References
----------
PS3.8 7.1.1, 9.3.2 to 9.3.4; PS3.7 Annex D.3.3
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum

from pacs.upper_layer.associate import (
    APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsynchronousOperationsWindow,
    ContextResult,
    PresentationContextProposal,
    PresentationContextResult,
    RejectResult,
    RejectSource,
    RoleSelection,
    SopClassExtendedNegotiation,
    UserIdentity,
    UserInformation,
)
from pacs.upper_layer.errors import AbortReason, RemoteProtocolError
from pacs.upper_layer.limits import PRESENTATION_CONTEXTS_MAX

__all__ = [
    "AcceptedContext",
    "Offer",
    "RequestorRoles",
    "TransferSyntaxPreference",
    "accepted_contexts",
    "negotiate",
    "refusal",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedContext:
    """A presentation context in use.

    Attributes
    ----------
    context_id : int
        Odd, 1 to 255.
    abstract_syntax, transfer_syntax : str
        As agreed.
    scu_role, scp_role : bool
        Whether *this side* may act as SCU, as SCP. Unless roles were negotiated the requestor of the
        association is the SCU and the acceptor the SCP.
    """

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    scu_role: bool
    scp_role: bool


class TransferSyntaxPreference(Enum):
    """Who chooses when a context proposes several transfer syntaxes that we take."""

    REQUESTOR = "requestor"
    """The first proposed that we take: a modality lists first what it holds, so nothing is recoded."""

    ACCEPTOR = "acceptor"
    """The first of ours that is proposed."""


@dataclass(frozen=True, kw_only=True)
class RequestorRoles:
    """The roles that the association requestor may take for one SOP Class."""

    scu: bool = True
    scp: bool = False


def _default_roles(_abstract_syntax: str) -> RequestorRoles:
    return RequestorRoles()


def _no_extended_negotiation(_sop_class_uid: str, _application_information: bytes) -> bytes | None:
    return None


def _no_identity_response(_identity: UserIdentity) -> bytes | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What the acceptor supports.

    Attributes
    ----------
    transfer_syntaxes_for : callable
        Abstract syntax UID to the transfer syntax UIDs taken for it (ordered, when the acceptor chooses); empty
        when the abstract syntax is not supported.
    implementation_class_uid, implementation_version_name : str
        Ours (PS3.7 D.3.3.2).
    maximum_length : int
        Longest P-DATA-TF taken, in bytes; 0 is unlimited.
    preference : TransferSyntaxPreference
        Who chooses the transfer syntax.
    requestor_roles_for : callable
        Abstract syntax UID to the roles that the requestor may take when it proposes a role selection. A C-GET
        requestor proposes the SCP role for the storage classes.
    extended_negotiation : callable
        (SOP Class UID, service class application information) to the answer, or None for no answer.
    user_identity_response : callable
        The server response to an identity that asked for one (b"" for user names), or None when
        identities are not supported. Refusing an identity is the access policy's, before this.
    """

    transfer_syntaxes_for: Callable[[str], Collection[str]]
    implementation_class_uid: str
    implementation_version_name: str
    maximum_length: int
    preference: TransferSyntaxPreference = TransferSyntaxPreference.REQUESTOR
    requestor_roles_for: Callable[[str], RequestorRoles] = _default_roles
    extended_negotiation: Callable[[str, bytes], bytes | None] = _no_extended_negotiation
    user_identity_response: Callable[[UserIdentity], bytes | None] = _no_identity_response


def _reject(source: RejectSource, reason: int) -> AssociateReject:
    return AssociateReject(result=RejectResult.PERMANENT, source=source, reason=reason)


def _is_ae_title(title: str) -> bool:
    return 0 < len(title) <= 16 and title.isprintable() and title.isascii() and "\\" not in title


def refusal(request: AssociateRequest) -> AssociateReject | None:
    """Say whether the request alone is reason enough to refuse, and how.

    Returns
    -------
    AssociateReject or None
        ACSE's "protocol version not supported", or a refusal by the user: application context, AE titles that cannot
        be names, contexts that are none, too many, even or repeated (no reason given: the standard has none for it).

    References
    ----------
    PS3.8 Table 9-21; PS3.8 9.3.2.2 (context IDs are odd)
    """
    if not request.protocol_version & PROTOCOL_VERSION:
        return _reject(RejectSource.SERVICE_PROVIDER_ACSE, 2)
    if request.application_context != APPLICATION_CONTEXT:
        return _reject(RejectSource.SERVICE_USER, 2)
    if not _is_ae_title(request.calling_ae_title):
        return _reject(RejectSource.SERVICE_USER, 3)
    if not _is_ae_title(request.called_ae_title):
        return _reject(RejectSource.SERVICE_USER, 7)
    identifiers = [context.context_id for context in request.presentation_contexts]
    if not 0 < len(identifiers) <= PRESENTATION_CONTEXTS_MAX:
        return _reject(RejectSource.SERVICE_USER, 1)
    if len(set(identifiers)) < len(identifiers):
        return _reject(RejectSource.SERVICE_USER, 1)
    if not all(identifier % 2 for identifier in identifiers):
        return _reject(RejectSource.SERVICE_USER, 1)
    return None


def _choose(proposed: tuple[str, ...], offer: Offer, abstract_syntax: str) -> tuple[int, str]:
    """Return the result and the transfer syntax of one context."""
    taken = offer.transfer_syntaxes_for(abstract_syntax)
    if not taken:
        return ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, ""
    if offer.preference is TransferSyntaxPreference.REQUESTOR:
        chosen = next((uid for uid in proposed if uid in taken), None)
    else:
        chosen = next((uid for uid in taken if uid in proposed), None)
    if chosen is None:
        return ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, ""
    return ContextResult.ACCEPTANCE, chosen


_INSIGNIFICANT_TRANSFER_SYNTAX = "1.2.840.10008.1.2"
"""A refused context must hold a transfer syntax that nobody may look at (PS3.8 9.3.3.2); implicit VR is ours."""


def _answer_context(
    context: PresentationContextProposal, offer: Offer, roleless: Collection[str]
) -> PresentationContextResult:
    result, chosen = _choose(context.transfer_syntaxes, offer, context.abstract_syntax)
    if result == ContextResult.ACCEPTANCE and context.abstract_syntax in roleless:
        result, chosen = ContextResult.USER_REJECTION, ""
    return PresentationContextResult(
        context_id=context.context_id,
        result=result,
        transfer_syntax=chosen or _INSIGNIFICANT_TRANSFER_SYNTAX,
    )


def _answer_roles(request: AssociateRequest, offer: Offer) -> tuple[RoleSelection, ...]:
    """Answer each role selection for a SOP Class that is proposed and supported, once."""
    proposed = {context.abstract_syntax for context in request.presentation_contexts}
    answers: dict[str, RoleSelection] = {}
    for role in request.user_information.role_selections:
        uid = role.sop_class_uid
        if uid not in proposed or uid in answers or not offer.transfer_syntaxes_for(uid):
            continue
        allowed = offer.requestor_roles_for(uid)
        answers[uid] = RoleSelection(
            sop_class_uid=uid,
            scu_role=role.scu_role and allowed.scu,
            scp_role=role.scp_role and allowed.scp,
        )
    return tuple(answers.values())


def _answer_extended(request: AssociateRequest, offer: Offer) -> tuple[SopClassExtendedNegotiation, ...]:
    answers: dict[str, SopClassExtendedNegotiation] = {}
    for item in request.user_information.sop_class_extended_negotiations:
        uid = item.sop_class_uid
        if uid in answers:
            continue
        answer = offer.extended_negotiation(uid, item.application_information)
        if answer is not None:
            answers[uid] = SopClassExtendedNegotiation(sop_class_uid=uid, application_information=answer)
    return tuple(answers.values())


def negotiate(request: AssociateRequest, offer: Offer) -> AssociateAccept | AssociateReject:
    """Answer an association request.

    Parameters
    ----------
    request : AssociateRequest
        What the peer proposes.
    offer : Offer
        What we support.

    Returns
    -------
    AssociateAccept or AssociateReject
        An acceptance answers every context, even when none is accepted: the standard leaves it to the requestor to
        release then. The asynchronous operations window is answered 1/1 (synchronous) when asked.

    References
    ----------
    PS3.8 7.1.1; PS3.7 D.3.3.3 (window), D.3.3.4 (roles), D.3.3.5 (extended), D.3.3.7 (identity)
    """
    rejection = refusal(request)
    if rejection is not None:
        return rejection
    asked = request.user_information
    roles = _answer_roles(request, offer)
    roleless = {role.sop_class_uid for role in roles if not (role.scu_role or role.scp_role)}
    identity = asked.user_identity
    identity_response = None
    if identity is not None and identity.positive_response_requested:
        identity_response = offer.user_identity_response(identity)
    window = None
    if asked.asynchronous_operations_window is not None:
        window = AsynchronousOperationsWindow(operations_invoked_max=1, operations_performed_max=1)
    return AssociateAccept(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        presentation_contexts=tuple(
            _answer_context(context, offer, roleless) for context in request.presentation_contexts
        ),
        user_information=UserInformation(
            maximum_length=offer.maximum_length,
            implementation_class_uid=offer.implementation_class_uid,
            implementation_version_name=offer.implementation_version_name,
            asynchronous_operations_window=window,
            role_selections=roles,
            sop_class_extended_negotiations=_answer_extended(request, offer),
            user_identity_response=identity_response,
        ),
    )


def accepted_contexts(
    request: AssociateRequest, accept: AssociateAccept, *, is_requestor: bool
) -> dict[int, AcceptedContext]:
    """Join request and acceptance into the contexts that may be used.

    Parameters
    ----------
    request, accept : AssociateRequest, AssociateAccept
        Both sides of the negotiation.
    is_requestor : bool
        Which side's roles to tell.

    Raises
    ------
    RemoteProtocolError
        If the acceptance answers what was not asked: an unknown or repeated context, or a transfer
        syntax that was not proposed. A context left without answer counts as refused.

    References
    ----------
    PS3.8 9.3.3.2; PS3.7 D.3.3.4
    """
    proposals = {context.context_id: context for context in request.presentation_contexts}
    roles = _agreed_roles(request, accept)
    accepted: dict[int, AcceptedContext] = {}
    answered: set[int] = set()
    for answer in accept.presentation_contexts:
        proposal = proposals.get(answer.context_id)
        if proposal is None or answer.context_id in answered:
            raise RemoteProtocolError(
                "an answered presentation context was not proposed, or is answered twice",
                AbortReason.UNEXPECTED_PDU_PARAMETER,
            )
        answered.add(answer.context_id)
        if answer.result != ContextResult.ACCEPTANCE:
            continue
        if answer.transfer_syntax not in proposal.transfer_syntaxes:
            raise RemoteProtocolError("the accepted transfer syntax was not proposed")
        role = roles.get(proposal.abstract_syntax, RequestorRoles())
        accepted[answer.context_id] = AcceptedContext(
            context_id=answer.context_id,
            abstract_syntax=proposal.abstract_syntax,
            transfer_syntax=answer.transfer_syntax,
            scu_role=role.scu if is_requestor else role.scp,
            scp_role=role.scp if is_requestor else role.scu,
        )
    return accepted


def _agreed_roles(request: AssociateRequest, accept: AssociateAccept) -> dict[str, RequestorRoles]:
    """Roles of the requestor where both sides spoke; a role is granted only if it was asked for."""
    asked = {role.sop_class_uid: role for role in request.user_information.role_selections}
    return {
        answer.sop_class_uid: RequestorRoles(
            scu=answer.scu_role and asked[answer.sop_class_uid].scu_role,
            scp=answer.scp_role and asked[answer.sop_class_uid].scp_role,
        )
        for answer in accept.user_information.role_selections
        if answer.sop_class_uid in asked
    }
