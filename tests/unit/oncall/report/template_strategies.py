"""Templates and raw answers drawn at random, for properties: every kind of field, conditions, lines, phrases."""

from typing import Any

from hypothesis import strategies as st

from oncall.language import Language
from oncall.reading.board import ExamKind
from oncall.report.content import Chapter, CodedConcept
from oncall.report.template import (
    Choice,
    Condition,
    Fact,
    Field,
    FieldKind,
    Line,
    Notice,
    NoticeKind,
    Template,
    defects,
    escaped,
    fact_name,
)
from oncall.report.template_documents import checked

# What texts of people hold: accents, other scripts, quotes, what HTML and JSON escape, and double spaces.
WORDS = st.lists(
    st.sampled_from(
        ["lésion", "œdème", "d'où", '"x"', "<b>", "&amp;", "μm", "肺", "12 %", "a  b", "</script>", "n°", "\u00a0z"]
    ),
    min_size=1,
    max_size=4,
).map(" ".join)
SCHEMES = st.sampled_from(["SCT", "LN", "RADLEX", "99local"])
CODES = st.builds(CodedConcept, code=st.sampled_from(["1386000", "RID58", "a/b"]), scheme=SCHEMES, meaning=WORDS)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Draw a template without defects."""
    fields: list[Field] = []
    for number in range(draw(st.integers(0, 6))):
        fields.append(draw(_fields(number, tuple(fields))))
    lines = tuple(
        Line(chapter=chapter, text=text, shown_when=draw(_conditions(tuple(fields))))
        for chapter in Chapter
        for text in draw(st.lists(_line_texts(fields), max_size=2))
    )
    asked = [one for one in fields if one.kind is FieldKind.YES_NO]
    notices = tuple(
        Notice(
            notice_id=f"n{number}",
            kind=NoticeKind.CRITICAL if number else NoticeKind.SECOND_READING,
            text=draw(WORDS),
            shown_when=(Condition(field_id=one.field_id, any_of=(True,)),),
            category=2 if number else None,
        )
        for number, one in enumerate(asked[:2])
    )
    template = Template(
        template_id=draw(st.sampled_from(["a", "ct-head-2", "0-9"])),
        version=draw(st.sampled_from(["1.0", "2026-11-22", "b"])),
        language=draw(st.sampled_from(Language)),
        title=draw(WORDS),
        exams=tuple(draw(st.lists(st.sampled_from(ExamKind), unique=True, max_size=2))),
        modalities=tuple(draw(st.lists(st.sampled_from(["CT", "MR"]), unique=True))),
        lines=lines,
        fields=tuple(fields),
        notices=notices,
        is_dose_wanted=draw(st.booleans()),
        origin=draw(st.one_of(st.just(""), WORDS)),
    )
    assert defects(template) == ()
    return checked(template)


@st.composite
def _fields(draw: st.DrawFn, number: int, earlier: tuple[Field, ...]) -> Field:
    kind = draw(st.sampled_from(FieldKind))
    choices: tuple[Choice, ...] = ()
    if kind in (FieldKind.CHOICE, FieldKind.CHOICES):
        choices = tuple(
            Choice(
                choice_id=f"c{index}",
                label=f"{draw(WORDS)} {index}",
                phrase=draw(st.one_of(st.just(""), WORDS.map(escaped))) if kind is FieldKind.CHOICE else "",
                code=draw(st.none() | CODES),
                is_exclusive=draw(st.booleans()),
            )
            for index in range(draw(st.integers(1, 4)))
        )
    phrase, phrase_no = draw(st.one_of(st.just(""), WORDS)), ""
    if phrase and kind is FieldKind.YES_NO:
        phrase_no = draw(WORDS)
    elif phrase:
        phrase = f"{escaped(phrase)} {{value}}."
    is_number = kind in (FieldKind.NUMBER, FieldKind.MEASUREMENT)
    return Field(
        field_id=f"f{number}",
        label=draw(WORDS),
        kind=kind,
        chapter=draw(st.sampled_from(Chapter)),
        unit=draw(st.sampled_from(["mm", "mL", "[hnsf'U]", "%"])) if kind is FieldKind.MEASUREMENT else "",
        is_required=draw(st.booleans()),
        choices=choices,
        concept=draw(st.none() | CODES),
        shown_when=draw(_conditions(earlier)),
        group=draw(st.one_of(st.just(""), WORDS)),
        phrase=phrase,
        phrase_no=phrase_no,
        minimum=draw(st.sampled_from([None, -5.0, 0.0])) if is_number else None,
        maximum=draw(st.sampled_from([None, 12.5, 300.0])) if is_number else None,
        is_whole=draw(st.booleans()) if is_number else False,
    )


@st.composite
def _conditions(draw: st.DrawFn, earlier: tuple[Field, ...]) -> tuple[Condition, ...]:
    if not earlier or draw(st.integers(0, 2)):
        return ()
    field = draw(st.sampled_from(earlier))
    if field.choices:
        ids = [one.choice_id for one in field.choices]
        return (Condition(field_id=field.field_id, any_of=tuple(draw(st.lists(st.sampled_from(ids), max_size=2)))),)
    if field.kind is FieldKind.YES_NO:
        return (Condition(field_id=field.field_id, any_of=(draw(st.booleans()),)),)
    if field.kind in (FieldKind.NUMBER, FieldKind.MEASUREMENT):
        return (Condition(field_id=field.field_id, at_least=draw(st.none() | st.just(1.5)), at_most=100.0),)
    return (Condition(field_id=field.field_id),)


def _line_texts(fields: list[Field]) -> st.SearchStrategy[str]:
    names = [one.field_id for one in fields] + [fact_name(Fact.REASON)]
    plain = WORDS.map(escaped)
    return st.one_of(plain, st.tuples(plain, st.sampled_from(names)).map(lambda pair: f"{pair[0]} {{{pair[1]}}}"))


@st.composite
def raw_answers(draw: st.DrawFn, template: Template) -> dict[str, Any]:
    """Draw something for some fields, whether they will be shown or not; texts are marked, so that they are found."""
    return {one.field_id: draw(_raw(one)) for one in template.fields if draw(st.integers(0, 3))}


def _raw(field: Field) -> st.SearchStrategy[Any]:
    ids = [one.choice_id for one in field.choices]
    by_kind: dict[FieldKind, st.SearchStrategy[Any]] = {
        FieldKind.TEXT: st.one_of(
            WORDS.map(lambda text: f"{text} mark-{field.field_id}-"), st.just(f"a\nb mark-{field.field_id}-")
        ),
        FieldKind.NUMBER: st.sampled_from([0, 3, "7", "2,5", 9999.25, "x", True]),
        FieldKind.MEASUREMENT: st.sampled_from([0, 3.125, "7", "2.5", -12]),
        FieldKind.CHOICE: st.sampled_from([*ids, "unknown"]) if ids else st.nothing(),
        FieldKind.CHOICES: st.lists(st.sampled_from(ids or [""]), max_size=3),
        FieldKind.YES_NO: st.sampled_from([True, False, "oui", "no", "maybe"]),
        FieldKind.DATE: st.sampled_from(["2026-10-25", "25/10/2026"]),
        FieldKind.TIME: st.sampled_from(["02:30", "2:30"]),
        FieldKind.DATE_TIME: st.sampled_from(["2026-10-25T02:30", "2026-10-25T02:30+02:00", "2026-10-25"]),
    }
    return by_kind[field.kind]
