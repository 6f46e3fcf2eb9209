"""A-ASSOCIATE items: golden bytes, pynetdicom as the other end, and what malformed items get."""

from __future__ import annotations

import struct

import pynetdicom.pdu as theirs
import pytest
from pynetdicom.pdu_primitives import A_ASSOCIATE

from pacs.upper_layer.associate import (
    APPLICATION_CONTEXT,
    DEFAULT_MAXIMUM_LENGTH,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsynchronousOperationsWindow,
    PresentationContextResult,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UnknownItem,
    UserIdentity,
    UserInformation,
)
from pacs.upper_layer.associate_codec import (
    decode_associate_accept,
    decode_associate_request,
    encode_associate_accept,
    encode_associate_request,
)
from pacs.upper_layer.errors import AbortReason, LocalProtocolError, RemoteProtocolError
from pacs.upper_layer.pdu import PduType, encode_associate_reject, with_header
from tests.unit.upper_layer import golden
from tests.unit.upper_layer.pairs import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR,
    IMPLICIT_VR,
    JPEG_LS,
    OUR_CLASS_UID,
    VERIFICATION,
    a_request,
    accepted,
    proposal,
)

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

RICH_REQUEST = a_request(
    proposal(1, CT_IMAGE_STORAGE, JPEG_LS, EXPLICIT_VR),
    proposal(255, VERIFICATION, EXPLICIT_VR),
    user_information=UserInformation(
        maximum_length=16_384,
        implementation_class_uid=OUR_CLASS_UID,
        implementation_version_name="TESTS",
        asynchronous_operations_window=AsynchronousOperationsWindow(
            operations_invoked_max=0, operations_performed_max=1
        ),
        role_selections=(RoleSelection(sop_class_uid=CT_IMAGE_STORAGE, scu_role=False, scp_role=True),),
        sop_class_extended_negotiations=(
            SopClassExtendedNegotiation(sop_class_uid=STUDY_ROOT_FIND, application_information=b"\1\1\0"),
        ),
        sop_class_common_extended_negotiations=(
            SopClassCommonExtendedNegotiation(
                sop_class_uid="1.2.3.4.5",
                service_class_uid="1.2.840.10008.4.2",
                related_general_sop_class_uids=("1.",),
            ),
        ),
        user_identity=UserIdentity(
            identity_type=2,
            positive_response_requested=True,
            primary_field=b"night",
            secondary_field=b"guard",
        ),
    ),
)

RICH_ACCEPT = AssociateAccept(
    called_ae_title="TELEGARDE",
    calling_ae_title="CT_ROANNE",
    presentation_contexts=(
        PresentationContextResult(context_id=1, result=0, transfer_syntax=EXPLICIT_VR),
        PresentationContextResult(context_id=255, result=3, transfer_syntax=IMPLICIT_VR),
    ),
    user_information=UserInformation(
        maximum_length=131_072,
        implementation_class_uid=OUR_CLASS_UID,
        implementation_version_name="TELEGARDE",
        asynchronous_operations_window=AsynchronousOperationsWindow(
            operations_invoked_max=1, operations_performed_max=1
        ),
        user_identity_response=b"",
    ),
)


def test_a_request_is_written_as_the_standard_lays_it_out() -> None:
    assert with_header(PduType.ASSOCIATE_RQ, encode_associate_request(RICH_REQUEST)) == golden.ASSOCIATE_RQ


def test_a_request_is_read_as_the_standard_lays_it_out() -> None:
    assert decode_associate_request(golden.ASSOCIATE_RQ[6:]) == RICH_REQUEST


def test_an_acceptance_is_written_as_the_standard_lays_it_out() -> None:
    assert with_header(PduType.ASSOCIATE_AC, encode_associate_accept(RICH_ACCEPT)) == golden.ASSOCIATE_AC


def test_an_acceptance_is_read_without_looking_at_what_is_not_significant() -> None:
    found = decode_associate_accept(golden.ASSOCIATE_AC[6:])
    assert found.user_information == RICH_ACCEPT.user_information
    assert found.presentation_contexts == (
        RICH_ACCEPT.presentation_contexts[0],
        PresentationContextResult(context_id=255, result=3, transfer_syntax=""),
    )


