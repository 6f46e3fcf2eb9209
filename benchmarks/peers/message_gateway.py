"""A provider of text messages as a process of its own: it records to a file, and knows a message again by its key.

Run as ``python -m benchmarks.peers.message_gateway FILE DELAY_S``; it prints its port and answers DELAY_S late. What it
does depends on the number it is to reach: ``status:503`` is answered with that status, ``status:500:sent`` too, but
after sending, ``broken`` breaks the connection after sending, once for each key.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock
from typing import Any, ClassVar


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    port: int
    file: Path

    @property
    def url(self) -> str:
        """Where messages are posted."""
        return f"http://127.0.0.1:{self.port}/messages?account=7"

    def requests(self) -> list[dict[str, Any]]:
        """Return every request so far; ``is_sent`` says whether it made a telephone ring."""
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def rung(self) -> list[str]:
        """Return the numbers whose telephones rang, once for each time they did."""
        return [request["to"] for request in self.requests() if request["is_sent"]]


@contextmanager
def message_gateway(file: Path, *, delay_s: float = 0.0) -> Iterator[Gateway]:
    """Run a gateway that records into `file` and answers late."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.message_gateway", str(file), str(delay_s)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        yield Gateway(port=int(process.stdout.readline()), file=file)
    finally:
        process.kill()
        process.communicate()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    file: Path
    delay_s: float
    never = Event()
    lock = Lock()
    known: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_json = self.headers["Content-Type"] == "application/json"
        key, to = self.headers["Idempotency-Key"], json.loads(body)["to"] if is_json else body.decode()
        status, _, rest = to.removeprefix("status:").partition(":") if to.startswith("status:") else ("201", "", "sent")
        with self.lock:
            is_sent = rest == "sent" and key not in self.known
            if is_sent:
                self.known[key] = f"provider-{len(self.known)}"
            line = {
                "key": key,
                "to": to,
                "path": self.path,
                "is_sent": is_sent,
                "body": body.decode(),
                "authorization": self.headers.get("Authorization", ""),
            }
            with self.file.open("a") as file:
                file.write(json.dumps(line) + "\n")
        self.never.wait(self.delay_s)
        if to == "broken" and is_sent:
            self.close_connection = True
            self.connection.close()
            return
        answer = json.dumps({"messages": [{"id": self.known.get(key, "")}]}).encode()
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _main() -> None:
    _Handler.file, _Handler.delay_s = Path(sys.argv[1]), float(sys.argv[2])
    ThreadingHTTPServer.request_queue_size = 64
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _main()
