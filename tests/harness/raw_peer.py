"""A peer that writes whatever a test wants, lawful or not, and tells how the node ends it.

For: hostile input on a real socket. Not for: sending (`pacs.scu`) or stopping half-way (`tests.harness.stepwise`).
"""

import select
import socket
import struct
from collections import deque
from collections.abc import Mapping
from typing import Self

from pacs.archive.file_meta import IMPLEMENTATION_CLASS_UID
from pacs.upper_layer.associate import AssociateRequest, PresentationContextProposal, UserInformation
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import Command, store_request
from pacs.upper_layer.events import (
    Aborted,
    AssociateAccepted,
    CommandReceived,
    Event,
    ReleaseCompleted,
    TransportClosed,
)
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STORE, ECHO, FIND = 1, 3, 5
CONTEXTS = {STORE: CT_IMAGE, ECHO: VERIFICATION, FIND: STUDY_ROOT_FIND}
WAIT_S_MAX = 30.0
_LOOPBACK = "127.0.0.1"
_MAXIMUM_LENGTH_BYTES = 16_384


class RawPeer:
    """One association; what is written is up to the test.

    Parameters
    ----------
    port : int
        Where the node listens.
    contexts : mapping of int to str
        Abstract syntaxes proposed by context id.
    transfer_syntax : str
        Proposed for all of them.
    """

    def __init__(
        self,
        port: int,
        *,
        contexts: Mapping[int, str] = CONTEXTS,
        transfer_syntax: str = EXPLICIT_LITTLE,
        calling_aet: str = "HOSTILE",
    ) -> None:
        self.upper = UpperLayer(Role.REQUESTOR)
        self._contexts = dict(contexts)
        self._events: deque[Event] = deque()
        self._message_id = 0
        self.socket = socket.create_connection((_LOOPBACK, port), timeout=WAIT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.write(self.upper.associate_request(request(contexts, transfer_syntax, calling_aet)))
        accepted = self.next_event()
        assert isinstance(accepted, AssociateAccepted), accepted

    def write(self, data: bytes) -> None:
        """Write bytes; a node that has already hung up is no error, how it did is to be read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def message(self, context_id: int, command: bytes, dataset: bytes | None = None) -> bytes:
        """Return a message as lawful P-DATA-TF PDUs."""
        pdus: list[bytes | memoryview] = [self.upper.pdata_command(context_id, command)]
        if dataset is not None:
            pdus += self.upper.pdata_dataset(context_id, dataset)
        return b"".join(pdus)

    def store_message(self, sop_instance_uid: str, dataset: bytes, *, sop_class_uid: str | None = None) -> bytes:
        """Return a C-STORE-RQ with its data set."""
        self._message_id = self._message_id % 0xFFFF + 1
        sop_class = sop_class_uid or self._contexts[STORE]
        return self.message(STORE, store_request(self._message_id, sop_class, sop_instance_uid), dataset)

    def store(self, sop_instance_uid: str, dataset: bytes, *, sop_class_uid: str | None = None) -> int:
        """Store lawfully; return the status."""
        self.write(self.store_message(sop_instance_uid, dataset, sop_class_uid=sop_class_uid))
        return self.next_status()

    def next_status(self) -> int:
        """Return the status of the response that comes next."""
        status = self.next_command().status
        assert status is not None
        return status

    def next_command(self) -> Command:
        """Return the response that comes next."""
        event = self.next_event()
        assert isinstance(event, CommandReceived), event
        return event.command

    def next_event(self) -> Event:
        """Wait for what the node does next; an end of the connection is an event too."""
        while not self._events:
            try:
                received = self.socket.recv_into(self.upper.receive_buffer())
            except ConnectionResetError:
                received = 0
            self._events.extend(self.upper.bytes_received(received))
            if not (received or self._events):
                return TransportClosed()
        return self._events.popleft()

    def abort(self) -> tuple[int, int]:
        """Wait for the node's A-ABORT; return its source and reason."""
        event = self.next_event()
        assert isinstance(event, Aborted), event
        return event.source, event.reason

    def hears(self, within_s: float) -> bool:
        """Say whether the node has written something, waiting at most so long."""
        return bool(select.select([self.socket], [], [], within_s)[0])

    def release(self) -> None:
        """End the association politely."""
        self.write(self.upper.release_request())
        event = self.next_event()
        assert isinstance(event, ReleaseCompleted), event
        self.socket.close()

    def __enter__(self) -> Self:
        """Return this peer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.socket.close()


def request(
    contexts: Mapping[int, str] = CONTEXTS, transfer_syntax: str = EXPLICIT_LITTLE, calling_aet: str = "HOSTILE"
) -> AssociateRequest:
    """Return a lawful association request."""
    return AssociateRequest(
        called_ae_title="TELEGARDE",
        calling_ae_title=calling_aet,
        presentation_contexts=tuple(
            PresentationContextProposal(context_id=number, abstract_syntax=uid, transfer_syntaxes=(transfer_syntax,))
            for number, uid in contexts.items()
        ),
        user_information=UserInformation(
            maximum_length=_MAXIMUM_LENGTH_BYTES, implementation_class_uid=IMPLEMENTATION_CLASS_UID
        ),
    )


def pdu(pdu_type: int, content: bytes, *, stated_length: int | None = None) -> bytes:
    """Return a PDU; `stated_length` lies about its length."""
    return struct.pack(">BxL", pdu_type, len(content) if stated_length is None else stated_length) + content


def pdv(context_id: int, control: int, content: bytes, *, stated_length: int | None = None) -> bytes:
    """Return a fragment (1: command, 2: last); `stated_length` lies about its length."""
    length = len(content) + 2 if stated_length is None else stated_length
    return struct.pack(">LBB", length, context_id, control) + content


def answer_before_association(port: int, written: bytes) -> bytes:
    """Connect, write, and return everything that the node writes until it closes the connection."""
    with socket.create_connection((_LOOPBACK, port), timeout=WAIT_S_MAX) as sock:
        sock.sendall(written)
        return read_to_end(sock)


def read_to_end(sock: socket.socket) -> bytes:
    """Return everything up to the end of the stream, a reset included."""
    heard = bytearray()
    try:
        while piece := sock.recv(4096):
            heard += piece
    except ConnectionResetError:
        pass
    return bytes(heard)
