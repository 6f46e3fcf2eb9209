"""A report template: the frame of the four chapters and the questions of a structured form. Frozen values.

For: what an exam's report should say and ask, in one language. Not for: answers (`oncall.report.template_fields`), the
text that they make (`oncall.report.rendering`), templates as JSON (`oncall.report.template_documents`) or as HTML
(`oncall.report.mrrt`).

Invariants of a template without `defects`: a condition looks at earlier fields only, so which fields are shown has one
answer; every answer that can be given has words in the text; every word of the text is the template's or an answer's.

The chapters are those a French report must have (domain reference, section 1.6); the words for kinds of fields are near
those of IHE RAD MRRT, which imports and exports use.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.content import AnswerValue, Chapter, CodedConcept

TEMPLATE_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,35}")
TEMPLATE_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,23}")
FIELD_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
VALUE: Final = "value"
"""The name by which a phrase means the answer to its own field."""

_FACT: Final = "fact:"
_BRACES: Final = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")


class FieldKind(StrEnum):
    """What may be answered. A measurement has a unit, a number has none; ``date_time`` may carry its offset."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    CHOICES = "choices"
    YES_NO = "yes_no"
    MEASUREMENT = "measurement"
    DATE = "date"
    TIME = "time"
    DATE_TIME = "date_time"


class Fact(StrEnum):
    """What a line may take over from the case: the clinical question, the protocol as performed, what was compared."""

    REASON = "reason"
    PROTOCOL = "protocol"
    COMPARISON = "comparison"


NUMBERS: Final = frozenset({FieldKind.NUMBER, FieldKind.MEASUREMENT})
CHOOSING: Final = frozenset({FieldKind.CHOICE, FieldKind.CHOICES})


class NoticeKind(StrEnum):
    """What answers call for, besides being written down."""

    SECOND_READING = "second_reading"
    CRITICAL = "critical"
    INCONSISTENT = "inconsistent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Something that the answer to an earlier field must be; unanswered, no condition holds.

    ``any_of`` are choices or ``True``/``False``, one of which was answered; ``at_least`` and ``at_most`` bound a
    number, or how many choices were made; with none of them, any answer will do.
    """

    field_id: str
    any_of: tuple[str | bool, ...] = ()
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One possible answer. ``phrase`` is the sentence it makes, else the field's phrase with the label makes it.

    ``is_exclusive`` excludes every other choice of the field, as "none" does.
    """

    choice_id: str
    label: str
    phrase: str = ""
    code: CodedConcept | None = None
    is_exclusive: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One question, and how its answer is written in ``chapter``, under the heading ``group``.

    ``phrase`` is a sentence with ``{value}``; for yes and no it is the sentence of a yes, ``phrase_no`` that of a no.
    Without one the answer is written after the label. ``unit`` is UCUM. ``is_required`` means that a report without the
    answer is incomplete while the field is shown, not that it cannot be signed. ``default`` is offered, never taken as
    answered. The field is shown when every condition of ``shown_when`` holds.
    """

    field_id: str
    label: str
    kind: FieldKind
    chapter: Chapter = Chapter.RESULTS
    unit: str = ""
    is_required: bool = False
    choices: tuple[Choice, ...] = ()
    concept: CodedConcept | None = None
    shown_when: tuple[Condition, ...] = ()
    group: str = ""
    phrase: str = ""
    phrase_no: str = ""
    minimum: float | None = None
    maximum: float | None = None
    is_whole: bool = False
    default: AnswerValue | None = None

    def choice(self, choice_id: str) -> Choice:
        """Return a choice; the field has it (checked answers only)."""
        return next(one for one in self.choices if one.choice_id == choice_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of a chapter's frame. ``{field_id}`` and ``{fact:reason}`` stand for an answer and for a fact.

    It is written when its conditions hold and everything it names is known; braces themselves are doubled.
    """

    chapter: Chapter
    text: str
    shown_when: tuple[Condition, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What the reader is told when answers call for it; ``category`` is that of a critical finding (ACR 1 to 3)."""

    notice_id: str
    kind: NoticeKind
    text: str
    shown_when: tuple[Condition, ...]
    category: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A template. ``exams`` and ``modalities`` (PS3.3 C.7.3.1.1.1) say what it is for, empty for anything.

    ``is_dose_wanted`` is so for what uses X-rays (decree of 22 September 2006). ``origin`` says where it comes from and
    under which licence.
    """

    template_id: str
    version: str
    language: Language
    title: str
    exams: tuple[ExamKind, ...] = ()
    modalities: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    fields: tuple[Field, ...] = ()
    notices: tuple[Notice, ...] = ()
    is_dose_wanted: bool = False
    origin: str = ""

    def field(self, field_id: str) -> Field | None:
        """Return a field, or None."""
        return next((one for one in self.fields if one.field_id == field_id), None)

    def lines_of(self, chapter: Chapter) -> tuple[Line, ...]:
        """Return the frame of a chapter."""
        return tuple(line for line in self.lines if line.chapter is chapter)


def placeholders(text: str) -> tuple[str, ...]:
    """Return what a text's braces name, in order; what is no placeholder is returned as it stands, with its braces."""
    found = (match.group() for match in _BRACES.finditer(text) if match.group() not in ("{{", "}}"))
    return tuple(one[1:-1] if len(one) > 2 and _is_name(one[1:-1]) else one for one in found)


def filled(text: str, values: dict[str, str]) -> str:
    """Return a text with its placeholders filled in; every one of them must be among `values`."""

    def put(match: re.Match[str]) -> str:
        found = match.group()
        return found[0] if found in ("{{", "}}") else values[found[1:-1]]

    return _BRACES.sub(put, text)


def escaped(text: str) -> str:
    """Return a text whose braces mean themselves."""
    return text.replace("{", "{{").replace("}", "}}")


def fact_name(fact: Fact) -> str:
    """Return how a line names a fact."""
    return _FACT + fact.value


def _is_line(text: str) -> bool:
    """Say whether a text has something to read and no character that documents cannot carry (control, surrogate)."""
    return bool(text.strip()) and not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in text)


