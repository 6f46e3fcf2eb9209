"""What people of a rehearsal do in their browsers and systems: real HTTP requests to the node's pages and interface.

For: JSON requests by token, answers by link. Not for: anything that the interface does not offer to everybody.
"""

import http.client
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from territory.demo_node import LOOPBACK, StepFailed

_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """The node's pages as one person sees them.

    Attributes
    ----------
    port : int
        Of the pages, on the loopback.
    token : str
        The person's.
    """

    port: int
    token: str

    def get(self, path: str) -> Any:
        """Return what is at a path, as JSON."""
        return self.ask("GET", path)

    def post(self, path: str, sent: Mapping[str, Any]) -> Any:
        """Send a JSON object; return the answer."""
        return self.ask("POST", path, sent)

    def ask(self, method: str, path: str, sent: Any = None, content_type: str = "application/json") -> Any:
        """Ask and return the JSON that comes back, or None for an empty answer.

        Raises
        ------
        StepFailed
            If the node says no; its words are in the message.
        """
        body = b"" if sent is None else json.dumps(sent).encode()
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": content_type,
            "Accept": "application/json, application/dicom+json",
            "Accept-Language": "fr",
        }
        return json.loads(_ask(self.port, method, path, body, headers) or b"null")

    def download(self, path: str, sent: Mapping[str, Any]) -> bytes:
        """Send a JSON object; return the file that comes back."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return _ask(self.port, "POST", path, json.dumps(sent).encode(), headers)


def answer_link(link: str, *, is_yes: bool) -> None:
    """Press a button of the page behind a link, as who got the message does."""
    parts = urllib.parse.urlsplit(link)
    form = urllib.parse.urlencode({"answer": "yes" if is_yes else "no"}).encode()
    _ask(parts.port or 80, "POST", parts.path, form, {"Content-Type": "application/x-www-form-urlencoded"})


def _ask(port: int, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_S)
    try:
        connection.request(method, path, body=body or None, headers=dict(headers))
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise StepFailed(f"{method} {path}: {type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise StepFailed(f"{method} {path}: {answer.status} {said.decode(errors='replace')[:500]}")
    return said
