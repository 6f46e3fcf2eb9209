"""TLS for DICOM by BCP 195: TLS 1.2 with ephemeral keys and authenticated encryption, or TLS 1.3.

For: the two contexts, and the names in a peer's certificate. Not for: handshakes and their time limits (the engine and
the requestor) or which name may use which AE title (`pacs.scp.access`).

Invariants: both ends show certificates; there is no fallback to older versions or to no certificate; no compression,
no renegotiation, no session resumption (workers share no ticket keys, so it would fail by chance, and an association
lasts long against a handshake).

Renewing certificates: files are read when a context is made. Replace them and restart the node: its graceful stop
finishes what is in hand, and peers try again. Nothing is re-read behind the back of a running node.

References
----------
PS3.15 B.12 (BCP 195, RFC 9325, TLS profile); RFC 9325 3.1 to 3.5, 4.2
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from foundation.errors import TelegardeError

__all__ = ["TlsFiles", "TlsFilesUnusable", "certificate_names", "client_context", "server_context"]

CIPHER_SUITES: Final = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    )
)
"""For TLS 1.2 (RFC 9325 4.2); those of TLS 1.3 are all fit and stay OpenSSL's."""


class TlsFilesUnusable(TelegardeError):
    """A certificate, key or authority file cannot be used; the message names it and says what to check."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsFiles:
    """Where a node's identity and its trust are.

    Attributes
    ----------
    certificate_file, key_file, ca_file : Path
        PEM: our certificate with its chain, its private key, and the authorities that sign peers' certificates.
    key_password : str or None
        Of the private key; never shown.
    """

    certificate_file: Path
    key_file: Path
    ca_file: Path
    key_password: str | None = field(default=None, repr=False)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of the listening side: a peer without a certificate we trust fails the handshake.

    Raises
    ------
    TlsFilesUnusable
        If a file is missing, unreadable, not PEM, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    _harden(context, files)
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of the calling side; it shows our certificate when asked.

    The peer's certificate must be for the host name or address connected to (subjectAltName; RFC 9325 7.1).

    Raises
    ------
    TlsFilesUnusable
        As `server_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert context.check_hostname
    _harden(context, files)
    return context


def _harden(context: ssl.SSLContext, files: TlsFiles) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.set_ciphers(CIPHER_SUITES)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cafile=files.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise TlsFilesUnusable(f"{files.ca_file}: no readable PEM file of authorities ({error.strerror})") from error
    try:
        # An empty password instead of None: OpenSSL would ask on the terminal, and a service would hang there.
        context.load_cert_chain(files.certificate_file, files.key_file, password=files.key_password or "")
    except OSError as error:
        raise TlsFilesUnusable(
            f"{files.certificate_file} and {files.key_file}: no readable PEM certificate with its own private key "
            f"({error.strerror or 'wrong password'})"
        ) from error


def certificate_names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names of a verified certificate, in lower case: its Common Names and DNS names.

    Parameters
    ----------
    certificate : mapping or None
        As `ssl.SSLSocket.getpeercert` returns it; None when the peer showed none.
    """
    if certificate is None:
        return frozenset()
    common = {
        value.lower()
        for attributes in certificate.get("subject", ())
        for name, value in attributes
        if name == "commonName"
    }
    dns = {value.lower() for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    return frozenset(common | dns)