def _is_name(text: str) -> bool:
    return bool(FIELD_ID.fullmatch(text.removeprefix(_FACT)))


def defects(template: Template) -> tuple[str, ...]:
    """Return what is wrong with a template, each with its place; a template with any is not used."""
    return tuple(_defects(template))


def _defects(template: Template) -> Iterator[str]:
    if not TEMPLATE_ID.fullmatch(template.template_id):
        yield "template_id: 1 to 36 of a-z, 0-9 and - are wanted"
    if not TEMPLATE_VERSION.fullmatch(template.version):
        yield "version: 1 to 24 letters, digits, points and hyphens are wanted"
    if not _is_line(template.title):
        yield "title: one line that is not empty is wanted"
    earlier: dict[str, Field] = {}
    for number, field in enumerate(template.fields):
        place = f"fields[{number}]"
        if not FIELD_ID.fullmatch(field.field_id) or field.field_id == VALUE:
            yield f"{place}.field_id: a small letter, then up to 39 of a-z, 0-9 and _ are wanted, and not {VALUE}"
        if field.field_id in earlier:
            yield f"{place}.field_id: {field.field_id} is there twice"
        yield from _conditions_defects(place, field.shown_when, earlier)
        yield from _field_defects(place, field)
        earlier[field.field_id] = field
    names = {*earlier, *(fact_name(fact) for fact in Fact)}
    chapters = list(Chapter)
    if list(template.lines) != sorted(template.lines, key=lambda one: chapters.index(one.chapter)):
        yield "chapters: lines stand in the order of the chapters"
    for chapter in Chapter:
        for number, line in enumerate(template.lines_of(chapter)):
            place = f"chapters.{chapter.value}[{number}]"
            yield from _conditions_defects(place, line.shown_when, earlier)
            yield from (f"{place}: {one} is no field or fact" for one in placeholders(line.text) if one not in names)
            if not _is_line(line.text):
                yield f"{place}: one line that is not empty is wanted"
    known: set[str] = set()
    for number, notice in enumerate(template.notices):
        place = f"notices[{number}]"
        yield from _conditions_defects(place, notice.shown_when, earlier)
        if notice.notice_id in known or not notice.shown_when:
            yield f"{place}: an identifier of its own and a condition are wanted"
        if (notice.category in (1, 2, 3)) is not (notice.kind is NoticeKind.CRITICAL):
            yield f"{place}.category: 1, 2 or 3 for what is critical, and for nothing else"
        if not _is_line(notice.text):
            yield f"{place}.text: one line that is not empty is wanted"
        known.add(notice.notice_id)


