"""Templates as JSON, and back: strict in both directions.

For: the documents that are edited, imported, exported and published. Not for: versions and what is in force
(`oncall.report.template_library`), other programs' templates (`oncall.report.mrrt`).

A document holds one template in one language (``"language": "fr"``), or the same one in several
(``"languages": ["fr", "en"]``): then a text may be an object with one text for each language, so that the questions,
choices and codes of all of them are the same.

Invariants: reading what was written gives an equal template; an unknown key, a missing language, or a template with
defects is refused with its place; a default is an answer that the field would accept.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.content import AnswerValue, Chapter, CodedConcept
from oncall.report.template import (
    Choice,
    Condition,
    Field,
    FieldKind,
    Line,
    Notice,
    NoticeKind,
    Template,
    defects,
)
from oncall.report.template_fields import check_answers
from oncall.strict_json import DocumentInvalid, Record, Value

FORMAT: Final = "telegarde-template/1"

# A form of more questions is not answered at night; the longest here has some sixty.
FIELDS_MAX: Final = 500
CHOICES_MAX: Final = 200
LINES_MAX: Final = 200
NOTICES_MAX: Final = 50
_CONDITIONS_MAX: Final = 10
_TEXT_CHARACTERS_MAX: Final = 2_000
_CODE_CHARACTERS_MAX: Final = 64
_OPTIONAL: Final = (
    "language", "languages", "exams", "modalities", "is_dose_wanted", "origin", "chapters", "fields", "notices",
)  # fmt: skip
_FIELD_OPTIONAL: Final = (
    "chapter", "unit", "is_required", "choices", "concept", "shown_when", "group", "phrase", "phrase_no", "minimum",
    "maximum", "is_whole", "default",
)  # fmt: skip


def templates_from_json(document: Value) -> tuple[Template, ...]:
    """Read a document.

    Returns
    -------
    tuple of Template
        One for each of its languages.

    Raises
    ------
    DocumentInvalid
        If it is no template; every problem is named with its place.
    """
    record = document.record(("format", "template_id", "version", "title"), _OPTIONAL)
    if record["format"].raw != FORMAT:
        raise record["format"].wrong(f"{FORMAT} is wanted")
    several = record.each("languages", lambda one: one.one_of(Language), items_max=len(Language))
    single = record.get("language", lambda one: one.one_of(Language), None)
    if (single is None) is not bool(several) or len(set(several)) < len(several):
        raise document.wrong("one language, or languages, each once, is wanted")
    if single is not None:
        return (_template(record, single),)
    return tuple(_template(Record(in_language(document, one, several)), one) for one in several)


def template_to_json(template: Template) -> dict[str, Any]:
    """Return the document of a template; what is as usual is left out."""
    written: dict[str, Any] = {
        "format": FORMAT,
        "template_id": template.template_id,
        "version": template.version,
        "language": template.language.value,
        "title": template.title,
        "exams": [one.value for one in template.exams],
        "modalities": list(template.modalities),
        "is_dose_wanted": template.is_dose_wanted,
        "origin": template.origin,
        "chapters": {
            chapter.value: [_line_to_json(line) for line in template.lines_of(chapter)]
            for chapter in Chapter
            if template.lines_of(chapter)
        },
        "fields": [_field_to_json(one) for one in template.fields],
        "notices": [_notice_to_json(one) for one in template.notices],
    }
    return _without_usual(written)


def checked(template: Template, place: str = "document") -> Template:
    """Return a template without defects, its defaults as the answers that they are.

    Raises
    ------
    DocumentInvalid
        If it has any.
    """
    problems = [f"{place}.{one}" for one in defects(template)]
    if problems:
        raise DocumentInvalid(problems)
    fields = []
    for number, field in enumerate(template.fields):
        if field.default is not None:
            alone = replace(template, fields=(replace(field, shown_when=()),), lines=(), notices=())
            read = check_answers(alone, {field.field_id: field.default})
            if read.errors:
                problems.append(f"{place}.fields[{number}].default: {read.errors[field.field_id]}")
            field = replace(field, default=read.answers.get(field.field_id))
        fields.append(field)
    if problems:
        raise DocumentInvalid(problems)
    return replace(template, fields=tuple(fields))


def in_language(value: Value, language: Language, languages: Sequence[Language]) -> Value:
    """Return a value whose texts are those of one language."""
    names = {one.value for one in languages}
    raw = value.raw
    if isinstance(raw, dict) and raw and raw.keys() <= {one.value for one in Language}:
        if raw.keys() != names:
            raise value.wrong(f"a text for each of {', '.join(sorted(names))} is wanted")
        return Value(place=f"{value.place}.{language.value}", raw=raw[language.value])
    if isinstance(raw, dict):
        inner = {key: in_language(Value(place=f"{value.place}.{key}", raw=item), language, languages).raw
                 for key, item in raw.items()}  # fmt: skip
        return Value(place=value.place, raw=inner)
    if isinstance(raw, list):
        items = [
            in_language(Value(place=f"{value.place}[{number}]", raw=item), language, languages).raw
            for number, item in enumerate(raw)
        ]
        return Value(place=value.place, raw=items)
    return value


def _template(record: Record, language: Language) -> Template:
    template = Template(
        template_id=record["template_id"].text(),
        version=record["version"].text(),
        language=language,
        title=record["title"].text(),
        exams=tuple(record.each("exams", lambda one: one.one_of(ExamKind), items_max=len(ExamKind))),
        modalities=tuple(record.each("modalities", _modality, items_max=8)),
        is_dose_wanted=record.get("is_dose_wanted", Value.flag, False),
        origin=record.get("origin", _text, ""),
        lines=record.get("chapters", _lines, ()),
        fields=tuple(record.each("fields", _field, items_max=FIELDS_MAX)),
        notices=tuple(record.each("notices", _notice, items_max=NOTICES_MAX)),
    )
    return checked(template, record.place)


def _modality(value: Value) -> str:
    text = value.text(characters_max=16)
    if not text.isascii() or not text.isalnum() or text != text.upper():
        raise value.wrong("a modality like CT or MR is wanted (PS3.3 C.7.3.1.1.1)")
    return text


def _text(value: Value) -> str:
    return value.text(characters_max=_TEXT_CHARACTERS_MAX)


def _lines(value: Value) -> tuple[Line, ...]:
    record = value.record((), tuple(chapter.value for chapter in Chapter))
    return tuple(
        line
        for chapter in Chapter
        for line in record.each(chapter.value, lambda one, chapter=chapter: _line(one, chapter), items_max=LINES_MAX)  # type: ignore[misc]  # mypy does not type a lambda's default
    )


def _line(value: Value, chapter: Chapter) -> Line:
    if isinstance(value.raw, str):
        return Line(chapter=chapter, text=_text(value))
    record = value.record(("text",), ("shown_when",))
    return Line(chapter=chapter, text=_text(record["text"]), shown_when=_conditions(record))


def _field(value: Value) -> Field:
    record = value.record(("field_id", "label", "kind"), _FIELD_OPTIONAL)
    return Field(
        field_id=record["field_id"].text(),
        label=_text(record["label"]),
        kind=record["kind"].one_of(FieldKind),
        chapter=record.get("chapter", lambda one: one.one_of(Chapter), Chapter.RESULTS),
        unit=record.get("unit", lambda one: one.text(characters_max=_CODE_CHARACTERS_MAX), ""),
        is_required=record.get("is_required", Value.flag, False),
        choices=tuple(record.each("choices", _choice, items_max=CHOICES_MAX)),
        concept=record.get("concept", _code, None),
        shown_when=_conditions(record),
        group=record.get("group", _text, ""),
        phrase=record.get("phrase", _text, ""),
        phrase_no=record.get("phrase_no", _text, ""),
        minimum=record.get("minimum", _bound, None),
        maximum=record.get("maximum", _bound, None),
        is_whole=record.get("is_whole", Value.flag, False),
        default=record.get("default", _default, None),
    )


def _choice(value: Value) -> Choice:
    record = value.record(("choice_id", "label"), ("phrase", "code", "is_exclusive"))
    return Choice(
        choice_id=record["choice_id"].text(characters_max=_CODE_CHARACTERS_MAX),
        label=_text(record["label"]),
        phrase=record.get("phrase", _text, ""),
        code=record.get("code", _code, None),
        is_exclusive=record.get("is_exclusive", Value.flag, False),
    )


def _code(value: Value) -> CodedConcept:
    record = value.record(("code", "scheme", "meaning"))
    return CodedConcept(
        code=record["code"].text(characters_max=_CODE_CHARACTERS_MAX),
        scheme=record["scheme"].text(characters_max=16),
        meaning=record["meaning"].text(characters_max=_CODE_CHARACTERS_MAX),
    )


def _conditions(record: Record) -> tuple[Condition, ...]:
    return tuple(record.each("shown_when", _condition, items_max=_CONDITIONS_MAX))


def _condition(value: Value) -> Condition:
    record = value.record(("field_id",), ("any_of", "at_least", "at_most"))
    return Condition(
        field_id=record["field_id"].text(),
        any_of=tuple(record.each("any_of", _possible, items_max=CHOICES_MAX)),
        at_least=record.get("at_least", _bound, None),
        at_most=record.get("at_most", _bound, None),
    )


def _possible(value: Value) -> str | bool:
    return value.raw if isinstance(value.raw, bool) else value.text()


def _bound(value: Value) -> float:
    return value.number(-1e9, 1e9)


def _default(value: Value) -> AnswerValue:
    if isinstance(value.raw, list):
        return tuple(value.each(Value.text, items_max=CHOICES_MAX))
    if isinstance(value.raw, bool | int | float):
        return value.raw
    return _text(value)


def _notice(value: Value) -> Notice:
    record = value.record(("notice_id", "kind", "text", "shown_when"), ("category",))
    return Notice(
        notice_id=record["notice_id"].text(),
        kind=record["kind"].one_of(NoticeKind),
        text=_text(record["text"]),
        shown_when=_conditions(record),
        category=record.get("category", lambda one: one.whole(1, 3), None),
    )


def _line_to_json(line: Line) -> Any:
    if not line.shown_when:
        return line.text
    return {"text": line.text, "shown_when": [_condition_to_json(one) for one in line.shown_when]}


def _field_to_json(field: Field) -> dict[str, Any]:
    written: dict[str, Any] = {
        "field_id": field.field_id,
        "label": field.label,
        "kind": field.kind.value,
        "chapter": field.chapter.value,
        "unit": field.unit,
        "is_required": field.is_required,
        "choices": [
            _without_usual(
                {
                    "choice_id": one.choice_id,
                    "label": one.label,
                    "phrase": one.phrase,
                    "code": _code_to_json(one.code),
                    "is_exclusive": one.is_exclusive,
                }
            )
            for one in field.choices
        ],
        "concept": _code_to_json(field.concept),
        "shown_when": [_condition_to_json(one) for one in field.shown_when],
        "group": field.group,
        "phrase": field.phrase,
        "phrase_no": field.phrase_no,
        "minimum": _plain(field.minimum),
        "maximum": _plain(field.maximum),
        "is_whole": field.is_whole,
    }
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    # A default of no or of 0 is one; what is not there is None.
    return _without_usual(written) | ({} if default is None else {"default": default})


def _condition_to_json(condition: Condition) -> dict[str, Any]:
    return _without_usual(
        {
            "field_id": condition.field_id,
            "any_of": list(condition.any_of),
            "at_least": _plain(condition.at_least),
            "at_most": _plain(condition.at_most),
        }
    )


def _notice_to_json(notice: Notice) -> dict[str, Any]:
    return _without_usual(
        {
            "notice_id": notice.notice_id,
            "kind": notice.kind.value,
            "text": notice.text,
            "category": notice.category,
            "shown_when": [_condition_to_json(one) for one in notice.shown_when],
        }
    )


def _code_to_json(code: CodedConcept | None) -> dict[str, str] | None:
    return None if code is None else {"code": code.code, "scheme": code.scheme, "meaning": code.meaning}


def _plain(bound: float | None) -> float | None:
    """Return a bound as people write it: equal templates are equal texts."""
    return int(bound) if bound is not None and bound == int(bound) else bound


def _without_usual(written: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what is empty, false or not there; 0 is a bound and stays."""
    return {key: value for key, value in written.items() if value or (value == 0 and value is not False)}
