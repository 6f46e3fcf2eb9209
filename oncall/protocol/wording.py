"""A protocol in the words that people read: on the console's page, in the worklist's comments, in a message.

For: one text of the whole protocol, in its own language, line by line. Not for: how a page lays it out. Pure.
"""

from collections.abc import Sequence
from typing import Final

from oncall.language import Language
from oncall.protocol.model import Contrast, Phase, Protocol, SentProtocol

_FR, _EN = Language.FRENCH, Language.ENGLISH
_WORDS: Final = {
    "delay": {_FR: "départ à {} s", _EN: "start at {} s"},
    "coverage": {_FR: "couverture : {} - {}", _EN: "coverage: {} - {}"},
    "slice": {_FR: "coupes de {} mm au plus", _EN: "slices of {} mm at most"},
    "optional": {_FR: "si besoin", _EN: "if needed"},
    "preparation": {_FR: "Préparation", _EN: "Preparation"},
    "contrast": {_FR: "Contraste", _EN: "Contrast"},
    "no_contrast": {_FR: "sans injection", _EN: "none"},
    "per_kg": {_FR: "mL/kg, au plus", _EN: "mL/kg, at most"},
    "saline": {_FR: "puis {} mL de sérum physiologique", _EN: "then {} mL of saline"},
    "instructions": {_FR: "À savoir", _EN: "Mind"},
    "written": {_FR: "Protocole rédigé par le radiologue", _EN: "Protocol written by the radiologist"},
    "radiologist": {_FR: "Radiologue", _EN: "Radiologist"},
    "colon": {_FR: " : ", _EN: ": "},
}


def title_of(sent: SentProtocol) -> str:
    """Return what a sent protocol is called."""
    return sent.title or _WORDS["written"][sent.language]


def lines(asked: SentProtocol | Protocol) -> tuple[str, ...]:
    """Return the whole protocol, a line for each thing to do, without its title."""
    language = asked.language
    found = [f"{number}. {phase_line(one, language)}" for number, one in enumerate(asked.phases, start=1)]
    if asked.phases:
        said = _WORDS["no_contrast"][language] if asked.contrast is None else contrast_line(asked.contrast, language)
        found.append(_labelled("contrast", said, language))
    if asked.preparation:
        found.append(_labelled("preparation", asked.preparation, language))
    if asked.instructions:
        found.append(_labelled("instructions", asked.instructions, language))
    if isinstance(asked, SentProtocol) and asked.text:
        found.append(_labelled("radiologist", asked.text, language) if asked.phases else asked.text)
    return tuple(found)


def words(sent: SentProtocol) -> str:
    """Return the whole protocol as one text: title, and a line for each thing to do."""
    return "\n".join((title_of(sent), *lines(sent)))


def phase_line(phase: Phase, language: Language) -> str:
    """Return one phase in a line: name, when, from where to where, how thin, how hard."""
    parts = [
        phase.trigger,
        "" if phase.delay_s is None else _said("delay", language, _number(phase.delay_s)),
        _coverage(phase, language),
        "" if phase.slice_mm is None else _said("slice", language, _number(phase.slice_mm, language)),
        "" if phase.kv is None else f"{phase.kv} kV",
        _WORDS["optional"][language] if phase.is_optional else "",
        phase.note,
    ]
    return phase.name + "".join(f" ; {one}" if language is _FR else f"; {one}" for one in parts if one)


def contrast_line(contrast: Contrast, language: Language) -> str:
    """Return contrast agent, amount and rate in a line."""
    amount = ""
    if contrast.volume_ml is not None:
        amount = f"{_number(contrast.volume_ml, language)} mL"
    elif contrast.volume_ml_per_kg is not None:
        amount = f"{_number(contrast.volume_ml_per_kg, language)} "
        amount += "mL/kg" if contrast.volume_ml_max is None else (
            f"{_WORDS['per_kg'][language]} {_number(contrast.volume_ml_max, language)} mL"
        )  # fmt: skip
    parts: Sequence[str] = (
        "" if contrast.concentration_mg_ml is None else f"{contrast.concentration_mg_ml} mg/mL",
        amount,
        "" if contrast.rate_ml_s is None else f"{_number(contrast.rate_ml_s, language)} mL/s",
        "" if not contrast.saline_ml else _said("saline", language, _number(contrast.saline_ml, language)),
    )
    return ", ".join((contrast.agent, *(one for one in parts if one)))


def volume_ml(contrast: Contrast, weight_kg: float | None) -> float | None:
    """Return how much is injected into somebody of a weight; None when the weight decides and is not known."""
    if contrast.volume_ml is not None or contrast.volume_ml_per_kg is None:
        return contrast.volume_ml
    if weight_kg is None:
        return None
    wanted = contrast.volume_ml_per_kg * weight_kg
    return wanted if contrast.volume_ml_max is None else min(wanted, contrast.volume_ml_max)


def _coverage(phase: Phase, language: Language) -> str:
    if not phase.coverage_from or not phase.coverage_to:
        return ""
    return _said("coverage", language, phase.coverage_from, phase.coverage_to)


def _labelled(key: str, said: str, language: Language) -> str:
    return f"{_WORDS[key][language]}{_WORDS['colon'][language]}{said}"


def _said(key: str, language: Language, *values: str) -> str:
    return _WORDS[key][language].format(*values)


def _number(value: float, language: Language = _EN) -> str:
    written = f"{value:g}"
    return written.replace(".", ",") if language is _FR else written
