"""Protocols as JSON, and back: strict in both directions.

For: the documents that are edited, imported, exported and published; and the pieces that a sent protocol is written
with. Not for: tables (`oncall.protocol.tables`), versions and what is in force (`oncall.protocol.library`).

A document holds one protocol in one language (``"language": "fr"``), or in several (``"languages": ["fr", "en"]``):
then a text may be an object with one text for each language, so that codes and numbers of all of them are the same.

Invariants: reading what was written gives an equal protocol; an unknown key, a missing language, a phase twice, phases
with contrast without a contrast agent, and the reverse, are refused with their place.
"""

from collections.abc import Mapping
from typing import Any, Final

from oncall.language import Language
from oncall.protocol.model import Contrast, ContrastKind, Phase, PhaseKind, Protocol
from oncall.reading.board import ExamKind
from oncall.report.content import CodedConcept
from oncall.report.template_documents import in_language
from oncall.strict_json import DocumentInvalid, Record, Value, duplicates

FORMAT: Final = "telegarde-protocol/1"

# The longest here has eight; a scan of more is none for a night.
PHASES_MAX: Final = 40
CODES_MAX: Final = 10
WORDS_MAX: Final = 40
INDICATIONS_MAX: Final = 40
_TEXT_CHARACTERS_MAX: Final = 2_000
_CODE_CHARACTERS_MAX: Final = 64
# With the language, what names a document that is published (`oncall.documents_store`).
_NAME_CHARACTERS_MAX: Final = 28
# What a scanner of the next decades can be told: limits that only a slip of the pen exceeds.
_DELAY_S_MAX: Final = 3_600
_COVERAGE_MM_MAX: Final = 2_500
_SLICE_MM_MAX: Final = 50
_KV: Final = (40, 200)
_VOLUME_ML_MAX: Final = 500
_RATE_ML_S_MAX: Final = 20
_CONCENTRATION_MAX: Final = 1_000
_OPTIONAL: Final = (
    "language", "languages", "exams", "indications", "codes", "phases", "contrast", "preparation", "instructions",
    "is_unborn_exposed", "origin",
)  # fmt: skip
_PHASE_OPTIONAL: Final = (
    "delay_s", "trigger", "coverage_from", "coverage_to", "coverage_mm", "slice_mm", "kv", "words", "is_optional",
    "note",
)  # fmt: skip
_CONTRAST_OPTIONAL: Final = (
    "code", "concentration_mg_ml", "volume_ml", "volume_ml_per_kg", "volume_ml_max", "rate_ml_s", "saline_ml",
)  # fmt: skip


def protocols_from_json(document: Value) -> tuple[Protocol, ...]:
    """Read a document; one protocol for each of its languages.

    Raises
    ------
    DocumentInvalid
        If it is no protocol; every problem is named with its place.
    """
    record = document.record(("format", "protocol_id", "version", "title", "modality"), _OPTIONAL)
    if record["format"].raw != FORMAT:
        raise record["format"].wrong(f"{FORMAT} is wanted")
    several = record.each("languages", lambda one: one.one_of(Language), items_max=len(Language))
    single = record.get("language", lambda one: one.one_of(Language), None)
    if (single is None) is not bool(several) or len(set(several)) < len(several):
        raise document.wrong("one language, or languages, each once, is wanted")
    if single is not None:
        return (_protocol(record, single),)
    return tuple(_protocol(Record(in_language(document, one, several)), one) for one in several)


def protocol_to_json(protocol: Protocol) -> dict[str, Any]:
    """Return the document of a protocol; what is as usual is left out."""
    return {"format": FORMAT} | _without_usual(
        {
            "protocol_id": protocol.protocol_id,
            "version": protocol.version,
            "language": protocol.language.value,
            "title": protocol.title,
            "modality": protocol.modality,
            "exams": [one.value for one in protocol.exams],
            "indications": list(protocol.indications),
            "codes": [code_to_json(one) for one in protocol.codes],
            "phases": [phase_to_json(one) for one in protocol.phases],
            "contrast": None if protocol.contrast is None else contrast_to_json(protocol.contrast),
            "preparation": protocol.preparation,
            "instructions": protocol.instructions,
            "is_unborn_exposed": protocol.is_unborn_exposed,
            "origin": protocol.origin,
        }
    )


def read_codes(record: Record) -> tuple[CodedConcept, ...]:
    """Return the codes of a record that may have some."""
    return tuple(record.each("codes", _code, items_max=CODES_MAX))


def read_phases(record: Record) -> tuple[Phase, ...]:
    """Return the phases of a record that may have some."""
    return tuple(record.each("phases", _phase, items_max=PHASES_MAX))


def read_contrast(record: Record) -> Contrast | None:
    """Return the contrast agent of a record that may have one."""
    return record.get("contrast", _contrast, None)


def code_to_json(code: CodedConcept) -> dict[str, str]:
    """Return a code as its document has it."""
    return {"code": code.code, "scheme": code.scheme, "meaning": code.meaning}


def phase_to_json(phase: Phase) -> dict[str, Any]:
    """Return a phase as its document has it."""
    return _without_usual(
        {
            "phase_id": phase.phase_id,
            "name": phase.name,
            "kind": phase.kind.value,
            "delay_s": phase.delay_s,
            "trigger": phase.trigger,
            "coverage_from": phase.coverage_from,
            "coverage_to": phase.coverage_to,
            "coverage_mm": phase.coverage_mm,
            "slice_mm": phase.slice_mm,
            "kv": phase.kv,
            "words": list(phase.words),
            "is_optional": phase.is_optional,
            "note": phase.note,
        }
    )


