"""One accepted association, from its first byte to its last, in its own thread.

Drives the sans-IO upper layer over a transport, admits or rejects, streams C-STORE data sets into the archive, gathers
the short data sets of other requests and hands them to their service, keeps the time, and writes one summary line.

Whatever a peer does, the worst that happens is an A-ABORT to that peer: memory is bounded by the upper layer's buffer
and `IDENTIFIER_BYTES_MAX`, time by the timers, and every thread ends.

References
----------
PS3.8 9.1.5 (ARTIM timer), PS3.7 8.2 (one operation at a time)
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

from foundation import log
from foundation.errors import Refused, TelegardeError, Unavailable
from foundation.faults import reach
from pacs.archive.ingest import Ingest
from pacs.scp.access import Admitted, Call, Load, Rejected
from pacs.scp.node_policy import NodePolicy, Places
from pacs.scp.services import Buffer, Context, Peer
from pacs.scp.stall import StallWatch
from pacs.scp.store import StoreReceiver
from pacs.scp.transport import Transport, TransportLost, TransportTimedOut
from pacs.status import Status
from pacs.upper_layer import dimse
from pacs.upper_layer.associate import AssociateReject, AssociateRequest
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import Command, CommandField
from pacs.upper_layer.errors import AssociationOver, LocalProtocolError
from pacs.upper_layer.events import (
    Aborted,
    AssociateRejected,
    AssociateRequested,
    CommandReceived,
    DataFragment,
    Event,
    ProtocolFailure,
    ReleaseRequested,
    TransportClosed,
)
from pacs.upper_layer.negotiation import negotiate

# Longest data set of a request that is not C-STORE: a storage commitment of 100,000 instances is 13 MB.
IDENTIFIER_BYTES_MAX: Final = 16 * 1024 * 1024
# What a peer may not ask while it owes us a response: these begin requests of ours, or watch for a C-CANCEL. The other
# services look at nothing but the request, and begin none unless `is_quiet`: a scanner may end its step just then.
_NEVER_CROSSING: Final = frozenset({CommandField.C_FIND_RQ, CommandField.C_MOVE_RQ, CommandField.C_GET_RQ})
# A fragment of which at least so much is still to come is received where it is to stay; of smaller ones several are
# received at a time and copied.
DIRECT_BYTES_MIN: Final = 32_768
# Taken beside a fragment received so, or at the beginning of the next message: the headers, and little data to copy.
_BESIDE_DIRECT_BYTES: Final = 4_096
# Cancels remembered while a request is served; there is at most one request at a time.
_CANCELS_MAX: Final = 16


class AssociationLost(TelegardeError):
    """The association is over: released, aborted, timed out or cut."""


class AcceptedAssociation:
    """One association as acceptor; implements `pacs.scp.services.Association`.

    Parameters
    ----------
    transport : Transport
        Connected; this object closes it.
    address : str
        The peer's, for access and the log.
    certificate_names : frozenset of str or None
        Of the client certificate that TLS verified; None without TLS.
    policy : NodePolicy
        Shared.
    ingest : Ingest
        Where C-STORE goes.
    places : Places
        Counts associations.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        address: str,
        certificate_names: frozenset[str] | None,
        policy: NodePolicy,
        ingest: Ingest,
        places: Places,
    ) -> None:
        self._transport = transport
        self._address = address
        self._certificate_names = certificate_names
        self._policy = policy
        self._ingest = ingest
        self._places = places
        self._upper = UpperLayer(Role.ACCEPTOR, policy.limits)
        self._events: deque[Event] = deque()
        self._cancelled: deque[int] = deque(maxlen=_CANCELS_MAX)
        self._contexts: dict[int, Context] = {}
        self._peer: Peer | None = None
        self._ticket: int | None = None
        self._store: StoreReceiver | None = None
        self._stall = StallWatch(policy.timers.idle_s)
        self._message_id = 0
        self._is_requesting = False
        # How much of the receive buffer one read may fill; None for all of it.
        self._gulp_bytes: int | None = None
        self._is_stopping = False
        self._is_busy = False
        self._lock = threading.Lock()
        self._ending = "lost"

    # --- what a service sees ---------------------------------------------------------------------

    @property
    def peer(self) -> Peer:
        """Who is at the other end; only once admitted."""
        assert self._peer is not None
        return self._peer

    @property
    def contexts(self) -> Mapping[int, Context]:
        """Accepted presentation contexts by id."""
        return self._contexts

    @property
    def is_stopping(self) -> bool:
        """True when the node is being stopped."""
        return self._is_stopping

    def send(self, context_id: int, command: bytes, dataset: Iterable[Buffer] | Buffer | None = None) -> None:
        """Send one message; see `pacs.scp.services.Association`."""
        buffers: list[Buffer] = [self._command(context_id, command)]
        if dataset is not None:
            if not isinstance(dataset, bytes | memoryview):
                dataset = b"".join(dataset)
            buffers += self._upper.pdata_dataset(context_id, dataset)
        self._write(buffers)

    def is_cancelled(self, message_id: int) -> bool:
        """Say whether a C-CANCEL-RQ for this message has come."""
        # The end of a stream is readable for ever.
        while not self._upper.closed and self._transport.has_bytes():
            self._receive()
        self._note_cancels()
        return message_id in self._cancelled

    def is_quiet(self, wait_s: float) -> bool:
        """Say whether the peer sends nothing for so long; see `pacs.scp.services.Association`."""
        return not (self._is_requesting or self._events or self._transport.has_bytes(wait_s))

    def request(self, context_id: int, command: bytes, dataset: Buffer) -> Command:
        """Send a request of our own and wait for its response; see `pacs.scp.services.Association`."""
        assert not self._is_requesting, "one operation at a time (PS3.7 8.2)"
        self.send(context_id, command, dataset if len(dataset) else None)
        self._is_requesting = True
        try:
            return self._wait_for_response()
        finally:
            self._is_requesting = False

    def _wait_for_response(self) -> Command:
        while True:
            event = self._next_event()
            if type(event) is CommandReceived:
                if event.command.command_field == CommandField.C_CANCEL_RQ:
                    self._cancelled.append(event.command.message_id_being_responded_to)
                    continue
                if event.command.is_response:
                    if event.command.has_dataset:
                        self._gather()
                    return event.command
                if event.command.command_field in _NEVER_CROSSING:
                    self._abort("request_during_operation")
                self._serve(event)
                continue
            self._end_or_ignore(event)

    def next_message_id(self) -> int:
        """Return the id for a request of our own on this association."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    # --- the thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve the association to its end; never raises."""
        began_s = time.monotonic()
        try:
            self._negotiate()
            while True:
                self._serve(self._next_event())
                if self._is_stopping:
                    self._abort("node_stopping")
        except AssociationLost as lost:
            self._ending = str(lost)
        except AssociationOver:
            # The peer ended it in the same breath as its request.
            self._ending = self._end_as_queued()
        except LocalProtocolError as error:
            log.error("association_defect", calling_aet=self._calling_aet(), error=str(error))
        except Exception as error:  # noqa: BLE001  # the edge of a thread: whatever broke, only this association ends
            log.error("association_defect", calling_aet=self._calling_aet(), error=type(error).__name__)
            self._try_abort()
        finally:
            self._clean_up()
            self._summarise(time.monotonic() - began_s)

    def stop(self) -> None:
        """Ask the thread to end after the message in hand; called from another thread."""
        with self._lock:
            self._is_stopping = True
            if not self._is_busy:
                self._transport.wake()

    def _negotiate(self) -> None:
        timers = self._policy.timers
        deadline_s = time.monotonic() + timers.artim_s
        while not self._events:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                self._upper.artim_expired()
                raise AssociationLost("artim_expired")
            self._transport.set_receive_timeout(max(left_s, 0.001))
            self._receive()
        event = self._events.popleft()
        if not isinstance(event, AssociateRequested):
            self._end_or_ignore(event)
            raise AssociationLost("no_request")
        self._transport.set_receive_timeout(timers.idle_s)
        self._admit(event.request)

    def _admit(self, request: AssociateRequest) -> None:
        call = Call(
            called_aet=request.called_ae_title,
            calling_aet=request.calling_ae_title,
            address=self._address,
            certificate_names=self._certificate_names,
        )
        decision: Admitted | Rejected | None = None

        def admit(in_all: int, of_peer: int) -> bool:
            nonlocal decision
            decision = self._policy.decide(call, Load(associations=in_all, associations_of_peer=of_peer))
            return isinstance(decision, Admitted)

        self._ticket = self._places.reserve(request.calling_ae_title, admit)
        assert decision is not None
        if isinstance(decision, Rejected):
            log.warning(
                "association_rejected",
                calling_aet=call.calling_aet,
                called_aet=call.called_aet,
                address=call.address,
                rule=decision.rejected_by,
            )
            self._reject(decision.answer)
        rights = decision.rights
        answer = negotiate(request, self._policy.offer_for(request, rights))
        if isinstance(answer, AssociateReject):
            self._reject(answer)
        self._peer = Peer(calling_aet=call.calling_aet, called_aet=call.called_aet, address=call.address, rights=rights)
        self._store = StoreReceiver(self._ingest, self._peer)
        data = self._upper.associate_accept(answer)
        extended = {
            item.sop_class_uid: item.application_information
            for item in answer.user_information.sop_class_extended_negotiations
        }
        for accepted in self._upper.contexts.values():
            # Roles of the peer mirror ours.
            self._contexts[accepted.context_id] = Context(
                context_id=accepted.context_id,
                abstract_syntax=accepted.abstract_syntax,
                transfer_syntax=accepted.transfer_syntax,
                peer_is_scu=accepted.scp_role,
                peer_is_scp=accepted.scu_role,
                extended=extended.get(accepted.abstract_syntax, b""),
            )
        self._write([data])

    def _reject(self, answer: AssociateReject) -> NoReturn:
        self._write([self._upper.associate_reject(answer)])
        self._linger()
        raise AssociationLost("rejected")

    def _serve(self, event: Event) -> None:
        if type(event) is not CommandReceived:
            self._end_or_ignore(event)
            return
        command, context = event.command, self._contexts[event.context_id]
        with self._lock:
            self._is_busy = True
        try:
            is_storage = context.abstract_syntax not in self._policy.services
            if command.command_field == CommandField.C_STORE_RQ and command.has_dataset and is_storage:
                self._receive_instance(context, command)
            elif command.command_field == CommandField.C_CANCEL_RQ:
                # Too late: the operation has been answered.
                pass
            elif command.is_response:
                self._abort("response_without_request")
            else:
                self._serve_request(context, command)
        finally:
            with self._lock:
                self._is_busy = False
        self._cancelled.clear()

    def _receive_instance(self, context: Context, command: Command) -> None:
        store = self._store
        assert store is not None
        store.begin(context, command)
        self._stall.begin_message()
        # The hot loop: a few microseconds for each read.
        events, receive, write = self._events, self._receive, store.write
        direct_room, room = self._upper.direct_room, store.room
        is_last = False
        while not is_last:
            while events:
                event = events.popleft()
                if type(event) is DataFragment:
                    _, data, is_last = event
                    write(data)
                else:
                    self._end_or_ignore(event)
                if is_last:
                    break
            else:
                length = direct_room()
                target = room(length) if length >= DIRECT_BYTES_MIN else None
                if target is None:
                    self._gulp_bytes = None
                    receive()
                else:
                    self._gulp_bytes = _BESIDE_DIRECT_BYTES
                    is_last = self._receive_directly(store, target)
        self._stall.end_message()
        answer = store.finish()
        reach("store.before_response")
        self._write([self._command(context.context_id, answer)])
        reach("store.after_response")

    def _serve_request(self, context: Context, command: Command) -> None:
        dataset = self._gather() if command.has_dataset else b""
        if command.error is not None:
            self._answer_failure(context, command, command.error.status, str(command.error))
            return
        service = self._policy.services.get(context.abstract_syntax)
        if service is None:
            status = Status.SOP_CLASS_NOT_SUPPORTED
            if command.command_field == CommandField.C_STORE_RQ:
                # A C-STORE-RQ that announces no data set.
                status = Status.CANNOT_UNDERSTAND
            self._answer_failure(context, command, status, "no such operation here")
            return
        try:
            service.handle(self, context, command, dataset)
        except (AssociationLost, LocalProtocolError):
            raise
        except Unavailable as error:
            self._answer_failure(context, command, Status.OUT_OF_RESOURCES, str(error))
        except Refused as error:
            self._answer_failure(context, command, Status.NOT_AUTHORIZED, str(error))
        except TelegardeError as error:
            self._answer_failure(context, command, Status.PROCESSING_FAILURE, str(error))

    def _answer_failure(self, context: Context, command: Command, status: int, comment: str) -> None:
        log.warning(
            "request_failed",
            calling_aet=self._calling_aet(),
            command=f"{command.command_field:04X}",
            status=f"{status:04X}",
            reason=comment,
        )
        self.send(context.context_id, dimse.response(command, status, error_comment=comment))

    def _gather(self) -> bytes:
        """Return a whole data set that is not an instance."""
        gathered = bytearray()
        pace = StallWatch(self._policy.timers.idle_s)
        pace.begin_message()
        while True:
            event = self._next_event()
            if type(event) is not DataFragment:
                self._end_or_ignore(event)
                continue
            if len(gathered) + len(event.data) > IDENTIFIER_BYTES_MAX:
                self._abort("identifier_too_long")
            gathered += event.data
            if event.is_last:
                return bytes(gathered)
            if pace.is_too_slow(len(event.data)):
                self._abort("no_progress")

    # --- events and bytes ------------------------------------------------------------------------

    def _next_event(self) -> Event:
        while not self._events:
            self._receive()
        return self._events.popleft()

    def _receive(self) -> None:
        """Wait for bytes and queue what they mean."""
        upper = self._upper
        try:
            received = self._transport.receive_into(upper.receive_buffer()[: self._gulp_bytes])
        except TransportTimedOut:
            if not upper.contexts:
                return  # before the association: the caller keeps ARTIM
            self._abort("idle")
        self._take(received)

    def _receive_directly(self, store: StoreReceiver, target: memoryview) -> bool:
        """Wait for bytes of a data set where they are to stay; say whether they complete it.

        To receive half a megabyte elsewhere first would cost the copy, and the rest of the processor's cache.
        """
        upper = self._upper
        try:
            beside = upper.receive_buffer()[:_BESIDE_DIRECT_BYTES]
            received = self._transport.receive_into_both(target, beside)
        except TransportTimedOut:
            self._abort("idle")
        direct = min(received, len(target))
        is_last = False
        if direct:
            is_last = upper.directly_received(direct)
            store.advance(direct)
        if received > direct or not received:
            self._take(received - direct)
        elif self._stall.is_too_slow(received):
            self._abort("no_progress")
        return is_last

    def _take(self, received: int) -> None:
        """Queue what bytes in the receive buffer mean; 0 is the end of the stream."""
        upper = self._upper
        if received == 0 and self._is_stopping:
            # `stop` ended our side of the stream: the other side is open, so the peer can still be told.
            self._abort("node_stopping")
        events = upper.bytes_received(received)
        self._events.extend(events)
        if upper.closed and not self._events:
            # The peer went away where the standard gives no indication, such as before its A-ASSOCIATE-RQ.
            raise AssociationLost("lost")
        # Before the association its caller keeps ARTIM.
        if self._stall.is_too_slow(received) or (self._stall.is_stuck(bool(events)) and upper.contexts):
            self._abort("no_progress")

    def _note_cancels(self) -> None:
        """Take the cancels out of the queue; anything else while an operation runs is against the protocol."""
        kept: deque[Event] = deque()
        for event in self._events:
            if type(event) is CommandReceived and event.command.command_field == CommandField.C_CANCEL_RQ:
                self._cancelled.append(event.command.message_id_being_responded_to)
            else:
                kept.append(event)
        self._events = kept
        for event in kept:
            if type(event) is CommandReceived:
                self._abort("request_during_operation")
            if isinstance(event, Aborted | TransportClosed | ProtocolFailure):
                self._end_or_ignore(event)

    def _end_or_ignore(self, event: Event) -> None:
        """Answer what ends an association and raise; anything else has no effect here."""
        if isinstance(event, ReleaseRequested):
            self._write([self._upper.release_response()])
            self._linger()
            raise AssociationLost("released")
        if isinstance(event, Aborted):
            raise AssociationLost("aborted_by_peer")
        if isinstance(event, ProtocolFailure):
            log.warning(
                "protocol_failure",
                calling_aet=self._calling_aet(),
                address=self._address,
                reason=str(event.error),
                abort_reason=int(event.error.abort_reason),
            )
            self._flush_upper()
            self._linger()
            raise AssociationLost("protocol_failure")
        if isinstance(event, AssociateRejected):
            self._flush_upper()
            self._linger()
            raise AssociationLost("rejected")
        if isinstance(event, TransportClosed):
            raise AssociationLost("lost")

    def _end_as_queued(self) -> str:
        """End as the events not yet looked at say; return the word for it."""
        try:
            for event in self._events:
                self._end_or_ignore(event)
        except AssociationLost as lost:
            return str(lost)
        return "lost"

    def _abort(self, reason: str) -> NoReturn:
        """Send an A-ABORT as service user and end (AA-1: ARTIM bounds the wait for the peer's close)."""
        self._try_abort()
        self._linger()
        raise AssociationLost(reason)

    def _try_abort(self) -> None:
        try:
            self._transport.send([self._upper.abort()])
        except (TelegardeError, OSError):
            return

    def _flush_upper(self) -> None:
        pending = self._upper.bytes_to_send()
        if pending:
            try:
                self._transport.send([pending])
            except (TransportLost, TransportTimedOut):
                return

    def _linger(self) -> None:
        """Wait, within ARTIM, for the peer to close: closing at once can destroy what we have just sent (RST)."""
        deadline_s = time.monotonic() + self._policy.timers.artim_s
        with self._lock:
            # Nothing is in hand any more: `stop` may cut this short.
            self._is_busy = False
        scratch = memoryview(bytearray(16_384))
        try:
            while (left_s := deadline_s - time.monotonic()) > 0 and not self._is_stopping:
                self._transport.set_receive_timeout(max(left_s, 0.001))
                if self._transport.receive_into(scratch) == 0:
                    return
        except TransportTimedOut:
            return

    def _command(self, context_id: int, command: bytes) -> bytes:
        if self._upper.closed:
            # Its A-ABORT came with the request: the event is still in the queue.
            raise AssociationLost("ended_by_peer")
        return self._upper.pdata_command(context_id, command)

    def _write(self, buffers: list[Buffer]) -> None:
        try:
            self._transport.send(buffers)
        except TransportTimedOut as error:
            raise AssociationLost("peer_takes_nothing") from error
        except TransportLost as error:
            raise AssociationLost("lost") from error

    # --- the end ---------------------------------------------------------------------------------

    def _clean_up(self) -> None:
        try:
            if self._store is not None:
                self._store.end(self._ending, self._policy.tell_end)
        except TelegardeError as error:
            log.error("lane_not_released", error=str(error))
        finally:
            if self._ticket is not None:
                self._places.leave(self._ticket)
            self._transport.close()

    def _calling_aet(self) -> str:
        return self._peer.calling_aet if self._peer is not None else ""

    def _summarise(self, seconds: float) -> None:
        if self._peer is None:
            return
        tally = self._store.tally if self._store is not None else None
        fields: dict[str, object] = {
            "calling_aet": self._peer.calling_aet,
            "called_aet": self._peer.called_aet,
            "address": self._address,
            "result": self._ending,
            "seconds": seconds,
        }
        if tally is not None and (tally.instances or tally.failures):
            fields |= {
                "instances": tally.instances,
                "bytes": tally.dataset_bytes,
                "images_per_s": tally.instances / max(seconds, 1e-6),
                "mb_per_s": tally.dataset_bytes / 1e6 / max(seconds, 1e-6),
                "duplicates": tally.duplicates,
                "conflicts": tally.conflicts,
                "failures": tally.failures,
            }
        log.info("association_ended", **fields)
        stall_ms = self._stall.typical_stall_ms()
        if stall_ms is not None:
            log.warning(
                "peer_stalls",
                calling_aet=self._peer.calling_aet,
                stall_ms=stall_ms,
                message="the sender waits on every image: set TCP_NODELAY there or offer larger PDUs",
            )
