"""P-DATA-TF as it comes in: where fragments lie, what order is demanded, and what bounds hold."""

from __future__ import annotations

import struct

import pytest

from pacs.upper_layer.associate_codec import encode_associate_request
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import NO_DATA_SET, CommandField, encode_command, store_request
from pacs.upper_layer.events import (
    AssociateRequested,
    CommandReceived,
    DataFragment,
    ProtocolFailure,
)
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.pdu import PduType, encode_abort, with_header
from tests.unit.upper_layer.pairs import (
    CT_IMAGE_STORAGE,
    INSTANCE_UID,
    VERIFICATION,
    a_request,
    associated,
    feed,
    joined,
    message_view,
    proposal,
)

STORE = store_request(1, CT_IMAGE_STORAGE, INSTANCE_UID)
ECHO = encode_command(
    affected_sop_class_uid=VERIFICATION,
    command_field=CommandField.C_ECHO_RQ,
    message_id=2,
    data_set_type=NO_DATA_SET,
)

COMMAND, LAST_COMMAND, DATA, LAST_DATA = 1, 3, 0, 2


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def pdu(*pdvs: bytes, length: int | None = None) -> bytes:
    content = b"".join(pdvs)
    return struct.pack(">BxL", 4, len(content) if length is None else length) + content


def acceptor(limits: UpperLayerLimits | None = None) -> UpperLayer:
    return associated(limits=limits).acceptor


# --- what is lawful ------------------------------------------------------------------------------

LAWFUL = {
    "command and data in one PDU": pdu(pdv(1, LAST_COMMAND, STORE), pdv(1, DATA, b"ab"), pdv(1, LAST_DATA, b"cd")),
    "a fragment per PDU": pdu(pdv(1, LAST_COMMAND, STORE)) + pdu(pdv(1, DATA, b"ab")) + pdu(pdv(1, LAST_DATA, b"cd")),
    "an empty last fragment": pdu(pdv(1, LAST_COMMAND, STORE)) + pdu(pdv(1, DATA, b"abcd"), pdv(1, LAST_DATA, b"")),
    "empty fragments between": pdu(
        pdv(1, COMMAND, b""),
        pdv(1, LAST_COMMAND, STORE),
        pdv(1, DATA, b""),
        pdv(1, DATA, b"abcd"),
        pdv(1, LAST_DATA, b""),
    ),
    "an empty last command fragment": pdu(pdv(1, COMMAND, STORE), pdv(1, LAST_COMMAND, b""))
    + pdu(pdv(1, LAST_DATA, b"abcd")),
    "a command in pieces": pdu(pdv(1, COMMAND, STORE[:7]))
    + pdu(pdv(1, COMMAND, STORE[7:50]), pdv(1, LAST_COMMAND, STORE[50:]))
    + pdu(pdv(1, LAST_DATA, b"abcd")),
    # PS3.8 E.2: bits 2 to 7 of the message control header are not looked at.
    "reserved bits of the control header set": pdu(pdv(1, 0xFC | LAST_COMMAND, STORE), pdv(1, 0xFC | DATA, b"ab"))
    + pdu(pdv(1, 0xFC | LAST_DATA, b"cd")),
    "odd fragments": pdu(pdv(1, LAST_COMMAND, STORE)) + pdu(pdv(1, DATA, b"a")) + pdu(pdv(1, LAST_DATA, b"bcd")),
}


@pytest.mark.parametrize("name", LAWFUL)
def test_each_lawful_way_of_cutting_a_message_gives_the_same_message(name: str) -> None:
    view = message_view(feed(acceptor(), LAWFUL[name] + pdu(pdv(3, LAST_COMMAND, ECHO))))
    assert [one[0] for one in view if isinstance(one, tuple)] == ["command", "data set", "command"]
    assert view[1] == ("data set", 1, b"abcd")


def test_a_fragment_is_told_in_pieces_before_its_pdu_is_complete() -> None:
    ul = acceptor()
    whole = pdu(pdv(1, LAST_COMMAND, STORE)) + pdu(pdv(1, LAST_DATA, bytes(range(200))))
    events = feed(ul, whole[:-150])
    assert isinstance(events[1], DataFragment)
    assert (len(events[1].data), events[1].is_last) == (50, False)
    (rest,) = feed(ul, whole[-150:])
    assert isinstance(rest, DataFragment)
    assert (len(rest.data), rest.is_last) == (150, True)


def test_fragments_are_windows_of_the_receive_buffer_and_nothing_else_is_held() -> None:
    ul = acceptor(UpperLayerLimits(receive_buffer_bytes=200_000))
    feed(ul, pdu(pdv(1, LAST_COMMAND, STORE)))
    buffer = ul.receive_buffer()
    sent = pdu(pdv(1, DATA, bytes(100_000)))
    buffer[: len(sent)] = sent
    (fragment,) = ul.bytes_received(len(sent))
    assert isinstance(fragment, DataFragment)
    assert fragment.data.obj is buffer.obj
    assert len(ul.receive_buffer()) == 200_000


