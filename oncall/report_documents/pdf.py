"""The report as a PDF/A: four chapters on paper, the patient on every page, a withdrawn one unmistakable.

For: what an emergency department prints or opens. Not for: proof; that is the signed version, whose digest is printed.

Invariants: every page names the patient and the version; a mark goes across every page of what is preliminary or
withdrawn, above everything else on it; nothing of the report is cut, however long.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from oncall.report_documents.outline import Outline, Part, Row, outline
from oncall.report_documents.source import DocumentSource
from oncall.report_documents.texts import day, text
from oncall.report_documents.typesetting import has_glyphs, typeset

_SOURCE: Final = """
#let alarm = rgb("#b00020")
#let ink = rgb("#12355b")
#let paragraphs(body) = for line in body.split("\\n") { par(line) }
#let labelled(rows, width: 3.2cm) = grid(
  columns: (width, 1fr), column-gutter: 0.6em, row-gutter: 0.55em,
  ..rows.map(row => (text(fill: luma(90), row.label), row.value)).flatten(),
)
#let is-alarm = data.mark != ""
#set page(
  margin: (x: 2cm, top: 2.9cm, bottom: 2.2cm),
  header: {
    set text(size: 8.5pt)
    if is-alarm {
      set text(fill: white, weight: "bold")
      block(width: 100%, fill: alarm, inset: 3pt, below: 5pt, align(center, data.mark))
    }
    grid(columns: (1fr, auto), column-gutter: 1em, strong(data.running), data.version_line)
    line(length: 100%, stroke: 0.5pt + luma(150))
  },
  footer: context {
    set text(size: 8pt, fill: luma(85))
    line(length: 100%, stroke: 0.5pt + luma(150))
    grid(columns: (1fr, auto), data.footer, [#data.page #counter(page).display() / #counter(page).final().first()])
  },
  foreground: if is-alarm {
    set text(size: 84pt, weight: "bold", fill: alarm.transparentize(80%))
    place(center + horizon, rotate(-38deg, data.mark))
  },
)
#show heading: set text(fill: ink)
#show heading.where(level: 1): set text(size: 17pt)
#show heading.where(level: 2): set text(size: 12pt)
#show heading.where(level: 2): set block(above: 1.2em, below: 0.7em)
#show heading.where(level: 3): set text(size: 10.5pt)
#show heading.where(level: 3): set block(above: 1em, below: 0.65em)
#set par(spacing: 0.75em)

#grid(columns: (1fr, auto), align: (left + bottom, right + bottom), heading(level: 1, data.title),
  text(fill: if is-alarm { alarm } else { ink }, weight: "bold", data.kind))
#v(0.5em)

#for notice in data.notices {
  let colour = if notice.weight == "alarm" { alarm } else { ink }
  block(width: 100%, stroke: (left: 4pt + colour, rest: 0.6pt + colour), fill: colour.lighten(92%), inset: 8pt,
    breakable: true, {
      text(fill: colour, weight: "bold", size: 12pt, notice.title)
      paragraphs(notice.text)
    })
}

#block(width: 100%, fill: luma(244), inset: 9pt, radius: 2pt, grid(columns: (1fr, 1fr), column-gutter: 1.2em, {
    text(weight: "bold", size: 12pt, data.patient_name)
    v(-0.1em)
    labelled(data.patient, width: 2.2cm)
  }, labelled(data.exam, width: 3.3cm)))

#for part in data.parts {
  let inside = {
    if part.heading != "" {
      heading(level: 2, part.heading)
      quiet(part.byline)
    }
    let depth = if part.heading != "" { 3 } else { 2 }
    for section in part.sections {
      heading(level: depth, section.label)
      if section.is_conclusion and section.text.len() < 3000 {
        block(width: 100%, stroke: (left: 3pt + ink), inset: (left: 9pt, y: 2pt), strong(paragraphs(section.text)))
      } else { paragraphs(section.text) }
    }
    for rows in part.tables {
      heading(level: depth, rows.label)
      labelled(rows.rows, width: 6.4cm)
    }
  }
  if part.is_added { block(width: 100%, stroke: 1pt + ink, inset: 10pt, inside) } else { inside }
}

#v(0.8em)
#block(breakable: false, width: 100%, {
  line(length: 100%, stroke: 0.5pt + luma(150))
  set text(size: 8.5pt)
  labelled(data.signature, width: 4cm)
  quiet(data.rendering_note)
})
"""

_RUNNING_SEPARATOR: Final = "  ·  "


def pdf(source: DocumentSource, *, font_directories: Sequence[Path] = ()) -> bytes:
    """Return the report as PDF/A-2b, dated by its signature.

    Raises
    ------
    Unavailable
        It could not be typeset (see `oncall.report_documents.typesetting.typeset`).
    """
    said = outline(source, is_shown=partial(has_glyphs, font_directories=tuple(font_directories)))
    version = source.version
    language = version.content.language
    data: dict[str, object] = {
        "title": said.title or said.kind,
        "author": version.author.name,
        "language": language.value,
        "kind": said.kind,
        "mark": said.mark,
        "version_line": f"{said.kind}{_RUNNING_SEPARATOR}{said.version_line}",
        "running": _running(said, source),
        "footer": _RUNNING_SEPARATOR.join((str(version.case_id), said.version_line, source.signed.digest[:16])),
        "page": text("page", language),
        "notices": [{"weight": n.weight.value, "title": n.title, "text": n.text} for n in said.notices],
        "patient_name": said.patient_name,
        "patient": _rows(said.patient),
        "exam": _rows(said.exam),
        "parts": [_part(part, said, source) for part in said.parts],
        "signature": _rows(said.signature),
        "rendering_note": said.rendering_note,
    }
    return typeset(_SOURCE, data, made_at=version.signed_at, font_directories=font_directories)


def _part(part: Part, said: Outline, source: DocumentSource) -> dict[str, object]:
    """Return a part for the source: texts first, then tables that have rows."""
    language = source.version.content.language
    tables = (
        (text("answers", language), part.answers),
        (text("dose", language), part.doses),
        (text("key_images", language), _image_rows(part, source)),
    )
    return {
        "heading": part.heading,
        "byline": part.byline,
        "is_added": bool(part.heading) and part is said.parts[0],
        "sections": [
            {"label": one.label, "text": one.text, "is_conclusion": one.chapter.value == "conclusion"}
            for one in part.sections
        ],
        "tables": [{"label": label, "rows": _rows(rows)} for label, rows in tables if rows],
    }


def _running(said: Outline, source: DocumentSource) -> str:
    """Return who the patient is, for the head of every page."""
    subject = source.subject
    born = day(subject.birth_date, source.version.content.language) if subject.birth_date else ""
    return _RUNNING_SEPARATOR.join(part for part in (said.patient_name, born, subject.patient_id) if part)


def _image_rows(part: Part, source: DocumentSource) -> tuple[Row, ...]:
    """Return the key images with what they show and where to find them."""
    language = source.version.content.language
    return tuple(
        Row(
            label=f"{text('image', language)} {number}",
            value="\n".join(
                line for line in (image.note, _address(image.sop_instance_uid, image.frames, source)) if line
            ),
        )
        for number, image in enumerate(part.key_images, start=1)
    )


def _address(sop_instance_uid: str, frames: tuple[int, ...], source: DocumentSource) -> str:
    """Return where an image is."""
    if not frames:
        return sop_instance_uid
    numbers = ", ".join(str(frame) for frame in frames)
    return f"{sop_instance_uid}, {text('frames', source.version.content.language)} {numbers}"


def _rows(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return rows for the source."""
    return [{"label": row.label, "value": row.value} for row in rows]
