"""Messages as text: segments of values, escaped; a header; bytes in the character set that the header names.

For: whatever this node sends (`results_out`, `status_out`, `teleradiology`). Not for: what to say, or sending.

Invariants
----------
* A value can hold anything: separators, escapes and line breaks in it are escaped, so that it stays one value.
* What was put in is what any parser gets out; trailing empty fields and components are left out.
* The bytes are what MSH-18 says. A text that the destination's character set cannot hold makes the
  whole message UTF-8, and it says so.

References
----------
HL7 2.5.1 2.5 (segments), 2.7 (escapes), 2.15.9 (MSH), table 0211; ANS volet Téléradiologie (MSH)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from pacs.worklist.hl7 import characters

Value = str | Sequence["Value"]
"""A text, or components (of a field) and subcomponents (of a component) in their order."""

VERSION: Final = "2.5.1"
COUNTRY: Final = "FRA"

_ESCAPES: Final = str.maketrans(
    {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\n": "\\.br\\", "\r": "\\.br\\"}
)
_CONTROL: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_SEPARATORS: Final = ("^", "&")


UTF_8: Final = "UNICODE UTF-8"
"""In MSH-18 (table 0211): holds every text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeated:
    """A field with repetitions, each a text or its components."""

    values: tuple[Value, ...]


Field = Value | Repeated


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What MSH says of a message, beside what is the same for all.

    Attributes
    ----------
    message_type : tuple of str
        MSH-9: code, event, structure.
    control_id : str
        MSH-10, at most 20 characters; always the same for the same content.
    sent_at : datetime
        UTC; written as wall time of `zone` with its offset.
    profile : tuple of str
        MSH-21 as version and name of a profile; empty for none.
    processing_id : str
        MSH-11: P, T or D.
    """

    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    message_type: tuple[str, str, str]
    control_id: str
    sent_at: datetime
    zone: tzinfo = UTC
    profile: tuple[str, ...] = ()
    processing_id: str = "P"
    character_set: str = UTF_8


def message(header: Header, segments: Sequence[str]) -> bytes:
    """Return a whole message: the header and `segments`, each ended by a carriage return."""
    try:
        return characters.encode(_text(header, header.character_set, segments), header.character_set)
    except characters.NotInCharacterSet:
        return characters.encode(_text(header, UTF_8, segments), UTF_8)


def segment(name: str, fields: Mapping[int, Field]) -> str:
    """Return a segment of numbered fields; what is empty, or not given, is left empty."""
    last = max((number for number, value in fields.items() if written(value)), default=0)
    return "|".join([name, *(written(fields.get(number, "")) for number in range(1, last + 1))])


def written(value: Field) -> str:
    """Return a field as it stands in a segment."""
    if isinstance(value, Repeated):
        return "~".join(_composed(one, 0) for one in value.values).rstrip("~")
    return _composed(value, 0)


def escaped(text: str) -> str:
    """Return a text that stays one value: separators escaped, other control characters left out."""
    return text.replace("\r\n", "\n").translate(_CONTROL).translate(_ESCAPES)


def stamp(instant: datetime, zone: tzinfo) -> str:
    """Return an instant as TS: wall time of `zone` with its offset, to the second."""
    return instant.astimezone(zone).strftime("%Y%m%d%H%M%S%z")


def _composed(value: Value, depth: int) -> str:
    if isinstance(value, str):
        return escaped(value)
    separator = _SEPARATORS[depth]
    return separator.join(_composed(part, depth + 1) for part in value).rstrip(separator)


def _text(header: Header, character_set: str, segments: Sequence[str]) -> str:
    fields: dict[int, Field] = {
        2: header.sending_application,
        3: header.sending_facility,
        4: header.receiving_application,
        5: header.receiving_facility,
        6: stamp(header.sent_at, header.zone),
        8: header.message_type,
        9: header.control_id,
        10: header.processing_id,
        11: VERSION,
        16: COUNTRY,
        17: character_set,
        20: header.profile,
    }
    # MSH-1 is the separator itself: the numbers here are one less.
    first = segment("MSH", fields).replace("MSH|", "MSH|^~\\&", 1)
    return "".join(f"{one}\r" for one in (first, *segments))
