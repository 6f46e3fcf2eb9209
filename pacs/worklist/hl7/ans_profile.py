"""The ANS's volet Téléradiologie as rules: what each flow must, may and must not say, field by field.

For: `findings_of_flow` on a message that names the profile in MSH-21, or one of the flows in OBR-4. Not for: the HL7
structure (`validation`), or whether a message is taken here (`handling` takes what can be understood).

Each rule is a row: where, what, which flows. Values of the ANS's value sets are not checked: the volume has them not.

References
----------
Repository ansforge/interop-ig-hl7v2-teleradiologie, HEAD e13d37a (13 March 2026): st-contraintes, st_flux1 to st_flux4,
sub-id, table_obr, table_obs, table_orga, acquittement
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pacs.worklist.hl7 import codes
from pacs.worklist.hl7.codes import Loinc, TlrObservation, TlrProcedure
from pacs.worklist.hl7.finding import Finding, Severity
from pacs.worklist.hl7.reading import OrderGroup, Segment, first, order_groups

F1, F2, F3, F4 = (TlrProcedure.REQUEST, TlrProcedure.CANCELLATION, TlrProcedure.ANSWER, TlrProcedure.COMPLEMENT)
FLOWS: Final = {F1: "flux 1", F2: "flux 2", F3: "flux 3", F4: "flux 4"}

MESSAGE_OF_FLOW: Final = {F1: "ORM^O01", F2: "ORM^O01", F3: "ORU^R01", F4: "OMI^O23"}
CONTROL_OF_FLOW: Final = {
    F1: frozenset({"NW"}),
    F2: frozenset({"CA"}),
    F3: frozenset({"OK", "OC"}),
    F4: frozenset({"SR"}),
}

_ALL: Final = frozenset({F1, F2, F3, F4})
_BY_SITE: Final = frozenset({F1, F2})
_ORDERING: Final = frozenset({F1, F2, F3})
_SUB_ID: Final = re.compile(r"[1-9]\d*\.[1-9]\d*")
_HEADER: Final = ((3, ""), (4, ""), (5, ""), (6, ""), (7, ""), (9, ""), (10, ""), (11, ""), (12, "2.5.1"), (17, "FRA"))
_CHARACTER_SETS: Final = frozenset({"UNICODE UTF-8", "8859/15"})
_HISTORY_FLAGS: Final = frozenset({"", "SANS_IMPACT", "PERTINENT", "MAJEUR"})
_VISIT_CLASSES: Final = frozenset({"E", "I", "O", "R"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    """A field that must be there, and have one of these values when any are named."""

    segment: str
    field: int
    component: int = 1
    subcomponent: int = 1
    flows: frozenset[TlrProcedure] = _ALL
    values: tuple[str, ...] = ()


_FIELDS: Final = (
    _Field(segment="ORC", field=2),
    _Field(segment="ORC", field=2, component=3),
    _Field(segment="ORC", field=2, component=4),
    _Field(segment="ORC", field=9, flows=_BY_SITE),
    _Field(segment="ORC", field=12, flows=_ORDERING),
    _Field(segment="ORC", field=12, component=2, flows=_ORDERING),
    _Field(segment="ORC", field=12, component=3, flows=_ORDERING),
    _Field(segment="ORC", field=12, component=9, subcomponent=2, flows=_ORDERING, values=(codes.PROFESSIONALS_OID,)),
    _Field(segment="ORC", field=12, component=9, subcomponent=3, flows=_ORDERING, values=("ISO",)),
    _Field(segment="ORC", field=12, component=13, flows=_ORDERING),
    _Field(segment="ORC", field=17, flows=_BY_SITE, values=(codes.IMAGING_SITE,)),
    _Field(segment="ORC", field=17, flows=frozenset({F3}), values=(codes.TELERADIOLOGY,)),
    _Field(segment="ORC", field=17, component=3, flows=_ORDERING, values=(codes.TLR_ORGANISATIONS,)),
    _Field(segment="ORC", field=21, flows=_ORDERING),
    _Field(segment="ORC", field=21, component=6, subcomponent=2, flows=_ORDERING, values=(codes.STRUCTURES_OID,)),
    _Field(segment="ORC", field=21, component=7, flows=_ORDERING, values=("FINEJ", "FINEG", "IDNST", "UF", "SVR")),
    _Field(segment="ORC", field=21, component=10, flows=_ORDERING),
    _Field(segment="OBR", field=2),
    _Field(segment="OBR", field=4, component=3, values=(codes.TLR_PROCEDURES,)),
    _Field(segment="OBR", field=13, flows=frozenset({F1})),
    _Field(segment="OBR", field=16, flows=_ORDERING),
    _Field(segment="TQ1", field=6, flows=frozenset({F4})),
    _Field(segment="TQ1", field=7, flows=frozenset({F4})),
    _Field(segment="IPC", field=1, flows=frozenset({F4})),
    _Field(segment="IPC", field=1, component=3, flows=frozenset({F4})),
    _Field(segment="IPC", field=1, component=4, flows=frozenset({F4}), values=("ISO",)),
    _Field(segment="IPC", field=2, flows=frozenset({F4})),
    _Field(segment="IPC", field=3, flows=frozenset({F4})),
    _Field(segment="IPC", field=4, flows=frozenset({F4})),
)
"""Fields of an ORDER group; those of a segment that is missing are named with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Observation:
    """An observation: its types, in which flows it must be, its coding systems, and what OBX-4 ends in."""

    code: str
    types: tuple[str, ...]
    required: frozenset[TlrProcedure] = frozenset()
    schemes: tuple[str, ...] = ()
    nature: str = ""


