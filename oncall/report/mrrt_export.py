"""Templates as IHE RAD MRRT HTML5 files, for programs that read those.

For: `write_mrrt`. Not for: reading them (`oncall.report.mrrt`).

What MRRT has no word for (conditions, sentences, exclusive choices, notices) is kept in ``data-telegarde`` attributes,
that others ignore and `read_mrrt` reads: what was written comes back equal. A line of the frame that depends on answers
is written without visible text, so that nobody elsewhere reads "no haemorrhage" beside "haemorrhage".

Invariant: the file holds no script but the coded content, and every text is escaped.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from lxml import etree, html
from lxml.html import builder

from oncall.language import Language
from oncall.report.content import Chapter, CodedConcept
from oncall.report.mrrt_controls import EXTENSION, collapsed
from oncall.report.mrrt_metadata import META
from oncall.report.template import Choice, Field, FieldKind, Line, Template
from oncall.report.template_documents import template_to_json

_SECTIONS: Final = {
    Chapter.INDICATION: ("Clinical Information", "55752-0", {"fr": "Indication", "en": "Clinical information"}),
    Chapter.TECHNIQUE: ("Procedure Information", "55111-9", {"fr": "Technique", "en": "Technique"}),
    Chapter.RESULTS: ("Findings", "59776-5", {"fr": "Résultats", "en": "Findings"}),
    Chapter.CONCLUSION: ("Impression", "19005-8", {"fr": "Conclusion", "en": "Impression"}),
}
_SCHEMES: Final = (
    ("RADLEX", "RADLEX", "2.16.840.1.113883.6.256"),
    ("LN", "LOINC", "2.16.840.1.113883.6.1"),
    ("SCT", "SNOMEDCT", "2.16.840.1.113883.6.96"),
)
_INPUTS: Final = {
    FieldKind.NUMBER: ("number", "NUMERIC"),
    FieldKind.MEASUREMENT: ("number", "NUMERIC"),
    FieldKind.YES_NO: ("checkbox", "CHECKBOX"),
    FieldKind.DATE: ("date", "DATE"),
    FieldKind.TIME: ("time", "TIME"),
    FieldKind.DATE_TIME: ("datetime-local", "DATE"),
}

_Numbered = dict[str, tuple[int, dict[str, Any]]]


def write_mrrt(template: Template) -> bytes:
    """Return the file of a template, in UTF-8; the same template gives the same bytes."""
    document = template_to_json(template)
    kept = {
        key: document[key] for key in ("exams", "modalities", "is_dose_wanted", "notices", "origin") if key in document
    }
    head = html.Element("head")
    etree.SubElement(head, "title").text = template.title
    etree.SubElement(head, "meta", charset="UTF-8")
    for name, text in (
        ("dcterms.title", template.title),
        ("dcterms.identifier", template.template_id),
        ("dcterms.hasVersion", template.version),
        ("dcterms.language", template.language.value),
        ("dcterms.type", "IMAGE_REPORT_TEMPLATE"),
        ("dcterms.rights", template.origin),
        (META, _json(kept)),
    ):
        etree.SubElement(head, "meta", name=name, content=text)
    etree.SubElement(head, "script", type="text/xml").text = _coded(template)
    body = html.Element("body")
    documents = {one["field_id"]: (number, one) for number, one in enumerate(document.get("fields", ()))}
    for chapter in Chapter:
        body.append(_chapter(template, chapter, documents))
    root = html.Element("html", lang=template.language.value)
    root.extend([head, body])
    return bytes(html.tostring(root, encoding="utf-8", doctype="<!DOCTYPE html>")) + b"\n"


def _coded(template: Template) -> str:
    root = etree.Element("template_attributes")
    etree.SubElement(root, "top-level-flag").text = "true"
    etree.SubElement(root, "status").text = "ACTIVE"
    content = etree.SubElement(root, "coded_content")
    schemes = etree.SubElement(content, "coding_schemes")
    for _, name, identifier in _SCHEMES:
        etree.SubElement(schemes, "coding_scheme", name=name, designator=identifier)
    for chapter, (name, code, _) in _SECTIONS.items():
        _entry(content, _section_id(chapter), CodedConcept(code=code, scheme="LN", meaning=name))
    for field in template.fields:
        if field.concept is not None:
            _entry(content, field.field_id, field.concept)
        for number, choice in enumerate(field.choices):
            if choice.code is not None:
                _entry(content, _option_id(field, number), choice.code)
    etree.indent(root)
    return f"\n{etree.tostring(root, encoding='unicode')}\n"


def _entry(content: etree._Element, name: str, code: CodedConcept) -> None:
    entry = etree.SubElement(content, "entry", origtxt=name)
    scheme = next((written for designator, written, _ in _SCHEMES if designator == code.scheme), code.scheme)
    etree.SubElement(etree.SubElement(entry, "term"), "code", meaning=code.meaning, value=code.code, scheme=scheme)


def _chapter(
    template: Template, chapter: Chapter, documents: dict[str, tuple[int, dict[str, Any]]]
) -> html.HtmlElement:
    name, _, headings = _SECTIONS[chapter]
    section = builder.E.section({"id": _section_id(chapter), "class": "level1", "data-section-name": name})
    if chapter is Chapter.CONCLUSION:
        section.set("data-section-required", "true")
    heading = etree.SubElement(section, "header", {"class": "level1"})
    heading.text = headings[template.language.value]
    for line in template.lines_of(chapter):
        section.append(_line(line))
    fields = [one for one in template.fields if one.chapter is chapter]
    for group, members in groupby(fields, key=lambda one: one.group):
        parent = section
        if group:
            parent = etree.SubElement(section, "section", {"class": "level2", "data-section-name": group})
            etree.SubElement(parent, "header", {"class": "level2"}).text = group
        for field in members:
            parent.append(_question(field, *documents[field.field_id], template.language))
    return section


def _line(line: Line) -> html.HtmlElement:
    conditions = [_condition(one) for one in line.shown_when]
    kept = {"text": line.text} | ({"shown_when": conditions} if conditions else {})
    paragraph = html.Element("p", {EXTENSION: _json(kept)})
    if conditions or "{" in line.text or "}" in line.text:
        paragraph.set("hidden", "hidden")
    else:
        paragraph.text = line.text
    return paragraph


def _condition(condition: Any) -> dict[str, Any]:
    return {
        key: value
        for key, value in (
            ("field_id", condition.field_id),
            ("any_of", list(condition.any_of)),
            ("at_least", condition.at_least),
            ("at_most", condition.at_most),
        )
        if value is not None and value != []
    }


def _question(field: Field, number: int, document: dict[str, Any], language: Language) -> html.HtmlElement:
    paragraph = html.Element("p")
    label = etree.SubElement(paragraph, "label", {"for": field.field_id})
    label.text = field.label
    label.tail = " "
    control = _control(field)
    own: dict[str, Any] = {"field_id": field.field_id, "number": number, "kind": field.kind.value, "label": field.label}
    own |= {key: document[key] for key in ("group", "phrase", "phrase_no", "shown_when", "default") if key in document}
    if field.concept is not None and _is_altered(field.concept):
        own["concept"] = document["concept"]
    if field.unit and field.unit.strip() != field.unit:
        own["unit"] = field.unit
    control.set("id", field.field_id)
    control.set("name", field.field_id)
    control.set("data-field-completion-action", "ALERT" if field.is_required else "NONE")
    control.set(EXTENSION, _json(own))
    paragraph.append(control)
    if field.unit:
        etree.SubElement(paragraph, "span").text = field.unit
    return paragraph


def _control(field: Field) -> html.HtmlElement:
    if field.choices:
        select = html.Element("select", {"data-field-type": "SELECTION_LIST"})
        if field.kind is FieldKind.CHOICES:
            select.set("multiple", "multiple")
        else:
            etree.SubElement(select, "option", value="")
        for number, choice in enumerate(field.choices):
            select.append(_option(field, number, choice))
        return select
    if field.kind is FieldKind.TEXT:
        area = html.Element("textarea", {"data-field-type": "TEXT"})
        area.text = field.default if isinstance(field.default, str) else None
        return area
    kind, declared = _INPUTS[field.kind]
    entry = html.Element("input", {"type": kind, "data-field-type": declared})
    if kind == "number":
        entry.set("step", "1" if field.is_whole else "any")
    for name, text in (("min", field.minimum), ("max", field.maximum), ("data-field-units", field.unit)):
        if text not in (None, ""):
            entry.set(name, f"{text:.15g}" if isinstance(text, float | int) else str(text))
    if field.default is True:
        entry.set("checked", "checked")
    elif field.default is not None and not isinstance(field.default, bool):
        entry.set("value", str(field.default))
    return entry


def _option(field: Field, number: int, choice: Choice) -> html.HtmlElement:
    option = html.Element("option", {"id": _option_id(field, number), "value": choice.label, "name": field.field_id})
    option.text = choice.label
    chosen: Sequence[Any] = field.default if isinstance(field.default, tuple) else (field.default,)
    if choice.choice_id in chosen:
        option.set("selected", "selected")
    own: dict[str, Any] = {"choice_id": choice.choice_id, "label": choice.label}
    own |= {"phrase": choice.phrase} if choice.phrase else {}
    own |= {"is_exclusive": True} if choice.is_exclusive else {}
    if choice.code is not None and _is_altered(choice.code):
        own["code"] = {"code": choice.code.code, "scheme": choice.code.scheme, "meaning": choice.code.meaning}
    option.set(EXTENSION, _json(own))
    return option


def _section_id(chapter: Chapter) -> str:
    """Return an identifier that no field can have: codes are kept by them."""
    return f"section-{chapter.value}"


def _option_id(field: Field, number: int) -> str:
    return f"{field.field_id}.{number}"


def _is_altered(code: CodedConcept) -> bool:
    """Say whether a code would come back otherwise: files in circulation write schemes and codes in several ways."""
    texts = (code.code, code.scheme, code.meaning)
    known = {*(designator for designator, _, _ in _SCHEMES)}
    return any(collapsed(one) != one or not one for one in texts) or "/" in code.code or code.scheme not in known


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
