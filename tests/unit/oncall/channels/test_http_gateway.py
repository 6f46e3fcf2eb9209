"""HTTP gateways against a real server process: templates, honest outcomes, one ring however often it is asked."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from benchmarks.peers.message_gateway import Gateway, message_gateway
from foundation.errors import PeerError, Refused
from oncall.channels.http_gateway import HttpChannel, HttpGateway, read_receipt
from oncall.channels.ntfy import ntfy_gateway
from oncall.directory import ChannelKind, PersonId
from oncall.messages import Message, MessageState, NotSent, Outcome, Sent, Unsure, idempotency_key
from tests.harness.peers import free_port


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with message_gateway(tmp_path_factory.mktemp("gateway") / "requests") as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway) -> Gateway:
    running.file.unlink(missing_ok=True)
    return running


class Opener(Protocol):
    def __call__(self, gateway: HttpGateway) -> HttpChannel: ...


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Yield a function that opens a channel, closed at the end."""
    with ExitStack() as stack:

        def open_one(gateway: HttpGateway) -> HttpChannel:
            channel = HttpChannel(gateway)
            stack.callback(channel.close)
            return channel

        yield open_one


def template(url: str, **changes: Any) -> HttpGateway:
    values: dict[str, Any] = {
        "kind": ChannelKind.SMS,
        "url": url,
        "body": {"to": "{to}", "parts": [{"text": "{text} {answer_url}"}], "ref": "{key}", "flash": True},
        "headers": {"Authorization": "Bearer {secret}"},
        "id_path": ("messages", 0, "id"),
        "answer_url": "https://t.example/a/",
        "secret": "hunter2",
        "timeout_s": 2.0,
    }
    return HttpGateway(**(values | changes))


def message(address: str = "+33600000001", key: str = "m1") -> Message:
    return Message(
        message_key=key,
        person_id=PersonId("ann"),
        channel=ChannelKind.SMS,
        address=address,
        subject="Telegarde",
        text='à lire "{to}", Ambert\n',
        due_at=datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        answer_token="tok",
    )


def test_a_template_is_filled_and_its_answer_read(opened: Opener, gateway: Gateway) -> None:
    outcome = opened(template(gateway.url)).hand_over(message(key="filled"))

    (request,) = gateway.requests()
    assert isinstance(outcome, Sent)
    assert outcome.provider_id.startswith("provider-")
    assert (request["path"], request["authorization"]) == ("/messages?account=7", "Bearer hunter2")
    assert json.loads(request["body"]) == {
        "to": "+33600000001",
        "parts": [{"text": 'à lire "{to}", Ambert\n https://t.example/a/tok'}],
        "ref": idempotency_key("filled"),
        "flash": True,
    }


def test_a_form_is_filled_without_injection(opened: Opener, gateway: Gateway) -> None:
    form = template(gateway.url, is_form=True, body={"to": "{to}", "message": "{text}"})

    assert isinstance(opened(form).hand_over(message("+336&to=+337", key="form")), Sent)

    (request,) = gateway.requests()
    assert request["body"].startswith("to=%2B336%26to%3D%2B337&message=")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("status:400", NotSent(reason="refused_400")),
        ("status:429", NotSent(reason="refused_429", is_retryable=True)),
        ("status:503", NotSent(reason="refused_503", is_retryable=True)),
        ("status:500:sent", Unsure(reason="answered_500")),
        ("status:409", Unsure(reason="answered_409")),
        ("broken", Unsure(reason="connection_broke")),
    ],
    ids=["refused", "too many", "busy", "failed after sending", "still at work", "broken after sending"],
)
def test_what_the_gateway_does_is_told_honestly(
    opened: Opener, gateway: Gateway, address: str, expected: Outcome
) -> None:
    assert opened(template(gateway.url)).hand_over(message(address, key=address)) == expected


def test_a_message_handed_over_again_rings_once(opened: Opener, gateway: Gateway) -> None:
    first, second = opened(template(gateway.url)), opened(template(gateway.url))
    assert first.hand_over(message("broken", key="again")) == Unsure(reason="connection_broke")

    outcomes = [first.hand_over(message("broken", key="again")), second.hand_over(message("broken", key="again"))]

    assert [type(outcome) for outcome in outcomes] == [Sent, Sent]
    assert (len(gateway.requests()), gateway.rung()) == (3, ["broken"])