_OBSERVATIONS: Final = (
    _Observation(
        code=TlrObservation.MODALITY, types=("CE",), required=frozenset({F1}),
        schemes=("DCM", "terminologie-cisis-fr"),
    ),
    _Observation(
        code=TlrObservation.REGION, types=("CE",), required=frozenset({F1}), schemes=("SCT",), nature="1"
    ),
    _Observation(code=TlrObservation.REGION, types=("CE",), schemes=("SCT",), nature="2"),
    _Observation(code=TlrObservation.PROTOCOL, types=("FT", "ED")),
    _Observation(code=TlrObservation.VIEWER, types=("ED",), required=frozenset({F4})),
    _Observation(code=TlrObservation.PROCEDURE, types=("CE",), required=frozenset({F4}), schemes=("LN",)),
    _Observation(code=TlrObservation.PRODUCT, types=("CE",), schemes=("ATC",), nature="1"),
    # The table says NM and its own example is a text: a lot has letters.
    _Observation(code=TlrObservation.PRODUCT, types=("NM", "TX", "ST"), nature="2"),
    _Observation(code=TlrObservation.PRODUCT, types=("NM",), nature="3"),
    _Observation(code=TlrObservation.DEVICE, types=("TX",), nature="1"),
    _Observation(code=TlrObservation.DEVICE, types=("TX",), nature="2"),
    _Observation(code=Loinc.HISTORY, types=("FT",)),
    _Observation(code=Loinc.HEIGHT, types=("NM",)),
    _Observation(code=Loinc.WEIGHT, types=("NM",)),
    _Observation(code=Loinc.PREGNANCY, types=("CE",), schemes=("expandedYes-NoIndicator",)),
)  # fmt: skip

_GROUPED: Final = frozenset({TlrObservation.REGION, TlrObservation.PRODUCT, TlrObservation.DEVICE})


def flow_of(segments: Sequence[Segment]) -> TlrProcedure | None:
    """Return which flow a message is by OBR-4; None for none."""
    obr = first(segments, "OBR")
    named = "" if obr is None else obr.text(4)
    return TlrProcedure(named) if named in set(TlrProcedure) else None


