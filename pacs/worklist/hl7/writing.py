"""Messages as text: segments of values, escaped; a header; bytes in the character set that the header names.

For: whatever this node sends (`results_out`, `status_out`, `teleradiology`). Not for: what to say, or sending.

Invariants
----------
* A value can hold anything: separators, escapes and line breaks in it are escaped, so that it stays one value.
* What was put in is what any parser gets out; trailing empty fields and components are left out.
* The bytes are what MSH-18 says. A text that ISO 8859-15 cannot hold makes the whole message UTF-8, and it says so.

References
----------
HL7 2.5.1 2.5 (segments), 2.7 (escapes), 2.15.9 (MSH), table 0211; ANS volet Téléradiologie (MSH)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Final

Value = str | Sequence["Value"]
"""A text, or components (of a field) and subcomponents (of a component) in their order."""

VERSION: Final = "2.5.1"
COUNTRY: Final = "FRA"

_ESCAPES: Final = str.maketrans(
    {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\n": "\\.br\\", "\r": "\\.br\\"}
)
_CONTROL: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_SEPARATORS: Final = ("^", "&")


class Charset(StrEnum):
    """Table 0211: how a message is encoded (MSH-18); the two that the ANS allows."""

    UTF_8 = "UNICODE UTF-8"
    LATIN_9 = "8859/15"


_CODECS: Final[Mapping[Charset, str]] = {Charset.UTF_8: "utf-8", Charset.LATIN_9: "iso8859-15"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeated:
    """A field with repetitions, each a text or its components."""

    values: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verbatim:
    """A field as its sender wrote it, said again to the same sender; never built from anything else."""

    text: str


Field = Value | Repeated | Verbatim


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
    charset: Charset = Charset.UTF_8


def message(header: Header, segments: Sequence[str]) -> bytes:
    """Return a whole message: the header and `segments`, each ended by a carriage return."""
    text = _text(header, header.charset, segments)
    try:
        return text.encode(_CODECS[header.charset])
    except UnicodeEncodeError:
        return _text(header, Charset.UTF_8, segments).encode()


def segment(name: str, fields: Mapping[int, Field]) -> str:
    """Return a segment of numbered fields; what is empty, or not given, is left empty."""
    last = max((number for number, value in fields.items() if written(value)), default=0)
    return "|".join([name, *(written(fields.get(number, "")) for number in range(1, last + 1))])


def written(value: Field) -> str:
    """Return a field as it stands in a segment."""
    if isinstance(value, Verbatim):
        return value.text
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


def _text(header: Header, charset: Charset, segments: Sequence[str]) -> str:
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
        17: charset.value,
        20: header.profile,
    }
    # MSH-1 is the separator itself: the numbers here are one less.
    first = segment("MSH", {1: Verbatim(text="^~\\&"), **fields})
    return "".join(f"{one}\r" for one in (first, *segments))
