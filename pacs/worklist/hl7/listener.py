"""Listens for messages by MLLP: a thread for each connection, messages of one connection one after the other.

For: sockets, time limits, and sending answers. Not for: blocks (`pacs.worklist.hl7.framing`) or what becomes of a
message (`pacs.worklist.hl7.inbox`).

Invariants
----------
* A connection holds at most one message and one read's bytes, whatever its peer sends.
* Whatever one message is, the next one on the same connection is read; only a stream that is no MLLP, or a peer that is
  too slow inside a message, ends the connection.
* A stop lets each connection answer the message in hand.

References
----------
HL7 Version 3 Standard: Transport Specification - MLLP, Release 1
"""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from foundation import log
from foundation.clock import Clock
from pacs.scp.tls import certificate_names
from pacs.scp.transport import PlainTransport, TlsTransport, Transport, TransportLost, TransportTimedOut
from pacs.worklist.hl7.arrival import examine
from pacs.worklist.hl7.framing import Block, BlockReader, NoBlocks, block_of
from pacs.worklist.hl7.inbox import Inbox
from pacs.worklist.hl7.senders import Caller, SenderRules

READ_BYTES: Final = 65_536
"""Of one read: many orders, or a piece of a document."""

WAIT_S_MIN: Final = 0.001
"""The shortest wait for bytes: to a socket, none at all means for ever."""

