"""The dossier on paper: readable in two languages, everything in it, sealed over every byte, the file inside."""

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pikepdf
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.database import Database, sqlite_url
from oncall.evidence.dossier import Sealed
from oncall.evidence.pages import pdf
from oncall.evidence.pdf_file import dossier_in, is_pdf, verify_file
from oncall.evidence.verification import DossierUnusable, verify
from oncall.language import Language
from oncall.report.signing import NODE, Ed25519Keys
from oncall.report.version import VersionKind
from tests.harness.evidence_case import CASE, Place, told
from tests.harness.small_territory import at, ready_case


def words(word: str, language: Language) -> str:
    return f"{word} ({language})"


@cache
def made(language: Language = Language.FRENCH) -> tuple[Sealed, bytes, bytes]:
    """Return a dossier, its PDF, and the node's public key."""
    with TemporaryDirectory() as directory:
        database = Database(sqlite_url(Path(directory) / "oncall.sqlite"))
        database.create_tables()
        here = told(database, Path(directory) / "keys")
        sealed = here.dossier()
        file, key = pdf(sealed, here.keys, language, words), here.keys.public_key_of(NODE)
        database.close()
    return sealed, file, key


def text_of(file: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(file)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_a_pdf_carries_the_dossier_as_two_other_programs_find_it() -> None:
    sealed, file, _ = made()

    assert is_pdf(file)
    assert pypdf.PdfReader(io.BytesIO(file)).attachments["dossier.json"] == [sealed.data]
    with pikepdf.open(io.BytesIO(file)) as opened:
        assert opened.attachments["dossier.json"].get_file().read_bytes() == sealed.data
        assert opened.open_metadata().pdfa_status == "3B"
    assert dossier_in(file) == sealed.data
    assert verify(dossier_in(file)).is_proven


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            Language.FRENCH,
            ["Dossier de preuve", "5. Les incidents techniques", "mode dégradé", "Exemplaire de CH North"],
        ),
        (Language.ENGLISH, ["Dossier of evidence", "5. Technical incidents", "degraded mode", "Copy of CH North"]),
    ],
)
def test_the_pages_say_what_a_lawyer_asks_in_local_time(language: Language, said: list[str]) -> None:
    sealed, file, _ = made(language)
    text = text_of(file)

    for one in [*said, "2026-10-24 18:40:00 +0200", "Hématome, relu", "RPPS 10100000008", "ΠΑΠΑΣ", sealed.digest]:
        assert one in text


def test_a_pdf_as_it_was_sealed_has_no_difference() -> None:
    _, file, key = made()

    assert verify_file(file, node_keys=frozenset({key})).differences == ()


@settings(max_examples=150, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_any_byte_of_the_pdf_that_is_changed_is_found_and_said_to_be_inside_or_around(share: float, mask: int) -> None:
    _, file, key = made()
    changed = bytearray(file)
    changed[int(len(file) * share)] ^= mask

    assert verify_file(bytes(changed), node_keys=frozenset({key})).differences != ()


def test_pages_that_another_key_sealed_do_not_fit_the_dossier_inside(tmp_path: Path) -> None:
    sealed, file, _ = made()
    other = pdf(sealed, Ed25519Keys(tmp_path), Language.FRENCH, words)
    assert len(other) == len(file)

    assert [one.section for one in verify_file(other).differences] == ["pdf"]


def test_a_pdf_of_something_else_carries_no_dossier() -> None:
    empty = pikepdf.new()
    out = io.BytesIO()
    empty.save(out)

    with pytest.raises(DossierUnusable, match="no dossier"):
        verify_file(out.getvalue())


def test_a_long_report_with_a_retraction_is_on_the_pages_to_its_last_word(here: Place) -> None:
    here.sign(20, VersionKind.ADDENDUM, results="mot " * 15_000 + "FIN", reason="relecture")
    here.sign(30, VersionKind.RETRACTION, results="Retiré", reason="autre patient")

    text = text_of(pdf(here.dossier(), here.keys, Language.FRENCH, words))

    assert "FIN" in text
    assert text.count("COMPTE RENDU RETIRÉ") == 2
    assert "autre patient" in text


def test_a_case_without_report_says_so_on_paper(empty: Place) -> None:
    ready_case(empty.engine, CASE, at(5))

    text = text_of(pdf(empty.dossier(), empty.keys, Language.ENGLISH, words))

    assert "No signed report." in text
    assert "None recorded." in text
    assert "Not anchored yet" in text
