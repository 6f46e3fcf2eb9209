"""Escape sequences: replaced when they are some, kept as text when they are none; nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.worklist.hl7.escapes import LINES_MAX, unescaped
from pacs.worklist.hl7.header import DELIMITERS


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no escape", "no escape"),
        (r"a\F\b\S\c\R\d\T\e\E\f", "a|b^c~d&e\\f"),
        (r"one\.br\two\.sp\three\.ce\four", "one\ntwo\nthree\nfour"),
        (r"one\.sp3\two", "one\n\n\ntwo"),
        (r"one\.sp+2\two\.in4\\.ti-1\three\.sk7\four", "one\n\ntwothree four"),
        (r"\H\bold\N\ text", "bold text"),
        (r"\X0D0A\line\XC3A9\ and \XE9\ ", "\nline\u00e9 and \u00e9 "),
        (r"\C2842\\M244042\text", "text"),
        (r"\E\\E\ ", "\\\\ "),
    ],
)
def test_a_sequence_is_replaced_by_what_it_means(written: str, meant: str) -> None:
    assert unescaped(written, DELIMITERS) == meant


@pytest.mark.parametrize(
    "text", ["120\\80 mmHg", "C:\\dose", "\\", "a\\\\b", "\\Zlocal\\", "\\XZZ\\", "\\.sp99999\\", "tab\\x\\F", "\\F"]
)
def test_what_is_no_sequence_stays_as_it_was_written(text: str) -> None:
    assert unescaped(text, DELIMITERS) == text


def test_a_sequence_after_an_escape_character_that_is_text_is_still_one() -> None:
    assert unescaped("120\\80 \\F\\ 3", DELIMITERS) == "120\\80 | 3"


def test_a_command_repeats_no_more_often_than_is_sensible() -> None:
    assert unescaped("\\.sp9999\\", DELIMITERS) == "\n" * LINES_MAX


def test_other_delimiters_have_other_escapes() -> None:
    assert unescaped("a!F!b\\F\\", "$%*!?") == "a$b\\F\\"


@given(st.text(alphabet="\\FSRETHNXCM.brsp09 a|^", max_size=60))
def test_no_letter_outside_a_sequence_is_lost(text: str) -> None:
    found = unescaped(text, DELIMITERS)

    assert len(found) <= len(text) * LINES_MAX
    if text.count("\\") < 2:
        assert found == text
