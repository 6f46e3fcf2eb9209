"""Hostile and broken peers on a real socket: the right A-ABORT or status, a log line, no effect on anybody else.

While every attack of this file runs, a well-behaved association keeps storing to the same worker; at the end all it
stored is there, nothing of the attackers' half-sent instances is, and every byte is proven.

References: PS3.8 9.2 (state table), 9.3.8 (A-ABORT), Table 9-26; PS3.7 Annex C
"""

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pacs.status import Status
from pacs.upper_layer.associate_codec import encode_associate_request
from pacs.upper_layer.dimse import NO_DATA_SET, CommandField, encode_command, store_request
from pacs.upper_layer.pdu import PduType
from tests.harness.configured_node import ConfiguredNode
from tests.harness.data_sets import image, image_elements, nested_sequences, written
from tests.harness.peers import LOOPBACK, telegarde_json, wait_until
from tests.harness.raw_peer import (
    ECHO,
    FIND,
    STORE,
    STUDY_ROOT_FIND,
    VERIFICATION,
    WAIT_S_MAX,
    RawPeer,
    answer_before_association,
    pdu,
    pdv,
    read_to_end,
    request,
)
from tests.harness.stored_datasets import served_datasets

#: Short, so that what waits for them is quick; longer than any hiccup of a loaded machine for those who behave.
ARTIM_S, IDLE_S = 1.0, 3.0
#: What `telegarde serve` offers by default, and so the longest P-DATA-TF that may come.
MAXIMUM_LENGTH = 131_072
RSS_BYTES_MAX = 200 * 1024 * 1024
FLOOD_ASSOCIATIONS = 16
FLOOD_ROUNDS = 6
COMMAND, LAST = 1, 2
SERVICE_USER, SERVICE_PROVIDER = 0, 2
UNRECOGNIZED_PDU, UNEXPECTED_PDU, UNEXPECTED_PARAMETER, INVALID_VALUE = 1, 2, 5, 6
TOML = f"""
[dicom.timeouts]
artim_s = {ARTIM_S}
idle_s = {IDLE_S}
[[peers]]
aet = "HOSTILE"
addresses = ["{LOOPBACK}"]
rights = ["store", "query"]
issuer = "NORTH"
[[peers]]
aet = "CT1"
addresses = ["{LOOPBACK}"]
rights = ["store"]
issuer = "NORTH"
"""


@dataclass
class Bystander:
    """An association that stores one small image after another until told to end."""

    port: int
    stored: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    trouble: list[BaseException] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            with RawPeer(self.port, calling_aet="CT1") as peer:
                while not self.is_over.is_set():
                    uid = f"1.2.3.100.{len(self.stored) + 1}"
                    self.statuses.add(peer.store(uid, image(uid, pixels=b"\1\2" * 5000)))
                    self.stored.append(uid)
                    # Often enough to be in the middle of every attack, seldom enough to leave the processor to it.
                    self.is_over.wait(0.02)
                peer.release()
        except BaseException as error:  # noqa: BLE001  # the edge of a thread: the fixture fails with it
            self.trouble.append(error)


@pytest.fixture(scope="module")
def bystander(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ConfiguredNode, Bystander]]:
    with ConfiguredNode(tmp_path_factory.mktemp("bad_input"), TOML) as started:
        other = Bystander(started.port)
        thread = threading.Thread(target=other.run)
        thread.start()
        try:
            yield started, other
        finally:
            other.is_over.set()
            thread.join()
        started.wait_until_idle()
        assert (other.trouble, other.statuses) == ([], {Status.SUCCESS})
        assert set(other.stored) <= served_datasets(started.data).keys()
        found = telegarde_json("verify", "--data", started.data)
        assert (found["missing"], found["corrupt"], found["unindexed"]) == (0, 0, 0), found
        # Whatever a peer did was the peer's fault, and every thread ended on purpose.
        assert "association_defect" not in started.process.output()
        assert "Traceback" not in started.process.output()


