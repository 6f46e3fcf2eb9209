"""Escape sequences in the fields of received messages, replaced.

For: text as people wrote it. Not for: escaping what goes out (`pacs.worklist.hl7.writing`).

The library `hl7` has this too, but drops whatever follows an escape character that nobody closed, repeats as often as a
message says, and writes what it does not understand into the log, with the patient's text.

Invariants: no text is lost: what is no sequence that is known stays as it was written. What comes out is never much
longer than what went in.

References
----------
HL7 2.5.1 2.7 (escape sequences), 2.7.6 (formatted text)
"""

import re
from typing import Final

LINES_MAX: Final = 10
"""Line breaks of one command for formatted text, whatever number it names."""

_FORMATTING: Final = re.compile(r"\.(?P<command>br|sp|ce|sk|fi|nf|in|ti)[+-]?(?P<count>\d{0,4})", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"X(?P<digits>([0-9A-Fa-f]{2})+)", re.ASCII)
# Highlighting on and off, and switches of character sets that a message decoded as a whole does not need.
_WITHOUT_TEXT: Final = re.compile(r"[HN]|[CM][0-9A-Fa-f]{4,6}", re.ASCII)
_BREAKS: Final = frozenset({"br", "sp", "ce"})


def unescaped(text: str, delimiters: str) -> str:
    """Return a text with its escape sequences replaced; line breaks become newlines.

    Parameters
    ----------
    delimiters : str
        Of the message: field, component, repetition, escape, subcomponent.
    """
    escape = delimiters[3]
    if escape not in text:
        return text
    meant = dict(zip("FSRET", delimiters, strict=True))
    found, *rest = text.split(escape)
    parts = [found]
    position = 0
    while position < len(rest):
        is_closed = position + 1 < len(rest)
        replaced = _replaced(rest[position], meant) if is_closed else None
        if replaced is None:
            # No sequence: the escape character is text, and the next one may begin a sequence.
            parts += [escape, rest[position]]
            position += 1
        else:
            parts += [replaced, rest[position + 1]]
            position += 2
    return "".join(parts)


def _replaced(sequence: str, meant: dict[str, str]) -> str | None:
    if sequence in meant:
        return meant[sequence]
    if (formatting := _FORMATTING.fullmatch(sequence)) is not None:
        if formatting["command"] in _BREAKS:
            return "\n" * min(max(int(formatting["count"] or 1), 1), LINES_MAX)
        return " " if formatting["command"] == "sk" else ""
    if (hexadecimal := _HEXADECIMAL.fullmatch(sequence)) is not None:
        return _of_bytes(bytes.fromhex(hexadecimal["digits"]))
    return "" if _WITHOUT_TEXT.fullmatch(sequence) else None


def _of_bytes(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("iso8859-1")
    # As raw bytes these would have been refused, or have ended the segment.
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