_TICK_S: Final = 0.2
_HANDSHAKE_S: Final = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ListeningSocket:
    """Where to accept; ``tls`` is the server context when connections begin with TLS."""

    sock: socket.socket
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What peers can make this node hold or wait for.

    Attributes
    ----------
    message_bytes_max : int
    connections_max : int
    idle_s : float
        Seconds without a message before a connection is ended.
    message_s : float
        Seconds that a message may take from its first byte to its last.
    """

    message_bytes_max: int
    connections_max: int
    idle_s: float
    message_s: float


class Listener:
    """Takes messages from listening sockets.

    Parameters
    ----------
    sockets : sequence of ListeningSocket
        Bound; owned by the caller.
    inbox : Inbox
    rules : SenderRules
    bounds : Bounds
    clock : Clock
    processing_id : str
        As in `pacs.worklist.hl7.arrival.examine`.
    """

    def __init__(
        self,
        sockets: Sequence[ListeningSocket],
        inbox: Inbox,
        rules: SenderRules,
        bounds: Bounds,
        clock: Clock,
        *,
        processing_id: str,
    ) -> None:
        self._sockets = tuple(sockets)
        self._inbox = inbox
        self._rules = rules
        self._bounds = bounds
        self._clock = clock
        self._processing_id = processing_id
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[Transport, threading.Thread] = {}
        self._connections = 0
        self._accepting: list[threading.Thread] = []

    def start(self) -> None:
        """Accept in threads of its own; returns at once."""
        for one in self._sockets:
            one.sock.listen()
            one.sock.settimeout(None)
            # accept() honours it: a stop is noticed within a tick.
            one.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(_TICK_S), int(_TICK_S % 1 * 1e6))
            )
            thread = threading.Thread(target=self._accept_from, args=(one,), name="hl7-accept", daemon=True)
            self._accepting.append(thread)
            thread.start()

    def stop(self, grace_s: float) -> None:
        """Accept no more, and end the connections after the message in hand, within a bound."""
        self._stopping.set()
        with self._lock:
            current = list(self._open.items())
        for transport, _ in current:
            transport.wake()
        deadline_s = time.monotonic() + grace_s
        for thread in [*(thread for _, thread in current), *self._accepting]:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        with self._lock:
            return self._connections

    def _accept_from(self, listening: ListeningSocket) -> None:
        while not self._stopping.is_set():
            try:
                sock, address = listening.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue  # the timeout, or a peer that has gone
            except OSError as error:
                log.error("hl7_accept_failed", error=type(error).__name__)
                self._stopping.wait(_TICK_S)
                continue
            host = str(address[0])
            reason = self._reason_to_refuse(host)
            if reason:
                log.warning("hl7_connection_refused", address=host, reason=reason)
                sock.close()
                continue
            with self._lock:
                self._connections += 1
            threading.Thread(
                target=self._serve, args=(sock, host, listening.tls), name="hl7-connection", daemon=True
            ).start()

    def _reason_to_refuse(self, host: str) -> str:
        if self._stopping.is_set():
            return "stopping"
        if not self._rules.may_connect(host):
            return "no sender calls from there"
        return "too many connections" if self.connection_count >= self._bounds.connections_max else ""

    def _serve(self, sock: socket.socket, host: str, tls: ssl.SSLContext | None) -> None:
        try:
            opened = self._opened(sock, host, tls)
            if opened is None:
                return
            transport, caller = opened
            with self._lock:
                self._open[transport] = threading.current_thread()
            if self._stopping.is_set():
                transport.wake()
            try:
                self._converse(transport, caller)
            finally:
                with self._lock:
                    del self._open[transport]
                transport.close()
        except Exception as error:  # noqa: BLE001  # edge of a thread: one connection's defect must not end the listener
            log.error("hl7_connection_failed", address=host, error=type(error).__name__)
        finally:
            with self._lock:
                self._connections -= 1

    def _opened(self, sock: socket.socket, host: str, tls: ssl.SSLContext | None) -> tuple[Transport, Caller] | None:
        send_timeout_s = self._bounds.message_s
        try:
            if tls is None:
                return PlainTransport(sock, send_timeout_s=send_timeout_s), Caller(address=host)
            sock.settimeout(_HANDSHAKE_S)
            secured = tls.wrap_socket(sock, server_side=True)
            names = certificate_names(secured.getpeercert())
            return TlsTransport(secured, timeout_s=send_timeout_s), Caller(address=host, certificate_names=names)
        except OSError as error:  # ssl.SSLError is one
            log.warning("hl7_connection_refused", address=host, error=type(error).__name__, tls=tls is not None)
            sock.close()
            return None

    def _converse(self, transport: Transport, caller: Caller) -> None:
        log.info("hl7_connection_opened", address=caller.address, tls=caller.certificate_names is not None)
        stream = _Stream(transport, self._bounds, self._clock)
        messages, reason = 0, ""
        try:
            while not self._stopping.is_set() and (blocks := stream.next_blocks()) is not None:
                for block in blocks:
                    self._answer(transport, caller, block)
                    messages += 1
                    if self._stopping.is_set():
                        break
        except NoBlocks:
            reason = "not MLLP"
        except TransportTimedOut:
            reason = "too slow" if stream.is_inside else "idle"
        except TransportLost:
            reason = "lost"
        log.info("hl7_connection_ended", address=caller.address, count=messages, reason=reason)

    def _answer(self, transport: Transport, caller: Caller, block: Block) -> None:
        now = self._clock.now()
        arrival = examine(block, caller, self._rules, processing_id=self._processing_id, now=now)
        if arrival.is_acknowledgement:
            log.debug("hl7_acknowledgement_ignored", address=caller.address)
            return
        answers = self._inbox.take(arrival)
        owed = [block_of(answer) for answer in (answers.accept, answers.application) if answer]
        if owed:
            transport.send(owed)


class _Stream:
    """The blocks of one connection, within its time limits."""

    def __init__(self, transport: Transport, bounds: Bounds, clock: Clock) -> None:
        self._transport = transport
        self._bounds = bounds
        self._clock = clock
        self._reader = BlockReader(bounds.message_bytes_max)
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._began_at_s = 0.0

    @property
    def is_inside(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._reader.is_inside

    def next_blocks(self) -> Iterator[Block] | None:
        """Wait for bytes; return the blocks that end in them, or None at the end of the stream."""
        # A message has a time limit as a whole: a byte now and then must not hold a thread for ever.
        wait_s = self._bounds.idle_s
        if self.is_inside:
            wait_s = self._began_at_s + self._bounds.message_s - self._clock.monotonic_s()
            if wait_s < WAIT_S_MIN:
                raise TransportTimedOut("the message took too long")
        self._transport.set_receive_timeout(wait_s)
        received = self._transport.receive_into(self._buffer)
        return self._found(self._buffer[:received]) if received else None

    def _found(self, piece: memoryview) -> Iterator[Block]:
        was_inside, has_ended = self.is_inside, False
        for block in self._reader.feed(piece):
            has_ended = True
            yield block
        if not was_inside or has_ended:
            self._began_at_s = self._clock.monotonic_s()
