"""Answers of the structured forms suggest critical findings; nothing is declared by a form."""

from typing import Any

import pytest

from oncall.case.event import CaseId
from oncall.critical.suggestion import suggestions
from oncall.language import Language
from oncall.report.template_fields import check_answers
from oncall.report.template_library import packaged

CASE = CaseId("C1")


def suggested(template_id: str, answers: dict[str, Any]) -> list[int]:
    template = next(one for one in packaged() if one.template_id == template_id and one.language is Language.ENGLISH)
    return [one.category for one in suggestions(CASE, template, check_answers(template, answers).answers)]


@pytest.mark.parametrize(
    ("template_id", "answers"),
    [
        pytest.param("stroke", {"haemorrhage": True}, id="stroke-haemorrhage"),
        pytest.param("pulmonary-embolism", {"embolism": "present"}, id="pulmonary-embolism"),
        pytest.param("trauma-whole-body", {"active_bleeding": True}, id="active-bleeding"),
    ],
)
def test_what_kills_within_the_hour_is_suggested_as_category_one(template_id: str, answers: dict[str, Any]) -> None:
    assert suggested(template_id, answers)[:1] == [1]


@pytest.mark.parametrize(
    ("template_id", "answers"),
    [("stroke", {"haemorrhage": False}), ("pulmonary-embolism", {"embolism": "absent"}), ("stroke", {})],
)
def test_a_normal_answer_and_no_answer_suggest_nothing(template_id: str, answers: dict[str, Any]) -> None:
    assert suggested(template_id, answers) == []


def test_what_was_declared_is_suggested_no_more_and_has_the_same_id_each_time() -> None:
    template = next(one for one in packaged() if one.template_id == "stroke" and one.language is Language.FRENCH)
    answers = check_answers(template, {"haemorrhage": "oui"}).answers
    (first,) = suggestions(CASE, template, answers)

    assert suggestions(CASE, template, answers) == (first,)
    assert suggestions(CaseId("C2"), template, answers)[0].critical_id != first.critical_id
    assert suggestions(CASE, template, answers, declared={first.critical_id}) == ()
