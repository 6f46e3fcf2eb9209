"""RFC 3161 time stamps over digests: asked of an authority by HTTP, and verified before anybody relies on them.

For: proof, by somebody else's clock and key, that a signature existed at an instant: it stays good when the signer's
key is revoked or lost later. Not for: when versions are stamped (`oncall.report.time_stamping`).

Invariants: an answer that is not over this digest, by this request's nonce, with a chain to a known root, is no time
stamp. The authority learns a digest and nothing else. A version's stamp is over the digest of its signature
(`signature_digest`), which holds the version's digest in turn. Source: RFC 3161 2.4, 3.4.
"""

import hashlib
import http.client
import secrets
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from foundation.errors import Refused, Unavailable
from oncall.report.version import Signature

ANSWER_BYTES_MAX: Final = 64 * 1024
"""Of an authority's answer: a token with three certificates takes six thousand."""

TIMEOUT_S: Final = 10.0

# TimeStampReq of a SHA-256 digest (RFC 3161 2.4.1) in DER: version 1, then messageImprint with the algorithm's
# identifier (2.16.840.1.101.3.4.2.1, NULL), the digest, a nonce of eight bytes, certReq TRUE. Every length is fixed.
_BEFORE_DIGEST: Final = bytes.fromhex("30430201013031300d060960864801650304020105000420")
_BEFORE_NONCE: Final = bytes.fromhex("0208")
_AFTER_NONCE: Final = bytes.fromhex("0101ff")
_DIGEST_BYTES: Final = 32
# Positive and without a leading zero byte, so that its DER has eight bytes.
_NONCES: Final = range(1 << 56, 1 << 63)
_QUERY: Final = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
_OK: Final = 200


class TimeStamper(Protocol):
    """What time-stamps digests."""

    def stamp(self, digest: str) -> bytes:
        """Return an RFC 3161 answer (TimeStampResp, DER) over a SHA-256 digest in lower-case hexadecimal.

        Raises
        ------
        foundation.errors.Unavailable
            If there is no answer, or none that can be relied on; ask again later.
        """


class Rfc3161TimeStamper:
    """An authority that answers by HTTP.

    Parameters
    ----------
    url : str
        ``http`` or ``https``: answers are signed and no request holds anything to hide.
    roots : sequence of Certificate
        To which the authority's certificate must chain.
    timeout_s : float
        Of connecting and of each read.
    """

    def __init__(self, url: str, roots: Sequence[Certificate], *, timeout_s: float = TIMEOUT_S) -> None:
        self._parts = urlsplit(url)
        if self._parts.scheme not in {"http", "https"} or not self._parts.hostname:
            raise Refused("a time-stamping authority has an http or https URL; correct the setting")
        if not roots:
            raise Refused(
                "name the root certificates of the time-stamping authority: what nobody can verify is no proof"
            )
        self.roots = tuple(roots)
        self._timeout_s = timeout_s

    def stamp(self, digest: str) -> bytes:
        """Ask for a time stamp over a digest and verify it."""
        nonce = _NONCES.start + secrets.randbelow(len(_NONCES))
        answer = self._ask(request(digest, nonce))
        if verified_at(answer, digest, self.roots, nonce=nonce) is None:
            raise Unavailable("the time-stamping authority's answer cannot be verified; check its root certificates")
        return answer

    def _ask(self, query: bytes) -> bytes:
        path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        connection = self._connection()
        try:
            connection.request("POST", path, body=query, headers=_QUERY)
            response = connection.getresponse()
            answer = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            message = f"the time-stamping authority does not answer ({type(error).__name__}); it is asked again later"
            raise Unavailable(message) from error
        finally:
            connection.close()
        if response.status != _OK or len(answer) > ANSWER_BYTES_MAX:
            message = f"the time-stamping authority answered with status {response.status}; it is asked again later"
            raise Unavailable(message)
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)


def request(digest: str, nonce: int) -> bytes:
    """Return the DER of a request over a SHA-256 digest, which asks for the authority's certificate.

    The library's own builder hashes what it is given and cannot ask about a digest.
    """
    hashed = bytes.fromhex(digest)
    if len(hashed) != _DIGEST_BYTES or nonce not in _NONCES:
        raise ValueError("a request is over 32 bytes of SHA-256, with a nonce of eight bytes")
    return _BEFORE_DIGEST + hashed + _BEFORE_NONCE + nonce.to_bytes(8) + _AFTER_NONCE


def verified_at(
    answer: bytes, digest: str, roots: Sequence[Certificate], *, nonce: int | None = None
) -> datetime | None:
    """Return the instant (UTC) that an answer proves for a digest; None when it proves nothing.

    Parameters
    ----------
    nonce : int or None
        Of the request, by whoever asked; later nobody knows it any more.
    """
    try:
        response = decode_timestamp_response(answer)
        VerifierBuilder(roots=list(roots), nonce=nonce).build().verify(response, bytes.fromhex(digest))
        return response.tst_info.gen_time.astimezone(UTC)
    except (VerificationError, ValueError):
        return None


def signature_digest(signature: Signature) -> str:
    """Return what a version's time stamp is over: SHA-256 of the signature's bytes, in lower-case hexadecimal."""
    return hashlib.sha256(signature.value).hexdigest()


def roots_of(pem: bytes) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM file.

    Raises
    ------
    foundation.errors.Refused
        If there is none in it.
    """
    try:
        return tuple(load_pem_x509_certificates(pem))
    except ValueError as error:
        raise Refused("the file of the time-stamping authority's roots holds no PEM certificate") from error
