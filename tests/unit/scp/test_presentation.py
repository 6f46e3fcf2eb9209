"""What is offered to whom, against the registries of pydicom and pynetdicom."""

import dataclasses

import pytest
from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]  # public, but pydicom lists no re-exports
from pynetdicom import AllStoragePresentationContexts
from pynetdicom import sop_class as pynetdicom_sop_class

from pacs.scp.presentation import (
    MESSAGE_TRANSFER_SYNTAXES,
    SERVICE_SOP_CLASSES,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    VERIFICATION,
    Needs,
    PresentationPolicy,
)
from pacs.scp.services import Rights
from pacs.upper_layer.associate import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    PresentationContextProposal,
    RoleSelection,
    UserInformation,
)
from pacs.upper_layer.negotiation import negotiate

NOTHING = Rights(may_store=False, may_query=False, may_retrieve=False, move_destinations=frozenset(), issuer="")
STORE = dataclasses.replace(NOTHING, may_store=True)
QUERY = dataclasses.replace(NOTHING, may_query=True)
COMMIT = dataclasses.replace(NOTHING, may_commit=True)
RETRIEVE = dataclasses.replace(NOTHING, may_retrieve=True)
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT = "1.2.840.10008.1.2"
PRIVATE = "1.3.46.670589.2.4.1.1"
REGISTERED = {entry[4]: uid for uid, entry in UID_dictionary.items()}
POLICY = PresentationPolicy(private_sop_classes=["1.2.840.113619.4.30", "1.3.46.670589."])


def test_every_storage_sop_class_that_pynetdicom_knows_is_storage() -> None:
    theirs = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}

    assert theirs - set(STORAGE_SOP_CLASSES) == set()
    assert len(STORAGE_SOP_CLASSES) > 180


@pytest.mark.parametrize(
    "keyword",
    [
        "StorageCommitmentPushModel",
        "StorageCommitmentPullModel",
        "MediaStorageDirectoryStorage",
        "HangingProtocolStorage",
        "DICOSCTImageStorage",
    ],
)
def test_what_is_no_object_of_a_study_is_not_storage(keyword: str) -> None:
    assert not POLICY.is_storage(REGISTERED[keyword])


@pytest.mark.parametrize(
    "keyword",
    [
        "ImplicitVRLittleEndian",
        "ExplicitVRLittleEndian",
        "DeflatedExplicitVRLittleEndian",
        "ExplicitVRBigEndian",
        "EncapsulatedUncompressedExplicitVRLittleEndian",
        "JPEGBaseline8Bit",
        "JPEGExtended12Bit",
        "JPEGLossless",
        "JPEGLosslessSV1",
        "JPEGLSLossless",
        "JPEGLSNearLossless",
        "JPEG2000Lossless",
        "JPEG2000",
        "JPEG2000MC",
        "MPEG2MPML",
        "MPEG2MPHLF",
        "MPEG4HP41",
        "MPEG4HP42STEREO",
        "HEVCMP51",
        "HEVCM10P51",
        "HTJ2KLossless",
        "HTJ2KLosslessRPCL",
        "HTJ2K",
        "RLELossless",
    ],
)
def test_storage_takes_every_encoding_of_whole_objects(keyword: str) -> None:
    assert REGISTERED[keyword] in POLICY.transfer_syntaxes_for(CT, STORE)


def test_storage_takes_every_registered_transfer_syntax_but_those_named() -> None:
    registered = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}

    left_out = registered - set(STORAGE_TRANSFER_SYNTAXES)
    words = ("JPIP", "MIME", "XML", "SMPTE", "Papyrus")
    assert all(any(word in UID_dictionary[uid][0] for word in words) for uid in left_out)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"])
def test_storage_takes_jpeg_xl(uid: str) -> None:
    assert uid in POLICY.transfer_syntaxes_for(CT, STORE)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.7.1", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.6.2", "1.2.3"])
def test_storage_takes_no_encoding_that_leaves_pixels_elsewhere(uid: str) -> None:
    assert uid not in STORAGE_TRANSFER_SYNTAXES


def test_queries_and_commitment_are_never_compressed_images() -> None:
    everything = Rights(
        may_store=True, may_query=True, may_retrieve=True, may_commit=True, may_worklist=True, may_workitems=True,
        move_destinations=None, issuer="",
    )  # fmt: skip

    for uid in SERVICE_SOP_CLASSES:
        assert set(POLICY.transfer_syntaxes_for(uid, everything)) == set(MESSAGE_TRANSFER_SYNTAXES)


