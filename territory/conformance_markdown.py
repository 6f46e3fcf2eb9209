"""How the conformance statement is written down: tables, quantities, captions, table of contents.

For: `territory.conformance` and the modules that collect its facts. Not for: any fact.

Invariants: a cell never breaks its row, whatever text it is made from; captions and the table of contents are made
from the headings, so they cannot disagree with them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["code", "contents", "number", "numbered_captions", "seconds", "size", "table", "tag", "text"]

_KIB: Final = 1024
# Larger ones first; a quantity is shown in the largest unit that it is a whole number of.
_BYTE_UNITS: Final = ((_KIB**4, "TiB"), (_KIB**3, "GiB"), (_KIB**2, "MiB"), (_KIB, "KiB"))
_TIME_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))

_HEADING: Final = re.compile(r"^(#{2,6}) (.+)$")
_CAPTION: Final = re.compile(r"^Table: (.+)$")
# What GitHub leaves out of a heading's anchor: everything but letters, digits, spaces, hyphens and underscores.
_NOT_IN_ANCHOR: Final = re.compile(r"[^\w\- ]")
_CONTENTS_LEVEL_MAX: Final = 3
_CODE_SPAN: Final = re.compile(r"(`[^`]*`)")
_SPECIAL: Final = str.maketrans({"*": r"\*", "_": r"\_", "<": "&lt;", "[": r"\[", "]": r"\]"})


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every cell is Markdown of one line.

    Raises
    ------
    ValueError
        If a row has another number of cells than there are headings: a table with a hole says something false.
    """
    lines = [_row(headings), _row(["---"] * len(headings))]
    for cells in rows:
        if len(cells) != len(headings):
            raise ValueError(f"{len(cells)} cells under {len(headings)} headings")
        lines.append(_row(cells))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(markdown: str) -> str:
    return " ".join(markdown.split()).replace("|", r"\|")


def text(foreign: str) -> str:
    """Return text from elsewhere (a name, a comment) as Markdown that shows it as it is; code spans stay code."""
    parts = _CODE_SPAN.split(foreign)
    return "".join(part if part.startswith("`") else part.translate(_SPECIAL) for part in parts)


def code(literal: object) -> str:
    """Return a value as it is typed or sent."""
    return f"`{literal}`"


def tag(value: int) -> str:
    """Return an attribute tag, ``(gggg,eeee)``."""
    return f"({value >> 16:04X},{value & 0xFFFF:04X})"


def number(count: float) -> str:
    """Return a number with thousands separated."""
    return f"{count:,}" if isinstance(count, int) else f"{count:,g}"


def size(size_bytes: int) -> str:
    """Return a size, in a binary unit too when it is a whole number of one."""
    for unit_bytes, unit in _BYTE_UNITS:
        if size_bytes >= unit_bytes and size_bytes % unit_bytes == 0:
            return f"{number(size_bytes // unit_bytes)} {unit} ({number(size_bytes)} bytes)"
    return f"{number(size_bytes)} bytes"


def seconds(duration_s: float) -> str:
    """Return a duration, in a larger unit when it is a whole number of one."""
    for unit_s, unit in _TIME_UNITS:
        if duration_s >= 2 * unit_s and duration_s % unit_s == 0:
            return f"{number(int(duration_s // unit_s))} {unit}"
    return f"{duration_s:g} s"


def numbered_captions(markdown: str) -> str:
    """Turn lines ``Table: Title`` into numbered captions; the number begins with the label of the chapter."""
    lines, chapter, count = [], "", 0
    for line in markdown.splitlines():
        heading = _HEADING.match(line)
        if heading and len(heading[1]) == 2:
            chapter, count = heading[2].removeprefix("Annex ").split()[0].rstrip("."), 0
        caption = _CAPTION.match(line)
        if caption:
            count += 1
            line = f"**Table {chapter}-{count}. {caption[1]}**"
        lines.append(line)
    return "\n".join(lines) + "\n"


def contents(markdown: str) -> str:
    """Return a list of links to the headings of chapters and sections, as GitHub anchors them."""
    lines = []
    for line in markdown.splitlines():
        heading = _HEADING.match(line)
        if heading and len(heading[1]) <= _CONTENTS_LEVEL_MAX:
            lines.append(f"{'  ' * (len(heading[1]) - 2)}- [{heading[2]}](#{_anchor(heading[2])})")
    return "\n".join(lines)


def _anchor(heading: str) -> str:
    return _NOT_IN_ANCHOR.sub("", heading.lower()).replace(" ", "-")