def contrast_to_json(contrast: Contrast) -> dict[str, Any]:
    """Return a contrast agent as its document has it."""
    return _without_usual(
        {
            "kind": contrast.kind.value,
            "agent": contrast.agent,
            "code": None if contrast.code is None else code_to_json(contrast.code),
            "concentration_mg_ml": contrast.concentration_mg_ml,
            "volume_ml": contrast.volume_ml,
            "volume_ml_per_kg": contrast.volume_ml_per_kg,
            "volume_ml_max": contrast.volume_ml_max,
            "rate_ml_s": contrast.rate_ml_s,
            "saline_ml": contrast.saline_ml,
        }
    )


def _protocol(record: Record, language: Language) -> Protocol:
    protocol = Protocol(
        protocol_id=_name(record["protocol_id"]),
        version=_name(record["version"]),
        language=language,
        title=record["title"].text(characters_max=_CODE_CHARACTERS_MAX),
        modality=_modality(record["modality"]),
        exams=tuple(record.each("exams", lambda one: one.one_of(ExamKind), items_max=len(ExamKind))),
        indications=tuple(record.each("indications", Value.text, items_max=INDICATIONS_MAX)),
        codes=read_codes(record),
        phases=read_phases(record),
        contrast=read_contrast(record),
        preparation=record.get("preparation", _text, ""),
        instructions=record.get("instructions", _text, ""),
        is_unborn_exposed=record.get("is_unborn_exposed", Value.flag, False),
        origin=record.get("origin", _text, ""),
    )
    problems = [f"{record.place}.{one}" for one in _defects(protocol)]
    if problems:
        raise DocumentInvalid(problems)
    return protocol


def _defects(protocol: Protocol) -> list[str]:
    problems = duplicates("phases", (one.phase_id for one in protocol.phases))
    with_contrast = any(one.kind.is_with_contrast for one in protocol.phases)
    if not protocol.phases:
        problems.append("phases: at least one is wanted")
    elif with_contrast and protocol.contrast is None:
        problems.append("contrast: is missing, and there is a phase with contrast")
    elif protocol.contrast is not None and not with_contrast:
        problems.append("contrast: no phase is with contrast")
    return problems


def _name(value: Value) -> str:
    text = value.text(characters_max=_NAME_CHARACTERS_MAX)
    if not text.isascii() or not text.replace("-", "").replace(".", "").replace("_", "").isalnum():
        raise value.wrong("letters of ASCII, digits, '-', '_' and '.' are wanted")
    return text


def _modality(value: Value) -> str:
    text = value.text(characters_max=16)
    if not text.isascii() or not text.isalnum() or text != text.upper():
        raise value.wrong("a modality like CT or MR is wanted (PS3.3 C.7.3.1.1.1)")
    return text


def _text(value: Value) -> str:
    return value.text(characters_max=_TEXT_CHARACTERS_MAX)


def _code(value: Value) -> CodedConcept:
    record = value.record(("code", "scheme", "meaning"))
    return CodedConcept(
        code=record["code"].text(characters_max=_CODE_CHARACTERS_MAX),
        scheme=record["scheme"].text(characters_max=16),
        meaning=record["meaning"].text(characters_max=_CODE_CHARACTERS_MAX),
    )


def _phase(value: Value) -> Phase:
    record = value.record(("phase_id", "name", "kind"), _PHASE_OPTIONAL)
    return Phase(
        phase_id=_name(record["phase_id"]),
        name=record["name"].text(characters_max=_CODE_CHARACTERS_MAX),
        kind=record["kind"].one_of(PhaseKind),
        delay_s=record.get("delay_s", lambda one: one.number(0, _DELAY_S_MAX), None),
        trigger=record.get("trigger", Value.text, ""),
        coverage_from=record.get("coverage_from", Value.text, ""),
        coverage_to=record.get("coverage_to", Value.text, ""),
        coverage_mm=record.get("coverage_mm", lambda one: one.whole(1, _COVERAGE_MM_MAX), None),
        slice_mm=record.get("slice_mm", lambda one: one.number(0.1, _SLICE_MM_MAX), None),
        kv=record.get("kv", lambda one: one.whole(*_KV), None),
        words=tuple(record.each("words", Value.text, items_max=WORDS_MAX)),
        is_optional=record.get("is_optional", Value.flag, False),
        note=record.get("note", _text, ""),
    )


def _contrast(value: Value) -> Contrast:
    record = value.record(("kind", "agent"), _CONTRAST_OPTIONAL)
    return Contrast(
        kind=record["kind"].one_of(ContrastKind),
        agent=record["agent"].text(characters_max=_CODE_CHARACTERS_MAX),
        code=record.get("code", _code, None),
        concentration_mg_ml=record.get("concentration_mg_ml", lambda one: one.whole(1, _CONCENTRATION_MAX), None),
        volume_ml=record.get("volume_ml", lambda one: one.number(0, _VOLUME_ML_MAX), None),
        volume_ml_per_kg=record.get("volume_ml_per_kg", lambda one: one.number(0, 10), None),
        volume_ml_max=record.get("volume_ml_max", lambda one: one.number(0, _VOLUME_ML_MAX), None),
        rate_ml_s=record.get("rate_ml_s", lambda one: one.number(0, _RATE_ML_S_MAX), None),
        saline_ml=record.get("saline_ml", lambda one: one.number(0, _VOLUME_ML_MAX), None),
    )


def _without_usual(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without what is empty, false or not there; 0 is a number and stays."""
    return {key: value for key, value in written.items() if value or (value == 0 and value is not False)}
