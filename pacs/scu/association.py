"""An association that we request: open it, send requests one at a time, release or abort it.

Drives the sans-IO upper layer over a connection, in the caller's thread. Not for: what is sent (`pacs.scu.store`) or
accepted associations (`pacs.scp.association`).

Invariants: after any error the association is over and the connection closed; a response is only taken for the request
whose message ID it bears; nothing waits longer than `Timeouts` say, and no wait is longer than a tick without the
caller's `on_wait` having run. No asynchronous operations are proposed: one operation at a time is what nearly every
storage SCP does, and reading the next instance goes on meanwhile all the same.

References
----------
PS3.8 7.1 to 7.3, 9.2; PS3.7 9.1, D.3.3
"""

import contextlib
import ssl
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NoReturn, Self

from pacs.archive.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs.scu.errors import AssociationAborted, AssociationRejected, ConnectionLost, PeerUnavailable
from pacs.scu.transport import Buffer, Connection, OnWait, connect, no_wait
from pacs.upper_layer.associate import AssociateRequest, PresentationContextProposal, RoleSelection, UserInformation
from pacs.upper_layer.connection import AcceptedContext, Role, UpperLayer
from pacs.upper_layer.dimse import Command
from pacs.upper_layer.errors import LocalProtocolError
from pacs.upper_layer.events import (
    Aborted,
    AssociateAccepted,
    AssociateRejected,
    CommandReceived,
    DataFragment,
    Event,
    ProtocolFailure,
    ReleaseRequested,
    TransportClosed,
)
from pacs.upper_layer.limits import UpperLayerLimits

