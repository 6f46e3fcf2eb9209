"""What makes a protocol need somebody's signature under it before it is sent: kidneys, a pregnancy, an allergy.

For: saying which cautions there are, from what the request says of the patient. Not for: deciding: a caution never
forbids a protocol, it asks for a reason and for the clinician with whom it was agreed.

Invariants: what is not known is never taken for harmless: it is a caution of its own, which is shown and does not ask
for a signature. Only contrast makes kidneys and allergies matter; only an exposed trunk, or gadolinium, a pregnancy.

References
----------
ESUR guidelines on contrast agents 10.0 (eGFR below 30 mL/min/1.73 m2 for intravenous iodinated contrast; gadolinium in
pregnancy); CKD-EPI 2021 creatinine equation (NEJM 2021;385:1737).
"""

import math
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from oncall.protocol.model import Contrast, ContrastKind

EGFR_MIN: Final = 30.0
"""mL/min/1.73 m2."""

FERTILE_YEARS: Final = range(12, 56)
"""Ages at which a woman is asked."""

_UMOL_PER_MG_DL: Final = 88.4
_POSSIBLE, _DEFINITE, _NOT_PREGNANT = 2, 3, 1


class Caution(StrEnum):
    """Why a protocol needs thought; those of `NEEDS_SIGNATURE` need a signature."""

    EGFR_LOW = "egfr_low"
    EGFR_UNKNOWN = "egfr_unknown"
    PREGNANT = "pregnant"
    PREGNANCY_POSSIBLE = "pregnancy_possible"
    PREGNANCY_UNKNOWN = "pregnancy_unknown"
    ALLERGY = "allergy"
    ALLERGY_UNKNOWN = "allergy_unknown"


NEEDS_SIGNATURE: Final = frozenset({Caution.EGFR_LOW, Caution.PREGNANT, Caution.PREGNANCY_POSSIBLE, Caution.ALLERGY})
"""Cautions under which somebody must write why, and with whom it was agreed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientFacts:
    """What a request says of the patient; ``allergies`` None when nobody has said, '' when there are none.

    ``pregnancy_status`` is (0010,21C0): 1 not pregnant, 2 possibly, 3 definitely, 4 unknown. ``sex`` is M, F, O or ''.
    """

    sex: str = ""
    age: int | None = None
    pregnancy_status: int | None = None
    allergies: str | None = None
    egfr: float | None = None
    weight_kg: float | None = None


def cautions(contrast: Contrast | None, patient: PatientFacts, *, is_unborn_exposed: bool) -> tuple[Caution, ...]:
    """Return what speaks for thought before this protocol is sent, the gravest first."""
    found = [_pregnancy(patient)] if is_unborn_exposed or _is_gadolinium(contrast) else []
    if contrast is not None:
        if patient.allergies is None:
            found.append(Caution.ALLERGY_UNKNOWN)
        elif patient.allergies:
            found.append(Caution.ALLERGY)
        if patient.egfr is None:
            found.append(Caution.EGFR_UNKNOWN)
        elif patient.egfr < EGFR_MIN:
            found.append(Caution.EGFR_LOW)
    known = [one for one in found if one is not None]
    return tuple(sorted(known, key=lambda one: one not in NEEDS_SIGNATURE))


def egfr(creatinine_umol_l: float, age: int, sex: str) -> float | None:
    """Return the estimated glomerular filtration rate by CKD-EPI 2021, mL/min/1.73 m2; None for who is under 18.

    Without a known sex the lower of both estimates is returned: it asks for a signature earlier.
    """
    if age < 18 or creatinine_umol_l <= 0:
        return None
    by_sex = {"F": (0.7, -0.241, 1.012), "M": (0.9, -0.302, 1.0)}
    estimates: list[float] = []
    for kappa, alpha, factor in [by_sex[sex]] if sex in by_sex else by_sex.values():
        ratio = creatinine_umol_l / _UMOL_PER_MG_DL / kappa
        estimates.append(142.0 * math.pow(min(ratio, 1.0), alpha) * math.pow(max(ratio, 1.0), -1.2) * factor)
    return min(estimates) * math.pow(0.9938, age)


def age_at(birth_date: str, on: date) -> int | None:
    """Return the age in whole years of somebody born on YYYYMMDD; None when it is no date."""
    if len(birth_date) != 8 or not birth_date.isascii() or not birth_date.isdigit():
        return None
    try:
        born = date(int(birth_date[:4]), int(birth_date[4:6]), int(birth_date[6:]))
    except ValueError:
        return None
    years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    return years if years >= 0 else None


def _pregnancy(patient: PatientFacts) -> Caution | None:
    if patient.pregnancy_status == _DEFINITE:
        return Caution.PREGNANT
    if patient.pregnancy_status == _POSSIBLE:
        return Caution.PREGNANCY_POSSIBLE
    is_concerned = patient.sex != "M" and (patient.age is None or patient.age in FERTILE_YEARS)
    return Caution.PREGNANCY_UNKNOWN if is_concerned and patient.pregnancy_status != _NOT_PREGNANT else None


def _is_gadolinium(contrast: Contrast | None) -> bool:
    return contrast is not None and contrast.kind is ContrastKind.GADOLINIUM
