"""The object graph of HL7 messages: what listens and what sends, as one thing to start and to stop.

For: which object gets which other, and the settings as the values that `pacs.worklist.hl7` takes. Not for: behaviour.
"""

import functools
import hashlib
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from foundation import log
from foundation.clock import Clock, SteadyClock, SystemClock
from foundation.database import Database
from oncall.directory import SiteId
from oncall.documents_store import NothingPublished
from oncall.engine.published_rules import PublishedRules
from pacs.scp import tls
from pacs.worklist.hl7 import characters, outgoing, received
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.inbox import Inbox
from pacs.worklist.hl7.listener import Bounds, Listener, ListeningSocket
from pacs.worklist.hl7.message import SenderIdentity
from pacs.worklist.hl7.sender import Sender
from pacs.worklist.hl7.senders import SenderRule, SenderRules
from territory import settings_rules
from territory.hl7_handlers import make_handler
from territory.maintenance import Maintenance, PeriodicTask
from territory.settings import Hl7, Hl7Destination, Settings

FORGET_EVERY_S: Final = 600.0
"""Between two portions of old messages that are deleted."""

STOP_GRACE_S: Final = 5.0
"""For the messages in hand when the process ends."""


class Hl7Parts:
    """The listener, the sender and the forgetting of old messages, on one database.

    Parameters
    ----------
    settings : Settings
        With ``[hl7]``.
    sockets : sequence of (socket, bool)
        Bound; whether connections on it begin with TLS. Closed by whoever opened them.
    clock : Clock, optional
        The machine's by default.
    """

    def __init__(
        self, settings: Settings, sockets: Sequence[tuple[socket.socket, bool]], *, clock: Clock | None = None
    ) -> None:
        hl7 = settings.hl7
        assert hl7 is not None
        self._database = Database(settings.database_url, is_checkpointed_elsewhere=True)
        clock = self._clock = SteadyClock(clock or SystemClock())
        self._keep_days = hl7.keep_days
        context = server_context(settings) if any(is_tls for _, is_tls in sockets) else None
        self._listener = Listener(
            [ListeningSocket(sock=sock, tls=context if is_tls else None) for sock, is_tls in sockets],
            Inbox(self._database, make_handler(self._database, clock), clock),
            sender_rules(settings, self._database, clock),
            Bounds(
                message_bytes_max=hl7.message_bytes_max,
                connections_max=hl7.connections_max,
                idle_s=hl7.idle_s,
                message_s=hl7.message_s,
            ),
            clock,
            processing_id=hl7.processing_id,
        )
        self._sender = Sender(self._database, destinations(settings), clock, worker=node_name(settings))
        self._stopping = threading.Event()
        self._sending = threading.Thread(
            target=self._sender.run, args=(self._stopping,), name="hl7-sender", daemon=True
        )
        forgetting = PeriodicTask(name="hl7_forget", every_s=FORGET_EVERY_S, run=self.forget)
        self._maintenance = Maintenance([forgetting], self._stopping)
        self._is_sending = False

    def start(self) -> None:
        """Listen and send, in threads of its own; returns at once."""
        self.start_listening()
        self._is_sending = True
        self._sending.start()
        self._maintenance.start()

    def start_listening(self) -> None:
        """Listen, in threads of its own; what is queued is sent by `drain` only."""
        self._listener.start()

    def drain(self) -> None:
        """Send what is due now; return when each message was tried."""
        self._sender.drain()

    def forget(self) -> None:
        """Delete a portion of the messages that are kept no longer."""
        before = received.kept_since(self._clock.now(), self._keep_days)
        with self._database.write() as connection:
            forgotten = received.forget(connection, before) + outgoing.forget(connection, before)
        if forgotten:
            log.info("hl7_forgotten", count=forgotten)

    def stop(self) -> None:
        """End after the messages in hand, within a bound; what is queued stays."""
        self._stopping.set()
        self._listener.stop(STOP_GRACE_S)
        if self._is_sending:
            self._sending.join()
            self._maintenance.stop()
        self._database.close()


def node_name(settings: Settings) -> str:
    """Return what this node is called in leases: one node serves a data directory at a time."""
    place = f"{socket.gethostname()}:{settings.archive.data_dir}"
    return f"node-{hashlib.sha256(place.encode()).hexdigest()[:16]}"


def sender_rules(settings: Settings, database: Database, clock: Clock) -> SenderRules:
    """Return whose messages are taken."""
    hl7 = _hl7(settings)
    rules = tuple(
        SenderRule(
            identity=SenderIdentity(
                application=sender.application, facility=sender.facility, site_id=sender.site, issuer=sender.issuer
            ),
            character_set=sender.character_set,
            networks=sender.addresses,
            requires_tls=sender.tls,
            certificate_names=frozenset(name.lower() for name in sender.certificate_names),
        )
        for sender in hl7.senders
    )
    if not settings.is_open_loopback:
        return SenderRules(rules=rules)
    return SenderRules(rules=rules, anyone=functools.partial(_of_directory, PublishedRules(database), clock))


def destinations(settings: Settings) -> Mapping[str, Destination]:
    """Return the systems that messages go to, by name."""
    hl7 = _hl7(settings)
    needs_tls = any(one.tls for one in hl7.destinations)
    context = client_context(settings) if needs_tls else None
    return {one.name: _destination(one, context) for one in hl7.destinations}


def server_context(settings: Settings) -> ssl.SSLContext:
    """Return the context of the listening side; the node has one identity for DICOM and HL7."""
    files = settings_rules.tls_files(settings)
    assert files is not None
    return tls.server_context(files)


def client_context(settings: Settings) -> ssl.SSLContext:
    """Return the context of the calling side."""
    files = settings_rules.tls_files(settings)
    assert files is not None
    return tls.client_context(files)


def _hl7(settings: Settings) -> Hl7:
    return settings.hl7 or Hl7()


def _destination(one: Hl7Destination, context: ssl.SSLContext | None) -> Destination:
    return Destination(
        name=one.name,
        site_id=one.site,
        host=one.host,
        port=one.port,
        tls=context if one.tls else None,
        application=one.application,
        facility=one.facility,
        character_set=one.character_set,
        answer_s=one.answer_s,
    )


def _of_directory(rules: PublishedRules, clock: Clock, application: str, facility: str) -> SenderRule | None:
    # The open demonstration: whoever names a hospital of the directory as its facility is that hospital's.
    try:
        site = rules.at(clock.now()).directory.sites.get(SiteId(facility.lower()))
    except NothingPublished:
        return None
    if site is None:
        return None
    identity = SenderIdentity(
        application=application, facility=facility, site_id=site.site_id, issuer=site.issuer or facility
    )
    return SenderRule(identity=identity, character_set=characters.ASCII)
