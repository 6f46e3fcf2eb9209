"""The report as plain text, and the words that documents add."""

from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest

from oncall.language import Language
from oncall.report_documents.person_name import as_pn, displayed
from oncall.report_documents.plain_text import LINE_CHARACTERS_MAX, plain_text
from oncall.report_documents.texts import instant, minute, number, pair
from tests.unit.oncall.report_documents.reports import NAMES, STROKE, VARIANTS, signed, source


@pytest.mark.parametrize("variant", VARIANTS)
def test_lines_are_short_enough_for_any_terminal(variant: str) -> None:
    lines = plain_text(VARIANTS[variant]()).split("\n")

    assert max(map(len, lines)) <= LINE_CHARACTERS_MAX


def test_the_first_lines_say_what_it_is_and_of_whom() -> None:
    first = plain_text(source()).split("\n")[:8]

    assert first[0] == "COMPTE RENDU DÉFINITIF - Version 1"
    assert "Patient : Mme LEFÈVRE Éloïse" in first
    assert "Né(e) le : 03/11/1951" in first


@pytest.mark.parametrize("variant", ["retraction", "withdrawn"])
def test_a_withdrawn_report_says_so_before_anything(variant: str) -> None:
    lines = plain_text(VARIANTS[variant]()).split("\n")

    assert lines[0] == "*" * LINE_CHARACTERS_MAX
    assert lines[1] == "*** COMPTE RENDU RETIRÉ : NE PAS UTILISER ***"


def test_a_text_of_60_000_characters_loses_no_word() -> None:
    words = [f"mot{number}" for number in range(9_000)]
    said = plain_text(source(signed(content=replace(STROKE, results=" ".join(words)))))

    assert len(" ".join(words)) > 60_000
    assert [word for word in said.split() if word.startswith("mot")] == words


def test_a_number_stays_with_its_sign_and_unit() -> None:
    for width in range(40, 80):
        said = plain_text(source(signed(content=replace(STROKE, results="x" * width + " Tmax > 6 s ; 12 mL"))))
        assert "> 6 s ;" in said
        assert "12 mL" in said


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_in_every_script(name: str) -> None:
    assert displayed(NAMES[name])[0] in plain_text(source(name=NAMES[name]))


def test_a_document_is_in_the_language_of_its_report() -> None:
    said = plain_text(source(signed(content=replace(STROKE, language=Language.ENGLISH))))

    assert said.startswith("FINAL REPORT - Version 1")
    assert "Born: 3 Nov 1951" in said
    assert "CONCLUSION" in said


@pytest.mark.parametrize(
    ("utc", "seen"),
    [
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "25/10/2026 à 02:30 (UTC+02:00)"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "25/10/2026 à 02:30 (UTC+01:00)"),
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "29/03/2026 à 03:30 (UTC+02:00)"),
    ],
)
def test_an_instant_is_printed_with_its_offset_so_that_two_hours_of_one_name_differ(utc: datetime, seen: str) -> None:
    assert instant(utc, "Europe/Paris", Language.FRENCH) == seen


def test_an_instant_west_of_greenwich_has_a_negative_offset() -> None:
    assert instant(datetime(2026, 1, 1, tzinfo=UTC), "America/Guadeloupe", Language.ENGLISH) == (
        "31 Dec 2025, 20:00 (UTC-04:00)"
    )


@pytest.mark.parametrize(
    ("value", "french", "english"), [(1245.3, "1245,3", "1245.3"), (8, "8", "8"), (0.1 + 0.2, "0,3", "0.3")]
)
def test_numbers_have_the_decimal_mark_of_the_language(value: float, french: str, english: str) -> None:
    assert (number(value, Language.FRENCH), number(value, Language.ENGLISH)) == (french, english)


def test_a_day_without_a_time_is_printed_as_a_day() -> None:
    assert minute(date(2026, 3, 28), None, Language.FRENCH) == "28/03/2026"
    assert minute(date(2026, 3, 28), time(9, 5), Language.ENGLISH) == "28 Mar 2026, 09:05"
    assert pair("Dose", "3", Language.ENGLISH) == "Dose: 3"


@pytest.mark.parametrize(
    ("plain", "pn"),
    [
        ("Dr Gaëlle Moreau", "Moreau^Gaëlle^^Dr"),
        ("Moreau", "Moreau"),
        ("Anne-Lise Garçon", "Garçon^Anne-Lise"),
        ("", ""),
        ("a=b\\c", "c^a b"),
        ("a^b\\c", "a^b c"),
        ("GARCON^ANNE^^DR", "GARCON^ANNE^^DR"),
    ],
)
def test_a_plain_name_becomes_a_person_name(plain: str, pn: str) -> None:
    assert as_pn(plain) == pn


@pytest.mark.parametrize(
    ("pn", "is_shown", "seen"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", True, ("Yamada Tarou (山田 太郎) (やまだ たろう)", True)),
        ("Yamada^Tarou=山田^太郎", False, ("Yamada Tarou", False)),
        ("=山田^太郎", False, ("山田 太郎", True)),
        ("^^^^", True, ("", True)),
        ("DUPONT^Éva^Marie^Mme^PhD", True, ("Mme DUPONT Éva Marie PhD", True)),
    ],
)
def test_a_person_name_is_shown_on_one_line(pn: str, is_shown: bool, seen: tuple[str, bool]) -> None:
    assert displayed(pn, is_shown=lambda _text: is_shown) == seen
