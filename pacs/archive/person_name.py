"""Person names as they are compared: folded, by component group, and by sound.

A person name (VR PN) has up to three component groups separated by ``=`` (alphabetic, ideographic, phonetic), each of
up to five components separated by ``^``. Names are compared without regard to case, accents, width of characters, extra
spaces and trailing empty components. `person_name_key` gives the folded form that the index stores; whoever changes
`fold` must have the index rebuilt.

Not for display: what is answered is always the name as received.

References
----------
PS3.5 6.2.1 (Person Name), PS3.4 C.2.2.2.1.1 (matching of PN is up to the SCP, and said in its conformance statement)
"""

import re
import unicodedata
from typing import Final

# Combining marks of the Latin, Greek and Cyrillic scripts. Those of Japanese (U+3099, U+309A) are not accents: they
# make another syllable.
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
# Letters that Unicode does not decompose, with what people type for them.
_UNDECOMPOSED: Final = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_SPACES: Final = re.compile(r"\s+")
# Between words of a name, whoever typed it: component and group delimiters, spaces, hyphens, commas, apostrophes.
_BETWEEN_PARTS: Final = re.compile(r"[\s^=,.;'’`\-‐‑]+")
# First code point of the CJK blocks: from here on a character belongs to an ideographic or phonetic group.
_FIRST_EAST_ASIAN: Final = "\u2e80"

# The sound classes of Soundex (Russell 1918). Vowels and h separate letters, they have no class of their own.
_SOUND_CLASS: Final = {
    letter: sound
    for sound, letters in {"1": "bfpv", "2": "cgjkqsxz", "3": "dt", "4": "l", "5": "mn", "6": "r"}.items()
    for letter in letters
}
# Sounds after the first; longer names hardly differ further on.
_SOUNDS_MAX: Final = 8


def fold_characters(text: str) -> str:
    """Return `text` without case, accents and differences of width, spaces as they are."""
    if text.isascii():
        return text.lower()
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold().translate(_UNDECOMPOSED)
    return unicodedata.normalize("NFKC", plain)


def fold(text: str) -> str:
    """Return `text` folded like `fold_characters`, its spaces collapsed and trimmed."""
    return _SPACES.sub(" ", fold_characters(text)).strip()


def fold_group(group: str) -> str:
    """Return one component group folded, each component trimmed, trailing empty components dropped."""
    return "^".join(fold(component) for component in group.split("^")).rstrip("^")


def person_name_key(name: str) -> str:
    """Return the form of a whole person name that the index stores and matching compares.

    >>> person_name_key("Lefèvre^Zoë^^Dr")
    'lefevre^zoe^^dr'
    >>> person_name_key("YAMADA^TAROU=山田^太郎=")
    'yamada^tarou=山田^太郎'
    """
    return "=".join(fold_group(group) for group in name.split("=")).rstrip("=")


def has_east_asian(text: str) -> bool:
    """Say whether `text` holds a character that belongs to an ideographic or phonetic component group."""
    return not text.isascii() and any(character >= _FIRST_EAST_ASIAN for character in text)


def name_parts(folded: str) -> tuple[str, ...]:
    """Return the words of a folded name, in order, from all its groups and components."""
    return tuple(part for part in _BETWEEN_PARTS.split(folded) if part)


def phonetic_key(part: str) -> str:
    """Return how a folded word sounds: words with equal keys sound alike in French or English.

    Spellings of one sound are made one (ph = f; k, q = c; c before e, i, y = s; z = s; w = v; y = i; h is silent), the
    first letter is kept, the others become their Soundex class, neighbours of one class count once. A word that is not
    in plain Latin letters sounds like itself only.

    >>> phonetic_key("katherine") == phonetic_key("catherine")
    True
    >>> phonetic_key("swain") == phonetic_key("swayne")
    True
    """
    if not (part.isascii() and part.isalpha()):
        return part
    sound = re.sub(r"c(?=[eiy])", "s", part.replace("ph", "f"))
    sound = sound.translate(str.maketrans("kqzwy", "ccsvi")).replace("h", "")
    if not sound:
        return part
    classes: list[str] = []
    previous = _SOUND_CLASS.get(sound[0], "")
    for letter in sound[1:]:
        current = _SOUND_CLASS.get(letter, "")
        if current and current != previous:
            classes.append(current)
        previous = current
    return sound[0] + "".join(classes[:_SOUNDS_MAX])
