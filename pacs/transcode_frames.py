"""Decodes encapsulated frames into native pixels, exactly as stored.

For: `pacs.transcode`, which imports this module (and with it numpy and the codecs) when first needed. Not for:
display: no colour or window is applied.

Invariants: one frame is decoded at a time; before a codec sees a frame, the size that its codestream states is
compared with Rows and Columns, so that a few bytes cannot make it allocate gigabytes; samples have the Bits Allocated
and the sign that the data set states, else the frame is refused.

References
----------
PS3.5 8.2, A.4; PS3.3 C.7.6.3; ITU-T T.81 B.2.2 (JPEG frame header), T.87 (JPEG-LS), T.800 A.5.1 (JPEG 2000 SIZ)
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID

from pacs.transcode_elements import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    EXTENDED_OFFSET_TABLE,
    EXTENDED_OFFSET_TABLE_LENGTHS,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_REPRESENTATION,
    PLANAR_CONFIGURATION,
    ROWS,
    SAMPLES_PER_PIXEL,
    TranscodingImpossible,
)

# A native Pixel Data has a 32 bit, even length (PS3.5 7.1.2).
NATIVE_BYTES_MAX: Final = 0xFFFF_FFFE

_ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
_RLE: Final = "1.2.840.10008.1.2.5"
# Lossy JPEG: what was coded as YBR is given back as RGB, because no display expects native YBR of it.
_LOSSY_JPEG: Final = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
_JPEG: Final = _LOSSY_JPEG | {"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"}
_JPEG_2000_START: Final = b"\xff\x4f\xff\x51"
# Some writers put the codestream into a JP2 file; its boxes come first.
_JP2_BOXES_BYTES_MAX: Final = 4096
# Start of frame: C0 to CF but for tables (C4, C8, CC), and F7 of JPEG-LS.
_START_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
# What codecs raise for broken input; each has its own idea.
_CODEC_ERRORS: Final = (
    ArithmeticError, AttributeError, BufferError, EOFError, LookupError, NotImplementedError, RuntimeError,
    struct.error, TypeError, ValueError,
)  # fmt: skip


@dataclass(slots=True)
class _Outcome:
    photometric_interpretation: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedFrames:
    """Frames to come, and what they will be.

    ``frames`` decodes as it is iterated and may raise `TranscodingImpossible`; samples are little endian, colour by
    pixel. ``planar_configuration`` is None for one sample per pixel.
    """

    frames: Iterator[memoryview]
    size_bytes: int
    planar_configuration: int | None
    outcome: _Outcome

    def photometric_interpretation(self) -> str:
        """Say what the decoded samples mean; known after the last frame, because the codestream decides."""
        return self.outcome.photometric_interpretation


@dataclass(frozen=True, kw_only=True, slots=True)
class _Image:
    """The Image Pixel module of a data set (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    planar_configuration: int
    number_of_frames: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated // 8

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"<{'ui'[self.pixel_representation]}{self.bits_allocated // 8}")


def decode_frames(transfer_syntax_uid: str, encapsulated: memoryview, attributes: dict[int, bytes]) -> DecodedFrames:
    """Prepare to decode all frames of an encapsulated Pixel Data.

    Parameters
    ----------
    transfer_syntax_uid : str
        An encapsulated syntax.
    encapsulated : memoryview
        Basic Offset Table and fragments, as items (PS3.5 A.4).
    attributes : dict
        Raw little endian values of the Image Pixel module by tag.

    Raises
    ------
    TranscodingImpossible
        If the module is incomplete or says something no native Pixel Data can be.
    """
    image = _image(attributes)
    size_bytes = image.frame_bytes * image.number_of_frames
    if size_bytes > NATIVE_BYTES_MAX:
        raise TranscodingImpossible("the decoded Pixel Data is longer than 32 bits can say")
    value = bytes(encapsulated)
    offsets = None
    if EXTENDED_OFFSET_TABLE in attributes and EXTENDED_OFFSET_TABLE_LENGTHS in attributes:
        offsets = (attributes[EXTENDED_OFFSET_TABLE], attributes[EXTENDED_OFFSET_TABLE_LENGTHS])
    outcome = _Outcome(image.photometric_interpretation)
    if transfer_syntax_uid == _ENCAPSULATED_UNCOMPRESSED:
        frames = _uncompressed(value, image, offsets)
        planar_configuration = image.planar_configuration
    else:
        frames = _decoded(transfer_syntax_uid, value, image, offsets, outcome)
        planar_configuration = 0
    return DecodedFrames(
        frames=_translating_errors(frames),
        size_bytes=size_bytes,
        planar_configuration=None if image.samples_per_pixel == 1 else planar_configuration,
        outcome=outcome,
    )


