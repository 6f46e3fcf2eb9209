"""A dossier's PDF file: the pages with the dossier inside, sealed as a whole; and reading it again.

For: a seal over every byte of the PDF, pages included, that needs no second file; taking the dossier out. Not for: the
pages' layout (`oncall.evidence.pages`).

The pages are typeset with a keyword of 128 zeros in the document's metadata. The node signs the SHA-256 of the file as
it is then, and the signature takes the zeros' place, wherever they stand, so that no byte moves. Verifying puts the
zeros back. No signature of PDF (ISO 32000-1, 12.8): nothing may follow the end of a PDF/A, and readers would call a
key unknown that no authority vouches for.
"""

import hashlib
import re
import zlib
from base64 import b64decode
from dataclasses import replace
from typing import Final

from oncall.evidence.difference import Difference, What
from oncall.evidence.layout import FILE_BYTES_MAX
from oncall.evidence.verification import DossierUnusable, Verdict, verify
from oncall.report.signing import ALGORITHM, NODE, Signer, name_of
from oncall.report.signing import verify as verify_signature
from oncall.report.version import Signature

ATTACHMENT: Final = "dossier.json"
_PREFIX: Final = b"telegarde-seal-"
_DIGITS: Final = 128
KEYWORD: Final = (_PREFIX + b"0" * _DIGITS).decode()
"""What the pages carry as a keyword until they are sealed."""

# In the document information dictionary and in the XMP packet (ISO 19005-3, 6.6.3: both say the same).
_PLACES: Final = 2
_SEALED: Final = re.compile(rb"telegarde-seal-([0-9a-f]{128})")
_EMBEDDED: Final = re.compile(rb"<<([^<>]*(?:<<[^<>]*>>[^<>]*)*)>>\s*stream\r?\n")
_LENGTH: Final = re.compile(rb"/Length (\d{1,9})\b")


def sealed(pdf: bytes, signer: Signer) -> bytes:
    """Return a typeset PDF with the node's signature over it in its metadata."""
    assert pdf.count(KEYWORD.encode()) == _PLACES, "the pages carry the keyword twice: as information and as XMP"
    value = signer.sign(NODE, hashlib.sha256(pdf).hexdigest()).value.hex()
    return pdf.replace(KEYWORD.encode(), _PREFIX + value.encode())


def verify_file(file: bytes, *, node_keys: frozenset[bytes] = frozenset()) -> Verdict:
    """Verify a dossier's file, be it JSON or the PDF that carries it (see `oncall.evidence.verification.verify`).

    Raises
    ------
    oncall.evidence.verification.DossierUnusable
        If it is neither.
    """
    if not is_pdf(file):
        return verify(file, node_keys=node_keys)
    try:
        verdict = verify(dossier_in(file), node_keys=node_keys)
    except DossierUnusable as error:
        if _PREFIX not in file:
            raise
        damage = Difference(what=What.DAMAGED, section="pdf", name="the dossier inside the PDF", detail=str(error))
        return Verdict(differences=(damage,))
    return replace(verdict, differences=(*verdict.differences, *_pdf_differences(file, verdict)))


def is_pdf(data: bytes) -> bool:
    """Tell a PDF, also one whose beginning is damaged, from the dossier's own JSON."""
    return data.startswith(b"%PDF-") or _PREFIX in data


def dossier_in(pdf: bytes) -> bytes:
    """Return the dossier that a PDF carries.

    Raises
    ------
    oncall.evidence.verification.DossierUnusable
        If it carries none, or one that cannot be taken out.
    """
    for found in _EMBEDDED.finditer(pdf):
        if b"/EmbeddedFile" not in found[1]:
            continue
        length = _LENGTH.search(found[1])
        data = pdf[found.end() : found.end() + (int(length[1]) if length else 0)]
        if b"/FlateDecode" not in found[1]:
            return data
        try:
            return zlib.decompressobj().decompress(data, FILE_BYTES_MAX + 1)
        except zlib.error:
            raise DossierUnusable("the dossier inside this PDF is damaged and cannot be taken out") from None
    raise DossierUnusable("this PDF carries no dossier of evidence; give the file as it was made")


def _pdf_differences(pdf: bytes, verdict: Verdict) -> list[Difference]:
    """Return what is wrong with the file around the dossier, by the key of the seal inside."""
    public_key = _seal_key(verdict)
    values = set(_SEALED.findall(pdf))
    if len(values) != 1 or len(_SEALED.findall(pdf)) != _PLACES:
        return [_difference("its seal is not in its metadata as it was written")]
    value = values.pop()
    unsealed = pdf.replace(_PREFIX + value, KEYWORD.encode())
    signature = Signature(
        algorithm=ALGORITHM,
        key_id=name_of(NODE, public_key),
        public_key=public_key,
        value=bytes.fromhex(value.decode()),
    )
    if verify_signature(signature, hashlib.sha256(unsealed).hexdigest()):
        return []
    return [
        _difference(
            "it is not, byte for byte, the PDF that was sealed; rely on the dossier inside, where that is whole"
        )
    ]


def _seal_key(verdict: Verdict) -> bytes:
    try:
        assert verdict.sections is not None
        return b64decode(verdict.sections["seal"]["signature"]["public_key"])
    except (AssertionError, KeyError, TypeError, ValueError):
        return b""


def _difference(detail: str) -> Difference:
    return Difference(what=What.ALTERED, section="pdf", name="the PDF around the dossier", detail=detail)
