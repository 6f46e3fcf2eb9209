"""A lesson names nobody: what identifies a case, a person or a hospital is refused before it is written."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from foundation.errors import Refused
from oncall.case.event import GENESIS_HASH, CaseId
from oncall.case.regions import IdentityPart, ImagesPart, RequestPart, StudyKey
from oncall.case.state import Case
from oncall.directory import PersonId, SiteId
from oncall.notify import case_code
from oncall.second_reading.learning import LESSON_CHARACTERS_MAX, checked_text
from tests.harness.small_territory import directory, person

CASE = Case(
    case_id=CaseId("0192f3a4-77"),
    seq=1,
    head_hash=GENESIS_HASH,
    opened_at=datetime(2026, 10, 25, tzinfo=UTC),
    site_id=SiteId("north"),
    identity=IdentityPart(patient_key="ins-4471", former_patient_keys=("provisional-x",)),
    request=RequestPart(accession_number="ACC77", requester="dupont"),
    images=ImagesPart(studies=(StudyKey("NORTH", "1.2.840.9.1"),)),
)


@pytest.mark.parametrize(
    "lesson",
    [
        "Vu par Boris",
        "at CH North",
        "dossier 0192f3a4-77",
        f"code {case_code(CASE.case_id)}",
        "patient ins-4471",
        "anciennement provisional-x",
        "accession ACC77",
        "asked by dupont",
        "study 1.2.840.9.1",
        "Mme Durand, fracture de C2",
        "le 25/10/2026 a 02:10",
        "rappeler le 06 12 34 56 78",
        "ask anna@oncall.example",
        "10001234567",
        "",
        "x" * (LESSON_CHARACTERS_MAX + 1),
    ],
)
def test_a_text_that_says_whose_it_was_is_refused_without_being_repeated(lesson: str) -> None:
    with pytest.raises(Refused) as refusal:
        checked_text(lesson, CASE, directory())

    assert not lesson or lesson not in str(refusal.value)


@pytest.mark.parametrize(
    "lesson",
    [
        "Look at the posterior fossa on the thick slices too: 12 mm subdural haematoma along the tentorium.",
        "Fracture de C2 (odontoïde, type 2) : reformater dans l'axe de l'odontoïde, fenêtre os, coupes de 0.6 mm.",
    ],
)
def test_a_text_about_images_is_taken(lesson: str) -> None:
    assert checked_text(f" {lesson} ", CASE, directory()) == lesson


def test_a_name_with_accents_and_two_words_is_found_in_any_case() -> None:
    known = directory()
    named = replace(person("p9"), name="Zoé Lefèvre")
    known = replace(known, persons={**known.persons, PersonId("p9"): named})

    with pytest.raises(Refused):
        checked_text("relu par LEFÈVRE", CASE, known)
