"""The report as plain text, for systems that show nothing else.

For: the observation of an HL7 ORU^R01 and the body of a page. Not for: HL7 escaping, which is the message's business.

Invariants: lines of at most 78 characters unless one word is longer; the first lines say what kind of report it is, of
which version and of whom; a withdrawn report says so before anything.
"""

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from oncall.language import Language
from oncall.report_documents.characters import readable
from oncall.report_documents.outline import Outline, Part, Row, Weight, outline
from oncall.report_documents.source import DocumentSource
from oncall.report_documents.texts import pair, text

LINE_CHARACTERS_MAX: Final = 78
# Spaces where no line may end: before French double punctuation and units, after a sign of comparison. Until a line is
# wrapped they are a character that no readable text has.
_GLUE: Final = "\x1f"
_BINDING: Final = re.compile(r" (?=[;:?!»%])|(?<=[<>≤≥≈±=«]) |(?<=\d) (?=(?:[mcµ]?[mLgs]|mm|HU|UH|min|h|Gy|mGy)\b)")
_RULE: Final = "-" * LINE_CHARACTERS_MAX


def plain_text(source: DocumentSource) -> str:
    """Return the report as lines divided by line feeds."""
    language = source.version.content.language
    said = outline(source)
    lines = [
        *_alarms(said),
        *_wrapped(f"{said.kind.upper()} - {said.version_line}"),
        *_wrapped(said.title),
        _RULE,
        *_rows((Row(label=text("patient", language), value=said.patient_name), *said.patient, *said.exam), language),
        _RULE,
    ]
    for notice in said.notices:
        if notice.weight is Weight.NOTE:
            lines += [*_wrapped(notice.title), *_wrapped(notice.text), ""]
    for part in said.parts:
        lines += _part(part, source)
    lines += [_RULE, *_rows(said.signature, language)]
    return "\n".join(lines) + "\n"


def _alarms(said: Outline) -> Iterable[str]:
    """Return what nobody may overlook, framed."""
    frame = "*" * LINE_CHARACTERS_MAX
    for notice in said.notices:
        if notice.weight is Weight.ALARM:
            yield from (frame, *_wrapped(f"*** {notice.title.upper()} ***"), *_wrapped(notice.text), frame)


def _part(part: Part, source: DocumentSource) -> Iterable[str]:
    """Return one version's content."""
    language = source.version.content.language
    if part.heading:
        yield from (*_wrapped(part.heading.upper()), *_wrapped(part.byline), "")
    for section in part.sections:
        yield from (section.label.upper(), *_wrapped(section.text), "")
    notes = tuple(
        Row(label=f"{text('image', language)} {number}", value=image.note or image.sop_instance_uid)
        for number, image in enumerate(part.key_images, start=1)
    )
    for key, rows in (("answers", part.answers), ("dose", part.doses), ("key_images", notes)):
        if rows:
            yield from (text(key, language).upper(), *_rows(rows, language), "")


def _rows(rows: Sequence[Row], language: Language) -> Iterable[str]:
    """Return labels with their values."""
    for row in rows:
        yield from _wrapped(pair(row.label, row.value, language), hanging=2)


def _wrapped(written: str, *, hanging: int = 0) -> Iterable[str]:
    """Return the lines of a text, each paragraph by itself."""
    for paragraph in readable(written).split("\n"):
        lines = textwrap.wrap(
            _BINDING.sub(_GLUE, paragraph),
            LINE_CHARACTERS_MAX,
            subsequent_indent=" " * hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        yield from (line.replace(_GLUE, " ") for line in lines or [""])
