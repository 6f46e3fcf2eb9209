"""Specific Character Set (0008,0005): decoding what peers send and encoding what they are answered.

All character sets of PS3.3 C.12.1.1.2 are known: the single-byte ones, those with code extensions (ISO 2022 escape
sequences, also several in one value), and the three that stand alone (UTF-8, GB18030, GBK).

Not for choosing what to do about a wrong declaration on stored data sets; only `CharacterSet.decode_key` has a rule for
bytes that make no sense, because a query must never fail to match for that reason.

References
----------
PS3.3 C.12.1.1.2, PS3.5 6.1.2, Annexes H, I, J, K (examples); PS3.4 C.2.2.2 note on unsupported character sets
"""

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

# VRs that (0008,0005) applies to (PS3.5 6.1.2.3); all others use the default repertoire.
TEXT_VRS: Final = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})

_ESC: Final = 0x1B


class UndecodableText(ValueError):
    """Bytes that are not text in the character set; they are never part of the message."""


class UnencodableText(ValueError):
    """Text that the character set has no code for; it is never part of the message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _CodedSet:
    """A coded character set that an escape sequence designates.

    ``element`` is 0 for G0 (bytes below 128) and 1 for G1; ``width`` is the number of bytes of a character.
    ``codec`` reads the bytes, for a two-byte G0 set between the escape sequences that the codec itself wants.
    """

    escape: bytes
    element: int
    width: int
    codec: str


_ASCII: Final = _CodedSet(escape=b"\x1b(B", element=0, width=1, codec="ascii")
_ROMAJI: Final = _CodedSet(escape=b"\x1b(J", element=0, width=1, codec="ascii")


def _g1(final: bytes, codec: str) -> _CodedSet:
    return _CodedSet(escape=b"\x1b-" + final, element=1, width=1, codec=codec)


_LATIN_1: Final = _g1(b"A", "iso8859_1")
_KATAKANA: Final = _CodedSet(escape=b"\x1b)I", element=1, width=1, codec="shift_jis")
_JIS_X_0208: Final = _CodedSet(escape=b"\x1b$B", element=0, width=2, codec="iso2022_jp")
_JIS_X_0212: Final = _CodedSet(escape=b"\x1b$(D", element=0, width=2, codec="iso2022_jp_2")
_KS_X_1001: Final = _CodedSet(escape=b"\x1b$)C", element=1, width=2, codec="euc_kr")
_GB_2312: Final = _CodedSet(escape=b"\x1b$)A", element=1, width=2, codec="gb2312")

# By the number of the ISO registration, as in the defined terms 'ISO_IR n' and 'ISO 2022 IR n'.
_SETS: Final = MappingProxyType(
    {
        "6": (_ASCII,),
        "100": (_ASCII, _LATIN_1),
        "101": (_ASCII, _g1(b"B", "iso8859_2")),
        "109": (_ASCII, _g1(b"C", "iso8859_3")),
        "110": (_ASCII, _g1(b"D", "iso8859_4")),
        "126": (_ASCII, _g1(b"F", "iso8859_7")),
        "127": (_ASCII, _g1(b"G", "iso8859_6")),
        "138": (_ASCII, _g1(b"H", "iso8859_8")),
        "144": (_ASCII, _g1(b"L", "iso8859_5")),
        "148": (_ASCII, _g1(b"M", "iso8859_9")),
        "203": (_ASCII, _g1(b"b", "iso8859_15")),
        "166": (_ASCII, _g1(b"T", "tis_620")),
        "13": (_ROMAJI, _KATAKANA),
        "87": (_JIS_X_0208,),
        "159": (_JIS_X_0212,),
        "149": (_KS_X_1001,),
        "58": (_GB_2312,),
    }
)
_BY_ESCAPE: Final = MappingProxyType({coded.escape: coded for coded_sets in _SETS.values() for coded in coded_sets})
# A stray final escape back to Latin letters of the older JIS C 6226 edition is read like the newer one.
_ESCAPE_LENGTHS: Final = (4, 3)
# Sets that stand alone: no code extensions (PS3.3 C.12.1.1.2, table C.12-5).
_ALONE: Final = MappingProxyType({"192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"})
_TERM: Final = re.compile(r"(?:ISO[ _-]?IR|ISO[ _-]?2022[ _-]?IR|ISO[ _-]?2022)[ _-]?(\d+)|(?:ISO 2022 )?(GBK|GB18030)")

# PS3.5 6.1.2.5.3: what returns a value to its initial character sets.
_RESET_IN_TEXT: Final = frozenset(b"\\\r\n\f\t")
_RESET_IN_NAME: Final = frozenset(b"\\\r\n\f\t^=")
_NOT_ASCII_RUN: Final = re.compile(rb"(?:\x1b[\x20-\x2f]*[\x30-\x7e]|[\x80-\xff])+")


@dataclass(frozen=True, kw_only=True, slots=True)
class CharacterSet:
    """A value of Specific Character Set, ready to decode and encode.

    ``declared`` is the attribute's value as sent; ``alone`` the codec of a set that stands alone, or None; ``initial``
    the sets in force at the start of a value; ``extensions`` what escape sequences may bring in, in declared order.
    ``is_known`` is False when a term is not in the standard: then only plain ASCII can be decoded.
    """

    declared: str
    alone: str | None
    initial: tuple[_CodedSet, ...]
    extensions: tuple[_CodedSet, ...]
    is_known: bool

    def decode(self, raw: bytes, *, is_name: bool) -> str:
        """Decode one value field, with its backslashes.

        Raises
        ------
        UndecodableText
            If the bytes are not text in this character set.
        """
        if raw.isascii() and _ESC not in raw:
            return raw.decode("ascii")
        try:
            if self.alone is not None:
                return raw.decode(self.alone)
            return "".join(self._decode_runs(raw, _RESET_IN_NAME if is_name else _RESET_IN_TEXT))
        except UnicodeDecodeError:
            # The bytes are part of that exception: it must not be chained.
            raise UndecodableText("bytes that the Specific Character Set does not define") from None

    def decode_key(self, raw: bytes, *, is_name: bool) -> str:
        """Decode a query key; a run of bytes that makes no sense becomes the wildcard ``*``.

        So a key in an undeclared or unknown character set matches on its plain letters and never misses what its sender
        means (PS3.4 C.2.2.2: unrecognised characters may be treated as wildcards).
        """
        try:
            return self.decode(raw, is_name=is_name)
        except UndecodableText:
            return _NOT_ASCII_RUN.sub(b"*", raw).replace(b"\x1b", b"*").decode("ascii")

    def _decode_runs(self, raw: bytes, resets: frozenset[int]) -> list[str]:
        """Decode text with escape sequences, run by run of bytes that are under the same sets."""
        if not self.is_known:
            raise UndecodableText("an unknown Specific Character Set")
        texts: list[str] = []
        active = _Active(self.initial)
        start = position = 0
        while position < len(raw):
            byte = raw[position]
            if byte == _ESC:
                texts.append(active.decode(raw[start:position]))
                designated = _escape_at(raw, position)
                active.designate(designated)
                position += len(designated.escape)
                start = position
            elif active.g0.width == 2:
                # Any byte may be half of a character here, delimiters too: senders return to one byte before them.
                position += 2
            else:
                position += 1
                if byte in resets:
                    texts.append(active.decode(raw[start:position]))
                    active = _Active(self.initial)
                    start = position
        texts.append(active.decode(raw[start:]))
        return texts

    def encode(self, text: str, *, is_name: bool) -> bytes:
        """Encode one value field, with its backslashes; not padded.

        Raises
        ------
        UnencodableText
            If the character set has no code for some character.
        """
        if text.isascii():
            return text.encode("ascii")
        try:
            if self.alone is not None:
                return text.encode(self.alone)
            if not self.extensions and len(self.initial) == 2:
                return _encode_initial(text, self.initial[1])
        except UnicodeEncodeError:
            raise UnencodableText("characters outside the Specific Character Set") from None
        resets = _RESET_IN_NAME if is_name else _RESET_IN_TEXT
        pattern = "([" + re.escape("".join(map(chr, sorted(resets)))) + "])"
        return b"".join(self._encode_component(part) for part in re.split(pattern, text))

    def _encode_component(self, text: str) -> bytes:
        """Encode text without delimiters, beginning and ending with the initial G0 set in force."""
        encoded = bytearray()
        active = _Active(self.initial)
        for character in text:
            candidates = (active.g0, active.g1, *self.initial, *self.extensions)
            for coded in candidates:
                code = _encode_character(character, coded)
                if code is not None:
                    break
            else:
                raise UnencodableText("characters outside the Specific Character Set")
            assert coded is not None
            if coded not in (active.g0, active.g1):
                encoded += coded.escape
                active.designate(coded)
            encoded += code
        if active.g0 != self.initial[0]:
            encoded += self.initial[0].escape
        return bytes(encoded)


class _Active:
    """The sets in force while a value is read or written."""

    def __init__(self, initial: tuple[_CodedSet, ...]) -> None:
        self.g0 = initial[0]
        self.g1 = initial[1] if len(initial) > 1 else None

    def designate(self, coded: _CodedSet) -> None:
        if coded.element == 0:
            self.g0 = coded
        else:
            self.g1 = coded

    def decode(self, run: bytes) -> str:
        if run.isascii() and self.g0.width == 1:
            return run.decode("ascii")
        if self.g0.width == 2:
            return (self.g0.escape + run + _ASCII.escape).decode(self.g0.codec)
        return run.decode("ascii" if self.g1 is None else self.g1.codec)


def _escape_at(raw: bytes, position: int) -> _CodedSet:
    for length in _ESCAPE_LENGTHS:
        coded = _BY_ESCAPE.get(raw[position : position + length])
        if coded is not None:
            return coded
    raise UndecodableText("an unknown escape sequence")


def _encode_initial(text: str, coded: _CodedSet) -> bytes:
    encoded = text.encode(coded.codec)
    if len(encoded) != len(text):
        # The codec of half-width katakana knows two-byte characters, the character set does not.
        raise UnencodableText("characters outside the Specific Character Set")
    return encoded


def _encode_character(character: str, coded: _CodedSet | None) -> bytes | None:
    """Return the code of a character in one set, or None."""
    if coded is None:
        return None
    try:
        code = character.encode(coded.codec)
    except UnicodeEncodeError:
        return None
    if coded.element == 0 and coded.width == 2:
        # The codec wraps the two bytes in escape sequences, of the set that it chose.
        has_set = code.startswith(coded.escape)
        return code[len(coded.escape) : len(coded.escape) + 2] if has_set else None
    return code if len(code) == coded.width and (code[0] >= 0x80) == (coded.element == 1) else None


def parse_character_set(value: str) -> CharacterSet:
    """Read a value of (0008,0005): terms separated by backslash; '' is the default repertoire.

    Common misspellings (``ISO-IR 100``, ``ISO IR 100``) are understood. A term that is not understood makes a set that
    is not known, and decodes ASCII.
    """
    terms = [term.strip() for term in value.split("\\")]
    numbers = [_term_number(term) for term in terms]
    first = numbers[0]
    alone = _ALONE.get(first or "")
    if alone is not None:
        return CharacterSet(declared=value, alone=alone, initial=(_ASCII,), extensions=(), is_known=True)
    is_known = all(number in _SETS for number in numbers)
    coded_sets = [_SETS.get(number or "", ()) for number in numbers]
    # A two-byte set has no place as the first term: its value begins in ASCII all the same.
    initial = coded_sets[0] if coded_sets[0] and coded_sets[0][0].width == 1 else (_ASCII,)
    extensions = tuple(coded for sets in coded_sets for coded in sets if coded not in initial) if len(terms) > 1 else ()
    return CharacterSet(declared=value, alone=None, initial=initial, extensions=extensions, is_known=is_known)


def _term_number(term: str) -> str | None:
    if not term:
        return "6"
    match = _TERM.fullmatch(term.upper())
    return None if match is None else match[1] or match[2]


DEFAULT_REPERTOIRE: Final = parse_character_set("")
UTF_8: Final = parse_character_set("ISO_IR 192")
