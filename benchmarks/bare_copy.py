"""The speed of light: a bare socket-to-file copy with fdatasync, and its sender; two programs.

For: what no DICOM server can beat on the same machine. A connection carries, for each file, eight
bytes of length (big endian) and the bytes; the receiver writes them to a new file, calls
fdatasync, and answers one byte. Not for: keeping anything; there is no name, no index, no check.

    python -m benchmarks.bare_copy receive --port P --directory D
    python -m benchmarks.bare_copy send --port P --directory D [--no-delay]

The sender sends the files of a directory in order of their names. The receiver forks for each
connection, so that no interpreter lock stands between two of them.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
COPY_BUFFER_BYTES = 1 << 20
_LENGTH_BYTES = 8
_DONE = b"\x06"


def receive(port: int, directory: Path) -> None:
    """Take connections until a signal ends the process."""
    with socket.create_server((LOOPBACK, port), backlog=128) as server:
        connections = 0
        while True:
            connection, _ = server.accept()
            connections += 1
            while _collect_one_child():
                pass
            if os.fork() == 0:
                server.close()
                _receive_files(connection, directory, connections)
                os._exit(0)
            connection.close()


def _collect_one_child() -> bool:
    """Collect a child that has ended; the kernel adds its CPU time to this process then."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _receive_files(connection: socket.socket, directory: Path, number: int) -> None:
    """Copy one connection's files; each is on the disk when it is answered."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = memoryview(bytearray(COPY_BUFFER_BYTES))
    files = 0
    while True:
        head = connection.recv(_LENGTH_BYTES, socket.MSG_WAITALL)
        if len(head) < _LENGTH_BYTES:
            return
        left = int.from_bytes(head, "big")
        files += 1
        path = directory / f"{number}-{files}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        while left:
            got = connection.recv_into(buffer[: min(left, COPY_BUFFER_BYTES)])
            if got == 0:
                return
            if os.write(file, buffer[:got]) != got:
                raise SystemExit("short write: the disk is full")
            left -= got
        os.fdatasync(file)
        os.close(file)
        connection.sendall(_DONE)


def send(port: int, directory: Path, *, no_delay: bool) -> None:
    """Send the files of a directory, each after the one before was answered."""
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(no_delay))
        for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
            with open(entry.path, "rb", buffering=0) as file:
                size_bytes = os.fstat(file.fileno()).st_size
                connection.send(size_bytes.to_bytes(_LENGTH_BYTES, "big"), socket.MSG_MORE)
                sent = 0
                while sent < size_bytes:
                    sent += os.sendfile(connection.fileno(), file.fileno(), sent, size_bytes - sent)
            if connection.recv(1) != _DONE:
                raise SystemExit("the receiver ended early")


def main() -> None:
    """Run one end."""
    parser = argparse.ArgumentParser(description="bare copy from socket to file")
    parser.add_argument("end", choices=["receive", "send"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--no-delay", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if arguments.end == "receive":
        receive(arguments.port, arguments.directory)
    else:
        send(arguments.port, arguments.directory, no_delay=arguments.no_delay)


if __name__ == "__main__":
    main()
