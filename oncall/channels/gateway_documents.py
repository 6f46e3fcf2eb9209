"""HTTP gateways as a strict JSON document, so that a hospital describes its SMS and voice providers without code.

``{"gateways": [{"kind": "sms", "url": "https://...", "body": {"to": "{to}", "text": "{text}"}, ...}]}``; the keys are
the fields of `HttpGateway`. Secrets are not in the document: it names them, and they are passed in from where the node
keeps secrets.
"""

from collections.abc import Mapping
from typing import Any, Final

from foundation.errors import Refused
from oncall.channels.http_gateway import HttpGateway
from oncall.channels.port import STEP_TIMEOUT_S
from oncall.directory import ChannelKind
from oncall.messages import MessageState
from oncall.strict_json import Record, Value, parse

GATEWAYS_MAX: Final = 8
_NAMES_MAX: Final = 64
_PATH_MAX: Final = 8

_RECEIPT_STATES: Final = frozenset({MessageState.DELIVERED, MessageState.FAILED})
_OPTIONAL: Final = (
    "headers", "is_form", "is_repeatable", "id_path", "secret", "receipt_id_path", "receipt_status_path",
    "receipt_states", "receipt_secret",
)  # fmt: skip


def read_gateways(text: str | bytes, *, answer_url: str, secrets: Mapping[str, str]) -> tuple[HttpGateway, ...]:
    """Return the gateways of a document, one for each kind at most.

    Parameters
    ----------
    answer_url : str
        Where answer links begin.
    secrets : mapping
        By the names that the document uses.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If the document is not of this form; every problem is named with its place.
    Refused
        If a template would be unsafe, a secret is not there, or two gateways are of one kind.
    """
    gateways = (
        parse(text)
        .record(("gateways",))
        .each("gateways", lambda value: _gateway(value, answer_url, secrets), items_max=GATEWAYS_MAX)
    )
    kinds = [gateway.kind for gateway in gateways]
    if len(set(kinds)) < len(kinds):
        raise Refused("two gateways are of one kind; keep one for each of sms, voice and push")
    return tuple(gateways)


def _gateway(value: Value, answer_url: str, secrets: Mapping[str, str]) -> HttpGateway:
    record = value.record(("kind", "url", "body"), _OPTIONAL)
    return HttpGateway(
        kind=record["kind"].one_of(ChannelKind),
        url=record["url"].text(characters_max=1000),
        body=_template(record["body"]),
        headers=record.get("headers", _texts, {}),
        is_form=record.get("is_form", Value.flag, False),
        # Believed only when said: a provider that does not know a key again would ring twice.
        is_repeatable=record.get("is_repeatable", Value.flag, False),
        id_path=record.get("id_path", _path, ("id",)),
        answer_url=answer_url,
        secret=_secret(record, "secret", secrets),
        timeout_s=STEP_TIMEOUT_S,
        receipt_id_path=record.get("receipt_id_path", _path, ("id",)),
        receipt_status_path=record.get("receipt_status_path", _path, ("status",)),
        receipt_states=record.get("receipt_states", _states, {}),
        receipt_secret=_secret(record, "receipt_secret", secrets),
    )


def _template(value: Value) -> Any:
    if not isinstance(value.raw, dict | list):
        raise value.wrong("an object or a list with placeholders is wanted")
    return value.raw


def _texts(value: Value) -> dict[str, str]:
    return {name: member.text(characters_max=1000) for name, member in value.members().items()}


def _path(value: Value) -> tuple[str | int, ...]:
    steps = value.items(items_max=_PATH_MAX)
    return tuple(step.whole(0, _NAMES_MAX) if isinstance(step.raw, int) else step.text() for step in steps)


def _states(value: Value) -> dict[str, MessageState]:
    found = {word: member.one_of(MessageState) for word, member in value.members().items()}
    for word, state in found.items():
        if state not in _RECEIPT_STATES:
            raise value.members()[word].wrong("a receipt means delivered or failed")
    return found


def _secret(record: Record, key: str, secrets: Mapping[str, str]) -> str:
    name = record.get(key, Value.text, "")
    if name and name not in secrets:
        raise Refused(
            f"{record.place}.{key} names a secret that this node does not have; put it there or mend the name"
        )
    return secrets[name] if name else ""
