"""Properties of the upper layer: how bytes are cut does not matter, garbage is only ever the peer's error."""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pacs.upper_layer.associate import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsynchronousOperationsWindow,
    PresentationContextProposal,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UserIdentity,
    UserInformation,
)
from pacs.upper_layer.associate_codec import (
    decode_associate_accept,
    decode_associate_request,
    encode_associate_accept,
    encode_associate_request,
)
from pacs.upper_layer.command_elements import ELEMENTS
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import decode_command, encode_command, response
from pacs.upper_layer.errors import CommandError, RemoteProtocolError
from pacs.upper_layer.negotiation import negotiate
from pacs.upper_layer.pdu import (
    PduType,
    encode_abort,
    encode_associate_reject,
    encode_release_request,
    encode_release_response,
    with_header,
)
from tests.unit.upper_layer.pairs import a_request, accepted, an_offer, associated, feed, message_view
from tests.unit.upper_layer.test_pdata import DATA, ECHO, LAST_COMMAND, LAST_DATA, STORE, pdu, pdv

# --- streams -------------------------------------------------------------------------------------

REQUEST_PDU = with_header(PduType.ASSOCIATE_RQ, encode_associate_request(a_request()))
ACCEPT_PDU = with_header(PduType.ASSOCIATE_AC, encode_associate_accept(accepted(a_request())))

lawful_pdus = st.one_of(
    st.just(pdu(pdv(3, LAST_COMMAND, ECHO))),
    st.just(pdu(pdv(1, LAST_COMMAND, STORE))),
    st.builds(
        lambda parts, last: pdu(
            pdv(1, LAST_COMMAND, STORE), *[pdv(1, DATA, part) for part in parts], pdv(1, LAST_DATA, last)
        ),
        st.lists(st.binary(max_size=40), max_size=4),
        st.binary(max_size=40),
    ),
    st.builds(
        lambda data, control: pdu(pdv(1, control, data)),
        st.binary(max_size=60),
        st.sampled_from([DATA, LAST_DATA]),
    ),
)
other_pdus = st.sampled_from(
    [
        REQUEST_PDU,
        ACCEPT_PDU,
        encode_associate_reject(AssociateReject(result=1, source=1, reason=1)),
        encode_release_request(),
        encode_release_response(),
        encode_abort(2, 3),
        b"\x99\0\0\0\0\2ab",
        struct.pack(">BxL", 4, 0xFFFF_FFFF),
    ]
)
streams = st.builds(
    lambda pdus, tail: b"".join(pdus) + tail,
    st.lists(st.one_of(lawful_pdus, lawful_pdus, other_pdus), max_size=6),
    st.binary(max_size=20),
)


def engine(state: str) -> UpperLayer:
    match state:
        case "acceptor waiting":
            return UpperLayer(Role.ACCEPTOR)
        case "requestor waiting":
            ul = UpperLayer(Role.REQUESTOR)
            ul.associate_request(a_request())
            return ul
        case "acceptor associated":
            return associated().acceptor
        case _:
            ul = associated().requestor
            ul.release_request()
            return ul


states = st.sampled_from(["acceptor waiting", "requestor waiting", "acceptor associated", "requestor releasing"])


def outcome(ul: UpperLayer, data: bytes, cuts: list[int]) -> tuple[object, ...]:
    events = []
    for start, stop in pairwise([0, *cuts, len(data)]):
        events += feed(ul, data[start:stop])
    return message_view(events), ul.bytes_to_send(), ul.state, ul.closed, ul.artim_running


