"""The requestor association: what it sends, and that every fault of a peer becomes the right error, in time."""

import threading
from collections.abc import Callable

import pytest

from pacs.scp.tls import TlsFiles, client_context, server_context
from pacs.scu import transport
from pacs.scu.association import PeerAddress, RequestorAssociation, Timeouts
from pacs.scu.errors import AssociationAborted, AssociationRejected, ConnectFailed, ConnectionLost, PeerTimedOut
from pacs.scu.store import plan_contexts, send_instance
from pacs.upper_layer.associate import PresentationContextProposal
from pacs.upper_layer.dimse import store_response
from pacs.upper_layer.events import CommandReceived, ReleaseRequested
from tests.harness.peers import Certificates, KeyAndCertificate, free_port, make_certificates
from tests.unit.scu.scripted_peer import PeerConnection, Script, scripted_peer

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
CONTEXTS = plan_contexts([(CT, EXPLICIT_LITTLE)])[0]
#: Long enough that only a fault of ours is slower than this.
PATIENT = Timeouts(connect_s=20, associate_s=20, response_s=20, release_s=20)
IMPATIENT = Timeouts(connect_s=0.02, associate_s=0.02, response_s=0.02, release_s=0.02)


@pytest.fixture
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TICK_S", 0.01)


def request(
    peer: PeerAddress, timeouts: Timeouts = PATIENT, on_wait: Callable[[], None] = lambda: None
) -> RequestorAssociation:
    return RequestorAssociation(peer, calling_aet="US", contexts=CONTEXTS, timeouts=timeouts, on_wait=on_wait)


def store(association: RequestorAssociation, dataset: bytes, sop_instance_uid: str = "1.2.3") -> int:
    (context_id,) = (one.context_id for one in association.contexts.values() if one.transfer_syntax == EXPLICIT_LITTLE)
    message_id = send_instance(association, context_id, CT, sop_instance_uid, dataset)
    return association.receive_response(message_id).status


def accept_and_serve(peer: PeerConnection) -> None:
    peer.accept()
    peer.serve()


