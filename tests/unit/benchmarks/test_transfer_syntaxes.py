"""Test files in other transfer syntaxes hold the same pixels, as judged by outside decoders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import MPEG4HP41, UID, JPEGLosslessSV1

from benchmarks.studies import write_ct_study, write_multiframe
from benchmarks.transfer_syntaxes import (
    ENCAPSULATED_SYNTAXES,
    JPEG_XL_LOSSLESS,
    NATIVE_SYNTAXES,
    TRANSFER_SYNTAXES,
    with_opaque_pixels,
    with_transfer_syntax,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ct_study(tmp_path_factory.mktemp("ct"), seed=2, slices=1)[0]


def decoded(path: Path) -> NDArray[np.uint16]:
    """Decode with pydicom, or where it has no decoder with DCMTK or libjxl."""
    ds = pydicom.dcmread(path)
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax == JPEGLosslessSV1:
        native = path.with_suffix(".native.dcm")
        subprocess.run(["dcmdjpeg", path, native], check=True, capture_output=True)
        return pydicom.dcmread(native).pixel_array
    if syntax == JPEG_XL_LOSSLESS:
        frames = generate_frames(ds.PixelData, number_of_frames=1)
        return np.asarray(imagecodecs.jpegxl_decode(next(frames)))
    return ds.pixel_array


@pytest.mark.parametrize("uid", TRANSFER_SYNTAXES, ids=lambda uid: UID(uid).name)
def test_every_syntax_keeps_pixels_and_identity(original: Path, uid: str) -> None:
    path = with_transfer_syntax(original, uid)
    before, after = pydicom.dcmread(original), pydicom.dcmread(path)
    assert after.file_meta.TransferSyntaxUID == uid
    assert after.SOPInstanceUID == before.SOPInstanceUID
    assert after.PatientName == before.PatientName
    assert np.array_equal(decoded(path), before.pixel_array)


@pytest.mark.parametrize("uid", NATIVE_SYNTAXES, ids=lambda uid: UID(uid).name)
def test_dcmtk_reads_every_native_syntax(original: Path, uid: str) -> None:
    path = with_transfer_syntax(original, uid)
    native = path.with_suffix(".dcmtk.dcm")
    subprocess.run(["dcmconv", "+te", path, native], check=True, capture_output=True)
    expected = pydicom.dcmread(original).pixel_array
    assert np.array_equal(pydicom.dcmread(native).pixel_array, expected)


def test_every_frame_of_a_multiframe_object_is_encoded_for_itself(tmp_path: Path) -> None:
    original = write_multiframe(tmp_path / "capture.dcm", size_bytes=1_100_000, seed=3)
    expected = pydicom.dcmread(original).pixel_array
    for uid in ENCAPSULATED_SYNTAXES[:3]:
        path = with_transfer_syntax(original, uid)
        assert np.array_equal(pydicom.dcmread(path).pixel_array, expected)


def test_opaque_pixels_are_the_seeded_bytes_in_one_fragment(original: Path) -> None:
    path = with_opaque_pixels(original, MPEG4HP41, seed=5, size_bytes=1000)
    again = with_opaque_pixels(original, MPEG4HP41, seed=6, size_bytes=1000)
    ds = pydicom.dcmread(path)
    assert ds.file_meta.TransferSyntaxUID == MPEG4HP41
    assert len(next(generate_frames(ds.PixelData, number_of_frames=1))) == 1000
    assert pydicom.dcmread(again).SOPInstanceUID == ds.SOPInstanceUID


def test_a_syntax_without_an_encoder_is_refused(original: Path) -> None:
    with pytest.raises(ValueError, match="no encoder"):
        with_transfer_syntax(original, MPEG4HP41)
