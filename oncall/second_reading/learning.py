"""The learning log: what a discrepancy teaches, without saying whose it was.

For: `Lesson`, and refusing a text that names somebody. Not for: rows (`oncall.second_reading.learning_log`).

Invariants: a lesson has no case, person, hospital or day, only the month; a text that has one of the territory's names,
an identifier of the case, a long number or an address is refused before it can be written. The name of a patient is
known to no part of `oncall`: whoever writes a lesson leaves it out.
Source: §4.2 (``discrepancy.learning_closed``: review of morbidity and mortality, NF S99-300).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from foundation.errors import Refused
from oncall.case.state import Case
from oncall.directory import Directory
from oncall.notify import case_code
from oncall.reading.board import ExamKind
from oncall.second_reading.score import BodyRegion, DiscrepancyKind, Score

LESSON_CHARACTERS_MAX: Final = 2000
"""A lesson is a paragraph."""

# Dates, telephone numbers, registers of patients and professionals; a size in mm has three figures.
_LONG_NUMBER: Final = re.compile(r"\d[\d\s./-]{4,}\d")
_ADDRESS: Final = re.compile(r"\S+@\S+")
_TITLE: Final = re.compile(r"\b(?:M\.|Mr|Mme|Mlle|Mrs|Ms|Dr|Pr|Docteur|Doctor|Madame|Monsieur)\.?\s+\w", re.IGNORECASE)
# Shorter names are words of every report (a reader called Os, a hospital called Nord).
_NAME_CHARACTERS_MIN: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What was learned; ``period`` is the month (``2026-11``) in which the discrepancy was closed."""

    period: str
    exam: ExamKind
    kind: DiscrepancyKind
    score: Score
    lesson: str
    body_region: BodyRegion | None = None


def checked_text(text: str, case: Case, directory: Directory) -> str:
    """Return a lesson's text without spaces around it.

    Raises
    ------
    Refused
        If it is empty or too long, or says whose discrepancy it was. The message does not repeat it.
    """
    plain = text.strip()
    if not plain or len(plain) > LESSON_CHARACTERS_MAX:
        raise Refused(f"a lesson has 1 to {LESSON_CHARACTERS_MAX} characters")
    folded = plain.casefold()
    if _LONG_NUMBER.search(plain) or _ADDRESS.search(plain) or _TITLE.search(plain):
        raise Refused("a lesson names nobody: leave out titles, addresses, dates and long numbers")
    words = set(re.findall(r"\w+", folded))
    for name in _names(case, directory):
        is_there = name in words if " " not in name and name.isalnum() else name in folded
        if is_there:
            raise Refused("a lesson names nobody: leave out people, hospitals and whatever finds the case")
    return plain


def _names(case: Case, directory: Directory) -> Iterable[str]:
    yield case.case_id.casefold()
    yield case_code(case.case_id).casefold()
    for key in (case.identity.patient_key, *case.identity.former_patient_keys, case.request.accession_number,
                case.request.placer_order_number, case.request.requester):  # fmt: skip
        if key:
            yield key.casefold()
    for study in case.images.studies:
        yield study.study_instance_uid
    for person in directory.persons.values():
        yield from _parts(person.person_id, person.name, person.rpps or "")
    for site in directory.sites.values():
        yield from _parts(site.site_id, site.name)
    for provider in directory.providers.values():
        yield from _parts(provider.provider_id, provider.name)


def _parts(*names: str) -> Iterable[str]:
    for name in names:
        for part in (name, *re.findall(r"\w+", name)):
            if len(part) >= _NAME_CHARACTERS_MIN:
                yield part.casefold()