def test_a_partial_header_is_moved_to_the_front_of_the_buffer() -> None:
    ul = acceptor()
    whole = pdu(pdv(1, LAST_COMMAND, STORE)) + pdu(pdv(1, LAST_DATA, b"abcd"))
    feed(ul, whole[: -4 - 6 - 3])
    assert len(ul.receive_buffer()) == 262_144 - 3
    view = message_view(feed(ul, whole[-4 - 6 - 3 :]))
    assert view == [("data set", 1, b"abcd")]


# --- what is not ---------------------------------------------------------------------------------

INVALID, UNEXPECTED = 6, 5

UNLAWFUL = {
    "data before any command": (pdu(pdv(1, LAST_DATA, b"ab")), UNEXPECTED),
    "data after a command that announces none": (
        pdu(pdv(3, LAST_COMMAND, ECHO)) + pdu(pdv(3, LAST_DATA, b"ab")),
        UNEXPECTED,
    ),
    "data on another context": (pdu(pdv(1, LAST_COMMAND, STORE), pdv(3, LAST_DATA, b"ab")), UNEXPECTED),
    "data after the last fragment": (
        pdu(pdv(1, LAST_COMMAND, STORE), pdv(1, LAST_DATA, b"ab"), pdv(1, DATA, b"cd")),
        UNEXPECTED,
    ),
    "data inside a command": (pdu(pdv(1, COMMAND, STORE[:9]), pdv(1, DATA, b"ab")), UNEXPECTED),
    "a command where data is due": (pdu(pdv(1, LAST_COMMAND, STORE), pdv(1, LAST_COMMAND, STORE)), UNEXPECTED),
    "a command inside data": (
        pdu(pdv(1, LAST_COMMAND, STORE), pdv(1, DATA, b"ab"), pdv(3, LAST_COMMAND, ECHO)),
        UNEXPECTED,
    ),
    "a command that changes its context": (
        pdu(pdv(1, COMMAND, STORE[:9]), pdv(3, LAST_COMMAND, STORE[9:])),
        UNEXPECTED,
    ),
    "a command on a context not accepted": (pdu(pdv(5, LAST_COMMAND, STORE)), INVALID),
    "data on a context not accepted": (pdu(pdv(1, LAST_COMMAND, STORE), pdv(7, DATA, b"ab")), INVALID),
    "a PDU without fragments": (pdu(), INVALID),
    "a PDU shorter than a fragment header": (pdu(b"\0\0\0\2\1"), INVALID),
    "a PDU that ends inside a fragment header": (pdu(pdv(3, LAST_COMMAND, ECHO), b"\0\0\0"), INVALID),
    "a fragment longer than its PDU": (struct.pack(">BxLLBB", 4, 8, 5, 1, 3) + b"ab", INVALID),
    "a fragment much longer than its PDU": (struct.pack(">BxLLBB", 4, 8, 0xFFFF_FFFF, 1, 3) + b"ab", INVALID),
    "a fragment length of 1": (struct.pack(">BxLLBB", 4, 6, 1, 1, 3), INVALID),
    "a fragment length of 0": (struct.pack(">BxLLBB", 4, 6, 0, 1, 3), INVALID),
    "a data fragment length of 1": (
        # Read from its last byte on, the bad header and what follows would be a good one.
        pdu(pdv(1, LAST_COMMAND, STORE), bytes.fromhex("00000001 01 00 000004 01 02") + b"ab"),
        INVALID,
    ),
    "a PDU longer than we offered": (pdu(length=131_073), INVALID),
    "a command set of garbage": (pdu(pdv(1, LAST_COMMAND, b"garbage!")), INVALID),
    "an empty command set": (pdu(pdv(1, LAST_COMMAND, b"")), INVALID),
}


@pytest.mark.parametrize("name", UNLAWFUL)
@pytest.mark.parametrize("piece_bytes", [None, 1])
def test_each_breach_ends_in_an_abort_that_says_why(name: str, piece_bytes: int | None) -> None:
    data, reason = UNLAWFUL[name]
    ul = acceptor()
    events = feed(ul, data, piece_bytes)
    assert isinstance(events[-1], ProtocolFailure)
    assert ul.bytes_to_send() == encode_abort(2, reason)
    assert ul.artim_running
    assert feed(ul, pdu(pdv(3, LAST_COMMAND, ECHO))) == []


def test_what_came_before_a_breach_is_told_before_it() -> None:
    ul = acceptor()
    data = pdu(pdv(3, LAST_COMMAND, ECHO)) + pdu(pdv(1, LAST_COMMAND, STORE), pdv(1, DATA, b"ab"), pdv(9, DATA, b"cd"))
    kinds = [type(event) for event in feed(ul, data)]
    assert kinds == [CommandReceived, CommandReceived, DataFragment, ProtocolFailure]


# --- bounds --------------------------------------------------------------------------------------


def test_the_longest_pdu_that_we_offered_is_taken() -> None:
    ul = acceptor()
    feed(ul, pdu(pdv(1, LAST_COMMAND, STORE)))
    events = feed(ul, pdu(pdv(1, LAST_DATA, bytes(131_066))))
    assert message_view(events) == [("data set", 1, bytes(131_066))]


