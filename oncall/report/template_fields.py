"""Answers to a template's fields: read from what a form or a program sends, checked, and which fields are shown.

For: `check_answers`, from raw values to typed ones. Not for: the text of a report (`oncall.report.rendering`).

Invariants: nothing that was given vanishes silently: it becomes an answer, an error, or is named in ``left_out``; no
answer is kept for a field that is not shown; an empty value is no answer, and a default is none either.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any, Final

from oncall.report.content import AnswerValue
from oncall.report.template import Condition, Field, FieldKind, Template
from oncall.report.template_texts import WORDS, Words

TEXT_CHARACTERS_MAX: Final = 20_000
"""Of one answer: a page of results fits many times."""

# Nothing in a report is counted or measured beyond it, and it has an exact text.
_NUMBER_MAX: Final = 1e9
# Decimal places beyond any modality's.
_PLACES_MAX: Final = 6
_YES: Final = frozenset({"yes", "true", "on", "1", "oui"})
_NO: Final = frozenset({"no", "false", "off", "0", "non"})

Answers = Mapping[str, AnswerValue]
"""Typed answers by field: choices by their identifiers, dates and times as ISO 8601 texts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What came of raw answers, by field: answers, errors, and what was left out and why, in words of the language."""

    answers: Answers = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


class _Wrong(Exception):  # never leaves this module
    """An answer that cannot be used, in the template's language."""


def check_answers(template: Template, raw: Mapping[str, Any]) -> Checked:
    """Return the answers that raw values are.

    Parameters
    ----------
    raw : mapping
        By field identifier: texts as forms send them (``"1,5"``, ``"oui"``), or JSON values. None, an empty text and an
        empty list are no answer.

    Returns
    -------
    Checked
        In the order of the template's fields. A value for a field that is hidden by the other answers is left out and
        named; one for a field that the template does not have is an error.
    """
    words = WORDS[template.language]
    answers: dict[str, AnswerValue] = {}
    left_out: dict[str, str] = {}
    errors = {name: words.unknown_field for name in raw if template.field(name) is None}
    for one in template.fields:
        given = raw.get(one.field_id)
        if _is_empty(given):
            continue
        if not is_shown(one.shown_when, answers):
            left_out[one.field_id] = words.hidden_field
            continue
        try:
            answers[one.field_id] = _READ[one.kind](one, given, words)
        except _Wrong as wrong:
            errors[one.field_id] = str(wrong)
    return Checked(answers=answers, errors=errors, left_out=left_out)


def is_shown(conditions: Sequence[Condition], answers: Answers) -> bool:
    """Say whether every condition holds of checked answers."""
    return all(_holds(condition, answers.get(condition.field_id)) for condition in conditions)


def shown_fields(template: Template, answers: Answers) -> tuple[Field, ...]:
    """Return the fields that a form with these answers shows, in order."""
    return tuple(one for one in template.fields if is_shown(one.shown_when, answers))


def defaults(template: Template) -> dict[str, AnswerValue]:
    """Return what a new form offers; nothing of it is an answer until somebody gave it."""
    return {one.field_id: one.default for one in template.fields if one.default is not None}


def _holds(condition: Condition, answer: AnswerValue | None) -> bool:
    if answer is None:
        return False
    if condition.any_of:
        given = answer if isinstance(answer, tuple) else (answer,)
        return any(one in condition.any_of for one in given)
    if condition.at_least is None and condition.at_most is None:
        return True
    amount = len(answer) if isinstance(answer, tuple) else answer
    assert isinstance(amount, int | float), "defects() refuses bounds of anything else"
    return (condition.at_least is None or amount >= condition.at_least) and (
        condition.at_most is None or amount <= condition.at_most
    )


def _is_empty(given: Any) -> bool:
    return given is None or (
        isinstance(given, str | list | tuple) and not (given.strip() if isinstance(given, str) else given)
    )