@given(state=states, data=streams, seed=st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_however_the_bytes_are_cut_the_outcome_is_the_same(state: str, data: bytes, seed: st.DataObject) -> None:
    cuts = sorted(seed.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    at_once = outcome(engine(state), data, [])
    assert outcome(engine(state), data, cuts) == at_once
    assert outcome(engine(state), data, list(range(1, len(data)))) == at_once


@given(state=states, data=st.one_of(st.binary(max_size=300), streams), flips=st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_whatever_comes_in_nothing_is_raised_and_at_most_an_abort_goes_out(
    state: str, data: bytes, flips: st.DataObject
) -> None:
    changed = bytearray(data)
    for _ in range(flips.draw(st.integers(0, 3))):
        if changed:
            changed[flips.draw(st.integers(0, len(changed) - 1))] = flips.draw(st.integers(0, 255))
    ul = engine(state)
    feed(ul, bytes(changed))
    sent = ul.bytes_to_send()
    assert len(sent) % 10 == 0
    assert all(sent[start] in (PduType.ABORT, PduType.ASSOCIATE_RJ) for start in range(0, len(sent), 10))


# --- codecs --------------------------------------------------------------------------------------

uids = st.text("0123456789.", min_size=1, max_size=64)
titles = st.text("ABCxyz019 _-/", max_size=16).map(lambda text: text.strip() or "A")
short_bytes = st.binary(max_size=50)
user_informations = st.builds(
    UserInformation,
    maximum_length=st.integers(0, 0xFFFF_FFFF),
    implementation_class_uid=st.one_of(st.just(""), uids),
    implementation_version_name=st.one_of(st.just(""), titles),
    asynchronous_operations_window=st.none()
    | st.builds(
        AsynchronousOperationsWindow,
        operations_invoked_max=st.integers(0, 65_535),
        operations_performed_max=st.integers(0, 65_535),
    ),
    role_selections=st.lists(
        st.builds(RoleSelection, sop_class_uid=uids, scu_role=st.booleans(), scp_role=st.booleans()), max_size=3
    ).map(tuple),
    sop_class_extended_negotiations=st.lists(
        st.builds(SopClassExtendedNegotiation, sop_class_uid=uids, application_information=short_bytes), max_size=2
    ).map(tuple),
    sop_class_common_extended_negotiations=st.lists(
        st.builds(
            SopClassCommonExtendedNegotiation,
            sop_class_uid=uids,
            service_class_uid=uids,
            related_general_sop_class_uids=st.lists(uids, max_size=3).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    user_identity=st.none()
    | st.builds(
        UserIdentity,
        identity_type=st.integers(0, 255),
        positive_response_requested=st.booleans(),
        primary_field=short_bytes,
        secondary_field=short_bytes,
    ),
)
requests = st.builds(
    AssociateRequest,
    called_ae_title=titles,
    calling_ae_title=titles,
    presentation_contexts=st.lists(
        st.builds(
            PresentationContextProposal,
            context_id=st.integers(0, 255),
            abstract_syntax=uids,
            transfer_syntaxes=st.lists(uids, max_size=4).map(tuple),
        ),
        max_size=5,
    ).map(tuple),
    user_information=user_informations,
    application_context=uids,
    protocol_version=st.integers(0, 65_535),
)


@given(requests)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_request_that_is_written_is_read_back_the_same(request: AssociateRequest) -> None:
    assert decode_associate_request(encode_associate_request(request)) == request


@given(requests)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_request_is_answered_by_something_that_can_be_sent(request: AssociateRequest) -> None:
    answer = negotiate(request, an_offer())
    if isinstance(answer, AssociateReject):
        assert len(encode_associate_reject(answer)) == 10
    else:
        assert isinstance(decode_associate_accept(encode_associate_accept(answer)), AssociateAccept)


command_fields = st.fixed_dictionaries(
    {
        "command_field": st.integers(0, 65_535),
        "data_set_type": st.integers(0, 65_535),
        "message_id": st.integers(0, 65_535),
        "message_id_being_responded_to": st.integers(0, 65_535),
        "status": st.integers(0, 65_535),
    },
    optional={
        "affected_sop_class_uid": uids,
        "affected_sop_instance_uid": uids,
        "move_destination": titles,
        "error_comment": st.text(max_size=80),
        "attribute_identifier_list": st.lists(st.integers(0, 0xFFFF_FFFF), max_size=4).map(tuple),
    },
)


@given(command_fields)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_command_that_is_written_is_read_back_the_same(fields: dict[str, int | str | tuple[int, ...]]) -> None:
    command = decode_command(encode_command(**fields))
    for keyword, value in fields.items():
        if keyword != "error_comment":
            assert getattr(command, keyword) == value


elements = st.lists(
    st.tuples(
        st.sampled_from([row.number for row in ELEMENTS.values()] + [0x5010]),
        st.one_of(st.binary(max_size=8), st.just(b"\0\0"), st.just(b"\x01\0")),
    ),
    max_size=12,
).map(lambda pairs: b"".join(struct.pack("<HHL", 0, number, len(raw)) + raw for number, raw in pairs))


@given(st.one_of(st.binary(max_size=100), elements))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_bytes_as_a_command_set_are_a_command_or_a_typed_error(data: bytes) -> None:
    try:
        command = decode_command(data)
    except RemoteProtocolError:
        return
    for keyword in ELEMENTS.keys() - {"command_group_length"}:
        with suppress(CommandError):
            getattr(command, keyword)
    if not command.is_response and command.command_field != 0x0FFF:
        assert decode_command(response(command, 0x0110)).status == 0x0110


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_bytes_as_an_associate_are_a_value_or_a_remote_protocol_error(data: bytes) -> None:
    for decode in (decode_associate_request, decode_associate_accept):
        for content in (data, REQUEST_PDU[6:80] + data):
            try:
                decode(content)
            except RemoteProtocolError:
                continue
