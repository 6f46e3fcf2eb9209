"""Writing answers to queries: values of the index to data sets in the peer's transfer syntax and character set.

An answer is small and there are thousands; each is written straight from the values, element headers being prepared
once for a query. All text of one answer is in one character set: that of the request when it has a code for every
character, else UTF-8.

References
----------
PS3.4 C.4.1.1.3.2 (response identifier), PS3.5 6.1.2 (character sets), 6.2, 7.1, 7.5, A.5
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pacs.archive.charset import DEFAULT_REPERTOIRE, TEXT_VRS, UTF_8, CharacterSet, UnencodableText
from pacs.archive.query_rows import Value
from pacs.archive.query_values import Element, Item
from pacs.scp.find_identifier import (
    BINARY_FORMATS,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    LONG_LENGTH_VRS,
    SPECIFIC_CHARACTER_SET,
)

# Longest value whose length fits two bytes, even.
_SHORT_LENGTH_MAX: Final = 0xFFFE
_ITEM: Final = 0xFFFEE000


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """An element that is the same in every answer to a query."""

    tag: int
    vr: str
    text: str


class AnswerWriter:
    """Writes the answers to one query.

    Parameters
    ----------
    fields : sequence of (tag, vr)
        What the values of an answer are, in their order.
    constants : sequence of Constant
        Further elements.
    transfer_syntax : str
        Of the presentation context.
    character_set : CharacterSet
        Of the request.
    """

    def __init__(
        self,
        fields: Sequence[tuple[int, str]],
        constants: Sequence[Constant],
        transfer_syntax: str,
        character_set: CharacterSet,
    ) -> None:
        self._is_explicit = transfer_syntax != IMPLICIT_VR_LITTLE_ENDIAN
        self._order = ">" if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else "<"
        self._is_deflated = transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
        self._character_set = character_set if character_set.is_known else DEFAULT_REPERTOIRE
        # Of elements inside items, made when the first one comes: the same few stand in every answer.
        self._nested_writers: dict[tuple[int, str], Callable[[Value, CharacterSet], bytes]] = {}
        slots: list[tuple[int, int | None, Callable[[Value, CharacterSet], bytes]]] = [
            (tag, index, self._element_writer(tag, vr)) for index, (tag, vr) in enumerate(fields)
        ]
        for constant in constants:
            written = self._element_writer(constant.tag, constant.vr)(constant.text, DEFAULT_REPERTOIRE)
            slots.append((constant.tag, None, lambda _value, _set, written=written: written))  # type: ignore[misc]  # default binds the loop's value
        slots.sort(key=lambda slot: slot[0])
        # Specific Character Set comes where its tag says, and depends on the answer.
        self._before = [slot[1:] for slot in slots if slot[0] < SPECIFIC_CHARACTER_SET]
        self._after = [slot[1:] for slot in slots if slot[0] > SPECIFIC_CHARACTER_SET]
        self._write_character_set = self._element_writer(SPECIFIC_CHARACTER_SET, "CS")

    def write(self, values: Sequence[Value]) -> bytes:
        """Return one answer's data set."""
        try:
            dataset = self._write(values, self._character_set)
        except UnencodableText:
            dataset = self._write(values, UTF_8)
        if not self._is_deflated:
            return dataset
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        deflated = deflater.compress(dataset) + deflater.flush()
        return deflated + b"\0" if len(deflated) & 1 else deflated

    def _write(self, values: Sequence[Value], character_set: CharacterSet) -> bytes:
        parts = [write("" if index is None else values[index], character_set) for index, write in self._before]
        if character_set.declared:
            parts.append(self._write_character_set(character_set.declared, character_set))
        parts += [write("" if index is None else values[index], character_set) for index, write in self._after]
        return b"".join(parts)

    # --- elements --------------------------------------------------------------------------------

    def _element_writer(self, tag: int, vr: str) -> Callable[[Value, CharacterSet], bytes]:
        """Return a function that writes an element, given its value and the character set."""
        with_header = self._header_writer(tag, vr)
        if vr == "SQ":
            return lambda value, character_set: with_header(self._items(value, character_set))
        if vr in BINARY_FORMATS:
            packed = struct.Struct(self._order + BINARY_FORMATS[vr])
            return lambda value, _character_set: with_header(_pack_numbers(str(value), packed, vr))
        if vr == "AT":
            return lambda value, _character_set: with_header(self._pack_tags(str(value)))
        if vr in TEXT_VRS:
            is_name = vr == "PN"
            return lambda value, character_set: with_header(character_set.encode(str(value), is_name=is_name))
        # Other VRs have the default repertoire only (PS3.5 6.1.2.3).
        return lambda value, _character_set: with_header(str(value).encode("ascii", "replace"))

    def _header_writer(self, tag: int, vr: str) -> Callable[[bytes], bytes]:
        """Return a function that pads a value and puts the element's header before it."""
        padding = b"\0" if vr == "UI" else b" "
        tag_bytes = struct.pack(self._order + "HH", tag >> 16, tag & 0xFFFF)
        long_length = struct.Struct(self._order + "L").pack
        if not self._is_explicit or vr in LONG_LENGTH_VRS:
            start = tag_bytes + vr.encode("ascii") + b"\0\0" if self._is_explicit else tag_bytes

            def with_long_length(value: bytes) -> bytes:
                if len(value) & 1:
                    value += padding
                return start + long_length(len(value)) + value

            return with_long_length
        short_length = struct.Struct(self._order + "H").pack
        start = tag_bytes + vr.encode("ascii")

        def with_short_length(value: bytes) -> bytes:
            if len(value) & 1:
                value += padding
            if len(value) > _SHORT_LENGTH_MAX:
                # PS3.5 6.2.2 note 3: too long for its VR's length, it goes as UN.
                return tag_bytes + b"UN\0\0" + long_length(len(value)) + value
            return start + short_length(len(value)) + value

        return with_short_length

    def _items(self, value: Value, character_set: CharacterSet) -> bytes:
        if isinstance(value, str):
            return b""
        return b"".join(self._item(item, character_set) for item in value)

    def _item(self, item: Item, character_set: CharacterSet) -> bytes:
        content = b"".join(self._nested(tag, item[tag], character_set) for tag in sorted(item))
        return struct.pack(self._order + "HHL", _ITEM >> 16, _ITEM & 0xFFFF, len(content)) + content

    def _nested(self, tag: int, element: Element, character_set: CharacterSet) -> bytes:
        value: Value = element.items if element.vr == "SQ" else element.text
        write = self._nested_writers.get((tag, element.vr))
        if write is None:
            write = self._nested_writers[tag, element.vr] = self._element_writer(tag, element.vr)
        return write(value, character_set)

    def _pack_tags(self, text: str) -> bytes:
        tags = [int(tag, 16) for tag in text.split("\\") if tag]
        return b"".join(struct.pack(self._order + "HH", tag >> 16, tag & 0xFFFF) for tag in tags)


def _pack_numbers(text: str, packed: struct.Struct, vr: str) -> bytes:
    """Return binary numbers; what does not fit the VR is answered without a value."""
    try:
        if vr in {"FL", "FD"}:
            return b"".join(packed.pack(float(number)) for number in text.split("\\") if number)
        return b"".join(packed.pack(int(number)) for number in text.split("\\") if number)
    except (ValueError, struct.error, OverflowError):
        return b""