@pytest.mark.parametrize(
    "size", [0, 2, 16_376, 16_378, 16_380, 8 * 1024 * 1024, 8 * 1024 * 1024 + 2, 20 * 1024 * 1024 + 6]
)
@pytest.mark.parametrize("is_small_buffered", [False, True])
def test_data_sets_of_every_size_arrive_whole(size: int, is_small_buffered: bool) -> None:
    # 20 MiB in fragments of 16 KiB are more buffers than one sendmsg takes; a small buffer makes every write partial.
    if is_small_buffered and size > 9 * 1024 * 1024:
        size = 9 * 1024 * 1024
    dataset = bytes(range(256)) * (size // 256) + bytes(size % 256)

    with (
        scripted_peer(accept_and_serve, receive_buffer_bytes=4096 if is_small_buffered else None) as peer,
        request(peer.address) as association,
    ):
        assert store(association, dataset) == 0x0000
        assert store(association, b"\1\2", "1.2.4") == 0x0000

    assert [one.command.affected_sop_instance_uid for one in peer.stores] == ["1.2.3", "1.2.4"]
    assert peer.stores[0].dataset == dataset


def test_it_says_who_it_is_and_proposes_no_asynchronous_operations() -> None:
    with scripted_peer(accept_and_serve) as peer, request(peer.address):
        pass

    (asked,) = peer.requests
    assert (asked.calling_ae_title, asked.called_ae_title) == ("US", "PEER")
    assert asked.user_information.asynchronous_operations_window is None
    assert asked.user_information.implementation_class_uid


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def tls_files(own: KeyAndCertificate, certificates: Certificates) -> TlsFiles:
    return TlsFiles(certificate_file=own.certificate, key_file=own.key, ca_file=certificates.authority.certificate)


def test_over_tls_data_sets_arrive_whole(certificates: Certificates) -> None:
    server = server_context(tls_files(certificates.server, certificates))
    client = client_context(tls_files(certificates.client, certificates))
    dataset = bytes(range(256)) * 40_000

    with (
        scripted_peer(accept_and_serve, tls=server, client_tls=client, receive_buffer_bytes=4096) as peer,
        request(peer.address) as association,
    ):
        assert store(association, dataset) == 0x0000

    assert peer.stores[0].dataset == dataset


@pytest.mark.usefixtures("short_ticks")
def test_over_tls_a_peer_that_takes_or_sends_nothing_is_given_up_in_time(certificates: Certificates) -> None:
    server = server_context(tls_files(certificates.server, certificates))
    client = client_context(tls_files(certificates.client, certificates))
    done = threading.Event()

    def stall(peer: PeerConnection) -> None:
        peer.accept()
        done.wait(20)

    for size in (2, 30_000_000):
        with scripted_peer(stall, tls=server, client_tls=client, receive_buffer_bytes=4096) as peer:
            association = request(peer.address, Timeouts(response_s=0.05))
            with pytest.raises(PeerTimedOut):
                store(association, bytes(size))
            done.set()
        done.clear()


def test_a_peer_whose_certificate_we_do_not_trust_is_refused(certificates: Certificates) -> None:
    server = server_context(tls_files(certificates.stranger, certificates))
    client = client_context(tls_files(certificates.client, certificates))

    with (
        scripted_peer(accept_and_serve, tls=server, client_tls=client) as peer,
        pytest.raises(ConnectFailed, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        request(peer.address)


def test_a_peer_that_speaks_no_tls_is_told_so(certificates: Certificates) -> None:
    tls = client_context(tls_files(certificates.client, certificates))

    with (
        scripted_peer(lambda peer: peer.sock.sendall(b"this is no TLS\r\n" * 9), client_tls=tls) as peer,
        pytest.raises(ConnectFailed, match="TLS"),
    ):
        request(peer.address)


def test_nobody_listening_is_a_failed_connection() -> None:
    with pytest.raises(ConnectFailed, match="Connection refused"):
        request(PeerAddress(host="127.0.0.1", port=free_port(), ae_title="PEER"))


def test_an_unknown_host_is_a_failed_connection() -> None:
    with pytest.raises(ConnectFailed, match="no known host"):
        request(PeerAddress(host="no-such-host.invalid", port=104, ae_title="PEER"))


def test_a_rejection_carries_its_three_codes() -> None:
    with scripted_peer(lambda peer: peer.reject(1, 1, 7)) as peer, pytest.raises(AssociationRejected) as caught:
        request(peer.address)

    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 7)
    assert not caught.value.is_retryable


def test_a_transient_rejection_may_be_tried_again() -> None:
    with scripted_peer(lambda peer: peer.reject(2, 3, 1)) as peer, pytest.raises(AssociationRejected) as caught:
        request(peer.address)

    assert caught.value.is_retryable


def abort(peer: PeerConnection) -> None:
    peer.accept()
    peer.receive_store()
    peer.sock.sendall(peer.upper.abort(source=2, reason=6))


def hang_up(peer: PeerConnection) -> None:
    peer.accept()
    peer.receive_store()


def reset(peer: PeerConnection) -> None:
    peer.accept()
    peer.reset()


def garbage(peer: PeerConnection) -> None:
    peer.accept()
    peer.receive_store()
    peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    peer.next_event()


def release(peer: PeerConnection) -> None:
    peer.accept()
    peer.receive_store()
    peer.sock.sendall(peer.upper.release_request())
    peer.next_event()


def wrong_answer(peer: PeerConnection) -> None:
    peer.accept()
    received = peer.receive_store()
    assert received is not None
    other = store_response(received.command.message_id + 1, CT, "1.2.3", 0)
    peer.sock.sendall(peer.upper.pdata_command(received.context_id, other))
    peer.next_event()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (abort, AssociationAborted),
        (hang_up, ConnectionLost),
        (reset, ConnectionLost),
        (garbage, AssociationAborted),
        (release, ConnectionLost),
        (wrong_answer, AssociationAborted),
    ],
)
def test_whatever_ends_the_association_is_an_error_and_the_connection_is_closed(
    script: Script, error: type[Exception]
) -> None:
    with scripted_peer(script) as peer:
        association = request(peer.address)
        with pytest.raises(error):
            store(association, b"\1\2" * 500_000)
        assert not association.is_open


@pytest.mark.usefixtures("short_ticks")
def test_a_peer_that_never_answers_the_association_is_given_up_in_time() -> None:
    with scripted_peer(lambda peer: _ignore(peer)) as peer, pytest.raises(PeerTimedOut):
        request(peer.address, Timeouts(associate_s=0.05))


@pytest.mark.usefixtures("short_ticks")
def test_a_peer_that_never_answers_a_store_is_given_up_in_time_and_aborted() -> None:
    def swallow(peer: PeerConnection) -> None:
        peer.accept()
        assert peer.receive_store() is not None
        assert type(peer.next_event()).__name__ == "Aborted"

    with scripted_peer(swallow) as peer:
        association = request(peer.address, Timeouts(response_s=0.05))
        with pytest.raises(PeerTimedOut, match="sent nothing"):
            store(association, b"\1\2")


