"""Makes every document of a version that a channel sends: the one place that knows all kinds.

For: binding `oncall.report_documents` to `oncall.delivery.documents`. Not for: what a document looks like.
"""

from collections.abc import Sequence
from pathlib import Path

from oncall.delivery.documents import DocumentKind, Documents
from oncall.report_documents.dicom_header import part10
from oncall.report_documents.encapsulated import encapsulated_pdf
from oncall.report_documents.key_objects import key_objects
from oncall.report_documents.pdf import pdf
from oncall.report_documents.plain_text import plain_text
from oncall.report_documents.source import DocumentSource
from oncall.report_documents.structured_report import structured_report


def make(source: DocumentSource, *, font_directories: Sequence[Path] = ()) -> Documents:
    """Return the documents of a source; key objects only when the report names some."""
    printed = pdf(source, font_directories=font_directories)
    made = {
        DocumentKind.PDF: printed,
        DocumentKind.STRUCTURED_REPORT: part10(structured_report(source)),
        DocumentKind.ENCAPSULATED_PDF: part10(encapsulated_pdf(source, printed)),
        DocumentKind.PLAIN_TEXT: plain_text(source).encode(),
    }
    selected = key_objects(source)
    return made if selected is None else {**made, DocumentKind.KEY_OBJECTS: part10(selected)}
