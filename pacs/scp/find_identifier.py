"""Reading the identifier of a query: bytes of any uncompressed or the deflated transfer syntax to keys.

Queries come from anybody, hold values that no object may (ranges, wildcards, lists) and must be read without a
warning or a guess; so this is a small strict reader instead of a data set library. Depth, size and number of elements
are bounded. Not for instances: those are never gathered in memory.

References
----------
PS3.5 7.1 (data elements), 7.5 (sequences), 6.1.2 (character sets), A.5 (deflated); PS3.4 C.4.1.1.3
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from foundation.errors import PeerError
from pacs.archive.charset import DEFAULT_REPERTOIRE, CharacterSet, parse_character_set
from pacs.archive.matching import KEY_DEPTH_MAX
from pacs.archive.query_values import Element, Item

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

# Identifier of a query, inflated: room for 16,000 UIDs; the largest in use have some hundreds.
IDENTIFIER_BYTES_MAX: Final = 1024 * 1024
# Elements of an identifier, in all its items.
ELEMENTS_MAX: Final = 4096

SPECIFIC_CHARACTER_SET: Final = 0x00080005
_ITEM: Final = 0xFFFEE000
_ITEM_DELIMITATION: Final = 0xFFFEE00D
_SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF

# VRs whose length takes four bytes after two reserved ones in explicit VR (PS3.5 7.1.2).
LONG_LENGTH_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_BYTES_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
# How the binary VRs are packed, without their byte order.
BINARY_FORMATS: Final = {
    "US": "H",
    "SS": "h",
    "UL": "L",
    "SL": "l",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
}
_KNOWN_VRS: Final = (
    LONG_LENGTH_VRS
    | BINARY_FORMATS.keys()
    | frozenset({"AE", "AS", "AT", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI"})
)


class UnreadableIdentifier(PeerError):
    """The identifier is not a data set in its transfer syntax."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identifier:
    """The keys of a query by tag, and the character set that they came in."""

    keys: Item
    character_set: CharacterSet


def decode_identifier(
    dataset: bytes,
    transfer_syntax: str,
    *,
    bytes_max: int = IDENTIFIER_BYTES_MAX,
    elements_max: int = ELEMENTS_MAX,
) -> Identifier:
    """Read an identifier, or another short data set of keys (action information) within bounds of its own.

    Raises
    ------
    UnreadableIdentifier
        If it is not a data set in this transfer syntax, or larger than a query can be.
    """
    if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        dataset = _inflate(dataset, bytes_max)
    if len(dataset) > bytes_max:
        raise UnreadableIdentifier(f"the identifier has more than {bytes_max} bytes")
    reader = _Reader(
        dataset,
        is_explicit=transfer_syntax != IMPLICIT_VR_LITTLE_ENDIAN,
        order=">" if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else "<",
        elements_max=elements_max,
    )
    raw = reader.read_elements(len(dataset), depth=0)
    character_set = _character_set(raw, DEFAULT_REPERTOIRE)
    return Identifier(keys=_decode(raw, character_set), character_set=character_set)


def _inflate(dataset: bytes, bytes_max: int) -> bytes:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(dataset, bytes_max + 1)
    except zlib.error as error:
        raise UnreadableIdentifier("the identifier is not deflated data") from error
    if not inflater.eof and len(inflated) <= bytes_max:
        raise UnreadableIdentifier("the deflated identifier ends early")
    return inflated


@dataclass(frozen=True, kw_only=True, slots=True)
class _Raw:
    """An element as read: `value` in the byte order of the transfer syntax, or items."""

    vr: str
    value: bytes
    items: tuple[dict[int, "_Raw"], ...]
    order: str


