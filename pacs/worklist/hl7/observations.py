"""What the OBX segments of a request say of the exam and the patient, found by their codes, whatever their order.

For: `orders_in` and `complement_in`. Not for: what is required (`ans_profile` tells the sender, `orders_in` decides).

Invariants: of several observations of one code the first counts, but for regions, histories and products, of which all
do; a number that is none is not there; a withdrawn observation (OBX-11 D or X) is not there.

References
----------
HL7 2.5.1 7.4.2 (OBX); ANS volet Téléradiologie, HEAD e13d37a (OBX-3, OBX-4); docs/hl7.md (emergency extension)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pacs.worklist.hl7 import codes
from pacs.worklist.hl7.codes import Emergency, Loinc, TlrObservation
from pacs.worklist.hl7.reading import OrderGroup, Segment
from pacs.worklist.order import Code

OBSERVATIONS_MAX: Final = 500
"""Of one order that are looked at; a request has a dozen."""

SCHEME_CHARACTERS_MAX: Final = 16
"""Coding Scheme Designator is SH (PS3.3 8.2)."""

_NUMBER: Final = re.compile(r"[+]?\d{1,9}(\.\d{1,6})?")
_GONE: Final = frozenset({"D", "X"})
_MAJOR: Final = "MAJEUR"
_EXPECTED_MAX: Final = 100_000
_SIZE_M_MIN: Final = 0.2
_SIZE_M_MAX: Final = 2.8
# OBX-3.3 under which a code of ours counts; LOINC codes say so themselves.
_SCHEMES: Final = frozenset({codes.TLR_OBSERVATIONS, codes.EMERGENCY_OBSERVATIONS, codes.LOINC, ""})


@dataclass(frozen=True, kw_only=True, slots=True)
class Observations:
    """The observations of one order group, by their codes (OBX-3.1)."""

    by_code: Mapping[str, Sequence[Segment]]

    def first(self, code: str) -> Segment | None:
        """Return the first observation of a code."""
        return next(iter(self.every(code)), None)

    def every(self, code: str) -> Sequence[Segment]:
        """Return all observations of a code."""
        return self.by_code.get(code, ())

    def text(self, code: str) -> str:
        """Return an observation's value as text (the code of a coded one); '' when there is none."""
        found = self.first(code)
        return "" if found is None else (found.joined(5) if found.text(2) in {"FT", "TX", "ST"} else found.text(5))

    def number(self, code: str) -> float | None:
        """Return an observation's number; None when there is none."""
        text = self.text(code).replace(",", ".")
        return float(text) if _NUMBER.fullmatch(text) else None

    def unit(self, code: str) -> str:
        """Return the unit of an observation (OBX-6)."""
        found = self.first(code)
        return "" if found is None else found.text(6)

    def code(self, code: str) -> Code | None:
        """Return a coded observation's value."""
        found = self.first(code)
        return None if found is None or not found.text(5) else code_of(found, 5)

    @property
    def modality(self) -> str:
        """The modality that is wished."""
        return self.text(TlrObservation.MODALITY)

    @property
    def region(self) -> Code | None:
        """The principal region (OBX-4 ``n.1``)."""
        return next((code_of(one, 5) for one in self._regions("1") if one.text(5)), None)

    @property
    def laterality(self) -> str:
        """How the region is narrowed (OBX-4 ``n.2``), in words."""
        return next((one.text(5, 2) for one in self._regions("2") if one.text(5, 2)), "")

    @property
    def history(self) -> tuple[str, ...]:
        """The patient's history, in words."""
        return tuple(one.joined(5) for one in self.every(Loinc.HISTORY))

    @property
    def pathway(self) -> str:
        """The kind of exam that a pathway of care wants; '' for none."""
        return codes.PATHWAYS.get(self.text(Emergency.PATHWAY).upper(), "")

    @property
    def pregnancy(self) -> int | None:
        """Pregnancy Status (0010,21C0); None when nobody says."""
        found = self.first(Loinc.PREGNANCY)
        return None if found is None else codes.PREGNANCY.get(found.text(5).upper(), codes.PREGNANCY_UNKNOWN)

    @property
    def expected_instances(self) -> int | None:
        """How many images there will be (emergency extension)."""
        number = self.number(Emergency.EXPECTED_IMAGES)
        return int(number) if number is not None and 0 < number <= _EXPECTED_MAX else None

    def alerts(self) -> tuple[str, ...]:
        """Return what a radiographer must know before contrast medium: kidneys, anticoagulants, major history."""
        measured = (
            ("creatinine", Loinc.CREATININE),
            ("creatinine", Loinc.CREATININE_MOLES),
            ("eGFR", Loinc.EGFR),
        )
        values = [f"{name} {self.text(code)} {self.unit(code)}".strip() for name, code in measured if self.text(code)]
        thinners = [f"anticoagulant: {one.joined(5)}" for one in self.every(Emergency.ANTICOAGULANT) if one.joined(5)]
        major = [one.joined(5) for one in self.every(Loinc.HISTORY) if one.text(8).upper() == _MAJOR]
        return (*values, *thinners, *major)

    def _regions(self, nature: str) -> tuple[Segment, ...]:
        regions = self.every(TlrObservation.REGION)
        # Without a sub-id there is one region, and it is the principal one.
        return tuple(one for one in regions if (one.text(4).rpartition(".")[2] or "1") == nature)


def read_observations(group: OrderGroup) -> Observations:
    """Return the observations of an order group."""
    found = [obx for obx, _ in group.observations()][:OBSERVATIONS_MAX]
    by_code: dict[str, list[Segment]] = {}
    for one in found:
        if one.text(11) not in _GONE and one.text(3, 3) in _SCHEMES:
            by_code.setdefault(one.text(3, 1), []).append(one)
    return Observations(by_code=by_code)


def code_of(segment: Segment, field: int) -> Code:
    """Return a coded field (CE, CWE)."""
    named = segment.text(field, 3)
    scheme = codes.CODING_SCHEMES.get(named, named[:SCHEME_CHARACTERS_MAX] or "99LOCAL")
    value, meaning = segment.text(field, 1), segment.text(field, 2)
    return Code(value=value, scheme=scheme, meaning=meaning or value)


def as_metres(number: float | None, unit: str) -> float | None:
    """Return a height in metres; None for what no person is."""
    if number is None:
        return None
    size_m = number if unit.lower() == "m" or (not unit and number < _SIZE_M_MAX) else number / 100.0
    return size_m if _SIZE_M_MIN <= size_m <= _SIZE_M_MAX else None
