"""From checked answers to the text of the four chapters, and what a report still lacks. Pure and deterministic.

For: `render`, `completeness`, `notices`, and the way back from a kept content to its form (`form_of`). Not for:
documents (`oncall.report_documents`), or who may sign (`oncall.report.states`).

Invariants: every answer is in the text of its field's chapter, by a line of the frame or by its own sentence; nothing
of a hidden field is; the same template, answers and texts give the same content, letter by letter. What the reader
wrote follows what the form says, and nothing of it is changed.

The four chapters: domain reference, section 1.6; the dose: decree of 22 September 2006.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import IntEnum

from oncall.report.content import Answer, AnswerValue, Chapter, Dose, KeyImage, ReportContent
from oncall.report.template import (
    VALUE,
    Fact,
    Field,
    FieldKind,
    Notice,
    Template,
    fact_name,
    filled,
    placeholders,
)
from oncall.report.template_fields import Answers, check_answers, is_shown, number_text, shown_fields
from oncall.report.template_texts import WORDS, Words


class Severity(IntEnum):
    """What a finding about completeness asks for: nothing, an acknowledgement when signing, or mending first."""

    HINT = 1
    ACKNOWLEDGE = 2
    REFUSE = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """Something that a report lacks. ``code`` is stable (``missing_conclusion``, ...); ``text`` is for people."""

    code: str
    severity: Severity
    text: str
    field_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A kept content as a form again: raw answers, and what the reader wrote beside it, by chapter.

    ``edited`` are chapters whose text is no longer what the form says with something after it; all of such a chapter is
    in ``texts``. ``lost`` are answers that the template does not understand any more.
    """

    raw: Mapping[str, AnswerValue]
    texts: Mapping[Chapter, str]
    edited: frozenset[Chapter] = frozenset()
    lost: tuple[str, ...] = ()


def render(
    template: Template,
    answers: Answers,
    texts: Mapping[Chapter, str],
    *,
    facts: Mapping[Fact, str] | None = None,
    doses: Sequence[Dose] = (),
    key_images: Sequence[KeyImage] = (),
) -> ReportContent:
    """Return the content that a form makes.

    Parameters
    ----------
    answers : Answers
        As `check_answers` returned them for this template.
    texts : mapping
        What the reader wrote, by chapter: it follows what the form says.
    facts : mapping
        What is known of the case; lines that name another one are left out.
    """
    known = {fact_name(fact): text for fact, text in (facts or {}).items() if text.strip()}
    chapters = {
        chapter: "\n".join(
            part for part in (_chapter(template, chapter, answers, known), texts.get(chapter, "")) if part
        )
        for chapter in Chapter
    }
    return ReportContent(
        language=template.language,
        title=template.title,
        template_id=template.template_id,
        template_version=template.version,
        indication=chapters[Chapter.INDICATION],
        technique=chapters[Chapter.TECHNIQUE],
        results=chapters[Chapter.RESULTS],
        conclusion=chapters[Chapter.CONCLUSION],
        answers=content_of(template, answers),
        doses=tuple(doses),
        key_images=tuple(key_images),
    )


def content_of(template: Template, answers: Answers) -> tuple[Answer, ...]:
    """Return answers as a content keeps them, in the form's order: choices by their labels, with units and codes."""
    return tuple(
        Answer(
            field_id=field.field_id,
            label=field.label,
            value=_kept(field, answers[field.field_id]),
            unit=field.unit,
            concept=field.concept,
        )
        for field in shown_fields(template, answers)
        if field.field_id in answers
    )


def form_of(template: Template, content: ReportContent, *, facts: Mapping[Fact, str] | None = None) -> Form:
    """Return the form that a content was made with; the template must be that of its identifier and version."""
    raw: dict[str, AnswerValue] = {}
    lost = []
    for answer in content.answers:
        field = template.field(answer.field_id)
        value = None if field is None else _asked(field, answer.value)
        if value is None:
            lost.append(answer.field_id)
        else:
            raw[answer.field_id] = value
    checked = check_answers(template, raw)
    made = render(template, checked.answers, {}, facts=facts)
    texts, edited = {}, set()
    for chapter in Chapter:
        text, begins = content.text_of(chapter), made.text_of(chapter)
        if text == begins:
            continue
        if not begins or text.startswith(begins + "\n"):
            texts[chapter] = text[len(begins) + 1 :] if begins else text
        else:
            texts[chapter] = text
            edited.add(chapter)
    not_kept = (one.field_id for one in template.fields if one.field_id in {*checked.errors, *checked.left_out})
    return Form(raw=checked.answers, texts=texts, edited=frozenset(edited), lost=(*lost, *not_kept))


def notices(template: Template, answers: Answers) -> tuple[Notice, ...]:
    """Return what the answers call for: a second reading, a call, another look because they contradict each other."""
    return tuple(one for one in template.notices if is_shown(one.shown_when, answers))