class _Reader:
    """Reads the elements of one identifier."""

    def __init__(self, data: bytes, *, is_explicit: bool, order: str, elements_max: int) -> None:
        self._data = data
        self._position = 0
        self._is_explicit = is_explicit
        self._order = order
        self._elements_max = elements_max
        self._elements_left = elements_max

    def read_elements(self, end: int, depth: int) -> dict[int, _Raw]:
        """Read elements up to `end` or an item delimitation."""
        if depth > KEY_DEPTH_MAX:
            raise UnreadableIdentifier(f"sequences nested deeper than {KEY_DEPTH_MAX}")
        elements: dict[int, _Raw] = {}
        while self._position < end:
            tag, vr, length = self._read_header(end)
            if tag == _ITEM_DELIMITATION and depth:
                return elements
            self._elements_left -= 1
            if not self._elements_left:
                raise UnreadableIdentifier(f"more than {self._elements_max} elements")
            if vr == "SQ" or length == _UNDEFINED:
                if vr not in {"SQ", "UN"}:
                    raise UnreadableIdentifier(f"VR {vr} cannot have an undefined length")
                items = self._read_items(tag, vr, length, end, depth)
                elements[tag] = _Raw(vr="SQ", value=b"", items=items, order=self._order)
            else:
                value = self._take(length, end)
                elements[tag] = _Raw(vr=vr, value=value, items=(), order=self._order)
        return elements

    def _read_items(self, tag: int, vr: str, length: int, end: int, depth: int) -> tuple[dict[int, _Raw], ...]:
        del tag
        is_explicit = self._is_explicit
        if vr == "UN":
            # PS3.5 6.2.2 note 2: a sequence of unknown VR is encoded implicitly.
            self._is_explicit = False
        items = []
        stop = end if length == _UNDEFINED else self._position + length
        if stop > end:
            raise UnreadableIdentifier("a sequence is longer than what holds it")
        while self._position < stop:
            item_tag, _, item_length = self._read_header(stop)
            if item_tag == _SEQUENCE_DELIMITATION and length == _UNDEFINED:
                break
            if item_tag != _ITEM:
                raise UnreadableIdentifier("a sequence holds something else than items")
            item_end = stop if item_length == _UNDEFINED else self._position + item_length
            if item_end > stop:
                raise UnreadableIdentifier("an item is longer than its sequence")
            items.append(self.read_elements(item_end, depth + 1))
        else:
            if length == _UNDEFINED:
                raise UnreadableIdentifier("a sequence does not end")
        self._is_explicit = is_explicit
        return tuple(items)

    def _read_header(self, end: int) -> tuple[int, str, int]:
        """Read tag, VR and length."""
        group, element = struct.unpack(self._order + "HH", self._take(4, end))
        tag = group << 16 | element
        if group == 0xFFFE:
            return tag, "", struct.unpack(self._order + "L", self._take(4, end))[0]
        if not self._is_explicit:
            length = struct.unpack(self._order + "L", self._take(4, end))[0]
            return tag, _dictionary_vr(tag), length
        vr = self._take(2, end).decode("latin-1")
        if vr not in _KNOWN_VRS:
            raise UnreadableIdentifier("an element without a known VR")
        if vr in LONG_LENGTH_VRS:
            self._take(2, end)
            return tag, vr, struct.unpack(self._order + "L", self._take(4, end))[0]
        return tag, vr, struct.unpack(self._order + "H", self._take(2, end))[0]

    def _take(self, length: int, end: int) -> bytes:
        position = self._position
        if position + length > end:
            raise UnreadableIdentifier("the identifier ends inside an element")
        self._position = position + length
        return self._data[position : position + length]


def _dictionary_vr(tag: int) -> str:
    # 'US or SS': a key is a small number, which both read the same.
    return dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "UN"


def _character_set(raw: dict[int, _Raw], inherited: CharacterSet) -> CharacterSet:
    element = raw.get(SPECIFIC_CHARACTER_SET)
    if element is None:
        return inherited
    return parse_character_set(element.value.decode("latin-1").strip(" \0"))


def _decode(raw: dict[int, _Raw], character_set: CharacterSet) -> Item:
    # Group lengths (PS3.5 7.2) are no keys.
    return {tag: _element(tag, element, character_set) for tag, element in raw.items() if tag & 0xFFFF}


def _element(tag: int, raw: _Raw, character_set: CharacterSet) -> Element:
    vr = _dictionary_vr(tag) if raw.vr == "UN" else raw.vr
    if raw.vr == "SQ":
        items = tuple(_decode(item, _character_set(item, character_set)) for item in raw.items)
        return Element(vr="SQ", items=items)
    if vr in BINARY_FORMATS:
        return Element(vr=vr, text=_numbers(raw, vr))
    if vr == "AT":
        return Element(vr=vr, text=_tags(raw))
    if vr in _BYTES_VRS or vr == "SQ":
        return Element(vr=vr)
    return Element(vr=vr, text=character_set.decode_key(raw.value, is_name=vr == "PN").strip(" \0"))


def _numbers(raw: _Raw, vr: str) -> str:
    packed = struct.Struct(raw.order + BINARY_FORMATS[vr])
    if len(raw.value) % packed.size:
        raise UnreadableIdentifier(f"the length of a value does not fit VR {vr}")
    return "\\".join(str(number) for (number,) in packed.iter_unpack(raw.value))


def _tags(raw: _Raw) -> str:
    if len(raw.value) % 4:
        raise UnreadableIdentifier("the length of a value does not fit VR AT")
    return "\\".join(f"{group:04X}{element:04X}" for group, element in struct.iter_unpack(raw.order + "HH", raw.value))
