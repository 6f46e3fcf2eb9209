"""Attribute lists and modification lists: the data sets of N-CREATE, N-SET, N-GET and N-ACTION.

For: bytes of a message to decoded values by tag and back, and the same values as DICOM JSON for rows and web answers.
Not for: instances, which are kept as they came, and not for what an attribute means.

Invariants: whatever a peer sends, the outcome is an `Item` or `UnreadableIdentifier`; size, number of elements and
depth are bounded. Text is Unicode. Bulk data and private attributes are left out.

References
----------
PS3.7 10.1 (DIMSE-N services); PS3.5 7, A.4, A.5; PS3.18 F.2 (DICOM JSON Model)
"""

from collections.abc import Mapping
from typing import Any, Final

from pacs.archive.charset import UTF_8, CharacterSet
from pacs.archive.query_rows import Value
from pacs.archive.query_values import SINGLE_VALUE_VRS, Element, Item, from_json
from pacs.scp.find_answer import AnswerWriter
from pacs.scp.find_identifier import SPECIFIC_CHARACTER_SET, UnreadableIdentifier, decode_identifier

__all__ = [
    "ATTRIBUTE_LIST_BYTES_MAX",
    "ELEMENTS_MAX",
    "UnreadableIdentifier",
    "decode_attribute_list",
    "encode_attribute_list",
    "from_json",
    "to_json",
]

ATTRIBUTE_LIST_BYTES_MAX: Final = 8 * 1024 * 1024
"""Longest list, inflated: a performed step that names 20,000 images is some 3 MB."""

ELEMENTS_MAX: Final = 100_000
"""Elements of a list, in all its items: four for each of 20,000 images, and room for the rest."""

_BULK_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_INTEGER_VRS: Final = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_DECIMAL_VRS: Final = frozenset({"DS", "FD", "FL"})
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def decode_attribute_list(dataset: bytes, transfer_syntax: str) -> Item:
    """Read the data set of a DIMSE-N message.

    Private attributes, bulk data, and Specific Character Set (the values are decoded) are left out. A run of bytes
    that the declared character set does not define becomes ``*``.

    Raises
    ------
    UnreadableIdentifier
        If it is not a data set in this transfer syntax, or larger than a list can be.
    """
    if not dataset:
        return {}
    read = decode_identifier(dataset, transfer_syntax, bytes_max=ATTRIBUTE_LIST_BYTES_MAX, elements_max=ELEMENTS_MAX)
    return _public(read.keys)


def _public(item: Item) -> Item:
    kept: dict[int, Element] = {}
    for tag, element in item.items():
        if tag >> 16 & 1 or tag == SPECIFIC_CHARACTER_SET or element.vr in _BULK_VRS:
            continue
        if element.items:
            element = Element(vr="SQ", items=tuple(_public(nested) for nested in element.items))
        kept[tag] = element
    return kept


def encode_attribute_list(item: Item, transfer_syntax: str, *, character_set: CharacterSet = UTF_8) -> bytes:
    """Write a data set of a DIMSE-N message; in UTF-8 when the character set lacks a code for some character."""
    fields = [(tag, item[tag].vr) for tag in sorted(item)]
    values: list[Value] = [item[tag].items if vr == "SQ" else item[tag].text for tag, vr in fields]
    return AnswerWriter(fields, (), transfer_syntax, character_set).write(values)


def to_json(item: Item) -> dict[str, Any]:
    """Return values as a DICOM JSON object; `from_json` reads it again."""
    return {f"{tag:08X}": _member(item[tag]) for tag in sorted(item)}


def _member(element: Element) -> Mapping[str, Any]:
    vr = element.vr
    if vr == "SQ":
        return {"vr": vr, "Value": [to_json(nested) for nested in element.items]} if element.items else {"vr": vr}
    if not element.text:
        return {"vr": vr}
    texts = [element.text] if vr in SINGLE_VALUE_VRS else element.text.split("\\")
    return {"vr": vr, "Value": [_json_value(vr, text) for text in texts]}


def _json_value(vr: str, text: str) -> Any:  # a JSON value is text, a number, an object or null
    if vr == "PN":
        return {group: part for group, part in zip(_NAME_GROUPS, text.split("="), strict=False) if part}
    if not text:
        return None
    try:
        if vr in _INTEGER_VRS:
            return int(text)
        # A decimal string keeps its digits as text (PS3.18 F.2.3.1): 0.10 is not 0.1.
        return float(text) if vr in _DECIMAL_VRS - {"DS"} else text
    except ValueError:
        return text
