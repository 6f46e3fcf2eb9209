"""What a scanner calls an exam, in French and English, says what kind it is; what it does not say is not guessed."""

import pytest

from oncall.case.exam_words import EXAM_WORDS, exam_of
from oncall.reading.board import ExamKind


@pytest.mark.parametrize(
    ("words", "exam"),
    [
        (("SCANNER CEREBRAL", "Alerte AVC"), ExamKind.STROKE),
        (("CT Head Stroke",), ExamKind.STROKE),
        (("Bodyscan",), ExamKind.WHOLE_BODY),
        (("Polytraumatisé - crâne, rachis, TAP",), ExamKind.WHOLE_BODY),
        (("TDM_TAP_IV",), ExamKind.ABDOMEN),
        (("Abdomino-pelvien sans injection",), ExamKind.ABDOMEN),
        (("Angioscanner thoracique", "embolie pulmonaire"), ExamKind.CHEST),
        (("CHEST",), ExamKind.CHEST),
        (("Crâne",), ExamKind.HEAD),
        (("HEAD",), ExamKind.HEAD),
        (("Rachis lombaire",), ExamKind.MSK),
        (("CSPINE",), ExamKind.MSK),
        (("protocole 12", ""), None),
        ((), None),
        # Parts of words are not words.
        (("Traitement", "headache clinic"), None),
    ],
    ids=str,
)
def test_an_exam_is_known_by_whole_words_whatever_their_case_and_accents(
    words: tuple[str, ...], exam: ExamKind | None
) -> None:
    assert exam_of(words) is exam


def test_every_kind_of_exam_has_words_and_no_word_means_two() -> None:
    assert {exam for exam, _ in EXAM_WORDS} == set(ExamKind)
    every = [word for _, words in EXAM_WORDS for word in words]
    assert len(every) == len(set(every))
    assert all(exam_of([word]) is exam for exam, words in EXAM_WORDS for word in words)
