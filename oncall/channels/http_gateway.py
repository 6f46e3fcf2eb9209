"""SMS, voice and push providers over HTTP, each described by a template: where to post what, and what the answer says.

The key of a message travels with every attempt (``Idempotency-Key``, and ``{key}`` in the template). A provider that
recognises it may be handed a message again after a crash; one that does not is configured so and treated like mail.
Placeholders are filled into the values of a JSON object or form, never into its text, so nothing can be injected.

References
----------
draft-ietf-httpapi-idempotency-key-header; RFC 9110 15 for what a status says about whether the work was done.
"""

import hashlib
import hmac
import http.client
import json
import ssl
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlencode, urlsplit

from foundation.errors import PeerError, Refused
from oncall.channels.port import STEP_TIMEOUT_S
from oncall.directory import ChannelKind
from oncall.messages import Message, MessageState, NotSent, Outcome, Sent, Unsure, idempotency_key

ANSWER_BYTES_MAX: Final = 64 * 1024
"""Of a gateway's answer or receipt; a message id needs a hundred."""

PROVIDER_ID_CHARACTERS_MAX: Final = 128
"""Of the column."""

PLACEHOLDERS: Final = frozenset({"to", "text", "subject", "key", "answer_url", "secret"})
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpGateway:
    """A provider's template.

    ``body`` is a JSON value (or, with `is_form`, a flat object) whose texts hold placeholders ``{to}`` ``{text}``
    ``{subject}`` ``{key}`` ``{answer_url}`` ``{secret}``; so may `headers`. ``id_path`` leads to the provider's message
    id in its answer. ``receipt_states`` says what a status word of a receipt means.

    Raises
    ------
    Refused
        If the template names an unknown placeholder, or would send texts unprotected to another machine.
    """

    kind: ChannelKind
    url: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    is_form: bool = False
    is_repeatable: bool = True
    id_path: tuple[str | int, ...] = ("id",)
    answer_url: str = ""
    secret: str = field(default="", repr=False)
    timeout_s: float = STEP_TIMEOUT_S
    receipt_id_path: tuple[str | int, ...] = ("id",)
    receipt_status_path: tuple[str | int, ...] = ("status",)
    receipt_states: Mapping[str, MessageState] = field(default_factory=dict)
    receipt_secret: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise Refused(f"the {self.kind} gateway needs an https URL; http is for this machine only")
        texts = [*_texts(self.body), *self.headers.values()]
        named = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        if not named <= PLACEHOLDERS:
            raise Refused(
                f"the {self.kind} gateway's template names {sorted(named - PLACEHOLDERS)}; "
                f"known are {sorted(PLACEHOLDERS)}"
            )
        if self.is_form and not isinstance(self.body, Mapping):
            raise Refused(f"the {self.kind} gateway's form is an object of names and texts")


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What a provider says became of a message."""

    provider_id: str
    state: MessageState
    word: str


class HttpChannel:
    """The channel that a template describes; a connection is kept per thread."""

    def __init__(self, gateway: HttpGateway) -> None:
        self._gateway = gateway
        self._parts: SplitResult = urlsplit(gateway.url)
        self._connections = threading.local()

    @property
    def kind(self) -> ChannelKind:
        """Which contact methods it serves."""
        return self._gateway.kind

    @property
    def is_repeatable(self) -> bool:
        """Whether the provider recognises a message's key."""
        return self._gateway.is_repeatable

    def hand_over(self, message: Message) -> Outcome:
        """Post the message; say what the status, or its absence, means."""
        request = _request(self._gateway, message)
        kept: http.client.HTTPConnection | None = getattr(self._connections, "kept", None)
        if kept is not None:
            outcome = self._exchange(kept, *request)
            if not isinstance(outcome, Unsure) or not self.is_repeatable:
                return outcome
            # The provider may have ended the kept connection; it knows the key, so asking again is safe.
        try:
            opened = self._connect()
        except OSError:
            return NotSent(reason="no_connection", is_retryable=True)
        self._connections.kept = opened
        return self._exchange(opened, *request)

    def close(self) -> None:
        """End the calling thread's connection."""
        kept: http.client.HTTPConnection | None = getattr(self._connections, "kept", None)
        self._connections.kept = None
        if kept is not None:
            kept.close()

    def _connect(self) -> http.client.HTTPConnection:
        self.close()
        host, timeout_s = self._parts.hostname or "", self._gateway.timeout_s
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            context = self._gateway.tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, self._parts.port, timeout=timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(host, self._parts.port, timeout=timeout_s)
        connection.connect()
        return connection

    def _exchange(self, connection: http.client.HTTPConnection, headers: Mapping[str, str], body: bytes) -> Outcome:
        target = self._parts.path or "/"
        target += f"?{self._parts.query}" if self._parts.query else ""
        try:
            connection.request("POST", target, body=body, headers=dict(headers))
            response = connection.getresponse()
            answer = response.read(ANSWER_BYTES_MAX + 1)
            if len(answer) > ANSWER_BYTES_MAX or response.will_close:
                self.close()
        except (OSError, http.client.HTTPException):
            self.close()
            return Unsure(reason="connection_broke")
        return _outcome(response.status, answer, self._gateway.id_path)


