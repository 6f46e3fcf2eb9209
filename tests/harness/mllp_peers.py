"""Peers of MLLP that do what a test wants: a caller on a raw socket, and a system that answers by script.

For: tests of the listener and the sender. Not for: peers that keep the rules (the library ``hl7`` has some).
"""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.harness.hl7_messages import LOOPBACK, segment


def framed(*contents: bytes) -> bytes:
    return b"".join(b"\x0b" + content + b"\x1c\r" for content in contents)


class Peer:
    """A connection on which a test writes what it wants."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((LOOPBACK, port), timeout=20)

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, count: int = 1) -> list[bytes]:
        """Return the contents of the next blocks; fewer when the connection ends before."""
        stream = b""
        while stream.count(b"\x1c\r") < count:
            more = self.sock.recv(65_536)
            if not more:
                break
            stream += more
        return [block.removeprefix(b"\x0b") for block in stream.split(b"\x1c\r")[:-1]]

    def is_ended(self) -> bool:
        """Wait for the other end's close, and close this one."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        finally:
            self.close()

    def close(self) -> None:
        self.sock.close()


def acknowledgement(content: bytes, code: str = "AA") -> bytes:
    """Return the answer of a system to a message."""
    control_id = segment(content, "MSH")[9]
    return f"MSH|^~\\&|RIS||||||ACK|R{control_id}|P|2.5.1\rMSA|{code}|{control_id}\r".encode()


Script = Callable[[bytes], Sequence[bytes] | None]
"""Given a message, returns the contents of the blocks to answer with; None to close the connection."""


class ScriptedSystem:
    """A system that listens for messages and answers each as a script says."""

    def __init__(self, script: Script = lambda content: [acknowledgement(content)]) -> None:
        self.script = script
        self.taken: list[bytes] = []
        self._sock = socket.create_server((LOOPBACK, 0))
        self.port: int = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        # A thread in accept() keeps the socket: wake it.
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._thread.join()

    def control_ids(self) -> list[str]:
        """Return MSH-10 of what was taken, in its order."""
        return [segment(content, "MSH")[9] for content in self.taken]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            with sock:
                self._converse(sock)

    def _converse(self, sock: socket.socket) -> None:
        stream = b""
        while more := sock.recv(65_536):
            stream += more
            while b"\x1c\r" in stream:
                block, _, stream = stream.partition(b"\x1c\r")
                content = block.removeprefix(b"\x0b")
                self.taken.append(content)
                answers = self.script(content)
                if answers is None:
                    return
                for answer in answers:
                    sock.sendall(framed(answer))


@contextmanager
def system(script: Script = lambda content: [acknowledgement(content)]) -> Iterator[ScriptedSystem]:
    """Yield a system that answers by a script."""
    running = ScriptedSystem(script)
    try:
        yield running
    finally:
        running.close()