# A data set is handed to the kernel in parts of this size, so that the list of its fragments stays short; even.
_PART_BYTES: Final = 8 * 1024 * 1024
_MESSAGE_ID_MAX: Final = 0xFFFF
# A storage SCP handles one image after another, so one association leaves it idle between two. Measured to DCMTK's
# storescp on two cores, three move half as many images again as one; a fourth gained nothing, and others call it too.
ASSOCIATIONS_MAX_DEFAULT: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long a peer may take, in seconds."""

    # For connection and TLS handshake together.
    connect_s: float = 10.0
    # For the answer to A-ASSOCIATE-RQ.
    associate_s: float = 30.0
    # Without a byte while we wait for a response, or without taking one while we write. A destination that writes to a
    # slow archive may need long for one image; one that is dead is noticed by TCP keepalive and by this.
    response_s: float = 60.0
    # For the answer to A-RELEASE-RQ.
    release_s: float = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerAddress:
    """Where a peer listens; `tls` is None for plain TCP.

    ``associations_max`` is how many associations one retrieve may have with it at once: 1 for a peer that takes the
    end of an association for the end of a study.
    """

    host: str
    port: int
    ae_title: str
    tls: ssl.SSLContext | None = None
    associations_max: int = ASSOCIATIONS_MAX_DEFAULT


class RequestorAssociation:
    """One association as requestor; a context manager that releases it, or aborts it after an error.

    Parameters
    ----------
    peer : PeerAddress
        Who is called.
    calling_aet : str
        Who we are.
    contexts : sequence of PresentationContextProposal
        At most 128.
    roles : sequence of RoleSelection
        For the SOP Classes in which we are not (only) the SCU.
    timeouts : Timeouts
    on_wait : callable
        Runs at least every half second of waiting, from here to the end; what it raises ends the association.
    limits : UpperLayerLimits or None

    Attributes
    ----------
    contexts : Mapping of int to AcceptedContext
        What the peer accepted, by ID; may be empty.

    Raises
    ------
    ConnectFailed, AssociationRejected, AssociationAborted, ConnectionLost, PeerTimedOut
        When there is no association.
    """

    def __init__(
        self,
        peer: PeerAddress,
        *,
        calling_aet: str,
        contexts: Sequence[PresentationContextProposal],
        roles: Sequence[RoleSelection] = (),
        timeouts: Timeouts | None = None,
        on_wait: OnWait = no_wait,
        limits: UpperLayerLimits | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._upper = UpperLayer(Role.REQUESTOR, limits)
        self._events: deque[Event] = deque()
        self._message_id = 0
        self._connection: Connection = connect(
            peer.host, peer.port, tls=peer.tls, timeout_s=self._timeouts.connect_s, on_wait=on_wait
        )
        request = AssociateRequest(
            called_ae_title=peer.ae_title,
            calling_ae_title=calling_aet,
            presentation_contexts=tuple(contexts),
            user_information=UserInformation(
                maximum_length=self._upper.limits.pdu_length_max,
                implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                implementation_version_name=IMPLEMENTATION_VERSION_NAME,
                role_selections=tuple(roles),
            ),
        )
        try:
            self._connection.send([self._upper.associate_request(request)], timeout_s=self._timeouts.associate_s)
            event = self._next_event(self._timeouts.associate_s)
            if not isinstance(event, AssociateAccepted):
                self._fail(event)
        except BaseException:
            self.abort()
            raise
        self.contexts: Mapping[int, AcceptedContext] = self._upper.contexts

    def __enter__(self) -> Self:
        """Return this association."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the association, or abort it when the block raised."""
        if kind is None:
            self.release()
        else:
            self.abort()

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return not self._upper.closed

    def next_message_id(self) -> int:
        """Return the ID for the next request: 1 to 65535, then 1 again."""
        self._message_id = self._message_id % _MESSAGE_ID_MAX + 1
        return self._message_id

    def send(self, context_id: int, command: bytes, dataset: Buffer | Iterable[Buffer] | None = None) -> None:
        """Send one message.

        Parameters
        ----------
        context_id : int
            An accepted context.
        command : bytes
            An encoded command set.
        dataset : buffer, iterable of buffers, or None
            Sent without being copied; must not change until this returns. Parts have even lengths but for the last;
            what their iterator raises ends the association, before the data set is whole.

        Raises
        ------
        PeerTimedOut, ConnectionLost
            If the peer does not take it. The association is over.
        """
        upper, timeout_s = self._upper, self._timeouts.response_s
        try:
            buffers: list[Buffer] = [upper.pdata_command(context_id, command)]
            if dataset is None:
                self._connection.send(buffers, timeout_s=timeout_s)
                return
            parts = _in_parts(dataset) if isinstance(dataset, bytes | memoryview) else iter(dataset)
            part = next(parts)
            for following in parts:
                buffers += upper.pdata_dataset(context_id, part, is_last=False)
                self._connection.send(buffers, timeout_s=timeout_s)
                buffers, part = [], following
            buffers += upper.pdata_dataset(context_id, part)
            self._connection.send(buffers, timeout_s=timeout_s)
        except BaseException:
            self.abort()
            raise

    def receive_response(self, message_id: int) -> Command:
        """Wait for the response to a request; a data set that comes with it is dropped.

        Raises
        ------
        PeerTimedOut, ConnectionLost, AssociationAborted
            If none comes. The association is over.
        """
        try:
            event = self._next_event(self._timeouts.response_s)
            if type(event) is not CommandReceived:
                self._fail(event)
            command = event.command
            if not command.is_response or command.message_id_being_responded_to != message_id:
                raise AssociationAborted("the peer answers something we did not ask", source=0, reason=0)
            if command.has_dataset:
                self._drop_dataset()
        except BaseException:
            self.abort()
            raise
        return command

    def request(
        self, context_id: int, message_id: int, command: bytes, dataset: Buffer | Iterable[Buffer] | None = None
    ) -> Command:
        """Send a request and wait for its response; see `send` and `receive_response`."""
        self.send(context_id, command, dataset)
        return self.receive_response(message_id)

    def release(self) -> None:
        """Release the association; a peer that does not answer is cut off, and nobody cares."""
        if self._upper.closed:
            return
        with contextlib.suppress(PeerUnavailable, LocalProtocolError):
            self._connection.send([self._upper.release_request()], timeout_s=self._timeouts.release_s)
            while not self._upper.closed:
                event = self._next_event(self._timeouts.release_s)
                if isinstance(event, ReleaseRequested):
                    # Both asked at once; the requestor of the association answers first (PS3.8 7.2.2.7).
                    self._connection.send([self._upper.release_response()], timeout_s=self._timeouts.release_s)
        self._close()

    def abort(self) -> None:
        """Send A-ABORT if the connection takes it at once, and close."""
        if not self._upper.closed:
            with contextlib.suppress(PeerUnavailable, LocalProtocolError, OSError):
                self._connection.send([self._upper.abort()], timeout_s=0)
        self._close()

    def _next_event(self, timeout_s: float) -> Event:
        upper, events = self._upper, self._events
        while not events:
            received = self._connection.receive_into(upper.receive_buffer(), timeout_s=timeout_s)
            events.extend(upper.bytes_received(received))
            if not events and upper.closed:
                raise ConnectionLost("the peer closed the connection")
        return events.popleft()

    def _drop_dataset(self) -> None:
        while True:
            event = self._next_event(self._timeouts.response_s)
            if type(event) is not DataFragment:
                self._fail(event)
            if event.is_last:
                return

    def _fail(self, event: Event) -> NoReturn:
        """Turn an event that ends the association, or that nobody asked for, into an error."""
        if isinstance(event, AssociateRejected):
            raise AssociationRejected(event.result, event.source, event.reason)
        if isinstance(event, Aborted):
            raise AssociationAborted(
                f"the peer aborted the association (source {event.source}, reason {event.reason})",
                source=event.source,
                reason=event.reason,
            )
        if isinstance(event, ProtocolFailure):
            pending = self._upper.bytes_to_send()
            with contextlib.suppress(PeerUnavailable):
                self._connection.send([pending], timeout_s=0)
            raise AssociationAborted(
                f"the peer broke the protocol: {event.error}",
                source=event.error.abort_source,
                reason=event.error.abort_reason,
            )
        if isinstance(event, ReleaseRequested):
            with contextlib.suppress(PeerUnavailable):
                self._connection.send([self._upper.release_response()], timeout_s=0)
            raise ConnectionLost("the peer released the association")
        if isinstance(event, TransportClosed):
            raise ConnectionLost("the peer closed the connection")
        raise AssociationAborted("the peer sends something we did not ask for", source=0, reason=0)

    def _close(self) -> None:
        if not self._upper.closed:
            self._upper.connection_closed()
        self._connection.close()


def _in_parts(dataset: Buffer) -> Iterator[Buffer]:
    if len(dataset) <= _PART_BYTES:
        yield dataset
        return
    view = memoryview(dataset)
    for start in range(0, len(view), _PART_BYTES):
        yield view[start : start + _PART_BYTES]
