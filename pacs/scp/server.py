"""The acceptor of one worker process: waits on the listening sockets, starts a thread for each association, stops them.

References
----------
PS3.8 9.1.2 (the acceptor's side of a transport connection)
"""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from foundation import log
from pacs.archive.ingest import Ingest
from pacs.scp.association import AcceptedAssociation
from pacs.scp.node_policy import NodePolicy, Places
from pacs.scp.transport import PlainTransport, TlsTransport, Transport

# Threads only wait and copy: a small stack keeps hundreds of them cheap.
_THREAD_STACK_BYTES: Final = 512 * 1024
# Connections of a worker, those included that have not asked for an association yet: each holds a thread and 256 KiB,
# and only the ARTIM timer ends one that never asks.
CONNECTIONS_MAX: Final = 512
# How often the acceptor looks up from waiting: bounds how long a stop takes to be noticed.
_TICK_S: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """A listening socket, shared with the other workers; ``tls`` is the server context when it speaks TLS."""

    sock: socket.socket
    tls: ssl.SSLContext | None
    certificate_names: Callable[[ssl.SSLSocket], frozenset[str]] | None = None


class Server:
    """Accepts connections and serves each in its own thread.

    Parameters
    ----------
    listeners : sequence of Listener
        Listening sockets, shared with the other workers.
    policy : NodePolicy
        What associations share.
    ingest : Ingest
        The archive's way in.
    places : Places
        Association counts over all workers.
    """

    def __init__(self, listeners: Sequence[Listener], *, policy: NodePolicy, ingest: Ingest, places: Places) -> None:
        self._listeners = tuple(listeners)
        self._policy = policy
        self._ingest = ingest
        self._places = places
        self._lock = threading.Lock()
        self._associations: dict[AcceptedAssociation, threading.Thread] = {}
        self._stopping = threading.Event()
        threading.stack_size(_THREAD_STACK_BYTES)

    def serve(self, on_tick: Callable[[], None] | None = None) -> None:
        """Accept until `stop`; `on_tick` is called about once a second, in the caller's thread."""
        for listener in self._listeners:
            # Blocking, so that the kernel wakes the workers in turn; accept honours the receive timeout.
            listener.sock.settimeout(None)
            timeout = struct.pack("ll", _TICK_S, 0)
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
            threading.Thread(target=self._accept_from, args=(listener,), name="accept", daemon=True).start()
        while not self._stopping.wait(_TICK_S):
            if on_tick is not None:
                on_tick()

    def stop(self) -> None:
        """Stop accepting; may be called from a signal handler. `drain` then ends the associations."""
        self._stopping.set()

    def drain(self, timeout_s: float) -> bool:
        """Wait for all associations to end, after `stop`; say whether they did in time."""
        with self._lock:
            current = list(self._associations.items())
        for association, _ in current:
            association.stop()
        deadline_s = time.monotonic() + timeout_s
        for _, thread in current:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        return not any(thread.is_alive() for _, thread in current)

    @property
    def association_count(self) -> int:
        """How many associations this worker serves now."""
        with self._lock:
            return len(self._associations)

    def _accept_from(self, listener: Listener) -> None:
        while not self._stopping.is_set():
            try:
                sock, address = listener.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue  # the timeout, or a peer that has gone
            except OSError as error:
                # Out of descriptors or memory: the connection stays queued until others end.
                log.error("accept_failed", error=type(error).__name__)
                self._stopping.wait(_TICK_S)
                continue
            if self._stopping.is_set():
                sock.close()
                return
            if self.association_count >= CONNECTIONS_MAX:
                log.warning("connection_refused", address=str(address[0]), reason="too many connections")
                sock.close()
                continue
            threading.Thread(
                target=self._serve_connection, args=(sock, str(address[0]), listener), name="association", daemon=True
            ).start()

    def _serve_connection(self, sock: socket.socket, address: str, listener: Listener) -> None:
        names: frozenset[str] | None = None
        timers = self._policy.timers
        try:
            transport: Transport
            if listener.tls is None:
                transport = PlainTransport(sock, send_timeout_s=timers.idle_s)
            else:
                sock.settimeout(timers.artim_s)
                secured = listener.tls.wrap_socket(sock, server_side=True)
                names = listener.certificate_names(secured) if listener.certificate_names else frozenset()
                transport = TlsTransport(secured, timeout_s=timers.artim_s)
        except (OSError, ssl.SSLError) as error:
            log.warning("connection_refused", address=address, error=type(error).__name__, tls=listener.tls is not None)
            sock.close()
            return
        association = AcceptedAssociation(
            transport,
            address=address,
            certificate_names=names,
            policy=self._policy,
            ingest=self._ingest,
            places=self._places,
        )
        with self._lock:
            self._associations[association] = threading.current_thread()
        if self._stopping.is_set():
            association.stop()
        try:
            association.run()
        finally:
            with self._lock:
                del self._associations[association]
