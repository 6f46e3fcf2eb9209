"""What an order says of a patient, as `oncall.protocol.cautions` asks for it.

For: kidneys, allergies, pregnancy and weight out of an order, from the form or from HL7. Not for: judging them.

Invariants: what is written and cannot be read is not taken for a good value: it stays unknown. A creatinine counts when
no glomerular filtration rate is given.
"""

import re
from datetime import date
from types import MappingProxyType
from typing import Final

from oncall.protocol.cautions import PatientFacts, age_at, egfr
from pacs.worklist.order import OrderPatient

NO_ALLERGY_WORDS: Final = frozenset(
    {"none known", "none", "no known allergy", "nka", "nkda", "aucune", "aucune connue", "pas d'allergie connue"}
)
_EGFR: Final = re.compile(r"\b(?:egfr|dfg)\b\W*(\d+(?:[.,]\d+)?)", re.IGNORECASE)
_CREATININE: Final = re.compile(r"\bcr[eé]atinine?\b\W*(\d+(?:[.,]\d+)?)\s*([^\s;,]*)", re.IGNORECASE)
# Of each unit, in micromoles per litre.
_UMOL_PER_L: Final = MappingProxyType({"umol/l": 1.0, "µmol/l": 1.0, "μmol/l": 1.0, "mg/dl": 88.4, "mg/l": 8.84})


def patient_facts(patient: OrderPatient, today: date) -> PatientFacts:
    """Return what an order says of its patient."""
    age = age_at(patient.birth_date, today)
    said = patient.allergies.strip()
    return PatientFacts(
        sex=patient.sex,
        age=age,
        pregnancy_status=patient.pregnancy_status,
        allergies=None if not said else "" if said.casefold() in NO_ALLERGY_WORDS else said,
        egfr=_egfr(patient, age),
        weight_kg=patient.weight_kg,
    )


def _egfr(patient: OrderPatient, age: int | None) -> float | None:
    found = _EGFR.search(patient.medical_alerts)
    if found is not None:
        return _number(found[1])
    measured = _CREATININE.search(patient.medical_alerts)
    factor = None if measured is None else _UMOL_PER_L.get(measured[2].lower())
    if measured is None or factor is None or age is None:
        return None
    return egfr(_number(measured[1]) * factor, age, patient.sex)


def _number(text: str) -> float:
    return float(text.replace(",", "."))