@pytest.mark.usefixtures("short_ticks")
def test_a_peer_that_takes_nothing_is_given_up_in_time() -> None:
    done = threading.Event()

    def stall(peer: PeerConnection) -> None:
        peer.accept()
        done.wait(20)

    with scripted_peer(stall, receive_buffer_bytes=4096) as peer:
        association = request(peer.address, Timeouts(response_s=0.05))
        with pytest.raises(PeerTimedOut, match="took nothing"):
            store(association, bytes(30_000_000))
        done.set()


@pytest.mark.usefixtures("short_ticks")
def test_the_caller_hears_of_every_wait_and_may_end_it() -> None:
    class Enough(Exception):
        pass

    waits: list[int] = []

    def on_wait() -> None:
        waits.append(1)
        if len(waits) == 5:
            raise Enough

    def slow(peer: PeerConnection) -> None:
        peer.accept()
        peer.receive_store()
        assert type(peer.next_event()).__name__ == "Aborted"

    with scripted_peer(slow) as peer:
        association = request(peer.address, on_wait=on_wait)
        with pytest.raises(Enough):
            store(association, b"\1\2")
        assert not association.is_open


def test_a_block_that_raises_aborts_the_association() -> None:
    seen: list[str] = []

    def watch(peer: PeerConnection) -> None:
        peer.accept()
        seen.append(type(peer.next_event()).__name__)

    with scripted_peer(watch) as peer, pytest.raises(ZeroDivisionError), request(peer.address):
        raise ZeroDivisionError
    assert seen == ["Aborted"]


@pytest.mark.usefixtures("short_ticks")
def test_a_release_that_is_not_answered_is_no_error() -> None:
    def ignore(peer: PeerConnection) -> None:
        peer.accept()
        assert isinstance(peer.next_event(), ReleaseRequested)
        peer.next_event()

    with scripted_peer(ignore) as peer, request(peer.address, Timeouts(release_s=0.05)):
        pass


def test_a_release_that_crosses_ours_is_answered() -> None:
    def cross(peer: PeerConnection) -> None:
        peer.accept()
        ours = peer.upper.release_request()
        event = peer.next_event()
        assert isinstance(event, ReleaseRequested)
        peer.sock.sendall(ours)
        assert type(peer.next_event()).__name__ == "ReleaseCompleted"
        peer.sock.sendall(peer.upper.release_response())

    with scripted_peer(cross) as peer, request(peer.address):
        pass


def test_a_data_set_that_comes_with_a_response_is_dropped() -> None:
    def chatty(peer: PeerConnection) -> None:
        peer.accept()
        received = peer.receive_store()
        assert received is not None
        command = store_response(received.command.message_id, CT, "1.2.3", 0)
        # Command Data Set Type 0x0101 (none) becomes 0x0001.
        with_dataset = command.replace(b"\x00\x08\x02\x00\x00\x00\x01\x01", b"\x00\x08\x02\x00\x00\x00\x01\x00")
        assert with_dataset != command
        peer.sock.sendall(peer.upper.pdata_command(received.context_id, with_dataset))
        for buffer in peer.upper.pdata_dataset(received.context_id, b"\0" * 40_000):
            peer.sock.sendall(buffer)
        peer.serve()

    with scripted_peer(chatty) as peer, request(peer.address) as association:
        assert store(association, b"\1\2") == 0
        assert store(association, b"\1\2") == 0


def test_message_ids_begin_again_after_the_last() -> None:
    with scripted_peer(accept_and_serve) as peer, request(peer.address) as association:
        ids = [association.next_message_id() for _ in range(65_536)]

    assert ids[0] == 1
    assert ids[-2:] == [65_535, 1]


def test_contexts_that_the_peer_refuses_are_not_offered() -> None:
    proposals = [
        PresentationContextProposal(context_id=1, abstract_syntax=CT, transfer_syntaxes=("1.2.840.10008.1.2.4.90",)),
        PresentationContextProposal(context_id=3, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT_LITTLE,)),
    ]
    with (
        scripted_peer(accept_and_serve) as peer,
        RequestorAssociation(peer.address, calling_aet="US", contexts=proposals) as association,
    ):
        assert list(association.contexts) == [3]


def _ignore(peer: PeerConnection) -> None:
    event = peer.next_event()
    while not isinstance(event, CommandReceived) and not peer.upper.closed:
        event = peer.next_event()
