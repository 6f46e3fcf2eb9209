"""Characters that a document may hold as they are, and how the others are written.

For: one rule for every format. Not for: glyphs, which are a matter of fonts (`oncall.report_documents.typesetting`).

Invariant: nothing is left out. A character that XML, DICOM or FHIR do not allow, or that makes its neighbours read
otherwise than they are stored, is written as its code point, such as ``[U+0007]``.
Source: XML 1.0 2.2, PS3.5 6.1.3, Unicode UAX 9.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

# Overrides, embeddings and isolates of the bidirectional algorithm: "5 mm" may be shown as "mm 5".
_REORDERS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Controls, separators of lines and paragraphs, half characters, and what has no meaning (private, unassigned).
_UNREADABLE: Final = frozenset({"Cc", "Cn", "Co", "Cs", "Zl", "Zp"})


def is_readable(character: str) -> bool:
    """Say whether a character means the same to everybody; tabs and line feeds do."""
    return character in "\n\t" or (unicodedata.category(character) not in _UNREADABLE and character not in _REORDERS)


def readable(text: str, *, is_shown: Callable[[str], bool] = is_readable) -> str:
    """Return a text with line feeds only, and code points for characters that cannot be shown."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    written = {ord(one): f"[U+{ord(one):04X}]" for one in set(text) if not is_shown(one)}
    return text.translate(written) if written else text