def _text(asked: Field, given: Any, words: Words) -> str:
    # Characters that no document format carries: better said now than when the report is signed.
    if not isinstance(given, str) or any(
        unicodedata.category(one) in ("Cc", "Cs") and one not in "\n\r\t" for one in given
    ):
        raise _Wrong(words.wants_text)
    if len(given) > TEXT_CHARACTERS_MAX:
        raise _Wrong(words.too_long.format(bound=TEXT_CHARACTERS_MAX))
    return "\n".join(line.rstrip() for line in given.strip().splitlines())


def _number(one: Field, given: Any, words: Words) -> int | float:
    try:
        number = float(given.strip().replace(",", ".")) if isinstance(given, str) else given
    except ValueError:
        raise _Wrong(words.wants_number) from None
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= _NUMBER_MAX:
        raise _Wrong(words.wants_number)
    number = round(number, _PLACES_MAX)
    if number == int(number):
        number = int(number)
    elif one.is_whole:
        raise _Wrong(words.wants_whole)
    if one.minimum is not None and number < one.minimum:
        raise _Wrong(words.too_small.format(bound=number_text(one.minimum, words)))
    if one.maximum is not None and number > one.maximum:
        raise _Wrong(words.too_great.format(bound=number_text(one.maximum, words)))
    return number


def number_text(number: float, words: Words) -> str:
    """Return a number as a language writes it, with no more places than it has."""
    written = f"{number:.{_PLACES_MAX}f}".rstrip("0").rstrip(".")
    return ("0" if written == "-0" else written).replace(".", words.decimal_mark)


def _choice(one: Field, given: Any, words: Words) -> str:
    if not isinstance(given, str) or given not in {choice.choice_id for choice in one.choices}:
        raise _Wrong(words.wants_choice)
    return given


def _choices(one: Field, given: Any, words: Words) -> tuple[str, ...]:
    given = [given] if isinstance(given, str) else given
    known = [choice.choice_id for choice in one.choices]
    if not isinstance(given, list | tuple) or not all(isinstance(item, str) and item in known for item in given):
        raise _Wrong(words.wants_choices)
    if len(set(given)) < len(given):
        raise _Wrong(words.wants_choices)
    for choice in one.choices:
        if choice.is_exclusive and choice.choice_id in given and len(given) > 1:
            raise _Wrong(words.excludes.format(label=choice.label))
    return tuple(sorted(given, key=known.index))


def _yes_no(one: Field, given: Any, words: Words) -> bool:
    if isinstance(given, bool):
        return given
    said = given.strip().lower() if isinstance(given, str) else ""
    if said not in _YES | _NO:
        raise _Wrong(words.wants_yes_no)
    return said in _YES


def _date(one: Field, given: Any, words: Words) -> str:
    try:
        return date.fromisoformat(given.strip()).isoformat()
    except (AttributeError, ValueError):
        raise _Wrong(words.wants_date) from None


def _time(one: Field, given: Any, words: Words) -> str:
    try:
        read = time.fromisoformat(given.strip())
    except (AttributeError, ValueError):
        raise _Wrong(words.wants_time) from None
    if read.tzinfo is not None:
        raise _Wrong(words.wants_time)
    return read.isoformat(timespec="minutes")


def _date_time(one: Field, given: Any, words: Words) -> str:
    try:
        read = datetime.fromisoformat(given.strip())
    except (AttributeError, ValueError):
        raise _Wrong(words.wants_date_time) from None
    if "T" not in given and " " not in given.strip():
        raise _Wrong(words.wants_date_time)
    return read.isoformat(timespec="minutes")


_READ: Final[Mapping[FieldKind, Callable[[Field, Any, Words], AnswerValue]]] = MappingProxyType(
    {
        FieldKind.TEXT: _text,
        FieldKind.NUMBER: _number,
        FieldKind.MEASUREMENT: _number,
        FieldKind.CHOICE: _choice,
        FieldKind.CHOICES: _choices,
        FieldKind.YES_NO: _yes_no,
        FieldKind.DATE: _date,
        FieldKind.TIME: _time,
        FieldKind.DATE_TIME: _date_time,
    }
)
