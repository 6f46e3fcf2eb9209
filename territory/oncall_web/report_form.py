"""The form of a report: from what a browser or a program sends to a content, and from a kept content to the form again.

For: names of inputs, answers, doses, what is wrong with each. Not for: who may write or sign, or where drafts are kept.

Invariants: nothing that was typed vanishes: what cannot be used comes back beside its error; what is shown depends on
the answers alone, so that a browser without scripts and one with them see the same form after a save. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from oncall.language import Language
from oncall.report.content import CHARACTERS_MAX, Answer, Chapter, Dose, KeyImage, ReportContent
from oncall.report.rendering import Lack, Severity, completeness, form_of, notices, render
from oncall.report.template import Field, FieldKind, Notice, Template
from oncall.report.template_fields import Checked, check_answers, shown_fields

TITLE_CHARACTERS_MAX: Final = 200
DOSES_MAX: Final = 6
"""Rows of a form: the phases of a whole-body CT fit."""

_VALUE_MAX: Final = 1e7
# What is fixed in words beyond a template's frame when there is none.
_UNTITLED: Final[Mapping[Language, str]] = {
    Language.FRENCH: "Compte rendu d'imagerie",
    Language.ENGLISH: "Imaging report",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DoseRow:
    """One dose as it was typed; ``error`` is the key of a text."""

    quantity: str = ""
    value: str = ""
    unit: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportForm:
    """A form with all that is known of it.

    ``raw`` are answers as they were typed, ``frames`` what the form says by chapter, ``texts`` what the reader wrote.
    ``errors`` are texts in the language of the report, by the name of an input.
    """

    template: Template | None
    content: ReportContent
    texts: Mapping[Chapter, str]
    frames: Mapping[Chapter, str]
    raw: Mapping[str, Any] = field(default_factory=dict)
    checked: Checked = field(default_factory=Checked)
    doses: tuple[DoseRow, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def lacks(self) -> tuple[Lack, ...]:
        """Return what the report lacks, what must be mended first."""
        return completeness(self.content, self.template, self.checked.answers)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Return what the answers call for."""
        return () if self.template is None else notices(self.template, self.checked.answers)

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the fields that these answers show."""
        if self.template is None:
            return ()
        return tuple(one.field_id for one in shown_fields(self.template, self.checked.answers))

    @property
    def is_sound(self) -> bool:
        """Say whether everything that was typed is in the content."""
        return not self.errors and not self.checked.errors and not any(row.error for row in self.doses)

    @property
    def is_signable(self) -> bool:
        """Say whether nothing must be mended first."""
        return self.is_sound and all(one.severity is not Severity.REFUSE for one in self.lacks)


def input_name(one: Field, choice_id: str = "") -> str:
    """Return the name of a field's input; of several choices each has its own."""
    return f"answer-{one.field_id}-{choice_id}" if one.kind is FieldKind.CHOICES else f"answer-{one.field_id}"


def read_form(
    sent: Mapping[str, Any],
    template: Template | None,
    language: Language,
    *,
    answers: Sequence[Answer] = (),
    key_images: Sequence[KeyImage] = (),
) -> ReportForm:
    """Return the form that was sent.

    Parameters
    ----------
    answers, key_images : sequence
        What the draft holds and no input shows: answers of a form whose template is gone, and images.
    """
    # Browsers send the ends of lines as CR LF (HTML, form submission).
    given = {name: str(value).replace("\r\n", "\n") for name, value in sent.items()}
    texts = {chapter: given.get(f"text-{chapter.value}", "").strip("\n") for chapter in Chapter}
    raw: dict[str, Any] = {} if template is None else raw_answers(template, given)
    checked = Checked() if template is None else check_answers(template, raw)
    rows = _dose_rows(given)
    doses = tuple(
        Dose(quantity=row.quantity, value=_number(row.value) or 0.0, unit=row.unit)
        for row in rows
        if row.value and not row.error
    )
    title = " ".join(given.get("title", "").split())[:TITLE_CHARACTERS_MAX]
    if template is None:
        content = _free(title or _UNTITLED[language], language, texts)
        content = replace(content, answers=tuple(answers), doses=doses, key_images=tuple(key_images))
        frames: Mapping[Chapter, str] = {}
    else:
        content = render(template, checked.answers, texts, doses=doses, key_images=key_images)
        content = replace(content, title=title or template.title)
        frames = _frames(template, checked)
    total = sum(len(content.text_of(chapter)) for chapter in Chapter)
    errors = {"text-results": "error.report_too_long"} if total > CHARACTERS_MAX else {}
    return ReportForm(
        template=template, content=content, texts=texts, frames=frames, raw=raw, checked=checked,
        doses=_padded(rows), errors=errors,
    )  # fmt: skip


