"""Throw-away TLS certificates for tests: a CA, a server, a client, and a stranger's.

For: proving whom the node lets in. Not for: production; the keys lie unencrypted in a temporary
directory and are valid for two days. Made with the `openssl` command.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_DAYS = "2"


@dataclass(frozen=True, kw_only=True)
class KeyAndCertificate:
    """Two PEM files that belong together."""

    key: Path
    certificate: Path


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """All that TLS tests need.

    `server` and `client` are issued by `authority`; `stranger` by `stranger_authority`, which
    nobody trusts; `expired` is issued by `authority` and was valid for a day in 2020.
    """

    authority: KeyAndCertificate
    server: KeyAndCertificate
    client: KeyAndCertificate
    expired: KeyAndCertificate
    stranger_authority: KeyAndCertificate
    stranger: KeyAndCertificate


def make_certificates(directory: Path) -> Certificates:
    """Make keys and certificates in a directory, which is created; takes about a second.

    The server's certificate names 127.0.0.1 and localhost.
    """
    directory.mkdir(parents=True, exist_ok=True)
    authority = _authority(directory, "authority")
    stranger_authority = _authority(directory, "stranger-authority")
    return Certificates(
        authority=authority,
        server=_issued(directory, "server", authority),
        client=_issued(directory, "client", authority),
        expired=_issued(directory, "expired", authority, is_expired=True),
        stranger_authority=stranger_authority,
        stranger=_issued(directory, "stranger", stranger_authority),
    )


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _pair(directory: Path, name: str) -> KeyAndCertificate:
    return KeyAndCertificate(key=directory / f"{name}.key.pem", certificate=directory / f"{name}.crt.pem")


def _authority(directory: Path, name: str) -> KeyAndCertificate:
    """Make a certificate that signs itself and may sign others."""
    made = _pair(directory, name)
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS),
        *("-subj", f"/O=Telegarde tests/CN={name}"),
        *("-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", made.key, "-out", made.certificate),
    )
    return made


def _issued(directory: Path, name: str, authority: KeyAndCertificate, *, is_expired: bool = False) -> KeyAndCertificate:
    """Make a certificate that `authority` signs, for either end of a connection."""
    made = _pair(directory, name)
    request = directory / f"{name}.csr.pem"
    _openssl(
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/O=Telegarde tests/CN={name}"),
        *("-keyout", made.key, "-out", request),
    )
    settings = directory / f"{name}.cnf"
    database = directory / f"{name}.index"
    database.touch()
    settings.write_text(
        "\n".join(
            [
                "[ca]",
                "default_ca = tests",
                "[tests]",
                f"database = {database}",
                f"new_certs_dir = {directory}",
                "default_md = sha256",
                "policy = any",
                "unique_subject = no",
                "rand_serial = yes",
                "[any]",
                "organizationName = supplied",
                "commonName = supplied",
                "[leaf]",
                "basicConstraints = critical,CA:FALSE",
                "keyUsage = critical,digitalSignature,keyEncipherment",
                "extendedKeyUsage = serverAuth,clientAuth",
                "subjectAltName = IP:127.0.0.1,DNS:localhost",
                "",
            ]
        )
    )
    period = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z") if is_expired else ("-days", _DAYS)
    _openssl(
        *("ca", "-batch", "-notext", "-config", settings, "-extensions", "leaf"),
        *("-cert", authority.certificate, "-keyfile", authority.key),
        *("-in", request, "-out", made.certificate, *period),
    )
    return made