def _image(attributes: dict[int, bytes]) -> _Image:
    def number(tag: int) -> int:
        raw = attributes.get(tag, b"")
        if len(raw) != 2:
            raise TranscodingImpossible("the Image Pixel module is incomplete")
        return int.from_bytes(raw, "little")

    frames_text = attributes.get(NUMBER_OF_FRAMES, b"").strip(b" \0")
    if frames_text and not frames_text.isdigit():
        raise TranscodingImpossible("Number of Frames is not a number")
    photometric = attributes.get(PHOTOMETRIC_INTERPRETATION, b"").strip(b" \0")
    if not photometric:
        raise TranscodingImpossible("the Image Pixel module is incomplete")
    image = _Image(
        rows=number(ROWS),
        columns=number(COLUMNS),
        samples_per_pixel=number(SAMPLES_PER_PIXEL),
        photometric_interpretation=photometric.decode("ascii", "replace"),
        planar_configuration=number(PLANAR_CONFIGURATION) if PLANAR_CONFIGURATION in attributes else 0,
        number_of_frames=int(frames_text or b"1"),
        bits_allocated=number(BITS_ALLOCATED),
        bits_stored=number(BITS_STORED),
        pixel_representation=number(PIXEL_REPRESENTATION),
    )
    is_possible = (
        image.bits_allocated in {8, 16, 32}
        and 0 < image.bits_stored <= image.bits_allocated
        and image.samples_per_pixel in {1, 3}
        and image.pixel_representation in {0, 1}
        and image.planar_configuration in {0, 1}
        and image.rows > 0
        and image.columns > 0
        and image.number_of_frames > 0
    )
    if not is_possible:
        raise TranscodingImpossible("the Image Pixel module says what encapsulated frames cannot be")
    return image


def _translating_errors(frames: Iterator[memoryview]) -> Iterator[memoryview]:
    try:
        yield from frames
    except _CODEC_ERRORS as error:
        # The codec's own words may quote the data set; they stay in the chain and out of the message.
        raise TranscodingImpossible(f"a frame cannot be decoded ({type(error).__name__})") from error


def _uncompressed(value: bytes, image: _Image, offsets: tuple[bytes, bytes] | None) -> Iterator[memoryview]:
    count = image.number_of_frames
    for frame in _frames(value, count, offsets):
        # A frame of odd length is padded (PS3.5 A.4.11).
        if len(frame) not in {image.frame_bytes, image.frame_bytes + image.frame_bytes % 2}:
            raise TranscodingImpossible("an uncompressed frame has the wrong length")
        yield memoryview(frame)[: image.frame_bytes]


def _decoded(
    transfer_syntax_uid: str,
    value: bytes,
    image: _Image,
    offsets: tuple[bytes, bytes] | None,
    outcome: _Outcome,
) -> Iterator[memoryview]:
    if transfer_syntax_uid != _RLE:
        for frame in _frames(value, image.number_of_frames, offsets):
            if _codestream_size(frame) != (image.rows, image.columns):
                raise TranscodingImpossible("a frame is not of the size that the data set states")
    decoded = _decoder(transfer_syntax_uid).iter_array(
        value,
        as_rgb=transfer_syntax_uid in _LOSSY_JPEG,
        allow_excess_frames=False,
        extended_offsets=offsets,
        rows=image.rows,
        columns=image.columns,
        samples_per_pixel=image.samples_per_pixel,
        photometric_interpretation=image.photometric_interpretation,
        # What decoders give, unless they say otherwise; the data set speaks of the encoded frames at most.
        planar_configuration=0,
        number_of_frames=image.number_of_frames,
        bits_allocated=image.bits_allocated,
        bits_stored=image.bits_stored,
        pixel_representation=image.pixel_representation,
        pixel_keyword="PixelData",
    )
    photometric = ""
    for array, properties in decoded:
        if array.dtype.itemsize > image.dtype.itemsize or array.size * image.dtype.itemsize != image.frame_bytes:
            raise TranscodingImpossible("a decoded frame does not fit the Image Pixel module")
        previous, photometric = photometric, _native_photometric(str(properties["photometric_interpretation"]))
        if previous not in {"", photometric}:
            raise TranscodingImpossible("the frames do not agree on their colours")
        outcome.photometric_interpretation = photometric
        samples = np.ascontiguousarray(array, dtype=image.dtype)
        yield samples.reshape(-1).view(np.uint8).data


def _frames(value: bytes, count: int, offsets: tuple[bytes, bytes] | None) -> Iterator[bytes]:
    found = 0
    for frame in generate_frames(value, number_of_frames=count, extended_offsets=offsets):
        if found == count:
            return
        found += 1
        yield frame
    if found != count:
        raise TranscodingImpossible("there are fewer frames than Number of Frames says")


def _native_photometric(decoded: str) -> str:
    # Decoders give every pixel its own colour, so nothing is subsampled any more.
    return "YBR_FULL" if decoded.startswith("YBR_FULL") else decoded


def _decoder(transfer_syntax_uid: str) -> Decoder:
    uid = UID(transfer_syntax_uid)
    if transfer_syntax_uid not in _JPEG:
        return get_decoder(uid)
    # A decoder object of our own, so that pydicom's shared ones are left as they are.
    decoder = Decoder(uid)
    decoder.add_plugin("imagecodecs", ("pacs.transcode_jpeg", "decode_frame"))
    return decoder


def _codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Read (rows, columns) from a JPEG, JPEG-LS or JPEG 2000 codestream; None when it has no such header."""
    start = frame.find(_JPEG_2000_START, 0, _JP2_BOXES_BYTES_MAX)
    if start >= 0 and not frame.startswith(b"\xff\xd8"):
        right, bottom, left, top = struct.unpack_from(">4L", frame, start + 8)
        return bottom - top, right - left
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _START_OF_FRAME:
            rows, columns = struct.unpack_from(">HH", frame, position + 5)
            return rows, columns
        position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None
