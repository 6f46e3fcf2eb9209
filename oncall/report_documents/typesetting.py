"""PDF/A by Typst: a source of ours, data as JSON, the same bytes each time.

For: every PDF of the on-call engine. Not for: what a report or a monthly figure says; callers' sources lay that out.

Invariants: data reaches Typst as a JSON input and is shown as text, never read as markup; time stamps are the caller's
instant; a character that no font has, or that would change how its neighbours are read (controls, bidirectional
overrides), is written as ``[U+0007]``, never as an empty box and never left out; every font is embedded.

Source: ISO 19005-2 and 19005-3 (PDF/A), as Typst's PDF export checks them: it refuses a glyph that no font has.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import typst

from foundation.errors import Unavailable
from oncall.report_documents.characters import is_readable, readable

Standard = Literal["a-2b", "a-3b"]
"""PDF/A-3 is for documents that carry other files; everything else is PDF/A-2."""

HOUSE_STYLE: Final = """
#let data = json(bytes(sys.inputs.data))
#set document(title: data.title, author: data.author)
#set page(paper: "a4", margin: (x: 2cm, top: 1.8cm, bottom: 2cm))
#set text(lang: data.language, font: "Libertinus Serif", size: 10.5pt, hyphenate: false)
#set par(justify: false, leading: 0.6em)
// A word longer than a line may be broken, or it would leave the page.
#show regex("\\S{40}"): it => it + sym.zws
#let quiet(body) = text(size: 8.5pt, fill: luma(85), body)
"""
"""Set before every source. It defines ``data``, and ``quiet`` for small print."""

# What the fonts inside Typst have, so that ordinary text is not asked about; a test proves it against them.
_ALWAYS_THERE: Final = frozenset("\n\t") | frozenset(
    chr(code)
    for first, last in ((0x20, 0x7E), (0xA0, 0x17F), (0x386, 0x3CE), (0x2010, 0x2027), (0x2030, 0x203A))
    for code in range(first, last + 1)
    if is_readable(chr(code))
)

_PROBE: Final = b"#json(bytes(sys.inputs.data))"


def typeset(
    source: str,
    data: Mapping[str, object],
    *,
    made_at: datetime,
    font_directories: Sequence[Path] = (),
    standard: Standard = "a-2b",
) -> bytes:
    """Return a PDF/A of a Typst source, which reads ``data`` (see ``HOUSE_STYLE``).

    Parameters
    ----------
    source : str
        Typst markup of ours. Nothing of a patient or a peer may be spliced into it.
    data : Mapping[str, object]
        What JSON can hold, with ``title``, ``author`` and ``language`` (ISO 639-1), which become the document's
        metadata. A picture is a string of SVG: ``image(bytes(data.plot), format: "svg")``.
    made_at : datetime
        Aware; the document's creation date.
    font_directories : Sequence[Path]
        Where fonts are for what Typst's own lack (they have Latin, Greek and Cyrillic, no Japanese).

    Raises
    ------
    Unavailable
        Typst refused. Its words are left out, for they may quote a patient's name.
    """
    directories = tuple(font_directories)
    try:
        return typst.compile(
            (HOUSE_STYLE + source).encode(),
            format="pdf",
            font_paths=_fonts(directories),
            sys_inputs={"data": json.dumps(_shown_in(data, directories), ensure_ascii=False)},
            pdf_standards=standard,
            timestamp=int(made_at.timestamp()),
        )
    except typst.TypstError:
        raise Unavailable("a document could not be typeset: look at its source", is_retryable=False) from None


def has_glyphs(text: str, font_directories: Sequence[Path] = ()) -> bool:
    """Say whether every character of a text can be shown as it is."""
    directories = tuple(font_directories)
    return all(_is_shown(character, directories) for character in set(text) - _ALWAYS_THERE)


def shown(text: str, font_directories: Sequence[Path] = ()) -> str:
    """Return a text with each character that cannot be shown written as its code point, such as ``[U+0007]``."""
    directories = tuple(font_directories)
    return readable(text, is_shown=lambda one: one in _ALWAYS_THERE or _is_shown(one, directories))


def _shown_in(value: object, directories: tuple[Path, ...]) -> object:
    """Return a value of JSON whose texts can all be shown; keys are names of ours and stay."""
    if isinstance(value, str):
        return shown(value, directories)
    if isinstance(value, Mapping):
        return {key: _shown_in(item, directories) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown_in(item, directories) for item in value]
    return value


@lru_cache(maxsize=8)
def _fonts(directories: tuple[Path, ...]) -> typst.Fonts:
    """Return the fonts inside Typst and those of some directories; system fonts differ by machine and stay out."""
    return typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=True,
        font_paths=[str(directory) for directory in directories],
    )


@lru_cache(maxsize=65_536)
def _is_shown(character: str, directories: tuple[Path, ...]) -> bool:
    """Ask Typst whether some font has a character (about 2 ms)."""
    if not is_readable(character):
        return False
    try:
        typst.compile(
            _PROBE,
            format="pdf",
            font_paths=_fonts(directories),
            sys_inputs={"data": json.dumps(character)},
            pdf_standards="a-2b",
            timestamp=0,
        )
    except typst.TypstError:
        return False
    return True
