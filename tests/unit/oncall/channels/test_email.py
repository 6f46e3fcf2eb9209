"""E-mail against a real SMTP server: what it says is what became of the message."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from oncall.channels.email import Security, SmtpChannel, SmtpRelay
from oncall.directory import ChannelKind, PersonId
from oncall.messages import Message, NotSent, Outcome, Sent, Unsure
from tests.harness.mail_relay import Relay, mail_relay
from tests.harness.peers import LOOPBACK, free_port


@pytest.fixture(scope="module")
def running() -> Iterator[Relay]:
    with mail_relay() as relay:
        yield relay


@pytest.fixture
def relay(running: Relay) -> Relay:
    running.taken.clear()
    return running


@pytest.fixture
def channel(relay: Relay) -> Iterator[SmtpChannel]:
    opened = SmtpChannel(settings(relay.port))
    yield opened
    opened.close()


def settings(port: int, *, security: Security = Security.NONE) -> SmtpRelay:
    return SmtpRelay(host=LOOPBACK, port=port, sender="garde@telegarde.example", security=security, timeout_s=2.0)


def message(address: str = "ann@example.org", text: str = "P1 7K2QXM à lire, Ambert", key: str = "m1") -> Message:
    return Message(
        message_key=key,
        person_id=PersonId("ann"),
        channel=ChannelKind.EMAIL,
        address=address,
        subject="Telegarde P1 – élève",
        text=text,
        due_at=datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    )


def test_mail_arrives_as_it_was_written(channel: SmtpChannel, relay: Relay) -> None:
    text = "P1 à lire, Ambert\n.un point\n..deux points\nfin"

    assert channel.hand_over(message(text=text)) == Sent()

    ((recipient, mail),) = relay.taken
    assert (recipient, mail["Subject"]) == ("ann@example.org", "Telegarde P1 – élève")
    assert mail.get_content().replace("\r\n", "\n").rstrip("\n") == text
    assert mail["Auto-Submitted"] == "auto-generated"


def test_the_same_message_has_the_same_message_id_and_another_has_another(channel: SmtpChannel, relay: Relay) -> None:
    for key in ("m1", "m1", "m2"):
        channel.hand_over(message(key=key))

    ids = [mail["Message-ID"] for _, mail in relay.taken]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("refused@example.org", NotSent(reason="refused_550")),
        ("later@example.org", NotSent(reason="refused_451", is_retryable=True)),
        ("full@example.org", NotSent(reason="refused_452", is_retryable=True)),
        ("vanish@example.org", Unsure(reason="connection_broke")),
        ("ann@example.org> SIZE=1\r\nRCPT TO:<bob@example.org", NotSent(reason="invalid_address")),
        ("élève@example.org", NotSent(reason="invalid_address")),
    ],
    ids=["no mailbox", "greylisted", "no room", "broken after the text", "injected command", "not ASCII"],
)
def test_what_the_relay_does_is_told_honestly(channel: SmtpChannel, address: str, expected: Outcome) -> None:
    assert channel.hand_over(message(address)) == expected


def test_a_refused_message_does_not_spoil_the_next_one(channel: SmtpChannel, relay: Relay) -> None:
    for address in ("refused@example.org", "ann@example.org", "vanish@example.org", "bob@example.org"):
        channel.hand_over(message(address))

    assert relay.recipients() == ["ann@example.org", "vanish@example.org", "bob@example.org"]


def test_many_messages_share_a_session(channel: SmtpChannel, relay: Relay) -> None:
    before = relay.sessions

    outcomes = {str(channel.hand_over(message(key=f"m{number}"))) for number in range(20)}

    assert outcomes == {str(Sent())}
    assert (len(relay.taken), relay.sessions - before) == (20, 1)


def test_a_session_that_the_relay_ended_meanwhile_is_opened_again() -> None:
    with mail_relay() as first:
        channel = SmtpChannel(settings(first.port))
        assert channel.hand_over(message(key="m1")) == Sent()
    assert channel.hand_over(message(key="m2")) == NotSent(reason="no_connection", is_retryable=True)
    channel.close()


def test_no_relay_means_certainly_not_sent() -> None:
    channel = SmtpChannel(settings(free_port()))

    assert channel.hand_over(message()) == NotSent(reason="no_connection", is_retryable=True)


def test_nothing_is_sent_in_clear_when_protection_was_asked_for(relay: Relay) -> None:
    channel = SmtpChannel(settings(relay.port, security=Security.STARTTLS))

    assert channel.hand_over(message()) == NotSent(reason="no_connection", is_retryable=True)
    assert relay.taken == []


def test_the_password_is_not_in_what_is_printed_of_the_settings() -> None:
    assert "hunter2" not in repr(SmtpRelay(host="h", port=25, sender="a@b", username="u", password="hunter2"))
