"""An SMTP relay (aiosmtpd) that keeps what it was given; what it does depends on the address it is given.

``refused@`` is answered 550 and ``later@`` 451 after RCPT; ``full@`` 452 and ``vanish@`` a broken connection after the
text, which it has kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from threading import Lock

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.harness.peers import LOOPBACK, free_port


@dataclass
class Relay:
    """A running relay and what it took, in order; `sessions` counts connections."""

    port: int = 0
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    sessions: int = 0
    # Every mailbox answers 451 while it is closed.
    is_closed: bool = False
    _lock: Lock = field(default_factory=Lock)

    def recipients(self) -> list[str]:
        """Return whom mail was taken for, once for each mail."""
        with self._lock:
            return [recipient for recipient, _ in self.taken]

    async def handle_EHLO(  # noqa: N802  # the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.sessions += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802  # the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("refused@"):
            return "550 no such mailbox"
        if self.is_closed or address.startswith("later@"):
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        (recipient,) = envelope.rcpt_tos
        if recipient.startswith("full@"):
            return "452 no room"
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        with self._lock:
            self.taken.append((recipient, mail))
        if recipient.startswith("vanish@"):
            assert server.transport is not None
            server.transport.abort()
        return "250 taken"


@contextmanager
def mail_relay() -> Iterator[Relay]:
    """Run a relay on loopback."""
    relay = Relay(port=free_port())
    controller = Controller(relay, hostname=LOOPBACK, port=relay.port)
    controller.start()
    try:
        yield relay
    finally:
        controller.stop()