def names_profile(segments: Sequence[Segment]) -> bool:
    """Say whether MSH-21 names the ANS's profile."""
    msh = first(segments, "MSH")
    return msh is not None and msh.text(21, 2) == codes.TLR_PROFILE[1]


def findings_of_flow(segments: Sequence[Segment], flow: TlrProcedure) -> Iterator[Finding]:
    """Yield what a message of a flow does otherwise than the volume says."""
    rule = f"TLR {FLOWS[flow]}"
    yield from _header(segments, flow, rule)
    yield from _patient(segments, flow, rule)
    groups = order_groups(segments)
    if not groups:
        yield _error("ORC", rule, "an ORDER group with ORC and OBR")
    for group in groups:
        yield from _group(group, flow, rule)


def _header(segments: Sequence[Segment], flow: TlrProcedure, rule: str) -> Iterator[Finding]:
    msh = first(segments, "MSH")
    if msh is None:
        return
    for field, wanted in _HEADER:
        said = msh.text(field)
        if not said or (wanted and said != wanted):
            yield _error(f"MSH-{field}", rule, f"the value {wanted}" if wanted else "required")
    if f"{msh.text(9, 1)}^{msh.text(9, 2)}" != MESSAGE_OF_FLOW[flow]:
        yield _error("MSH-9", rule, f"the message {MESSAGE_OF_FLOW[flow]}")
    if msh.text(18) not in _CHARACTER_SETS:
        yield _error("MSH-18", rule, "UNICODE UTF-8 or 8859/15")
    if msh.text(21, 1) != codes.TLR_PROFILE[0] or msh.text(21, 2) != codes.TLR_PROFILE[1]:
        yield _error("MSH-21", rule, "^".join(codes.TLR_PROFILE))


def _patient(segments: Sequence[Segment], flow: TlrProcedure, rule: str) -> Iterator[Finding]:
    pid, pv1 = first(segments, "PID"), first(segments, "PV1")
    if pid is None:
        yield _error("PID", rule, "required")
    else:
        for field in (3, 5):
            if not pid.has(field):
                yield _error(f"PID-{field}", rule, "required")
    if flow is F3:
        return
    if pv1 is None:
        yield _error("PV1", rule, "required")
        return
    if not pv1.text(2):
        yield _error("PV1-2", rule, "required")
    elif pv1.text(2) in _VISIT_CLASSES and not pv1.has(19):
        yield _error("PV1-19", rule, "required when PV1-2 is E, I, O or R")


def _group(group: OrderGroup, flow: TlrProcedure, rule: str) -> Iterator[Finding]:
    number = group.orc.sequence
    if group.orc.text(1) not in CONTROL_OF_FLOW[flow]:
        yield _error(f"ORC[{number}]-1", rule, " or ".join(sorted(CONTROL_OF_FLOW[flow])))
    absent: set[str] = set()
    for one in _FIELDS:
        if flow not in one.flows or one.segment in absent:
            continue
        segment = first(group.segments, one.segment)
        if segment is None:
            absent.add(one.segment)
            yield _error(f"{one.segment} of ORDER[{number}]", rule, "required")
            continue
        yield from _field(segment, one, rule)
    obr = group.obr
    if obr is not None:
        if obr.text(2) != group.orc.text(2):
            yield _error(f"OBR[{obr.sequence}]-2", rule, "the same as ORC-2")
        if flow in _ORDERING and obr.text(16) != group.orc.text(12):
            yield _error(f"OBR[{obr.sequence}]-16", rule, "the same as ORC-12")
    yield from _observations(group, flow, rule)


def _field(segment: Segment, wanted: _Field, rule: str) -> Iterator[Finding]:
    said = segment.text(wanted.field, wanted.component, wanted.subcomponent)
    place = f"{segment.name}[{segment.sequence}]-{wanted.field}"
    if wanted.component > 1 or wanted.subcomponent > 1:
        place += f".{wanted.component}" + (f".{wanted.subcomponent}" if wanted.subcomponent > 1 else "")
    if not said:
        yield _error(place, rule, "required")
    elif wanted.values and said not in wanted.values:
        yield _error(place, rule, " or ".join(wanted.values))