def test_a_rejection_is_written_as_the_standard_lays_it_out() -> None:
    assert encode_associate_reject(AssociateReject(result=1, source=1, reason=7)) == golden.ASSOCIATE_RJ


# --- pynetdicom at the other end -----------------------------------------------------------------


def test_pynetdicom_reads_our_request() -> None:
    # Their reader refuses the UID "1." of the golden request, so a lawful one stands in.
    pdu = theirs.A_ASSOCIATE_RQ()
    pdu.decode(golden.ASSOCIATE_RQ.replace(b"\x00\x021.", b"\x00\x029\x30"))
    assert pdu.called_ae_title == "TELEGARDE"
    assert pdu.calling_ae_title == "CT_ROANNE"
    assert pdu.application_context_name == APPLICATION_CONTEXT
    contexts = [
        (item.context_id, item.abstract_syntax, list(item.transfer_syntax)) for item in pdu.presentation_context
    ]
    assert contexts == [
        (1, CT_IMAGE_STORAGE, [JPEG_LS, EXPLICIT_VR]),
        (255, VERIFICATION, [EXPLICIT_VR]),
    ]
    user = pdu.user_information
    assert user.maximum_length == 16_384
    assert user.implementation_class_uid == OUR_CLASS_UID
    assert user.role_selection[CT_IMAGE_STORAGE].scp_role == 1
    assert user.role_selection[CT_IMAGE_STORAGE].scu_role == 0
    assert user.async_ops_window.maximum_number_operations_performed == 1
    assert user.user_identity.primary_field == b"night"
    assert user.user_identity.secondary_field == b"guard"


def test_pynetdicom_reads_our_acceptance() -> None:
    pdu = theirs.A_ASSOCIATE_AC()
    pdu.decode(golden.ASSOCIATE_AC)
    contexts = [(item.context_id, item.result) for item in pdu.presentation_context]
    assert contexts == [(1, 0), (255, 3)]
    assert pdu.presentation_context[0].transfer_syntax == EXPLICIT_VR
    assert pdu.user_information.maximum_length == 131_072


def a_pynetdicom_request() -> bytes:
    import pynetdicom.pdu_primitives as primitives
    from pynetdicom import build_context

    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title = "CT_ROANNE"
    primitive.called_ae_title = "TELEGARDE"
    first, second = build_context(CT_IMAGE_STORAGE, [JPEG_LS, EXPLICIT_VR]), build_context(VERIFICATION, EXPLICIT_VR)
    first.context_id, second.context_id = 1, 3
    primitive.presentation_context_definition_list = [first, second]
    length = primitives.MaximumLengthNotification()
    length.maximum_length_received = 16_382
    implementation = primitives.ImplementationClassUIDNotification()
    implementation.implementation_class_uid = OUR_CLASS_UID
    version = primitives.ImplementationVersionNameNotification()
    version.implementation_version_name = "THEIRS"
    window = primitives.AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 5, 6
    role = primitives.SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CT_IMAGE_STORAGE, True, True
    extended = primitives.SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = STUDY_ROOT_FIND, b"\1\0\1"
    common = primitives.SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = "1.2.3.4", "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = [CT_IMAGE_STORAGE, "1.2.3"]
    identity = primitives.UserIdentityNegotiation()
    identity.user_identity_type, identity.positive_response_requested = 1, True
    identity.primary_field = b"night"
    primitive.user_information = [length, implementation, version, window, role, extended, common, identity]
    pdu = theirs.A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    encoded: bytes = pdu.encode()
    return encoded


