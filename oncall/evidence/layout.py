"""The one text of a dossier file: JSON in ASCII, a section or an item on each line, so that damage can be placed.

For: bytes that are equal whenever dossiers are, and the way back; where in a damaged file the damage is. Not for: what
sections mean (`oncall.evidence.dossier`).

ASCII (everything else is escaped), because such a file comes through mail, gateways and PDF attachments as it is. A
file whose bytes are not exactly those that its content is written as is damaged, even when it can be read.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from oncall.strict_json import DocumentInvalid, parse

FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of a dossier: a case of a thousand events and ten versions of the longest report has a tenth of it."""

_SECTION: Final = re.compile(rb'^"([^"]{1,40})":')
_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


class FileDamaged(Exception):
    """A file is not, byte for byte, what a dossier is written as.

    Parameters
    ----------
    offset : int
        Of the first byte that is wrong, from 0.
    place : str
        The section or item that it is in.
    reason : str
        What is wrong.
    """

    def __init__(self, offset: int, place: str, reason: str) -> None:
        super().__init__(f"byte {offset}, in {place}: {reason}")
        self.offset = offset
        self.place = place
        self.reason = reason


def to_bytes(sections: Mapping[str, Any]) -> bytes:
    """Return the file of sections, in their order."""
    parts = []
    for name, section in sections.items():
        if isinstance(section, list) and section:
            items = ",\n".join(_ENCODE(item) for item in section)
            parts.append(f'"{name}":[\n{items}\n]')
        else:
            parts.append(f'"{name}":{_ENCODE(section)}')
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode("ascii")


def from_bytes(data: bytes) -> dict[str, Any]:
    """Return the sections of a file.

    Raises
    ------
    FileDamaged
        If it is no JSON, has a key twice, or is not the text that its content is written as.
    """
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise _damaged(data, error.start, "a byte that no dossier has") from None
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise _damaged(data, min(error.pos, max(len(data) - 1, 0)), "no JSON from here on") from None
    except (RecursionError, ValueError):
        raise FileDamaged(0, "the whole file", "no JSON that a dossier can hold") from None
    try:
        sections = parse(text).raw
    except DocumentInvalid:
        sections = _first_of_each(text)
    if not isinstance(sections, dict):
        raise FileDamaged(0, "the whole file", "no object")
    try:
        written = to_bytes(sections)
    except (ValueError, RecursionError):
        raise FileDamaged(0, "the whole file", "no content that a dossier can hold") from None
    if written != data:
        raise _damaged(data, _first_difference(written, data), "not written as dossiers are")
    return sections


def place_of(data: bytes, offset: int) -> str:
    """Return the section, or the item of a section, that a byte of a file is in."""
    section, item, is_list = "the beginning of the file", 0, False
    line_end = data.find(b"\n", offset)
    for line in data[: line_end if line_end >= 0 else len(data)].split(b"\n"):
        found = _SECTION.match(line)
        if found:
            section, item, is_list = found[1].decode(errors="replace"), 0, line.endswith(b":[")
        elif line.startswith(b"]"):
            is_list = False
        elif is_list:
            item += 1
    return f"{section}, item {item}" if is_list and item else section


def _first_of_each(text: str) -> Any:
    """Return what a text with a key twice would be without the second: it is written differently, which is found."""
    return json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))


def _damaged(data: bytes, offset: int, reason: str) -> FileDamaged:
    return FileDamaged(offset, place_of(data, offset), reason)


def _first_difference(one: bytes, other: bytes) -> int:
    if one[: len(other)] == other or other[: len(one)] == one:
        return min(len(one), len(other))
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low
