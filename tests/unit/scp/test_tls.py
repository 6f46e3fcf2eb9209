"""TLS contexts by BCP 195: who is let in, with what, and what is refused. Handshakes run in memory."""

import ssl
from pathlib import Path

import pytest

from pacs.scp.tls import TlsFiles, TlsFilesUnusable, certificate_names, client_context, server_context
from tests.harness.peers import Certificates, KeyAndCertificate, make_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def files(certificates: Certificates, pair: KeyAndCertificate, *, ca_file: Path | None = None) -> TlsFiles:
    return TlsFiles(
        certificate_file=pair.certificate, key_file=pair.key, ca_file=ca_file or certificates.authority.certificate
    )


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, *, host: str = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Run a handshake and then one byte each way, so that alerts of either end are seen."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=host),
    )
    waiting = set(ends)
    for _ in range(10):
        for end in ends:
            if end in waiting:
                try:
                    end.do_handshake()
                    waiting.discard(end)
                except ssl.SSLWantReadError:
                    continue
        if not waiting:
            break
    assert not waiting
    for writer, reader in (ends, ends[::-1]):
        writer.write(b"x")
        assert reader.read(1) == b"x"
    return ends


def our_server(certificates: Certificates) -> ssl.SSLContext:
    return server_context(files(certificates, certificates.server))


def test_two_nodes_shake_hands_with_tls_1_3_and_see_each_others_certificates(certificates: Certificates) -> None:
    client = client_context(files(certificates, certificates.client))

    server_end, client_end = shake_hands(our_server(certificates), client)

    assert server_end.version() == "TLSv1.3"
    assert certificate_names(server_end.getpeercert()) == {"client", "localhost"}
    assert certificate_names(client_end.getpeercert()) == {"server", "localhost"}
    assert server_end.compression() is None


def test_tls_1_2_uses_ephemeral_keys_and_authenticated_encryption(certificates: Certificates) -> None:
    client = client_context(files(certificates, certificates.client))
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    server_end, _ = shake_hands(our_server(certificates), client)

    suite = server_end.cipher()
    assert suite is not None
    assert suite[1] == "TLSv1.2"
    assert suite[0].startswith("ECDHE-")
    assert "GCM" in suite[0] or "POLY1305" in suite[0]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(certificates: Certificates, version: ssl.TLSVersion) -> None:
    client = client_context(files(certificates, certificates.client))
    client.minimum_version = version
    client.maximum_version = version
    client.set_ciphers("ALL:@SECLEVEL=0")

    with pytest.raises(ssl.SSLError):
        shake_hands(our_server(certificates), client)


@pytest.mark.parametrize("suites", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
def test_suites_without_ephemeral_curves_or_authentication_are_refused(certificates: Certificates, suites: str) -> None:
    client = client_context(files(certificates, certificates.client))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suites)

    with pytest.raises(ssl.SSLError):
        shake_hands(our_server(certificates), client)


def test_a_peer_without_certificate_is_refused(certificates: Certificates) -> None:
    client = ssl.create_default_context(cafile=certificates.authority.certificate)

    with pytest.raises(ssl.SSLError):
        shake_hands(our_server(certificates), client)


def test_a_strangers_certificate_is_refused(certificates: Certificates) -> None:
    client = client_context(files(certificates, certificates.stranger))

    with pytest.raises(ssl.SSLError):
        shake_hands(our_server(certificates), client)


def test_an_expired_certificate_is_refused(certificates: Certificates) -> None:
    client = client_context(files(certificates, certificates.expired))

    with pytest.raises(ssl.SSLError):
        shake_hands(our_server(certificates), client)


def test_we_do_not_call_a_stranger(certificates: Certificates) -> None:
    stranger = server_context(files(certificates, certificates.stranger))
    client = client_context(files(certificates, certificates.client))

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(stranger, client)


def test_we_do_not_talk_to_a_trusted_certificate_of_another_host(certificates: Certificates) -> None:
    client = client_context(files(certificates, certificates.client))

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(our_server(certificates), client, host="archive.elsewhere.example")


def test_a_missing_file_is_named(certificates: Certificates, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"

    with pytest.raises(TlsFilesUnusable, match=r"missing\.pem"):
        server_context(files(certificates, certificates.server, ca_file=missing))
    with pytest.raises(TlsFilesUnusable, match=r"missing\.pem"):
        server_context(files(certificates, KeyAndCertificate(key=missing, certificate=certificates.server.certificate)))


def test_a_key_of_another_certificate_is_refused(certificates: Certificates) -> None:
    mixed = KeyAndCertificate(key=certificates.client.key, certificate=certificates.server.certificate)

    with pytest.raises(TlsFilesUnusable, match="its own private key"):
        server_context(files(certificates, mixed))


def test_no_certificate_has_no_names() -> None:
    assert certificate_names(None) == frozenset()
    assert certificate_names({}) == frozenset()