def test_the_service_sop_classes_are_those_of_the_registry() -> None:
    query = set(pynetdicom_sop_class._QR_CLASSES.values())
    # Composite Instance Root and Instance Root Retrieve without bulk data, and repository queries are not offered.
    offered = {uid for uid, needs in SERVICE_SOP_CLASSES.items() if needs in {Needs.QUERY, Needs.RETRIEVE}}

    assert offered <= query
    assert {
        uid for uid in query if ".5.1.4.1.2.1." in uid or ".5.1.4.1.2.2." in uid or ".5.1.4.1.2.3." in uid
    } == offered


@pytest.mark.parametrize(
    ("granted", "needs"),
    [
        (QUERY, Needs.QUERY),
        (RETRIEVE, Needs.RETRIEVE),
        (COMMIT, Needs.COMMIT),
        (dataclasses.replace(NOTHING, may_worklist=True), Needs.WORKLIST),
        (dataclasses.replace(NOTHING, may_workitems=True), Needs.WORKITEMS),
    ],
)
def test_a_service_is_offered_only_with_its_right(granted: Rights, needs: Needs) -> None:
    offered = {uid for uid in SERVICE_SOP_CLASSES if POLICY.transfer_syntaxes_for(uid, granted)}

    assert offered == {uid for uid, needed in SERVICE_SOP_CLASSES.items() if needed in {needs, Needs.NOTHING}}


def test_verification_needs_no_right_and_storage_does() -> None:
    assert POLICY.transfer_syntaxes_for(VERIFICATION, NOTHING)
    assert not POLICY.transfer_syntaxes_for(CT, NOTHING)
    assert not POLICY.transfer_syntaxes_for(STORAGE_COMMITMENT_PUSH_MODEL, STORE)


@pytest.mark.parametrize(
    ("private", "uid", "is_storage"),
    [
        ([], PRIVATE, False),
        (["1.3.46.670589."], PRIVATE, True),
        (["1.3.46.670589."], "1.3.46.6705890.1", False),
        (["1.3.46.670589.2"], PRIVATE, False),
        ([PRIVATE], PRIVATE, True),
        (["*"], PRIVATE, True),
        (["*"], "1.2.840.10008.1.1", False),
        (["*"], "1.2.840.10008.99.1", False),
        (["*"], CT, True),
    ],
)
def test_private_sop_classes_are_storage_by_policy(private: list[str], uid: str, is_storage: bool) -> None:
    policy = PresentationPolicy(private_sop_classes=private)

    assert policy.is_storage(uid) is is_storage
    assert bool(policy.transfer_syntaxes_for(uid, STORE)) is (is_storage or uid == VERIFICATION)


def answer(rights: Rights, *proposed: str, roles: tuple[RoleSelection, ...] = ()) -> AssociateAccept:
    request = AssociateRequest(
        called_ae_title="TELEGARDE",
        calling_ae_title="PEER",
        presentation_contexts=tuple(
            PresentationContextProposal(context_id=2 * position + 1, abstract_syntax=uid, transfer_syntaxes=(IMPLICIT,))
            for position, uid in enumerate(proposed)
        ),
        user_information=UserInformation(role_selections=roles),
    )
    offer = POLICY.offer(
        request,
        rights,
        implementation_class_uid="1.2.3",
        implementation_version_name="TEST",
        maximum_length=131_072,
        extended_negotiation=lambda _uid, _information: None,
    )
    accept = negotiate(request, offer)
    assert isinstance(accept, AssociateAccept)
    return accept


def results(accept: AssociateAccept) -> list[int]:
    return [context.result for context in accept.presentation_contexts]


AS_SCP = RoleSelection(sop_class_uid=CT, scu_role=False, scp_role=True)
AS_BOTH = RoleSelection(sop_class_uid=CT, scu_role=True, scp_role=True)


def test_a_c_get_requestor_may_receive_what_it_may_not_store() -> None:
    accept = answer(RETRIEVE, STUDY_ROOT_GET, CT, roles=(AS_BOTH,))

    assert results(accept) == [ContextResult.ACCEPTANCE, ContextResult.ACCEPTANCE]
    assert accept.user_information.role_selections == (AS_SCP,)


def test_a_peer_without_store_is_not_offered_storage_as_scu() -> None:
    accept = answer(RETRIEVE, STUDY_ROOT_GET, CT)

    assert results(accept) == [ContextResult.ACCEPTANCE, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED]


def test_a_peer_without_retrieve_cannot_be_storage_scp() -> None:
    accept = answer(STORE, CT, roles=(AS_SCP,))

    assert results(accept) == [ContextResult.USER_REJECTION]


def test_no_service_but_storage_gives_the_requestor_the_scp_role() -> None:
    role = RoleSelection(sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=True)

    accept = answer(COMMIT, STORAGE_COMMITMENT_PUSH_MODEL, roles=(role,))

    assert accept.user_information.role_selections == (
        RoleSelection(sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=False),
    )