def test_a_kept_connection_that_broke_is_opened_again_where_repeating_is_safe(opened: Opener, gateway: Gateway) -> None:
    channel = opened(template(gateway.url))
    channel.hand_over(message(key="kept"))

    assert isinstance(channel.hand_over(message("broken", key="kept and broken")), Sent)
    assert gateway.rung() == ["+33600000001", "broken"]


def test_a_kept_connection_that_broke_leaves_doubt_where_repeating_would_ring_twice(
    opened: Opener, gateway: Gateway
) -> None:
    channel = opened(template(gateway.url, is_repeatable=False))
    channel.hand_over(message(key="kept once"))

    assert channel.hand_over(message("broken", key="broken once")) == Unsure(reason="connection_broke")
    assert len(gateway.requests()) == 2


def test_no_gateway_means_certainly_not_sent(opened: Opener) -> None:
    channel = opened(template(f"http://127.0.0.1:{free_port()}/"))

    assert channel.hand_over(message()) == NotSent(reason="no_connection", is_retryable=True)


def test_a_push_message_carries_a_button_that_answers_it(opened: Opener, gateway: Gateway) -> None:
    push = replace(
        ntfy_gateway(gateway.url, answer_url="https://t.example/a/", access_token="tk"),
        body={
            **ntfy_gateway(gateway.url, answer_url="").body,
            "to": "{to}",
        },
    )

    assert isinstance(opened(push).hand_over(message("garde-ann", key="push")), Sent)

    (request,) = gateway.requests()
    body = json.loads(request["body"])
    assert (body["topic"], body["priority"], request["authorization"]) == ("garde-ann", 5, "Bearer tk")
    assert body["actions"][0]["url"] == "https://t.example/a/tok"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"url": "http://sms.example/send"}, "https"),
        ({"url": "ftp://127.0.0.1/"}, "https"),
        ({"body": {"to": "{patient_name}"}}, "patient_name"),
        ({"body": {"to": "{to.__class__}"}}, "__class__"),
        ({"body": ["{to}"], "is_form": True}, "form"),
    ],
    ids=["in clear", "not HTTP", "unknown placeholder", "attribute", "form of a list"],
)
def test_a_template_that_would_be_unsafe_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match=word):
        template(**({"url": "https://sms.example/"} | changes))


def test_the_secret_is_not_in_what_is_printed_of_the_template() -> None:
    assert "hunter2" not in repr(template("https://sms.example/", receipt_secret="hunter2"))


def signed(body: bytes, secret: bytes = b"s") -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


RECEIPTS = template(
    "https://sms.example/",
    receipt_secret="s",
    receipt_states={"DELIVRD": MessageState.DELIVERED, "UNDELIV": MessageState.FAILED},
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("DELIVRD", MessageState.DELIVERED), ("UNDELIV", MessageState.FAILED), ("ACCEPTD", None)],
)
def test_a_signed_receipt_says_what_became_of_a_message(word: str, expected: MessageState | None) -> None:
    body = json.dumps({"id": "x1", "status": word}).encode()

    receipt = read_receipt(RECEIPTS, body, signed(body))

    assert (None if receipt is None else (receipt.provider_id, receipt.state)) == (expected and ("x1", expected))


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (b'{"id": "x1", "status": "DELIVRD"}', signed(b"other")),
        (b'{"id": "x1", "status": "DELIVRD"}', ""),
        (b"not json", signed(b"not json")),
        (b'{"status": "DELIVRD"}', signed(b'{"status": "DELIVRD"}')),
        (b"[1]", signed(b"[1]")),
    ],
    ids=["forged", "unsigned", "garbage", "of no message", "a list"],
)
def test_a_receipt_that_is_not_the_providers_is_refused(body: bytes, signature: str) -> None:
    with pytest.raises(PeerError):
        read_receipt(RECEIPTS, body, signature)


def test_a_gateway_without_a_receipt_secret_takes_no_receipt() -> None:
    body = b'{"id": "x1", "status": "DELIVRD"}'

    with pytest.raises(PeerError):
        read_receipt(replace(RECEIPTS, receipt_secret=""), body, signed(body, b""))