def read_receipt(gateway: HttpGateway, body: bytes, signature: str) -> Receipt | None:
    """Return what a provider's call back says; None for a status that means nothing to us (``accepted``).

    Parameters
    ----------
    signature : str
        Hexadecimal HMAC-SHA256 of the body under the gateway's `receipt_secret`.

    Raises
    ------
    PeerError
        If the signature is wrong, no secret is configured, or the body is not the provider's.
    """
    expected = hmac.new(gateway.receipt_secret.encode(), body, hashlib.sha256).hexdigest()
    if not gateway.receipt_secret or not hmac.compare_digest(expected, signature.strip().lower()):
        raise PeerError("the receipt's signature does not hold; check the gateway's receipt secret")
    if len(body) > ANSWER_BYTES_MAX:
        raise PeerError(f"a receipt has at most {ANSWER_BYTES_MAX} bytes")
    try:
        document = json.loads(body)
    except ValueError as error:
        raise PeerError("a receipt is a JSON document") from error
    provider_id, word = _at(document, gateway.receipt_id_path), _at(document, gateway.receipt_status_path)
    if not provider_id or not word:
        raise PeerError("the receipt names no message or no status where the gateway's template says")
    state = gateway.receipt_states.get(word)
    return None if state is None else Receipt(provider_id=provider_id, state=state, word=word)


def _request(gateway: HttpGateway, message: Message) -> tuple[dict[str, str], bytes]:
    key = idempotency_key(message.message_key)
    values = {
        "to": message.address,
        "text": message.text,
        "subject": message.subject,
        "key": key,
        "answer_url": gateway.answer_url + (message.answer_token or ""),
        "secret": gateway.secret,
    }
    filled = _filled(gateway.body, values)
    if gateway.is_form:
        kind, body = "application/x-www-form-urlencoded", urlencode(filled).encode()
    else:
        kind, body = "application/json", json.dumps(filled, ensure_ascii=False).encode()
    headers = {name: text.format_map(values) for name, text in gateway.headers.items()}
    return {"Content-Type": kind, "Idempotency-Key": key, **headers}, body


def _outcome(status: int, answer: bytes, id_path: tuple[str | int, ...]) -> Outcome:
    if 200 <= status < 300:
        try:
            provider_id = _at(json.loads(answer), id_path)
        except ValueError:
            provider_id = ""
        return Sent(provider_id=provider_id[:PROVIDER_ID_CHARACTERS_MAX])
    if status in {429, 503}:
        return NotSent(reason=f"refused_{status}", is_retryable=True)
    # 409: an earlier request with this key is still being worked on. Other 5xx: it may have been sent before that.
    if status == 409 or status >= 500:
        return Unsure(reason=f"answered_{status}")
    return NotSent(reason=f"refused_{status}")


def _texts(template: Any) -> list[str]:
    match template:
        case str():
            return [template]
        case Mapping():
            return [text for value in template.values() for text in _texts(value)]
        case list() | tuple():
            return [text for value in template for text in _texts(value)]
        case _:
            return []


def _filled(template: Any, values: Mapping[str, str]) -> Any:
    match template:
        case str():
            return template.format_map(values)
        case Mapping():
            return {name: _filled(value, values) for name, value in template.items()}
        case list() | tuple():
            return [_filled(value, values) for value in template]
        case _:
            return template


def _at(document: Any, path: tuple[str | int, ...]) -> str:
    """Return the text or number at a path of names and indices, empty when there is none."""
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return ""
    return str(document) if isinstance(document, str | int) else ""
