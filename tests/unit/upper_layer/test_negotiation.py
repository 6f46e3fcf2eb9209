"""Negotiation as a pure function: contexts, roles, window, extended negotiation, identity, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pacs.upper_layer.associate import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsynchronousOperationsWindow,
    PresentationContextProposal,
    PresentationContextResult,
    RoleSelection,
    SopClassExtendedNegotiation,
    UserIdentity,
    UserInformation,
)
from pacs.upper_layer.errors import AbortReason, RemoteProtocolError
from pacs.upper_layer.negotiation import (
    AcceptedContext,
    Offer,
    RequestorRoles,
    TransferSyntaxPreference,
    accepted_contexts,
    negotiate,
)
from tests.unit.upper_layer.pairs import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR,
    IMPLICIT_VR,
    JPEG_LS,
    MR_IMAGE_STORAGE,
    VERIFICATION,
    a_request,
    accepted,
    an_offer,
    proposal,
)

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def answered(request: AssociateRequest, offer: Offer | None = None) -> AssociateAccept:
    answer = negotiate(request, offer or an_offer())
    assert isinstance(answer, AssociateAccept)
    return answer


def test_every_context_is_answered_in_the_order_proposed() -> None:
    answer = answered(
        a_request(
            proposal(5, VERIFICATION, IMPLICIT_VR),
            proposal(1, "1.2.3.4"),
            proposal(3, CT_IMAGE_STORAGE, JPEG_LS),
            proposal(7, CT_IMAGE_STORAGE, JPEG_LS, IMPLICIT_VR),
        )
    )
    assert [(one.context_id, one.result) for one in answer.presentation_contexts] == [(5, 0), (1, 3), (3, 4), (7, 0)]
    assert answer.presentation_contexts[3].transfer_syntax == IMPLICIT_VR


def test_the_requestors_first_choice_wins_by_default() -> None:
    answer = answered(a_request(proposal(1, CT_IMAGE_STORAGE, JPEG_LS, IMPLICIT_VR, EXPLICIT_VR)))
    assert answer.presentation_contexts[0].transfer_syntax == IMPLICIT_VR


def test_the_acceptors_first_choice_wins_when_configured_so() -> None:
    offer = replace(an_offer(), preference=TransferSyntaxPreference.ACCEPTOR)
    answer = answered(a_request(proposal(1, CT_IMAGE_STORAGE, JPEG_LS, IMPLICIT_VR, EXPLICIT_VR)), offer)
    assert answer.presentation_contexts[0].transfer_syntax == EXPLICIT_VR


def test_a_context_without_transfer_syntaxes_is_refused_alone() -> None:
    request = a_request(
        PresentationContextProposal(context_id=1, abstract_syntax=CT_IMAGE_STORAGE, transfer_syntaxes=()),
        PresentationContextProposal(context_id=3, abstract_syntax="", transfer_syntaxes=(IMPLICIT_VR,)),
        proposal(5, VERIFICATION),
    )
    assert [one.result for one in answered(request).presentation_contexts] == [4, 3, 0]


def test_the_answer_names_us_and_repeats_the_titles() -> None:
    answer = answered(a_request(), an_offer(65_536))
    assert answer.called_ae_title == "TELEGARDE"
    assert answer.calling_ae_title == "CT_ROANNE"
    assert answer.user_information.maximum_length == 65_536
    assert answer.user_information.implementation_version_name == "TELEGARDE"


def test_128_contexts_are_accepted() -> None:
    contexts = [proposal(number, CT_IMAGE_STORAGE) for number in range(1, 256, 2)]
    assert len(answered(a_request(*contexts)).presentation_contexts) == 128


# --- refusals ------------------------------------------------------------------------------------

REFUSED = {
    "another protocol version": (replace(a_request(), protocol_version=2), 2, 2),
    "another application context": (replace(a_request(), application_context="1.2.3"), 1, 2),
    "no application context": (replace(a_request(), application_context=""), 1, 2),
    "no calling AE title": (replace(a_request(), calling_ae_title=""), 1, 3),
    "a calling AE title with a control character": (replace(a_request(), calling_ae_title="CT\n"), 1, 3),
    "a calling AE title that was escaped": (replace(a_request(), calling_ae_title="CT\\xe9"), 1, 3),
    "no called AE title": (replace(a_request(), called_ae_title=""), 1, 7),
    "no contexts": (replace(a_request(), presentation_contexts=()), 1, 1),
    "129 contexts": (a_request(*[proposal(number, VERIFICATION) for number in range(1, 259, 2)]), 1, 1),
    "the same context twice": (a_request(proposal(1, VERIFICATION), proposal(1, CT_IMAGE_STORAGE)), 1, 1),
    "an even context": (a_request(proposal(2, VERIFICATION)), 1, 1),
    "context 0": (a_request(proposal(0, VERIFICATION)), 1, 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_accepted_is_refused_with_its_reason(name: str) -> None:
    request, source, reason = REFUSED[name]
    assert negotiate(request, an_offer()) == AssociateReject(result=1, source=source, reason=reason)


def test_more_protocol_versions_than_ours_are_accepted() -> None:
    answered(replace(a_request(), protocol_version=3))


# --- user information ----------------------------------------------------------------------------


def asking(user: UserInformation, *contexts: PresentationContextProposal) -> AssociateRequest:
    return a_request(*contexts, user_information=user)


def test_an_operations_window_is_answered_synchronous_only_when_asked() -> None:
    window = AsynchronousOperationsWindow(operations_invoked_max=0, operations_performed_max=0)
    answer = answered(asking(UserInformation(asynchronous_operations_window=window)))
    assert answer.user_information.asynchronous_operations_window == AsynchronousOperationsWindow(
        operations_invoked_max=1, operations_performed_max=1
    )
    assert answered(a_request()).user_information.asynchronous_operations_window is None


def role(uid: str, *, scu: bool, scp: bool) -> RoleSelection:
    return RoleSelection(sop_class_uid=uid, scu_role=scu, scp_role=scp)


def storage_scp_offer() -> Offer:
    return replace(an_offer(), requestor_roles_for=lambda uid: RequestorRoles(scu=True, scp=uid in (CT_IMAGE_STORAGE,)))


def test_the_scp_role_is_granted_where_it_is_offered() -> None:
    request = asking(
        UserInformation(
            role_selections=(
                role(CT_IMAGE_STORAGE, scu=False, scp=True),
                role(VERIFICATION, scu=True, scp=True),
            )
        )
    )
    answer = answered(request, storage_scp_offer())
    assert answer.user_information.role_selections == (
        role(CT_IMAGE_STORAGE, scu=False, scp=True),
        role(VERIFICATION, scu=True, scp=False),
    )
    ours = accepted_contexts(request, answer, is_requestor=False)
    assert (ours[1].scu_role, ours[1].scp_role) == (True, False)
    assert (ours[3].scu_role, ours[3].scp_role) == (False, True)
    theirs = accepted_contexts(request, answer, is_requestor=True)
    assert (theirs[1].scu_role, theirs[1].scp_role) == (False, True)
    assert (theirs[3].scu_role, theirs[3].scp_role) == (True, False)


def test_the_scu_role_may_be_refused_and_the_scp_role_granted() -> None:
    request = asking(UserInformation(role_selections=(role(VERIFICATION, scu=True, scp=True),)))
    offer = replace(an_offer(), requestor_roles_for=lambda uid: RequestorRoles(scu=False, scp=True))
    assert answered(request, offer).user_information.role_selections == (role(VERIFICATION, scu=False, scp=True),)


def test_a_context_for_which_no_proposed_role_is_granted_is_refused() -> None:
    request = asking(UserInformation(role_selections=(role(VERIFICATION, scu=False, scp=True),)))
    answer = answered(request, storage_scp_offer())
    assert [one.result for one in answer.presentation_contexts] == [0, 1]


def test_a_role_for_a_class_that_is_not_proposed_or_not_supported_or_repeated_is_not_answered() -> None:
    request = asking(
        UserInformation(
            role_selections=(
                role(MR_IMAGE_STORAGE, scu=True, scp=True),
                role("1.2.3.4", scu=True, scp=True),
                role(VERIFICATION, scu=True, scp=False),
                role(VERIFICATION, scu=False, scp=False),
            )
        ),
        proposal(1, VERIFICATION),
        proposal(3, "1.2.3.4"),
    )
    assert answered(request).user_information.role_selections == (role(VERIFICATION, scu=True, scp=False),)


def extended(uid: str, information: bytes) -> SopClassExtendedNegotiation:
    return SopClassExtendedNegotiation(sop_class_uid=uid, application_information=information)


def test_extended_negotiation_is_answered_by_the_offer_and_otherwise_not() -> None:
    asked = (
        extended(STUDY_ROOT_FIND, b"\1\1\1\1"),
        extended(STUDY_ROOT_FIND, b"\0"),
        extended(CT_IMAGE_STORAGE, b"\2"),
    )
    offer = replace(
        an_offer(),
        extended_negotiation=lambda uid, information: b"\1\1\0\0" if uid == STUDY_ROOT_FIND else None,
    )
    answer = answered(asking(UserInformation(sop_class_extended_negotiations=asked)), offer)
    assert answer.user_information.sop_class_extended_negotiations == (extended(STUDY_ROOT_FIND, b"\1\1\0\0"),)
    without = answered(asking(UserInformation(sop_class_extended_negotiations=asked)))
    assert without.user_information.sop_class_extended_negotiations == ()


def identity(kind: int, *, asks: bool) -> UserInformation:
    return UserInformation(
        user_identity=UserIdentity(identity_type=kind, positive_response_requested=asks, primary_field=b"ticket")
    )


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5])
def test_an_identity_is_answered_only_when_asked_and_offered(kind: int) -> None:
    offer = replace(an_offer(), user_identity_response=lambda one: b"for " + one.primary_field)
    asked = asking(identity(kind, asks=True))
    assert answered(asked, offer).user_information.user_identity_response == b"for ticket"
    assert answered(asked).user_information.user_identity_response is None
    silent = asking(identity(kind, asks=False))
    assert answered(silent, offer).user_information.user_identity_response is None


# --- what the requestor makes of the answer ------------------------------------------------------


def result(context_id: int, code: int = 0, transfer_syntax: str = EXPLICIT_VR) -> PresentationContextResult:
    return PresentationContextResult(context_id=context_id, result=code, transfer_syntax=transfer_syntax)


def test_only_accepted_contexts_may_be_used_and_an_unanswered_one_counts_as_refused() -> None:
    request = a_request(proposal(1, CT_IMAGE_STORAGE), proposal(3, VERIFICATION), proposal(5, MR_IMAGE_STORAGE))
    answer = replace(accepted(request), presentation_contexts=(result(1), result(3, 2, "")))
    assert accepted_contexts(request, answer, is_requestor=True) == {
        1: AcceptedContext(
            context_id=1,
            abstract_syntax=CT_IMAGE_STORAGE,
            transfer_syntax=EXPLICIT_VR,
            scu_role=True,
            scp_role=False,
        )
    }


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ((result(9),), AbortReason.UNEXPECTED_PDU_PARAMETER),
        ((result(1), result(1)), AbortReason.UNEXPECTED_PDU_PARAMETER),
        ((result(1, 0, JPEG_LS),), AbortReason.INVALID_PDU_PARAMETER_VALUE),
        ((result(1, 0, ""),), AbortReason.INVALID_PDU_PARAMETER_VALUE),
    ],
    ids=["not proposed", "answered twice", "another transfer syntax", "no transfer syntax"],
)
def test_an_answer_to_what_was_not_asked_is_a_remote_protocol_error(
    results: tuple[PresentationContextResult, ...], reason: AbortReason
) -> None:
    request = a_request()
    answer = replace(accepted(request), presentation_contexts=results)
    with pytest.raises(RemoteProtocolError) as raised:
        accepted_contexts(request, answer, is_requestor=True)
    assert raised.value.abort_reason is reason


def test_a_role_that_was_not_asked_for_is_not_granted() -> None:
    request = a_request()
    answer = accepted(request)
    user = replace(answer.user_information, role_selections=(role(CT_IMAGE_STORAGE, scu=True, scp=True),))
    contexts = accepted_contexts(request, replace(answer, user_information=user), is_requestor=True)
    assert (contexts[1].scu_role, contexts[1].scp_role) == (True, False)
