"""Gateways as a document: read strictly, every problem with its place, no secret inside."""

import json
from typing import Any

import pytest

from foundation.errors import Refused
from oncall.channels.gateway_documents import read_gateways
from oncall.directory import ChannelKind
from oncall.messages import MessageState
from oncall.strict_json import DocumentInvalid

SMS: dict[str, Any] = {
    "kind": "sms",
    "url": "https://sms.example/v1",
    "body": {"to": "{to}", "messages": [{"text": "{text}"}]},
    "headers": {"Authorization": "Bearer {secret}"},
    "is_repeatable": True,
    "id_path": ["messages", 0, "id"],
    "secret": "sms_token",
    "receipt_states": {"DELIVRD": "delivered", "UNDELIV": "failed"},
}
SECRETS = {"sms_token": "hunter2"}


def read(*gateways: dict[str, Any]) -> Any:
    text = json.dumps({"gateways": list(gateways)})
    return read_gateways(text, answer_url="https://t.example/a/", secrets=SECRETS)


def test_a_provider_is_described_without_code() -> None:
    (gateway,) = read(SMS)

    assert (gateway.kind, gateway.secret, gateway.id_path) == (ChannelKind.SMS, "hunter2", ("messages", 0, "id"))
    assert gateway.receipt_states == {"DELIVRD": MessageState.DELIVERED, "UNDELIV": MessageState.FAILED}
    assert gateway.is_repeatable


def test_a_provider_that_does_not_say_that_it_knows_keys_again_is_not_believed_to() -> None:
    (gateway,) = read({key: SMS[key] for key in ("kind", "url", "body")})

    assert not gateway.is_repeatable


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"colour": "red"}, r"gateways\[0\].colour"),
        ({"kind": "pigeon"}, r"gateways\[0\].kind"),
        ({"body": "to={to}"}, r"gateways\[0\].body"),
        ({"id_path": [-1]}, r"gateways\[0\].id_path"),
        ({"receipt_states": {"X": "answered"}}, r"gateways\[0\].receipt_states"),
    ],
    ids=["unknown key", "unknown kind", "no template", "no path", "no receipt state"],
)
def test_what_is_wrong_is_named_with_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(DocumentInvalid, match=place):
        read(SMS | changes)


@pytest.mark.parametrize(
    "gateways",
    [[SMS, SMS], [SMS | {"secret": "other"}], [SMS | {"url": "http://sms.example/"}]],
    ids=["two of one kind", "secret that is not there", "in clear"],
)
def test_what_would_be_unsafe_is_refused(gateways: list[dict[str, Any]]) -> None:
    with pytest.raises(Refused):
        read(*gateways)
