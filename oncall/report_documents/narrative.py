"""The report as XHTML of the small kind that FHIR narratives allow.

Source: FHIR R4 Narrative (no scripts, styles, links or objects).
"""

from collections.abc import Sequence
from html import escape

from oncall.report_documents.characters import readable
from oncall.report_documents.outline import Outline, Part, Row


def division(*blocks: str) -> str:
    """Return blocks as a narrative."""
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{"".join(blocks)}</div>'


def narrative(said: Outline) -> str:
    """Return everything that a report says."""
    return division(
        *notices(said),
        f"<h1>{_escaped(said.title)}</h1>",
        f"<p>{_escaped(said.kind)}, {_escaped(said.version_line)}</p>",
        f"<p><b>{_escaped(said.patient_name)}</b></p>",
        table((*said.patient, *said.exam)),
        *(block for part in said.parts for block in part_blocks(part)),
        table(said.signature),
    )


def notices(said: Outline) -> list[str]:
    """Return what must be read first."""
    return [f"<p><b>{_escaped(one.title)}</b></p>{paragraphs(one.text)}" for one in said.notices]


def part_blocks(part: Part) -> list[str]:
    """Return one version's content."""
    blocks = [f"<h2>{_escaped(part.heading)}</h2><p>{_escaped(part.byline)}</p>"] if part.heading else []
    blocks += [f"<h3>{_escaped(one.label)}</h3>{paragraphs(one.text)}" for one in part.sections]
    blocks += [table(rows) for rows in (part.answers, part.doses) if rows]
    return blocks


def paragraphs(text: str) -> str:
    """Return each line as a paragraph."""
    return "".join(f"<p>{_escaped(line)}</p>" for line in text.split("\n") if line.strip())


def table(rows: Sequence[Row]) -> str:
    """Return labels and values."""
    cells = "".join(f"<tr><td>{_escaped(row.label)}</td><td>{_escaped(row.value)}</td></tr>" for row in rows)
    return f"<table><tbody>{cells}</tbody></table>"


def _escaped(text: str) -> str:
    """Return a text as XML may hold it."""
    return escape(readable(text))
