"""The facade does in every state, for every event, what PS3.8 Tables 9-6 to 9-10 say: bytes, events, timer, closing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pacs.upper_layer.associate import AssociateReject
from pacs.upper_layer.associate_codec import encode_associate_accept, encode_associate_request
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import CommandField, encode_command
from pacs.upper_layer.errors import AssociationOver, LocalProtocolError
from pacs.upper_layer.events import (
    Aborted,
    AssociateAccepted,
    AssociateRejected,
    AssociateRequested,
    CommandReceived,
    Event,
    ProtocolFailure,
    ReleaseCompleted,
    ReleaseRequested,
    TransportClosed,
)
from pacs.upper_layer.fsm import State
from pacs.upper_layer.pdu import (
    PduType,
    encode_abort,
    encode_associate_reject,
    encode_release_request,
    encode_release_response,
    fragment_command,
    with_header,
)
from tests.unit.upper_layer.pairs import VERIFICATION, a_request, accepted, associated, feed
from tests.unit.upper_layer.test_fsm import CELLS

REQUEST = a_request()
ACCEPT = accepted(REQUEST)
REJECT = AssociateReject(result=1, source=1, reason=7)
ECHO = encode_command(
    affected_sop_class_uid=VERIFICATION,
    command_field=CommandField.C_ECHO_RQ,
    message_id=1,
    data_set_type=0x0101,
)

RECEIVED_PDUS = {
    "Evt3": with_header(PduType.ASSOCIATE_AC, encode_associate_accept(ACCEPT)),
    "Evt4": encode_associate_reject(REJECT),
    "Evt6": with_header(PduType.ASSOCIATE_RQ, encode_associate_request(REQUEST)),
    "Evt10": fragment_command(3, ECHO, 16_378),
    "Evt12": encode_release_request(),
    "Evt13": encode_release_response(),
    "Evt16": encode_abort(2, 1),
    "Evt19": bytes.fromhex("99 00 00000004 00000000"),
}

LOCAL_REQUESTS: dict[str, Callable[[UpperLayer], bytes]] = {
    "Evt1": lambda ul: ul.associate_request(REQUEST),
    "Evt7": lambda ul: ul.associate_accept(ACCEPT),
    "Evt8": lambda ul: ul.associate_reject(REJECT),
    "Evt9": lambda ul: ul.pdata_command(3, ECHO),
    "Evt11": lambda ul: ul.release_request(),
    "Evt14": lambda ul: ul.release_response(),
    "Evt15": lambda ul: ul.abort(),
}


def sta5() -> UpperLayer:
    ul = UpperLayer(Role.REQUESTOR)
    ul.associate_request(REQUEST)
    return ul


def sta3() -> UpperLayer:
    ul = UpperLayer(Role.ACCEPTOR)
    feed(ul, RECEIVED_PDUS["Evt6"])
    return ul


def sta7(role: Role) -> UpperLayer:
    pair = associated(REQUEST)
    ul = pair.acceptor if role is Role.ACCEPTOR else pair.requestor
    ul.release_request()
    return ul


def sta8() -> UpperLayer:
    ul = associated(REQUEST).acceptor
    feed(ul, encode_release_request())
    return ul


def collided(role: Role) -> UpperLayer:
    ul = sta7(role)
    feed(ul, encode_release_request())
    return ul


def sta11() -> UpperLayer:
    ul = collided(Role.REQUESTOR)
    ul.release_response()
    return ul


def sta12() -> UpperLayer:
    ul = collided(Role.ACCEPTOR)
    feed(ul, encode_release_response())
    return ul


def sta13() -> UpperLayer:
    ul = sta3()
    ul.associate_reject(REJECT)
    return ul


# Sta4 lasts only inside `associate_request`: the driver opens the transport before.
IN_STATE: dict[str, Callable[[], UpperLayer]] = {
    "Sta1": lambda: UpperLayer(Role.REQUESTOR),
    "Sta2": lambda: UpperLayer(Role.ACCEPTOR),
    "Sta3": sta3,
    "Sta5": sta5,
    "Sta6": lambda: associated(REQUEST).acceptor,
    "Sta7": lambda: sta7(Role.REQUESTOR),
    "Sta8": sta8,
    "Sta9": lambda: collided(Role.REQUESTOR),
    "Sta10": lambda: collided(Role.ACCEPTOR),
    "Sta11": sta11,
    "Sta12": sta12,
    "Sta13": sta13,
}


@dataclass(frozen=True)
class Outcome:
    """What can be seen after an action: state, PDU sent, event told, timer (None: as before), transport closed."""

    state: str
    sent: PduType | None = None
    told: type[Event] | None = None
    artim: bool | None = None
    closed: bool = False


OUTCOMES = {
    "AE-1": Outcome("Sta5", sent=PduType.ASSOCIATE_RQ),  # and AE-2
    "AE-3": Outcome("Sta6", told=AssociateAccepted),
    "AE-4": Outcome("Sta1", told=AssociateRejected, closed=True),
    "AE-6": Outcome("Sta3", told=AssociateRequested, artim=False),
    "AE-7": Outcome("Sta6", sent=PduType.ASSOCIATE_AC),
    "AE-8": Outcome("Sta13", sent=PduType.ASSOCIATE_RJ, artim=True),
    "DT-1": Outcome("Sta6", sent=PduType.P_DATA_TF),
    "DT-2": Outcome("Sta6", told=CommandReceived),
    "AR-1": Outcome("Sta7", sent=PduType.RELEASE_RQ),
    "AR-2": Outcome("Sta8", told=ReleaseRequested),
    "AR-3": Outcome("Sta1", told=ReleaseCompleted, closed=True),
    "AR-4": Outcome("Sta13", sent=PduType.RELEASE_RP, artim=True),
    "AR-5": Outcome("Sta1", artim=False, closed=True),
    "AR-6": Outcome("Sta7", told=CommandReceived),
    "AR-7": Outcome("Sta8", sent=PduType.P_DATA_TF),
    "AR-8": Outcome("Sta9", told=ReleaseRequested),  # the requestor's; the acceptor's has a test of its own
    "AR-9": Outcome("Sta11", sent=PduType.RELEASE_RP),
    "AR-10": Outcome("Sta12", told=ReleaseCompleted),
    "AA-2": Outcome("Sta1", artim=False, closed=True),
    "AA-3": Outcome("Sta1", told=Aborted, closed=True),
    "AA-4": Outcome("Sta1", told=TransportClosed, closed=True),
    "AA-5": Outcome("Sta1", artim=False, closed=True),
    "AA-6": Outcome("Sta13"),
    "AA-7": Outcome("Sta13", sent=PduType.ABORT),
    "AA-8": Outcome("Sta13", sent=PduType.ABORT, told=ProtocolFailure, artim=True),
}


def expected_outcome(action: str, event: str) -> Outcome:
    if action == "AA-1":
        # By the local user it is silent; for what a peer did the driver is told why.
        return Outcome("Sta13", PduType.ABORT, None if event == "Evt15" else ProtocolFailure, artim=True)
    return OUTCOMES[action]


def fire(ul: UpperLayer, event: str) -> tuple[bytes, list[Event]]:
    """Let one event of Table 9-10 happen; return what is to be written and what is told."""
    if event in LOCAL_REQUESTS:
        return LOCAL_REQUESTS[event](ul), []
    if event in RECEIVED_PDUS:
        events = feed(ul, RECEIVED_PDUS[event])
    elif event == "Evt17":
        events = ul.connection_closed()
    else:
        events = ul.artim_expired()
    return ul.bytes_to_send(), events


# Evt2 and Evt5 happen inside `associate_request` and the constructor.
FIRED = [cell for cell in CELLS if cell[1] != "Sta4" and cell[0] not in ("Evt2", "Evt5")]


@pytest.mark.parametrize("state", IN_STATE)
def test_each_state_can_be_brought_about(state: str) -> None:
    assert IN_STATE[state]().state is State(state)


@pytest.mark.parametrize(
    ("event", "state", "action"), [cell for cell in FIRED if cell[2]], ids=lambda value: str(value)
)
def test_each_cell_that_is_not_blank_has_the_effects_of_its_action(event: str, state: str, action: str) -> None:
    ul = IN_STATE[state]()
    expected = expected_outcome(action, event)
    artim_before = ul.artim_running

    sent, told = fire(ul, event)

    assert ul.state is State(expected.state)
    assert ([sent[0]] if sent else []) == ([] if expected.sent is None else [expected.sent])
    assert [type(one) for one in told] == ([] if expected.told is None else [expected.told])
    assert ul.artim_running is (artim_before if expected.artim is None else expected.artim)
    assert ul.closed is expected.closed


@pytest.mark.parametrize(
    ("event", "state", "action"), [cell for cell in FIRED if not cell[2]], ids=lambda value: str(value)
)
def test_each_blank_cell_changes_nothing_and_sends_nothing(event: str, state: str, action: None) -> None:
    ul = IN_STATE[state]()
    if event in LOCAL_REQUESTS or event in RECEIVED_PDUS:
        with pytest.raises(LocalProtocolError):
            fire(ul, event)
    else:
        assert fire(ul, event) == (b"", [])
    assert ul.state is State(state)
    assert ul.bytes_to_send() == b""


def test_a_release_collision_sends_the_acceptor_to_sta10() -> None:
    ul = sta7(Role.ACCEPTOR)
    assert feed(ul, encode_release_request()) == [ReleaseRequested(collision=True)]
    assert ul.state is State.COLLISION_ACCEPTOR_AWAITING_RELEASE_RP


def test_an_accepted_transport_connection_waits_for_a_request_with_the_timer_running() -> None:
    ul = UpperLayer(Role.ACCEPTOR)
    assert ul.state is State.AWAITING_ASSOCIATE_RQ
    assert ul.artim_running


@pytest.mark.parametrize("event", ["Evt3", "Evt4", "Evt6", "Evt13"])
def test_an_abort_for_a_pdu_out_of_place_says_unexpected_pdu(event: str) -> None:
    ul = associated(REQUEST).requestor
    sent, _ = fire(ul, event)
    assert sent == encode_abort(2, 2)


def test_an_abort_for_an_unknown_pdu_says_unrecognized_pdu() -> None:
    sent, _ = fire(associated(REQUEST).requestor, "Evt19")
    assert sent == encode_abort(2, 1)


def test_before_the_association_an_abort_comes_from_the_service_user() -> None:
    sent, _ = fire(UpperLayer(Role.ACCEPTOR), "Evt19")
    assert sent == encode_abort(0, 0)


def test_an_abort_of_the_local_user_says_what_it_is_given() -> None:
    assert associated(REQUEST).acceptor.abort(2, 6) == bytes.fromhex("07 00 00000004 00 00 02 06")


def test_a_pdu_out_of_place_is_skipped_whole_and_the_next_is_understood() -> None:
    # Sta13 after our abort: the peer's A-ABORT, behind the rest of a long PDU, still closes the connection.
    ul = associated(REQUEST).acceptor
    feed(ul, RECEIVED_PDUS["Evt6"][:50])
    assert ul.state is State.AWAITING_TRANSPORT_CLOSE
    feed(ul, RECEIVED_PDUS["Evt6"][50:])
    assert not ul.closed
    feed(ul, encode_abort(0, 0))
    assert ul.closed


def test_after_an_invalid_pdu_nothing_more_is_read_and_no_second_abort_is_sent() -> None:
    ul = associated(REQUEST).acceptor
    feed(ul, RECEIVED_PDUS["Evt19"])
    assert ul.bytes_to_send() == encode_abort(2, 1)
    for event in RECEIVED_PDUS:
        assert fire(ul, event) == (b"", [])
    assert ul.state is State.AWAITING_TRANSPORT_CLOSE


def test_after_our_abort_the_rest_of_a_pdu_is_skipped_and_the_peers_abort_understood() -> None:
    ul = associated(REQUEST).acceptor
    feed(ul, RECEIVED_PDUS["Evt10"][:30])
    ul.abort()
    assert feed(ul, RECEIVED_PDUS["Evt10"][30:]) == []
    assert ul.bytes_to_send() == b""
    feed(ul, encode_abort(0, 0))
    assert ul.closed


@pytest.mark.parametrize("end", ["Evt3", "Evt16", "Evt17", "Evt19"])
@pytest.mark.parametrize("request_made", ["Evt9", "Evt11", "Evt15"])
def test_what_is_asked_after_the_peers_end_is_no_mistake_of_ours(end: str, request_made: str) -> None:
    ul = associated(REQUEST).acceptor
    fire(ul, end)
    with pytest.raises(AssociationOver):
        fire(ul, request_made)


def test_what_is_asked_after_our_own_end_is_our_mistake() -> None:
    ul = associated(REQUEST).acceptor
    ul.abort()
    with pytest.raises(LocalProtocolError) as raised:
        fire(ul, "Evt9")
    assert not isinstance(raised.value, AssociationOver)


def test_an_empty_read_is_the_end_of_the_stream() -> None:
    ul = associated(REQUEST).acceptor
    assert ul.bytes_received(0) == [TransportClosed()]
    assert ul.closed
    assert ul.bytes_received(0) == []


def test_bytes_after_the_close_are_dropped() -> None:
    ul = associated(REQUEST).acceptor
    told = feed(ul, encode_abort(0, 0) + RECEIVED_PDUS["Evt10"])
    assert told == [Aborted(0, 0)]
    assert feed(ul, RECEIVED_PDUS["Evt10"]) == []


def test_an_acceptor_never_requests_an_association() -> None:
    ul = UpperLayer(Role.ACCEPTOR)
    feed(ul, encode_abort(0, 0))
    assert ul.state is State.IDLE
    with pytest.raises(LocalProtocolError):
        ul.associate_request(REQUEST)
