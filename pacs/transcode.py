"""Puts a stored data set into another transfer syntax for a peer that does not accept the stored one.

For: C-MOVE, C-GET and ``telegarde send``, when passing the stored bytes through is refused. Not for: compressing (every
peer must take Implicit VR Little Endian, PS3.5 10.1, but for objects that exist only compressed) and not for storing.

Invariants: without loss: every native pixel value equals what the codec defines for the stored bytes, every other
value is copied; the SOP Instance UID stays, because the pixels stay (PS3.3 C.12.1.1). A lossy source is decompressed,
which adds no loss; Lossy Image Compression (0028,2110) and its companions stay. When it cannot be done, or not for
certain, `TranscodingImpossible` says so and nothing is sent. Codecs are imported when first needed: a worker that
never transcodes does not carry them.

References
----------
PS3.5 8.2 (encapsulated frames), 10 and Annex A (transfer syntaxes); PS3.3 C.7.6.3 (Image Pixel), C.7.6.1.1.5 (lossy)
"""

import importlib.util
import mmap
import os
import tempfile
import zlib
from collections.abc import Iterator
from typing import Final

from pacs.transcode_elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Buffer,
    Encoding,
    NativePixels,
    TranscodingImpossible,
    convert_elements,
)

__all__ = [
    "DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN",
    "EXPLICIT_VR_BIG_ENDIAN",
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "IMPLICIT_VR_LITTLE_ENDIAN",
    "TranscodingImpossible",
    "can_transcode",
    "fallback_syntaxes",
    "is_native",
    "transcode",
]

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

_NATIVE: Final = {
    EXPLICIT_VR_LITTLE_ENDIAN: EXPLICIT_LITTLE,
    IMPLICIT_VR_LITTLE_ENDIAN: IMPLICIT_LITTLE,
    EXPLICIT_VR_BIG_ENDIAN: EXPLICIT_BIG,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: EXPLICIT_LITTLE,
}
# JPEG baseline, extended, lossless, lossless SV1: one codec decodes them, and it is optional.
_JPEG: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
_DECODABLE: Final = _JPEG | {
    "1.2.840.10008.1.2.1.98",  # Encapsulated Uncompressed Explicit VR Little Endian
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless only
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless only
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.5",  # RLE lossless
}

# In memory up to here, beyond in an unlinked temporary file whose pages the system can write out: eight associations
# transcoding at once stay within the memory bound of a worker.
_IN_MEMORY_BYTES_MAX: Final = 16 * 1024 * 1024
# Deflate can expand a thousandfold; a data set beyond this is not worth the memory it takes to find out.
INFLATED_BYTES_MAX: Final = 512 * 1024 * 1024
_INFLATE_STEP_BYTES: Final = 4 * 1024 * 1024


def is_native(transfer_syntax_uid: str) -> bool:
    """Say whether pixels of this syntax are neither encapsulated nor the data set unknown to us."""
    return transfer_syntax_uid in _NATIVE


def can_transcode(source_uid: str, target_uid: str) -> bool:
    """Say whether a data set of one transfer syntax can be put into another; a particular one may still fail."""
    if target_uid not in _NATIVE:
        return False
    if source_uid in _JPEG:
        return importlib.util.find_spec("imagecodecs") is not None
    return source_uid in _NATIVE or source_uid in _DECODABLE


def fallback_syntaxes(source_uid: str) -> tuple[str, ...]:
    """Name the syntaxes to propose besides the stored one, the best first.

    Implicit VR comes last: private values lose their VR in it.
    """
    wanted = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    return tuple(uid for uid in wanted if uid != source_uid and can_transcode(source_uid, uid))


def transcode(dataset: memoryview, *, source_uid: str, target_uid: str) -> memoryview:
    """Put a data set into another transfer syntax.

    Parameters
    ----------
    dataset : memoryview
        The data set as stored, without file meta. Not kept.
    source_uid, target_uid : str
        Transfer syntaxes, for which `can_transcode` is true.

    Returns
    -------
    memoryview
        The data set in `target_uid`; owns its memory.

    Raises
    ------
    TranscodingImpossible
        If the pair is not supported, the data set is malformed or too large, or its pixels cannot be decoded
        exactly. The message holds no value of the data set.

    References
    ----------
    PS3.5 Annex A
    """
    if not can_transcode(source_uid, target_uid):
        raise TranscodingImpossible(f"no decoder or encoding from {source_uid} to {target_uid}")
    if source_uid == target_uid:
        return memoryview(bytes(dataset))
    if source_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        dataset = _inflated(dataset)
    source = _NATIVE.get(source_uid)
    target = _NATIVE[target_uid]
    pieces: list[Buffer]
    if source == target:
        pieces = [dataset]
    elif source is not None:
        pieces = convert_elements(dataset, source, target, None)
    else:
        pieces = _decompressed(dataset, source_uid, target)
    if target_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        return memoryview(_deflated(pieces))
    return _joined(pieces)


def _decompressed(dataset: memoryview, source_uid: str, target: Encoding) -> list[Buffer]:
    # Here and not above: this brings in numpy and the codecs.
    from pacs.transcode_frames import decode_frames

    def decode(encapsulated: memoryview, attributes: dict[int, bytes]) -> NativePixels:
        frames = decode_frames(source_uid, encapsulated, attributes)
        buffer = _spooled(frames.frames, frames.size_bytes)
        return NativePixels(
            buffers=[buffer],
            photometric_interpretation=frames.photometric_interpretation(),
            planar_configuration=frames.planar_configuration,
        )

    return convert_elements(dataset, EXPLICIT_LITTLE, target, decode)


def _joined(pieces: list[Buffer]) -> memoryview:
    return _spooled(pieces, sum(map(len, pieces)))


def _spooled(pieces: Iterator[Buffer] | list[Buffer], size_bytes: int) -> memoryview:
    """Put pieces together, on disk when they are large."""
    if size_bytes <= _IN_MEMORY_BYTES_MAX:
        return memoryview(b"".join(pieces))
    with tempfile.TemporaryFile(prefix="telegarde-transcode-", buffering=0) as file:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(file.fileno(), rest) :]
        # The mapping keeps the unlinked file alive; it goes when the last memoryview goes.
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _inflated(dataset: memoryview) -> memoryview:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    inflated = bytearray()
    rest: bytes | memoryview = dataset
    try:
        while not inflater.eof:
            step = inflater.decompress(rest, _INFLATE_STEP_BYTES)
            inflated += step
            rest = inflater.unconsumed_tail
            if len(inflated) > INFLATED_BYTES_MAX:
                raise TranscodingImpossible(f"the deflated data set holds more than {INFLATED_BYTES_MAX} bytes")
            if not step and not rest:
                break
    except zlib.error as error:
        raise TranscodingImpossible("the deflated data set is broken") from error
    if not inflater.eof:
        raise TranscodingImpossible("the deflated data set ends early")
    return memoryview(inflated)


def _deflated(pieces: list[Buffer]) -> bytes:
    deflater = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    deflated = b"".join([*map(deflater.compress, pieces), deflater.flush()])
    # PS3.5 A.5: padded to an even length after the end of the deflated stream.
    return deflated + b"\0" * (len(deflated) % 2)
