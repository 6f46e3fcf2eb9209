"""Facts of the conformance statement about query keys: which, at which level, and how each is matched.

For: `territory.conformance`. How a key is matched is not described by hand: sample keys are compiled by
`pacs.archive.matching`, and what comes out names the types of matching.

References
----------
PS3.2 N.5.2.7; PS3.4 C.2.2.2 (types of matching), C.6.1.1 and C.6.2.1 (required and unique keys)
"""

from collections.abc import Mapping
from typing import Final

from pydicom.datadict import dictionary_description

from pacs.archive.attributes import LEVEL_ATTRIBUTES, LEVELS, UNIQUE_KEY, Attribute, Level, Source
from pacs.archive.matching import (
    AnyOf,
    AnyValue,
    Dates,
    DateTimes,
    ExactText,
    FuzzyName,
    InvalidKey,
    Matcher,
    MatchingOptions,
    NameMatch,
    NoValue,
    NumberValue,
    SequenceMatch,
    Times,
    UidSet,
    Wildcard,
    compile_key,
)
from pacs.archive.query_plan import DATE_TIME_PAIRS
from pacs.archive.query_sql import TABLES
from pacs.archive.query_values import Element
from territory.conformance_markdown import number, table, tag, text

# PS3.4 Tables C.6-1 to C.6-5: the keys of type R; those of type U are `UNIQUE_KEY`. All others are optional.
_REQUIRED: Final[Mapping[Level, frozenset[str]]] = {
    Level.PATIENT: frozenset({"PatientName"}),
    Level.STUDY: frozenset({"StudyDate", "StudyTime", "AccessionNumber", "StudyID"}),
    Level.SERIES: frozenset({"Modality", "SeriesNumber"}),
    Level.IMAGE: frozenset({"InstanceNumber"}),
}
# One key of each form that PS3.4 C.2.2.2 knows; which of them a value representation understands is asked of the code.
_SAMPLES: Final = (
    "A", "1", "A*B", "20260101", "20260101-20260131", "10", "10-11", "1.2.3", "1.2.3\\1.2.4", "A\\B", "1\\2",
    "20260101\\20260102", "10\\11", "030Y",
)  # fmt: skip
_ORDER: Final = ("SINGLE_VALUE", "WILDCARD", "RANGE", "UID", "VALUE_LIST", "SEQUENCE")
_REMARKS: Final[Mapping[Source, str]] = {
    Source.COLUMN: "",
    Source.JSON: "",
    Source.PATIENT_SUM: "Summed over the patient's studies when asked for",
    Source.ARCHIVE: "A fact of the archive, the same in every answer",
}
_ANY_NAME: Final = 0x00100010


def facts() -> dict[str, str]:
    """Return Markdown by the name that templates use.

    Raises
    ------
    ValueError
        If a key that PS3.4 requires is not in the index.
    """
    known = {attribute.keyword for attribute in LEVEL_ATTRIBUTES}
    missing = frozenset().union(*_REQUIRED.values()) - known
    if missing:
        raise ValueError(f"required keys that the index does not know: {sorted(missing)}")
    counts = {level: sum(attribute.level is level for attribute in LEVEL_ATTRIBUTES) for level in LEVELS}
    return {
        **{f"keys_{level.value.lower()}": _keys(level) for level in LEVELS},
        "key_counts": ", ".join(f"{number(count)} at {level.value}" for level, count in counts.items()),
        "key_count": number(len(LEVEL_ATTRIBUTES)),
        "unique_keys": _unique_keys(),
        "date_time_pairs": _date_time_pairs(),
        "value_representations": _value_representations(),
    }


def matching_types(attribute_tag: int, vr: str) -> tuple[str, ...]:
    """Return the types of matching that keys of an attribute get, beside universal and empty value matching."""
    if vr == "SQ":
        inner = {_ANY_NAME: Element(vr="PN", text="A")}
        compiled = compile_key(attribute_tag, Element(vr=vr, items=(inner,)), MatchingOptions())
        return ("SEQUENCE",) if isinstance(compiled, SequenceMatch) else ()
    found: set[str] = set()
    for sample in _SAMPLES:
        try:
            compiled = compile_key(attribute_tag, Element(vr=vr, text=sample), MatchingOptions())
        except InvalidKey:
            continue
        if compiled is not None:
            found.add(_type_of(compiled, sample))
    return tuple(name for name in _ORDER if name in found)


