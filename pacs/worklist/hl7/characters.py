"""Character sets of HL7 messages: what MSH-18 names, as bytes and text.

For: decoding what came, and encoding what goes. Not for: the character sets of DICOM (`pacs.archive.charset`), or
escapes inside fields.

Invariant: nothing is guessed or replaced. Bytes that are not of the character set that is said are an error, and so is
text that it has no bytes for.

References
----------
HL7 2.5.1 2.15.9.18 (MSH-18), table 0211
"""

from typing import Final

from foundation.errors import PeerError

ASCII: Final = "ASCII"
"""What a message without MSH-18 is in, unless the settings know better of its sender."""

_TABLE_0211: Final = {
    "ASCII": "ascii",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "UNICODE UTF-8": "utf-8",
}
TABLE_NAMES: Final = tuple(_TABLE_0211)
"""The names of table 0211 that are taken: what can be framed by MLLP and has a codec. UTF-16 and UTF-32 cannot."""

CODECS: Final = {
    **_TABLE_0211,
    # Not in the table, and what many systems write.
    "UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "WINDOWS-1252": "cp1252",
    "ISO-8859-1": "iso8859-1",
    "ISO-8859-15": "iso8859-15",
}
"""Python's codecs by the name in MSH-18, in upper case."""


class UnknownCharacterSet(PeerError):
    """MSH-18 names a character set that is not taken here."""


class NotInCharacterSet(PeerError):
    """Bytes are not of the character set, or it has none for a text."""


def codec_of(character_set: str) -> str:
    """Return Python's codec for the name in MSH-18.

    Raises
    ------
    UnknownCharacterSet
        If it is not taken here.
    """
    codec = CODECS.get(character_set.strip().upper())
    if codec is None:
        raise UnknownCharacterSet("this character set is not taken; send UNICODE UTF-8 or 8859/1")
    return codec


def decode(content: bytes, character_set: str) -> str:
    """Return the text of a message.

    Raises
    ------
    UnknownCharacterSet, NotInCharacterSet
    """
    codec = codec_of(character_set)
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        raise NotInCharacterSet(f"byte {error.start} is not of the character set that MSH-18 names") from None


def encode(text: str, character_set: str) -> bytes:
    """Return the bytes of a message.

    Raises
    ------
    UnknownCharacterSet, NotInCharacterSet
    """
    codec = codec_of(character_set)
    try:
        return text.encode(codec)
    except UnicodeEncodeError as error:
        raise NotInCharacterSet(f"character {error.start} is not of the character set {character_set}") from None
