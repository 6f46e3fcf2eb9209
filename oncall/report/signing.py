"""Signatures over digests: the port, Ed25519 keys in files, and what anybody can verify with a public key.

For: `Signer`, which an external service (a hospital's signing platform, e-CPS) can stand behind as well; `Ed25519Keys`,
one key per signer and one for the node's own seals. Not for: time stamps (`oncall.report.time_stamps`), or which keys
are known and revoked (`oncall.report.store`), which the commit of a version looks up in its own transaction.

What such a signature proves: that the version is, byte for byte, what this node signed when it knew the signer as
logged in. What it does not: that the person alone could make it, because the key lies on the node's disk. It is an
advanced seal of the node in the signer's name, no qualified signature (Regulation (EU) 910/2014 articles 26 and 28).

Invariants: a private key never leaves its file, which only its owner may read; a key is never overwritten; a signature
names its key by the digest of the public key, so that a name cannot be given to another key. Source: RFC 8032.
"""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from foundation.errors import Unavailable
from oncall.report.canonical import digest_of
from oncall.report.version import Signature, SignedVersion

ALGORITHM: Final = "ed25519"
NODE: Final = "node"
"""Whose key seals what no person signs: dossiers, chain anchors."""

_KEY_BYTES: Final = 32
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
# Of the digest of a public key: 80 bits, so that no second key of the same name can be found.
_KEY_NAME_DIGITS: Final = 20


class Signer(Protocol):
    """What can sign in somebody's name: files here, a service elsewhere."""

    def sign(self, key_id: str, digest: str) -> Signature:
        """Sign a digest with the present key of a holder.

        Parameters
        ----------
        key_id : str
            The holder: a person's id, or `NODE`. The signature's own ``key_id`` names the very key.
        digest : str
            SHA-256 in lower-case hexadecimal; its 64 ASCII characters are what is signed.

        Raises
        ------
        foundation.errors.Refused
            If the holder may not sign.
        foundation.errors.Unavailable
            If the key cannot be reached now; nothing was signed.
        """


class Ed25519Keys:
    """Keys in files, made when first asked for.

    Parameters
    ----------
    directory : Path
        Belongs to this alone; made with mode 0700. A key is a file of 32 bytes with mode 0600.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def sign(self, key_id: str, digest: str) -> Signature:
        """Sign a digest with the holder's present key, which is made if there is none."""
        key = self._present(key_id)
        public = key.public_key().public_bytes_raw()
        return Signature(
            algorithm=ALGORITHM, key_id=name_of(key_id, public), public_key=public, value=key.sign(digest.encode())
        )

    def public_key_of(self, key_id: str) -> bytes:
        """Return the public key of the holder's present key, which is made if there is none."""
        return self._present(key_id).public_key().public_bytes_raw()

    def public_keys_of(self, key_id: str) -> frozenset[bytes]:
        """Return every public key that a holder ever had here, retired ones too; makes none."""
        path = self._path(key_id)
        files = [path, *self._directory.glob(f"{path.stem}.*.retired")]
        return frozenset(
            Ed25519PrivateKey.from_private_bytes(file.read_bytes()).public_key().public_bytes_raw()
            for file in files
            if file.exists() and file.stat().st_size == _KEY_BYTES
        )

    def rotate(self, key_id: str) -> str:
        """Put the holder's present key aside and make a new one; return the new key's name.

        The old file is kept under its own name and never signs again; what it signed stays verifiable.
        """
        path = self._path(key_id)
        if path.exists():
            public = self._present(key_id).public_key().public_bytes_raw()
            path.rename(path.with_name(f"{path.stem}.{hashlib.sha256(public).hexdigest()[:_KEY_NAME_DIGITS]}.retired"))
            _sync(self._directory)
        return name_of(key_id, self.public_key_of(key_id))

    def _present(self, holder: str) -> Ed25519PrivateKey:
        path = self._path(holder)
        try:
            raw = self._made(path) if not path.exists() else path.read_bytes()
        except OSError as error:
            message = f"the signing keys cannot be read or made ({error.strerror}); check their directory and its owner"
            raise Unavailable(message, is_retryable=False) from error
        if len(raw) != _KEY_BYTES:
            raise Unavailable("a signing key is damaged; restore it from a backup, or rotate it", is_retryable=False)
        return Ed25519PrivateKey.from_private_bytes(raw)

    def _made(self, path: Path) -> bytes:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(Ed25519PrivateKey.generate().private_bytes_raw())
                file.flush()
                os.fsync(file.fileno())
            # A link never replaces: of two that make the first key at once, one makes it and both use it.
            with suppress(FileExistsError):
                os.link(partial, path)
        finally:
            partial.unlink()
        _sync(self._directory)
        return path.read_bytes()

    def _path(self, holder: str) -> Path:
        # Ids of people may hold what file names may not.
        plain = holder if _PLAIN.fullmatch(holder) else f"_{hashlib.sha256(holder.encode()).hexdigest()}"
        return self._directory / f"{plain}.key"


def name_of(holder: str, public_key: bytes) -> str:
    """Return the name of a key: its holder, and enough of the public key's digest that no other key has it."""
    return f"{holder}#{hashlib.sha256(public_key).hexdigest()[:_KEY_NAME_DIGITS]}"


def holder_of(signature: Signature) -> str:
    """Return whose key a signature names."""
    return signature.key_id.rpartition("#")[0]


def verify(signature: Signature, digest: str) -> bool:
    """Return whether the signature is over the digest, by the public key that it holds and that its name is of.

    Whether that key is the signer's and was not revoked is another question: `oncall.report.store.key_of`.
    """
    if signature.algorithm != ALGORITHM or signature.key_id != name_of(holder_of(signature), signature.public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(signature.public_key).verify(signature.value, digest.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def is_proved(signed: SignedVersion) -> bool:
    """Return whether a version's digest is that of its text, signed by a key of its author."""
    is_author = holder_of(signed.signature) == signed.version.author.person_id
    return is_author and digest_of(signed.version) == signed.digest and verify(signed.signature, signed.digest)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