def form_from(content: ReportContent, template: Template | None) -> ReportForm:
    """Return the form of a kept content; `template` is that of its identifier and version, None when there is none.

    A content that its template no longer makes is shown as free text, with all that it says.
    """
    rows = tuple(DoseRow(quantity=one.quantity, value=_plain(one.value), unit=one.unit) for one in content.doses)
    form = None if template is None else form_of(template, content)
    if template is None or form is None or form.edited or form.lost:
        texts = {chapter: content.text_of(chapter) for chapter in Chapter}
        return ReportForm(
            template=None,
            content=replace(content, template_id="", template_version=""),
            texts=texts,
            frames={},
            doses=_padded(rows),
        )
    checked = check_answers(template, form.raw)
    return ReportForm(
        template=template,
        content=content,
        texts={chapter: form.texts.get(chapter, "") for chapter in Chapter},
        frames=_frames(template, checked),
        raw=form.raw,
        checked=checked,
        doses=_padded(rows),
    )


def new_content(template: Template | None, language: Language) -> ReportContent:
    """Return the content with which a report begins."""
    if template is None:
        return ReportContent(language=language, title=_UNTITLED[language])
    return render(template, {}, {})


def raw_answers(template: Template, sent: Mapping[str, str]) -> dict[str, Any]:
    """Return the answers of a form as they were typed, by field."""
    raw: dict[str, Any] = {}
    for one in template.fields:
        if one.kind is FieldKind.CHOICES:
            raw[one.field_id] = [
                choice.choice_id for choice in one.choices if sent.get(input_name(one, choice.choice_id))
            ]
        else:
            raw[one.field_id] = sent.get(input_name(one), "")
    return raw


def is_fitting(template: Template, exam: str, modality: str) -> bool:
    """Say whether a template is made for this exam."""
    is_modality = not modality or not template.modalities or modality in template.modalities
    return is_modality and exam in {known.value for known in template.exams}


def _frames(template: Template, checked: Checked) -> Mapping[Chapter, str]:
    made = render(template, checked.answers, {})
    return {chapter: made.text_of(chapter) for chapter in Chapter}


def _free(title: str, language: Language, texts: Mapping[Chapter, str]) -> ReportContent:
    return ReportContent(
        language=language,
        title=title,
        indication=texts[Chapter.INDICATION],
        technique=texts[Chapter.TECHNIQUE],
        results=texts[Chapter.RESULTS],
        conclusion=texts[Chapter.CONCLUSION],
    )


def _dose_rows(given: Mapping[str, str]) -> tuple[DoseRow, ...]:
    found = []
    for number in range(DOSES_MAX):
        quantity, value, unit = (
            " ".join(given.get(f"dose-{number}-{part}", "").split())[:64] for part in ("quantity", "value", "unit")
        )
        if not value:
            # Quantity and unit stand there before anybody typed: alone they say nothing.
            continue
        amount = _number(value)
        error = ""
        if amount is None or not 0 < amount <= _VALUE_MAX:
            error = "not_a_dose"
        elif not quantity or not unit:
            error = "dose_of_what"
        found.append(DoseRow(quantity=quantity, value=value, unit=unit, error=error))
    return tuple(found)


def _padded(rows: Sequence[DoseRow]) -> tuple[DoseRow, ...]:
    """Return the rows with room for more, the first one ready for the usual figure of a CT."""
    usual = () if rows else (DoseRow(quantity="DLP", unit="mGy.cm"),)
    shown = (*rows, *usual)
    return (*shown, DoseRow())[:DOSES_MAX]


def _number(text: str) -> float | None:
    try:
        return float(text.replace("\u00a0", "").replace("\u202f", "").replace(" ", "").replace(",", "."))
    except ValueError:
        return None


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
