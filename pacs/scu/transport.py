"""Sockets as the requestor uses them: blocking, but never for longer than a tick without the caller hearing of it.

A C-MOVE must tell its own caller every second how far it is, also while a destination takes its time. So every wait
(connecting, TLS handshake, writing, reading) is cut into ticks; between two the caller's `on_wait` runs, and it may
raise to give up. Plain connections use ``SO_RCVTIMEO`` and ``SO_SNDTIMEO`` for the ticks, which costs nothing: a
Python socket timeout adds a ``poll`` to each call. OpenSSL retries for ever under those, so TLS uses Python's.

``TCP_NODELAY`` is set, and ``TCP_QUICKACK`` again after each read (the kernel takes it back): a peer that leaves
Nagle's algorithm on otherwise waits 40 ms for our acknowledgement of each response that it writes in two pieces.

Not for: accepted connections (`pacs.scp.transport`), whose idle time is bounded but who owe nobody a report.

References
----------
tcp(7), socket(7); RFC 896, RFC 1122 4.2.3.2
"""

import contextlib
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from pacs.scu.errors import ConnectFailed, ConnectionLost, PeerTimedOut

Buffer = bytes | memoryview
OnWait = Callable[[], None]

# The longest silence towards `on_wait`: half of the second within which C-MOVE owes a Pending response.
TICK_S: Final = 0.5
# sendmsg takes at most this many buffers (IOV_MAX; 1024 on Linux).
_BUFFERS_PER_SEND_MAX: Final = 1024
# TLS encrypts what it is given, so buffers are joined up to this size: 16 records of 16 KiB.
_TLS_CHUNK_BYTES: Final = 262_144
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)


def no_wait() -> None:
    """Do nothing between two ticks."""


class Connection(Protocol):
    """A connection to a peer that we called."""

    def receive_into(self, buffer: memoryview, *, timeout_s: float) -> int:
        """Wait for bytes; return how many, 0 at the end of the stream.

        Raises
        ------
        PeerTimedOut
            If nothing came for `timeout_s`.
        """

    def send(self, buffers: Sequence[Buffer], *, timeout_s: float) -> None:
        """Write all of the buffers.

        Raises
        ------
        PeerTimedOut
            If the peer took nothing for `timeout_s`.
        ConnectionLost
            If the connection ended.
        """

    def close(self) -> None:
        """Close the connection."""


def connect(
    host: str, port: int, *, tls: ssl.SSLContext | None, timeout_s: float, on_wait: OnWait = no_wait
) -> Connection:
    """Open a connection, with TLS when a context is given.

    Parameters
    ----------
    host : str
        Address or name; every address of a name is tried. Looking a name up waits for the resolver, without ticks.
    timeout_s : float
        For all of it, in seconds.
    on_wait : callable
        Runs at least every `TICK_S` seconds of waiting, here and in every later call; may raise.

    Raises
    ------
    ConnectFailed
        With the reason and what to check.
    """
    deadline_s = time.monotonic() + timeout_s
    sock = _connected(host, port, deadline_s, on_wait)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is None:
            return _PlainConnection(sock, on_wait)
        return _TlsConnection(_secured(sock, host, tls, deadline_s, on_wait), on_wait)
    except BaseException:
        sock.close()
        raise


def _connected(host: str, port: int, deadline_s: float, on_wait: OnWait) -> socket.socket:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailed(f"{host} is no known host; check its name or address") from error
    reason = "no address"
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        try:
            with contextlib.suppress(BlockingIOError):
                sock.connect(address)
            _wait_until_writable(sock, deadline_s, on_wait)
            failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not failure:
                return sock
            reason = os.strerror(failure)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
        except BaseException:
            sock.close()
            raise
        sock.close()
    raise ConnectFailed(f"{host} port {port} takes no connection ({reason}); check that the peer runs and its port")


def _wait_until_writable(sock: socket.socket, deadline_s: float, on_wait: OnWait) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while True:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise ConnectFailed("the peer does not answer the connection; check address and firewall")
        if poll.poll(min(left_s, TICK_S) * 1000):
            return
        on_wait()


def _secured(sock: socket.socket, host: str, tls: ssl.SSLContext, deadline_s: float, on_wait: OnWait) -> ssl.SSLSocket:
    # Without check_hostname the name is only sent (SNI); the context decides.
    secured = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    secured.settimeout(TICK_S)
    while True:
        try:
            secured.do_handshake()
        except TimeoutError:
            if time.monotonic() >= deadline_s:
                secured.close()
                raise ConnectFailed("the peer does not finish the TLS handshake") from None
            on_wait()
        except OSError as error:
            secured.close()
            detail = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
            raise ConnectFailed(f"TLS did not come about ({detail}); check both certificates") from error
        else:
            return secured


