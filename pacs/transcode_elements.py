"""Rewrites the elements of a data set from one of DICOM's native encodings to another, value by value.

For: Implicit and Explicit VR, little and big endian, at every depth; and putting decoded frames in the place of
encapsulated ones. Not for: decoding pixels (`pacs.transcode` passes that in) or reading what values mean.

Invariants: a value is copied byte for byte, or with its words swapped when the byte order changes; nothing is parsed
as text, so a value that breaks the standard survives. What changes: lengths of sequences and items that have one are
computed anew; group lengths (gggg,0000), retired and wrong afterwards, are left out. Nothing is copied but small
headers: the result refers to the source buffer, which must not change until it is used.

References
----------
PS3.5 7.1 (data elements), 7.5 (sequences), A.1 to A.4 (transfer syntaxes), 6.2.2 (UN), 7.3 (byte order)
"""

import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from foundation.errors import PeerError

Buffer = bytes | memoryview

# Real data sets nest less than ten deep; beyond this somebody is trying to exhaust the stack.
NESTING_DEPTH_MAX: Final = 64

UNDEFINED_LENGTH: Final = 0xFFFF_FFFF
PIXEL_DATA: Final = 0x7FE0_0010
ROWS: Final = 0x0028_0010
COLUMNS: Final = 0x0028_0011
SAMPLES_PER_PIXEL: Final = 0x0028_0002
PHOTOMETRIC_INTERPRETATION: Final = 0x0028_0004
PLANAR_CONFIGURATION: Final = 0x0028_0006
NUMBER_OF_FRAMES: Final = 0x0028_0008
BITS_ALLOCATED: Final = 0x0028_0100
BITS_STORED: Final = 0x0028_0101
PIXEL_REPRESENTATION: Final = 0x0028_0103
EXTENDED_OFFSET_TABLE: Final = 0x7FE0_0001
EXTENDED_OFFSET_TABLE_LENGTHS: Final = 0x7FE0_0002
_ENCAPSULATED_TOTAL_LENGTH: Final = 0x7FE0_0003

_ITEM: Final = 0xFFFE_E000
_ITEM_DELIMITER: Final = 0xFFFE_E00D
_SEQUENCE_DELIMITER: Final = 0xFFFE_E0DD

# What decoding frames needs to know, at the level of the Pixel Data.
_IMAGE_ATTRIBUTES: Final = frozenset(
    {
        ROWS, COLUMNS, SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, NUMBER_OF_FRAMES,
        BITS_ALLOCATED, BITS_STORED, PIXEL_REPRESENTATION, EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS,
    }
)  # fmt: skip
# They describe encapsulated frames, so they end with the encapsulation (PS3.3 C.7.6.3.1).
_ENCAPSULATION_ATTRIBUTES: Final = frozenset(
    {EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS, _ENCAPSULATED_TOTAL_LENGTH}
)
# PS3.5 Table 7.1-2: a 16 bit length. Every other VR, those yet to be invented included, has a 32 bit one.
_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_WORD_TYPES: Final = {
    b"US": "H", b"SS": "H", b"AT": "H", b"OW": "H",
    b"UL": "I", b"SL": "I", b"FL": "I", b"OL": "I", b"OF": "I",
    b"FD": "Q", b"OD": "Q", b"OV": "Q", b"SV": "Q", b"UV": "Q",
}  # fmt: skip
_SHORT_LENGTH_MAX: Final = 0xFFFF


class TranscodingImpossible(PeerError):
    """The data set cannot be sent in another transfer syntax; the message says why and holds no value of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How elements are laid out (PS3.5 7.1, 7.3)."""

    is_explicit_vr: bool
    is_little_endian: bool


