"""Command sets: golden bytes, pynetdicom as the other end, and what malformed ones get."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from pydicom.uid import UID
from pynetdicom.dimse_messages import (
    C_STORE_RQ,
    C_STORE_RSP,
    N_ACTION_RQ,
    N_CREATE_RQ,
    N_CREATE_RSP,
    N_DELETE_RQ,
    N_GET_RQ,
    N_SET_RQ,
)
from pynetdicom.dimse_primitives import C_STORE, N_ACTION, N_CREATE, N_DELETE, N_GET, N_SET
from pynetdicom.dsutils import decode as decode_dataset

from pacs.upper_layer.command_elements import ELEMENTS, REQUIRED_ELEMENTS
from pacs.upper_layer.dimse import (
    NO_DATA_SET,
    Command,
    CommandField,
    Priority,
    decode_command,
    encode_command,
    response,
    store_request,
    store_response,
)
from pacs.upper_layer.errors import CommandError, LocalProtocolError, RemoteProtocolError
from tests.unit.upper_layer import golden
from tests.unit.upper_layer.pairs import CT_IMAGE_STORAGE, INSTANCE_UID, VERIFICATION


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHL", group, number, len(value)) + value


def short(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


def test_a_store_request_is_read_as_the_standard_lays_it_out() -> None:
    command = decode_command(golden.C_STORE_RQ)
    assert command.command_field == CommandField.C_STORE_RQ
    assert command.affected_sop_class_uid == CT_IMAGE_STORAGE
    assert command.affected_sop_instance_uid == "1.2.3.4.55"
    assert command.message_id == 0x1234
    assert command.priority == Priority.MEDIUM
    assert command.has_dataset
    assert not command.is_response
    assert command.move_originator_aet == "MOVE"
    assert command.move_originator_message_id == 5
    assert command.error is None
    assert "move_originator_aet" in command
    assert "status" not in command


def test_a_store_request_is_written_as_the_standard_lays_it_out() -> None:
    written = store_request(
        0x1234, CT_IMAGE_STORAGE, "1.2.3.4.55", move_originator_aet="MOVE", move_originator_message_id=5
    )
    assert written == golden.C_STORE_RQ


def test_a_store_response_is_written_as_the_standard_lays_it_out() -> None:
    assert store_response(0x1234, CT_IMAGE_STORAGE, "1.2.3.4.55", 0xA700, "full") == golden.C_STORE_RSP
    assert response(decode_command(golden.C_STORE_RQ), 0xA700, error_comment="full") == golden.C_STORE_RSP


def test_a_store_response_is_read_as_the_standard_lays_it_out() -> None:
    command = decode_command(golden.C_STORE_RSP)
    assert command.is_response
    assert command.message_id_being_responded_to == 0x1234
    assert command.status == 0xA700
    assert command.error_comment == "full"
    assert not command.has_dataset
    assert command.error is None


@pytest.mark.parametrize("comment", ["", "odd", "even", "x" * 80, "plein à craquer"])
@pytest.mark.parametrize("instance_uid", ["1.2", "1.2.3", INSTANCE_UID])
def test_the_fast_store_response_is_byte_for_byte_the_general_one(comment: str, instance_uid: str) -> None:
    general = encode_command(
        affected_sop_class_uid=VERIFICATION,
        command_field=CommandField.C_STORE_RSP,
        message_id_being_responded_to=65_535,
        data_set_type=NO_DATA_SET,
        status=0xC000,
        error_comment=comment or None,
        affected_sop_instance_uid=instance_uid,
    )
    assert store_response(65_535, VERIFICATION, instance_uid, 0xC000, comment) == general


def test_an_error_comment_is_cut_to_64_characters_of_ascii() -> None:
    command = decode_command(store_response(1, VERIFICATION, "1.2", 0xC000, "é" * 100))
    assert command.error_comment == "?" * 64


# --- pynetdicom at the other end -----------------------------------------------------------------


def pynetdicom_command_set(message: object) -> bytes:
    """Write a pynetdicom message; its command set is the first PDV, behind the control header."""
    pdata = next(iter(message.encode_msg(1, 0)))  # type: ignore[attr-defined]  # untyped library
    value: bytes = pdata.presentation_data_value_list[0][1]
    return value[1:]


def test_we_read_the_store_request_of_pynetdicom() -> None:
    primitive = C_STORE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = CT_IMAGE_STORAGE
    primitive.AffectedSOPInstanceUID = INSTANCE_UID
    primitive.Priority = 1
    primitive.MoveOriginatorApplicationEntityTitle = "MOVER"
    primitive.MoveOriginatorMessageID = 9
    primitive.DataSet = BytesIO(b"\0\0")
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    command = decode_command(pynetdicom_command_set(message))
    assert command.error is None
    assert command.message_id == 7
    assert command.affected_sop_class_uid == CT_IMAGE_STORAGE
    assert command.affected_sop_instance_uid == INSTANCE_UID
    assert command.priority == Priority.HIGH
    assert command.move_originator_aet == "MOVER"
    assert command.move_originator_message_id == 9
    assert command.has_dataset


def test_pynetdicom_reads_our_store_response() -> None:
    message = C_STORE_RSP()
    written = store_response(7, CT_IMAGE_STORAGE, INSTANCE_UID, 0xB007, "does not match")
    message.command_set = decode_dataset(BytesIO(written), True, True)
    found = message.message_to_primitive()
    assert found.MessageIDBeingRespondedTo == 7
    assert found.Status == 0xB007
    assert found.AffectedSOPInstanceUID == INSTANCE_UID
    assert message.command_set.CommandGroupLength == len(written) - 12


def test_we_read_lists_of_tags_and_action_types_of_pynetdicom() -> None:
    get = N_GET()
    get.MessageID, get.RequestedSOPClassUID, get.RequestedSOPInstanceUID = 1, UID(VERIFICATION), UID("1.2.3")
    get.AttributeIdentifierList = [(0x0010, 0x0020), (0x7FE0, 0x0010)]
    message = N_GET_RQ()
    message.primitive_to_message(get)
    command = decode_command(pynetdicom_command_set(message))
    assert command.attribute_identifier_list == (0x0010_0020, 0x7FE0_0010)
    assert command.requested_sop_instance_uid == "1.2.3"
    action = N_ACTION()
    action.MessageID, action.RequestedSOPClassUID, action.RequestedSOPInstanceUID = 1, UID("1.2"), UID("1.2.3")
    action.ActionTypeID = 1
    action.ActionInformation = BytesIO(b"\0\0")
    rq = N_ACTION_RQ()
    rq.primitive_to_message(action)
    command = decode_command(pynetdicom_command_set(rq))
    assert command.action_type_id == 1
    assert command.error is None


def test_we_read_the_requests_of_pynetdicom_that_create_set_and_delete() -> None:
    create = N_CREATE()
    create.MessageID, create.AffectedSOPClassUID = 3, UID(VERIFICATION)
    create.AttributeList = BytesIO(b"\0\0")
    message = N_CREATE_RQ()
    message.primitive_to_message(create)
    command = decode_command(pynetdicom_command_set(message))
    assert (command.command_field, command.error, command.has_dataset) == (CommandField.N_CREATE_RQ, None, True)
    assert "affected_sop_instance_uid" not in command
    change = N_SET()
    change.MessageID, change.RequestedSOPClassUID = 4, UID(VERIFICATION)
    change.RequestedSOPInstanceUID, change.ModificationList = UID("1.2.3"), BytesIO(b"\0\0")
    set_message = N_SET_RQ()
    set_message.primitive_to_message(change)
    command = decode_command(pynetdicom_command_set(set_message))
    assert (command.command_field, command.error) == (CommandField.N_SET_RQ, None)
    assert command.requested_sop_instance_uid == "1.2.3"
    delete = N_DELETE()
    delete.MessageID, delete.RequestedSOPClassUID, delete.RequestedSOPInstanceUID = 5, UID(VERIFICATION), UID("1.2.3")
    delete_message = N_DELETE_RQ()
    delete_message.primitive_to_message(delete)
    command = decode_command(pynetdicom_command_set(delete_message))
    assert (command.command_field, command.error, command.has_dataset) == (CommandField.N_DELETE_RQ, None, False)


def test_pynetdicom_reads_our_answer_that_names_what_was_created() -> None:
    request = decode_command(
        encode_command(
            affected_sop_class_uid=VERIFICATION, command_field=CommandField.N_CREATE_RQ, message_id=9, data_set_type=1
        )
    )
    written = response(request, 0x0000, affected_sop_instance_uid="2.25.7")
    message = N_CREATE_RSP()
    message.command_set = decode_dataset(BytesIO(written), True, True)
    found = message.message_to_primitive()
    assert (found.Status, found.MessageIDBeingRespondedTo) == (0, 9)
    assert found.AffectedSOPInstanceUID == "2.25.7"


def test_pydicom_reads_every_element_that_we_write() -> None:
    written = encode_command(
        affected_sop_class_uid="1.2.3",
        requested_sop_class_uid="1.2.34",
        command_field=0x0110,
        message_id=1,
        message_id_being_responded_to=2,
        move_destination="DEST",
        priority=2,
        data_set_type=0x0101,
        status=0xFF00,
        offending_elements=(0x0008_0018,),
        error_comment="why",
        error_id=3,
        affected_sop_instance_uid="1.2.5",
        requested_sop_instance_uid="1.2.6",
        event_type_id=4,
        attribute_identifier_list=(0x0010_0010, 0x0010_0020),
        action_type_id=5,
        number_of_remaining_suboperations=6,
        number_of_completed_suboperations=7,
        number_of_failed_suboperations=8,
        number_of_warning_suboperations=9,
        move_originator_aet="ORIGIN",
        move_originator_message_id=10,
    )
    found = decode_dataset(BytesIO(written), True, True)
    assert len(found) == len(ELEMENTS)
    assert found.CommandGroupLength == len(written) - 12
    assert found.AttributeIdentifierList == [0x0010_0010, 0x0010_0020]
    assert found.OffendingElement == 0x0008_0018
    assert found.MoveDestination == "DEST"
    assert found.NumberOfWarningSuboperations == 9
    ours = decode_command(written)
    assert ours.number_of_remaining_suboperations == 6
    assert ours.number_of_completed_suboperations == 7
    assert ours.number_of_failed_suboperations == 8
    assert ours.number_of_warning_suboperations == 9
    assert ours.offending_elements == (0x0008_0018,)
    assert ours.error_id == 3
    assert ours.event_type_id == 4
    assert ours.move_destination == "DEST"
    assert ours.priority == Priority.LOW
    assert ours.requested_sop_class_uid == "1.2.34"


# --- what is malformed ---------------------------------------------------------------------------

ECHO_ELEMENTS = {
    0x0002: element(0x0002, VERIFICATION.encode() + b"\0"),
    0x0100: short(0x0100, CommandField.C_ECHO_RQ),
    0x0110: short(0x0110, 1),
    0x0800: short(0x0800, NO_DATA_SET),
}
ECHO = b"".join(ECHO_ELEMENTS.values())
RESPONSE = b"".join(
    (short(0x0100, CommandField.C_ECHO_RSP), short(0x0120, 1), short(0x0800, NO_DATA_SET), short(0x0900, 0))
)


def without(encoded: bytes, number: int) -> bytes:
    command = decode_command(encoded)
    return b"".join(element(one, value) for one, value in command.elements.items() if one != number)


NOT_EVEN_AN_ANSWER = {
    "nothing": b"",
    "a header cut off": ECHO[:-9],
    "a value cut off": ECHO[:-1],
    "an optional value cut off": ECHO + element(0x1030, b"MOVER ")[:-2],
    "a length beyond the end": struct.pack("<HHL", 0, 2, 0xFFFF_FFFF),
    "a group other than 0000": ECHO + element(0x0010, b"", group=8),
    "a repeated element": ECHO + short(0x0110, 2),
    "no command field": without(ECHO, 0x0100),
    "no data set type": without(ECHO, 0x0800),
    "no message id in a request": without(ECHO, 0x0110),
    "a command field of four bytes": without(ECHO, 0x0100) + element(0x0100, b"\x30\0\0\0"),
    "a message id of one byte": without(ECHO, 0x0110) + element(0x0110, b"\1"),
    "no status in a response": without(RESPONSE, 0x0900),
    "no message id responded to in a response": without(RESPONSE, 0x0120),
    "no message id responded to in a cancel": short(0x0100, CommandField.C_CANCEL_RQ) + short(0x0800, NO_DATA_SET),
}


@pytest.mark.parametrize("name", NOT_EVEN_AN_ANSWER)
def test_a_command_set_that_cannot_even_be_answered_is_a_remote_protocol_error(name: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_command(NOT_EVEN_AN_ANSWER[name])


def sound(command_field: int) -> dict[str, bytes]:
    """Return the elements of a sound request, by keyword."""
    elements = {
        "command_field": short(0x0100, command_field),
        "message_id": short(0x0110, 1),
        "data_set_type": short(0x0800, 1),
    }
    for keyword in REQUIRED_ELEMENTS[command_field]:
        number, _ = ELEMENTS[keyword]
        if keyword.endswith("_uid"):
            elements[keyword] = element(number, b"1.2.3\0")
        elif keyword == "move_destination":
            elements[keyword] = element(number, b"DEST")
        else:
            elements[keyword] = short(number, 1)
    return elements


REQUIRED_PAIRS = [(field, keyword) for field, keywords in REQUIRED_ELEMENTS.items() for keyword in keywords]


@pytest.mark.parametrize(("command_field", "keyword"), REQUIRED_PAIRS)
def test_a_request_that_lacks_an_argument_says_which_and_is_answered_mistyped(command_field: int, keyword: str) -> None:
    elements = sound(command_field)
    assert decode_command(b"".join(elements.values())).error is None
    del elements[keyword]
    command = decode_command(b"".join(elements.values()))
    assert command.error is not None
    assert command.error.status == 0x0212
    assert command.error.offending_element == ELEMENTS[keyword].number
    with pytest.raises(CommandError):
        getattr(command, keyword)
    # Whatever it lacks, it can be answered.
    answer = decode_command(response(command, command.error.status, offending_elements=(ELEMENTS[keyword].number,)))
    assert answer.status == 0x0212
    assert answer.message_id_being_responded_to == 1


@pytest.mark.parametrize(
    "command_field",
    [
        CommandField.C_STORE_RQ,
        CommandField.C_FIND_RQ,
        CommandField.C_GET_RQ,
        CommandField.C_MOVE_RQ,
        CommandField.N_SET_RQ,
    ],
)
def test_a_request_that_must_have_a_data_set_and_announces_none_is_mistyped(command_field: int) -> None:
    elements = sound(command_field)
    elements["data_set_type"] = short(0x0800, NO_DATA_SET)
    command = decode_command(b"".join(elements.values()))
    assert command.error is not None
    assert command.error.status == 0x0212
    assert not command.has_dataset


@pytest.mark.parametrize(
    ("keyword", "raw", "status"),
    [
        ("affected_sop_instance_uid", b"1.2.x4", 0x0117),
        ("affected_sop_instance_uid", b"1" * 66, 0x0117),
        ("affected_sop_instance_uid", b"\0\0", 0x0117),
        ("affected_sop_class_uid", b"CT IMG", 0x0212),
        ("affected_sop_class_uid", b"", 0x0212),
        ("priority", b"\0", 0x0212),
        ("move_originator_message_id", b"\0\0\0\0", 0x0212),
    ],
)
def test_a_bad_value_names_the_status_that_answers(keyword: str, raw: bytes, status: int) -> None:
    elements = sound(CommandField.C_STORE_RQ)
    elements[keyword] = element(ELEMENTS[keyword].number, raw)
    command = decode_command(b"".join(elements.values()))
    assert command.error is not None
    assert command.error.status == status
    assert command.error.offending_element == ELEMENTS[keyword].number
    assert decode_command(response(command, status)).status == status


def test_an_unknown_operation_is_answered_unrecognized() -> None:
    command = decode_command(without(ECHO, 0x0100) + short(0x0100, 0x0777))
    assert command.error is not None
    assert command.error.status == 0x0211


def test_a_wrong_list_of_tags_is_a_command_error_when_it_is_looked_at() -> None:
    command = decode_command(ECHO + element(0x1005, b"\x10\0\x10"))
    with pytest.raises(CommandError):
        _ = command.attribute_identifier_list


def test_a_wrong_optional_number_is_a_command_error_when_it_is_looked_at() -> None:
    command = decode_command(RESPONSE + element(0x1020, b"\1"))
    assert command.error is not None
    with pytest.raises(CommandError):
        _ = command.number_of_remaining_suboperations


def test_elements_out_of_order_retired_ones_and_a_wrong_group_length_are_taken() -> None:
    command = decode_command(
        b"".join(reversed(ECHO_ELEMENTS.values())) + element(0x5010, b"old ") + element(0, b"\xff\xff\xff\xff")
    )
    assert command.error is None
    assert command.affected_sop_class_uid == VERIFICATION


def test_a_missing_priority_is_medium() -> None:
    assert decode_command(ECHO).priority == Priority.MEDIUM


def test_optional_elements_that_are_absent_are_none() -> None:
    command = decode_command(ECHO)
    assert command.move_originator_aet is None
    assert command.number_of_failed_suboperations is None
    assert command.error_comment is None
    assert command.offending_elements == ()


def test_a_command_does_not_show_its_arguments() -> None:
    assert repr(decode_command(golden.C_STORE_RQ)) == "Command(0001H, has_dataset=True)"


# --- answering and our mistakes ------------------------------------------------------------------


def answered(command: Command, status: int) -> Command:
    return decode_command(response(command, status))


def test_a_response_repeats_what_the_request_named() -> None:
    request = decode_command(b"".join(sound(CommandField.N_ACTION_RQ).values()))
    answer = answered(request, 0)
    assert answer.command_field == CommandField.N_ACTION_RSP
    assert answer.affected_sop_class_uid == "1.2.3"
    assert answer.affected_sop_instance_uid == "1.2.3"
    assert answer.action_type_id == 1
    assert not answer.has_dataset


def test_a_failure_does_not_repeat_the_action_type() -> None:
    request = decode_command(b"".join(sound(CommandField.N_ACTION_RQ).values()))
    assert "action_type_id" not in answered(request, 0x0110)


def test_a_response_may_announce_a_data_set_and_carry_counters() -> None:
    request = decode_command(b"".join(sound(CommandField.C_GET_RQ).values()))
    answer = decode_command(
        response(request, 0xB000, has_dataset=True, number_of_failed_suboperations=3, affected_sop_instance_uid=None)
    )
    assert answer.has_dataset
    assert answer.number_of_failed_suboperations == 3
    assert answer.number_of_completed_suboperations is None


@pytest.mark.parametrize("encoded", [RESPONSE, short(0x0100, 0x0FFF) + short(0x0120, 1) + short(0x0800, 0x0101)])
def test_responses_and_cancels_have_no_response(encoded: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        response(decode_command(encoded), 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"no_such_element": 1},
        {"message_id": 65_536},
        {"message_id": -1},
        {"message_id": "1"},
        {"affected_sop_class_uid": "1" * 65},
        {"affected_sop_class_uid": ""},
        {"affected_sop_class_uid": "1.é"},
        {"affected_sop_class_uid": 1},
        {"move_destination": "A" * 17},
        {"attribute_identifier_list": "nonsense"},
        {"command_group_length": 1},
    ],
)
def test_what_does_not_fit_its_element_is_our_mistake(fields: dict[str, int | str]) -> None:
    with pytest.raises(LocalProtocolError):
        encode_command(**fields)


@pytest.mark.parametrize(
    ("message_id", "instance_uid", "status"), [(65_536, "1.2", 0), (1, "1.x", 0), (1, "", 0), (1, "1.2", 65_536)]
)
def test_what_does_not_fit_a_store_response_is_our_mistake(message_id: int, instance_uid: str, status: int) -> None:
    with pytest.raises(LocalProtocolError):
        store_response(message_id, VERIFICATION, instance_uid, status)
