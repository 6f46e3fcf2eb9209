"""What a request says of the patient, for the console and for the choice of the protocol: its fields and their checks.

For: `form`, and `form_order`, which makes an order of it. Not for: what follows from it (`oncall.protocol.cautions`).

Invariants: nothing is required, because an emergency patient may be unknown; what is said is checked, because the
console shows it as true. What nobody has said stays unknown and is never taken for a no.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

PATIENT_FIELDS: Final = (
    "family_name", "given_name", "birth_date", "sex", "weight_kg", "pregnancy", "allergies", "creatinine_umol_l",
    "egfr", "question",
)  # fmt: skip

SEXES: Final = ("F", "M", "O")
PREGNANCY: Final[Mapping[str, int]] = MappingProxyType({"no": 1, "possible": 2, "yes": 3, "unknown": 4})
"""Pregnancy Status (0010,21C0) of each answer (PS3.3 C.7.2.2)."""

NO_ALLERGY: Final = "none known"
"""How an order says that somebody asked and there is none."""

LONG_CHARACTERS_MAX: Final = 500
_LONG: Final = frozenset({"question", "allergies"})
_NO_ALLERGY_WORDS: Final = frozenset({"none", "no", "aucune", "non", "nkda", "nka", NO_ALLERGY, "aucune connue"})
_WEIGHT_KG: Final = (0.3, 400.0)
_CREATININE: Final = (5.0, 3_000.0)
_EGFR: Final = (1.0, 250.0)
_YEAR_MIN: Final = 1900
# What would end a component of a name, a value or a message field.
_NAME_DELIMITERS: Final = frozenset("^=\\|~&")


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientSaid:
    """What a request says of the patient, checked. ``name`` is a DICOM person name; ``birth_date`` is YYYYMMDD."""

    name: str = ""
    birth_date: str = ""
    sex: str = ""
    weight_kg: float | None = None
    pregnancy_status: int | None = None
    allergies: str = ""
    creatinine_umol_l: float | None = None
    egfr: float | None = None
    question: str = ""


def check_patient(values: Mapping[str, str], today: date, errors: dict[str, str]) -> PatientSaid:
    """Return what is said, and add to `errors` the key of a text for each field that is wrong."""
    sex = values["sex"].upper()
    if sex and sex not in SEXES:
        errors["sex"] = "unknown_choice"
    if values["pregnancy"] and values["pregnancy"] not in PREGNANCY:
        errors["pregnancy"] = "unknown_choice"
    for name in ("family_name", "given_name"):
        if set(values[name]) & _NAME_DELIMITERS or not values[name].isprintable():
            errors[name] = "not_a_name"
    allergies = values["allergies"]
    return PatientSaid(
        name="^".join((values["family_name"], values["given_name"])).rstrip("^"),
        birth_date=_birth_date(values["birth_date"], today, errors),
        sex=sex,
        weight_kg=_number("weight_kg", values, _WEIGHT_KG, errors),
        pregnancy_status=PREGNANCY.get(values["pregnancy"]),
        allergies=NO_ALLERGY if allergies.casefold() in _NO_ALLERGY_WORDS else allergies,
        creatinine_umol_l=_number("creatinine_umol_l", values, _CREATININE, errors),
        egfr=_number("egfr", values, _EGFR, errors),
        question=values["question"],
    )


def too_long(values: Mapping[str, str], characters_max: int) -> dict[str, str]:
    """Return the error of each field that has more characters than it may."""
    return {
        name: "too_long_text" if name in _LONG else "too_long"
        for name, value in values.items()
        if len(value) > (LONG_CHARACTERS_MAX if name in _LONG else characters_max)
    }


def _birth_date(value: str, today: date, errors: dict[str, str]) -> str:
    if not value:
        return ""
    try:
        born = date.fromisoformat(value)
    except ValueError:
        errors["birth_date"] = "not_a_date"
        return ""
    if born.year < _YEAR_MIN or born > today:
        errors["birth_date"] = "not_a_date"
        return ""
    return born.strftime("%Y%m%d")


def _number(name: str, values: Mapping[str, str], within: tuple[float, float], errors: dict[str, str]) -> float | None:
    value = values[name].replace(",", ".")
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        errors[name] = "not_a_measure"
        return None
    if not within[0] <= number <= within[1]:
        errors[name] = "not_plausible"
        return None
    return number
