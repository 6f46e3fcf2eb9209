"""Text fields of the protocol: UIDs, AE titles and short names, all in the default character repertoire.

For: reading such fields whatever they hold. Not for: data sets, which have character sets of their own.

Invariants: what is read is printable ASCII, so it can be compared, logged and refused, and never mistaken for something
else; a field that holds anything else is shown escaped and matches no name or UID.

References
----------
PS3.5 6.1.2.1 (default repertoire), 6.2 (AE, UI, LO), 9.1 (UIDs)
"""

from __future__ import annotations

from typing import Final

from pacs.upper_layer.limits import UID_BYTES_MAX

__all__ = ["decode_text", "is_uid"]

_UID_CHARACTERS: Final = b"0123456789."


def decode_text(raw: bytes) -> str:
    """Read a text field, without leading spaces and without padding (spaces or NULs).

    An odd value must lead to a refusal with its proper code, never to an exception, so it is escaped.
    """
    text = raw.decode("latin-1").strip(" \0")
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")


def is_uid(raw: bytes) -> bool:
    """Whether these bytes, without padding, are made of what UIDs are made of.

    Components with leading zeros break the standard too, but real devices make them, and they identify as well as
    any other UID.
    """
    return 0 < len(raw) <= UID_BYTES_MAX and not raw.translate(None, _UID_CHARACTERS)
