"""What is wrong with a message: its HL7 structure, the ANS's volume when it is of it, its INS, the emergency extension.

For: `telegarde hl7 validate FILE`, tests and whoever connects a hospital. Not for: deciding what is taken
(`pacs.worklist.hl7.handling`), which takes what can be understood safely.

`hl7apy` knows the structures of HL7 2.5.1; what it holds against a message because of its own tables is left out:
codes of France, local tables, and the alternatives of ORM_O01 that it takes for a sequence.

Invariant: a finding never holds a value of the message, so that a report of findings can be sent to anybody.

References
----------
HL7 2.5.1; ANS volet Téléradiologie, HEAD e13d37a; docs/hl7.md
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import hl7
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from pacs.worklist.hl7 import codes
from pacs.worklist.hl7.ans_profile import findings_of_flow, flow_of, names_profile
from pacs.worklist.hl7.codes import Emergency
from pacs.worklist.hl7.finding import Finding, Severity
from pacs.worklist.hl7.ins import is_ins, is_matricule
from pacs.worklist.hl7.reading import Segment, every, first, segments_of

FINDINGS_MAX: Final = 1000
"""Of one message; who has more has sent something else."""

_STANDARD: Final = "HL7 2.5.1"
_INS: Final = "INS"
_EXTENSION: Final = "emergency extension"
# The alternatives of ORDER_DETAIL (OBR, RQD, RQ1, RXO, ODS, ODT), which hl7apy takes for a sequence.
_NOT_MISSING: Final = re.compile(r"_SUPPGRP\b")
_VALUE: Final = re.compile(r"^Value .* not in table (\S+) in element (\S+)$", re.DOTALL)
_SAME_EVERYWHERE: Final = frozenset({"0001", "0085", "0119", "0123", "0125"})
"""Tables that no country extends: sex, status of an observation, order control, status of a result, kinds of value."""
_TOO_LONG: Final = re.compile(r"^Exceeded max length \((\d+)\) of (\S+)$", re.DOTALL)
_INVALID: Final = re.compile(r"<[^>]*>", re.DOTALL)
_TYPES: Final = {
    Emergency.PRIORITY: ("CE", "CWE"),
    Emergency.PATHWAY: ("CE", "CWE"),
    Emergency.WANTED_BY: ("TS", "DTM"),
    Emergency.ANTICOAGULANT: ("FT", "TX", "ST"),
    Emergency.EXPECTED_IMAGES: ("NM",),
}
_INSTANT: Final = re.compile(r"\d{12}(\d\d(\.\d{1,4})?)?([+-]\d{4})?")


def validate(text: str) -> tuple[Finding, ...]:
    """Return what is wrong with a message; nothing when it is good.

    Parameters
    ----------
    text : str
        One message; its segments may end in carriage returns or new lines.
    """
    message = "\r".join(line for line in re.split(r"[\r\n]+", text.strip("\x0b\x1c\r\n \ufeff")) if line) + "\r"
    if not message.startswith("MSH"):
        return (_error("MSH", _STANDARD, "the message begins with MSH"),)
    try:
        segments = segments_of(hl7.parse(message))
    except (hl7.HL7Exception, ValueError, IndexError) as error:
        return (_error("MSH", _STANDARD, f"separators that can be used ({type(error).__name__})"),)
    found = [*_structure(message), *_identity(segments), *_extension(segments)]
    flow = flow_of(segments)
    if flow is not None:
        found += findings_of_flow(segments, flow)
    elif names_profile(segments):
        found.append(_error("OBR-4", "TLR", "one of the four flows (TLR_OBR_PROCEDURE)"))
    return tuple(dict.fromkeys(found))[:FINDINGS_MAX]


def is_good(findings: Sequence[Finding]) -> bool:
    """Say whether nothing among findings is an error."""
    return all(one.severity is not Severity.ERROR for one in findings)


def _structure(message: str) -> Iterator[Finding]:
    """Yield what the library finds by the message structures and data types of the standard."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "findings"
        try:
            parsed = parse_message(message, find_groups=True)
            parsed.validate(report_file=str(report))
        except HL7apyException as error:
            if not report.exists():
                yield _error("message", _STANDARD, f"a message that can be parsed ({type(error).__name__})")
                return
        except (ValueError, KeyError, IndexError, AttributeError, TypeError, RecursionError) as error:
            yield _error("message", _STANDARD, f"a message that can be parsed ({type(error).__name__})")
            return
        lines = report.read_text().splitlines() if report.exists() else []
    for line in lines:
        if (found := _as_finding(line)) is not None:
            yield found


