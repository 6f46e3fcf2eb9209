"""The report as PDF/A: what is on its pages, for every kind of version and every script."""

import io
from dataclasses import replace
from pathlib import Path

import pikepdf
import pytest

from oncall.report.version import VersionKind
from oncall.report_documents.pdf import pdf
from tests.unit.oncall.report_documents.judges import inked, words_of
from tests.unit.oncall.report_documents.reports import (
    NAMES,
    SIGNED_AT,
    STROKE,
    VARIANTS,
    empty,
    signed,
    source,
)

JAPANESE = (Path("/usr/share/fonts/opentype/ipafont-gothic"),)
SENTENCE = "Foie de taille et de morphologie normales, sans lésion focale. "


def test_a_report_shows_its_chapters_its_dose_its_answers_and_who_signed_it() -> None:
    said = "\n".join(words_of(pdf(source())))

    for words in ("Indication", "Technique", "Résultats", "Conclusion", "ASPECTS 8", "1245,3 mGy.cm", "9 mm"):
        assert words in said
    assert "Dr Gaëlle Moreau, RPPS 10003456789" in said
    assert "29/03/2026 à 00:41 (UTC+01:00)" in said
    assert signed().digest in said


def test_a_report_is_pdf_a_2b_dated_by_its_signature_in_its_language() -> None:
    with pikepdf.open(io.BytesIO(pdf(source()))) as made:
        xmp = made.open_metadata()
        assert (xmp["pdfaid:part"], xmp["pdfaid:conformance"]) == ("2", "B")
        assert xmp["dc:title"] == STROKE.title
        assert xmp["xmp:CreateDate"].startswith(f"{SIGNED_AT:%Y-%m-%dT%H:%M:%S}")
        assert str(made.Root.Lang) == "fr"


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_report_made_twice_is_the_same_bytes(variant: str) -> None:
    assert pdf(VARIANTS[variant]()) == pdf(VARIANTS[variant]())


@pytest.mark.parametrize("variant", ["retraction", "withdrawn", "preliminary"])
def test_a_mark_goes_across_every_page_of_what_is_withdrawn_or_preliminary(variant: str, tmp_path: Path) -> None:
    made = VARIANTS[variant]()
    if variant == "withdrawn":
        long = signed(content=replace(STROKE, results=SENTENCE * 150))
        made = replace(made, signed=long)
    printed = pdf(made)
    mark = "PROVISOIRE" if variant == "preliminary" else "RETIRÉ"

    assert all(mark in words for words in words_of(printed))
    assert min(inked(printed, tmp_path)) > 0.01


@pytest.mark.parametrize("variant", ["final", "addendum", "replacement"])
def test_what_is_in_force_has_no_mark(variant: str, tmp_path: Path) -> None:
    assert max(inked(pdf(VARIANTS[variant]()), tmp_path)) == 0


def test_a_withdrawn_report_says_so_before_its_chapters() -> None:
    said = words_of(pdf(VARIANTS["withdrawn"]()))[0]

    assert said.index("NE PAS UTILISER") < said.index("Indication")


def test_a_retraction_names_what_it_withdraws_and_repeats_none_of_it() -> None:
    said = "\n".join(words_of(pdf(VARIANTS["retraction"]())))

    assert "Retiré jusqu'à la version 1 comprise, signée par Dr Gaëlle Moreau le 29/03/2026" in " ".join(said.split())
    assert "Compte rendu d'un autre patient" in said
    assert "ASPECTS" not in said


def test_an_addendum_comes_first_and_the_whole_report_follows() -> None:
    said = " ".join("\n".join(words_of(pdf(VARIANTS["addendum"]()))).split())

    assert said.index("micro-anévrisme") < said.index("Compte rendu (version 1)") < said.index("ASPECTS 8")
    assert "Thrombectomie à discuter sans délai" in said


def test_addenda_made_before_follow_the_report_in_their_order() -> None:
    first, second, third = (
        signed(number, VersionKind.ADDENDUM, empty(results=f"addition {number}")) for number in (2, 3, 4)
    )
    said = "\n".join(words_of(pdf(source(third, signed(), first, second))))

    places = [said.index(words) for words in ("addition 4", "ASPECTS 8", "addition 2", "addition 3")]
    assert places == sorted(places)


def test_a_replacement_says_what_it_replaces_and_why() -> None:
    said = words_of(pdf(VARIANTS["replacement"]()))[0]

    assert "Remplace la version 1" in said
    assert "Motif : Côté inversé dans la conclusion" in said


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        pytest.param("accented", "Mme D'AŸ-LÖWENBRÜCK Zoé Maëlys", id="accented"),
        pytest.param("greek", "ΠΑΠΑΔΟΠΟΎΛΟΥ Ελένη", id="greek"),
        pytest.param("japanese", "Yamada Tarou (山田 太郎) (やまだ たろう)", id="japanese"),
    ],
)
def test_the_patient_is_named_in_every_script_on_every_page(name: str, seen: str) -> None:
    long = signed(content=replace(STROKE, results=SENTENCE * 150))
    pages = words_of(pdf(source(long, name=NAMES[name]), font_directories=JAPANESE))

    assert len(pages) > 1
    assert all(seen in words and "03/11/1951" in words and "P-20451" in words for words in pages)


def test_a_script_that_no_font_has_is_said_and_the_alphabetic_name_stands() -> None:
    said = words_of(pdf(source(name=NAMES["japanese"])))[0].replace("\n", " ")

    assert "Yamada Tarou [nom aussi enregistré dans une autre écriture" in said
    assert "山" not in said


def test_a_name_without_alphabetic_group_is_written_by_code_points_when_no_font_has_it() -> None:
    assert "[U+5C71]" in words_of(pdf(source(name="=山田^太郎")))[0]


def test_a_report_of_60_000_characters_is_on_its_pages_to_the_last_word() -> None:
    results = "\n".join(SENTENCE * 12 + f"Fin du paragraphe {number}." for number in range(80))
    assert len(results) > 60_000
    pages = words_of(pdf(source(signed(content=replace(STROKE, results=results)))))
    said = " ".join(pages).replace("\n", " ")

    assert all(f"Fin du paragraphe {number}." in said for number in range(80))
    assert all(f"Page {number} / {len(pages)}" in words for number, words in enumerate(pages, start=1))


def test_a_word_without_an_end_stays_on_the_page() -> None:
    endless = "A" * 2_000
    made = pdf(source(signed(content=replace(STROKE, results=endless))))

    assert sum(words.count("A" * 20) for words in words_of(made)) >= 2_000 // 40


def test_what_a_reader_typed_is_never_markup() -> None:
    typed = '#import "a" *gras* $x$ <b> & [crochets] @ref'

    assert typed in words_of(pdf(source(signed(content=replace(STROKE, results=typed)), name=f"{typed}^X")))[0]