def has_empty_value_matching(attribute_tag: int, vr: str) -> bool:
    """Say whether the key ``""`` finds entities without a value."""
    if vr == "SQ":
        return False
    try:
        compiled = compile_key(attribute_tag, Element(vr=vr, text='""'), MatchingOptions())
    except InvalidKey:
        return False
    return isinstance(_without_values(compiled), NoValue)


def _without_values(matcher: Matcher | None) -> Matcher | None:
    return matcher.matcher if isinstance(matcher, AnyValue) else matcher


def _type_of(compiled: Matcher, sample: str) -> str:
    matcher = _without_values(compiled)
    if isinstance(matcher, AnyOf):
        return "VALUE_LIST"
    if isinstance(matcher, UidSet):
        return "UID" if len(matcher.uids) > 1 else "SINGLE_VALUE"
    if isinstance(matcher, Dates):
        return "RANGE" if matcher.range.is_range else "SINGLE_VALUE"
    if isinstance(matcher, Times | DateTimes):
        return "RANGE" if matcher.interval.is_range else "SINGLE_VALUE"
    if isinstance(matcher, Wildcard):
        return "WILDCARD"
    if isinstance(matcher, NameMatch):
        return "WILDCARD" if "*" in sample else "SINGLE_VALUE"
    if isinstance(matcher, ExactText | NumberValue | FuzzyName):
        return "SINGLE_VALUE"
    raise ValueError(f"the statement does not know {type(matcher).__name__}: describe it here and in chapter 5.2.7")


def _keys(level: Level) -> str:
    rows = [
        [
            text(dictionary_description(attribute.tag)),
            tag(attribute.tag),
            attribute.vr,
            _key_type(attribute),
            ", ".join(matching_types(attribute.tag, attribute.vr)),
            _remark(attribute),
        ]
        for attribute in LEVEL_ATTRIBUTES
        if attribute.level is level
    ]
    return table(["Attribute", "Tag", "VR", "Type", "Matching", "Remarks"], rows)


def _key_type(attribute: Attribute) -> str:
    if UNIQUE_KEY[attribute.level].tag == attribute.tag:
        return "U"
    return "R" if attribute.keyword in _REQUIRED[attribute.level] else "O"


def _remark(attribute: Attribute) -> str:
    if attribute.source is Source.COLUMN and attribute.column is not None:
        length = getattr(TABLES[attribute.level].c[attribute.column].type, "length", None)
        return f"{number(length)} characters kept" if length else ""
    return _REMARKS[attribute.source]


def _unique_keys() -> str:
    rows = [[level.value, text(dictionary_description(key.tag)), tag(key.tag)] for level, key in UNIQUE_KEY.items()]
    return table(["Level", "Unique key", "Tag"], rows)


def _date_time_pairs() -> str:
    rows = [
        [f"{text(dictionary_description(date))} {tag(date)}", f"{text(dictionary_description(time))} {tag(time)}"]
        for date, time in DATE_TIME_PAIRS.items()
    ]
    return table(["Date", "Time"], rows)


def _value_representations() -> str:
    """Group the value representations of the index by how their keys are matched."""
    groups: dict[tuple[str, str], set[str]] = {}
    for attribute in LEVEL_ATTRIBUTES:
        types = ", ".join(matching_types(attribute.tag, attribute.vr))
        is_empty_found = "Yes" if has_empty_value_matching(attribute.tag, attribute.vr) else "No"
        groups.setdefault((types, is_empty_found), set()).add(attribute.vr)
    rows = sorted([", ".join(sorted(vrs)), *how] for how, vrs in groups.items())
    return table(["VR", "Matching", "Empty value matching"], rows)
