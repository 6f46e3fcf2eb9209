"""From raw answers to the chapters' text: nothing given vanishes, nothing hidden shows, the same is always the same."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.language import Language
from oncall.report.content import Chapter, Dose, ReportContent
from oncall.report.rendering import Severity, completeness, form_of, notices, render, sentence, value_text
from oncall.report.template import Choice, Condition, Fact, Field, FieldKind, Line, Template, placeholders
from oncall.report.template_fields import check_answers, defaults, is_shown
from oncall.report.template_texts import WORDS
from tests.unit.oncall.report.template_strategies import raw_answers, templates

FORM = Template(
    template_id="t",
    version="1",
    language=Language.FRENCH,
    title="T",
    lines=(
        Line(chapter=Chapter.INDICATION, text="Question : {fact:reason}"),
        Line(
            chapter=Chapter.CONCLUSION, text="Hématome de {size}.",
            shown_when=(Condition(field_id="bleed", any_of=(True,)),),
        ),
    ),
    fields=(
        Field(field_id="bleed", label="Saignement", kind=FieldKind.YES_NO),
        Field(
            field_id="size", label="Taille", kind=FieldKind.MEASUREMENT, unit="mm", minimum=1, maximum=90,
            shown_when=(Condition(field_id="bleed", any_of=(True,)),), is_required=True,
        ),
        Field(field_id="seen_at", label="Vu", kind=FieldKind.DATE_TIME),
        Field(field_id="note", label="Note", kind=FieldKind.TEXT),
    ),
)  # fmt: skip


def rendered(raw: dict[str, Any], texts: dict[Chapter, str] | None = None) -> ReportContent:
    return render(FORM, check_answers(FORM, raw).answers, texts or {})


@settings(max_examples=60)
@given(st.data())
def test_everything_given_becomes_an_answer_in_the_text_an_error_or_is_named_as_left_out(data: st.DataObject) -> None:
    template = data.draw(templates())
    raw = data.draw(raw_answers(template))
    words = WORDS[template.language]

    checked = check_answers(template, raw)
    content = render(template, checked.answers, {})

    given_ids = {name for name, value in raw.items() if value != []}
    assert given_ids == {*checked.answers, *checked.errors, *checked.left_out}
    assert [one.field_id for one in content.answers] == list(checked.answers)
    for field in template.fields:
        if field.field_id not in checked.answers:
            assert f"mark-{field.field_id}-" not in "".join(content.text_of(chapter) for chapter in Chapter)
            continue
        answer = checked.answers[field.field_id]
        text = content.text_of(field.chapter)
        placed = any(
            field.field_id in placeholders(line.text) and is_shown(line.shown_when, checked.answers)
            for line in template.lines_of(field.chapter)
        )
        assert sentence(field, answer, words) in text or (placed and value_text(field, answer, words) in text)


@settings(max_examples=60)
@given(st.data())
def test_the_same_answers_make_the_same_content_and_the_form_comes_back_from_it(data: st.DataObject) -> None:
    template = data.draw(templates())
    answers = check_answers(template, data.draw(raw_answers(template))).answers
    texts = data.draw(
        st.dictionaries(st.sampled_from(Chapter), st.sampled_from(["Au total.", "a\nb", "é "]), max_size=4)
    )
    facts = {Fact.REASON: "Chute"} if data.draw(st.booleans()) else {}

    content = render(template, answers, texts, facts=facts)
    form = form_of(template, content, facts=facts)

    assert render(template, dict(answers), dict(texts), facts=facts) == content
    assert (form.raw, form.texts, form.edited, form.lost) == (answers, texts, frozenset(), ())


def test_an_answer_to_a_hidden_field_is_left_out_and_said() -> None:
    checked = check_answers(FORM, {"bleed": "non", "size": "12"})

    assert checked.answers == {"bleed": False}
    assert not checked.errors
    assert "sans objet" in checked.left_out["size"]


def test_numbers_dates_and_conditions_are_written_as_french_is() -> None:
    content = rendered({"bleed": "oui", "size": "12,50", "seen_at": "2026-10-25T02:30+01:00", "note": "a\nb"})

    assert content.conclusion == "Hématome de 12,5 mm."
    assert content.results.splitlines() == [
        "Saignement : oui.", "Taille : 12,5 mm.", "Vu : le 25/10/2026 à 02 h 30 (UTC+01:00).", "Note :", "a", "b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"bleed": "peut-être"}, "oui ou non"),
        ({"bleed": True, "size": "0"}, "au moins 1"),
        ({"bleed": True, "size": "90,5"}, "au plus 90"),
        ({"bleed": True, "size": "inf"}, "un nombre"),
        ({"bleed": True, "size": "nan"}, "un nombre"),
        ({"seen_at": "hier"}, "une date et une heure"),
        ({"note": "a\x00b"}, "un texte"),
        ({"note": "x" * 20_001}, "au plus 20000 caractères"),
        ({"other": "x"}, "pas dans le modèle"),
    ],
)
def test_what_cannot_be_an_answer_is_an_error_of_its_field(raw: dict[str, Any], said: str) -> None:
    (error,) = check_answers(FORM, raw).errors.values()

    assert said in error


def test_an_answer_that_a_line_of_its_chapter_says_is_not_said_again() -> None:
    line = Line(chapter=Chapter.RESULTS, text="Lésion de {size}.")
    template = replace(FORM, lines=(line,))

    content = render(template, check_answers(template, {"bleed": True, "size": 3}).answers, {})

    assert content.results.splitlines() == ["Lésion de 3 mm.", "Saignement : oui."]


def test_none_and_something_else_cannot_both_be_chosen() -> None:
    choices = (Choice(choice_id="none", label="aucune", is_exclusive=True), Choice(choice_id="m1", label="M1"))
    field = Field(field_id="vessel", label="Artère", kind=FieldKind.CHOICES, choices=choices)
    template = replace(FORM, fields=(field,), lines=())

    assert "exclut" in check_answers(template, {"vessel": ["m1", "none"]}).errors["vessel"]
    assert check_answers(template, {"vessel": ["none"]}).answers == {"vessel": ("none",)}


def test_a_default_is_offered_and_is_no_answer() -> None:
    template = replace(FORM, fields=(replace(FORM.fields[0], default=False),))

    assert defaults(template) == {"bleed": False}
    assert check_answers(template, {}).answers == {}


def test_what_the_reader_wrote_follows_the_form_and_is_not_read_as_a_template() -> None:
    content = rendered({"note": "{size} {{"}, {Chapter.RESULTS: "Et {bleed}."})

    assert content.results == "Note : {size} {{.\nEt {bleed}."


def test_a_fact_that_is_not_known_leaves_no_hole() -> None:
    answers = check_answers(FORM, {}).answers

    assert render(FORM, answers, {}, facts={Fact.REASON: "  "}).indication == ""
    assert render(FORM, answers, {}, facts={Fact.REASON: "Chute {x}"}).indication == "Question : Chute {x}"


def test_a_chapter_that_was_written_over_is_said_to_be_edited() -> None:
    content = replace(rendered({"bleed": True, "size": 3}), conclusion="Autre.", results="")

    form = form_of(FORM, content)

    assert form.edited == {Chapter.CONCLUSION, Chapter.RESULTS}
    assert form.texts == {Chapter.CONCLUSION: "Autre.", Chapter.RESULTS: ""}


def test_an_empty_conclusion_is_refused_and_a_missing_dose_or_answer_must_be_acknowledged() -> None:
    template = replace(FORM, is_dose_wanted=True)
    answers = check_answers(template, {"bleed": True}).answers
    content = render(template, answers, {})

    lacks = {(one.code, one.field_id): one.severity for one in completeness(content, template, answers)}

    assert lacks == {
        ("missing_conclusion", ""): Severity.REFUSE,
        ("missing_indication", ""): Severity.ACKNOWLEDGE,
        ("missing_technique", ""): Severity.ACKNOWLEDGE,
        ("missing_dose", ""): Severity.ACKNOWLEDGE,
        ("missing_answer", "size"): Severity.ACKNOWLEDGE,
    }


def test_a_whole_report_with_its_dose_lacks_nothing() -> None:
    template = replace(FORM, is_dose_wanted=True)
    answers = check_answers(template, {"bleed": True, "size": 4}).answers
    texts = {Chapter.INDICATION: "Chute.", Chapter.TECHNIQUE: "Sans injection."}
    content = render(template, answers, texts, doses=(Dose(quantity="DLP", value=812.0, unit="mGy.cm"),))

    assert completeness(content, template, answers) == ()
    assert notices(template, answers) == ()


def test_free_text_needs_its_results_and_its_conclusion_too() -> None:
    content = ReportContent(language=Language.ENGLISH, title="T", indication="a", technique="b")

    assert [one.text for one in completeness(content, None)] == ["The conclusion is empty.", "The results are empty."]
