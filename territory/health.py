"""Health: the reasons why this node is not ready, and the small HTTP server that tells them.

``GET /health`` answers 200 and ``{"status": "ready", ...}`` when every check passes, else 503 with the reasons.
Not for: anything about patients; the answer holds counts and states only.

Invariant: whatever a client sends or fails to send, it costs one of `REQUESTS_MAX` threads for at most
`REQUEST_S_MAX`.
"""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from foundation import log

# More monitors than this at once are hung up on.
REQUESTS_MAX: Final = 8
# A health check that takes longer is a failed one to any monitor.
REQUEST_S_MAX: Final = 15.0
# How soon `HealthServer.close` is noticed.
_LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What is wrong (nothing, when ready) and facts for the operator."""

    reasons: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def is_ready(self) -> bool:
        """Say whether the node may be sent work."""
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """Return the answer of ``GET /health``."""
        return {
            "status": "ready" if self.is_ready else "unavailable",
            "reasons": list(self.reasons),
            **self.facts,
        }


class HealthServer:
    """Answers ``GET /health`` on a bound socket until closed.

    Parameters
    ----------
    bound : socket
        Bound, not yet listening; this object owns it from here on.
    examine : callable
        Returns the health now; called in a request's thread.
    """

    def __init__(self, bound: socket.socket, examine: Callable[[], Health]) -> None:
        self._server = _Server(bound, examine)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_EVERY_S,), name="health", daemon=True
        )

    def start(self) -> None:
        """Listen and answer, in threads of its own."""
        self._server.socket.listen(REQUESTS_MAX)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, bound: socket.socket, examine: Callable[[], Health]) -> None:
        super().__init__(bound.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.examine = examine
        self._places = threading.BoundedSemaphore(REQUESTS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A monitor that hangs up early is not worth a traceback.
        log.debug("health_request_failed")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "Telegarde"
    sys_version = ""

    def setup(self) -> None:
        """Begin the bound on the whole exchange: a time-out per read would let a client drip bytes for ever."""
        self._deadline = threading.Timer(REQUEST_S_MAX, self._hang_up)
        self._deadline.daemon = True
        self._deadline.start()
        super().setup()

    def finish(self) -> None:
        """End the bound."""
        self._deadline.cancel()
        super().finish()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """Answer /health; everything else is not found."""
        if self.path.partition("?")[0] != "/health":
            self._answer(HTTPStatus.NOT_FOUND, {"error": "ask for /health"})
            return
        health = self.server.examine()
        self._answer(HTTPStatus.OK if health.is_ready else HTTPStatus.SERVICE_UNAVAILABLE, health.as_json())

    do_HEAD = do_GET  # noqa: N815  # the name is http.server's

    def _answer(self, status: HTTPStatus, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: monitors ask every few seconds."""