@pytest.fixture
def node(bystander: tuple[ConfiguredNode, Bystander]) -> Iterator[ConfiguredNode]:
    """Give the node, and see that the bystander stored during and after the test."""
    started, other = bystander
    before = len(other.stored)
    yield started
    wait_until(lambda: bool(other.trouble) or len(other.stored) > before + 1, what="the bystander to store on")
    assert other.trouble == []


def echo_request(**changed: int) -> bytes:
    fields = {"command_field": CommandField.C_ECHO_RQ, "message_id": 1, "data_set_type": NO_DATA_SET} | changed
    return encode_command(affected_sop_class_uid=VERIFICATION, **fields)


def find_request() -> bytes:
    return encode_command(
        affected_sop_class_uid=STUDY_ROOT_FIND,
        command_field=CommandField.C_FIND_RQ,
        message_id=1,
        priority=0,
        data_set_type=1,
    )


def command_pdv(context_id: int, command: bytes) -> bytes:
    return pdu(PduType.P_DATA_TF, pdv(context_id, COMMAND | LAST, command))


STORE_RQ = store_request(1, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.101.1")
IDENTIFIER = written({0x00080052: ("CS", b"STUDY "), 0x0020000D: ("UI", b"")})
A_REQUEST = pdu(PduType.ASSOCIATE_RQ, encode_associate_request(request()))

#: What is written on an open association, and the source and reason of the A-ABORT that it gets.
BREACHES: dict[str, tuple[bytes, tuple[int, int]]] = {
    "a PDU of unknown type": (pdu(0x09, b"\0" * 8), (SERVICE_PROVIDER, UNRECOGNIZED_PDU)),
    "a PDU of type 0": (bytes(64), (SERVICE_PROVIDER, UNRECOGNIZED_PDU)),
    "text": (b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", (SERVICE_PROVIDER, UNRECOGNIZED_PDU)),
    "a P-DATA-TF of no length": (pdu(PduType.P_DATA_TF, b""), (SERVICE_PROVIDER, INVALID_VALUE)),
    "a P-DATA-TF too short for a fragment": (pdu(PduType.P_DATA_TF, b"\0\0\0"), (SERVICE_PROVIDER, INVALID_VALUE)),
    "a P-DATA-TF longer than was offered": (
        pdu(PduType.P_DATA_TF, b"", stated_length=MAXIMUM_LENGTH + 1),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "a P-DATA-TF of four gigabytes": (
        pdu(PduType.P_DATA_TF, b"", stated_length=0xFFFFFFFF),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "a fragment longer than its PDU": (
        pdu(PduType.P_DATA_TF, pdv(ECHO, COMMAND | LAST, echo_request(), stated_length=1000)),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "a fragment of length 1": (
        pdu(PduType.P_DATA_TF, pdv(ECHO, COMMAND | LAST, b"", stated_length=1)),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "a fragment of four gigabytes": (
        pdu(PduType.P_DATA_TF, pdv(ECHO, COMMAND | LAST, b"", stated_length=0xFFFFFFFF)),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "bytes after the last fragment of a PDU": (
        pdu(PduType.P_DATA_TF, pdv(ECHO, COMMAND | LAST, echo_request()) + b"\0\0"),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "a command on a context that was not accepted": (
        command_pdv(9, echo_request()),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "data on a context that was not accepted": (
        command_pdv(STORE, STORE_RQ) + pdu(PduType.P_DATA_TF, pdv(9, LAST, b"\0" * 8)),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "data on another context than its command": (
        command_pdv(STORE, STORE_RQ) + pdu(PduType.P_DATA_TF, pdv(FIND, LAST, b"\0" * 8)),
        (SERVICE_PROVIDER, UNEXPECTED_PARAMETER),
    ),
    "data that no command announced": (
        pdu(PduType.P_DATA_TF, pdv(STORE, LAST, b"\0" * 8)),
        (SERVICE_PROVIDER, UNEXPECTED_PARAMETER),
    ),
    "a command where a data set is due": (
        command_pdv(STORE, STORE_RQ) + command_pdv(ECHO, echo_request()),
        (SERVICE_PROVIDER, UNEXPECTED_PARAMETER),
    ),
    "a command that changes its context": (
        pdu(PduType.P_DATA_TF, pdv(STORE, COMMAND, STORE_RQ[:20]) + pdv(ECHO, COMMAND | LAST, STORE_RQ[20:])),
        (SERVICE_PROVIDER, UNEXPECTED_PARAMETER),
    ),
    "an empty command set": (command_pdv(ECHO, b""), (SERVICE_PROVIDER, INVALID_VALUE)),
    "a command set that is cut off": (command_pdv(ECHO, echo_request()[:-3]), (SERVICE_PROVIDER, INVALID_VALUE)),
    "a command set of noise": (command_pdv(ECHO, b"\xff" * 200), (SERVICE_PROVIDER, INVALID_VALUE)),
    "a command set with an element of four gigabytes": (
        command_pdv(ECHO, echo_request() + struct.pack("<HHL", 0, 0x0902, 0xFFFFFFFE)),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "a command set without end": (
        pdu(PduType.P_DATA_TF, pdv(ECHO, COMMAND, b"\0" * 60_000)) * 2,
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "a second association request": (A_REQUEST, (SERVICE_PROVIDER, UNEXPECTED_PDU)),
    "an answer to an association request": (
        pdu(PduType.ASSOCIATE_AC, bytes(80)),
        (SERVICE_PROVIDER, UNEXPECTED_PDU),
    ),
    "a rejection": (pdu(PduType.ASSOCIATE_RJ, bytes(4)), (SERVICE_PROVIDER, UNEXPECTED_PDU)),
    "an answer to a release that was not asked for": (
        pdu(PduType.RELEASE_RP, bytes(4)),
        (SERVICE_PROVIDER, UNEXPECTED_PDU),
    ),
    "a release request of another length": (
        pdu(PduType.RELEASE_RQ, bytes(6)),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    "an association request of two gigabytes": (
        pdu(PduType.ASSOCIATE_RQ, b"", stated_length=0x7FFFFFFF),
        (SERVICE_PROVIDER, INVALID_VALUE),
    ),
    # Sound PDUs, wrong to a user of the service: its A-ABORT says so.
    "a response without request": (
        command_pdv(
            ECHO,
            encode_command(
                affected_sop_class_uid=VERIFICATION,
                command_field=CommandField.C_ECHO_RSP,
                message_id_being_responded_to=1,
                data_set_type=NO_DATA_SET,
                status=0,
            ),
        ),
        (SERVICE_USER, 0),
    ),
    "a request during an operation": (
        command_pdv(FIND, find_request())
        + pdu(PduType.P_DATA_TF, pdv(FIND, LAST, IDENTIFIER))
        + command_pdv(ECHO, echo_request(message_id=2)),
        (SERVICE_USER, 0),
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_of_the_protocol_gets_its_abort(node: ConfiguredNode, name: str) -> None:
    written_bytes, expected = BREACHES[name]
    with RawPeer(node.port) as peer:
        peer.write(written_bytes)
        assert peer.abort() == expected
        # After its A-ABORT the node waits for us to close; it sends nothing more.
        assert not peer.hears(0)


@pytest.mark.parametrize("name", ["a PDU of unknown type", "a fragment longer than its PDU"])
def test_the_same_breach_in_the_middle_of_a_data_set_ends_only_that_association(
    node: ConfiguredNode, name: str
) -> None:
    uid = f"1.2.3.102.{len(name)}"
    with RawPeer(node.port) as peer:
        half = image(uid, pixels=b"\1\2" * 4000)[:4000]
        peer.write(command_pdv(STORE, store_request(1, "1.2.840.10008.5.1.4.1.1.2", uid)))
        peer.write(pdu(PduType.P_DATA_TF, pdv(STORE, 0, half)) + BREACHES[name][0])
        assert peer.abort()[0] == SERVICE_PROVIDER
    assert uid not in served_datasets(node.data)


def test_a_breach_is_a_line_in_the_log_without_anything_the_peer_sent(node: ConfiguredNode) -> None:
    with RawPeer(node.port) as peer:
        peer.write(command_pdv(ECHO, b"DOE^JANE" * 20))
        assert peer.abort() == (SERVICE_PROVIDER, INVALID_VALUE)
    wait_until(lambda: "protocol_failure" in node.process.output(), what="the log line")
    assert "calling_aet=HOSTILE" in node.process.output()
    assert "DOE" not in node.process.output()


#: What is written before there is an association. The reason is not significant when the source is the user (AA-1).
UNASKED = {
    "text": b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "a TLS client": bytes.fromhex("160301020001000001fc0303") + bytes(60),
    "data": pdu(PduType.P_DATA_TF, pdv(1, COMMAND | LAST, b"\0" * 10)),
    "a release": pdu(PduType.RELEASE_RQ, bytes(4)),
    "an answer": pdu(PduType.ASSOCIATE_AC, bytes(80)),
    "a request of two gigabytes": pdu(PduType.ASSOCIATE_RQ, b"", stated_length=0x7FFFFFFF),
    "a request longer than is taken": pdu(PduType.ASSOCIATE_RQ, b"", stated_length=196_609),
    "a request without contents": pdu(PduType.ASSOCIATE_RQ, b""),
    "a request of zeros": pdu(PduType.ASSOCIATE_RQ, bytes(200)),
    "a request with an item longer than itself": pdu(
        PduType.ASSOCIATE_RQ, encode_associate_request(request())[:68] + b"\x10\x00\xff\xff1.2.840"
    ),
}


@pytest.mark.parametrize("name", UNASKED)
def test_what_is_no_association_request_gets_an_abort_or_a_rejection_and_the_connection_is_closed(
    node: ConfiguredNode, name: str
) -> None:
    heard = answer_before_association(node.port, UNASKED[name])
    assert heard in {
        pdu(PduType.ABORT, bytes([0, 0, SERVICE_USER, 0])),
        # A request whose fields can be read, but of no version that there is (PS3.8 9.3.4).
        pdu(PduType.ASSOCIATE_RJ, bytes([0, 1, 2, 2])),
    }


@pytest.mark.parametrize("begun", [b"", A_REQUEST[:3], A_REQUEST[:100]], ids=["nothing", "a header", "half a request"])
def test_who_does_not_ask_for_an_association_in_time_is_hung_up_on(node: ConfiguredNode, begun: bytes) -> None:
    assert answer_before_association(node.port, begun) == b""


def test_who_asks_a_byte_at_a_time_is_hung_up_on_when_artim_ends(node: ConfiguredNode) -> None:
    with socket.create_connection((LOOPBACK, node.port), timeout=WAIT_S_MAX) as sock:
        written_bytes = 0
        # Every byte starts a new wait for the next one, but not a new ARTIM.
        while not select.select([sock], [], [], ARTIM_S / 20)[0]:
            sock.sendall(A_REQUEST[written_bytes : written_bytes + 1])
            written_bytes += 1
            assert written_bytes < len(A_REQUEST), "the whole request was taken"
        assert read_to_end(sock) == b""


def test_an_association_that_never_sends_is_aborted_when_it_has_been_idle(node: ConfiguredNode) -> None:
    with RawPeer(node.port) as peer:
        assert peer.abort() == (SERVICE_USER, 0)


def test_a_message_that_trickles_in_is_aborted_for_want_of_progress_and_not_stored(node: ConfiguredNode) -> None:
    uid = "1.2.3.104.1"
    sent = image(uid, pixels=b"\1\2" * 4000)
    with RawPeer(node.port) as peer:
        peer.write(command_pdv(STORE, store_request(1, "1.2.840.10008.5.1.4.1.1.2", uid)))
        peer.write(
            pdu(PduType.P_DATA_TF, pdv(STORE, LAST, b"", stated_length=len(sent) + 2), stated_length=len(sent) + 6)
        )
        for byte in sent:
            peer.write(bytes([byte]))
            # Never as long as `idle_s` without a byte.
            if peer.hears(IDLE_S / 20):
                break
        assert peer.abort() == (SERVICE_USER, 0)
    assert uid not in served_datasets(node.data)


@pytest.mark.parametrize(
    "begun",
    [
        pdu(PduType.P_DATA_TF, pdv(ECHO, COMMAND, b"", stated_length=60_002), stated_length=60_006),
        command_pdv(FIND, find_request())
        + pdu(PduType.P_DATA_TF, pdv(FIND, 0, b"", stated_length=60_002), stated_length=60_006),
    ],
    ids=["command set", "identifier"],
)
def test_what_trickles_in_before_any_operation_is_aborted_too(node: ConfiguredNode, begun: bytes) -> None:
    with RawPeer(node.port) as peer:
        peer.write(begun)
        for _ in range(40):
            peer.write(b"\0")
            if peer.hears(IDLE_S / 10):
                break
        else:
            pytest.fail("the node has waited for four times as long as it may")
        assert peer.abort() == (SERVICE_USER, 0)


@pytest.mark.parametrize("part", [0, 1, 2000, -1], ids=["no byte", "one byte", "2,000 bytes", "all but one byte"])
def test_a_data_set_whose_sender_hangs_up_is_not_stored(node: ConfiguredNode, part: int) -> None:
    uid = f"1.2.3.105.{abs(part)}.{int(part < 0)}"
    with RawPeer(node.port) as peer:
        sent = image(uid, pixels=b"\1\2" * 4000)[:part]
        peer.write(command_pdv(STORE, store_request(1, "1.2.840.10008.5.1.4.1.1.2", uid)))
        peer.write(pdu(PduType.P_DATA_TF, pdv(STORE, 0, sent)) if sent else b"")
    with RawPeer(node.port) as peer:
        assert peer.store(f"{uid}.1", image(f"{uid}.1")) == Status.SUCCESS
    assert uid not in served_datasets(node.data)


def test_a_release_in_the_middle_of_a_data_set_stores_nothing(node: ConfiguredNode) -> None:
    with RawPeer(node.port) as peer:
        peer.write(command_pdv(STORE, STORE_RQ) + pdu(PduType.P_DATA_TF, pdv(STORE, 0, image("1.2.3.101.1")[:200])))
        peer.release()
    assert "1.2.3.101.1" not in served_datasets(node.data)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"command_field": 0x0666}, Status.UNRECOGNIZED_OPERATION),
        ({"command_field": CommandField.C_FIND_RQ}, Status.MISTYPED_ARGUMENT),
    ],
    ids=["an unknown operation", "a find without identifier"],
)
def test_a_command_that_cannot_be_carried_out_gets_its_status_and_the_association_goes_on(
    node: ConfiguredNode, fields: dict[str, int], status: int
) -> None:
    with RawPeer(node.port) as peer:
        peer.write(command_pdv(ECHO, echo_request(**fields)))
        assert peer.next_status() == status
        peer.write(command_pdv(ECHO, echo_request(message_id=2)))
        assert peer.next_status() == Status.SUCCESS


@pytest.mark.parametrize("is_defined", [False, True], ids=["undefined length", "defined length"])
@pytest.mark.parametrize("is_first", [False, True], ids=["after the UIDs", "before the UIDs"])
def test_ten_thousand_nested_sequences_are_stored_as_they_are_or_refused_but_hurt_nobody(
    node: ConfiguredNode, is_defined: bool, is_first: bool
) -> None:
    uid = f"1.2.3.106.{int(is_defined)}.{int(is_first)}"
    deep = nested_sequences(10_000, is_defined=is_defined, tag=0x00080005 if is_first else 0x00400275)
    plain = image(uid)
    sent = deep + plain if is_first else plain + deep
    with RawPeer(node.port) as peer:
        status = peer.store(uid, sent)
        assert peer.store(f"{uid}.1", image(f"{uid}.1")) == Status.SUCCESS
    served = served_datasets(node.data)
    if status in {Status.SUCCESS, 0xB007}:
        assert served[uid].dataset == sent
        assert served[uid].is_damaged == (status == 0xB007)
    else:
        assert status == Status.CANNOT_UNDERSTAND
        assert uid not in served


@pytest.mark.parametrize("is_defined", [False, True], ids=["undefined length", "defined length"])
def test_ten_thousand_nested_sequences_in_a_query_are_refused(node: ConfiguredNode, is_defined: bool) -> None:
    deep = IDENTIFIER + nested_sequences(10_000, is_defined=is_defined, tag=0x00400275)
    with RawPeer(node.port) as peer:
        peer.write(peer.message(FIND, find_request(), deep))
        while (status := peer.next_status()) in {Status.PENDING, Status.PENDING_WITH_WARNING}:
            event = peer.next_event()
            del event
        assert status in {Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, Status.UNABLE_TO_PROCESS}
        peer.write(command_pdv(ECHO, echo_request(message_id=2)))
        assert peer.next_status() == Status.SUCCESS


def test_an_identifier_without_end_is_aborted(node: ConfiguredNode) -> None:
    with RawPeer(node.port) as peer:
        peer.write(command_pdv(FIND, find_request()))
        piece = pdu(PduType.P_DATA_TF, pdv(FIND, 0, b"\0" * 100_000))
        for _ in range(400):
            peer.write(piece)
            if peer.hears(0):
                break
        assert peer.abort() == (SERVICE_USER, 0)


def resident_bytes_max(pid: int) -> int:
    """Return the most memory that a process has ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def workers_of(node: ConfiguredNode) -> list[int]:
    """Return the processes that the node started."""
    pid = node.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def flood(port: int, number: int) -> None:
    """Do the worst things that end in an answer, one after the other."""
    large = image(f"1.2.3.107.{number}", pixels=b"\1\2" * 1_000_000)
    deep = written(image_elements("1.2.3.108.1")) + nested_sequences(10_000, is_defined=False, tag=0x00400275)
    for turn in range(FLOOD_ROUNDS):
        with RawPeer(port) as peer:
            # An instance that is larger than every buffer, and never ends.
            peer.write(peer.store_message(f"1.2.3.107.{number}", large)[:-5000])
        with RawPeer(port) as peer:
            peer.store(f"1.2.3.108.{number}.{turn}", deep)
            peer.write(pdu(PduType.P_DATA_TF, pdv(ECHO, COMMAND, b"\0" * 60_000)) * 2)
            assert peer.abort() == (SERVICE_PROVIDER, INVALID_VALUE)
        for breach, expected in list(BREACHES.values())[number % 5 :: 5]:
            with RawPeer(port) as peer:
                peer.write(breach)
                assert peer.abort() == expected


def in_parallel(count: int, work: Callable[[int], None]) -> None:
    trouble: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001  # the edge of a thread: raised below
            trouble.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if trouble:
        raise trouble[0]


def test_a_flood_of_hostile_associations_leaves_memory_bounded(node: ConfiguredNode) -> None:
    in_parallel(FLOOD_ASSOCIATIONS, lambda number: flood(node.port, number))
    workers = workers_of(node)
    assert workers
    for pid in workers:
        assert resident_bytes_max(pid) < RSS_BYTES_MAX
    assert not [key for key in served_datasets(node.data) if key.startswith("1.2.3.107.")]


def test_who_does_not_close_after_an_abort_is_hung_up_on(node: ConfiguredNode) -> None:
    with RawPeer(node.port) as peer:
        peer.write(pdu(0x09, b""))
        assert peer.abort() == (SERVICE_PROVIDER, UNRECOGNIZED_PDU)
        # ARTIM: we do not close, so the node does.
        assert read_to_end(peer.socket) == b""
