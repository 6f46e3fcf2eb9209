"""A requestor over a bare socket that can also send what no honest requestor would.

For: crash, load and bad-input tests: it sees every byte that the node answers. Not for: conformance, which is shown
with tools that nobody here wrote.
"""

import socket
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pacs.upper_layer.associate import (
    AssociateRequest,
    PresentationContextProposal,
    RoleSelection,
    UserInformation,
)
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import Command, encode_command, store_request
from pacs.upper_layer.events import (
    Aborted,
    AssociateAccepted,
    AssociateRejected,
    CommandReceived,
    DataFragment,
    Event,
    ReleaseCompleted,
)
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE

VERIFICATION = "1.2.840.10008.1.1"
TIMEOUT_S = 30.0
P_DATA_TF, RELEASE_RQ, ABORT = 4, 5, 7


class Ended(Exception):
    """The node has ended the association, or the connection."""

    def __init__(self, how: str, event: Event | None = None) -> None:
        super().__init__(how)
        self.how = how
        self.event = event


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response: its command, and its data set if it has one."""

    command: Command
    dataset: bytes

    @property
    def status(self) -> int:
        """The DIMSE status."""
        return self.command.status


class RawScu:
    """One connection, before, during and after its association.

    Parameters
    ----------
    port : int
        On the loopback.
    is_nodelay : bool
        False leaves Nagle's algorithm on, as many modalities do.
    """

    def __init__(self, port: int, *, is_nodelay: bool = True, timeout_s: float = TIMEOUT_S) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(is_nodelay))
        self.upper = UpperLayer(Role.REQUESTOR)
        self._events: deque[Event] = deque()
        self._message_id = 0

    def associate(
        self,
        contexts: Sequence[tuple[str, Sequence[str]]] = (
            (CT_IMAGE, (EXPLICIT_LITTLE,)),
            (VERIFICATION, (EXPLICIT_LITTLE,)),
        ),
        *,
        calling_aet: str = "CT1",
        called_aet: str = "TELEGARDE",
        maximum_length: int = 16_384,
        roles: Sequence[RoleSelection] = (),
    ) -> Self:
        """Ask for an association; contexts get the ids 1, 3, 5, ... in their order.

        Raises
        ------
        Ended
            If it is rejected or aborted.
        """
        request = AssociateRequest(
            called_ae_title=called_aet,
            calling_ae_title=calling_aet,
            presentation_contexts=tuple(
                PresentationContextProposal(
                    context_id=2 * number + 1, abstract_syntax=abstract, transfer_syntaxes=tuple(syntaxes)
                )
                for number, (abstract, syntaxes) in enumerate(contexts)
            ),
            user_information=UserInformation(
                maximum_length=maximum_length,
                implementation_class_uid="1.2.3.4",
                implementation_version_name="RAW",
                role_selections=tuple(roles),
            ),
        )
        self.sock.sendall(self.upper.associate_request(request))
        event = self.next_event()
        if not isinstance(event, AssociateAccepted):
            raise Ended("rejected", event)
        return self

    def store(
        self,
        dataset: bytes,
        sop_instance_uid: str,
        *,
        sop_class_uid: str = CT_IMAGE,
        context_id: int = 1,
        payload_bytes: int | None = None,
    ) -> Answer:
        """Send one C-STORE-RQ with its data set and wait for the answer."""
        self.send_store(
            dataset, sop_instance_uid, sop_class_uid=sop_class_uid, context_id=context_id, payload_bytes=payload_bytes
        )
        return self.receive()

    def send_store(
        self,
        dataset: bytes,
        sop_instance_uid: str,
        *,
        sop_class_uid: str = CT_IMAGE,
        context_id: int = 1,
        payload_bytes: int | None = None,
    ) -> None:
        """Send one C-STORE-RQ with its data set."""
        command = store_request(self.next_message_id(), sop_class_uid, sop_instance_uid)
        if payload_bytes is not None:
            self.upper.send_pdv_payload_max = payload_bytes
        buffers = [self.upper.pdata_command(context_id, command), *self.upper.pdata_dataset(context_id, dataset)]
        self.sock.sendall(b"".join(buffers))

    def echo(self, *, context_id: int = 3) -> Answer:
        """Send a C-ECHO-RQ and wait for the answer."""
        command = encode_command(
            affected_sop_class_uid=VERIFICATION,
            command_field=0x0030,
            message_id=self.next_message_id(),
            data_set_type=0x0101,
        )
        self.sock.sendall(self.upper.pdata_command(context_id, command))
        return self.receive()

    def receive(self) -> Answer:
        """Wait for a response.

        Raises
        ------
        Ended
            If the node ends the association instead.
        """
        event = self.next_event()
        if not isinstance(event, CommandReceived):
            raise Ended("no response", event)
        dataset = b""
        if event.command.has_dataset:
            while True:
                fragment = self.next_event()
                assert isinstance(fragment, DataFragment), fragment
                dataset += bytes(fragment.data)
                if fragment.is_last:
                    break
        return Answer(command=event.command, dataset=dataset)

    def release(self) -> None:
        """Release the association and close the connection."""
        self.sock.sendall(self.upper.release_request())
        event = self.next_event()
        assert isinstance(event, ReleaseCompleted), event
        self.close()

    def next_event(self) -> Event:
        """Wait for what the node sends next.

        Raises
        ------
        Ended
            If it aborts, rejects or closes.
        """
        while not self._events:
            try:
                received = self.sock.recv_into(self.upper.receive_buffer())
            except ConnectionResetError:
                raise Ended("reset") from None
            if received == 0:
                raise Ended("closed")
            # Fragments are windows into the buffer: copied before the next read.
            for event in self.upper.bytes_received(received):
                if isinstance(event, DataFragment):
                    event = event._replace(data=memoryview(bytes(event.data)))
                self._events.append(event)
        event = self._events.popleft()
        if isinstance(event, Aborted):
            raise Ended("aborted", event)
        if isinstance(event, AssociateRejected):
            raise Ended("rejected", event)
        return event

    def end(self) -> Ended:
        """Wait until the node ends the association; return how."""
        while True:
            try:
                self.next_event()
            except Ended as ended:
                return ended

    def next_message_id(self) -> int:
        """Return the id for the next request."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pdu(pdu_type: int, content: bytes, *, stated_length: int | None = None) -> bytes:
    """Return a PDU, with a length that lies when told to (PS3.8 9.3.1)."""
    return struct.pack(">BxL", pdu_type, len(content) if stated_length is None else stated_length) + content


def pdv(
    context_id: int, data: bytes, *, is_command: bool = False, is_last: bool = True, stated_length: int | None = None
) -> bytes:
    """Return a presentation data value, with a length that lies when told to (PS3.8 9.3.5.1)."""
    control = int(is_command) | int(is_last) << 1
    length = len(data) + 2 if stated_length is None else stated_length
    return struct.pack(">LBB", length, context_id, control) + data


def raw_pdata(context_id: int, data: bytes, *, is_command: bool = False, is_last: bool = True) -> bytes:
    """Return a P-DATA-TF with one presentation data value."""
    return pdu(P_DATA_TF, pdv(context_id, data, is_command=is_command, is_last=is_last))