IMPLICIT_LITTLE: Final = Encoding(is_explicit_vr=False, is_little_endian=True)
EXPLICIT_LITTLE: Final = Encoding(is_explicit_vr=True, is_little_endian=True)
EXPLICIT_BIG: Final = Encoding(is_explicit_vr=True, is_little_endian=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class NativePixels:
    """Frames decoded: little endian, in order, of the Bits Allocated that the data set states."""

    buffers: list[Buffer]
    photometric_interpretation: str
    # None when Samples per Pixel is 1.
    planar_configuration: int | None


# Called with the value of an encapsulated Pixel Data (offset table and fragments, without the delimiter) and the raw
# values of the image attributes beside it, little endian.
DecodePixels = Callable[[memoryview, dict[int, bytes]], NativePixels]


def convert_elements(
    source: memoryview,
    source_encoding: Encoding,
    target_encoding: Encoding,
    decode_pixels: DecodePixels | None,
) -> list[Buffer]:
    """Rewrite a data set.

    Parameters
    ----------
    source : memoryview
        The whole data set, without file meta; the result refers to it.
    source_encoding, target_encoding : Encoding
    decode_pixels : callable or None
        Decodes encapsulated Pixel Data, at the root and in icons; None when the source syntax has none.

    Returns
    -------
    list of buffers
        The data set in pieces.

    Raises
    ------
    TranscodingImpossible
        If the source is malformed or nested too deeply, or pixels cannot be decoded.
    """
    try:
        return _Converter(source, source_encoding, target_encoding, decode_pixels).convert()
    except struct.error as error:
        raise TranscodingImpossible("the data set ends inside an element") from error


def read_values(source: memoryview, encoding: Encoding, tags: frozenset[int]) -> dict[int, bytes]:
    """Read some values of a native data set, at its top level.

    Returns
    -------
    dict
        Raw values, little endian, by tag; those that are not there, and sequences, are not in it.

    Raises
    ------
    TranscodingImpossible
        If the data set is malformed, before or behind these elements.
    """
    try:
        return _Converter(source, encoding, encoding, None, recorded=tags).record()
    except struct.error as error:
        raise TranscodingImpossible("the data set ends inside an element") from error


@dataclass(slots=True)
class _Level:
    """One data set being converted: the root or an item."""

    encoding: Encoding
    depth: int
    pixel_representation: int
    # Raw little endian values of what is recorded, and where each stands in the output.
    values: dict[int, bytes] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)