class _PlainConnection:
    """TCP without TLS; owns the socket."""

    def __init__(self, sock: socket.socket, on_wait: OnWait) -> None:
        sock.settimeout(None)
        tick = struct.pack("ll", int(TICK_S), int(TICK_S % 1 * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, tick)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, tick)
        self._sock = sock
        self._on_wait = on_wait

    def receive_into(self, buffer: memoryview, *, timeout_s: float) -> int:
        sock, waited_s = self._sock, 0.0
        while True:
            try:
                received = sock.recv_into(buffer)
            except BlockingIOError:
                waited_s += TICK_S
                if waited_s >= timeout_s:
                    raise PeerTimedOut(f"the peer sent nothing for {timeout_s:g} s") from None
                self._on_wait()
                continue
            except OSError:
                return 0
            if _QUICKACK is not None and received:
                sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            return received

    def send(self, buffers: Sequence[Buffer], *, timeout_s: float) -> None:
        waited_s = 0.0
        pending = buffers
        try:
            while pending:
                batch = pending if len(pending) <= _BUFFERS_PER_SEND_MAX else pending[:_BUFFERS_PER_SEND_MAX]
                try:
                    sent = self._sock.sendmsg(batch)
                except BlockingIOError:
                    waited_s += TICK_S
                    if waited_s >= timeout_s:
                        raise PeerTimedOut(f"the peer took nothing for {timeout_s:g} s") from None
                    self._on_wait()
                    continue
                waited_s = 0.0
                if batch is pending and sent == sum(map(len, batch)):
                    return
                pending = _after(pending, sent)
                if pending:
                    self._on_wait()
        except OSError as error:
            raise ConnectionLost("the connection ended while writing") from error

    def close(self) -> None:
        self._sock.close()


class _TlsConnection:
    """TCP with TLS, after the handshake; owns the socket."""

    def __init__(self, sock: ssl.SSLSocket, on_wait: OnWait) -> None:
        sock.settimeout(TICK_S)
        self._sock = sock
        self._on_wait = on_wait

    def receive_into(self, buffer: memoryview, *, timeout_s: float) -> int:
        waited_s = 0.0
        while True:
            try:
                received = self._sock.recv_into(buffer)
            except TimeoutError:
                waited_s += TICK_S
                if waited_s >= timeout_s:
                    raise PeerTimedOut(f"the peer sent nothing for {timeout_s:g} s") from None
                self._on_wait()
                continue
            except OSError:
                return 0
            if _QUICKACK is not None and received:
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            return received

    def send(self, buffers: Sequence[Buffer], *, timeout_s: float) -> None:
        pending: Sequence[Buffer] = buffers
        while pending:
            chunk, pending = _chunk(pending)
            self._send_chunk(chunk, timeout_s)

    def _send_chunk(self, chunk: bytes, timeout_s: float) -> None:
        waited_s = 0.0
        view = memoryview(chunk)
        while view:
            try:
                # After a timeout OpenSSL wants the same bytes again, and gets them.
                view = view[self._sock.send(view) :]
                waited_s = 0.0
            except TimeoutError:
                waited_s += TICK_S
                if waited_s >= timeout_s:
                    raise PeerTimedOut(f"the peer took nothing for {timeout_s:g} s") from None
                self._on_wait()
            except OSError as error:
                raise ConnectionLost("the connection ended while writing") from error

    def close(self) -> None:
        self._sock.close()


def _after(pending: Sequence[Buffer], sent: int) -> Sequence[Buffer]:
    """Return what is left of the buffers after `sent` bytes of them."""
    for index, buffer in enumerate(pending):
        size = len(buffer)
        if sent < size:
            return [memoryview(buffer)[sent:], *pending[index + 1 :]]
        sent -= size
    return ()


def _chunk(pending: Sequence[Buffer]) -> tuple[bytes, Sequence[Buffer]]:
    """Join buffers up to the size of a chunk; return it and the rest."""
    size = 0
    for index, buffer in enumerate(pending):
        size += len(buffer)
        if size >= _TLS_CHUNK_BYTES:
            return b"".join(pending[: index + 1]), pending[index + 1 :]
    return b"".join(pending), ()
