"""Protocols as a table (CSV), and back: what a department keeps in a spreadsheet.

For: taking in and giving out protocols with a line for each phase. Not for: checking them, which is the documents'
(`oncall.protocol.documents`): a table is turned into documents and read as such.

A line names its protocol, version and language; what belongs to the protocol as a whole stands in its first line, and
is empty or the same in the others. Lists (``exams``, ``indications``, ``words``) are divided by ``|``. The separator is
a comma or a semicolon, numbers may have a decimal comma: spreadsheets of both countries are read.

Invariants: reading what was written gives equal protocols; an unknown column, a line that contradicts the first one of
its protocol, and whatever the documents refuse, are refused with the line.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

from oncall.language import Language
from oncall.protocol.documents import FORMAT, protocols_from_json
from oncall.protocol.model import Contrast, Phase, Protocol
from oncall.strict_json import DocumentInvalid, Value

NAMED_BY: Final = ("protocol_id", "version", "language")
OF_THE_PROTOCOL: Final = (
    "title", "modality", "exams", "indications", "code", "code_scheme", "code_meaning", "agent_kind", "agent",
    "concentration_mg_ml", "volume_ml", "volume_ml_per_kg", "volume_ml_max", "rate_ml_s", "saline_ml", "preparation",
    "instructions", "is_unborn_exposed", "origin",
)  # fmt: skip
OF_THE_PHASE: Final = (
    "phase_id", "name", "kind", "delay_s", "trigger", "coverage_from", "coverage_to", "coverage_mm", "slice_mm", "kv",
    "words", "is_optional", "note",
)  # fmt: skip
COLUMNS: Final = (*NAMED_BY, *OF_THE_PROTOCOL, *OF_THE_PHASE)

TABLE_BYTES_MAX: Final = 8 * 1024 * 1024
"""A hundred protocols take a tenth of a megabyte."""

_LISTS: Final = frozenset({"exams", "indications", "words"})
_FLAGS: Final = frozenset({"is_unborn_exposed", "is_optional"})
_WHOLE: Final = frozenset({"coverage_mm", "kv", "concentration_mg_ml"})
_NUMBERS: Final = frozenset(
    {"delay_s", "slice_mm", "volume_ml", "volume_ml_per_kg", "volume_ml_max", "rate_ml_s", "saline_ml"}
)
_CONTRAST: Final = (
    "concentration_mg_ml", "volume_ml", "volume_ml_per_kg", "volume_ml_max", "rate_ml_s", "saline_ml",
)  # fmt: skip
_YES: Final = frozenset({"1", "yes", "true", "oui", "x"})
_NO: Final = frozenset({"0", "no", "false", "non", ""})

_Row = Mapping[str, str]


def protocols_from_table(text: str) -> tuple[Protocol, ...]:
    """Read a table; the protocols in the order of their first lines.

    Raises
    ------
    DocumentInvalid
        With every problem and its line.
    """
    by_protocol: dict[tuple[str, ...], list[tuple[int, _Row]]] = {}
    for line, row in _rows(text):
        by_protocol.setdefault(tuple(row[name] for name in NAMED_BY), []).append((line, row))
    if not by_protocol:
        raise DocumentInvalid(["line 2: at least one phase of one protocol is wanted"])
    found: list[Protocol] = []
    problems: list[str] = []
    for rows in by_protocol.values():
        try:
            found += protocols_from_json(Value(place=f"line {rows[0][0]}", raw=_document(rows)))
        except DocumentInvalid as error:
            problems += error.problems
    if problems:
        raise DocumentInvalid(problems)
    return tuple(found)


def protocols_to_table(protocols: Iterable[Protocol]) -> str:
    """Return protocols as a table with commas, a line for each phase."""
    written = io.StringIO()
    writer = csv.DictWriter(written, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for protocol in protocols:
        whole = _whole(protocol)
        for phase in protocol.phases:
            writer.writerow({**_named(protocol), **whole, **_phase(phase)})
            whole = {}
    return written.getvalue()


def _rows(text: str) -> Iterable[tuple[int, _Row]]:
    # Spreadsheets put a byte order mark in front.
    lines = text.removeprefix("\ufeff")
    head = lines.partition("\n")[0]
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        columns = [name.strip() for name in next(reader, [])]
        unknown = [name for name in columns if name not in COLUMNS]
        missing = [name for name in (*NAMED_BY, "phase_id", "name", "kind") if name not in columns]
        if unknown or missing or len(set(columns)) < len(columns):
            problems = [f"line 1: no such column {name!r}" for name in unknown]
            problems += [f"line 1: the column {name} is missing" for name in missing]
            raise DocumentInvalid(problems or ["line 1: a column is there twice"])
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(columns):
                raise DocumentInvalid([f"line {reader.line_num}: more cells than columns"])
            row = dict.fromkeys(COLUMNS, "")
            row.update(zip(columns, (cell.strip() for cell in cells), strict=False))
            yield reader.line_num, row
    except csv.Error as error:
        raise DocumentInvalid([f"line {reader.line_num}: no CSV ({error})"]) from None


def _document(rows: list[tuple[int, _Row]]) -> dict[str, Any]:
    whole: dict[str, str] = {}
    for line, row in rows:
        for name in OF_THE_PROTOCOL:
            if row[name] and whole.setdefault(name, row[name]) != row[name]:
                raise DocumentInvalid([f"line {line}: {name} is another one than before of the same protocol"])
    first = rows[0][1]
    document: dict[str, Any] = {"format": FORMAT, **{name: first[name] for name in NAMED_BY}}
    document |= {
        name: _read(name, whole[name], rows[0][0])
        for name in ("title", "modality", "exams", "indications", "preparation", "instructions", "is_unborn_exposed",
                     "origin")
        if name in whole
    }  # fmt: skip
    if "code" in whole:
        code = {"code": whole["code"], "scheme": whole.get("code_scheme", ""), "meaning": whole.get("code_meaning", "")}
        document["codes"] = [code]
    if "agent" in whole or "agent_kind" in whole:
        document["contrast"] = {
            "kind": whole.get("agent_kind", ""),
            "agent": whole.get("agent", ""),
            **{name: _read(name, whole[name], rows[0][0]) for name in _CONTRAST if name in whole},
        }
    document["phases"] = [
        {name: _read(name, row[name], line) for name in OF_THE_PHASE if row[name]} for line, row in rows
    ]
    return document


def _read(name: str, text: str, line: int) -> Any:
    if name in _LISTS:
        return [part.strip() for part in text.split("|") if part.strip()]
    if name in _FLAGS:
        if text.casefold() not in _YES | _NO:
            raise DocumentInvalid([f"line {line}: {name}: yes or no is wanted"])
        return text.casefold() in _YES
    if name in _WHOLE | _NUMBERS:
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            raise DocumentInvalid([f"line {line}: {name}: a number is wanted"]) from None
        return int(number) if name in _WHOLE and number.is_integer() else number
    return text


def _named(protocol: Protocol) -> dict[str, str]:
    return {
        "protocol_id": protocol.protocol_id,
        "version": protocol.version,
        "language": Language(protocol.language).value,
    }


def _whole(protocol: Protocol) -> dict[str, str]:
    """Return the cells of a protocol as a whole; of its codes only the first has room in a table."""
    code = protocol.codes[0] if protocol.codes else None
    return {
        "title": protocol.title,
        "modality": protocol.modality,
        "exams": "|".join(one.value for one in protocol.exams),
        "indications": "|".join(protocol.indications),
        "code": "" if code is None else code.code,
        "code_scheme": "" if code is None else code.scheme,
        "code_meaning": "" if code is None else code.meaning,
        **({} if protocol.contrast is None else _contrast(protocol.contrast)),
        "preparation": protocol.preparation,
        "instructions": protocol.instructions,
        "is_unborn_exposed": "yes" if protocol.is_unborn_exposed else "",
        "origin": protocol.origin,
    }


def _contrast(contrast: Contrast) -> dict[str, str]:
    numbers = {name: _cell(getattr(contrast, name)) for name in _CONTRAST}
    return {"agent_kind": contrast.kind.value, "agent": contrast.agent, **numbers}


def _phase(phase: Phase) -> dict[str, str]:
    return {
        "phase_id": phase.phase_id,
        "name": phase.name,
        "kind": phase.kind.value,
        **{name: _cell(getattr(phase, name)) for name in ("delay_s", "coverage_mm", "slice_mm", "kv")},
        "trigger": phase.trigger,
        "coverage_from": phase.coverage_from,
        "coverage_to": phase.coverage_to,
        "words": "|".join(phase.words),
        "is_optional": "yes" if phase.is_optional else "",
        "note": phase.note,
    }


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:g}"
