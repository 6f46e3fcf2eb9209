"""Which side of the body words speak of, in French and English; whole words, without case and accents.

Single letters are no words: the D of 3D is no side.

For: `side_of`. Not for: DICOM's Laterality (0020,0060), which CT and MR of emergencies rarely carry.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from oncall.priors.model import Laterality

_WORDS: Final = {
    **dict.fromkeys(("left", "gauche", "gche", "lt"), Laterality.LEFT),
    **dict.fromkeys(("right", "droit", "droite", "dte", "rt"), Laterality.RIGHT),
}
_WORD: Final = re.compile(r"[a-z]+")


def side_of(texts: Iterable[str]) -> Laterality:
    """Return the one side that texts name; UNSAID when they name none, or both."""
    named: set[Laterality] = set()
    for text in texts:
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").casefold()
        named |= {_WORDS[word] for word in _WORD.findall(plain) if word in _WORDS}
    return named.pop() if len(named) == 1 else Laterality.UNSAID