def _field_defects(place: str, field: Field) -> Iterator[str]:
    if not _is_line(field.label):
        yield f"{place}.label: one line that is not empty is wanted"
    if bool(field.unit) is not (field.kind is FieldKind.MEASUREMENT):
        yield f"{place}.unit: a measurement has one, nothing else does"
    if bool(field.choices) is not (field.kind in CHOOSING):
        yield f"{place}.choices: wanted of what is chosen, and of nothing else"
    bounds = (field.minimum, field.maximum)
    if (bounds != (None, None) or field.is_whole) and field.kind not in NUMBERS:
        yield f"{place}: only numbers have bounds"
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        yield f"{place}.minimum: not more than the maximum is wanted"
    for name, texts in (
        ("choice_id", [one.choice_id for one in field.choices]),
        ("label", [one.label for one in field.choices]),
    ):
        if len(set(texts)) < len(texts) or not all(_is_line(text) for text in texts):
            yield f"{place}.choices: each {name} is there once, one line that is not empty"
    if field.kind is FieldKind.CHOICES and any(one.phrase for one in field.choices):
        yield f"{place}.choices: several choices make one sentence, so that none has its own"
    yield from _phrase_defects(place, field)


def _phrase_defects(place: str, field: Field) -> Iterator[str]:
    is_yes_no = field.kind is FieldKind.YES_NO
    if field.phrase and placeholders(field.phrase) != (() if is_yes_no else (VALUE,)):
        yield f"{place}.phrase: " + ("no placeholder is wanted" if is_yes_no else "{value} is wanted, once")
    if bool(field.phrase_no) is not (is_yes_no and bool(field.phrase)):
        yield f"{place}.phrase_no: wanted beside the phrase of a yes, and nowhere else"
    for text in (field.phrase_no, *(one.phrase for one in field.choices)):
        if placeholders(text):
            yield f"{place}: {placeholders(text)[0]} has no place here"
    for text in (field.phrase, field.phrase_no, field.group, *(one.phrase for one in field.choices)):
        if text and not _is_line(text):
            yield f"{place}: phrases and headings are one line"


def _conditions_defects(place: str, conditions: Sequence[Condition], earlier: dict[str, Field]) -> Iterator[str]:
    for number, condition in enumerate(conditions):
        where = f"{place}.shown_when[{number}]"
        field = earlier.get(condition.field_id)
        if field is None:
            yield f"{where}.field_id: {condition.field_id} is no earlier field"
            continue
        possible: set[str | bool] = {one.choice_id for one in field.choices}
        if field.kind is FieldKind.YES_NO:
            possible = {True, False}
        if not possible.issuperset(condition.any_of) or any(
            isinstance(one, bool) is not (field.kind is FieldKind.YES_NO) for one in condition.any_of
        ):
            yield f"{where}.any_of: nothing that {condition.field_id} can answer"
        is_bounded = condition.at_least is not None or condition.at_most is not None
        if is_bounded and field.kind not in NUMBERS | {FieldKind.CHOICES}:
            yield f"{where}: {condition.field_id} is no number and no list of choices"
        if is_bounded and condition.any_of:
            yield f"{where}: bounds and choices are two conditions"