def completeness(content: ReportContent, template: Template | None, answers: Answers | None = None) -> tuple[Lack, ...]:
    """Return what a report lacks, what is refused first.

    Parameters
    ----------
    template : Template or None
        The one that it was made with, or None for free text.
    answers : Answers
        As checked; needed with a template that has fields.
    """
    words = WORDS[content.language]
    lacks = []
    for chapter, severity, code, text in (
        (Chapter.CONCLUSION, Severity.REFUSE, "missing_conclusion", words.missing_conclusion),
        (Chapter.RESULTS, Severity.REFUSE, "missing_results", words.missing_results),
        (Chapter.INDICATION, Severity.ACKNOWLEDGE, "missing_indication", words.missing_indication),
        (Chapter.TECHNIQUE, Severity.ACKNOWLEDGE, "missing_technique", words.missing_technique),
    ):
        if not content.text_of(chapter).strip():
            lacks.append(Lack(code=code, severity=severity, text=text))
    if template is None:
        return tuple(lacks)
    if template.is_dose_wanted and not content.doses:
        lacks.append(Lack(code="missing_dose", severity=Severity.ACKNOWLEDGE, text=words.missing_dose))
    for field in shown_fields(template, answers or {}):
        if field.is_required and field.field_id not in (answers or {}):
            text = words.missing_answer.format(label=field.label)
            lacks.append(Lack(code="missing_answer", severity=Severity.ACKNOWLEDGE, text=text, field_id=field.field_id))
    return tuple(lacks)


def sentence(field: Field, answer: AnswerValue, words: Words) -> str:
    """Return the sentence that an answer makes."""
    if field.kind is FieldKind.YES_NO and field.phrase:
        return filled(field.phrase if answer else field.phrase_no, {})
    if field.kind is FieldKind.CHOICE:
        assert isinstance(answer, str), "checked"
        if field.choice(answer).phrase:
            return filled(field.choice(answer).phrase, {})
    value = value_text(field, answer, words)
    if field.phrase:
        return filled(field.phrase, {VALUE: value})
    if "\n" in value:
        # A text of several lines stands below its label.
        return f"{field.label}{words.colon.rstrip()}\n{value}"
    return f"{field.label}{words.colon}{_ended(value)}"


def value_text(field: Field, answer: AnswerValue, words: Words) -> str:
    """Return an answer as it is read: with its unit, choices by their labels, dates as the language writes them."""
    if isinstance(answer, bool):
        return words.yes if answer else words.no
    if isinstance(answer, tuple):
        labels = [field.choice(one).label for one in answer]
        return words.last_of_list.join([", ".join(labels[:-1]), labels[-1]]) if len(labels) > 1 else labels[0]
    if isinstance(answer, int | float):
        unit = words.units.get(field.unit, field.unit)
        return f"{number_text(answer, words)} {unit}".rstrip()
    if field.kind is FieldKind.CHOICE:
        return field.choice(answer).label
    if field.kind is FieldKind.DATE:
        return date.fromisoformat(answer).strftime(words.date)
    if field.kind is FieldKind.TIME:
        return time.fromisoformat(answer).strftime(words.time)
    if field.kind is FieldKind.DATE_TIME:
        read = datetime.fromisoformat(answer)
        offset = "" if read.tzinfo is None else f" (UTC{read.isoformat()[-6:]})"
        return read.strftime(words.date_time) + offset
    return answer


def _chapter(template: Template, chapter: Chapter, answers: Answers, facts: Mapping[str, str]) -> str:
    words = WORDS[template.language]
    fields = [one for one in shown_fields(template, answers) if one.field_id in answers]
    values = dict(facts)
    values |= {one.field_id: value_text(one, answers[one.field_id], words) for one in fields}
    written: list[str] = []
    placed: set[str] = set()
    for line in template.lines_of(chapter):
        names = placeholders(line.text)
        if is_shown(line.shown_when, answers) and all(name in values for name in names):
            written.append(filled(line.text, values))
            placed.update(names)
    heading = ""
    for field in fields:
        if field.chapter is not chapter or field.field_id in placed:
            continue
        if field.group != heading:
            heading = field.group
            written += [f"{heading}{words.colon.rstrip()}"] if heading else []
        written.append(sentence(field, answers[field.field_id], words))
    return "\n".join(written)


def _ended(text: str) -> str:
    return text if text[-1] in ".!?…" else f"{text}."


def _kept(field: Field, answer: AnswerValue) -> AnswerValue:
    if isinstance(answer, tuple):
        return tuple(field.choice(one).label for one in answer)
    if field.kind is FieldKind.CHOICE:
        assert isinstance(answer, str), "checked"
        return field.choice(answer).label
    return answer


def _asked(field: Field, value: AnswerValue) -> AnswerValue | None:
    """Return a kept value as an answer again, choices by their identifiers; None when the field has no such choice."""
    ids = {one.label: one.choice_id for one in field.choices}
    if field.kind is FieldKind.CHOICE:
        return ids.get(value) if isinstance(value, str) else None
    if field.kind is FieldKind.CHOICES:
        labels = value if isinstance(value, tuple) else ()
        return tuple(ids[one] for one in labels) if labels and ids.keys() >= set(labels) else None
    return value