def _observations(group: OrderGroup, flow: TlrProcedure, rule: str) -> Iterator[Finding]:
    found = [obx for obx, _ in group.observations()]
    known = {one.code for one in _OBSERVATIONS}
    status = "O" if flow in _BY_SITE else "F"
    for obx in found:
        code = obx.text(3)
        if code in known:
            yield from _observation(obx, code, status, rule)
    for one in _OBSERVATIONS:
        if flow in one.required and not any(_is_this(obx, one) for obx in found):
            yield _error(f"OBX of ORDER[{group.orc.sequence}]", rule, f"an observation {one.code}")
    protocols = [obx for obx in found if obx.text(3) == TlrObservation.PROTOCOL]
    if flow is F3 and group.orc.text(1) == "OK" and not protocols:
        yield _error(f"OBX of ORDER[{group.orc.sequence}]", rule, "a protocol (PROTOCOLE_IMAGERIE) when ORC-1 is OK")
    yield from _products(found, rule)


def _is_this(obx: Segment, wanted: _Observation) -> bool:
    nature = obx.text(4).rpartition(".")[2]
    return obx.text(3) == wanted.code and (not wanted.nature or not nature or nature == wanted.nature)


def _observation(obx: Segment, code: str, status: str, rule: str) -> Iterator[Finding]:
    place = f"OBX[{obx.sequence}]"
    is_local = code in set(TlrObservation)
    scheme = codes.TLR_OBSERVATIONS if is_local else codes.LOINC
    if obx.text(3, 3) != scheme:
        yield _error(f"{place}-3.3", rule, scheme)
    if not obx.text(1):
        yield _error(f"{place}-1", rule, "required")
    if obx.text(11) != status:
        yield _error(f"{place}-11", rule, status)
    if code in _GROUPED and _SUB_ID.fullmatch(obx.text(4)) is None:
        yield _error(f"{place}-4", rule, "n.m, which says what belongs together")
        return
    nature = obx.text(4).rpartition(".")[2]
    wanted = next((one for one in _OBSERVATIONS if one.code == code and one.nature in {"", nature}), None)
    if wanted is None:
        yield _error(f"{place}-4", rule, "a nature (m) that the volume names")
        return
    if obx.text(2) not in wanted.types:
        yield _error(f"{place}-2", rule, " or ".join(wanted.types))
    if wanted.schemes and obx.text(5, 3) not in wanted.schemes:
        yield _error(f"{place}-5.3", rule, " or ".join(wanted.schemes))
    if obx.text(2) == "ED" and (obx.text(5, 4) != "Base64" or not obx.text(5, 5)):
        yield _error(f"{place}-5", rule, "a document in Base64 (OBX-5.4, OBX-5.5)")
    elif obx.text(2) != "ED" and not obx.text(5):
        yield _error(f"{place}-5", rule, "required")
    if code == Loinc.HISTORY and obx.text(8) not in _HISTORY_FLAGS:
        yield _error(f"{place}-8", rule, "SANS_IMPACT, PERTINENT or MAJEUR")
    if code in {Loinc.HEIGHT, Loinc.WEIGHT} and not obx.text(6):
        yield _error(f"{place}-6", rule, "the unit")


def _products(found: Sequence[Segment], rule: str) -> Iterator[Finding]:
    natures: dict[str, set[str]] = {}
    for obx in found:
        if obx.text(3) == TlrObservation.PRODUCT:
            number, _, nature = obx.text(4).partition(".")
            natures.setdefault(number, set()).add(nature)
    for number, said in natures.items():
        if ("1" in said) != ("2" in said):
            yield _error(f"OBX-4 {number}.m", rule, "a product's type and its lot together")


def _error(place: str, rule: str, text: str) -> Finding:
    return Finding(severity=Severity.ERROR, place=place, rule=rule, text=text)
