"""Templates as JSON: equal when they come back, refused with the place when they are not templates."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from oncall.language import Language
from oncall.report.template import Template
from oncall.report.template_documents import template_to_json, templates_from_json
from oncall.strict_json import DocumentInvalid, canonical, parse
from tests.unit.oncall.report.template_strategies import templates

SMALL: dict[str, Any] = {
    "format": "telegarde-template/1", "template_id": "small", "version": "1", "language": "fr", "title": "Petit",
    "chapters": {"conclusion": ["Voir {size}."]},
    "fields": [
        {"field_id": "found", "label": "Vu", "kind": "yes_no"},
        {"field_id": "size", "label": "Taille", "kind": "measurement", "unit": "mm",
         "shown_when": [{"field_id": "found", "any_of": [True]}]},
        {"field_id": "side", "label": "Côté", "kind": "choice", "choices": [{"choice_id": "l", "label": "gauche"}]},
    ],
}  # fmt: skip


def read(document: dict[str, Any]) -> tuple[Template, ...]:
    return templates_from_json(parse(json.dumps(document)))


def changed(**by_field: dict[str, Any]) -> dict[str, Any]:
    fields = [field | by_field.get(field["field_id"], {}) for field in SMALL["fields"]]
    return SMALL | {"fields": fields}


@settings(max_examples=60)
@given(templates())
def test_a_template_comes_back_equal_from_its_document(template: Template) -> None:
    assert templates_from_json(parse(canonical(template_to_json(template)))) == (template,)


def test_a_document_in_two_languages_is_two_templates_with_the_same_questions() -> None:
    document = SMALL | {
        "languages": ["fr", "en"],
        "title": {"fr": "Petit", "en": "Small"},
        "chapters": {},
        "fields": [{"field_id": "found", "label": {"fr": "Vu", "en": "Seen"}, "kind": "yes_no"}],
    }
    del document["language"]

    french, english = read(document)

    assert (french.language, french.title, french.fields[0].label) == (Language.FRENCH, "Petit", "Vu")
    assert (english.language, english.title, english.fields[0].label) == (Language.ENGLISH, "Small", "Seen")
    document["title"] = {"fr": "Petit"}
    with pytest.raises(DocumentInvalid, match=r"document\.title: a text for each of en, fr"):
        read(document)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (SMALL | {"colour": "red"}, r"document\.colour: no such key"),
        (SMALL | {"format": "telegarde-roster/1"}, r"document\.format: telegarde-template/1 is wanted"),
        (SMALL | {"template_id": "Small one"}, r"document\.template_id"),
        (SMALL | {"version": "1:2"}, r"document\.version"),
        (SMALL | {"languages": ["fr"]}, "one language, or languages"),
        (SMALL | {"language": "de"}, r"document\.language: one of fr, en"),
        (SMALL | {"exams": ["stroke", "arm"]}, r"document\.exams\[1\]"),
        (SMALL | {"modalities": ["ct"]}, r"document\.modalities\[0\]"),
        (SMALL | {"chapters": {"conclusion": ["{nothing}"]}}, r"conclusion\[0\]: nothing is no field or fact"),
        (SMALL | {"chapters": {"conclusion": ["{ }"]}}, r"chapters\.conclusion\[0\]"),
        (SMALL | {"chapters": {"conclusion": ["a\nb"]}}, r"chapters\.conclusion\[0\]: one line"),
        (changed(found={"kind": "maybe"}), r"document\.fields\[0\]\.kind: one of"),
        (changed(found={"labl": "x"}), r"document\.fields\[0\]\.labl: no such key; did you mean label"),
        (changed(found={"unit": "mm"}), r"fields\[0\]\.unit"),
        (changed(found={"shown_when": [{"field_id": "size"}]}), r"shown_when\[0\]\.field_id: size is no earlier"),
        (changed(found={"phrase": "Vu."}), r"fields\[0\]\.phrase_no: wanted"),
        (changed(found={"phrase": "Vu {value}", "phrase_no": "Non"}), r"fields\[0\]\.phrase"),
        (changed(size={"phrase": "Long"}), r"fields\[1\]\.phrase: {value} is wanted"),
        (changed(size={"minimum": 9, "maximum": 1}), r"fields\[1\]\.minimum"),
        (changed(size={"default": "large"}), r"fields\[1\]\.default"),
        (changed(size={"shown_when": [{"field_id": "found", "any_of": ["yes"]}]}), r"fields\[1\].*any_of"),
        (changed(side={"choices": []}), r"fields\[2\]\.choices"),
        (changed(side={"choices": 2 * [{"choice_id": "l", "label": "x"}]}), r"each choice_id"),
        (changed(side={"field_id": "found"}), r"found is there twice"),
        (SMALL | {"notices": [{"notice_id": "n", "kind": "critical", "text": "x", "shown_when": []}]}, r"notices\[0\]"),
    ],
)  # fmt: skip
def test_what_is_no_template_is_refused_with_its_place(document: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentInvalid, match=said):
        read(document)


def test_the_problems_of_all_fields_are_said_together() -> None:
    with pytest.raises(DocumentInvalid) as refused:
        read(changed(found={"unit": "mm"}, side={"choices": []}))

    assert len(refused.value.problems) == 2