class _Converter:
    def __init__(
        self,
        source: memoryview,
        source_encoding: Encoding,
        target_encoding: Encoding,
        decode_pixels: DecodePixels | None,
        *,
        recorded: frozenset[int] = _IMAGE_ATTRIBUTES,
    ) -> None:
        self._source = source
        self._recorded = recorded
        self._source_encoding = source_encoding
        self._target = target_encoding
        self._decode_pixels = decode_pixels
        self._out: list[Buffer] = []
        order = "<" if target_encoding.is_little_endian else ">"
        self._put_implicit = struct.Struct(order + "HHL").pack
        self._put_short = struct.Struct(order + "HH2sH").pack
        self._put_long = struct.Struct(order + "HH2s2xL").pack
        self._put_word = struct.Struct(order + "H").pack

    def convert(self) -> list[Buffer]:
        self.record()
        return self._out

    def record(self) -> dict[int, bytes]:
        level = _Level(self._source_encoding, 0, self._root_pixel_representation())
        self._dataset(0, len(self._source), level, is_delimited=False)
        return level.values

    def _root_pixel_representation(self) -> int:
        """Look ahead for what decides 'US or SS': some of these come before it (PS3.5 A.1)."""
        if self._source_encoding.is_explicit_vr or not self._target.is_explicit_vr:
            return 0
        position, end = 0, len(self._source)
        while position < end:
            tag, _, length, value = self._element(position, self._source_encoding)
            if tag > PIXEL_REPRESENTATION or length == UNDEFINED_LENGTH:
                break
            if tag == PIXEL_REPRESENTATION and length == 2:
                return int.from_bytes(self._source[value : value + 2], "little")
            position = value + length
        return 0

    def _element(self, position: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
        """Read an element's header: tag, VR (b'' when implicit), length, position of the value."""
        order = "<" if encoding.is_little_endian else ">"
        group, element = struct.unpack_from(order + "HH", self._source, position)
        tag = group << 16 | element
        if not encoding.is_explicit_vr or group == 0xFFFE:
            (length,) = struct.unpack_from(order + "L", self._source, position + 4)
            return tag, b"", length, position + 8
        vr = bytes(self._source[position + 4 : position + 6])
        if vr in _SHORT_VRS:
            (length,) = struct.unpack_from(order + "H", self._source, position + 6)
            return tag, vr, length, position + 8
        if not (vr.isalpha() and vr.isupper()):
            raise TranscodingImpossible("an element has no value representation")
        (length,) = struct.unpack_from(order + "L", self._source, position + 8)
        return tag, vr, length, position + 12

    def _dataset(self, position: int, end: int, level: _Level, *, is_delimited: bool) -> int:
        """Convert elements up to `end`, or to the item delimiter; return the position after them."""
        while position < end:
            tag, vr, length, value = self._element(position, level.encoding)
            if tag == _ITEM_DELIMITER and is_delimited:
                return value
            if tag >> 16 == 0xFFFE:
                raise TranscodingImpossible("an item or delimiter stands where an element should")
            if not vr:
                vr = _implied_vr(tag, length, level)
            elif vr == b"UN" and length == UNDEFINED_LENGTH:
                vr = b"SQ"
            if length == UNDEFINED_LENGTH:
                position = self._undefined_length(tag, vr, value, end, level)
                continue
            position = value + length
            if position > end:
                raise TranscodingImpossible("an element is longer than what holds it")
            if tag & 0xFFFF == 0:
                continue
            if vr == b"SQ":
                self._sequence_of_known_length(tag, value, position, level)
            else:
                self._value(tag, vr, value, position, level)
        if is_delimited:
            raise TranscodingImpossible("an item has no end")
        return position

    def _value(self, tag: int, vr: bytes, start: int, end: int, level: _Level) -> None:
        raw = self._source[start:end]
        is_swapped = level.encoding.is_little_endian != self._target.is_little_endian
        if tag in self._recorded:
            little = raw if level.encoding.is_little_endian else _swapped(raw, vr)
            level.values[tag] = bytes(little)
            level.places[tag] = len(self._out)
            if tag == PIXEL_REPRESENTATION and len(raw) == 2:
                level.pixel_representation = int.from_bytes(little, "little")
        elif tag == PIXEL_DATA and self._decode_pixels is not None and level.depth == 0:
            raise TranscodingImpossible("Pixel Data has a length although the syntax encapsulates it")
        if tag in _ENCAPSULATION_ATTRIBUTES and self._decode_pixels is not None:
            return
        # Header and value in one entry where they are short, as image attributes are: so these can be replaced.
        content = _swapped(raw, vr) if is_swapped else raw
        header = self._header(tag, vr, len(raw))
        if len(raw) <= _JOINED_BYTES_MAX:
            self._out.append(header + content)
        else:
            self._out += (header, content)

    def _header(self, tag: int, vr: bytes, length: int) -> bytes:
        group, element = tag >> 16, tag & 0xFFFF
        if not self._target.is_explicit_vr:
            return self._put_implicit(group, element, length)
        if vr not in _SHORT_VRS:
            return self._put_long(group, element, vr, length)
        if length > _SHORT_LENGTH_MAX:
            # Only from Implicit VR: UN is what the standard says for a value too long (PS3.5 6.2.2, note 2).
            return self._put_long(group, element, b"UN", length)
        return self._put_short(group, element, vr, length)

    def _undefined_length(self, tag: int, vr: bytes, value: int, end: int, level: _Level) -> int:
        if tag == PIXEL_DATA:
            return self._encapsulated_pixels(value, end, level)
        if vr != b"SQ":
            raise TranscodingImpossible("an element that is not a sequence has no length")
        encoding = level.encoding
        if encoding.is_explicit_vr and bytes(self._source[value - 8 : value - 6]) == b"UN":
            # PS3.5 6.2.2: the items inside UN are Implicit VR Little Endian whatever is around them.
            encoding = IMPLICIT_LITTLE
        self._out.append(self._header(tag, b"SQ", UNDEFINED_LENGTH))
        position = self._items(value, end, encoding, level, is_delimited=True)
        self._out.append(self._put_implicit(0xFFFE, 0xE0DD, 0))
        return position

    def _sequence_of_known_length(self, tag: int, start: int, end: int, level: _Level) -> None:
        place = len(self._out)
        self._out.append(b"")
        self._items(start, end, level.encoding, level, is_delimited=False)
        self._out[place] = self._header(tag, b"SQ", self._written_since(place + 1))

    def _written_since(self, place: int) -> int:
        written = sum(map(len, self._out[place:]))
        if written >= UNDEFINED_LENGTH:
            raise TranscodingImpossible("a sequence becomes longer than 32 bits can say")
        return written

    def _items(self, position: int, end: int, encoding: Encoding, parent: _Level, *, is_delimited: bool) -> int:
        if parent.depth >= NESTING_DEPTH_MAX:
            raise TranscodingImpossible(f"sequences nest more than {NESTING_DEPTH_MAX} deep")
        while position < end:
            tag, _, length, value = self._element(position, encoding)
            if tag == _SEQUENCE_DELIMITER and is_delimited:
                return value
            if tag != _ITEM:
                raise TranscodingImpossible("a sequence holds something that is not an item")
            level = _Level(encoding, parent.depth + 1, parent.pixel_representation)
            place = len(self._out)
            self._out.append(b"")
            if length == UNDEFINED_LENGTH:
                position = self._dataset(value, end, level, is_delimited=True)
                self._out[place] = self._put_implicit(0xFFFE, 0xE000, UNDEFINED_LENGTH)
                self._out.append(self._put_implicit(0xFFFE, 0xE00D, 0))
                continue
            position = value + length
            if position > end:
                raise TranscodingImpossible("an item is longer than its sequence")
            self._dataset(value, position, level, is_delimited=False)
            self._out[place] = self._put_implicit(0xFFFE, 0xE000, self._written_since(place + 1))
        if is_delimited:
            raise TranscodingImpossible("a sequence has no end")
        return position

    def _encapsulated_pixels(self, start: int, end: int, level: _Level) -> int:
        position = start
        while True:
            tag, _, length, value = self._element(position, EXPLICIT_LITTLE)
            if tag == _SEQUENCE_DELIMITER:
                break
            if tag != _ITEM or value + length > end:
                raise TranscodingImpossible("the fragments of the Pixel Data are broken")
            position = value + length
        if self._decode_pixels is None:
            raise TranscodingImpossible("Pixel Data is encapsulated although the syntax is native")
        pixels = self._decode_pixels(self._source[start:position], level.values)
        self._replace_image_attributes(pixels, level)
        self._put_pixels(pixels.buffers, level)
        return value

    def _put_pixels(self, buffers: list[Buffer], level: _Level) -> None:
        size = sum(map(len, buffers))
        padding = size % 2
        if size + padding >= UNDEFINED_LENGTH:
            raise TranscodingImpossible("the decoded Pixel Data is longer than 32 bits can say")
        bits_allocated = int.from_bytes(level.values.get(BITS_ALLOCATED, b""), "little")
        vr = b"OW" if bits_allocated > 8 else b"OB"
        self._out.append(self._header(PIXEL_DATA, vr, size + padding))
        if self._target.is_little_endian:
            self._out += buffers
        else:
            self._out += [_swapped(memoryview(buffer), vr) for buffer in buffers]
        if padding:
            self._out.append(b"\0")

    def _replace_image_attributes(self, pixels: NativePixels, level: _Level) -> None:
        """Say what the native pixels are (PS3.5 8.2), where the encapsulated ones were described."""
        photometric = pixels.photometric_interpretation.encode("ascii")
        photometric += b" " * (len(photometric) % 2)
        header = self._header(PHOTOMETRIC_INTERPRETATION, b"CS", len(photometric))
        place = level.places[PHOTOMETRIC_INTERPRETATION]
        self._out[place] = header + photometric
        if pixels.planar_configuration is None:
            return
        header = self._header(PLANAR_CONFIGURATION, b"US", 2)
        element = header + self._put_word(pixels.planar_configuration)
        if PLANAR_CONFIGURATION in level.places:
            self._out[level.places[PLANAR_CONFIGURATION]] = element
        else:
            self._out.insert(place + 1, element)


# A value this short is joined to its header: fewer pieces cost less to send than the copy.
_JOINED_BYTES_MAX: Final = 1024


def _swapped(value: Buffer, vr: bytes) -> bytes:
    type_code = _WORD_TYPES.get(vr)
    if type_code is None:
        return bytes(value)
    words = array(type_code)
    whole = len(value) - len(value) % words.itemsize
    words.frombytes(value[:whole])
    words.byteswap()
    return words.tobytes() + bytes(value[whole:])


def _implied_vr(tag: int, length: int, level: _Level) -> bytes:
    """Find the VR of an element of Implicit VR (PS3.5 A.1, 6.2.2)."""
    if tag == PIXEL_DATA:
        bits_allocated = int.from_bytes(level.values.get(BITS_ALLOCATED, b""), "little")
        return b"OB" if 1 < bits_allocated <= 8 else b"OW"
    if length == UNDEFINED_LENGTH:
        return b"SQ"
    vr = _dictionary_vr(tag)
    if vr == b"US or SS":
        return b"SS" if level.pixel_representation == 1 else b"US"
    return b"OW" if b" or " in vr else vr


@lru_cache(maxsize=4096)
def _dictionary_vr(tag: int) -> bytes:
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        # PS3.5 7.8.1: (gggg,0010-00FF) name the creators; all else that is private is unknown.
        return b"LO" if 0x10 <= element <= 0xFF else b"UN"
    # Here and not above: only what comes in Implicit VR needs the dictionary, and it takes a third of a second to load.
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(tag).encode("ascii")
    except KeyError:
        return b"UN"
