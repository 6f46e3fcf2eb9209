"""Sockets as the engine uses them: blocking, with the kernel's own timeouts, and proof against Nagle's algorithm.

A Python socket timeout costs an extra ``poll`` for each call, so plain connections use ``SO_RCVTIMEO`` and
``SO_SNDTIMEO``. TLS connections cannot (OpenSSL retries for ever) and use Python's timeout.

Many modalities leave Nagle's algorithm on: the last, short segment of each message then waits for our acknowledgement,
which the kernel delays by 40 ms. ``TCP_QUICKACK`` acknowledges at once; the kernel takes it back, so it is set again
after every read. ``TCP_NODELAY`` does the same for what we send.

References
----------
tcp(7), socket(7); RFC 896, RFC 1122 4.2.3.2
"""

import contextlib
import select
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Final, Protocol

from foundation.errors import TelegardeError

# sendmsg takes at most this many buffers (IOV_MAX, POSIX; 1024 on Linux).
_BUFFERS_PER_SEND_MAX: Final = 1024
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)

Buffer = bytes | memoryview


class TransportTimedOut(TelegardeError):
    """The peer neither sent nor took anything within the time allowed."""


class TransportLost(TelegardeError):
    """The connection ended under a write."""


class Transport(Protocol):
    """A connection of one association."""

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for bytes; return how many, 0 at the end of the stream.

        Raises
        ------
        TransportTimedOut
            If nothing came within the receive timeout.
        """

    def receive_into_both(self, first: memoryview, second: memoryview) -> int:
        """Wait for bytes; fill `first`, then, if more are there already, `second`. See `receive_into`."""

    def has_bytes(self, wait_s: float = 0.0) -> bool:
        """Say whether `receive_into` would return at once, after waiting for that at most so long."""

    def send(self, buffers: Sequence[Buffer]) -> None:
        """Write all of the buffers.

        Raises
        ------
        TransportTimedOut, TransportLost
            If the peer does not take them or is gone.
        """

    def set_receive_timeout(self, timeout_s: float) -> None:
        """Bound every later wait for bytes."""

    def wake(self) -> None:
        """End the stream for the thread that waits in `receive_into`; callable from another thread."""

    def close(self) -> None:
        """Close the connection."""


def prepare(sock: socket.socket) -> None:
    """Set what every connection gets: no Nagle delay at our end, dead peers noticed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class PlainTransport:
    """TCP without TLS; owns the socket."""

    def __init__(self, sock: socket.socket, *, send_timeout_s: float) -> None:
        prepare(sock)
        sock.settimeout(None)
        self._sock = sock
        self._set_timeout(socket.SO_SNDTIMEO, send_timeout_s)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for bytes; see `Transport`."""
        sock = self._sock
        try:
            received = sock.recv_into(buffer)
            if _QUICKACK is not None and received:
                sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        except BlockingIOError as error:
            raise TransportTimedOut("nothing came from the peer in time") from error
        except OSError:
            return 0
        return received

    def receive_into_both(self, first: memoryview, second: memoryview) -> int:
        """Wait for bytes; see `Transport`."""
        sock = self._sock
        try:
            received = sock.recvmsg_into((first, second))[0]
            if _QUICKACK is not None and received:
                sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        except BlockingIOError as error:
            raise TransportTimedOut("nothing came from the peer in time") from error
        except OSError:
            return 0
        return received

    def has_bytes(self, wait_s: float = 0.0) -> bool:
        """Look at the socket; see `Transport`."""
        return bool(self._poll.poll(wait_s * 1000))

    def send(self, buffers: Sequence[Buffer]) -> None:
        """Write all of the buffers; see `Transport`."""
        pending = [memoryview(one) for one in buffers]
        try:
            while pending:
                sent = self._sock.sendmsg(pending[:_BUFFERS_PER_SEND_MAX])
                pending = _after(pending, sent)
        except BlockingIOError as error:
            raise TransportTimedOut("the peer took nothing in time") from error
        except OSError as error:
            raise TransportLost("the connection ended while writing") from error

    def set_receive_timeout(self, timeout_s: float) -> None:
        """Bound every later wait for bytes."""
        self._set_timeout(socket.SO_RCVTIMEO, timeout_s)

    def wake(self) -> None:
        """End the stream for the thread that reads."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _set_timeout(self, option: int, timeout_s: float) -> None:
        whole = int(timeout_s)
        self._sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", whole, int((timeout_s - whole) * 1e6)))


class TlsTransport:
    """TCP with TLS, after the handshake; owns the socket."""

    def __init__(self, sock: ssl.SSLSocket, *, timeout_s: float) -> None:
        prepare(sock)
        sock.settimeout(timeout_s)
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for bytes; see `Transport`."""
        try:
            received = self._sock.recv_into(buffer)
            if _QUICKACK is not None and received:
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        except TimeoutError as error:
            raise TransportTimedOut("nothing came from the peer in time") from error
        except OSError:
            return 0
        return received

    def receive_into_both(self, first: memoryview, second: memoryview) -> int:
        """Wait for bytes for `first`: TLS gives what it has decrypted, one record at a time."""
        del second
        return self.receive_into(first)

    def has_bytes(self, wait_s: float = 0.0) -> bool:
        """Look at what TLS has decrypted, then at the socket; see `Transport`."""
        return bool(self._sock.pending() or self._poll.poll(wait_s * 1000))

    def send(self, buffers: Sequence[Buffer]) -> None:
        """Write all of the buffers; see `Transport`."""
        try:
            self._sock.sendall(b"".join(buffers))
        except TimeoutError as error:
            raise TransportTimedOut("the peer took nothing in time") from error
        except OSError as error:
            raise TransportLost("the connection ended while writing") from error

    def set_receive_timeout(self, timeout_s: float) -> None:
        """Bound every later wait for bytes (and for writing)."""
        self._sock.settimeout(timeout_s)

    def wake(self) -> None:
        """End the stream for the thread that reads."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the connection without waiting for the peer's close_notify."""
        self._sock.close()


def _after(pending: list[memoryview], sent: int) -> list[memoryview]:
    for index, view in enumerate(pending):
        if sent < len(view):
            return [view[sent:], *pending[index + 1 :]]
        sent -= len(view)
    return []
