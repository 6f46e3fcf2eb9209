"""The numbers of a protocol as coded parameters: what a console can be given to preset (Protocol Context Sequence).

For: `parameters`. Not for: DICOM attributes (the territory makes them), or words for people
(`oncall.protocol.wording`).

Invariants: values are plain decimals with a point, units are UCUM; a parameter of a phase comes after the name of its
phase, in the protocol's order.

References
----------
PS3.3 C.4.10 (0040,0440); PS3.16 annex D: 123011, 122091, 122093, 122094, 109058, 130198, 113825, 112225, 113733.
"""

from typing import Final, NamedTuple

from oncall.protocol.model import Phase, SentProtocol
from oncall.protocol.wording import volume_ml
from oncall.report.content import CodedConcept


class Parameter(NamedTuple):
    """One parameter; ``unit`` is '' for a text."""

    concept: CodedConcept
    value: str
    unit: str = ""


def _dcm(code: str, meaning: str) -> CodedConcept:
    return CodedConcept(code=code, scheme="DCM", meaning=meaning)


AGENT: Final = _dcm("123011", "Contrast/Bolus Agent")
VOLUME: Final = _dcm("122091", "Volume administered")
CONCENTRATION: Final = _dcm("122093", "Concentration")
RATE: Final = _dcm("122094", "Rate of administration")
PHASE: Final = _dcm("109058", "Contrast Phase")
DELAY: Final = _dcm("130198", "Scan Delay")
LENGTH: Final = _dcm("113825", "Scanning Length")
SLICE: Final = _dcm("112225", "Slice Thickness")
KVP: Final = _dcm("113733", "KVP")


def parameters(sent: SentProtocol, *, weight_kg: float | None = None) -> tuple[Parameter, ...]:
    """Return the parameters of a protocol, for somebody of a weight: volumes by weight are reckoned out."""
    found: list[Parameter] = []
    contrast = sent.contrast
    if contrast is not None:
        volume = volume_ml(contrast, weight_kg)
        found.append(Parameter(AGENT, contrast.agent))
        found += _numbers((VOLUME, volume, "mL"), (CONCENTRATION, contrast.concentration_mg_ml, "mg/mL"))
        found += _numbers((RATE, contrast.rate_ml_s, "mL/s"))
    for phase in sent.phases:
        found += _of(phase)
    return tuple(found)


def _of(phase: Phase) -> list[Parameter]:
    return [
        Parameter(PHASE, phase.name),
        *_numbers(
            (DELAY, phase.delay_s, "s"),
            (LENGTH, phase.coverage_mm, "mm"),
            (SLICE, phase.slice_mm, "mm"),
            (KVP, phase.kv, "kV"),
        ),
    ]


def _numbers(*known: tuple[CodedConcept, float | None, str]) -> list[Parameter]:
    return [Parameter(concept, f"{value:g}", unit) for concept, value, unit in known if value is not None]
