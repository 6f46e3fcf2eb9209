"""Whatever somebody types or an archive holds, every document is made, and its words are in it."""

from dataclasses import replace

import pydicom
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from pydicom.filebase import DicomBytesIO

from oncall.report_documents.cda import cda
from oncall.report_documents.characters import readable
from oncall.report_documents.dicom_header import part10
from oncall.report_documents.fhir import diagnostic_report
from oncall.report_documents.pdf import pdf
from oncall.report_documents.plain_text import plain_text
from oncall.report_documents.structured_report import structured_report
from tests.unit.oncall.report_documents.reports import STROKE, signed, source

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
"""Half characters, controls and unassigned ones too."""


@given(text=ANY_TEXT)
@settings(max_examples=40, deadline=None)
def test_every_format_but_pdf_holds_any_text_as_it_can_be_read(text: str) -> None:
    of = source(signed(content=replace(STROKE, results=f"<{text}>")), name=f"{text}^{text}")
    said = readable(f"<{text}>")

    written = pydicom.dcmread(DicomBytesIO(part10(structured_report(of))))
    found = next(item for item in written.ContentSequence[7].ContentSequence if item.ValueType == "TEXT")
    assert str(found.TextValue).replace("\r\n", "\n").rstrip(" ") == said.rstrip(" ")
    assert _squeezed(said) in _squeezed(plain_text(of))
    assert _squeezed(said) in _squeezed("".join(etree.fromstring(cda(of)).itertext()))
    assert _squeezed(said) in _squeezed("".join(etree.fromstring(diagnostic_report(of)["text"]["div"]).itertext()))


@given(text=ANY_TEXT)
@settings(max_examples=10, deadline=None)
def test_a_pdf_is_made_of_any_text(text: str) -> None:
    of = source(signed(content=replace(STROKE, title=text, results=text, conclusion=text)), name=f"{text}={text}")

    assert pdf(of).startswith(b"%PDF-1.7")


def _squeezed(text: str) -> str:
    """Return a text without what lays it out."""
    return "".join(text.split())