def test_an_endless_command_is_cut_off_at_its_bound() -> None:
    ul = acceptor(UpperLayerLimits(command_set_bytes_max=10_000))
    events: list[object] = []
    sent = 0
    while not events:
        events += feed(ul, pdu(pdv(1, COMMAND, bytes(100))))
        sent += 100
        assert sent <= 10_100
    assert sent == 10_100
    assert isinstance(events[0], ProtocolFailure)


def test_a_command_of_exactly_the_bound_is_taken() -> None:
    ul = acceptor(UpperLayerLimits(command_set_bytes_max=len(ECHO)))
    (event,) = feed(ul, pdu(pdv(3, LAST_COMMAND, ECHO)))
    assert isinstance(event, CommandReceived)


def test_an_unlimited_offer_of_ours_takes_pdus_of_any_length_without_holding_them() -> None:
    limits = UpperLayerLimits(pdu_length_max=0)
    ul = associated(limits=limits, acceptor_maximum_length=0).acceptor
    feed(ul, pdu(pdv(1, LAST_COMMAND, STORE)))
    feed(ul, struct.pack(">BxLLBB", 4, 0xFFFF_FFFF, 0xFFFF_FFFB, 1, LAST_DATA))
    piece = bytes(262_144)
    for _ in range(20):
        (event,) = feed(ul, piece)
        assert isinstance(event, DataFragment)
        assert len(event.data) == len(piece)
        assert len(ul.receive_buffer()) == len(piece)


def request_with_items(count: int) -> bytes:
    """Build an A-ASSOCIATE-RQ with a context of `count` transfer syntaxes of 5 bytes each."""
    syntaxes = b"\x40\0\0\x011" * count
    context = b"\x20\0" + struct.pack(">H", len(syntaxes) + 4) + b"\3\0\0\0" + syntaxes
    return with_header(PduType.ASSOCIATE_RQ, encode_associate_request(a_request(proposal(1, VERIFICATION))) + context)


def test_ten_thousand_items_are_read_and_left_to_negotiation() -> None:
    ul = UpperLayer(Role.ACCEPTOR)
    (event,) = feed(ul, request_with_items(10_000))
    assert isinstance(event, AssociateRequested)
    assert len(event.request.presentation_contexts[1].transfer_syntaxes) == 10_000


@pytest.mark.parametrize("length", [0, 67, 196_609, 0xFFFF_FFFF])
def test_an_association_request_beyond_its_bounds_is_aborted_at_its_header(length: int) -> None:
    ul = UpperLayer(Role.ACCEPTOR)
    (event,) = feed(ul, struct.pack(">BxL", PduType.ASSOCIATE_RQ, length))
    assert isinstance(event, ProtocolFailure)
    assert ul.bytes_to_send() == encode_abort(0, 0)


def test_an_association_request_of_exactly_the_bound_is_awaited() -> None:
    ul = UpperLayer(Role.ACCEPTOR)
    content = encode_associate_request(a_request())
    filler = 196_608 - len(content)
    items = b""
    while filler:
        size = min(filler, 60_000)
        items += b"\x99\0" + struct.pack(">H", size - 4) + bytes(size - 4)
        filler -= size
    (event,) = feed(ul, with_header(PduType.ASSOCIATE_RQ, content + items), 50_000)
    assert isinstance(event, AssociateRequested)


def test_the_receive_buffer_is_never_empty_while_a_request_of_the_bound_comes_in() -> None:
    ul = UpperLayer(Role.ACCEPTOR)
    feed(ul, struct.pack(">BxL", PduType.ASSOCIATE_RQ, 196_608) + bytes(196_607))
    assert len(ul.receive_buffer()) >= 1


@pytest.mark.parametrize("filling", [b"\x99", bytes(5), b"\x07\0\0\0\0\4" + bytes(4)])
def test_the_receive_buffer_is_never_empty_whatever_filled_it(filling: bytes) -> None:
    ul = acceptor()
    space = len(ul.receive_buffer())
    feed(ul, filling.ljust(space, b"\x07"))
    assert len(ul.receive_buffer()) == space


def test_small_fragments_make_no_more_events_than_they_have_bytes() -> None:
    ul = acceptor()
    feed(ul, pdu(pdv(1, LAST_COMMAND, STORE)))
    assert feed(ul, pdu(*[pdv(1, DATA, b"")] * 20_000)) == []
    events = feed(ul, pdu(*[pdv(1, DATA, b"x")] * 18_000))
    assert len(events) == 18_000


@pytest.mark.parametrize(
    "bad",
    [
        {"peer_pdu_length_min": 7},
        {"send_pdu_length_max": 100},
        {"pdu_length_max": 7},
        {"receive_buffer_bytes": 196_614},
    ],
)
def test_limits_that_contradict_each_other_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        UpperLayerLimits(**bad)


def test_joined_buffers_of_a_data_set_are_what_is_received() -> None:
    pair = associated()
    data = bytes(range(256)) * 2_057
    sent = pair.requestor.pdata_command(1, STORE) + joined(pair.requestor.pdata_dataset(1, memoryview(data)))
    assert message_view(feed(pair.acceptor, sent, 65_536))[1] == ("data set", 1, data)
