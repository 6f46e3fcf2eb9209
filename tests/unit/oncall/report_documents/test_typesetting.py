"""A PDF by Typst: PDF/A as it claims, the same bytes twice, text as typed, no glyph missing in silence."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
from pypdf import PdfReader

from foundation.errors import Unavailable
from oncall.report_documents.typesetting import _ALWAYS_THERE, Standard, has_glyphs, shown, typeset

MADE_AT = datetime(2026, 3, 28, 23, 41, 7, tzinfo=UTC)
JAPANESE = (Path("/usr/share/fonts/opentype/ipafont-gothic"),)
SOURCE = "#data.text"


def document(text: str, **options: object) -> dict[str, object]:
    """Return data with the metadata that every document has."""
    return {"title": "Compte rendu", "author": "Dr Élodie Durand", "language": "fr", "text": text, **options}


def text_of(pdf: bytes) -> str:
    """Return the text of a PDF's pages."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


@pytest.mark.parametrize(("standard", "part"), [("a-2b", "2"), ("a-3b", "3")])
def test_a_document_claims_pdf_a_with_title_author_language_and_its_instant(standard: Standard, part: str) -> None:
    made = typeset(SOURCE, document("Ωραία Élise"), made_at=MADE_AT, standard=standard)

    with pikepdf.open(io.BytesIO(made)) as pdf:
        xmp = pdf.open_metadata()
        assert (xmp["pdfaid:part"], xmp["pdfaid:conformance"]) == (part, "B")
        assert xmp["dc:title"] == "Compte rendu"
        assert xmp["dc:creator"] == ["Dr Élodie Durand"]
        assert xmp["xmp:CreateDate"].startswith("2026-03-28T23:41:07")
        assert str(pdf.Root.Lang) == "fr"
        assert str(pdf.docinfo["/CreationDate"]).startswith("D:20260328234107")


def test_every_font_of_a_document_is_embedded() -> None:
    made = typeset(SOURCE, document("Ωραία Élise 山田太郎"), made_at=MADE_AT, font_directories=JAPANESE)

    with pikepdf.open(io.BytesIO(made)) as pdf:
        descriptors = [item for item in pdf.objects if isinstance(item, pikepdf.Dictionary) and "/FontName" in item]
        assert len(descriptors) >= 2
        assert all("/FontFile2" in item or "/FontFile3" in item for item in descriptors)


def test_the_same_data_at_the_same_instant_give_the_same_bytes() -> None:
    first, again = (typeset(SOURCE, document("Élise"), made_at=MADE_AT) for _ in range(2))

    assert first == again
    assert first != typeset(SOURCE, document("Élise"), made_at=MADE_AT.replace(second=8))


def test_markup_in_a_text_is_shown_as_typed() -> None:
    typed = '#import "x.typ": * $x^2$ *gras* _it_ `code` #panic("y") @label <label> \\ // /* [a] = b'

    assert typed in text_of(typeset("#set page(width: 40cm)\n#data.text", document(typed), made_at=MADE_AT))


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        pytest.param("a\x07b", "a[U+0007]b", id="control"),
        pytest.param("5\u202e21 mm", "5[U+202E]21 mm", id="text turned around"),
        pytest.param("강", "[U+AC15]", id="no font has it"),
        pytest.param("\ud800", "[U+D800]", id="half a character"),
        pytest.param("un\r\ndeux\rtrois", "un\ndeux\ntrois", id="line ends"),
        pytest.param("Élise Ωραία œdème ≥ 5 mm ± 2 µm", "Élise Ωραία œdème ≥ 5 mm ± 2 µm", id="ordinary"),
    ],
)
def test_what_cannot_be_shown_is_written_as_its_code_point(typed: str, seen: str) -> None:
    assert shown(typed) == seen


def test_japanese_needs_a_font_and_is_shown_when_there_is_one() -> None:
    assert not has_glyphs("山田")
    assert has_glyphs("山田", JAPANESE)
    assert shown("山田^太郎", JAPANESE) == "山田^太郎"
    assert "[U+5C71]" in text_of(typeset(SOURCE, document("山田"), made_at=MADE_AT))


def test_the_characters_that_are_not_asked_about_are_in_the_fonts_inside_typst() -> None:
    typeset(SOURCE, document("".join(sorted(_ALWAYS_THERE))), made_at=MADE_AT)


def test_an_error_of_the_typesetter_does_not_quote_what_it_was_setting() -> None:
    with pytest.raises(Unavailable) as error:
        typeset("#panic(data.text)", document("Élise Dupont"), made_at=MADE_AT)

    assert "Dupont" not in str(error.value)
    assert error.value.__cause__ is None