def test_we_read_the_request_of_pynetdicom() -> None:
    found = decode_associate_request(a_pynetdicom_request()[6:])
    assert found == a_request(
        proposal(1, CT_IMAGE_STORAGE, JPEG_LS, EXPLICIT_VR),
        proposal(3, VERIFICATION, EXPLICIT_VR),
        user_information=UserInformation(
            maximum_length=16_382,
            implementation_class_uid=OUR_CLASS_UID,
            implementation_version_name="THEIRS",
            asynchronous_operations_window=AsynchronousOperationsWindow(
                operations_invoked_max=5, operations_performed_max=6
            ),
            role_selections=(RoleSelection(sop_class_uid=CT_IMAGE_STORAGE, scu_role=True, scp_role=True),),
            sop_class_extended_negotiations=(
                SopClassExtendedNegotiation(sop_class_uid=STUDY_ROOT_FIND, application_information=b"\1\0\1"),
            ),
            sop_class_common_extended_negotiations=(
                SopClassCommonExtendedNegotiation(
                    sop_class_uid="1.2.3.4",
                    service_class_uid="1.2.840.10008.4.2",
                    related_general_sop_class_uids=(CT_IMAGE_STORAGE, "1.2.3"),
                ),
            ),
            user_identity=UserIdentity(identity_type=1, positive_response_requested=True, primary_field=b"night"),
        ),
    )


def test_what_pynetdicom_reads_of_our_acceptance_it_writes_back_the_same() -> None:
    answer = accepted(a_request())
    pdu = theirs.A_ASSOCIATE_AC()
    pdu.decode(with_header(PduType.ASSOCIATE_AC, encode_associate_accept(answer)))
    assert decode_associate_accept(pdu.encode()[6:]) == decode_associate_accept(encode_associate_accept(answer))


# --- what else comes in --------------------------------------------------------------------------

FIXED = golden.ASSOCIATE_RQ[6:74]


def item(item_type: int, content: bytes) -> bytes:
    return struct.pack(">BxH", item_type, len(content)) + content


def user_information(*items: bytes) -> bytes:
    return FIXED + item(0x50, b"".join(items))


def test_items_of_unknown_type_are_passed_over_and_unknown_sub_items_kept() -> None:
    found = decode_associate_request(item(0x77, b"??").join([FIXED, item(0x50, item(0x5A, b"new"))]))
    assert found.user_information.unknown_items == (UnknownItem(item_type=0x5A, content=b"new"),)
    again = AssociateRequest(
        called_ae_title="A",
        calling_ae_title="B",
        presentation_contexts=(),
        user_information=found.user_information,
    )
    assert decode_associate_request(encode_associate_request(again)).user_information == found.user_information


def test_a_request_without_items_is_read_and_left_to_negotiation() -> None:
    found = decode_associate_request(FIXED)
    assert found.application_context == ""
    assert found.presentation_contexts == ()
    assert found.user_information.maximum_length == DEFAULT_MAXIMUM_LENGTH


def test_padding_of_uids_and_titles_is_dropped() -> None:
    padded = item(0x20, b"\1\0\0\0" + item(0x30, VERIFICATION.encode() + b"\0") + item(0x40, b"1.2 "))
    found = decode_associate_request(FIXED + item(0x10, APPLICATION_CONTEXT.encode() + b"\0") + padded)
    assert found.application_context == APPLICATION_CONTEXT
    assert found.presentation_contexts == (proposal(1, VERIFICATION, "1.2"),)


def test_text_that_is_not_printable_ascii_is_shown_escaped() -> None:
    fixed = FIXED.replace(b"CT_ROANNE", b"CT\n\xe9\x00NNE\\")
    assert decode_associate_request(fixed).calling_ae_title == "CT\\n\\xe9\\x00NNE\\\\"


def test_an_identity_does_not_show_in_the_representation() -> None:
    shown = repr(decode_associate_request(golden.ASSOCIATE_RQ[6:]))
    assert "night" not in shown
    assert "guard" not in shown


def twice(sub_item: bytes) -> bytes:
    return user_information(sub_item, sub_item)


LENGTH_ITEM = item(0x51, bytes(4))
CONTEXT_HEAD = b"\1\0\0\0"

