"""DICOM person names as people write them.

For: turning PN (PS3.5 6.2.1.2: groups by ``=``, components by ``^``) into lines of a document, and a plain name of a
professional into PN. Not for: comparing identities.
"""

from collections.abc import Callable
from typing import Final

_FAMILY, _GIVEN, _MIDDLE, _PREFIX, _SUFFIX = range(5)
GROUP_CHARACTERS_MAX: Final = 64
"""Of one group of a PN (PS3.5 6.2)."""

_TITLES: Final = frozenset({"dr", "dr.", "pr", "pr.", "prof", "prof.", "mme", "m.", "mr", "mrs", "ms"})


def groups(name: str) -> tuple[str, str, str]:
    """Return the alphabetic, ideographic and phonetic group of a PN; empty for those that it lacks."""
    alphabetic, ideographic, phonetic, *_ = (*name.split("="), "", "", "")
    return alphabetic.strip(), ideographic.strip(), phonetic.strip()


def components(group: str) -> tuple[str, str, str, str, str]:
    """Return family, given, middle, prefix and suffix of a group."""
    family, given, middle, prefix, suffix, *_ = (*(part.strip() for part in group.split("^")), "", "", "", "", "")
    return family, given, middle, prefix, suffix


def displayed(name: str, *, is_shown: Callable[[str], bool] = lambda _text: True) -> tuple[str, bool]:
    """Return a name as one line, and whether it is whole.

    A group of another script follows in brackets when ``is_shown`` says that it can be shown. The alphabetic group is
    always there; a name that has none begins with the next.
    """
    lines = [_line(group) for group in groups(name) if group.strip("^ ")]
    if not lines:
        return "", True
    first, *others = lines
    shown = [line for line in others if is_shown(line)]
    return first + "".join(f" ({line})" for line in shown), len(shown) == len(others)


def as_pn(plain_name: str) -> str:
    """Return a professional's plain name ("Dr Anne-Lise Martin") as a PN.

    A name that has components already is kept. Otherwise the last word is taken for the family name, which is a guess
    that only the order of components depends on, and a title at the front is the prefix; a name too long is cut.
    """
    if "^" in plain_name:
        return "".join(" " if character == "\\" or ord(character) < 0x20 else character for character in plain_name)
    words = "".join(" " if character in "\\=" or ord(character) < 0x20 else character for character in plain_name)
    prefix: list[str] = []
    rest = words.split()
    while len(rest) > 1 and rest[0].lower() in _TITLES:
        prefix.append(rest.pop(0))
    if not rest:
        return ""
    family, given = rest[-1], " ".join(rest[:-1])
    written = f"{family}^{given}^^{' '.join(prefix)}" if prefix else f"{family}^{given}" if given else family
    return written[:GROUP_CHARACTERS_MAX].rstrip("^ ")


def _line(group: str) -> str:
    """Return a group on one line: prefix, family, given, middle, suffix."""
    family, given, middle, prefix, suffix = components(group)
    return " ".join(part for part in (prefix, family, given, middle, suffix) if part)
