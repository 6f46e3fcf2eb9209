"""The listener on real sockets, with the client of the library hl7 and with peers that break every rule."""

import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import hl7
import pytest
from hl7.client import MLLPClient

from foundation.clock import SystemClock
from foundation.database import Database, sqlite_url
from pacs.worklist.hl7.inbox import Inbox
from pacs.worklist.hl7.listener import Bounds, Listener, ListeningSocket
from pacs.worklist.hl7.message import Accepted, ErrorCode, FieldError, Outcome, ReceivedMessage, Rejected
from pacs.worklist.hl7.senders import SenderRules
from territory.listening import open_port
from tests.harness.hl7_messages import (
    BOUNDS,
    LOOPBACK,
    RULES,
    Recorder,
    effects_of,
    listening,
    make_effects,
    message,
    segment,
)
from tests.harness.mllp_peers import Peer, framed
from tests.harness.peers import wait_until

WRONG = FieldError(segment="PID", field=3, code=ErrorCode.REQUIRED_FIELD_MISSING, text="no identifier")


@pytest.fixture
def open_database(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    make_effects(database)
    yield database
    database.close()


@pytest.fixture
def handler() -> Recorder:
    return Recorder(
        lambda taken: Rejected(code="AE", errors=(WRONG,)) if taken.control_id.startswith("BAD") else Accepted()
    )


@pytest.fixture
def port(open_database: Database, handler: Recorder) -> Iterator[int]:
    with listening(open_database, handler) as listened:
        yield listened


@pytest.fixture
def peer(port: int) -> Iterator[Peer]:
    opened = Peer(port)
    yield opened
    opened.close()


def code(answer: bytes) -> str:
    return segment(answer, "MSA")[1]


def test_the_client_of_another_library_is_answered_in_its_own_words(port: int, open_database: Database) -> None:
    with MLLPClient(LOOPBACK, port) as client:
        answer = hl7.parse(client.send_message(message("M1")).strip(b"\x0b\x1c\r"))
        again = hl7.parse(client.send_message(message("M2")).strip(b"\x0b\x1c\r"))

    assert [str(answer.segment("MSA")[field]) for field in (1, 2)] == ["AA", "M1"]
    assert str(again.segment("MSA")[2]) == "M2"
    assert len(effects_of(open_database)) == 2


def test_a_message_byte_by_byte_is_the_same_message(peer: Peer) -> None:
    for one in framed(message("M1")):
        peer.write(bytes([one]))

    assert [code(answer) for answer in peer.read()] == ["AA"]


def test_messages_that_do_not_wait_for_answers_are_answered_in_their_order(peer: Peer) -> None:
    ids = [f"M{number}" for number in range(50)]

    peer.write(framed(*(message(one) for one in ids)))

    assert [segment(answer, "MSA")[2] for answer in peer.read(50)] == ids


BAD: dict[str, tuple[bytes, list[str]]] = {
    "garbage in a block": (framed(b"GET / HTTP/1.1\r\n\r\n"), ["AR"]),
    "an empty block": (framed(b""), ["AR"]),
    "nothing but MSH": (framed(b"MSH"), ["AR"]),
    "no control id": (framed(message("")), ["AR"]),
    "a stranger": (framed(message(application="EVE")), ["AR"]),
    "an exercise": (framed(message(processing_id="T")), ["AR"]),
    "bytes of another character set": (framed(message(body="PID|1||P1||G\xe9RARD\r")), ["AE"]),
    "a line break in a text": (framed(message(body="OBX|1|TX|||one\rtwo\r")), ["AE"]),
    "a message that means nothing here": (framed(message("BAD1")), ["AE"]),
    "a message that was cut": (b"\x0b" + message("CUT")[:60] + framed(message("M9")), ["AE", "AA"]),
    "a message that is too long": (framed(message("LONG", body="OBX|" + "x" * BOUNDS.message_bytes_max)), ["AE"]),
    "bytes outside of blocks": (b"hello\r\n" * 100, []),
    "an acknowledgement": (framed(message("ACK1", kind="ACK")), []),
    "a million delimiters": (framed(message("MANY", body="OBX|" + "^" * 1_000_000 + "\r")), ["AE"]),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_message_never_stops_the_stream(name: str, peer: Peer) -> None:
    stream, expected = BAD[name]

    peer.write(stream)
    peer.write(framed(message("GOOD")))

    assert [code(answer) for answer in peer.read(len(expected) + 1)] == [*expected, "AA"]


def test_the_answer_to_a_malformed_message_names_the_segment_and_the_field(peer: Peer) -> None:
    peer.write(framed(message("BAD1")))

    (answer,) = peer.read()
    assert segment(answer, "ERR")[2:5] == ["PID^1^3", "101^Required field missing^HL70357", "E"]


def test_a_message_that_is_sent_again_on_another_connection_gets_the_same_bytes(port: int, handler: Recorder) -> None:
    answers = []
    for _ in range(2):
        peer = Peer(port)
        peer.write(framed(message("M1"), message("BAD1")))
        answers.append(peer.read(2))
        peer.close()

    assert answers[0] == answers[1]
    assert len(handler.handled) == 2


def test_enhanced_mode_gives_the_accept_and_then_the_application_acknowledgement(peer: Peer) -> None:
    peer.write(framed(message("M1", accept="AL", apply="AL"), message("BAD1", accept="AL", apply="ER")))
    peer.write(framed(message("M2", accept="NE", apply="NE"), message("M3", accept="AL", apply="NE")))

    answers = [(code(answer), segment(answer, "MSA")[2]) for answer in peer.read(5)]
    assert answers == [("CA", "M1"), ("AA", "M1"), ("CA", "BAD1"), ("AE", "BAD1"), ("CA", "M3")]


def test_a_peer_that_is_not_speaking_mllp_is_left(peer: Peer) -> None:
    peer.write(b"x" * 100_000)

    assert peer.is_ended()


def short(**bounds: float) -> Bounds:
    return Bounds(
        message_bytes_max=BOUNDS.message_bytes_max, connections_max=int(bounds.get("connections_max", 8)),
        idle_s=bounds.get("idle_s", 20.0), message_s=bounds.get("message_s", 10.0),
    )  # fmt: skip


def test_a_peer_that_dribbles_a_message_is_left_when_its_time_is_over(
    open_database: Database, handler: Recorder
) -> None:
    with listening(open_database, handler, bounds=short(message_s=0.5)) as port:
        peer = Peer(port)
        peer.write(b"\x0bMSH")
        while not select.select([peer.sock], [], [], 0.05)[0]:
            peer.write(b"|")

        assert peer.is_ended()
        peer.close()


def test_an_idle_peer_is_left(open_database: Database, handler: Recorder) -> None:
    with listening(open_database, handler, bounds=short(idle_s=0.2)) as port:
        peer = Peer(port)

        assert peer.is_ended()
        peer.close()


def test_only_so_many_connections_are_served_at_once(open_database: Database, handler: Recorder) -> None:
    with listening(open_database, handler, bounds=short(connections_max=2)) as port:
        peers = [Peer(port), Peer(port)]
        for number, peer in enumerate(peers):
            peer.write(framed(message(f"M{number}")))
            assert code(peer.read()[0]) == "AA"

        assert Peer(port).is_ended()

        peers.pop().close()

        def is_served() -> bool:
            peer = Peer(port)
            try:
                peer.write(framed(message("LATER")))
                return bool(peer.read())
            except ConnectionError:
                return False
            finally:
                peer.close()

        wait_until(is_served, timeout_s=10, what="a place after one ended")
        peers.pop().close()


def test_an_address_that_nobody_calls_from_is_not_served(open_database: Database, handler: Recorder) -> None:
    with listening(open_database, handler, rules=SenderRules(rules=())) as port:
        assert Peer(port).is_ended()


def test_a_peer_that_vanishes_before_its_answer_leaves_its_message_kept(
    port: int, open_database: Database, handler: Recorder
) -> None:
    peer = Peer(port)
    peer.write(framed(message("M1")))
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()

    wait_until(lambda: len(effects_of(open_database)) == 1, timeout_s=10, what="the message's effect")

    again = Peer(port)
    again.write(framed(message("M1")))
    assert code(again.read()[0]) == "AA"
    again.close()
    assert len(handler.handled) == 1


def test_a_stop_answers_the_message_in_hand(open_database: Database) -> None:
    sock = open_port(LOOPBACK, 0, setting="test")

    def stop_then_accept(_: ReceivedMessage) -> Outcome:
        stopping.start()
        return Accepted()

    handler = Recorder(stop_then_accept)
    stopping = threading.Thread(target=lambda: listener.stop(5.0))
    # Stopping is asked for while the message is handled.
    listener = Listener(
        [ListeningSocket(sock=sock)], Inbox(open_database, handler, SystemClock()), RULES, BOUNDS, SystemClock(),
        processing_id="P",
    )  # fmt: skip
    listener.start()
    peer = Peer(sock.getsockname()[1])
    peer.write(framed(message("M1")))

    answers = peer.read(2)
    stopping.join()

    assert [(code(answer), segment(answer, "MSA")[2]) for answer in answers] == [("AA", "M1")]
    assert listener.connection_count == 0
    peer.close()
    sock.close()
