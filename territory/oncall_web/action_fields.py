"""The fields of what may be done to a case, and their checks: the same for a form and for JSON.

Not for: what is then done (`actions`). Invariant: what is wrong is said for every field at once, by the key of a text;
nothing is done with half a form.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from oncall.case.regions import StudyKey
from oncall.case.state import Case
from oncall.critical.calls import hospital_numbers
from oncall.directory import Directory, PersonId, Role

NAME_CHARACTERS_MAX: Final = 64
"""DICOM's LO, as for requests."""

TEXT_CHARACTERS_MAX: Final = 500
_UID_CHARACTERS_MAX: Final = 64
_TRUE: Final = frozenset({"true", "on", "1", "yes"})
_FALSE: Final = frozenset({"", "false", "off", "0", "no"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One thing that an action asks.

    Parameters
    ----------
    kind : str
        ``name`` (a line), ``text`` (several), ``choice``, ``number``, ``uid``, ``case``, ``flag``,
        ``person``, ``unclaimed`` (a study that no case has), ``called`` (somebody of the hospital with a number).
    choices : callable, optional
        What there is to choose from, by the case; for ``choice``.
    is_on_page : bool
        False for what the page knows by itself, and a program sends.
    characters_max : int
        Of a ``text``.
    """

    name: str
    kind: str = "name"
    is_required: bool = True
    choices: Callable[[Case], tuple[str, ...]] = lambda case: ()
    is_on_page: bool = True
    characters_max: int = TEXT_CHARACTERS_MAX


def fixed(*values: str) -> Callable[[Case], tuple[str, ...]]:
    """Return the choices that are the same for every case."""
    return lambda case: values


def study_name(study: StudyKey) -> str:
    """Return a study's UID and issuer in one word, as a form and a program say it."""
    return f"{study.study_instance_uid}@{study.issuer}"


def studies_by_name(case: Case) -> dict[str, StudyKey]:
    """Return the case's studies by Study Instance UID, with the issuer behind it where one UID came from two."""
    uids = [study.study_instance_uid for study in case.images.studies]
    return {
        study.study_instance_uid if uids.count(study.study_instance_uid) == 1 else study_name(study): study
        for study in case.images.studies
    }


def check_fields(
    fields: tuple[Field, ...], sent: Mapping[str, Any], case: Case, directory: Directory
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values (stripped; '' for what was left out) and the errors by field."""
    known = {field.name for field in fields}
    errors = {name: "unknown_field" for name in sent if name not in known}
    values: dict[str, str] = {}
    for field in fields:
        given = sent.get(field.name)
        value = "" if given is None else str(given).strip()
        values[field.name] = value
        error = _error(field, value, case, directory)
        if error:
            errors[field.name] = error
    return values, errors


def is_set(value: str) -> bool:
    """Return what a checked ``flag`` says."""
    return value.casefold() in _TRUE


def _error(field: Field, value: str, case: Case, directory: Directory) -> str:
    if field.kind == "flag":
        return "" if value.casefold() in _TRUE | _FALSE else "not_yes_or_no"
    if not value:
        return "missing" if field.is_required else ""
    is_long = field.kind in {"text", "unclaimed", "choice"}
    if len(value) > (field.characters_max if is_long else NAME_CHARACTERS_MAX):
        return "too_long_text" if is_long else "too_long"
    match field.kind:
        case "choice" if value not in field.choices(case):
            return "unknown_choice"
        case "number" if not value.isascii() or not value.isdigit():
            return "not_a_number"
        case "uid" if not _is_uid(value):
            return "not_a_uid"
        case "person" if PersonId(value) not in directory.persons:
            return "not_a_person"
        case "called" if value not in dict(called_of(directory, case)):
            return "unknown_choice"
    return ""


def _is_uid(value: str) -> bool:
    return len(value) <= _UID_CHARACTERS_MAX and set(value) <= set("0123456789.") and value[:1].isdigit()


def readers_of(directory: Directory, case: Case) -> list[tuple[str, str]]:
    """Return the radiologists who may read for the case's hospital, by name: id and name."""
    found = [
        (person.person_id, person.name)
        for person in directory.persons.values()
        if person.role is Role.RADIOLOGIST and case.site_id in person.privileges
    ]
    return sorted(found, key=lambda one: one[1])


def called_of(directory: Directory, case: Case) -> list[tuple[str, str]]:
    """Return whom the hospital can be called at: id, and name with number."""
    if case.site_id not in directory.sites:
        return []
    return [(one.person_id, f"{one.name}, {one.number}") for one in hospital_numbers(directory, case.site_id)]
