"""MLLP over TLS, in both directions: who gets in with which certificate, and whom we talk to."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.clock import SystemClock
from foundation.database import Database, sqlite_url
from pacs.scp.tls import TlsFiles, client_context, server_context
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.exchange import NotAnswered, NotSent, exchange
from pacs.worklist.hl7.inbox import Inbox
from pacs.worklist.hl7.listener import Listener, ListeningSocket
from pacs.worklist.hl7.senders import SenderRule, SenderRules
from territory.listening import open_port
from tests.harness.hl7_messages import BOUNDS, IDENTITY, LOOPBACK, Recorder, make_effects, message
from tests.harness.peers import Certificates, KeyAndCertificate, make_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def files(certificates: Certificates, own: KeyAndCertificate, trusted: KeyAndCertificate | None = None) -> TlsFiles:
    authority = trusted or certificates.authority
    return TlsFiles(certificate_file=own.certificate, key_file=own.key, ca_file=authority.certificate)


@pytest.fixture
def port(tmp_path: Path, certificates: Certificates) -> Iterator[int]:
    """Yield the port of a listener whose one sender must come with the certificate of `client`."""
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    make_effects(database)
    rule = SenderRule(
        identity=IDENTITY, character_set="ASCII", requires_tls=True, certificate_names=frozenset({"client"})
    )
    sock = open_port(LOOPBACK, 0, setting="test")
    context = server_context(files(certificates, certificates.server))
    clock = SystemClock()
    listener = Listener(
        [ListeningSocket(sock=sock, tls=context)], Inbox(database, Recorder(), clock), SenderRules(rules=(rule,)),
        BOUNDS, clock, processing_id="P",
    )  # fmt: skip
    listener.start()
    yield sock.getsockname()[1]
    listener.stop(5.0)
    sock.close()
    database.close()


def send(port: int, context: ssl.SSLContext, control_id: str = "M1", host: str = LOOPBACK) -> str:
    """Send a message as our own sender does; return MSA-1."""
    destination = Destination(name="node", site_id="", host=host, port=port, tls=context, answer_s=10.0)
    return exchange(destination, message(control_id)).code.value


def test_a_sender_with_its_certificate_is_answered(port: int, certificates: Certificates) -> None:
    context = client_context(files(certificates, certificates.client))

    assert [send(port, context, one) for one in ("M1", "M2")] == ["AA", "AA"]


def test_a_certificate_of_another_name_may_not_speak_for_the_sender(port: int, certificates: Certificates) -> None:
    assert send(port, client_context(files(certificates, certificates.server))) == "AR"


@pytest.mark.parametrize("who", ["stranger", "expired"])
def test_a_certificate_that_nobody_trusts_gets_no_answer(port: int, certificates: Certificates, who: str) -> None:
    context = client_context(files(certificates, getattr(certificates, who)))

    # With TLS 1.3 the client has finished its handshake before the other end has seen its certificate.
    with pytest.raises((NotSent, NotAnswered)):
        send(port, context)


def test_a_peer_without_tls_is_not_served(port: int) -> None:
    with socket.create_connection((LOOPBACK, port), timeout=20) as peer:
        peer.sendall(b"\x0b" + message() + b"\x1c\r")
        try:
            answer = peer.recv(100)
        except ConnectionResetError:
            answer = b""

    assert b"MSA" not in answer


def test_we_send_nothing_to_a_system_whose_certificate_is_of_somebody_unknown(
    port: int, certificates: Certificates
) -> None:
    ours = files(certificates, certificates.client, trusted=certificates.stranger_authority)

    with pytest.raises(NotSent, match="TLS"):
        send(port, client_context(ours))