def _as_finding(line: str) -> Finding | None:
    """Return what a line of the library's report says, without any value of the message."""
    kind, _, said = line.partition(": ")
    if kind not in {"Error", "Warning"} or _NOT_MISSING.search(said) or ".Z" in said:
        return None
    if (value := _VALUE.match(said)) is not None:
        # Most tables are extended in each country, France among them; a few are the same for all.
        table = value[1].removeprefix("HL7")
        if table not in _SAME_EVERYWHERE:
            return None
        return Finding(severity=Severity.WARNING, place=value[2], rule=_STANDARD, text=f"a value of table {table}")
    if (long := _TOO_LONG.match(said)) is not None:
        return Finding(severity=Severity.WARNING, place=long[2], rule=_STANDARD, text=f"at most {long[1]} characters")
    if said.startswith("Missing required child "):
        return _error(said.removeprefix("Missing required child "), _STANDARD, "required")
    if said.startswith("Child limit exceeded "):
        return _error(said.removeprefix("Child limit exceeded "), _STANDARD, "fewer of these")
    place = next(iter(re.findall(r"<(?:Segment|Field|Group|Component) (\w+)>", said)), "message")
    severity = Severity.ERROR if kind == "Error" else Severity.WARNING
    text = "only parts that the standard has here" if said.startswith("Invalid") else "another data type"
    return Finding(severity=severity, place=place, rule=_STANDARD, text=text)


def _identity(segments: Sequence[Segment]) -> Iterator[Finding]:
    for pid in every(segments, "PID"):
        for repetition in range(1, pid.count(3) + 1):
            if not is_ins(pid, repetition):
                continue
            place = f"PID[{pid.sequence}]-3({repetition})"
            if not is_matricule(pid.text(3, 1, repetition=repetition)):
                yield _error(f"{place}.1", _INS, "a matricule of 15 characters with the right key")
            if pid.text(3, 4, 2, repetition=repetition) not in codes.INS_OIDS:
                yield _error(f"{place}.4.2", _INS, "the OID of NIR or NIA")
            if pid.text(3, 5, repetition=repetition) != codes.INS_TYPE:
                yield _error(f"{place}.5", _INS, codes.INS_TYPE)
            if pid.text(32) != codes.VALIDATED:
                text = "VALI: an INS is sent only when the identity is qualified"
                yield _error(f"PID[{pid.sequence}]-32", _INS, text)


def _extension(segments: Sequence[Segment]) -> Iterator[Finding]:
    for obx in every(segments, "OBX"):
        if obx.text(3, 3) != codes.EMERGENCY_OBSERVATIONS:
            continue
        place, code = f"OBX[{obx.sequence}]", obx.text(3)
        if code not in set(Emergency):
            yield _error(f"{place}-3.1", _EXTENSION, "a code of the extension")
            continue
        named = Emergency(code)
        if obx.text(2) not in _TYPES[named]:
            yield _error(f"{place}-2", _EXTENSION, " or ".join(_TYPES[named]))
        if named is Emergency.PRIORITY and obx.text(5).upper() not in codes.PRIORITY:
            yield _error(f"{place}-5.1", _EXTENSION, "S, A or R (table 0485)")
        if named is Emergency.PATHWAY and obx.text(5).upper() not in codes.PATHWAYS:
            yield _error(f"{place}-5.1", _EXTENSION, "AVC or POLYTRAUMA")
        if named is Emergency.WANTED_BY and _INSTANT.fullmatch(obx.text(5)) is None:
            yield _error(f"{place}-5", _EXTENSION, "a time stamp to the minute, best with its offset")
    msh = first(segments, "MSH")
    if msh is not None and msh.text(12) and not msh.text(12).startswith("2."):
        yield _error("MSH-12", _STANDARD, "a version of HL7 2")


def _error(place: str, rule: str, text: str) -> Finding:
    return Finding(severity=Severity.ERROR, place=place, rule=rule, text=text)
