"""E-mail through one SMTP relay (RFC 5321), with a session kept per thread.

The exchange is made command by command, because only so is it known what a broken connection means: before the text
was handed over nothing was sent; after it, and before the relay's answer, nobody knows. A relay does not recognise
repetitions (the Message-ID is the same, but nothing obliges anybody to look), so it is never handed a message twice.
"""

import re
import smtplib
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum
from typing import Final

from oncall.channels.port import STEP_TIMEOUT_S
from oncall.directory import ChannelKind
from oncall.messages import Message, NotSent, Outcome, Sent, Unsure, idempotency_key

MESSAGES_PER_SESSION_MAX: Final = 100
"""Relays end longer sessions; a new one costs a few milliseconds."""


class Security(StrEnum):
    """How the session is protected: from its first byte, after STARTTLS, or not at all (a relay on this machine)."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class SmtpRelay:
    """Where mail is handed over. ``sender`` is the envelope's and the header's address."""

    host: str
    port: int
    sender: str
    security: Security = Security.STARTTLS
    username: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = STEP_TIMEOUT_S
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class _Session:
    smtp: smtplib.SMTP
    messages: int = 0


class SmtpChannel:
    """The channel `ChannelKind.EMAIL`."""

    kind: Final = ChannelKind.EMAIL
    is_repeatable: Final = False

    def __init__(self, relay: SmtpRelay) -> None:
        self._relay = relay
        self._sessions = threading.local()

    def hand_over(self, message: Message) -> Outcome:
        """Give the message to the relay; say what its answers, or their absence, mean."""
        try:
            mail = _mail(message, self._relay.sender)
        except ValueError:
            return NotSent(reason="invalid_address")
        for is_kept in (True, False):
            session = self._session(is_kept=is_kept)
            if isinstance(session, NotSent):
                return session
            outcome = self._exchange(session, message.address, mail)
            if outcome is not None:
                return outcome
            # A kept session that the relay had ended meanwhile: nothing was sent, a new one may do.
        return NotSent(reason="no_connection", is_retryable=True)

    def close(self) -> None:
        """End the calling thread's session."""
        session: _Session | None = getattr(self._sessions, "kept", None)
        self._sessions.kept = None
        if session is not None:
            session.smtp.close()

    def _session(self, *, is_kept: bool) -> _Session | NotSent:
        kept: _Session | None = getattr(self._sessions, "kept", None)
        if is_kept and kept is not None and kept.messages < MESSAGES_PER_SESSION_MAX:
            return kept
        self.close()
        try:
            self._sessions.kept = _Session(self._connect())
        except smtplib.SMTPAuthenticationError:
            return NotSent(reason="not_authenticated")
        except (OSError, smtplib.SMTPException):
            return NotSent(reason="no_connection", is_retryable=True)
        opened: _Session = self._sessions.kept
        return opened

    def _connect(self) -> smtplib.SMTP:
        relay = self._relay
        context = relay.tls or ssl.create_default_context()
        smtp: smtplib.SMTP
        if relay.security is Security.TLS:
            smtp = smtplib.SMTP_SSL(relay.host, relay.port, timeout=relay.timeout_s, context=context)
        else:
            smtp = smtplib.SMTP(relay.host, relay.port, timeout=relay.timeout_s)
        try:
            if relay.security is Security.STARTTLS:
                smtp.starttls(context=context)
            smtp.ehlo_or_helo_if_needed()
            if relay.username:
                smtp.login(relay.username, relay.password)
        except (OSError, smtplib.SMTPException):
            smtp.close()
            raise
        return smtp

    def _exchange(self, session: _Session, address: str, mail: bytes) -> Outcome | None:
        """Return what became of it; None when the session was dead before anything could be sent."""
        smtp = session.smtp
        session.messages += 1
        try:
            for command in (f"MAIL FROM:<{self._relay.sender}>", f"RCPT TO:<{address}>", "DATA"):
                code, _ = smtp.docmd(command)
                if code >= 400:
                    return self._refused(code, is_dead=code == 421 and session.messages > 1)
        except (OSError, smtplib.SMTPException):
            self.close()
            return None if session.messages > 1 else NotSent(reason="no_connection", is_retryable=True)
        try:
            smtp.send(mail)
            code, _ = smtp.getreply()
        except (OSError, smtplib.SMTPException):
            self.close()
            return Unsure(reason="connection_broke")
        return Sent() if code < 400 else self._refused(code, is_dead=False)

    def _refused(self, code: int, *, is_dead: bool) -> NotSent | None:
        # The next message begins on a new session instead of in the middle of this refused exchange.
        self.close()
        return None if is_dead else NotSent(reason=f"refused_{code}", is_retryable=code < 500)


def _mail(message: Message, sender: str) -> bytes:
    """Return the text as it goes over the wire after DATA (RFC 5321 4.5.2: dots doubled, end marked)."""
    if not message.address.isascii() or any(character in message.address for character in "<>\r\n \0"):
        raise ValueError("not an address for an envelope")
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, message.address, message.subject
    mail["Date"] = format_datetime(message.due_at)
    mail["Message-ID"] = f"<{idempotency_key(message.message_key)}@{sender.rpartition('@')[2]}>"
    # RFC 3834: out-of-office programs do not answer this.
    mail["Auto-Submitted"] = "auto-generated"
    mail["Importance"] = "high"
    mail.set_content(message.text + "\n")
    return re.sub(rb"(?m)^\.", b"..", mail.as_bytes()) + b".\r\n"
