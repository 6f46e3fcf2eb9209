"""MRRT files in the forms that are in circulation, files that mean harm, and the way there and back."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import Refused
from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.content import Chapter, CodedConcept
from oncall.report.mrrt import FILE_BYTES_MAX, read_mrrt
from oncall.report.mrrt_export import write_mrrt
from oncall.report.rendering import render
from oncall.report.template import Field, FieldKind, Line, Template
from oncall.report.template_fields import check_answers
from oncall.report.template_library import packaged
from oncall.strict_json import DocumentInvalid
from tests.unit.oncall.report.template_strategies import templates

FILES = Path(__file__).with_name("mrrt_files")
HEAD = '<!DOCTYPE html><html><head><title>x</title><meta name="dcterms.language" content="en">'


def page(body: str, head: str = "") -> bytes:
    return f"{HEAD}{head}</head><body>{body}</body></html>".encode()


def section(inner: str, name: str = "Findings") -> bytes:
    return page(f'<section data-section-name="{name}"><header class="level1">{name}</header>{inner}</section>')


def only_field(content: bytes) -> Field:
    (field,) = read_mrrt(content).template.fields
    return field


def test_a_file_as_radreport_writes_them_is_read_and_what_is_not_is_said() -> None:
    imported = read_mrrt((FILES / "radreport_style.html").read_bytes(), exams=[ExamKind.CHEST], modalities=["CT"])
    template = imported.template
    fields = {one.field_id: one for one in template.fields}

    assert (template.template_id, template.version) == ("7d1c5e0a-52c4-4e1c-9a53-0b6f6a3a1f10", "2024-02-29")
    assert (template.language, template.title) == (Language.ENGLISH, "CT Chest - Nodule")
    assert (template.exams, template.modalities) == ((ExamKind.CHEST,), ("CT",))
    assert {one.chapter: one.text for one in template.lines if one.chapter is not Chapter.RESULTS} == {}
    assert [one.text for one in template.lines] == [
        "Axial images were reviewed {{on two windows}}.", "Seen by {who} at {when} on {day}.",
    ]  # fmt: skip
    assert (fields["t1"].chapter, fields["t1"].is_required) == (Chapter.INDICATION, True)
    assert [one.label for one in fields["checkbox_1"].choices] == ["with intravenous contrast", "low dose"]
    assert (fields["checkbox_1"].label, fields["checkbox_1"].default) == ("Technique", ("iv",))
    lungs = fields["selection_list_1"]
    assert lungs.concept == CodedConcept(code="RID1301", scheme="RADLEX", meaning="lung")
    assert [one.label for one in lungs.choices] == ["Normal.", "Abnormal."]
    assert lungs.choices[0].code == CodedConcept(code="RID13173", scheme="RADLEX", meaning="normal")
    assert (fields["d"].unit, fields["d"].minimum, fields["d"].group) == ("mm", 1.0, "Nodule")
    assert fields["e"].phrase == "There is {value} pulmonary edema."
    assert (fields["when"].kind, fields["day"].kind) == (FieldKind.TIME, FieldKind.DATE)
    assert (fields["cal"].kind, fields["cal"].label) == (FieldKind.YES_NO, "Calcified")
    assert (fields["impressiontext"].chapter, fields["impressiontext"].phrase) == (Chapter.CONCLUSION, "{value}")
    assert imported.left_out == (
        "codes of SELECTION_LIST_1 after the first",
        "<script>",
        "<link>",
        "what <body> does by script",
        "choice «Abnormal.», there for the second time",
        "<input> of type hidden",
        "section «Billing» is none of the four chapters: it stands in the results",
    )


def test_a_file_as_the_first_supplement_has_them_is_read_in_french() -> None:
    imported = read_mrrt((FILES / "ihe_style.html").read_bytes())
    template = imported.template
    fields = {one.field_id: one for one in template.fields}
    answers = check_answers(template, {"date_ancienne": "2025-01-31", "t9_15": "Normal.", "drain": "l", "t9_23": "RAS"})

    assert (template.template_id, template.version, template.language) == ("template-0000999", "1", Language.FRENCH)
    assert fields["t9_15"].concept == CodedConcept(code="RID1385", scheme="RADLEX", meaning="heart")
    assert (fields["index"].kind, fields["index"].phrase) == (FieldKind.NUMBER, "Index cardio-thoracique {value}")
    assert [one.label for one in fields["drain"].choices] == ["Drain à droite", "à gauche"]
    content = render(template, answers.answers, {})
    assert content.technique == "Examen du 31/01/2025."
    assert "Cœur : Normal." in content.results
    assert content.conclusion == "RAS"
    assert imported.left_out == ()


@settings(max_examples=60)
@given(templates())
def test_a_template_comes_back_equal_from_its_file_and_nothing_is_left_out(template: Template) -> None:
    imported = read_mrrt(write_mrrt(template))

    assert imported.template == template
    assert imported.left_out == ()


@pytest.mark.parametrize("template", packaged(), ids=lambda one: f"{one.template_id}-{one.language.value}")
def test_every_packaged_form_survives_programs_that_know_only_the_standard(template: Template) -> None:
    """Without our own attributes the questions stay: identifiers, kinds, units, bounds, choices, codes."""
    content = (
        write_mrrt(template).replace(b"data-telegarde=", b"data-of-somebody=").replace(b"telegarde.template", b"x")
    )

    known = read_mrrt(content).template

    def bones(one: Field) -> tuple[object, ...]:
        choices = [(choice.label, choice.code) for choice in one.choices]
        kind = FieldKind.NUMBER if one.kind is FieldKind.MEASUREMENT else one.kind
        return (one.label, kind, one.chapter, one.unit, one.minimum, one.is_required, one.concept, one.group, choices)

    by_chapter = sorted(template.fields, key=lambda one: list(Chapter).index(one.chapter))
    assert [bones(one) for one in known.fields] == [bones(one) for one in by_chapter]


def test_a_line_that_would_be_a_heading_elsewhere_comes_back_as_a_line() -> None:
    template = replace(packaged()[0], lines=(Line(chapter=Chapter.TECHNIQUE, text="Technique :"),))

    assert read_mrrt(write_mrrt(template)).template == template


def test_a_field_named_as_a_chapter_does_not_take_the_chapters_code() -> None:
    field = Field(field_id="technique", label="Technique", kind=FieldKind.TEXT, chapter=Chapter.TECHNIQUE)
    template = replace(packaged()[0], fields=(field,), lines=(), notices=())

    assert read_mrrt(write_mrrt(template)).template == template


def test_lines_that_depend_on_answers_are_no_visible_text_elsewhere() -> None:
    stroke = next(one for one in packaged() if one.template_id == "stroke")

    content = write_mrrt(stroke).replace(b"data-telegarde=", b"data-of-somebody=").replace(b"telegarde.template", b"x")

    assert read_mrrt(content).template.lines == ()


ENTITIES = '<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "content",
    [
        ENTITIES.encode() + section("<p>&b;</p>"),
        b'<!DOCTYPE html [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>' + section("<p>&x;</p>"),
        page("<p>a</p>", f"<script type='text/xml'>{ENTITIES}<template_attributes>&b;</template_attributes></script>"),
        page("<p>a</p>", '<script type="text/xml"><!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/></script>'),
        f"{ENTITIES}<html><body><p>&b;</p></body></html>".encode("utf-16"),
        page("<p>a</p>", f"<script type='text/xml'>{ENTITIES}<a/></script>").decode().encode("utf-16"),
    ],
    ids=["laughs", "external", "laughs-in-codes", "external-in-codes", "utf-16", "utf-16-codes"],
)
def test_a_file_that_declares_entities_is_refused(content: bytes) -> None:
    with pytest.raises(Refused):
        read_mrrt(content, language=Language.ENGLISH)


def test_nothing_of_a_file_is_fetched() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.2)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        body = f'<img src="{address}"><iframe src="{address}"></iframe><p>Seen.</p><object data="{address}"></object>'
        head = f'<link rel="stylesheet" href="{address}"><script src="{address}"></script><base href="{address}">'

        imported = read_mrrt(page(body, head))

        with pytest.raises(TimeoutError):
            listening.accept()
    assert [one.text for one in imported.template.lines] == ["Seen."]
    assert set(imported.left_out) == {"<link>", "<script>", "<base>", "<img>", "<iframe>", "<object>"}


def test_a_file_too_large_or_nested_too_deeply_is_refused_and_not_cut_short() -> None:
    with pytest.raises(Refused, match="bytes"):
        read_mrrt(b" " * (FILE_BYTES_MAX + 1))
    with pytest.raises(Refused, match="nested too deeply"):
        read_mrrt(section("<p>first</p>" + "<div>" * 5_000 + "<p>last</p>"))


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"{}", page(""), b"PK\x03\x04"])
def test_what_is_no_template_is_refused(content: bytes) -> None:
    with pytest.raises((Refused, DocumentInvalid)):
        read_mrrt(content, language=Language.FRENCH)


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    content = bytearray((FILES / data.draw(st.sampled_from(["radreport_style.html", "ihe_style.html"]))).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 200)))
        content[start:end] = data.draw(
            st.sampled_from(
                [b"", b"<", b">", b'"', b"<p>", b"</section>", b"<section>", b"<input id=x>", b"{", b"\xff", b"&#0;"]
            )
        )

    try:
        imported = read_mrrt(bytes(content), language=Language.FRENCH)
    except (Refused, DocumentInvalid):
        return
    assert read_mrrt(write_mrrt(imported.template)).template == imported.template


def test_another_language_is_refused_unless_somebody_says_which_it_is() -> None:
    german = section("<p>Befund</p>").replace(b'content="en"', b'content="de"')

    with pytest.raises(Refused, match="language is de"):
        read_mrrt(german)
    assert read_mrrt(german, language=Language.FRENCH).template.language is Language.FRENCH


def test_what_the_page_shows_is_taken_and_not_the_value_behind_it() -> None:
    field = only_field(section('<p><select id="a"><option value="none">severe</option></select></p>'))

    assert field.choices[0].label == "severe"


def test_words_around_a_box_are_said_to_be_left_out() -> None:
    imported = read_mrrt(section('<p><input type="checkbox" id="a" title="Drain"> in place on <input id="b"> side</p>'))

    assert [one.field_id for one in imported.template.fields] == ["a", "b"]
    assert any("the words around a box" in one for one in imported.left_out)


def test_a_box_takes_the_label_beside_it_and_is_left_out_when_it_could_be_anothers() -> None:
    box = '<input type="checkbox">'
    imported = read_mrrt(
        section(
            f"<p>{box}<label>central</label>&nbsp;{box}<label>lobar</label></p><p><label>webs</label>{box}</p>"
            f"<p>{box} effusion</p><p>Upper lobe&nbsp;right:{box}&nbsp;left:{box}</p><p>Heart:</p>"
        )
    )

    assert [one.label for one in imported.template.fields] == ["central", "lobar", "webs", "effusion"]
    assert imported.template.lines == ()
    assert imported.left_out == (
        "a box whose label cannot be told from the words around it",
        "the words around a box: «Upper lobe right: left:»",
        "heading «Heart:»",
    )


def test_a_measurement_is_not_followed_by_its_unit_twice() -> None:
    field = only_field(section('<p>D-dimer: <input type="number" id="d" data-field-units="mg/l">&nbsp;mg/l FEU</p>'))

    assert (field.label, field.phrase) == ("D-dimer", "D-dimer: {value} FEU")


def test_a_first_choice_of_dashes_is_no_answer() -> None:
    field = only_field(section("<p><select title='PE'><option>-</option><option>yes</option></select></p>"))

    assert [one.label for one in field.choices] == ["yes"]


def test_controls_of_one_identifier_are_two_questions() -> None:
    template = read_mrrt(section('<p><input id="A-1"></p><p><input id="a_1"></p><p><input id="é"></p>')).template

    assert [one.field_id for one in template.fields] == ["a_1", "a_1_2", "f"]


def test_numbers_that_are_none_are_noted_and_not_guessed() -> None:
    imported = read_mrrt(section('<p><input type="number" id="a" min="low" max="5" step="1"></p>'))

    assert (imported.template.fields[0].minimum, imported.template.fields[0].maximum) == (None, 5.0)
    assert imported.template.fields[0].is_whole
    assert imported.left_out == ("min=low: no number",)


def test_an_attribute_of_ours_in_a_strange_file_is_checked_like_any_document() -> None:
    hidden = section("""<p><input id="a" data-telegarde='{"field_id": "a", "shown_when": [{"field_id": "zz"}]}'></p>""")
    broken = section("""<p><input id="a" data-telegarde='[1'></p>""")

    with pytest.raises(DocumentInvalid, match="zz is no earlier field"):
        read_mrrt(hidden)
    assert read_mrrt(broken).left_out == ("data-telegarde of a field: no JSON object",)


def test_markup_in_a_template_is_text_in_its_file() -> None:
    template = replace(packaged()[0], title="<script>alert(1)</script>", origin='"><img src=x>')

    content = write_mrrt(template)

    assert b"<script>alert" not in content
    assert b"<img" not in content
    assert read_mrrt(content).template.title == template.title
