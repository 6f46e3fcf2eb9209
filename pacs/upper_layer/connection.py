"""The upper layer of one association: bytes in, events out; requests in, bytes out.

For: driving any transport, in either role. Not for: sockets, timers, threads; services.

Use: ``n = sock.recv_into(ul.receive_buffer())``, then ``for event in ul.bytes_received(n): ...``, then write
``ul.bytes_to_send()`` and look at ``ul.closed``. One caller at a time: nothing here is locked.

Invariants: the state changes only by the table in `fsm`; memory held is one receive buffer and one command set.
What a peer sends never raises out of here: it becomes a `ProtocolFailure` event and an A-ABORT to send.

References
----------
PS3.8 7 (service), 9.2 (state machine), 9.3 (PDUs)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from pacs.upper_layer.associate import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    RejectResult,
    RejectSource,
)
from pacs.upper_layer.associate_codec import (
    decode_associate_accept,
    decode_associate_request,
    encode_associate_accept,
    encode_associate_request,
)
from pacs.upper_layer.errors import (
    AbortReason,
    AbortSource,
    AssociationOver,
    LocalProtocolError,
    RemoteProtocolError,
)
from pacs.upper_layer.events import (
    Aborted,
    AssociateAccepted,
    AssociateRejected,
    AssociateRequested,
    Event,
    ProtocolFailure,
    ReleaseCompleted,
    ReleaseRequested,
    TransportClosed,
)
from pacs.upper_layer.fsm import ACTIONS, TRANSITIONS, Action, Artim, FsmEvent, State, transition
from pacs.upper_layer.limits import (
    ASSOCIATE_FIXED_FIELDS_BYTES,
    PDU_HEADER_BYTES,
    PDV_HEADER_BYTES,
    UpperLayerLimits,
)
from pacs.upper_layer.negotiation import AcceptedContext, accepted_contexts, refusal
from pacs.upper_layer.pdata import PDataReceiver
from pacs.upper_layer.pdu import (
    PDU_HEADER,
    PduType,
    encode_abort,
    encode_associate_reject,
    encode_release_request,
    encode_release_response,
    fragment_command,
    fragment_dataset,
    with_header,
)

__all__ = ["AcceptedContext", "Role", "UpperLayer"]

_FIXED_PDU_LENGTH: Final = 4
"""Length field of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT (PS3.8 9.3.4, 9.3.6 to 9.3.8)."""

_PDU_EVENTS: Final[Mapping[int, FsmEvent]] = MappingProxyType(
    {
        int(PduType.ASSOCIATE_RQ): FsmEvent.ASSOCIATE_RQ_RECEIVED,
        int(PduType.ASSOCIATE_AC): FsmEvent.ASSOCIATE_AC_RECEIVED,
        int(PduType.ASSOCIATE_RJ): FsmEvent.ASSOCIATE_RJ_RECEIVED,
        int(PduType.P_DATA_TF): FsmEvent.P_DATA_TF_RECEIVED,
        int(PduType.RELEASE_RQ): FsmEvent.RELEASE_RQ_RECEIVED,
        int(PduType.RELEASE_RP): FsmEvent.RELEASE_RP_RECEIVED,
        int(PduType.ABORT): FsmEvent.ABORT_RECEIVED,
    }
)

_SENDING_DATA: Final = frozenset(state for event, state in TRANSITIONS if event is FsmEvent.P_DATA_REQUEST)
# What a PDU that does not fit the state leads to; decided by its header, so its content is skipped unread.
_SKIPPING: Final = frozenset({Action.AA_1, Action.AA_6, Action.AA_7, Action.AA_8})

_LOCAL_LIMIT_EXCEEDED: Final = AssociateReject(
    result=RejectResult.PERMANENT, source=RejectSource.SERVICE_PROVIDER_PRESENTATION, reason=2
)


class Role(Enum):
    """Which side of the association this is."""

    ACCEPTOR = "acceptor"
    REQUESTOR = "requestor"


class UpperLayer:
    """The DICOM upper layer of one transport connection.

    Parameters
    ----------
    role : Role
        ACCEPTOR: the transport connection has just been accepted (Evt5), so the ARTIM timer must run.
    limits : UpperLayerLimits
        What the peer may make this object hold.

    Attributes
    ----------
    state : State
        PS3.8 state.
    artim_running : bool
        Whether the driver's ARTIM timer must run; call `artim_expired` when it does expire.
    closed : bool
        Whether the transport is to be closed (or is gone): after writing `bytes_to_send`.
    contexts : Mapping of int to AcceptedContext
        Accepted presentation contexts by ID; empty before an association exists.
    send_pdv_payload_max : int
        Most data bytes in one fragment that the peer takes; even. 0 before an association exists.
    """

    def __init__(self, role: Role, limits: UpperLayerLimits | None = None) -> None:
        self.role: Final = role
        self.limits: Final = limits or UpperLayerLimits()
        self.state = State.IDLE
        self.artim_running = False
        self.closed = False
        self.contexts: Mapping[int, AcceptedContext] = MappingProxyType({})
        self.send_pdv_payload_max = 0
        self._buffer = bytearray(self.limits.receive_buffer_bytes)
        self._view = memoryview(self._buffer)
        self._start = 0  # first byte received and not read
        self._end = 0  # byte after the last received
        self._skip_left = 0  # bytes of a PDU that are to be dropped
        self._is_deaf = False  # framing is lost: whatever comes is dropped
        self._is_ended_by_peer = False
        self._pending = bytearray()
        self._request: AssociateRequest | None = None
        self._receiver = PDataReceiver((), 0, 0)
        if role is Role.ACCEPTOR:
            self._apply(Action.AE_5)

    # --- receiving -------------------------------------------------------------------------------

    def receive_buffer(self) -> memoryview:
        """Return the free part of the receive buffer, to be filled from its beginning; never empty.

        Fragments handed out before become invalid: their bytes will be overwritten.
        """
        start, end = self._start, self._end
        if start == end:
            self._start = self._end = 0
            return self._view
        if start:
            # Only a header that is not whole yet, or (rarely) an A-ASSOCIATE, is moved.
            rest = end - start
            self._buffer[:rest] = self._buffer[start:end]
            self._start, self._end = 0, rest
        return self._view[self._end :]

    def direct_room(self) -> int:
        """Return how many bytes the driver may receive itself, past the receive buffer, where it wants them.

        They are the next bytes of the data set in hand, and belong to one fragment: nothing else can be among them. 0
        when there is no such fragment or the buffer holds bytes that come before.
        """
        if self._start != self._end or self.closed or self._is_deaf or self._skip_left:
            return 0
        return self._receiver.direct_room

    def directly_received(self, n: int) -> bool:
        """Take note of `n` bytes received within `direct_room`; return whether they complete the data set.

        No event tells of them. Bytes that came after them belong in `receive_buffer`, as always.
        """
        return self._receiver.take_directly(n)

    def bytes_received(self, n: int) -> list[Event]:
        """Take in the first `n` bytes of the last `receive_buffer`; 0 is the end of the stream.

        Returns
        -------
        list of Event
            In wire order.
        """
        if n == 0:
            return self.connection_closed()
        events: list[Event] = []
        if self.closed or self._is_deaf:
            return events
        if self.state is State.IDLE:
            raise LocalProtocolError("a requestor asks for an association before it reads")
        self._end += n
        try:
            self._read(events)
        except RemoteProtocolError as error:
            self._fail(FsmEvent.INVALID_PDU_RECEIVED, error, events)
            # Nothing that follows can be trusted to begin where it seems to.
            self._is_deaf = True
        if self.closed or self._is_deaf:
            self._start = self._end = 0
        return events

    def connection_closed(self) -> list[Event]:
        """Tell that the transport has ended, by whichever side or by a fault (Evt17)."""
        action = transition(FsmEvent.TRANSPORT_CLOSED, self.state)
        self.closed = True
        if action is None:
            return []
        self._apply(action)
        if action is not Action.AA_4:
            return []
        self._is_ended_by_peer = True
        return [TransportClosed()]

    def artim_expired(self) -> list[Event]:
        """Tell that the ARTIM timer has expired (Evt18). An expiry after the timer was stopped is ignored."""
        action = transition(FsmEvent.ARTIM_EXPIRED, self.state)
        if action is not None:
            self._apply(action)
        return []

    def bytes_to_send(self) -> bytes:
        """Return, once, what the state machine itself wants written (A-ABORT, A-ASSOCIATE-RJ)."""
        pending = bytes(self._pending)
        self._pending.clear()
        return pending

    def _read(self, events: list[Event]) -> None:
        """Read PDUs until more bytes are needed."""
        while not self.closed:
            if self._skip_left:
                skipped = min(self._skip_left, self._end - self._start)
                self._start += skipped
                self._skip_left -= skipped
            # The cells DT-2 and AR-6; by identity, because hashing a State costs a Python call per read.
            if self.state is State.DATA_TRANSFER or self.state is State.AWAITING_RELEASE_RP:
                self._start = self._receiver.receive(self._buffer, self._view, self._start, self._end, events)
                if self._receiver.is_inside_pdu:
                    return
            if self._end - self._start < PDU_HEADER_BYTES:
                return
            if not self._read_control_pdu(events):
                return

    def _read_control_pdu(self, events: list[Event]) -> bool:
        """Read one PDU other than an expected P-DATA-TF; return False when more bytes are needed."""
        pdu_type, length = PDU_HEADER.unpack_from(self._buffer, self._start)
        event = _PDU_EVENTS.get(pdu_type)
        if event is None:
            raise RemoteProtocolError("a PDU of unknown type", AbortReason.UNRECOGNIZED_PDU)
        action = transition(event, self.state)
        assert action is not None, "no bytes are read in Sta1 and Sta4, the only blank cells"
        if event in (FsmEvent.ASSOCIATE_RQ_RECEIVED, FsmEvent.ASSOCIATE_AC_RECEIVED):
            if not ASSOCIATE_FIXED_FIELDS_BYTES <= length <= self.limits.associate_pdu_bytes_max:
                raise RemoteProtocolError("an A-ASSOCIATE PDU is too short or too long")
        elif event is not FsmEvent.P_DATA_TF_RECEIVED and length != _FIXED_PDU_LENGTH:
            raise RemoteProtocolError("a PDU of fixed length has another length")
        if action in _SKIPPING:
            self._start += PDU_HEADER_BYTES
            self._skip_left = length
            error = RemoteProtocolError("a PDU that does not fit the state", AbortReason.UNEXPECTED_PDU)
            self._fail(event, error, events)
            return True
        if self._end - self._start < PDU_HEADER_BYTES + length:
            return False
        start = self._start + PDU_HEADER_BYTES
        self._start = start + length
        self._carry_out(action, bytes(self._view[start : self._start]), events)
        return True

    def _carry_out(self, action: Action, content: bytes, events: list[Event]) -> None:
        """Do what a whole PDU in its right place asks for."""
        match action:
            case Action.AE_3:
                self._begin_as_requestor(decode_associate_accept(content), events)
            case Action.AE_4:
                events.append(AssociateRejected(content[1], content[2], content[3]))
                self._is_ended_by_peer = True
            case Action.AE_6:
                if not self._consider(decode_associate_request(content), events):
                    return
            case Action.AR_2:
                events.append(ReleaseRequested())
            case Action.AR_8:
                events.append(ReleaseRequested(collision=True))
            case Action.AR_3 | Action.AR_10:
                events.append(ReleaseCompleted())
            case Action.AA_3:
                events.append(Aborted(content[2], content[3]))
                self._is_ended_by_peer = True
        self._apply(action)

    def _fail(self, event: FsmEvent, error: RemoteProtocolError, events: list[Event]) -> None:
        """Do what the table says about a PDU that is wrong or in the wrong place."""
        action = transition(event, self.state)
        assert action is not None, "no bytes are read in Sta1 and Sta4, the only blank cells"
        if action is Action.AA_1:
            self._pending += encode_abort(AbortSource.SERVICE_USER, 0)
        elif action is not Action.AA_6:
            self._pending += encode_abort(error.abort_source, error.abort_reason)
        if self.state is not State.AWAITING_TRANSPORT_CLOSE:
            events.append(ProtocolFailure(error))
            self._is_ended_by_peer = True
        self._apply(action)

    def _consider(self, request: AssociateRequest, events: list[Event]) -> bool:
        """AE-6: indicate the request, or refuse what no service user could accept."""
        reject = refusal(request)
        if self._is_too_small(request.user_information.maximum_length):
            reject = _LOCAL_LIMIT_EXCEEDED
        # Reasons that are the service user's to give are left to it: `negotiate` gives them.
        if reject is not None and reject.source != RejectSource.SERVICE_USER:
            self._pending += encode_associate_reject(reject)
            events.append(AssociateRejected(reject.result, reject.source, reject.reason))
            self._apply(Action.AE_8)
            return False
        self._request = request
        events.append(AssociateRequested(request))
        return True

    def _begin_as_requestor(self, accept: AssociateAccept, events: list[Event]) -> None:
        assert self._request is not None
        peer_length = accept.user_information.maximum_length
        if self._is_too_small(peer_length):
            raise RemoteProtocolError("the peer's Maximum Length is too small to be used")
        contexts = accepted_contexts(self._request, accept, is_requestor=True)
        own_length = self._request.user_information.maximum_length
        self._begin(contexts, own_length, peer_length)
        events.append(AssociateAccepted(accept))

    def _is_too_small(self, maximum_length: int) -> bool:
        return 0 < maximum_length < self.limits.peer_pdu_length_min

    def _begin(self, contexts: dict[int, AcceptedContext], own_length: int, peer_length: int) -> None:
        """Make ready for data transfer."""
        self.contexts = MappingProxyType(contexts)
        cap = self.limits.send_pdu_length_max
        length = min(peer_length, cap) if peer_length else cap
        self.send_pdv_payload_max = (length - PDV_HEADER_BYTES) & ~1
        self._receiver = PDataReceiver(contexts, own_length, self.limits.command_set_bytes_max)

    # --- sending ---------------------------------------------------------------------------------

    def associate_request(self, rq: AssociateRequest) -> bytes:
        """Return the A-ASSOCIATE-RQ to write; the driver has opened the transport (Evt1 and Evt2).

        Raises
        ------
        LocalProtocolError
            If the state forbids it, or a value does not fit.
        """
        self._allow(FsmEvent.ASSOCIATE_REQUEST)
        if self.role is not Role.REQUESTOR or self.closed:
            raise LocalProtocolError("only a requestor may ask, and only once")
        self._check_own_length(rq.user_information.maximum_length)
        content = encode_associate_request(rq)
        self._request = rq
        self._apply(Action.AE_1)
        self._apply(self._allow(FsmEvent.TRANSPORT_CONFIRM))
        return with_header(PduType.ASSOCIATE_RQ, content)

    def associate_accept(self, ac: AssociateAccept) -> bytes:
        """Return the A-ASSOCIATE-AC to write; `negotiation.negotiate` makes one.

        Raises
        ------
        LocalProtocolError
            If the state forbids it, a value does not fit, or it does not answer the request; as for all that
            sends, `AssociationOver` when the peer has just ended the association.
        """
        action = self._allow(FsmEvent.ASSOCIATE_RESPONSE_ACCEPT)
        assert self._request is not None
        self._check_own_length(ac.user_information.maximum_length)
        try:
            contexts = accepted_contexts(self._request, ac, is_requestor=False)
        except RemoteProtocolError as error:
            raise LocalProtocolError(str(error)) from error
        content = encode_associate_accept(ac)
        peer_length = self._request.user_information.maximum_length
        self._begin(contexts, ac.user_information.maximum_length, peer_length)
        self._apply(action)
        return with_header(PduType.ASSOCIATE_AC, content)

    def associate_reject(self, rj: AssociateReject) -> bytes:
        """Return the A-ASSOCIATE-RJ to write. Raises LocalProtocolError if the state forbids it."""
        self._apply(self._allow(FsmEvent.ASSOCIATE_RESPONSE_REJECT))
        return encode_associate_reject(rj)

    def release_request(self) -> bytes:
        """Return the A-RELEASE-RQ to write. Raises LocalProtocolError if the state forbids it."""
        self._apply(self._allow(FsmEvent.RELEASE_REQUEST))
        return encode_release_request()

    def release_response(self) -> bytes:
        """Return the A-RELEASE-RP to write. Raises LocalProtocolError if the state forbids it."""
        self._apply(self._allow(FsmEvent.RELEASE_RESPONSE))
        return encode_release_response()

    def abort(self, source: int = 0, reason: int = 0) -> bytes:
        """Return the A-ABORT to write (b"" when there is no transport yet).

        Parameters
        ----------
        source, reason : int
            PS3.8 Table 9-26; the reason means something only from the service provider (2).

        Raises
        ------
        LocalProtocolError
            If there is no association to abort: before a request (Sta2) and after the end (Sta1, Sta13) the
            driver just closes the transport.
        """
        action = self._allow(FsmEvent.ABORT_REQUEST)
        self._apply(action)
        # The peer may be in the middle of a P-DATA-TF; what follows it is still to be understood.
        self._skip_left = self._receiver.abandon()
        return encode_abort(source, reason) if action is Action.AA_1 else b""

    def pdata_command(self, context_id: int, command: bytes) -> bytes:
        """Return a whole command set as P-DATA-TF PDUs, cut to the peer's Maximum Length.

        Raises
        ------
        LocalProtocolError
            If the state forbids data, or the context was not accepted.
        """
        self._allow_data(context_id)
        return fragment_command(context_id, command, self.send_pdv_payload_max)

    def pdata_dataset(
        self, context_id: int, dataset: memoryview | bytes, *, is_last: bool = True
    ) -> list[memoryview | bytes]:
        """Return a data set as P-DATA-TF PDUs without copying it.

        Parameters
        ----------
        context_id : int
            The context of its command.
        dataset : memoryview or bytes
            Contiguous bytes of the whole data set, or of a part of it when `is_last` is false; such a part
            must have an even length. It must not change until it is written.
        is_last : bool
            Whether the data set ends here.

        Returns
        -------
        list of bytes and memoryview
            For a gathering write (``sendmsg``); mind IOV_MAX (1024 on Linux).

        Raises
        ------
        LocalProtocolError
            If the state forbids data, the context was not accepted, or a part is odd.
        """
        self._allow_data(context_id)
        view = memoryview(dataset).cast("B")
        if not is_last and len(view) & 1:
            raise LocalProtocolError("a part of a data set must have an even length")
        return fragment_dataset(context_id, view, self.send_pdv_payload_max, is_last=is_last)

    # --- state -----------------------------------------------------------------------------------

    def _allow(self, event: FsmEvent) -> Action:
        action = transition(event, self.state)
        if action is None:
            raise self._forbidden(event)
        return action

    def _forbidden(self, event: FsmEvent) -> LocalProtocolError:
        if self._is_ended_by_peer:
            return AssociationOver("the peer has ended the association")
        return LocalProtocolError(f"{event.name} is not allowed in {self.state.value}")

    def _allow_data(self, context_id: int) -> None:
        if self.state not in _SENDING_DATA:
            raise self._forbidden(FsmEvent.P_DATA_REQUEST)
        if context_id not in self.contexts:
            raise LocalProtocolError("the presentation context was not accepted")

    def _check_own_length(self, maximum_length: int) -> None:
        bound = self.limits.pdu_length_max
        if bound and not 0 < maximum_length <= bound:
            raise LocalProtocolError("the Maximum Length offered exceeds limits.pdu_length_max")

    def _apply(self, action: Action) -> None:
        """Change state, timer and transport as the action's row says."""
        row = ACTIONS[action]
        self.state = row.next_state
        if action is Action.AR_8 and self.role is Role.ACCEPTOR:
            assert row.otherwise is not None
            self.state = row.otherwise
        if row.artim is Artim.START:
            self.artim_running = True
        elif row.artim is Artim.STOP:
            self.artim_running = False
        if row.closes_transport:
            self.closed = True
