"""What a report says: four chapters, the answers of a structured form, the dose, the key images. Frozen values.

For: the content of one version, in one language, with everything a document needs to stand alone: labels and units of
answers are kept beside them, because a template may change after the report was signed. Not for: who signs and when
(`oncall.report.version`), or where answers come from (`oncall.report.template`).

The four chapters are those a French imaging report must have (domain reference, section 1.6); the dose is the
requirement of the decree of 22 September 2006. Texts are Unicode as written, paragraphs divided by a line feed.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from oncall.language import Language

CHARACTERS_MAX: Final = 200_000
"""Of all texts of one content together."""


class Chapter(StrEnum):
    """The chapters of a report, in their order."""

    INDICATION = "indication"
    TECHNIQUE = "technique"
    RESULTS = "results"
    CONCLUSION = "conclusion"


@dataclass(frozen=True, kw_only=True, slots=True)
class CodedConcept:
    """A code, its scheme and its meaning (PS3.3 8.1)."""

    code: str
    scheme: str
    meaning: str


AnswerValue = str | int | float | bool | tuple[str, ...]
"""Text, a number, yes or no, or choices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer of a structured form, as the form asked it when it was answered.

    ``unit`` is UCUM, empty for none; ``concept`` codes the question where the template has a code.
    """

    field_id: str
    label: str
    value: AnswerValue
    unit: str = ""
    concept: CodedConcept | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dose:
    """One dose figure as the modality states it, such as the DLP of a CT in mGy.cm."""

    quantity: str
    value: float
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyImage:
    """An image that shows a finding; ``frames`` count from 1, empty for a single-frame image."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    frames: tuple[int, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportContent:
    """What one version of a report says."""

    language: Language
    title: str
    template_id: str = ""
    template_version: str = ""
    indication: str = ""
    technique: str = ""
    results: str = ""
    conclusion: str = ""
    answers: tuple[Answer, ...] = ()
    doses: tuple[Dose, ...] = ()
    key_images: tuple[KeyImage, ...] = field(default=())

    def text_of(self, chapter: Chapter) -> str:
        """Return the text of a chapter."""
        return {
            Chapter.INDICATION: self.indication,
            Chapter.TECHNIQUE: self.technique,
            Chapter.RESULTS: self.results,
            Chapter.CONCLUSION: self.conclusion,
        }[chapter]
