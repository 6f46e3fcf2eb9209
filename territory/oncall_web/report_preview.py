"""A draft as a PDF: what is written so far, with a mark across every page that nobody has signed it.

For: looking before signing. Not for: documents of signed versions (`oncall.report_documents`), from which this must be
told at a glance: it names no signer, no patient, no version and has no digest.
"""

from datetime import datetime
from typing import Final

from oncall.report.content import Chapter, ReportContent
from oncall.report.template_texts import WORDS
from oncall.report_documents.typesetting import typeset
from territory.oncall_web.texts import text

_SOURCE: Final = """
#set page(
  header: block(
    width: 100%, fill: rgb("#b3261e"), inset: 4pt, align(center, text(fill: white, weight: "bold", data.mark)),
  ),
  background: place(center + horizon, rotate(-38deg, text(size: 44pt, fill: luma(225), weight: "bold", data.mark))),
  footer: quiet(data.line),
)
= #data.title
#v(4pt)
#for chapter in data.chapters [
  == #chapter.name
  #for paragraph in chapter.paragraphs [#par(paragraph)]
]
#if data.doses != "" [== #data.dose_label
  #data.doses]
"""


def preview_pdf(content: ReportContent, line: str, made_at: datetime) -> bytes:
    """Return a draft as a PDF; `line` says of which case, without naming the patient."""
    language = content.language.value
    words = WORDS[content.language]
    doses = "; ".join(
        f"{one.quantity}{words.colon}{f'{one.value:g}'.replace('.', words.decimal_mark)} {one.unit}"
        for one in content.doses
    )
    chapters = [
        {"name": text(f"chapter.{one.value}", language), "paragraphs": content.text_of(one).split("\n")}
        for one in Chapter
    ]
    data = {
        "title": content.title,
        "author": "",
        "language": language,
        "mark": text("report.not_signed", language),
        "line": line,
        "chapters": chapters,
        "doses": doses,
        "dose_label": text("report.dose", language),
    }
    return typeset(_SOURCE, data, made_at=made_at)
