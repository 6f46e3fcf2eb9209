"""Listening sockets: opened once by the supervisor, accepted from by every worker.

All workers block in accept() on the same socket: the kernel wakes the one that has waited longest, so associations
spread evenly, and a connection that is still queued belongs to no worker and survives any worker's death. With
SO_REUSEPORT each worker has a queue of its own, chosen by hash: uneven for a few long-lived associations, and lost with
the worker (docs/adr/0006).
"""

import errno
import os
import socket
from dataclasses import dataclass
from typing import Final

from foundation.errors import Refused

# Connections that wait in the kernel for a worker; more than the default of 128 because all modalities of a territory
# come back at once after an outage. Linux caps it at net.core.somaxconn (4096).
BACKLOG_CONNECTIONS: Final = 1024


class PortTaken(Refused):
    """The address cannot be listened on; the message says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListeningPort:
    """Where one listening socket is, and whether connections on it begin with TLS."""

    descriptor: int
    host: str
    port: int
    is_tls: bool


def open_port(host: str, port: int, *, setting: str) -> socket.socket:
    """Bind a TCP socket; connections are refused until `socket.listen` is called.

    Parameters
    ----------
    host : str
        Name or address of the interface; IPv6 when it is an IPv6 address.
    port : int
        0 for a free one.
    setting : str
        What the operator would change, for the message.

    Raises
    ------
    PortTaken
        If the address is in use, not ours, or needs a privilege.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}; change {setting}") from error
    try:
        # Without it a restart fails for a minute while old connections are in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise PortTaken(f"cannot listen on {host}:{port}: {_reason(error)}; change {setting}") from error
    return listener


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there"
    if error.errno == errno.EACCES:
        return "ports below 1024 need the capability CAP_NET_BIND_SERVICE"
    return error.strerror or os.strerror(error.errno or 0)
