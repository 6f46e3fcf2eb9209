"""The telephone company of a rehearsal: an HTTP gateway on the loopback that takes text messages and keeps them.

For: reading what somebody was paged with, and the link to answer by. Not for: any real provider; the node reaches this
one by `oncall.channels.http_gateway` like any other.

Invariant: a message that was taken is kept once, whatever the node sends again.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One message as a telephone shows it."""

    key: str
    to: str
    text: str
    at: datetime

    @property
    def link(self) -> str:
        """The address at its end, or ''."""
        last = self.text.rpartition(" ")[2]
        return last if last.startswith("http://") else ""


class Telephones:
    """Every telephone of the territory; they show the time that `now` says."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._texts: dict[str, Text] = {}
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, name="telephones", daemon=True)

    def start(self) -> None:
        """Take messages from now on."""
        self._thread.start()

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def gateways(self) -> dict[str, Any]:
        """Return the document of gateways that leads here (`oncall.channels.gateway_documents`)."""
        url = f"http://{LOOPBACK}:{self._server.server_address[1]}/"
        body = {"to": "{to}", "text": "{text}", "key": "{key}"}
        kinds = ("sms", "voice")
        return {"gateways": [{"kind": kind, "url": url, "body": body, "is_repeatable": True} for kind in kinds]}

    def take(self, key: str, to: str, text: str) -> None:
        """Keep a message; again under its key it changes nothing."""
        with self._lock:
            self._texts.setdefault(key, Text(key=key, to=to, text=text, at=self._now()))

    def texts(self, number: str = "") -> list[Text]:
        """Return what a telephone has got, oldest first; of every telephone without a number."""
        with self._lock:
            return [one for one in self._texts.values() if number in ("", one.to)]


def _handler(telephones: Telephones) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take one message, and say under which id."""
            length = int(self.headers.get("Content-Length", "0"))
            sent = json.loads(self.rfile.read(length))
            telephones.take(sent["key"], sent["to"], sent["text"])
            answer = json.dumps({"id": sent["key"]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: its lines would stand between the story's."""

    return Handler
