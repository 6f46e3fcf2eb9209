"""A storage SCP that does exactly what a test says, also what no SCP should: for faults that real peers do not have."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pacs.scu.association import PeerAddress
from pacs.upper_layer.associate import AssociateAccept, AssociateReject, AssociateRequest
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import Command, store_response
from pacs.upper_layer.events import (
    AssociateRequested,
    CommandReceived,
    DataFragment,
    Event,
    ReleaseRequested,
    TransportClosed,
)
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.negotiation import Offer, negotiate

NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@dataclass(kw_only=True)
class Received:
    """One C-STORE as the peer saw it."""

    context_id: int
    transfer_syntax: str
    command: Command
    dataset: bytes


@dataclass(kw_only=True)
class PeerConnection:
    """The peer's end of one connection, for scripts."""

    sock: socket.socket
    upper: UpperLayer
    number: int
    requests: list[AssociateRequest]
    stores: list[Received]
    _events: list[Event] = field(default_factory=list)

    def next_event(self) -> Event:
        """Wait for the next event."""
        while not self._events:
            buffer = self.upper.receive_buffer()
            try:
                received = self.sock.recv_into(buffer)
            except OSError:
                received = 0
            self._events += self.upper.bytes_received(received)
            if not self._events and self.upper.closed:
                return TransportClosed()
        return self._events.pop(0)

    def accept(self, transfer_syntaxes: tuple[str, ...] = NATIVE, *, maximum_length: int = 16_384) -> None:
        """Take in the A-ASSOCIATE-RQ and accept it, for these transfer syntaxes."""
        event = self.next_event()
        assert isinstance(event, AssociateRequested), event
        self.requests.append(event.request)
        answer = negotiate(
            event.request,
            Offer(
                transfer_syntaxes_for=lambda _: transfer_syntaxes,
                implementation_class_uid="1.2.3",
                implementation_version_name="SCRIPTED",
                maximum_length=maximum_length,
            ),
        )
        assert isinstance(answer, AssociateAccept)
        self.sock.sendall(self.upper.associate_accept(answer))

    def reject(self, result: int, source: int, reason: int) -> None:
        """Take in the A-ASSOCIATE-RQ and reject it."""
        event = self.next_event()
        assert isinstance(event, AssociateRequested), event
        self.sock.sendall(self.upper.associate_reject(AssociateReject(result=result, source=source, reason=reason)))

    def receive_store(self) -> Received | None:
        """Take in one C-STORE-RQ; None when the peer released the association, which is answered, or left."""
        event = self.next_event()
        if isinstance(event, ReleaseRequested):
            self.sock.sendall(self.upper.release_response())
            return None
        if not isinstance(event, CommandReceived):
            return None
        dataset = bytearray()
        while True:
            fragment = self.next_event()
            if not isinstance(fragment, DataFragment):
                return None
            dataset += fragment.data
            if fragment.is_last:
                break
        received = Received(
            context_id=event.context_id,
            transfer_syntax=self.upper.contexts[event.context_id].transfer_syntax,
            command=event.command,
            dataset=bytes(dataset),
        )
        self.stores.append(received)
        return received

    def answer(self, received: Received, status: int = 0x0000) -> None:
        """Send the C-STORE-RSP."""
        command = received.command
        response = store_response(
            command.message_id, command.affected_sop_class_uid, command.affected_sop_instance_uid, status
        )
        self.sock.sendall(self.upper.pdata_command(received.context_id, response))

    def serve(self) -> None:
        """Answer every C-STORE with success until the association ends."""
        while (received := self.receive_store()) is not None:
            self.answer(received)

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def accept_and_serve(peer: PeerConnection) -> None:
    """Be a storage SCP without faults."""
    peer.accept()
    peer.serve()


Script = Callable[[PeerConnection], None]


@dataclass(kw_only=True)
class ScriptedPeer:
    """A listening peer; what its connections received, in order."""

    address: PeerAddress
    requests: list[AssociateRequest]
    stores: list[Received]
    failures: list[BaseException]


@contextmanager
def scripted_peer(
    script: Script,
    *,
    tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    receive_buffer_bytes: int | None = None,
) -> Iterator[ScriptedPeer]:
    """Listen on the loopback and run the script for every connection, in a thread each.

    Parameters
    ----------
    receive_buffer_bytes : int, optional
        Of the sockets: small ones make the sender wait early.
    """
    listening = socket.socket()
    if receive_buffer_bytes is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    listening.bind(("127.0.0.1", 0))
    listening.listen(16)
    peer = ScriptedPeer(
        address=PeerAddress(host="127.0.0.1", port=listening.getsockname()[1], ae_title="PEER", tls=client_tls),
        requests=[],
        stores=[],
        failures=[],
    )
    threads: list[threading.Thread] = []

    def run(sock: socket.socket, number: int) -> None:
        # Bounds what a failing test can hang for.
        sock.settimeout(20)
        with contextlib.closing(sock):
            try:
                try:
                    secured = tls.wrap_socket(sock, server_side=True) if tls else sock
                except OSError:
                    return  # no handshake: the other end is what the test looks at
                limits = UpperLayerLimits(pdu_length_max=0)
                script(
                    PeerConnection(
                        sock=secured,
                        upper=UpperLayer(Role.ACCEPTOR, limits),
                        number=number,
                        requests=peer.requests,
                        stores=peer.stores,
                    )
                )
                secured.close()
            except BaseException as failure:  # noqa: BLE001  # the edge of a thread: the test looks at it
                peer.failures.append(failure)

    def listen() -> None:
        for number in range(1_000):
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=run, args=(sock, number)))
            threads[-1].start()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield peer
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in (listener, *threads):
            thread.join(20)
    assert not peer.failures, peer.failures
