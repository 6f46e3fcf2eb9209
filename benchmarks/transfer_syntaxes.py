"""Rewrites a DICOM file in another transfer syntax, for tests that need every encoding.

For: making test files. Not for: the archive, which has its own transcoding. Invariants: lossless;
the SOP Instance UID stays (PS3.3 C.12.1.1 asks for a new one only when pixels change); the new file
lies beside the original. Needs `imagecodecs`, a dependency of development only.

References: PS3.5 section 10 and annex A.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

#: JPEG XL Lossless (PS3.5 A.4.12); newer than pydicom's dictionary.
JPEG_XL_LOSSLESS: Final = UID("1.2.840.10008.1.2.4.110")

NATIVE_SYNTAXES: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
ENCAPSULATED_SYNTAXES: Final = (
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    HTJ2KLossless,
    JPEG_XL_LOSSLESS,
)
#: What `with_transfer_syntax` can write.
TRANSFER_SYNTAXES: Final = NATIVE_SYNTAXES + ENCAPSULATED_SYNTAXES


def with_transfer_syntax(path: Path, uid: str) -> Path:
    """Write a copy of an uncompressed little endian file in another transfer syntax.

    Parameters
    ----------
    path : Path
        An image with pixels of 16 bits, as `benchmarks.studies` writes them.
    uid : str
        One of `TRANSFER_SYNTAXES`.

    Returns
    -------
    Path
        A new file beside `path`, its name ending in the syntax's UID.

    Raises
    ------
    ValueError
        When `uid` is not one of `TRANSFER_SYNTAXES`.
    """
    if uid not in TRANSFER_SYNTAXES:
        message = f"no encoder for transfer syntax {uid}"
        raise ValueError(message)
    ds = pydicom.dcmread(path)
    if uid in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        ds.compress(UID(uid), generate_instance_uid=False)
    elif uid in ENCAPSULATED_SYNTAXES:
        _encapsulate(ds, uid, [_encoded(frame, uid) for frame in _frames(ds)])
    elif uid == ExplicitVRBigEndian:
        # pydicom swaps everything but OW pixels (PS3.5 A.3).
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    target = _beside(path, uid)
    ds.file_meta.TransferSyntaxUID = UID(uid)
    _write(
        ds,
        target,
        implicit_vr=uid == ImplicitVRLittleEndian,
        little_endian=uid != ExplicitVRBigEndian,
    )
    return target


def with_opaque_pixels(path: Path, uid: str, *, seed: int, size_bytes: int = 4096) -> Path:
    """Write a copy whose PixelData is one fragment of random bytes, under any encapsulated syntax.

    For proving that bytes are kept and passed on as they come where no encoder is at hand (MPEG,
    HEVC, lossy JPEG); the result does not decode.

    Parameters
    ----------
    path : Path
        As for `with_transfer_syntax`.
    uid : str
        Any encapsulated transfer syntax, private ones too.
    seed, size_bytes : int
        Of the random bytes; the size is even.

    Returns
    -------
    Path
        A new file beside `path`, its name ending in the syntax's UID.
    """
    ds = pydicom.dcmread(path)
    _encapsulate(ds, uid, [random.Random(seed).randbytes(size_bytes)])
    target = _beside(path, uid)
    _write(ds, target, implicit_vr=False, little_endian=True)
    return target


def _write(ds: Dataset, target: Path, *, implicit_vr: bool, little_endian: bool) -> None:
    """Write a Part 10 file; preamble and file meta information came with the original.

    Not with `Dataset.save_as`, which refuses to change the byte order; and by force, because
    pydicom refuses transfer syntaxes that are newer than its dictionary.
    """
    pydicom.dcmwrite(
        target,
        ds,
        implicit_vr=implicit_vr,
        little_endian=little_endian,
        force_encoding=True,
    )


def _beside(path: Path, uid: str) -> Path:
    return path.with_name(f"{path.stem}.{uid}.dcm")


def _frames(ds: Dataset) -> NDArray[np.uint16]:
    """Give the stored values, shape (frames, rows, columns), uint16, a view of PixelData."""
    return np.frombuffer(ds.PixelData, "<u2").reshape(-1, ds.Rows, ds.Columns)


def _encoded(frame: NDArray[np.uint16], uid: str) -> bytes:
    """Encode one frame, shape (rows, columns), without loss."""
    if uid == JPEGLosslessSV1:
        return bytes(imagecodecs.ljpeg_encode(frame, bitspersample=16))
    if uid == JPEG_XL_LOSSLESS:
        return bytes(imagecodecs.jpegxl_encode(frame, lossless=True, effort=1))
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True))


def _encapsulate(ds: Dataset, uid: str, frames: list[bytes]) -> None:
    """Replace PixelData by one fragment for each frame (PS3.5 A.4)."""
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = UID(uid)