MALFORMED = {
    "shorter than its fixed fields": FIXED[:-1],
    "an item header is cut off": FIXED + b"\x10\0\0",
    "an item is longer than the PDU": FIXED + b"\x10\0\0\x05abcd",
    "a context shorter than its ID": FIXED + item(0x20, b"\1\0\0"),
    "a sub-item longer than its context": FIXED + item(0x20, CONTEXT_HEAD + b"\x30\0\0\x05abcd"),
    "two abstract syntaxes in a context": FIXED + item(0x20, CONTEXT_HEAD + item(0x30, b"1.2") * 2),
    "two application contexts": FIXED + item(0x10, b"1.2") * 2,
    "two user information items": FIXED + item(0x50, b"") * 2,
    "a maximum length of two bytes": user_information(item(0x51, b"\0\0")),
    "two maximum lengths": twice(LENGTH_ITEM),
    "two implementation class UIDs": twice(item(0x52, b"1.2")),
    "two windows": twice(item(0x53, bytes(4))),
    "a window of six bytes": user_information(item(0x53, bytes(6))),
    "two version names": twice(item(0x55, b"X")),
    "two identities": twice(item(0x58, b"\1\0\0\1a\0\0")),
    "an identity cut off before its fields": user_information(item(0x58, b"\1")),
    "an identity without secondary length": user_information(item(0x58, b"\1\0\0\1a")),
    "an identity field longer than its item": user_information(item(0x58, b"\1\0\0\xffa\0\0")),
    "two identity responses": twice(item(0x59, b"\0\0")),
    "a role without its second byte": user_information(item(0x54, b"\0\3" + b"1.2" + b"\1")),
    "a role of 2": user_information(item(0x54, b"\0\3" + b"1.2" + b"\2\0")),
    "a role whose UID is longer than its item": user_information(item(0x54, b"\0\xff" + b"1.2\1\1")),
    "a UID that reaches into the next item": user_information(item(0x56, b"\0\x06" + b"1.2"), item(0x51, bytes(4))),
    "extended negotiation of one byte": user_information(item(0x56, b"\0")),
    "common negotiation without related classes": user_information(item(0x57, b"\0\x011\0\x011")),
    "a related class longer than its list": user_information(item(0x57, b"\0\x011\0\x011\0\3\0\x091")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_a_remote_protocol_error(name: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        decode_associate_request(MALFORMED[name])
    repeated = name.startswith("two ")
    assert raised.value.abort_reason is (
        AbortReason.UNEXPECTED_PDU_PARAMETER if repeated else AbortReason.INVALID_PDU_PARAMETER_VALUE
    )


def test_a_malformed_acceptance_is_a_remote_protocol_error() -> None:
    for content in (
        FIXED[:-1],
        FIXED + item(0x21, b"\1\0\0"),
        FIXED + item(0x21, CONTEXT_HEAD + item(0x40, b"1.2") * 2),
        FIXED + item(0x10, b"1.2") * 2,
        FIXED + item(0x50, b"") * 2,
    ):
        with pytest.raises(RemoteProtocolError):
            decode_associate_accept(content)


@pytest.mark.parametrize(
    "user",
    [
        UserInformation(implementation_class_uid="1" * 65),
        UserInformation(implementation_class_uid="1.é"),
        UserInformation(implementation_version_name="V" * 17),
        UserInformation(
            user_identity=UserIdentity(identity_type=4, positive_response_requested=False, primary_field=bytes(65_536))
        ),
        UserInformation(
            sop_class_extended_negotiations=(
                SopClassExtendedNegotiation(sop_class_uid="1.2", application_information=bytes(65_535)),
            )
        ),
    ],
    ids=["uid too long", "uid not ascii", "version name too long", "identity too long", "item too long"],
)
def test_what_does_not_fit_its_field_is_our_mistake(user: UserInformation) -> None:
    with pytest.raises(LocalProtocolError):
        encode_associate_request(a_request(user_information=user))


def test_an_ae_title_of_17_characters_is_our_mistake() -> None:
    request = AssociateRequest(
        called_ae_title="A" * 17, calling_ae_title="B", presentation_contexts=(), user_information=UserInformation()
    )
    with pytest.raises(LocalProtocolError):
        encode_associate_request(request)
