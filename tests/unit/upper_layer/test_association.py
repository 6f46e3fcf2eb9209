"""Two engines back to back: whole associations, from request to close, in both roles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pacs.upper_layer.associate import AssociateReject
from pacs.upper_layer.associate_codec import encode_associate_accept, encode_associate_request
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import CommandField, encode_command, response, store_request, store_response
from pacs.upper_layer.errors import LocalProtocolError
from pacs.upper_layer.events import (
    Aborted,
    AssociateAccepted,
    AssociateRejected,
    AssociateRequested,
    CommandReceived,
    DataFragment,
    ProtocolFailure,
    ReleaseCompleted,
    ReleaseRequested,
)
from pacs.upper_layer.fsm import State
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.pdu import PduType, encode_abort, encode_associate_reject, with_header
from tests.unit.upper_layer.pairs import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR,
    INSTANCE_UID,
    JPEG_LS,
    VERIFICATION,
    a_request,
    accepted,
    associated,
    feed,
    joined,
    message_view,
    proposal,
)


def test_an_association_is_made_used_and_released() -> None:
    requestor, acceptor = UpperLayer(Role.REQUESTOR), UpperLayer(Role.ACCEPTOR)
    request = a_request(maximum_length=16_384)

    (requested,) = feed(acceptor, requestor.associate_request(request))
    assert requested == AssociateRequested(request)
    assert not acceptor.artim_running
    answer = accepted(request)
    assert feed(requestor, acceptor.associate_accept(answer)) == [AssociateAccepted(answer)]
    assert dict(requestor.contexts).keys() == dict(acceptor.contexts).keys() == {1, 3}
    assert acceptor.contexts[1].transfer_syntax == EXPLICIT_VR
    assert requestor.send_pdv_payload_max == 131_072 - 6
    assert acceptor.send_pdv_payload_max == 16_384 - 6

    data = bytes(range(256)) * 4_000
    sent = requestor.pdata_command(1, store_request(5, CT_IMAGE_STORAGE, INSTANCE_UID))
    sent += joined(requestor.pdata_dataset(1, data))
    command, *fragments = feed(acceptor, sent)
    assert isinstance(command, CommandReceived)
    assert command.command.affected_sop_instance_uid == INSTANCE_UID
    assert all(isinstance(fragment, DataFragment) for fragment in fragments)
    assert message_view(list(fragments)) == [("data set", 1, data)]
    sent = acceptor.pdata_command(1, store_response(5, CT_IMAGE_STORAGE, INSTANCE_UID, 0))
    (answered,) = feed(requestor, sent)
    assert isinstance(answered, CommandReceived)
    assert answered.command.status == 0

    assert feed(acceptor, requestor.release_request()) == [ReleaseRequested()]
    assert feed(requestor, acceptor.release_response()) == [ReleaseCompleted()]
    assert requestor.closed
    assert not acceptor.closed
    assert acceptor.artim_running
    assert acceptor.connection_closed() == []
    assert acceptor.closed
    assert not acceptor.artim_running


def test_the_acceptor_may_release_too() -> None:
    pair = associated()
    assert feed(pair.requestor, pair.acceptor.release_request()) == [ReleaseRequested()]
    assert feed(pair.acceptor, pair.requestor.release_response()) == [ReleaseCompleted()]
    assert pair.acceptor.closed


def test_a_release_collision_ends_on_both_sides() -> None:
    pair = associated()
    from_requestor, from_acceptor = pair.requestor.release_request(), pair.acceptor.release_request()
    assert feed(pair.requestor, from_acceptor) == [ReleaseRequested(collision=True)]
    assert feed(pair.acceptor, from_requestor) == [ReleaseRequested(collision=True)]
    with pytest.raises(LocalProtocolError):
        pair.acceptor.release_response()
    assert feed(pair.acceptor, pair.requestor.release_response()) == [ReleaseCompleted()]
    assert feed(pair.requestor, pair.acceptor.release_response()) == [ReleaseCompleted()]
    assert pair.requestor.closed
    assert pair.acceptor.state is State.AWAITING_TRANSPORT_CLOSE


def test_data_still_flows_towards_the_side_that_asked_for_release() -> None:
    pair = associated()
    feed(pair.acceptor, pair.requestor.release_request())
    echo = encode_command(
        affected_sop_class_uid=VERIFICATION,
        command_field=CommandField.C_ECHO_RQ,
        message_id=1,
        data_set_type=0x0101,
    )
    (event,) = feed(pair.requestor, pair.acceptor.pdata_command(3, echo))
    assert isinstance(event, CommandReceived)
    with pytest.raises(LocalProtocolError):
        pair.requestor.pdata_command(3, echo)


def test_a_rejection_reaches_the_requestor_and_ends_it() -> None:
    requestor, acceptor = UpperLayer(Role.REQUESTOR), UpperLayer(Role.ACCEPTOR)
    feed(acceptor, requestor.associate_request(a_request()))
    sent = acceptor.associate_reject(AssociateReject(result=2, source=3, reason=1))
    assert feed(requestor, sent) == [AssociateRejected(2, 3, 1)]
    assert requestor.closed
    with pytest.raises(LocalProtocolError):
        requestor.associate_request(a_request())


def test_an_abort_reaches_the_other_side() -> None:
    pair = associated()
    assert feed(pair.requestor, pair.acceptor.abort(2, 0)) == [Aborted(2, 0)]
    assert pair.requestor.closed
    assert pair.acceptor.artim_running


def test_the_artim_timer_ends_the_wait_for_the_close() -> None:
    pair = associated()
    pair.acceptor.abort()
    assert pair.acceptor.artim_expired() == []
    assert pair.acceptor.closed
    assert not pair.acceptor.artim_running
    assert pair.acceptor.artim_expired() == []


# --- AE-6: what the provider refuses by itself ---------------------------------------------------


def refused(request_bytes: bytes) -> tuple[UpperLayer, list[object]]:
    acceptor = UpperLayer(Role.ACCEPTOR)
    return acceptor, list(feed(acceptor, request_bytes))


def test_another_protocol_version_is_refused_by_the_provider() -> None:
    content = encode_associate_request(replace(a_request(), protocol_version=2))
    acceptor, events = refused(with_header(PduType.ASSOCIATE_RQ, content))
    assert events == [AssociateRejected(1, 2, 2)]
    assert acceptor.bytes_to_send() == encode_associate_reject(AssociateReject(result=1, source=2, reason=2))
    assert acceptor.state is State.AWAITING_TRANSPORT_CLOSE
    assert acceptor.artim_running


def test_a_maximum_length_too_small_to_be_used_is_refused_by_the_provider() -> None:
    acceptor, events = refused(with_header(PduType.ASSOCIATE_RQ, encode_associate_request(a_request(maximum_length=9))))
    assert events == [AssociateRejected(1, 3, 2)]
    assert acceptor.bytes_to_send()[0] == PduType.ASSOCIATE_RJ


def test_what_is_the_users_to_refuse_is_left_to_it() -> None:
    content = encode_associate_request(replace(a_request(), application_context="1.2.3"))
    _, (event,) = refused(with_header(PduType.ASSOCIATE_RQ, content))
    assert isinstance(event, AssociateRequested)


# --- the requestor and an acceptance that is wrong -----------------------------------------------


def test_an_acceptance_of_what_was_not_proposed_is_aborted() -> None:
    requestor = UpperLayer(Role.REQUESTOR)
    request = a_request(proposal(1, CT_IMAGE_STORAGE, EXPLICIT_VR))
    requestor.associate_request(request)
    answer = accepted(request)
    wrong = replace(answer.presentation_contexts[0], transfer_syntax=JPEG_LS)
    content = encode_associate_accept(replace(answer, presentation_contexts=(wrong,)))
    (event,) = feed(requestor, with_header(PduType.ASSOCIATE_AC, content))
    assert isinstance(event, ProtocolFailure)
    assert requestor.bytes_to_send() == encode_abort(2, 6)
    assert not requestor.contexts


def test_an_acceptance_with_a_maximum_length_too_small_to_be_used_is_aborted() -> None:
    requestor = UpperLayer(Role.REQUESTOR)
    request = a_request()
    requestor.associate_request(request)
    content = encode_associate_accept(accepted(request, maximum_length=9))
    (event,) = feed(requestor, with_header(PduType.ASSOCIATE_AC, content))
    assert isinstance(event, ProtocolFailure)


# --- our own mistakes ----------------------------------------------------------------------------


def test_an_acceptance_that_does_not_answer_the_request_is_our_mistake() -> None:
    acceptor = UpperLayer(Role.ACCEPTOR)
    request = a_request()
    feed(acceptor, with_header(PduType.ASSOCIATE_RQ, encode_associate_request(request)))
    answer = accepted(request)
    wrong = replace(answer.presentation_contexts[0], context_id=99)
    with pytest.raises(LocalProtocolError):
        acceptor.associate_accept(replace(answer, presentation_contexts=(wrong,)))
    assert acceptor.state is State.AWAITING_LOCAL_ASSOCIATE_RESPONSE
    acceptor.associate_accept(answer)


def test_data_for_a_context_that_was_not_accepted_is_our_mistake() -> None:
    pair = associated()
    with pytest.raises(LocalProtocolError):
        pair.requestor.pdata_command(5, b"")
    with pytest.raises(LocalProtocolError):
        pair.requestor.pdata_dataset(5, b"")


def test_an_odd_part_of_a_data_set_is_our_mistake_unless_it_is_the_last() -> None:
    pair = associated()
    with pytest.raises(LocalProtocolError):
        pair.requestor.pdata_dataset(1, b"odd", is_last=False)
    assert len(pair.requestor.pdata_dataset(1, b"odd")) == 2


@pytest.mark.parametrize("offered", [0, 131_073])
def test_offering_more_than_the_limit_is_our_mistake(offered: int) -> None:
    with pytest.raises(LocalProtocolError):
        UpperLayer(Role.REQUESTOR).associate_request(a_request(maximum_length=offered))
    unbounded = UpperLayer(Role.REQUESTOR, UpperLayerLimits(pdu_length_max=0))
    unbounded.associate_request(a_request(maximum_length=offered))


def test_nothing_is_accepted_twice() -> None:
    request = a_request()
    pair = associated(request)
    with pytest.raises(LocalProtocolError):
        pair.acceptor.associate_accept(accepted(request))


# --- sending -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer_offers", "payload"),
    [(0, 131_066), (1_000_000, 131_066), (16_384, 16_378), (16_383, 16_376), (128, 122)],
)
def test_we_send_no_more_than_the_peer_takes_and_no_more_than_our_cap(peer_offers: int, payload: int) -> None:
    limits = UpperLayerLimits(pdu_length_max=0)
    requestor = associated(limits=limits, acceptor_maximum_length=peer_offers).requestor
    assert requestor.send_pdv_payload_max == payload
    # The acceptor checks the length of each PDU against what it offered.
    acceptor = associated(limits=limits, acceptor_maximum_length=peer_offers).acceptor
    sent = requestor.pdata_command(1, store_request(1, CT_IMAGE_STORAGE, INSTANCE_UID))
    sent += joined(requestor.pdata_dataset(1, bytes(300_000)))
    assert not any(isinstance(event, ProtocolFailure) for event in feed(acceptor, sent))


@pytest.mark.parametrize("size", [0, 1, 2, 121, 122, 123, 243, 244, 245, 1_000])
def test_a_data_set_of_any_size_arrives_whole_and_ends_once(size: int) -> None:
    pair = associated(acceptor_maximum_length=128)
    data = bytes(number % 251 for number in range(size))
    sent = pair.requestor.pdata_command(1, store_request(1, CT_IMAGE_STORAGE, INSTANCE_UID))
    buffers = pair.requestor.pdata_dataset(1, data)
    assert all(len(buffer) % 2 == 0 for buffer in buffers[:-1])
    assert len(buffers) == (2 * -(-size // 122) or 1)
    events = feed(pair.acceptor, sent + joined(buffers))
    assert message_view(events)[1:] == [("data set", 1, data)]


def test_a_data_set_may_be_sent_in_parts() -> None:
    pair = associated(acceptor_maximum_length=128)
    data = bytes(number % 251 for number in range(1_000))
    sent = pair.requestor.pdata_command(1, store_request(1, CT_IMAGE_STORAGE, INSTANCE_UID))
    for start in range(0, 1_000, 250):
        sent += joined(pair.requestor.pdata_dataset(1, data[start : start + 250], is_last=False))
    sent += joined(pair.requestor.pdata_dataset(1, b""))
    assert message_view(feed(pair.acceptor, sent))[1:] == [("data set", 1, data)]


def test_nothing_is_sent_for_an_empty_part() -> None:
    assert associated().requestor.pdata_dataset(1, b"", is_last=False) == []


def test_a_data_set_is_sent_without_copying_it() -> None:
    data = bytearray(300_000)
    buffers = associated().requestor.pdata_dataset(1, memoryview(data))
    slices = [buffer for buffer in buffers if isinstance(buffer, memoryview)]
    assert all(one.obj is data for one in slices)
    assert sum(map(len, slices)) == len(data)
    assert all(len(buffer) == 12 for buffer in buffers if isinstance(buffer, bytes))


def test_a_long_command_set_is_cut_and_put_together_again() -> None:
    pair = associated(acceptor_maximum_length=128)
    encoded = encode_command(
        requested_sop_class_uid="1.2.3",
        command_field=CommandField.N_GET_RQ,
        message_id=1,
        data_set_type=0x0101,
        requested_sop_instance_uid="1.2.3.4",
        attribute_identifier_list=tuple(range(0x0010_0000, 0x0010_0000 + 500)),
    )
    sent = pair.requestor.pdata_command(1, encoded)
    assert len(sent) > len(encoded) + 12 * (len(encoded) // 122)
    (event,) = feed(pair.acceptor, sent)
    assert isinstance(event, CommandReceived)
    assert len(event.command.attribute_identifier_list) == 500


def test_a_response_with_a_data_set_arrives_after_its_command() -> None:
    pair = associated()
    request = encode_command(
        affected_sop_class_uid=VERIFICATION,
        command_field=CommandField.C_FIND_RQ,
        message_id=1,
        priority=0,
        data_set_type=1,
    )
    sent = pair.requestor.pdata_command(1, request) + joined(pair.requestor.pdata_dataset(1, b"keys"))
    received = feed(pair.acceptor, sent)[0]
    assert isinstance(received, CommandReceived)
    answers = b""
    for match in (b"one1", b"two2"):
        answers += pair.acceptor.pdata_command(1, response(received.command, 0xFF00, has_dataset=True))
        answers += joined(pair.acceptor.pdata_dataset(1, match))
    answers += pair.acceptor.pdata_command(1, response(received.command, 0))
    kinds = [type(event) for event in feed(pair.requestor, answers)]
    assert kinds == [CommandReceived, DataFragment, CommandReceived, DataFragment, CommandReceived]
