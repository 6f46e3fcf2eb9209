"""C-ECHO through an association double."""

from pacs.scp.echo import EchoService
from pacs.scp.presentation import VERIFICATION
from pacs.status import Status
from pacs.upper_layer.dimse import NO_DATA_SET, CommandField, decode_command, encode_command
from tests.unit.scp.association_double import AssociationDouble, context_of


def test_an_echo_is_answered_with_success() -> None:
    association = AssociationDouble()
    request = encode_command(
        affected_sop_class_uid=VERIFICATION,
        command_field=CommandField.C_ECHO_RQ,
        message_id=7,
        data_set_type=NO_DATA_SET,
    )

    EchoService().handle(association, context_of(VERIFICATION), decode_command(request), b"")

    (sent,) = association.sent
    assert sent.command.command_field == CommandField.C_ECHO_RSP
    assert sent.command.status == Status.SUCCESS
    assert sent.command.message_id_being_responded_to == 7
    assert sent.dataset == b""


def test_another_command_on_the_verification_context_is_refused() -> None:
    association = AssociationDouble()
    request = encode_command(
        affected_sop_class_uid=VERIFICATION,
        command_field=CommandField.C_FIND_RQ,
        message_id=7,
        priority=0,
        data_set_type=1,
    )

    EchoService().handle(association, context_of(VERIFICATION), decode_command(request), b"")

    assert association.sent[0].command.status == Status.UNRECOGNIZED_OPERATION
